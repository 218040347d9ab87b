"""Before a video response and after a visit: what an officer records, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from risk.audit import Who
from risk.store import Database
from risk.visits import (
    About,
    FormError,
    SentBeforeError,
    answer_video,
    attend_instead,
    contacts,
    entries,
    fresh,
    log_visit,
    standing,
    why_send,
)

pytest_plugins = ("tests.databases",)

DALO = Who("d.officer", "dalo", "page", "127.0.0.1")
NOW = datetime(2025, 6, 1, 10, tzinfo=UTC)
ALL_YES = {"agrees": "Y", "can_talk": "Y", "suspect_absent": "Y"}
CONTACT = {"channel": "phone", "reached": True, "information": "He has moved out.", "contact_at": NOW}


@pytest.fixture
def store(tmp_path: Path) -> Database:
    return Database.of(tmp_path)


@pytest.mark.parametrize("name", ["agrees", "can_talk", "suspect_absent"])
@pytest.mark.parametrize("answer", ["N", "U", None])
def test_any_answer_but_yes_sends_an_officer(name: str, answer: str | None) -> None:
    assert len(why_send(ALL_YES | {name: answer})) == 1
    assert why_send(ALL_YES) == []


def test_three_answers_are_needed_and_none_is_inferred(store: Database) -> None:
    with pytest.raises(FormError) as refused:
        answer_video(store, DALO, About("P1", "a"), {"agrees": "Y", "can_talk": "perhaps"})
    assert set(refused.value.fields) == {"can_talk", "suspect_absent"}
    assert entries(store, "video", "P1") == [], "nothing half written"


def test_an_officer_can_be_asked_for_without_a_question(store: Database) -> None:
    row, _ = attend_instead(store, DALO, About("P1", "a", call_id="C1"), NOW)
    assert row["send"] is True
    assert (row["agrees"], row["by"], row["call_id"], row["at"]) == (None, "d.officer", "C1", NOW)


def test_answers_stand_for_hours_and_a_yes_for_its_own_call_alone(store: Database) -> None:
    yes, _ = answer_video(store, DALO, About("P1", "a", "V1", "C1"), ALL_YES, NOW)
    assert standing([yes], "C1", NOW + timedelta(hours=3)) == yes
    assert standing([yes], "C2", NOW + timedelta(minutes=1)) is None
    assert standing([yes], "C1", NOW + timedelta(hours=5)) is None, "asked again in the evening"
    send, _ = attend_instead(store, DALO, About("P1", "b", call_id="C1"), NOW)
    assert standing([send, yes], None, NOW + timedelta(hours=1)) == send, (
        "an officer asked for holds for any call"
    )
    assert standing([], "C1", NOW) is None


def test_what_is_recorded_is_read_back_newest_first_a_page_at_a_time(database: Database) -> None:
    answer_video(database, DALO, About("P1", "a", "V1"), ALL_YES, NOW)
    answer_video(database, DALO, About("P1", "b", "V1"), ALL_YES | {"can_talk": "U"}, NOW)
    log_visit(database, DALO, About("P1b", "c", "V1"), CONTACT, NOW)
    found = entries(database, "video", "P1", limit=1)
    assert [row["send"] for row in found] == [True]
    earlier = entries(database, "video", "P1", before=found[0]["id"])
    assert [row["send"] for row in earlier] == [False]
    assert entries(database, "visits", "P1") == []
    visit = entries(database, "visits", "P1", records=["P1b"])[0]
    assert (visit["information"], visit["at"]) == ("He has moved out.", NOW)


def test_sending_a_form_twice_writes_it_once(database: Database) -> None:
    first = log_visit(database, DALO, About("P1", "same", "V1"), CONTACT, NOW)
    again = log_visit(database, DALO, About("P1", "same", "V1"), CONTACT, NOW + timedelta(minutes=1))
    assert again == (first.row, False)
    assert len(entries(database, "visits", "P1")) == 1


def test_an_officer_asked_for_again_is_written_again_whatever_was_answered_between(
    database: Database,
) -> None:
    asked = About("P1", "one form", call_id="C1")
    attend_instead(database, DALO, asked, NOW)
    answer_video(database, DALO, About("P1", "other", "V1", "C1"), ALL_YES, NOW)
    again = attend_instead(database, DALO, asked, NOW)
    assert again.new
    assert [row["send"] for row in entries(database, "video", "P1")] == [True, False, True]
    no = About("P1", "a no", "V1", "C1")
    first = answer_video(database, DALO, no, ALL_YES | {"agrees": "N"}, NOW)
    assert answer_video(database, DALO, no, ALL_YES | {"agrees": "N"}, NOW) == (first.row, False)
    answer_video(database, DALO, About("P1", "a yes", "V1", "C1"), ALL_YES, NOW)
    assert answer_video(database, DALO, no, ALL_YES | {"agrees": "N"}, NOW).new, "a yes came between"
    assert answer_video(database, DALO, no, ALL_YES | {"can_talk": "U"}, NOW).new, (
        "another no is another entry"
    )


def test_a_yes_sent_again_is_refused_once_something_else_stands(database: Database) -> None:
    yes = About("P1", "a yes", "V1", "C1")
    answer_video(database, DALO, yes, ALL_YES, NOW)
    attend_instead(database, DALO, About("P1", "b", call_id="C1"), NOW)
    with pytest.raises(SentBeforeError):
        answer_video(database, DALO, yes, ALL_YES, NOW)
    with pytest.raises(SentBeforeError):
        answer_video(database, DALO, About("P1", "a yes", "V2", "C1"), ALL_YES, NOW)
    assert len(entries(database, "video", "P1")) == 2


def test_a_number_used_for_somebody_else_or_by_somebody_else_loses_no_entry(database: Database) -> None:
    answer_video(database, DALO, About("P1", "00000001", "V1"), ALL_YES, NOW)
    no = {"agrees": "N", "can_talk": "N", "suspect_absent": "N"}
    other = answer_video(database, DALO, About("P7", "00000001", "V3"), no, NOW)
    assert (other.row["person_id"], other.row["send"], other.new) == ("P7", True, True)
    log_visit(database, DALO, About("P7", "00000002", "V3"), CONTACT, NOW)
    colleague = Who("another", "dalo", "api", "127.0.0.1")
    mine = log_visit(database, colleague, About("P7", "00000002"), CONTACT | {"information": "Mine."}, NOW)
    assert (mine.row["by"], mine.row["information"], mine.new) == ("another", "Mine.", True)
    with pytest.raises(SentBeforeError):
        log_visit(database, colleague, About("P7", "00000002"), CONTACT | {"information": "Else."}, NOW)


def test_the_no_of_one_victim_is_not_undone_by_the_yes_of_another(store: Database) -> None:
    unsure = answer_video(store, DALO, About("P1", "a", "V2", "C1"), ALL_YES | {"can_talk": "N"}, NOW).row
    for number in range(8):  # more than a sheet shows
        answer_video(store, DALO, About("P1", f"b{number}", "V1", "C1"), ALL_YES, NOW)
    rows = fresh(store, "P1", [], NOW)
    assert standing(rows, "C1", NOW) == unsure
    later = answer_video(store, DALO, About("P1", "c", "V2", "C1"), ALL_YES, NOW).row
    assert standing([later, *rows], "C1", NOW) == later, "asked again, she agrees"
    asked = attend_instead(store, DALO, About("P1", "d", call_id="C1"), NOW).row
    last = answer_video(store, DALO, About("P1", "e", "V1", "C1"), ALL_YES, NOW).row
    assert standing([last, asked, later, *rows], "C1", NOW) == asked


def test_three_yes_of_nobody_in_particular_are_not_recorded(store: Database) -> None:
    with pytest.raises(FormError) as refused:
        answer_video(store, DALO, About("P1", "a", call_id="C1"), ALL_YES, NOW)
    assert set(refused.value.fields) == {"victim"}
    assert answer_video(store, DALO, About("P1", "a"), ALL_YES | {"agrees": "U"}, NOW).row["send"] is True


def test_every_fault_of_a_form_is_named_at_once(store: Database) -> None:
    given = {"channel": "pigeon", "reached": None, "regrade": "high", "regrade_why": " ", "referral": "nobody",
             "information": "x" * 4001, "contact_at": NOW + timedelta(hours=1)}  # fmt: skip
    with pytest.raises(FormError) as refused:
        log_visit(store, DALO, About("P1", "a"), given, NOW)
    assert set(refused.value.fields) == {
        "channel", "reached", "regrade_why", "referral", "information", "contact_at",
    }  # fmt: skip
    assert (
        refused.value.fields["information"]
        == "The text is 1 character too long. Shorten it; nothing was cut."
    )


def test_clocks_a_few_minutes_apart_are_no_fault(store: Database) -> None:
    row, _ = log_visit(
        store, DALO, About("P1", "a"), CONTACT | {"contact_at": NOW + timedelta(minutes=4)}, NOW
    )
    assert row["contact_at"] == NOW + timedelta(minutes=4)


@pytest.mark.parametrize("year", [1, 1999, 2999, 9999])
def test_a_year_that_is_a_slip_of_the_finger_is_refused(store: Database, year: int) -> None:
    far = datetime(year, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-14 if year > 5000 else 14)))
    with pytest.raises(FormError, match="nothing was recorded") as refused:
        log_visit(store, DALO, About("P1", "a"), CONTACT | {"contact_at": far}, NOW)
    assert refused.value.fields == {"contact_at": f"The year {year} is not that of a contact."}


def test_only_a_contact_in_which_somebody_was_reached_counts_for_what_is_owed(database: Database) -> None:
    log_visit(database, DALO, About("P1", "a", "V1"), CONTACT | {"reached": False}, NOW)
    assert contacts(database, ["V1"]) == []
    log_visit(database, DALO, About("P1", "b", "V1"), CONTACT, NOW)
    assert [(one.person_id, one.at) for one in contacts(database, ["V1", "V2"])] == [("V1", NOW)]
    assert contacts(database, ["V1"], until=NOW - timedelta(days=1)) == [], "not yet written then"
    assert contacts(database, []) == []


def test_a_character_no_database_keeps_does_not_lose_the_text(database: Database) -> None:
    row, _ = log_visit(database, DALO, About("P1", "a"), CONTACT | {"information": "a\x00<script>b"}, NOW)
    assert row["information"] == "a<script>b"

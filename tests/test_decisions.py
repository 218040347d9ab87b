"""Decisions about people on a list: kept whole, told to the second who decides, lowered by two people only."""

from __future__ import annotations

import threading
from datetime import timedelta

import polars as pl
import pytest

from features.errors import InputError, NotFoundError
from risk import actions, decisions, written
from risk.decisions import choices, decide, history, standing, waiting
from risk.settings import settings
from risk.store import Database
from risk.store.tables_decisions import DECISION
from risk.written import CrossedError, FieldError
from tests.deciding import ANN, BOB, NEXT_WEEK, SAM, SEEN, SUE, WHY, T, proposed, who

pytest_plugins = ("tests.databases",)


def test_a_decision_is_kept_with_who_why_and_what_they_saw(database: Database) -> None:
    made = decide(database, ANN, "P1", proposed(), SEEN)
    assert (made["words"], made["code_words"]) == (
        "Adopt",
        "The records and what officers know bear the place out",
    )
    assert (made["by"], made["role"], made["reason"], made["owner"]) == ("ann", "proactive", WHY, "PC Ann")
    assert (made["list_id"], made["rank"], made["about"]) == (SEEN.list_id, 3, T)
    now = standing(database, ["P1", "P2"])
    assert (now["P1"].owner, now["P1"].version) == ("PC Ann", 1)
    assert (now["P2"].decision, now["P2"].version, now["P2"].last_action) == (None, 0, "")


def test_the_second_of_two_who_decide_at_once_is_told_and_loses_nothing(database: Database) -> None:
    decide(database, ANN, "P1", proposed(), SEEN)
    late = proposed("not_now", reason="We have nobody free before Monday")
    with pytest.raises(CrossedError, match="ann decided about this person") as told:
        decide(database, BOB, "P1", late, SEEN)
    assert [one["choice"] for one in told.value.newer] == ["adopt"]
    again = decide(database, BOB, "P1", proposed("not_now", version=1, reason=late.reason), SEEN)
    assert (again["version"], again["reason"]) == (2, late.reason)
    assert [one["by"] for one in decisions.decisions(database, ["P1"])["P1"]] == ["bob", "ann"]


def test_of_many_at_the_same_moment_one_is_first(database: Database) -> None:
    told: list[str] = []
    start = threading.Barrier(6)

    def one(number: int) -> None:
        start.wait()
        try:
            decide(database, who(f"officer{number}"), "P1", proposed(), SEEN)
            told.append("kept")
        except CrossedError:
            told.append("told")

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(told) == ["kept", *["told"] * 5]
    assert len(decisions.decisions(database, ["P1"])["P1"]) == 1


def test_the_same_form_sent_twice_is_one_decision(database: Database) -> None:
    first = decide(database, ANN, "P1", proposed(), SEEN)
    assert decide(database, ANN, "P1", proposed(), SEEN)["id"] == first["id"]
    assert len(decisions.decisions(database, ["P1"])["P1"]) == 1


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"choice": "arrest him"}, "choice", "Choose what to decide"),
        ({"code": "fear"}, "code", "Choose a reason"),
        ({"reason": "  ok  "}, "reason", "in your own words"),
        ({"reason": "x" * 2001}, "reason", "1 characters too long"),
        ({"owner": " "}, "owner", "Say who owns this"),
        ({"due_on": None}, "due_on", "Say by which day"),
        ({"due_on": NEXT_WEEK - timedelta(days=30)}, "due_on", "is past"),
        ({"due_on": NEXT_WEEK + timedelta(days=800)}, "due_on", "too far off"),
    ],
)
def test_a_field_at_fault_is_named_and_nothing_is_kept(
    database: Database, changes: dict[str, object], field: str, said: str
) -> None:
    with pytest.raises(FieldError, match=said) as fault:
        decide(database, ANN, "P1", proposed(**({"choice": "adopt"} | changes)), SEEN)  # type: ignore[arg-type]
    assert fault.value.field == field
    assert decisions.decisions(database, ["P1"])["P1"] == []


def test_a_lower_place_takes_effect_only_with_a_supervisors_word(database: Database) -> None:
    decide(database, ANN, "P1", proposed(), SEEN)
    lower = decide(database, ANN, "P1", proposed("disagree_down", version=1), SEEN)
    before = standing(database, ["P1"])["P1"]
    assert before.decision is not None
    assert (before.decision["choice"], before.owner) == ("adopt", "PC Ann"), "the one before it holds"
    assert before.waiting is not None
    assert [one["id"] for one in waiting(database)] == [lower["id"]]
    with pytest.raises(InputError, match="somebody else than the person who made it"):
        decisions.say(database, who("ann", "supervisor"), lower["id"], True, WHY, T)
    said = decisions.say(database, SUE, lower["id"], True, "Read the file; I agree", T)
    assert said["status"] == "a supervisor agreed"
    after = standing(database, ["P1"])["P1"]
    assert after.decision is not None
    assert (after.decision["choice"], after.waiting) == ("disagree_down", None)
    assert waiting(database) == []


def test_one_that_a_supervisor_refuses_changes_nothing(database: Database) -> None:
    decide(database, ANN, "P1", proposed(), SEEN)
    lower = decide(database, ANN, "P1", proposed("disagree_down", version=1), SEEN)
    decisions.say(database, SUE, lower["id"], False, "The records are right", T)
    now = standing(database, ["P1"])["P1"]
    assert now.decision is not None
    assert now.decision["choice"] == "adopt"
    with pytest.raises(CrossedError, match="sue has spoken already: a supervisor did not agree"):
        decisions.say(database, SAM, lower["id"], True, WHY, T)


def test_a_supervisor_lowers_nobody_alone_and_a_higher_place_needs_nobody(database: Database) -> None:
    lower = decide(database, SUE, "P1", proposed("disagree_down"), SEEN)
    assert (lower["status"], lower["holds"]) == ("waits for a supervisor", False)
    assert standing(database, ["P1"])["P1"].decision is None, "nothing has changed yet"
    with pytest.raises(InputError, match="somebody else than the person who made it"):
        decisions.say(database, SUE, lower["id"], True, WHY, T)
    assert decisions.say(database, SAM, lower["id"], True, "Read the file; I agree", T)["holds"]
    assert decide(database, ANN, "P2", proposed("disagree_up", owner=None, due_on=None), SEEN)["holds"]
    assert waiting(database) == []


def test_a_newer_decision_takes_the_place_of_one_that_waits(database: Database) -> None:
    lower = decide(database, ANN, "P1", proposed("disagree_down"), SEEN)
    decide(database, BOB, "P1", proposed(version=1), SEEN)
    assert waiting(database) == []
    with pytest.raises(InputError, match="newer decision"):
        decisions.say(database, SUE, lower["id"], True, WHY, T)


def test_actions_have_an_owner_and_a_day_and_one_result(database: Database) -> None:
    decide(database, ANN, "P1", proposed(), SEEN)
    visit = actions.plan(
        database, ANN, "P1", actions.Planned("visit", "See whether he lives there", "PC Bob", NEXT_WEEK), SEEN
    )
    assert visit["line"].startswith("Visit: due ")
    assert [one["id"] for one in actions.unfinished(database)] == [visit["id"]]
    done = actions.finish(database, BOB, visit["id"], "partly", "Nobody in; card left", T)
    assert done["line"].startswith("Visit: done in part, ")
    assert standing(database, ["P1"])["P1"].last_action == done["line"]
    assert actions.unfinished(database) == []
    with pytest.raises(CrossedError, match="bob recorded a result already: Done in part"):
        actions.finish(database, ANN, visit["id"], "done", "Spoke to him at the door", T)
    with pytest.raises(FieldError, match="Say who owns this"):
        actions.plan(
            database, ANN, "P1", actions.Planned("visit", "See whether he lives there", None, NEXT_WEEK), SEEN
        )


def test_what_was_decided_about_a_record_counts_for_the_person_it_turned_out_to_be(
    database: Database,
) -> None:
    decide(database, ANN, "P7b", proposed(), SEEN)
    one = pl.DataFrame({"person_id": ["P7", "P7b"], "cluster_id": ["P7", "P7"]})
    assert standing(database, ["P7"])["P7"].decision is None
    assert standing(database, ["P7"], one)["P7"].owner == "PC Ann"
    assert len(history(database, "P7", one)) == 1


def test_the_history_tells_everything_that_was_written_newest_first(database: Database) -> None:
    decide(database, ANN, "P1", proposed(), SEEN)
    lower = decide(database, ANN, "P1", proposed("disagree_down", version=1), SEEN)
    decisions.say(database, SUE, lower["id"], False, "The records are right", T)
    lines = history(database, "P1")
    assert [line["kind"] for line in lines] == ["supervisor", "decision", "decision"]
    assert lines[0]["words"] == "A supervisor does not agree: Disagree: should be lower"
    assert lines[1]["words"].endswith("(a supervisor did not agree)")
    assert lines[2]["owner"] == "PC Ann"


def test_what_is_not_there_is_said(database: Database) -> None:
    with pytest.raises(NotFoundError, match="no decision 77"):
        decisions.say(database, SUE, 77, True, WHY, T)
    with pytest.raises(NotFoundError, match="no action 77"):
        actions.finish(database, ANN, 77, "done", WHY, T)
    with pytest.raises(InputError, match="no longer fits"):
        decide(database, ANN, "P1", proposed(version=4), SEEN)


def test_the_words_of_decisions_never_call_anybody_low_risk() -> None:
    words = str(settings("decisions")).lower()
    assert "low risk" not in words
    assert "low-risk" not in words
    assert {name for name, rule in choices().items() if rule.get("waits")} == {"disagree_down"}


def test_a_row_that_lost_the_race_is_undone_and_the_act_around_it_goes_on(database: Database) -> None:
    first = decide(database, ANN, "P1", proposed(), SEEN)
    same = {column.name: first[column.name] for column in DECISION.c if column.name != "id"}
    with database.begin():
        assert written.add(database, DECISION, same) is None, "the number is taken"
        assert decide(database, BOB, "P1", proposed("not_now", version=1), SEEN)["version"] == 2
    assert [one["by"] for one in decisions.decisions(database, ["P1"])["P1"]] == ["bob", "ann"]


def test_what_nobody_can_type_is_left_out_and_the_rest_kept_to_the_letter(database: Database) -> None:
    text = "He said \x00 “I’ll be back” – 3½ times\r\nand left \ud800<script>alert(1)</script>"
    made = decide(database, ANN, "P1", proposed(reason=text, owner="PC \x00Zoë"), SEEN)
    assert made["reason"] == "He said  “I’ll be back” – 3½ times\nand left <script>alert(1)</script>"
    assert made["owner"] == "PC Zoë"

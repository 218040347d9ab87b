"""Lawful options: what is recalled stays hidden until a named legal officer has verified it; nothing is advised."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from features.clocks import parse_as_of
from features.errors import InputError, NotFoundError
from features.home import Home
from risk.dyads import dyads
from risk.history import history
from risk.options import REFUSED, VERIFIED, Standing, checks, option, options, say, standings
from risk.options_facts import PROMPTS, Known, bearing
from risk.settings import settings
from risk.state import states
from risk.store import Database
from risk.view import View

pytest_plugins = ("tests.databases",)

T = parse_as_of("2025-06-01")
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
RECALLED = ("nmo", "restraining_order", "bail_conditions")
LIMITED = ("dapn", "dapo", "matac")


def check(db: Database, option_id: str, verdict: str = VERIFIED, **changes: Any) -> None:
    given: dict[str, Any] = {
        "wording": option(option_id).wording,
        "source": "the Act, section 42, as in force",
    }
    given |= {"note": "", "username": "lo1", "name": "Lou Advocate", "at": NOW}
    say(db, option_id, verdict, **(given | changes))


def of(db: Database, option_id: str, now: datetime = NOW) -> Standing:
    return next(one for one in standings(db, now) if one.option.option_id == option_id)


def test_every_fact_has_a_mark_a_source_and_a_heading() -> None:
    for one in options():
        assert one.facts
        assert all(name in PROMPTS for name in one.prompts)
        for fact in one.facts:
            assert fact.mark in ("found", "recalled")
            assert fact.heading
            assert fact.source.startswith("To check") == (fact.mark == "recalled")
        shown_at_once = not one.needs_verifying
        parts = {fact.part for fact in one.facts if fact.mark == "found"}
        assert not shown_at_once or {"test", "who", "in_force"} <= parts


def test_an_option_that_rests_on_a_recalled_fact_is_hidden_until_it_is_verified(database: Database) -> None:
    for option_id in RECALLED:
        standing = of(database, option_id)
        assert not standing.shown
        assert standing.facts == ()
        assert "waits for the force's legal officer" in standing.why
    check(database, "nmo")
    standing = of(database, "nmo")
    assert standing.shown
    assert standing.facts == option("nmo").facts
    assert "Lou Advocate, legal officer, 22 November 2026" in standing.why
    assert standing.as_dict()["verified_by"] == "Lou Advocate"
    assert not of(database, "restraining_order").shown


def test_recalled_facts_of_a_shown_option_are_kept_back_one_by_one(database: Database) -> None:
    standing = of(database, "dvpn")
    assert standing.shown
    assert standing.held_back == 1
    assert all(fact.mark == "found" for fact in standing.facts)
    assert not any("24 hours" in fact.text for fact in standing.facts)
    assert "not yet verified by this force's legal officer" in standing.why
    check(database, "dvpn")
    assert any("24 hours" in fact.text for fact in of(database, "dvpn").facts)
    inspector = [fact for fact in option("dapn").facts if "inspector" in fact.text]
    assert [fact.mark for fact in inspector] == ["recalled"]


def test_an_option_in_force_only_in_some_areas_waits_for_the_force_to_say_it_is_one(
    database: Database,
) -> None:
    for option_id in LIMITED:
        assert not of(database, option_id).shown
        assert "in force only in some areas" in of(database, option_id).why
        check(database, option_id)
        assert of(database, option_id).shown


def test_a_verification_ends_with_the_wording_and_after_a_year(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(database, "nmo")
    lasts = timedelta(days=settings("options")["verification"]["lasts_days"])
    assert of(database, "nmo", NOW + lasts - timedelta(seconds=1)).shown
    late = of(database, "nmo", NOW + lasts)
    assert not late.shown
    assert "has ended because it is more than a year old" in late.why
    with database.begin() as connection:
        connection.exec_driver_sql("INSERT INTO option_check SELECT 99, 'nmo', 'other words', verdict, source, note,"
                                   " username, name, at FROM option_check WHERE option_id = 'nmo'")  # fmt: skip
    assert "because its wording has changed" in of(database, "nmo").why


def test_a_refusal_hides_even_what_was_found_and_says_who_refused(database: Database) -> None:
    check(database, "spo", REFUSED, source="no lawyer of ours has cleared it")
    standing = of(database, "spo")
    assert not standing.shown
    assert standing.facts == ()
    assert "refused by Lou Advocate" in standing.why
    assert not of(database, "spo", NOW + timedelta(days=4_000)).shown
    check(database, "spo")
    assert of(database, "spo").shown
    assert [one.verdict for one in checks(database)["spo"]] == [VERIFIED, REFUSED]


def test_what_a_legal_officer_says_is_refused_without_a_source_or_on_old_words(database: Database) -> None:
    with pytest.raises(InputError, match="checked against"):
        check(database, "nmo", source="  ")
    with pytest.raises(InputError, match="wording"):
        check(database, "nmo", wording="as it was")
    with pytest.raises(InputError, match="verified or refused"):
        check(database, "nmo", "maybe")
    with pytest.raises(InputError, match="3,000 characters"):
        check(database, "nmo", source="x" * 3_000)
    with pytest.raises(NotFoundError, match="no option"):
        say(database, "curfew", VERIFIED, wording="", source="x", note="", username="a", name="A")
    assert checks(database) == {}


# --- what the records hold that bears on a test ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def of_p1(small_home: Path) -> Known:
    view = View(Home(small_home).require(), T)
    happened = history(view, "P1")
    born = view.table("person").filter(pl.col("person_id") == "P1")["date_of_birth"][0]
    return Known(view, "P1", born, happened, dyads(view, "P1", happened), states(view, ["P1"])["P1"])


def lines(known: Known, option_id: str) -> list[str]:
    return [line.text for line in bearing(known, option(option_id))]


def test_beside_a_test_stand_the_records_that_bear_on_it(of_p1: Known) -> None:
    said = lines(of_p1, "dvpn")
    assert said[0] == "Aged 40"
    assert any(
        line.startswith("4 domestic events of the last three years recorded with violence") for line in said
    )
    assert any(line.startswith("V1: partner since 1 January 2020, ended 1 May 2025") for line in said)
    assert any("In force: NMO made 20 April 2025" in line for line in said)
    violence = next(one for one in bearing(of_p1, option("dvpn")) if "violence or threats" in one.text)
    assert violence.events == ("E06", "E04", "E03", "E01")
    assert violence.bears
    assert lines(of_p1, "marac")[0].startswith("DASH of 16 April 2025 about V1: 2 yes answers, grade high")
    assert any(line == "V1: 5 domestic events in the last 12 months" for line in lines(of_p1, "marac"))
    assert any("MARAC since 10 May 2025: V1" in line for line in lines(of_p1, "marac"))


def test_each_line_says_what_kind_of_thing_it_is(of_p1: Known) -> None:
    kinds = {line.kind for one in options() for line in bearing(of_p1, one)}
    assert kinds == {"record", "assessment", "calculation"}
    assert set(settings("statuses")["kind"]) == kinds


def test_nothing_tells_anybody_what_to_do(of_p1: Known) -> None:
    told = [line.text for one in options() for line in bearing(of_p1, one)]
    told += [fact.text for one in options() for fact in one.facts]
    advice = re.compile(
        r"\b(recommend\w*|should|advis\w*|eligible|test is met|meets the test|low risk)\b", re.IGNORECASE
    )
    assert [text for text in told if advice.search(text)] == []


def test_no_victim_is_named_beside_an_option(
    of_p1: Known, small_extract_tables: dict[str, pl.DataFrame]
) -> None:
    told = " ".join(line.text for one in options() for line in bearing(of_p1, one))
    people = small_extract_tables["person"].filter(pl.col("person_id") != "P1")
    assert [name for name in people["family_name"] if name in told] == []

"""What is known and need not be asked again, and what was never recorded."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from features.clocks import parse_as_of
from features.home import Home
from risk.history import history
from risk.known import Kept, Known, known
from risk.settings import settings
from risk.view import View

T = parse_as_of("2025-06-01")


def _of(home: Path, t: str = "2025-06-01") -> dict[str | None, Kept]:
    view = View(Home(home).require(), parse_as_of(t))
    return {kept.of: kept for kept in known(view, "P1", ["V1", "V2"], history(view, "P1"))}


@pytest.fixture(scope="module")
def kept(sheet_home: Path) -> dict[str | None, Kept]:
    return _of(sheet_home)


def _fact(kept: Kept, name: str) -> Known:
    return next(one for one in [*kept.facts, *kept.answers] if one.name == name)


def test_the_latest_value_that_is_not_empty_with_its_date_and_source(kept: dict[str | None, Kept]) -> None:
    channel = _fact(kept["V1"], "safe_channel")
    assert (channel.value, channel.before) == ("text", "phone on 1 February 2025")
    children = _fact(kept["V1"], "children_present")
    assert children.value == "2 children", "the later reports do not say"
    assert children.source == "report REF-E04"
    assert children.when == parse_as_of("2025-04-15T20:30")
    assert children.before == "1 child on 20 January 2025"


def test_an_answer_is_kept_by_its_question_and_never_by_the_forms_words(kept: dict[str | None, Kept]) -> None:
    injured = _fact(kept["V1"], "q01")
    assert (injured.label, injured.value, injured.source) == (
        "Question 1: Injury this time", "yes", "assessment REF-E04",
    )  # fmt: skip
    assert [one.name for one in kept["V1"].answers] == ["q01", "q02", "q03"]


def test_what_was_never_recorded_is_named(kept: dict[str | None, Kept]) -> None:
    assert "Access needs" in kept["V1"].never
    assert "Safe way to make contact" not in kept["V1"].never
    assert "Assessment questions 4 to 27" in kept["V1"].never
    assert "A risk assessment" in kept["V2"].never
    assert "Safe way to make contact" in kept["V2"].never
    assert kept[None].never == []


def test_not_known_is_no_value_and_a_changed_answer_is_shown(small_home_maker, sheet_home: Path) -> None:  # type: ignore[no-untyped-def]
    rows = [
        {"assessment_id": "R1", "event_id": "E03", "victim_id": "V1", "suspect_id": "P1", "tool": "DASH",
         "grade": "high", "completed_at": "2025-01-21T10:00:00Z", "q02": "Y", "q06": "U"},
        {"assessment_id": "R2", "event_id": "E04", "victim_id": "V1", "suspect_id": None, "tool": "DASH",
         "grade": "medium", "completed_at": "2025-04-15T23:00:00Z", "q02": "N", "q06": "U"},
        {"assessment_id": "R3", "event_id": "E07", "victim_id": "V1", "suspect_id": "P2", "tool": "DASH",
         "grade": "high", "completed_at": "2025-05-15T23:00:00Z", "q02": "Y", "q06": "Y"},
    ]  # fmt: skip
    home = small_home_maker("answers", risk_assessment=pl.DataFrame(rows, infer_schema_length=None))
    mine = _of(home)["V1"]
    frightened = _fact(mine, "q02")
    assert (frightened.value, frightened.before) == ("no", "yes on 21 January 2025")
    assert "q06" not in {one.name for one in mine.answers}, "not known twice, and once about another man"


def test_as_of_an_earlier_day_only_what_was_known_then(sheet_home: Path) -> None:
    then = _of(sheet_home, "2025-03-01")["V1"]
    assert _fact(then, "children_present").value == "1 child"
    assert then.answers == []
    assert "Separated on" in then.never


def test_a_table_the_force_does_not_keep_is_no_gap_of_the_person(small_home_maker) -> None:  # type: ignore[no-untyped-def]
    home = small_home_maker(
        "bare", victim_plan=pl.DataFrame({"person_id": ["V2"], "agreed_on": ["2025-01-01"]})
    )
    assert "Language" not in _of(home)["V2"].never, "the column was not handed over"


def test_video_consent_and_who_reported_are_never_among_what_need_not_be_asked() -> None:
    columns = {fact["column"] for fact in settings("known")["fact"]}
    assert not columns & {"video_consent", "first_reporter_id"}

"""What victims were promised: the Victims' Code's clocks from custody, bail and outcomes, and what is overdue."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from features.clocks import parse_as_of
from features.home import Home
from risk import promises
from risk.history import Happened, history
from risk.promises import Clock, Reached, clocks, owed
from risk.settings import settings
from risk.view import View
from risk.words import day, day_time
from tests.conftest import make_home
from tests.sheet_force import tables

T = parse_as_of("2025-06-01")


@pytest.fixture(scope="module")
def view(sheet_home: Path) -> View:
    return View(Home(sheet_home).require(), T)


@pytest.fixture(scope="module")
def happened(view: View) -> list[Happened]:
    return history(view, "P1")


@pytest.fixture(scope="module")
def by_name(view: View, happened: list[Happened]) -> dict[tuple[str, str], Clock]:
    return {(one.name, one.event_id): one for one in clocks(view, "P1", happened, ["V1"])}


def test_an_arrest_must_be_told_by_the_end_of_the_next_working_day(
    by_name: dict[tuple[str, str], Clock],
) -> None:
    arrested = by_name["arrested", "E05"]
    assert day_time(arrested.due) == "22 May 2025, 23:59", "a Wednesday's arrest: by the end of Thursday"
    assert arrested.enhanced
    assert arrested.state(T) == "overdue", "the only contact since was not answered"


def test_weekends_and_bank_holidays_are_no_working_days(by_name: dict[tuple[str, str], Clock]) -> None:
    assert day(by_name["arrested", "E04"].due) == "22 April 2025", (
        "Maundy Thursday to the Tuesday after Easter"
    )


def test_a_contact_about_the_event_meets_the_clock_and_no_answer_does_not(
    by_name: dict[tuple[str, str], Clock],
) -> None:
    met = by_name["arrested", "E04"]
    assert met.met_at is not None
    assert met.state(T) == "met"
    assert by_name["released_under_investigation", "E05"].met_at is None


def test_bail_said_by_two_tables_is_one_thing_to_tell(by_name: dict[tuple[str, str], Clock]) -> None:
    bail = [
        name for name, event in by_name if event == "E04" and by_name[name, event].words == "released on bail"
    ]
    assert len(bail) == 1


def test_a_changed_condition_of_bail_starts_a_clock_when_it_was_entered(
    by_name: dict[tuple[str, str], Clock],
) -> None:
    changed = by_name["bail_conditions_changed", "E04"]
    assert day(changed.at) == "27 May 2025"
    assert day(changed.due) == "28 May 2025"


def test_a_change_entered_after_t_starts_nothing(sheet_home: Path) -> None:
    earlier = View(Home(sheet_home).require(), parse_as_of("2025-05-27"))
    found = clocks(earlier, "P1", history(earlier, "P1"), ["V1"])
    assert "bail_conditions_changed" not in {one.name for one in found}


def test_a_visit_logged_in_doorstep_meets_it_too(view: View, happened: list[Happened]) -> None:
    logged = [Reached("V1", None, datetime(2025, 5, 22, 9, tzinfo=UTC))]
    found = {(c.name, c.event_id): c for c in clocks(view, "P1", happened, ["V1"], logged)}
    assert found["arrested", "E05"].state(T) == "met"
    assert found["bail_conditions_changed", "E04"].state(T) == "overdue", "that came later"
    other = [Reached("V2", None, datetime(2025, 5, 22, 9, tzinfo=UTC))]
    assert clocks(view, "P1", happened, ["V1"], other) == clocks(view, "P1", happened, ["V1"])


def test_a_contact_without_a_code_is_not_said_to_have_reached_anybody(tmp_path: Path) -> None:
    force = tables()
    blank = force["contact"].with_columns(pl.lit(None, pl.String).alias("summary_code"))
    home = make_home(tmp_path / "home", **force | {"contact": blank})
    view = View(Home(home).require(), T)
    happened = history(view, "P1")
    found = {(c.name, c.event_id): c for c in clocks(view, "P1", happened, ["V1"])}
    assert found["arrested", "E04"].met_at is None
    assert found["arrested", "E04"].state(T) == "overdue"
    owing = owed(view, "P1", happened, ["V1"], {"E05": "REF-E05"})
    assert owing.last_contact == {}
    assert (
        "tell them: arrested 21 May 2025 (REF-E05); the contact of 21 May 2025 does not say whether they were reached"
        in [line.what for line in owing.lines]
    )
    update = next(line for line in owing.lines if line.kind == "update")
    assert (
        update.what
        == "update every 14 days, the contact of 21 May 2025 does not say whether they were reached"
    )


def test_no_clock_of_a_charge_or_its_absence_is_shown_while_it_is_only_recalled(
    view: View, happened: list[Happened]
) -> None:
    known = {one["name"]: one for one in settings("clocks")["clock"]}
    unread = {"charged_in_custody", "charged", "out_of_court", "closed"}
    assert {name for name, one in known.items() if one["mark"] == "recalled"} == unread
    assert all("enhanced" in one for one in known.values()), (
        "a shown clock has the time a victim of abuse is owed"
    )
    assert not unread & {one.name for one in clocks(view, "P1", happened, ["V1", "V2"])}
    assert not {None, "4", "5"} & set(known["closed"]["when"]["is"])
    assert "unless" not in known["closed"], "an outcome not recorded closes nothing"


def test_what_is_owed_is_sorted_most_overdue_first_and_says_its_basis(
    view: View, happened: list[Happened]
) -> None:
    found = owed(view, "P1", happened, ["V1"], {"E04": "REF-E04"})
    assert [line.due for line in found.lines] == sorted(line.due for line in found.lines)
    kinds = {line.kind for line in found.lines}
    assert kinds == {"promise", "update", "code"}
    code = next(line for line in found.lines if "bail conditions changed" in line.what)
    assert code.what == "tell them: bail conditions changed 27 May 2025 (REF-E04); no contact recorded since"
    assert code.basis == "Victims' Code, Right 6 (d), Enhanced Rights"
    update = next(line for line in found.lines if line.kind == "update")
    assert update.what == "update every 14 days, last contact 22 April 2025", "no answer is no update"
    assert day(found.last_contact["V1"]) == "22 April 2025"


def test_an_old_clock_is_counted_and_not_listed(
    view: View, happened: list[Happened], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = owed(view, "P1", happened, ["V1"], {})
    assert listed.older == 0
    short = settings("clocks") | {"show": {"days": 6}}
    monkeypatch.setattr(promises, "settings", lambda name: short)
    fewer = owed(view, "P1", happened, ["V1"], {})
    assert fewer.older == len(listed.lines) - len(fewer.lines) > 0


def test_a_clock_that_was_only_recalled_is_shown_to_nobody(
    view: View, happened: list[Happened], monkeypatch: pytest.MonkeyPatch
) -> None:
    recalled = settings("clocks") | {
        "clock": [one | {"mark": "recalled"} for one in settings("clocks")["clock"]]
    }
    monkeypatch.setattr(promises, "settings", lambda name: recalled)
    assert clocks(view, "P1", happened, ["V1"]) == []


def test_every_clock_of_the_data_file_says_where_it_was_read() -> None:
    known: list[dict[str, Any]] = settings("clocks")["clock"]
    assert len({one["name"] for one in known}) == len(known)
    assert all(one["source"] and one["basis"] and one["mark"] in ("found", "recalled") for one in known)
    assert {one["table"] for one in known} == {"custody", "bail", "offence"}

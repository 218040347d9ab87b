"""A hold is in force at once, is decided by a supervisor who did not place it, and within two working days."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from api.printing import list_as_csv, list_as_dict, with_holds
from features.errors import InputError, NotFoundError
from features.home import Home
from risk import holds
from risk.holds import Hold, held, place_hold
from risk.priority import publish
from risk.published import shown
from risk.store import Database
from risk.words import LONDON
from risk.workdays import is_working
from risk.written import CrossedError, FieldError
from tests.deciding import ANN, BOB, SAM, SUE, T, who

pytest_plugins = ("tests.databases",)
DOUBT = "She rang us, not he; see the first call"


def test_a_hold_is_in_force_from_the_moment_it_is_placed(database: Database) -> None:
    hold, placed = place_hold(database, who("dan", "dalo"), "P1", "role", DOUBT, T, "D1")
    assert placed
    assert held(database, ["P1", "P2"]) == {"P1": hold}
    assert held(database) == {"P1": hold}
    assert hold.waits
    assert not hold.overdue
    assert hold.line.startswith("On hold: identity or role in doubt since ")


def test_a_supervisor_has_two_working_days(database: Database) -> None:
    hold, _ = place_hold(database, ANN, "P1", "identity", DOUBT, T)
    first, due = hold.row["at"].astimezone(LONDON).date(), hold.row["due_by"].astimezone(LONDON).date()
    between = [first + timedelta(days=n) for n in range(1, (due - first).days + 1)]
    assert sum(is_working(day) for day in between) == 2
    late = replace(hold, row={**hold.row, "due_by": datetime.now(UTC) - timedelta(hours=1)})
    assert late.overdue
    assert late.in_force, "a hold that nobody decided stays"
    assert "A supervisor was due by" in late.line


def test_lifted_it_is_gone_and_a_new_one_may_follow(database: Database) -> None:
    hold, _ = place_hold(database, ANN, "P1", "identity", DOUBT, T)
    lifted = holds.say(database, SUE, hold.hold_id, "lift", "Prints compared: it is him", T)
    assert not lifted.in_force
    assert held(database, ["P1"]) == {}
    again, placed = place_hold(database, BOB, "P1", "role", DOUBT, T)
    assert placed
    assert again.hold_id != hold.hold_id
    assert len(holds.holds_of(database, ["P1"])["P1"]) == 2


def test_found_right_it_stands_until_a_supervisor_lifts_it(database: Database) -> None:
    hold, _ = place_hold(database, ANN, "P1", "role", DOUBT, T)
    stands = holds.say(database, SUE, hold.hold_id, "stands", "The calls bear it out", T)
    assert stands.in_force
    assert stands.stands
    assert not stands.waits
    assert "A supervisor found it right on" in stands.line
    with pytest.raises(CrossedError, match="sue has decided already"):
        holds.say(database, SAM, hold.hold_id, "stands", "The calls bear it out", T)
    assert not holds.say(database, SAM, hold.hold_id, "lift", "The records are mended", T).in_force


def test_a_second_hold_is_the_first(database: Database) -> None:
    hold, _ = place_hold(database, ANN, "P1", "role", DOUBT, T)
    same, placed = place_hold(database, BOB, "P1", "identity", "Another birth date", T)
    assert not placed
    assert same == hold


def test_two_people_are_needed(database: Database) -> None:
    hold, _ = place_hold(database, SUE, "P1", "role", DOUBT, T)
    with pytest.raises(InputError, match="somebody else than the person who placed it"):
        holds.say(database, SUE, hold.hold_id, "lift", "I was mistaken there", T)
    holds.say(database, SAM, hold.hold_id, "lift", "She was mistaken there", T)
    with pytest.raises(CrossedError, match="sam has decided already"):
        holds.say(database, who("sid", "supervisor"), hold.hold_id, "stands", "The doubt is right", T)


def test_a_hold_on_a_record_holds_for_the_person(database: Database) -> None:
    place_hold(database, ANN, "P7b", "identity", DOUBT, T)
    one = pl.DataFrame({"person_id": ["P7", "P7b"], "cluster_id": ["P7", "P7"]})
    found = held(database, ["P7"], one)
    assert isinstance(found["P7"], Hold)
    assert held(database, ["P7"]) == {}


def test_the_printed_list_and_its_table_say_who_is_on_hold(small_home_maker: Callable[..., Path]) -> None:
    home = Home(small_home_maker())
    made = publish(home, T)
    with closing(Database.of(home.path)) as db:
        place_hold(db, ANN, "P1", "role", DOUBT, T)
    view = with_holds(shown(made, home), home)
    head, first, *others = list_as_csv(view).splitlines()
    assert head.split(",")[2] == "hold"
    assert first.split(",")[2].startswith("On hold: identity or role in doubt since")
    assert all(line.split(",")[2] == "" for line in others)
    assert [bool(row["hold"]) for row in list_as_dict(view)["rows"]] == [True, False, False, False, False]


def test_each_field_at_fault_is_said(database: Database) -> None:
    with pytest.raises(FieldError, match="Choose what is in doubt"):
        place_hold(database, ANN, "P1", "everything", DOUBT, T)
    with pytest.raises(FieldError, match="own words"):
        place_hold(database, ANN, "P1", "role", "", T)
    with pytest.raises(NotFoundError, match="no hold 5"):
        holds.say(database, SUE, 5, "lift", "The records are mended", T)
    assert held(database) == {}

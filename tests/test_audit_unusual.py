"""What an auditor is shown as unusual: own name, same surname, volume, outside district, refusals, a clock set back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from risk.audit import Who, record
from risk.audit_patterns import Pattern, unusual
from risk.settings import settings
from risk.store import Database
from risk.store.tables_accounts import ACCOUNT

pytest_plugins = ("tests.databases",)

IDENTITY = {
    "person": pl.DataFrame(
        [
            ("P1", "O'Neill-Smith", "Sam José"),
            ("P2", "Brown", "Jo"),
            ("P3", None, None),
            ("P4", "Grey", "Al"),
        ],
        schema=["person_id", "family_name", "given_names"],
        orient="row",
    ),
    "alias": pl.DataFrame(
        [("P4", "Okafor", "Sam")], schema=["person_id", "family_name", "given_names"], orient="row"
    ),
}


def add_account(database: Database, username: str, name: str) -> None:
    with database.begin() as connection:
        connection.execute(
            sa.insert(ACCOUNT).values(
                username=username, name=name, role="dalo", districts=[], duties=[],
                made_at=datetime.now(UTC), made_by="tests",
            )
        )  # fmt: skip


def look(database: Database, home: Path, username: str, *persons: str, **more: object) -> int:
    facts = {"act": "consultation", "page": "/persons/{person_id}"} | more
    who = Who(username, "dalo", "page", "10.0.0.7")
    return record(database, home, who, persons=persons, **facts)  # type: ignore[arg-type]


def found(database: Database) -> dict[str, Pattern]:
    now = datetime.now(UTC)
    return {
        one.key: one
        for one in unusual(database, IDENTITY, now - timedelta(days=7), now + timedelta(minutes=1))
    }


def who(pattern: Pattern) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.username, one.persons) for one in pattern.found]


def test_nothing_is_unusual_about_nothing(database: Database) -> None:
    assert all(not one.found for one in found(database).values())
    assert all(not one.found for one in unusual(database, {}, datetime.now(UTC), datetime.now(UTC)))


def test_own_name_and_surname_whatever_accents_hyphens_and_aliases(
    database: Database, home_path: Path
) -> None:
    for username, name in (("one", "Sam Smith"), ("two", "Jose O’Neill"), ("three", "Kim Brown"),
                           ("four", "Sam Okafor"), ("five", "Jo Green")):  # fmt: skip
        add_account(database, username, name)
        for person in ("P1", "P2", "P3", "P4"):
            look(database, home_path, username, person)
    told = found(database)
    assert who(told["own_name"]) == [("four", ("P4",)), ("one", ("P1",)), ("two", ("P1",))]
    assert who(told["surname"]) == [("three", ("P2",))]
    assert told["surname"].found[0].words == "opened 1 person of their own surname"
    assert told["surname"].found[0].rows == (10,)


def test_a_list_on_which_a_namesake_stands_is_no_look_at_them(database: Database, home_path: Path) -> None:
    add_account(database, "three", "Kim Brown")
    look(database, home_path, "three", "P2", *(f"Q{n}" for n in range(20)), page="/lists/{list_id}")
    assert found(database)["surname"].found == []


def test_a_search_for_ones_own_name_is_told_without_a_person(database: Database, home_path: Path) -> None:
    add_account(database, "three", "Kim Brown")
    look(database, home_path, "three", "P2", page="/search", detail="search name: kim BROWN")
    look(database, home_path, "three", "P2", page="/search", detail="search name: browne")
    look(database, home_path, "three", page="/search", detail="search name: Brown; born: 1980")
    told = found(database)
    assert [one.words for one in told["own_name"].found] == ["searched for their own name once"]
    assert [one.words for one in told["surname"].found] == ["searched for their own surname once"]
    assert told["surname"].found[0].persons == ()


def test_volume_is_measured_against_the_role(
    database: Database, home_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(settings("audit")["unusual"], "persons_least", 6)
    for n in range(7):
        look(database, home_path, "busy", f"P{n}")
        look(database, home_path, "busy", f"P{n}")  # twice the same person is one person
    for username in ("a", "b", "c"):
        for n in range(2):
            look(database, home_path, username, f"P{n}")
    (one,) = found(database)["volume"].found
    assert one.username == "busy"
    assert one.words.startswith("opened 7 persons on ")
    assert one.words.endswith("usual in the role is 2 a day")
    for username in ("d", "e", "f", "g"):
        for n in range(6):
            look(database, home_path, username, f"P{n}")
    assert found(database)["volume"].found == [], "a busy day for everybody"


def test_outside_district_counts_who_was_opened_not_who_a_search_found(
    database: Database, home_path: Path
) -> None:
    look(database, home_path, "near", "P1")
    look(database, home_path, "far", "P1", outside=True)
    look(database, home_path, "far", "P2", outside=True)
    look(database, home_path, "seeker", "P2", outside=True, page="/search")
    (one,) = found(database)["outside"].found
    assert (one.username, one.words) == ("far", "opened somebody outside their districts 2 times")
    assert one.rows == (2, 3)


def test_refusals_add_up(database: Database, home_path: Path) -> None:
    for n in range(10):
        look(database, home_path, "curious", act="access", detail="refused: needs audit.read")
        if n < 9:
            look(database, home_path, "clumsy", act="access", detail="refused: form without its token")
    look(database, home_path, "curious", act="access", detail="signed in")
    assert [one.username for one in found(database)["refused"].found] == ["curious"]


def test_a_clock_set_back_shows(database: Database, home_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look(database, home_path, "one")

    class Earlier(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) - timedelta(minutes=10)

    with monkeypatch.context() as patch:
        patch.setattr("risk.audit_chain.datetime", Earlier)
        look(database, home_path, "two")
    look(database, home_path, "three")
    (one,) = found(database)["clock"].found
    assert one.rows == (2,)
    assert one.words.startswith("row 2 is 600 seconds earlier")


def test_what_happened_before_is_left_out(database: Database, home_path: Path) -> None:
    look(database, home_path, "far", "P1", outside=True)
    now = datetime.now(UTC)
    later = unusual(database, IDENTITY, now + timedelta(minutes=1), now + timedelta(minutes=2))
    assert all(not one.found for one in later)


def test_a_long_list_is_cut_and_says_so(
    database: Database, home_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(settings("audit")["unusual"], "told", 2)
    for n in range(5):
        look(database, home_path, f"far{n}", "P1", outside=True)
    pattern = found(database)["outside"]
    assert (len(pattern.found), pattern.more) == (2, 3)

"""A list joined with today, two lists side by side, and pseudonyms: the parts beneath the pages."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from features.errors import DoorstepError, InputError
from features.home import Home
from risk.audit_key import read_key
from risk.list_history import difference
from risk.pseudonyms import pseudonyms
from risk.published import PublishedList, lists, read_list
from risk.teams import teams
from risk.today import Asked, Day, people_of, prepare, see
from risk.view import View

NOBODY = pl.DataFrame(schema={"person_id": pl.String, "cluster_id": pl.String, "certainty": pl.Float64})


class Joined(View):
    """A view in which some records have turned out to be one person."""

    joined: pl.DataFrame = NOBODY

    @property
    def clusters(self) -> pl.DataFrame:
        """As given."""
        return self.joined


@pytest.fixture(scope="module")
def day(small_home: Path) -> Day:
    """The list of 1 June as of its own moment."""
    home = Home(small_home)
    published = read_list(home)
    view = View(home.require(), published.as_of)
    return prepare(published, view, teams(view), view.everyone())


def joined(home: Path, *pairs: tuple[str, str]) -> Day:
    """The list of 1 June, prepared when the first of each pair is known to be the second."""
    published = read_list(Home(home))
    view = Joined(Home(home).require(), published.as_of)
    rows = [(a, b, 0.97) for a, b in pairs] + [(b, b, 0.97) for _, b in pairs]
    view.joined = pl.DataFrame(rows, schema=NOBODY.schema, orient="row").unique()
    return prepare(published, view, teams(view), view.everyone())


def test_a_record_joined_since_the_list_was_made_says_so_and_counts_as_one(small_home: Path) -> None:
    found = joined(small_home, ("P7", "P3"))
    rows = {row["person_id"]: row for row in found.rows}
    assert found.moved_on == {"P7": "P3"}
    assert any("joined with another" in line for line in rows["P7"]["warnings"])
    assert any("1 further record" in line for line in rows["P3"]["warnings"])
    assert [row["rank"] for row in found.rows] == [1, 2, 3, 4, 5], "no rank is moved by it"


def test_a_record_taken_off_since_the_list_was_made_says_so(day: Day, small_home: Path) -> None:
    published = read_list(Home(small_home))
    rows = published.rows.with_columns(
        records=pl.when(pl.col("person_id") == "P1").then(2).otherwise("records")
    )
    published.__dict__["rows"] = rows
    view = View(Home(small_home).require(), published.as_of)
    first = prepare(published, view, teams(view), view.everyone()).rows[0]
    assert any("1 record was taken off this person" in line for line in first["warnings"])


def test_the_rows_around_its_people_say_what_the_whole_records_say_of_a_list(small_home: Path) -> None:
    from api.desk import Desk

    home = Home(small_home)
    desk = Desk(home)
    published, whole = read_list(home), View(home.require(), desk.now())
    near = desk.around(people_of(published), desk.now(), steps=0)
    known = whole.everyone()
    here, there = (prepare(published, one, teams(whole), known) for one in (near, whole))
    assert here.rows == there.rows
    assert (here.names, here.apart, here.moved_on) == (there.names, there.apart, there.moved_on)
    assert set(home.require().records().table("person")["person_id"]) == set(known)


def test_what_ends_is_told_within_its_days_and_not_before(small_home: Path) -> None:
    home = Home(small_home)
    published, load = read_list(home), home.require()

    def ends(days: int) -> list[tuple[str, str]]:
        view = View(load, published.as_of + timedelta(days=days))
        rows = prepare(published, view, teams(view), view.everyone()).rows
        return [(row["person_id"], end["what"]) for row in rows for end in row["ends"]]

    assert ends(0) == [("P3", "Release due")]
    assert ends(4) == [("P1", "Bail ends"), ("P3", "Release due")], "bail until 18 June is within 14 days now"
    assert ends(30) == [], "what has ended is not about to end"


def test_an_ask_for_what_a_list_has_not_is_refused_with_what_it_has(day: Day) -> None:
    for wrong in ({"only": "nobody"}, {"order": "name"}):
        with pytest.raises(InputError) as refused:
            Asked(**wrong)  # type: ignore[arg-type]
        assert "rank" in refused.value.cure or "wanted" in refused.value.cure
    with pytest.raises(InputError):
        see(day, {}, Asked(team="D2", districts=("D1",)))


def test_counts_beside_the_words_are_those_of_the_rows_they_lead_to(day: Day) -> None:
    told = see(day, {}, Asked()).counts()
    for only, number in told.items():
        assert len(see(day, {}, Asked(only=only)).rows) == number


def listed(home: Path, name: str, ranks: dict[str, int], top: int, **facts: Any) -> PublishedList:
    """A made-up list beside the real ones: persons by rank, the first ``top`` of them listed."""
    real = read_list(Home(home))
    rows = pl.DataFrame(
        [
            {
                "person_id": person,
                "rank": rank,
                "district": "D1",
                "in_100": "5 in 100",
                "expected_harm": 10.0,
                "count_rank": 10 - rank,
                "listed": rank <= top,
            }
            for person, rank in sorted(ranks.items(), key=lambda one: one[1])
        ]
    )
    made = replace(real, facts={**real.facts, "list_id": name, **facts})
    made.__dict__["rows"] = rows
    made.__dict__["apart"] = pl.DataFrame([{"person_id": "X9", "reason": "in prison or on remand"}])
    return made


def test_two_lists_side_by_side_say_who_came_who_went_and_why(small_home: Path) -> None:
    before = listed(small_home, "a", {"X1": 1, "X2": 2, "X9": 3, "X4": 4}, 3)
    after = listed(small_home, "b", {"X4": 1, "X1": 2, "X5": 3, "X2": 4}, 3, model_version="m-other")
    found = difference(before, after, NOBODY)
    assert [(row["person_id"], row["rank_before"]) for row in found.entrants] == [("X4", 4), ("X5", None)]
    assert [(row["person_id"], row["why"]) for row in found.leavers] == [
        ("X2", "now 4 in the ranking"),
        ("X9", "in prison or on remand"),
    ]
    assert [(row["person_id"], row["moved"]) for row in found.stayed] == [("X1", -1)]
    assert "another model" in found.other
    assert found.by_count == 2, "by count X2, X5 and X1 would be on it; X4 would not"
    assert difference(before, after, NOBODY, ["D2"]).persons() == []


def test_a_person_whose_records_were_joined_in_between_is_neither_new_nor_gone(small_home: Path) -> None:
    before = listed(small_home, "a", {"X1": 1, "X2": 2}, 2)
    after = listed(small_home, "b", {"X3": 1, "X2": 2}, 2)
    apart = difference(before, after, NOBODY)
    assert [row["person_id"] for row in apart.entrants] == ["X3"]
    rows = [("X1", "X3", 0.99), ("X3", "X3", 0.99)]
    one = difference(before, after, pl.DataFrame(rows, schema=NOBODY.schema, orient="row"))
    assert (one.entrants, one.leavers) == ([], [])
    assert sorted(row["person_id"] for row in one.stayed) == ["X2", "X3"]


def test_the_difference_of_published_lists_is_what_the_later_one_says_of_itself(small_home: Path) -> None:
    before, after = lists(Home(small_home))
    found = difference(before, after, NOBODY)
    new = after.rows.filter(pl.col("movement") == "new")["person_id"].to_list()
    assert [row["person_id"] for row in found.entrants] == new
    assert {row["person_id"] for row in found.leavers} == {g["person_id"] for g in after.facts["leavers"]}


def test_pseudonyms_stay_the_same_tell_persons_apart_and_need_the_key(tmp_path: Path) -> None:
    with pytest.raises(DoorstepError):
        pseudonyms(tmp_path / "a", ["P1"])
    for home in ("a", "b"):
        read_key(tmp_path / home, make=True)
    many = [f"P{number}" for number in range(20_000)]
    here = pseudonyms(tmp_path / "a", many)
    assert len(set(here.values())) == len(many)
    assert pseudonyms(tmp_path / "a", ["P7"])["P7"] == here["P7"]
    assert pseudonyms(tmp_path / "b", ["P7"])["P7"] != here["P7"], "another force's key, another name"

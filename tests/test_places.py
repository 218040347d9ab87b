"""Who has a place on a list: K, reserve places for nominations, and four weeks' stay."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as tries
from hypothesis import strategies as st

from features.clocks import parse_as_of
from features.errors import InputError, NotFoundError
from features.home import Home
from features.ingest import ingest
from risk import capacity, holds, nominations, priority
from risk.choices import Choices, Nominated, choices_at
from risk.decisions import decide, say
from risk.nominations import Named
from risk.places import Rules, allot, as_placed
from risk.priority import publish, read_list
from risk.published import shown
from risk.settings import settings
from risk.store import Database
from risk.written import CrossedError, FieldError, Seen
from tests.deciding import ANN, BOB, SAM, SEEN, SUE, WHY, T, proposed

pytest_plugins = ("tests.databases",)
FOUR_WEEKS = timedelta(days=28)
RULES = Rules(force=10, team=4, districts={}, share=0.2, stay=FOUR_WEEKS)
NOTHING = Choices()


def ranked(*people: str, district: str = "D1") -> pl.DataFrame:
    """People in the order of their rank, all of one district."""
    places = list(range(1, len(people) + 1))
    return pl.DataFrame(
        {"person_id": people, "rank": places, "district": district, "team_rank": places},
        schema_overrides={"rank": pl.Int64, "team_rank": pl.Int64},
    )


def crowd(number: int = 30) -> list[str]:
    return [f"P{n:02d}" for n in range(1, number + 1)]


def on(rows: pl.DataFrame, column: str = "force_place") -> dict[str, str]:
    kept = rows.filter(pl.col(column).is_not_null())
    return dict(kept.select("person_id", column).iter_rows())


def nominated(*people: str, scope: str = "force") -> Choices:
    return Choices(nominated=tuple(Nominated(n, p, scope, "fear") for n, p in enumerate(people, 1)))


def test_without_nominations_the_ranking_has_every_place() -> None:
    rows = allot(ranked(*crowd()), None, NOTHING, RULES, T)
    assert on(rows) == dict.fromkeys(crowd(10), "rank")
    assert on(rows, "team_place") == dict.fromkeys(crowd(4), "rank")
    assert rows["listed"].sum() == 10


def test_a_nominee_has_a_reserve_place_within_k_and_no_more_than_the_reserve() -> None:
    rows = allot(ranked(*crowd()), None, nominated("P20", "P25", "P30"), RULES, T)
    assert on(rows) == dict.fromkeys(crowd(8), "rank") | dict.fromkeys(["P20", "P25"], "reserve")
    assert rows.filter(pl.col("person_id") == "P25")["nomination"].to_list() == [2]


def test_a_nominee_whom_the_ranking_shows_anyway_uses_no_reserve_place() -> None:
    rows = allot(ranked(*crowd()), None, nominated("P02", "P25"), RULES, T)
    assert on(rows) == dict.fromkeys(crowd(9), "rank") | {"P25": "reserve"}


def test_a_nomination_for_a_district_is_not_one_for_the_force() -> None:
    rows = allot(ranked(*crowd()), None, nominated("P25", scope="team"), replace_team(5), T)
    assert "P25" not in on(rows)
    assert on(rows, "team_place") == dict.fromkeys(crowd(4), "rank") | {"P25": "reserve"}
    assert "P25" in rows.filter("listed")["person_id"].to_list()


def replace_team(team: int) -> Rules:
    return Rules(RULES.force, team, {}, RULES.share, RULES.stay)


@tries(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a busy machine it is
@given(st.permutations(crowd(20)), st.lists(st.sampled_from(crowd(20)), unique=True, max_size=8))
def test_k_is_never_exceeded_and_nobody_above_is_passed_over(order: list[str], named: list[str]) -> None:
    rows = allot(ranked(*order), None, nominated(*named), RULES, T)
    found = on(rows)
    assert len(found) == 10
    reserve = [person for person, place in found.items() if place == "reserve"]
    assert set(reserve) <= set(named)
    assert len(reserve) <= 2
    assert [p for p in order if found.get(p) == "rank"] == order[: 10 - len(reserve)]


def later(rows: pl.DataFrame, order: list[str], days: int, choices: Choices = NOTHING) -> pl.DataFrame:
    return allot(ranked(*order), rows, choices, RULES, T + timedelta(days=days))


def test_who_falls_in_the_ranking_stays_four_weeks_beside_the_places() -> None:
    first = allot(ranked(*crowd()), None, NOTHING, RULES, T)
    order = [*crowd()[1:], "P01"]  # P01 falls to the end
    third_week = later(first, order, 21)
    assert on(third_week) == dict.fromkeys(order[:10], "rank") | {"P01": "stay"}, "nobody new is kept off"
    row = third_week.filter(pl.col("person_id") == "P01").row(0, named=True)
    assert (row["place"], row["stays_until"], row["force_since"]) == ("stay", T + FOUR_WEEKS, T)
    assert "P01" not in on(later(third_week, order, 28)), "four weeks have passed"


def test_four_weeks_are_counted_again_from_the_day_a_team_took_him_on() -> None:
    first = allot(ranked(*crowd()), None, NOTHING, RULES, T)
    order = [*crowd()[1:], "P01"]
    adopted = Choices(adopted={"P01": T + timedelta(days=20)})
    fifth_week = later(first, order, 35, adopted)
    assert on(fifth_week)["P01"] == "stay"
    assert "P01" not in on(later(fifth_week, order, 48, adopted))


def test_a_supervisors_word_that_the_place_should_be_lower_ends_the_stay() -> None:
    first = allot(ranked(*crowd()), None, NOTHING, RULES, T)
    order = [*crowd()[1:], "P01"]
    assert "P01" not in on(later(first, order, 7, Choices(lowered=("P01",))))
    still_first = later(first, crowd(), 7, Choices(lowered=("P01",)))
    assert on(still_first)["P01"] == "rank", "the ranking is not touched by it"


def test_a_list_from_before_places_were_kept_counts_from_its_own_day() -> None:
    old = ranked(*crowd(12)).with_columns(listed=pl.col("rank") <= 10)
    before = as_placed(old, {"force": 10, "team": 4}, T - timedelta(days=7))
    order = [*crowd()[1:], "P01"]
    assert on(allot(ranked(*order), before, NOTHING, RULES, T))["P01"] == "stay"
    assert "P01" not in on(allot(ranked(*order), before, NOTHING, RULES, T + timedelta(days=21)))


# --- published lists --------------------------------------------------------------------------------------------------

WEEK = timedelta(days=7)
JUNE = parse_as_of("2025-06-01")


@pytest.fixture
def small_lists(small_home_maker: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home whose lists have two places for the force, half of them in reserve, and one a district."""
    monkeypatch.setitem(priority.settings("list"), "places", {"force": 2, "team": 1})
    monkeypatch.setitem(priority.settings("list"), "reserve", {"share": 0.5, "days": 28})
    return Home(small_home_maker())


def in_database(home: Home, do: Callable[[Database], Any]) -> Any:
    with closing(Database.of(home.path)) as db:
        return do(db)


def accepted(db: Database, person: str, about: datetime, scope: str = "force") -> dict[str, Any]:
    made, _ = nominations.nominate(db, ANN, person, Named(scope, "fear", WHY), about, "D2")
    return nominations.say(db, SUE, made["id"], "accept", WHY, about)


def test_an_accepted_nomination_is_on_the_next_list_and_changes_its_name(small_lists: Home) -> None:
    before = publish(small_lists, JUNE)
    last = before.rows["person_id"][-1]
    assert last not in on(before.rows)
    one = in_database(small_lists, lambda db: accepted(db, last, JUNE))
    after = publish(small_lists, JUNE)
    assert after.list_id != before.list_id
    row = after.rows.filter(pl.col("person_id") == last).row(0, named=True)
    assert (row["place"], row["nomination"]) == ("reserve", one["id"])
    assert row["rank"] == before.rows.filter(pl.col("person_id") == last)["rank"][0], "the ranking stands"
    assert row["p_serious"] == before.rows.filter(pl.col("person_id") == last)["p_serious"][0]
    assert last in [line["person_id"] for line in shown(after, small_lists).rows]
    assert after.facts["places"]["force"] == {
        "places": 2, "kept_for_nominations": 1, "rank": 1, "reserve": 1, "stay": 0,
    }  # fmt: skip
    again = publish(small_lists, JUNE)
    assert (again.created, again.list_id) == (False, after.list_id)


def test_a_list_can_be_made_again_from_what_it_says_of_itself(small_lists: Home) -> None:
    publish(small_lists, JUNE - WEEK)
    in_database(small_lists, lambda db: accepted(db, "P8", JUNE))
    for person in ("P1", "P2"):
        in_database(small_lists, lambda db, who=person: decide(db, ANN, who, proposed(), SEEN))
    made = publish(small_lists, JUNE)
    told = made.facts["choices"]
    assert told["adopted"] == {"P1": T.isoformat()}, "P2 had no place to keep"
    with_reason = {name for one in told["nominated"] for name in one}
    assert with_reason == {"nomination_id", "person_id", "scope", "code"}, "nothing anybody wrote freely"
    choices = Choices(
        told["places"],
        tuple(Nominated(**one) for one in told["nominated"]),
        {person: datetime.fromisoformat(at) for person, at in told["adopted"].items()},
    )
    assert publish(small_lists, JUNE, choices).list_id == made.list_id


def test_no_personal_choice_is_in_what_a_list_says_without_its_persons(small_lists: Home) -> None:
    in_database(small_lists, lambda db: accepted(db, "P8", JUNE))
    in_database(small_lists, lambda db: accepted(db, "P2", JUNE))
    made = publish(small_lists, JUNE)
    assert made.facts["not_placed"] == [{"person_id": "P2", "nomination": 2, "why": "in prison or on remand"}]
    assert not {"choices", "not_placed", "leavers"} & made.about().keys()


def test_nobody_taken_out_of_the_records_is_in_what_a_list_was_made_from(
    small_lists: Home, small_extract_tables: dict[str, pl.DataFrame]
) -> None:
    in_database(small_lists, lambda db: accepted(db, "P8", JUNE))
    people = small_extract_tables["person"].with_columns(
        no_processing=pl.when(pl.col("person_id") == "P8").then(True).otherwise("no_processing")
    )
    people.write_parquet(small_lists.path.parent / "extract" / "person.parquet")
    ingest(small_lists.path.parent / "extract", small_lists)
    assert "P8" not in json.dumps(publish(small_lists, JUNE).facts)


def test_a_nomination_holds_for_four_weeks_and_from_its_own_day_on(small_lists: Home) -> None:
    in_database(small_lists, lambda db: accepted(db, "P8", JUNE + timedelta(hours=5)))

    def placed(t: datetime) -> int:
        return len(in_database(small_lists, lambda db: choices_at(db, t)).nominated)

    assert [placed(JUNE + n * WEEK) for n in (-1, 0, 3, 4)] == [0, 1, 1, 1]
    assert placed(JUNE + 4 * WEEK + timedelta(days=1)) == 0
    in_database(small_lists, lambda db: nominations.say(db, SAM, 1, "end", WHY, JUNE + WEEK))
    assert [placed(JUNE), placed(JUNE + 2 * WEEK)] == [1, 0]


def test_k_as_a_supervisor_sets_it_from_that_day_on(small_lists: Home) -> None:
    in_database(small_lists, lambda db: capacity.set_places(db, SUE, "force", 4, WHY, JUNE, 0))
    in_database(small_lists, lambda db: capacity.set_places(db, SUE, "D2", 2, WHY, JUNE, 0))
    before, made = publish(small_lists, JUNE - WEEK), publish(small_lists, JUNE)
    assert before.facts["settings"]["places"] == {"force": 2, "team": 1}
    assert made.facts["settings"]["places"] == {"force": 4, "team": 1}
    assert made.facts["settings"]["districts"] == {"D2": 2}
    assert made.facts["places"]["districts"]["D2"]["places"] == 2
    by_rank = made.rows.filter(pl.col("force_place") == "rank")["rank"].to_list()
    assert by_rank == [1, 2, 3, 4]


def test_a_hold_that_stands_puts_the_person_apart_and_closes_the_ranks(small_lists: Home) -> None:
    before = publish(small_lists, JUNE - WEEK)
    first = before.rows["person_id"][0]

    def doubt(db: Database) -> None:
        hold, _ = holds.place_hold(db, ANN, first, "identity", WHY, JUNE)
        assert choices_at(db, JUNE).held == (), "a hold alone takes nobody off"
        holds.say(db, SUE, hold.hold_id, "stands", WHY, JUNE)

    in_database(small_lists, doubt)
    made = publish(small_lists, JUNE)
    reason = settings("decisions")["hold"]["apart"]
    assert dict(made.apart.select("person_id", "reason").iter_rows())[first] == reason
    assert made.rows["rank"].to_list() == list(range(1, made.rows.height + 1))
    assert first not in made.rows["person_id"].to_list()
    assert {gone["person_id"]: gone["why"] for gone in made.facts["leavers"]}[first] == reason


def test_a_lower_place_that_waits_changes_no_list(small_lists: Home) -> None:
    def lower(db: Database) -> int:
        return int(decide(db, ANN, "P1", proposed("disagree_down"), Seen(JUNE))["id"])

    number = in_database(small_lists, lower)
    assert in_database(small_lists, lambda db: choices_at(db, JUNE)).lowered == ()
    in_database(small_lists, lambda db: say(db, SUE, number, True, WHY, JUNE))
    assert in_database(small_lists, lambda db: choices_at(db, JUNE)).lowered == ("P1",)


def test_choices_are_about_the_person_a_record_turned_out_to_be() -> None:
    one = pl.DataFrame({"person_id": ["P1", "P1b"], "cluster_id": ["P1", "P1"]})
    choices = Choices(
        nominated=(Nominated(1, "P1b", "force", "fear"), Nominated(2, "P1", "force", "fear")),
        adopted={"P1": T, "P1b": T + WEEK},
        lowered=("P1b",),
        held=("P1", "P1b"),
    ).under(one)
    assert [(n.nomination_id, n.person_id) for n in choices.nominated] == [(1, "P1")]
    assert (choices.adopted, choices.lowered, choices.held) == ({"P1": T + WEEK}, ("P1",), ("P1",))


# --- nominations and K in the store -----------------------------------------------------------------------------------


def test_a_nomination_waits_for_a_supervisor_who_did_not_make_it(database: Database) -> None:
    made, new = nominations.nominate(database, SUE, "P1", Named("team", "fear", WHY), T, "D1")
    assert new
    assert made["status"] == "waits"
    with pytest.raises(InputError, match="somebody else than the person who made it"):
        nominations.say(database, SUE, made["id"], "accept", WHY, T)
    with pytest.raises(InputError, match="Only an accepted nomination can be ended"):
        nominations.say(database, SAM, made["id"], "end", WHY, T)
    got = nominations.say(database, SAM, made["id"], "accept", WHY, T)
    assert (got["status"], got["until"]) == ("accepted", T + FOUR_WEEKS)
    with pytest.raises(CrossedError, match="sam has decided already"):
        nominations.say(database, SUE, made["id"], "refuse", WHY, T)
    assert [one["id"] for one in nominations.open_nominations(database)] == [made["id"]]


def test_a_second_nomination_is_the_first_until_that_is_over(database: Database) -> None:
    made, _ = nominations.nominate(database, ANN, "P1", Named("team", "fear", WHY), T, "D1")
    same, new = nominations.nominate(database, BOB, "P1", Named("force", "other", WHY), T, "D1")
    assert (same["id"], new) == (made["id"], False)
    nominations.say(database, SUE, made["id"], "refuse", WHY, T)
    _, new = nominations.nominate(database, BOB, "P1", Named("force", "other", WHY), T, "D1")
    assert new


def test_two_supervisors_who_set_k_at_once(database: Database) -> None:
    capacity.set_places(database, SUE, "force", 80, WHY, T, 0)
    with pytest.raises(CrossedError, match="by sue on"):
        capacity.set_places(database, SAM, "force", 120, WHY, T, 0)
    capacity.set_places(database, SAM, "force", None, WHY, T, 1)
    chosen = {scope: row["places"] for scope, row in capacity.latest(database).items()}
    assert capacity.places(chosen) == ({"force": 100, "team": 25}, {})


def test_k_has_bounds_and_a_reason(database: Database) -> None:
    with pytest.raises(FieldError, match="0 places is not a number"):
        capacity.set_places(database, SUE, "force", 0, WHY, T, 0)
    with pytest.raises(FieldError, match="9,999 places"):
        capacity.set_places(database, SUE, "force", 9999, WHY, T, 0)
    with pytest.raises(FieldError, match="own words"):
        capacity.set_places(database, SUE, "force", 50, "", T, 0)
    with pytest.raises(NotFoundError, match="no nomination 3"):
        nominations.say(database, SUE, 3, "accept", WHY, T)


def test_the_latest_list_is_the_one_published_last(small_lists: Home) -> None:
    publish(small_lists, JUNE)
    in_database(small_lists, lambda db: accepted(db, "P8", JUNE.astimezone(UTC)))
    made = publish(small_lists, JUNE)
    assert read_list(small_lists).list_id == made.list_id

"""Pairs in both directions, statuses of allegations, and where a person stood on each list."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from features.clocks import parse_as_of
from features.home import Home
from features.nominals import DECISIONS, PAIRS, Links
from risk.dyads import Dyad, dyads
from risk.history import Happened, history, story
from risk.person_page import moved
from risk.published import lists
from risk.rank_history import rank_history
from risk.statuses import cancelled
from risk.view import View

T = parse_as_of("2025-06-01")


@pytest.fixture(scope="module")
def view(small_home: Path) -> View:
    return View(Home(small_home).require(), T)


def pairs_of(view: View, person: str) -> dict[str, Dyad]:
    return {one.other: one for one in dyads(view, person, history(view, person)).shown}


def test_a_pair_lays_both_directions_side_by_side(view: View) -> None:
    pair = pairs_of(view, "P7")["V3"]
    assert (pair.toward.events, pair.back.events) == (1, 1)
    assert (pair.toward.harm_days, pair.back.harm_days) == (10.0, 1.0)
    assert pair.net_harm == 9.0
    assert pair.both_ways
    assert pair.counter_allegations == 2
    assert pair.direction == "1 domestic event with this person as suspect, 1 the other way: both ways"
    other = pairs_of(view, "V3")["P7"]
    assert (other.toward, other.back) == (pair.back, pair.toward)
    assert other.net_harm == -9.0


def test_a_pair_all_one_way_says_so_and_what_police_found_is_told_apart(view: View) -> None:
    pair = pairs_of(view, "P1")["V1"]
    assert pair.direction.endswith("all one way")
    assert (pair.toward.events, pair.toward.found_by_police, pair.toward.serious) == (5, 1, 1)
    assert pair.relationship.startswith("partner since 1 January 2020, ended 1 May 2025, a child together")
    assert pair.counter_allegations == 1
    assert pair.references == ("REF-E05",)


def test_only_the_victim_of_a_pair_is_said_to_be_that(view: View) -> None:
    assert pairs_of(view, "V1")["P1"].direction.endswith("this person is recorded only as the victim")


def test_people_of_closed_records_are_counted_and_not_shown(view: View) -> None:
    found = dyads(view, "P1", history(view, "P1"), frozenset({"V1"}))
    assert [one.other for one in found.shown] == ["V2"]
    assert found.not_shown == 1
    assert "V1" not in str(found.as_dict())


def test_a_likely_victim_in_a_pair_is_said(
    small_home_maker: Callable[..., Path], small_extract_tables: Any
) -> None:
    events, parts, offences = (small_extract_tables[name] for name in ("event", "involvement", "offence"))
    more_events, more_parts, more_offences = [], [], []
    for number in range(3):  # V3 suspected four times against P7, P7 once against V3
        at = f"2025-04-{10 + number}T12:00:00Z"
        more_events.append({"event_id": f"X{number}", "reference": f"REF-X{number}", "kind": "crime", "occurred_at": at,
                            "reported_at": at, "domestic": "Y", "source": "victim"})  # fmt: skip
        more_parts += [{"event_id": f"X{number}", "person_id": "V3", "role": "suspect", "victim_id": "P7"},
                       {"event_id": f"X{number}", "person_id": "P7", "role": "victim"}]  # fmt: skip
        more_offences.append({"offence_id": f"X{number}-1", "event_id": f"X{number}", "ho_code": "8N",
                              "suspect_id": "V3", "victim_id": "P7"})  # fmt: skip
    changes = {
        "event": pl.concat([events, pl.DataFrame(more_events)], how="diagonal"),
        "involvement": pl.concat([parts, pl.DataFrame(more_parts)], how="diagonal"),
        "offence": pl.concat([offences, pl.DataFrame(more_offences)], how="diagonal"),
    }
    view = View(Home(small_home_maker(**changes)).require(), T)
    pair = pairs_of(view, "P7")["V3"]
    assert pair.held == (
        "Who is the victim may be in doubt: this person is recorded far more often as the victim of the same person"
    )
    assert "Who is the victim may be in doubt: the other is" in pairs_of(view, "V3")["P7"].held
    assert pair.direction.endswith("mostly the other way")


# --- where an allegation stands ---------------------------------------------------------------------------------------


def statuses(
    maker: Callable[..., Path], tables: dict[str, pl.DataFrame], person: str, **changes: Any
) -> dict[str, Happened]:
    home = maker(**changes)
    return {one.event_id: one for one in history(View(Home(home).require(), T), person)}


def outcomes(tables: dict[str, pl.DataFrame], said: dict[str, tuple[str, str]]) -> pl.DataFrame:
    code = {f"{event}-1": code for event, (code, _) in said.items()}
    at = {f"{event}-1": at for event, (_, at) in said.items()}
    return tables["offence"].with_columns(
        outcome_code=pl.col("offence_id").replace_strict(code, default=None, return_dtype=pl.String),
        outcome_at=pl.col("offence_id").replace_strict(at, default=None, return_dtype=pl.String),
    )


def test_an_allegation_is_followed_from_suspicion_to_its_end(
    small_home_maker: Callable[..., Path], small_extract_tables: dict[str, pl.DataFrame]
) -> None:
    said = {"E01": ("16", "2022-12-01T00:00:00Z"), "E03": ("1", "2025-02-20T00:00:00Z"),
            "E04": ("3A", "2025-05-20T00:00:00Z"), "E05": ("16", "2025-07-01T00:00:00Z")}  # fmt: skip
    convicted = pl.DataFrame([{"conviction_id": "K1", "person_id": "P1", "convicted_on": "2025-05-01T00:00:00Z",
                               "ho_code": "8N", "disposal": "community"}])  # fmt: skip
    found = statuses(small_home_maker, small_extract_tables, "P1", offence=outcomes(small_extract_tables, said),
                     conviction=convicted)  # fmt: skip
    assert {event: one.status_code for event, one in found.items()} == {
        "E01": "no_further_action", "E02": "no_crime", "E03": "convicted", "E04": "out_of_court",
        "E05": "alleged",  # its outcome is later than T
        "E06": "alleged",
    }  # fmt: skip
    assert found["E01"].status == "no further action, outcome 16"
    assert found["E03"].status.startswith("convicted 1 May 2025 (matched by offence code")
    assert found["E03"].status_kind == "calculation"
    assert found["E01"].status_kind == "record"


def test_a_conviction_that_fits_two_charges_convicts_neither(
    small_home_maker: Callable[..., Path], small_extract_tables: dict[str, pl.DataFrame]
) -> None:
    offence = outcomes(
        small_extract_tables, {"E03": ("1", "2025-02-20T00:00:00Z"), "E06": ("1", "2025-05-25T00:00:00Z")}
    )
    event = small_extract_tables["event"].with_columns(source=pl.lit("victim"))
    convicted = pl.DataFrame([{"conviction_id": "K1", "person_id": "P1", "convicted_on": "2025-05-30T00:00:00Z",
                               "ho_code": "8N", "disposal": "custody"}])  # fmt: skip
    found = statuses(
        small_home_maker, small_extract_tables, "P1", offence=offence, event=event, conviction=convicted
    )
    assert [found[event].status_code for event in ("E03", "E06")] == ["charged", "charged"]
    assert "the records do not say for which of 2 charges" in found["E03"].status


def test_a_caution_is_no_conviction_and_a_person_is_a_suspect_until_one_is_shown(
    small_home_maker: Callable[..., Path], small_extract_tables: dict[str, pl.DataFrame]
) -> None:
    row = {"conviction_id": "K1", "person_id": "P1", "convicted_on": "2025-05-30T00:00:00Z", "ho_code": "8N"}
    home = small_home_maker("a", conviction=pl.DataFrame([row | {"disposal": "caution"}]))
    assert story(View(Home(home).require(), T), "P1")[1].called() == "suspect"
    home = small_home_maker("b", conviction=pl.DataFrame([row | {"disposal": "fine"}]))
    assert story(View(Home(home).require(), T), "P1")[1].called() == "suspect, with 1 conviction on record"


def test_custody_speaks_where_no_offence_has_an_outcome(
    small_home_maker: Callable[..., Path], small_extract_tables: dict[str, pl.DataFrame]
) -> None:
    released = {"E03": "charged_bail", "E04": "nfa", "E05": "precharge_bail"}
    times = {"arrested_at": "2025-05-25T10:00:00Z", "released_at": "2025-05-25T20:00:00Z"}
    held = [
        {"custody_id": f"C-{event}", "person_id": "P1", "event_id": event, "release": release} | times
        for event, release in released.items()
    ]
    found = statuses(small_home_maker, small_extract_tables, "P1", custody=pl.DataFrame(held))
    assert [found[event].status_code for event in ("E03", "E04", "E05")] == [
        "charged",
        "no_further_action",
        "alleged",
    ]


def test_what_was_cancelled_is_told_as_cancelled_and_counts_for_nothing(
    small_home_maker: Callable[..., Path], small_extract_tables: dict[str, pl.DataFrame]
) -> None:
    def ended(frame: pl.DataFrame, key: str, which: str) -> pl.DataFrame:
        stamped = frame.with_columns(recorded_at=pl.lit("2025-05-21T00:00:00Z"), withdrawn=pl.lit(False))
        gone = stamped.filter(pl.col(key) == which)
        return pl.concat(
            [stamped, gone.with_columns(recorded_at=pl.lit("2025-05-28T00:00:00Z"), withdrawn=pl.lit(True))]
        )

    event = ended(small_extract_tables["event"], "event_id", "E05")
    offence = ended(small_extract_tables["offence"], "offence_id", "E04-1")
    home = small_home_maker("a", event=event, offence=offence)
    view = View(Home(home).require(), T)
    found = {one.event_id: one for one in history(view, "P1")}
    assert "E05" not in found
    assert [(one.event_id, one.cancelled_at.day) for one in cancelled(view, ["P1"])] == [("E05", 28)]
    assert found["E04"].status == "crime cancelled 28 May 2025"
    assert found["E04"].harm_days == 0
    before = View(Home(home).require(), T - timedelta(days=7))
    assert cancelled(before, ["P1"]) == []
    assert pairs_of(view, "P1")["V1"].toward.events == 3


# --- where a person stood ---------------------------------------------------------------------------------------------


def test_rank_history_tells_every_list_newest_first(small_home: Path) -> None:
    found = rank_history(lists(Home(small_home)), ["P1"])
    assert [one.as_of for one in found] == [T, parse_as_of("2025-05-25")]
    assert all(one.rank == 1 and one.listed and one.in_100 for one in found)
    assert found[0].words == f"1 of {found[0].of}"


def test_rank_history_says_who_stood_apart_and_who_was_not_there(small_home: Path) -> None:
    assert rank_history(lists(Home(small_home)), ["P2"])[0].words == "apart: in prison or on remand"
    nobody = rank_history(lists(Home(small_home)), ["V1"])
    assert [one.words for one in nobody] == ["not ranked", "not ranked"]
    assert nobody[0].person_id is None


def test_rank_history_follows_a_person_under_an_earlier_reference_and_stops_at_t(small_home: Path) -> None:
    found = rank_history(lists(Home(small_home)), ["NEW", "P1"], until=parse_as_of("2025-05-25"))
    assert [(one.person_id, one.rank) for one in found] == [("P1", 1)]


def test_a_person_joined_or_taken_apart_since_a_list_is_said(small_home: Path) -> None:
    published = lists(Home(small_home))[-1]
    early, late = T - timedelta(days=9), T + timedelta(days=1)

    def told(known: list[tuple[str, str, float, datetime]], decided: list[Any], known_as: list[str]) -> str:
        pairs = pl.DataFrame(known, schema=PAIRS, orient="row")
        links = Links(pairs, 0.9, pl.DataFrame(decided, schema=DECISIONS, orient="row"))
        load = SimpleNamespace(records=lambda: SimpleNamespace(links=links))
        return moved(load, published, known_as)  # type: ignore[arg-type]

    assert told([("P1", "P2", 0.95, early)], [], ["P1", "P2"]) == ""
    assert told([("P1", "P2", 0.95, late)], [], ["P1", "P2"]) == "joined by P2 since the list of 1 June 2025"
    apart = told([("P1", "P2", 0.95, early)], [("P1", "P2", False, late)], ["P1"])
    assert apart == "P2 taken apart since the list of 1 June 2025: look at that record on its own"
    assert told([], [], ["P1"]) == ""

"""What time alone would change: the same sum at later dates with the records held still."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.clocks import parse_as_of
from features.histories import histories
from features.home import Home
from features.nominals import Links
from models.store import champion
from risk.ahead import Later, ahead, still
from risk.reasons import names_protected
from risk.score import score_cohort
from risk.view import View

T = parse_as_of("2025-06-01")


def _of(home: Path, person: str, days_before: int = 0) -> tuple[list[Later], float]:
    load, t = Home(home).require(), T - timedelta(days=days_before)
    scored = score_cohort(load, champion(home), t, [person])
    return ahead(View(load, t), scored, person), scored.frame["p_serious"][0]


def test_reports_leave_their_windows_and_the_sum_says_so(small_home: Path) -> None:
    later, now = _of(small_home, "P1")
    assert [one.days for one in later] == [30, 90]
    assert [one.at for one in later] == [T + timedelta(days=30), T + timedelta(days=90)]
    assert now > later[0].p_serious > later[1].p_serious
    reports = next(change for change in later[1].changes if change.title == "Reports")
    assert reports.difference < 0
    assert "domestic report" in reports.now
    assert reports.now != reports.then
    assert later[1].words.startswith("on 30 August 2025: ")
    assert "in the year after it" in later[1].words


def test_the_largest_changes_come_first_and_none_names_a_protected_characteristic(small_home: Path) -> None:
    later, _ = _of(small_home, "P1")
    for one in later:
        sizes = [abs(change.difference) for change in one.changes]
        assert sizes
        assert sizes == sorted(sizes, reverse=True)
        assert not any(names_protected(f"{c.title} {c.now} {c.then}") for c in one.changes)


@pytest.mark.parametrize("linked", [False, True])
def test_held_still_is_the_same_store_at_that_moment(small_home: Path, *, linked: bool) -> None:
    records = Home(small_home).require().records()
    if linked:
        pair = {
            "person_id_a": ["P1"],
            "person_id_b": ["P2"],
            "probability": [0.99],
            "known_from": [T - timedelta(days=9)],
        }
        pairs = pl.DataFrame(pair).with_columns(pl.col("known_from").cast(pl.Datetime("us", "UTC")))
        records = replace(records, links=Links(pairs, 0.9))
    assert_frame_equal(histories(still(records, T), "offender", T), histories(records, "offender", T))


def test_nothing_recorded_after_t_is_in_the_outlook(small_home: Path) -> None:
    """30 days before T two reports of P1 were still to come: the outlook knows neither."""
    records = Home(small_home).require().records()
    before = T - timedelta(days=30)
    keys = pl.DataFrame({"person_id": ["P1"]})
    columns = ["domestic_events_30d", "domestic_events_ever", "days_since_domestic"]
    held = histories(still(records, before), "offender", T, subjects=keys, columns=columns).row(0, named=True)
    true = histories(records, "offender", T, subjects=keys, columns=columns).row(0, named=True)
    assert true["domestic_events_30d"] == 1
    assert held["domestic_events_30d"] == 0
    assert held["domestic_events_ever"] == true["domestic_events_ever"] - 1
    assert held["days_since_domestic"] > true["days_since_domestic"]


def test_what_was_known_of_days_to_come_takes_its_course(small_home: Path) -> None:
    """Bail known at T to end on 18 June has ended by 1 July, with nothing new recorded."""
    records = Home(small_home).require().records()
    keys = pl.DataFrame({"person_id": ["P1"]})
    on_bail = [
        histories(still(records, T), "offender", when, subjects=keys, columns=["on_bail"])["on_bail"][0]
        for when in (T, T + timedelta(days=30))
    ]
    assert on_bail == [1, 0]


def test_who_leaves_the_cohort_by_time_alone_is_told(
    small_home_maker: Callable[..., Path], small_extract_tables: dict[str, pl.DataFrame]
) -> None:
    old = "2022-06-20T12:00:00Z"
    event = small_extract_tables["event"].with_columns(
        pl.when(pl.col("event_id") == "E11").then(pl.lit(old)).otherwise(pl.col(c)).alias(c)
        for c in ("occurred_at", "reported_at")
    )
    later, _ = _of(small_home_maker("old", event=event), "P6")
    assert later[0].p_serious is None
    assert later[0].words == "on 1 July 2025 no longer scored: no domestic report in the last three years"


def test_who_has_no_score_has_no_outlook(small_home: Path) -> None:
    load = Home(small_home).require()
    scored = score_cohort(load, champion(small_home), T, ["P4", "P5", "V1"])
    for person in ("P4", "P5", "V1"):
        assert ahead(View(load, T), scored, person) == []

"""The cohort at T: who is scored, who stands apart, and why.

Everyone who, as known at T, is a suspect in a domestic event of the last three years is in the frame that
:func:`cohort` returns. Who has died, is under 18, or is held with no release expected soon stays in it with
the reason, so that a list can show them apart; nobody is dropped. Restricted persons are not in the record
store at all.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from features.asof import as_of, instant
from features.engines import single
from features.records import Records

OUTCOMES = Path(__file__).parent / "data" / "outcomes.toml"
LONDON = ZoneInfo("Europe/London")
INSTANT = pl.Datetime("us", "UTC")
FEW = 16
"""Up to so many persons of a small store are answered row by row."""

DIED, UNDER_AGE, HELD = "known to have died", "under 18", "in prison or on remand"

COHORT: dict[str, pl.DataType] = {
    "person_id": pl.String(),
    "in_scope": pl.Boolean(),
    "out_of_scope_reason": pl.String(),
    "age_unknown": pl.Boolean(),
    "active_365": pl.Boolean(),
    "first_time": pl.Boolean(),
    "release_due": INSTANT,
}


@cache
def settings() -> dict[str, Any]:
    """The windows, horizons and thresholds of data/outcomes.toml."""
    with OUTCOMES.open("rb") as file:
        return tomllib.load(file)


def suspects(records: Records, t: datetime) -> pl.DataFrame:
    """Who is a suspect in what, as known at T: event_id, person_id, each pair once.

    A suspect of an event has an involvement with that role, or is named by one of its offences. Only events
    known at T count.
    """
    return _suspects(records, t, as_of(records, "event", t).lazy()).collect()


def _suspects(records: Records, t: datetime, events: pl.LazyFrame) -> pl.LazyFrame:
    involved = as_of(records, "involvement", t).lazy().filter(pl.col("role") == "suspect")
    named = as_of(records, "offence", t).lazy().filter(pl.col("suspect_id").is_not_null())
    pairs = pl.concat(
        [involved.select("event_id", "person_id"), named.select("event_id", person_id="suspect_id")]
    ).unique()
    return pairs.join(events.select("event_id"), on="event_id", how="semi")


def held_at(records: Records, t: datetime) -> pl.DataFrame:
    """Persons in prison or on remand at T: person_id, release_due, due_soon.

    ``release_due`` is the last expected end of the person's current spells, null when one of them has none;
    ``due_soon`` says that every one of them is expected to end within 28 days of T (or was by now).
    """
    return _held_at(records, t).collect()


def _held_at(records: Records, t: datetime) -> pl.LazyFrame:
    rule = settings()["cohort"]
    soon = instant(t + timedelta(days=rule["release_within_days"]))
    spells = (
        as_of(records, "spell", t)
        .lazy()
        .filter(pl.col("state").is_in(rule["custody_states"]) & pl.col("ended_on").is_null())
    )
    end = pl.col("expected_end")
    return spells.group_by("person_id").agg(
        pl.when(end.is_not_null().all()).then(end.max()).alias("release_due"),
        (end.is_not_null() & (end <= soon)).all().alias("due_soon"),
    )


def cohort(records: Records, t: datetime, persons: Sequence[str] | None = None) -> pl.DataFrame:
    """Everyone who could be scored at T, or those among ``persons``; one row a person, sorted by person_id.

    Columns: ``person_id``; ``in_scope``; ``out_of_scope_reason`` (null when in scope); ``age_unknown`` (no
    birth date known: kept and flagged); ``active_365`` (a domestic event as suspect in the last 365 days);
    ``first_time`` (one domestic event as suspect known at T in all); ``release_due`` (expected end of a
    current prison or remand spell, whether or not it is soon). Uses nothing recorded after T; empty when
    there is nothing yet.
    """
    if persons is not None:
        if len(persons) <= FEW and records.table("event").height <= single.SMALL:
            world = single.world_of(records, t)
            lines = (_line(world, person) for person in sorted(set(persons)))
            return pl.DataFrame([line for line in lines if line], schema=COHORT, orient="row")
        return cohort(records, t).filter(pl.col("person_id").is_in(list(persons)))
    rule = settings()["cohort"]
    events = as_of(records, "event", t).lazy()
    domestic = events.filter(pl.col("domestic") == "Y").select("event_id", "occurred_at")
    frame = (  # one query from here on: a person asked for alone waits for each step of it
        _suspects(records, t, events)
        .join(domestic, on="event_id")
        .group_by("person_id")
        .agg(
            pl.col("occurred_at").max().alias("last_at"),
            (pl.len() == 1).alias("first_time"),
        )
        .filter(pl.col("last_at") > instant(t - timedelta(days=rule["lookback_days"])))
        .with_columns(
            (pl.col("last_at") > instant(t - timedelta(days=rule["active_days"]))).alias("active_365")
        )
    )
    person = as_of(records, "person", t).lazy().select("person_id", "date_of_birth", "deceased_on")
    frame = frame.join(person, on="person_id", how="left").join(
        _held_at(records, t), on="person_id", how="left"
    )
    reason = (
        pl.when(pl.col("deceased_on").is_not_null())
        .then(pl.lit(DIED))
        .when(_age_at(t) < rule["adult_years"])
        .then(pl.lit(UNDER_AGE))
        .when(pl.col("due_soon").eq(False))
        .then(pl.lit(HELD))
    )
    return (
        frame.with_columns(reason.cast(pl.String).alias("out_of_scope_reason"))
        .with_columns(
            pl.col("out_of_scope_reason").is_null().alias("in_scope"),
            pl.col("date_of_birth").is_null().alias("age_unknown"),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in COHORT.items())
        .sort("person_id")
        .collect()
    )


def _line(world: single.Nearby, person: str) -> tuple[object, ...] | None:
    """The row of :func:`cohort` for one person, in plain Python: a handful of queries cost more than a few rows.
    A test holds it against the query, on random records."""
    rule, t = settings()["cohort"], world.t
    mine = [e for e in world.events_with(person) if e["domestic"] == "Y" and person in world.suspects_of(e)]
    last_at = max((e["occurred_at"] for e in mine), default=None)
    if last_at is None or last_at <= t - timedelta(days=rule["lookback_days"]):
        return None
    born = died = None
    for row in world.having("person", "person_id", person):
        born, died = row["date_of_birth"], row["deceased_on"]
    ends = [
        row["expected_end"]
        for row in world.having("spell", "person_id", person)
        if row["state"] in rule["custody_states"] and row["ended_on"] is None
    ]
    soon = t + timedelta(days=rule["release_within_days"])
    due = [end for end in ends if end is not None]
    day = t.astimezone(LONDON).date()
    reason = None
    if died is not None:
        reason = DIED
    elif born is not None and _years(born, day) < rule["adult_years"]:
        reason = UNDER_AGE
    elif ends and not (len(due) == len(ends) and max(due) <= soon):
        reason = HELD
    active = last_at > t - timedelta(days=rule["active_days"])
    release = max(due) if ends and len(due) == len(ends) else None
    return person, reason is None, reason, born is None, active, len(mine) == 1, release


def _years(born: date, day: date) -> int:
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def _age_at(t: datetime) -> pl.Expr:
    """Whole years on the London day of T; someone born on 29 February comes of age on 1 March."""
    day = t.astimezone(LONDON).date()
    birth = pl.col("date_of_birth")
    before = (birth.dt.month() > day.month) | ((birth.dt.month() == day.month) & (birth.dt.day() > day.day))
    return pl.lit(day.year) - birth.dt.year().cast(pl.Int32) - before.cast(pl.Int32)

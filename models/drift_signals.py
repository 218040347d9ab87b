"""What a force recorded, month by month, as plain counts: the signals in which a change of practice would show.

A row counts in the month in which it was first entered, as it stood at that month's end; nothing that was entered,
edited or filled in later changes a month that is over. Columns that are filled in later by their own clock (outcomes,
releases) are therefore not looked at. ``data/drift.toml`` says which tables, fields and values are counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from features.clocks import ALWAYS
from features.harm import normalise_code
from features.records import Records
from features.schema import spec_of
from models import settings
from models.dataset import monthly

Counts = npt.NDArray[np.int64]
INSTANT = pl.Datetime("us", "UTC")
MONTH, OWN, ENTERED = "_month", "_own", "_entered"
SHARE, VOLUME = "share", "volume"
_UNDER_WAY = 0.2


@dataclass(frozen=True)
class Signal:
    """One figure by month: ``k`` of ``n`` rows (a share), or ``k`` rows in ``n`` days (a volume)."""

    name: str
    title: str
    population: str
    column: str
    value: str
    kind: str
    k: Counts
    n: Counts


@dataclass(frozen=True)
class Months:
    """Whole calendar months (06:00 London on the first to the same of the next) and the signals counted in them."""

    bounds: tuple[datetime, ...]
    signals: tuple[Signal, ...]

    @property
    def count(self) -> int:
        """How many months there are."""
        return max(len(self.bounds) - 1, 0)

    def label(self, month: int) -> str:
        """``2025-06`` for month number ``month``, counted from 0."""
        return f"{self.bounds[month] + timedelta(hours=12):%Y-%m}"


def month_bounds(records: Records, until: datetime) -> tuple[datetime, ...]:
    """Bounds of the whole months from when recording got under way to ``until``; empty when there are none.

    Recording got under way in the first month with at least a fifth as many domestic events as the fullest month known
    by ``until``: a few old events stand at the head of any load.
    """
    entered = (
        records.table("event")
        .filter(pl.col("domestic") == "Y", pl.col("known_from") > ALWAYS, pl.col("known_from") <= until)
        .group_by("event_id")
        .agg(pl.col("known_from").min())["known_from"]
        .sort()
    )
    if entered.is_empty():
        return ()
    bounds = monthly(entered[0] - timedelta(days=31), until)
    counts = _in_months(entered, bounds)
    full: Counts = np.flatnonzero(counts >= _UNDER_WAY * max(int(counts.max(initial=0)), 1))
    return tuple(bounds[int(full[0]) :]) if len(full) else ()


def _in_months(entered: pl.Series, bounds: Sequence[datetime]) -> Counts:
    moments = entered.to_physical().to_numpy()
    edges = pl.Series(bounds, dtype=INSTANT).to_physical().to_numpy()
    place = np.searchsorted(edges, moments, side="left") - 1
    inside = place[(place >= 0) & (place < len(bounds) - 1)]
    return np.bincount(inside, minlength=max(len(bounds) - 1, 0)).astype(np.int64)


def signals_of(records: Records, until: datetime) -> Months:
    """Every signal of ``drift.toml`` that these records can give, by whole month up to ``until``."""
    bounds = month_bounds(records, until)
    if len(bounds) < 2:
        return Months(bounds, ())
    out: list[Signal] = []
    for population in settings.load("drift")["practice"]["population"]:
        if population["table"] not in records.missing:
            rows = _rows(records, population, bounds)
            out += _signals(rows, population, bounds, records.missing)
    return Months(bounds, tuple(out))


def _rows(records: Records, population: Mapping[str, Any], bounds: Sequence[datetime]) -> pl.DataFrame:
    """Rows of a population with the number of the month in which they were first entered, as they stood at its end."""
    table = str(population["table"])
    spec = spec_of(table)
    key = list(spec.key)
    frame = records.table(table).filter(pl.col("known_from") > ALWAYS)
    first = frame.group_by(key).agg(pl.col("known_from").min().alias(ENTERED))
    frame = _at_month_end(frame.join(first, on=key, nulls_equal=True), bounds)
    frame = frame.with_columns((pl.col(spec.own_time) if spec.own_time else pl.lit(None)).alias(OWN))
    if table == "offence":
        codes = {c: normalise_code(c) or c for c in frame["ho_code"].unique().to_list()}
        frame = frame.with_columns(pl.col("ho_code").replace(codes))
    if population.get("domestic"):
        frame = frame.filter(pl.col("domestic") == "Y") if table == "event" else _domestic(records, frame)
    for column, value in population.get("where", {}).items():
        frame = frame.filter(pl.col(column) == value)
    return frame


def _at_month_end(frame: pl.DataFrame, bounds: Sequence[datetime]) -> pl.DataFrame:
    """Versions of rows that held at the end of the month in which the row was first entered (``ENTERED``)."""
    edges = pl.Series(bounds, dtype=INSTANT)
    place = np.searchsorted(
        edges.to_physical().to_numpy(), frame[ENTERED].to_physical().to_numpy(), side="left"
    )
    frame = frame.with_columns(pl.Series(MONTH, place - 1, dtype=pl.Int64))
    frame = frame.filter(pl.col(MONTH) >= 0, pl.col(MONTH) < len(bounds) - 1)
    end = edges.gather(frame[MONTH] + 1).alias("_end")
    return frame.with_columns(end).filter(
        pl.col("known_from") <= pl.col("_end"),
        pl.col("known_to").is_null() | (pl.col("known_to") > pl.col("_end")),
    )


def _domestic(records: Records, frame: pl.DataFrame) -> pl.DataFrame:
    """Rows whose event stood as domestic at the end of the row's month."""
    events = records.table("event").filter(pl.col("domestic") == "Y")
    events = events.select("event_id", _from="known_from", _to="known_to")
    held = (pl.col("_from") <= pl.col("_end")) & (pl.col("_to").is_null() | (pl.col("_to") > pl.col("_end")))
    return frame.join(events, on="event_id").filter(held)


def _signals(
    rows: pl.DataFrame, population: Mapping[str, Any], bounds: Sequence[datetime], missing: frozenset[str]
) -> Iterator[Signal]:
    name, title, table = population["name"], population["title"], population["table"]
    months = len(bounds) - 1
    of = rows[MONTH].to_numpy()
    n = _tally(of, months)
    there = [c for c in rows.columns if f"{table}.{c}" not in missing]
    if population.get("volume"):
        days = np.array([(b - a).days for a, b in pairwise(bounds)], dtype=np.int64)
        yield Signal(f"{name}: rows", f"number of {title}", name, "", "", VOLUME, n, days)
    if (late := population.get("late_days")) and spec_of(table).own_time in there:
        k = _tally(of[(rows[ENTERED] - rows[OWN] > timedelta(days=late)).fill_null(False).to_numpy()], months)
        words = f"{title} entered more than {late} days after"
        yield Signal(f"{name}: late", words, name, "recorded_at", "late", SHARE, k, n)
    if population.get("one_day"):
        busiest = rows.group_by(MONTH, pl.col(ENTERED).dt.date().alias("_day")).len()
        top = busiest.group_by(MONTH).agg(pl.col("len").max())
        k = np.zeros(months, dtype=np.int64)
        k[top[MONTH].to_numpy()] = top["len"].to_numpy()
        words = f"{title} entered on the month's busiest day"
        yield Signal(f"{name}: one day", words, name, "recorded_at", "one day", SHARE, k, n)
    for column in population.get("missing", ()):
        if column in there:
            k = _tally(of[rows[column].is_null().to_numpy()], months)
            yield Signal(f"{name}: no {column}", f"{title} without {column}", name, column, "", SHARE, k, n)
    for column in population.get("values", ()):
        if column in there:
            yield from _values(rows, column, name, title, months)


def _values(rows: pl.DataFrame, column: str, name: str, title: str, months: int) -> Iterator[Signal]:
    """The share of each value of a column among the rows that have one."""
    filled = rows.filter(pl.col(column).is_not_null())
    n = _tally(filled[MONTH].to_numpy(), months)
    for value in sorted(filled[column].unique().to_list()):
        k = _tally(filled.filter(pl.col(column) == value)[MONTH].to_numpy(), months)
        text = str(value).lower() if isinstance(value, bool) else str(value)
        yield Signal(
            f"{name}: {column} {text}", f"{title} with {column} = {text}", name, column, text, SHARE, k, n
        )


def _tally(months: npt.NDArray[np.int64], count: int) -> Counts:
    return np.bincount(months, minlength=count).astype(np.int64)

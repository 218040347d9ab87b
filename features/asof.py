"""What stood on the screen at T: one table of records, cut as of a moment.

A row exists as of T when its own time and the moment it was entered are both <= T and nothing known by T has
replaced or withdrawn it; a value filled in later is empty until its own clock has struck. This is the only
gate between records and features: nothing behind it can see past T.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl

from features.errors import InputError
from features.nominals import clusters_at, one_row_a_person, onto
from features.records import Records
from features.schema import TableSpec, spec_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(t: datetime) -> int:
    """T in microseconds since 1970 UTC, exactly (no detour through floating point)."""
    if t.tzinfo is None:
        raise InputError(
            "T has no time zone",
            where="as-of time",
            cure="Use features.clocks.parse_as_of, or a UTC datetime.",
        )
    gap = t - _EPOCH
    return (gap.days * 86_400 + gap.seconds) * 1_000_000 + gap.microseconds


def instant(t: datetime) -> pl.Expr:
    """T as an expression. By way of its microseconds: a literal with a time zone costs Polars a query of its own."""
    return pl.lit(micros(t)).cast(pl.Datetime("us", "UTC"))


def as_of(records: Records, table: str, t: datetime, frame: pl.DataFrame | None = None) -> pl.DataFrame:
    """The rows of one table of the record store as known at T.

    Parameters
    ----------
    records: the record store (canonical tables: one row per version, with ``known_from`` and ``known_to``).
    table: a table of the contract.
    t: a timezone-aware moment.
    frame: read these rows instead of the store's own: the same table with columns added (prices, say).

    Returns the table's contract columns, at most one row a key, without ``known_from`` / ``known_to``; a table
    with an own time gains ``at``: that time, or for a row that has none the moment it was entered. Order is that
    of the store. Values filled in later are null unless their clock is <= T. Where nominals were linked every person
    is the cluster they belong to as of T, and ``person`` has one row a cluster.
    """
    rows = records.table(table) if frame is None else frame
    clusters = clusters_at(records.links, t)
    if clusters.is_empty():
        return cut(rows, spec_of(table), t)
    if table == "person":
        rows = onto(cut(rows.with_columns(_entered="known_from"), spec_of(table), t), clusters)
        return one_row_a_person(rows, "_entered").drop("_entered")
    return onto(cut(rows, spec_of(table), t), clusters)


def cut(frame: pl.DataFrame, spec: TableSpec, t: datetime) -> pl.DataFrame:
    """:func:`as_of` on a canonical frame of the table ``spec``; columns beyond the contract's are kept."""
    if frame.is_empty():  # most tables of a single person's records are: their answer is always the same
        shape = (spec.name, tuple(frame.schema.items()))
        if shape not in _EMPTY:
            _EMPTY[shape] = _cut(frame, spec, t)
        return _EMPTY[shape]
    return _cut(frame, spec, t)


_EMPTY: dict[tuple[object, ...], pl.DataFrame] = {}


FEW = 400
"""Up to so many rows are looked at by way of NumPy: each step of Polars costs more than these rows do."""


def _cut(frame: pl.DataFrame, spec: TableSpec, t: datetime) -> pl.DataFrame:
    if frame.height <= FEW:
        few = _cut_few(frame, spec, np.datetime64(micros(t), "us"))
        if few is not None:
            return few
    now = instant(t)
    held = (pl.col("known_from") <= now) & (pl.col("known_to").is_null() | (pl.col("known_to") > now))
    if spec.own_time is not None:
        own = pl.col(spec.own_time)
        held &= own.is_null() | (own <= now)
    rows = frame.lazy().filter(held)  # one query: for a few rows each step by itself costs more than the rows
    blanked = [
        pl.when(pl.col(clock) <= now).then(pl.col(column)).alias(column)
        for column, clock in spec.later.items()
        if column in frame.columns
    ]
    rows = rows.with_columns(blanked)  # one step: every clock is read before any is blanked
    if spec.own_time is not None:
        rows = rows.with_columns(pl.coalesce(spec.own_time, "known_from").alias("at"))
    return rows.drop("known_from", "known_to").collect()


def _cut_few(frame: pl.DataFrame, spec: TableSpec, now: np.datetime64) -> pl.DataFrame | None:
    """The same of a few rows; None where a value is to be blanked or an own time is missing, which is rare."""
    since, until = frame["known_from"].to_numpy(), frame["known_to"].to_numpy()
    held = (since <= now) & (np.isnat(until) | (until > now))
    if spec.own_time is not None:
        own = frame[spec.own_time].to_numpy()
        held &= np.isnat(own) | (own <= now)
    rows = frame if held.all() else frame[pl.Series(np.flatnonzero(held).astype(np.uint32))]
    for column, clock in spec.later.items():
        if column in frame.columns:
            known = rows[clock].to_numpy() <= now
            if not known.all() and rows[column].filter(pl.Series(~known)).null_count() < (~known).sum():
                return None
    shown = [column for column in rows.get_columns() if column.name not in ("known_from", "known_to")]
    if spec.own_time is not None:
        if rows[spec.own_time].null_count():
            return None
        if spec.own_time != "at":
            shown.append(rows[spec.own_time].alias("at"))
    return pl.DataFrame(shown)

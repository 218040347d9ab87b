"""Windows before a moment, for any table of events and any rows with a T of their own.

    windows(events, rows, key="person", at="date", t="t", lengths=(30, 365),
            measures=[Measure("events", "count"), Measure("harm", "sum", "amount"), Measure("latest", "days_since")])

gives one line a row and one column a measure and window (``events_30``, ``events_365``, ...), over the key's events
with T - w days < at <= T: the same window, and the same arithmetic, as every feature of the catalogue.

Two plans, the same answers. *Sorted* (``features.engines.kernels``): events are sorted once by (key, time), each window
is found by binary search and answered from running totals; its cost is rows x windows. *Join*: a plain Polars join,
then a group-by a window; its cost is the number of (row, event) pairs. ``plan="auto"`` joins when the pairs are so few
that there is nothing to save, and sorts otherwise. See docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from features.errors import InputError

KINDS = ("count", "sum", "max", "days_since")
FEW_PAIRS = 400_000
"""(row, event) pairs up to which the join is chosen. It answers them in a tenth of a second, about what it takes to
load the sorted plan's libraries in a fresh process."""
SAMPLE = 64
"""Pairs are estimated from every 64th event."""
_NUMBER = "_row"


@dataclass(frozen=True)
class Measure:
    """One thing to measure in each window.

    ``kind``: count, sum or max of the integer column ``value``, or days_since the latest (whole days of 86,400 s to T;
    of dates, days between the two). ``where``: only events that meet this expression (null is not met). In an empty
    window count and sum are 0, max and days_since null. A null ``value`` is no event for sum and max.
    """

    name: str
    kind: str
    value: str | None = None
    where: pl.Expr | None = None


def windows(
    events: pl.DataFrame,
    rows: pl.DataFrame,
    *,
    key: str,
    at: str,
    t: str,
    lengths: Sequence[int],
    measures: Sequence[Measure],
    plan: str = "auto",
) -> pl.DataFrame:
    """Measures over windows, row by row.

    Parameters
    ----------
    events: any number of events: ``key``, ``at`` and what the measures read. An event without key or time counts for
        nobody.
    rows: ``key`` and ``t``, the T of the row; repeats are answered as often as asked.
    key: the column of both tables that says whose; integers or strings.
    at, t: columns of one type, Date or Datetime (microseconds, same time zone). To count the days before t alone, ask
        with the day before.
    lengths: window lengths in days, each > 0.
    measures: what to measure; names must differ.
    plan: "auto", "sorted" or "join".

    Returns ``key`` and ``t`` sorted, then a column ``<measure>_<length>`` each, lengths as given, measures within:
    UInt32 for counts, Int64 for sums and maxima, Int32 for days. Raises InputError for what it cannot read.
    """
    _check(events, rows, key, at, t, lengths, measures, plan)
    asked = rows.select(key, t)
    events = _prepared(events, key, at, measures)
    if plan == "join":
        return _join(events, asked, key, at, t, lengths, measures)
    if plan == "auto" and asked.height <= FEW_PAIRS:
        persons = asked.group_by(key).len("_asked")
        sample = events.select(key).gather_every(SAMPLE).join(persons, on=key)
        if sample["_asked"].sum() * SAMPLE <= FEW_PAIRS:
            return _join(events, asked, key, at, t, lengths, measures)
        events = events.join(persons.select(key), on=key, how="semi")  # the cheap trick of a short list
    from features.windows_sorted import answer  # only here: it needs NumPy, and a join does not

    return answer(events, asked, key, at, t, lengths, measures)


def _check(
    events: pl.DataFrame,
    rows: pl.DataFrame,
    key: str,
    at: str,
    t: str,
    lengths: Sequence[int],
    measures: Sequence[Measure],
    plan: str,
) -> None:
    def refuse(what: str, cure: str) -> InputError:
        return InputError(what, where="windows", cure=cure)

    read = {m.value for m in measures if m.value}
    for what, frame, names in (("events", events, {key, at, *read}), ("rows", rows, {key, t})):
        absent = sorted(names - set(frame.columns))
        if absent:
            raise refuse(f"{what} lack the column {absent[0]}", f"Give {', '.join(sorted(names))}.")
    if rows[key].null_count() or rows[t].null_count():
        raise refuse("a row has no key or no T", "Take out rows without one.")
    if events.schema[key] != rows.schema[key]:
        raise refuse("the key has two types", "Cast one table's key to the other's.")
    if not (events.schema[key].is_integer() or events.schema[key] == pl.String):
        raise refuse(f"a key of type {events.schema[key]}", "Use integers or strings.")
    time = events.schema[at]
    whole = time == pl.Date or (isinstance(time, pl.Datetime) and time.time_unit == "us")
    if time != rows.schema[t] or not whole:
        raise refuse(
            f"times of type {time} and {rows.schema[t]}", "Give both as Date, or both as Datetime('us')."
        )
    if not lengths or any(w <= 0 for w in lengths) or len(set(lengths)) != len(lengths):
        raise refuse(f"window lengths {list(lengths)}", "Give different numbers of days, each above 0.")
    if len({m.name for m in measures}) != len(measures) or not measures:
        raise refuse("measures without a name of their own", "Give at least one, each a name of its own.")
    for m in measures:
        if m.kind not in KINDS or (m.kind in ("sum", "max")) != (m.value is not None):
            raise refuse(
                f"measure {m.name}: {m.kind} of {m.value}",
                f"Kinds are {', '.join(KINDS)}; sum and max read an integer column, the others none.",
            )
        if m.value is not None and not events.schema[m.value].is_integer():
            raise refuse(f"measure {m.name}: {m.value} is no integer", "Hold money and harm in hundredths.")
    if plan not in ("auto", "sorted", "join"):
        raise refuse(f"there is no plan {plan!r}", "Use auto, sorted or join.")


def _prepared(events: pl.DataFrame, key: str, at: str, measures: Sequence[Measure]) -> pl.DataFrame:
    """Key, time, the values read as Int64, and one flag a condition: worked out once per event, not once per pair."""
    values = dict.fromkeys(m.value for m in measures if m.value)
    lacking = events[key].null_count() or events[at].null_count()
    present = events.drop_nulls([key, at]) if lacking else events
    flags = [m.where.fill_null(False).alias(f"_where_{m.name}") for m in measures if m.where is not None]
    return present.select(
        pl.col(key), pl.col(at), *(pl.col(v).cast(pl.Int64).alias(f"_value_{v}") for v in values), *flags
    )


def _join(
    events: pl.DataFrame,
    asked: pl.DataFrame,
    key: str,
    at: str,
    t: str,
    lengths: Sequence[int],
    measures: Sequence[Measure],
) -> pl.DataFrame:
    """The plain plan: every (row, event) pair no older than the longest window, then a group-by a window."""
    day = 1 if events.schema[at] == pl.Date else 86_400_000_000
    asked = asked.sort(key, t).with_row_index(_NUMBER)
    age = (pl.col(t).to_physical().cast(pl.Int64) - pl.col(at).to_physical().cast(pl.Int64)).alias("_age")
    pairs = (
        asked.lazy()
        .join(events.lazy(), on=key)
        .select(_NUMBER, age, pl.col("^_value_.*$"), pl.col("^_where_.*$"))
        .filter(pl.col("_age") >= 0)
    )
    whole: list[pl.LazyFrame] = [asked.lazy()]
    made: dict[int, pl.LazyFrame] = {}
    for w in sorted(lengths, reverse=True):
        pairs = pairs.filter(pl.col("_age") < w * day).collect().lazy()
        cells = pairs.group_by(_NUMBER).agg(_cell(m, day).alias(f"{m.name}_{w}") for m in measures)
        made[w] = asked.lazy().select(_NUMBER).join(cells, on=_NUMBER, how="left", maintain_order="left")
    whole += [made[w].drop(_NUMBER) for w in lengths]
    zero = [f"{m.name}_{w}" for w in lengths for m in measures if m.kind in ("count", "sum")]
    return pl.concat(whole, how="horizontal").drop(_NUMBER).with_columns(pl.col(zero).fill_null(0)).collect()


def _cell(m: Measure, day: int) -> pl.Expr:
    """One measure over the pairs of a group."""
    met = None if m.where is None else pl.col(f"_where_{m.name}")
    if m.kind == "count":
        return (pl.len() if met is None else met.sum()).cast(pl.UInt32)
    cells = pl.col("_age") if m.kind == "days_since" else pl.col(f"_value_{m.value}")
    cells = cells if met is None else cells.filter(met)
    if m.kind == "sum":
        return cells.sum()
    return cells.max() if m.kind == "max" else (cells.min() // day).cast(pl.Int32)

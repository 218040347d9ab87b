"""Assurance anyone can repeat: random extracts that try every rule of the clocks, and a future that is tampered with.

:func:`random_extract` makes small raw tables that are awkward on purpose (corrections, withdrawals, late entry, values
filled in later, empty victims, times on the very edges of windows). :func:`tamper` takes raw tables, one's own too,
and changes everything that lies after T: features, labels' past and scores at T must not move by a bit.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from features.clocks import AMBIGUOUS, fates, first_known, known_from, typed
from features.schema import SPECS, UTC_TIME, TableSpec, parents_first

Raw = dict[str, pl.DataFrame]

#: Tables a history is made from, with what they point to first.
TABLES = (
    "person", "event", "offence", "involvement", "relationship", "risk_assessment", "custody", "bail", "conviction",
    "spell", "order", "breach", "marker", "wanted", "call", "address", "residence",
)  # fmt: skip
_WINDOWS = (30, 90, 180, 365, 730, 1095)
_SECOND = timedelta(seconds=1)
_HO_CODES = (
    "008/06",
    "105A",
    "8N",
    "5E",
    "005/01",
    "8Q",
    "8L",
    "8U",
    "19C",
    "3B",
    "36",
    "58A",
    "66",
    "46",
    "ZZ",
)
_OUTCOMES = ("1", "1A", "14", "16", "22")
_IDS = {"person": 5, "event": 12, "offence": 30, "risk_assessment": 12, "order": 3, "bail": 4, "custody": 6}
_OFTEN = {"domestic": ("Y", 0.7), "role": ("suspect", 0.4), "tool": ("DASH", 0.6), "kind": ("crime", 0.4)}
_KEEP_PERSON = ("no_processing",)  # lawful restriction acts at every T; it is not a matter of clocks


def times_around(t: datetime) -> list[datetime]:
    """Moments that matter at T: both sides of every window's edge and of T itself, and plain ones between."""
    edges = [t - timedelta(days=w) + n * _SECOND for w in _WINDOWS for n in (-1, 0, 1)]
    near = [t + n * _SECOND for n in (-1, 0, 1)]
    plain = [t + timedelta(days=d, seconds=977 * d) for d in (-2000, -700, -200, -40, -9, -3, 2, 20, 400)]
    past = [t - timedelta(days=d, seconds=5 * d) for d in range(1, 400, 23)]
    return sorted(edges + near + plain + past)


def random_extract(rows: Mapping[str, int], seed: int, t: datetime) -> Raw:
    """Raw tables (contract columns, recorded_at, withdrawn) with ``rows`` rows each, around the moment ``t``.

    Keys come from small pools, so rows meet: a key met again is a correction or a withdrawal. Row k of a table
    depends on (seed, table, k) alone. Every table of a history is there, empty when no rows are asked for.
    """
    times = times_around(t)
    raw = {
        table: _frame(
            SPECS[table],
            [_row(SPECS[table], times, f"{seed}/{table}/{k}") for k in range(rows.get(table, 0))],
        )
        for table in TABLES
    }
    return unambiguous(raw)


def tamper(raw: Mapping[str, pl.DataFrame], t: datetime, seed: int) -> Raw:
    """The same records with another future: nothing that the force could know at ``t`` is touched.

    Rows entered after T are deleted, edited or left; new rows, corrections and withdrawals entered after T are
    added to every table; values filled in later are filled, with a clock after T, where they were still empty at T.
    Persons first written down after T turn out to have lived, long before T, where others do.
    """
    draw = random.Random(f"tamper/{seed}")
    other = {name: _tampered(SPECS[name], frame, t, draw) for name, frame in raw.items()}
    return unambiguous(_with_newcomers(other, t))


def _with_newcomers(raw: Raw, t: datetime) -> Raw:
    """A person unknown until after T at every address anybody has, since 300 days before T and without a clock of the
    row's own: a force learns who lived there with the person."""
    if not {"person", "residence"} <= raw.keys():
        return raw
    lived = [raw[name]["address_id"] for name in ("residence", "person") if "address_id" in raw[name].columns]
    places = sorted(set(pl.concat(lived).drop_nulls().to_list()))
    person = [{"person_id": f"N{n}", "recorded_at": t + timedelta(days=600)} for n in range(len(places))]
    stays = [
        {"person_id": f"N{n}", "address_id": place, "started_on": t - timedelta(days=300)}
        for n, place in enumerate(places)
    ]
    made = {
        "person": _frame(SPECS["person"], person, raw["person"].schema),
        "residence": _frame(SPECS["residence"], stays, raw["residence"].schema),
    }
    return {name: pl.concat([frame, made[name]]) if name in made else frame for name, frame in raw.items()}


def unambiguous(raw: Mapping[str, pl.DataFrame]) -> Raw:
    """Raw tables without the rows that differ under one key and one clock, which a load quarantines."""
    out: Raw = {}
    event_known = pl.DataFrame(schema={"event_id": pl.String, "event_known": UTC_TIME})
    for name in parents_first():
        if name in raw:
            spec = SPECS[name]
            rows = fates(spec, known_from(spec, typed(spec, raw[name]), event_known))
            kept = rows.filter(pl.col("fate") != AMBIGUOUS)
            event_known = first_known(kept) if name == "event" else event_known
            out[name] = kept.select(raw[name].columns)
    return out


def _tampered(spec: TableSpec, frame: pl.DataFrame, t: datetime, draw: random.Random) -> pl.DataFrame:
    rows = frame.to_dicts()
    later = [moment for moment in times_around(t) if moment > t]
    kept: list[dict[str, Any]] = []
    for row in rows:
        if row.get("recorded_at") is not None and row["recorded_at"] > t:
            fate = draw.choice(("delete", "edit", "leave"))
            if fate == "delete":
                continue
            if fate == "edit":
                row = _edited(spec, row, later, draw)
        kept.append(_filled_after(spec, row, t, later, draw))
    for n in range(1 + len(rows)):
        row = _row(spec, times_around(t), f"added/{draw.random()}")
        if rows and draw.random() < 0.6:  # a correction or a withdrawal of what is there
            row |= {column: rows[n % len(rows)][column] for column in spec.key}
        row["recorded_at"] = t + timedelta(days=500, seconds=n + 1)
        if spec.name == "person":
            row |= dict.fromkeys(_KEEP_PERSON)
        kept.append(row)
    return _frame(spec, kept, frame.schema)


def _edited(
    spec: TableSpec, row: dict[str, Any], later: Sequence[datetime], draw: random.Random
) -> dict[str, Any]:
    """Other values in a row entered after T; its key and the moment it was entered stay."""
    other = _row(spec, later, f"edited/{draw.random()}")
    keep = {*spec.key, "recorded_at", *_KEEP_PERSON}
    return {column: value if column in keep else other.get(column, value) for column, value in row.items()}


def _filled_after(
    spec: TableSpec, row: dict[str, Any], t: datetime, later: Sequence[datetime], draw: random.Random
) -> dict[str, Any]:
    """Fill, refill or empty the values whose clock had not struck at T."""
    other = _row(spec, later, f"filled/{draw.random()}")
    out = dict(row)
    for clock in sorted(set(spec.later.values())):
        if clock not in row or (row[clock] is not None and row[clock] <= t) or draw.random() < 0.3:
            continue
        out[clock] = draw.choice((None, *later))
        for column in spec.later:
            if spec.later[column] == clock and column != clock and column in row:
                out[column] = other[column]
    return out


def _row(spec: TableSpec, times: Sequence[datetime], seed: str) -> dict[str, Any]:
    draw = random.Random(seed)
    row = {column: _cell(spec, column, dtype, times, draw) for column, dtype in spec.dtypes.items()}
    row["recorded_at"] = draw.choice(times) if draw.random() < 0.4 else None
    if row["recorded_at"] is not None and draw.random() < 0.8:
        row["recorded_at"] += timedelta(
            seconds=7
        )  # seldom the very second of a time of its own: that is ambiguous
    row["withdrawn"] = draw.random() < 0.08
    if spec.name == "person":
        row |= dict.fromkeys(_KEEP_PERSON)
    return row


def _cell(
    spec: TableSpec, column: str, dtype: pl.DataType, times: Sequence[datetime], draw: random.Random
) -> Any:
    must = column in spec.required
    if not must and draw.random() < 0.25:
        return None
    allowed = (spec.schema.columns()[column].metadata or {}).get("values")
    if allowed:
        usual, share = _OFTEN.get(column, ("", 0.0))
        value = (
            usual if usual in allowed and draw.random() < share else draw.choice([str(v) for v in allowed])
        )
        return [value] if isinstance(dtype, pl.List) else value
    if column in spec.parents or (column in spec.key and dtype == pl.String):
        table = spec.parents.get(column, (spec.name, ""))[0]
        return f"{table[0].upper()}{draw.randrange(_IDS.get(table, 4))}"
    if column == "ho_code":
        return draw.choice(_HO_CODES)
    if column == "outcome_code":
        return draw.choice(_OUTCOMES)
    if isinstance(dtype, pl.Datetime):
        return draw.choice(times)
    if dtype == pl.Date:
        return date(1960 + draw.randrange(50), 1 + draw.randrange(12), 1 + draw.randrange(28))
    if dtype == pl.Boolean:
        return draw.random() < 0.5
    if dtype.is_integer():
        return 1 + draw.randrange(3)
    return draw.choice(("a", "b")) if dtype == pl.String else None


def _frame(
    spec: TableSpec, rows: list[dict[str, Any]], schema: Mapping[str, pl.DataType] | None = None
) -> pl.DataFrame:
    """Rows as a frame; of rows that share a key and the moment of entry only the first is kept (a load
    quarantines such rows, which is another matter)."""
    dtypes = dict(schema or {**spec.dtypes, "recorded_at": UTC_TIME, "withdrawn": pl.Boolean()})
    unlike = {tuple(row.get(c) for c in (*spec.key, "recorded_at")): row for row in reversed(rows)}
    kept = list(reversed(unlike.values()))
    return pl.DataFrame(
        {
            column: pl.Series(column, [row.get(column) for row in kept], dtype=d)
            for column, d in dtypes.items()
        }
    )

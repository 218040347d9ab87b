"""The front door: every row of an extract is kept, or quarantined with its reason, or counted as a repeat.

One pass, parents before children. A row is quarantined for a fault in a key or required column, for pointing to
a quarantined row ('parent quarantined') or, by such a column, to none ('parent missing'), and for being one of
several different rows with one clock ('ambiguous'). Any other fault blanks its cell. At the end the count of each
table must come out exactly, or the load stops: that would be our fault, not the extract's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from features import waiting
from features.cells import FAULTS, MISSING, read_cells
from features.clocks import (
    AMBIGUOUS,
    CORRECTION,
    NEW,
    REPEAT,
    WITHDRAWAL,
    fates,
    first_known,
    in_order,
    known_from,
    versions,
)
from features.files import LINE, RawExtract, RawTable, read_extract
from features.schema import SPECS, UTC_TIME, TableSpec, parents_first

PARENT_QUARANTINED, PARENT_MISSING = "parent quarantined", "parent missing"
RAGGED = "not as many cells as the header"
FAULT_LOG = {"table": pl.String, **FAULTS, "quarantined": pl.Boolean}
QUARANTINE = {
    "table": pl.String,
    "line": pl.Int64,
    "column": pl.String,
    "value": pl.String,
    "reason": pl.String,
    "row": pl.String,
}


WITHDRAWN: dict[str, Any] = {"table": pl.String, "key": pl.String, "known_from": UTC_TIME}
"""Withdrawals as a load keeps them, so that rows added later know of them: ``key`` as :func:`key_text` writes it."""


@dataclass(frozen=True)
class Count:
    """Rows of one table; ``read`` is exactly the sum of the rest."""

    read: int
    new: int = 0
    corrections: int = 0
    withdrawals: int = 0
    repeats: int = 0
    quarantined: int = 0

    def __post_init__(self) -> None:
        parts = self.new + self.corrections + self.withdrawals + self.repeats + self.quarantined
        if parts != self.read:
            raise AssertionError(f"rows do not reconcile: {self}")


@dataclass(frozen=True)
class Stamps:
    """What a table's recorded_at looks like: rows with one, median lag behind the own time in days (null where
    the table has none), and the fullest London day with its rows."""

    rows: int
    median_lag_days: float | None
    fullest_day: str
    fullest_rows: int


@dataclass(frozen=True)
class Examined:
    """An extract judged. ``tables`` are canonical; ``faults`` one row a fault (see :data:`FAULT_LOG`);
    ``quarantine`` one row a quarantined row with its first fault and its cells as JSON (:data:`QUARANTINE`)."""

    raw: RawExtract
    tables: dict[str, pl.DataFrame]
    counts: dict[str, Count]
    faults: pl.DataFrame
    quarantine: pl.DataFrame
    quarantined_offences: pl.DataFrame
    stamps: dict[str, Stamps] = field(default_factory=dict)
    autumn_hour: int = 0
    spring_gap: int = 0
    later_without_clock: dict[str, int] = field(default_factory=dict)
    without_clock: dict[str, int] = field(default_factory=dict)
    withdrawn: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=WITHDRAWN))
    waiting: dict[str, pl.DataFrame] = field(default_factory=dict)


@dataclass
class Keys:
    """Keys of one table's column: those kept, and those that only quarantined rows have."""

    kept: pl.Series
    quarantined: pl.Series


class Door:
    """The state of one pass: what has been let in so far, for the tables that point to it."""

    def __init__(self, raw: RawExtract) -> None:
        self.raw = raw
        self.keys: dict[str, dict[str, Keys]] = {}
        self.event_known = pl.DataFrame(schema={"event_id": pl.String, "event_known": UTC_TIME})
        self.event_own = pl.DataFrame(schema={"event_id": pl.String, "event_own": UTC_TIME})
        self.faults = [pl.DataFrame(schema=FAULT_LOG)]
        self.quarantine = [pl.DataFrame(schema=QUARANTINE)]
        self.tables: dict[str, pl.DataFrame] = {}
        self.counts: dict[str, Count] = {}
        self.stamps: dict[str, Stamps] = {}
        self.later: dict[str, int] = {}
        self.clockless: dict[str, int] = {}
        self.autumn = self.spring = 0
        self.withdrawn = [pl.DataFrame(schema=WITHDRAWN)]
        self.waiting: dict[str, pl.DataFrame] = {}
        self.quarantined_offences = SPECS["offence"].empty()

    def table(self, spec: TableSpec, raw: RawTable) -> None:
        """Judge one table; its parents have been judged before."""
        cells = read_cells(spec, raw.frame)
        self.autumn += cells.autumn_hour
        self.spring += cells.spring_gap
        rows = self.more(spec, cells.frame).with_columns(pl.col("withdrawn").fill_null(False))
        faults = pl.concat([_ragged(raw), _forgive_withdrawn(spec, rows, cells.faults)])
        faults = faults.with_columns(quarantined=_stops(spec))
        rows = _blank(spec, rows, faults)
        pointers, whole = self._pointers(spec, rows), rows
        rows = _blank(spec, rows, pointers)
        otherwise, faults = faults.filter("quarantined"), pl.concat([faults, pointers])
        faults = pl.concat(
            [
                faults,
                self.refused(
                    spec, rows.filter(~pl.col(LINE).is_in(_lines(faults.filter("quarantined")).implode()))
                ),
            ]
        )

        stopped = _lines(faults.filter("quarantined"))
        standing = rows.filter(~pl.col(LINE).is_in(stopped.implode()))
        standing = self.fates(spec, known_from(spec, standing, self.event_known))
        clash = standing.filter(pl.col("fate") == AMBIGUOUS)
        faults = pl.concat([faults, _ambiguous(spec, clash)]).sort("line", "quarantined", "column")
        stopped = _lines(faults.filter("quarantined"))

        if pointers.height:
            kept = standing.filter(pl.col("fate") != AMBIGUOUS)
            astray = pointers.filter(
                pl.col("line").is_in(kept[LINE].implode())
                | (pl.col("quarantined") & ~pl.col("line").is_in(_lines(otherwise).implode()))
            )
            self.waiting[spec.name] = waiting.noted(spec, whole, astray, kept)
        self._note(spec, raw, rows, standing, faults, stopped)

    def more(self, spec: TableSpec, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows to judge; an append adds those that have waited."""
        return rows

    def refused(self, spec: TableSpec, rows: pl.DataFrame) -> pl.DataFrame:
        """Faults of rows that are well formed and yet cannot be let in; an extract has none."""
        return pl.DataFrame(schema={**FAULTS, "quarantined": pl.Boolean})

    def fates(self, spec: TableSpec, rows: pl.DataFrame) -> pl.DataFrame:
        """What each row is: new, correction, withdrawal, repeat or ambiguous."""
        return fates(spec, rows)

    def _pointers(self, spec: TableSpec, rows: pl.DataFrame) -> pl.DataFrame:
        """Faults of pointers that lead to a quarantined row or to none. A table the extract lacks is not judged."""
        found = [pl.DataFrame(schema={**FAULTS, "quarantined": pl.Boolean})]
        for column, (table, target) in spec.parents.items():
            if table not in self.keys:
                continue
            keys = self.keys[table][target]
            value = pl.col(column)
            astray = rows.filter(value.is_not_null() & ~value.is_in(keys.kept.implode()))
            if astray.is_empty():
                continue
            waiting = value.is_in(keys.quarantined.implode())
            needed = column in spec.key or column in spec.required
            # A withdrawal needs no more than its key.
            bound = pl.lit(True) if column in spec.key else ~pl.col("withdrawn")
            found.append(
                astray.select(
                    pl.col(LINE).alias("line"),
                    pl.lit(column).alias("column"),
                    value.alias("value"),
                    reason=pl.when(waiting)
                    .then(pl.lit(PARENT_QUARANTINED))
                    .otherwise(pl.lit(PARENT_MISSING)),
                    quarantined=bound & (needed | (waiting & (column not in spec.soft))),
                )
            )
        return pl.concat(found)

    def _note(
        self,
        spec: TableSpec,
        raw: RawTable,
        rows: pl.DataFrame,
        standing: pl.DataFrame,
        faults: pl.DataFrame,
        stopped: pl.Series,
    ) -> None:
        name = spec.name
        kept = standing.filter(pl.col("fate") != AMBIGUOUS)
        out = rows.filter(pl.col(LINE).is_in(stopped.implode()))
        tally = dict(kept.group_by("fate").len().iter_rows())
        self.counts[name] = Count(
            read=rows.height,
            new=tally.get(NEW, 0),
            corrections=tally.get(CORRECTION, 0),
            withdrawals=tally.get(WITHDRAWAL, 0),
            repeats=tally.get(REPEAT, 0),
            quarantined=out.height,
        )
        self.tables[name], later = versions(spec, kept)
        self.later |= {f"{name}.{column}": n for column, n in later.items()}
        if n := kept.filter(pl.col("no_clock") & (pl.col("fate") != REPEAT)).height:
            self.clockless[name] = n
        targets = {c for s in SPECS.values() for t, c in s.parents.values() if t == name}
        self.keys[name] = {
            column: Keys(kept[column].drop_nulls().unique(), out[column].drop_nulls().unique())
            for column in targets
        }
        self.withdrawn.append(
            kept.filter(pl.col("fate") == WITHDRAWAL).select(
                pl.lit(name).alias("table"), key_text(spec).alias("key"), "known_from"
            )
        )
        if name == "event":
            self.event_known = first_known(kept)
            self.event_own = kept.group_by("event_id").agg(event_own=pl.col("occurred_at").min())
        if name == "offence":
            self.quarantined_offences = out.select(*spec.dtypes)
        if "recorded_at" in raw.columns:
            self._stamp(spec, kept.filter(pl.col("fate") == NEW))
        self.faults.append(faults.select(pl.lit(name).alias("table"), *FAULTS, "quarantined"))
        self.quarantine.append(_quarantined(spec, raw, faults.filter("quarantined")))

    def _stamp(self, spec: TableSpec, first: pl.DataFrame) -> None:
        first = first.filter(pl.col("recorded_at").is_not_null())
        if first.is_empty():
            return
        own = spec.own_time
        if own is None and "event_id" in first.columns:
            first, own = first.join(self.event_own, on="event_id", how="left"), "event_own"
        lag = (first["recorded_at"] - first[own]).dt.total_seconds() / 86_400 if own else None
        median = lag.median() if lag is not None else None
        days = first["recorded_at"].dt.convert_time_zone("Europe/London").dt.date().value_counts(name="n")
        day, most = days.sort("n", "recorded_at", descending=[True, False]).row(0)
        self.stamps[spec.name] = Stamps(
            first.height,
            float(median) if isinstance(median, int | float) else None,
            day.isoformat(),
            most,
        )


def examine(folder: Path) -> Examined:
    """Read and judge an extract; InputError where it cannot be read. Writes nothing."""
    raw = read_extract(folder)
    door = Door(raw)
    for name in parents_first():
        if name in raw.tables:
            door.table(SPECS[name], raw.tables[name])
        else:
            empty = SPECS[name].empty().with_columns(known_from=None, known_to=None)
            stamps = {"known_from": UTC_TIME, "known_to": UTC_TIME}
            door.tables[name] = in_order(SPECS[name], empty.cast(stamps))  # type: ignore[arg-type]
    return Examined(
        raw=raw,
        tables={name: door.tables[name] for name in SPECS},
        counts={name: door.counts[name] for name in SPECS if name in door.counts},
        faults=pl.concat(door.faults),
        quarantine=pl.concat(door.quarantine),
        quarantined_offences=door.quarantined_offences,
        stamps=door.stamps,
        autumn_hour=door.autumn,
        spring_gap=door.spring,
        later_without_clock=door.later,
        without_clock=door.clockless,
        withdrawn=pl.concat(door.withdrawn),
        waiting=door.waiting,
    )


def key_text(spec: TableSpec) -> pl.Expr:
    """A row's key as one text; an empty part of it is told from any value."""
    parts = [pl.col(c).cast(pl.String).fill_null("\x00") for c in spec.key]
    return pl.concat_str(parts, separator="\x1f")


# --- faults of one table -----------------------------------------------------------------------------------


def _lines(faults: pl.DataFrame) -> pl.Series:
    return faults["line"].unique()


def _stops(spec: TableSpec) -> pl.Expr:
    """Does a cell's fault quarantine its row? An empty column name means the record itself is misshapen."""
    return pl.col("column").is_in(["", *spec.key, *spec.required])


def _ragged(raw: RawTable) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"line": line, "column": "", "value": f"{len(cells)} cells", "reason": RAGGED}
            for line, cells in raw.ragged.items()
        ],
        schema=FAULTS,
    )


def _forgive_withdrawn(spec: TableSpec, rows: pl.DataFrame, faults: pl.DataFrame) -> pl.DataFrame:
    """A withdrawal with its clock needs no more than its key: what else it lacks is no fault."""
    taken_back = rows.filter(pl.col("withdrawn") & pl.col("recorded_at").is_not_null())[LINE]
    forgiven = (
        pl.col("line").is_in(taken_back.implode())
        & (pl.col("reason") == MISSING)
        & ~pl.col("column").is_in(list(spec.key))
    )
    return faults.filter(~forgiven)


def _blank(spec: TableSpec, rows: pl.DataFrame, faults: pl.DataFrame) -> pl.DataFrame:
    """Blank the cells at fault in rows that stay (or give them the value that is safe)."""
    cells = faults.filter(~pl.col("quarantined"))
    for (column,), group in cells.group_by("column", maintain_order=True):
        safe = spec.when_faulty.get(str(column))
        faulty = pl.col(LINE).is_in(group["line"].implode())
        rows = rows.with_columns(
            pl.when(faulty).then(pl.lit(safe)).otherwise(pl.col(str(column))).alias(str(column))
        )
    return rows.with_columns(pl.col("withdrawn").fill_null(False))


def _ambiguous(spec: TableSpec, clash: pl.DataFrame) -> pl.DataFrame:
    key = pl.concat_str([pl.col(c).cast(pl.String) for c in spec.key], separator=", ", ignore_nulls=True)
    return clash.select(
        pl.col(LINE).alias("line"),
        pl.lit(", ".join(spec.key)).alias("column"),
        key.alias("value"),
        pl.lit(AMBIGUOUS).alias("reason"),
        pl.lit(True).alias("quarantined"),
    )


def _quarantined(spec: TableSpec, raw: RawTable, faults: pl.DataFrame) -> pl.DataFrame:
    """One row a quarantined row: its first fault, and its cells as the file had them."""
    first = faults.unique("line", keep="first", maintain_order=True)
    cells = raw.frame.filter(pl.col(LINE).is_in(first["line"].implode()))
    texts = [
        json.dumps(raw.ragged[row[LINE]], ensure_ascii=False)
        if row[LINE] in raw.ragged
        else json.dumps({c: v for c, v in row.items() if c != LINE}, ensure_ascii=False, default=str)
        for row in cells.iter_rows(named=True)
    ]
    held = pl.DataFrame({"line": cells[LINE], "row": pl.Series(texts, dtype=pl.String)})
    return (
        first.join(held, on="line", how="left", maintain_order="left")
        .select(pl.lit(spec.name).alias("table"), "line", "column", "value", "reason", "row")
        .sort("line")
    )

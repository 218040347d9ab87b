"""Rows that point to what is not there yet, and what becomes of them once it comes.

The front door notes every row one of whose pointers leads to no row (or to one in quarantine): those it quarantined
for it, and those it let in with the cell blank. The rows are kept with the load, or the segment, as they came. When an
append brings what they point to they go through the door again with it; of a row that was in with a blank cell the
old version is *lifted*: taken out of every store, for the whole row to stand in its place, in the store it now
belongs to. So the order in which rows arrive does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from features.clocks import REPEAT
from features.files import LINE, RawExtract, RawTable
from features.schema import SPECS, UTC_TIME, WRAPPING, TableSpec
from features.segments import AT, LIFTED_FROM, LIFTED_TO
from features.stores import CHAIN, PROACTIVE

if TYPE_CHECKING:
    from features.append import _MoreDoor
    from features.before import Before

PREFIX = "waiting_"
FIRST = 1 << 40
"""Lines of rows that come back are counted from here: no file has as many."""
COLUMN, VALUE, WAS = "_column", "_value", "_was"


def noted(spec: TableSpec, rows: pl.DataFrame, pointers: pl.DataFrame, kept: pl.DataFrame) -> pl.DataFrame:
    """One row for each pointer of a table that leads nowhere: the row as it came (contract columns, recorded_at,
    withdrawn), ``_column`` and ``_value`` of the pointer, and ``_was``: known_from of the version let in without it,
    null when the row is in quarantine. ``kept``: rows let in, with fate and clock."""
    asked = pointers.select(
        pl.col("line").alias(LINE), pl.col("column").alias(COLUMN), pl.col("value").alias(VALUE)
    )
    stands = kept.filter((pl.col("fate") != REPEAT) & ~pl.col("withdrawn"))
    clocks = stands.select(LINE, pl.col("known_from").alias(WAS))
    idle = kept.join(stands.select(LINE), on=LINE, how="anti")[LINE]
    found = rows.join(asked, on=LINE).filter(~pl.col(LINE).is_in(idle.implode()))
    return found.join(clocks, on=LINE, how="left").select(*spec.dtypes, *WRAPPING, COLUMN, VALUE, WAS)


def _there(folder: Path, name: str) -> pl.DataFrame | None:
    path = folder / "front" / f"{PREFIX}{name}.parquet"
    return pl.read_parquet(path) if path.exists() else None


def coming_back(before: Before, raw: RawExtract, left_out: set[str]) -> dict[str, pl.DataFrame]:
    """Table -> waiting rows whose parent is among what ``raw`` brings, or among those rows: as :func:`noted` has them,
    one line a row with its ``source_line``. ``left_out``: rows tried before without success (:func:`name_of`)."""
    folders = [before.path, *(before.folder(s.number) for s in before.appended.segments)]
    waiting: dict[str, pl.DataFrame] = {}
    for name, spec in SPECS.items():
        parts = (
            [frame for folder in folders if (frame := _there(folder, name)) is not None]
            if spec.parents
            else []
        )
        if parts:
            frame = pl.concat(parts)
            waiting[name] = frame.filter(~name_of(spec, frame).is_in(list(left_out)))
    new: dict[str, list[pl.Series]] = {}
    for name, table in raw.tables.items():
        for target in {t for s in SPECS.values() for parent, t in s.parents.values() if parent == name}:
            cells = table.frame[target] if target in table.frame.columns else pl.Series([], dtype=pl.String)
            new.setdefault(f"{name}.{target}", []).append(cells.cast(pl.String))
    found: dict[str, pl.DataFrame] = {}
    for _ in SPECS:  # what comes back may be what others wait for
        arrived = {key: pl.concat(cells).drop_nulls().unique() for key, cells in new.items()}
        more = False
        for name, frame in waiting.items():
            spec = SPECS[name]
            for column, (parent, target) in spec.parents.items():
                values = arrived.get(f"{parent}.{target}")
                if values is None or frame.is_empty():
                    continue
                met = (pl.col(COLUMN) == column) & pl.col(VALUE).is_in(values.implode())
                if (back := frame.filter(met)).is_empty():
                    continue
                old = before.there(parent, target, back[VALUE].unique())
                back = back.filter(~pl.col(VALUE).is_in(old.implode()))
                known = found.get(name, frame.clear())
                found[name] = pl.concat([known, back]).unique(maintain_order=True)
                more |= found[name].height > known.height
        if not more:
            break
        for name, frame in found.items():
            for target in {t for s in SPECS.values() for parent, t in s.parents.values() if parent == name}:
                new.setdefault(f"{name}.{target}", []).append(frame[target].cast(pl.String))
    return {name: _lined(SPECS[name], frame) for name, frame in found.items() if frame.height}


def _lined(spec: TableSpec, frame: pl.DataFrame) -> pl.DataFrame:
    """With the line of each row; one that waits for two has one line."""
    rows = name_of(spec, frame).rank("dense").cast(pl.Int64) + FIRST
    return frame.with_columns(rows.alias(LINE))


def name_of(spec: TableSpec, frame: pl.DataFrame) -> pl.Series:
    """A row's whole content as one text, the table's name before it."""
    cells = [
        pl.col(c).list.join("\x1e") if isinstance(dtype, pl.List) else pl.col(c).cast(pl.String)
        for c, dtype in frame.schema.items()
        if c in spec.dtypes or c in WRAPPING
    ]
    text = pl.concat_str([pl.lit(spec.name), *(c.fill_null("\x00") for c in cells)], separator="\x1f")
    return frame.select(text.alias("name"))["name"]


def rows_of(spec: TableSpec, back: pl.DataFrame) -> pl.DataFrame:
    """The rows to judge again, each once."""
    return back.unique(LINE, maintain_order=True).select(LINE, *spec.dtypes, *WRAPPING)


def tables_with(raw: RawExtract, back: Iterable[str]) -> RawExtract:
    """The rows given, with an empty table for every one that has only rows that come back."""
    none = pl.DataFrame(schema={LINE: pl.Int64})
    more = {name: RawTable(name, name, "", none, (), {}) for name in back if name not in raw.tables}
    return replace(raw, tables={**raw.tables, **more})


def lifted(before: Before, back: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Table -> versions to take out: key columns, and the stretch in which pieces of the version began."""
    out = {}
    for name, frame in back.items():
        spec = SPECS[name]
        blank = frame.filter(pl.col(WAS).is_not_null()).unique([*spec.key, WAS], maintain_order=True)
        if blank.is_empty():
            continue
        key = list(spec.key)
        old = before.versions(spec, blank[key[0]].unique())
        gone = before.withdrawals(spec, old, blank).rename({"known_from": AT})
        # Pieces of one version begin where an event turned; another version begins where one that came by itself did.
        began = pl.concat([old.select(*key, pl.col("known_from").alias(AT)), gone.select(*key, AT)])
        drawn = before.appended.ends(name)
        whole = old.filter(~pl.struct(key).is_duplicated()).select(*key, pl.col("known_to").alias(AT))
        some = [began.select(*key, AT), *([drawn.select(*key, AT)] if drawn is not None else [])]
        some.append(whole.drop_nulls(AT).select(*key, AT))
        met = blank.select(*key, WAS).join(pl.concat(some), on=key, how="left", nulls_equal=True)
        cut = old.group_by(key).agg(pl.col("set_apart").n_unique().alias("_n")).filter(pl.col("_n") > 1)
        until = (
            met.filter(pl.col(AT) > pl.col(WAS)).group_by(*key, WAS).agg(pl.col(AT).min().alias(LIFTED_TO))
        )
        spans = blank.select(*key, WAS).join(until, on=[*key, WAS], how="left", nulls_equal=True)
        in_pieces = spans.select(key).join(cut, on=key, how="left", nulls_equal=True)["_n"].is_not_null()
        out[name] = spans.filter(~in_pieces).select(
            *key, pl.col(WAS).alias(LIFTED_FROM), pl.col(LIFTED_TO).cast(UTC_TIME)
        )
    return out


def failed(door: _MoreDoor, back: Mapping[str, pl.DataFrame]) -> set[str]:
    """Rows that came back in vain, by :func:`name_of`: what they point to was itself not let in, or putting them right
    would move others that hang on them, or the clock of others. They stay as they are."""
    out: set[str] = set()
    for name, frame in back.items():
        spec = SPECS[name]
        kept = door.kept[name]
        lines = [kept[LINE], door.repeats[name]]
        bad = ~pl.col(LINE).is_in(pl.concat(lines).implode())
        faults = pl.concat(door.faults).filter(pl.col("table") == name)
        again = faults.select(pl.col("line").alias(LINE), pl.col("column").alias(COLUMN), _again=pl.lit(True))
        rows = frame.join(again.unique(), on=[LINE, COLUMN], how="left", maintain_order="left")
        rows = rows.join(
            kept.select(LINE, "known_from").unique(LINE), on=LINE, how="left", maintain_order="left"
        )
        old = door.before.versions(spec, frame[spec.key[0]].unique())
        others = old.select(spec.key).unique().with_columns(_others=pl.lit(True))
        rows = rows.join(others, on=list(spec.key), how="left", nulls_equal=True, maintain_order="left")
        moved = (pl.col(WAS) != pl.col("known_from")).fill_null(False) & pl.col("_others").fill_null(False)
        unliftable = pl.col(WAS).is_not_null() & pl.col("_others").fill_null(False)
        same_clock = rows.join(
            old.select(*spec.key, pl.col("known_from").alias(WAS)),
            on=[*spec.key, WAS],
            how="semi",
            nulls_equal=True,
        )[LINE]
        bad |= pl.col("_again").fill_null(False) | moved
        bad |= unliftable & pl.col(LINE).is_in(same_clock.implode())
        if name in CHAIN:
            bad |= pl.col(LINE).is_in(_moving_others(door, spec, rows).implode())
        out |= set(name_of(spec, rows.filter(bad)).to_list())
    return out


def _moving_others(door: _MoreDoor, spec: TableSpec, rows: pl.DataFrame) -> pl.Series:
    """Lines of arrests and bails that police are now seen to have set going while rows that hang on them are in."""
    own = door.tables.get("event")
    events = [door.old_events.filter("set_apart")["event_id"]]
    if own is not None:
        events.append(own.filter(pl.col("source") == PROACTIVE)["event_id"])
    hangs = pl.col("event_id").is_in(pl.concat(events).implode()).fill_null(False)
    key = spec.key[0]
    if spec.name != "custody":
        hangs |= pl.col("custody_id").is_not_null()
    turned = rows.filter(hangs & pl.col(WAS).is_not_null())
    there = door.before.hanging_on(spec.name, key, turned[key].unique())
    return turned.filter(pl.col(key).is_in(there.implode()))[LINE]

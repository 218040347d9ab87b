"""``ingest --append``: rows that came in since the load was made, added in well under a second, whole or not at all.

New rows go through the same front door as an extract (``features.front``), only that what they point to may be in the
load. What they are is settled against the versions that are there: new, a correction, a withdrawal, a repeat. They
are split into the three stores by the same rules and written as a segment (``features.segments``) beside the load,
which itself never changes. The result is what one ingest of everything would have given, table by table; where that
would mean taking a row back into another store, the row waits in quarantine, saying that it needs a full ingest.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from features import disk, segments, waiting
from features.append_report import AppendReport
from features.before import Before
from features.clocks import AMBIGUOUS, CORRECTION, NEW, REPEAT, WITHDRAWAL, first_known, known_from
from features.errors import InputError
from features.files import LINE, MANIFEST, RawExtract, raw_table, read_extract
from features.front import Count, Door, Keys
from features.home import Home
from features.households import households
from features.ingest import MAKING, write_store
from features.schema import SPECS, TableSpec, parents_first
from features.stores import (
    CHAIN,
    PROACTIVE,
    apart,
    empty_rows,
    proactive_spans,
    restricted_persons,
    without_restricted,
)

NEEDS_INGEST = "needs a full ingest: "
CLASHES = "differs from a row already there with the same key and clock"
FATES = {"new": NEW, "corrections": CORRECTION, "withdrawals": WITHDRAWAL, "repeats": REPEAT}
POINTED_AT = ("address", "custody", "bail", "order", "event", "person")
"""Tables that rows of others point to; a load that lacks one never judged those pointers."""


def append_folder(folder: Path, home: Home) -> AppendReport:
    """Add the rows of a folder (any tables of the contract, as in an extract) to the current load.

    Raises InputError when a file cannot be read, when extract.json names another nature than the load's, or where
    :func:`append` does; the load then stands as it was.
    """
    raw = read_extract(folder, whole=False)
    if not raw.tables:
        raise _nothing(str(folder))
    load = home.require()
    if (folder / MANIFEST).exists() and raw.nature != load.nature:
        raise InputError(
            f"The rows are {raw.nature}, the load is {load.nature}.",
            where=str(folder / MANIFEST),
            cure="Ingest them as an extract of their own, into another home.",
        )
    return _append(home, raw)


def append(home: Home, tables: Mapping[str, pl.DataFrame | list[dict[str, Any]]]) -> AppendReport:
    """Add rows to the current load: table of the contract -> a frame, or a list of rows as dictionaries.

    Cells may be of the contract's types or text as in a CSV file. Idempotent: rows that are there already are counted
    as repeats. Raises InputError for an unknown table, a missing required column, a home that cannot be written, and
    for a table that the load lacks and others point to.
    """
    unknown = sorted(set(tables) - set(SPECS))
    if unknown:
        raise InputError(f"No such table: {', '.join(unknown)}.", cure=f"Tables are {', '.join(SPECS)}.")
    frames = {name: _frame(name, rows) for name, rows in tables.items()}
    if not frames:
        raise _nothing("the tables given")
    raw = {name: raw_table(name, frame) for name, frame in frames.items() if frame.height}
    return _append(home, RawExtract(Path(), home.require().nature, "", raw, ()))


def _frame(name: str, rows: object) -> pl.DataFrame:
    if isinstance(rows, pl.DataFrame):
        return rows
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(
            f"Table {name} holds no rows but {type(rows).__name__}.",
            where=f"table {name}",
            cure="Give a frame, or a list with one dictionary a row.",
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def _nothing(where: str) -> InputError:
    return InputError(
        "There is no table to add.", where=where, cure=f"Give rows of at least one of {', '.join(SPECS)}."
    )


def _judged(raw: RawExtract, before: Before) -> tuple[_MoreDoor, int]:
    """The rows judged, with those that had waited for them; and how many are still waiting in vain."""
    left_out: set[str] = set()
    while True:  # each round leaves at least one more of finitely many rows out
        before.lift({})
        back = waiting.coming_back(before, raw, left_out)
        before.lift(waiting.lifted(before, back))
        door = _MoreDoor(waiting.tables_with(raw, back), before, back)
        for name in parents_first():
            if name in door.raw.tables:
                door.table(SPECS[name], door.raw.tables[name])
        vain = waiting.failed(door, back)
        if not vain:
            return door, len(left_out)
        left_out |= vain


def _append(home: Home, raw: RawExtract) -> AppendReport:
    begun = time.perf_counter()
    try:
        with disk.locked(home.path / ".lock"):
            load = home.require()
            before = Before(load.path, load.manifest)
            digest = _digest(raw)
            known = any(segment.digest == digest for segment in before.appended.segments)
            door, vain = (_MoreDoor(raw, before, {}), 0) if known else _judged(raw, before)
            number = None if known else _write(home, load.load_id, digest, door, raw)
    except OSError as problem:
        raise InputError(
            f"The home folder cannot be written: {problem.strerror or problem}.",
            where=str(problem.filename or home.path),
            cure="Check its rights and the space left; the load stands as it was.",
        ) from problem
    counts = {name: door.counts[name] for name in SPECS if name in door.counts and name in raw.tables}
    if known:
        counts = {n: Count(read=t.frame.height, repeats=t.frame.height) for n, t in raw.tables.items()}
    faults = (
        pl.concat(door.faults)
        .filter(pl.col("line") < waiting.FIRST)
        .select("table", "line", "column", "value", "reason", "quarantined")
    )
    changed = number is not None
    return AppendReport(
        load.load_id,
        number,
        changed,
        counts,
        faults.to_dicts(),
        vain,
        time.perf_counter() - begun,
        sum(frame[LINE].n_unique() for frame in door.back.values()),
        {
            "columns": sorted(f"{n}.{c}" for n, table in raw.tables.items() for c in table.unknown_columns),
            "files": list(raw.unknown_files),
        },
    )


def _digest(raw: RawExtract) -> str:
    """Of the content: the same rows under the same names give the same digest."""
    digest = hashlib.sha256()
    for name, table in sorted(raw.tables.items()):
        frame = table.frame.drop(LINE)
        digest.update(name.encode() + frame.select(sorted(frame.columns)).write_ndjson().encode())
    return digest.hexdigest()[:16]


class _MoreDoor(Door):
    """The front door for rows whose parents, and earlier versions, may be in the load."""

    def __init__(self, raw: RawExtract, before: Before, back: Mapping[str, pl.DataFrame]) -> None:
        super().__init__(raw)
        self.before = before
        self.back = back
        self.repeats: dict[str, pl.Series] = {}
        self.kept: dict[str, pl.DataFrame] = {}
        absent = [name for name in raw.tables if name in before.missing and name in POINTED_AT]
        if absent:
            raise InputError(
                f"The load has no table {absent[0]}, so nothing that points to one was judged.",
                where=f"table {absent[0]}",
                cure="Ingest a whole extract that has the table.",
            )
        for table, columns in _referenced(raw, back).items():
            if table not in before.missing:
                self.keys[table] = {
                    column: Keys(before.there(table, column, values), before.held(table, column, values))
                    for column, values in columns.items()
                }
        events = self.keys.get("event", {}).get("event_id")
        given = raw.tables["event"].frame if "event" in raw.tables else None
        own = given["event_id"].cast(pl.String) if given is not None and "event_id" in given.columns else None
        returned = back["event"]["event_id"] if "event" in back else None
        asked = [s.rename("") for s in (events.kept if events else None, own, returned) if s is not None]
        self.old_events = before.versions(
            SPECS["event"],
            pl.concat(asked).drop_nulls().unique() if asked else pl.Series([], dtype=pl.String),
        )
        self.event_known = _known(self.old_events)

    def more(self, spec: TableSpec, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows given, and those that had waited for what comes with them."""
        if spec.name not in self.back:
            return rows
        again = waiting.rows_of(spec, self.back[spec.name])
        return pl.concat([rows, again.select(rows.columns)])

    def refused(self, spec: TableSpec, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows that one ingest of everything would take in, and an append cannot."""
        none = super().refused(spec, rows)
        first = spec.key[0]
        old = self.before.versions(spec, rows[first].unique())
        if spec.name == "person":
            lifted = rows.filter(
                pl.col("person_id").is_in(self.before.restricted.implode())
                & ~pl.col("no_processing").fill_null(False)
            )
            return pl.concat([none, _refuse(lifted, "no_processing", "it lifts a restriction")])
        if old.is_empty():
            return none
        found = [none]
        key = list(spec.key)
        cut = old.group_by(key).agg(pl.col("set_apart").n_unique().alias("n")).filter(pl.col("n") > 1)
        why = "police set its event going for part of the time"
        found.append(_refuse(rows.join(cut, on=key, how="semi", nulls_equal=True), first, why))
        if spec.name == "event":
            apart_now = (pl.col("source") == PROACTIVE).fill_null(False)
            now = rows.filter(~pl.col("withdrawn")).with_columns(now=apart_now)
            was = old.select("event_id", "set_apart").unique("event_id")
            turned = now.join(was, on="event_id").filter(pl.col("now") != pl.col("set_apart"))
            found.append(_refuse(turned, "source", "it changes whether police set the event going"))
            clocked = known_from(spec, rows.filter(~pl.col("withdrawn")), self.event_known)
            sooner = clocked.join(_known(old), on="event_id").filter(
                pl.col("known_from") < pl.col("event_known")
            )
            sooner = sooner.filter(
                pl.col("event_id").is_in(self.before.clocked_by(sooner["event_id"]).implode())
            )
            found.append(_refuse(sooner, "recorded_at", "the event was known sooner than the load has it"))
        if spec.name in CHAIN:
            now = rows.filter(~pl.col("withdrawn")).with_columns(now=self._hangs_apart(spec, rows))
            was = old.select(first, "set_apart").unique(first)
            turned = now.join(was, on=first).filter(pl.col("now") != pl.col("set_apart"))
            found.append(_refuse(turned, first, "it changes whether police set it going"))
        return pl.concat(found).unique(["line"], keep="first", maintain_order=True)

    def _hangs_apart(self, spec: TableSpec, rows: pl.DataFrame) -> pl.Expr:
        """Does a row hang on something that police set going?"""
        old = self.old_events.filter("set_apart")["event_id"]
        came = self.tables.get("event", empty_rows("event")).filter(pl.col("source") == PROACTIVE)["event_id"]
        hangs = pl.col("event_id").is_in(pl.concat([old, came]).implode()).fill_null(False)
        if "custody_id" in spec.dtypes and spec.name != "custody":
            custody = self.before.set_apart("custody", rows["custody_id"])["custody_id"]
            hangs |= pl.col("custody_id").is_in(custody.implode()).fill_null(False)
        return hangs

    def fates(self, spec: TableSpec, rows: pl.DataFrame) -> pl.DataFrame:
        """As for an extract, and against the versions that are there."""
        rows = super().fates(spec, rows)
        old = self.before.versions(spec, rows[spec.key[0]].unique())
        gone = self.before.withdrawals(spec, old, rows)
        key = list(spec.key)
        clock = [*key, "known_from"]
        numbered = rows.with_row_index("_n")
        blanked = _without_clockless(spec, numbered)
        content = [c for c in spec.dtypes if c in old.columns]
        met = blanked.join(old.select(clock).unique(), on=clock, how="semi", nulls_equal=True)
        same = _matching(met.filter(~pl.col("withdrawn")), old, [*content, "known_from"])
        met_gone = blanked.join(gone, on=clock, how="semi", nulls_equal=True)
        repeat = pl.concat([same["_n"], met_gone.filter("withdrawn")["_n"]]).unique()
        clash = pl.concat([met["_n"], met_gone["_n"]]).unique()
        standing = ~pl.col("fate").is_in([REPEAT, AMBIGUOUS])
        keys = old.select(key).unique().with_columns(_there=pl.lit(True))
        return (
            numbered.join(keys, on=key, how="left", nulls_equal=True, maintain_order="left")
            .with_columns(
                fate=pl.when(standing & pl.col("_n").is_in(repeat.implode()))
                .then(pl.lit(REPEAT))
                .when(standing & pl.col("_n").is_in(clash.implode()))
                .then(pl.lit(AMBIGUOUS))
                .when((pl.col("fate") == NEW) & pl.col("_there").fill_null(False))
                .then(pl.lit(CORRECTION))
                .otherwise("fate")
            )
            .drop("_n", "_there")
        )

    def noted(self, spec: TableSpec, kept: pl.DataFrame, before: dict[str, Keys]) -> None:
        """What was let in joins what is there."""
        self.kept[spec.name] = kept.filter(pl.col("fate") != REPEAT)
        for column, keys in before.items():
            mine = self.keys[spec.name].get(column, Keys(keys.kept.clear(), keys.quarantined.clear()))
            self.keys[spec.name][column] = Keys(
                pl.concat([keys.kept, mine.kept]).unique(),
                pl.concat([keys.quarantined, mine.quarantined]).unique(),
            )
        if spec.name == "event":
            both = pl.concat([_known(self.old_events), first_known(kept)])
            self.event_known = both.group_by("event_id").agg(pl.col("event_known").min()).sort("event_id")

    def _note(
        self, spec: TableSpec, raw: Any, rows: pl.DataFrame, standing: pl.DataFrame, *rest: Any
    ) -> None:
        before = dict(self.keys.get(spec.name, {}))
        super()._note(spec, raw, rows, standing, *rest)
        fresh = pl.col(LINE) < waiting.FIRST
        tally = dict(standing.filter(fresh).group_by("fate").len().iter_rows())
        mine = {field: tally.get(fate, 0) for field, fate in FATES.items()}
        read = rows.filter(fresh).height
        self.counts[spec.name] = Count(read=read, **mine, quarantined=read - sum(mine.values()))
        self.repeats[spec.name] = standing.filter(pl.col("fate") == REPEAT)[LINE]
        self.noted(spec, standing.filter(pl.col("fate") != AMBIGUOUS), before)


def _referenced(raw: RawExtract, back: Mapping[str, pl.DataFrame]) -> dict[str, dict[str, pl.Series]]:
    """Table -> its key column -> the values that rows point to."""
    found: dict[str, dict[str, list[pl.Series]]] = {}
    for name, table in raw.tables.items():
        for column, (parent, target) in SPECS[name].parents.items():
            cells = table.frame[column] if column in table.frame.columns else pl.Series([], dtype=pl.String)
            found.setdefault(parent, {}).setdefault(target, []).append(cells.cast(pl.String).rename("value"))
            if name in back:
                found[parent][target].append(back[name][column].rename("value"))
    return {
        parent: {target: pl.concat(values).drop_nulls().unique() for target, values in columns.items()}
        for parent, columns in found.items()
    }


def _known(events: pl.DataFrame) -> pl.DataFrame:
    return events.group_by("event_id").agg(event_known=pl.col("known_from").min()).sort("event_id")


def _refuse(rows: pl.DataFrame, column: str, why: str) -> pl.DataFrame:
    return rows.select(
        pl.col(LINE).alias("line"),
        pl.lit(column).alias("column"),
        pl.col(column).cast(pl.String).alias("value"),
        pl.lit(NEEDS_INGEST + why).alias("reason"),
        pl.lit(True).alias("quarantined"),
    )


def _without_clockless(spec: TableSpec, rows: pl.DataFrame) -> pl.DataFrame:
    """Values filled in later without their clock feed nothing and are not kept: blank here too."""
    return rows.with_columns(
        pl.when(pl.col(clock).is_not_null()).then(pl.col(c)).alias(c)
        for c, clock in spec.later.items()
        if c != clock
    )


def _matching(rows: pl.DataFrame, old: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """The rows that equal one of ``old`` in every column (lists as text, since they are no join keys)."""
    plain = [
        pl.col(c).list.join("\x1f").alias(c) if isinstance(old.schema[c], pl.List) else pl.col(c)
        for c in columns
    ]
    return rows.with_columns(plain).join(old.select(plain), on=columns, how="semi", nulls_equal=True)


# --- writing the segment ------------------------------------------------------------------------------------


def _write(home: Home, load_id: str, digest: str, door: _MoreDoor, raw: RawExtract) -> int | None:
    """Split what was let in and write it; its number, or None when there is nothing to write."""
    quarantine = {"faults": pl.concat(door.faults), "rows": pl.concat(door.quarantine)}
    if not any(rows.height for rows in door.kept.values()) and quarantine["rows"].is_empty():
        return None
    before = door.before
    new = {name: door.tables.get(name, empty_rows(name)) for name in SPECS}
    ends: dict[str, pl.DataFrame] = {}
    for name, kept in door.kept.items():
        spec = SPECS[name]
        old = before.versions(spec, kept[spec.key[0]].unique())
        new[name] = segments.ended(spec, new[name], before.boundaries(spec, old, kept))
        drawn = kept.select(*spec.key, pl.col("known_from").alias(segments.AT))
        ends[name] = drawn.join(old.select(spec.key).unique(), on=spec.key, how="semi", nulls_equal=True)
    restricted = _newly_restricted(door)
    everyone = pl.concat([before.restricted, restricted])
    free = {name: without_restricted(name, frame, everyone) for name, frame in new.items()}
    records, identity, audit = _apart(door, free, ends)
    anew, shared = _households(door, free, restricted)
    records["household"] = shared
    front = {
        "restricted": pl.DataFrame({"person_id": restricted}),
        segments.HOUSEHOLDS_OF: pl.DataFrame({"person_id": anew}),
        "withdrawn": pl.concat(door.withdrawn),
        **{waiting.PREFIX + name: rows for name, rows in door.waiting.items()},
    }
    stores = {
        "records": records,
        "identity": identity,
        "audit": audit,
        "ends": ends,
        "front": front,
        "quarantine": quarantine,
        "lifted": before.lifted,
    }
    folder = segments.folder_of(before.path)
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{MAKING}*"):
        shutil.rmtree(left)
    number = max(segments.numbers(before.path), default=0) + 1
    making = folder / f"{MAKING}{number:06d}"
    making.mkdir()
    files: dict[str, int] = {}
    for store, tables in stores.items():
        filled = {name: frame for name, frame in tables.items() if frame.height}
        if filled:
            files |= write_store(making, store, filled)
    manifest = {
        "load_id": load_id,
        "digest": digest,
        "appended_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "tables": {name: asdict(count) for name, count in door.counts.items()},
        "columns": {name: sorted(table.columns) for name, table in raw.tables.items()},
        "files": files,
    }
    disk.write_text(making / segments.MANIFEST, json.dumps(manifest, indent=1) + "\n")
    disk.move_into_place(making, folder / f"{number:06d}")
    return number


def _newly_restricted(door: _MoreDoor) -> pl.Series:
    """Persons whose newest row now says no_processing."""
    new = door.tables.get("person", empty_rows("person"))
    if new.is_empty():
        return pl.Series("person_id", [], dtype=pl.String)
    old = door.before.versions(SPECS["person"], new["person_id"].unique())
    both = pl.concat([old.select(c for c in new.columns), new], how="vertical_relaxed")
    return restricted_persons(both).rename("person_id")


def _apart(
    door: _MoreDoor, free: dict[str, pl.DataFrame], ends: dict[str, pl.DataFrame]
) -> tuple[dict[str, pl.DataFrame], ...]:
    clocks = ("event_id", "source", "known_from")
    events = pl.concat([door.old_events.select(clocks), free["event"].select(clocks)]).sort(
        "event_id", "known_from"
    )
    set_apart = {}
    for name, key in CHAIN.items():
        named = [frame[key] for frame in free.values() if key in frame.columns]
        rows = door.before.set_apart(name, pl.concat(named).drop_nulls().unique())
        set_apart[name] = segments.ended(SPECS[name], rows, ends.get(name))
    return apart(free, proactive_spans(events), set_apart)


def _households(
    door: _MoreDoor, free: dict[str, pl.DataFrame], restricted: pl.Series
) -> tuple[pl.Series, pl.DataFrame]:
    """Persons whose households may have changed, and all households of theirs as they now are."""
    moved = pl.concat(
        [door.kept[n]["person_id"] for n in ("person", "residence") if n in door.kept] + [restricted]
    )
    places = door.kept["address"]["address_id"] if "address" in door.kept else pl.Series([], dtype=pl.String)
    if moved.is_empty() and places.is_empty():
        return pl.Series("person_id", [], dtype=pl.String), pl.DataFrame()
    everyone = pl.concat([door.before.restricted, restricted])
    tables = {
        name: without_restricted(name, door.before.now(name, free[name], door.kept.get(name)), everyone)
        for name in ("person", "residence", "address")
    }
    lived = pl.concat(
        [tables[name].select("person_id", "address_id") for name in ("residence", "person")]
    ).drop_nulls()
    here = lived.filter(pl.col("person_id").is_in(moved.implode()))["address_id"]
    here = pl.concat([here, door.before.lived(restricted), places]).unique()
    anew = (
        pl.concat([lived.filter(pl.col("address_id").is_in(here.implode()))["person_id"], moved])
        .unique()
        .sort()
    )
    # To say these persons' homes whole, everyone who ever shared one of them must be at hand, and nobody else.
    homes = lived.filter(pl.col("person_id").is_in(anew.implode()))["address_id"].unique().implode()
    near = lived.filter(pl.col("address_id").is_in(homes))["person_id"].unique().implode()
    part = {
        "person": tables["person"].filter(pl.col("person_id").is_in(near)),
        "residence": tables["residence"].filter(pl.col("address_id").is_in(homes)),
        "address": tables["address"].filter(pl.col("address_id").is_in(homes)),
    }
    return anew.rename("person_id"), households(part, anew)

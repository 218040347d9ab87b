"""What a load already holds about the rows that are being added: read where it is asked for, and no more.

Part of ``features.append``. It reads all three stores, so nothing that computes a feature may import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from features import segments
from features.clocks import NOT_BEFORE_EVENT
from features.errors import InputError
from features.front import key_text
from features.schema import SPECS, TableSpec
from features.segments import AT
from features.stores import RECORD_TABLES, SPAN, empty_rows

WHOLE_IN_IDENTITY = ("person", "call", "order")
"""Tables of the record store whose rows the identity store holds with every column."""


class Before:
    """A load with its segments, as it stands before more rows come."""

    def __init__(self, load_path: Path, manifest: Mapping[str, Any]) -> None:
        self.path = load_path
        self.appended = segments.read(load_path, segments.STORES)
        self.missing = self.appended.missing(frozenset(manifest["missing"]))
        self._known: dict[tuple[str, tuple[str, ...]], pl.DataFrame] = {}
        self.lifted: Mapping[str, pl.DataFrame] = {}
        try:
            self._restricted = pl.read_parquet(load_path / "front" / "restricted.parquet")["person_id"]
            self._withdrawn = pl.read_parquet(load_path / "front" / "withdrawn.parquet")
        except OSError as problem:
            raise InputError(
                "This load was made by an earlier version; rows cannot be added to it.",
                where=str(load_path),
                cure="Ingest the extract again (the same one will do), then add the rows.",
            ) from problem

    @cached_property
    def restricted(self) -> pl.Series:
        """person_id of everyone restricted by law."""
        return pl.concat([self._restricted, self.appended.restricted]).unique().sort()

    def lift(self, lifted: Mapping[str, pl.DataFrame]) -> None:
        """Take no notice of some versions from now on (table -> key columns and stretch): they are being replaced."""
        self.lifted = lifted
        self._known = {}

    def folder(self, number: int) -> Path:
        """Where a segment is."""
        return segments.folder_of(self.path) / f"{number:06d}"

    def hanging_on(self, table: str, key: str, values: pl.Series) -> pl.Series:
        """Those of ``values`` (keys of an arrest or bail) that rows of the load point to."""
        found = [pl.Series("value", [], dtype=pl.String)]
        for name, spec in SPECS.items() if values.len() else ():
            if name in RECORD_TABLES and spec.parents.get(key, ("", ""))[0] == table:
                found.append(self._rows("records", name, key, values)[key].rename("value"))
        return pl.concat(found).unique()

    # -- rows ------------------------------------------------------------------------------------------------

    def versions(self, spec: TableSpec, values: pl.Series) -> pl.DataFrame:
        """Every version of the records of a table whose first key column is one of ``values``: its columns (those
        the stores keep), known_from, known_to and ``set_apart`` (police set it going)."""
        asked = (spec.name, tuple(sorted(values.drop_nulls().cast(pl.String).unique().to_list())))
        if asked not in self._known:
            self._known[asked] = self._versions(spec, pl.Series("v", asked[1], dtype=pl.String))
        return self._known[asked]

    def _versions(self, spec: TableSpec, values: pl.Series) -> pl.DataFrame:
        name, first = spec.name, spec.key[0]

        def part(store: str, table: str, apart: bool) -> pl.DataFrame:
            return self._rows(store, table, first, values).with_columns(set_apart=pl.lit(apart))

        if name == "intervention":
            return part("audit", name, False)
        if name not in RECORD_TABLES or name in WHOLE_IN_IDENTITY:
            rows = part("identity", name, False)
            if name == "person":
                more = self._rows("audit", "person_protected", first, values)
                more = more.select("person_id", "known_from", "ethnicity_self", "ethnicity_observed")
                rows = rows.join(more, on=["person_id", "known_from"], how="left")
            return rows.select(*(c for c in spec.dtypes if c in rows.columns), *SPAN, "set_apart")
        rows = part("records", name, False)
        if name == "event":
            place = self._rows("identity", "event_place", first, values)
            place = place.select(
                "event_id", "known_from", *(c for c in place.columns if c not in rows.columns)
            )
            rows = rows.join(place, on=["event_id", "known_from"], how="left")
        columns = [*spec.dtypes, *SPAN, "set_apart"]
        apart = self.set_apart(name, values, first).with_columns(set_apart=pl.lit(True))
        return pl.concat([rows.select(columns), apart.select(columns)])

    def set_apart(self, table: str, values: pl.Series, column: str = "") -> pl.DataFrame:
        """Rows of a table that police set going, by their key (or another column)."""
        name = f"proactive_{table}"
        if not (self.path / "audit" / f"{name}.parquet").exists():
            return empty_rows(table)
        return self._rows("audit", name, column or SPECS[table].key[0], values)

    def _rows(self, store: str, table: str, column: str, values: pl.Series) -> pl.DataFrame:
        """Rows of a stored table, what segments added and ended included, where a column is one of ``values``."""
        among = pl.col(column).is_in(values.drop_nulls().cast(pl.String).unique().implode())
        frame = pl.scan_parquet(self.path / store / f"{table}.parquet").filter(among).collect()
        spec = segments.spec_behind(table)
        assert spec is not None
        frame = self.appended.lifted(spec, frame)
        added = self.appended.rows(store, table)
        if added is not None:
            frame = pl.concat([frame, added.filter(among).select(frame.columns)])
        frame = segments.taken_out(spec, frame, self.lifted.get(spec.name))
        frame = segments.ended(spec, frame, self.appended.ends(spec.name))
        return (
            segments.without(table, frame, self.appended.restricted)
            if self.appended.restricted.len()
            else frame
        )

    def now(self, table: str, new: pl.DataFrame, kept: pl.DataFrame | None) -> pl.DataFrame:
        """A whole table of the identity store with ``new`` rows (``kept``: the rows and withdrawals they came from)."""
        spec = SPECS[table]
        frame = pl.read_parquet(self.path / "identity" / f"{table}.parquet")
        parts = [self.appended.lifted(spec, frame), self.appended.rows("identity", table)]
        rows = pl.concat([part.select(frame.columns) for part in parts if part is not None])
        rows = pl.concat([segments.taken_out(spec, rows, self.lifted.get(table)), new.select(frame.columns)])
        drawn = [self.appended.ends(table)]
        if kept is not None:
            drawn.append(kept.select(*spec.key, pl.col("known_from").alias(AT)))
        found = [part for part in drawn if part is not None and part.height]
        rows = segments.ended(spec, rows, pl.concat(found) if found else None)
        return (
            segments.without(table, rows, self.appended.restricted)
            if self.appended.restricted.len()
            else rows
        )

    def lived(self, persons: pl.Series) -> pl.Series:
        """Addresses at which the persons ever lived, as the load has it."""
        found = [
            self.versions(SPECS[table], persons)["address_id"]
            for table in ("person", "residence")
            if persons.len()
        ]
        return pl.concat([pl.Series("address_id", [], dtype=pl.String), *found]).drop_nulls().unique()

    def clocked_by(self, events: pl.Series) -> pl.Series:
        """Those of the events whose first clock is that of a row in them (one that had no clock of its own)."""
        found = [pl.Series("event_id", [], dtype=pl.String)]
        for table in NOT_BEFORE_EVENT if events.len() else ():
            rows = self._rows("records", table, "event_id", events)
            rows = pl.concat([rows, self.set_apart(table, events, "event_id").select(rows.columns)])
            known = (
                self.versions(SPECS["event"], events)
                .group_by("event_id")
                .agg(event_known=pl.col("known_from").min())
            )
            own = SPECS[table].own_time
            default = pl.max_horizontal("event_known", own) if own else pl.col("event_known")
            found.append(rows.join(known, on="event_id").filter(pl.col("known_from") == default)["event_id"])
        return pl.concat(found).unique()

    # -- keys and clocks ---------------------------------------------------------------------------------------

    def there(self, table: str, column: str, values: pl.Series) -> pl.Series:
        """Those of ``values`` that are keys of a table; restricted persons are persons too."""
        if values.is_empty():
            return values
        found = [self.versions(SPECS[table], values)[column].rename("value")]
        if table == "person":
            found.append(values.filter(values.is_in(self.restricted.implode())).rename("value"))
        return pl.concat(found).unique()

    def held(self, table: str, column: str, values: pl.Series) -> pl.Series:
        """Those of ``values`` that only rows in quarantine have as their key."""
        if values.is_empty():
            return values
        rows = self._quarantined.filter(pl.col("table") == table)
        return rows["row"].str.json_path_match(f"$.{column}").drop_nulls().unique().rename("value")

    @cached_property
    def _quarantined(self) -> pl.DataFrame:
        folders = [
            self.path,
            *(segments.folder_of(self.path) / f"{s.number:06d}" for s in self.appended.segments),
        ]
        files = [folder / "quarantine" / "rows.parquet" for folder in folders]
        return pl.concat([pl.read_parquet(file) for file in files if file.exists()])

    def withdrawals(self, spec: TableSpec, old: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
        """Moments at which records were withdrawn, key columns and known_from: those kept with the load and with
        segments. Only of keys among ``rows``, whose key columns they take."""
        lists = [self._withdrawn, *(s.withdrawn for s in self.appended.segments if s.withdrawn.height)]
        mine = pl.concat(lists).filter(pl.col("table") == spec.name).select("key", "known_from")
        keys = rows.select(*spec.key, key_text(spec).alias("key")).unique("key")
        return keys.join(mine, on="key").select(*spec.key, "known_from").unique()

    def boundaries(self, spec: TableSpec, old: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
        """Every moment at which a version of a record began or was withdrawn: key columns and the boundary."""
        key = list(spec.key)
        began = old.select(*key, pl.col("known_from").alias(AT))
        over = old.select(*key, pl.col("known_to").alias(AT)).drop_nulls(AT)
        gone = self.withdrawals(spec, old, rows).rename({"known_from": AT})
        return pl.concat([began, over, gone.select(began.columns)]).unique()

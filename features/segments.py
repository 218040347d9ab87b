"""What was added to a load since it was made: segments, each a folder that never changes, read on top of the load.

``HOME/appended/<load_id>/<n>/`` holds the rows one append brought, split into the three stores like a load, and the
boundaries it drew: the moments at which versions of a record stopped being what the screen showed, because a
correction or a withdrawal came. A version ends at the first boundary of its key after it began, whichever segment drew
it, so segments may be read in any order and together; only the households of persons are replaced, newest last.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from features.clocks import in_order
from features.errors import InputError
from features.schema import DERIVED, SPECS, TableSpec

APPENDED = "appended"
MANIFEST = "segment.json"
STORES = ("records", "identity", "audit")
AT = "boundary"
"""Column of a table of boundaries, beside the key of the record."""
LIFTED_FROM, LIFTED_TO = "lifted_from", "lifted_to"
"""The stretch in which pieces of a version began that a segment takes out (``features.waiting``)."""
HOUSEHOLDS_OF = "households_of"
"""Persons whose households a segment says anew."""


@dataclass(frozen=True)
class Segment:
    """One append. ``added``: (store, table) -> rows; ``ends``: contract table -> key columns and :data:`AT`;
    ``restricted``: persons restricted since; ``households_of``: persons whose households are said anew; ``withdrawn``:
    withdrawals, as a load keeps them; ``lifted``: contract table -> versions of earlier segments, or of the load, that
    it takes out because it brings them whole."""

    number: int
    digest: str
    manifest: dict[str, Any] = field(repr=False)
    added: Mapping[tuple[str, str], pl.DataFrame] = field(repr=False)
    ends: Mapping[str, pl.DataFrame] = field(repr=False)
    restricted: pl.Series = field(repr=False)
    households_of: pl.Series = field(repr=False)
    withdrawn: pl.DataFrame = field(repr=False)
    lifted: Mapping[str, pl.DataFrame] = field(repr=False)


@dataclass(frozen=True)
class Appended:
    """All segments of a load, in order, and what they come to."""

    segments: tuple[Segment, ...] = ()

    @property
    def digest(self) -> str:
        """Names the segments; empty without any."""
        return together(segment.digest for segment in self.segments)

    @cached_property
    def restricted(self) -> pl.Series:
        """person_id of everyone restricted since the load was made."""
        none = pl.Series("person_id", [], dtype=pl.String)
        return pl.concat([none, *(segment.restricted for segment in self.segments)]).unique().sort()

    def rows(self, store: str, table: str) -> pl.DataFrame | None:
        """Rows added to a table, or None."""
        found: pl.DataFrame | None = None
        spec = spec_behind(table)
        for segment in self.segments:
            if found is not None and spec is not None:
                found = taken_out(spec, found, segment.lifted.get(spec.name))
            mine = segment.added.get((store, table))
            if mine is not None:
                found = mine if found is None else pl.concat([found, mine])
        return found

    def lifted(self, spec: TableSpec, frame: pl.DataFrame) -> pl.DataFrame:
        """A table of the load itself without the versions that segments take out."""
        for segment in self.segments:
            frame = taken_out(spec, frame, segment.lifted.get(spec.name))
        return frame

    def ends(self, table: str) -> pl.DataFrame | None:
        """Boundaries of a contract table's records, or None."""
        found = [segment.ends[table] for segment in self.segments if table in segment.ends]
        return pl.concat(found) if found else None

    def missing(self, missing: frozenset[str]) -> frozenset[str]:
        """What the load lacks ("table" or "table.column") now that rows were added."""
        for segment in self.segments:
            missing = lacking(missing, segment.manifest["columns"])
        return missing

    def onto(self, store: str, tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
        """The tables of one store with everything added, in the order a load has them."""
        out = {name: self._table(store, name, frame) for name, frame in tables.items()}
        if store == "records":
            out["household"] = self._households(out["household"])
        if self.restricted.len():
            out = {name: without(name, frame, self.restricted) for name, frame in out.items()}
        return out

    def _table(self, store: str, name: str, frame: pl.DataFrame) -> pl.DataFrame:
        spec = spec_behind(name)
        if spec is None or name in DERIVED:
            return frame
        frame = self.lifted(spec, frame)
        added, ends = self.rows(store, name), self.ends(spec.name)
        if added is None and ends is None:
            return frame
        if added is not None:
            frame = pl.concat([frame, added.select(frame.columns)])
        frame = ended(spec, frame, ends)
        return (
            frame if name == "event_place" else in_order(spec, frame)
        )  # a place has no time to be put in order by

    def _households(self, frame: pl.DataFrame) -> pl.DataFrame:
        spec = DERIVED["household"]
        for segment in self.segments:
            anew = segment.households_of
            if anew.is_empty():
                continue
            named = pl.any_horizontal(pl.col(c).is_in(anew.implode()) for c in ("person_id_a", "person_id_b"))
            said = segment.added.get(("records", "household"), frame.clear())
            frame = pl.concat([frame.filter(~named), said.select(frame.columns)])
        return frame.sort(*spec.key, "known_from", "known_to", "ended_on", nulls_last=True)


def together(digests: Iterable[str]) -> str:
    """One name for the digests of segments, in order; empty for none."""
    text = " ".join(digests)
    return hashlib.sha256(text.encode()).hexdigest()[:10] if text else ""


def spec_behind(name: str) -> TableSpec | None:
    """The contract table whose records a stored table holds (``proactive_event`` holds events); None for none."""
    if name in DERIVED:
        return DERIVED[name]
    return SPECS.get(
        {"event_place": "event", "person_protected": "person"}.get(name, name.removeprefix("proactive_"))
    )


def ended(spec: TableSpec, frame: pl.DataFrame, ends: pl.DataFrame | None) -> pl.DataFrame:
    """Versions with ``known_to`` brought forward to the first boundary of their key after they began."""
    if ends is None or ends.is_empty() or frame.is_empty():
        return frame
    key = list(spec.key)
    numbered = frame.with_row_index("_row")
    met = numbered.select("_row", *key, "known_from").join(ends, on=key, nulls_equal=True)
    first = met.filter(pl.col(AT) > pl.col("known_from")).group_by("_row").agg(pl.col(AT).min())
    return (
        numbered.join(first, on="_row", how="left", maintain_order="left")
        .with_columns(known_to=pl.min_horizontal("known_to", AT))
        .drop("_row", AT)
    )


def taken_out(spec: TableSpec, frame: pl.DataFrame, spans: pl.DataFrame | None) -> pl.DataFrame:
    """A stored table without the versions that began in some stretches (key columns, lifted_from, lifted_to)."""
    if spans is None or spans.is_empty() or frame.is_empty():
        return frame
    return frame.filter(~pl.int_range(pl.len()).is_in(places(spec, frame, spans).implode()))


def places(spec: TableSpec, frame: pl.DataFrame, spans: pl.DataFrame) -> pl.Series:
    """Row numbers of the versions that began in some stretches."""
    key = list(spec.key)
    met = frame.select(*key, "known_from").with_row_index("_row").join(spans, on=key, nulls_equal=True)
    inside = (pl.col("known_from") >= pl.col(LIFTED_FROM)) & (
        pl.col(LIFTED_TO).is_null() | (pl.col("known_from") < pl.col(LIFTED_TO))
    )
    return met.filter(inside)["_row"].unique().cast(pl.Int64)


def lacking(missing: frozenset[str], columns: Mapping[str, list[str]]) -> frozenset[str]:
    """``missing`` once rows with these columns (contract table -> columns) have come."""
    out = set(missing)
    for table, brought in columns.items():
        if table in out:
            out.discard(table)
            out |= {f"{table}.{column}" for column in SPECS[table].dtypes}
        out -= {f"{table}.{column}" for column in brought}
    return frozenset(out)


def without(name: str, frame: pl.DataFrame, restricted: pl.Series) -> pl.DataFrame:
    """A stored table without the rows about restricted persons, the other pointers to one blanked."""
    from features.stores import without_restricted  # stores reads this module's neighbours

    gone = restricted.implode()
    spec = spec_behind(name)
    if spec is None:
        return frame
    if name in DERIVED or name == "person_protected":
        about = [c for c in ("person_id", "person_id_a", "person_id_b") if c in frame.columns]
        return frame.filter(~pl.any_horizontal(pl.col(c).is_in(gone).fill_null(False) for c in about))
    if name == "event_place":
        return frame
    return without_restricted(spec.name, frame, restricted)


# --- reading ------------------------------------------------------------------------------------------------


def folder_of(load_path: Path) -> Path:
    """Where the segments of the load in ``HOME/loads/<load_id>`` are."""
    return load_path.parent.parent / APPENDED / load_path.name


def numbers(load_path: Path) -> list[int]:
    """Numbers of the segments that are there, ascending."""
    folder = folder_of(load_path)
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def digests(load_path: Path) -> list[str]:
    """Digests of the segments that are there, in order."""
    folder = folder_of(load_path)
    return [
        str(json.loads((folder / f"{n:06d}" / MANIFEST).read_text(encoding="utf-8"))["digest"])
        for n in numbers(load_path)
    ]


def read(load_path: Path, stores: tuple[str, ...] = ("records",), after: int = 0) -> Appended:
    """The segments of a load with a number above ``after``, of them the rows of some stores; InputError when one is
    not whole."""
    folder = folder_of(load_path)
    return Appended(
        tuple(_read_segment(folder / f"{n:06d}", n, stores) for n in numbers(load_path) if n > after)
    )


def _read_segment(folder: Path, number: int, stores: tuple[str, ...]) -> Segment:
    wanted = (*stores, "ends", "front", "lifted")
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        names = [name for name in manifest["files"] if name.split("/")[0] in wanted]
        frames = {name: pl.read_parquet(folder / name) for name in names}
    except (OSError, ValueError, KeyError, pl.exceptions.PolarsError) as problem:
        raise InputError(
            f"Rows added to the load cannot be read ({type(problem).__name__}).",
            where=str(folder),
            cure="Ingest the whole extract again.",
        ) from problem

    def of(store: str) -> dict[str, pl.DataFrame]:
        return {Path(n).stem: f for n, f in frames.items() if n.startswith(f"{store}/")}

    front = of("front")
    persons = pl.Series("person_id", [], dtype=pl.String)
    return Segment(
        number,
        manifest["digest"],
        manifest,
        {(store, table): frame for store in STORES for table, frame in of(store).items()},
        of("ends"),
        front["restricted"]["person_id"] if "restricted" in front else persons,
        front[HOUSEHOLDS_OF]["person_id"] if HOUSEHOLDS_OF in front else persons,
        front["withdrawn"] if "withdrawn" in front else pl.DataFrame(),
        of("lifted"),
    )

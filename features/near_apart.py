"""The identity and audit stores held ready for questions about single persons, beside the record store.

:class:`Apart` keeps the rows of both stores in memory, findable by the persons and events they point to, and takes in
what is added to the load. :meth:`Apart.around` gathers from all three stores the rows around some persons: what they
did and had done to them, the same of everyone within two ties of them, and who else those rows name.

No module that computes a feature, a label or a score may import this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Lock

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features import segments
from features.apart import STORES, hold, stored
from features.held import indexed, named_in
from features.home import Load
from features.live import lifted_out, patched
from features.nominals import PERSON_COLUMNS
from features.records import Records
from features.schema import DERIVED, TableSpec
from features.segments import Appended, spec_behind
from features.slices import OF_EVENT, POINTERS
from features.stores import empty_rows

Key = tuple[str, str]
"""Store and table."""
Tables = dict[Key, pl.DataFrame]
PERSON, EVENT, ADDRESS = "person", "event_id", "address_id"
WHO = (("identity", "person"), ("audit", "person_protected"))
"""Tables of which everyone named by a gathered row has theirs, however far away."""
PLACES = ("identity", "address")
WHOLE = ("identity", "team")
"""A table of a few rows that is about nobody."""


Hashes = NDArray[np.uint64]


def _hashes(values: Iterable[str]) -> Hashes:
    return pl.Series(list(values), dtype=pl.String).hash(0).to_numpy()


class _Column:
    """The rows of a table by the value of one text column: hashes in order, and the row of each."""

    def __init__(self, column: pl.Series) -> None:
        rows = np.flatnonzero(column.is_not_null().to_numpy())
        hashes = column.hash(0).to_numpy()[rows]
        order = np.argsort(hashes, kind="stable")
        self.hashes, self.rows = hashes[order], rows[order].astype(np.int32)

    def of(self, asked: Hashes) -> NDArray[np.int32]:
        """Rows whose value has one of these hashes. Two values may share one: a row too many does no harm."""
        low = np.searchsorted(self.hashes, asked, "left")
        many = np.searchsorted(self.hashes, asked, "right") - low
        low, many = low[many > 0], many[many > 0]
        if not many.size:
            return self.rows[:0]
        ends = np.cumsum(many)
        return self.rows[np.arange(ends[-1]) + np.repeat(low - ends + many, many)]


class _Part:
    """Tables of both stores, findable by the persons, the event and (of places) the address of a row."""

    def __init__(self, tables: Mapping[Key, pl.DataFrame]) -> None:
        self.tables: Tables = dict(tables)
        self.empty: Tables = {key: frame.clear() for key, frame in tables.items()}
        self.columns = {
            key: {c: _Column(frame[c]) for c in frame.columns if c in PERSON_COLUMNS | {EVENT}}
            for key, frame in tables.items()
        }
        if PLACES in tables:
            self.columns[PLACES] = {ADDRESS: _Column(tables[PLACES][ADDRESS])}

    def holding(self, tables: Tables) -> _Part:
        """The same index over tables that differ in cells, not in rows."""
        other = object.__new__(_Part)
        other.tables, other.empty, other.columns = tables, self.empty, self.columns
        return other

    def rows(self, key: Key, asked: Mapping[str, Hashes]) -> pl.DataFrame:
        """Rows of a table that point to what is asked for: persons, events or addresses by the name of the column
        (``PERSON``: any column that points to a person)."""
        found = [
            column.of(asked[what])
            for name, column in self.columns.get(key, {}).items()
            if (what := PERSON if name in PERSON_COLUMNS else name) in asked
        ]
        rows = np.unique(np.concatenate(found)) if found else np.empty(0, np.int32)
        return self.tables[key][pl.Series(rows.astype(np.uint32))] if rows.size else self.empty[key]

    def bytes(self) -> int:
        """Memory of the tables and the index."""
        columns = [column for of in self.columns.values() for column in of.values()]
        return sum(int(frame.estimated_size()) for frame in self.tables.values()) + sum(
            column.hashes.nbytes + column.rows.nbytes for column in columns
        )


@dataclass(frozen=True)
class Around:
    """The rows around some persons: ``records`` (the record store, clusters as of the moment asked for), ``tables`` of
    the other two by store and name, and ``persons`` (whoever was asked for, with all their records)."""

    records: Records
    tables: Mapping[Key, pl.DataFrame]
    persons: frozenset[str]


class Apart:
    """Both stores of a load in memory. The load must be held ready (``features.home.Load.ready``)."""

    def __init__(self, load: Load) -> None:
        self._lock = Lock()
        self.load = load
        load.ready()
        self._take()
        hold(load, self.store)

    def _take(self) -> None:
        """Read everything anew."""
        live = self.load.live
        assert live is not None
        there = segments.read(self.load.path, STORES)
        self._appended = Appended(tuple(one for one in there.segments if one.number <= live.segment))
        base = {(store, name): frame for store in STORES for name, frame in stored(self.load, store).items()}
        gone = self._appended.restricted
        base = {key: segments.without(key[1], frame, gone) for key, frame in base.items()}
        for segment in self._appended.segments:
            base = _changed(base, segment)
        self._base = _Part(base)
        self._add()

    def _add(self) -> None:
        """Index what was added: all of it, since a later segment may end what an earlier one brought."""
        added: Tables = {}
        for key, frame in self._base.tables.items():
            spec = _spec(key)
            rows = self._appended.rows(*key) if spec is not None else None
            if spec is None or rows is None:
                continue
            rows = segments.ended(spec, rows.select(frame.columns), self._appended.ends(spec.name))
            added[key] = segments.without(key[1], rows, self._appended.restricted)
        self._extra = _Part(added) if added else None
        self._ties = indexed(self._set_apart())

    def _set_apart(self) -> dict[str, pl.DataFrame]:
        """What police set going themselves, under the names of the record store: these rows tie people too."""
        tables = {name: empty_rows(name) for name in (*OF_EVENT, "relationship")}
        for name in POINTERS:
            found = [part.tables.get(("audit", f"proactive_{name}")) for part in self._parts()]
            rows = [frame for frame in found if frame is not None]
            if rows:
                tables[name] = pl.concat(rows)
        return tables

    def _parts(self) -> list[_Part]:
        return [self._base, self._extra] if self._extra else [self._base]

    def refresh(self) -> bool:
        """Take in rows added to any of the three stores since, by whichever process; True when there were any."""
        with self._lock:
            changed = self.load.refresh()
            live, last = self.load.live, self._appended.segments[-1:]
            assert live is not None
            number = last[0].number if last else 0
            if live.segment <= number:
                return changed
            new = segments.read(self.load.path, STORES, after=number).segments
            new = tuple(one for one in new if one.number <= live.segment)
            if any(one.restricted.len() for one in new):
                self._take()
                return True
            tables = self._base.tables
            for segment in new:
                tables = _changed(tables, segment)
            self._base = self._base.holding(tables)
            self._appended = Appended((*self._appended.segments, *new))
            self._add()
            return True

    def store(self, name: str) -> dict[str, pl.DataFrame]:
        """A whole store as it now stands (rows that were added come last)."""
        with self._lock:
            parts = self._parts()
        return {
            key[1]: pl.concat([part.tables[key] for part in parts if key in part.tables])
            for key in parts[0].tables
            if key[0] == name
        }

    def bytes(self) -> int:
        """Memory of tables and indexes."""
        return sum(part.bytes() for part in self._parts()) + self._ties.bytes()

    def around(self, persons: Sequence[str], t: datetime, steps: int = 2) -> Around:
        """The rows around some persons, with the clusters of ``t``; nothing of them is hidden from any T but by its
        clocks. A row is there when it points to someone within ``steps`` ties of them, or to an event one of these
        is in; of everyone else whom such a row names there is what says who they are."""
        with self._lock:
            live = self.load.live
            assert live is not None
            held, parts, ties = live.held(t, self.load.records()), self._parts(), (self._ties,)
        near, events = held.reach(persons, steps, ties)
        events = held.with_childrens(events, ties)
        records = held.tables(near, events)
        asked = {PERSON: _hashes(near), EVENT: _hashes(events)}
        tables = {key: _gathered(parts, key, asked) for key in self._base.tables}
        named = held.members(near | named_in(records) | _named(tables))
        far = {PERSON: _hashes(named)}
        tables |= {key: _gathered(parts, key, far) for key in WHO}
        tables[PLACES] = _gathered(parts, PLACES, {ADDRESS: _hashes(_addresses(tables))})
        tables[WHOLE] = pl.concat([part.tables[WHOLE] for part in parts if WHOLE in part.tables])
        records["person"] = held.one("person", named)
        slice_ = replace(held.records, tables=records, links=held.links(named, known=True))
        return Around(slice_, tables, frozenset(held.members(set(persons))))


def _spec(key: Key) -> TableSpec | None:
    return None if key[1] in DERIVED else spec_behind(key[1])


def _changed(tables: Tables, segment: segments.Segment) -> Tables:
    """Tables of the load itself with what a segment ends or takes out; every row keeps its place."""
    out = dict(tables)
    for key, frame in tables.items():
        spec = _spec(key)
        if spec is None:
            continue
        ends, lifted = segment.ends.get(spec.name), segment.lifted.get(spec.name)
        if ends is not None and ends.height:
            out[key] = patched(out[key], ends, spec.key, False)
        if lifted is not None:
            out[key] = lifted_out(out[key], segments.places(spec, frame, lifted))
    return out


def _gathered(parts: Sequence[_Part], key: Key, asked: Mapping[str, Hashes]) -> pl.DataFrame:
    found = [part.rows(key, asked) for part in parts if key in part.tables]
    some = [frame for frame in found if frame.height]
    return some[0] if len(some) == 1 else pl.concat(some) if some else found[0]


def _named(tables: Mapping[Key, pl.DataFrame]) -> set[str]:
    """Everyone a row of these tables points to."""
    frames = [frame for frame in tables.values() if frame.height]
    return {p for f in frames for c in f.columns if c in PERSON_COLUMNS for p in f[c].to_list()} - {None}


def _addresses(tables: Mapping[Key, pl.DataFrame]) -> set[str]:
    frames = [frame for frame in tables.values() if frame.height and ADDRESS in frame.columns]
    return {a for frame in frames for a in frame[ADDRESS].to_list()} - {None}

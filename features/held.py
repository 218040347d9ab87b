"""Tables of records findable by person and by event: what answers a question about one person in milliseconds.

:class:`Index` numbers persons and events once and keeps, for each, the rows that name them; :class:`Held` is some of
these at one moment, together with who is who, and gathers the rows around a person (the cut of ``features.slices``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.clocks import ALWAYS
from features.nominals import CLUSTERS, Links
from features.records import Records
from features.slices import IN_EVENT, OF_EVENT, PAIRS, POINTERS

_NOBODY = pl.Series("", [], dtype=pl.String)
Rows = NDArray[np.int32]


@dataclass(frozen=True)
class _Lists:
    """For each of n things a list of numbers, end to end: those of thing i are items[starts[i]:starts[i + 1]]."""

    starts: NDArray[np.int64]
    items: Rows

    @classmethod
    def of(cls, n: int, things: NDArray[np.int64], items: NDArray[np.int64]) -> _Lists:
        """Pairs (thing, item), each kept once; a thing of -1 is nobody's."""
        there = (things >= 0) & (items >= 0)
        things, items = things[there], items[there]
        order = np.lexsort((items, things))
        things, items = things[order], items[order]
        first = np.ones(things.size, dtype=np.bool_)
        first[1:] = (things[1:] != things[:-1]) | (items[1:] != items[:-1])
        counts = np.bincount(things[first], minlength=n)
        return cls(np.concatenate(([0], np.cumsum(counts))), items[first].astype(np.int32))

    def all(self, things: Iterable[int]) -> Rows:
        """The numbers of several things, sorted, each once."""
        found = [self.items[self.starts[i] : self.starts[i + 1]] for i in things]
        return np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int32)


class Index:
    """Tables of the record store, findable by person and by event."""

    def __init__(self, tables: Mapping[str, pl.DataFrame]) -> None:
        self.tables = dict(tables)
        columns = [tables[t][c].rename("") for t, cs in POINTERS.items() if t in tables for c in cs]
        self.names, self._person = _numbered(columns)
        self.events, self._event = _numbered([tables[t]["event_id"].rename("") for t in OF_EVENT])
        self.rows = {t: self._rows(tables[t], POINTERS[t], self._person, len(self.names)) for t in tables}
        self.of_event = {
            t: self._rows(tables[t], ("event_id",), self._event, len(self.events)) for t in OF_EVENT
        }
        inside = [self._met(t, c) for t in IN_EVENT for c in POINTERS[t]]
        person, event = (np.concatenate(side) for side in zip(*inside, strict=True))
        self.attends = _Lists.of(len(self.names), person, event)
        company = [self._met(t, c) for t in ("offence", "involvement") for c in POINTERS[t]]
        person, event = (np.concatenate(side) for side in zip(*company, strict=True))
        self.company = _Lists.of(len(self.events), event, person)
        ties = [
            (self._codes(self._person, tables[t][a]), self._codes(self._person, tables[t][b]))
            for t in PAIRS
            if t in tables
            for a, b in (POINTERS[t], POINTERS[t][::-1])
        ]
        one, other = (np.concatenate(side) for side in zip(*ties, strict=True))
        self.tied = _Lists.of(len(self.names), one, other)
        children = tables["involvement"].filter(pl.col("role") == "child")["person_id"].unique()
        self.children = set(self._codes(self._person, children).tolist())

    @staticmethod
    def _codes(numbers: pl.DataFrame, column: pl.Series) -> NDArray[np.int64]:
        """A column of ids as numbers, -1 for null."""
        asked = pl.DataFrame({"id": column})
        met = asked.join(numbers, on="id", how="left", maintain_order="left")["n"]
        return met.fill_null(-1).to_numpy()

    def _rows(self, frame: pl.DataFrame, columns: Iterable[str], numbers: pl.DataFrame, n: int) -> _Lists:
        codes = [self._codes(numbers, frame[c]) for c in columns]
        rows = np.tile(np.arange(frame.height, dtype=np.int64), len(codes))
        return _Lists.of(n, np.concatenate(codes), rows)

    def _met(self, table: str, column: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        frame = self.tables[table]
        return self._codes(self._person, frame[column]), self._codes(self._event, frame["event_id"])

    def close(self) -> None:
        """Make lookups by name possible (last, since it takes the place of what building needed)."""
        self.person_at = {name: n for n, name in enumerate(self.names)}
        self.event_at = {name: n for n, name in enumerate(self.events)}
        del self._person, self._event

    def step(self, near: set[str], near_events: set[str]) -> set[str]:
        """Everyone one tie from ``near``, as far as these rows know; ``near_events``: events they are in."""
        people = [self.person_at[p] for p in near if p in self.person_at]
        company = self.company.all(self.event_at[e] for e in near_events if e in self.event_at)
        found = {self.names[i] for i in company} | {self.names[i] for i in self.tied.all(people)}
        return found

    def events_of(self, persons: Iterable[str]) -> set[str]:
        """Events that any of the persons is in."""
        found = self.attends.all(self.person_at[p] for p in persons if p in self.person_at)
        return {self.events[i] for i in found}

    def gathered(self, near: set[str], events: set[str]) -> dict[str, pl.DataFrame]:
        """Rows of these persons and of these events, table by table; tables without any are left out."""
        people = [self.person_at[p] for p in near if p in self.person_at]
        numbers = [self.event_at[e] for e in events if e in self.event_at]
        out = {}
        for name, lists in self.rows.items():
            found = lists.all(people)
            if name in self.of_event:
                found = np.union1d(found, self.of_event[name].all(numbers))
            if found.size:
                out[name] = self.tables[name][pl.Series(found.astype(np.uint32))]
        return out

    def holding(self, tables: Mapping[str, pl.DataFrame]) -> Index:
        """The same index over tables that differ in cells, not in rows."""
        other = copy(self)
        other.tables = dict(tables)
        return other

    def bytes(self) -> int:
        """Memory of the tables and the index, without Python's own books."""
        lists = [*self.rows.values(), *self.of_event.values(), self.attends, self.company, self.tied]
        return sum(int(f.estimated_size()) for f in self.tables.values()) + sum(
            part.starts.nbytes + part.items.nbytes for part in lists
        )


def _numbered(columns: list[pl.Series]) -> tuple[list[str], pl.DataFrame]:
    """All ids of some columns, and id -> number."""
    ids = pl.concat([_NOBODY, *columns]).drop_nulls().unique()
    return ids.to_list(), pl.DataFrame({"id": ids}).with_row_index("n").with_columns(
        pl.col("n").cast(pl.Int64)
    )


Who = tuple[pl.DataFrame, dict[str, tuple[str, float]], dict[str, list[str]]]
"""Who is who at one T: the clusters, (cluster, certainty) by record, and records by cluster."""


@dataclass(frozen=True)
class Held:
    """The records of one moment, findable; ``records`` says all about them but their rows, which are in ``parts``."""

    parts: tuple[Index, ...]
    records: Records
    who: Who | None

    def members(self, persons: set[str]) -> set[str]:
        """Persons and every record that stands for one of them."""
        if self.who is None:
            return persons
        _, by_record, members = self.who
        return persons.union(*(members[by_record[p][0]] for p in persons if p in by_record))

    def reach(
        self, persons: Iterable[str], steps: int = 2, more: tuple[Index, ...] = ()
    ) -> tuple[set[str], set[str]]:
        """Everyone within some ties of ``persons`` (``features.slices.within``), and the events any of them is in;
        ``more``: rows kept elsewhere that tie people too."""
        parts = (*self.parts, *more)
        near = self.members(set(persons))
        for _ in range(steps):
            events = _events_of(parts, near)
            found = near.union(*(part.step(near, events) for part in parts))
            theirs = _events_of(parts, self._children(parts, found))
            found = self.members(found.union(*(part.step(set(), theirs) for part in parts)))
            if found == near:
                break
            near = found
        return near, _events_of(parts, near)

    def with_childrens(self, events: set[str], more: tuple[Index, ...] = ()) -> set[str]:
        """Events, and every event of a child who is in one of them: that ties two people who never met in one."""
        parts = (*self.parts, *more)
        company = set().union(*(part.step(set(), events) for part in parts))
        return events | _events_of(parts, self._children(parts, company))

    def _children(self, parts: tuple[Index, ...], persons: set[str]) -> set[str]:
        """Those of some persons who are a child in an event, under whichever of their records."""
        found = {
            p for p in self.members(persons) for part in parts if part.person_at.get(p, -1) in part.children
        }
        return self.members(found)

    def one(self, name: str, persons: set[str]) -> pl.DataFrame:
        """The rows of one table that name any of these persons."""
        asked = [[part.person_at[p] for p in persons if p in part.person_at] for part in self.parts]
        pairs = zip(self.parts, asked, strict=True)
        return pl.concat([part.tables[name][part.rows[name].all(people)] for part, people in pairs])

    def tables(self, near: set[str], events: set[str]) -> dict[str, pl.DataFrame]:
        """The rows of these persons and of these events, table by table."""
        gathered = [part.gathered(near, events) for part in self.parts]
        out = {}
        for name, frame in self.parts[0].tables.items():
            some = [g[name] for g in gathered if name in g]
            out[name] = some[0] if len(some) == 1 else pl.concat(some) if some else frame.clear()
        return out

    def links(self, named: set[str], known: bool = False) -> Links | None:
        """Links that give the clusters of T for some persons, without working them out again; ``known``: and that say
        which of them were compared at all."""
        links = self.records.links
        if links is None or self.who is None:
            return None
        rows = sorted((p, *self.who[1][p]) for p in named if p in self.who[1])
        # who belongs together, for a cut
        pairs = [(p, cluster, -1.0, ALWAYS) for p, cluster, _ in rows if p != cluster]
        compared = [(p, links.first_known[p]) for p in sorted(named & links.known)] if known else []
        fixed = Links(
            pl.DataFrame(pairs, schema=links.pairs.schema, orient="row"),
            links.threshold,
            links.decisions.clear(),
            links.run_id,
            links.apart.clear(),
            pl.DataFrame(compared, schema=links.persons.schema, orient="row"),
        )
        fixed._remembered[0] = pl.DataFrame(rows, schema=CLUSTERS, orient="row")
        return fixed


def _events_of(parts: Iterable[Index], persons: set[str]) -> set[str]:
    return set().union(*(part.events_of(persons) for part in parts))


def named_in(tables: Mapping[str, pl.DataFrame]) -> set[str]:
    """Everyone a row of these tables of the record store points to."""
    columns = [frame[c] for name, frame in tables.items() if frame.height for c in POINTERS[name]]
    return {p for column in columns for p in column.to_list()}


def indexed(tables: Mapping[str, pl.DataFrame]) -> Index:
    index = Index(tables)
    index.close()
    return index

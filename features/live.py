"""The records held ready for questions about single persons, with what is added during the day.

:class:`Live` reads a load once and indexes it: who is in which event, who is tied to whom, which rows are whose. A
question about a person then gathers the few dozen rows that matter (the cut of ``features.slices``, by index instead
of by search) as a record store of its own, on which cohort, histories and scores are computed by the same functions
as for a whole force. :meth:`Live.refresh` takes in segments that this or another process has added since
(``features.segments``): their rows stand beside the indexed ones, with an index of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from threading import Lock

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features import segments
from features.clocks import ALWAYS
from features.harm import load_scheme, price
from features.linkage.store import relinked
from features.nominals import CLUSTERS, Links, clusters_at
from features.records import Records
from features.schema import UTC_TIME, spec_of
from features.segments import AT
from features.slices import IN_EVENT, OF_EVENT, PAIRS, POINTERS

PRICED = ("offence", "conviction")
_UNUSED_PRICES = ("harm_assumed", "harm_basis", "harm_shared")
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


class _Index:
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
                out[name] = self.tables[name][found]
        return out

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


class Live:
    """A load in memory, ready for questions about single persons at any T, and following what is added to it."""

    def __init__(self, records: Records, path: Path | None = None) -> None:
        """``records``: the record store. ``path``: the load's folder, where segments are looked for; None: nowhere."""
        self._lock = Lock()
        self.path = path
        self._take(records)

    def _take(self, records: Records) -> None:
        self._records = records
        self._digests, self.segment = self._held(records)
        self._base = _indexed({name: _with_price(name, frame) for name, frame in records.tables.items()})
        self._added: dict[str, pl.DataFrame] = {
            name: frame.clear() for name, frame in self._base.tables.items()
        }
        self._extra: _Index | None = None
        self._who: tuple[pl.DataFrame, dict[str, tuple[str, float]], dict[str, list[str]]] | None = None

    def _held(self, records: Records) -> tuple[list[str], int]:
        """Which segments these records already hold: their digests and the last number. Others that have come since
        they were read are taken in by the next :meth:`refresh`."""
        there = segments.digests(self.path) if self.path else []
        for many in range(len(there), 0, -1):
            if self.path and segments.together(there[:many]) == records.appended:
                return there[:many], segments.numbers(self.path)[many - 1]
        return [], 0

    def bytes(self) -> int:
        """Memory of tables and indexes."""
        return self._base.bytes() + (self._extra.bytes() if self._extra else 0)

    # -- what was added ----------------------------------------------------------------------------------------

    def refresh(self) -> bool:
        """Take in segments written since, by whichever process; True when there were any.

        A few milliseconds a segment. A restriction takes the load in again from the disk: whoever it is about must be
        gone from every row.
        """
        if self.path is None:
            return False
        with self._lock:
            there = segments.numbers(self.path)
            if not there or there[-1] <= self.segment:
                return False
            new = segments.read(self.path, after=self.segment)
            records = self._records
            if new.restricted.len():
                fresh = Records.open(self.path)
                self._take(self._linked(replace(fresh, links=records.links, catalogue=records.catalogue)))
                return True
            for segment in new.segments:  # one by one: a later one may end what an earlier one brought
                self._add(segment)
            self._extra = _indexed(self._added)
            self._digests += [segment.digest for segment in new.segments]
            appended = segments.together(self._digests)
            self._records = replace(records, missing=new.missing(records.missing), appended=appended)
            self._records = replace(self._records, links=self._linked(self.records()).links)
            self.segment = new.segments[-1].number
            return True

    def _linked(self, records: Records) -> Records:
        """Records that changed, with who is who among them now: nobody who is gone, and no two known to be two."""
        assert self.path is not None
        return relinked(records, self.path.parent.parent, self.path.name)

    def _add(self, segment: segments.Segment) -> None:
        tables = dict(self._base.tables)
        for name in tables:
            spec, household = spec_of(name), name == "household"
            ends = pl.DataFrame(segment.households_of) if household else segment.ends.get(name)
            if ends is not None and ends.height:
                tables[name] = _patched(tables[name], ends, spec.key, household)
                self._added[name] = _patched(self._added[name], ends, spec.key, household)
            if (lifted := segment.lifted.get(name)) is not None:
                tables[name] = _lifted(tables[name], segments.places(spec, tables[name], lifted))
                self._added[name] = segments.taken_out(spec, self._added[name], lifted)
            rows = segment.added.get(("records", name))
            if rows is not None:
                rows = _with_price(name, rows).select(tables[name].columns)
                self._added[name] = pl.concat([self._added[name], rows])
        self._base.tables = tables

    def records(self) -> Records:
        """The whole record store as it now stands (rows that were added come last)."""
        if self._extra is None:
            return self._records
        tables = {n: pl.concat([f, self._added[n]]) for n, f in self._base.tables.items()}
        return replace(self._records, tables=tables)

    # -- questions -----------------------------------------------------------------------------------------------

    def around(
        self, persons: Iterable[str], t: datetime, steps: int = 2, like: Records | None = None
    ) -> Records:
        """The rows that can matter to ``persons`` at ``t``, as a record store: what ``features.slices.around`` cuts,
        with the clusters of ``t`` where nominals were linked. Nothing of it is hidden from any T but by its clocks.
        ``like``: take links and declared features from these records, not from those this was built of."""
        with self._lock:
            parts = [self._base] + ([self._extra] if self._extra else [])
            records = self._records
            if like is not None:
                records = replace(records, links=like.links, catalogue=like.catalogue)
            who = self._clusters(records.links, t)
        near = _with_members(set(persons), who)
        for _ in range(steps):
            events = set().union(*(part.events_of(near) for part in parts))
            found = near.union(*(part.step(near, events) for part in parts))
            kids = {p for p in found for part in parts if part.person_at.get(p, -1) in part.children}
            theirs = set().union(*(part.events_of(kids) for part in parts))
            found = _with_members(found.union(*(part.step(set(), theirs) for part in parts)), who)
            if found == near:
                break
            near = found
        events = set().union(*(part.events_of(near) for part in parts))
        gathered = [part.gathered(near, events) for part in parts]
        tables = {}
        for name, frame in self._base.tables.items():
            some = [g[name] for g in gathered if name in g]
            tables[name] = some[0] if len(some) == 1 else pl.concat(some) if some else frame.clear()
        return replace(records, tables=tables, links=_fixed(records.links, tables, who))

    def _clusters(
        self, links: Links | None, t: datetime
    ) -> tuple[pl.DataFrame, dict[str, tuple[str, float]], dict[str, list[str]]] | None:
        """Clusters at T, as a frame, by record and by cluster; kept while they stay the same."""
        if links is None:
            return None
        frame = clusters_at(links, t)
        if self._who is None or self._who[0] is not frame:
            by_record = {p: (c, s) for p, c, s in frame.iter_rows()}
            members: dict[str, list[str]] = {}
            for record, (cluster, _) in by_record.items():
                members.setdefault(cluster, []).append(record)
            self._who = (frame, by_record, members)
        return self._who


_Who = tuple[pl.DataFrame, dict[str, tuple[str, float]], dict[str, list[str]]]


def _with_members(persons: set[str], who: _Who | None) -> set[str]:
    """Persons and every record that stands for one of them."""
    if who is None:
        return persons
    _, by_record, members = who
    return persons.union(*(members[by_record[p][0]] for p in persons if p in by_record))


def _fixed(links: Links | None, tables: Mapping[str, pl.DataFrame], who: _Who | None) -> Links | None:
    """Links that give the clusters of one T for the persons of a slice, without working them out again."""
    if links is None or who is None:
        return None
    named = {
        p
        for name, frame in tables.items()
        for c in POINTERS[name]
        if frame.height
        for p in frame[c].to_list()
    }
    rows = sorted((p, *who[1][p]) for p in named if p in who[1])
    pairs = [
        (p, cluster, -1.0, ALWAYS) for p, cluster, _ in rows if p != cluster
    ]  # who belongs together, for a cut
    fixed = Links(
        pl.DataFrame(pairs, schema=links.pairs.schema, orient="row"),
        links.threshold,
        links.decisions.clear(),
        links.run_id,
        links.apart.clear(),
        links.persons.clear(),
    )
    fixed._remembered[0] = pl.DataFrame(rows, schema=CLUSTERS, orient="row")
    return fixed


def _indexed(tables: Mapping[str, pl.DataFrame]) -> _Index:
    index = _Index(tables)
    index.close()
    return index


def _with_price(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Offences and convictions with their harm: it depends on the row alone."""
    if name not in PRICED or "tags" in frame.columns:
        return frame
    return price(frame, load_scheme()).drop(_UNUSED_PRICES, strict=False)


def _lifted(frame: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    """Versions taken out: they end as they begin and are never seen again (rows of the index keep their places)."""
    if rows.is_empty():
        return frame
    known_to = frame["known_to"].clone()
    return frame.with_columns(known_to=known_to.scatter(rows, frame["known_from"][rows]))


def _patched(frame: pl.DataFrame, ends: pl.DataFrame, key: tuple[str, ...], by_person: bool) -> pl.DataFrame:
    """Versions ended by new boundaries. A household that is said anew ends as it begins: it is never seen again."""
    if frame.is_empty():
        return frame
    first = ("person_id_a", "person_id_b") if by_person else key[:1]
    asked = ends.to_series().implode() if by_person else ends[key[0]].unique().implode()
    rows = frame.with_row_index("_row").filter(pl.any_horizontal(pl.col(c).is_in(asked) for c in first))
    if rows.is_empty():
        return frame
    if by_person:
        ended = rows.with_columns(known_to="known_from")
    else:
        met = rows.select("_row", *key, "known_from").join(ends, on=key, nulls_equal=True)
        at = met.filter(pl.col(AT) > pl.col("known_from")).group_by("_row").agg(pl.col(AT).min())
        ended = rows.join(at, on="_row").with_columns(known_to=pl.min_horizontal("known_to", AT))
    known_to = frame["known_to"].clone()
    known_to = known_to.scatter(ended["_row"], ended["known_to"].cast(UTC_TIME))
    return frame.with_columns(known_to=known_to)

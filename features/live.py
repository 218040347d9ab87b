"""The records held ready for questions about single persons, with what is added during the day.

:class:`Live` reads a load once and indexes it: who is in which event, who is tied to whom, which rows are whose. A
question about a person then gathers the few dozen rows that matter (the cut of ``features.slices``, by index instead
of by search) as a record store of its own, on which cohort, histories and scores are computed by the same functions
as for a whole force. :meth:`Live.refresh` takes in segments that this or another process has added since
(``features.segments``): their rows stand beside the indexed ones, with an index of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from threading import Lock

import polars as pl

from features import segments
from features.harm import load_scheme, price
from features.held import Held, Index, Who, indexed, named_in
from features.linkage.store import relinked
from features.nominals import Links, clusters_at
from features.records import Records
from features.schema import UTC_TIME, spec_of
from features.segments import AT

PRICED = ("offence", "conviction")
_UNUSED_PRICES = ("harm_assumed", "harm_basis", "harm_shared")


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
        self._base = indexed({name: _with_price(name, frame) for name, frame in records.tables.items()})
        self._added: dict[str, pl.DataFrame] = {
            name: frame.clear() for name, frame in self._base.tables.items()
        }
        self._extra: Index | None = None
        self._who: Who | None = None

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
            self._extra = indexed(self._added)
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
                tables[name] = patched(tables[name], ends, spec.key, household)
                self._added[name] = patched(self._added[name], ends, spec.key, household)
            if (lifted := segment.lifted.get(name)) is not None:
                tables[name] = lifted_out(tables[name], segments.places(spec, tables[name], lifted))
                self._added[name] = segments.taken_out(spec, self._added[name], lifted)
            rows = segment.added.get(("records", name))
            if rows is not None:
                rows = _with_price(name, rows).select(tables[name].columns)
                self._added[name] = pl.concat([self._added[name], rows])
        self._base = self._base.holding(tables)  # who is answering still holds the tables as they were

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
        held = self.held(t, like)
        near, events = held.reach(persons, steps)
        tables = held.tables(near, events)
        return replace(held.records, tables=tables, links=held.links(named_in(tables)))

    def held(self, t: datetime, like: Records | None = None) -> Held:
        """What is held at this moment, with who is who as of ``t``; rows added later are not in it."""
        with self._lock:
            parts = (self._base, self._extra) if self._extra else (self._base,)
            records = self._records
            if like is not None:
                records = replace(records, links=like.links, catalogue=like.catalogue)
            return Held(parts, records, self._clusters(records.links, t))

    def _clusters(self, links: Links | None, t: datetime) -> Who | None:
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


def _with_price(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Offences and convictions with their harm: it depends on the row alone."""
    if name not in PRICED or "tags" in frame.columns:
        return frame
    return price(frame, load_scheme()).drop(_UNUSED_PRICES, strict=False)


def lifted_out(frame: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    """Versions taken out: they end as they begin and are never seen again (rows of the index keep their places)."""
    if rows.is_empty():
        return frame
    known_to = frame["known_to"].clone()
    return frame.with_columns(known_to=known_to.scatter(rows, frame["known_from"][rows]))


def patched(frame: pl.DataFrame, ends: pl.DataFrame, key: tuple[str, ...], by_person: bool) -> pl.DataFrame:
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

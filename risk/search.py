"""Finding a person: by a name (misspelt, turned round, short, an alias, its beginning), birth date, district, address
or reference; or an event or call by its reference.

``Search`` holds an index of the load in memory and follows what is added to it. Records that stand for one person are
one answer; two persons with one name are two. Nobody whose record is open to named users only is found, but by those
for whom it was opened; whoever is restricted by law is in no index.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Lock

import numpy as np
import polars as pl

from features import segments
from features.home import Load
from features.nominals import PERSON_COLUMNS
from risk.search_answer import Answering, Found, Hit, Part, Place, Referred
from risk.search_index import Index
from risk.search_text import Asked
from risk.settings import settings
from risk.view import View

__all__ = ["Found", "Hit", "Place", "Referred", "Search", "Views"]

Views = Callable[[Sequence[str]], View]


class Search:
    """The search of one load. Build it where a wait of seconds is acceptable; :meth:`follow` is cheap."""

    def __init__(self, load: Load, t: datetime) -> None:
        """Everything of the load as known at ``t``."""
        self._lock = Lock()
        self._build(load, t)

    def _build(self, load: Load, t: datetime) -> None:
        self.load_id = load.load_id
        there = segments.numbers(load.path)
        view = View(load, t)
        index = Index(view)
        self._segment, self._clusters = (there[-1] if there else 0), view.clusters
        self._changed: set[str] = set()
        self._base = index
        self._parts: tuple[Part, ...] = (Part.of(index, np.zeros(index.count, dtype=np.bool_)),)

    @property
    def count(self) -> int:
        """Records in the index."""
        return self._base.count

    def bytes(self) -> int:
        """Memory of the index, about."""
        return sum(part.index.bytes() for part in self._parts)

    # -- following ---------------------------------------------------------------------------------------------

    def follow(self, load: Load, t: datetime, around: Views) -> bool:
        """Take in what was added to the load, and links that have changed, since the last call; True when there was
        any. ``around``: a view that answers about some persons. A fraction of a second; a load replaced by another, or
        very much added, is indexed anew."""
        with self._lock:
            if load.load_id != self.load_id:
                self._build(load, t)
                return True
            numbers = segments.numbers(load.path)
            clusters = View(load, t).clusters
            if (not numbers or numbers[-1] <= self._segment) and clusters is self._clusters:
                return False
            added = segments.read(load.path, segments.STORES, after=self._segment)
            touched = self._touched(added) | _regrouped(self._clusters, clusters)
            touched = _whole(touched, self._clusters, clusters)
            changed = self._changed | touched
            if len(changed) > int(settings("search")["limits"]["anew"]):
                self._build(load, t)
                return True
            changed = _whole(changed, self._clusters, clusters)
            if changed:
                few = Index(around(sorted(changed)), sorted(changed))
                gone = self._base.ids.is_in(sorted(changed)).to_numpy()
                self._parts = (
                    Part.of(few, np.zeros(few.count, dtype=np.bool_)),
                    Part.of(self._base, gone),
                )
            self._changed, self._clusters = changed, clusters
            if added.segments:
                self._segment = added.segments[-1].number
            return True

    def _touched(self, added: segments.Appended) -> set[str]:
        """Records about which the segments say something: named in their rows, in events they speak of, or living at
        addresses they change."""
        persons: set[str] = set(added.restricted.to_list())
        events: set[str] = set()
        addresses: set[str] = set()
        for segment in added.segments:
            persons.update(segment.households_of.to_list())
            frames = [*segment.added.items(), *segment.ends.items(), *segment.lifted.items()]
            for name, frame in frames:
                for column in PERSON_COLUMNS.intersection(frame.columns):
                    persons.update(frame[column].drop_nulls().to_list())
                if "event_id" in frame.columns:
                    events.update(frame["event_id"].drop_nulls().to_list())
                if name == "address" or name == ("identity", "address"):
                    addresses.update(frame["address_id"].to_list())
        events |= self._beside(added)
        for part in self._parts:
            index = part.index
            numbers = index.references.numbers(events)
            near = [index.references.parts.all(numbers) // 2, index.places.residents(addresses)]
            for found in near:
                persons.update(index.ids.gather(np.unique(found)).to_list())
        return persons

    def _beside(self, added: segments.Appended) -> set[str]:
        """Events of everyone whose own record is said anew: it may have been opened or closed, and with it those found
        beside them."""
        said: set[str] = set()
        for segment in added.segments:
            for (_, name), frame in segment.added.items():
                if name == "person":
                    said.update(frame["person_id"].to_list())
        events: set[str] = set()
        for part in self._parts:
            known = np.flatnonzero(part.index.ids.is_in(list(said)).to_numpy())
            theirs = part.index.references.person_events.all(part.index.cluster[known])
            events.update(part.index.references.events.gather(np.unique(theirs)).to_list())
        return events

    def find(self, asked: Asked, everyone: bool, opened: frozenset[str] = frozenset()) -> Found:
        """Answer a search. ``everyone``: also persons never recorded as a suspect (for who may open a before-attending
        sheet, which names them); ``opened``: references of closed records opened for this reader now."""
        return Answering(self._parts, asked, everyone, opened).found()


def _regrouped(before: pl.DataFrame, now: pl.DataFrame) -> set[str]:
    """Records that stand for another person than before."""
    if before is now:
        return set()
    both = ["person_id", "cluster_id"]
    moved = pl.concat(
        [
            before.join(now, on=both, how="anti")["person_id"],
            now.join(before, on=both, how="anti")["person_id"],
        ]
    )
    return set(moved.to_list())


def _whole(persons: set[str], *clusters: pl.DataFrame) -> set[str]:
    """Some records with every record of the same persons, before and now."""
    out = set(persons)
    while True:
        size = len(out)
        for frame in clusters:
            theirs = frame.filter(pl.col("person_id").is_in(list(out)))["cluster_id"].unique().implode()
            out.update(frame.filter(pl.col("cluster_id").is_in(theirs))["person_id"].to_list())
        if len(out) == size:
            return out

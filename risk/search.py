"""Finding a person: by a name (misspelt, turned round, short, an alias, its beginning), birth date, district, address
or reference; or an event or call by its reference.

``Search`` holds an index of the load in memory and follows what is added to it. Records that stand for one person are
one answer; two persons with one name are two. Nobody whose record is open to named users only is found, but by those
for whom it was opened; whoever is restricted by law is in no index.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from threading import Lock

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features import segments
from features.home import Load
from features.nominals import PERSON_COLUMNS
from risk.search_index import EPOCH, Index
from risk.search_references import CALL, EVENT, NEVER, PERSON, Met
from risk.search_say import agreement, known_as, named
from risk.search_text import Asked
from risk.search_weigh import weigh
from risk.settings import settings
from risk.view import View

Views = Callable[[Sequence[str]], View]
NAMED_IN = 3
"""Events shown of a person who was never a suspect: the way to the sheet about whoever was."""


@dataclass(frozen=True)
class Place:
    """An event somebody is named in, with the references of its suspects."""

    event_id: str
    reference: str
    at: datetime | None
    suspects: tuple[str, ...]


@dataclass(frozen=True)
class Hit:
    """A person found.

    ``suspect``: ever recorded as one, so that there is a page and a sheet; of anybody else neither district nor address
    is said (``of_district`` is for permissions alone). ``agrees``: how they fit what was asked, in words.
    ``namesakes``: others on the answer with the same name. ``cost``: how far from what was asked (0: as recorded).
    ``named_in``: events, for those who were never a suspect.
    """

    person_id: str
    name: str
    known_as: tuple[str, ...]
    born: date | None
    of_district: str | None
    suspect: bool
    last: date | None
    records: int
    agrees: tuple[str, ...]
    cost: float
    namesakes: int = 0
    named_in: tuple[Place, ...] = ()

    @property
    def district(self) -> str | None:
        """The district to show: a suspect's."""
        return self.of_district if self.suspect else None


@dataclass(frozen=True)
class Referred:
    """An event or a call found by its reference, with its suspects."""

    kind: str
    reference: str
    at: datetime | None
    event_id: str | None
    call_id: str | None
    persons: tuple[Hit, ...]


@dataclass(frozen=True)
class Found:
    """An answer: ``referred`` by reference, ``hits`` likeliest first, ``more`` persons beyond those shown."""

    asked: Asked
    referred: tuple[Referred, ...]
    hits: tuple[Hit, ...]
    more: int = 0

    @property
    def persons(self) -> list[str]:
        """References of everyone the answer names, for the audit trail."""
        named = [hit.person_id for hit in self.hits]
        for one in self.referred:
            named += [hit.person_id for hit in one.persons]
        for hit in self.hits:
            named += [suspect for place in hit.named_in for suspect in place.suspects]
        return list(dict.fromkeys(named))


@dataclass(frozen=True)
class _Part:
    """An index with what is passed over in it: ``gone`` persons, said anew in a later part."""

    index: Index
    gone: NDArray[np.bool_]
    left_out: NDArray[np.bool_]
    not_acting: NDArray[np.bool_]

    @classmethod
    def of(cls, index: Index, gone: NDArray[np.bool_]) -> _Part:
        not_acting = ~index.suspect[index.cluster[index.person]]
        return cls(index, gone, index.shut | gone[index.person], not_acting)

    def passed_over(self, everyone: bool, opened: frozenset[str]) -> NDArray[np.bool_]:
        """Ways of being known that this reader is not shown."""
        out = self.left_out
        if opened:
            known = self.index.ids.is_in(list(opened)).to_numpy()
            heads = np.unique(self.index.cluster[known])
            out = out.copy()
            ways = self.index.ways_of(self.index.members.all(heads))
            out[ways] = self.gone[self.index.person[ways]]
        return out if everyone else out | self.not_acting


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
        self._parts: tuple[_Part, ...] = (_Part.of(index, np.zeros(index.count, dtype=np.bool_)),)

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
        any. ``around``: a view that answers about some persons. Milliseconds; a load replaced by another, or very much
        added, is indexed anew."""
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
                    _Part.of(few, np.zeros(few.count, dtype=np.bool_)),
                    _Part.of(self._base, gone),
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
        for part in self._parts:
            index = part.index
            numbers = index.references.numbers(events)
            near = [index.references.parts.all(numbers) // 2, index.places.residents(addresses)]
            for found in near:
                persons.update(index.ids.gather(np.unique(found)).to_list())
        return persons

    # -- answering ---------------------------------------------------------------------------------------------

    def find(self, asked: Asked, everyone: bool, opened: frozenset[str] = frozenset()) -> Found:
        """Answer a search. ``everyone``: also persons never recorded as a suspect (for who may open a before-attending
        sheet, which names them); ``opened``: references of closed records opened for this reader now."""
        parts = self._parts
        referred, by_reference = self._referred(parts, asked, everyone, opened)
        found: list[tuple[float, int, Hit]] = []
        many = 0
        shown = int(settings("search")["limits"]["shown"])
        if asked.words or asked.place or asked.postcode or (asked.birth and asked.birth.day):
            best = None
            for part in parts:
                weighed = weigh(part.index, asked, part.passed_over(everyone, opened))
                many += weighed.heads.size
                for at in range(min(shown, weighed.heads.size)):
                    head = int(weighed.heads[at])
                    said = agreement(part.index, asked, weighed, at)
                    hit = _hit(
                        part.index, head, int(weighed.name_way[at]), said, int(weighed.costs[at]), asked
                    )
                    found.append((hit.cost, -int(part.index.last[head]), hit))
        found.sort(key=lambda one: one[:2])
        if found:
            window = float(settings("search")["limits"]["window"])
            best = found[0][0]
            near = [one for one in found if one[0] <= best + window]
            many -= len(found) - len(near)
            found = near
        hits = by_reference + [hit for _, _, hit in found[:shown]]
        hits = list({hit.person_id: hit for hit in reversed(hits)}.values())[::-1]
        hits = [hit if hit.suspect else replace(hit, named_in=_named_in(parts, hit, opened)) for hit in hits]
        return Found(asked, tuple(referred), _told_apart(hits), max(0, many - min(many, shown)))

    def _referred(
        self, parts: tuple[_Part, ...], asked: Asked, everyone: bool, opened: frozenset[str]
    ) -> tuple[list[Referred], list[Hit]]:
        """Events and calls, and persons, that go by the reference asked for."""
        if asked.reference is None:
            return [], []
        events: dict[tuple[str, str], tuple[Met, dict[str, Hit], bool]] = {}
        persons: dict[str, Hit] = {}
        for part in parts:
            hidden = part.passed_over(True, opened)
            for met in part.index.references.met(asked.reference):
                acting = {}
                for number in met.acting:
                    way = int(part.index.ways[number][0])
                    if not hidden[way]:
                        hit = _hit(part.index, number, way, (), 0, asked)
                        acting[hit.person_id] = hit
                if met.kind == PERSON:
                    for hit in acting.values():
                        if everyone or hit.suspect:
                            persons.setdefault(hit.person_id, replace(hit, agrees=("its reference",)))
                    continue
                whole = (
                    all(part.gone[number] for number in (*met.acting, *met.others)) and part is not parts[0]
                )
                before = events.get((met.kind, met.key))
                closed = bool(met.acting) and not acting and not whole
                if before is None:
                    if not (whole and (met.acting or met.others)):
                        events[met.kind, met.key] = (met, acting, closed)
                else:
                    events[met.kind, met.key] = (before[0], before[1] | acting, before[2] or closed)
        out = [
            Referred(
                met.kind,
                met.reference,
                met.at,
                met.event_id,
                met.key if met.kind == CALL else None,
                tuple(acting.values()),
            )
            for met, acting, closed in events.values()
            if acting or not closed  # an event of closed records alone is answered like one that is not there
        ]
        return sorted(out, key=lambda one: (one.kind, one.reference)), list(persons.values())


def _hit(index: Index, number: int, way: int, agrees: tuple[str, ...], cost: int, asked: Asked) -> Hit:
    head = int(index.cluster[number])
    suspect = bool(index.suspect[head])
    last = int(index.last[head])
    district = int(index.district[head])
    own = [int(one) for one in index.ways_of(index.members[head]) if not index.alias[one]]
    mine = way if not index.alias[way] else int(index.ways[int(index.person[way])][0])
    births = [index.day_of(one) for one in (way, mine, *own)]
    born = next((day for day in births if day is not None), None)
    return Hit(
        person_id=str(index.ids[head]),
        name=named(index, mine),
        known_as=known_as(index, head, mine),
        born=born,
        of_district=index.districts[district] if district >= 0 else None,
        suspect=suspect,
        last=None if last == NEVER else EPOCH + timedelta(days=last),
        records=index.members[head].size,
        agrees=agrees,
        cost=cost / 20,
    )


def _named_in(parts: tuple[_Part, ...], hit: Hit, opened: frozenset[str]) -> tuple[Place, ...]:
    """The newest events somebody is in. Who is suspected in one is asked of every part: each knows its own persons."""
    newest: list[Met] = []
    for part in parts:
        index = part.index
        at = index.ids.search_sorted(hit.person_id)
        if at < index.count and index.ids[at] == hit.person_id and not part.gone[at]:
            head = int(index.cluster[at])
            numbers = index.references.person_events[head][:NAMED_IN]
            newest = [index.references.event(int(number)) for number in numbers]
    out = []
    for event in newest:
        suspects: list[str] = []
        for part in parts:
            hidden = part.passed_over(True, opened)
            for met in part.index.references.met(str(event.event_id)):
                if met.kind == EVENT and met.event_id == event.event_id:
                    seen = [one for one in met.acting if not hidden[int(part.index.ways[one][0])]]
                    suspects += [str(part.index.ids[int(part.index.cluster[one])]) for one in seen]
        out.append(Place(str(event.event_id), event.reference, event.at, tuple(dict.fromkeys(suspects))))
    return tuple(out)


def _told_apart(hits: list[Hit]) -> tuple[Hit, ...]:
    """Each with the number of others of the same name."""
    counts: dict[str, int] = {}
    for hit in hits:
        counts[hit.name.casefold()] = counts.get(hit.name.casefold(), 0) + 1
    return tuple(replace(hit, namesakes=counts[hit.name.casefold()] - 1) for hit in hits)


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

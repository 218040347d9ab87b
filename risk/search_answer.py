"""Answering a search from one index or several: whom a reader is shown, in which order, and how they fit.

One part is the index of the whole force; a small one before it says anew whoever was changed since.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from risk.search_index import EPOCH, Index
from risk.search_references import CALL, NEVER, PERSON, Met
from risk.search_say import agreement, known_as, named
from risk.search_text import Asked
from risk.search_weigh import weigh, window
from risk.search_words import UNIT
from risk.settings import settings

NAMED_IN = 3
"""Events shown of a person who was never a suspect: the way to the sheet about whoever was."""
_Hidden = NDArray[np.bool_]


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
class Part:
    """An index with what is passed over in it: ``gone`` persons, said anew in another part; ``left_out`` ways of being
    known that nobody is shown unasked; ``not_acting`` those of persons never recorded as a suspect."""

    index: Index
    gone: NDArray[np.bool_]
    left_out: NDArray[np.bool_]
    not_acting: NDArray[np.bool_]

    @classmethod
    def of(cls, index: Index, gone: NDArray[np.bool_]) -> Part:
        not_acting = ~index.suspect[index.cluster[index.person]]
        return cls(index, gone, index.shut | gone[index.person], not_acting)

    def passed_over(self, opened: frozenset[str]) -> NDArray[np.bool_]:
        """Ways of being known that are not shown to a reader for whom these closed records were opened."""
        out = self.left_out
        if opened:
            known = self.index.ids.is_in(list(opened)).to_numpy()
            heads = np.unique(self.index.cluster[known])
            out = out.copy()
            ways = self.index.ways_of(self.index.members.all(heads))
            out[ways] = self.gone[self.index.person[ways]]
        beside = [number for number, whom in self.index.beside.items() if not whom & opened]
        if beside:
            heads = np.unique(self.index.cluster[beside])
            heads = heads[~self.index.suspect[heads]]
            out = out.copy()
            out[self.index.ways_of(self.index.members.all(heads))] = True
        return out


@dataclass(frozen=True)
class _Best:
    """A person found in a part, before it is decided who is shown. ``order``: cost, then the newest event first."""

    hit: Hit
    part: int
    head: int
    order: tuple[float, int] = (0.0, 0)


class Answering:
    """One search answered for one reader."""

    def __init__(self, parts: tuple[Part, ...], asked: Asked, everyone: bool, opened: frozenset[str]) -> None:
        """``everyone``: also persons never recorded as a suspect; ``opened``: closed records opened for the reader."""
        self._parts, self._asked, self._everyone = parts, asked, everyone
        self._hidden: list[_Hidden] = [part.passed_over(opened) for part in parts]

    def found(self) -> Found:
        """The answer."""
        referred, best = self._referred()
        shown, more = self._weighed()
        every = {one.hit.person_id: one for one in [*shown, *reversed(best)]}
        order = [*dict.fromkeys(one.hit.person_id for one in [*best, *shown])]
        hits = self._with_events([every[person] for person in order])
        return Found(self._asked, tuple(referred), _told_apart(hits), more)

    def _weighed(self) -> tuple[list[_Best], int]:
        """Whom name, birth date, district or address may mean, likeliest first, and how many more there are."""
        asked = self._asked
        if not (asked.words or asked.place or asked.postcode or (asked.birth and asked.birth.day)):
            return [], 0
        most = int(settings("search")["limits"]["shown"])
        best: list[_Best] = []
        costs: list[int] = []
        for number, part in enumerate(self._parts):
            index, hidden = part.index, self._hidden[number]
            weighed = weigh(index, asked, hidden if self._everyone else hidden | part.not_acting)
            costs += weighed.costs.tolist()
            for at in range(min(most, weighed.heads.size)):
                head, cost = int(weighed.heads[at]), int(weighed.costs[at])
                hit = _hit(index, head, int(weighed.name_way[at]), agreement(index, asked, weighed, at), cost)
                best.append(_Best(hit, number, head, (hit.cost, -int(index.last[head]))))
        within = [cost for cost in costs if cost <= min(costs) + window()]
        best = sorted((one for one in best if one.hit.cost * UNIT <= max(within, default=0)), key=_order)[
            :most
        ]
        return best, len(within) - len(best)

    def _referred(self) -> tuple[list[Referred], list[_Best]]:
        """Events and calls, and persons, that go by the reference asked for."""
        events: dict[tuple[str, str], _Event] = {}
        persons: dict[str, _Best] = {}
        for number, part in enumerate(self._parts):
            for met in part.index.references.met(self._asked.reference or ""):
                acting = self._acting(number, met)
                if met.kind == PERSON:
                    for one in acting:
                        if self._everyone or one.hit.suspect:
                            hit = replace(one.hit, agrees=("its reference",))
                            persons.setdefault(hit.person_id, replace(one, hit=hit))
                    continue
                people = (*met.acting, *met.others)
                if people and all(part.gone[one] for one in people):
                    continue  # another part says who is in it, or it is no more
                event = events.setdefault((met.kind, met.key), _Event(met, {}))
                event.hits.update({one.hit.person_id: one.hit for one in acting})
                event.closed |= any(not part.gone[one] for one in met.acting) and not acting
        out = [
            Referred(
                event.met.kind,
                event.met.reference,
                event.met.at,
                event.met.event_id,
                event.met.key if event.met.kind == CALL else None,
                tuple(event.hits.values()),
            )
            for event in events.values()
            if event.hits
            or not event.closed  # one of closed records alone is answered like one that is not there
        ]
        return sorted(out, key=lambda one: (one.kind, one.reference)), list(persons.values())

    def _acting(self, number: int, met: Met) -> list[_Best]:
        """The suspects of an event or a call, or the person a reference is of, as far as they are shown."""
        index = self._parts[number].index
        said = f"suspect in this {'call' if met.kind == CALL else 'report'}"
        out = []
        for person in met.acting:
            way = int(index.ways[person][0])
            if not self._hidden[number][way]:
                out.append(_Best(_hit(index, person, way, (said,), 0), number, int(index.cluster[person])))
        return out

    def _with_events(self, best: list[_Best]) -> list[Hit]:
        """Those who were never a suspect with the newest events they are in. Who is suspected in one is asked of every
        part: each knows its own persons."""
        newest: dict[str, list[Met]] = {}
        suspects: dict[str, dict[str, None]] = {}
        asked_of: set[tuple[int, str]] = set()
        acted: set[str] = set()

        def note(number: int, met: Met) -> None:
            index, found = self._parts[number].index, suspects.setdefault(str(met.event_id), {})
            asked_of.add((number, str(met.event_id)))
            acted.update([str(met.event_id)] if met.acting else [])
            for one in met.acting:
                if not self._hidden[number][int(index.ways[one][0])]:
                    found[str(index.ids[int(index.cluster[one])])] = None

        for one in best:
            if not one.hit.suspect:
                references = self._parts[one.part].index.references
                numbers = references.person_events[one.head][: NAMED_IN * 4].tolist()
                newest[one.hit.person_id] = [references.event(number) for number in numbers]
                for met in newest[one.hit.person_id]:
                    note(one.part, met)
        for number, part in enumerate(self._parts):
            others = [event for event in suspects if (number, event) not in asked_of]
            for met in part.index.references.events_by_id(others).values():
                note(number, met)

        def places(person: str) -> tuple[Place, ...]:
            mine = [(met, str(met.event_id)) for met in newest.get(person, ())]
            shown = [  # whose suspects are all closed is passed over, as if it were not there
                Place(event, met.reference, met.at, tuple(suspects[event]))
                for met, event in mine
                if suspects[event] or event not in acted
            ]
            return tuple(shown[:NAMED_IN])

        return [replace(one.hit, named_in=places(one.hit.person_id)) for one in best]


@dataclass
class _Event:
    """An event or a call met by its reference, put together from the parts. ``closed``: it has suspects, and none of
    those a part knows may be shown."""

    met: Met
    hits: dict[str, Hit]
    closed: bool = False


def _order(one: _Best) -> tuple[float, int]:
    return one.order


def _hit(index: Index, number: int, way: int, agrees: tuple[str, ...], cost: int) -> Hit:
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
        cost=cost / UNIT,
    )


def _told_apart(hits: list[Hit]) -> tuple[Hit, ...]:
    """Each with the number of others of the same name."""
    counts: dict[str, int] = {}
    for hit in hits:
        counts[hit.name.casefold()] = counts.get(hit.name.casefold(), 0) + 1
    return tuple(replace(hit, namesakes=counts[hit.name.casefold()] - 1) for hit in hits)

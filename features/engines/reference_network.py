"""The streams of relationships for the reference engine: plain Python, one person at a time, nothing precomputed.

What a tie is, and what each fact says, stands in ``features/streams.py``. A person's neighbours are found when asked
for, so that one person's facts cost what lies within two steps of them and no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, Protocol

from features.graph.settings import load_settings
from features.lazily import lazily
from features.streams import PARTNER_KINDS, PARTNERS_EVER

Row = dict[str, Any]
Moment = datetime
DAY = timedelta(days=1)

STREAMS_HERE = (
    "dyad_as_suspect", "dyad_as_victim", "dyad", "rival", "other_victim", "partner", "pair_partner", "near",
    "household_person", "pair_household",
)  # fmt: skip
_SIDES = {
    "relationship": ("person_id_a", "person_id_b"),
    "household": ("person_id_a", "person_id_b"),
    "order": ("respondent_id", "protected_id"),
}


class Known(Protocol):
    """What is read of the records as they stood at T: ``reference.World`` offers it."""

    t: datetime
    events: dict[str, Row]
    roles: dict[str, list[Row]]
    offences: dict[str, list[Row]]

    def known(self, table: str) -> list[Row]: ...
    def suspects_of(self, event: Row) -> frozenset[str]: ...
    def victims_of(self, event: Row) -> frozenset[str]: ...
    def crowded(self, event: Row) -> bool: ...
    def pairs_with(self, event: Row, person: str) -> Iterator[tuple[str, str, bool]]: ...
    def events_with(self, person: str) -> Iterable[Row]: ...


class Relations:
    """Who is tied to whom, worked out person by person and remembered."""

    def __init__(self, world: Known) -> None:
        self.world, self.t = world, world.t
        self.settings = load_settings()
        self._neighbours: dict[str, dict[str, Moment]] = {}
        self._acts: dict[str, Row] = {}
        self._told: dict[str, list[tuple[str, str, str]]] = {}
        self._dyads: dict[tuple[str, str], dict[str, list[Moment]]] = {}
        self._by_person: dict[str, dict[str, list[Row]]] = {}

    def facts(self, stream: str, key: tuple[str, ...]) -> Iterator[Row]:
        """All facts of a stream that belong to the subject ``key``."""
        yield from getattr(self, f"_{stream}")(*key)

    def rows(self, table: str, person: str) -> list[Row]:
        """Rows of a table of ties that name the person on either side, and somebody else on the other."""
        if table not in self._by_person:
            found: dict[str, list[Row]] = {}
            for row in self.world.known(table):
                a, b = (row[side] for side in _SIDES[table])
                if a is not None and b is not None and a != b:
                    found.setdefault(a, []).append(row)
                    found.setdefault(b, []).append(row)
            self._by_person[table] = found
        return self._by_person[table].get(person, [])

    def other(self, table: str, row: Row, person: str) -> str:
        """Whom the row ties the person to."""
        a, b = (row[side] for side in _SIDES[table])
        return str(b if a == person else a)

    # -- who did what to whom ----------------------------------------------------------------------------------

    def against(self, person: str, side: str) -> dict[str, list[Moment]]:
        """Person on the other side -> times of the domestic events; ``side`` is the person's own."""
        if (person, side) not in self._dyads:
            found: dict[str, list[Moment]] = {}
            for event in self.world.events_with(person):
                if event["domestic"] != "Y":
                    continue
                for suspect, victim, _ in self.world.pairs_with(event, person):
                    if person == (suspect if side == "suspect" else victim):
                        found.setdefault(victim if side == "suspect" else suspect, []).append(event["at"])
            self._dyads[person, side] = found
        return self._dyads[person, side]

    def acts(self, person: str) -> Row:
        """What a person was lately suspected of in domestic events."""
        if person not in self._acts:
            harm = events = 0
            serious = False
            for event in self.world.events_with(person):
                if event["domestic"] != "Y" or person not in self.world.suspects_of(event):
                    continue
                offences = [
                    row
                    for row in self.world.offences[event["event_id"]]
                    if event["kind"] == "crime" and row["suspect_id"] in (None, person)
                ]
                harm += self._weight(event["at"]) * sum(row["harm_cd"] or 0 for row in offences)
                if event["at"] > self.t - 365 * DAY:
                    events += 1
                    serious = serious or any(row["serious"] for row in offences)
            self._acts[person] = {"recent_harm": harm, "recent_events": events, "serious": serious}
        return self._acts[person]

    def _weight(self, at: Moment) -> int:
        """How much of a harm is left, in thousandths: the weight of the first ring that reaches back to it."""
        for ring, weight in zip(self.settings.rings, self.settings.weights, strict=True):
            if at > self.t - ring * DAY:
                return weight
        return 0

    def _began(self, suspect: str, victim: str) -> str:
        """Who of the two was suspected first of abusing the other."""
        forth = self.against(suspect, "suspect").get(victim)
        back = self.against(suspect, "victim").get(victim)
        if forth and (not back or min(forth) < min(back)):
            return "suspect"
        return "together" if forth and back and min(forth) == min(back) else "victim"

    def _dyad_as_suspect(self, person: str) -> Iterator[Row]:
        for other, times in self.against(person, "suspect").items():
            began = {"suspect": "self", "victim": "other"}
            yield {
                "at": min(times),
                "other": other,
                "events": len(times),
                "shared": bool(self.against(other, "victim").keys() - {person}),
                "both": other in self.against(person, "victim"),
                "began": began.get(self._began(person, other), "together"),
            }

    def _dyad_as_victim(self, person: str) -> Iterator[Row]:
        for other, times in self.against(person, "victim").items():
            began = {"victim": "self", "suspect": "other"}
            yield {
                "at": min(times),
                "other": other,
                "events": len(times),
                "shared": bool(self.against(other, "suspect").keys() - {person}),
                "both": other in self.against(person, "suspect"),
                "began": began.get(self._began(other, person), "together"),
            }

    def _dyad(self, suspect: str, victim: str) -> Iterator[Row]:
        forth = self.against(suspect, "suspect").get(victim, [])
        back = self.against(suspect, "victim").get(victim, [])
        if forth or back:
            both = bool(forth and back)
            yield {"at": min(forth + back), "both": both, "began": self._began(suspect, victim)}

    def _rival(self, suspect: str, victim: str) -> Iterator[Row]:
        for other, times in self.against(victim, "victim").items():
            if other != suspect:
                yield {"at": min(times), "other": other, "events": len(times), **self.acts(other)}

    def _other_victim(self, suspect: str, victim: str) -> Iterator[Row]:
        for other, times in self.against(suspect, "suspect").items():
            if other != victim:
                yield {"at": min(times), "other": other, "events": len(times), **self.acts(other)}

    # -- partners ----------------------------------------------------------------------------------------------

    def _named_partners(self, person: str) -> Iterator[tuple[str, str, Moment, Moment | None]]:
        """(other, kind, at, ended) of every row that names the two as (ex-)partners."""
        for row in self.rows("relationship", person):
            if row["kind"] in PARTNERS_EVER:
                yield self.other("relationship", row, person), row["kind"], row["at"], row["ended_on"]
        for event in self.world.events_with(person):
            for a, b, kind in self._told_partners(event["event_id"]):
                if person in (a, b):
                    yield (b if a == person else a), kind, event["at"], None

    def _told_partners(self, e: str) -> list[tuple[str, str, str]]:
        """(suspect, victim, kind) of the event's involvements that name two people as (ex-)partners."""
        if e not in self._told:
            self._told[e] = [
                (row["person_id"], row["victim_id"], row["relationship_to_victim"])
                for row in self.world.roles[e]
                if row["role"] == "suspect" and row["relationship_to_victim"] in PARTNERS_EVER
                if None not in (row["person_id"], row["victim_id"]) and row["person_id"] != row["victim_id"]
            ]
        return self._told[e]

    def _partner(self, person: str) -> Iterator[Row]:
        named: dict[str, list[tuple[str, Moment, Moment | None]]] = {}
        for other, kind, at, ended in self._named_partners(person):
            named.setdefault(other, []).append((kind, at, ended))
        for other, rows in named.items():
            together = [at for kind, at, _ in rows if kind in PARTNER_KINDS]
            over = [at for kind, at, _ in rows if kind not in PARTNER_KINDS]
            over += [ended for kind, _, ended in rows if kind in PARTNER_KINDS and ended is not None]
            if not together:
                continue
            first = min(at for _, at, _ in rows)
            elsewhere = [
                max(times) for victim, times in self.against(person, "suspect").items() if victim != other
            ]
            yield {
                "at": first,
                "other": other,
                "current": not over or max(together) > max(over),
                "new": bool(elsewhere) and first > max(elsewhere),
                "harmed": other in self.against(person, "suspect"),
                "children": self._with_children(other),
            }

    def _pair_partner(self, suspect: str, victim: str) -> Iterator[Row]:
        for fact in self._partner(suspect):
            if fact["other"] == victim:
                yield fact

    def _with_children(self, person: str) -> bool:
        """Whether children are recorded around a person."""
        for row in self.rows("relationship", person):
            parent = row["person_id_a"] if row["kind"] == "parent" else None
            parent = row["person_id_b"] if row["kind"] == "child" else parent
            if row["shared_child"] or parent == person:
                return True
        return any(
            (event["children_present"] or 0) >= 1
            or any(row["role"] == "child" for row in self.world.roles[event["event_id"]])
            for event in self.world.events_with(person)
        )

    # -- ties --------------------------------------------------------------------------------------------------

    def parties(self, event: Row) -> frozenset[str]:
        """Suspects and victims of an event; nobody where there are too many for it to tie them."""
        if self.world.crowded(event):
            return frozenset()
        return self.world.suspects_of(event) | self.world.victims_of(event)

    @lazily
    def _events_of_child(self) -> dict[str, list[Row]]:
        found: dict[str, dict[str, Row]] = {}
        for e, roles in self.world.roles.items():
            for row in roles:
                if row["role"] == "child":
                    found.setdefault(row["person_id"], {})[e] = self.world.events[e]
        return {child: list(events.values()) for child, events in found.items()}

    def around_child(self, child: str) -> dict[str, Moment]:
        """Person -> when first in an event with the child; nobody where there are too many."""
        found: dict[str, Moment] = {}
        for event in self._events_of_child[child]:
            for person in self.parties(event) - {child}:
                found[person] = min(found.get(person, event["at"]), event["at"])
        return found if len(found) <= self.settings.most_persons else {}

    def neighbours(self, person: str) -> dict[str, Moment]:
        """Everyone tied to the person (households apart) and when the first tie came about."""
        if person not in self._neighbours:
            found: dict[str, Moment] = {}
            for other, at in self._ties(person):
                if other != person:
                    found[other] = min(found.get(other, at), at)
            self._neighbours[person] = found
        return self._neighbours[person]

    def _ties(self, person: str) -> Iterator[tuple[str, Moment]]:
        children: set[str] = set()
        for event in self.world.events_with(person):
            if person not in self.parties(event):
                continue
            children |= {
                row["person_id"] for row in self.world.roles[event["event_id"]] if row["role"] == "child"
            }
            suspects = self.world.suspects_of(event)
            if person in suspects:
                yield from ((other, event["at"]) for other in suspects)
            for suspect, victim, _ in self.world.pairs_with(event, person):
                yield (victim if person == suspect else suspect), event["at"]
        for child in children - {person}:
            group = self.around_child(child)
            yield from ((other, max(at, group[person])) for other, at in group.items())
        for table in ("relationship", "order"):
            for row in self.rows(table, person):
                yield self.other(table, row, person), row["at"]

    def _near(self, person: str) -> Iterator[Row]:
        first = self.neighbours(person)
        for other, at in first.items():
            yield {"at": at, "other": other, "step": 1, **self.acts(other)}
        second: dict[str, Moment] = {}
        for middle, came in first.items():
            for other, at in self.neighbours(middle).items():
                if other != person and other not in first:
                    way = max(came, at)
                    second[other] = min(second.get(other, way), way)
        for other, at in second.items():
            yield {"at": at, "other": other, "step": 2, **self.acts(other)}

    # -- shared addresses --------------------------------------------------------------------------------------

    def _household_person(self, person: str) -> Iterator[Row]:
        found: dict[str, list[Row]] = {}
        for row in self.rows("household", person):
            found.setdefault(self.other("household", row, person), []).append(row)
        for other, rows in found.items():
            yield {
                "at": min(row["at"] for row in rows),
                "other": other,
                "current": any(row["ended_on"] is None for row in rows),
                **self.acts(other),
            }

    def _pair_household(self, suspect: str, victim: str) -> Iterator[Row]:
        for fact in self._household_person(suspect):
            if fact["other"] == victim:
                yield fact

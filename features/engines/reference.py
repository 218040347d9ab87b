"""The reference engine: plain Python over rows as dictionaries, one subject and one T at a time.

Slow and obvious on purpose. It reads the canonical tables itself and shares with the fast engine only what must not
be said twice: the catalogue, the names in ``features.streams``, the price of an offence and the formula routine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from features.catalogue import Column, Condition
from features.engines.formulas import Cells
from features.engines.reference_network import STREAMS_HERE, Relations
from features.engines.reference_rows import RowFacts
from features.graph.settings import load_settings
from features.harm import load_scheme, price
from features.lazily import lazily
from features.nominals import PERSON_COLUMNS, clusters_at
from features.records import Records
from features.schema import spec_of
from features.streams import (
    CHARGED,
    INJURY_LEVEL,
    NOT_SUPPORTED,
    TAG_FIELDS,
    WEAPONS,
)

Row = dict[str, Any]
DAY = timedelta(days=1)


def subjects(records: Records, subject: str, t: datetime) -> pl.DataFrame:
    """Every suspect, victim or pair of a domestic event known at T, sorted by key."""
    return subjects_in(World(records, t), subject)


def subjects_in(world: World, subject: str) -> pl.DataFrame:
    """The same, of a world that is there already."""
    found: set[tuple[str, ...]] = set()
    for event in world.events.values():
        if event["domestic"] != "Y":
            continue
        if subject == "offender":
            found |= {(person,) for person in world.suspects_of(event)}
        elif subject == "victim":
            found |= {(person,) for person in world.victims_of(event)}
        else:
            found |= {(suspect, victim) for suspect, victim, _ in world.pairs_of(event)}
    names = ("suspect_id", "victim_id") if subject == "dyad" else ("person_id",)
    return pl.DataFrame(sorted(found), schema=dict.fromkeys(names, pl.String), orient="row")


def compute(
    records: Records, subject: str, t: datetime, keys: pl.DataFrame, columns: Sequence[Column]
) -> dict[str, Cells]:
    """Integer cells of each column for the subjects in ``keys``, in their order."""
    world = World(records, t)
    values: dict[str, list[int | None]] = {column.name: [] for column in columns}
    for key in keys.iter_rows():
        for column in columns:
            values[column.name].append(cell(world, key, column))
    return {name: Cells.of(column) for name, column in values.items()}


def cell(world: World, key: tuple[str, ...], column: Column) -> int | None:
    """One cell: pick the subject's facts that qualify and aggregate them."""
    feature = column.feature
    facts = [
        fact
        for fact in world.facts(feature.source, key)
        if all(meets(fact, condition) for condition in feature.where)
        and (column.window is None or fact["at"] > world.t - column.window * DAY)
        and (not feature.value or fact[feature.value] is not None)
    ]
    if feature.aggregate == "any":
        return int(bool(facts))
    if not facts:
        return feature.empty
    if feature.aggregate == "count":
        return len(facts)
    if feature.aggregate == "sum":
        return sum(fact[feature.value] for fact in facts)
    if feature.aggregate == "max":
        return max(fact[feature.value] for fact in facts)
    if feature.aggregate == "distinct":
        return len({fact[feature.value] for fact in facts})
    if feature.aggregate == "last":
        latest = max(fact["at"] for fact in facts)
        return max(fact[feature.value] for fact in facts if fact["at"] == latest)
    if feature.aggregate == "days_since":
        return (world.t - max(fact["at"] for fact in facts)) // DAY
    return (world.t - min(fact["at"] for fact in facts)) // DAY


def meets(fact: Row, condition: Condition) -> bool:
    """Whether any of the condition's fields satisfies it; an empty field satisfies nothing."""
    for field in condition.fields:
        value = fact[field]
        if value is None:
            continue
        if condition.minimum is not None and value >= condition.minimum:
            return True
        if condition.minimum is None and value in condition.values:
            return True
    return False


class World(RowFacts):
    """The records as they stood at T, as lists of dictionaries, and the facts of one subject drawn from them."""

    def __init__(self, records: Records, t: datetime) -> None:
        self.records, self.t = records, t
        self.who = self.clusters()
        self._tables: dict[str, list[Row]] = {}
        self._sorted_out = {}
        self._suspects: dict[str, frozenset[str]] = {}
        self._victims: dict[str, frozenset[str]] = {}
        self._named: dict[str, tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]] = {}
        self._whose: tuple[str, ...] = ()
        self._own: dict[str, list[Row]] = {}
        self.events: dict[str, Row] = {row["event_id"]: row for row in self.known("event")}
        self.roles: dict[str, list[Row]] = {event: [] for event in self.events}
        self.offences: dict[str, list[Row]] = {event: [] for event in self.events}
        for row in self.known("involvement"):
            if row["event_id"] in self.events:
                self.roles[row["event_id"]].append(row)
        for row in self.known("offence"):
            if row["event_id"] in self.events:
                self.offences[row["event_id"]].append(row)

    def known(self, table: str) -> list[Row]:
        """The rows of a table that stood at T, later-filled values blank until their clock."""
        if table not in self._tables:
            rows = list(self._cut(table))
            self._tables[table] = self._one_a_person(rows) if table == "person" else rows
        return self._tables[table]

    def clusters(self) -> dict[str, str]:
        """Nominal record -> the person it stands for at T, where that is another record."""
        if self.records.links is None:
            return {}
        return dict(clusters_at(self.records.links, self.t).select("person_id", "cluster_id").iter_rows())

    def source(self, table: str) -> Iterable[Row]:
        """Every version of every row of a table; offences and convictions with their price."""
        frame = self.records.table(table)
        if table in ("offence", "conviction"):
            absent = [c for c in ("athena_urn", "cjs_code", "description") if c not in frame.columns]
            frame = price(
                frame.with_columns(pl.lit(None, dtype=pl.String).alias(c) for c in absent), load_scheme()
            )
        return frame.iter_rows(named=True)

    def _cut(self, table: str) -> Iterator[Row]:
        spec, t = spec_of(table), self.t
        for row in self.source(table):
            if row["known_from"] > t or (row["known_to"] is not None and row["known_to"] <= t):
                continue
            own = row[spec.own_time] if spec.own_time else None
            if own is not None and own > t:
                continue
            cut = dict(row)
            for column, clock in spec.later.items():
                if row.get(clock) is None or row[clock] > t:
                    cut[column] = None
            cut["at"] = own if own is not None else row["known_from"]
            for column in cut.keys() & PERSON_COLUMNS if self.who else ():
                cut[column] = self.who.get(cut[column], cut[column])
            yield cut

    def _one_a_person(self, rows: list[Row]) -> list[Row]:
        """Person rows, one a person: birth date by vote, dead or restricted when any of the rows says so."""
        together: dict[str, list[Row]] = {}
        for row in rows:
            together.setdefault(row["person_id"], []).append(row)
        out = []
        for same in together.values():
            one = dict(max(same, key=lambda row: row["known_from"]))
            births = [row["date_of_birth"] for row in same if row["date_of_birth"] is not None]
            latest = {
                row["date_of_birth"]: row["known_from"] for row in sorted(same, key=lambda r: r["known_from"])
            }
            ranked = sorted(set(births))  # of equals the earliest date
            one["date_of_birth"] = max(
                ranked, key=lambda birth: (births.count(birth), latest[birth]), default=None
            )
            one["deceased_on"] = min((r["deceased_on"] for r in same if r["deceased_on"]), default=None)
            if any(row["access"] == "named_users" for row in same):
                one["access"] = "named_users"
            out.append(one)
        return out

    # -- who is in an event ------------------------------------------------------------------------------------

    def suspects_of(self, event: Row) -> frozenset[str]:
        """Persons with role suspect, and persons an offence names as suspect."""
        e = event["event_id"]
        if e not in self._suspects:
            by_role = {row["person_id"] for row in self.roles[e] if row["role"] == "suspect"}
            by_offence = {row["suspect_id"] for row in self.offences[e]}
            self._suspects[e] = frozenset((by_role | by_offence) - {None})
        return self._suspects[e]

    def victims_of(self, event: Row) -> frozenset[str]:
        """Persons with role victim, and persons an offence or a suspect's involvement names as victim."""
        e = event["event_id"]
        if e not in self._victims:
            found = {row["person_id"] for row in self.roles[e] if row["role"] == "victim"}
            found |= {row["victim_id"] for row in self.roles[e] if row["role"] == "suspect"}
            found |= {row["victim_id"] for row in self.offences[e]}
            self._victims[e] = frozenset(found - {None})
        return self._victims[e]

    def accused_by(self, event: Row, suspect: str) -> tuple[frozenset[str], bool]:
        """Whom the suspect is paired with, and whether that is inferred: the first source that names anyone else. A
        crowd names nobody."""
        e = event["event_id"]
        by_offence, by_role = self._named_in(e)
        for inferred, victims in (
            (False, by_offence.get(suspect, frozenset())),
            (False, by_role.get(suspect, frozenset())),
            (True, frozenset() if self.crowded(event) else self.victims_of(event)),
        ):
            others = victims - {suspect} if suspect in victims else victims
            if others:
                return others, inferred
        return frozenset(), True

    def crowded(self, event: Row) -> bool:
        """Whether an event has more parties than can be said to have met."""
        suspects, victims = self.suspects_of(event), self.victims_of(event)
        most = load_settings().most_persons
        return max(len(suspects), len(victims)) > most or len(suspects | victims) > most

    def _named_in(self, e: str) -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
        """Suspect -> the victims that the event's offences, and its involvements, name together with them."""
        if e not in self._named:
            offences: dict[str, set[str]] = {}
            roles: dict[str, set[str]] = {}
            for row in self.offences[e]:
                if row["suspect_id"] is not None and row["victim_id"] is not None:
                    offences.setdefault(row["suspect_id"], set()).add(row["victim_id"])
            for row in self.roles[e]:
                if row["role"] == "suspect" and row["victim_id"] is not None:
                    roles.setdefault(row["person_id"], set()).add(row["victim_id"])
            frozen = [{k: frozenset(v) for k, v in found.items()} for found in (offences, roles)]
            self._named[e] = frozen[0], frozen[1]
        return self._named[e]

    def pairs_of(self, event: Row) -> list[tuple[str, str, bool]]:
        """Every (suspect, victim, inferred) of an event."""
        pairs: list[tuple[str, str, bool]] = []
        for suspect in sorted(self.suspects_of(event)):
            others, inferred = self.accused_by(event, suspect)
            pairs += [(suspect, victim, inferred) for victim in sorted(others)]
        return pairs

    def pairs_with(self, event: Row, person: str) -> Iterator[tuple[str, str, bool]]:
        """The pairs of an event in which the person is, found without the others: an event may hold thousands."""
        suspects = self.suspects_of(event)
        if person in suspects:
            others, inferred = self.accused_by(event, person)
            yield from ((person, victim, inferred) for victim in others)
        if person in self.victims_of(event):
            # in a crowd only those are in a pair whom a row names in one
            by_offence, by_role = self._named_in(event["event_id"])
            for suspect in by_offence.keys() | by_role.keys() if self.crowded(event) else suspects:
                others, inferred = self.accused_by(event, suspect)
                if person in others:
                    yield suspect, person, inferred

    def events_with(self, person: str) -> Iterable[Row]:
        """Events in which the person is a suspect or a victim."""
        return self._by_person.get(person, [])

    @lazily
    def _by_person(self) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {}
        for event in self.events.values():
            for person in self.suspects_of(event) | self.victims_of(event):
                found.setdefault(person, []).append(event)
        return found

    @lazily
    def relations(self) -> Relations:
        """Who is tied to whom as of T."""
        return Relations(self)

    # -- facts of one subject ----------------------------------------------------------------------------------

    def facts(self, stream: str, key: tuple[str, ...]) -> list[Row]:
        """All facts of a stream that belong to the subject ``key``."""
        if self._whose != key:  # many columns ask for the same facts of one subject
            self._whose, self._own = key, {}
        if stream not in self._own:
            if stream in ("suspect_event", "victim_event"):
                self._own[stream] = list(self._own_events(stream, key[0]))
            elif stream in STREAMS_HERE:
                self._own[stream] = list(self.relations.facts(stream, key))
            elif stream in ("pair_as_suspect", "pair_as_victim", "pair_event", "reverse_event"):
                self._own[stream] = list(self._pair_events(stream, key))
            else:
                self._own[stream] = list(getattr(self, f"_{stream}")(*key))
        return self._own[stream]

    def _own_events(self, stream: str, person: str) -> Iterator[Row]:
        for event in self.events.values():
            if stream == "suspect_event" and person in self.suspects_of(event):
                yield self._event_fact(event, person, None)
            if stream == "victim_event" and person in self.victims_of(event):
                yield self._event_fact(event, None, person)

    def _pair_events(self, stream: str, key: tuple[str, ...]) -> Iterator[Row]:
        for event in self.events.values():
            for suspect, victim, inferred in self.pairs_with(event, key[0]):
                mine = {
                    "pair_as_suspect": (suspect,),
                    "pair_as_victim": (victim,),
                    "pair_event": (suspect, victim),
                    "reverse_event": (victim, suspect),
                }[stream]
                if mine == key:
                    other = suspect if stream in ("pair_as_victim", "reverse_event") else victim
                    yield {**self._event_fact(event, suspect, victim), "other": other, "inferred": inferred}

    def _event_fact(self, event: Row, suspect: str | None, victim: str | None) -> Row:
        """An event as seen by a suspect, a victim, or a pair: its columns and the offences that count for them."""
        offences = [
            row
            for row in self.offences[event["event_id"]]
            if event["kind"] == "crime"  # a non-crime incident has no harm
            and (suspect is None or row["suspect_id"] in (None, suspect))
            and (victim is None or row["victim_id"] in (None, victim))
        ]
        harms = [row["harm_cd"] or 0 for row in offences]
        fact: Row = {
            "at": event["at"],
            "kind": event["kind"],
            "domestic": event["domestic"],
            "abuse": event["abuse"],
            "source": event["source"],
            "alcohol": event["alcohol"],
            "drugs": event["drugs"],
            "counter_allegation": event["counter_allegation"],
            "injury_level": INJURY_LEVEL.get(event["injury"]),
            "children_present": event["children_present"],
            "primary": suspect is not None and event["primary_aggressor_id"] == suspect,
            "told_by_suspect": suspect is not None and event["first_reporter_id"] == suspect,
            "told_by_victim": victim is not None and event["first_reporter_id"] == victim,
            "harm_cd": sum(harms),
            "max_harm_cd": max(harms, default=0),
            "offences": len(offences),
            "serious": any(row["serious"] for row in offences),
            "charged": any(row["outcome_code"] in CHARGED for row in offences),
            "not_supported": any(row["outcome_code"] in NOT_SUPPORTED for row in offences),
        }
        found = {tag for row in offences for tag in row["tags"] or ()}
        for name, tags in TAG_FIELDS.items():
            fact[name] = not found.isdisjoint(tags)
        fact["strangulation"] = fact["strangulation"] or event["strangulation"] is True
        fact["weapon"] = fact["weapon"] or event["weapon"] in WEAPONS
        return fact

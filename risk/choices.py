"""What people have decided that changes a list as of T: the places, nominations, who was taken on, whose place a
supervisor agreed should be lower, and who is on hold. A published list keeps all of it among what it was made from.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from risk import capacity
from risk.decisions import decisions
from risk.holds import held
from risk.nominations import accepted_words
from risk.written import day_begins

if TYPE_CHECKING:
    from risk.store import Database


@dataclass(frozen=True)
class Nominated:
    """An accepted nomination that holds for a list."""

    nomination_id: int
    person_id: str
    scope: str
    code: str


@dataclass(frozen=True)
class Choices:
    """By person reference as written; ``nominated`` in the order of acceptance. Empty: the settings and the ranking."""

    places: dict[str, int | None] = field(default_factory=dict)
    nominated: tuple[Nominated, ...] = ()
    adopted: dict[str, datetime] = field(default_factory=dict)  # T at which somebody took the person on
    lowered: tuple[str, ...] = ()
    held: tuple[str, ...] = ()

    def under(self, clusters: pl.DataFrame) -> Choices:
        """The same under the references by which people are known (``View.clusters``): what was decided about a record
        counts for the person it has turned out to be; of two decisions about one person the later adoption counts."""
        now = dict(clusters.select("person_id", "cluster_id").iter_rows())
        adopted: dict[str, datetime] = {}
        for person, at in self.adopted.items():
            who = now.get(person, person)
            adopted[who] = max(at, adopted.get(who, at))
        named = {now.get(one.person_id, one.person_id): one for one in reversed(self.nominated)}
        return Choices(
            self.places,
            tuple(replace(one, person_id=who) for who, one in reversed(named.items())),
            adopted,
            tuple(sorted({now.get(person, person) for person in self.lowered})),
            tuple(sorted({now.get(person, person) for person in self.held})),
        )

    def about(self, known: Collection[str], placed: Collection[str]) -> Choices:
        """Of these, what can change a list: whoever is in the records no more is left out, and who was taken on or
        lowered matters for those alone who had a place (``placed``) and may stay."""
        return Choices(
            self.places,
            tuple(one for one in self.nominated if one.person_id in known),
            {person: at for person, at in self.adopted.items() if person in placed},
            tuple(person for person in self.lowered if person in placed),
            tuple(person for person in self.held if person in known),
        )

    def as_inputs(self) -> dict[str, Any]:
        """As a published list keeps it."""
        return {
            "places": self.places,
            "nominated": [vars(one) for one in self.nominated],
            "adopted": {person: at.isoformat() for person, at in self.adopted.items()},
            "lowered": list(self.lowered),
            "held": list(self.held),
        }


def choices_at(db: Database, t: datetime) -> Choices:
    """What holds for a list as of T: whatever was written about a T of that day or before."""

    def by_then(about: datetime) -> bool:
        return day_begins(about) <= t

    adopted, lowered = {}, []
    for person, known in sorted(decisions(db).items()):
        newest = next((one for one in known if one["holds"] and by_then(one["about"])), None)
        if newest is not None and newest["choice"] == "adopt":
            adopted[person] = newest["about"]
        if newest is not None and newest["choice"] == "disagree_down":
            lowered.append(person)
    on_hold = [person for person, hold in held(db).items() if hold.stands and by_then(hold.said[-1]["about"])]
    nominated = tuple(
        Nominated(one["id"], one["person_id"], one["scope"], one["code"])
        for one in accepted_words(db)
        if by_then(one["accepted_about"])
        and t < one["until"]
        and not (one["ended_about"] is not None and by_then(one["ended_about"]))
    )
    chosen = {scope: row["places"] for scope, row in sorted(capacity.latest(db, t).items())}
    return Choices(chosen, nominated, adopted, tuple(lowered), tuple(sorted(on_hold)))

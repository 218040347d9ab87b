"""What the records say happened: the events of a person as of T, both directions, ready to be read.

These rows are for eyes. Scores come from `features`, which sees less: here also stand the events police found by
themselves (marked as such) and the event's reference number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from features.graph.settings import load_settings
from features.harm import load_scheme, price
from risk.view import View
from risk.words import plain

CHARGED = {"1", "1A"}
TICKS = {  # offence tags worth a tick on the sheet, in this order
    "homicide": "homicide or attempt",
    "strangulation": "strangulation",
    "coercive": "controlling or coercive",
    "stalking": "stalking",
    "rape": "rape",
    "sexual": "sexual",
    "threats": "threats",
    "weapon": "weapon",
    "detention": "kept against their will",
    "breach": "breach",
    "damage": "damage",
}


@dataclass
class Happened:
    """One event of a person. ``roles``: the person's own; ``others``: who else took part, by role."""

    event_id: str
    reference: str
    occurred_at: datetime
    kind: str
    domestic: bool
    roles: tuple[str, ...]
    against: list[str]  # whom the person is suspected of harming
    accused_by: list[str]  # who is suspected of harming the person
    co_suspects: list[str]
    harm_days: float
    serious: bool
    assumed: bool
    offences: list[str]
    ticks: list[str]
    status: str
    source: str | None
    found_by_police: bool
    counter_allegation: bool
    children_present: int | None
    relationships: list[str] = field(default_factory=list)

    @property
    def what(self) -> str:
        """The event in a few words."""
        return "; ".join(self.offences) or plain(self.kind)

    def as_dict(self) -> dict[str, Any]:
        """The same facts for a machine."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"what": self.what}


def pairs(view: View, events: pl.DataFrame | None = None) -> pl.DataFrame:
    """Who is suspected of harming whom in which event: event_id, suspect_id, victim_id, inferred; sorted.

    Suspect by suspect: the offences naming both, else the suspect's involvements naming a victim, else every victim
    of the event ("inferred") unless it is a crowd (more parties than ``most_persons``, features/data/network.toml);
    nobody is paired with themselves. ``events`` (event_id) narrows the work.
    """
    offence, part = view.whole("offence"), view.whole("involvement")
    if events is not None:
        offence = offence.join(events.select("event_id"), on="event_id", how="semi")
        part = part.join(events.select("event_id"), on="event_id", how="semi")
    two = ["event_id", "suspect_id"]
    named = offence.select(*two, "victim_id").drop_nulls()
    told = part.filter(pl.col("role") == "suspect").select(
        "event_id", suspect_id="person_id", victim_id="victim_id"
    )
    suspects = pl.concat([told.select(two), offence.select(two).drop_nulls()]).unique()
    victims = pl.concat(
        [
            part.filter(pl.col("role") == "victim").select("event_id", victim_id="person_id"),
            offence.select("event_id", "victim_id").drop_nulls(),
            told.select("event_id", "victim_id").drop_nulls(),
        ]
    ).unique()
    second = told.drop_nulls().join(named.select(two).unique(), on=two, how="anti")
    known = pl.concat([named, second]).with_columns(inferred=pl.lit(False))
    parties = pl.concat([suspects.rename({"suspect_id": "p"}), victims.rename({"victim_id": "p"})]).unique()
    crowds = parties.group_by("event_id").len().filter(pl.col("len") > load_settings().most_persons)
    rest = suspects.join(known.select(two).unique(), on=two, how="anti")
    rest = rest.join(crowds, on="event_id", how="anti").join(victims, on="event_id")
    return (
        pl.concat([known, rest.select(*two, "victim_id", inferred=pl.lit(True))])
        .filter(pl.col("suspect_id") != pl.col("victim_id"))
        .unique(subset=[*two, "victim_id"])
        .sort("event_id", "suspect_id", "victim_id")
    )


def events_of(view: View, persons: list[str]) -> pl.DataFrame:
    """The events (event_id) in which any of the persons is a suspect or a victim."""
    part, offence = view.whole("involvement"), view.whole("offence")
    acting = pl.col("person_id").is_in(persons) & pl.col("role").is_in(["suspect", "victim"])
    named = pl.col("suspect_id").is_in(persons) | pl.col("victim_id").is_in(persons)
    return pl.concat(
        [
            part.filter(acting | pl.col("victim_id").is_in(persons)).select("event_id"),
            offence.filter(named).select("event_id"),
        ]
    ).unique()


def history(view: View, person_id: str) -> list[Happened]:
    """Every event of a person as suspect or victim, newest first."""
    part, offence = view.whole("involvement"), view.whole("offence")
    mine = events_of(view, [person_id])
    events = view.whole("event").join(mine, on="event_id", how="semi")
    who = pairs(view, mine)
    told = part.join(mine, on="event_id", how="semi")
    priced = price(offence.join(mine, on="event_id", how="semi").sort("offence_id"), load_scheme())
    known = [
        frame.select("event_id", "reference")
        for frame in (view.identity("event_place"), view.audit("proactive_event"))
    ]
    references = dict(pl.concat(known).join(mine, on="event_id", how="semi").iter_rows())
    found = [
        _happened(
            event,
            person_id,
            references,
            who.filter(pl.col("event_id") == event["event_id"]),
            told.filter(pl.col("event_id") == event["event_id"]),
            priced.filter(pl.col("event_id") == event["event_id"]),
        )
        for event in events.sort(["occurred_at", "event_id"], descending=True).iter_rows(named=True)
    ]
    return found


def _happened(
    event: dict[str, Any],
    person: str,
    references: dict[str, str | None],
    who: pl.DataFrame,
    told: pl.DataFrame,
    offences: pl.DataFrame,
) -> Happened:
    against = who.filter(pl.col("suspect_id") == person)["victim_id"].unique().sort().to_list()
    accused_by = who.filter(pl.col("victim_id") == person)["suspect_id"].unique().sort().to_list()
    named = told.filter(pl.col("person_id") == person)
    roles = set(named["role"].to_list()) & {"suspect", "victim"}
    roles |= {"suspect"} if (offences["suspect_id"] == person).any() or against else set()
    roles |= {"victim"} if accused_by else set()
    suspects = set(told.filter(pl.col("role") == "suspect")["person_id"]) | set(
        offences["suspect_id"].drop_nulls()
    )
    own = offences.filter(pl.col("suspect_id").is_null() | (pl.col("suspect_id") == person))
    counted = own if "suspect" in roles else offences
    kinds = named.filter(pl.col("role") == "suspect")["relationship_to_victim"].drop_nulls().unique().sort()
    return Happened(
        event_id=event["event_id"],
        reference=references.get(event["event_id"]) or event["event_id"],
        occurred_at=event["occurred_at"],
        kind=event["kind"],
        domestic=event["domestic"] == "Y",
        roles=tuple(sorted(roles)),
        against=against,
        accused_by=accused_by,
        co_suspects=sorted(suspects - {person}) if "suspect" in roles else [],
        harm_days=int(counted["harm_cd"].sum()) / 100,
        serious=bool(counted["serious"].any()),
        assumed=bool(counted["harm_assumed"].any()),
        offences=[
            row["description"] or f"offence code {row['ho_code']}"
            for row in offences.sort(["harm_cd", "offence_id"], descending=[True, False]).iter_rows(
                named=True
            )
        ],
        ticks=_ticks(event, offences),
        status=_status(event, offences),
        source=event["source"],
        found_by_police=event["found_by_police"],
        counter_allegation=bool(event["counter_allegation"]),
        children_present=event["children_present"],
        relationships=[plain(kind) for kind in kinds],
    )


def _ticks(event: dict[str, Any], offences: pl.DataFrame) -> list[str]:
    tags = set(offences["tags"].explode().drop_nulls().to_list())
    ticks = [words for tag, words in TICKS.items() if tag in tags]
    if event["strangulation"] and TICKS["strangulation"] not in ticks:
        ticks.append(TICKS["strangulation"])
    if (event["weapon"] or "none") != "none":
        ticks = [tick for tick in ticks if tick != "weapon"] + [f"weapon: {plain(event['weapon'])}"]
    if (event["injury"] or "none") != "none":
        ticks.append(f"{event['injury']} injury")
    ticks += [word for word in ("alcohol", "drugs") if event[word]]
    return ticks


def _status(event: dict[str, Any], offences: pl.DataFrame) -> str:
    """Where an allegation stands, as known at T: an allegation until an outcome says otherwise."""
    if offences.is_empty():
        return "no crime recorded" if event["kind"] != "crime" else "offence not in the records"
    outcomes = offences["outcome_code"].to_list()
    if any(code in CHARGED for code in outcomes):
        return "charged or summonsed"
    closed = sorted({code for code in outcomes if code})
    if closed and all(outcomes):
        return f"alleged; closed, outcome {', '.join(closed)}"
    return "alleged; open"

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
from risk.statuses import Status, Statuses, crimes_cancelled
from risk.view import View
from risk.who import records_of
from risk.words import plain

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
    status_code: str
    status_kind: str
    source: str | None
    found_by_police: bool
    counter_allegation: bool
    children_present: int | None
    relationships: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    between: dict[tuple[str, str], tuple[int, bool]] = field(default_factory=dict, repr=False)
    """(suspect, victim) -> harm in hundredths of a day and serious or not, of the offences that can be theirs."""

    @property
    def what(self) -> str:
        """The event in a few words."""
        return "; ".join(self.offences) or plain(self.kind)

    def as_dict(self) -> dict[str, Any]:
        """The same facts for a machine."""
        told = (name for name in self.__dataclass_fields__ if name != "between")
        return {name: getattr(self, name) for name in told} | {"what": self.what}


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
    """Every event of a person as suspect or victim, newest first, each with its status (``risk.statuses``)."""
    return story(view, person_id)[0]


def story(view: View, person_id: str) -> tuple[list[Happened], Statuses]:
    """As :func:`history`, with what the statuses rest on (convictions among it)."""
    mine = events_of(view, [person_id])
    events = view.whole("event").join(mine, on="event_id", how="semi")
    events = events.sort(["occurred_at", "event_id"], descending=True)
    offences = view.whole("offence").join(mine, on="event_id", how="semi").sort("offence_id")
    when = dict(events.select("event_id", "occurred_at").iter_rows())
    by_event = {
        "who": _by_event(pairs(view, mine)),
        "told": _by_event(view.whole("involvement").join(mine, on="event_id", how="semi")),
        "offences": _by_event(priced(offences)),
    }
    own = [
        row | {"occurred_at": when[event_id]}
        for event_id, rows in by_event["offences"].items()
        for row in _own(rows, person_id)
        if event_id in when and row["suspect_id"] == person_id
    ]
    bare = [event_id for event_id in when if event_id not in by_event["offences"]]
    gone = crimes_cancelled(view, records_of(view, person_id), bare) if bare else {}
    statuses = Statuses(view, person_id, own, gone)
    known = [
        frame.select("event_id", "reference")
        for frame in (view.identity("event_place"), view.audit("proactive_event"))
    ]
    references = dict(pl.concat(known).join(mine, on="event_id", how="semi").iter_rows())
    found = [
        _happened(
            event,
            person_id,
            references.get(event["event_id"]),
            {part: rows.get(event["event_id"], []) for part, rows in by_event.items()},
            statuses,
        )
        for event in events.iter_rows(named=True)
    ]
    return found, statuses


def priced(offence: pl.DataFrame) -> list[dict[str, Any]]:
    """The rows of an offence table with their harm (``features.harm.price``). What an offence is priced by is looked
    up once: a page prices a few dozen of the same few hundred kinds."""
    rows = offence.to_dicts()
    keys = [tuple(row[name] for name in PRICED_BY) for row in rows]
    prices = {key: known for key in keys if (known := _PRICES.get(key)) is not None}
    if unknown := set(keys) - prices.keys():
        frame = pl.DataFrame(list(unknown), offence.select(PRICED_BY).schema, orient="row")
        for row in price(frame, load_scheme()).iter_rows(named=True):
            prices[tuple(row[name] for name in PRICED_BY)] = {name: row[name] for name in PRICES}
        if len(_PRICES) > PRICES_KEPT:
            _PRICES.clear()
        _PRICES.update(prices)
    return [row | prices[key] for row, key in zip(rows, keys, strict=True)]


PRICED_BY = ("ho_code", "athena_urn", "cjs_code", "attempt", "description")
PRICES = ("harm_cd", "harm_assumed", "serious", "tags")
PRICES_KEPT = 20_000
_PRICES: dict[tuple[Any, ...], dict[str, Any]] = {}


def _by_event(rows: pl.DataFrame | list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows by event, in their order: a person has few events, and few rows a query are read faster one by one."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows if isinstance(rows, list) else rows.iter_rows(named=True):
        found.setdefault(row["event_id"], []).append(row)
    return found


def _own(offences: list[dict[str, Any]], person: str) -> list[dict[str, Any]]:
    """The offences a person is suspected of: those that name the person, and those that name nobody."""
    return [row for row in offences if row["suspect_id"] in (None, person)]


def _happened(
    event: dict[str, Any],
    person: str,
    reference: str | None,
    rows: dict[str, list[dict[str, Any]]],
    statuses: Statuses,
) -> Happened:
    who, told, offences = rows["who"], rows["told"], rows["offences"]
    against = sorted({row["victim_id"] for row in who if row["suspect_id"] == person})
    accused_by = sorted({row["suspect_id"] for row in who if row["victim_id"] == person})
    named = [row for row in told if row["person_id"] == person]
    roles = {row["role"] for row in named} & {"suspect", "victim"}
    roles |= {"suspect"} if against or any(row["suspect_id"] == person for row in offences) else set()
    roles |= {"victim"} if accused_by else set()
    suspects = {row["person_id"] for row in told if row["role"] == "suspect"}
    suspects |= {row["suspect_id"] for row in offences} - {None}
    counted = _own(offences, person) if "suspect" in roles else offences
    kinds = {row["relationship_to_victim"] for row in named if row["role"] == "suspect"} - {None}
    status: Status = statuses.of(event, counted)
    return Happened(
        event_id=event["event_id"],
        reference=reference or event["event_id"],
        occurred_at=event["occurred_at"],
        kind=event["kind"],
        domestic=event["domestic"] == "Y",
        roles=tuple(sorted(roles)),
        against=against,
        accused_by=accused_by,
        co_suspects=sorted(suspects - {person}) if "suspect" in roles else [],
        harm_days=sum(row["harm_cd"] or 0 for row in counted) / 100,
        serious=any(row["serious"] for row in counted),
        assumed=any(row["harm_assumed"] for row in counted),
        offences=[
            row["description"] or f"offence code {row['ho_code']}"
            for row in sorted(offences, key=lambda row: (-(row["harm_cd"] or 0), row["offence_id"]))
        ],
        ticks=_ticks(event, offences),
        status=status.words,
        status_code=status.code,
        status_kind=status.kind,
        source=event["source"],
        found_by_police=event["found_by_police"],
        counter_allegation=bool(event["counter_allegation"]),
        children_present=event["children_present"],
        relationships=[plain(kind) for kind in sorted(kinds)],
        tags=sorted({tag for row in counted for tag in row["tags"] or ()}),
        between={
            (row["suspect_id"], row["victim_id"]): _between(offences, row["suspect_id"], row["victim_id"])
            for row in who
            if person in (row["suspect_id"], row["victim_id"])
        },
    )


def _between(offences: list[dict[str, Any]], suspect: str, victim: str) -> tuple[int, bool]:
    """Harm and gravity of the offences of an event that name this suspect and this victim, or name nobody else."""
    counted = [row for row in _own(offences, suspect) if row["victim_id"] in (None, victim)]
    return sum(row["harm_cd"] or 0 for row in counted), any(row["serious"] for row in counted)


def _ticks(event: dict[str, Any], offences: list[dict[str, Any]]) -> list[str]:
    tags = {tag for row in offences for tag in row["tags"] or ()}
    ticks = [words for tag, words in TICKS.items() if tag in tags]
    if event["strangulation"] and TICKS["strangulation"] not in ticks:
        ticks.append(TICKS["strangulation"])
    if (event["weapon"] or "none") != "none":
        ticks = [tick for tick in ticks if tick != "weapon"] + [f"weapon: {plain(event['weapon'])}"]
    if (event["injury"] or "none") != "none":
        ticks.append(f"{event['injury']} injury")
    ticks += [word for word in ("alcohol", "drugs") if event[word]]
    return ticks

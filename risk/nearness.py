"""How near a person's latest known address is to the place an officer is going to, and how old that knowledge is.

What is said is this address, under 1 km, under 10 km, further, or unknown (``risk/data/nearness.toml``). It is never
"not near": an address is where somebody is recorded as living, not where they stand. No address is ever written out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import asin, cos, radians, sin, sqrt
from typing import Any

import polars as pl

from features.clocks import ALWAYS
from risk.history import Happened
from risk.settings import settings
from risk.view import View
from risk.words import ago, count, day, days_between

Place = str | Mapping[str, Any]
"""An address_id, or a row of the address table."""
EARTH_KM = 6371.0088  # mean radius (IUGG)


@dataclass(frozen=True)
class Stay:
    """An address a person is recorded at: since the row that said so last, until they left (None: not left)."""

    address_id: str
    since: datetime
    left: datetime | None


@dataclass(frozen=True)
class Nearness:
    """How near, in words. ``band``: here, under_1_km, under_10_km, further, unknown. ``days_old``: days since the
    records said so, None where they do not say when. ``notes``: what else ties the person to the place."""

    band: str
    words: str
    since: datetime | None
    days_old: int | None
    old: bool
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The same for a machine."""
        return vars(self) | {"notes": list(self.notes)}


def stays(view: View, persons: Sequence[str]) -> dict[str, list[Stay]]:
    """Every address the records give each person as of T, the one said last first; custody suites are no homes.

    The same order decides a person's district (``risk.teams``): a residence speaks from the day it began, the person
    row from when it was entered. An address with several rows is taken once, as its latest row has it.
    """
    found: dict[str, list[Stay]] = {person: [] for person in persons}
    mine = view.clusters.filter(pl.col("cluster_id").is_in(list(found)))
    whose = {person: person for person in found} | dict(
        zip(mine["person_id"], mine["cluster_id"], strict=True)
    )
    lived = view.identity("residence").filter(pl.col("person_id").is_in(list(found)))
    rows = [(row["person_id"], row["address_id"], row["at"], row["ended_on"]) for row in lived.to_dicts()]
    named = view.identity("person").filter(pl.col("person_id").is_in(list(whose)))
    rows += [(row["person_id"], row["address_id"], row["since"], None) for row in named.to_dicts()]
    rows = [row for row in rows if row[1] is not None and row[2] is not None]
    places = view.identity("address").filter(pl.col("address_id").is_in([row[1] for row in rows]))
    suites = {row["address_id"] for row in places.to_dicts() if row["kind"] == "custody"}
    for person, address, since, left in rows:  # left is null or <= T: a later end is not yet known
        if address not in suites and whose[person] in found:
            found[whose[person]].append(Stay(address, since, left))
    for person, known in found.items():
        known.sort(key=lambda stay: (stay.since, stay.address_id, stay.left is None), reverse=True)
        found[person] = list({stay.address_id: stay for stay in reversed(known)}.values())[::-1]
    return found


def latest_address(view: View, person: str) -> str | None:
    """The address a person is recorded at now, or None."""
    return _current(stays(view, [person])[person])


def _current(known: Sequence[Stay]) -> str | None:
    return next((stay.address_id for stay in known if stay.left is None), None)


def nearness(view: View, person: str, place: Place, happened: Sequence[Happened] = ()) -> Nearness:
    """How near ``person`` is recorded as living to ``place`` (an address_id, or the address itself) as of T.

    ``happened``: the person's history, for events at the place; left out, none are mentioned.
    """
    known = stays(view, [person])[person]
    latest = next((stay for stay in known if stay.left is None), None)
    notes = _notes(view, known, latest, place) + _events_here(view, happened, place)
    said = settings("nearness")
    if latest is None:
        left = next((stay.left for stay in known), None)
        why = f"the last one recorded was left on {day(left)}" if left else "no address in the records"
        words = f"No current address known ({why}): {said['unknown']['words']}"
        return Nearness(said["unknown"]["name"], words, None, None, False, tuple(notes))
    band, words = _compare(view, latest.address_id, place)
    since = None if latest.since <= ALWAYS else latest.since
    days = None if since is None else days_between(since, view.t)
    age = f"recorded {day(since)}, {ago(days)}" if since else "the records do not say since when"
    old = days is None or days > said["old"]["days"]
    return Nearness(band, f"Latest known address: {words}; {age}", since, days, old, tuple(notes))


def homes_apart(view: View, person: str, others: Sequence[str]) -> dict[str, dict[str, str]]:
    """How far the latest known address of each of ``others`` is from the person's (``band``, ``words``), by person_id;
    whoever has none is not in it."""
    known = stays(view, [person, *others])
    mine, found = _current(known[person]), {}
    for other in others:
        theirs = _current(known[other])
        if mine is not None and theirs is not None:
            band, words = _compare(view, mine, theirs, "apart")
            found[other] = {"band": band, "words": f"Latest known addresses: {words}"}
    return found


def _compare(view: View, theirs: str, place: Place, how: str = "words") -> tuple[str, str]:
    """Band and words for two addresses; ``how``: "words" for an address and a place, "apart" for two homes."""
    said = settings("nearness")
    a, b = _address(view, theirs), _address(view, place)
    if theirs == b.get("address_id") or theirs == place or _same(a, b):
        return said["here"]["name"], said["here"][how]
    apart = _km(a, b)
    if apart is None:
        return said["unknown"]["name"], f"{said['unknown'][how]} ({_shared(a, b)})"
    for band in said["band"]:
        if apart < band["under_km"]:
            return band["name"], band[how]
    return said["further"]["name"], said["further"][how]


def _address(view: View, place: Place) -> Mapping[str, Any]:
    if not isinstance(place, str):
        return place
    rows = view.identity("address").filter(pl.col("address_id") == place)
    return rows.row(0, named=True) if rows.height else {}


def _same(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Two records of one place: the same line and the same postcode, however spaced."""

    def plain(row: Mapping[str, Any]) -> tuple[str, str]:
        return "".join(str(row.get("line") or "").upper().split()), "".join(
            str(row.get("postcode") or "").upper().split()
        )

    return all(plain(a)) and plain(a) == plain(b)


def _km(a: Mapping[str, Any], b: Mapping[str, Any]) -> float | None:
    """Great-circle distance in km; None where either has no co-ordinates."""
    four = (a.get("latitude"), a.get("longitude"), b.get("latitude"), b.get("longitude"))
    if any(value is None for value in four):
        return None
    north_a, east_a, north_b, east_b = (radians(float(value)) for value in four if value is not None)
    half = sin((north_b - north_a) / 2) ** 2 + cos(north_a) * cos(north_b) * sin((east_b - east_a) / 2) ** 2
    return 2 * EARTH_KM * asin(sqrt(min(1.0, half)))


def _shared(a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
    """What two places without co-ordinates have in common, the narrowest first."""
    for column, words in (
        ("postcode", "the same postcode"),
        ("lsoa", "the same neighbourhood, LSOA"),
        ("district", "the same district"),
    ):
        if a.get(column) and a.get(column) == b.get(column):
            return f"no co-ordinates; {words}"
    return "no co-ordinates in the records"


def _notes(view: View, known: list[Stay], latest: Stay | None, place: Place) -> list[str]:
    """Other addresses of the person that are this one or close by, and when they left it."""
    said = []
    for stay in known:
        if stay is latest:
            continue
        band, words = _compare(view, stay.address_id, place)
        if band == "here" and stay.left:
            said.append(f"Recorded as living here until {day(stay.left)}")
        elif stay.left is None and band not in ("further", "unknown"):
            said.append(f"Another address in the records, {day(stay.since)}: {words}")
    return said


def _events_here(view: View, happened: Sequence[Happened], place: Place) -> list[str]:
    """How often the person was suspect at this address, and when last."""
    suspect = [one for one in happened if "suspect" in one.roles]
    ids = [one.event_id for one in suspect]
    rows = view.identity("event_place").filter(pl.col("event_id").is_in(ids))
    same = {a for a in rows["address_id"].drop_nulls().unique() if _compare(view, a, place)[0] == "here"}
    here = set(rows.filter(pl.col("address_id").is_in(list(same)))["event_id"])
    found = [one for one in suspect if one.event_id in here]
    if not found:
        return []
    last = max(found, key=lambda one: (one.occurred_at, one.event_id))
    return [
        f"Suspect in {count(len(found), 'event')} at this address, the last on {day(last.occurred_at)} "
        f"({last.reference})"
    ]

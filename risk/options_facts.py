"""What a person's records hold that bears on the test of an option: lines with their kind and their records.

Nothing here says that a test is met. Each line is what a record says, somebody's recorded judgement, or a count made
by Doorstep, so that whoever decides can open what it rests on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl

from risk.dyads import Dyads
from risk.history import Happened
from risk.options import Option, options
from risk.settings import settings
from risk.sheet_people import age
from risk.state import State
from risk.view import View
from risk.who import CLOSED
from risk.words import count, day, listed, plain

DASH = tuple(f"q{number:02d}" for number in range(1, 28))
YEAR, THREE_YEARS = timedelta(days=365), timedelta(days=1095)


@dataclass(frozen=True)
class Line:
    """One line of what the records hold. ``kind``: record, assessment or calculation; ``events``: event_id of the
    events behind it, newest first; ``bears``: it speaks for the test being worth a look."""

    kind: str
    text: str
    events: tuple[str, ...] = ()
    bears: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The same facts for a machine."""
        return asdict(self)


@dataclass(frozen=True)
class Known:
    """What is known of a person as of T, read once for all options."""

    view: View
    person_id: str
    born: date | None
    happened: Sequence[Happened]
    dyads: Dyads
    state: State
    shut: frozenset[str] = frozenset()
    """People whose records are for named users: no line says their reference."""

    @property
    def domestic(self) -> list[Happened]:
        """Domestic events with the person as suspect, newest first, none that was cancelled."""
        return [
            one
            for one in self.happened
            if one.domestic and "suspect" in one.roles and one.status_code != "cancelled"
        ]

    def since(self, back: timedelta) -> list[Happened]:
        """Those of the time up to T."""
        return [one for one in self.domestic if one.occurred_at > self.view.t - back]


def bearing(known: Known, option: Option) -> list[Line]:
    """The lines of an option, in the order of its prompts."""
    return [line for name in option.prompts for line in PROMPTS[name](known)]


def bearings(known: Known) -> dict[str, list[dict[str, Any]]]:
    """Option -> its lines as plain data, for every option there is; each prompt is worked out once."""
    shut = sorted(map(re.escape, known.shut))
    closed = re.compile(rf"(?<![\w-])(?:{'|'.join(shut)})(?![\w-])") if shut else None
    lines = {
        name: [
            line.as_dict() | ({"text": closed.sub(CLOSED, line.text)} if closed else {})
            for line in prompt(known)
        ]
        for name, prompt in PROMPTS.items()
    }
    return {one.option_id: [line for name in one.prompts for line in lines[name]] for one in options()}


def _adult(known: Known) -> list[Line]:
    years = age(known.born, known.view.t)
    if years is None:
        return [Line("record", "Birth date not recorded: age to be established")]
    return [Line("calculation", f"Aged {years}" + ("" if years >= 18 else ": under 18"))]


def _tagged(known: Known, words: str, tags: Iterable[str]) -> list[Line]:
    wanted = set(tags)
    found = [one for one in known.since(THREE_YEARS) if wanted & set(one.tags)]
    if not found:
        return [Line("calculation", f"No domestic event of the last three years recorded with {words}")]
    latest = found[0]
    text = (
        f"{count(len(found), 'domestic event')} of the last three years recorded with {words}, "
        f"the latest on {day(latest.occurred_at)} ({latest.reference}, {latest.status})"
    )
    return [Line("calculation", text, tuple(one.event_id for one in found), bears=True)]


def _violence(known: Known) -> list[Line]:
    return _tagged(known, "violence or threats", settings("options_facts")["tags"]["violence_or_threats"])


def _stalking(known: Known) -> list[Line]:
    return _tagged(known, "stalking or harassment", settings("options_facts")["tags"]["stalking"])


def _any_abuse(known: Known) -> list[Line]:
    found = known.since(YEAR)
    if not found:
        return [Line("calculation", "No domestic event as suspect in the last year")]
    events = count(len(found), "domestic event")
    text = f"{events} as suspect in the last year, the latest on {day(found[0].occurred_at)}"
    return [Line("calculation", text, tuple(one.event_id for one in found), bears=True)]


def _related(known: Known) -> list[Line]:
    since = known.view.t - THREE_YEARS
    pairs = [one for one in known.dyads.shown if one.toward.last is not None and one.toward.last > since]
    return [
        Line("record", f"{one.other}: {one.relationship}", one.events)
        for one in pairs[: settings("options_facts")["most"]["lines"]]
    ]


def _orders(known: Known) -> list[Line]:
    lines = [
        Line(
            "record",
            f"In force: {plain(order['kind'])} made {day(order['made_on'])}"
            + (f", until {day(order['expires_on'])}" if order["expires_on"] else ", no end recorded")
            + (f", protects {order['protected_id']}" if order["protected_id"] else ""),
        )
        for order in known.state.orders
    ]
    return lines or [Line("record", "No order in force against this person on record")]


def _bail(known: Known) -> list[Line]:
    lines = []
    for bail in known.state.bail:
        conditions = listed([plain(one) for one in bail["conditions"] or []])
        lines.append(
            Line("record", f"On bail until {day(bail['until_at'])}: {conditions or 'no conditions recorded'}")
        )
    return lines or [Line("record", "Not on bail on record")]


def _custody(known: Known) -> list[Line]:
    return [
        Line("record", f"Arrested {day(held['arrested_at'])}, no release recorded", bears=True)
        for held in known.state.custody
    ]


def _children(known: Known) -> list[Line]:
    found = [one for one in known.since(YEAR) if one.children_present]
    if not found:
        return []
    events = count(len(found), "event")
    text = f"Children recorded as present at {events} of the last year: their welfare is to be weighed"
    return [Line("record", text, tuple(one.event_id for one in found))]


def _charges(known: Known) -> list[Line]:
    found = [one for one in known.domestic if one.status_code in ("charged", "convicted")]
    if not found:
        return [Line("record", "No charge or conviction in the domestic events on record")]
    text = f"{count(len(found), 'domestic event')} charged or convicted, the latest of {day(found[0].occurred_at)}"
    return [Line("record", text, tuple(one.event_id for one in found), bears=True)]


def _partners(known: Known) -> list[Line]:
    """Present partners: those with no event between them on record are whom a disclosure would be for."""
    table = known.view.table("relationship").filter(
        pl.col("kind").is_in(["spouse", "partner"]), pl.col("ended_on").is_null()
    )
    me = known.person_id
    mine = table.filter((pl.col("person_id_a") == me) | (pl.col("person_id_b") == me)).sort(
        "at", descending=True
    )
    harmed = {one.other for one in known.dyads.shown if one.toward.events}
    lines: list[Line] = []
    for row in mine.iter_rows(named=True):
        other = row["person_id_b"] if row["person_id_a"] == me else row["person_id_a"]
        if any(line.text.startswith(other) for line in lines):
            continue
        text = f"{other}: {plain(row['kind'])} since {day(row['started_on'])}"
        text += "" if other in harmed else ", no domestic event between the two on record"
        lines.append(Line("record", text, bears=other not in harmed))
    return lines or [Line("record", "No present partner on record")]


def _disclosures(known: Known) -> list[Line]:
    rows = known.view.identity("disclosure").filter(pl.col("subject_id") == known.person_id)
    lines = []
    for row in rows.sort("opened_at", descending=True).iter_rows(named=True):
        how = plain(row["decision"]) if row["decision"] else "open"
        lines.append(Line("record", f"Disclosure application of {day(row['opened_at'])}: {how}"))
    return lines or [Line("record", "No disclosure application about this person on record")]


def _dash(known: Known) -> list[Line]:
    table = known.view.table("risk_assessment").filter(
        pl.col("suspect_id") == known.person_id, pl.col("completed_at") > known.view.t - YEAR
    )
    newest = table.sort("completed_at", descending=True).unique(
        "victim_id", keep="first", maintain_order=True
    )
    threshold = int(settings("options_facts")["marac"]["dash_yes"])
    lines = []
    for row in newest.iter_rows(named=True):
        yes, grade = sum(row[q] == "Y" for q in DASH), row["grade"] or "not recorded"
        text = f"{row['tool']} of {day(row['completed_at'])} about {row['victim_id']}: "
        text += f"{count(yes, 'yes answer')}, grade {grade}"
        lines.append(Line("assessment", text, (row["event_id"],), bears=yes >= threshold))
    return lines or [Line("assessment", "No risk assessment of the last year names this person as suspect")]


def _escalation(known: Known) -> list[Line]:
    least = int(settings("options_facts")["marac"]["events"])
    by_victim: dict[str, list[str]] = {}
    for one in known.since(YEAR):
        for victim in one.against:
            by_victim.setdefault(victim, []).append(one.event_id)
    lines = []
    for victim, events in by_victim.items():
        if len(events) >= least:
            text = f"{victim}: {count(len(events), 'domestic event')} in the last 12 months"
            lines.append(Line("calculation", text, tuple(events), bears=True))
    return lines or [
        Line("calculation", f"No victim with {least} or more domestic events in the last 12 months")
    ]


def _scheme(known: Known, scheme: str, persons: Sequence[str]) -> list[Line]:
    rows = known.view.audit("intervention").filter(
        pl.col("person_id").is_in(list(persons)), pl.col("scheme") == scheme
    )
    most = int(settings("options_facts")["most"]["lines"])
    lines = []
    for row in rows.sort("started_on", descending=True).head(most).iter_rows(named=True):
        ended = f", ended {day(row['ended_on'])}" if row["ended_on"] else ""
        lines.append(Line("record", f"{scheme} since {day(row['started_on'])}: {row['person_id']}{ended}"))
    return lines


def _marac(known: Known) -> list[Line]:
    return _scheme(known, "MARAC", [one.other for one in known.dyads.shown if one.toward.events])


def _matac(known: Known) -> list[Line]:
    return _scheme(known, "MATAC", [known.person_id])


def _serial(known: Known) -> list[Line]:
    recent = known.since(THREE_YEARS)
    victims = sorted({victim for one in recent for victim in one.against})
    least = int(settings("options_facts")["serial"]["victims"])
    people = count(len(victims), "person", "people")
    text = f"{people} as victim of domestic events with this person as suspect in three years"
    return [
        Line(
            "calculation",
            text,
            tuple(one.event_id for one in recent if one.against),
            bears=len(victims) >= least,
        )
    ]


PROMPTS: dict[str, Callable[[Known], list[Line]]] = {
    "adult": _adult,
    "any_abuse": _any_abuse,
    "bail": _bail,
    "charges": _charges,
    "children": _children,
    "custody": _custody,
    "dash_yes": _dash,
    "disclosures": _disclosures,
    "escalation": _escalation,
    "marac": _marac,
    "matac": _matac,
    "orders_in_force": _orders,
    "partners": _partners,
    "related": _related,
    "serial": _serial,
    "stalking": _stalking,
    "violence_or_threats": _violence,
}
"""Prompt of ``options.toml`` -> the lines it puts beside the legal test."""

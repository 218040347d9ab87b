"""Nominations: who should have a reserve place on the next list, whatever the ranking says, and why.

What the records do not hold cannot be ranked. Officers nominate with a reason, a supervisor accepts or does not, and an
accepted nomination keeps its place for four weeks (``risk/data/list.toml``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import sqlalchemy as sa

from features.errors import InputError, NotFoundError
from risk import written
from risk.settings import settings
from risk.store.tables_decisions import NOMINATION, NOMINATION_WORD
from risk.words import day, day_time
from risk.written import CrossedError

if TYPE_CHECKING:
    from risk.audit import Who
    from risk.store import Database

SAID = {"accept": "accepted", "refuse": "refused", "end": "ended"}


def codes() -> dict[str, str]:
    """Why somebody may be nominated, in words."""
    return dict(settings("decisions")["nominations"]["codes"])


def scopes() -> dict[str, str]:
    """For which list, in words."""
    return dict(settings("decisions")["nominations"]["scopes"])


def sayings() -> dict[str, str]:
    """What a supervisor may say, in words."""
    return dict(settings("decisions")["nominations"]["said"])


@dataclass(frozen=True)
class Named:
    """A nomination as it was filled in."""

    scope: str
    code: str
    reason: str


def nominate(
    db: Database, who: Who, person_id: str, named: Named, about: datetime, district: str | None
) -> tuple[dict[str, Any], bool]:
    """Nominate a person. Returns the nomination, and False where one waits or is accepted already (that one).

    ``about``: T of the records; an accepted place is counted from there. Raises FieldError for a field at fault.
    """
    values = written.checked(
        {
            "scope": lambda: written.checked_code("scope", named.scope, scopes(), "a list"),
            "code": lambda: written.checked_code("code", named.code, codes(), "a reason from the list"),
            "reason": lambda: written.checked_text("reason", named.reason),
        }
    )
    known = nominations_of(db, [person_id])[person_id]
    if known and known[0]["status"] in {"waits", "accepted"} and not _ended(known[0], about):
        return known[0], False
    row = {"person_id": person_id, "number": len(known) + 1, "district": district, **values}
    made = written.add(db, NOMINATION, row | written.signed(who, values["reason"], about)) is not None
    return nominations_of(db, [person_id])[person_id][0], made


def _ended(one: Mapping[str, Any], t: datetime) -> bool:
    return one["until"] is not None and one["until"] <= t


def say(
    db: Database, who: Who, nomination_id: int, said: str, reason: str, about: datetime
) -> dict[str, Any]:
    """A supervisor's word: "accept", "refuse", or "end" an accepted one. Returns the nomination with it.

    Raises NotFoundError, FieldError, InputError where the nomination is the supervisor's own or the word does not fit
    it, and CrossedError when another supervisor spoke first.
    """
    values = written.checked(
        {
            "said": lambda: written.checked_code("said", said, sayings(), "what you decide"),
            "reason": lambda: written.checked_text("reason", reason),
        }
    )
    one = nomination(db, nomination_id)
    if one["by"] == who.username and said == "accept":
        raise InputError(
            "A nomination is accepted by somebody else than the person who made it.",
            where=f"nomination {nomination_id}",
            cure="Ask another supervisor.",
        )
    fits = one["status"] == "accepted" if said == "end" else one["status"] == "waits"
    if fits:
        until = about + timedelta(days=settings("list")["reserve"]["days"]) if said == "accept" else None
        row = {"nomination_id": nomination_id, "number": len(one["said"]) + 1, "said": said, "until": until}
        if written.add(db, NOMINATION_WORD, row | written.signed(who, values["reason"], about)) is not None:
            return nomination(db, nomination_id)
        one = nomination(db, nomination_id)
    if not one["said"]:
        raise InputError(
            "Only an accepted nomination can be ended.",
            where=f"nomination {nomination_id}",
            cure="Accept it, or do not accept it.",
        )
    last = one["said"][-1]
    raise CrossedError(
        f"{last['by']} has decided already, on {day_time(last['at'])}: {SAID[last['said']]}.",
        [last],
        cure="Read it; the person may be nominated again.",
    )


def nomination(db: Database, nomination_id: int) -> dict[str, Any]:
    """A nomination by its number. Raises NotFoundError."""
    found = _told(db, sa.select(NOMINATION).where(NOMINATION.c.id == nomination_id))
    if not found:
        raise NotFoundError(
            f"There is no nomination {nomination_id}.", where="nominations", cure="Open the page again."
        )
    return found[0]


def nominations_of(
    db: Database, persons: Iterable[str], clusters: pl.DataFrame | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Every nomination of ``persons``, newest first: the row with ``code_words``, ``said``, ``status`` (waits,
    accepted, refused, ended), ``until`` and a ``line`` in words."""
    now = written.references(persons, clusters)
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in _told(db, sa.select(NOMINATION).where(NOMINATION.c.person_id.in_(list(now)))):
        found[now[one["person_id"]]].append(one)
    return {person: found[person] for person in set(now.values())}


def open_nominations(db: Database) -> list[dict[str, Any]]:
    """Those that wait for a supervisor or hold a place, the oldest first."""
    found = [one for one in _told(db, sa.select(NOMINATION)) if one["status"] in {"waits", "accepted"}]
    return found[::-1]


def accepted_words(db: Database) -> list[dict[str, Any]]:
    """Every accepted nomination with ``accepted_about`` (T of the word), ``until`` and ``ended_about`` (or None), in
    the order they were accepted."""
    found = []
    for one in _told(db, sa.select(NOMINATION)):
        accepted = next((word for word in one["said"] if word["said"] == "accept"), None)
        if accepted is not None:
            ended = next((word["about"] for word in one["said"] if word["said"] == "end"), None)
            found.append(
                one
                | {
                    "accepted_at": accepted["at"],
                    "accepted_about": accepted["about"],
                    "until": accepted["until"],
                    "ended_about": ended,
                }
            )
    return sorted(found, key=lambda one: (one["accepted_at"], one["id"]))


def _told(db: Database, query: sa.Select[Any]) -> list[dict[str, Any]]:
    rows = written.select_rows(db, query.order_by(NOMINATION.c.at.desc(), NOMINATION.c.id.desc()))
    if not rows:
        return []
    spoken = sa.select(NOMINATION_WORD).where(
        NOMINATION_WORD.c.nomination_id.in_([row["id"] for row in rows])
    )
    said: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for word in written.select_rows(db, spoken.order_by(NOMINATION_WORD.c.number)):
        words = f"Nomination {SAID[word['said']]}"
        said[word["nomination_id"]].append(word | {"words": words})
    return [_with_status(row, said[row["id"]]) for row in rows]


def _with_status(row: dict[str, Any], said: list[dict[str, Any]]) -> dict[str, Any]:
    status = SAID[said[-1]["said"]] if said else "waits"
    until = next((word["until"] for word in said if word["said"] == "accept"), None)
    line = f"Nominated on {day(row['at'])}: {codes()[row['code']].lower()}"
    line += {
        "waits": "; waits for a supervisor",
        "accepted": f"; reserve place until {day(until)}",
        "refused": "; not accepted",
        "ended": "; ended",
    }[status]
    return row | {
        "code_words": codes()[row["code"]],
        "scope_words": scopes()[row["scope"]],
        "said": said,
        "status": status,
        "until": until,
        "line": line,
    }

"""Lawful options, as prompts: each with its legal test, since when and where it is in force, its source, and who in the
force has verified it. Never pressed by the machine: a named person decides.

What an option says is data (``risk/data/options.toml``), every fact marked as found at its source or recalled. A
recalled fact reaches no page until the force's legal officer has verified the option as worded; an option whose test
rests on one, or that is in force only in some areas, is not shown at all until then. What they said is kept in the
store: rows are added, the latest holds, for as long as the wording stays and at most a year.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from features.errors import InputError, NotFoundError
from risk.settings import settings
from risk.store import Database
from risk.store.tables_options import OPTION_CHECK
from risk.words import day
from risk.written import plain_text

VERIFIED, REFUSED = "verified", "refused"
LONGEST = 2_000  # characters of a source or a note


@dataclass(frozen=True)
class Fact:
    """One statement of an option. ``mark``: found or recalled; ``rests``: the option cannot stand without it."""

    part: str
    heading: str
    text: str
    mark: str
    source: str
    rests: bool


@dataclass(frozen=True)
class Check:
    """What a legal officer said of an option, and whether it still holds."""

    verdict: str
    name: str
    username: str
    at: datetime
    source: str
    note: str
    wording: str


@dataclass(frozen=True)
class Option:
    """An option as it is worded. ``limited``: in force in some areas only; ``prompts``: which facts of a person's
    records bear on its test (``risk.options_facts``); ``wording``: digest of all this."""

    option_id: str
    name: str
    kind: str
    area: str
    limited: bool
    prompts: tuple[str, ...]
    facts: tuple[Fact, ...]
    wording: str

    @property
    def needs_verifying(self) -> bool:
        """Whether it is hidden until a legal officer has verified it."""
        return self.limited or any(fact.rests and fact.mark != "found" for fact in self.facts)


@dataclass(frozen=True)
class Standing:
    """An option with what the force has said of it, as of a moment.

    ``shown``: it may stand on a person page; ``facts``: those a page may show; ``held_back``: how many it may not;
    ``why``: who stands behind it, or why it is hidden.
    """

    option: Option
    check: Check | None
    shown: bool
    facts: tuple[Fact, ...]
    held_back: int
    why: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data for an answer: only facts that may be shown."""
        return {
            "option_id": self.option.option_id,
            "name": self.option.name,
            "kind": self.option.kind,
            "area": self.option.area,
            "shown": self.shown,
            "facts": [asdict(fact) for fact in self.facts],
            "held_back": self.held_back,
            "why": self.why,
            "verified_by": self.check.name if self.check and self.check.verdict == VERIFIED else None,
            "verified_at": self.check.at if self.check and self.check.verdict == VERIFIED else None,
        }


@cache
def options() -> tuple[Option, ...]:
    """Every option of ``options.toml``, in its order."""
    said = settings("options")
    return tuple(_option(entry, said["words"]["part"]) for entry in said["option"])


def option(option_id: str) -> Option:
    """One option by its id. Raises NotFoundError."""
    for one in options():
        if one.option_id == option_id:
            return one
    raise NotFoundError(
        f"There is no option {option_id!r}.",
        where="options",
        cure=f"Options: {', '.join(one.option_id for one in options())}.",
    )


def _option(entry: Mapping[str, Any], headings: Mapping[str, str]) -> Option:
    facts = tuple(
        Fact(
            part=fact["part"],
            heading=headings[fact["part"]],
            text=fact["text"],
            mark=fact["mark"],
            source=fact["source"],
            rests=bool(fact.get("rests")),
        )
        for fact in entry["fact"]
    )
    wording = hashlib.sha256(json.dumps(entry, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]
    return Option(
        option_id=entry["id"],
        name=entry["name"],
        kind=entry["kind"],
        area=entry["area"],
        limited=bool(entry.get("limited")),
        prompts=tuple(entry["prompts"]),
        facts=facts,
        wording=wording,
    )


# --- what the force's legal officers said ---------------------------------------------------------------------------


def say(
    db: Database,
    option_id: str,
    verdict: str,
    *,
    wording: str,
    source: str,
    note: str,
    username: str,
    name: str,
    at: datetime | None = None,
) -> Check:
    """Write down what a legal officer says of an option, as they had it before them (``wording``).

    Raises InputError for another verdict than verified or refused, without what it was checked against, for text that
    is too long, and when the wording has changed since it was read; NotFoundError for an unknown option.
    """
    one, source, note = option(option_id), plain_text(source), plain_text(note)
    if verdict not in (VERIFIED, REFUSED):
        raise InputError("Say verified or refused.", where="verdict", cure="Choose one of the two.")
    if wording != one.wording:
        raise InputError(
            f"The wording of {one.name} has changed since you opened it.",
            where="wording",
            cure="Read it again as it now stands, then say what you found.",
        )
    if not source:
        raise InputError(
            "Say what it was checked against, or why it is refused.",
            where="source",
            cure="Name the Act and section, the guidance and its date, or the advice you hold.",
        )
    for what, text in (("source", source), ("note", note)):
        if len(text) > LONGEST:
            raise InputError(
                f"That is {len(text):,} characters.", where=what, cure=f"Keep it under {LONGEST:,}."
            )
    when = at or datetime.now(UTC)
    with db.begin() as connection:
        connection.execute(
            sa.insert(OPTION_CHECK).values(
                option_id=one.option_id,
                wording=wording,
                verdict=verdict,
                source=source,
                note=note,
                username=username,
                name=name,
                at=when,
            )
        )
    return Check(verdict, name, username, when, source, note, wording)


def checks(db: Database) -> dict[str, list[Check]]:
    """Everything ever said of each option, newest first."""
    query = sa.select(OPTION_CHECK).order_by(OPTION_CHECK.c.id.desc())
    found: dict[str, list[Check]] = {}
    with db.read() as connection:
        for row in connection.execute(query).mappings():
            said = {name: row[name] for name in Check.__dataclass_fields__}
            found.setdefault(row["option_id"], []).append(Check(**said))
    return found


def last_check(db: Database) -> int:
    """The number of the newest word on any option; 0 before the first."""
    with db.read() as connection:
        return int(connection.execute(sa.select(sa.func.max(OPTION_CHECK.c.id))).scalar() or 0)


def standings(db: Database, now: datetime | None = None) -> list[Standing]:
    """Every option with what the force has said of it; those that may be shown first, in the order of the file."""
    when, said = now or datetime.now(UTC), checks(db)
    found = [_standing(one, said.get(one.option_id, []), when) for one in options()]
    return sorted(found, key=lambda one: not one.shown)


def _standing(one: Option, said: list[Check], now: datetime) -> Standing:
    latest = said[0] if said else None
    lasts = timedelta(days=int(settings("options")["verification"]["lasts_days"]))
    current = latest is not None and latest.wording == one.wording and now < latest.at + lasts
    if latest is not None and latest.verdict == REFUSED:  # a refusal holds until somebody says otherwise
        return Standing(one, latest, False, (), len(one.facts), f"refused by {latest.name}, {day(latest.at)}")
    if latest is not None and current:
        who = f"verified by {latest.name}, legal officer, {day(latest.at)}, against: {latest.source}"
        return Standing(one, latest, True, one.facts, 0, who)
    ended = ""
    if latest is not None:
        why = "its wording has changed" if latest.wording != one.wording else "it is more than a year old"
        ended = f"; the verification of {day(latest.at)} has ended because {why}"
    if one.needs_verifying:
        why = "in force only in some areas" if one.limited else "its test was not checked at its source"
        return Standing(
            one, None, False, (), len(one.facts), f"waits for the force's legal officer: {why}{ended}"
        )
    kept = tuple(fact for fact in one.facts if fact.mark == "found")
    found_on = settings("options")["verification"]["found_on"]
    return Standing(
        one,
        None,
        True,
        kept,
        len(one.facts) - len(kept),
        f"found at its source, {found_on}; not yet verified by this force's legal officer{ended}",
    )

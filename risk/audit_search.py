"""Rows of the audit trail as an auditor asks for them: newest first, narrowed, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from features.errors import InputError, NotFoundError
from risk.audit import with_members
from risk.settings import settings
from risk.store import Database
from risk.store.tables_audit import AUDIT, AUDIT_MEMBER
from risk.words import LONDON


@dataclass(frozen=True)
class Asked:
    """What is looked for; an empty text asks for nothing in particular. ``since`` and ``until`` are London days, both
    included; ``place``: the page or
    command, or part of it; ``before``: rows with a smaller number."""

    who: str = ""
    person: str = ""
    act: str = ""
    place: str = ""
    since: str = ""
    until: str = ""
    outside: bool = False
    before: int | None = None

    def words(self) -> str:
        """What was looked for, for the row that this search itself leaves."""
        named = ("who", "person", "act", "place", "since", "until")
        parts = [f"{name} {getattr(self, name)}" for name in named if getattr(self, name)]
        parts += ["outside district"] if self.outside else []
        return ", ".join(parts) or "all rows"


def reading(why: str) -> str:
    """The purpose of reading in words. InputError when it is none of those the rows may be read for."""
    known: dict[str, str] = settings("audit")["reading"]
    if why not in known:
        raise InputError(
            "Say what the rows are read for.",
            where="why",
            cure=f"One of: {', '.join(known)} (docs/audit.md).",
        )
    return known[why]


def find(db: Database, asked: Asked, limit: int = 50) -> tuple[list[dict[str, Any]], int | None]:
    """Rows newest first, and the number to ask for rows before (None: these are the last). InputError for an act or a
    day that is none; StoreAwayError when the database is away."""
    query = sa.select(AUDIT).where(*_narrowed(asked)).order_by(AUDIT.c.seq.desc()).limit(limit + 1)
    with db.read() as connection:
        found = [dict(row) for row in connection.execute(query).mappings()]
        rows = with_members(connection, found[:limit])
    return rows, rows[-1]["seq"] if len(found) > limit else None


def one(db: Database, seq: int) -> dict[str, Any]:
    """The row of a number. NotFoundError."""
    with db.read() as connection:
        found = [
            dict(row) for row in connection.execute(sa.select(AUDIT).where(AUDIT.c.seq == seq)).mappings()
        ]
        if not found:
            raise NotFoundError(
                f"There is no row {seq}.", where="audit trail", cure="Search for it: /audit lists the rows."
            )
        return with_members(connection, found)[0]


def day_starts(text: str, where: str) -> datetime:
    """The beginning of a London day written YYYY-MM-DD. InputError."""
    try:
        day = date.fromisoformat(text)
        return datetime(day.year, day.month, day.day, tzinfo=LONDON).astimezone(UTC)
    except (ValueError, OverflowError) as fault:
        raise InputError(
            f"{text[:40]!r} is not a day.", where=where, cure="Write it as 2026-03-31: year, month, day."
        ) from fault


def _narrowed(asked: Asked) -> Sequence[sa.ColumnElement[bool]]:
    narrow: list[sa.ColumnElement[bool]] = []
    if asked.act:
        if asked.act not in settings("audit")["acts"]:
            raise InputError(
                f"No act is called {asked.act[:40]!r}.",
                where="act",
                cure=f"One of: {', '.join(settings('audit')['acts'])}.",
            )
        narrow.append(AUDIT.c.act == asked.act)
    if asked.who:
        narrow.append(AUDIT.c.username == asked.who)
    if asked.person:
        sets = sa.select(AUDIT_MEMBER.c.persons).where(AUDIT_MEMBER.c.person_id == asked.person)
        narrow.append(AUDIT.c.persons.in_(sets))
    if asked.place:
        narrow.append(AUDIT.c.page.contains(asked.place, autoescape=True))
    if asked.since:
        narrow.append(AUDIT.c.at >= day_starts(asked.since, "since"))
    if asked.until:
        last = day_starts(asked.until, "until")
        if last > datetime(9000, 1, 1, tzinfo=UTC):
            raise InputError("That day is far away.", where="until", cure="Write it as 2026-03-31.")
        narrow.append(AUDIT.c.at < last + timedelta(days=1))
    if asked.outside:
        narrow.append(AUDIT.c.outside.is_(True))
    if asked.before is not None:
        narrow.append(AUDIT.c.seq < asked.before)
    return narrow

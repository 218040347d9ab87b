"""Every act is written down before anything is shown: who, in which role, what, about whom, why, from where, when.

The rows answer section 62 of the Data Protection Act 2018 and are read only for the purposes it names
(``risk/data/audit.toml``, docs/audit.md). They are appended to a chain (``risk.audit_chain``) that
``doorstep audit verify`` tests.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from risk.audit_chain import set_hash, writer_of
from risk.audit_verify import verify
from risk.settings import settings
from risk.store import Database
from risk.store.tables_audit import AUDIT, AUDIT_MEMBER, AUDIT_SET

__all__ = ["MACHINE", "Who", "carry_head", "ready", "record", "rows", "this_user", "verify", "with_members"]

MACHINE = "this machine"


@dataclass(frozen=True)
class Who:
    """Who acts: ``face`` is "page", "api" or "command line"; ``source`` the address they come from, or "this
    machine"."""

    username: str
    role: str
    face: str
    source: str


def this_user() -> Who:
    """Who runs a command: the operating system's user."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user without an entry in the password file
        name = f"uid {os.getuid()}"
    return Who(name, "operating system", "command line", MACHINE)


def record(
    db: Database,
    home: Path,
    who: Who,
    act: str,
    page: str,
    *,
    persons: Sequence[str] = (),
    list_id: str | None = None,
    purpose: str | None = None,
    reference: str | None = None,
    outside: bool = False,
    detail: str = "",
) -> int:
    """Write one act down and return the row's number.

    ``act`` is a word of ``audit.toml``; ``page`` what was opened or done; ``persons`` references of the persons shown
    or changed; ``outside`` says that one is of a district not the viewer's. On return the row is durable; inside
    ``db.begin()`` it is part of that transaction. DoorstepError when it cannot be written: then nothing may be shown.
    ValueError for an act that has no name.
    """
    known = settings("audit")
    if act not in known["acts"]:
        raise ValueError(f"no such act: {act}")
    members = sorted({_clean(person, known["lengths"]["text"]) for person in persons})
    short, long = known["lengths"]["text"], known["lengths"]["detail"]
    row: dict[str, Any] = {
        "username": _clean(who.username, short),
        "role": _clean(who.role, short),
        "face": _clean(who.face, short),
        "source": _clean(who.source, short),
        "act": act,
        "page": _clean(page, short),
        "persons": set_hash(members) if members else None,
        "persons_count": len(members),
        "list_id": list_id and _clean(list_id, short),
        "purpose": purpose and _clean(purpose, short),
        "reference": reference and _clean(reference, short),
        "outside": bool(outside),
        "detail": _clean(detail, long),
    }
    return writer_of(db, home).append(row, members)


def ready(db: Database, home: Path) -> None:
    """Say beforehand that rows could not be coded: DoorstepError when the key is missing, too short or cannot be made.
    A command that does something first and writes it down afterwards asks this before."""
    writer = writer_of(db, home)
    with db.read() as connection:
        end = writer.end(connection)
    writer.key(make=not end[0])


def carry_head(db: Database, home: Path, *, always: bool = False) -> dict[str, Any] | None:
    """Carry the head of the trail to the second place if rows came since the last one this process carried, or that is
    a while ago (``always``: if there is a row at all); the head, or None. DoorstepError when it cannot be written."""
    writer = writer_of(db, home)
    with db.read() as connection:
        end = writer.end(connection)
    nothing_new = writer.heads.carried == end[0] and not writer.heads.late()
    if not end[0] or (nothing_new and not always):
        return None
    return writer.heads.write(writer.key(), end)


def rows(
    db: Database,
    *,
    after: int = 0,
    limit: int = 100,
    who: str | None = None,
    person: str | None = None,
    act: str | None = None,
) -> list[dict[str, Any]]:
    """Rows in their order, from the one after ``after``: every column, ``persons`` as the list of references."""
    query = sa.select(AUDIT).where(AUDIT.c.seq > after).order_by(AUDIT.c.seq).limit(limit)
    if who is not None:
        query = query.where(AUDIT.c.username == who)
    if act is not None:
        query = query.where(AUDIT.c.act == act)
    if person is not None:
        sets = sa.select(AUDIT_MEMBER.c.persons).where(AUDIT_MEMBER.c.person_id == person)
        query = query.where(AUDIT.c.persons.in_(sets))
    with db.read() as connection:
        return with_members(connection, [dict(row) for row in connection.execute(query).mappings()])


def with_members(connection: sa.Connection, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with the references of their persons in place of the set's hash."""
    names = {row["persons"] for row in found if row["persons"]}
    query = sa.select(AUDIT_SET.c.persons, AUDIT_SET.c.members).where(AUDIT_SET.c.persons.in_(names))
    sets = {one.persons: one.members for one in connection.execute(query)} if names else {}
    return [row | {"persons": list(sets.get(row["persons"], []))} for row in found]


def _clean(text: str, longest: int) -> str:
    """Text that every database takes back unchanged, not longer than may be."""
    whole = text.encode("utf-8", "replace").decode().replace("\x00", "�")
    if len(whole) <= longest:
        return whole
    return f"{whole[:longest]}… ({len(whole):,} characters)"

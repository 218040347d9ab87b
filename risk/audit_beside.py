"""Whether the trail reaches as far as what stands beside it: accounts, sign-ins, decisions, visits, loads and the key.

Whoever empties the trail, or cuts it where no head has counted it yet, leaves the rest of the database as it was:
things that no row of the trail, or none so early or so late, can tell of.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from risk.audit_key import key_path
from risk.settings import settings
from risk.store import METADATA
from risk.words import day_time

KEY_GRACE = timedelta(days=1)
"""A command makes the key before it begins its work, which may take hours or fail before there is a row."""

# What is never there without a row of its own at the same moment: table, its clock, and what it is called.
WITH_A_ROW = (
    ("session", "made_at", "a sign-in"),
    ("opening", "at", "a restricted record opened"),
    ("named_user", "named_at", "a naming for a restricted record"),
    ("decision", "at", "a decision"),
    ("hold", "at", "a hold"),
    ("nomination", "at", "a nomination"),
    ("visit", "at", "a visit"),
    ("visit_video", "at", "answers before a video response"),
)


def beside(
    connection: sa.Connection, home: Path, first: datetime | None, last: datetime | None
) -> Iterator[str]:
    """What is wrong, in words: ``first`` and ``last`` are the moments of the trail's first and last row, None for a
    trail without rows."""
    grace = timedelta(seconds=settings("audit")["heads"]["beside_seconds"])
    for table, clock, what in WITH_A_ROW:
        oldest, newest = _span(connection, table, clock)
        if oldest is None or newest is None:
            continue
        if first is None or last is None:
            yield f"The trail has no row, yet there is {what} of {day_time(newest)}: rows were removed."
        elif oldest < first - grace:
            begins = f"The trail begins on {day_time(first)}"
            yield f"{begins}, yet there is {what} of {day_time(oldest)}: rows were removed."
        elif newest > last + grace:
            yield f"The trail ends on {day_time(last)}, yet there is {what} of {day_time(newest)}: rows were removed."
    if first is None:
        yield from _without_rows(connection, home)
    else:
        made = _key_made(home)
        if made is not None and made < first - KEY_GRACE:
            yield (
                f"The trail begins on {day_time(first)}, yet its key was made with the first row, on {day_time(made)}: "
                "rows were removed."
            )


def _without_rows(connection: sa.Connection, home: Path) -> Iterator[str]:
    """What an empty trail stands beside that need not be older or newer than anything."""
    account = METADATA.tables["account"]
    people = connection.execute(
        sa.select(sa.func.count()).where(account.c.signed_in_at.is_not(None)).select_from(account)
    ).scalar_one()
    if people:
        yield f"The trail has no row, yet {people:,} of its accounts have signed in: rows were removed."
    if (home / "loads").is_dir() and any((home / "loads").iterdir()):
        yield "The trail has no row, yet records were loaded: rows were removed, or they were loaded without a trail."
    made = _key_made(home)
    if made is not None and made < datetime.now(UTC) - KEY_GRACE:
        yield "The trail has no row, yet its key is there, which is made with the first row: rows were removed."


def _span(connection: sa.Connection, table: str, clock: str) -> tuple[datetime | None, datetime | None]:
    at = METADATA.tables[table].c[clock]
    row = connection.execute(sa.select(sa.func.min(at), sa.func.max(at))).one()
    return row[0], row[1]


def _key_made(home: Path) -> datetime | None:
    """When the key was made, where Doorstep made it itself: one that a force put in its place may be older."""
    path = key_path(home)
    if path != home / "keys" / "audit.key":
        return None
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None

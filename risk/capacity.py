"""K: how many places the list of the force and of each district has. The settings say; a supervisor may say otherwise,
with a reason, from a day on.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from risk import written
from risk.settings import settings
from risk.store.tables_decisions import CAPACITY
from risk.words import day_time
from risk.written import CrossedError, FieldError

if TYPE_CHECKING:
    from risk.audit import Who
    from risk.store import Database

FORCE, EVERY = "force", "every district"


def set_places(
    db: Database, who: Who, scope: str, places: int | None, reason: str, about: datetime, version: int
) -> dict[str, Any]:
    """Set the places of ``scope`` ("force", "every district" or a district) from the day of ``about`` on; None: as the
    settings say. ``version``: the number of the newest setting the supervisor had seen (0: none).

    Raises FieldError for a number out of bounds and CrossedError when somebody has set it since.
    """
    reason = written.checked_text("reason", reason)
    bounds = settings("list")["capacity"]
    if places is not None and not bounds["least"] <= places <= bounds["most"]:
        raise FieldError(
            "places",
            f"{places:,} places is not a number a list can have.",
            f"Give a whole number from {bounds['least']} to {bounds['most']}.",
        )
    newest = latest(db).get(scope)
    if (newest["number"] if newest else 0) == version:
        row = {"scope": scope, "number": version + 1, "places": places}
        if written.add(db, CAPACITY, row | written.signed(who, reason, about)) is not None:
            return latest(db)[scope]
        newest = latest(db)[scope]
    said = "as the settings say" if newest is None or newest["places"] is None else f"{newest['places']:,}"
    raise CrossedError(
        "The number of places was changed after you opened the page"
        + (f", by {newest['by']} on {day_time(newest['at'])}: {said}." if newest else "."),
        [newest] if newest else [],
        cure="Read it, then send yours again if it still holds.",
    )


def settings_made(db: Database) -> list[dict[str, Any]]:
    """Every setting ever made, newest first."""
    return written.select_rows(
        db, sa.select(CAPACITY).order_by(CAPACITY.c.at.desc(), CAPACITY.c.number.desc())
    )


def latest(db: Database, t: datetime | None = None) -> dict[str, dict[str, Any]]:
    """The newest setting by scope; with ``t``, of those in force on the day of a list as of T."""
    found: dict[str, dict[str, Any]] = {}
    for row in settings_made(db):
        if t is None or written.day_begins(row["about"]) <= t:
            found.setdefault(row["scope"], row)
    return found


def places(chosen: Mapping[str, int | None]) -> tuple[dict[str, int], dict[str, int]]:
    """The places of the force and of a district (``force``, ``team``), and of districts that have a number of their
    own: what ``chosen`` (by scope) says over the settings."""
    base = dict(settings("list")["places"])
    general = {
        "force": chosen.get(FORCE) or base["force"],
        "team": chosen.get(EVERY) or base["team"],
    }
    own = {name: k for name, k in chosen.items() if name not in {FORCE, EVERY} and k is not None}
    return general, dict(sorted(own.items()))

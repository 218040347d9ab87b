"""What people write about a person is checked here once: codes, reasons, owners, dates, and who wrote it about what.

People act today; records stand as of T. ``at`` is the moment of writing, ``about`` the T of what the writer was looking
at, so that a list made for a later T knows what had been decided by then.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import sqlalchemy as sa

from features.errors import InputError
from risk.settings import settings
from risk.words import LONDON, day

if TYPE_CHECKING:
    from risk.audit import Who
    from risk.published import PublishedList
    from risk.store import Database


class CrossedError(InputError):
    """Somebody else wrote first. ``newer`` is what they wrote, as the functions that read give it."""

    def __init__(self, what: str, newer: list[dict[str, Any]], *, cure: str) -> None:
        self.newer = newer
        super().__init__(what, where="decisions", cure=cure)


class FieldError(InputError):
    """A field of a form is at fault: ``field`` is its name, ``others`` those at fault beside it."""

    def __init__(self, field: str, what: str, cure: str) -> None:
        self.field = field
        self.others: tuple[FieldError, ...] = ()
        super().__init__(what, where=field, cure=cure)


@dataclass(frozen=True)
class Seen:
    """What a person who decides was looking at: T and, where one speaks of the person, the list and the place on it."""

    about: datetime
    list_id: str | None = None
    rank: int | None = None
    place: str | None = None
    district: str | None = None
    model_version: str | None = None
    p_serious: float | None = None

    @classmethod
    def of(cls, published: PublishedList | None, person_id: str, about: datetime) -> Seen:
        """From the list that was open; only T when there is none or it does not rank the person."""
        rows = published.rows.filter(pl.col("person_id") == person_id) if published is not None else None
        if published is None or rows is None or rows.is_empty():
            return cls(about)
        row = rows.row(0, named=True)
        place = row["place"] if "place" in row else ("rank" if row["listed"] else None)
        version = str(published.facts["model_version"])
        return cls(about, published.list_id, row["rank"], place, row["district"], version, row["p_serious"])


def checked(checks: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """What each check gives, by its name; FieldError with every field at fault, so that all are told at once."""
    found: dict[str, Any] = {}
    faults: list[FieldError] = []
    for name, check in checks.items():
        try:
            found[name] = check()
        except FieldError as fault:
            faults.append(fault)
    if faults:
        faults[0].others = tuple(faults[1:])
        raise faults[0]
    return found


def checked_text(field: str, value: str, *, least: int | None = None) -> str:
    """A free text without surrounding space. FieldError when it is too short or too long, saying by how much."""
    limits = settings("decisions")["limits"]
    text, least = plain_text(value), limits["reason_least"] if least is None else least
    if len(text) < least:
        raise FieldError(field, "Give a reason in your own words.", f"Write at least {least} characters.")
    if len(text) > limits["text_most"]:
        over = len(text) - limits["text_most"]
        raise FieldError(field, f"The text is {over:,} characters too long.", "Shorten it; nothing was cut.")
    return text


def plain_text(value: str) -> str:
    """Text as a database keeps it: without surrounding space and without what nobody can type (controls but the end of
    a line and the tab, halves of characters)."""
    kept = (
        c for c in value.replace("\r\n", "\n") if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs"}
    )
    return "".join(kept).strip()


def checked_code(field: str, value: str, known: Iterable[str], what: str) -> str:
    """One of the codes that are known. FieldError otherwise."""
    if value not in known:
        raise FieldError(field, f"Choose {what}.", "Select one of those offered.")
    return value


def checked_owner(value: str | None, *, asked: bool) -> str | None:
    """Who owns it. FieldError when it is asked for and not given, or is too long."""
    text, most = plain_text(value or ""), settings("decisions")["limits"]["owner_most"]
    if asked and not text:
        raise FieldError("owner", "Say who owns this.", "Give a name or a collar number.")
    if len(text) > most:
        raise FieldError(
            "owner", "The owner is too long.", f"Give one name in no more than {most} characters."
        )
    return text or None


def checked_due(value: date | None, *, asked: bool, today: date | None = None) -> date | None:
    """By which day. FieldError when it is asked for and not given, past, or too far off."""
    today = today or datetime.now(LONDON).date()
    if value is None:
        if asked:
            raise FieldError("due_on", "Say by which day.", f"Give a date from {day(today)} on.")
        return None
    if value < today:
        raise FieldError("due_on", f"{day(value)} is past.", f"Give a date from {day(today)} on.")
    last = today + timedelta(days=settings("decisions")["limits"]["due_most_days"])
    if value > last:
        raise FieldError("due_on", f"{day(value)} is too far off.", f"Give a date up to {day(last)}.")
    return value


def signed(who: Who, reason: str, about: datetime) -> dict[str, Any]:
    """The columns every row ends with."""
    return {
        "reason": reason,
        "by": who.username,
        "role": who.role,
        "at": datetime.now(UTC),
        "about": about,
    }


def add(db: Database, table: sa.Table, values: Mapping[str, Any]) -> int | None:
    """Add a row: its id, 0 for a table without one of its own, or None when another row took its number first."""
    try:
        with (
            db.begin() as connection,
            connection.begin_nested(),
        ):  # a lost race undoes this row, not the act around
            key = connection.execute(sa.insert(table).values(**values)).inserted_primary_key
            return int(key[0]) if key is not None and "id" in table.c else 0
    except sa.exc.IntegrityError:
        return None


def select_rows(db: Database, query: sa.Select[Any]) -> list[dict[str, Any]]:
    """The rows of a query as dictionaries."""
    with db.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def references(persons: Iterable[str], clusters: pl.DataFrame | None) -> dict[str, str]:
    """Every reference under which something may have been written about ``persons``, and the person each means now.

    ``clusters`` (person_id, cluster_id) as of now: what was decided about a record counts for the person it has turned
    out to be.
    """
    known = {person: person for person in persons}
    if clusters is None or clusters.is_empty():
        return known
    theirs = clusters.filter(pl.col("cluster_id").is_in(list(known)))
    return known | dict(theirs.select("person_id", "cluster_id").iter_rows())


def day_begins(when: datetime) -> datetime:
    """The start, in London, of the day on which a moment falls: what is written on a day holds for that day's list."""
    local = when.astimezone(LONDON)
    return local.replace(hour=0, minute=0, second=0, microsecond=0)

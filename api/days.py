"""Today's list kept ready for every request: prepared once, and again when rows are added or minutes have passed.

What people write (decisions, holds, nominations) is read anew for every answer whose stamp has changed, so that a hold
placed a second ago greys its row. Answers already made for the same rows, stamp and question are kept and sent again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl
import sqlalchemy as sa
from fastapi import Request

from api.routes.asked import desk_of
from risk.decisions import Standing, standing
from risk.settings import settings
from risk.store import tables_decisions as tables
from risk.today import Day, persons_of, prepare

if TYPE_CHECKING:
    from api.desk import Desk

DAYS_KEPT, ANSWERS_KEPT = 4, 64
WRITTEN = (
    tables.DECISION,
    tables.DECISION_WORD,
    tables.ACTION,
    tables.ACTION_RESULT,
    tables.HOLD,
    tables.HOLD_WORD,
    tables.NOMINATION,
    tables.NOMINATION_WORD,
)
T = TypeVar("T")


@dataclass(frozen=True)
class Ready:
    """A prepared list with the references of its persons as they are now."""

    day: Day
    state: str  # of the records it was prepared from
    clusters: pl.DataFrame


class Days:
    """Prepared lists of one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = Lock()
        self._days: OrderedDict[str, Ready] = OrderedDict()
        self._standing: tuple[Hashable, dict[str, Standing]] = ((), {})
        self._answers: OrderedDict[Hashable, Any] = OrderedDict()

    def ready(self, list_id: str) -> Ready:
        """A list by its id or "latest", as of now if it is the latest, else as of its own T."""
        desk = self._desk
        published, latest = desk.published(list_id), desk.latest()
        state = desk.load().records().state
        live = latest is not None and latest.list_id == published.list_id
        t = max(desk.now(), published.as_of) if live else published.as_of
        fresh = timedelta(minutes=settings("today")["fresh"]["minutes"])
        with self._lock:  # of several requests after an append one prepares and the others wait for it
            kept = self._days.get(published.list_id)
            if kept is None or kept.state != state or not timedelta(0) <= t - kept.day.t < fresh:
                view = desk.around(persons_of(published), t)
                kept = Ready(prepare(published, view, desk.view(published.as_of)), state, view.clusters)
                self._days[published.list_id] = kept
                while len(self._days) > DAYS_KEPT:
                    self._days.popitem(last=False)
            self._days.move_to_end(published.list_id)
        return kept

    def stamp(self) -> Hashable:
        """Changes whenever somebody has written something about a person, and every minute: overdue is of the hour."""
        numbers = [sa.select(sa.func.count()).select_from(table).scalar_subquery() for table in WRITTEN]
        with self._desk.db.read() as connection:
            found = tuple(connection.execute(sa.select(*numbers)).one())
        return (*found, datetime.now(UTC).replace(second=0, microsecond=0))

    def standing(self, ready: Ready, stamp: Hashable) -> Mapping[str, Standing]:
        """Where each person of a list stands with those who decide, by the reference on the list."""
        key = (ready.day.published.list_id, ready.state, stamp)
        kept, found = self._standing
        if kept != key:
            now = {person: ready.day.moved_on.get(person, person) for person in ready.day.persons()}
            told = standing(self._desk.db, set(now.values()), ready.clusters)
            found = {person: told[known] for person, known in now.items()}
            self._standing = (key, found)
        return found

    def answer(self, key: Hashable, make: Callable[[], T]) -> T:
        """An answer made before for the same key, else made now. The key must hold all the answer rests on."""
        with self._lock:
            if key in self._answers:
                self._answers.move_to_end(key)
                found: T = self._answers[key]
                return found
        made = make()
        with self._lock:
            self._answers[key] = made
            while len(self._answers) > ANSWERS_KEPT:
                self._answers.popitem(last=False)
        return made


def days_of(request: Request) -> Days:
    """The prepared lists of the running service."""
    state = request.app.state
    if getattr(state, "days", None) is None:
        state.days = Days(desk_of(request))
    found: Days = state.days
    return found

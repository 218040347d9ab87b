"""Today's list kept ready for every request: prepared once, and again when rows are added or minutes have passed.

What people write (decisions, holds, nominations) is read anew for every answer whose stamp has changed, so that a hold
placed a second ago greys its row. Answers already made for the same rows, stamp and question are kept and sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl
import sqlalchemy as sa
from fastapi import Request

from api.kept import Kept, Made
from risk import audit
from risk.decisions import Standing, standing
from risk.kept_back import closed
from risk.settings import settings
from risk.store import tables_decisions as tables
from risk.today import Day, hold_lines, people_of, prepare

if TYPE_CHECKING:
    from api.desk import Desk

DAYS_KEPT, STANDINGS_KEPT, ANSWERS_KEPT = 4, 8, 64
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


@dataclass(frozen=True)
class Ready:
    """A prepared list with the references of its persons as they are now; ``key`` names what it was prepared from."""

    day: Day
    key: Hashable
    clusters: pl.DataFrame


class Days:
    """Prepared lists of one desk, for several threads: of those who ask at once one prepares and the others wait."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._days, self._standing, self._answers = Kept(DAYS_KEPT), Kept(STANDINGS_KEPT), Kept(ANSWERS_KEPT)

    def ready(self, list_id: str) -> Ready:
        """A list by its id or "latest", as of now if it is the latest, else as of its own T."""
        desk = self._desk
        published, latest = desk.published(list_id), desk.latest()
        live = latest is not None and latest.list_id == published.list_id
        t = max(desk.now(), published.as_of) if live else published.as_of
        minutes = settings("today")["fresh"]["minutes"]
        key = (published.list_id, desk.state(), live, int(t.timestamp()) // (60 * minutes))

        def made() -> Ready:
            audit.ready(desk.db, desk.path)  # its key codes whoever was taken out by law
            people = people_of(published)
            view = desk.around(people, t, steps=0)  # their own rows, and whom these name
            today = view if live else desk.around(people, max(desk.now(), t), steps=0)  # restricted since
            day = prepare(published, view, desk.teams(), known_of(desk, people), closed(today))
            return Ready(day, key, view.clusters)

        return self._days.of(key, made)

    def stamp(self) -> Hashable:
        """Changes whenever somebody has written something about a person, and every minute: overdue is of the hour."""
        numbers = [sa.select(sa.func.count()).select_from(table).scalar_subquery() for table in WRITTEN]
        with self._desk.db.read() as connection:
            found = tuple(connection.execute(sa.select(*numbers)).one())
        return (*found, datetime.now(UTC).replace(second=0, microsecond=0))

    def standing(self, ready: Ready, stamp: Hashable) -> Mapping[str, Standing]:
        """Where each person of a list stands with those who decide, by the reference on the list."""

        def made() -> dict[str, Standing]:
            now = {person: ready.day.moved_on.get(person, person) for person in ready.day.persons()}
            told = standing(self._desk.db, set(now.values()), ready.clusters)
            return {person: told[known] for person, known in now.items()}

        return self._standing.of((ready.key, stamp), made)

    def holds(self, ready: Ready, stamp: Hashable) -> Mapping[str, str]:
        """The line of the hold on each of those apart from a list or gone from it, by the reference on the list."""

        def made() -> dict[str, str]:
            day = ready.day
            others = [row["person_id"] for part in (day.apart, day.leavers) for row in part]
            return hold_lines(self._desk.db, others, ready.clusters)

        return self._standing.of((ready.key, stamp, "holds"), made)

    def answer(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """An answer made before for the same key, else made now. The key must hold all the answer rests on."""
        return self._answers.of(key, make)


def known_of(desk: Desk, persons: Iterable[str]) -> set[str]:
    """Those of some persons whom the records hold at any time: nobody taken out by law is among them."""
    people = desk.load().records().table("person")["person_id"]
    return set(people.filter(people.is_in(list(persons))))


def days_of(request: Request) -> Days:
    """The prepared lists of the running service."""
    found: Days = request.app.state.days
    return found

"""The search of the load in use: made once, following what is added, asked by the page and the API alike."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from threading import Lock, Thread
from typing import TYPE_CHECKING

from api.auth.table import table
from features.errors import DoorstepError
from features.nominals import clusters_at
from risk.holds import held
from risk.search import Found, Hit, Search
from risk.search_text import read
from risk.view import View

if TYPE_CHECKING:
    from api.access import Viewer
    from api.desk import Desk

FIELDS = ("text", "born", "district", "address")
"""What a search form holds, in the order of :func:`risk.search_text.read`."""


@dataclass(frozen=True)
class Answered:
    """What a viewer is shown. ``elsewhere``: persons left out because the task is bound to the viewer's districts;
    ``outside``: somebody shown is of another district than the viewer's; ``holds``: person -> the hold on them."""

    found: Found
    elsewhere: int
    outside: bool
    holds: dict[str, str] = field(default_factory=dict)


class Searcher:
    """Keeps the index of the load in use. Building it takes seconds on a large force: :meth:`ready` when the service
    starts saves the first officer the wait."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = Lock()
        self._search: Search | None = None

    def ready(self) -> Search:
        """The search with everything that was added by now. InputError when nothing is loaded."""
        load, t = self._desk.load(), self._desk.now()

        def around(persons: Sequence[str]) -> View:
            return self._desk.around(persons, t, steps=1)

        with self._lock:
            if self._search is None:
                self._search = Search(load, t)
        self._search.follow(load, t, around)
        return self._search

    def warm(self) -> None:
        """Make the search ready without anybody waiting for it; what is wrong with the home the first request says."""

        def make() -> None:
            with suppress(DoorstepError):
                self.ready()

        if self._desk.home.pointer.exists():
            Thread(target=make, name="search", daemon=True).start()

    def ask(self, viewer: Viewer, typed: dict[str, str]) -> Answered:
        """Answer what was typed (a text for each of :data:`FIELDS`) as far as this viewer may see, and write the look
        down first. InputError for what cannot be searched for.

        Whoever may not open a before-attending sheet finds only persons recorded as suspects; a task bound to one's own
        districts leaves out everybody of another.
        """
        asked = read(**typed)
        found = self.ready().find(asked, everyone=viewer.may("sheet.read"), opened=viewer.opened)
        answered = _within(viewer, found)
        said = "; ".join(f"{name}: {typed[name].strip()}" for name in FIELDS if typed[name].strip())
        self._desk.look(
            viewer,
            "consultation",
            "/search",
            answered.found.persons,
            outside=answered.outside,
            detail=f"search {said}",
        )
        return replace(answered, holds=self._holds(answered.found))

    def _holds(self, found: Found) -> dict[str, str]:
        """The holds on whoever is shown, in a line each."""
        persons = [hit.person_id for hit in _everyone(found)]
        if not persons:
            return {}
        clusters = clusters_at(self._desk.load().records().links, self._desk.now())
        return {person: hold.line for person, hold in held(self._desk.db, persons, clusters).items()}


def _within(viewer: Viewer, found: Found) -> Answered:
    """The answer without those whom the task does not reach."""
    bound = viewer.task is None or viewer.task.purpose in table().limits["districts"]["bound_purposes"]
    away = {hit.person_id for hit in _everyone(found) if not viewer.sees(hit.of_district)}
    if not away or not bound:
        return Answered(found, 0, bool(away))
    kept = replace(
        found,
        hits=tuple(hit for hit in found.hits if hit.person_id not in away),
        referred=tuple(
            replace(one, persons=tuple(hit for hit in one.persons if hit.person_id not in away))
            for one in found.referred
        ),
    )
    return Answered(kept, len(away), False)


def _everyone(found: Found) -> list[Hit]:
    return [*found.hits, *(hit for one in found.referred for hit in one.persons)]

"""What stands behind every route: the home, the load and model in use, and what was read of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import polars as pl

from api.kept import Kept, KeptLists, KeptModels, Made
from api.searching import Searcher
from features.clocks import parse_as_of
from features.errors import InputError, NotFoundError
from features.home import Home, Load
from features.near_apart import Apart, Around
from features.nominals import clusters_at
from features.records import Records
from models.approval import usable
from risk.audit import record
from risk.published import PublishedList, read_list
from risk.score import refuse_future
from risk.store import Database
from risk.teams import Team, districts, teams
from risk.view import CloseView, View

if TYPE_CHECKING:
    from api.access import Viewer

VIEWS_KEPT, NEAR_KEPT, MADE_KEPT = 3, 64, 1200
LOOK_AGAIN = 0.02
"""Seconds for which a look at the disk holds."""
ENDED = ("simulated", "public")
"""Natures of records that are not added to by a force's day: their clock stops where they end."""


class Desk:
    """Opens the load, the models and the lists for routes, and keeps what it read and worked out in memory."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.db = Database.of(home.path)
        self._lock = Lock()
        self._stands: tuple[Apart, str] | None = None
        self._looked = 0.0
        self._lists = KeptLists(home)
        self._models = KeptModels(home.path)
        self.search = Searcher(self)
        self._views, self._near, self._made = Kept(VIEWS_KEPT), Kept(NEAR_KEPT), Kept(MADE_KEPT)

    @property
    def path(self) -> Path:
        """The home folder."""
        return self.home.path

    def load(self) -> Load:
        """The load in use, held ready for single persons and following what is added to it; another that has taken
        its place is read anew."""
        return self._held()[0].load

    def _held(self) -> tuple[Apart, str]:
        """All three stores of the load in use as they stand, and the name of that state. The disk is looked at again
        once an answer's worth of time has passed: each asks several times."""
        with self._lock:
            if self._stands is not None and time.monotonic() - self._looked < LOOK_AGAIN:
                return self._stands
            now, apart = self.home.require(), self._stands[0] if self._stands else None
            if apart is None or apart.load.load_id != now.load_id:
                apart = Apart(now)
                self._views.clear()
            elif apart.refresh():  # rows were added since, here or by another process
                self._views.clear()  # whoever is reading one keeps it until they are done
            self._stands = apart, apart.load.records().state
            self._looked = time.monotonic()
            return self._stands

    def state(self) -> str:
        """Names the records as they stand: what was worked out from them holds while it stays the same."""
        return self._held()[1]

    def kept(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What was made under this key, else made now, once; the last thousand or so are kept. Put into the key
        whatever the thing is made of: :meth:`state`, T, the list, whose eyes it is for."""
        return self._made.of(key, make)

    def view(self, t: datetime) -> View:
        """The records as of T, all of them: for a table about nobody in particular. Of persons ask :meth:`around`."""
        held, state = self._held()
        return self._views.of((state, t), lambda: View(held.load, t))

    def around(self, persons: Sequence[str], t: datetime, steps: int = 2) -> View:
        """The records around some persons as of T: it answers about them as :meth:`view` does, in milliseconds.

        Every row of them is there, and of everyone within ``steps`` ties of them (pages and scores look two ties far, a
        list one), and who else these rows name. Of anybody else it knows nothing.
        """
        held, state = self._held()
        who = clusters_at(
            held.load.records().links, t
        )  # one and the same for every T between two of its changes

        def made() -> tuple[pl.DataFrame, Around]:
            return who, held.around(persons, t, steps)

        then, around = self._near.of((state, tuple(persons), steps, id(who)), made)
        if then is not who:  # another had its number before
            around = made()[1]
        return CloseView(held.load, around, t)

    def teams(self) -> list[Team]:
        """The teams of the force."""
        return self._made.of(("teams", self.state()), lambda: teams(self.view(self.now())))

    def now(self) -> datetime:
        """T of live questions. Operational records: now. Simulated and public ones stop somewhere, and so does their
        clock: at the newest row known, or where the latest list stands if that is later."""
        load, now = self.load(), datetime.now(UTC).replace(microsecond=0)
        if load.nature not in ENDED:
            return now
        latest = self._lists.latest()
        known = [self.newest(), latest.as_of if latest else None]
        return min(now, max((moment for moment in known if moment is not None), default=now))

    def newest(self) -> datetime | None:
        """When the newest row became known; None where there is none."""
        held, state = self._held()
        return self._made.of(("newest row", state), lambda: newest_row(held.load.records()))

    def district_of(self, person_ids: Sequence[str], t: datetime) -> dict[str, str]:
        """The district of each person as of T, "unassigned" where the records do not say (``risk.teams``)."""
        view = self.around(person_ids, t, steps=1)
        asked = {person: view.who(person) for person in person_ids}
        found = districts(
            view, pl.DataFrame({"person_id": sorted(set(asked.values()))}, {"person_id": pl.String})
        )
        where = {str(person): str(place) for person, place in found.iter_rows()}
        return {person: where[known] for person, known in asked.items()}

    def lists(self) -> list[PublishedList]:
        """Every published list, oldest T first."""
        return self._lists.all()

    def latest(self) -> PublishedList | None:
        """The latest published list, or None before the first."""
        return self._lists.latest()

    def published(self, list_id: str) -> PublishedList:
        """A list by its id, or "latest"; NotFoundError."""
        found = self._lists.latest() if list_id == "latest" else self._lists.one(list_id)
        return found if found is not None else read_list(self.home)

    def moment(self, as_of: str | None) -> tuple[datetime, PublishedList | None]:
        """T and the list that speaks of it: as asked, else that of the latest list, else now."""
        latest = self.latest()
        if as_of is None:
            return (latest.as_of, latest) if latest else (datetime.now(UTC).replace(microsecond=0), None)
        t = parse_as_of(as_of)
        refuse_future(t)
        return t, next((one for one in reversed(self.lists()) if one.as_of == t), None)

    def model(self, published: PublishedList | None) -> Mapping[str, Any]:
        """The model a list was made with, else the one in use if it may be used today for these records: what is scored
        live asks the same as a new list (``models.approval.usable``; NotFoundError, InputError)."""
        if published is not None:
            try:
                return self._models.doc(str(published.facts["model_version"]))
            except NotFoundError:  # the list stays; its model is gone from this home
                pass
        return self._models.doc(str(usable(self.path, self.load().nature).version))

    def look(
        self,
        viewer: Viewer,
        act: str,
        page: str,
        persons: Sequence[str] = (),
        list_id: str | None = None,
        outside: bool = False,
        detail: str = "",
    ) -> None:
        """Write down what a viewer does, with their task, before anything is shown (``risk.audit.record``)."""
        task = viewer.task
        row = record(
            self.db,
            self.path,
            viewer.who,
            act,
            page,
            persons=persons,
            list_id=list_id,
            purpose=task.purpose if task else None,
            reference=task.reference if task else None,
            outside=outside,
            detail=detail,
        )
        viewer.written.append(row)

    def health(self) -> dict[str, Any]:
        """What is loaded, how old it is, which model and which list."""
        load = self.load() if self.home.current() else None
        latest, now = self.latest(), datetime.now(UTC)
        model: str | None
        try:
            model, stands = self._models.in_use()
            notes = stands.notes(now) if stands and model else []
        except InputError as problem:  # its file is damaged: lists are served all the same
            model, notes = None, [problem.what]
        newest = None
        if load is not None:
            records, state = load.records, self.state()
            newest = self._made.of(("newest event", state), lambda: newest_row(records(), ("event",)))
        return {
            "ok": load is not None and model is not None and latest is not None,
            "load_id": load and load.load_id,
            "nature": load and load.nature,
            "data_until": newest,
            "data_age_days": (now - newest).days if newest else None,
            "model_version": model,
            "model_notes": notes,
            "list_id": latest and latest.list_id,
            "list_as_of": latest and latest.as_of,
        }


def newest_row(records: Records, tables: Sequence[str] = ()) -> datetime | None:
    """When the newest row of these tables (without any: of all) became known; None where there is none."""
    found = [records.table(name)["known_from"].max() for name in tables or records.tables]
    return max((moment for moment in found if isinstance(moment, datetime)), default=None)

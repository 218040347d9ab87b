"""What stands behind every route: the home, the load and model in use, and what was read of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

import polars as pl

from features.clocks import parse_as_of
from features.errors import InputError, NotFoundError
from features.home import Home, Load
from models.approval import standing, usable
from models.store import champion, load_model
from risk.looks import record_look
from risk.published import PublishedList, lists, read_list
from risk.score import refuse_future
from risk.teams import districts
from risk.view import View

VIEWS_KEPT = 3
SERVED = ("simulated", "public")
ENDED = ("simulated", "public")
"""Natures of records that are not added to by a force's day: their clock stops where they end."""


def refuse_operational(home: Home) -> None:
    """Until there is sign-in nothing about real, current people is served: neither the load nor a list made of one.

    Raises InputError; called when serving starts and again whenever the load in use has changed.
    """
    load = home.current()
    natures = {"the load in use": load.nature} if load else {}
    natures |= {f"list {one.list_id}": one.facts["nature"] for one in lists(home)}
    for what, nature in natures.items():
        if nature not in SERVED:
            raise InputError(
                f"This home holds {nature} records ({what}); they are not served until there is sign-in.",
                where=str(home.path),
                cure="Use the command line on a protected machine, or serve a home whose extract says in extract.json "
                "that it is simulated or public.",
            )


class Desk:
    """Opens the load, the model and lists for routes, keeping the last few views in memory."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._lock = Lock()
        self._load: Load | None = None
        self._views: OrderedDict[tuple[str, datetime], View] = OrderedDict()
        self._docs: dict[str, Mapping[str, Any]] = {}

    @property
    def path(self) -> Path:
        """The home folder."""
        return self.home.path

    def load(self) -> Load:
        """The load in use, held ready for single persons and following what is added to it; another that has taken
        its place is read anew."""
        now = self.home.require()
        with self._lock:
            if self._load is None or self._load.load_id != now.load_id:
                refuse_operational(self.home)
                now.ready()
                self._load = now
                self._views.clear()
            elif self._load.refresh():  # rows were added since, here or by another process
                self._views.clear()
            return self._load

    def view(self, t: datetime) -> View:
        """The records as of T."""
        load = self.load()
        key = (load.records().state, t)
        with self._lock:
            if key not in self._views:
                self._views[key] = View(load, t)
                while len(self._views) > VIEWS_KEPT:
                    self._views.popitem(last=False)
            self._views.move_to_end(key)
            return self._views[key]

    def around(self, persons: Sequence[str], t: datetime) -> View:
        """The records around some persons as of T: it answers about them exactly as :meth:`view` does."""
        return self.view(t)

    def now(self) -> datetime:
        """T of live questions. Operational records: now. Simulated and public ones stop somewhere, and so does their
        clock: at the newest row known, or where the latest list stands if that is later."""
        load, now = self.load(), datetime.now(UTC).replace(microsecond=0)
        if load.nature not in ENDED:
            return now
        newest = [table["known_from"].max() for table in load.records().tables.values()]
        moments = [moment for moment in newest if isinstance(moment, datetime)]
        latest = self.latest()
        return min(now, max([*moments, *([latest.as_of] if latest else [])], default=now))

    def district_of(self, person_ids: Sequence[str], t: datetime) -> dict[str, str]:
        """The district of each person as of T, "unassigned" where the records do not say (``risk.teams``)."""
        view = self.around(person_ids, t)
        asked = {person: view.who(person) for person in person_ids}
        found = districts(
            view, pl.DataFrame({"person_id": sorted(set(asked.values()))}, {"person_id": pl.String})
        )
        where = {str(person): str(place) for person, place in found.iter_rows()}
        return {person: where[known] for person, known in asked.items()}

    def latest(self) -> PublishedList | None:
        """The latest published list, or None before the first."""
        known = lists(self.home)
        return known[-1] if known else None

    def published(self, list_id: str) -> PublishedList:
        """A list by its id, or "latest"."""
        return read_list(self.home, None if list_id == "latest" else list_id)

    def moment(self, as_of: str | None) -> tuple[datetime, PublishedList | None]:
        """T and the list that speaks of it: as asked, else that of the latest list, else now."""
        latest = self.latest()
        if as_of is None:
            return (latest.as_of, latest) if latest else (datetime.now(UTC).replace(microsecond=0), None)
        t = parse_as_of(as_of)
        refuse_future(t)
        return t, next((one for one in reversed(lists(self.home)) if one.as_of == t), None)

    def model(self, published: PublishedList | None) -> Mapping[str, Any]:
        """The model a list was made with, else the one in use if it may be used today for these records: what is scored
        live asks the same as a new list (``models.approval.usable``; NotFoundError, InputError)."""
        version = None if published is None else str(published.facts["model_version"])
        if version is not None and version not in self._docs:
            try:
                self._docs[version] = load_model(self.path, version)
            except NotFoundError:  # the list stays; its model is gone from this home
                version = None
        if version is None:
            version = str(usable(self.path, self.load().nature).version)
            if version not in self._docs:
                self._docs[version] = load_model(self.path, version)
        return self._docs[version]

    def look(
        self, what: str, by: str, persons: list[str], list_id: str | None = None, detail: str = ""
    ) -> None:
        """Write down a look before anything is shown."""
        record_look(self.path, what, by=by, persons=persons, list_id=list_id, detail=detail)

    def health(self) -> dict[str, Any]:
        """What is loaded, how old it is, which model and which list."""
        load = self.home.current()
        latest = self.latest()
        model: str | None
        notes: list[str] = []
        try:
            model = str(champion(self.path)["version"])
            now = standing(self.path)
            notes = now.notes(datetime.now(UTC)) if now else []
        except NotFoundError:
            model = None
        except InputError as problem:  # its file is damaged: lists are served all the same
            model, notes = None, [problem.what]
        newest = None
        if load is not None:
            found = self.load().records().table("event")["known_from"].max()
            newest = found if isinstance(found, datetime) else None
        return {
            "ok": load is not None and model is not None and latest is not None,
            "load_id": load and load.load_id,
            "nature": load and load.nature,
            "data_until": newest,
            "data_age_days": (datetime.now(UTC) - newest).days if newest else None,
            "model_version": model,
            "model_notes": notes,
            "list_id": latest and latest.list_id,
            "list_as_of": latest and latest.as_of,
        }

"""The home folder: where loads, models and lists live, and which load is current."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features import segments
from features.errors import InputError
from features.linkage.store import linked, stamp
from features.own import catalogue_at
from features.records import Records

if TYPE_CHECKING:
    from features.live import Live


@dataclass(frozen=True)
class Load:
    """One load of an extract, never changed once it is there.

    ``nature`` is simulated, public or operational; ``manifest`` is the content of load.json.
    """

    load_id: str
    nature: str
    path: Path
    manifest: dict[str, Any] = field(repr=False, compare=False)

    @cached_property
    def _records(self) -> Records:
        return Records.open(self.path)

    def records(self) -> Records:
        """The record store, read once, with the home's own features and links as their files stand now."""
        home = self.path.parent.parent
        own = catalogue_at(home)
        if own is not self._records.catalogue:
            self.__dict__["_records"] = replace(self._records, catalogue=own)
        links = stamp(home, self.load_id)
        if links != self.__dict__.get("_links"):
            self.__dict__["_records"] = linked(self._records, home, self.load_id)
            self.__dict__["_links"] = links
        return self._records

    @property
    def live(self) -> Live | None:
        """The records as :meth:`ready` holds them; None before it."""
        held: Live | None = self.__dict__.get("_live")
        return held

    def near(self, persons: list[str], t: datetime) -> Records:
        """The records that matter to a few persons at T: a small store once :meth:`ready` was called, else all."""
        live = self.live
        return self.records() if live is None else live.around(persons, t, like=self.records())

    def ready(self) -> None:
        """Hold the records in memory, indexed, so that questions about single persons take milliseconds, and follow
        what is added to the load (:meth:`refresh`)."""
        if self.live is None:
            from features.live import Live  # only who serves needs it

            self.__dict__["_live"] = Live(self.records(), self.path)

    def refresh(self) -> bool:
        """Take in rows that were added since by whichever process; True when there were any. Cheap when not."""
        live = self.live
        if live is not None:
            links = stamp(self.path.parent.parent, self.load_id)
            if changed := live.refresh():
                self.__dict__["_records"] = replace(live.records(), catalogue=self.records().catalogue)
                self.__dict__["_links"] = links  # what live has is no older
            return changed
        if segments.together(segments.digests(self.path)) == self.records().appended:
            return False
        for kept in ("_records", "_links"):
            self.__dict__.pop(kept, None)
        return True


@dataclass(frozen=True)
class Home:
    """A home folder. It need not exist until something is ingested."""

    path: Path

    @property
    def loads(self) -> Path:
        """Where loads are kept, one folder each."""
        return self.path / "loads"

    @property
    def pointer(self) -> Path:
        """The file that names the current load."""
        return self.path / "current.json"

    def current(self) -> Load | None:
        """The load that commands work on; None when nothing was ever ingested. InputError when it is damaged."""
        if not self.pointer.exists():
            return None
        try:
            load_id = json.loads(self.pointer.read_text(encoding="utf-8"))["load_id"]
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise self._damaged("current.json cannot be read.") from problem
        return self.load(load_id)

    def load(self, load_id: str) -> Load:
        """A load by its id (a published list names its own); InputError when it is not there."""
        path = self.loads / load_id
        try:
            manifest = json.loads((path / "load.json").read_text(encoding="utf-8"))
            return Load(load_id, manifest["nature"], path, manifest)
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise self._damaged(f"Load {load_id} is not there or not whole.") from problem

    def require(self) -> Load:
        """The current load; InputError when nothing is loaded."""
        load = self.current()
        if load is None:
            raise InputError(
                "Nothing is loaded.",
                where=str(self.path),
                cure="Run: doorstep ingest EXTRACT --home DIR (or: make demo).",
            )
        return load

    def _damaged(self, what: str) -> InputError:
        return InputError(
            what,
            where=str(self.path),
            cure="Ingest the extract again; earlier loads in loads/ stay as they are.",
        )

"""What a force's records say as of T, for those who read them: the record store, the identity store and, for the
safety of officers, rows that police found by themselves.

Scores never see the last two (`features` cannot open them). A sheet must: a man wanted after a proactive search is
wanted all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import polars as pl

from features.apart import open_audit, open_identity
from features.asof import as_of, cut
from features.home import Load
from features.records import Records
from features.schema import SPECS


class View:
    """The rows known at T and not of the future, read table by table when asked for."""

    def __init__(self, load: Load, t: datetime) -> None:
        self.load, self.t = load, t
        self._frames: dict[tuple[str, str], pl.DataFrame] = {}
        self._identity: Mapping[str, pl.DataFrame] | None = None
        self._audit: Mapping[str, pl.DataFrame] | None = None

    @property
    def records(self) -> Records:
        """The record store of the load (what scores are made from)."""
        return self.load.records()

    def table(self, name: str) -> pl.DataFrame:
        """A table of the record store as of T."""
        if ("records", name) not in self._frames:
            self._frames["records", name] = as_of(self.records, name, self.t)
        return self._frames["records", name]

    def identity(self, name: str) -> pl.DataFrame:
        """A table of the identity store as of T (names, places, agreements with victims)."""
        if ("identity", name) not in self._frames:
            if self._identity is None:
                self._identity = open_identity(self.load)
            self._frames["identity", name] = held(self._identity[name], name, self.t)
        return self._frames["identity", name]

    def audit(self, name: str) -> pl.DataFrame:
        """A table of the audit store as of T; nothing of it may reach a feature, a label or a score."""
        if ("audit", name) not in self._frames:
            if self._audit is None:
                self._audit = open_audit(self.load)
            self._frames["audit", name] = held(self._audit[name], name, self.t)
        return self._frames["audit", name]

    def everyone(self) -> list[str]:
        """Every person the load holds at any time; a person restricted by law is in none of its stores."""
        if self._identity is None:
            self._identity = open_identity(self.load)
        return self._identity["person"]["person_id"].unique().to_list()

    def whole(self, name: str) -> pl.DataFrame:
        """A table of the record store with the rows police found by themselves, marked ``found_by_police``."""
        if ("whole", name) not in self._frames:
            if self._audit is None:
                self._audit = open_audit(self.load)
            rows = self.table(name).with_columns(found_by_police=pl.lit(False))
            found = self._audit.get(f"proactive_{name}")
            if found is not None and found.height:
                shown = held(found, name, self.t).with_columns(found_by_police=pl.lit(True))
                rows = pl.concat(
                    [rows, shown.select(c for c in shown.columns if c in rows.columns)], how="diagonal"
                )
            self._frames["whole", name] = rows
        return self._frames["whole", name]


def held(frame: pl.DataFrame, name: str, t: datetime) -> pl.DataFrame:
    """A canonical table of the identity or audit store as of T, by the same rule as the record store.

    Adds ``since``: when the version that holds was entered. Tables that are not of the contract (the place of an
    event) have no clock of their own: the version that holds is all there is.
    """
    rows = frame.with_columns(since="known_from")
    if name in SPECS:
        return cut(rows, SPECS[name], t)
    return rows.filter(pl.col("known_from") <= t, pl.col("known_to").is_null() | (pl.col("known_to") > t))

"""What a force's records say as of T, for those who read them: the record store, the identity store and, for the
safety of officers, rows that police found by themselves.

Scores never see the last two (`features` cannot open them). A sheet must: a man wanted after a proactive search is
wanted all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from features.apart import open_audit, open_identity
from features.asof import as_of, cut
from features.home import Load
from features.near_apart import Around
from features.nominals import clusters_at, onto
from features.records import Records
from features.schema import SPECS, spec_of


class View:
    """The rows known at T and not of the future, read table by table when asked for."""

    def __init__(self, load: Load, t: datetime) -> None:
        self.load, self.t = load, t
        self._frames: dict[tuple[str, str], pl.DataFrame] = {}
        self._stores: dict[str, Mapping[str, pl.DataFrame]] = {}

    @property
    def records(self) -> Records:
        """The record store (what scores are made from), or of a view around some persons the part of it there is."""
        return self.load.records()

    def _store(self, name: str) -> Mapping[str, pl.DataFrame]:
        """The tables of the identity or the audit store, every version of every row."""
        if name not in self._stores:
            self._stores[name] = open_identity(self.load) if name == "identity" else open_audit(self.load)
        return self._stores[name]

    @property
    def clusters(self) -> pl.DataFrame:
        """Which records stand for one person as of T (``features.nominals.clusters_at``)."""
        return clusters_at(self.records.links, self.t)

    def who(self, person_id: str) -> str:
        """The reference under which a person is known as of T, whichever of their records is asked for."""
        found = self.clusters.filter(pl.col("person_id") == person_id)
        return str(found["cluster_id"][0]) if found.height else person_id

    def _one_person(self, rows: pl.DataFrame, name: str) -> pl.DataFrame:
        """Identity rows under the person's one reference. Records of a person stay apart, each with its own name; all
        are for named users when one of them is."""
        if name != "person":
            return onto(rows, self.clusters)
        if self.clusters.is_empty():
            return rows
        closed = rows.filter(pl.col("access") == "named_users").select("person_id")
        whose = self.clusters.join(closed, on="person_id", how="semi")["cluster_id"].implode()
        all_theirs = self.clusters.filter(pl.col("cluster_id").is_in(whose))["person_id"].implode()
        shut = pl.col("person_id").is_in(all_theirs)
        return rows.with_columns(access=pl.when(shut).then(pl.lit("named_users")).otherwise("access"))

    def table(self, name: str) -> pl.DataFrame:
        """A table of the record store as of T."""
        if ("records", name) not in self._frames:
            self._frames["records", name] = as_of(self.records, name, self.t)
        return self._frames["records", name]

    def identity(self, name: str) -> pl.DataFrame:
        """A table of the identity store as of T (names, places, agreements with victims)."""
        if ("identity", name) not in self._frames:
            rows = held(self._store("identity")[name], name, self.t)
            self._frames["identity", name] = self._one_person(rows, name)
        return self._frames["identity", name]

    def audit(self, name: str) -> pl.DataFrame:
        """A table of the audit store as of T; nothing of it may reach a feature, a label or a score."""
        if ("audit", name) not in self._frames:
            rows = held(self._store("audit")[name], name, self.t)
            self._frames["audit", name] = onto(rows, self.clusters)
        return self._frames["audit", name]

    def everyone(self) -> list[str]:
        """Every person the load holds at any time; a person restricted by law is in none of its stores."""
        return self._store("identity")["person"]["person_id"].unique().to_list()

    def ever(self, persons: Iterable[str]) -> set[str]:
        """Those of some persons whom the load holds at any time (:meth:`everyone`)."""
        known = self._store("identity")["person"]["person_id"]
        return set(known.filter(known.is_in(list(persons))).to_list())

    def whole(self, name: str) -> pl.DataFrame:
        """A table of the record store with the rows police found by themselves, marked ``found_by_police``."""
        if ("whole", name) not in self._frames:
            rows = self.table(name).with_columns(found_by_police=pl.lit(False))
            found = self._store("audit").get(f"proactive_{name}")
            if found is not None and found.height:
                shown = onto(held(found, name, self.t), self.clusters)
                shown = shown.with_columns(found_by_police=pl.lit(True))
                rows = pl.concat(
                    [rows, shown.select(c for c in shown.columns if c in rows.columns)], how="diagonal"
                )
            self._frames["whole", name] = rows
        return self._frames["whole", name]


@dataclass(frozen=True)
class _Close(Load):
    """A load of which the rows around some persons are at hand as of T; of anybody else it asks the load itself."""

    whole: Load
    around: Around
    t: datetime

    def records(self) -> Records:
        return self.whole.records()

    def near(self, persons: list[str], t: datetime) -> Records:
        at_hand = t == self.t and self.around.persons.issuperset(persons)
        return self.around.records if at_hand else self.whole.near(persons, t)


class CloseView(View):
    """The rows around some persons: of them it says what a view of the whole load says, and little of anybody else.

    Of the persons themselves, of everyone within two ties of them and of the events these are in every row is there;
    of everyone else whom such a row names, who they are.
    """

    def __init__(self, load: Load, around: Around, t: datetime) -> None:
        super().__init__(_Close(load.load_id, load.nature, load.path, load.manifest, load, around, t), t)
        self._around = around

    @property
    def records(self) -> Records:
        """The rows of the record store around the persons."""
        return self._around.records

    @property
    def rows(self) -> Around:
        """Every version of the rows around the persons, of all three stores."""
        return self._around

    def table(self, name: str) -> pl.DataFrame:
        """A table of the record store as of T, without what is kept ready beside its columns (prices of harm)."""
        if ("records", name) not in self._frames:
            rows, contract = super().table(name), {*spec_of(name).dtypes, "at"}
            self._frames["records", name] = rows.select(c for c in rows.columns if c in contract)
        return self._frames["records", name]

    def _store(self, name: str) -> Mapping[str, pl.DataFrame]:
        if name not in self._stores:
            tables = self._around.tables
            self._stores[name] = {table: frame for (store, table), frame in tables.items() if store == name}
        return self._stores[name]


def held(frame: pl.DataFrame, name: str, t: datetime) -> pl.DataFrame:
    """A canonical table of the identity or audit store as of T, by the same rule as the record store.

    Adds ``since``: when the version that holds was entered. Tables that are not of the contract (the place of an
    event) have no clock of their own: the version that holds is all there is.
    """
    rows = frame.with_columns(since="known_from")
    if name in SPECS:
        return cut(rows, SPECS[name], t)
    return rows.filter(pl.col("known_from") <= t, pl.col("known_to").is_null() | (pl.col("known_to") > t))

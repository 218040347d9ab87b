"""The record store: everything a feature, a label or a score may see, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from features import segments
from features.catalogue import Catalogue, load_catalogue
from features.errors import InputError
from features.nominals import Links
from features.stores import DERIVED_TABLES, RECORD_TABLES, empty_table, split


@dataclass(frozen=True)
class Records:
    """Canonical tables of one load as feature code sees them (see ``features.stores`` for what is left out).

    ``missing`` names what the extract lacked, "table" or "table.column": features that need it are left out.
    ``links`` says which nominals are one person (``features.nominals``); without it every nominal is its own person.
    ``appended`` names what was added to the load since it was made (``features.segments``); empty: nothing.
    ``catalogue`` declares the features; None: the package's own (``features.own`` adds an analyst's).
    """

    load_id: str
    tables: Mapping[str, pl.DataFrame]
    missing: frozenset[str] = field(default_factory=frozenset)
    links: Links | None = None
    catalogue: Catalogue | None = None
    appended: str = ""

    @property
    def declared(self) -> Catalogue:
        """Every feature there is for these records: the package's, or those and an analyst's own after them."""
        return self.catalogue if self.catalogue is not None else load_catalogue()

    @property
    def state(self) -> str:
        """Names all that a number can depend on; whatever is kept for later use is kept under this name."""
        own = self.catalogue.digest if self.catalogue is not None else ""
        linked = self.links.digest if self.links else ""
        return "-".join(part for part in (self.load_id, self.appended, linked, own) if part)

    def table(self, name: str) -> pl.DataFrame:
        """One row per version of a key; KeyError for a table that is not in the record store."""
        if name not in self.tables:
            raise KeyError(f"{name} is not in the record store, which holds {', '.join(self.tables)}")
        return self.tables[name]

    @classmethod
    def open(cls, folder: Path) -> Records:
        """Read the record store of a load's folder; InputError when it is not whole."""
        try:
            manifest = json.loads((folder / "load.json").read_text(encoding="utf-8"))
            tables = {name: pl.read_parquet(folder / "records" / f"{name}.parquet") for name in RECORD_TABLES}
            missing = frozenset(manifest["missing"])
            for name in DERIVED_TABLES:
                path = folder / "records" / f"{name}.parquet"
                if path.exists():
                    tables[name] = pl.read_parquet(path)
                else:  # a load made before there was such a table: its features are left out, by name
                    tables[name] = empty_table(name)
                    missing |= {name}
        except (OSError, ValueError, pl.exceptions.PolarsError) as problem:
            raise InputError(
                f"The load in {folder.name} cannot be read ({type(problem).__name__}).",
                where=str(folder),
                cure="Ingest the extract again into a new home folder.",
            ) from problem
        added = segments.read(folder)
        if added.segments:
            tables, missing = added.onto("records", tables), added.missing(missing)
        return cls(manifest["load_id"], tables, missing, appended=added.digest)

    @classmethod
    def from_canonical(
        cls,
        tables: Mapping[str, pl.DataFrame],
        load_id: str = "frames",
        missing: frozenset[str] = frozenset(),
    ) -> Records:
        """Canonical tables -> the record store, by the same split a load makes."""
        return cls(load_id, split(tables).records, missing)

"""The record store: everything a feature, a label or a score may see, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from features.errors import InputError
from features.stores import RECORD_TABLES, split


@dataclass(frozen=True)
class Records:
    """Canonical tables of one load as feature code sees them (see ``features.stores`` for what is left out).

    ``missing`` names what the extract lacked, "table" or "table.column": features that need it are left out.
    """

    load_id: str
    tables: Mapping[str, pl.DataFrame]
    missing: frozenset[str] = field(default_factory=frozenset)

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
        except (OSError, ValueError, pl.exceptions.PolarsError) as problem:
            raise InputError(
                f"The load in {folder.name} cannot be read ({type(problem).__name__}).",
                where=str(folder),
                cure="Ingest the extract again into a new home folder.",
            ) from problem
        return cls(manifest["load_id"], tables, frozenset(manifest["missing"]))

    @classmethod
    def from_canonical(
        cls,
        tables: Mapping[str, pl.DataFrame],
        load_id: str = "frames",
        missing: frozenset[str] = frozenset(),
    ) -> Records:
        """Canonical tables -> the record store, by the same split a load makes."""
        return cls(load_id, split(tables).records, missing)

"""What was set aside of a load: rows with a fault in a key, and cells blanked in rows that were kept."""

from __future__ import annotations

from typing import Any

import polars as pl

from features.errors import InputError, NotFoundError
from features.home import Load


def _read(load: Load, name: str) -> pl.DataFrame:
    try:
        return pl.read_parquet(load.path / "quarantine" / f"{name}.parquet")
    except (OSError, pl.exceptions.PolarsError) as problem:
        raise InputError(
            f"What was set aside of load {load.load_id} cannot be read ({type(problem).__name__}).",
            where="quarantine",
            cure="Ingest the extract again into a new home folder.",
        ) from problem


def _counted(rows: pl.DataFrame) -> list[dict[str, Any]]:
    grouped = rows.group_by("table", "reason").len("rows")
    return grouped.sort(["rows", "table", "reason"], descending=[True, False, False]).to_dicts()


def counts(load: Load) -> dict[str, list[dict[str, Any]]]:
    """``rows``: quarantined rows by table and reason; ``blanked``: cells blanked in rows that were kept. Both name
    nobody."""
    faults = _read(load, "faults").filter(~pl.col("quarantined"))
    return {"rows": _counted(_read(load, "rows")), "blanked": _counted(faults)}


def rows_of(load: Load, table: str, offset: int, most: int) -> tuple[list[dict[str, Any]], bool]:
    """Quarantined rows of one table by line, from ``offset``, at most ``most``; and whether there are more.

    NotFoundError for a table that has none.
    """
    found = _read(load, "rows").filter(pl.col("table") == table).sort("line", "reason")
    if found.is_empty():
        raise NotFoundError(
            f"No row of {table!r} is in quarantine.", where="quarantine", cure="Go back to the counts."
        )
    shown = found.slice(offset, most).drop("table").to_dicts()
    return shown, found.height > offset + most

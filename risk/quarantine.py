"""What was set aside of a load: rows with a fault in a key, and cells blanked in rows that were kept.

Of a row no more is told than it takes to find and mend it in the records system: never a name, an address, safe contact
or what was agreed with a victim (``risk/data/quarantine.toml``), and nothing of anybody whose record is restricted.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import polars as pl

from features import segments
from features.errors import InputError, NotFoundError
from features.home import Load
from features.nominals import PERSON_COLUMNS
from features.schema import SPECS
from risk.settings import settings
from risk.view import View


@dataclass(frozen=True)
class SetAside:
    """Some rows as they may be shown; whether there are more; how many are kept back; references of persons shown."""

    rows: list[dict[str, Any]]
    more: bool
    kept_back: int
    persons: list[str]


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


def rows_of(
    load: Load, view: View, table: str, offset: int, most: int, opened: Collection[str] = ()
) -> SetAside:
    """Quarantined rows of one table by line, from ``offset``, at most ``most``, as far as they may be shown.

    A row has ``line``, ``column``, ``reason``, ``keys`` (by column) and ``value``, None where what stood there is not
    told (``told`` False). Rows that speak of somebody restricted by law, or whose record is open to named users only
    (but those ``opened``), are counted and not shown. ``view``: of the load as of now. NotFoundError for a table that
    has none.
    """
    found = _read(load, "rows").filter(pl.col("table") == table).sort("line", "reason")
    if found.is_empty():
        raise NotFoundError(
            f"No row of {table!r} is in quarantine.", where="quarantine", cure="Go back to the counts."
        )
    closed = sorted(_closed(load, view) - set(opened))
    persons = [name for name in _columns(table) if name in PERSON_COLUMNS]
    speaks = [_cell(name).is_in(closed).fill_null(False) for name in persons]
    speaks += [pl.col("value").is_in(closed).fill_null(False), _says_restricted(table)]
    open_rows = found.filter(~pl.any_horizontal(speaks))
    shown = open_rows.slice(offset, most).with_columns(
        _cell(name).alias(f"key {name}") for name in _keys(table)
    )
    rows = [_row(table, one) for one in shown.iter_rows(named=True)]
    named = {value for row in rows for name, value in row["keys"].items() if name in PERSON_COLUMNS and value}
    named |= {row["value"] for row in rows if row["column"] in PERSON_COLUMNS and row["value"]}
    return SetAside(rows, open_rows.height > offset + most, found.height - open_rows.height, sorted(named))


def _row(table: str, one: dict[str, Any]) -> dict[str, Any]:
    known = settings("quarantine")
    told = table not in known["closed_tables"] and one["column"] not in known["closed_columns"]
    value = str(one["value"])[: int(known["value_most"])] if told and one["value"] is not None else None
    keys = {name: one[f"key {name}"] for name in _keys(table)}
    return {
        "line": one["line"],
        "column": one["column"],
        "reason": one["reason"],
        "told": told,
        "value": value,
        "keys": keys,
    }


def _columns(table: str) -> list[str]:
    return list(SPECS[table].dtypes) if table in SPECS else []


def _keys(table: str) -> list[str]:
    """The key of a table as far as it is references; an address only by its own table, for elsewhere it says where
    somebody lives."""
    if table not in SPECS:
        return []
    own = [name for name in SPECS[table].key if name in PERSON_COLUMNS or name.endswith("_id")]
    return [name for name in own if name != "address_id" or table == "address"]


def _cell(name: str) -> pl.Expr:
    """A cell of the row as it was read, as text; null where the row has none, or is no row at all."""
    whole = pl.col("row").fill_null("{}")
    return (
        pl.when(whole.str.starts_with("{"))
        .then(whole)
        .otherwise(pl.lit("{}"))
        .str.json_path_match(f"$.{name}")
    )


def _says_restricted(table: str) -> pl.Expr:
    """Rows of persons that say themselves that they are restricted: set aside, they are in no list of those."""
    if table != "person":
        return pl.lit(False)
    marked = ~_cell("no_processing").str.to_lowercase().is_in(["", "n", "no", "false", "0"])
    return marked.fill_null(False) | (_cell("access") == "named_users").fill_null(False)


def _closed(load: Load, view: View) -> set[str]:
    """References of everyone restricted by law, and of everyone whose record is open to named users only."""
    front = load.path / "front" / "restricted.parquet"
    by_law = set(pl.read_parquet(front)["person_id"].to_list()) if front.exists() else set()
    by_law |= set(segments.read(load.path, segments.STORES, after=0).restricted.to_list())
    people = view.identity("person").filter(pl.col("access") == "named_users")
    return by_law | set(people["person_id"].to_list())

"""The way to names and places, and to protected characteristics: kept apart from what computes a score.

No module that computes a feature, a label or a score may import this one (the import check holds it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from features import segments
from features.errors import InputError
from features.home import Load

STORES = ("identity", "audit")
_HELD = "_apart"


def open_identity(load: Load) -> Mapping[str, pl.DataFrame]:
    """Canonical tables that name and find people: person (names, sex, address), alias, address, residence, team,
    call, event_place, order, disclosure, victim_plan, promise, contact."""
    return _open(load, "identity")


def open_audit(load: Load) -> Mapping[str, pl.DataFrame]:
    """Canonical tables for audits alone: person_protected, intervention and the proactive_* tables."""
    return _open(load, "audit")


def _open(load: Load, store: str) -> Mapping[str, pl.DataFrame]:
    held: Callable[[str], dict[str, pl.DataFrame]] | None = load.__dict__.get(_HELD)
    if held is not None:
        return held(store)
    added = segments.read(load.path, (store,))
    tables = stored(load, store)
    return added.onto(store, tables) if added.segments else tables


def hold(load: Load, store: Callable[[str], dict[str, pl.DataFrame]]) -> None:
    """From now on these stores are read from memory (``features.near_apart``), not from the disk."""
    load.__dict__[_HELD] = store


def stored(load: Load, store: str) -> dict[str, pl.DataFrame]:
    """The tables of a store as the load brought them, without what was added since; InputError when unreadable."""
    folder = load.path / store
    try:
        return {path.stem: pl.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}
    except (OSError, pl.exceptions.PolarsError) as problem:
        raise InputError(
            f"The {store} store of load {load.load_id} cannot be read ({type(problem).__name__}).",
            where=str(folder),
            cure="Ingest the extract again into a new home folder.",
        ) from problem

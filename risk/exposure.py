"""Writes who was exposed to which list and to what decisions (``features.exposure``), which no score ever sees."""

from __future__ import annotations

import os
from collections import defaultdict
from typing import Any

import polars as pl
import sqlalchemy as sa

from features.apart import open_identity
from features.exposure import EXPOSURE, exposure_path
from features.home import Home
from risk.agreement import on_lists
from risk.decisions import choices
from risk.holds import held
from risk.places import as_placed
from risk.published import PublishedList, lists
from risk.store import Database
from risk.store.tables_decisions import ACTION, ACTION_RESULT
from risk.written import select_rows


def exposure(home: Home, db: Database) -> pl.DataFrame:
    """One row for each person on each published list, by list and rank; nobody who is in the records no more."""
    load = home.current()
    known = set() if load is None else set(open_identity(load)["person"]["person_id"])
    decided, done, on_hold = on_lists(db), _done(db), held(db)
    rows = []
    for one in lists(home):
        for row in _listed(one).filter(pl.col("person_id").is_in(list(known))).iter_rows(named=True):
            key = (one.list_id, row["person_id"])
            made, acts = decided.get(key), done.get(key, ())
            rows.append(
                {
                    "list_id": one.list_id,
                    "as_of": one.as_of,
                    "load_id": one.facts["load_id"],
                    "model_version": one.facts["model_version"],
                    **row,
                    **_decided(made),
                    "actions": len(acts),
                    "results": sum(acts),
                    "on_hold": row["person_id"] in on_hold,
                }
            )
    return pl.DataFrame(rows, schema=EXPOSURE)


def write_exposure(home: Home, db: Database) -> pl.DataFrame:
    """Write the file anew, beside and moved into place; returns what it holds."""
    found, path = exposure(home, db), exposure_path(home.path)
    half = path.with_suffix(f".{os.getpid()}")
    found.write_parquet(half)
    half.chmod(0o600)
    half.replace(path)
    return found


def _listed(one: PublishedList) -> pl.DataFrame:
    rows = as_placed(one.rows, one.facts["settings"]["places"], one.as_of).filter("listed")
    return rows.select("person_id", "district", "rank", "place").sort("rank")


def _decided(made: dict[str, Any] | None) -> dict[str, Any]:
    if made is None or not made["holds"]:
        return dict.fromkeys(("choice", "agrees", "decided_at", "decided_as"))
    agrees = choices()[made["choice"]]["agrees"]
    return {
        "choice": made["choice"],
        "agrees": agrees,
        "decided_at": made["at"],
        "decided_as": made["role"],
    }


def _done(db: Database) -> dict[tuple[str, str], list[bool]]:
    """By list and person: for each action, whether a result was recorded."""
    joined = sa.outerjoin(ACTION, ACTION_RESULT, ACTION.c.id == ACTION_RESULT.c.action_id)
    query = sa.select(ACTION.c.list_id, ACTION.c.person_id, ACTION_RESULT.c.result).select_from(joined)
    found: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for row in select_rows(db, query.where(ACTION.c.list_id.is_not(None))):
        found[row["list_id"], row["person_id"]].append(row["result"] is not None)
    return found

"""What changed between two published lists: who came, who went and why, who moved, and what else was different.

Told under today's references, so that a person whose records were joined in between is neither gone nor new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from features.nominals import onto
from risk.published import PublishedList
from risk.words import day_time

SHOWN = ("person_id", "rank", "district", "in_100", "expected_harm", "count_rank")
MADE_FROM = {  # what a list is made from, in the words of the page
    "model_version": "model",
    "load_id": "load of records",
    "harm": "edition of the harm index",
    "settings": "settings",
    "code_version": "version of Doorstep",
}


@dataclass(frozen=True)
class Difference:
    """Two lists side by side, the earlier first.

    ``entrants`` and ``stayed`` are rows of the later list with ``rank_before``; ``leavers`` rows of the earlier with
    ``rank_now`` and ``why``; ``stayed`` is in the order of the greatest move. ``other``: what else the two lists differ
    in, a sentence each. ``by_count``: how many of the later list's people the same number of places by count of reports
    would have held.
    """

    before: PublishedList
    after: PublishedList
    entrants: list[dict[str, Any]]
    leavers: list[dict[str, Any]]
    stayed: list[dict[str, Any]]
    other: list[str]
    by_count: int

    def persons(self) -> list[str]:
        """Everyone in it."""
        return [row["person_id"] for part in (self.entrants, self.leavers, self.stayed) for row in part]


def difference(
    before: PublishedList, after: PublishedList, clusters: pl.DataFrame, districts: Sequence[str] = ()
) -> Difference:
    """What changed from one list to another in some districts (none: everywhere), under the references of ``clusters``
    (``View.clusters``)."""
    old, new = _rows(before, clusters, districts), _rows(after, clusters, districts)
    was, now = _listed(old), _listed(new)
    ranks_then = dict(old.select("person_id", "rank").iter_rows())
    ranks_now = dict(new.select("person_id", "rank").iter_rows())
    apart = dict(onto(after.apart, clusters).select("person_id", "reason").iter_rows())
    later = [row | {"rank_before": ranks_then.get(person)} for person, row in now.items()]
    entrants = [row for row in later if row["person_id"] not in was]
    stayed = [row | {"moved": row["rank_before"] - row["rank"]} for row in later if row["person_id"] in was]
    leavers = [
        row | {"rank_now": ranks_now.get(person), "why": _why(person, ranks_now, apart)}
        for person, row in was.items()
        if person not in now
    ]
    stayed.sort(key=lambda row: (-abs(row["moved"]), row["rank"]))
    counted = new.sort("count_rank", "rank").head(len(now))
    by_count = len(set(counted["person_id"]) & set(now))
    return Difference(before, after, entrants, leavers, stayed, _other(before, after), by_count)


def _rows(one: PublishedList, clusters: pl.DataFrame, districts: Sequence[str]) -> pl.DataFrame:
    """Every ranked person under the reference of now; of two who are one the better place."""
    rows = onto(one.rows, clusters).sort("rank").unique("person_id", keep="first", maintain_order=True)
    return rows.filter(pl.col("district").is_in(list(districts))) if districts else rows


def _listed(rows: pl.DataFrame) -> dict[str, dict[str, Any]]:
    return {row["person_id"]: row for row in rows.filter("listed").select(SHOWN).iter_rows(named=True)}


def _why(person: str, ranks: dict[str, int], apart: dict[str, str]) -> str:
    if person in apart:
        return apart[person]
    return f"now {ranks[person]:,} in the ranking" if person in ranks else "no longer scored"


def _other(before: PublishedList, after: PublishedList) -> list[str]:
    """What the two lists were made from and that differs: moves may come from it and not from what people did."""
    differs = [
        f"another {words}"
        for key, words in MADE_FROM.items()
        if before.facts.get(key) != after.facts.get(key)
    ]
    same_day = before.as_of == after.as_of
    return differs + ([f"made for the same moment, {day_time(after.as_of)}"] if same_day else [])

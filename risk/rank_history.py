"""Where a person stood on every list published so far: rank by harm, rank by count, listed, apart or not there.

A person may have stood on an earlier list under another of their references, before records were linked or after they
were taken apart again: each line says under which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from features.home import Home
from risk.published import PublishedList, read_list
from risk.settings import settings
from risk.words import in_100

KEPT = ("person_id", "rank", "count_rank", "listed", "p_serious", "expected_harm")


@dataclass(frozen=True)
class Place:
    """Where a person stood on one list. ``rank``: None when apart or absent; ``of``: how many were ranked; ``apart``:
    why they stood apart; ``person_id``: the reference they stood under, None when the list does not have them."""

    list_id: str
    as_of: datetime
    person_id: str | None
    rank: int | None
    count_rank: int | None
    of: int
    listed: bool
    in_100: str | None
    expected_harm: float | None
    model_version: str
    apart: str | None

    @property
    def words(self) -> str:
        """The place in a few words."""
        if self.apart:
            return f"apart: {self.apart}"
        if self.rank is None:
            return "not ranked"
        return f"{self.rank:,} of {self.of:,}" + ("" if self.listed else ", not prioritised by the model")

    def as_dict(self) -> dict[str, Any]:
        """The same facts for a machine."""
        return asdict(self) | {"words": self.words}


def rank_history(
    known: Sequence[PublishedList], references: Sequence[str], until: datetime | None = None
) -> list[Place]:
    """The places of a person on lists, newest first; at most as many as ``person.toml`` says.

    ``known``: the published lists, oldest T first; ``references``: every record of the person, the one they go by
    first; ``until``: only lists as of then or before. A list that is damaged raises InputError, as wherever it is read.
    """
    told = [one for one in known if until is None or one.as_of <= until]
    most = int(settings("person")["rank_history"]["lists"])
    return [_place(one, references) for one in reversed(told[-most:])]


def _place(one: PublishedList, references: Sequence[str]) -> Place:
    rows, apart = _slim(one.folder, one.facts["sha256"]["rows.parquet"])
    row: dict[str, Any] = {}
    why, found = None, None
    for reference in references:
        mine = rows.filter(pl.col("person_id") == reference)
        aside = apart.filter(pl.col("person_id") == reference)
        if mine.height or aside.height:
            row = mine.row(0, named=True) if mine.height else {}
            why, found = (aside["reason"][0] if aside.height else None), reference
            break
    p = row.get("p_serious")
    return Place(
        list_id=one.list_id,
        as_of=one.as_of,
        person_id=found,
        rank=row.get("rank"),
        count_rank=row.get("count_rank"),
        of=int(one.facts["counts"]["ranked"]),
        listed=bool(row.get("listed")),
        in_100=None if p is None else in_100(p),
        expected_harm=row.get("expected_harm"),
        model_version=str(one.facts["model_version"]),
        apart=why,
    )


@lru_cache(maxsize=32)
def _slim(folder: Path, digest: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The few columns of a list that a history needs; a published list never changes, so they are read and checked
    once (``digest``: of its rows)."""
    one = read_list(Home(folder.parent.parent), folder.name)
    return one.rows.select(KEPT), one.apart.select("person_id", "reason")

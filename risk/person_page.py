"""What stands beside a person's records on their page: lists, lawful options and what officers have decided.

Records and score are of a moment and are the same for everyone who may open the page (``risk.person``); this is put
beside them each time, because a list may have been published or a hold placed a second ago.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
import sqlalchemy as sa

from features.home import Load
from features.nominals import clusters_at
from risk.decisions import Standing, standing
from risk.decisions import history as decided
from risk.options import Standing as OptionStanding
from risk.person import place_of, placed
from risk.published import PublishedList
from risk.rank_history import rank_history
from risk.store import Database
from risk.store.tables_decisions import ACTION, DECISION, HOLD, NOMINATION
from risk.words import day
from risk.written import references


@dataclass(frozen=True)
class OnLists:
    """What published lists say of a person: the ``place`` on the one the page tells, all ``ranks`` newest first, and
    what to say (``moved``) when the person is not made of the same records any more."""

    place: dict[str, Any] | None
    ranks: list[dict[str, Any]]
    moved: str


def on_lists(
    lists: Sequence[PublishedList],
    load: Load,
    known_as: Sequence[str],
    published: PublishedList | None,
    until: datetime | None = None,
) -> OnLists:
    """What lists say of a person (``known_as``: every reference, the one they go by first); only lists as of ``until``
    or before."""
    ranks = [one.as_dict() for one in rank_history(lists, known_as, until)]
    return OnLists(place_of(published, known_as), ranks, moved(load, published, known_as))


def beside(
    db: Database,
    clusters: pl.DataFrame,
    person: Mapping[str, Any],
    on: OnLists,
    known: Sequence[OptionStanding],
) -> dict[str, Any]:
    """A person (``risk.person.person``) with lists, options and decisions beside.

    ``clusters``: which records are this person (``View.clusters``); ``known``: every option with what the force has
    said of it (``risk.options.standings``). Adds ``ranks``, ``moved``, ``options`` (shown, with their lines; hidden,
    how many wait), ``standing`` and ``decided``; the score gains its place.
    """
    person_id = str(person["person_id"])
    now, lines = Standing(person_id, 0, None, None, (), None, None), []
    if _written_about(db, person_id, clusters):  # of most people nobody has written anything yet
        now = standing(db, [person_id], clusters)[person_id]
        lines = decided(db, person_id, clusters)
    return {
        **person,
        "score": placed(person["score"], on.place),
        "ranks": on.ranks,
        "moved": on.moved,
        "options": options_of(known, person["bearing"]),
        "standing": now.as_dict(),
        "decided": lines,
    }


def _written_about(db: Database, person_id: str, clusters: pl.DataFrame) -> bool:
    """Whether anybody has decided, done, held or nominated anything about a person."""
    refs = list(references([person_id], clusters))
    tables = (DECISION, ACTION, HOLD, NOMINATION)
    found = [sa.select(sa.literal(1)).where(table.c.person_id.in_(refs)) for table in tables]
    with db.read() as connection:
        return connection.execute(sa.union_all(*found).limit(1)).first() is not None


def options_of(known: Sequence[OptionStanding], bearing: Mapping[str, Any]) -> dict[str, Any]:
    """The options that may be shown, those first whose test the records bear on, and how many wait or were refused."""
    shown = []
    for one in known:
        if not one.shown:
            continue
        lines = bearing[one.option.option_id]
        test = " ".join(fact.text for fact in one.facts if fact.part == "test")
        told = {"title": one.option.name, "test": test, "lines": lines}
        shown.append(one.as_dict() | told | {"bears": any(line["bears"] for line in lines)})
    return {
        "shown": sorted(shown, key=lambda one: not one["bears"]),
        "hidden": sum(not one.shown for one in known),
    }


def moved(load: Load, published: PublishedList | None, known_as: Sequence[str]) -> str:
    """What to say when the person of a list is not made of the same records any more; empty when they are."""
    if published is None:
        return ""
    mine = set(known_as)
    then = clusters_at(load.records().links, published.as_of)
    theirs = then.filter(pl.col("person_id").is_in(list(known_as)))["cluster_id"].unique()
    was = set(then.filter(pl.col("cluster_id").is_in(theirs.implode()))["person_id"].to_list()) or {
        known_as[0]
    }
    since = f"since the list of {day(published.as_of)}"
    said = []
    if joined := sorted(mine - was):
        said.append(f"joined by {', '.join(joined)} {since}")
    if apart := sorted(was - mine):
        said.append(f"{', '.join(apart)} taken apart {since}: look at that record on its own")
    return "; ".join(said)

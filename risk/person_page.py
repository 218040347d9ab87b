"""What stands beside a person's records on their page: lists, lawful options and what officers have decided.

Records and score are of a moment and are the same for everyone who may open the page (``risk.person``); this is put
beside them each time, because a list may have been published or a hold placed a second ago.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from features.home import Load
from features.nominals import clusters_at
from risk.decisions import history as decided
from risk.decisions import standing
from risk.options import standings
from risk.person import placed
from risk.published import PublishedList
from risk.rank_history import rank_history
from risk.store import Database
from risk.words import day


def beside(
    lists: Sequence[PublishedList],
    db: Database,
    load: Load,
    clusters: pl.DataFrame,
    person: Mapping[str, Any],
    published: PublishedList | None,
    until: datetime | None = None,
) -> dict[str, Any]:
    """A person (``risk.person.person``) with lists, options and decisions beside.

    ``lists``: every list, oldest first; ``published``: the one whose place the page tells; ``until``: only lists as of
    then or before. ``clusters``: which records are this person (``View.clusters``). Adds ``ranks``,
    ``options`` (shown, with their lines; hidden, how many wait), ``standing``, ``decided`` and ``moved`` (what to say
    of a reference that has been joined or taken apart since the list); the score gains its place.
    """
    person_id = str(person["person_id"])
    references = [person_id, *(one["person_id"] for one in person["identity"]["records"])]
    now = standing(db, [person_id], clusters)[person_id]
    return {
        **person,
        "score": placed(person["score"], published, references),
        "ranks": [one.as_dict() for one in rank_history(lists, references, until)],
        "options": options_of(db, person["bearing"]),
        "standing": now.as_dict(),
        "decided": decided(db, person_id, clusters),
        "moved": moved(load, published, references),
    }


def options_of(db: Database, bearing: Mapping[str, Any]) -> dict[str, Any]:
    """The options that may be shown, those first whose test the records bear on, and how many wait or were refused."""
    known = standings(db)
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


def moved(load: Load, published: PublishedList | None, references: list[str]) -> str:
    """What to say when the person of a list is not made of the same records any more; empty when they are."""
    if published is None:
        return ""
    mine = set(references)
    then = clusters_at(load.records().links, published.as_of)
    theirs = then.filter(pl.col("person_id").is_in(references))["cluster_id"].unique()
    was = set(then.filter(pl.col("cluster_id").is_in(theirs.implode()))["person_id"].to_list()) or {
        references[0]
    }
    since = f"since the list of {day(published.as_of)}"
    said = []
    if joined := sorted(mine - was):
        said.append(f"joined by {', '.join(joined)} {since}")
    if apart := sorted(was - mine):
        said.append(f"{', '.join(apart)} taken apart {since}: look at that record on its own")
    return "; ".join(said)

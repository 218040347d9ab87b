"""Who is who on a list, a page or a sheet: the records that stand for a person, and how surely they are one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import polars as pl

from features.linkage.fields import settings
from features.nominals import onto
from risk.view import View
from risk.words import count

CLOSED = "a restricted record"
"""What stands in the place of a reference that only named users may see."""
NOT_YET = "not yet compared with other records (run doorstep link)"


def doubled(view: View) -> pl.DataFrame:
    """Persons with more than one record as of T: person_id (the cluster's), records (how many), match (the weakest
    link that holds one of them in); nobody where nominals were never linked."""
    return (
        view.clusters.group_by("cluster_id")
        .agg(pl.len().cast(pl.Int64).alias("records"), pl.col("certainty").min().alias("match"))
        .rename({"cluster_id": "person_id"})
        .sort("person_id")
    )


def other_records(view: View, person_id: str) -> list[dict[str, Any]]:
    """The other references of a person (their cluster's id) with the match that holds each in, surest first."""
    mine = view.clusters.filter((pl.col("cluster_id") == person_id) & (pl.col("person_id") != person_id))
    mine = mine.sort(["certainty", "person_id"], descending=[True, False])
    return [{"person_id": p, "match": c} for p, c in mine.select("person_id", "certainty").iter_rows()]


def records_of(view: View, person_id: str) -> list[str]:
    """Every reference of a person (their cluster's id) as of T, their own among them."""
    return [person_id, *(one["person_id"] for one in other_records(view, person_id))]


def restricted(view: View, opened: Iterable[str] = ()) -> set[str]:
    """Persons whose records are for named users, but for those ``opened`` to whoever asks: no page, picture or list
    of somebody else shows them."""
    rows = view.identity("person").filter(pl.col("access") == "named_users")
    return set(onto(rows.select("person_id"), view.clusters)["person_id"].to_list()) - set(opened)


def not_linked(view: View, person_id: str) -> bool:
    """Whether the person arrived after the last link run: until the next, a person of their own."""
    links = view.records.links
    return links is not None and person_id not in links.known


def unsure(match: float | None) -> bool:
    """Whether an identity rests on a match that must be said."""
    return match is not None and match < float(settings()["threshold"]["sure"])


def words(records: int | None, match: float | None, linked: bool = True) -> str:
    """What to say of an identity; empty when there is nothing to say."""
    if records and unsure(match):
        return (
            f"rests on a match of {match:.2f} between {count(records, 'record')}: check that it is one person"
        )
    return "" if linked else NOT_YET


def identity(view: View, person_id: str) -> dict[str, Any]:
    """For a person page or a sheet: ``records`` (the other references), ``match`` and the ``note`` to print."""
    others = other_records(view, person_id)
    match = min((one["match"] for one in others), default=None)
    linked = not not_linked(view, person_id)
    return {
        "records": others,
        "match": match,
        "note": words(len(others) + 1 if others else None, match, linked),
    }

"""Who belongs to which group at T: for audits alone, never an input to a score.

Sex and ethnicity come from the audit store, districts from the identity store, age and relationship from the records;
all as they stood on record at T. Someone of whom nothing is recorded belongs to a group too ("not recorded"): a model
that is worse for people the force knows little about must not be able to hide it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import polars as pl

from features.apart import open_audit, open_identity
from features.asof import as_of, cut, instant
from features.cohort import LONDON, suspects
from features.home import Load
from features.nominals import clusters_at, onto
from features.records import Records
from features.schema import spec_of
from models import settings

MISSING = "not recorded"
Tables = Mapping[str, pl.DataFrame]
GroupsOf = Callable[[datetime], pl.DataFrame]


def groupings() -> dict[str, dict[str, Any]]:
    """Grouping -> its declaration (title, kind, labels), in the order shown."""
    return dict(settings.load("fairness")["grouping"])


def order_of(grouping: str, present: list[str]) -> list[str]:
    """The groups ``present`` in the order in which they are shown: as declared (districts by name), missing last."""
    declared = groupings()[grouping]
    said = list(dict.fromkeys(declared.get("labels", {}).values())) or _bands(declared)
    place = {name: i for i, name in enumerate(said)}
    return sorted(set(present), key=lambda name: (name == MISSING, place.get(name, len(place)), name))


def groups_of(load: Load) -> GroupsOf:
    """A function of T that gives :func:`groups_at` for everyone on record, for the load's own stores."""
    audit, places, records = open_audit(load), open_identity(load), load.records()
    kept: dict[datetime, pl.DataFrame] = {}

    def at(t: datetime) -> pl.DataFrame:
        if t not in kept:
            kept[t] = groups_at(audit, records, t, places=places)
        return kept[t]

    return at


def groups_at(
    audit: Tables,
    records: Records,
    t: datetime,
    persons: pl.Series | None = None,
    places: Tables | None = None,
) -> pl.DataFrame:
    """The groups of each person as known at T.

    Parameters
    ----------
    audit: tables of the audit store (``features.apart.open_audit``).
    records: the record store; where nominals were linked, a person is their cluster as of T.
    persons: person_id wanted; None: everyone on record at T.
    places: tables of the identity store (``open_identity``); None: there is no column ``district``.

    Returns ``person_id`` (sorted) and one String column a grouping of ``fairness.toml``, "not recorded" where the
    records say nothing. Where the records of one person differ, the commonest value counts, of equals the latest; a
    recorded "unknown" gives way to anything else. Nothing recorded after T counts.
    """
    person = as_of(records, "person", t)
    if persons is None:
        persons = person["person_id"]
    out = pl.DataFrame({"person_id": persons.cast(pl.String)}).unique().sort("person_id")
    clusters = clusters_at(records.links, t)
    protected = onto(_held(audit["person_protected"], t), clusters)
    for name, declared in groupings().items():
        if declared["kind"] == "protected":
            found = _protected(protected, declared)
        elif declared["kind"] == "age":
            found = person.select("person_id", value=_band(declared, t))
        elif declared["kind"] == "relationship":
            found = _relationship(records, t, declared)
        elif places is not None:
            found = _district(records, places, t, int(declared["lookback_days"]), clusters)
        else:
            continue
        found = found.select("person_id", pl.col("value").alias(name))
        out = out.join(found, on="person_id", how="left", maintain_order="left")
    return out.with_columns(pl.exclude("person_id").fill_null(MISSING))


def _held(frame: pl.DataFrame, t: datetime) -> pl.DataFrame:
    """Rows of a table without a time of its own that stood at T."""
    now = instant(t)
    return frame.filter(
        (pl.col("known_from") <= now) & (pl.col("known_to").is_null() | (pl.col("known_to") > now))
    )


def _protected(rows: pl.DataFrame, declared: Mapping[str, Any]) -> pl.DataFrame:
    column = pl.col(str(declared["column"]))
    code = column.str.slice(0, int(declared["letters"])) if "letters" in declared else column
    votes = (
        rows.select("person_id", "known_from", code=code)
        .drop_nulls("code")
        .group_by("person_id", "code")
        .agg(votes=pl.len(), latest=pl.col("known_from").max())
        .with_columns(unknown=pl.col("code").is_in(list(declared["unknown"])))
        .sort(
            ["person_id", "unknown", "votes", "latest", "code"], descending=[False, False, True, True, False]
        )
        .unique("person_id", keep="first", maintain_order=True)
    )
    labels = dict(declared["labels"])
    return votes.select("person_id", value=pl.col("code").replace_strict(labels, default="another code"))


def _bands(declared: Mapping[str, Any]) -> list[str]:
    first = [int(year) for year in declared.get("from", [])]
    if not first:
        return []
    closed = [f"{a} to {b - 1}" for a, b in pairwise(first)]
    return [f"under {first[0]}", *closed, f"{first[-1]} and over"]


def _band(declared: Mapping[str, Any], t: datetime) -> pl.Expr:
    """The age band on the London day of T; null without a birth date."""
    day, born = t.astimezone(LONDON).date(), pl.col("date_of_birth")
    before = (born.dt.month() > day.month) | ((born.dt.month() == day.month) & (born.dt.day() > day.day))
    age = pl.lit(day.year) - born.dt.year().cast(pl.Int32) - before.cast(pl.Int32)
    names, first = _bands(declared), [int(year) for year in declared["from"]]
    band: pl.Expr = pl.lit(names[0])
    for year, name in zip(first, names[1:], strict=True):
        band = pl.when(age >= year).then(pl.lit(name)).otherwise(band)
    return pl.when(born.is_not_null()).then(band)


def _relationship(records: Records, t: datetime, declared: Mapping[str, Any]) -> pl.DataFrame:
    """What the person is to the victim of the latest domestic event they are suspected in; of several victims the
    one whose relationship stands first in the settings."""
    labels = dict(declared["labels"])
    place = {code: i for i, code in enumerate(labels)}
    event = as_of(records, "event", t).filter(pl.col("domestic") == "Y").select("event_id", "occurred_at")
    said = as_of(records, "involvement", t).filter(pl.col("role") == "suspect")
    said = said.select("event_id", "person_id", code="relationship_to_victim")
    latest = (
        suspects(records, t)
        .join(event, on="event_id")
        .sort(["person_id", "occurred_at", "event_id"], descending=[False, True, False])
        .unique("person_id", keep="first", maintain_order=True)
    )
    return (
        latest.join(said, on=["event_id", "person_id"], how="left")
        .with_columns(place=pl.col("code").replace_strict(place, default=len(place), return_dtype=pl.Int64))
        .sort("person_id", "place")
        .unique("person_id", keep="first", maintain_order=True)
        .select(
            "person_id",
            value=pl.col("code").replace_strict(labels, default=None, return_dtype=pl.String),
        )
    )


def _district(
    records: Records, places: Tables, t: datetime, lookback: int, clusters: pl.DataFrame
) -> pl.DataFrame:
    """The district of the latest address known by T, else of most domestic events as suspect lately: the same rule by
    which lists are cut for teams."""
    residence = cut(places["residence"], spec_of("residence"), t)
    person = cut(places["person"].with_columns(since="known_from"), spec_of("person"), t)
    homes = onto(
        pl.concat(
            [
                residence.select("person_id", "address_id", since="at"),
                person.select("person_id", "address_id", "since"),
            ]
        ),
        clusters,
    ).drop_nulls(["address_id", "since"])
    address = cut(places["address"], spec_of("address"), t)
    address = address.filter(pl.col("kind").is_null() | (pl.col("kind") != "custody"))
    lived = (
        homes.join(address.select("address_id", lived="district"), on="address_id")
        .sort("person_id", "since", "address_id")
        .group_by("person_id", maintain_order=True)
        .last()
        .select("person_id", "lived")
    )
    recent = as_of(records, "event", t).filter(
        pl.col("domestic") == "Y", pl.col("occurred_at") > instant(t - timedelta(days=lookback))
    )
    where = _held(places["event_place"], t).select("event_id", seen="district").drop_nulls()
    seen = (
        suspects(records, t)
        .join(recent.select("event_id"), on="event_id")
        .join(where, on="event_id")
        .group_by("person_id", "seen")
        .agg(events=pl.len())
        .sort(["person_id", "events", "seen"], descending=[False, True, False])
        .unique("person_id", keep="first", maintain_order=True)
        .select("person_id", "seen")
    )
    both = lived.join(seen, on="person_id", how="full", coalesce=True)
    return both.select("person_id", value=pl.coalesce("lived", "seen"))

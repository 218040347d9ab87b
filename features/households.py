"""Who shared an address, when, and since when the force knew: the ``household`` table of the record store.

Feature code may not know where anybody lives. That two people lived at one address at one time is a fact about
them, not about the place, so it is worked out here, where addresses may still be read, and stored without any address.

A person lived at a dwelling during a ``residence``, and while the ``person`` row named it as their address (from the
moment that row was entered until another took its place). Two people shared it where two such stays overlap. A row
is known while both stays and the kind of the address are, and not before the force had both persons (a stay may come
with the day it began, years before anybody wrote down who stayed); it ends when the first of them left. Once more
persons than ``most_persons`` (features/data/network.toml) were entered at an address it is a hostel, not a home: from
that moment it ties nobody, and :func:`crowded` counts it.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from features.clocks import ALWAYS
from features.graph.settings import load_settings
from features.schema import DERIVED, UTC_TIME

SPEC = DERIVED["household"]
SPAN = ("known_from", "known_to")
COLUMNS = (*SPEC.dtypes, *SPAN)
_ALWAYS = pl.lit(ALWAYS, dtype=UTC_TIME)
_NONE = pl.lit(None, dtype=UTC_TIME)


def households(tables: Mapping[str, pl.DataFrame], persons: pl.Series | None = None) -> pl.DataFrame:
    """The household table: one row a pair, period and stretch of knowledge.

    Parameters
    ----------
    tables: canonical tables (one row a version, with known_from and known_to); reads person, residence, address.
    persons: only pairs in which one of these persons is; None = all. What it gives is the part of the whole that
        names them, so a store can be brought up to date by replacing that part.

    Returns person_id_a < person_id_b, started_on (null: before the records begin), ended_on, known_from, known_to.
    """
    stays = _stays(tables)
    if persons is not None:
        here = stays.filter(pl.col("person_id").is_in(persons.implode()))["address_id"].unique()
        stays = stays.filter(pl.col("address_id").is_in(here.implode()))
    rows = _shared(_homely(stays))
    if persons is not None:
        named = pl.any_horizontal(pl.col(c).is_in(persons.implode()) for c in ("person_id_a", "person_id_b"))
        rows = rows.filter(named)
    return rows.sort(*SPEC.key, *SPAN, "ended_on", nulls_last=True)


def crowded(tables: Mapping[str, pl.DataFrame]) -> int:
    """How many dwellings had more persons entered than make a home."""
    return _full(_stays(tables)).height


def _stays(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """person_id, address_id, start, end, known_from, known_to: every stay at a dwelling, as each version has it."""
    lived = tables["residence"].select(
        "person_id",
        "address_id",
        *SPAN,
        start=pl.coalesce("started_on", "known_from"),
        end=pl.col("ended_on"),
    )
    dwelling = (
        tables["address"]
        .filter(pl.col("kind") == "dwelling")
        .select("address_id", from_=pl.col("known_from"), to_=pl.col("known_to"))
    )
    person = tables["person"].group_by("person_id").agg(first=pl.col("known_from").min())
    return (
        pl.concat([lived, _named_address(tables["person"]).select(lived.columns)])
        .join(dwelling, on="address_id")
        .join(person, on="person_id")  # whoever has no person row is nobody the force has
        .with_columns(
            known_from=pl.max_horizontal("known_from", "from_", "first"),
            known_to=pl.min_horizontal("known_to", "to_"),
        )
        .filter(_not_empty("known_from", "known_to"))
        .drop("from_", "to_", "first")
    )


def _named_address(person: pl.DataFrame) -> pl.DataFrame:
    """Stays told by the person row: from when it named an address until it named another, or none."""
    rows = person.select("person_id", "address_id", *SPAN).sort("person_id", "known_from")
    before = pl.col("address_id").shift(1).over("person_id")
    gap = pl.col("known_to").shift(1).over("person_id") != pl.col("known_from")
    same = (before == pl.col("address_id")).fill_null(False) & ~gap.fill_null(True)
    return (
        rows.with_columns(stay=(~same).cum_sum())
        .group_by("stay", maintain_order=True)
        .agg(pl.col("person_id", "address_id", "known_from").first(), end=pl.col("known_to").last())
        .drop_nulls("address_id")
        .with_columns(start="known_from", known_to=_NONE)
    )


def _full(stays: pl.DataFrame) -> pl.DataFrame:
    """address_id, full: dwellings with too many persons, and the moment the one too many was entered."""
    most = load_settings().most_persons
    entered = stays.group_by("address_id", "person_id").agg(pl.col("known_from").min())
    return (
        entered.group_by("address_id")
        .agg(pl.col("known_from").sort().slice(most, 1).first().alias("full"))
        .drop_nulls("full")
    )


def _homely(stays: pl.DataFrame) -> pl.DataFrame:
    """Stays known no longer than until their address was full."""
    return (
        stays.join(_full(stays), on="address_id", how="left")
        .with_columns(known_to=pl.min_horizontal("known_to", "full"))
        .filter(_not_empty("known_from", "known_to"))
        .drop("full")
    )


def _shared(stays: pl.DataFrame) -> pl.DataFrame:
    """Each two stays at one address that overlap, in time and in what was known."""
    two = stays.join(stays, on="address_id", suffix="_b").filter(pl.col("person_id") < pl.col("person_id_b"))
    return (
        two.select(
            person_id_a="person_id",
            person_id_b="person_id_b",
            started_on=pl.max_horizontal("start", "start_b"),
            ended_on=pl.min_horizontal("end", "end_b"),
            known_from=pl.max_horizontal("known_from", "known_from_b"),
            known_to=pl.min_horizontal("known_to", "known_to_b"),
        )
        .filter(_not_empty("started_on", "ended_on"), _not_empty("known_from", "known_to"))
        .with_columns(started_on=pl.when(pl.col("started_on") > _ALWAYS).then("started_on"))
        .unique()
        .select(COLUMNS)
    )


def _not_empty(start: str, end: str) -> pl.Expr:
    return pl.col(end).is_null() | (pl.col(start) < pl.col(end))

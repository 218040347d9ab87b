"""What two records are compared on: every way each nominal was ever known, put into one spelling.

A *variant* is one such way: names, birth date, sex and address that the force held together, and the moment from
which it held them. Two nominals are compared variant by variant, so that what is entered tomorrow adds variants and
leaves those of today as they are.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from features.clocks import ALWAYS
from features.schema import UTC_TIME

SETTINGS = Path(__file__).parent.parent / "data" / "linkage.toml"
FIELDS_OF_EXTRACT = ("person", "alias", "residence", "address", "event_place", "involvement")
"""Tables that variants are made from (``event_place`` is the identity store's)."""
OWN = ("given", "family", "born", "sex", "address", "line", "postcode", "area")
"""Fields that make one variant differ from another; the rest follow from these."""
VARIANT: dict[str, pl.DataType] = {
    "unique_id": pl.String(),
    "person_id": pl.String(),
    "given": pl.String(),
    "first": pl.String(),
    "middle": pl.String(),
    "family": pl.String(),
    "names": pl.String(),
    "roots": pl.List(pl.String()),
    "born": pl.String(),
    "sex": pl.String(),
    "address": pl.String(),
    "line": pl.String(),
    "postcode": pl.String(),
    "area": pl.String(),
    "known_from": UTC_TIME,
}
"""Columns of a variant frame: names in small plain letters; ``first`` and ``middle`` the first and the last given name,
``roots`` the names the first may be short for, ``names`` all names in one order whichever way round they were written;
``born`` as 19850423; ``address`` the reference, ``line`` the address as written, in small letters without spaces,
``area`` its LSOA; ``known_from`` the latest clock of the fields in it."""


@cache
def settings() -> dict[str, Any]:
    """data/linkage.toml."""
    with SETTINGS.open("rb") as file:
        return tomllib.load(file)


def variants(tables: Mapping[str, pl.DataFrame]) -> tuple[pl.DataFrame, int]:
    """Every way each nominal was known (columns of :data:`VARIANT`), and how many were cut off.

    ``tables``: canonical person, alias, residence, address, event_place and involvement; an address is one a nominal
    lived at or a dwelling to which police came for an event they were suspect or victim in. A nominal known in more
    ways than ``limits.variants`` keeps those known first, so that a later one never pushes out an earlier one.
    """
    named, placed = _named(tables), _placed(tables)
    since = placed.group_by("person_id").agg(pl.col("place_from").min().alias("first_place"))
    both = named.join(placed, on="person_id", how="inner")
    # Before any address was known the names stood alone.
    alone = named.join(since, on="person_id", how="left").filter(
        pl.col("first_place").is_null() | (pl.col("name_from") < pl.col("first_place"))
    )
    alone = alone.drop("first_place").with_columns(
        **{name: pl.lit(None, dtype=pl.String) for name in ("address", "line", "postcode", "area")},
        place_from=pl.col("name_from"),
    )
    rows = spelt(
        pl.concat([both, alone.select(both.columns)]).with_columns(
            known_from=pl.max_horizontal("name_from", "place_from")
        )
    )
    rows = rows.sort("person_id", "known_from", *OWN).unique(
        ["person_id", *OWN], keep="first", maintain_order=True
    )
    rows = rows.with_columns(number=pl.int_range(pl.len()).over("person_id"))
    most = int(settings()["limits"]["variants"])
    kept = rows.filter(pl.col("number") < most).with_columns(
        unique_id=pl.col("person_id") + "#" + pl.col("number").cast(pl.String)
    )
    return kept.select(VARIANT.keys()), rows.height - kept.height


def spelt(raw: pl.DataFrame) -> pl.DataFrame:
    """Raw given_names, family_name, date_of_birth, sex, address, line, postcode and area -> the fields compared.

    Other columns are kept. Accents, case, spaces and marks do not count; ``U`` is no sex; a birth date may be a date or
    text written 19850423.
    """
    given = _plain("given_names").str.replace_all(r"[\s\-]+", " ").str.replace_all(r"[^a-z ]", "")
    birth = (
        pl.col("date_of_birth").dt.strftime("%Y%m%d")
        if raw.schema["date_of_birth"] == pl.Date
        else pl.col("date_of_birth").cast(pl.String).str.replace_all(r"[^0-9]", "")
    )
    words = pl.col("given").str.split(" ")
    close = pl.col("given").str.replace_all(" ", "")
    raw = raw.with_columns(
        given=_filled(given.str.strip_chars()),
        family=_filled(_plain("family_name").str.replace_all(r"[^a-z]", "")),
        born=_filled(birth),
        sex=pl.when(pl.col("sex").is_in(["F", "M", "X"])).then("sex"),
        line=_filled(_plain("line").str.replace_all(r"[^a-z0-9]", "")),
        postcode=_filled(pl.col("postcode").str.to_uppercase().str.replace_all(r"\s", "")),
    ).with_columns(
        first=words.list.first(),
        middle=pl.when(words.list.len() > 1).then(words.list.last()),
        names=pl.min_horizontal(close, "family") + " " + pl.max_horizontal(close, "family"),
    )
    return raw.join(_roots(), on="first", how="left").with_columns(
        roots=pl.coalesce("roots", pl.concat_list(pl.col("first")))
    )


def _named(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """person_id, given_names, family_name, date_of_birth, sex, name_from: versions of the record, and aliases."""
    own = ("given_names", "family_name", "date_of_birth", "sex")
    person = tables["person"].select("person_id", *own, name_from="known_from")
    alias = tables["alias"].join(
        person.select("person_id", "sex", "name_from", own_birth="date_of_birth"), on="person_id"
    )
    other = alias.select(
        "person_id",
        "given_names",
        "family_name",
        pl.coalesce("date_of_birth", "own_birth").alias("date_of_birth"),
        "sex",
        name_from=pl.max_horizontal("known_from", "name_from"),
    )
    return pl.concat([person, other]).group_by("person_id", *own).agg(pl.col("name_from").min())


def _placed(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """person_id, address, line, postcode, area, place_from: where each nominal was known to be, and since when."""
    place = tables["address"].select(
        "address_id", "line", "postcode", "kind", area="lsoa", place_known="known_from"
    )
    dwellings = place.filter(pl.col("kind") == "dwelling").select("address_id").unique()
    part = tables["involvement"].filter(pl.col("role").is_in(["suspect", "victim"]))
    seen = (
        tables["event_place"]
        .join(dwellings, on="address_id", how="semi")
        .select("event_id", "address_id", "known_from")
    )
    seen = part.select("person_id", "event_id", part_from="known_from").join(seen, on="event_id")
    lived = pl.concat(
        [
            tables["person"].select("person_id", "address_id", "known_from"),
            tables["residence"].select("person_id", "address_id", "known_from"),
            seen.select(
                "person_id", "address_id", pl.max_horizontal("known_from", "part_from").alias("known_from")
            ),
        ]
    ).drop_nulls("address_id")
    return (
        lived.join(place, on="address_id", how="left")
        .group_by("person_id", "address_id", "line", "postcode", "area")
        .agg(
            pl.max_horizontal("known_from", pl.col("place_known").fill_null(ALWAYS)).min().alias("place_from")
        )
        .rename({"address_id": "address"})
    )


@cache
def _roots() -> pl.DataFrame:
    """first -> roots: the names a first name may be short for, itself among them."""
    forms: dict[str, set[str]] = {}
    for name, shorts in settings()["names"]["short_forms"].items():
        for short in [name, *shorts]:
            forms.setdefault(short, {short}).add(name)
    rows = {"first": list(forms), "roots": [sorted(roots) for roots in forms.values()]}
    return pl.DataFrame(rows, schema={"first": pl.String, "roots": pl.List(pl.String)})


def _plain(column: str) -> pl.Expr:
    """Small letters without accents."""
    return pl.col(column).str.normalize("NFKD").str.replace_all(r"\p{M}", "").str.to_lowercase()


def _filled(text: pl.Expr) -> pl.Expr:
    return pl.when(text.str.len_chars() > 0).then(text)

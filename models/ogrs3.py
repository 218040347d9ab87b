"""OGRS3, the Offender Group Reconviction Scale the Ministry of Justice publishes, as a rule to compare with.

Formula, parameters and offence weights: ``models/data/ogrs3.toml``, with their source. It reads sex, so it is computed
only where figures are judged, from the audit store, and no model may take it as an input (``models.dataset`` refuses
the name, and cannot open the store). What the formula leaves open is settled here: follow-up starts at T; sanctions
are distinct days of conviction or caution known by T; the current offence is that of the latest such day, and where
several offences fall on it the one with the highest published weight. Nobody without a sanction has a score: they are
counted, and ranked last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import polars as pl

from features.apart import open_audit
from features.asof import as_of, instant
from features.clocks import LONDON
from features.harm_weights import normalise_code
from features.home import Load
from features.nominals import Links, members_at
from features.records import Records
from models import settings

NAME = "ogrs3"
NO_SANCTION = "no sanction on record"
NO_SEX = "sex not recorded as female or male"
NO_AGE = "birth date not recorded"
TOO_YOUNG = "younger than the formula knows"
UNLISTED = "offence_unlisted"

RuleAt = Callable[[datetime, pl.DataFrame], pl.DataFrame]
"""T and a frame with ``person_id`` -> :func:`ogrs3_at`'s frame."""


def rule_of(load: Load, records: Records | None = None) -> RuleAt | None:
    """OGRS3 for a load, ready to be asked at any T; None where the force keeps no convictions or no sex."""
    known = records if records is not None else load.records()
    if {"conviction", "person.sex", "person.date_of_birth"} & set(known.missing):
        return None
    protected = open_audit(load).get("person_protected")
    if protected is None or not protected["sex"].is_not_null().any():
        return None

    def at(t: datetime, persons: pl.DataFrame) -> pl.DataFrame:
        return ogrs3_at(known, sexes_at(protected, known.links, persons, t), t, persons)

    return at


def sexes_at(
    protected: pl.DataFrame, links: Links | None, persons: pl.DataFrame, t: datetime
) -> pl.DataFrame:
    """``person_id`` and ``sex`` (F, M or null) of some persons as known at T.

    ``protected`` is the audit store's ``person_protected``. Of several records of one person their first one's sex
    holds, else the one last entered.
    """
    now = instant(t)
    known = protected.filter(
        (pl.col("known_from") <= now) & (pl.col("known_to").is_null() | (pl.col("known_to") > now)),
        pl.col("sex").is_in(["F", "M"]),
    )
    rows = members_at(links, persons["person_id"], t).join(known, on="person_id")
    rows = rows.with_columns(own=pl.col("person_id") == pl.col("cluster_id"))
    best = rows.sort(["own", "known_from", "person_id"], descending=[True, True, False]).unique(
        "cluster_id", keep="first", maintain_order=True
    )
    return persons.select("person_id").join(
        best.select(person_id="cluster_id", sex="sex"), on="person_id", how="left", maintain_order="left"
    )


def ogrs3_at(records: Records, sexes: pl.DataFrame, t: datetime, persons: pl.DataFrame) -> pl.DataFrame:
    """OGRS3 of each of ``persons`` as known at T, in their order.

    Returns ``person_id``; ``ogrs3`` (two-year probability of proven reoffending, null where not applicable);
    ``p1``, ``p2`` (the published one- and two-year probabilities); ``reason`` (why not applicable, else null);
    ``offence_unlisted`` (the current offence is of a class whose weight is not in the data file: taken as 0).
    """
    day = instant(t).dt.convert_time_zone(LONDON).dt.date()
    born = as_of(records, "person", t).select("person_id", "date_of_birth")
    frame = persons.select("person_id").join(born, on="person_id", how="left", maintain_order="left")
    frame = frame.join(sexes, on="person_id", how="left", maintain_order="left")
    frame = frame.join(_sanctions(records, t), on="person_id", how="left", maintain_order="left")
    frame = frame.with_columns(
        age=_years(pl.col("date_of_birth"), day),
        age_current=_years(pl.col("date_of_birth"), pl.col("current")),
        age_first=_years(pl.col("date_of_birth"), pl.col("first")),
        previous=pl.col("sanctions") - 1,
    )
    youngest = int(settings.load(NAME)["youngest"])
    reason = (
        pl.when(pl.col("sanctions").is_null())
        .then(pl.lit(NO_SANCTION))
        .when(pl.col("date_of_birth").is_null())
        .then(pl.lit(NO_AGE))
        .when(pl.col("sex").is_null())
        .then(pl.lit(NO_SEX))
        .when(pl.min_horizontal("age", "age_current", "age_first") < youngest)
        .then(pl.lit(TOO_YOUNG))
    )
    frame = probabilities(frame.with_columns(reason=reason.cast(pl.String)))
    applies = pl.col("reason").is_null()
    return frame.select(
        "person_id",
        pl.when(applies).then("p2").alias(NAME),
        *(pl.when(applies).then(p).alias(p) for p in ("p1", "p2")),
        "reason",
        (applies & pl.col("unlisted").fill_null(False)).alias(UNLISTED),
    )


def probabilities(frame: pl.DataFrame) -> pl.DataFrame:
    """Adds ``p1`` and ``p2``, the published one- and two-year probabilities (0-1, rounded as published).

    ``frame`` has ``sex`` (F, M), whole years ``age`` (at the start of follow-up), ``age_current``, ``age_first``,
    ``previous`` (sanctions before the current one) and ``weight`` (of the current offence). Null in, null out.
    """
    config = settings.load(NAME)
    years = float(config["copas_years"]) + pl.col("age_current") - pl.col("age_first")
    rate = ((1.0 + pl.col("previous")) / years).log().round(int(config["copas_decimals"]))
    status = (
        pl.when(pl.col("previous") > 0).then(float(config["repeat"])).otherwise(float(config["first_time"]))
    )
    z = float(config["copas"]) * rate + _age_weight(config["age"]) + status + pl.col("weight")
    decimals = int(config["probability_decimals"])
    return frame.with_columns(
        **{
            name: (1.0 / (1.0 + (-(z + float(config[years]))).exp())).round(decimals)
            for name, years in (("p1", "one_year"), ("p2", "two_years"))
        }
    )


def not_applicable(frame: pl.DataFrame) -> list[str]:
    """What must be said beside the figures of one T: how many persons have no score and why, in words."""
    notes = []
    reasons = frame["reason"].drop_nulls().value_counts().sort(["count", "reason"], descending=[True, False])
    if reasons.height:
        parts = ", ".join(f"{why} {count:,}" for why, count in reasons.iter_rows())
        notes.append(
            f"OGRS3 does not apply to {int(reasons['count'].sum()):,} of {frame.height:,} persons ({parts}): "
            "ranked last, together"
        )
    if unlisted := int(frame[UNLISTED].sum()):
        notes.append(
            f"OGRS3: the current offence of {unlisted:,} persons is of a class whose weight is not published with the "
            "violence and sexual classes held here: taken as 0"
        )
    return notes


def offence_weight(code: str | None) -> float | None:
    """The published weight of a Home Office code; None for a class that the data file does not hold."""
    spelt = normalise_code(code) or ""
    number, _, sub = spelt.partition("/")
    digits = "".join(c for c in number.partition(".")[0] if c.isdigit())
    row: Mapping[str, float] = settings.load(NAME)["offence"].get(digits.zfill(3) if digits else "", {})
    return row.get(sub, row.get("*"))


def _sanctions(records: Records, t: datetime) -> pl.DataFrame:
    """person_id, sanctions (distinct days), first and current day, weight of the current offence, unlisted."""
    rows = as_of(records, "conviction", t).select(
        "person_id", "ho_code", day=pl.col("at").dt.convert_time_zone(LONDON).dt.date()
    )
    codes = rows["ho_code"].unique().to_list()
    known = pl.DataFrame(
        {"ho_code": codes, "weight": [offence_weight(c) for c in codes]},
        schema={"ho_code": pl.String, "weight": pl.Float64},
    )
    rows = rows.join(known, on="ho_code", how="left", nulls_equal=True)
    latest = pl.col("day") == pl.col("day").max()
    return rows.group_by("person_id").agg(
        pl.col("day").n_unique().cast(pl.Int64).alias("sanctions"),
        pl.col("day").min().alias("first"),
        pl.col("day").max().alias("current"),
        pl.col("weight").filter(latest).max().fill_null(0.0).alias("weight"),
        pl.col("weight").filter(latest).is_null().all().alias("unlisted"),
    )


def _years(born: pl.Expr, day: pl.Expr) -> pl.Expr:
    """Whole years on ``day``."""
    before = (born.dt.month() > day.dt.month()) | (
        (born.dt.month() == day.dt.month()) & (born.dt.day() > day.dt.day())
    )
    return (day.dt.year() - born.dt.year()).cast(pl.Int64) - before.cast(pl.Int64)


def _age_weight(table: Mapping[str, list[float]]) -> pl.Expr:
    """The weight of ``age`` and ``sex``; null outside the table."""
    out = pl.lit(None, dtype=pl.Float64)
    for sex in ("M", "F"):
        weight = pl.lit(None, dtype=pl.Float64)
        for start, value in zip(table["from"], table[sex], strict=True):
            weight = pl.when(pl.col("age") >= start).then(pl.lit(float(value))).otherwise(weight)
        out = pl.when(pl.col("sex") == sex).then(weight).otherwise(out)
    return out

"""From scored variants to evidence about nominals, each piece with the moment from which it was known."""

from __future__ import annotations

import polars as pl

from features.nominals import APART, PAIRS
from features.records import Records
from features.schema import UTC_TIME

BOTH = ("person_id_a", "person_id_b")
UNSURE = 0.5
"""No more than this for two first names on one birth date, family name and sex, all recorded (twins are two people),
and for two records that share neither first nor family name nor birth date: they may only live together."""


def staircase(scored: pl.DataFrame, variants: pl.DataFrame) -> pl.DataFrame:
    """Every step by which the evidence for a pair of nominals rose: person_id_a, person_id_b, probability, known_from.

    A pair of variants is known from the later of the two. Of a nominal pair's variant pairs, in the order in which they
    came to be known, those are kept whose probability is above all before; besides, ``unique_id_l`` and ``unique_id_r``
    say which variants agreed, and the ``mw_*`` columns what each comparison was worth.
    """
    clock = variants.select("unique_id", "known_from")
    rows = (
        scored.with_columns(probability=_guarded(scored, variants))
        .join(clock.rename({"unique_id": "unique_id_l", "known_from": "from_l"}), on="unique_id_l")
        .join(clock.rename({"unique_id": "unique_id_r", "known_from": "from_r"}), on="unique_id_r")
        .with_columns(
            person_id_a=pl.min_horizontal("person_id_l", "person_id_r"),
            person_id_b=pl.max_horizontal("person_id_l", "person_id_r"),
            known_from=pl.max_horizontal("from_l", "from_r").cast(UTC_TIME),
        )
        .sort(
            [*BOTH, "known_from", "probability", "unique_id_l", "unique_id_r"],
            descending=[False, False, False, True, False, False],
        )
        .with_columns(before=pl.col("probability").cum_max().shift(1).over(BOTH))
        .filter(pl.col("before").is_null() | (pl.col("probability") > pl.col("before")))
    )
    weights = [c for c in scored.columns if c.startswith("mw_")]
    return rows.select(*PAIRS, "unique_id_l", "unique_id_r", "match_weight", *weights)


def _guarded(scored: pl.DataFrame, variants: pl.DataFrame) -> pl.Series:
    """The probability of each scored pair, held down where it may be of twins or of two who live together."""
    told = variants.select("unique_id", "first", "given", "family", "born", "roots", "sex")
    both = (
        scored.select("unique_id_l", "unique_id_r", "match_probability", "mw_family")
        .join(told, left_on="unique_id_l", right_on="unique_id", how="left", maintain_order="left")
        .join(
            told, left_on="unique_id_r", right_on="unique_id", how="left", maintain_order="left", suffix="_r"
        )
    )
    shorter = pl.col("roots").list.set_intersection("roots_r").list.len() > 0
    unlike = pl.col("first").str.slice(0, 2) != pl.col("first_r").str.slice(0, 2)  # else it may be a slip
    long = (pl.col("first").str.len_chars() >= 3) & (pl.col("first_r").str.len_chars() >= 3)
    twins = (unlike & ~shorter & long) & pl.all_horizontal(
        pl.col(field) == pl.col(f"{field}_r") for field in ("family", "born", "sex")
    )
    # a short form is shared by several names; a family name that is near, or in another place, weighs above 0
    other_day = (pl.col("born") != pl.col("born_r")).fill_null(True)  # or a day not known
    nameless = (unlike | shorter) & (pl.col("first") != pl.col("first_r")) & long & (pl.col("mw_family") < 0)
    nameless &= other_day
    held = pl.min_horizontal("match_probability", pl.lit(UNSURE))
    guarded = pl.when(twins.fill_null(False) | nameless.fill_null(False)).then(held)
    return both.select(probability=guarded.otherwise("match_probability"))["probability"]


def two_people(records: Records, candidates: pl.DataFrame) -> pl.DataFrame:
    """Candidate pairs that the force itself has as two people: person_id_a, person_id_b, known_from, known_to.

    Suspect and victim of one event, by role, by whom a suspect's row names or by an offence; or the two ends of one
    relationship. From the moment both rows stood until either no longer did.
    """
    doubtful = pl.concat([candidates["person_id_a"], candidates["person_id_b"]]).unique().implode()
    part = (
        records.table("involvement")
        .filter(pl.col("person_id").is_in(doubtful))  # few are ever doubted: the rest need not be joined
        .select("event_id", "person_id", "role", "victim_id", "known_from", "known_to")
    )
    span = ("known_from", "known_to")
    acting = part.filter(pl.col("role") == "suspect")
    suffer = part.filter(pl.col("role") == "victim").select("event_id", "person_id", *span)
    met = acting.select("event_id", "person_id", *span).join(suffer, on="event_id", suffix="_v")
    found = [
        met.select(
            a="person_id",
            b="person_id_v",
            known_from=pl.max_horizontal("known_from", "known_from_v"),
            known_to=pl.min_horizontal("known_to", "known_to_v"),
        ),
        acting.select(a="person_id", b="victim_id", known_from="known_from", known_to="known_to"),
        records.table("offence")
        .select("suspect_id", "victim_id", *span)
        .rename({"suspect_id": "a", "victim_id": "b"}),
        records.table("relationship").select(
            a="person_id_a", b="person_id_b", known_from="known_from", known_to="known_to"
        ),
    ]
    rows = (
        pl.concat(found)
        .drop_nulls(["a", "b"])
        .filter(
            pl.col("a") != pl.col("b"),
            pl.col("known_to").is_null() | (pl.col("known_from") < pl.col("known_to")),
        )
    )
    rows = rows.with_columns(person_id_a=pl.min_horizontal("a", "b"), person_id_b=pl.max_horizontal("a", "b"))
    kept = rows.filter(pl.col("person_id_a").is_in(doubtful) & pl.col("person_id_b").is_in(doubtful))
    return kept.select(APART.keys()).unique().sort(*BOTH, "known_from", "known_to")

"""The one way to a score: the nightly list, a person asked for live and an analyst's file all come through here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import polars as pl

from features.cohort import cohort
from features.errors import InputError
from features.histories import histories
from features.home import Load
from features.records import Records
from models import own
from models.dual import HELD, held
from models.scorer import Scorer, scorer_of

# What a list row or a person page says beside the score, whether or not the model uses it.
SHOWN = (
    "domestic_events_30d",
    "domestic_events_90d",
    "domestic_events_365d",
    "harm_days_365d",
    "days_since_domestic",
    "distinct_victims_1095d",
)
NOT_IN_COHORT = frozenset({"under 18", "known to have died"})  # shown apart, never scored
SCORES = ("p_serious", "p_any", "expected_harm")
FILE_COLUMNS = (
    "person_id",
    "expected_harm",
    "p_serious",
    "p_any",
    "rank",
    "in_scope",
    "out_of_scope_reason",
)


@dataclass(frozen=True)
class Scored:
    """The persons of a cohort with their scores as of T.

    ``frame``: person_id, expected_harm (harm days in the horizon), p_serious, p_any, rank, count_365, count_rank and
    the cohort's columns; sorted by person_id. ``rank`` is 1 for the most expected harm among those in scope; of
    equals the greater p_serious, then the smaller person_id, comes first; null for those out of scope, and for all
    when only some persons were asked for. ``count_rank`` ranks by domestic events in 365 days; equals share the
    best place. Persons under 18 or known to have died have no score.
    """

    as_of: datetime
    load_id: str
    scorer: Scorer
    frame: pl.DataFrame
    features: pl.DataFrame
    whole_row: bool = False  # ``features`` holds every column of the histories

    def contributions(self, person_ids: Iterable[str] | None = None) -> pl.DataFrame:
        """What each column adds to the log-odds of serious harm: person_id, column, value, contribution."""
        features = self.features
        if person_ids is not None:
            features = features.filter(pl.col("person_id").is_in(list(person_ids)))
        return self.scorer.contributions(features)


def score(load: Load, doc: Mapping[str, Any], person_id: str, now: datetime | None = None) -> Scored:
    """The score of one person now, from all the force knew a moment ago; ``features`` holds the whole history row.

    The load is held ready in memory by the first call (seconds), and every call takes in what was added since, by
    whichever process. The scores equal the batch at the same T to the bit; whether someone is held for review as a
    likely victim takes their pairs as well and is told by :func:`score_cohort`, as lists and pages tell it. No row when
    the person is not in the cohort.
    """
    load.ready()
    load.refresh()
    t = now if now is not None else datetime.now(UTC)
    return score_records(load.near([person_id], t), doc, t, [person_id], whole_row=True)


def score_cohort(
    load: Load,
    doc: Mapping[str, Any],
    t: datetime,
    person_ids: Iterable[str] | None = None,
    whole_row: bool = False,
) -> Scored:
    """Score the cohort as of T, or only some of its persons, with the model ``doc``.

    Scores of one person asked for alone equal those of the batch to the bit: the same histories, the same scorer. Who
    may be the victim and not the abuser (``models.dual``) stands apart for a person to review, score and all.
    Raises InputError when T is later than now.
    """
    asked = None if person_ids is None else list(person_ids)
    records = load.records() if asked is None else load.near(asked, t)
    scored = score_records(records, doc, t, asked, whole_row)
    members = scored.frame.filter("in_scope")["person_id"].to_list()
    waits = pl.col("in_scope") & pl.col("person_id").is_in(held(records, t, members if asked else None))
    frame = scored.frame.drop("rank", "count_rank").with_columns(
        in_scope=pl.col("in_scope") & ~waits,
        out_of_scope_reason=pl.when(waits).then(pl.lit(HELD)).otherwise("out_of_scope_reason"),
    )
    return replace(scored, frame=_ranked(frame, whole=asked is None))


def set_apart(scored: Scored, persons: Collection[str], reason: str) -> Scored:
    """The same scores with ``persons`` out of scope for ``reason``, and the ranks of the others closed up."""
    if not persons:
        return scored
    out = pl.col("in_scope") & pl.col("person_id").is_in(list(persons))
    frame = scored.frame.drop("rank", "count_rank").with_columns(
        in_scope=pl.col("in_scope") & ~out,
        out_of_scope_reason=pl.when(out).then(pl.lit(reason)).otherwise("out_of_scope_reason"),
    )
    return replace(scored, frame=_ranked(frame, whole=True))


def score_records(
    records: Records,
    doc: Mapping[str, Any],
    t: datetime,
    person_ids: Iterable[str] | None = None,
    whole_row: bool = False,
) -> Scored:
    """``score_cohort`` on a record store; ``whole_row``: compute every column of the histories, not only those that
    the model reads or a list shows."""
    refuse_future(t)
    scorer = scorer_of(doc)
    own.check(doc, records.declared)
    members = cohort(records, t, None if person_ids is None else list(person_ids))
    columns = None if whole_row else list(dict.fromkeys([*scorer.columns, *SHOWN]))
    features = histories(
        records, "offender", t, subjects=members.select("person_id"), columns=columns, engine="auto"
    )
    # Members and features are both sorted by person_id and hold the same persons: side by side, no join.
    scores = scorer.score(features)
    frame = members.hstack(
        [*(scores[name] for name in SCORES), features["domestic_events_365d"].alias("count_365")]
    )
    scored = ~pl.col("out_of_scope_reason").is_in(list(NOT_IN_COHORT)).fill_null(False)
    frame = frame.with_columns(
        *(pl.when(scored).then(pl.col(name)).alias(name) for name in SCORES),
        pl.col("count_365").fill_null(0).cast(pl.Int64),
    )
    ranked = _ranked(frame, whole=person_ids is None)
    return Scored(t, records.load_id, scorer, ranked, features, whole_row)


def shown_figures(scored: Scored) -> pl.DataFrame:
    """person_id and the ``SHOWN`` columns; null all the way down where the load cannot feed one."""
    absent = [
        pl.lit(None, dtype=pl.Float64).alias(name) for name in SHOWN if name not in scored.features.columns
    ]
    return scored.features.with_columns(absent).select("person_id", *SHOWN)


def _ranked(frame: pl.DataFrame, *, whole: bool) -> pl.DataFrame:
    if not whole:
        nothing = pl.lit(None, dtype=pl.Int64)
        return frame.with_columns(rank=nothing, count_rank=nothing)
    order = frame.filter("in_scope").sort(
        ["expected_harm", "p_serious", "person_id"], descending=[True, True, False], nulls_last=True
    )
    ranks = order.select(
        "person_id",
        rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int64),
        count_rank=pl.col("count_365").rank("min", descending=True).cast(pl.Int64),
    )
    return frame.join(ranks, on="person_id", how="left").sort("person_id")


def refuse_future(t: datetime) -> None:
    """A score is of what was known at T, so T cannot be later than now."""
    now = datetime.now(UTC)
    if t > now:
        raise InputError(
            f"As of {t:%Y-%m-%d %H:%M} UTC is in the future; a score says what was known by then.",
            where="--as-of",
            cure=f"Give a date up to today, {now:%Y-%m-%d}.",
        )

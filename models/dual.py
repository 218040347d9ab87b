"""Likely victims who stand on record as suspects: found for review by a person, never decided here.

In some pairs each of the two is recorded as a suspect against the other. Someone who is the victim far more often, or
who is suspected only in answering allegations by someone who was suspected first, may be a victim who defended
themselves; so may someone suspected only in answering allegations that are not in the records, as when the other has
been taken out of them by law. Such a pair is held for review, and so is the person when nothing else speaks for their
place on a list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import polars as pl

from features.histories import histories, left_out, subjects_at
from features.records import Records
from models import settings

HELD = "held for review: may be the victim"
"""Why someone stands apart from a list."""
RolesOf = Callable[[datetime], pl.DataFrame]
_FACTS = ("pair_events_ever", "reverse_events_ever")
_ALONE = ("pair_counter_allegations_ever", "pair_followed")

_NOTHING = {
    "suspect_id": pl.String,
    "victim_id": pl.String,
    "why": pl.String,
    "events": pl.Int64,
    "reverse": pl.Int64,
}


def dual_pairs(records: Records, t: datetime, persons: Sequence[str] | None = None) -> pl.DataFrame:
    """Pairs in which each is recorded as a suspect against the other, as known at T; ``persons``: only pairs in which
    one of them is the suspect.

    One row for each direction: suspect_id, victim_id, ``events`` (by the suspect against the victim), ``reverse``
    (the other way), ``why`` (null: nothing speaks for the suspect being the victim; else in words). The rule and its
    numbers are in ``fairness.toml`` [dual_role], the facts the catalogue's. Where the extract has no
    counter-allegations the first half of the rule stands alone.
    """
    return _pairs(records, t, persons).filter(pl.col("reverse") > 0)


def _pairs(records: Records, t: datetime, persons: Sequence[str] | None) -> pl.DataFrame:
    """As :func:`dual_pairs`, with the pairs of one direction only."""
    rule = settings.load("fairness")["dual_role"]
    lost = left_out(records, "dyad")
    alone = bool(rule["counter_alone"]) and not lost.keys() & {"pair_counter_allegations", "pair_followed"}
    if lost.keys() & {name.rsplit("_", 1)[0] for name in _FACTS}:  # nobody is named as anybody's victim here
        return pl.DataFrame(schema=_NOTHING)
    asked = None
    if persons is not None:
        asked = subjects_at(
            records, "dyad", t, engine="single"
        )  # of a slice, where few persons are asked for
        asked = asked.filter(pl.col("suspect_id").is_in(list(persons)))
    columns = [*_FACTS, *(_ALONE if alone else ())]
    pairs = histories(records, "dyad", t, subjects=asked, engine="auto", columns=columns)
    events, reverse = pl.col("pair_events_ever"), pl.col("reverse_events_ever")
    mostly = (reverse > 0) & (reverse >= float(rule["times"]) * events)
    answering: pl.Expr = pl.lit(False)
    unanswered: pl.Expr = pl.lit(False)
    if alone:
        only = pl.col("pair_counter_allegations_ever") >= events
        answering = (reverse > 0) & only & (pl.col("pair_followed") == 1)
        # what was answered may have been erased or restricted since: nobody is ranked on the answer alone
        unanswered = (reverse == 0) & only
    return (
        pairs.filter(events > 0)
        .with_columns(
            why=pl.when(mostly)
            .then(pl.lit("recorded far more often as the victim of the same person"))
            .when(answering)
            .then(pl.lit("suspected only in answering allegations, by someone suspected first"))
            .when(unanswered)
            .then(pl.lit("suspected only in answering allegations that are not in the records"))
        )
        .select("suspect_id", "victim_id", "why", events=events, reverse=reverse)
        .sort("suspect_id", "victim_id")
    )


def dual_roles(records: Records, t: datetime, persons: Sequence[str] | None = None) -> pl.DataFrame:
    """Those of ``persons`` (None: everyone) who are suspect and victim of the same other person, or suspected only in
    answering allegations that are not in the records (any more).

    Columns: person_id (sorted), ``pairs`` (such pairs), ``likely`` (of these, where they may be the victim), ``others``
    (pairs in which they are the suspect and no doubt is recorded) and ``held``: there is at least one likely pair and
    no other to rank them on.
    """
    likely = pl.col("why").is_not_null()
    paired = (
        _pairs(records, t, persons)
        .group_by(person_id="suspect_id")
        .agg(
            pairs=(pl.col("reverse") > 0).sum().cast(pl.Int64),
            likely=likely.sum().cast(pl.Int64),
            others=(~likely).sum().cast(pl.Int64),
        )
    )
    alone = _only_answered(records, t, persons).join(paired, on="person_id", how="anti")
    none = {name: pl.lit(0, pl.Int64) for name in ("pairs", "likely", "others")}
    return (
        pl.concat([paired, alone.with_columns(**none)])
        .join(alone.with_columns(lone=pl.lit(True)), on="person_id", how="left")
        .with_columns(
            held=pl.col("lone").fill_null(False) | ((pl.col("likely") > 0) & (pl.col("others") == 0))
        )
        .filter((pl.col("pairs") > 0) | (pl.col("likely") > 0) | pl.col("held"))
        .drop("lone")
        .sort("person_id")
    )


def _only_answered(records: Records, t: datetime, persons: Sequence[str] | None) -> pl.DataFrame:
    """Who (person_id) is suspect in domestic events of which every one records a counter-allegation: without a pair
    that tells more, nobody is ranked on an answer alone. Nobody where the extract has no counter-allegations."""
    columns = ["domestic_events_ever", "counter_allegations_ever"]
    nobody = pl.DataFrame(schema={"person_id": pl.String})
    lost = left_out(records, "offender").keys()
    if (
        lost & {"domestic_events", "counter_allegations"}
        or not settings.load("fairness")["dual_role"]["counter_alone"]
    ):
        return nobody
    keys = None if persons is None else pl.DataFrame({"person_id": list(persons)}, schema=nobody.schema)
    rows = histories(records, "offender", t, subjects=keys, engine="auto", columns=columns)
    events, counter = (pl.col(name) for name in columns)
    return rows.filter((events > 0) & (counter >= events)).select("person_id")


def held(records: Records, t: datetime, persons: Sequence[str] | None = None) -> list[str]:
    """Those of ``persons`` (None: everyone) who wait for review instead of a place on a list."""
    return dual_roles(records, t, persons).filter("held")["person_id"].to_list()

"""What time alone would change: the same sum at later dates, when nothing new is recorded in between.

Reports leave their windows, recency fades, an order runs out. The records are held still as they were known at T and
the score is worked out again as of T + 30 and T + 90 days by the same code, so each figure is what the model would
say then, not a trend drawn by hand. It is no forecast: new records are what a score is for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from features.asof import instant
from features.catalogue import Column
from features.cohort import cohort
from features.engines.single import SMALL
from features.histories import histories
from features.nominals import clusters_at, one_row_a_person, onto
from features.records import Records
from features.schema import spec_of
from features.slices import around
from models.scorer import Scorer
from risk.reasons import APART, INTERCEPT, group_of, tell
from risk.score import NOT_IN_COHORT, Scored
from risk.settings import settings
from risk.view import View
from risk.words import day, in_100


@dataclass(frozen=True)
class Change:
    """One family that moves: what stands now, what will stand then, and by how much (log-odds)."""

    title: str
    now: str
    then: str
    difference: float


@dataclass(frozen=True)
class Later:
    """The score of one person at a later date if nothing new is recorded; ``apart`` says why there is none."""

    days: int
    at: datetime
    words: str
    p_serious: float | None
    in_100: str | None
    expected_harm: float | None
    apart: str | None
    changes: list[Change]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for an answer."""
        return asdict(self)


def still(records: Records, t: datetime) -> Records:
    """The record store as it was known at T, held still: read as of any later moment it holds nothing that was
    entered after T. What was known at T about days to come (an order that expires) takes its course.

    Nominals linked by T are one person in every table; what is learnt of them later is not.
    """
    clusters, now = clusters_at(records.links, t), instant(t)
    tables = {}
    for name, frame in records.tables.items():
        rows = frame.filter(
            (pl.col("known_from") <= now) & (pl.col("known_to").is_null() | (pl.col("known_to") > now))
        )
        later = {c: clock for c, clock in spec_of(name).later.items() if c in rows.columns}
        rows = rows.with_columns(
            *(pl.when(pl.col(clock) <= now).then(pl.col(c)).alias(c) for c, clock in later.items()),
            known_to=pl.lit(None, dtype=frame.schema["known_to"]),
        )
        rows = onto(rows, clusters)
        tables[name] = one_row_a_person(rows, "known_from") if name == "person" else rows
    return replace(records, load_id=f"{records.load_id}/still", tables=tables, links=None)


def ahead(view: View, scored: Scored, person_id: str) -> list[Later]:
    """The scores of one person on the later dates of ``reasons.toml`` if nothing new is recorded; empty when the
    person has no score at T."""
    row = scored.frame.filter(pl.col("person_id") == person_id)
    if row.is_empty() or row["p_serious"][0] is None:
        return []
    near = view.load.near([person_id], view.t)
    if near.table("event").height > SMALL:  # every later date would cut the slice again
        near = around(near, pl.Series("person_id", [person_id], dtype=pl.String))
    held = still(near, view.t)
    columns = {column.name: column for column in held.declared.columns("offender")}
    at_t = scored.features.filter(pl.col("person_id") == person_id)
    now = _Sum.of(scored.scorer, at_t, columns)
    return [
        _later(held, scored.scorer, now, view.t, days, columns)
        for days in settings("reasons")["ahead"]["days"]
    ]


@dataclass(frozen=True)
class _Sum:
    """A person's values and shares at one moment."""

    person_id: str
    values: Mapping[str, Any]
    shares: Mapping[str, float]
    groups: Mapping[str, list[str]]

    @classmethod
    def of(cls, scorer: Scorer, features: pl.DataFrame, columns: Mapping[str, Column]) -> _Sum:
        parts = scorer.contributions(features).select("column", "contribution").iter_rows()
        shares = {column: share for column, share in parts if column != INTERCEPT}
        groups: dict[str, list[str]] = {}
        for name in shares:
            groups.setdefault(group_of(columns[name].feature), []).append(name)
        values = features.row(0, named=True)
        return cls(values["person_id"], values, shares, groups)


def _later(
    held: Records, scorer: Scorer, now: _Sum, t: datetime, days: int, columns: Mapping[str, Column]
) -> Later:
    then_t = t + timedelta(days=days)
    line = cohort(held, then_t, [now.person_id])
    reason = line["out_of_scope_reason"][0] if line.height else None
    if not line.height or reason in NOT_IN_COHORT:
        why = reason or "no domestic report in the last three years"
        said = f"on {day(then_t)} no longer scored: {why}"
        return Later(days, then_t, said, None, None, None, why, [])
    keys = pl.DataFrame({"person_id": [now.person_id]})
    features = histories(held, "offender", then_t, subjects=keys, columns=scorer.columns, engine="auto")
    row = scorer.score(features).row(0, named=True)
    changes = _changes(now, _Sum.of(scorer, features, columns), columns)
    said = f"on {day(then_t)}: {in_100(row['p_serious'])} in the year after it"
    if reason:
        said += f"; stands apart: {reason}"
    return Later(
        days,
        then_t,
        said,
        row["p_serious"],
        in_100(row["p_serious"]),
        row["expected_harm"],
        reason,
        changes,
    )


def _changes(now: _Sum, then: _Sum, columns: Mapping[str, Column]) -> list[Change]:
    """The families that move most, each told by the feature that moves it most; what is kept apart is not told."""
    rule, said = settings("reasons")["ahead"], settings("reasons")["family"]
    found = []
    for group, names in now.groups.items():
        moved = {name: then.shares.get(name, 0.0) - now.shares[name] for name in names}
        total = sum(moved.values())
        if group == APART or abs(total) < rule["change"]:
            continue
        told = _told(now, then, moved, total, columns)
        if told is not None:
            found.append(Change(said.get(group, {"title": group.capitalize()})["title"], *told, total))
    found.sort(key=lambda change: (-abs(change.difference), change.title))
    return found[: rule["most"]]


def _told(
    now: _Sum, then: _Sum, moved: Mapping[str, float], total: float, columns: Mapping[str, Column]
) -> tuple[str, str] | None:
    """The family's strongest mover in words, as it stands and as it will; None when none of them reads differently."""
    order: Sequence[str] = sorted(moved, key=lambda name: (-moved[name] * (1 if total > 0 else -1), name))
    for name in order:
        feature = columns[name].feature
        before, after = (tell(feature, one.values, columns[name], up=False) for one in (now, then))
        if before != after:
            return before, after
    return None

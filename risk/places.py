"""Who has a place: by rank, in reserve (nominated by officers), or because four weeks have not passed.

The force has K places and each district its own. Up to a share of them is kept for people whom officers nominated and
whom the ranking would not show; a reserve place nobody was nominated for goes to the next in the ranking. Whoever came
on to a list stays for four weeks, counted again from the day a team took the person on, unless a supervisor agreed that
the place should be lower; those who stay stand beside the K places, so that nobody new is kept off by them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from risk.choices import Choices

RANK, RESERVE, STAY = "rank", "reserve", "stay"
UTC_TIME = pl.Datetime("us", "UTC")


@dataclass(frozen=True)
class Rules:
    """How many places there are, the share kept for nominations, and the days of stay."""

    force: int
    team: int
    districts: Mapping[str, int]
    share: float
    stay: timedelta

    def of(self, district: str) -> int:
        """The places of a district."""
        return self.districts.get(district, self.team)

    def reserve(self, places: int) -> int:
        """How many of them are kept for nominations."""
        return int(places * self.share)


def allot(
    rows: pl.DataFrame, previous: pl.DataFrame | None, choices: Choices, rules: Rules, t: datetime
) -> pl.DataFrame:
    """Add who has a place, on which list, since when and why.

    ``rows``: person_id, rank, district, team_rank, sorted by rank. ``previous``: the rows of the last list under the
    references of now, with ``force_place``, ``team_place``, ``force_since`` and ``team_since`` (:func:`as_placed`), or
    None. Adds those four, ``place`` (the stronger of the two), ``listed``, ``stays_until`` (until when the ranking
    alone takes nobody off) and ``nomination`` (the id of one that holds).
    """
    everyone = rows["person_id"].to_list()
    rank = dict(zip(everyone, rows["rank"].to_list(), strict=True))
    home = dict(zip(everyone, rows["district"].to_list(), strict=True))
    team_rank = dict(zip(everyone, rows["team_rank"].to_list(), strict=True))
    named = {one.person_id: one for one in choices.nominated if one.person_id in rank}
    force = [one.person_id for one in named.values() if one.scope == "force"]
    on_force = _group(rank, force, rules.force, rules)
    on_team: dict[str, str] = {}
    for district in sorted(set(home.values())):
        here = {person: team_rank[person] for person in everyone if home[person] == district}
        nominees = [person for person in named if person in here]
        on_team |= _group(here, nominees, rules.of(district), rules)
    before = {} if previous is None else {row["person_id"]: row for row in previous.iter_rows(named=True)}
    placed = [
        _placed(person, before.get(person), on_force.get(person), on_team.get(person), choices, rules, t)
        for person in everyone
    ]
    added = pl.DataFrame(placed, schema=PLACED).with_columns(
        nomination=pl.Series(
            [named[p].nomination_id if p in named else None for p in everyone], dtype=pl.Int64
        )
    )
    return rows.hstack(added).with_columns(listed=pl.col("place").is_not_null())


PLACED: dict[str, Any] = {
    "force_place": pl.String,
    "team_place": pl.String,
    "place": pl.String,
    "force_since": UTC_TIME,
    "team_since": UTC_TIME,
    "stays_until": UTC_TIME,
}


def _group(rank: Mapping[str, int], nominees: Sequence[str], places: int, rules: Rules) -> dict[str, str]:
    """The places of one list: persons by rank and, of ``nominees`` the ranking leaves out, as many as the reserve."""
    reserve, cut, taken = rules.reserve(places), places, list[str]()
    while True:  # a nominee whose place by rank goes to another nominee needs a reserve place in turn
        outside = [person for person in nominees if rank[person] > cut][:reserve]
        if outside == taken:
            break
        taken, cut = outside, places - len(outside)
    found = {person: RANK for person, place in rank.items() if place <= cut}
    return found | dict.fromkeys(taken, RESERVE)


def _placed(
    person: str,
    before: Mapping[str, Any] | None,
    force: str | None,
    team: str | None,
    choices: Choices,
    rules: Rules,
    t: datetime,
) -> dict[str, Any]:
    """One person's places on the two lists, with those that stay."""
    found: dict[str, Any] = {}
    untils = []
    for name, place in (("force", force), ("team", team)):
        was = before is not None and before[f"{name}_place"] is not None
        since = before[f"{name}_since"] if before is not None and was else t
        until = max(since, choices.adopted.get(person, since)) + rules.stay
        if place is None and was and t < until and person not in choices.lowered:
            place = STAY
        found[f"{name}_place"] = place
        found[f"{name}_since"] = since if place else None
        untils += [until] if place and person not in choices.lowered else []
    kinds = {found["force_place"], found["team_place"]}
    found["place"] = next((kind for kind in (RANK, RESERVE, STAY) if kind in kinds), None)
    found["stays_until"] = max(untils, default=None)
    return found


def as_placed(rows: pl.DataFrame, places: Mapping[str, int], as_of: datetime) -> pl.DataFrame:
    """The rows of a list with their places, also of one published before places were written: those within the number
    of places by rank, since that list."""
    if "force_place" in rows.columns:
        return rows
    by_rank = {
        "force": pl.col("listed") & (pl.col("rank") <= places["force"]),
        "team": pl.col("listed") & (pl.col("team_rank") <= places["team"]),
    }
    for name, has in by_rank.items():
        rows = rows.with_columns(pl.when(has).then(pl.lit(RANK)).alias(f"{name}_place"))
        since = pl.when(has).then(pl.lit(as_of).cast(UTC_TIME))
        rows = rows.with_columns(since.alias(f"{name}_since"))
    return rows.with_columns(place=pl.when("listed").then(pl.lit(RANK)))


def counted(rows: pl.DataFrame, rules: Rules) -> dict[str, Any]:
    """How the places were used: for the force and by district, places, how many by rank, in reserve and staying."""

    def use(column: str, part: pl.DataFrame, places: int) -> dict[str, int]:
        kinds = dict(part[column].drop_nulls().value_counts().iter_rows())
        told = {"places": places, "kept_for_nominations": rules.reserve(places)}
        return told | {kind: int(kinds.get(kind, 0)) for kind in (RANK, RESERVE, STAY)}

    districts = {
        str(name): use("team_place", rows.filter(pl.col("district") == name), rules.of(str(name)))
        for name in rows["district"].unique().sort()
    }
    return {"force": use("force_place", rows, rules.force), "districts": districts}

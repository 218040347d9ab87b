"""Whose patch a person is on: the district at T, and the teams that cover it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from features.errors import InputError
from features.nominals import onto
from risk.view import View

UNASSIGNED = "unassigned"
LOOKBACK = timedelta(days=365)  # records.md: "of most domestic events in 365 days"


def districts(view: View, persons: pl.DataFrame) -> pl.DataFrame:
    """The district of each person as of T.

    ``persons`` has person_id. Returns person_id and district, sorted by person_id: that of the latest address known
    by T, else of most domestic events as suspect in the last 365 days (of equals, the first by name), else
    "unassigned". Addresses without a district and custody suites say nothing of where a person lives.
    """
    wanted = persons.select("person_id").unique().sort("person_id")
    lived = _latest_address(view)
    seen = _most_events(view)
    return (
        wanted.join(lived, on="person_id", how="left")
        .join(seen, on="person_id", how="left")
        .select("person_id", district=pl.coalesce("lived", "seen").fill_null(UNASSIGNED))
        .sort("person_id")
    )


def _latest_address(view: View) -> pl.DataFrame:
    residence = view.identity("residence").select("person_id", "address_id", since="at")
    person = onto(view.identity("person").select("person_id", "address_id", "since"), view.clusters)
    places = (
        view.identity("address")
        .filter(pl.col("kind").is_null() | (pl.col("kind") != "custody"))
        .select("address_id", lived="district")
    )
    return (
        pl.concat([residence, person])
        .drop_nulls(["address_id", "since"])
        .join(places, on="address_id")
        .sort("person_id", "since", "address_id")
        .group_by("person_id", maintain_order=True)
        .last()
        .select("person_id", "lived")
    )


def _most_events(view: View) -> pl.DataFrame:
    recent = view.table("event").filter(
        pl.col("domestic") == "Y", pl.col("occurred_at") > view.t - LOOKBACK, pl.col("occurred_at") <= view.t
    )
    suspects = pl.concat(
        [
            view.table("involvement").filter(pl.col("role") == "suspect").select("event_id", "person_id"),
            view.table("offence").select("event_id", person_id="suspect_id").drop_nulls(),
        ]
    ).unique()
    places = (
        view.identity("event_place")
        .filter(pl.col("district").is_not_null())
        .select("event_id", seen="district")
    )
    return (
        suspects.join(recent.select("event_id"), on="event_id")
        .join(places, on="event_id")
        .group_by("person_id", "seen")
        .len()
        .sort("person_id", -pl.col("len").cast(pl.Int64), "seen")
        .group_by("person_id", maintain_order=True)
        .first()
        .select("person_id", "seen")
    )


@dataclass(frozen=True)
class Team:
    """A team and the districts it covers."""

    team_id: str
    name: str
    districts: tuple[str, ...]


def teams(view: View) -> list[Team]:
    """The teams of the force as of T, by team_id; where the extract has no team table, one team a district."""
    table = view.identity("team")
    if table.is_empty():
        known = view.identity("address")["district"].drop_nulls().unique().sort().to_list()
        return [Team(name, name, (name,)) for name in known]
    grouped = table.sort("team_id", "district").group_by("team_id", maintain_order=True)
    return [
        Team(str(key[0]), rows["name"].drop_nulls().first() or str(key[0]), tuple(rows["district"].to_list()))  # type: ignore[arg-type]
        for key, rows in grouped
    ]


def find_team(known: list[Team], asked: str, others: frozenset[str] = frozenset()) -> Team:
    """The team meant by a team_id or a district (``others``: districts seen on the list without a team).

    Raises InputError naming the teams there are.
    """
    for team in known:
        if asked == team.team_id:
            return team
    for team in known:
        if asked in team.districts:
            return Team(team.team_id, team.name, (asked,))
    if asked == UNASSIGNED or asked in others:
        return Team(asked, asked, (asked,))
    names = ", ".join(team.team_id for team in known) or "none in this load"
    raise InputError(
        f"There is no team or district '{asked}'.",
        where="--team",
        cure=f"Teams: {names}. Or leave the team out.",
    )

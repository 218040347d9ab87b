"""Today's list as data: what a machine is sent, and what the rows of the page are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from risk.list_history import Difference
from risk.published import row_words
from risk.teams import Team
from risk.today import Today


def team_as_dict(team: Team) -> dict[str, Any]:
    """A team and its districts."""
    return {"team_id": team.team_id, "name": team.name, "districts": list(team.districts)}


def today_as_dict(
    today: Today, pseudonyms: bool, offset: int, limit: int, following: str | None
) -> dict[str, Any]:
    """The list for a machine, ``limit`` rows from ``offset`` on; ``following`` is where the next are asked for."""
    part = today.rows[offset : offset + limit]
    return {
        **today.published.about(),
        "team": today.team and team_as_dict(today.team),
        "top": today.top,
        "note": today.note,
        "state_as_of": today.day.t,
        "pseudonyms": pseudonyms,
        "shown": len(today.rows),
        "of": len(today.every),
        "narrowed": today.counts(),
        "rows": [row_as_dict(row) for row in part],
        "next": following,
        "leavers": today.leavers,
        "apart_counts": today.apart_counts(),
        "teams": [team_as_dict(team) for team in today.teams],
    }


def row_as_dict(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row for a machine: the published one, what the records say today and what people decided."""
    one = row["standing"]
    words = row_words(dict(row))
    found = {**row, "change": words["change"], "name": row["name"]}
    if one is None:
        return found
    decision = one.decision or {}
    return found | {
        "owner": one.owner,
        "decision": decision.get("words"),
        "due_on": decision.get("due_on"),
        "waiting": one.waiting is not None,
        "last_action": one.last_action or None,
        "overdue": len(one.overdue),
    }


@dataclass(frozen=True)
class Told:
    """Two lists side by side, with what to say of the persons: ``names`` by reference, ``called``: what to write for a
    reference, ``held``: the line of a hold by reference."""

    found: Difference
    names: Mapping[str, str]
    called: Mapping[str, str]
    held: Mapping[str, str]


def changes_as_dict(told: Told, pseudonyms: bool) -> dict[str, Any]:
    """What changed between two lists, for a machine and for the page."""
    found = told.found

    def rows(part: Sequence[Mapping[str, Any]], now: str, before: str) -> list[dict[str, Any]]:
        return [
            {
                "person_id": told.called.get(row["person_id"], row["person_id"]),
                "name": told.names.get(row["person_id"]),
                "district": row["district"],
                "rank": row[now],
                "rank_before": row[before],
                "why": row.get("why"),
                "withheld": row["withheld"],
                "restricted": row["restricted"],
                "held": told.held.get(row["person_id"], ""),
            }
            for row in part
        ]

    return {
        "before": found.before.list_id,
        "after": found.after.list_id,
        "pseudonyms": pseudonyms,
        "entrants": rows(found.entrants, "rank", "rank_before"),
        "leavers": rows(found.leavers, "rank_now", "rank"),
        "stayed": rows(found.stayed, "rank", "rank_before"),
        "other": found.other,
        "by_count": found.by_count,
    }

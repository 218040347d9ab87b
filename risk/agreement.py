"""How far officers and the list agree, over time: for supervisors to look at, never to score anybody by.

Of the decisions about people on a list, "adopt" agrees with the place and "disagree" does not; "not now" and "refer"
say nothing about it and are counted beside. A lower place counts once a supervisor agreed; one that was refused or
still waits is counted as such. Of several decisions about one person on one list the last with effect counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from risk.decisions import choices, decisions
from risk.published import PublishedList

if TYPE_CHECKING:
    from risk.store import Database


def on_lists(db: Database) -> dict[tuple[str, str], dict[str, Any]]:
    """The decision that counts, by list and person."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for person, known in decisions(db).items():
        for one in known:  # newest first
            if one["list_id"] is None:
                continue
            key = (one["list_id"], person)
            if key not in found or (one["holds"] and not found[key]["holds"]):
                found[key] = one
    return found


def agreement(
    db: Database, lists: Iterable[PublishedList], districts: list[str] | None = None
) -> list[dict[str, Any]]:
    """A line a published list, newest first: how many it listed, how many were decided about and how, and of the
    decisions that speak of the place the share that agrees (``share``, None when there are none)."""
    counted = on_lists(db)
    lines = []
    for one in reversed(list(lists)):
        rows = one.rows.filter(one.rows["listed"])
        if districts is not None:
            rows = rows.filter(rows["district"].is_in(districts))
        people = rows["person_id"].to_list()
        made = [counted[one.list_id, person] for person in people if (one.list_id, person) in counted]
        about = {"list_id": one.list_id, "as_of": one.as_of, "listed": len(people)}
        about["published_at"] = datetime.fromisoformat(one.facts["published_at"])
        lines.append(about | _tally(made))
    return lines


def _tally(made: list[dict[str, Any]]) -> dict[str, Any]:
    holds = [one for one in made if one["holds"]]
    by_choice = {name: sum(one["choice"] == name for one in holds) for name in choices()}
    says = {name: rule["agrees"] for name, rule in choices().items()}
    agree = sum(n for name, n in by_choice.items() if says[name] == "yes")
    differ = sum(n for name, n in by_choice.items() if says[name] == "no")
    silent = [one for one in made if not one["holds"]]
    return {
        "decided": len(holds),
        **by_choice,
        "agree": agree,
        "differ": differ,
        "share": agree / (agree + differ) if agree + differ else None,
        "waiting": sum(one["word"] is None for one in silent),
        "refused": sum(one["word"] is not None for one in silent),
    }

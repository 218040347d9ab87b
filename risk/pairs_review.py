"""Two records side by side, for who decides whether they are one person: names, birth, addresses, events, no score.

The comparison itself (what each field is worth) is ``features.linkage.review``; here stands what a person needs to see
before they say "one" or "two".
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import polars as pl

from features.errors import NotFoundError
from features.home import Home
from features.linkage.review import Compared, queue
from features.linkage.store import decisions
from risk.settings import settings
from risk.view import View
from risk.words import count, day, plain


@dataclass(frozen=True)
class Queue:
    """Uncertain pairs, the likeliest first. ``closed``: how many are not shown because a record is for named users;
    ``decided``: how many were decided so far."""

    pairs: list[Compared]
    closed: int
    decided: int


def waiting(home: Home, view: View, opened: Collection[str] = ()) -> Queue:
    """The pairs that wait for somebody. ``view``: of the load as of now, for who may be shown; ``opened``: restricted
    records this viewer has opened. InputError before the first link run."""
    every = queue(home, int(settings("pairs")["queue"]["most"]))
    shut = _shut(view) - set(opened)
    shown = [one for one in every if not shut & set(one.persons)]
    return Queue(shown, len(every) - len(shown), len(decisions(home.path)))


def pair(home: Home, view: View, a: str, b: str, opened: Collection[str] = ()) -> Compared:
    """One waiting pair by its references, in either order. NotFoundError when it does not wait, in the same words
    whether there is none, it was decided, or a record of it is closed."""
    wanted = {a, b}
    found = next((one for one in waiting(home, view, opened).pairs if set(one.persons) == wanted), None)
    if found is None:
        raise NotFoundError(
            f"No pair {a!r} and {b!r} waits for a decision.",
            where="linkage",
            cure="It may have been decided meanwhile: go back to the pairs that wait.",
        )
    return found


def _shut(view: View) -> set[str]:
    people = view.identity("person").filter(pl.col("access") == "named_users")
    return set(people["person_id"].to_list())


def side(view: View, person_id: str) -> dict[str, Any]:
    """One record as it was written, as of the view's T: lists of lines by heading, for a page of two columns."""
    who, most = view.who(person_id), int(settings("pairs")["sides"]["most"])
    people = view.identity("person").filter(pl.col("person_id") == person_id)
    row = people.row(0, named=True) if people.height else {}
    name = " ".join(part for part in (row.get("given_names"), row.get("family_name")) if part)
    alias = view.identity("alias").filter(pl.col("person_id") == who)
    also = [
        " ".join(part for part in (one["given_names"], one["family_name"]) if part)
        + (f", born {day(one['date_of_birth'])}" if one["date_of_birth"] else "")
        for one in alias.iter_rows(named=True)
    ]
    lived = (
        view.identity("residence")
        .filter(pl.col("person_id") == who)
        .join(view.identity("address").select("address_id", "line", "postcode"), on="address_id", how="left")
        .sort("at", "address_id", descending=True)
    )
    places = [
        f"{one['line'] or 'line not recorded'} {one['postcode'] or ''}".strip() + f", from {day(one['at'])}"
        for one in lived.iter_rows(named=True)
    ]
    part = view.whole("involvement").filter(pl.col("person_id") == who)
    events = (
        view.whole("event")
        .join(part.select("event_id", "role"), on="event_id")
        .unique(["event_id", "role"])
        .sort("occurred_at", "event_id", descending=True)
    )
    return {
        "person_id": person_id,
        "name": name or "not recorded",
        "born": day(row.get("date_of_birth")),
        "sex": plain(row.get("sex")),
        "also": sorted({one for one in also if one})[:most],
        "places": places[:most],
        "events": [
            f"{day(one['occurred_at'])}: {plain(one['kind'])}, {plain(one['role'])}"
            for one in events.head(most).iter_rows(named=True)
        ],
        "total": count(events["event_id"].n_unique(), "event"),
    }

"""Rows about several people for one viewer: whom they may see, under which name, and the look written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from fastapi import Request

from api.access import Viewer
from api.routes.asked import desk_of
from risk.published import names
from risk.view import View

RESTRICTED = "Kept back: the record is open to named users only."


@dataclass(frozen=True)
class People:
    """Rows whose persons are in the records, each with ``now`` (today's reference); their names; how many were left
    out because the person is in the records no more."""

    rows: list[dict[str, Any]]
    names: dict[str, str]
    gone: int
    view: View


def shown_people(request: Request, viewer: Viewer, page: str, rows: Sequence[dict[str, Any]]) -> People:
    """The rows this viewer is shown, logged as a look at all of their persons. ``rows`` hold person_id.

    A person taken out of the records by law is left out and counted; what was written about one whose record is for
    named users is kept back from the others.
    """
    desk = desk_of(request)
    asked = list(dict.fromkeys(row["person_id"] for row in rows))
    view = desk.around(asked, desk.now(), steps=1)
    now = {person: view.who(person) for person in asked}
    known = set(view.identity("person")["person_id"])
    shut = set(view.identity("person").filter(pl.col("access") == "named_users")["person_id"]) - viewer.opened
    kept = [
        row
        | {"now": now[row["person_id"]]}
        | ({"reason": RESTRICTED} if now[row["person_id"]] in shut else {})
        for row in rows
        if now[row["person_id"]] in known
    ]
    people = list(dict.fromkeys(row["now"] for row in kept))
    desk.look(viewer, "consultation", page, people)
    return People(kept, names(view, people), len(rows) - len(kept), view)

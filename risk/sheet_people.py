"""Who is at the door besides: the people tied to the person a sheet is about, how they can safely be reached, children.

Victims' names and safe contact appear on the sheet and nowhere else.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from features.nominals import onto
from risk.history import Happened
from risk.nearness import homes_apart
from risk.settings import settings
from risk.state import State
from risk.view import View
from risk.words import LONDON, count, day, plain

PLAN = ("safe_channel", "safe_times", "do_not", "language", "interpreter", "access_needs", "video_consent",
        "named_contact", "idva", "update_every_days", "agreed_on")  # fmt: skip


NOT_SHOWN = "relationship not shown"
"""Of somebody whose record is restricted: what they are to each other says who they are."""


def called(person: str, names: dict[str, str]) -> str:
    """A person as a sheet names them: name and reference, or the reference alone."""
    return f"{names[person]} ({person})" if person in names else person


def age(born: date | None, t: datetime) -> int | None:
    """Whole years at T; None for an unknown birth date."""
    if born is None:
        return None
    today = t.astimezone(LONDON).date()
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def recent(view: View) -> datetime:
    """Events after this moment name the victims and children of a sheet."""
    return view.t - timedelta(days=settings("sheet")["shown"]["victims_days"])


def linked(
    view: View, person: str, happened: Sequence[Happened], state: State, first: Sequence[str] = ()
) -> list[str]:
    """The victims of a call (``first``), those of the last three years, newest first, then anyone an order in force
    protects, then partners."""
    since = recent(view)
    ordered = [
        *first,
        *(v for one in happened if one.occurred_at > since and one.domestic for v in one.against),
    ]
    ordered += [o["protected_id"] for o in state.orders if o["protected_id"]]
    with_them = (pl.col("person_id_a") == person) | (pl.col("person_id_b") == person)
    couples = pl.col("kind").is_in(["spouse", "partner"]) & pl.col("ended_on").is_null()
    kin = view.table("relationship").filter(couples & with_them)
    two = kin.select("person_id_a", "person_id_b").rows()
    ordered += [b for a, b in two if a == person] + [a for a, b in two if b == person]
    return list(dict.fromkeys(other for other in ordered if other != person))


def people(
    view: View, person: str, others: Sequence[str], happened: Sequence[Happened], names: dict[str, str],
    *, homes: bool, shut: Collection[str] = (),
) -> list[dict[str, Any]]:  # fmt: skip
    """Each of ``others``: name, what they are to each other, events both ways, what was agreed about contact.

    ``homes``: also how far apart their latest addresses are (for a sheet opened without a place to go to).
    ``shut``: whose record is restricted: of them nothing that was agreed is told, nor what they are to each other.
    """
    free = [other for other in others if other not in shut]
    plans, kin = _plans(view, free), _kin(view, person)
    close = list(free[: settings("sheet")["shown"]["known_people"]]) if homes else []
    apart = homes_apart(view, person, close) if close else {}
    return [
        _one(other, kin.get(other), happened, names)
        | {"plan": plans.get(other), "apart": apart.get(other), "restricted": other in shut}
        | ({"relationship": NOT_SHOWN} if other in shut else {})
        for other in others
    ]


def _plans(view: View, others: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The latest plan of each, codes in words."""
    rows = view.identity("victim_plan").filter(pl.col("person_id").is_in(others)).to_dicts()
    return {
        row["person_id"]: {
            name: plain(row[name]) if name in ("safe_channel", "video_consent") else row[name]
            for name in PLAN
        }
        for row in sorted(rows, key=lambda row: row["agreed_on"])
    }  # of several the last stands: rows are in order


def _kin(view: View, person: str) -> dict[str, dict[str, Any]]:
    """The latest relationship row between the person and each other, by the other."""
    table = view.table("relationship")
    mine = (pl.col("person_id_a") == person) | (pl.col("person_id_b") == person)
    rows = sorted(table.filter(mine).to_dicts(), key=lambda row: (row["at"], row["kind"]))
    return {row["person_id_b"] if row["person_id_a"] == person else row["person_id_a"]: row for row in rows}


def _one(
    other: str, kin: dict[str, Any] | None, happened: Sequence[Happened], names: dict[str, str]
) -> dict[str, Any]:
    toward = [one for one in happened if other in one.against and one.domestic]
    back = [one for one in happened if other in one.accused_by and one.domestic]
    return {
        "person_id": other,
        "name": names.get(other),
        "relationship": _relationship(kin, toward),
        "events": len(toward),
        "last": toward[0].occurred_at if toward else None,
        "events_other_way": len(back),
    }


def _relationship(kin: dict[str, Any] | None, toward: Sequence[Happened]) -> str:
    if kin is not None:
        child = ", a child together" if kin["shared_child"] else ""
        ended = f", ended {day(kin['ended_on'])}" if kin["ended_on"] else ""
        return f"{plain(kin['kind'])} since {day(kin['started_on'])}{ended}{child}"
    if toward and toward[0].relationships:
        return f"{' / '.join(toward[0].relationships)}, as recorded {day(toward[0].occurred_at)}"
    return "relationship not recorded"


def children(view: View, happened: Sequence[Happened], shut: Collection[str] = ()) -> list[str]:
    """Children in the recorded events: how many were there, and those recorded, by reference and age. ``shut``: whose
    record is restricted; of their events, and of themselves, nothing is told."""
    near = [
        one
        for one in happened
        if one.domestic and one.occurred_at > recent(view) and not {*one.against, *one.accused_by} & set(shut)
    ]
    present = [one for one in near if one.children_present][: settings("sheet")["shown"]["children"]]
    said = [
        f"{count(one.children_present or 0, 'child', 'children')} present on {day(one.occurred_at)} ({one.reference})"
        for one in present
    ]
    ids = [one.event_id for one in near]
    named = view.whole("involvement").filter(pl.col("event_id").is_in(ids), pl.col("role") == "child")
    closed = _of_others(view, shut)
    found = [one for one in named["person_id"].unique().sort() if one not in closed]
    if found:
        rows = onto(view.identity("person"), view.clusters).filter(pl.col("person_id").is_in(found))
        ages = {row["person_id"]: age(row["date_of_birth"], view.t) for row in rows.iter_rows(named=True)}
        by_age = [
            f"{c}, aged {ages[c]}" if ages.get(c) is not None else f"{c}, age not recorded" for c in found
        ]
        said.append(f"{count(len(found), 'child', 'children')} recorded: {'; '.join(by_age)}")
    return said


def _of_others(view: View, shut: Collection[str]) -> set[str]:
    """The restricted, and whoever was a child in an event of theirs: a child seen elsewhere too leads back to them."""
    events = view.whole("involvement").filter(pl.col("person_id").is_in(sorted(shut)))["event_id"]
    part = view.whole("involvement").filter(
        pl.col("event_id").is_in(events.implode()), pl.col("role") == "child"
    )
    return {*shut, *part["person_id"]}

"""What the routes of decisions, holds and nominations share: who it is about, may it be, and what was typed.

An act and the row of the audit trail that tells of it are one transaction: neither is there without the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

import polars as pl
from fastapi import Request
from fastapi.responses import JSONResponse, Response

from api.access import Viewer, outside
from api.desk import Desk
from api.forms import Form
from api.problems import MEDIA, problem
from api.routes.asked import desk_of
from features.errors import InputError
from risk.decisions import Standing, standing
from risk.free_text import refuse_named
from risk.person import require_open
from risk.published import PublishedList, names
from risk.view import View
from risk.words import in_100
from risk.written import CrossedError, FieldError, Seen

T = TypeVar("T")


@dataclass(frozen=True)
class About:
    """A person whom somebody decides about: as the records stand now, on the latest list, and with those who decide.

    ``place`` is what the list says of them in words, for those who may see lists.
    """

    person_id: str
    name: str | None
    district: str
    outside: bool
    view: View
    seen: Seen
    standing: Standing
    listed: bool
    published: PublishedList | None
    place: str

    @property
    def heading(self) -> str:
        """The name, or the reference where it is not to be shown."""
        return self.name or self.person_id


def about(request: Request, viewer: Viewer, person_id: str, list_id: str = "") -> About:
    """The person, once this viewer may open them. NotFoundError, or RefusedError outside the viewer's districts.

    ``list_id``: the list that was open when a form was filled in, which a newer one may have followed; else the latest.
    """
    desk = desk_of(request)
    t = desk.now()
    view = desk.around([person_id], t)
    require_open(view, person_id, viewer.opened)
    now = view.who(person_id)
    district = desk.district_of([now], t)[now]
    elsewhere = outside(viewer, district)
    published = next((one for one in desk.lists() if one.list_id == list_id), None) or desk.latest()
    seen = _seen(published, view, now, district)
    stands = standing(desk.db, [now], view.clusters)[now]
    place = "Not on the latest list."
    if seen.rank is not None and published is not None:
        listed = "on the latest list" if seen.place else "not prioritised by the model"
        place = f"Rank {seen.rank:,} of {published.facts['counts']['ranked']:,}, {listed}: {in_100(seen.p_serious)}"
    name = names(view, [now]).get(now)
    return About(now, name, district, elsewhere, view, seen, stands, seen.place is not None, published, place)


def _seen(published: PublishedList | None, view: View, person_id: str, district: str) -> Seen:
    """The list's row of the person, also when it was published under another of their references."""
    same = view.clusters.filter(pl.col("cluster_id") == person_id)["person_id"].to_list()
    for reference in dict.fromkeys([person_id, *same]):
        seen = Seen.of(published, reference, view.t)
        if seen.rank is not None:
            return seen
    return Seen(view.t, district=district)


def look(
    desk: Desk, viewer: Viewer, who: About, page: str, *, act: str = "consultation", detail: str = ""
) -> None:
    """Write down a look at, or a change about, one person."""
    list_id = who.seen.list_id
    desk.look(viewer, act, page, [who.person_id], list_id, who.outside, detail)


def act(
    desk: Desk,
    viewer: Viewer,
    who: About,
    page: str,
    detail: str,
    texts: Mapping[str, str | None],
    do: Callable[[], T],
) -> T:
    """Do something about a person and write it down, both or neither. ``texts``: everything that was written freely,
    by its field; FieldError when one holds what lists never show."""
    refuse_named(who.view, who.person_id, {field: text or "" for field, text in texts.items()})
    with desk.db.begin():
        done = do()
        look(desk, viewer, who, page, act="alteration", detail=detail)
    return done


def day_of(form: Form, field: str) -> date | None:
    """A day from its three fields (``field``_day, _month, _year), None when all are empty. FieldError for no date."""
    parts = [form.one(f"{field}_{part}") for part in ("year", "month", "day")]
    if not any(parts):
        return None
    try:
        year, month, day = (int(part) for part in parts)
        return date(year, month, day)
    except ValueError:
        what, cure = "This is not a date.", "Give day, month and year in numbers, such as 27 3 2026."
        raise FieldError(field, what, cure) from None


def number_of(form: Form, field: str) -> int:
    """A whole number that the page itself put into the form. InputError when it is none."""
    try:
        return int(form.one(field, "0"))
    except ValueError:
        raise InputError("The form is not whole.", where=field, cure="Open the page again.") from None


def errors_of(fault: FieldError) -> dict[str, str]:
    """The fields at fault as the page's macros take them."""
    return {one.field: f"{one.what} {one.cure}" for one in (fault, *fault.others)}


def crossed(request: Request, fault: CrossedError) -> Response:
    """409 for a machine: what is wrong, and what the other wrote."""
    body: Mapping[str, Any] = problem(409, fault.what, fault.cure)
    newer = [{**one, "at": one["at"].isoformat()} for one in map(_plain, fault.newer)]
    return JSONResponse({**body, "newer": newer}, 409, media_type=MEDIA)


def _plain(one: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("id", "version", "by", "role", "at", "reason", "words", "code_words", "owner")
    return {name: one[name] for name in kept if name in one}

"""A person, as a page and as JSON. Every look is written down before anything is shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.access import Viewer, allow, outside
from api.answers.base import PROBLEMS
from api.answers.persons import PersonAnswer
from api.charts import ranks
from api.desk import Desk
from api.person_facts import Facts, facts_of
from api.person_facts import reason_as_dict as reason_as_dict
from api.routes.asked import AsOf, desk_of
from api.templates import page
from features.nominals import clusters_at
from risk.person import require_open
from risk.person_page import beside
from risk.published import PublishedList

pages = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)
data = APIRouter(prefix="/api/v1", responses=PROBLEMS)
PAGE = "/persons/{person_id}"
Reader = Annotated[Viewer, allow("person.read", purpose=True)]


def opened(desk: Desk, viewer: Viewer, person_id: str, as_of: str | None, page: str) -> tuple[Any, Any]:
    """T and the list that speaks of it, once the person may be opened and the look is written down."""
    t, published = desk.moment(as_of)
    view = desk.around([person_id], t)
    require_open(view, person_id, open_to(desk, viewer, t))
    persons = sorted({person_id, view.who(person_id)})
    far = outside(viewer, desk.district_of([person_id], t)[person_id])
    desk.look(viewer, "consultation", page, persons, published.list_id if published else None, outside=far)
    return t, published


def open_to(desk: Desk, viewer: Viewer, t: datetime) -> frozenset[str]:
    """People of restricted records whom a viewer has opened, under every reference they go by at T."""
    if not viewer.opened:
        return frozenset()
    joined = dict(clusters_at(desk.load().records().links, t).select("person_id", "cluster_id").iter_rows())
    return viewer.opened | {joined.get(person, person) for person in viewer.opened}


@dataclass(frozen=True)
class Opened:
    """A person as a viewer may see them: ``facts`` (records and model) and ``told`` (all that the page shows)."""

    facts: Facts
    published: PublishedList | None
    told: dict[str, Any]
    asked: str


def open_person(desk: Desk, viewer: Viewer, person_id: str, as_of: str | None) -> Opened:
    """The person, once they may be opened and the look is written down; NotFoundError, RefusedError."""
    if as_of is None:
        t, published = None, desk.latest()
    else:
        t, published = desk.moment(as_of)
    facts = facts_of(desk, person_id, published, as_of=t, opened=open_to(desk, viewer, t or desk.now()))
    told = facts.told
    far = outside(viewer, told["district"])
    persons = sorted({person_id, facts.person_id, *(one["person_id"] for one in told["identity"]["records"])})
    list_id = published.list_id if published else None
    desk.look(viewer, "consultation", PAGE, persons, list_id, outside=far)
    whole = beside(desk.lists(), desk.db, desk.load(), facts.clusters, told, published, t)
    return Opened(facts, published, whole, person_id)


@pages.get(PAGE)
def a_person(request: Request, viewer: Reader, person_id: str, as_of: AsOf = None) -> HTMLResponse:
    """A person: score with its reasons, what happened, pairs, people around, options, decisions."""
    desk = desk_of(request)
    found = open_person(desk, viewer, person_id, as_of)
    pictures = {**found.facts.pictures, "ranks": ranks(found.told["ranks"])}
    known = {one["event_id"]: one for one in found.told["history"]}
    return page(
        request,
        viewer,
        "person.html",
        person=found.told,
        pictures=pictures,
        published=found.published,
        as_of=as_of,
        asked=person_id,
        known=known,
    )


@data.get(PAGE, response_model=PersonAnswer, tags=["persons"], summary="A person")
def one_person(request: Request, viewer: Reader, person_id: str, as_of: AsOf = None) -> dict[str, Any]:
    """Everything the page shows: score, reasons with their records, history, pairs, people around, ranks, options,
    decisions. Victims stand in it by reference alone."""
    return open_person(desk_of(request), viewer, person_id, as_of).told

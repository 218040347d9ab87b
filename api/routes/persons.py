"""A person, as a page and as JSON. Every look is written down first."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.access import Viewer, allow
from api.answers.base import PROBLEMS
from api.answers.persons import PersonAnswer
from api.charts import bars, timeline
from api.desk import Desk
from api.routes.asked import AsOf, desk_of
from api.templates import page
from risk.person import person, require_open

pages = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)
data = APIRouter(prefix="/api/v1", responses=PROBLEMS)


def opened(desk: Desk, viewer: Viewer, person_id: str, as_of: str | None, page: str) -> tuple[Any, Any]:
    """T and the list that speaks of it, once the person may be opened and the look is written down."""
    t, published = desk.moment(as_of)
    view = desk.view(t)
    require_open(view, person_id)
    persons = sorted({person_id, view.who(person_id)})
    desk.look(viewer, "consultation", page, persons, published.list_id if published else None)
    return t, published


@pages.get("/persons/{person_id}")
def a_person(
    request: Request,
    viewer: Annotated[Viewer, allow("person.read", purpose=True)],
    person_id: str,
    as_of: AsOf = None,
) -> HTMLResponse:
    """A person."""
    desk = desk_of(request)
    t, published = opened(desk, viewer, person_id, as_of, "/persons/{person_id}")
    view = desk.view(t)
    found = person(view, desk.model(published), person_id, published)
    every = [*found["reasons"]["raises"], *found["reasons"]["lowers"]]
    return page(
        request,
        viewer,
        "person.html",
        person=found,
        published=published,
        as_of=as_of,
        bars=bars(every),
        timeline=timeline(found["history"], found["spans"], t),
    )


@data.get("/persons/{person_id}", response_model=PersonAnswer, tags=["persons"], summary="A person")
def one_person(
    request: Request,
    viewer: Annotated[Viewer, allow("person.read", purpose=True)],
    person_id: str,
    as_of: AsOf = None,
) -> dict[str, Any]:
    """History, score, the contributions that sum to it, reasons with their records, the people around."""
    desk = desk_of(request)
    t, published = opened(desk, viewer, person_id, as_of, "/persons/{person_id}")
    found = person(desk.view(t), desk.model(published), person_id, published)
    return found | {"network": found["network"].as_dict(), "reasons": reasons_as_dict(found["reasons"])}


def reasons_as_dict(reasons: dict[str, Any]) -> dict[str, Any]:
    """Reasons for a machine."""
    return {
        "raises": [reason_as_dict(reason) for reason in reasons["raises"]],
        "lowers": [reason_as_dict(reason) for reason in reasons["lowers"]],
        "missing": reasons["missing"],
        "not_fed": reasons["not_fed"],
    }


def reason_as_dict(reason: Any) -> dict[str, Any]:
    """One reason for a machine."""
    return {
        "group": reason.group,
        "title": reason.title,
        "sentence": reason.sentence,
        "contribution": reason.contribution,
        "columns": reason.columns,
        "cited": [
            {"event_id": one.event_id, "reference": one.reference, "at": one.at} for one in reason.cited
        ],
    }

"""The same answers as plain pages, at the same paths without the prefix."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.charts import bars, timeline
from api.desk import Desk
from api.routes.data import AsOf, Team, Top, desk_of
from risk.person import person, require_open, score_in_words
from risk.published import lists, row_words, shown
from risk.sheet import sheet
from risk.teams import teams

BY = "page"
router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)


def _page(request: Request, template: str, **facts: Any) -> HTMLResponse:
    desk = desk_of(request)
    page = request.app.state.pages.get_template(template)
    return HTMLResponse(page.render(health=desk.health(), path=request.url.path, **facts))


@router.get("/")
def first(request: Request) -> HTMLResponse:
    """Where to begin."""
    desk = desk_of(request)
    latest = desk.latest()
    known = teams(desk.view(latest.as_of)) if latest else []
    return _page(request, "home.html", latest=latest, teams=known)


@router.get("/lists")
def all_lists(request: Request) -> HTMLResponse:
    """Every published list."""
    desk = desk_of(request)
    desk.look("lists", BY, [])
    return _page(request, "lists.html", lists=list(reversed(lists(desk.home))))


@router.get("/lists/{list_id}")
def one_list(request: Request, list_id: str, team: Team = None, top: Top = None) -> HTMLResponse:
    """A list."""
    desk = desk_of(request)
    desk.load()
    view = shown(desk.published(list_id), desk.home, team=team or None, top=top)
    desk.look("list", BY, view.persons(), view.published.list_id, view.team_name)
    return _page(request, "list.html", view=view, facts=view.published.facts, words=row_words)


@router.get("/persons/{person_id}")
def one_person(request: Request, person_id: str, as_of: AsOf = None) -> HTMLResponse:
    """A person."""
    desk = desk_of(request)
    t, published = _open(desk, person_id, as_of, "person")
    view = desk.view(t)
    found = person(view, desk.model(published), person_id, published)
    every = [*found["reasons"]["raises"], *found["reasons"]["lowers"]]
    return _page(
        request,
        "person.html",
        person=found,
        published=published,
        as_of=as_of,
        bars=bars(every),
        timeline=timeline(found["history"], found["spans"], t),
    )


@router.get("/persons/{person_id}/sheet")
def one_sheet(request: Request, person_id: str, as_of: AsOf = None) -> HTMLResponse:
    """Before attending."""
    desk = desk_of(request)
    t, published = _open(desk, person_id, as_of, "sheet")
    view = desk.view(t)
    score = score_in_words(view, desk.model(published), person_id, published)
    return _page(request, "sheet.html", sheet=sheet(view, person_id, score), as_of=as_of)


def _open(desk: Desk, person_id: str, as_of: str | None, what: str) -> tuple[Any, Any]:
    t, published = desk.moment(as_of)
    view = desk.view(t)
    require_open(view, person_id)
    desk.look(what, BY, sorted({person_id, view.who(person_id)}), published.list_id if published else None)
    return t, published

"""Published lists, as pages and as JSON."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.access import Viewer, allow
from api.answers.base import PROBLEMS
from api.answers.lists import ListAnswer, Lists
from api.printing import list_as_dict
from api.routes.asked import Team, Top, desk_of
from api.templates import page
from risk.published import PublishedList, lists, row_words, shown
from risk.teams import find_team, teams

pages = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)
data = APIRouter(prefix="/api/v1", responses=PROBLEMS)


@pages.get("/lists")
def every_list(request: Request, viewer: Annotated[Viewer, allow("list.read")]) -> HTMLResponse:
    """Every published list."""
    desk = desk_of(request)
    desk.look(viewer, "consultation", "/lists")
    return page(request, viewer, "lists.html", lists=list(reversed(lists(desk.home))))


@pages.get("/lists/{list_id}")
def a_list(
    request: Request,
    viewer: Annotated[Viewer, allow("list.read")],
    list_id: str,
    team: Team = None,
    top: Top = None,
) -> HTMLResponse:
    """A list."""
    desk = desk_of(request)
    desk.load()
    view = shown(desk.published(list_id), desk.home, team=team or None, top=top)
    desk.look(
        viewer,
        "consultation",
        "/lists/{list_id}",
        view.persons(),
        view.published.list_id,
        detail=view.team_name,
    )
    return page(request, viewer, "list.html", view=view, facts=view.published.facts, words=row_words)


@data.get("/lists", response_model=Lists, tags=["lists"], summary="Published lists")
def all_lists(
    request: Request, viewer: Annotated[Viewer, allow("list.read")], team: Team = None
) -> dict[str, Any]:
    """Every published list, newest first; with ``team`` the counts are those of its patch."""
    desk = desk_of(request)
    desk.look(viewer, "consultation", "/lists", detail=team or "")
    found = list(reversed(lists(desk.home)))
    known = teams(desk.view(found[0].as_of)) if found else []
    patch = None if team is None else find_team(known, team).districts
    return {
        "lists": [one.about() | {"counts": _counts(one, patch)} for one in found],
        "teams": [_team(one) for one in known],
    }


def _counts(one: PublishedList, patch: tuple[str, ...] | None) -> dict[str, int]:
    if patch is None:
        return dict(one.facts["counts"])
    rows = one.rows.filter(one.rows["district"].is_in(list(patch)))
    return {
        "ranked": rows.height,
        "listed": int(rows["listed"].sum()),
        "apart": int(one.apart["district"].is_in(list(patch)).sum()),
        "entrants": int((rows["movement"] == "new").sum())
        if one.facts["previous"]
        else int(rows["listed"].sum()),
    }


def _team(team: Any) -> dict[str, Any]:
    return {"team_id": team.team_id, "name": team.name, "districts": list(team.districts)}


@data.get("/lists/{list_id}", response_model=ListAnswer, tags=["lists"], summary="A list, or the latest")
def one_list(
    request: Request,
    viewer: Annotated[Viewer, allow("list.read")],
    list_id: str,
    team: Team = None,
    top: Top = None,
) -> dict[str, Any]:
    """A published list by its id, or ``latest``; of one team or the whole force."""
    desk = desk_of(request)
    desk.load()
    view = shown(desk.published(list_id), desk.home, team=team, top=top)
    desk.look(
        viewer,
        "consultation",
        "/lists/{list_id}",
        view.persons(),
        view.published.list_id,
        detail=view.team_name,
    )
    return list_as_dict(view)

"""Where a person begins, and what the service says of itself."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Request
from fastapi.responses import HTMLResponse

from api.access import Viewer, allow
from api.answers.service import Health
from api.routes.asked import both, desk_of
from api.templates import menu, page

pages, data = both()


@pages.get("/")
def first(request: Request, viewer: Annotated[Viewer, allow("home")]) -> HTMLResponse:
    """Where to begin: what this viewer may open, and the latest list by team."""
    desk = desk_of(request)
    latest = desk.latest() if viewer.may("list.open") else None
    known = desk.teams() if latest else []
    mine = [team for team in known if any(viewer.sees(district) for district in team.districts)]
    doors = menu(viewer, "/")
    return page(request, viewer, "home.html", latest=latest, teams=mine, doors=doors)


@data.get("/health", response_model=Health, tags=["service"], summary="Load, model, list, age of data")
def health(request: Request, viewer: Annotated[Viewer, allow("home")]) -> dict[str, Any]:
    """What is loaded, how old it is, which model and which list are in use. Names nobody."""
    return desk_of(request).health()

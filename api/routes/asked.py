"""What routes of every topic have: two routers, the desk, a team, a moment, a number of places."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from api.answers.base import PROBLEMS
from api.desk import Desk

Team = Annotated[
    str | None, Query(description="A team_id or a district; the whole force without it.", max_length=80)
]
Top = Annotated[int | None, Query(description="How many places.", ge=1, le=10_000)]
AsOf = Annotated[
    str | None,
    Query(
        description="T: a date (06:00 London) or a time; that of the latest list without it.", max_length=40
    ),
]
Offset = Annotated[int, Query(description="How many to leave out before the first.", ge=0, le=1_000_000)]
Limit = Annotated[int, Query(description="How many at most.", ge=1, le=500)]


def both() -> tuple[APIRouter, APIRouter]:
    """The routers of a topic: its pages, and the same as JSON under /api/v1."""
    pages = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)
    return pages, APIRouter(prefix="/api/v1", responses=PROBLEMS)


def desk_of(request: Request) -> Desk:
    """The desk of the running service."""
    found: Desk = request.app.state.desk
    return found


def next_page(request: Request, offset: int, limit: int, of: int) -> str | None:
    """The address of the rows after these, or None when there are none."""
    after = offset + limit
    if after >= of:
        return None
    url = request.url.include_query_params(offset=after, limit=limit)
    return f"{url.path}?{url.query}"

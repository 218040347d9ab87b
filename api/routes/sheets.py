"""Before attending: the sheet about a person, as a page and as JSON."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.access import Viewer, allow
from api.answers.base import PROBLEMS
from api.answers.sheets import SheetAnswer
from api.routes.asked import AsOf, desk_of
from api.routes.persons import opened, reason_as_dict
from api.templates import page
from risk.person import score_in_words
from risk.sheet import sheet

pages = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)
data = APIRouter(prefix="/api/v1", responses=PROBLEMS)


@pages.get("/persons/{person_id}/sheet")
def a_sheet(
    request: Request,
    viewer: Annotated[Viewer, allow("sheet.read", purpose=True)],
    person_id: str,
    as_of: AsOf = None,
) -> HTMLResponse:
    """Before attending."""
    desk = desk_of(request)
    t, published = opened(desk, viewer, person_id, as_of, "/persons/{person_id}/sheet")
    view = desk.view(t)
    score = score_in_words(view, desk.model(published), person_id, published)
    return page(request, viewer, "sheet.html", sheet=sheet(view, person_id, score), as_of=as_of)


@data.get(
    "/persons/{person_id}/sheet", response_model=SheetAnswer, tags=["persons"], summary="Before attending"
)
def one_sheet(
    request: Request,
    viewer: Annotated[Viewer, allow("sheet.read", purpose=True)],
    person_id: str,
    as_of: AsOf = None,
) -> dict[str, Any]:
    """Where the person may be, who else is there, what happened before, the score in words, what was promised."""
    desk = desk_of(request)
    t, published = opened(desk, viewer, person_id, as_of, "/persons/{person_id}/sheet")
    view = desk.view(t)
    found = sheet(view, person_id, score_in_words(view, desk.model(published), person_id, published))
    score = found["score"] | {"reasons": [reason_as_dict(reason) for reason in found["score"]["reasons"]]}
    return found | {"score": score}

"""Hold: identity or role in doubt. Whoever doubts places one at once; a supervisor decides."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.access import Viewer, allow
from api.answers.decisions import Held, Holds, HoldSent
from api.deciding import About, about, act, errors_of, look
from api.forms import Typed
from api.people import shown_people
from api.routes.asked import Limit, Offset, both, desk_of, next_page
from api.templates import page
from risk import holds
from risk.holds import Hold
from risk.written import FieldError

pages, data = both()

Doubter = Annotated[Viewer, allow("hold", purpose=True)]
PAGE = "/persons/{person_id}/hold"


@pages.get(PAGE)
def ask(request: Request, viewer: Doubter, person_id: str) -> HTMLResponse:
    """The form, or the hold that is in force."""
    desk, who = desk_of(request), about(request, viewer, person_id)
    look(desk, viewer, who, PAGE)
    return _form(request, viewer, who, {})


@pages.post(PAGE)
def placed(request: Request, viewer: Doubter, person_id: str, form: Typed) -> Response:
    """Place it."""
    who = about(request, viewer, person_id)
    try:
        _place(request, viewer, who, form.one("doubt"), form.one("reason"))
    except FieldError as fault:
        return _form(request, viewer, who, form.typed(), errors_of(fault), 400)
    return RedirectResponse(f"/persons/{quote(who.person_id, safe='')}/hold", 303)


def _place(request: Request, viewer: Viewer, who: About, doubt: str, reason: str) -> tuple[Hold, bool]:
    desk = desk_of(request)
    district = who.seen.district or who.district
    return act(
        desk,
        viewer,
        who,
        PAGE,
        f"hold: {doubt[:40]}",
        {"reason": reason},
        lambda: holds.place_hold(desk.db, viewer.who, who.person_id, doubt, reason, who.seen.about, district),
    )


def _form(
    request: Request,
    viewer: Viewer,
    who: About,
    typed: dict[str, str],
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    doubts = holds.doubts()
    return page(
        request, viewer, "hold.html", status, who=who, doubts=doubts, typed=typed, errors=errors or {}
    )


@data.get("/holds", response_model=Holds, tags=["decisions"], summary="Holds in force")
def in_force(request: Request, viewer: Doubter, offset: Offset = 0, limit: Limit = 100) -> dict[str, Any]:
    """Holds in force in the viewer's districts, the longest waiting first."""
    found = sorted(holds.held(desk_of(request).db).values(), key=lambda hold: hold.row["due_by"])
    rows = [hold.as_dict() for hold in found if viewer.sees(hold.row["district"])]
    shown = shown_people(request, viewer, "/api/v1/holds", rows)
    part = shown.rows[offset : offset + limit]
    return {"holds": part, "next": next_page(request, offset, limit, len(shown.rows))}


@data.post(
    "/persons/{person_id}/hold",
    status_code=201,
    response_model=Held,
    tags=["decisions"],
    summary="Place a hold",
)
def place_one(request: Request, viewer: Doubter, person_id: str, sent: HoldSent) -> dict[str, Any]:
    """Grey the person wherever they are shown until a supervisor decides; the hold that is in force already, if one
    is."""
    who = about(request, viewer, person_id)
    return _place(request, viewer, who, sent.doubt, sent.reason)[0].as_dict()

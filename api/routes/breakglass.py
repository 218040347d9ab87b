"""Records restricted to named users: breaking the glass, the alert, the supervisor's review, and who is named."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.access import Viewer, allow
from api.answers.access import Openings
from api.auth import accounts, openings
from api.auth.table import table
from api.desk import Desk
from api.forms import Typed
from api.problems import RefusedError
from api.routes.asked import both, desk_of
from api.templates import page
from features.errors import InputError

pages, data = both()

Opener = Annotated[Viewer, allow("person.read", purpose=True)]
Reviewer = Annotated[Viewer, allow("breakglass.review")]
PAGE = "/breakglass"


@pages.get("/breakglass/open")
def ask(request: Request, viewer: Opener, person_id: str = "") -> HTMLResponse:
    """Where a restricted record is asked for."""
    return _ask(request, viewer, {"person_id": person_id[:80]})


@pages.post("/breakglass/open")
def break_glass(request: Request, viewer: Opener, form: Typed) -> Response:
    """Open a restricted record for a while: written down with the reason, and supervisors are alerted."""
    desk = desk_of(request)
    person_id, reason = form.one("person_id"), form.one("reason")
    account, task = accounts.need(desk.db, viewer.account), viewer.task
    if task is None:
        raise RefusedError(403, "No task is chosen.", "Choose what this is for first.")
    try:
        with desk.db.begin():
            openings.break_glass(desk.db, account, person_id, reason, task)
            detail = f"glass broken: {' '.join(reason.split())}"
            desk.look(viewer, "access", "/breakglass/open", [person_id], detail=detail)
    except InputError as fault:
        desk.look(viewer, "access", "/breakglass/open", detail=f"refused: {fault.what}")
        return _ask(request, viewer, form.typed(), {fault.where: f"{fault.what} {fault.cure}"}, 400)
    return RedirectResponse(f"/persons/{quote(person_id, safe='')}", 303)


@pages.get("/breakglass")
def review(request: Request, viewer: Reviewer) -> HTMLResponse:
    """Every opening that waits, those reviewed, and who is named."""
    return _review(request, viewer)


@pages.post("/breakglass/{opening_id}")
def decide(request: Request, opening_id: int, viewer: Reviewer, form: Typed) -> Response:
    """Say whether an opening was justified."""
    desk = desk_of(request)
    by = accounts.need(desk.db, viewer.account)
    try:
        with desk.db.begin():
            found = openings.review(desk.db, opening_id, by, form.one("verdict"), form.one("note"))
            detail = f"opening {opening_id} {found['verdict']}: {found['note']}"
            desk.look(viewer, "alteration", PAGE, [found["person_id"]], detail=detail)
    except InputError as fault:
        return _review(request, viewer, form.typed(), {"": f"{fault.what} {fault.cure}"}, 400, opening_id)
    return RedirectResponse(PAGE, 303)


@pages.post("/breakglass-named")
def name(request: Request, viewer: Reviewer, form: Typed) -> Response:
    """Name somebody for a restricted record, or strike them off."""
    desk = desk_of(request)
    person_id, username = form.one("person_id"), form.one("username")
    try:
        with desk.db.begin():
            if form.one("do") == "strike":
                openings.strike(desk.db, person_id, username)
                detail = f"struck off: {username}"
            else:
                openings.name(desk.db, person_id, username, viewer.account, form.one("why"))
                detail = f"named: {username}: {form.one('why')}"
            desk.look(viewer, "alteration", PAGE, [person_id], detail=detail)
    except InputError as fault:
        return _review(request, viewer, form.typed(), {fault.where: f"{fault.what} {fault.cure}"}, 400)
    return RedirectResponse(PAGE, 303)


@data.get("/breakglass", response_model=Openings, tags=["accounts"], summary="Restricted records opened")
def all_openings(request: Request, viewer: Reviewer) -> dict[str, Any]:
    """Openings that wait for a supervisor, oldest first, and the last fifty reviewed."""
    desk = desk_of(request)
    found = {"waiting": openings.waiting(desk.db), "reviewed": openings.reviewed(desk.db)}
    _written(desk, viewer, found)
    return found


def _written(desk: Desk, viewer: Viewer, found: dict[str, Any]) -> None:
    persons = sorted({one["person_id"] for part in found.values() for one in part})
    desk.look(viewer, "consultation", PAGE, persons)


def _ask(
    request: Request,
    viewer: Viewer,
    typed: dict[str, str],
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    limits = table().limits["breakglass"]
    return page(
        request, viewer, "breakglass-open.html", status, typed=typed, limits=limits, errors=errors or {}
    )


def _review(
    request: Request,
    viewer: Viewer,
    typed: dict[str, str] | None = None,
    errors: dict[str, str] | None = None,
    status: int = 200,
    at: int = 0,
) -> HTMLResponse:
    desk = desk_of(request)
    found = {"waiting": openings.waiting(desk.db), "reviewed": openings.reviewed(desk.db)}
    named = openings.named(desk.db)
    _written(desk, viewer, found | {"named": named})
    days = table().limits["breakglass"]["review_working_days"]
    return page(
        request,
        viewer,
        "breakglass.html",
        status,
        **found,
        named=named,
        verdicts=openings.VERDICTS,
        days=days,
        typed=typed or {},
        errors=errors or {},
        at=at,
    )

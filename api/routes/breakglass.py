"""Records restricted to named users: breaking the glass, the alert, the supervisor's review, and who is named."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import polars as pl
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
from features.nominals import clusters_at

pages, data = both()

Opener = Annotated[Viewer, allow("person.read", purpose=True)]
Reviewer = Annotated[Viewer, allow("breakglass.review", purpose=True)]
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
        known_as, same = _references(desk, person_id)
        with desk.db.begin():
            openings.break_glass(desk.db, account, known_as, reason, task, same)
            detail = f"glass broken: {' '.join(reason.split())}"
            persons = {known_as, openings.reference_of(person_id)}
            desk.look(viewer, "access", "/breakglass/open", sorted(persons), detail=detail)
    except InputError as fault:
        asked = [person_id.strip()[: openings.LONGEST]] if person_id.strip() else []
        desk.look(viewer, "access", "/breakglass/open", asked, detail=f"refused: {fault.what}")
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
            of = openings.one_opening(desk.db, opening_id)
            same = _references(desk, of["person_id"])[1] if of else ()
            found = openings.review(desk.db, opening_id, by, form.one("verdict"), form.one("note"), same)
            detail = f"opening {opening_id} {found['verdict']}: {found['note']}"
            desk.look(viewer, "alteration", PAGE, [found["person_id"]], detail=detail)
    except InputError as fault:
        return _review(request, viewer, form.typed(), {"": f"{fault.what} {fault.cure}"}, 400, opening_id)
    return RedirectResponse(PAGE, 303)


@pages.post("/breakglass-named")
def name(request: Request, viewer: Reviewer, form: Typed) -> Response:
    """Name somebody for a restricted record, agree to another supervisor's naming, or strike somebody off."""
    desk = desk_of(request)
    person_id, username, do = (
        form.one("person_id").strip()[: openings.LONGEST],
        form.one("username"),
        form.one("do"),
    )
    by = accounts.need(desk.db, viewer.account)
    try:
        with desk.db.begin():
            if do == "strike":
                openings.strike(desk.db, person_id, username)
                detail = f"struck off: {username}"
            elif do == "agree":
                found = openings.agree(desk.db, person_id, username, by)
                detail = f"agreed: {username}, named by {found['named_by']}: {found['why']}"
            else:
                person_id = _references(desk, form.one("person_id"))[0]
                openings.name(desk.db, person_id, username, by, form.one("why"))
                detail = f"named, a second supervisor to agree: {username}: {form.one('why')}"
            desk.look(viewer, "alteration", PAGE, [person_id], detail=detail)
    except InputError as fault:
        return _review(request, viewer, form.typed(), {fault.where: f"{fault.what} {fault.cure}"}, 400)
    return RedirectResponse(PAGE, 303)


@data.get("/breakglass", response_model=Openings, tags=["accounts"], summary="Restricted records opened")
def all_openings(request: Request, viewer: Reviewer) -> dict[str, Any]:
    """Openings that wait for a supervisor, oldest first, the last fifty reviewed, and who is named for which record."""
    desk = desk_of(request)
    found = _found(desk)
    _written(desk, viewer, found)
    return found


def _found(desk: Desk) -> dict[str, Any]:
    return {
        "waiting": openings.waiting(desk.db),
        "reviewed": openings.reviewed(desk.db),
        "named": openings.named(desk.db),
    }


def _references(desk: Desk, person_id: str) -> tuple[str, frozenset[str]]:
    """The reference a person goes by now, and every reference of theirs. InputError for what is no reference."""
    person_id = openings.reference_of(person_id)
    clusters = clusters_at(desk.load().records().links, desk.now())
    lead = clusters.filter(pl.col("person_id") == person_id)["cluster_id"]
    known_as = str(lead[0]) if lead.len() else person_id
    theirs = clusters.filter(pl.col("cluster_id") == known_as)["person_id"]
    return known_as, frozenset({person_id, known_as, *theirs})


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
    found = _found(desk)
    _written(desk, viewer, found)
    days = table().limits["breakglass"]["review_working_days"]
    return page(
        request,
        viewer,
        "breakglass.html",
        status,
        **found,
        least=table().limits["breakglass"]["reason_least"],
        verdicts=openings.VERDICTS,
        days=days,
        typed=typed or {},
        errors=errors or {},
        at=at,
    )

"""Nominating somebody for a reserve place on the next list, with the reason."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.access import Viewer, allow
from api.answers.decisions import Nomination, Nominations, NominationSent
from api.deciding import About, about, act, errors_of, look
from api.forms import Typed
from api.people import shown_people
from api.routes.asked import Limit, Offset, both, desk_of, next_page
from api.templates import page
from risk import nominations
from risk.nominations import Named
from risk.written import FieldError

pages, data = both()

Nominator = Annotated[Viewer, allow("nominate", purpose=True)]
PAGE = "/persons/{person_id}/nominate"


@pages.get(PAGE)
def ask(request: Request, viewer: Nominator, person_id: str) -> HTMLResponse:
    """The form, or the nomination that is there."""
    desk, who = desk_of(request), about(request, viewer, person_id)
    look(desk, viewer, who, PAGE)
    return _form(request, viewer, who, {})


@pages.post(PAGE)
def nominated(request: Request, viewer: Nominator, person_id: str, form: Typed) -> Response:
    """Record it."""
    who = about(request, viewer, person_id)
    try:
        _nominate(request, viewer, who, Named(form.one("scope"), form.one("code"), form.one("reason")))
    except FieldError as fault:
        return _form(request, viewer, who, form.typed(), errors_of(fault), 400)
    return RedirectResponse(f"/persons/{quote(who.person_id, safe='')}/nominate", 303)


def _nominate(request: Request, viewer: Viewer, who: About, named: Named) -> tuple[dict[str, Any], bool]:
    desk = desk_of(request)
    return act(
        desk,
        viewer,
        who,
        PAGE,
        f"nomination: {named.code[:40]}",
        {"reason": named.reason},
        lambda: nominations.nominate(desk.db, viewer.who, who.person_id, named, who.seen.about, who.district),
    )


def _form(
    request: Request,
    viewer: Viewer,
    who: About,
    typed: dict[str, str],
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    return page(
        request,
        viewer,
        "nominate.html",
        status,
        who=who,
        codes=nominations.codes(),
        scopes=nominations.scopes(),
        typed=typed,
        errors=errors or {},
    )


@data.get(
    "/nominations", response_model=Nominations, tags=["decisions"], summary="Nominations that wait or hold"
)
def open_ones(request: Request, viewer: Nominator, offset: Offset = 0, limit: Limit = 100) -> dict[str, Any]:
    """Nominations of the viewer's districts that wait for a supervisor or hold a place, the oldest first."""
    found = nominations.open_nominations(desk_of(request).db)
    rows = [one for one in found if viewer.sees(one["district"])]
    shown = shown_people(request, viewer, "/api/v1/nominations", rows)
    part = shown.rows[offset : offset + limit]
    return {"nominations": part, "next": next_page(request, offset, limit, len(shown.rows))}


@data.post(
    "/persons/{person_id}/nomination",
    status_code=201,
    response_model=Nomination,
    tags=["decisions"],
    summary="Nominate a person",
)
def nominate_one(request: Request, viewer: Nominator, person_id: str, sent: NominationSent) -> dict[str, Any]:
    """Nominate for a reserve place; the nomination that waits or holds already, if one does."""
    who = about(request, viewer, person_id)
    return _nominate(request, viewer, who, Named(sent.scope, sent.code, sent.reason))[0]

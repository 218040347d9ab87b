"""Deciding about a person on a list, and what was decided so far."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.access import Viewer, allow
from api.answers.decisions import CONFLICT, Decision, DecisionSent, DecisionsOfPerson
from api.deciding import About, about, act, crossed, day_of, errors_of, look, number_of
from api.desk import Desk
from api.forms import Typed
from api.routes.asked import Limit, Offset, both, desk_of, next_page
from api.templates import page
from features.errors import InputError
from risk.decisions import Proposed, choices, decide, history, today
from risk.written import CrossedError, FieldError

pages, data = both()

Decider = Annotated[Viewer, allow("decide", purpose=True)]
PAGE = "/persons/{person_id}/decide"


@pages.get(PAGE)
def ask(
    request: Request,
    viewer: Decider,
    person_id: str,
    done: Annotated[str, Query(max_length=20)] = "",
) -> HTMLResponse:
    """The form, under what was decided so far."""
    desk, who = desk_of(request), about(request, viewer, person_id)
    look(desk, viewer, who, PAGE)
    return _form(request, viewer, who, {}, done=done)


@pages.post(PAGE)
def answer(request: Request, viewer: Decider, person_id: str, form: Typed) -> Response:
    """Record it; or say what is amiss, or who was first, with everything that was typed."""
    desk, who = desk_of(request), about(request, viewer, person_id, form.one("list_id"))
    typed = form.typed()
    try:
        proposed = Proposed(
            form.one("choice"),
            form.one(f"code_{form.one('choice')}") or form.one("code"),
            form.one("reason"),
            form.one("owner"),
            day_of(form, "due_on"),
            number_of(form, "version"),
        )
        _decide(desk, viewer, who, proposed)
    except FieldError as fault:
        errors = errors_of(fault)  # each choice has its own list of reasons
        errors = {f"code_{form.one('choice')}" if name == "code" else name: errors[name] for name in errors}
        return _form(request, viewer, who, typed, errors=errors, status=400)
    except CrossedError as fault:
        typed["version"] = str(max(one["version"] for one in fault.newer))
        again = about(request, viewer, person_id, form.one("list_id"))
        return _form(request, viewer, again, typed, newer=fault, status=409)
    latest = desk.latest()
    newer = latest is not None and who.seen.list_id not in (None, latest.list_id)
    done = "older-list" if newer else "decision"
    return RedirectResponse(f"/persons/{quote(who.person_id, safe='')}/decide?done={done}", 303)


def _decide(desk: Desk, viewer: Viewer, who: About, proposed: Proposed) -> dict[str, Any]:
    if not who.listed and who.standing.version == 0:
        raise InputError(
            "This person is not on the latest list, so there is no place to decide about.",
            where=who.person_id,
            cure="Nominate them for a place, or place a hold.",
        )
    return act(
        desk,
        viewer,
        who,
        PAGE,
        f"decision: {proposed.choice[:40]}",
        {"reason": proposed.reason, "owner": proposed.owner},
        lambda: decide(desk.db, viewer.who, who.person_id, proposed, who.seen),
    )


def _form(
    request: Request,
    viewer: Viewer,
    who: About,
    typed: dict[str, str],
    *,
    errors: dict[str, str] | None = None,
    newer: CrossedError | None = None,
    status: int = 200,
    done: str = "",
) -> HTMLResponse:
    return page(
        request,
        viewer,
        "decide.html",
        status,
        who=who,
        choices=choices(),
        typed={"version": str(who.standing.version), **typed},
        errors=errors or {},
        newer=newer,
        done=done,
        next_year=today().year + 1,
        history=history(desk_of(request).db, who.person_id, who.view.clusters),
    )


@data.get(
    "/persons/{person_id}/decisions",
    response_model=DecisionsOfPerson,
    tags=["decisions"],
    summary="What people decided about a person",
)
def so_far(
    request: Request,
    viewer: Annotated[Viewer, allow("person.read", purpose=True)],
    person_id: str,
    offset: Offset = 0,
    limit: Limit = 100,
) -> dict[str, Any]:
    """Where the person stands with those who decide, and everything that was written, newest first."""
    desk, who = desk_of(request), about(request, viewer, person_id)
    look(desk, viewer, who, "/api/v1/persons/{person_id}/decisions")
    lines = history(desk.db, who.person_id, who.view.clusters)
    return {
        "person_id": who.person_id,
        "standing": who.standing.as_dict(),
        "history": lines[offset : offset + limit],
        "next": next_page(request, offset, limit, len(lines)),
    }


@data.post(
    "/persons/{person_id}/decisions",
    status_code=201,
    response_model=Decision,
    responses=CONFLICT,
    tags=["decisions"],
    summary="Decide about a person on the latest list",
)
def decided(request: Request, viewer: Decider, person_id: str, sent: DecisionSent) -> Any:
    """Record a decision; 409 when somebody decided after the version you had seen."""
    desk, who = desk_of(request), about(request, viewer, person_id)
    proposed = Proposed(**sent.model_dump())
    try:
        return _decide(desk, viewer, who, proposed)
    except CrossedError as fault:
        return crossed(request, fault)

"""What is to be done about a person, by whom and when, and what came of it."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.access import Viewer, allow
from api.answers.decisions import CONFLICT, Action, Actions, ActionSent, ResultSent
from api.deciding import About, about, act, crossed, day_of, errors_of, look
from api.forms import Typed
from api.people import shown_people
from api.routes.asked import Limit, Offset, both, desk_of, next_page
from api.templates import page
from risk import actions
from risk.actions import Planned
from risk.decisions import today
from risk.written import CrossedError, FieldError

pages, data = both()

Decider = Annotated[Viewer, allow("decide", purpose=True)]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
PLAN, RESULT, OPEN = "/persons/{person_id}/action", "/actions/{action_id}", "/actions"


@pages.get(PLAN)
def ask(request: Request, viewer: Decider, person_id: str) -> HTMLResponse:
    """The form of an action."""
    desk, who = desk_of(request), about(request, viewer, person_id)
    look(desk, viewer, who, PLAN)
    return _plan_form(request, viewer, who, {})


@pages.post(PLAN)
def planned(request: Request, viewer: Decider, person_id: str, form: Typed) -> Response:
    """Record the action."""
    who = about(request, viewer, person_id)
    try:
        plan = Planned(form.one("kind"), form.one("reason"), form.one("owner"), day_of(form, "due_on"))
        _plan(request, viewer, who, plan)
    except FieldError as fault:
        return _plan_form(request, viewer, who, form.typed(), errors_of(fault), 400)
    return RedirectResponse(f"/persons/{quote(who.person_id, safe='')}/decide?done=action", 303)


def _plan(request: Request, viewer: Viewer, who: About, plan: Planned) -> dict[str, Any]:
    desk = desk_of(request)
    return act(
        desk,
        viewer,
        who,
        PLAN,
        f"action: {plan.kind[:40]}",
        {"reason": plan.reason, "owner": plan.owner},
        lambda: actions.plan(desk.db, viewer.who, who.person_id, plan, who.seen),
    )


def _plan_form(
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
        "action.html",
        status,
        who=who,
        kinds=actions.kinds(),
        next_year=today().year + 1,
        typed=typed,
        errors=errors or {},
    )


@pages.get(RESULT)
def came(request: Request, viewer: Decider, action_id: Number) -> HTMLResponse:
    """An action, and the form of its result."""
    desk = desk_of(request)
    one = actions.action(desk.db, action_id)
    who = about(request, viewer, one["person_id"])
    look(desk, viewer, who, RESULT)
    return _result_form(request, viewer, who, one, {})


@pages.post(RESULT)
def finished(request: Request, viewer: Decider, action_id: Number, form: Typed) -> Response:
    """Record the result; the second who does is told of the first."""
    one = actions.action(desk_of(request).db, action_id)
    who = about(request, viewer, one["person_id"])
    try:
        _finish(request, viewer, who, action_id, form.one("result"), form.one("reason"))
    except FieldError as fault:
        return _result_form(request, viewer, who, one, form.typed(), errors=errors_of(fault), status=400)
    except CrossedError as fault:
        return _result_form(request, viewer, who, fault.newer[0], form.typed(), newer=fault, status=409)
    return RedirectResponse(f"/persons/{quote(who.person_id, safe='')}/decide?done=result", 303)


def _finish(
    request: Request, viewer: Viewer, who: About, action_id: int, result: str, reason: str
) -> dict[str, Any]:
    desk = desk_of(request)
    return act(
        desk,
        viewer,
        who,
        RESULT,
        f"result: {result[:40]}",
        {"reason": reason},
        lambda: actions.finish(desk.db, viewer.who, action_id, result, reason, who.seen.about),
    )


def _result_form(
    request: Request,
    viewer: Viewer,
    who: About,
    one: dict[str, Any],
    typed: dict[str, str],
    *,
    errors: dict[str, str] | None = None,
    newer: CrossedError | None = None,
    status: int = 200,
) -> HTMLResponse:
    return page(
        request,
        viewer,
        "result.html",
        status,
        who=who,
        one=one,
        results=actions.results(),
        typed=typed,
        errors=errors or {},
        newer=newer,
    )


@pages.get(OPEN)
def to_do(
    request: Request,
    viewer: Decider,
    owner: Annotated[str, Query(max_length=80)] = "",
) -> HTMLResponse:
    """Every action without a result in the viewer's districts, the soonest due first."""
    rows, owners = _unfinished(request, viewer, owner)
    shown = shown_people(request, viewer, OPEN, rows)
    return page(request, viewer, "actions.html", shown=shown, owner=owner, owners=owners)


def _unfinished(request: Request, viewer: Viewer, owner: str) -> tuple[list[dict[str, Any]], list[str]]:
    every = [one for one in actions.unfinished(desk_of(request).db) if viewer.sees(one["district"])]
    owners = sorted({one["owner"] for one in every}, key=str.casefold)
    wanted = owner.strip().casefold()
    return [one for one in every if not wanted or one["owner"].casefold() == wanted], owners


@data.get("/actions", response_model=Actions, tags=["decisions"], summary="Actions without a result")
def open_actions(
    request: Request,
    viewer: Decider,
    owner: Annotated[str, Query(max_length=80, description="Of one owner alone.")] = "",
    offset: Offset = 0,
    limit: Limit = 100,
) -> dict[str, Any]:
    """Actions of the viewer's districts that have no result yet, the soonest due first."""
    rows, _ = _unfinished(request, viewer, owner)
    shown = shown_people(request, viewer, "/api/v1/actions", rows)
    part = shown.rows[offset : offset + limit]
    return {"actions": part, "next": next_page(request, offset, limit, len(shown.rows))}


@data.post(
    "/persons/{person_id}/actions",
    status_code=201,
    response_model=Action,
    tags=["decisions"],
    summary="Plan an action",
)
def plan_one(request: Request, viewer: Decider, person_id: str, sent: ActionSent) -> Any:
    """Record an action with its owner and its day."""
    who = about(request, viewer, person_id)
    return _plan(request, viewer, who, Planned(**sent.model_dump()))


@data.post(
    "/actions/{action_id}/result",
    status_code=201,
    response_model=Action,
    responses=CONFLICT,
    tags=["decisions"],
    summary="Record what came of an action",
)
def finish_one(request: Request, viewer: Decider, action_id: Number, sent: ResultSent) -> Any:
    """Record a result, once; 409 when there is one already."""
    one = actions.action(desk_of(request).db, action_id)
    who = about(request, viewer, one["person_id"])
    try:
        return _finish(request, viewer, who, action_id, sent.result, sent.reason)
    except CrossedError as fault:
        return crossed(request, fault)

"""Lawful options as the force's legal officer sees them: every fact with its mark and source, and a word on each.

This is the one place that shows a fact that was recalled and not checked, and says that it is one.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.access import Viewer, allow
from api.answers.options import CheckSent, OptionAnswer, OptionsAnswer
from api.desk import Desk
from api.forms import Typed
from api.routes.asked import both, desk_of
from api.templates import page
from features.errors import InputError
from risk.options import Check, checks, option, options, say, standings

pages, data = both()

Officer = Annotated[Viewer, allow("options.verify")]
PAGE = "/options/{option_id}"


@pages.get("/options")
def every(request: Request, viewer: Officer) -> HTMLResponse:
    """Every option with what stands behind it."""
    desk = desk_of(request)
    desk.look(viewer, "consultation", "/options")
    return page(request, viewer, "options.html", standings=standings(desk.db))


@pages.get(PAGE)
def one(request: Request, viewer: Officer, option_id: str) -> HTMLResponse:
    """One option, each fact with its mark, and the form to say what was found."""
    desk = desk_of(request)
    option(option_id)
    desk.look(viewer, "consultation", PAGE, detail=option_id)
    return _form(request, viewer, option_id, {"wording": option(option_id).wording})


@pages.post(PAGE)
def said(request: Request, viewer: Officer, option_id: str, form: Typed) -> Response:
    """Write down what the legal officer says."""
    desk, typed = desk_of(request), form.typed()
    option(option_id)
    desk.look(
        viewer, "alteration", PAGE, detail=f"{option_id}: {form.one('verdict') or 'no answer'}"
    )  # before it is written
    try:
        _say(desk, viewer, option_id, typed)
    except InputError as fault:
        return _form(
            request, viewer, option_id, typed, {fault.where or "": f"{fault.what} {fault.cure}"}, 400
        )
    return RedirectResponse("/options", 303)


@data.get("/options", response_model=OptionsAnswer, tags=["options"], summary="Lawful options")
def all_options(request: Request, viewer: Officer) -> dict[str, Any]:
    """Every option with every fact, its mark and source, and who verified it."""
    desk = desk_of(request)
    desk.look(viewer, "consultation", "/api/v1/options")
    known = checks(desk.db)
    found = {standing.option.option_id: standing for standing in standings(desk.db)}
    return {"options": [_told(found[one.option_id], known.get(one.option_id, [])) for one in options()]}


@data.post(
    "/options/{option_id}/checks",
    status_code=201,
    response_model=OptionAnswer,
    tags=["options"],
    summary="Verify or refuse an option",
)
def check_one(request: Request, viewer: Officer, option_id: str, sent: CheckSent) -> dict[str, Any]:
    """What a legal officer says of an option, as it was worded when they read it."""
    desk = desk_of(request)
    option(option_id)
    desk.look(
        viewer, "alteration", "/api/v1/options/{option_id}/checks", detail=f"{option_id}: {sent.verdict}"
    )
    _say(desk, viewer, option_id, sent.model_dump())
    standing = next(one for one in standings(desk.db) if one.option.option_id == option_id)
    return _told(standing, checks(desk.db)[option_id])


def _say(desk: Desk, viewer: Viewer, option_id: str, typed: dict[str, str]) -> Check:
    return say(
        desk.db,
        option_id,
        typed.get("verdict", ""),
        wording=typed.get("wording", ""),
        source=typed.get("source", ""),
        note=typed.get("note", ""),
        username=viewer.account,
        name=viewer.name,
    )


def _told(standing: Any, said: list[Check]) -> dict[str, Any]:
    asked = standing.option
    return standing.as_dict() | {
        "wording": asked.wording,
        "limited": asked.limited,
        "facts": asked.facts,
        "checks": said,
    }


def _form(
    request: Request,
    viewer: Viewer,
    option_id: str,
    typed: dict[str, str],
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    db = desk_of(request).db
    standing = next(one for one in standings(db) if one.option.option_id == option_id)
    return page(
        request,
        viewer,
        "option.html",
        status,
        standing=standing,
        option=standing.option,
        said=checks(db).get(option_id, []),
        typed=typed,
        errors=errors or {},
    )

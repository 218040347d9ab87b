"""What persons are opened for: asked once a task, with the reference it is known by."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.access import Viewer, allow
from api.answers.access import Me
from api.auth import accounts, sessions
from api.auth.table import table
from api.forms import Typed
from api.routes.asked import both, desk_of
from api.routes.signin import local
from api.templates import page
from features.errors import InputError

pages, data = both()

PAGE = "/purpose"


@pages.get("/purpose")
def ask(request: Request, viewer: Annotated[Viewer, allow("home")], next: str = "") -> HTMLResponse:
    """What the next persons are opened for."""
    return _ask(request, viewer, next)


@pages.post("/purpose")
def choose(request: Request, viewer: Annotated[Viewer, allow("home")], form: Typed) -> Response:
    """Bind this session to a task."""
    desk = desk_of(request)
    purpose, reference, then = form.one("purpose"), form.one("reference"), form.one("next")
    try:
        task = sessions.set_task(
            desk.db, viewer.session or "", accounts.need(desk.db, viewer.account), purpose, reference
        )
    except InputError as fault:
        return _ask(request, viewer, then, form.typed(), {fault.where: f"{fault.what} {fault.cure}"}, 400)
    desk.look(viewer, "access", PAGE, detail=f"task: {task.purpose}, {task.reference}")
    return RedirectResponse(local(then), 303)


@pages.post("/purpose/end")
def end(request: Request, viewer: Annotated[Viewer, allow("home")]) -> Response:
    """The task is done."""
    desk = desk_of(request)
    sessions.end_task(desk.db, viewer.session or "")
    desk.look(viewer, "access", PAGE, detail="task ended")
    return RedirectResponse("/", 303)


@data.get("/me", response_model=Me, tags=["service"], summary="Who is signed in, and what they may do")
def me(viewer: Annotated[Viewer, allow("home")]) -> dict[str, Any]:
    """The account behind the session or token, the capabilities it holds, and its task."""
    task = viewer.task
    return {
        "username": viewer.account,
        "name": viewer.name,
        "role": viewer.role,
        "districts": list(viewer.districts),
        "duties": list(viewer.duties),
        "may": [key for key in table().capabilities if viewer.may(key)],
        "task": task and {"purpose": task.purpose, "reference": task.reference, "until": task.expires_at},
    }


def _ask(
    request: Request,
    viewer: Viewer,
    then: str,
    typed: dict[str, str] | None = None,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    return page(
        request,
        viewer,
        "purpose.html",
        status,
        next=local(then),
        purposes=table().purposes_of(viewer.role),
        typed=typed or {},
        errors=errors or {},
    )

"""Errors as answers: problem+json (RFC 9457) for machines, a plain page for people, always with a cure."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from features.errors import DoorstepError, InputError, NotFoundError
from risk.store import StoreAwayError

LOG = logging.getLogger("doorstep")
MEDIA = "application/problem+json"
TITLES = {
    400: "That could not be understood",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "That cannot be done here",
    409: "Changed meanwhile",
    413: "Too large",
    414: "Too long",
    429: "Too many requests",
    500: "Doorstep failed",
    503: "The database is away",
}


class RefusedError(DoorstepError):
    """Something that is refused with a status of its own; ``headers`` go with the answer."""

    def __init__(
        self, status: int, what: str, cure: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        self.status, self.headers = status, dict(headers or {})
        super().__init__(what, cure=cure)


class ElsewhereError(Exception):
    """The answer to a page is another page of Doorstep: sign in first, say what for."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(path)


def problem(status: int, detail: str, cure: str, title: str | None = None) -> dict[str, Any]:
    """The five members of an error: type, title, status, detail, cure."""
    return {
        "type": "about:blank",
        "title": title or TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "cure": cure,
    }


def answer(request: Request, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """The error in the form the request was made in; a page keeps the menu of who is signed in."""
    if request.url.path.startswith("/api/"):
        return JSONResponse(body, body["status"], media_type=MEDIA, headers=dict(headers or {}))
    viewer = request.scope.get("state", {}).get("viewer")
    made = request.app.state.pages.get_template("error.html")
    return HTMLResponse(
        made.render(problem=body, health=None, viewer=viewer, path="/"),
        body["status"],
        headers=dict(headers or {}),
    )


def install(app: FastAPI) -> None:
    """Answer every expected fault as a problem."""

    @app.exception_handler(DoorstepError)
    async def _ours(request: Request, fault: DoorstepError) -> Response:
        return of_fault(request, fault)

    @app.exception_handler(ElsewhereError)
    async def _elsewhere(request: Request, fault: ElsewhereError) -> Response:
        return RedirectResponse(fault.path, 303)

    @app.exception_handler(RequestValidationError)
    async def _shape(request: Request, fault: RequestValidationError) -> Response:
        said = "; ".join(f"{'.'.join(str(p) for p in e['loc'][1:])}: {e['msg']}" for e in fault.errors())
        return answer(request, problem(400, said, "Correct the address and try again."))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, fault: HTTPException) -> Response:
        cure = "Start from the first page." if fault.status_code == 404 else "Use the links on the pages."
        return answer(request, problem(fault.status_code, str(fault.detail), cure))


def of_fault(request: Request, fault: DoorstepError) -> Response:
    """The answer to an expected fault: its own status, 404 for what is not there, 400 for bad input, 503 for a
    database that is away, else 500."""
    if isinstance(fault, RefusedError):
        return answer(request, problem(fault.status, fault.what, fault.cure), fault.headers)
    if isinstance(fault, StoreAwayError):
        said = "The database does not answer, so nothing can be written down and nothing is shown."
        cure = "Try again in a minute; what you typed is still in the form when you go back."
        return answer(request, problem(503, said, cure), {"Retry-After": "30"})
    if (own := getattr(fault, "status", None)) is not None:
        return answer(request, problem(own, fault.what, fault.cure))
    status = 404 if isinstance(fault, NotFoundError) else 400 if isinstance(fault, InputError) else 500
    return answer(request, problem(status, fault.what, fault.cure))


def unexpected(request: Request, fault: Exception) -> Response:
    """Our own fault: logged by the route's name, never the address, because an address names a person."""
    LOG.error("%s in %s", type(fault).__name__, getattr(request.scope.get("route"), "path", "no route"))
    cure = "Try again; if it fails again, tell the person who runs Doorstep the time."
    return answer(request, problem(500, "Something went wrong that is not your fault.", cure))

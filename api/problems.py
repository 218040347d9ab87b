"""Errors as answers: problem+json (RFC 9457) for machines, a plain page for people, always with a cure."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from features.errors import DoorstepError, InputError, NotFoundError

LOG = logging.getLogger("doorstep")
MEDIA = "application/problem+json"
TITLES = {
    400: "That could not be understood",
    403: "Not from here",
    404: "Not found",
    405: "That cannot be done here",
    409: "Not ready yet",
    500: "Doorstep failed",
}


def problem(status: int, detail: str, cure: str, title: str | None = None) -> dict[str, Any]:
    """The five members of an error: type, title, status, detail, cure."""
    return {
        "type": "about:blank",
        "title": title or TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "cure": cure,
    }


def answer(request: Request, body: dict[str, Any]) -> Response:
    """The error in the form the request was made in."""
    if request.url.path.startswith("/api/"):
        return JSONResponse(body, body["status"], media_type=MEDIA)
    page = request.app.state.pages.get_template("error.html").render(problem=body, health=None)
    return HTMLResponse(page, body["status"])


def install(app: FastAPI) -> None:
    """Answer every expected fault as a problem."""

    @app.exception_handler(DoorstepError)
    async def _ours(request: Request, fault: DoorstepError) -> Response:
        status = 404 if isinstance(fault, NotFoundError) else 400 if isinstance(fault, InputError) else 500
        return answer(request, problem(status, fault.what, fault.cure))

    @app.exception_handler(RequestValidationError)
    async def _shape(request: Request, fault: RequestValidationError) -> Response:
        said = "; ".join(f"{'.'.join(str(p) for p in e['loc'][1:])}: {e['msg']}" for e in fault.errors())
        return answer(request, problem(400, said, "Correct the address and try again."))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, fault: HTTPException) -> Response:
        cure = "Start from the first page." if fault.status_code == 404 else "Use the links on the pages."
        return answer(request, problem(fault.status_code, str(fault.detail), cure))


def unexpected(request: Request, fault: Exception) -> Response:
    """Our own fault: logged by the route's name, never the address, because an address names a person."""
    LOG.error("%s in %s", type(fault).__name__, getattr(request.scope.get("route"), "path", "no route"))
    cure = "Try again; if it fails again, tell the person who runs Doorstep the time."
    return answer(request, problem(500, "Something went wrong that is not your fault.", cure))

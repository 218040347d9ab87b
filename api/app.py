"""The service: JSON under /api/v1, the same as pages without the prefix, on this machine alone.

``create_app(home)`` needs none of the training libraries. It refuses a home with operational records until there is
sign-in, answers only loopback requests, and sends a content policy under which no script can run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles

from api import problems
from api.desk import Desk, refuse_operational
from api.routes import routers
from api.templates import environment
from features.home import Home

HERE = Path(__file__).parent
LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1", "[::1]"}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def create_app(home: Home | Path) -> FastAPI:
    """The service over a home folder. Raises InputError when the home holds operational records."""
    place = home if isinstance(home, Home) else Home(Path(home))
    refuse_operational(place)
    app = FastAPI(
        title="Doorstep",
        version="1",
        summary="Explained priority lists for domestic-abuse work.",
        description="Every look at a person is written to looks.jsonl. Nothing here acts: a named person decides.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # the usual page loads scripts from elsewhere
        redoc_url=None,
    )
    app.state.desk = Desk(place)
    app.state.pages = environment()
    app.middleware("http")(_guard)
    problems.install(app)
    for router in routers():
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    return app


async def _guard(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
    """Loopback only, by the address it came from and the name it asked for; safety headers on every answer."""
    if _from_elsewhere(request):
        detail = "Doorstep answers only this machine until there is sign-in."
        cure = "Open http://127.0.0.1 with its port on the machine itself."
        response = problems.answer(request, problems.problem(403, detail, cure))
    else:
        try:
            response = await go_on(request)
        except Exception as fault:
            response = problems.unexpected(request, fault)
    response.headers.update(HEADERS)
    return response


def _from_elsewhere(request: Request) -> bool:
    name = (request.url.hostname or "").lower()
    if name not in LOOPBACK_NAMES:
        return True
    try:
        return request.client is not None and not ip_address(request.client.host).is_loopback
    except ValueError:  # a test client's name, which is no network address
        return False

"""The service: JSON under /api/v1, the same as pages without the prefix, behind sign-in.

``create_app(home)`` needs none of the training libraries. Every route goes through ``api.access``; every request
through ``api.gate``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from anyio import to_thread
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware

from api import problems
from api.access import unguarded
from api.auth.oidc import Provider
from api.auth.rates import Rates
from api.auth.secrets import Key
from api.days import Days
from api.desk import Desk
from api.gate import HEADERS, Gate
from api.openapi import document
from api.ready import Ready
from api.routes import routers
from api.settings import Settings
from api.templates import environment
from features.errors import DoorstepError
from features.home import Home
from risk.audit import carry_head
from risk.audit_heads import beside_the_rows

__all__ = ["HEADERS", "create_app"]

LOG = logging.getLogger("doorstep")
HERE = Path(__file__).parent
FLOW_SECONDS = 600  # how long a person may take at the identity provider
HEAD_SECONDS = 600  # how often to see whether the head of the audit trail is due
AT_WORK = 4  # requests being worked on; more at once than processors only get in each other's way
PACKING = 1  # a list takes a third of the time that 5 takes and is a quarter larger
SMALLEST_PACKED = 1024  # bytes; a smaller answer is sent as it is


def create_app(home: Home | Path, settings: Settings | None = None) -> FastAPI:
    """The service over a home folder. Raises InputError for settings or a home it cannot work with."""
    place = home if isinstance(home, Home) else Home(Path(home))
    chosen = settings or Settings.of(place.path)
    app = FastAPI(
        title="Doorstep",
        version="1",
        summary="Explained priority lists for domestic-abuse work.",
        description="Every look at a person is written to the audit trail. Nothing here acts: a named person decides.",
        openapi_url=None,  # served by a route of ours, behind sign-in
        docs_url=None,  # the usual page loads scripts from elsewhere
        redoc_url=None,
        lifespan=_running,
    )
    key = Key.of(place.path)
    app.state.desk = Desk(place)
    app.state.days = Days(app.state.desk)
    app.state.pages = environment()
    app.state.settings = chosen
    app.state.key = key
    app.state.provider = Provider(chosen) if chosen.oidc_issuer else None
    app.state.rates = Rates(scale=chosen.rate_scale)
    # What the sign-in library keeps between leaving for the identity provider and coming back; nothing else uses it.
    app.add_middleware(
        SessionMiddleware,
        secret_key=key.seal("flow", "cookie"),
        session_cookie="__Host-doorstep-flow" if chosen.tls else "doorstep-flow",
        max_age=FLOW_SECONDS,
        same_site="lax",
        https_only=chosen.tls,
    )
    app.add_middleware(GZipMiddleware, minimum_size=SMALLEST_PACKED, compresslevel=PACKING)
    app.add_middleware(Gate, settings=chosen)
    problems.install(app)
    for router in routers():
        app.include_router(router)
    app.openapi = lambda: document(app)  # type: ignore[method-assign]
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    if loose := unguarded(app.routes):
        raise RuntimeError(
            f"no guard stands before {'; '.join(loose)}: api.access.allow, or access.toml [open]"
        )
    return app


@asynccontextmanager
async def _running(app: FastAPI) -> AsyncIterator[None]:
    """While the service runs the head of the audit trail is carried out when due, and once more when it stops."""
    desk: Desk = app.state.desk
    to_thread.current_default_thread_limiter().total_tokens = AT_WORK
    await to_thread.run_sync(_begin_heads, desk)
    clock = asyncio.create_task(_carry_heads(desk))
    desk.search.warm()
    ready = Ready(desk, app.state.days)
    ready.start()
    try:
        yield
    finally:
        clock.cancel()
        await to_thread.run_sync(ready.stop)
        with suppress(asyncio.CancelledError):
            await clock
        await to_thread.run_sync(lambda: carry_head(desk.db, desk.path, always=True))
        desk.db.close()


def _begin_heads(desk: Desk) -> None:
    """Carry a head before the first request, so that what was cut while nothing ran shows; and say where heads stand
    in a place that cannot vouch for them."""
    try:
        carry_head(desk.db, desk.path, always=True)
    except DoorstepError as fault:  # requests that are to be written down say so themselves
        LOG.error("%s %s", fault.what, fault.cure)
    nature = desk.load().nature if desk.home.current() else None
    if nature == "operational" and (words := beside_the_rows(desk.path)):
        LOG.warning(words)


async def _carry_heads(desk: Desk) -> None:
    while True:
        await asyncio.sleep(HEAD_SECONDS)
        with suppress(DoorstepError):  # the next request that is to be written down says so itself
            await to_thread.run_sync(lambda: carry_head(desk.db, desk.path))

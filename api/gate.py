"""What every request passes, outermost: where it may come from, how large it may be, safety headers on every answer,
and a row of the audit trail for every guarded route that wrote none itself, before anything of the answer leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from anyio import to_thread
from fastapi import Request
from fastapi.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.auth.table import table
from api.settings import Settings
from features.errors import DoorstepError
from risk.audit import record

LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1", "[::1]"}
SHUT = {403, 404}  # not theirs, or not there: the two are told apart by nobody who is not to know
BODIES = {"POST", "PUT", "PATCH", "DELETE"}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action 'self'; "
        "base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",  # with no-referrer browsers post forms of our own with the origin "null"
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
TLS_HEADERS = {"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}
KEPT_BY_BROWSERS = "public, max-age=31536000, immutable"  # a static file's address changes with its content


class Gate:
    """The outermost layer of the service, written against ASGI itself: it costs a page next to nothing."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings
        every = HEADERS | (TLS_HEADERS if settings.tls else {})
        self._headers = [(name.lower().encode(), value.encode()) for name, value in every.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        request = Request(scope)
        answering = _Answering(self, request, receive, send)
        refusal = self._refusal(request)
        if refusal is None and scope["method"] in BODIES:
            body = await _whole(receive, table().limit("requests", "most_body_bytes"))
            if body is None:
                refusal = problems.problem(
                    413, "What was sent is larger than any form here.", "Shorten it and send it again."
                )
            else:
                state["body"] = body
                receive = _again(body, receive)
        if refusal is not None:
            await problems.answer(request, refusal)(scope, receive, answering.send)
            return
        try:
            await self.app(scope, receive, answering.send)
        except Exception as fault:
            if answering.begun:
                raise
            await problems.unexpected(request, fault)(scope, receive, answering.send)

    def dressed(
        self, path: str, headers: list[tuple[bytes, bytes]], status: int
    ) -> list[tuple[bytes, bytes]]:
        """The headers of an answer with those of safety; what a route set itself stays."""
        kept = {name.lower() for name, _ in headers}
        added = [(name, value) for name, value in self._headers if name not in kept]
        if path.startswith("/static/") and status in (200, 304):
            added = [(n, KEPT_BY_BROWSERS.encode() if n == b"cache-control" else v) for n, v in added]
        return [*headers, *added]

    def _refusal(self, request: Request) -> dict[str, Any] | None:
        """Why a request is not even looked at, as a problem."""
        if self._from_elsewhere(request):
            cure = "Open http://127.0.0.1 with its port on the machine itself."
            if self.settings.tls:
                cure = f"Open {self.settings.public_url}."
            return problems.problem(403, "Doorstep does not answer at this address.", cure)
        if len(request.scope.get("raw_path") or b"") + len(request.scope["query_string"]) > table().limit(
            "requests", "most_address_bytes"
        ):
            said = "The address is longer than any search or page of Doorstep."
            return problems.problem(414, said, "Search for fewer words, or paste one reference.")
        return None

    def _from_elsewhere(self, request: Request) -> bool:
        name = (request.url.hostname or "").lower()
        if self.settings.host is not None:
            return name != self.settings.host.lower()
        if name not in LOOPBACK_NAMES:
            return True
        try:
            return request.client is not None and not ip_address(request.client.host).is_loopback
        except ValueError:  # a test client's name, which is no network address
            return False


class _Answering:
    """Sends one answer: headers of safety, and the audit row before the first byte."""

    def __init__(self, gate: Gate, request: Request, receive: Receive, send: Send) -> None:
        self.gate, self.request, self.receive, self._send = gate, request, receive, send
        self.begun = False
        self._replaced = False

    async def send(self, message: Message) -> None:
        """Pass a message on, unless the act could not be written down: then say so in its place."""
        if self._replaced:
            return
        if message["type"] == "http.response.start":
            fault = await self._written(message["status"])
            if fault is not None:
                await self._instead(problems.of_fault(self.request, fault))
                return
            self.begun = True
            headers = self.gate.dressed(self.request.url.path, list(message["headers"]), message["status"])
            message = {**message, "headers": headers}
        await self._send(message)

    async def _instead(self, response: Response) -> None:
        self.begun = True

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = self.gate.dressed(
                    self.request.url.path, list(message["headers"]), message["status"]
                )
                message = {**message, "headers": headers}
            await self._send(message)

        await response(self.request.scope, self.receive, dressed)
        self._replaced = True

    async def _written(self, status: int) -> DoorstepError | None:
        """See that a guarded request has its row; the fault when it cannot be written."""
        viewer = self.request.scope["state"].get("viewer")
        if viewer is None or viewer.written:
            return None
        try:
            await to_thread.run_sync(_plain_row, self.request, viewer, status)
        except DoorstepError as fault:
            viewer.written.append(0)  # the answer that says so needs no row
            return fault
        return None


def _plain_row(request: Request, viewer: Any, status: int) -> None:
    """The row of a request whose route wrote none."""
    desk = request.app.state.desk
    page = getattr(request.scope.get("route"), "path", request.url.path)
    asked: Mapping[str, Any] = request.scope.get("path_params", {})
    task = viewer.task
    persons = asked_about(asked)
    viewer.written.append(
        record(
            desk.db,
            desk.path,
            viewer.who,
            "access" if status in SHUT else "consultation",
            page,
            persons=persons,
            list_id=asked.get("list_id"),
            purpose=task.purpose if task else None,
            reference=task.reference if task else None,
            detail=_said(status),
        )
    )


def asked_about(asked: Mapping[str, Any]) -> list[str]:
    """The references of persons in an address, whether there are such persons or not: who tried is to be found by whom
    they tried. Cut to what a reference may be."""
    most = table().limit("requests", "most_reference")
    return [str(asked[name])[:most] for name in ("person_id", "a", "b") if name in asked]


def _said(status: int) -> str:
    if status == 200:
        return ""
    return f"refused: answered {status}" if status in SHUT else f"answered {status}"


async def _whole(receive: Receive, most: int) -> bytes | None:
    """The whole body, or None when it is larger than may be."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""  # the client went away
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more, for whoever reads the request next."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay

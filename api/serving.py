"""Running the service: on this machine alone, or behind TLS that a setting states; a free port, one clear address."""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from api.settings import Settings
from features.errors import InputError
from features.home import Home

LOOPBACK = {"127.0.0.1": socket.AF_INET, "localhost": socket.AF_INET, "::1": socket.AF_INET6}

MOST_AT_ONCE = 250
"""Requests waiting or being answered; one more is told to come again, so that a rush is over when it is over."""


def run(home: Home, *, host: str = "127.0.0.1", port: int = 8000, say: Callable[[str], None] = print) -> None:
    """Serve until stopped. Raises InputError for a host that TLS does not stand before, a busy port, or settings that
    are not understood."""
    import uvicorn

    from api.app import create_app
    from api.auth.first import first_administrator

    settings = Settings.of(home.path)
    family = _family(host, tls=settings.tls)
    app = create_app(home, settings)
    _refuse_busy(host, port, family)
    if password := first_administrator(app.state.desk.db):
        say("Nobody can sign in yet, so here is the first account, for the next 24 hours:")
        say(f"  username administrator, password {password} (to be changed at once)")
    shown = f"[{host}]" if ":" in host else host
    where = settings.public_url or f"http://{shown}:{port}"
    say(f"Open {where} (stop with Ctrl+C)")
    uvicorn.run(app, host=host, port=port, **options(settings))


def options(settings: Settings) -> dict[str, Any]:
    """How the service runs under uvicorn.

    No access log: an address names a person. Looks are in the audit trail. What stands in front is believed about a
    client's address only when the settings say that something does.
    """
    return {
        "log_level": "warning",
        "access_log": False,
        "server_header": False,
        "limit_concurrency": MOST_AT_ONCE,
        "proxy_headers": settings.tls,
        "forwarded_allow_ips": settings.proxy if settings.tls else "",
    }


def _family(host: str, *, tls: bool) -> socket.AddressFamily:
    """The kind of address to listen on. InputError for one beyond this machine without TLS in front."""
    if host in LOOPBACK:
        return LOOPBACK[host]
    if not tls:
        raise InputError(
            f"Doorstep serves beyond this machine only behind TLS, and none is stated, so not on {host}.",
            where="--host",
            cure="Put a TLS proxy in front and state its address: DOORSTEP_PUBLIC_URL=https://…; or use 127.0.0.1.",
        )
    try:
        return socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
    except ValueError as fault:
        raise InputError(
            f"{host} is not an address to listen on.", where="--host", cure="Give a number such as 10.0.0.5."
        ) from fault


def _refuse_busy(host: str, port: int, family: socket.AddressFamily) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as fault:
            raise InputError(
                f"Port {port} cannot be used: {fault.strerror}.",
                where="--port",
                cure="Choose another: --port 8001.",
            ) from fault

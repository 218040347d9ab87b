"""Running the service: loopback only, a free port, one clear line with the address."""

from __future__ import annotations

import socket
from collections.abc import Callable

from features.errors import InputError
from features.home import Home

LOOPBACK = {"127.0.0.1": socket.AF_INET, "localhost": socket.AF_INET, "::1": socket.AF_INET6}


def run(home: Home, *, host: str = "127.0.0.1", port: int = 8000, say: Callable[[str], None] = print) -> None:
    """Serve until stopped. Raises InputError for another host, a busy port or a home that may not be served."""
    if host not in LOOPBACK:
        raise InputError(
            f"Doorstep serves on this machine alone until there is sign-in, not on {host}.",
            where="--host",
            cure="Use 127.0.0.1.",
        )
    import uvicorn

    from api.app import create_app

    app = create_app(home)
    _refuse_busy(host, port)
    shown = f"[{host}]" if ":" in host else host
    say(f"Open http://{shown}:{port} (stop with Ctrl+C)")
    # No access log: an address names a person. Looks are in looks.jsonl.
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False, server_header=False)


def _refuse_busy(host: str, port: int) -> None:
    with socket.socket(LOOPBACK[host], socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as fault:
            raise InputError(
                f"Port {port} cannot be used: {fault.strerror}.",
                where="--port",
                cure="Choose another: --port 8001.",
            ) from fault

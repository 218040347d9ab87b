"""Clients that are signed in, for tests of pages and answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from api.auth import accounts, sessions
from api.auth.sessions import Session

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

BASE = "http://127.0.0.1:8000"


def client_of(
    home: Path,
    role: str,
    *,
    purpose: str | None = "investigation",
    reference: str = "TEST",
    districts: Sequence[str] = (),
    username: str | None = None,
    duties: Sequence[str] = (),
    app: FastAPI | None = None,
) -> TestClient:
    """A client of a service over ``home``, signed in as a new or known account of ``role``, its task chosen.

    A role that has no such purpose has no task. ``app`` is a service already made over the same home.
    """
    from fastapi.testclient import TestClient

    from api.app import create_app
    from api.auth.table import table

    service = app or create_app(home)
    client = TestClient(service, base_url=BASE, follow_redirects=True)
    db = service.state.desk.db
    name = username or f"test.{role}"
    account = accounts.find(db, name)
    if account is None:
        account = accounts.add(
            db, name, role=role, by="tests", name=f"Test {role}", districts=districts, duties=duties
        )
    elif (account.role, account.districts, account.duties) != (role, tuple(districts), tuple(duties)):
        accounts.change(db, name, role=role, districts=districts, duties=duties)
        account = accounts.need(db, name)
    secret = sessions.start(db, account, method="password", source="testclient")
    session = sessions.find(db, secret)
    assert session is not None
    if purpose in {one.key for one in table().purposes_of(role)}:
        sessions.set_task(db, session.digest, account, str(purpose), reference)
    client.cookies.set("doorstep", secret)
    client.headers["X-CSRF-Token"] = session.csrf
    return client


def session_of(client: TestClient) -> Session:
    """The session a client is signed in with."""
    found = sessions.find(client.app.state.desk.db, client.cookies["doorstep"])  # type: ignore[attr-defined]
    assert found is not None
    return found

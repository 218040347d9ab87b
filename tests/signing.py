"""Clients that are signed in, for tests of pages and answers; and the fixtures of the tests of sign-in itself
(``pytest_plugins = ("tests.signing",)``)."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from api.auth import accounts, passwords, sessions
from api.auth.sessions import Session
from risk.store import Database

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

BASE = "http://127.0.0.1:8000"
PASSWORD = "Kwanzaa velvet trombone"


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


@pytest.fixture(scope="module")
def quick_hashes() -> Any:
    """Argon2 with little memory, so that the tests take seconds: what it costs a guesser is tested by itself."""
    from argon2 import PasswordHasher

    kept = passwords._HASHER
    passwords._HASHER = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    yield
    passwords._HASHER = kept


@pytest.fixture(scope="module")
def service(small_home: Path, tmp_path_factory: pytest.TempPathFactory, quick_hashes: Any) -> FastAPI:
    """A service over a copy of the home, whose rates are out of the way."""
    from api.app import create_app
    from api.settings import Settings

    home = tmp_path_factory.mktemp("signin") / "home"
    shutil.copytree(small_home, home)
    return create_app(home, Settings(rate_scale=100))


@pytest.fixture
def db(service: FastAPI) -> Database:
    found: Database = service.state.desk.db
    return found


@pytest.fixture
def browser(service: FastAPI) -> TestClient:
    """A browser in which nobody is signed in."""
    from fastapi.testclient import TestClient

    return TestClient(service, base_url=BASE, follow_redirects=False)


@pytest.fixture
def somebody(db: Database, request: pytest.FixtureRequest) -> str:
    """The username of a fresh account with the password above."""
    name = re.sub(r"\W+", "-", request.node.name).lower().strip("-")[:60]
    accounts.add(db, name, role="dalo", by="tests", name="Sam Okafor", password=PASSWORD, one_time=False)
    return name


def token_in(page: str) -> str:
    """The token of the forms of a page."""
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None, page[:500]
    return found[1]


def sign_in(browser: TestClient, username: str, password: str = PASSWORD, then: str = "") -> Any:
    """Sign in as a person does, from the page."""
    sent = {"csrf": token_in(browser.get("/sign-in").text), "next": then}
    return browser.post("/sign-in", data=sent | {"username": username, "password": password})


def changed(db: Database, what: sa.Table, where: Any, **values: Any) -> None:
    """Change rows behind the service's back: time that has passed."""
    with db.begin() as store:
        assert store.execute(sa.update(what).where(where).values(values)).rowcount

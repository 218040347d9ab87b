"""Decisions, holds, nominations and supervision as people meet them: on pages, and as JSON beside them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from features.clocks import parse_as_of
from features.home import Home
from risk.priority import publish
from tests.databases import trail_of
from tests.signing import client_of

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

NEXT_WEEK = (date.today() + timedelta(days=7)).isoformat()
WHY = "Two partners say the same as the records"


@pytest.fixture(scope="module")
def _listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.conftest import make_home

    home = make_home(tmp_path_factory.mktemp("listed"))
    publish(Home(home), parse_as_of("2025-06-01"))
    return home


@pytest.fixture
def home(_listed: Path, tmp_path: Path) -> Path:
    """A home with one list, to be changed."""
    return Path(shutil.copytree(_listed, tmp_path / "home"))


@pytest.fixture
def team(home: Path) -> Callable[..., TestClient]:
    """Makes clients of one running service over the home, by role and name."""
    app: list[Any] = []

    def one(role: str = "proactive", username: str | None = None, **more: Any) -> TestClient:
        made = client_of(home, role, username=username or role, app=app[0] if app else None, **more)
        app[:] = [made.app]
        return made

    return one


def adopting(version: int = 0, **changes: str) -> dict[str, str]:
    """The form of a decision, filled in."""
    typed = {
        "choice": "adopt",
        "code_adopt": "records",
        "reason": WHY,
        "owner": "DC 4411",
        "due_on": NEXT_WEEK,
    }
    return typed | {"version": str(version)} | changes


def lowering(version: int = 0) -> dict[str, str]:
    return adopting(version, choice="disagree_down", code_disagree_down="changed")


def test_an_officer_decides_and_sees_what_was_decided(team: Callable[..., TestClient], home: Path) -> None:
    ann = team(username="ann")
    form = ann.get("/persons/P1/decide")
    assert form.status_code == 200
    assert "Adam Quillmark" in form.text
    assert "Nobody has decided yet" in form.text
    done = ann.post("/persons/P1/decide", data=adopting())
    assert done.status_code == 200
    assert "The decision is recorded" in done.text
    assert "DC 4411" in done.text
    rows = [row for row in trail_of(home) if row["act"] == "alteration"]
    assert [(row["username"], row["detail"], row["persons"]) for row in rows] == [
        ("ann", "decision: adopt", ["P1"])
    ]

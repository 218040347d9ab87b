"""Before anybody asks the service has today's list and the pages of those on it at hand."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

import api.person_facts
from api.app import create_app
from api.days import Days
from api.desk import Desk
from api.person_facts import facts_of
from api.ready import Ready
from features.append import append
from features.home import Home

NEW = {
    "event_id": "N1", "kind": "crime", "occurred_at": "2025-06-01T04:00Z", "domestic": "Y", "source": "victim",
    "recorded_at": "2025-06-01T04:30Z",
}  # fmt: skip


@pytest.fixture
def home(small_home: Path, tmp_path: Path) -> Path:
    """The hand-made force with its lists, to be changed."""
    return Path(shutil.copytree(small_home, tmp_path / "home"))


def listed(desk: Desk) -> list[str]:
    latest = desk.latest()
    assert latest is not None
    return latest.rows.filter("listed")["person_id"].to_list()


def refuse_work(*_: Any, **__: Any) -> None:
    raise AssertionError("worked out again")


def test_the_pages_of_those_listed_are_at_hand(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(Home(home))
    latest = desk.latest()
    assert latest is not None
    ready = Ready(desk, Days(desk))
    ready.work((desk.state(), latest.list_id))
    monkeypatch.setattr(api.person_facts, "person", refuse_work)
    open_ones = [person for person in listed(desk) if person != "P8"]  # for named users alone
    assert open_ones
    for person in open_ones:
        told = facts_of(desk, person, latest).told
        assert told.person["person_id"] == person


def test_rows_that_come_in_make_it_start_again(home: Path) -> None:
    desk = Desk(Home(home))
    latest = desk.latest()
    assert latest is not None
    before = (desk.state(), latest.list_id)
    person = listed(desk)[0]
    facts_of(desk, person, latest)
    part = {"event_id": "N1", "person_id": person, "role": "suspect", "victim_id": None}
    append(Home(home), {"event": [NEW], "involvement": [part]})
    time.sleep(0.05)  # longer than a look at the disk holds
    assert (desk.state(), latest.list_id) != before
    Ready(desk, Days(desk)).work((desk.state(), latest.list_id))
    told = facts_of(desk, person, latest).told.person
    assert "N1" in [one["event_id"] for one in told["history"]]


def test_the_service_starts_and_stops_with_it(home: Path) -> None:
    from fastapi.testclient import TestClient

    with TestClient(create_app(home), base_url="http://127.0.0.1:8000") as client:
        assert client.get("/sign-in").status_code == 200

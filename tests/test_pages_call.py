"""What a call, and what officers wrote, tell to whoever may not open the person they are about."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from tests.conftest import SMALL_T, make_home, small_tables
from tests.sheet_force import tables
from tests.signing import client_of

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

YES = {"agrees": "Y", "can_talk": "Y", "suspect_absent": "Y"}


@pytest.fixture(scope="module")
def dalo(sheet_home: Path, tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    home = Path(shutil.copytree(sheet_home, tmp_path_factory.mktemp("calls") / "home"))
    return client_of(home, "dalo", purpose="attending", reference="CAD-104")


def rows(client: TestClient, **which: Any) -> list[dict[str, Any]]:
    from risk.audit import rows as audit_rows

    return audit_rows(client.app.state.desk.db, limit=10_000, **which)  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", ["/api/v1/calls?reference=CAD-104", "/api/v1/calls/C5/sheet"])
def test_a_call_does_not_give_the_reference_of_a_suspect_who_is_for_named_users(
    dalo: TestClient, path: str
) -> None:
    answer = dalo.get(path)
    assert answer.status_code == 200
    assert "P8" not in answer.text
    body = answer.json()
    call = body["call"] if "call" in body else body["calls"][0]
    assert (call["suspects"], call["not_shown"]) == ([], 1), "that somebody is named is not hidden at a door"
    assert "P8" not in dalo.get("/api/v1/persons/P2/sheet?call=C5").text
    assert "P8" not in rows(dalo, who="test.dalo")[-1]["persons"]


def test_whom_a_call_names_is_in_the_row_of_the_look(dalo: TestClient) -> None:
    dalo.get("/api/v1/calls/C1/sheet")
    assert {"V1", "P1"} <= set(rows(dalo, who="test.dalo")[-1]["persons"])
    dalo.get("/api/v1/calls?reference=CAD-100")
    assert {"V1", "P1"} <= set(rows(dalo, who="test.dalo")[-1]["persons"])


@pytest.mark.parametrize(
    "path", ["/api/v1/calls?reference=CAD-100", "/api/v1/calls/C2/sheet", "/calls/C3/sheet"]
)
def test_a_briefing_is_bound_to_the_calls_of_ones_own_districts(dalo: TestClient, path: str) -> None:
    app = dalo.app
    own = client_of(Path(), "supervisor", username="s.own", app=app, districts=["D2"], purpose="briefing")
    answer = own.get(path)
    assert answer.status_code == 403
    assert "of another district" in answer.text
    assert "Quillmark" not in answer.text
    away = client_of(
        Path(), "supervisor", username="s.away", app=app, districts=["D2"], purpose="investigation"
    )
    assert away.get(path).status_code == 200
    assert rows(away, who="s.away")[-1]["outside"] is True
    at_home = client_of(
        Path(), "supervisor", username="s.home", app=app, districts=["D1"], purpose="briefing"
    )
    assert at_home.get(path).status_code == 200
    assert rows(at_home, who="s.home")[-1]["outside"] is False


def test_attend_instead_pressed_again_is_never_thrown_away(dalo: TestClient) -> None:
    path = "/persons/P2/video"
    dalo.post(path, data={"once": "first-form", "attend": "1"})
    dalo.post(f"/api/v1{path}", json={"once": "second-form", "victim_id": "V2", **YES})
    page = dalo.post(path, data={"once": "first-form", "attend": "1"})
    assert "<h2>Send an officer</h2>" in page.text
    found = dalo.get(f"/api/v1{path}").json()["video"]
    assert [row["send"] for row in found] == [True, False, True]
    written = [row for row in rows(dalo, who="test.dalo", act="collection") if row["page"].endswith("/video")]
    assert len(written) == len(found), "a row of the audit for each entry, and none without one"


def test_a_form_sent_twice_is_one_collection_in_the_audit(dalo: TestClient) -> None:
    sent = {"once": "twice-sent", "channel": "visit", "reached": True, "information": "Seen."}
    first = dalo.post("/api/v1/persons/P2/visits", json=sent).json()
    before = len(rows(dalo, who="test.dalo", act="collection"))
    assert dalo.post("/api/v1/persons/P2/visits", json=sent).json() == first
    assert len(rows(dalo, who="test.dalo", act="collection")) == before
    other = dalo.post("/api/v1/persons/P2/visits", json=sent | {"information": "Not seen."})
    assert other.status_code == 409
    assert "Seen." not in other.text
    form = {"once": "twice-sent", "channel": "visit", "reached": "Y", "information": "Long text."}
    page = dalo.post("/persons/P2/visits", data=form)
    assert page.status_code == 409
    assert "Long text." in page.text
    assert "sent before" in page.text
    assert 'name="once" value="twice-sent"' not in page.text, "sent again it is an entry of its own"


def test_a_number_used_for_one_person_records_another_all_the_same(dalo: TestClient) -> None:
    sent = {"once": "00000001", "victim_id": "V1", **YES}
    assert dalo.post("/api/v1/persons/P1/video", json=sent).status_code == 200
    no = {"once": "00000001", "victim_id": "V3", "agrees": "N", "can_talk": "N", "suspect_absent": "N"}
    answer = dalo.post("/api/v1/persons/P7/video", json=no).json()
    assert (answer["person_id"], answer["victim_id"], answer["words"]) == ("P7", "V3", "Send an officer")
    assert len(dalo.get("/api/v1/persons/P7/video").json()["video"]) == 1


def test_a_program_is_told_what_stands_when_another_victim_said_no(dalo: TestClient) -> None:
    path = "/api/v1/persons/P1/video"
    dalo.post(
        path, json={"once": "stands-01", "victim_id": "V2", **YES, "can_talk": "N", "suspect_absent": "U"}
    )
    answer = dalo.post(path, json={"once": "stands-02", "victim_id": "V1", **YES}).json()
    assert (answer["victim_id"], answer["send"], answer["words"]) == ("V1", True, "Send an officer")
    text = dalo.get("/persons/P1/sheet").text
    assert "<h2>Send an officer</h2>" in text
    assert "Video may go on" not in text


@pytest.fixture(scope="module")
def shut(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    """The same force with V1's record for named users; signed in is somebody who is not one of them."""
    from features.clocks import parse_as_of
    from features.home import Home
    from risk.priority import publish

    closed = pl.when(pl.col("person_id") == "V1").then(pl.lit("named_users")).otherwise("access")
    people = small_tables()["person"].with_columns(access=closed)
    home = make_home(tmp_path_factory.mktemp("shut") / "home", **tables() | {"person": people})
    publish(Home(home), parse_as_of(SMALL_T))
    return client_of(home, "dalo", purpose="attending")


def test_what_is_written_about_a_victim_for_named_users_is_for_them_alone(shut: TestClient) -> None:
    told = {"once": "shut-0001", "victim_id": "V1", "channel": "visit", "reached": True}
    made = shut.post("/api/v1/persons/P1/visits", json=told | {"information": "She lives at 22 Secret Road."})
    assert made.status_code == 200
    said = {"once": "shut-0002", "victim_id": "V1", **YES, "agrees": "N"}
    assert shut.post("/api/v1/persons/P1/video", json=said).json()["send"] is True
    for path in ("/persons/P1/sheet", "/persons/P1/visits", "/persons/P1/video"):
        for at in (path, f"/api/v1{path}"):
            assert "Secret Road" not in shut.get(at).text, at
    assert shut.get("/api/v1/persons/P1/visits").json()["visits"] == []
    assert shut.get("/api/v1/persons/P1/video").json()["video"] == []
    stands = shut.get("/api/v1/persons/P1/sheet").json()["answered"]
    assert (stands["send"], stands["victim_id"], stands["agrees"]) == (True, None, None)
    assert stands["why"] == ["gave answers that named users alone may read"]
    page = shut.get("/persons/P1/sheet").text
    assert "<h2>Send an officer</h2>" in page
    assert "Josselyn" not in page
    assert "1 entry about a record for named users is kept" in shut.get("/persons/P1/visits").text, "not lost"

"""Decisions, holds, nominations and supervision as people meet them: on pages, and as JSON beside them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from api.days import Days
from features.clocks import parse_as_of
from features.home import Home
from risk.holds import place_hold
from risk.priority import publish
from risk.store import METADATA, tables_decisions
from tests.databases import trail_of
from tests.deciding import ANN, T
from tests.signing import client_of

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

SOON = date.today() + timedelta(days=7)
DUE = {"due_on_day": str(SOON.day), "due_on_month": str(SOON.month), "due_on_year": str(SOON.year)}
DECIDED = [table for table in vars(tables_decisions).values() if isinstance(table, sa.Table)]
WHY = "Two partners say the same as the records"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one list, served by one service for all tests of this file."""
    from tests.conftest import make_home

    made = make_home(tmp_path_factory.mktemp("listed"))
    publish(Home(made), parse_as_of("2025-06-01"))
    return made


@pytest.fixture(scope="module")
def service(home: Path) -> FastAPI:
    """The running service."""
    from api.app import create_app

    return create_app(home)


@pytest.fixture
def team(home: Path, service: FastAPI) -> Callable[..., TestClient]:
    """Makes clients by role and name; nothing was decided before the first."""
    with service.state.desk.db.begin() as connection:
        for table in reversed(METADATA.sorted_tables):
            if table in DECIDED:
                connection.execute(table.delete())
    service.state.days = Days(service.state.desk)  # what it had prepared tells of what was decided before

    def one(role: str = "proactive", username: str | None = None, **more: Any) -> TestClient:
        return client_of(home, role, username=username or role, app=service, **more)

    return one


def alterations(home: Path, since: int) -> list[dict[str, Any]]:
    """Rows of the audit trail that tell of a change, after the first ``since`` rows."""
    return [row for row in trail_of(home)[since:] if row["act"] == "alteration"]


def adopting(version: int = 0, **changes: str) -> dict[str, str]:
    """The form of a decision, filled in."""
    typed = {"choice": "adopt", "code_adopt": "records", "reason": WHY, "owner": "DC 4411", **DUE}
    return typed | {"version": str(version)} | changes


def lowering(version: int = 0) -> dict[str, str]:
    return adopting(version, choice="disagree_down", code_disagree_down="changed")


def test_an_officer_decides_and_sees_what_was_decided(team: Callable[..., TestClient], home: Path) -> None:
    ann, since = team(username="ann"), len(trail_of(home))
    form = ann.get("/persons/P1/decide")
    assert form.status_code == 200
    assert "Adam Quillmark" in form.text
    assert "Nobody has decided yet" in form.text
    done = ann.post("/persons/P1/decide", data=adopting())
    assert done.status_code == 200
    assert "The decision is recorded" in done.text
    assert "DC 4411" in done.text
    rows = alterations(home, since)
    assert [(row["username"], row["detail"], row["persons"]) for row in rows] == [
        ("ann", "decision: adopt", ["P1"])
    ]


def test_of_two_who_decide_at_once_the_second_is_shown_both_and_loses_nothing(
    team: Callable[..., TestClient],
) -> None:
    ann, bob = team(username="ann"), team(username="bob")
    assert 'name="version" value="0"' in bob.get("/persons/P1/decide").text
    ann.post("/persons/P1/decide", data=adopting())
    mine = "We have nobody free <b>before</b> Monday"
    told = bob.post(
        "/persons/P1/decide", data=adopting(choice="not_now", code_not_now="capacity", reason=mine, owner="")
    )
    assert told.status_code == 409
    assert "ann decided about this person" in told.text
    assert WHY in told.text, "what ann wrote"
    assert "We have nobody free &lt;b&gt;before&lt;/b&gt; Monday" in told.text, "what bob typed"
    assert 'value="not_now" checked' in told.text
    assert '<option value="capacity" selected>' in told.text
    assert f'value="{SOON.year}"' in told.text
    assert 'name="version" value="1"' in told.text
    kept = bob.post(
        "/persons/P1/decide",
        data=adopting(1, choice="not_now", code_not_now="capacity", reason=mine, owner=""),
    )
    assert "The decision is recorded" in kept.text


def test_a_field_at_fault_is_named_beside_what_was_typed(team: Callable[..., TestClient]) -> None:
    ann = team(username="ann")
    wrong = ann.post("/persons/P1/decide", data=adopting(due_on_day="31", due_on_month="2"))
    assert wrong.status_code == 400
    assert "There is a problem" in wrong.text
    assert 'href="#due_on"' in wrong.text
    assert 'value="31"' in wrong.text
    assert WHY in wrong.text
    none = ann.post("/persons/P1/decide", data=adopting(choice=""))
    assert "Choose what to decide" in none.text
    bare = ann.post("/persons/P1/decide", data={"choice": "adopt", "version": "0"}).text
    for field in ("code_adopt", "reason", "owner", "due_on"):
        assert f'href="#{field}"' in bare, "every field at fault is told at once"
        assert f'id="{field}"' in bare
    assert ann.get("/api/v1/persons/P1/decisions").json()["history"] == []


def test_a_reason_with_a_victims_name_or_address_is_sent_back(team: Callable[..., TestClient]) -> None:
    ann = team(username="ann")
    for text in (
        "He waited for Jo Josselyn at the gate",
        "Seen at 9  hidden close on Friday",
        "josselyn is afraid",
    ):
        back = ann.post("/persons/P1/decide", data=adopting(reason=text))
        assert back.status_code == 400, text
        assert "never show" in back.text
        assert text in back.text, "what was typed is kept"
        hold = ann.post("/api/v1/persons/P1/hold", json={"doubt": "role", "reason": text})
        assert hold.status_code == 400
    own = ann.post("/persons/P1/decide", data=adopting(reason="Quillmark was seen with a blade on Friday"))
    assert "The decision is recorded" in own.text


def test_a_lower_place_waits_for_a_supervisor(team: Callable[..., TestClient]) -> None:
    ann, sue, sam = team(username="ann"), team("supervisor", "sue"), team("supervisor", "sam")
    ann.post("/persons/P1/decide", data=lowering())
    assert "Waits for a supervisor" in ann.get("/persons/P1/decide").text
    page = sue.get("/supervise").text
    assert "/supervise/decisions/1" in page
    assert "Adam Quillmark" in page
    assert ann.get("/supervise").status_code == 403
    assert ann.post("/supervise/decisions/1", data={"said": "agree", "reason": WHY}).status_code == 403
    assert "Choose whether you agree" in sue.post("/supervise/decisions/1", data={"reason": WHY}).text
    said = sue.post("/supervise/decisions/1", data={"said": "agree", "reason": "Read the whole file"})
    assert "Your word is recorded" in said.text
    late = sam.post("/supervise/decisions/1", data={"said": "refuse", "reason": "The records are right"})
    assert late.status_code == 409
    assert "sue has spoken already" in late.text
    assert "The records are right" in late.text, "what sam typed"
    stands = sue.get("/api/v1/persons/P1/decisions").json()["standing"]["decision"]
    assert (stands["choice"], stands["word"]["by"]) == ("disagree_down", "sue")


def test_a_supervisors_own_lower_place_waits_for_another(team: Callable[..., TestClient]) -> None:
    sue, sam = team("supervisor", "sue"), team("supervisor", "sam")
    body = {"choice": "disagree_down", "code": "changed", "reason": WHY, "version": 0}
    made = sue.post("/api/v1/persons/P1/decisions", json=body).json()
    assert (made["status"], made["holds"]) == ("waits for a supervisor", False)
    word = {"agreed": True, "reason": "I have read the whole file"}
    own = sue.post(f"/api/v1/decisions/{made['id']}/word", json=word)
    assert own.status_code == 400
    assert "somebody else" in own.text
    assert sue.get("/api/v1/persons/P1/decisions").json()["standing"]["decision"] is None
    assert sam.post(f"/api/v1/decisions/{made['id']}/word", json=word).json()["holds"]


def test_a_hold_greys_the_row_at_once_on_list_person_and_decision(team: Callable[..., TestClient]) -> None:
    dan, ann, sue = team("dalo", "dan"), team(username="ann"), team("supervisor", "sue")
    line = "On hold: identity or role in doubt since"
    assert line not in ann.get("/lists/latest").text
    placed = dan.post("/persons/P1/hold", data={"doubt": "role", "reason": "She rang us, not he"})
    assert placed.status_code == 200
    assert "She rang us, not he" in placed.text
    for page in ("/lists/latest", "/persons/P1", "/persons/P1/decide"):
        assert "identity or role in doubt" in ann.get(page).text, page
    assert line in ann.get("/api/v1/lists/latest").text
    assert "decides by" in dan.get("/persons/P1/hold").text
    lifted = sue.post("/supervise/holds/1", data={"said": "lift", "reason": "Prints compared: it is him"})
    assert "Your word is recorded" in lifted.text
    assert line not in ann.get("/lists/latest").text


def test_records_staff_place_a_hold_and_see_no_score(team: Callable[..., TestClient]) -> None:
    rae = team("records", "rae", purpose="review")
    page = rae.get("/persons/P1/hold")
    assert page.status_code == 200
    assert "in 100" not in page.text
    assert "Rank" not in page.text
    sent = rae.post(
        "/api/v1/persons/P1/hold", json={"doubt": "identity", "reason": "Two birth dates on file"}
    )
    assert (sent.status_code, sent.json()["in_force"]) == (201, True)
    for page_path in ("/persons/P1/decide", "/persons/P1/nominate", "/supervise", "/actions"):
        assert rae.get(page_path).status_code == 403, page_path


def test_whoever_doubts_twice_is_shown_the_hold_that_is_there(team: Callable[..., TestClient]) -> None:
    ann = team(username="ann")
    body = {"doubt": "identity", "reason": "Two birth dates on file"}
    first = ann.post("/api/v1/persons/P1/hold", json=body).json()
    again = ann.post("/api/v1/persons/P1/hold", json=body | {"doubt": "both"}).json()
    assert first["id"] == again["id"]
    assert [one["id"] for one in ann.get("/api/v1/holds").json()["holds"]] == [first["id"]]


def test_somebody_who_is_not_listed_is_nominated_not_decided_about(team: Callable[..., TestClient]) -> None:
    ann, sue = team(username="ann"), team("supervisor", "sue")
    page = ann.get("/persons/P2/decide").text
    assert "No place to decide about" in page
    assert ann.post("/persons/P2/decide", data=adopting()).status_code == 400
    typed = {"scope": "team", "code": "release", "reason": "Due out next week, wrote from prison"}
    done = ann.post("/persons/P2/nominate", data=typed)
    assert "waits for a supervisor" in done.text
    assert "/supervise/nominations/1" in sue.get("/supervise").text
    said = sue.post("/supervise/nominations/1", data={"said": "accept", "reason": "Read the letters myself"})
    assert "Place until" in said.text
    (one,) = ann.get("/api/v1/nominations").json()["nominations"]
    assert (one["person_id"], one["status"]) == ("P2", "accepted")
    ended = sue.post("/api/v1/nominations/1/word", json={"said": "end", "reason": "He was moved elsewhere"})
    assert (ended.status_code, ended.json()["status"]) == (201, "ended")


def test_actions_are_planned_seen_and_finished(team: Callable[..., TestClient]) -> None:
    ann, bob = team(username="ann"), team(username="bob")
    plan = {"kind": "visit", "reason": "See whether he lives there", "owner": "DC 4411", **DUE}
    assert "The action is recorded" in ann.post("/persons/P1/action", data=plan).text
    assert "Say who owns this" in ann.post("/persons/P1/action", data=plan | {"owner": ""}).text
    assert "See whether he lives there" in bob.get("/actions?owner=dc+4411").text
    assert "No action waits for a result from DC 9999" in bob.get("/actions?owner=DC+9999").text
    came = {"result": "partly", "reason": "Nobody in; card left"}
    assert "The result is recorded" in bob.post("/actions/1", data=came).text
    late = ann.post("/actions/1", data={"result": "done", "reason": "Spoke to him at the door"})
    assert late.status_code == 409
    assert "bob recorded a result already: Done in part" in late.text
    assert "Spoke to him at the door" in late.text
    assert "No action waits" in ann.get("/actions").text
    assert ann.get("/actions/99").status_code == 404


def test_k_is_set_by_a_supervisor_for_the_lists_to_come(
    team: Callable[..., TestClient], home: Path, tmp_path: Path
) -> None:
    sue, sam = team("supervisor", "sue"), team("supervisor", "sam")
    page = sue.get("/supervise/places").text
    assert "The force has 100 places, a district 25" in page
    typed = {
        "scope": "force",
        "places": "2",
        "reason": "Two officers until the end of March",
        "version_force": "0",
    }
    assert "is set" in sue.post("/supervise/places", data=typed).text
    late = sam.post("/supervise/places", data=typed | {"places": "80", "reason": "We are back to strength"})
    assert late.status_code == 409
    assert "by sue on" in late.text
    assert "We are back to strength" in late.text
    assert "not a number" in sue.post("/supervise/places", data=typed | {"places": "many"}).text
    shutil.copytree(home, tmp_path / "home")
    made = publish(Home(tmp_path / "home"), parse_as_of("2025-06-02"))
    assert made.facts["places"]["force"]["places"] == 2
    kept = sue.get("/api/v1/places").json()
    assert (kept["force"], kept["set"][0]["by"]) == (2, "sue")


def test_a_supervisor_of_a_district_sees_and_sets_that_district_alone(
    team: Callable[..., TestClient],
) -> None:
    sue = team("supervisor", "sue", districts=("D2",))
    team(username="ann").post(
        "/api/v1/persons/P1/hold", json={"doubt": "role", "reason": "She rang us, not he"}
    )
    assert "Nobody is on hold" in sue.get("/supervise").text
    wrong = sue.post("/api/v1/places", json={"scope": "force", "places": 5, "reason": "Nobody left to send"})
    assert wrong.status_code == 400
    right = sue.post("/api/v1/places", json={"scope": "D2", "places": 5, "reason": "Nobody left to send"})
    assert right.status_code == 201


def test_agreement_is_shown_to_supervisors_and_names_nobody(team: Callable[..., TestClient]) -> None:
    ann, sue = team(username="ann"), team("supervisor", "sue")
    ann.post("/persons/P1/decide", data=adopting())
    page = sue.get("/supervise/agreement").text
    assert "1 of 1" in page
    assert "Quillmark" not in page
    assert "ann" not in page.split("<main")[1].split("</main>")[0].replace("anybody", "").split()
    (line,) = sue.get("/api/v1/agreement").json()["lists"]
    assert (line["decided"], line["adopt"], line["share"]) == (1, 1, 1.0)
    assert sue.get("/supervise/agreement?district=D9").status_code == 400
    assert ann.get("/supervise/agreement").status_code == 403


def test_json_says_the_same_and_409_shows_what_the_other_wrote(team: Callable[..., TestClient]) -> None:
    ann, bob = team(username="ann"), team(username="bob")
    body = {
        "choice": "adopt",
        "code": "records",
        "reason": WHY,
        "owner": "DC 4411",
        "due_on": SOON.isoformat(),
    }
    made = ann.post("/api/v1/persons/P1/decisions", json=body)
    assert made.status_code == 201, made.text
    late = bob.post("/api/v1/persons/P1/decisions", json=body | {"owner": "DS 1902"})
    assert late.status_code == 409
    assert late.headers["content-type"] == "application/problem+json"
    assert [(one["by"], one["owner"]) for one in late.json()["newer"]] == [("ann", "DC 4411")]
    for wrong in ({"choice": 1}, {"owner": "x", "more": 1}, {"due_on": "soon"}, {"due_on": "2020-01-01"}):
        assert ann.post("/api/v1/persons/P1/decisions", json=body | {"version": 1} | wrong).status_code == 400
    plan = {"kind": "visit", "reason": WHY, "owner": "DC 4411", "due_on": SOON.isoformat()}
    number = ann.post("/api/v1/persons/P1/actions", json=plan).json()["id"]
    ended = {"result": "done", "reason": "Spoke to him at the door"}
    assert ann.post(f"/api/v1/actions/{number}/result", json=ended).status_code == 201
    assert ann.post(f"/api/v1/actions/{number}/result", json=ended).status_code == 409
    told = ann.get("/api/v1/persons/P1/decisions?limit=2").json()
    assert [line["kind"] for line in told["history"]] == ["result", "action"]
    rest = ann.get(told["next"]).json()
    assert [line["kind"] for line in rest["history"]] == ["decision"]


def test_who_may_not_be_opened_may_not_be_decided_about(team: Callable[..., TestClient]) -> None:
    ann = team(username="ann")
    for person in ("V1", "P8", "P9", "nobody"):
        for page in ("decide", "hold", "nominate", "action"):
            assert ann.get(f"/persons/{person}/{page}").status_code == 404, (person, page)


def test_a_person_of_another_district_is_marked_and_closed_to_a_briefing(
    team: Callable[..., TestClient], home: Path
) -> None:
    since = len(trail_of(home))
    far = team(username="far", districts=("D2",), purpose="briefing")
    assert far.get("/persons/P1/decide").status_code == 403
    near = team(username="near", districts=("D2",))
    assert near.post("/persons/P1/decide", data=adopting()).status_code == 200
    assert [row["outside"] for row in alterations(home, since)] == [True]


def test_an_act_and_the_row_that_tells_of_it_stand_or_fall_together(
    team: Callable[..., TestClient], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from features.errors import DoorstepError

    ann, since = team(username="ann"), len(trail_of(home))

    def away(*_: object, **__: object) -> int:
        raise DoorstepError("The row could not be written.", cure="Try again.")

    monkeypatch.setattr("api.desk.record", away)
    assert ann.post("/persons/P1/decide", data=adopting()).status_code == 500
    monkeypatch.undo()
    assert ann.get("/api/v1/persons/P1/decisions").json()["history"] == []
    assert alterations(home, since) == []


def test_low_risk_is_said_nowhere(team: Callable[..., TestClient]) -> None:
    ann, sue = team(username="ann"), team("supervisor", "sue")
    ann.post("/persons/P1/decide", data=lowering())
    for page in ("/persons/P1/decide", "/persons/P1/hold", "/persons/P1/nominate", "/lists/latest"):
        assert "low risk" not in ann.get(page).text.lower().replace("-", " ")
    for page in ("/supervise", "/supervise/decisions/1", "/supervise/places", "/supervise/agreement"):
        assert "low risk" not in sue.get(page).text.lower().replace("-", " ")


def test_a_decision_is_kept_with_the_list_that_was_open_when_a_newer_one_came(
    team: Callable[..., TestClient], home: Path, tmp_path: Path
) -> None:
    assert team(username="ann").get("/persons/P1/decide").status_code == 200
    home = Path(shutil.copytree(home, tmp_path / "home"))
    ann = client_of(home, "proactive", username="ann")
    form = ann.get("/persons/P1/decide").text
    older = re.findall(r'name="list_id" value="([^"]+)"', form)[0]
    newer = publish(Home(home), parse_as_of("2025-06-02")).list_id
    done = ann.post("/persons/P1/decide", data=adopting(list_id=older))
    assert "A newer list has been published since" in done.text
    assert f'value="{newer}"' in done.text
    assert ann.get("/api/v1/persons/P1/decisions").json()["history"][0]["list_id"] == older


def test_what_was_written_about_a_restricted_record_is_kept_back(
    team: Callable[..., TestClient], service: FastAPI
) -> None:
    sue = team("supervisor", "sue")
    place_hold(service.state.desk.db, ANN, "P8", "role", "Rang us twice on Friday", T, "D2")
    for path in ("/supervise", "/api/v1/holds"):
        told = sue.get(path).text
        assert "P8" in told
        assert "Holtbeck" not in told
        assert "Rang us twice" not in told
    assert sue.get("/supervise/holds/1").status_code == 404, "before the glass is broken"

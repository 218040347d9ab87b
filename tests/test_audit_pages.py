"""The auditor's page and its JSON, and the commands about the trail: who may read, what for, and what is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.app import create_app
from api.cli import run_command
from risk.audit import record, this_user
from risk.store import Database
from risk.store.appended import KEPT
from risk.store.tables_audit import AUDIT
from tests.databases import trail_of
from tests.signing import client_of


def written(place: Path) -> Path:
    """A home with nothing loaded and four rows."""
    place.mkdir()
    database = Database.of(place)
    for n in range(3):
        record(
            database, place, this_user(), "consultation", "/persons/{person_id}", persons=[f"P{n}", "P9"],
            purpose="attending", reference=f"CAD {n}", outside=n == 2, detail="<script>alert(1)</script>",
        )  # fmt: skip
    record(database, place, this_user(), "disclosure", "list", persons=[f"Q{n:02d}" for n in range(30)])
    database.close()
    return place


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Such a home, to be changed."""
    return written(tmp_path / "home")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """A service over such a home, shared: tests of reading add rows, and change none."""
    return create_app(written(tmp_path_factory.mktemp("audit") / "home"))


@pytest.fixture
def served(service: FastAPI) -> Path:
    """The home of the shared service."""
    return Path(service.state.desk.path)


@pytest.fixture
def auditor(service: FastAPI, served: Path) -> TestClient:
    """An auditor of the shared service, an audit begun."""
    return client_of(served, "auditor", purpose="audit", reference="COMPLAINT 7", app=service)


def test_an_auditor_says_what_for_and_finds_rows(auditor: TestClient, served: Path) -> None:
    asked = auditor.get("/audit")
    assert asked.status_code == 200
    assert "CAD 1" not in asked.text, "nothing is shown before it is said what for"
    refused = auditor.get("/audit?who=&why=")
    assert refused.status_code == 400
    assert "Say what the rows are read for." in refused.text
    assert "CAD 1" not in refused.text
    found = auditor.get("/audit?why=security&person=P1")
    assert found.status_code == 200
    assert "CAD 1" in found.text
    assert "CAD 2" not in found.text
    assert "<script>alert" not in found.text, "what was typed is shown as text"
    last = trail_of(served)[-1]
    assert (last["act"], last["page"], last["persons"]) == ("consultation", "/audit", ["P1"])
    assert (last["purpose"], last["reference"]) == ("audit", "COMPLAINT 7")
    assert last["detail"] == "to keep personal data whole and secure: person P1"


def test_rows_come_newest_first_a_page_at_a_time(auditor: TestClient) -> None:
    first = auditor.get("/api/v1/audit?why=security&limit=2&person=P9").json()
    assert [row["seq"] for row in first["rows"]] == [3, 2]
    assert first["before"] == 2
    second = auditor.get("/api/v1/audit", params={"why": "security", "before": 2, "person": "P9"}).json()
    assert [row["seq"] for row in second["rows"]] == [1]
    assert second["before"] is None
    assert second["rows"][0]["persons"] == ["P0", "P9"]


@pytest.mark.parametrize(
    ("query", "seqs"),
    [("act=disclosure", [4]), ("place=persons", [3, 2, 1]), ("place=%25", []), ("outside=true", [3]),
     ("who=nobody", []), ("person=Q07", [4]), ("since=2020-01-01&until=2020-01-02", [])],
)  # fmt: skip
def test_rows_are_narrowed(auditor: TestClient, query: str, seqs: list[int]) -> None:
    rows = auditor.get(f"/api/v1/audit?why=lawfulness&before=5&{query}").json()["rows"]
    assert [row["seq"] for row in rows] == seqs


@pytest.mark.parametrize(
    ("query", "field"),
    [("why=curiosity", "why"), ("why=security&act=peeking", "act"), ("why=security&since=yesterday", "since"),
     ("why=security&until=9999-12-31", "until"), ("why=security&since=0001-01-01", "since")],
)  # fmt: skip
def test_what_cannot_be_asked_is_said_with_a_cure(auditor: TestClient, query: str, field: str) -> None:
    page = auditor.get(f"/audit?{query}")
    if query.endswith("0001-01-01"):  # a day long ago is a day
        assert page.status_code == 200
        return
    assert page.status_code == 400
    assert f'href="#{field}"' in page.text
    problem = auditor.get(f"/api/v1/audit?{query}")
    assert problem.status_code == 400
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["cure"]


def test_one_row_shows_every_person_of_it(auditor: TestClient) -> None:
    listed = auditor.get("/audit?why=security&act=disclosure").text
    assert "and 25 more" in listed
    assert "Q29" not in listed
    shown = auditor.get("/audit/4?why=security").text
    assert "Q29" in shown
    assert auditor.get("/api/v1/audit/4?why=security").json()["persons_count"] == 30
    assert auditor.get("/audit/4?why=").status_code == 400
    assert auditor.get("/api/v1/audit/99999?why=security").status_code == 404


@pytest.mark.parametrize("role", ["proactive", "dalo", "supervisor", "analyst", "records", "administrator"])
def test_nobody_else_reads_the_trail(service: FastAPI, served: Path, role: str) -> None:
    other = client_of(served, role, app=service)
    for path in ("/audit?why=security", "/audit/1?why=security", "/audit/unusual?why=security",
                 "/api/v1/audit?why=security", "/api/v1/audit/head"):  # fmt: skip
        assert other.get(path).status_code == 403, path
    assert trail_of(served)[-1]["act"] == "access", "and the attempt is a row"


def test_the_unusual_is_told_on_page_and_as_json(auditor: TestClient) -> None:
    assert "opened somebody outside" not in auditor.get("/audit/unusual").text
    page = auditor.get("/audit/unusual?why=self_monitoring&days=31").text
    assert "opened somebody outside their districts once" in page
    assert 'href="/audit/3?why=self_monitoring"' in page
    told = auditor.get("/api/v1/audit/unusual?why=self_monitoring").json()
    assert {one["key"]: len(one["found"]) for one in told["patterns"]} == {
        "own_name": 0, "surname": 0, "volume": 0, "outside": 1, "refused": 0, "clock": 0,
    }  # fmt: skip
    assert auditor.get("/api/v1/audit/unusual?why=self_monitoring&days=0").status_code in (400, 422)


def test_the_head_is_told(auditor: TestClient) -> None:
    head = auditor.get("/api/v1/audit/head").json()
    assert head["rows"] >= 4
    assert head["carried"] >= 1
    assert head["carried_at"]


def run(capsys: pytest.CaptureFixture[str], home: Path, *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run_command(["audit", *words, "--home", str(home)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_verify_says_whole_and_says_what_is_wrong(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, home, "verify")
    assert (code, out) == (0, "4 rows: whole, no row changed, removed or put in, the end as the heads say.\n")
    database = Database.of(home)
    with database.begin() as connection:
        for table in KEPT:
            connection.exec_driver_sql(f"DROP TRIGGER {table}_no_update")
        connection.execute(sa.update(AUDIT).where(AUDIT.c.seq == 2).values(username="nobody"))
    database.close()
    code, out, _ = run(capsys, home, "verify")
    assert code == 2
    assert "NOT whole" in out
    assert "Row 2 does not fit its code" in out
    code, out, _ = run(capsys, home, "verify", "--json")
    assert code == 2
    assert json.loads(out)["whole"] is False


def test_head_is_carried_when_asked(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, home, "head", "--json")
    assert code == 0
    lines = (home / "audit-heads.jsonl").read_text().splitlines()
    assert json.loads(out) == json.loads(lines[-1])
    assert json.loads(out)["count"] == 4


def test_show_needs_to_know_what_for_and_leaves_a_row(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, home, "show")[0] == 2
    code, _, err = run(capsys, home, "show", "--purpose", "audit")
    assert code == 2
    assert "Say what the rows are read for." in err
    assert len(trail_of(home)) == 4, "refused, so nothing was read"
    code, out, _ = run(capsys, home, "show", "--purpose", "audit", "--why", "proceedings", "--person", "P1")
    assert code == 0
    assert "CAD 1" in out
    assert "CAD 2" not in out
    assert trail_of(home)[-1]["detail"] == "for criminal proceedings: person P1"
    code, out, _ = run(
        capsys, home, "show", "--purpose", "audit", "--why", "proceedings", "--limit", "1", "--json"
    )
    assert json.loads(out)["rows"][0]["page"] == "audit show"


def test_a_trail_without_a_row_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fresh").mkdir()
    assert run(capsys, tmp_path / "fresh", "verify")[0] == 0
    assert "no head" in run(capsys, tmp_path / "fresh", "head")[1]
    code, _, err = run(capsys, tmp_path / "nowhere", "verify")
    assert code == 2
    assert "no home folder" in err

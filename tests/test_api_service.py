"""The service: every route answers, every look is written down, nothing is served that should not be."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from fastapi.testclient import TestClient

from api.app import HEADERS, create_app
from api.settings import Settings
from features.clocks import parse_as_of
from features.home import Home
from risk.audit import rows
from risk.priority import publish, read_list
from tests.signing import client_of

ROOT = Path(__file__).parents[1]
BASE = "http://127.0.0.1:8000"
T = parse_as_of("2025-06-01")
PAGES = ("/", "/lists", "/lists/latest", "/lists/latest?team=D1", "/lists/latest?top=2", "/persons/P1",
         "/persons/P1/sheet", "/persons/P4", "/persons/P7?as_of=2025-05-01")  # fmt: skip
SHARED = (
    "/lists",
    "/lists/latest",
    "/lists/latest?team=D2",
    "/persons/P1",
    "/persons/P1/sheet",
    "/persons/P5",
)


@pytest.fixture
def home(small_home: Path, tmp_path: Path) -> Path:
    """A copy of the home with its two lists, whose audit trail is this test's own."""
    shutil.copytree(small_home, tmp_path / "home", ignore=without_trail)
    return tmp_path / "home"


def without_trail(_: str, names: list[str]) -> set[str]:
    """What a copied home leaves behind: who looked at the first."""
    return {name for name in names if name.startswith(("doorstep.db", "audit-heads", "keys"))}


@pytest.fixture(scope="module")
def shared(small_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another copy, for tests that only look."""
    place = tmp_path_factory.mktemp("shared") / "home"
    shutil.copytree(small_home, place, ignore=without_trail)
    return place


@pytest.fixture(scope="module")
def client(shared: Path) -> TestClient:
    return client_of(shared, "supervisor")


@pytest.mark.parametrize("path", [*PAGES, *(f"/api/v1{path}" for path in SHARED), "/api/v1/health"])
def test_every_route_answers_with_safety_headers(client: TestClient, path: str) -> None:
    found = client.get(path)
    assert found.status_code == 200, found.text
    for name, value in HEADERS.items():
        assert found.headers[name] == value
    if not path.startswith("/api"):
        assert found.text.count("OFFICIAL-SENSITIVE") == 2, "top and bottom"
        assert found.text.count("Simulated, no real person") == 2
        assert "Records up to 21 May 2025" in found.text
        assert re.findall(r"<script(?! type=\"module\" src=\"/static/)", found.text) == []
        assert " style=" not in found.text
        assert "http" not in found.text.replace("http://www.w3.org/2000/svg", ""), "nothing from elsewhere"


def test_the_list_as_json_says_what_the_page_shows(client: TestClient, shared: Path) -> None:
    body = client.get("/api/v1/lists/latest").json()
    page = client.get("/lists/latest").text
    assert body["list_id"] == read_list(Home(shared)).list_id
    assert body["rows"][0]["name"] == "Adam Quillmark"
    apart = client.get("/api/v1/lists/latest/apart").json()["apart"]
    assert {row["person_id"] for row in apart} == {"P2", "P4", "P5", "V3"}
    for row in body["rows"]:
        assert row["person_id"] in page
        if row["restricted"]:
            assert row["in_100"] is None, "open to named users only: rank and reference alone"
            continue
        assert row["in_100"] in page
        for reason in row["reasons"]:
            assert reason["sentence"] in page
    by_id = client.get(f"/api/v1/lists/{body['list_id']}").json()
    assert by_id["rows"] == body["rows"]


def test_a_persons_parts_sum_to_the_score_that_is_listed(client: TestClient) -> None:
    found = client.get("/api/v1/persons/P1").json()
    parts = found["contributions"]
    total = parts["intercept"] + sum(part["contribution"] for part in parts["parts"])
    p = found["score"]["p_serious"]
    assert total == pytest.approx(math.log(p / (1 - p)), abs=1e-9)
    listed = client.get("/api/v1/lists/latest").json()["rows"][0]
    assert (listed["person_id"], listed["p_serious"], listed["expected_harm"]) == (
        "P1", p, found["score"]["expected_harm"],
    )  # fmt: skip
    assert found["score"]["place"]["rank"] == listed["rank"]
    assert found["history"][0]["reference"] == "REF-E06"


def test_pages_of_the_list_and_the_person_show_no_victims_name_address_or_safe_contact(
    client: TestClient, small_extract_tables: dict[str, pl.DataFrame]
) -> None:
    victims = small_extract_tables["person"].filter(pl.col("person_id").is_in(["V1", "V2", "C1"]))
    secret = [
        *victims["family_name"],
        *small_extract_tables["address"]["line"],
        "leave a message",
        "after ten",
    ]
    for path in ("/lists/latest", "/persons/P1", "/api/v1/lists/latest", "/api/v1/persons/P1"):
        text = client.get(path).text
        assert [word for word in secret if word in text] == [], path
    assert "leave a message" in client.get("/persons/P1/sheet").text, "the sheet is where safe contact is"


def test_every_look_is_written_down_before_it_is_shown(client: TestClient, shared: Path) -> None:
    db = client.app.state.desk.db  # type: ignore[attr-defined]
    before = len(rows(db, limit=10_000))
    client.get("/lists/latest?team=D1")
    client.get("/api/v1/persons/P1")
    client.get("/persons/P1/sheet")
    client.get("/persons/nobody")
    client.get("/api/v1/health")
    seen = rows(db, after=before)
    assert [(one["page"], one["face"]) for one in seen] == [
        ("/lists/{list_id}", "page"),
        ("/persons/{person_id}", "api"),
        ("/persons/{person_id}/sheet", "page"),
        ("/persons/{person_id}", "page"),
        ("/api/v1/health", "api"),
    ]
    assert seen[0]["list_id"] == read_list(Home(shared)).list_id
    assert {"P1", "P6"} <= set(seen[0]["persons"])
    assert "P7" not in seen[0]["persons"]
    assert seen[1]["persons"] == ["P1"]
    assert (seen[3]["act"], seen[3]["persons"]) == ("access", ["nobody"]), (
        "an attempt, by the reference tried"
    )
    assert {(one["username"], one["purpose"], one["reference"]) for one in seen} == {
        ("test.supervisor", "investigation", "TEST")
    }


def test_what_cannot_be_written_down_is_not_shown(home: Path) -> None:
    assert client_of(home, "supervisor").get("/persons/P1").status_code == 200
    (home / "keys" / "audit.key").write_bytes(b"")
    client = client_of(home, "supervisor")
    for path in ("/lists/latest", "/persons/P1", "/persons/P1/sheet", "/api/v1/persons/P1", "/", "/account"):
        found = client.get(path)
        assert found.status_code in (400, 500, 503), path
        assert "Quillmark" not in found.text
        assert "audit" in found.text


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        ("/api/v1/persons/nobody", 404, "records team"),
        ("/api/v1/persons/P9", 404, "records team"),
        ("/api/v1/persons/P8/sheet", 404, "records team"),
        ("/api/v1/lists/20990101T0600Z-0000000000", 404, "Lists here"),
        ("/api/v1/lists/latest?team=nowhere", 400, "Teams: D1, D2, D3"),
        ("/api/v1/lists/latest?top=0", 400, "Correct the address"),
        ("/api/v1/persons/P1?as_of=someday", 400, "2025-06-01"),
        ("/api/v1/persons/P1?as_of=2099-01-01", 400, "date up to today"),
        ("/api/v1/nothing", 404, "first page"),
    ],
)
def test_errors_are_problems_with_a_cure(client: TestClient, path: str, status: int, word: str) -> None:
    found = client.get(path)
    assert found.status_code == status
    assert found.headers["content-type"] == "application/problem+json"
    body = found.json()
    assert set(body) == {"type", "title", "status", "detail", "cure"}
    assert body["status"] == status
    assert word in body["cure"]
    page = client.get(path.removeprefix("/api/v1"))
    assert page.status_code == status
    assert page.headers["content-type"].startswith("text/html")
    assert "What to do" in page.text


def test_our_own_fault_is_told_without_a_persons_data(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("P1 Adam Quillmark")

    monkeypatch.setattr("api.routes.persons.facts_of", broken)
    found = client.get("/persons/P1")
    assert found.status_code == 500
    assert "not your fault" in found.text
    assert "Quillmark" not in found.text + caplog.text
    assert "/persons/{person_id}" in caplog.text
    assert found.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]


def test_names_are_text_not_markup(
    small_home_maker: Callable[..., Path], small_extract_tables: dict[str, pl.DataFrame]
) -> None:
    nasty = '<script>alert("x")</script>'
    people = small_extract_tables["person"].with_columns(
        family_name=pl.when(pl.col("person_id").is_in(["P1", "V1"]))
        .then(pl.lit(nasty))
        .otherwise("family_name")
    )
    home = small_home_maker("nasty", person=people)
    publish(Home(home), T)
    client = client_of(home, "supervisor")
    for path in ("/lists/latest", "/persons/P1", "/persons/P1/sheet"):
        text = client.get(path).text
        assert "<script>" not in text
        assert "&lt;script&gt;" in text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.5"])
def test_only_this_machine_is_answered(client: TestClient, host: str) -> None:
    found = client.get("/lists/latest", headers={"host": host})
    assert found.status_code == 403
    assert "Quillmark" not in found.text


def test_a_caller_from_elsewhere_is_refused(home: Path) -> None:
    app = create_app(home)
    afar = TestClient(app, base_url=BASE, client=("192.0.2.7", 40000))
    assert afar.get("/sign-in").status_code == 403
    assert afar.get("/api/v1/lists/latest").status_code == 403
    near = TestClient(app, base_url=BASE, client=("127.0.0.1", 40000))
    assert near.get("/sign-in").status_code == 200
    assert near.get("/api/v1/lists/latest").status_code == 401


def test_behind_tls_only_the_public_name_is_answered_and_browsers_are_told_to_keep_to_it(home: Path) -> None:
    app = create_app(home, Settings(public_url="https://doorstep.force.example"))
    found = TestClient(app, base_url="https://doorstep.force.example", client=("10.1.2.3", 4000)).get(
        "/sign-in"
    )
    assert found.status_code == 200
    assert found.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
    cookie = found.headers["set-cookie"]
    assert cookie.startswith("__Host-doorstep-before=")
    assert {"Secure", "HttpOnly", "SameSite=lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    other = TestClient(app, base_url="https://elsewhere.example").get("/sign-in")
    assert other.status_code == 403
    assert "https://doorstep.force.example" in other.text


def test_operational_records_are_served_to_who_signs_in(small_home_maker: Callable[..., Path]) -> None:
    home = small_home_maker("real", nature="operational")
    publish(Home(home), T)
    client = client_of(home, "supervisor")
    text = client.get("/lists/latest").text
    assert "Quillmark" in text
    assert "Simulated" not in text
    stranger = TestClient(client.app, base_url=BASE)
    assert "Quillmark" not in stranger.get("/lists/latest").text


def test_a_public_load_says_so(small_home_maker: Callable[..., Path]) -> None:
    home = small_home_maker("public", nature="public")
    publish(Home(home), T)
    text = client_of(home, "supervisor").get("/lists/latest").text
    assert text.count("Public research data") == 2
    assert "Simulated" not in text


def test_before_the_first_load_model_or_list_the_pages_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    client = client_of(tmp_path / "home", "supervisor")
    assert "doorstep publish" in client.get("/").text
    assert client.get("/api/v1/health").json()["ok"] is False
    found = client.get("/lists/latest")
    assert found.status_code == 404
    assert "doorstep publish" in found.text
    assert "doorstep ingest" in client.get("/persons/P1").text


def test_openapi_has_examples_and_describes_the_errors(client: TestClient) -> None:
    document = client.get("/api/v1/openapi.json").json()
    assert set(document["paths"]) >= {
        "/api/v1/health", "/api/v1/lists", "/api/v1/lists/{list_id}", "/api/v1/persons/{person_id}",
        "/api/v1/persons/{person_id}/sheet", "/api/v1/me", "/api/v1/accounts",
    }  # fmt: skip
    for path in document["paths"].values():
        for asked in path.values():
            assert {"400", "401", "403", "404", "429", "503"} <= set(asked["responses"])
    assert document["security"] == [{"token": []}, {"session": []}]
    row = document["components"]["schemas"]["ListRow"]["properties"]
    assert row["in_100"]["examples"] == ["7 in 100"]


def test_the_service_needs_no_training_library(home: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.signing import client_of\n"
        "client = client_of(Path(sys.argv[1]), 'supervisor')\n"
        "assert client.get('/lists/latest').status_code == 200\n"
        "assert client.get('/persons/P1').status_code == 200\n"
        "heavy = {'sklearn', 'pandas', 'mlflow', 'shap', 'numba', 'matplotlib', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(home)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr

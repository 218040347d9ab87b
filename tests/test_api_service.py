"""The service: every route answers, every look is written down, nothing is served that should not be."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from fastapi.testclient import TestClient

from api.app import HEADERS, create_app
from features.clocks import parse_as_of
from features.errors import InputError
from features.home import Home
from risk.looks import log_path, looks
from risk.priority import publish, read_list

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
    """A copy of the home with its two lists, whose looks are this test's own."""
    shutil.copytree(small_home, tmp_path / "home", ignore=shutil.ignore_patterns("looks.jsonl"))
    return tmp_path / "home"


@pytest.fixture
def client(home: Path) -> TestClient:
    return TestClient(create_app(home), base_url=BASE)


@pytest.mark.parametrize("path", [*PAGES, *(f"/api/v1{path}" for path in SHARED), "/api/v1/health"])
def test_every_route_answers_with_safety_headers(client: TestClient, path: str) -> None:
    found = client.get(path)
    assert found.status_code == 200, found.text
    for name, value in HEADERS.items():
        assert found.headers[name] == value
    if not path.startswith("/api"):
        assert found.text.count("OFFICIAL-SENSITIVE") == 2, "top and bottom"
        assert found.text.count("SIMULATED, NO REAL PERSON") == 2
        assert "Records up to 21 May 2025" in found.text
        assert "<script" not in found.text
        assert " style=" not in found.text
        assert "http" not in found.text.replace("http://www.w3.org/2000/svg", ""), "nothing from elsewhere"


def test_the_list_as_json_says_what_the_page_shows(client: TestClient, home: Path) -> None:
    body = client.get("/api/v1/lists/latest").json()
    page = client.get("/lists/latest").text
    assert body["list_id"] == read_list(Home(home)).list_id
    assert body["rows"][0]["name"] == "Adam Quillmark"
    assert {row["person_id"] for row in body["apart"]} == {"P2", "P4", "P5", "V3"}
    for row in body["rows"]:
        assert row["person_id"] in page
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


def test_every_look_is_written_down_before_it_is_shown(client: TestClient, home: Path) -> None:
    client.get("/lists/latest?team=D1")
    client.get("/api/v1/persons/P1")
    client.get("/persons/P1/sheet")
    client.get("/persons/nobody")
    client.get("/api/v1/health")
    seen = list(looks(home))
    assert [(one["what"], one["by"]) for one in seen] == [
        ("list", "page"),
        ("person", "api"),
        ("sheet", "page"),
    ]
    assert seen[0]["detail"] == "Team D1"
    assert {"P1", "P6"} <= set(seen[0]["persons"])
    assert "P7" not in seen[0]["persons"]
    assert seen[1]["persons"] == ["P1"]
    assert all(one["who"] and one["at"] and one["count"] == len(one["persons"]) for one in seen)


def test_what_cannot_be_written_down_is_not_shown(client: TestClient, home: Path) -> None:
    log_path(home).unlink(missing_ok=True)
    log_path(home).mkdir()
    for path in ("/lists/latest", "/persons/P1", "/persons/P1/sheet", "/api/v1/persons/P1"):
        found = client.get(path)
        assert found.status_code == 500
        assert "Quillmark" not in found.text
        assert "nothing is shown" in found.text


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

    monkeypatch.setattr("api.routes.persons.person", broken)
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
    client = TestClient(create_app(home), base_url=BASE)
    for path in ("/lists/latest", "/persons/P1", "/persons/P1/sheet"):
        text = client.get(path).text
        assert "<script" not in text
        assert "&lt;script&gt;" in text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.5"])
def test_only_this_machine_is_answered(client: TestClient, host: str) -> None:
    found = client.get("/lists/latest", headers={"host": host})
    assert found.status_code == 403
    assert "Quillmark" not in found.text


def test_a_caller_from_elsewhere_is_refused(home: Path) -> None:
    afar = TestClient(create_app(home), base_url=BASE, client=("192.0.2.7", 40000))
    assert afar.get("/api/v1/lists/latest").status_code == 403
    near = TestClient(create_app(home), base_url=BASE, client=("127.0.0.1", 40000))
    assert near.get("/api/v1/lists/latest").status_code == 200


def test_operational_records_are_not_served(small_home_maker: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="operational records"):
        create_app(small_home_maker("real", nature="operational"))


def test_a_home_that_turns_operational_under_a_running_service_is_refused(
    small_home_maker: Callable[..., Path], tmp_path: Path
) -> None:
    from features.ingest import ingest

    home = small_home_maker("turning")
    publish(Home(home), T)
    client = TestClient(create_app(home), base_url=BASE)
    assert client.get("/persons/P1").status_code == 200
    marker = tmp_path / "turning" / "extract" / "extract.json"
    marker.write_text(json.dumps({"nature": "operational"}), encoding="utf-8")
    ingest(marker.parent, Home(home))
    found = client.get("/persons/P1")
    assert found.status_code == 400
    assert "Quillmark" not in found.text
    assert client.get("/lists/latest").status_code == 400


def test_a_public_load_says_so(small_home_maker: Callable[..., Path]) -> None:
    home = small_home_maker("public", nature="public")
    publish(Home(home), T)
    text = TestClient(create_app(home), base_url=BASE).get("/lists/latest").text
    assert text.count("PUBLIC RESEARCH DATA") == 2
    assert "SIMULATED" not in text


def test_before_the_first_load_model_or_list_the_pages_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    client = TestClient(create_app(tmp_path / "home"), base_url=BASE)
    assert "doorstep publish" in client.get("/").text
    assert client.get("/api/v1/health").json()["ok"] is False
    found = client.get("/lists/latest")
    assert found.status_code == 400
    assert "doorstep ingest" in found.text


def test_openapi_has_examples_and_describes_the_errors(client: TestClient) -> None:
    document = client.get("/api/v1/openapi.json").json()
    assert set(document["paths"]) == {
        "/api/v1/health", "/api/v1/lists", "/api/v1/lists/{list_id}", "/api/v1/persons/{person_id}",
        "/api/v1/persons/{person_id}/sheet",
    }  # fmt: skip
    for path in document["paths"].values():
        assert {"200", "400", "404"} <= set(path["get"]["responses"])
    row = document["components"]["schemas"]["ListRow"]["properties"]
    assert row["in_100"]["examples"] == ["7 in 100"]


def test_the_service_needs_no_training_library(home: Path) -> None:
    script = (
        "import sys\n"
        "from fastapi.testclient import TestClient\n"
        "from api.app import create_app\n"
        "client = TestClient(create_app(__import__('pathlib').Path(sys.argv[1])), base_url='http://127.0.0.1')\n"
        "assert client.get('/lists/latest').status_code == 200\n"
        "assert client.get('/persons/P1').status_code == 200\n"
        "heavy = {'sklearn', 'pandas', 'mlflow', 'shap', 'numba', 'matplotlib', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(home)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

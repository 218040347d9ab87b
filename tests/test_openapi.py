"""The JSON interface as it documents itself: permissions, examples, errors that say what to do; and whatever a program
sends, no answer is our own fault or one that is not documented."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.auth.rates import Rates
from api.auth.table import table
from tests.signing import BASE, client_of

HOST = BASE.removeprefix("http://")
EXAMPLES = 8  # calls of each kind for an operation and role: enough for each kind of wrong value
DUTIES = ("legal", "data_protection")


@pytest.fixture(scope="module")
def home(small_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("openapi") / "home"
    shutil.copytree(small_home, place)
    return place


@pytest.fixture(scope="module")
def clients(home: Path) -> dict[str, TestClient]:
    """One service, a signed-in client a role."""
    found: dict[str, TestClient] = {}
    app = None
    for role in table().roles:
        purposes = [one.key for one in table().purposes_of(role)]
        purpose = next((one for one in purposes if one != "briefing"), purposes[0] if purposes else None)
        found[role] = client_of(home, role, purpose=purpose, duties=DUTIES, app=app)
        app = found[role].app  # type: ignore[assignment]
    return found


def _document(clients: dict[str, TestClient]) -> dict[str, Any]:
    document: dict[str, Any] = clients["supervisor"].app.openapi()  # type: ignore[attr-defined]
    return document


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_every_operation_says_what_it_does_and_what_may_go_wrong(clients: dict[str, TestClient]) -> None:
    document = _document(clients)
    assert document["info"]["version"]
    for method, path, operation in _operations(document):
        name = f"{method} {path}"
        assert path.startswith("/api/v1/"), name
        assert operation.get("summary"), name
        assert operation.get("description"), name
        assert "422" not in operation["responses"], f"{name}: a wrong value is answered with 400"
        for status, answer in operation["responses"].items():
            if status >= "400":
                assert "application/problem+json" in answer["content"], f"{name}: {status}"


def test_every_answer_has_an_example_of_its_shape_and_every_body_one(clients: dict[str, TestClient]) -> None:
    document = _document(clients)
    shapes = document["components"]["schemas"]
    for method, path, operation in _operations(document):
        name = f"{method} {path}"
        said = [one for status, one in operation["responses"].items() if status in ("200", "201")]
        content = said[0].get("content", {}).get("application/json")
        if content is not None:
            shape = shapes[content["schema"]["$ref"].split("/")[-1]]
            assert content.get("example"), name
            assert set(content["example"]) == set(shape["properties"]), (
                f"{name}: python -m tests.openapi_examples"
            )
        for body in operation.get("requestBody", {}).get("content", {}).values():
            fields = shapes[body["schema"]["$ref"].split("/")[-1]]["properties"]
            assert any("examples" in field for field in fields.values()), name


def test_a_wrong_value_is_a_problem_with_a_cure(clients: dict[str, TestClient]) -> None:
    found = clients["supervisor"].get("/api/v1/lists/latest?top=many")
    assert found.status_code == 400
    assert found.headers["content-type"] == "application/problem+json"
    assert set(found.json()) >= {"type", "title", "status", "detail", "cure"}
    assert "top" in found.json()["detail"]


def test_long_tables_come_in_pages(clients: dict[str, TestClient]) -> None:
    document = _document(clients)
    for path in ("/api/v1/lists", "/api/v1/lists/{list_id}", "/api/v1/audit", "/api/v1/linkage"):
        names = {one["name"] for one in document["paths"][path]["get"]["parameters"]}
        assert names & {"offset", "after", "limit"}, path


@pytest.mark.slow
@pytest.mark.parametrize(
    "role", ["proactive", "dalo", "supervisor", "analyst", "records", "auditor", "administrator"]
)
def test_whatever_is_sent_nothing_fails_and_nothing_undocumented_comes_back(
    clients: dict[str, TestClient], role: str
) -> None:
    """Schemathesis makes up calls from the document, right ones and wrong ones."""
    import schemathesis
    from hypothesis import HealthCheck, given, settings
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    client, app = clients[role], clients[role].app
    app.state.rates = Rates(scale=1e6)  # type: ignore[attr-defined]
    signed = {"X-CSRF-Token": client.headers["X-CSRF-Token"]}
    cookie = f"doorstep={client.cookies['doorstep']}"
    checks = [
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
    ]
    seen: Counter[int] = Counter()
    quiet = settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    schema = schemathesis.openapi.from_asgi(
        "/api/v1/openapi.json", app, headers=signed | {"Cookie": cookie, "Host": HOST}
    )
    for found in schema.get_all_operations():

        @quiet
        @given(case=found.ok().as_strategy())
        def tried(case: Any) -> None:
            answer = case.call(base_url=BASE, headers=signed | {"Cookie": cookie})
            seen[answer.status_code] += 1
            case.validate_response(answer, checks=checks)

        tried()
    assert seen[200] > 0
    assert not [status for status in seen if status >= 500]

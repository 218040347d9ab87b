"""Need to know: every route is guarded, each role sees its own and nothing more, and no refusal shows a record."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient

from api.access import Need, Viewer, allow, needs, outside, unguarded
from api.app import create_app
from api.auth import sessions, tokens
from api.auth.accounts import need, utc_now
from api.auth.table import read_table, table
from api.problems import RefusedError
from features.errors import InputError
from risk.audit import rows
from tests.signing import BASE, client_of, session_of

ROLES = ("proactive", "dalo", "supervisor", "analyst", "records", "auditor", "administrator")
VALUES = {"person_id": "P1", "list_id": "latest", "username": "test.dalo"}


@pytest.fixture(scope="module")
def service(small_home: Path, tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """A service over a copy of the home; its rates are high, because a walk opens every page as everybody."""
    from api.settings import Settings

    home = tmp_path_factory.mktemp("access") / "home"
    shutil.copytree(small_home, home)
    return create_app(home, Settings(rate_scale=100))


@pytest.fixture(scope="module")
def signed_in(service: FastAPI) -> Callable[[str], TestClient]:
    """A client of each role, made once."""
    made: dict[str, TestClient] = {}

    def client(role: str) -> TestClient:
        if role not in made:
            made[role] = client_of(service.state.desk.path, role, app=service)
            made[role].follow_redirects = False
        return made[role]

    return client


def walked(service: FastAPI) -> Iterator[tuple[str, str, Need | None]]:
    """Every method and path of the service, its parameters filled in, and what its guard asks for."""
    for one in iter_route_contexts(service.routes):
        if not hasattr(one, "dependant"):
            continue
        guard = next((found for each in one.dependant.dependencies if (found := needs(each.call))), None)
        path = re.sub(r"{(\w+)(?::\w+)?}", lambda part: VALUES.get(part[1], "1"), one.path or "")
        for method in sorted((one.methods or set()) - {"HEAD"}):
            yield method, path, guard


def test_no_route_is_without_a_guard(service: FastAPI) -> None:
    assert unguarded(service.routes) == []
    guarded = [path for _, path, guard in walked(service) if guard is not None]
    assert len(guarded) >= 30
    unlisted = {path for _, path, guard in walked(service) if guard is None}
    assert unlisted <= set(table().open_routes), "open by the table, not by forgetting"
    assert all(len(why) > 10 for why in table().open_routes.values())


def test_a_route_that_forgets_its_guard_is_found_and_the_service_does_not_start(
    small_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/left-open")
    def left_open() -> None:
        """Nobody is asked who they are."""

    @app.get("/guarded")
    def guarded(viewer: Annotated[Viewer, allow("home")]) -> None:
        """Asked."""

    assert unguarded(app.routes) == ["GET /left-open"]
    monkeypatch.setattr("api.app.routers", lambda: [app.router])
    with pytest.raises(RuntimeError, match="no guard stands before GET /left-open"):
        create_app(small_home)


def test_without_signing_in_every_route_leads_to_sign_in_or_401(service: FastAPI) -> None:
    client = TestClient(service, base_url=BASE, follow_redirects=False)
    before = len(rows(service.state.desk.db, limit=10_000))
    for method, path, guard in walked(service):
        if guard is None:
            continue
        found = client.request(method, path)
        assert "Quillmark" not in found.text, path
        if path.startswith("/api/"):
            assert found.status_code == 401, (method, path)
            assert found.headers["www-authenticate"].startswith("Bearer")
            assert set(found.json()) == {"type", "title", "status", "detail", "cure"}
        else:
            assert found.status_code == 303, (method, path)
            assert found.headers["location"].startswith("/sign-in"), (method, path)
    assert len(rows(service.state.desk.db, limit=10_000)) == before, "nobody looked at anything"


def test_who_does_not_hold_the_capability_is_refused_and_it_is_written_down(
    service: FastAPI, signed_in: Callable[[str], TestClient]
) -> None:
    db = service.state.desk.db
    refused = 0
    for method, path, guard in walked(service):
        if guard is None:
            continue
        for role in ROLES:
            if table().capabilities[guard.capability].held_by(role, ()):
                continue
            found = signed_in(role).request(method, path)
            assert found.status_code == 403, (role, method, path, found.text[:200])
            assert "Quillmark" not in found.text
            refused += 1
    assert refused > 100
    last = rows(db, limit=100_000, who="test.administrator")[-1]
    assert (last["act"], last["role"]) == ("access", "administrator")
    assert last["detail"].startswith("refused: needs ")
    assert len(rows(db, limit=100_000, act="access")) >= refused


@pytest.mark.parametrize("role", ["analyst", "records", "auditor", "administrator"])
def test_who_may_open_no_person_sees_no_name_on_any_page(
    service: FastAPI,
    signed_in: Callable[[str], TestClient],
    small_extract_tables: dict[str, pl.DataFrame],
    role: str,
) -> None:
    names = [name for name in small_extract_tables["person"]["family_name"].drop_nulls() if len(name) > 4]
    seen = 0
    for method, path, guard in walked(service):
        if method != "GET" or guard is None or guard.capability == "linkage.review":
            continue  # two records side by side, opened with a purpose, is what the records team is for
        if path == "/api/v1/openapi.json":
            continue  # its examples are of the people these tests made up
        if table().capabilities[guard.capability].held_by(role, ()):
            found = signed_in(role).get(path)
            assert found.status_code < 500, (path, found.text[:300])
            assert [name for name in names if name in found.text] == [], (role, path)
            seen += 1
    assert seen >= 5


def test_what_each_role_may_is_what_its_work_needs() -> None:
    def may(role: str) -> set[str]:
        return {one.key for one in table().of_role(role)}

    for role in ROLES:
        assert "home" in may(role)
    assert {"list.read", "person.read", "search", "decide"} <= may("proactive")
    assert "sheet.read" not in may("proactive"), "safe contact is for those who attend"
    assert {"sheet.read", "search", "visit.write"} <= may("dalo")
    assert "list.read" not in may("dalo")
    assert may("analyst").isdisjoint({"list.read", "person.read", "sheet.read", "search"})
    assert may("records").isdisjoint({"list.read", "list.pseudonym", "person.read", "models.read"})
    assert may("auditor") == {"home", "audit.read"}
    assert may("administrator") == {"home", "accounts.manage"}
    assert [one.key for one in table().of_role("analyst", ("legal",)) if one.roles == frozenset()] == [
        "options.verify"
    ]
    assert table().purposes_of("administrator") == []


def test_the_manual_says_what_the_table_says() -> None:
    manual = (Path(__file__).parents[1] / "docs" / "signing-in.md").read_text(encoding="utf-8")
    said = {
        part[0].split("`")[1]: [cell == "yes" for cell in part[1:8]] + [part[8]]
        for line in manual.splitlines()
        if line.startswith("| `") and len(part := [cell.strip() for cell in line.strip("|").split("|")]) == 9
    }
    assert said == {
        one.key: [role in one.roles for role in ROLES] + [", ".join(sorted(one.duties))]
        for one in table().capabilities.values()
    }
    hours = {key: int(found) for key, found in re.findall(r"^\| `(\w+)` \|.*\| (\d+) hours \|", manual, re.M)}
    assert hours == {one.key: one.hours for one in table().purposes.values()}


def test_a_table_that_names_no_role_is_refused() -> None:
    import tomllib

    from api.auth.table import FILE

    raw = tomllib.loads(FILE.read_text(encoding="utf-8"))
    raw["capabilities"]["search"]["roles"] = ["detective"]
    with pytest.raises(InputError, match="search is given to detective, which is no role"):
        read_table(raw)


def _viewer(**changes: Any) -> Viewer:
    task = sessions.Task(changes.pop("purpose", "attending"), "CAD 1", utc_now(), utc_now())
    facts: dict[str, Any] = {
        "account": "a", "name": "A", "role": "dalo", "districts": ("D1",), "duties": (), "face": "page",
        "source": "127.0.0.1", "task": task, "csrf": None,
    }  # fmt: skip
    return Viewer(**facts | changes)


def test_another_district_opens_when_a_life_may_be_at_stake_and_not_for_a_briefing() -> None:
    assert outside(_viewer(), "D1") is False
    assert outside(_viewer(), "D2") is True, "opened, and marked in the audit trail"
    assert outside(_viewer(), None) is True, "a person of no known district is nobody's own"
    assert outside(_viewer(districts=()), "D9") is False, "the whole force is their own"
    with pytest.raises(RefusedError, match="another district") as refused:
        outside(_viewer(purpose="briefing"), "D2")
    assert refused.value.status == 403
    assert outside(_viewer(purpose="briefing"), "D1") is False


def test_a_person_asks_for_a_purpose_once_a_task_and_the_row_carries_it(service: FastAPI) -> None:
    home, db = service.state.desk.path, service.state.desk.db
    client = client_of(home, "dalo", purpose=None, username="asked.once", app=service)
    client.follow_redirects = False
    found = client.get("/persons/P1?as_of=2025-06-01")
    assert found.status_code == 303
    assert found.headers["location"] == "/purpose?next=%2Fpersons%2FP1%3Fas_of%3D2025-06-01"
    refused = client.get("/api/v1/persons/P1")
    assert refused.status_code == 403
    assert "purpose" in refused.json()["detail"]
    asked = client.get(found.headers["location"])
    assert "Attending" in asked.text
    assert "Briefing" not in asked.text, "a purpose of other roles"
    sent = {"purpose": "attending", "reference": "CAD 0412", "next": "/persons/P1?as_of=2025-06-01"}
    assert client.post("/purpose", data=sent).headers["location"] == sent["next"]
    for path in (sent["next"], "/persons/P6?as_of=2025-06-01"):
        assert client.get(path).status_code == 200
    seen = rows(db, limit=10_000, who="asked.once")
    assert {"P1", "P6"} <= {person for row in seen for person in row["persons"]}
    assert {(row["purpose"], row["reference"]) for row in seen if row["persons"]} == {
        ("attending", "CAD 0412")
    }
    assert "task: attending, CAD 0412" in {row["detail"] for row in seen}
    client.post("/purpose/end")
    assert client.get(sent["next"]).headers["location"].startswith("/purpose")


@pytest.mark.parametrize(
    ("sent", "wrong"),
    [
        ({"purpose": "briefing", "reference": "B 12"}, "Choose what this is for"),
        ({"purpose": "attending", "reference": " "}, "Give a reference"),
        ({"purpose": "attending", "reference": "..."}, "Give a reference"),
        ({"purpose": "attending", "reference": "7" * 61}, "Give a reference"),
        ({}, "Choose what this is for"),
    ],
)
def test_a_task_that_says_nothing_is_asked_again_and_what_was_typed_stays(
    signed_in: Callable[[str], TestClient], sent: dict[str, str], wrong: str
) -> None:
    found = signed_in("dalo").post("/purpose", data=sent | {"next": "/persons/P1"})
    assert found.status_code == 400
    assert wrong in found.text
    assert 'name="next" value="/persons/P1"' in found.text
    if sent.get("reference", "").strip():
        assert f'value="{sent["reference"]}"' in found.text


def test_a_task_runs_out(service: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of(service.state.desk.path, "dalo", purpose="attending", username="long", app=service)
    client.follow_redirects = False
    assert client.get("/persons/P1").status_code == 200
    now = utc_now()
    hours = table().purposes["attending"].hours
    later = now.replace(year=now.year + 1)
    assert session_of(client).task is not None
    monkeypatch.setattr(sessions, "utc_now", lambda: later)
    assert session_of(client).task is None, f"after {hours} hours it is asked again"


def test_a_token_is_bound_to_its_scope_purpose_and_account(service: FastAPI) -> None:
    home, db = service.state.desk.path, service.state.desk.db
    client_of(home, "proactive", username="program", app=service)
    secret = tokens.make(
        db,
        "program",
        scopes=["person.read"],
        purpose="review",
        reference="REV 7",
        by="tests",
        label="nightly",
    )
    client = TestClient(service, base_url=BASE, follow_redirects=False)
    client.headers["Authorization"] = f"Bearer {secret}"
    assert client.get("/api/v1/persons/P1").status_code == 200
    assert client.get("/api/v1/lists/latest").status_code == 403, "its account may, the token may not"
    assert client.get("/persons/P1").status_code == 303, "a token opens no pages"
    row = rows(db, limit=10_000, who="program", person="P1")[-1]
    assert (row["face"], row["purpose"], row["reference"]) == ("api", "review", "REV 7")
    found = tokens.every(db, need(db, "program"))[0]
    assert "digest" not in found
    assert secret not in str(found)
    tokens.revoke(db, found["id"])
    assert client.get("/api/v1/persons/P1").status_code == 401
    for wrong in ("", "Bearer", "Bearer x", f"Basic {secret}", f"Bearer {secret}x"):
        client.headers["Authorization"] = wrong
        assert client.get("/api/v1/persons/P1").status_code == 401, wrong


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"scopes": ["audit.read"]}, "needs a scope"),
        ({"scopes": []}, "needs a scope"),
        ({"purpose": "audit"}, "has no purpose"),
        ({"reference": " "}, "Give a reference"),
        ({"days": 91}, "1 to 90 days"),
    ],
)
def test_a_token_that_would_reach_further_than_its_account_is_not_made(
    service: FastAPI, signed_in: Callable[[str], TestClient], changes: dict[str, Any], word: str
) -> None:
    signed_in("dalo")
    facts = {"scopes": ["person.read"], "purpose": "attending", "reference": "CAD 1", "by": "tests"}
    with pytest.raises(InputError, match=word):
        tokens.make(service.state.desk.db, "test.dalo", **facts | changes)


def test_a_request_that_writes_no_row_itself_has_one_before_its_answer_leaves(
    service: FastAPI, signed_in: Callable[[str], TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    db = service.state.desk.db
    client = signed_in("auditor")
    before = len(rows(db, limit=100_000))
    client.get("/api/v1/me")
    client.get("/account")
    added = rows(db, limit=100_000)[before:]
    assert [(row["page"], row["act"]) for row in added] == [
        ("/api/v1/me", "consultation"),
        ("/account", "consultation"),
    ]

    def cannot(*_: Any, **__: Any) -> int:
        from features.errors import DoorstepError

        raise DoorstepError("The audit trail cannot be written.", cure="Free disk space.")

    monkeypatch.setattr("api.gate.record", cannot)
    found = client.get("/account")
    assert found.status_code == 500
    assert "cannot be written" in found.text
    assert "test.auditor" not in found.text, "nothing is shown that cannot be written down"
    assert found.headers["content-security-policy"].startswith("default-src 'none'")


def test_whom_somebody_tried_to_open_is_found_by_the_reference_they_tried(
    service: FastAPI, signed_in: Callable[[str], TestClient]
) -> None:
    """Not there, shut, of another district, or not for the role: the auditor finds the attempt by the person."""
    db = service.state.desk.db
    bound = client_of(
        service.state.desk.path,
        "proactive",
        purpose="briefing",
        districts=("D2",),
        username="bound",
        app=service,
    )
    for client, path, person, status in (
        (signed_in("dalo"), "/persons/P8", "P8", 404),
        (signed_in("dalo"), "/api/v1/persons/NOBODY", "NOBODY", 404),
        (bound, "/persons/P1", "P1", 403),
        (signed_in("analyst"), "/persons/P8", "P8", 403),
        (signed_in("dalo"), f"/persons/{'x' * 500}", "x" * 80, 404),
    ):
        assert client.get(path).status_code == status, path
        row = rows(db, limit=100_000, person=person)[-1]
        assert (row["act"], row["persons"]) == ("access", [person])
        assert row["detail"].startswith("refused: "), row["detail"]

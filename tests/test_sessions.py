"""Sessions and what is sent into them: how they end, forged and late forms, nothing typed lost, floods and giants."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.app import create_app
from api.auth import accounts
from api.auth.accounts import utc_now
from api.auth.rates import Rates
from api.auth.table import table
from api.settings import Settings
from risk.audit import rows
from risk.store import Database
from risk.store.tables_accounts import KEPT_FORM, SESSION
from tests.signing import BASE, PASSWORD, changed, client_of, session_of, sign_in, token_in

pytest_plugins = ("tests.signing",)


# --- sessions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "over"),
    [
        ({"seen_at": timedelta(minutes=-30)}, "unused"),
        ({"ends_at": timedelta(seconds=-1)}, "old"),
        ({"ended_at": timedelta(seconds=-1)}, "ended"),
    ],
)
def test_a_session_ends_by_disuse_age_and_signing_out(
    service: FastAPI, db: Database, change: dict[str, timedelta], over: str
) -> None:
    client = client_of(service.state.desk.path, "dalo", app=service)
    client.follow_redirects = False
    assert client.get("/account").status_code == 200
    values = {name: utc_now() + by for name, by in change.items()}
    changed(db, SESSION, SESSION.c.digest == session_of(client).digest, **values)
    found = client.get("/account")
    assert found.headers["location"] == f"/sign-in?next=%2Faccount&over={over}"
    assert client.get("/api/v1/me").status_code == 401


def test_signing_out_ends_the_session_for_good(service: FastAPI, somebody: str, browser: TestClient) -> None:
    sign_in(browser, somebody)
    secret = browser.cookies["doorstep"]
    found = browser.post("/sign-out", data={"csrf": token_in(browser.get("/account").text)})
    assert found.headers["location"] == "/sign-in?over=bye"
    assert found.headers["clear-site-data"] == '"cache", "storage"'
    back = TestClient(service, base_url=BASE, follow_redirects=False, cookies={"doorstep": secret})
    assert back.get("/account").status_code == 303


def test_closing_an_account_or_changing_its_role_ends_its_sessions_at_once(
    service: FastAPI, db: Database
) -> None:
    client = client_of(service.state.desk.path, "dalo", username="leaver", app=service)
    client.follow_redirects = False
    assert client.get("/account").status_code == 200
    accounts.change(db, "leaver", role="analyst", districts=(), duties=())
    assert client.get("/account").status_code == 303
    client = client_of(service.state.desk.path, "analyst", username="leaver", app=service)
    client.follow_redirects = False
    accounts.disable(db, "leaver", "tests")
    assert client.get("/account").headers["location"].endswith("over=closed")


def test_no_more_sessions_at_once_than_the_table_says(service: FastAPI, db: Database) -> None:
    most = table().limit("sessions", "at_once")
    clients = [
        client_of(service.state.desk.path, "dalo", username="many", app=service) for _ in range(most + 1)
    ]
    states = [client.get("/account", follow_redirects=False).status_code for client in clients]
    assert states == [303] + [200] * most


def test_a_person_ends_their_other_sessions_with_their_password(
    browser: TestClient, service: FastAPI, db: Database, somebody: str
) -> None:
    other = TestClient(service, base_url=BASE, follow_redirects=False)
    sign_in(other, somebody)
    sign_in(browser, somebody)
    token = token_in(browser.get("/account").text)
    assert browser.post("/account/sessions/end", data={"csrf": token, "password": "no"}).status_code == 400
    assert other.get("/account").status_code == 200
    assert (
        browser.post("/account/sessions/end", data={"csrf": token, "password": PASSWORD}).status_code == 303
    )
    assert other.get("/account").status_code == 303
    assert browser.get("/account").status_code == 200


def test_behind_tls_the_cookie_is_bound_to_the_host_and_forms_come_from_the_public_address(
    service: FastAPI, tmp_path: Path, quick_hashes: None
) -> None:
    shutil.copytree(service.state.desk.path, tmp_path / "home")
    address = "https://doorstep.force.example"
    app = create_app(tmp_path / "home", Settings(public_url=address, rate_scale=100))
    accounts.add(app.state.desk.db, "sam", role="dalo", by="tests", password=PASSWORD, one_time=False)
    browser = TestClient(app, base_url=address, follow_redirects=False)
    found = sign_in(browser, "sam")
    session = next(one for one in found.headers.get_list("set-cookie") if one.startswith("__Host-doorstep="))
    parts = {part.strip() for part in session.split(";")}
    assert {"Secure", "HttpOnly", "SameSite=lax", "Path=/"} <= parts
    assert not any(part.lower().startswith("domain") for part in parts)
    page = browser.get("/purpose")
    assert page.status_code == 200
    sent = {"csrf": token_in(page.text), "purpose": "attending", "reference": "CAD 1"}
    assert browser.post("/purpose", data=sent, headers={"Origin": "http://127.0.0.1"}).status_code == 403
    assert browser.post("/purpose", data=sent, headers={"Origin": address}).status_code == 303


def test_a_clock_that_was_ahead_neither_ends_a_session_nor_makes_it_last(
    service: FastAPI, db: Database
) -> None:
    client = client_of(service.state.desk.path, "dalo", username="skewed", app=service)
    client.follow_redirects = False
    digest = session_of(client).digest
    changed(db, SESSION, SESSION.c.digest == digest, seen_at=utc_now() + timedelta(hours=3))
    assert client.get("/account").status_code == 200
    changed(db, SESSION, SESSION.c.digest == digest, ends_at=utc_now() - timedelta(seconds=1))
    assert client.get("/account").status_code == 303, "the longest time counts from its beginning"


# --- forged and late forms -----------------------------------------------------------------------------------------


def test_a_form_without_its_token_or_from_another_site_changes_nothing(
    service: FastAPI, db: Database
) -> None:
    client = client_of(service.state.desk.path, "dalo", username="forged", purpose=None, app=service)
    token = client.headers.pop("X-CSRF-Token")
    sent = {"purpose": "attending", "reference": "CAD 1"}
    foreign: list[tuple[dict[str, str], dict[str, str]]] = [
        ({}, {}),
        ({"csrf": "wrong"}, {}),
        ({"csrf": token}, {"Sec-Fetch-Site": "cross-site"}),
        ({"csrf": token}, {"Sec-Fetch-Site": "same-site"}),
        ({"csrf": token}, {"Origin": "https://evil.example"}),
        ({"csrf": token}, {"Origin": "null"}),
    ]
    for fields, headers in foreign:
        found = client.post("/purpose", data=sent | fields, headers=headers)
        assert found.status_code == 403, (fields, headers)
        assert session_of(client).task is None
    assert rows(db, limit=100_000, who="forged")[-1]["detail"].startswith("refused")
    ours = {"Sec-Fetch-Site": "same-origin", "Origin": BASE}
    client.follow_redirects = False
    assert client.post("/purpose", data=sent | {"csrf": token}, headers=ours).status_code == 303
    assert session_of(client).task is not None


def test_the_sign_in_form_cannot_be_sent_by_another_site(browser: TestClient, somebody: str) -> None:
    sent = {"username": somebody, "password": PASSWORD}
    assert browser.post("/sign-in", data=sent).status_code == 403
    token = token_in(browser.get("/sign-in").text)
    stranger = TestClient(browser.app, base_url=BASE, follow_redirects=False)
    found = stranger.post("/sign-in", data=sent | {"csrf": token})
    assert found.status_code == 403, "the token of another browser"
    assert somebody in found.text, "the name need not be typed again"
    found = browser.post("/sign-in", data=sent | {"csrf": token}, headers={"Origin": "https://evil.example"})
    assert found.status_code == 403


@pytest.fixture
def sent_late(service: FastAPI, db: Database) -> Callable[[dict[str, Any]], tuple[TestClient, str]]:
    """A supervisor's form sent after their session ended: the browser, and where the answer led."""

    def send(ending: dict[str, Any]) -> tuple[TestClient, str]:
        client = client_of(service.state.desk.path, "supervisor", username="late", app=service)
        client.follow_redirects = False
        token = client.headers.pop("X-CSRF-Token")
        changed(db, SESSION, SESSION.c.digest == session_of(client).digest, **ending)
        if accounts.find(db, "other") is None:
            accounts.add(db, "other", role="dalo", by="tests")
        why = "Case officer\r\nsince March of this year"
        typed = {"person_id": "P4", "username": "other", "why": why, "do": "name"}
        found = client.post("/breakglass-named", data=typed | {"csrf": token})
        assert found.status_code == 303
        return client, found.headers["location"]

    return send


def test_what_was_typed_into_a_session_that_ended_is_kept_for_its_author_and_sent_after_signing_in(
    service: FastAPI, db: Database, sent_late: Callable[[dict[str, Any]], tuple[TestClient, str]]
) -> None:
    from api.auth import openings

    client, where = sent_late({"seen_at": utc_now() - timedelta(hours=2)})
    assert where.endswith("over=unused")
    kept_at = urlsplit(where).query.split("&")[0].removeprefix("next=").replace("%2F", "/")
    assert "You were away" in client.get(where).text
    other = client_of(service.state.desk.path, "supervisor", username="another", app=service)
    assert other.get(kept_at).status_code == 404, "its author alone"
    assert openings.named(db) == []
    again = client_of(service.state.desk.path, "supervisor", username="late", app=service)
    page = again.get(kept_at).text
    assert "Case officer\nsince March of this year" in page
    assert 'action="/breakglass-named"' in page
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
    again.headers.pop("X-CSRF-Token")
    assert again.post("/breakglass-named", data=fields).status_code == 200
    assert [(one["person_id"], one["username"]) for one in openings.named(db)] == [("P4", "other")]
    assert again.post(f"{kept_at}/drop", data={"csrf": fields["csrf"]}).status_code == 200
    assert again.get(kept_at).status_code == 404


def test_a_form_served_before_signing_in_again_is_kept_not_refused(service: FastAPI, db: Database) -> None:
    home = service.state.desk.path
    first = client_of(home, "dalo", username="two.tabs", app=service)
    old = first.headers["X-CSRF-Token"]
    client = client_of(home, "dalo", username="two.tabs", app=service)
    client.headers.pop("X-CSRF-Token")
    client.follow_redirects = False
    found = client.post("/purpose", data={"purpose": "attending", "reference": "CAD 77", "csrf": old})
    assert found.headers["location"].startswith("/kept/")
    assert "CAD 77" in client.get(found.headers["location"]).text
    task = session_of(client).task
    assert task is not None
    assert task.reference == "TEST", "not sent until its author says so"


def test_passwords_are_never_kept_and_kept_forms_run_out(
    service: FastAPI, db: Database, sent_late: Callable[[dict[str, Any]], tuple[TestClient, str]]
) -> None:
    client = client_of(service.state.desk.path, "dalo", username="secretive", app=service)
    token = client.headers.pop("X-CSRF-Token")
    client.follow_redirects = False
    changed(db, SESSION, SESSION.c.digest == session_of(client).digest, ended_at=utc_now())
    typed = {"password": PASSWORD, "new_password": "violet umbrella gravel", "csrf": token}
    client.post("/account/password", data=typed)
    with db.read() as store:
        assert not any("velvet" in str(row) for row in store.execute(sa.select(KEPT_FORM)))
    _, where = sent_late({"ended_at": utc_now()})
    kept_at = urlsplit(where).query.split("&")[0].removeprefix("next=").replace("%2F", "/")
    changed(db, KEPT_FORM, KEPT_FORM.c.path == "/breakglass-named", until=utc_now() - timedelta(seconds=1))
    again = client_of(service.state.desk.path, "supervisor", username="late", app=service)
    assert again.get(kept_at).status_code == 404


# --- rates and sizes -----------------------------------------------------------------------------------------------


def test_a_bucket_empties_and_fills_with_time() -> None:
    now = [0.0]
    rates = Rates(lambda: now[0])
    burst = table().limit("rates", "sign_in_burst")
    assert [rates.take("sign_in", "a") for _ in range(burst)] == [0] * burst
    wait = rates.take("sign_in", "a")
    assert wait > 0
    assert rates.take("sign_in", "b") == 0, "another address has its own"
    now[0] += wait
    assert rates.take("sign_in", "a") == 0


def test_too_many_requests_are_told_when_to_come_back_and_one_row_says_so(
    small_home: Path, tmp_path: Path
) -> None:
    shutil.copytree(small_home, tmp_path / "home")
    app = create_app(tmp_path / "home", Settings(rate_scale=0.02))
    client = client_of(tmp_path / "home", "auditor", app=app, username="quick")
    found = [client.get("/api/v1/me") for _ in range(12)]
    assert {one.status_code for one in found} == {200, 429}
    last = found[-1]
    assert last.status_code == 429
    assert int(last.headers["retry-after"]) >= 1
    assert "Wait" in last.json()["cure"]
    told = [row for row in rows(app.state.desk.db, limit=1000, who="quick") if "too many" in row["detail"]]
    assert len(told) == 1
    stranger = TestClient(app, base_url=BASE, follow_redirects=False)
    states = [stranger.get("/api/v1/me").status_code for _ in range(6)]
    assert states[0] == 401
    assert states[-1] == 429


def test_what_is_too_large_or_cannot_be_read_gets_a_page_that_says_so(service: FastAPI, db: Database) -> None:
    client = client_of(service.state.desk.path, "supervisor", username="large", app=service)
    found = client.get("/account", params={"q": "x" * 60_000})
    assert found.status_code == 414
    assert "What to do" in found.text
    found = client.post("/purpose", data={"purpose": "audit", "reference": "x" * 10_000_000})
    assert found.status_code == 413
    many = "&".join(f"a{i}=1" for i in range(2000))
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for body in (many, "purpose=%ff%fe&reference=x", "reference=a%00b"):
        found = client.post("/purpose", content=body, headers=form)
        assert found.status_code == 400, body[:40]
        assert "could not be read" in found.text
    parts = {"purpose": (None, "audit"), "reference": (None, "A 12"), "next": (None, "/account")}
    assert client.post("/purpose", files=parts).status_code == 200
    task = session_of(client).task
    assert task is not None
    assert task.reference == "A 12", "multipart is read like any form"
    assert client.post("/purpose", files={"purpose": ("a.txt", b"audit")}).status_code == 400


def test_the_database_being_away_is_told_and_nothing_is_shown(
    service: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    from risk.store import StoreAwayError

    client = client_of(service.state.desk.path, "supervisor", app=service)

    def away(*_: Any, **__: Any) -> Any:
        raise StoreAwayError("connection refused", cure="Start it.")

    monkeypatch.setattr("api.auth.sessions._one", away)
    for path in ("/persons/P1", "/api/v1/persons/P1"):
        found = client.get(path)
        assert found.status_code == 503
        assert found.headers["retry-after"] == "30"
        assert "Quillmark" not in found.text

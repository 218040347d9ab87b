"""Signing in: passwords, lock-out, one-time passwords, and the same words whatever was wrong."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from time import sleep

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.auth import accounts, passwords, signing
from api.auth.accounts import utc_now
from api.auth.table import table
from api.routes.signin import local
from features.errors import InputError
from risk.audit import rows
from risk.store import Database
from risk.store.tables_accounts import ACCOUNT, SESSION, TOKEN
from tests.signing import BASE, PASSWORD, changed, sign_in, token_in

pytest_plugins = ("tests.signing",)


# --- passwords -----------------------------------------------------------------------------------------------------


def test_a_password_is_kept_as_argon2id_and_one_kept_more_weakly_is_hashed_anew_at_sign_in(
    db: Database, somebody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    weak = accounts.need(db, somebody)
    monkeypatch.setattr(passwords, "_HASHER", PasswordHasher.from_parameters(passwords.PARAMETERS))
    signing.check(db, somebody, PASSWORD)
    with db.read() as store:
        kept = store.execute(sa.select(ACCOUNT.c.password).where(ACCOUNT.c.id == weak.id)).scalar_one()
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$"), "RFC 9106, the setting for little memory"
    assert passwords.matches(kept, PASSWORD)
    assert not passwords.stale(kept)
    assert PASSWORD not in repr(weak)
    assert kept not in repr(accounts.need(db, somebody))


@pytest.mark.parametrize(
    ("password", "word"),
    [
        ("short words", "at least 12"),
        ("password1234", "guessed early"),
        ("qwertyuiopasdf", "guessed early"),
        ("Sam Okafor 1987", "guessed early"),
        ("doorstep police 1", "guessed early"),
        ("aaaaaaaaaaaaaaaaaaaa", "guessed early"),
        ("x" * 129, "at most 128"),
    ],
)
def test_a_password_that_would_be_guessed_is_refused(password: str, word: str) -> None:
    with pytest.raises(InputError, match=word):
        passwords.check_new(password, ("s.okafor", "Sam Okafor"))


@pytest.mark.parametrize(
    "password",
    [PASSWORD, "æøå ünlikely öctopus", "正しい馬電池ステープル番号", "8" * 40 + " velvet trombone"],
)
def test_any_signs_may_be_in_a_password_and_it_is_taken_to_the_letter(password: str) -> None:
    passwords.check_new(password, ("s.okafor",))
    kept = passwords.hashed(password)
    assert passwords.matches(kept, password)
    assert not passwords.matches(kept, password.upper() if password.upper() != password else password + " ")
    assert not passwords.matches(kept, password[:-1])


# --- signing in ----------------------------------------------------------------------------------------------------


def test_signing_in_goes_on_to_where_the_person_was_going_and_is_written_down(
    browser: TestClient, db: Database, somebody: str
) -> None:
    asked = browser.get("/account?x=1")
    assert asked.headers["location"] == "/sign-in?next=%2Faccount%3Fx%3D1"
    found = sign_in(browser, somebody.upper(), then="/account?x=1")
    assert (found.status_code, found.headers["location"]) == (303, "/account?x=1")
    assert browser.get("/account").status_code == 200
    row = rows(db, limit=100_000, who=somebody)[0]
    assert (row["act"], row["page"], row["role"]) == ("access", "/sign-in", "dalo")
    assert row["detail"] == "signed in with password"


@pytest.mark.parametrize(
    "address",
    ["https://evil.example", "//evil.example", "/\\evil.example", "/\tx", "javascript:alert(1)", "/sign-in?next=/x",
     "http:evil", "", "/" + "x" * 3000, "/sign-out"],
)  # fmt: skip
def test_nobody_is_sent_elsewhere_after_signing_in(address: str) -> None:
    assert local(address) == "/"


def test_the_cookie_is_for_this_host_alone_out_of_reach_of_scripts_and_gone_with_the_browser(
    browser: TestClient, db: Database, somebody: str
) -> None:
    found = sign_in(browser, somebody)
    cookies = found.headers.get_list("set-cookie")
    session = next(one for one in cookies if one.startswith("doorstep="))
    parts = {part.strip() for part in session.split(";")}
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= parts
    assert not any(part.lower().startswith(("max-age", "expires", "domain")) for part in parts)
    secret = browser.cookies["doorstep"]
    assert len(secret) >= 43, "256 bits"
    with db.read() as store:
        kept = [str(value) for row in store.execute(sa.select(SESSION)) for value in row]
    assert not any(secret in value for value in kept), "the database holds no session anybody could use"


def test_signing_in_again_gives_another_session_and_ends_the_one_before(
    browser: TestClient, service: FastAPI, somebody: str
) -> None:
    sign_in(browser, somebody)
    first = browser.cookies["doorstep"]
    sign_in(browser, somebody)
    assert browser.cookies["doorstep"] != first
    old = TestClient(service, base_url=BASE, follow_redirects=False, cookies={"doorstep": first})
    assert old.get("/account").status_code == 303


def test_a_session_somebody_made_up_does_not_count(browser: TestClient) -> None:
    for made in ("x", "A" * 43, "' or 1=1 --", ""):
        browser.cookies.set("doorstep", made)
        assert browser.get("/account").status_code == 303


def test_unknown_name_wrong_password_locked_and_closed_are_told_in_the_same_words(
    browser: TestClient, db: Database, somebody: str
) -> None:
    def told(username: str, password: str) -> str:
        found = sign_in(browser, username, password)
        assert found.status_code == 401
        return re.sub(r'value="[^"]*"', "", found.text)

    unknown = told("nobody.here", "some other password")
    assert told(somebody, "some other password") == unknown
    changed(db, ACCOUNT, ACCOUNT.c.username == somebody, locked_until=utc_now() + timedelta(minutes=5))
    assert told(somebody, PASSWORD) == unknown
    changed(db, ACCOUNT, ACCOUNT.c.username == somebody, locked_until=None, disabled_at=utc_now())
    assert told(somebody, PASSWORD) == unknown


def test_an_unknown_name_is_not_written_down_as_typed(browser: TestClient, db: Database) -> None:
    sign_in(browser, "my-secret-password-in-the-wrong-box", "x")
    row = rows(db, limit=100_000, act="access")[-1]
    assert (row["username"], row["detail"]) == ("unknown", "sign-in refused: no such account")
    assert "secret" not in str(row)


def test_five_wrong_passwords_in_a_row_lock_an_account_and_time_opens_it(
    browser: TestClient, db: Database, somebody: str
) -> None:
    most = table().limit("lock", "failures")
    for _ in range(most - 1):
        sign_in(browser, somebody, "wrong")
    assert sign_in(browser, somebody).status_code == 303, "right in time: the count begins again"
    for _ in range(most):
        sign_in(browser, somebody, "wrong")
    assert sign_in(browser, somebody).status_code == 401, "locked, the right password too"
    details = [row["detail"] for row in rows(db, limit=100_000, who=somebody)]
    assert details[-1] == "sign-in refused: locked"
    held = accounts.need(db, somebody).locked_until
    assert held is not None
    assert utc_now() < held <= utc_now() + timedelta(minutes=table().limit("lock", "minutes"))
    changed(db, ACCOUNT, ACCOUNT.c.username == somebody, locked_until=utc_now() - timedelta(seconds=1))
    assert sign_in(browser, somebody).status_code == 303, "nobody is shut out for a shift"


def test_guesses_made_side_by_side_all_count(db: Database, somebody: str) -> None:
    def guess(_: int) -> str:
        with pytest.raises(signing.WrongError) as wrong:
            signing.check(db, somebody, "wrong")
        return wrong.value.why

    with ThreadPoolExecutor(8) as pool:
        whys = list(pool.map(guess, range(12)))
    assert whys.count("wrong password") == table().limit("lock", "failures")
    assert whys.count("locked") == 12 - table().limit("lock", "failures")


def test_a_storm_of_guesses_takes_neither_the_memory_nor_the_threads_of_the_service(
    browser: TestClient, db: Database, somebody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = Event()
    begun: list[int] = []

    class Slow:
        def verify(self, kept: str, password: str) -> bool:
            begun.append(1)
            assert let_go.wait(30)
            raise VerifyMismatchError

        def hash(self, password: str) -> str:
            return "kept"

    monkeypatch.setattr(passwords, "_HASHER", Slow())
    with ThreadPoolExecutor(20) as pool:
        guesses = [pool.submit(passwords.matches, "kept", "guess") for _ in range(20)]
        while sum(one.done() for one in guesses) < 12:
            sleep(0.01)
        found = sign_in(browser, somebody)
        assert found.status_code == 429
        assert "Many people are signing in" in found.text
        assert somebody in found.text, "the name need not be typed again"
        assert len(begun) == 2, "two at a time"
        let_go.set()
    assert sum(isinstance(one.exception(), passwords.BusyError) for one in guesses) == 12
    assert [one.result() for one in guesses if one.exception() is None] == [False] * 8


def test_a_one_time_password_opens_nothing_but_its_own_change_and_runs_out(
    browser: TestClient, db: Database
) -> None:
    accounts.add(db, "fresh", role="supervisor", by="tests", password="abcde-fghjk-mnpqr-stuvw")
    sign_in(browser, "fresh", "abcde-fghjk-mnpqr-stuvw")
    for path in ("/", "/persons/P1", "/account", "/breakglass"):
        assert browser.get(path).headers["location"] == "/account/password", path
    assert browser.get("/api/v1/me").status_code == 403
    page = browser.get("/account/password").text
    sent = {"csrf": token_in(page), "password": "abcde-fghjk-mnpqr-stuvw"}
    for new, again, word in (
        ("short", "short", "at least 12"),
        (PASSWORD, "another one entirely", "differ"),
        ("abcde-fghjk-mnpqr-stuvw", "abcde-fghjk-mnpqr-stuvw", "the password you have"),
    ):
        found = browser.post("/account/password", data=sent | {"new_password": new, "again_password": again})
        assert found.status_code == 400
        assert word in found.text
        assert new not in found.text, "a password is never shown"
    found = browser.post(
        "/account/password", data=sent | {"new_password": PASSWORD, "again_password": PASSWORD}
    )
    assert found.headers["location"] == "/sign-in?over=changed"
    assert sign_in(browser, "fresh").status_code == 303
    assert browser.get("/account").status_code == 200
    fresh = accounts.new_one_time_password(db, "fresh")
    changed(db, ACCOUNT, ACCOUNT.c.username == "fresh", one_time_until=utc_now() - timedelta(minutes=1))
    assert sign_in(browser, "fresh", fresh).status_code == 401


def test_changing_the_password_needs_the_old_one_and_ends_every_session_and_token(
    browser: TestClient, service: FastAPI, db: Database, somebody: str
) -> None:
    from api.auth import tokens

    other = TestClient(service, base_url=BASE, follow_redirects=False)
    sign_in(other, somebody)
    sign_in(browser, somebody)
    tokens.make(db, somebody, scopes=["search"], purpose="attending", reference="CAD 1", by="tests")
    sent = {"csrf": token_in(browser.get("/account/password").text), "new_password": "violet umbrella gravel"}
    sent["again_password"] = sent["new_password"]
    wrong = browser.post("/account/password", data=sent | {"password": "not it"})
    assert wrong.status_code == 400
    assert other.get("/account").status_code == 200
    assert browser.post("/account/password", data=sent | {"password": PASSWORD}).status_code == 303
    assert other.get("/account").status_code == browser.get("/account").status_code == 303
    with db.read() as store:
        open_tokens = store.execute(sa.select(TOKEN.c.id).where(TOKEN.c.revoked_at.is_(None))).all()
    assert open_tokens == []

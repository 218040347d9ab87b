"""Accounts, sessions, tokens and openings in both databases, and the commands that look after accounts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest

from api import cli, serving
from api.auth import accounts, first, kept, oidc, openings, sessions, signing, tokens
from api.auth.accounts import utc_now
from api.auth.secrets import Key
from features.errors import DoorstepError, InputError, NotFoundError
from features.home import Home
from risk.audit import rows
from risk.store import Database
from risk.store.tables_accounts import SESSION
from tests.signing import BASE, PASSWORD, changed, sign_in, token_in

pytest_plugins = ("tests.databases", "tests.signing")
Command = Callable[..., tuple[int, str]]


def _made(db: Database, name: str = "sam", role: str = "dalo") -> accounts.Account:
    return accounts.add(
        db,
        name,
        role=role,
        by="tests",
        name="Sam Okafor",
        districts=("D2", "D1"),
        password=PASSWORD,
        one_time=False,
    )


def test_an_account_is_kept_as_it_was_made_and_its_name_once(database: Database, quick_hashes: None) -> None:
    made = _made(database, " S.Okafor@Force ")
    assert (made.username, made.name, made.districts) == ("s.okafor@force", "Sam Okafor", ("D1", "D2"))
    assert accounts.find(database, "S.OKAFOR@force") == made
    with pytest.raises(InputError, match="already"):
        _made(database, "s.okafor@force")
    for name in ("x", "two words", "-dash", "x" * 65, "ünlikely"):
        with pytest.raises(InputError, match="2 to 64"):
            _made(database, name)
    with pytest.raises(InputError, match="no role"):
        _made(database, "other", role="king")
    with pytest.raises(NotFoundError):
        accounts.need(database, "nobody")


def test_a_session_lives_and_ends_in_either_database(database: Database, quick_hashes: None) -> None:
    account = _made(database)
    assert signing.check(database, "sam", PASSWORD).id == account.id
    secret = sessions.start(database, account, method="password", source="here")
    found = sessions.find(database, secret)
    assert found is not None
    assert (found.account.username, found.over, found.task) == ("sam", None, None)
    task = sessions.set_task(database, found.digest, account, "attending", "  CAD   7 ")
    again = sessions.find(database, secret)
    assert again is not None
    assert again.task == task
    assert task.reference == "CAD 7"
    changed(database, SESSION, SESSION.c.digest == found.digest, seen_at=utc_now() - timedelta(minutes=2))
    sessions.find(database, secret)
    used = sessions.find(database, secret)
    assert used is not None
    assert utc_now() - used.seen_at < timedelta(minutes=1), "the use is noted"
    assert sessions.of_form(database, found.csrf) is not None
    accounts.disable(database, "sam", "tests")
    over = sessions.find(database, secret)
    assert over is not None
    assert over.over == "closed"
    assert sessions.find(database, "another") is None


def test_guesses_side_by_side_lock_in_either_database(database: Database, quick_hashes: None) -> None:
    _made(database)

    def guess(_: int) -> str:
        with pytest.raises(signing.WrongError) as wrong:
            signing.check(database, "sam", "wrong")
        return wrong.value.why

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(guess, range(8))) == ["locked"] * 3 + ["wrong password"] * 5


def test_tokens_openings_and_kept_forms_in_either_database(database: Database, quick_hashes: None) -> None:
    sam, sue = _made(database), _made(database, "sue", "supervisor")
    ann = _made(database, "ann", "supervisor")
    secret = tokens.make(
        database, "sam", scopes=["search"], purpose="attending", reference="CAD 1", by="tests", days=1
    )
    token = tokens.find(database, secret)
    assert token is not None
    assert (token.scopes, token.task.purpose) == (frozenset({"search"}), "attending")
    number = openings.break_glass(database, sam, "P8", "She cannot be reached by phone", token.task)
    openings.name(database, "P7", "sam", sue, "Case officer of the family for this year")
    assert openings.open_now(database, sam.id) == {"P8"}, "a naming waits for a second supervisor"
    assert openings.waiting_count(database) == 2
    openings.agree(database, "P7", "sam", ann)
    assert openings.open_now(database, sam.id) == {"P7", "P8"}
    openings.review(database, number, sue, "not justified", "No call was made")
    assert openings.open_now(database, sam.id) == {"P7"}
    assert [one["verdict"] for one in openings.reviewed(database)] == ["not justified"]
    form = kept.keep(database, sam.id, "/persons/P1/decide", [("why", "line\nline"), ("why", "ü")])
    assert form is not None
    assert kept.find(database, form, sam.id) == ("/persons/P1/decide", [("why", "line\nline"), ("why", "ü")])
    assert kept.find(database, form, sue.id) is None
    assert kept.keep(database, sam.id, "/", [("why", "x" * 70_000)]) is None, "larger than is kept"
    tokens.revoke(database, token.id)
    assert tokens.find(database, secret) is None
    oidc.join(database, "sam", "https://login.example", "42")
    with pytest.raises(InputError, match="Another account"):
        oidc.join(database, "sue", "https://login.example", "42")


def test_the_last_administrator_stays(database: Database, quick_hashes: None) -> None:
    password = first.first_administrator(database)
    assert password is not None
    assert first.first_administrator(database) is None, "made once"
    assert signing.check(database, "administrator", password).one_time_until is not None
    for leave in (
        lambda: accounts.disable(database, "administrator", "x"),
        lambda: accounts.change(database, "administrator", role="dalo", districts=(), duties=()),
    ):
        with pytest.raises(InputError, match="last administrator"):
            leave()
    _made(database, "next", "administrator")
    accounts.disable(database, "administrator", "next")


def test_the_key_of_sign_in_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    key = Key.of(tmp_path)
    path = tmp_path / "keys" / "session.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert Key.of(tmp_path).seal("a", "b") == key.seal("a", "b") != key.seal("a", "c")
    path.write_bytes(b"short")
    with pytest.raises(DoorstepError, match="shorter than 32 bytes"):
        Key.of(tmp_path)


def test_a_person_signs_in_through_the_pages_with_either_database(
    database: Database,
    database_url: str,
    home_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    quick_hashes: None,
) -> None:
    from fastapi.testclient import TestClient

    from api.app import create_app

    monkeypatch.setenv("DOORSTEP_DATABASE", database_url)
    _made(database)
    browser = TestClient(create_app(home_path), base_url=BASE)
    assert sign_in(browser, "sam", then="/account").url.path == "/account"
    sent = {"csrf": token_in(browser.get("/purpose").text), "purpose": "attending", "reference": "CAD 7"}
    assert browser.post("/purpose", data=sent).status_code == 200
    assert browser.get("/api/v1/me").json()["task"]["reference"] == "CAD 7"
    assert browser.post("/sign-out", data={"csrf": sent["csrf"]}).url.path == "/sign-in"
    assert [row["detail"] for row in rows(database, who="sam", act="access")] == [
        "signed in with password",
        "task: attending, CAD 7",
        "signed out",
    ]


# --- commands ------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(home_path: Path, capsys: pytest.CaptureFixture[str], quick_hashes: None) -> Command:
    def command(*argv: str) -> tuple[int, str]:
        capsys.readouterr()
        code = cli.run_command(["--home", str(home_path), "--json", *argv])
        return code, capsys.readouterr().out

    return command


def test_accounts_are_looked_after_from_the_command_line_and_it_is_written_down(
    run: Command, home_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out = run("user", "add", "boss", "--role", "administrator", "--name", "Bo Ss")
    assert code == 0
    password = json.loads(out)["one_time_password"]
    db = Database.of(home_path)
    assert signing.check(db, "boss", password).one_time_until is not None
    monkeypatch.setattr(sys, "stdin", StringIO(PASSWORD + "\n"))
    asked = ("--role", "dalo", "--district", "D1", "--district", "D2", "--password-stdin")
    assert run("user", "add", "dani", *asked)[0] == 0
    assert signing.check(db, "dani", PASSWORD).districts == ("D1", "D2")
    code, out = run("user", "list")
    assert [one["username"] for one in json.loads(out)["accounts"]] == ["boss", "dani"]
    assert password not in out
    scope = ("--scope", "search", "--purpose", "attending", "--reference", "CAD 1")
    token = json.loads(run("user", "token", "dani", *scope)[1])["token"]
    assert tokens.find(db, token) is not None
    assert run("user", "change", "dani", "--role", "analyst", "--duty", "legal")[0] == 0
    assert tokens.find(db, token) is None, "nothing outlives the role it was made for"
    assert json.loads(run("user", "password", "dani")[1])["one_time_password"]
    assert run("user", "disable", "dani")[0] == run("user", "enable", "dani")[0] == 0
    details = [row["detail"] for row in rows(db, limit=100, act="alteration")]
    assert len(details) == 7
    assert not any(secret in " ".join(details) for secret in (PASSWORD, password, token))


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (("add", "x y", "--role", "dalo"), "2 to 64"),
        (("add", "sam", "--role", "king"), "no role"),
        (("add", "sam", "--role", "dalo", "--duty", "king"), "no duty"),
        (("disable", "nobody"), "no account"),
        (("provider", "nobody", "42"), "no identity provider"),
        (("revoke", "7"), "no token"),
        (("token", "nobody", "--scope", "search", "--purpose", "review", "--reference", "R 1"), "no account"),
    ],
)
def test_a_command_that_cannot_be_done_says_why_and_leaves_no_row(
    run: Command, home_path: Path, argv: tuple[str, ...], word: str
) -> None:
    code, out = run("user", *argv)
    assert code == 2
    assert word in json.loads(out)["error"]["what"]
    assert rows(Database.of(home_path)) == []


def test_beyond_this_machine_only_behind_tls_and_only_where_it_can_listen() -> None:
    for host in ("0.0.0.0", "10.0.0.5", "doorstep.example"):
        with pytest.raises(InputError, match="only behind TLS"):
            serving._family(host, tls=False)
    assert serving._family("0.0.0.0", tls=True).name == "AF_INET"
    assert serving._family("::", tls=True).name == "AF_INET6"
    with pytest.raises(InputError, match="not an address"):
        serving._family("doorstep.example", tls=True)


def test_the_demonstration_prints_an_account_of_each_role_with_a_fresh_password(
    home_path: Path, tmp_path: Path, quick_hashes: None
) -> None:
    from api.demo import Demo

    demo = Demo(tmp_path, events_per_year=1, years=2, seed=1, say=print)
    assert demo.home.path == Home(home_path).path
    printed = demo.accounts()
    password = printed[-1].rsplit(" ", 1)[1]
    db = Database.of(home_path)
    for role, (username, _) in first.DEMO.items():
        assert signing.check(db, username, password).role == role
        assert any(username in line for line in printed)
    assert demo.accounts()[-1] != printed[-1], "another at each start"
    with pytest.raises(signing.WrongError):
        signing.check(db, "dani", password)

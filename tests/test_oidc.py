"""Signing in with an identity provider: a real one, of another make than our client, run on this machine."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.app import create_app
from api.auth import accounts, oidc
from api.auth.oidc import ProviderError, account_of
from api.settings import Settings
from features.errors import InputError
from risk.audit import rows
from tests.signing import BASE, client_of

PEOPLE = {
    "dani": ("DA-DALO", "DA-NORTH"),
    "sam": ("DA-SUPERVISOR", "STAFF"),
    "nobody": ("STAFF",),
    "both": ("DA-DALO", "DA-ANALYST"),
}
ROLES = {"DA-DALO": "dalo", "DA-SUPERVISOR": "supervisor", "DA-ANALYST": "analyst"}


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running identity provider and its issuer."""
    folder = tmp_path_factory.mktemp("provider")
    port = _free_port()
    issuer = f"http://127.0.0.1:{port}"
    users = "".join(
        f'  {name}:\n    password: "{name} opens the door"\n    groups: {list(groups)}\n    roles: ["USER"]\n'
        for name, groups in PEOPLE.items()
    )
    (folder / "users.yaml").write_text(f"config_version: 1\nusers:\n{users}", encoding="utf-8")
    (folder / "settings.yaml").write_text(
        f'config_version: 1\nserver:\n  host: "127.0.0.1"\n  port: {port}\n'
        f'oauth:\n  issuer: "{issuer}"\n  audience: "doorstep"\n  require_pkce: true\n  clients:\n'
        f'    - client_id: "doorstep"\n      client_secret: "between us two"\n'
        f'      redirect_uris: ["{BASE}/sign-in/callback"]\n'
        f"jwt:\n  keys_dir: {folder / 'keys'}\nsession:\n  enforce_password_check: true\n",
        encoding="utf-8",
    )
    command = [str(Path(sys.executable).with_name("nanoidp")), "--config", str(folder), "--port", str(port)]
    log = (folder / "log").open("wb")
    running = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=os.environ, cwd=folder)
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                httpx2.get(f"{issuer}/.well-known/openid-configuration", timeout=2).raise_for_status()
                break
            except httpx2.HTTPError:
                assert running.poll() is None, (folder / "log").read_text()
                time.sleep(0.2)
        yield issuer
    finally:
        running.terminate()
        running.wait(timeout=10)
        log.close()


@pytest.fixture(scope="module")
def settings(provider: str) -> Settings:
    return Settings(
        oidc_issuer=provider,
        oidc_client_id="doorstep",
        oidc_client_secret="between us two",
        oidc_roles=ROLES,
        oidc_districts={"DA-NORTH": "D1"},
        oidc_name="a test force account",
    )


@pytest.fixture(scope="module")
def home(small_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("oidc") / "home"
    shutil.copytree(small_home, place)
    return place


@pytest.fixture(scope="module")
def service(home: Path, settings: Settings) -> FastAPI:
    return create_app(home, settings)


@pytest.fixture
def client(service: FastAPI) -> TestClient:
    """A browser in which nobody is signed in yet."""
    return TestClient(service, base_url=BASE, follow_redirects=False)


def at_the_provider(location: str, username: str, password: str | None = None) -> str:
    """What a browser does at the provider: its sign-in page, then back to where it sends the person."""
    with httpx2.Client(follow_redirects=False, timeout=30) as browser:
        page = browser.get(location)
        while page.is_redirect:
            page = browser.get(page.headers["location"])
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text))
        sent = hidden | {"username": username, "password": password or f"{username} opens the door"}
        back = browser.post(str(page.url), data=sent)
    return str(back.headers.get("location", ""))


def sign_in(client: TestClient, username: str, then: str = "/account") -> httpx2.Response:
    """The whole way round; the answer that Doorstep gives at the end of it."""
    gone = client.get("/sign-in/provider", params={"next": then})
    back = at_the_provider(gone.headers["location"], username)
    assert back.startswith(f"{BASE}/sign-in/callback"), back
    answer: Any = client.get(back.removeprefix(BASE))
    return answer


def test_the_person_is_asked_for_with_pkce_state_and_nonce(client: TestClient, provider: str) -> None:
    assert "a test force account" in client.get("/sign-in").text
    gone = client.get("/sign-in/provider?next=/lists/latest")
    assert gone.status_code in (302, 303)
    address = urlsplit(gone.headers["location"])
    asked = parse_qs(address.query)
    assert f"{address.scheme}://{address.netloc}" == provider
    assert asked["response_type"] == ["code"]
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == [f"{BASE}/sign-in/callback"]
    assert all(len(asked[name][0]) >= 20 for name in ("state", "nonce", "code_challenge"))
    assert "between us two" not in gone.headers["location"]


def test_groups_become_role_and_districts_and_the_person_goes_on_to_where_they_were_going(
    client: TestClient, provider: str
) -> None:
    found = sign_in(client, "dani", "/purpose")
    assert found.status_code == 303
    assert found.headers["location"] == "/purpose"
    me = client.get("/api/v1/me").json()
    assert (me["username"], me["role"], me["districts"]) == ("dani", "dalo", ["D1"])
    db = client.app.state.desk.db  # type: ignore[attr-defined]
    made = accounts.need(db, "dani")
    assert (made.issuer, bool(made.subject)) == (provider, True)
    row = next(one for one in rows(db, limit=10_000) if one["username"] == "dani")
    assert row["detail"] == "signed in with the identity provider"
    assert "kept by the identity provider" in client.get("/account").text


def test_the_same_person_has_one_account_and_a_change_of_groups_is_a_change_of_role(
    client: TestClient, service: FastAPI, settings: Settings
) -> None:
    sign_in(client, "sam")
    db = client.app.state.desk.db  # type: ignore[attr-defined]
    known = accounts.need(db, "sam")
    other = TestClient(service, base_url=BASE, follow_redirects=False)
    sign_in(other, "sam")
    assert len([one for one in accounts.every(db) if one.username.startswith("sam")]) == 1
    assert other.get("/account").status_code == client.get("/account").status_code == 200
    claims = {"iss": known.issuer, "sub": known.subject, "groups": ["DA-ANALYST"]}
    assert account_of(db, settings, claims).role == "analyst"
    assert client.get("/account").status_code == 303, "what a session of the old role might do ends with it"


@pytest.mark.parametrize(
    ("username", "word"), [("nobody", "no role in Doorstep"), ("both", "more than one role in Doorstep")]
)
def test_who_has_no_one_role_is_not_let_in_and_it_is_written_down(
    client: TestClient, username: str, word: str
) -> None:
    found = sign_in(client, username)
    assert found.status_code == 403
    assert word in found.text
    assert client.get("/account").status_code == 303
    db = client.app.state.desk.db  # type: ignore[attr-defined]
    assert accounts.find(db, username) is None
    assert "refused" in rows(db, limit=10_000, act="access")[-1]["detail"]


def test_a_wrong_password_at_the_provider_comes_back_to_nobody(client: TestClient) -> None:
    gone = client.get("/sign-in/provider")
    assert at_the_provider(gone.headers["location"], "dani", "wrong") == ""
    assert client.get("/account").status_code == 303


def test_a_code_counts_once_and_only_in_the_browser_that_asked(client: TestClient, service: FastAPI) -> None:
    gone = client.get("/sign-in/provider")
    back = at_the_provider(gone.headers["location"], "dani").removeprefix(BASE)
    stolen = TestClient(service, base_url=BASE, follow_redirects=False)
    assert stolen.get(back).status_code == 401, "another browser has not asked"
    assert stolen.get("/account").status_code == 303
    changed = re.sub(r"state=[^&]+", "state=another", back)
    assert client.get(changed).status_code == 401, "an answer to another question"
    gone = client.get("/sign-in/provider")
    back = at_the_provider(gone.headers["location"], "dani").removeprefix(BASE)
    assert client.get(back).status_code == 303
    assert client.get(back).status_code == 401, "used"
    for answer in ("?error=access_denied&state=x", "", "?code=x", "?state=x"):
        assert client.get(f"/sign-in/callback{answer}").status_code == 401


def test_a_closed_account_is_not_let_in_whatever_the_provider_says(client: TestClient) -> None:
    sign_in(client, "dani")
    db = client.app.state.desk.db  # type: ignore[attr-defined]
    accounts.disable(db, "dani", "tests")
    assert client.get("/account").status_code == 303
    assert sign_in(client, "dani").status_code == 401
    accounts.enable(db, "dani")
    assert sign_in(client, "dani").status_code == 303


def test_a_name_of_a_local_account_is_not_taken_over(
    home: Path, service: FastAPI, settings: Settings
) -> None:
    client_of(home, "administrator", username="pat", app=service)
    db = service.state.desk.db
    claims = {"iss": settings.oidc_issuer, "sub": "42", "groups": ["DA-DALO"], "preferred_username": "Pat"}
    with pytest.raises(ProviderError, match="already that signs in otherwise"):
        account_of(db, settings, claims)
    assert accounts.need(db, "pat").role == "administrator"
    oidc.join(db, "pat", settings.oidc_issuer, "42")
    with pytest.raises(ProviderError, match="last administrator"):
        account_of(db, settings, claims)
    client_of(home, "administrator", username="another", app=service)
    found = account_of(db, settings, claims)
    assert (found.username, found.role) == ("pat", "dalo")
    with pytest.raises(InputError, match="signs in with the identity provider"):
        accounts.new_one_time_password(db, "pat")


def test_a_provider_that_is_away_or_is_another_is_told_without_a_trace_of_a_fault(
    home: Path, settings: Settings, provider: str
) -> None:
    away = settings.model_copy(update={"oidc_issuer": f"http://127.0.0.1:{_free_port()}"})
    found = TestClient(create_app(home, away), base_url=BASE).get("/sign-in/provider")
    assert found.status_code == 502
    assert "cannot be reached" in found.text
    other = settings.model_copy(update={"oidc_issuer": provider.replace("127.0.0.1", "localhost")})
    found = TestClient(create_app(home, other), base_url=BASE).get("/sign-in/provider")
    assert found.status_code == 502
    assert "calls itself by another name" in found.text


def test_local_accounts_may_be_switched_off(home: Path, settings: Settings) -> None:
    only = TestClient(create_app(home, settings.model_copy(update={"local_accounts": False})), base_url=BASE)
    page = only.get("/sign-in").text
    assert 'type="password"' not in page
    assert "a test force account" in page
    assert only.post("/sign-in", data={"username": "pat", "password": "x"}).status_code == 403


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"DOORSTEP_OIDC_ISSUER": "https://login.example"}, "oidc_client_id"),
        ({"DOORSTEP_PUBLIC_URL": "http://doorstep.example"}, "https://"),
        ({"DOORSTEP_RATE_SCALE": "0"}, "greater than 0"),
        (
            {
                "DOORSTEP_OIDC_ISSUER": "https://login.example",
                "DOORSTEP_OIDC_CLIENT_ID": "d",
                "DOORSTEP_OIDC_ROLES": '{"A": "king"}',
            },
            "which is no role",
        ),
    ],
)
def test_settings_that_cannot_work_are_named_before_anything_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], word: str
) -> None:
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=word) as refused:
        Settings.of(tmp_path)
    assert "docs/signing-in.md" in refused.value.cure


def test_the_settings_file_of_a_home_is_read_and_the_environment_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sign-in.toml").write_text(
        'public_url = "https://a.example"\noidc_issuer = "https://login.example"\noidc_client_id = "d"\n'
        f'oidc_client_secret_file = "{tmp_path / "secret"}"\n[oidc_roles]\n"DA Team" = "proactive"\n',
        encoding="utf-8",
    )
    (tmp_path / "secret").write_text("whispered\n", encoding="utf-8")
    monkeypatch.setenv("DOORSTEP_PUBLIC_URL", "https://b.example/")
    found = Settings.of(tmp_path)
    assert (found.public_url, found.host, found.tls) == ("https://b.example", "b.example", True)
    assert found.oidc_roles == {"DA Team": "proactive"}
    assert found.secret() == "whispered"
    assert "whispered" not in repr(found)
    (tmp_path / "sign-in.toml").write_text("public_url = ", encoding="utf-8")
    with pytest.raises(InputError, match="TOML"):
        Settings.of(tmp_path)

"""A trail that was emptied or cut together with its heads shows by what stands beside it."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from api.app import create_app
from api.auth import accounts, sessions
from api.settings import Settings
from risk.audit import Who, record, verify
from risk.audit_heads import heads_path, read_heads
from risk.audit_key import key_path
from risk.store import Database
from risk.store.appended import KEPT
from risk.store.tables_accounts import SESSION
from risk.store.tables_audit import AUDIT
from tests.signing import changed, client_of

OFFICER = Who("jsmith", "proactive", "page", "10.0.0.7")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def db(home: Path) -> Database:
    """A database in which somebody has signed in and looked three times, and whose triggers were taken away."""
    made = Database.of(home, f"sqlite:///{home / 'doorstep.db'}")
    sessions.start(
        made, accounts.add(made, "jsmith", role="proactive", by="tests"), method="password", source="x"
    )
    for person in ("P1", "P2", "P3"):
        record(made, home, OFFICER, "consultation", "/persons/{person_id}", persons=[person])
    with made.begin() as store:
        for table in KEPT:
            store.exec_driver_sql(f"DROP TRIGGER {table}_no_update")
            store.exec_driver_sql(f"DROP TRIGGER {table}_no_delete")
    assert verify(made, home) == []
    return made


def emptied(db: Database, home: Path) -> None:
    with db.begin() as store:
        for table in KEPT:
            store.exec_driver_sql(f"DELETE FROM {table}")
    heads_path(home).unlink()


def test_an_emptied_trail_with_its_heads_gone_shows_by_sign_ins_and_key(db: Database, home: Path) -> None:
    emptied(db, home)
    old = datetime.now(UTC).timestamp() - 2 * 86_400
    os.utime(key_path(home), (old, old))
    found = " ".join(verify(db, home))
    assert "there is a sign-in" in found
    assert "its key is there" in found


def test_a_trail_begun_again_after_it_was_emptied_shows_by_what_is_older_than_its_first_row(
    db: Database, home: Path
) -> None:
    emptied(db, home)
    earlier = datetime.now(UTC) - timedelta(days=2)
    changed(db, SESSION, SESSION.c.source == "x", made_at=earlier)
    os.utime(key_path(home), (earlier.timestamp(), earlier.timestamp()))
    again = Database.of(home, f"sqlite:///{home / 'doorstep.db'}")
    record(again, home, OFFICER, "consultation", "/lists/{list_id}")
    found = verify(again, home)
    assert [words for words in found if "sign-in" in words]
    assert [words for words in found if "its key was made with the first row" in words]


def test_a_tail_cut_before_a_head_counted_it_shows_by_a_sign_in_after_it(db: Database, home: Path) -> None:
    later = datetime.now(UTC) + timedelta(minutes=10)
    changed(db, SESSION, SESSION.c.source == "x", made_at=later)
    (words,) = verify(db, home)
    assert words.startswith("The trail ends on")
    assert "there is a sign-in" in words


def test_records_loaded_beside_an_empty_trail_are_told(home: Path) -> None:
    made = Database.of(home, f"sqlite:///{home / 'doorstep.db'}")
    assert verify(made, home) == [], "a new home"
    (home / "loads" / "one").mkdir(parents=True)
    assert ["records were loaded" in words for words in verify(made, home)] == [True]


def test_a_service_that_starts_carries_a_head_and_says_when_it_stands_beside_the_rows(
    small_home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    shutil.copytree(small_home, home)
    app = create_app(home, Settings(rate_scale=100))
    client = client_of(home, "proactive", app=app)
    for _ in range(3):
        client.get("/account")
    with app.state.desk.db.read() as store:
        last = store.execute(sa.select(sa.func.max(AUDIT.c.seq))).scalar_one()
    app.state.desk.db.close()
    again = create_app(home, Settings(rate_scale=100))
    load = replace(again.state.desk.load(), nature="operational")
    monkeypatch.setattr(again.state.desk, "load", lambda: load)
    client = client_of(home, "proactive", app=again)
    with client:
        heads = [head for _, head in read_heads(home) if head]
        assert heads[-1]["count"] == last > heads[0]["count"]
        assert "beside the rows they are to vouch for" in caplog.text
    caplog.clear()
    monkeypatch.setenv("DOORSTEP_AUDIT_HEADS", str(tmp_path / "elsewhere.jsonl"))
    third = create_app(home, Settings(rate_scale=100))
    monkeypatch.setattr(third.state.desk, "load", lambda: load)
    with client_of(home, "proactive", app=third):
        assert "vouch" not in caplog.text

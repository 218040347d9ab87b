"""The store on both databases: transactions, moments, migrations, a server that goes away."""

from __future__ import annotations

import sqlite3
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa

from features.errors import InputError
from risk.audit import record, rows, this_user
from risk.store import METADATA, Database, Moment, StoreAwayError
from risk.store.migrate import FOLDER, HEAD, version
from risk.store.tables_audit import AUDIT_MEMBER

pytest_plugins = ("tests.databases",)

NOTES = sa.Table(
    "a_test_note",
    sa.MetaData(),
    sa.Column("note_id", sa.Integer, primary_key=True),
    sa.Column("at", Moment),
    sa.Column("what", sa.JSON),
)


def put(database: Database, what: object, at: datetime | None = None) -> None:
    with database.begin() as connection:
        connection.execute(sa.insert(NOTES).values(what=what, at=at))


def notes(database: Database) -> list[tuple[datetime | None, object]]:
    with database.read() as connection:
        found = connection.execute(sa.select(NOTES.c.at, NOTES.c.what).order_by(NOTES.c.note_id))
        return [(row.at, row.what) for row in found]


@pytest.fixture
def noted(database: Database) -> Database:
    with database.begin() as connection:
        NOTES.create(connection)
    return database


def test_a_transaction_is_kept_whole_or_not_at_all(noted: Database) -> None:
    put(noted, {"kept": True})
    with suppress(KeyError), noted.begin() as connection:
        connection.execute(sa.insert(NOTES).values(what="lost"))
        raise KeyError
    assert [what for _, what in notes(noted)] == [{"kept": True}]


def test_a_transaction_inside_a_transaction_is_the_same_one(noted: Database) -> None:
    with suppress(KeyError), noted.begin():
        put(noted, "inner")
        assert [what for _, what in notes(noted)] == ["inner"], "what the transaction wrote, it sees"
        raise KeyError
    assert notes(noted) == []
    with noted.begin():
        put(noted, "after")
    assert [what for _, what in notes(noted)] == ["after"]


def test_a_moment_comes_back_as_it_went_in_utc_and_aware(noted: Database) -> None:
    at = datetime(2026, 3, 3, 7, 30, 15, 123456, tzinfo=timezone(timedelta(hours=2)))
    put(noted, None, at)
    ((found, _),) = notes(noted)
    assert found == at
    assert found is not None
    assert found.utcoffset() == timedelta(0)


def test_a_moment_without_a_time_zone_is_refused(noted: Database) -> None:
    with pytest.raises(sa.exc.StatementError, match="time zone"):
        put(noted, None, datetime(2026, 3, 3, 7, 30))


def test_writers_wait_their_turn_and_none_is_lost(
    noted: Database, database_url: str, home_path: Path
) -> None:
    other = Database.of(home_path, database_url)  # a second engine, as a second process has
    barrier = threading.Barrier(6)

    def write(which: int) -> None:
        barrier.wait()
        for n in range(5):
            put(noted if which % 2 else other, [which, n])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    other.close()
    assert len(notes(noted)) == 30


def test_two_processes_may_open_a_new_database_at_once(home_path: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: Database.of(home_path, url), range(4)))
    with made[0].read() as connection:
        assert version(connection) == HEAD
    for one in made:
        one.close()


def test_the_newest_migration_is_the_one_the_code_knows() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_the_migrations_make_the_tables_that_the_code_describes(database: Database) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with database.read() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, METADATA) == [], "a table or column without its migration"


def test_a_database_of_a_newer_doorstep_is_left_alone(database: Database, database_url: str) -> None:
    with database.begin() as connection:
        connection.execute(sa.text("update alembic_version set version_num = '9999'"))
    with pytest.raises(InputError, match="newer Doorstep"):
        Database.of(Path("unused"), database_url)


def test_the_file_in_the_home_is_its_owners_alone(home_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOORSTEP_DATABASE", raising=False)
    database = Database.of(home_path)
    record(database, home_path, this_user(), "consultation", "list")
    for name in ("doorstep.db", "doorstep.db-wal", "keys/audit.key"):
        assert stat.S_IMODE((home_path / name).stat().st_mode) == 0o600, name
    database.close()


def test_the_setting_names_the_database(
    database_url: str, home_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOORSTEP_DATABASE", database_url)
    database = Database.of(home_path)
    assert database.dialect in database_url
    assert not (home_path / "doorstep.db").exists()
    database.close()


@pytest.mark.parametrize("address", ["nonsense", "oracle://x/y", "nosuch+driver://x"])
def test_an_address_that_is_none_is_refused_with_a_cure(address: str, home_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        Database.of(home_path, address)
    assert "DOORSTEP_DATABASE" in str(caught.value)
    assert "postgresql://" in caught.value.cure


def test_a_server_that_is_not_there_is_said_without_the_password(home_path: Path) -> None:
    with pytest.raises(StoreAwayError) as caught:
        Database.of(home_path, "postgresql://officer:hush-hush@127.0.0.1:9/none")
    assert "hush-hush" not in str(caught.value)
    assert "server runs" in caught.value.cure


def test_a_home_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOORSTEP_DATABASE", raising=False)
    with pytest.raises(InputError, match="no home folder"):
        Database.of(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_home_whose_name_has_signs_of_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOORSTEP_DATABASE", raising=False)
    home = tmp_path / "50% of #1? & more"
    home.mkdir()
    Database.of(home).close()
    assert (home / "doorstep.db").exists()


def test_after_the_server_dropped_every_connection_the_next_request_works(noted: Database) -> None:
    put(noted, 1)
    if noted.dialect == "postgresql":
        with noted.read() as mine:
            drop = (
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> {}"
            )
            own = mine.execute(sa.text("select pg_backend_pid()")).scalar_one()
            with noted.read() as other:  # kept in the pool afterwards, and dead there
                other.execute(sa.select(1))
            mine.execute(sa.text(drop.format(own)))
    put(noted, 2)
    assert [what for _, what in notes(noted)] == [1, 2]


def test_a_table_written_over_by_hand_is_refused_by_the_database(database: Database, home_path: Path) -> None:
    record(database, home_path, this_user(), "consultation", "person", persons=["P1"])
    for words in (
        "update audit set username = 'nobody'",
        "delete from audit",
        "update audit_set set members = '[]'",
        "delete from audit_member",
    ):
        with (
            pytest.raises((sa.exc.DBAPIError, StoreAwayError), match="appended"),
            database.begin() as connection,
        ):
            connection.execute(sa.text(words))
    assert [row["username"] for row in rows(database, person="P1")] == [this_user().username]
    with database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(AUDIT_MEMBER)).scalar() == 1


def test_moments_are_compared_as_moments(noted: Database) -> None:
    early = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    put(noted, "early", early)
    put(noted, "late", early + timedelta(hours=1))
    with noted.read() as connection:
        found = connection.execute(sa.select(NOTES.c.what).where(NOTES.c.at > early)).scalars().all()
    assert found == ["late"]


def test_a_locked_database_is_said_in_a_few_seconds_and_once_for_all_who_wait(home_path: Path) -> None:
    """Another process holds the file: nobody waits out one writer after the other."""
    database = Database.of(home_path, f"sqlite:///{home_path / 'locked.db'}")
    with database.begin() as connection:
        NOTES.create(connection)
    holder = sqlite3.connect(home_path / "locked.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")

    def refused(_: int) -> float:
        began = time.monotonic()
        for _ in range(3):  # a page writes more than once: what it shows, and that it failed
            with pytest.raises(StoreAwayError):
                put(database, "x")
        return time.monotonic() - began

    with ThreadPoolExecutor(8) as pool:
        waited = list(pool.map(refused, range(8)))
    assert max(waited) < 10, waited
    holder.rollback()
    put(database, "at once again")
    assert [what for _, what in notes(database)] == ["at once again"]
    holder.close()
    database.close()

"""One database: a file in the home, or the server that DOORSTEP_DATABASE names; brought up to date when opened."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from features.errors import DoorstepError, InputError
from risk.settings import settings

SETTING = "DOORSTEP_DATABASE"
FILE = "doorstep.db"
_WRITING = {"doorstep_writing": True}


class StoreAwayError(DoorstepError):
    """The database does not answer just now: trying again later is the cure."""


class Database:
    """A database that holds the tables of ``METADATA``, as of the newest migration.

    Threads may share it. ``begin`` is one transaction of one thread: a second ``begin`` inside it, by the same
    thread, is the same transaction, so that an act and the row that tells of it stand or fall together.
    """

    def __init__(self, url: str) -> None:
        """Open the engine, no more; :meth:`of` also brings the tables up to date. InputError for a url that is
        none."""
        self.url = url
        try:
            self._engine = _engine(sa.make_url(url))
        except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError) as fault:
            raise InputError(
                "The database setting is not an address Doorstep can use.",
                where=SETTING,
                cure="Write sqlite:////folder/doorstep.db or postgresql://user@host/name, or leave it out.",
            ) from fault
        self.dialect = self._engine.dialect.name
        self._mine = threading.local()
        # One writer at a time is SQLite's own rule; threads of one process wait their turn instead of asking again.
        self._turn = threading.Lock() if self.dialect == "sqlite" else None
        self._busy_until = 0.0  # monotonic: another process was found to hold the file

    @classmethod
    def of(cls, home: Path, url: str | None = None) -> Database:
        """The database of a home: ``url``, else the setting DOORSTEP_DATABASE, else the file doorstep.db in it.

        Made if it is not there, and migrated. InputError when the home or the address is no good, StoreAwayError
        when the server does not answer.
        """
        from risk.store.migrate import up_to_date

        address = url or os.environ.get(SETTING) or ""
        if not address:
            address = sa.URL.create("sqlite", database=str(_file(home))).render_as_string()
        made = cls(_with_driver(address))
        up_to_date(made)
        return made

    @contextmanager
    def begin(self, wait: float | None = None) -> Iterator[sa.Connection]:
        """One transaction: committed at the end, undone when anything is raised inside. StoreAwayError when the
        database is away or stays busy: after ``wait`` seconds, else ``busy_seconds``, and soon for whoever comes right
        after that."""
        outer: sa.Connection | None = getattr(self._mine, "connection", None)
        if outer is not None:
            yield outer
            return
        with self._in_turn(), self._told(), self._engine.connect() as plain:
            self._be_patient(plain, wait)
            connection = plain.execution_options(**_WRITING)
            with connection.begin():
                self._busy_until = 0.0
                self._mine.connection = connection
                try:
                    yield connection
                finally:
                    self._mine.connection = None

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection to read with; inside a ``begin`` of the same thread it sees what that has written.
        StoreAwayError when the database is away."""
        outer: sa.Connection | None = getattr(self._mine, "connection", None)
        if outer is not None:
            yield outer
            return
        with self._told(), self._engine.connect() as connection:
            yield connection

    @property
    def in_transaction(self) -> bool:
        """Whether this thread is inside ``begin``."""
        return getattr(self._mine, "connection", None) is not None

    def close(self) -> None:
        """Give back every connection."""
        self._engine.dispose()

    def __repr__(self) -> str:
        return f"Database({sa.make_url(self.url).render_as_string(hide_password=True)})"

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        if self._turn is None:
            yield
            return
        busy, known = time.monotonic() < self._busy_until, settings("store")
        if not self._turn.acquire(timeout=known["busy_again_seconds" if busy else "turn_seconds"]):
            raise self._away(TimeoutError("it is busy"))
        try:
            yield
        finally:
            self._turn.release()

    def _be_patient(self, connection: sa.Connection, wait: float | None) -> None:
        """How long this writer waits for another process: hardly at all once one has waited in vain, so that a page
        waits once and not for each of its writes."""
        busy, known = time.monotonic() < self._busy_until, settings("store")
        longest = wait or known["busy_again_seconds" if busy else "busy_seconds"]
        if self.dialect == "sqlite":
            held: Any = connection.connection.driver_connection
            held.execute(f"PRAGMA busy_timeout={int(1000 * longest)}").close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as fault:
            if "locked" in str(fault.__cause__):
                self._busy_until = time.monotonic() + settings("store")["busy_seconds"]
            raise self._away(fault) from fault
        except sa.exc.DBAPIError as fault:
            if fault.connection_invalidated:
                raise self._away(fault) from fault
            raise

    def _away(self, fault: BaseException) -> StoreAwayError:
        said = str(getattr(fault, "orig", None) or fault).strip().splitlines()
        cure = "Make the home folder writable for this user and see that its disk has room, then try again."
        if self.dialect != "sqlite":
            cure = "See that the database server runs and can be reached, then try again."
        return StoreAwayError(
            f"The database could not be used: {said[0] if said else type(fault).__name__}.",
            where=sa.make_url(self.url).render_as_string(hide_password=True),
            cure=cure,
        )


def _file(home: Path) -> Path:
    """The database file of a home, readable by its owner alone from its first byte."""
    path = home.absolute() / FILE
    if not home.is_dir():
        raise InputError(
            "There is no home folder here.",
            where=str(home),
            cure="Ingest an extract first, or name a folder that is there with --home.",
        )
    if not path.exists():
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as fault:
            raise StoreAwayError(
                f"The database file could not be made: {fault.strerror}.",
                where=str(path),
                cure="Make the home folder writable for this user, or free disk space.",
            ) from fault
    return path


def _with_driver(address: str) -> str:
    """The address with the driver that is installed, as people rarely write it."""
    for plain in ("postgresql://", "postgres://"):
        if address.startswith(plain):
            return "postgresql+psycopg://" + address.removeprefix(plain)
    return address


def _engine(url: sa.URL) -> sa.Engine:
    known = settings("store")
    pool = {"pool_size": known["connections"], "max_overflow": known["connections_more"]}
    if url.get_backend_name() == "sqlite":
        engine = sa.create_engine(url, connect_args={"timeout": known["migrate_seconds"]}, **pool)
        sa.event.listen(engine, "connect", _sqlite_connected)
        sa.event.listen(engine, "begin", _sqlite_begins)
        return engine
    arguments: dict[str, Any] = {"connect_timeout": known["connect_seconds"]}
    if url.get_backend_name() == "postgresql":
        arguments["options"] = f"-c lock_timeout={1000 * known['busy_seconds']} -c timezone=UTC"
    return sa.create_engine(url, pool_pre_ping=True, connect_args=arguments, **pool)


def _sqlite_connected(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver's own BEGIN would come too late to take the lock first
    for words in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {words}").close()


def _sqlite_begins(connection: sa.Connection) -> None:
    writing = connection.get_execution_options().get("doorstep_writing")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

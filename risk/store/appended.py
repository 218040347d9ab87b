"""Tables that the database itself keeps from being changed: rows are appended, never updated or deleted."""

from __future__ import annotations

import sqlalchemy as sa

KEPT = ("audit", "audit_set", "audit_member")


def keep_appended(connection: sa.Connection, tables: tuple[str, ...] = KEPT) -> None:
    """Add triggers that refuse UPDATE and DELETE (on PostgreSQL also TRUNCATE). An accident stops here; an attacker
    who owns the database can take the triggers away, and then the chain tells."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            "CREATE OR REPLACE FUNCTION doorstep_appended() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'rows of %% are only ever appended', TG_TABLE_NAME; END $$"
        )
        for table in tables:
            connection.exec_driver_sql(
                f"CREATE TRIGGER {table}_appended BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION doorstep_appended()"
            )
        return
    for table in tables:
        for act in ("UPDATE", "DELETE"):
            connection.exec_driver_sql(
                f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table} BEGIN "
                f"SELECT RAISE(ABORT, 'rows of {table} are only ever appended'); END"
            )

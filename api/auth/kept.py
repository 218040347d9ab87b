"""Forms typed into a session that had ended: kept for their author alone, for a while, so that nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa

from api.auth import secrets
from api.auth.accounts import utc_now
from api.auth.table import table
from risk.store import Database
from risk.store.tables_accounts import KEPT_FORM

Fields = list[tuple[str, str]]


def keep(db: Database, account_id: int, path: str, fields: Sequence[tuple[str, str]]) -> str | None:
    """Keep a form and return the secret that finds it again; None when it is larger than is kept."""
    kept = [[name, value] for name, value in fields]
    if len(json.dumps(kept)) > table().limit("kept_forms", "most_bytes"):
        return None
    secret = secrets.make()
    now = utc_now()
    row = {
        "digest": secrets.digest(secret),
        "account_id": account_id,
        "path": path,
        "fields": kept,
        "made_at": now,
        "until": now + timedelta(minutes=table().limit("kept_forms", "minutes")),
    }
    with db.begin() as store:
        store.execute(sa.delete(KEPT_FORM).where(KEPT_FORM.c.until <= now))
        store.execute(sa.insert(KEPT_FORM).values(row))
    return secret


def find(db: Database, secret: str, account_id: int) -> tuple[str, Fields] | None:
    """The path and the fields of a kept form; None when it is gone or another account's."""
    query = sa.select(KEPT_FORM).where(
        KEPT_FORM.c.digest == secrets.digest(secret),
        KEPT_FORM.c.account_id == account_id,
        KEPT_FORM.c.until > utc_now(),
    )
    with db.read() as store:
        row = store.execute(query).mappings().first()
    return None if row is None else (row["path"], [(name, value) for name, value in row["fields"]])


def drop(db: Database, secret: str, account_id: int) -> None:
    """Forget a kept form: it was sent, or its author does not want it."""
    with db.begin() as store:
        store.execute(
            sa.delete(KEPT_FORM).where(
                KEPT_FORM.c.digest == secrets.digest(secret), KEPT_FORM.c.account_id == account_id
            )
        )

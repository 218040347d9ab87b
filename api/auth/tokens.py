"""Tokens for programs: bound to an account, a purpose, a reference and a scope; shown once, kept as a hash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from api.auth import secrets
from api.auth.accounts import FIELDS, Account, need, utc_now
from api.auth.sessions import REFERENCE_MOST, Task
from api.auth.table import table
from features.errors import InputError, NotFoundError
from risk.store import Database
from risk.store.tables_accounts import ACCOUNT, TOKEN

PREFIX = "doorstep_"  # so that one left in a file or a log is found by those who look for secrets


@dataclass(frozen=True)
class Token:
    """A token that counts: whose it is, what it may do, what for."""

    id: int
    account: Account
    scopes: frozenset[str]
    task: Task


def make(
    db: Database,
    username: str,
    *,
    scopes: Sequence[str],
    purpose: str,
    reference: str,
    by: str,
    label: str = "",
    days: int | None = None,
) -> str:
    """Make a token and return it; it is kept nowhere. InputError when the account's role does not hold a scope or the
    purpose, or the days are more than may be."""
    account = need(db, username)
    known = table()
    mine = [one.key for one in known.of_role(account.role, account.duties)]
    if not scopes or not set(scopes) <= set(mine):
        raise InputError(
            f"A token of {account.username} needs a scope, and none beyond the account's own.",
            where="scope",
            cure=f"Scopes: {', '.join(mine)}.",
        )
    purposes = [one.key for one in known.purposes_of(account.role)]
    if purpose not in purposes:
        raise InputError(
            f"The role {account.role} has no purpose {purpose!r}.",
            where="purpose",
            cure=f"Purposes: {', '.join(purposes) or 'none'}.",
        )
    reference = " ".join(reference.split())
    if not 2 <= len(reference) <= REFERENCE_MOST:
        raise InputError("Give a reference.", where="reference", cure="The number of the work it is for.")
    most = known.limit("tokens", "days_at_most")
    days = known.limit("tokens", "days") if days is None else days
    if not 1 <= days <= most:
        raise InputError(f"A token lasts 1 to {most} days.", where="days", cure="Make another when it ends.")
    secret = secrets.make(PREFIX)
    now = utc_now()
    row = {
        "digest": secrets.digest(secret),
        "account_id": account.id,
        "label": label.strip(),
        "scopes": sorted(set(scopes)),
        "purpose": purpose,
        "reference": reference,
        "made_at": now,
        "made_by": by,
        "until": now + timedelta(days=days),
    }
    with db.begin() as store:
        store.execute(sa.insert(TOKEN).values(row))
    return secret


def find(db: Database, secret: str) -> Token | None:
    """The token that was sent, when it counts: not revoked or run out, its account open and its role unchanged."""
    query = (
        sa.select(*(c.label(f"token_{c.name}") for c in TOKEN.c), *(ACCOUNT.c[name] for name in FIELDS))
        .join(ACCOUNT, ACCOUNT.c.id == TOKEN.c.account_id)
        .where(TOKEN.c.digest == secrets.digest(secret))
    )
    with db.read() as store:
        row = store.execute(query).mappings().first()
    if row is None or row["token_revoked_at"] is not None or row["disabled_at"] is not None:
        return None
    if row["token_until"] <= utc_now():
        return None
    task = Task(row["token_purpose"], row["token_reference"], row["token_made_at"], row["token_until"])
    return Token(row["token_id"], Account.of(row), frozenset(row["token_scopes"]), task)


def every(db: Database, account: Account) -> list[dict[str, Any]]:
    """The tokens of an account that still count, without their secrets, newest first."""
    query = (
        sa.select(TOKEN)
        .where(TOKEN.c.account_id == account.id, TOKEN.c.revoked_at.is_(None), TOKEN.c.until > utc_now())
        .order_by(TOKEN.c.id.desc())
    )
    with db.read() as store:
        return [
            {key: value for key, value in row.items() if key != "digest"}
            for row in store.execute(query).mappings()
        ]


def revoke(db: Database, token_id: int) -> None:
    """End a token. NotFoundError when there is none."""
    now: datetime = utc_now()
    with db.begin() as store:
        known = store.execute(sa.select(TOKEN.c.id).where(TOKEN.c.id == token_id)).first()
        store.execute(
            sa.update(TOKEN)
            .where(TOKEN.c.id == token_id, TOKEN.c.revoked_at.is_(None))
            .values(revoked_at=now)
        )
    if known is None:
        raise NotFoundError(f"There is no token {token_id}.", where="token", cure="See: doorstep user list.")

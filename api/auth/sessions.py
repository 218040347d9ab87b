"""Sessions: begun by signing in, kept by the hash of their secret, ended by disuse, age, signing out or a person.

A session carries the task: what persons are opened for, with its reference, until it is asked again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from api.auth import secrets
from api.auth.accounts import FIELDS, Account, utc_now
from api.auth.table import table
from features.errors import InputError
from risk.store import Database
from risk.store.tables_accounts import ACCOUNT, SESSION

REFERENCE_MOST = 60


@dataclass(frozen=True)
class Task:
    """What persons are opened for, and the reference it is known by, until ``expires_at``."""

    purpose: str
    reference: str
    opened_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Session:
    """A session and whose it is. ``over`` says why it no longer counts; None: it does."""

    digest: str
    account: Account
    csrf: str
    method: str
    source: str
    made_at: datetime
    seen_at: datetime
    task: Task | None
    over: str | None


def start(db: Database, account: Account, *, method: str, source: str, replaces: str | None = None) -> str:
    """Begin a session and return its secret, for the cookie. ``replaces`` is the secret that was in use: it ends, as
    does the oldest when there are more than may be at once."""
    now = utc_now()
    limits = table()
    secret = secrets.make()
    row = {
        "digest": secrets.digest(secret),
        "account_id": account.id,
        "csrf": secrets.make(),
        "method": method,
        "source": source,
        "made_at": now,
        "seen_at": now,
        "ends_at": now + timedelta(hours=limits.limit("sessions", "absolute_hours")),
    }
    with db.begin() as store:
        if replaces:
            end(store, secrets.digest(replaces), now)
        live = store.execute(
            sa.select(SESSION.c.digest)
            .where(SESSION.c.account_id == account.id, SESSION.c.ended_at.is_(None), SESSION.c.ends_at > now)
            .order_by(SESSION.c.made_at.desc())
        ).scalars()
        for old in list(live)[limits.limit("sessions", "at_once") - 1 :]:
            end(store, old, now)
        forgotten = now - timedelta(
            days=2
        )  # an ended one is remembered until forms typed into it are no longer kept
        store.execute(sa.delete(SESSION).where(SESSION.c.ends_at < forgotten))
        store.execute(sa.insert(SESSION).values(row))
    return secret


def find(db: Database, secret: str) -> Session | None:
    """The session of a cookie, over or not; None for one that never was. Notes the use, at most once a minute."""
    kept = _one(db, _BY_DIGEST, secrets.digest(secret))
    if kept is None or kept.over is not None:
        return kept
    now = utc_now()
    if (now - kept.seen_at).total_seconds() >= table().limit("sessions", "touch_seconds"):
        with db.begin() as store:
            store.execute(sa.update(SESSION).where(SESSION.c.digest == kept.digest).values(seen_at=now))
    return kept


def of_form(db: Database, csrf: str) -> Session | None:
    """The session into which a form was served, by the token in the form; None when there was none."""
    return _one(db, _BY_FORM, csrf)


def live(db: Database, account: Account) -> list[Session]:
    """The sessions of an account that count, newest first."""
    with db.read() as store:
        rows = store.execute(_query().where(ACCOUNT.c.id == account.id).order_by(SESSION.c.made_at.desc()))
        found = [_session(row) for row in rows.mappings()]
    return [one for one in found if one.over is None]


def set_task(db: Database, session: str, account: Account, purpose: str, reference: str) -> Task:
    """Bind a session to a task. InputError for a purpose that is not the role's, or a reference that is none."""
    reference = " ".join(reference.split())
    known = table()
    if purpose not in {one.key for one in known.purposes_of(account.role)}:
        raise InputError(
            "Choose what this is for.", where="purpose", cure="Choose one of the purposes of your role."
        )
    if not 2 <= len(reference) <= REFERENCE_MOST or not any(sign.isalnum() for sign in reference):
        raise InputError(
            f"Give a reference of 2 to {REFERENCE_MOST} characters.",
            where="reference",
            cure="Give the number by which others can find this work.",
        )
    now = utc_now()
    until = now + timedelta(hours=known.purposes[purpose].hours)
    with db.begin() as store:
        store.execute(
            sa.update(SESSION)
            .where(SESSION.c.digest == session)
            .values(purpose=purpose, reference=reference, task_at=now, task_until=until)
        )
    return Task(purpose, reference, now, until)


def end_task(db: Database, session: str) -> None:
    """The task is done: the next person asks what for."""
    with db.begin() as store:
        store.execute(
            sa.update(SESSION)
            .where(SESSION.c.digest == session)
            .values(purpose=None, reference=None, task_at=None, task_until=None)
        )


def end(store: sa.Connection, session: str, now: datetime) -> None:
    """End a session, by its digest."""
    store.execute(
        sa.update(SESSION)
        .where(SESSION.c.digest == session, SESSION.c.ended_at.is_(None))
        .values(ended_at=now)
    )


def _query() -> sa.Select[Any]:
    mine = [column.label(f"session_{column.name}") for column in SESSION.c]
    return sa.select(*mine, *(ACCOUNT.c[name] for name in FIELDS)).join(
        ACCOUNT, ACCOUNT.c.id == SESSION.c.account_id
    )


# Asked at every request, so written once: making and naming the statement would take longer than its answer.
_BY_DIGEST = _query().where(SESSION.c.digest == sa.bindparam("wanted"))
_BY_FORM = _query().where(SESSION.c.csrf == sa.bindparam("wanted"))


def _one(db: Database, query: sa.Select[Any], wanted: str) -> Session | None:
    with db.read() as store:
        row = store.execute(query, {"wanted": wanted}).mappings().first()
    return None if row is None else _session(row)


def _session(row: Any) -> Session:
    account = Account.of(row)
    now = utc_now()
    task = None
    if row["session_purpose"] is not None and row["session_task_until"] > now:
        task = Task(
            row["session_purpose"],
            row["session_reference"],
            row["session_task_at"],
            row["session_task_until"],
        )
    return Session(
        digest=row["session_digest"],
        account=account,
        csrf=row["session_csrf"],
        method=row["session_method"],
        source=row["session_source"],
        made_at=row["session_made_at"],
        seen_at=row["session_seen_at"],
        task=task,
        over=_over(row, account, now),
    )


def _over(row: Any, account: Account, now: datetime) -> str | None:
    idle = timedelta(minutes=table().limit("sessions", "idle_minutes"))
    if account.disabled_at is not None:
        return "closed"
    if row["session_ended_at"] is not None:
        return "ended"
    if row["session_ends_at"] <= now:
        return "old"
    if row["session_seen_at"] + idle <= now:
        return "unused"
    return None

"""Accounts: who may sign in, in which role, for which districts; made, changed and closed by a named person."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from api.auth import passwords, secrets
from api.auth.table import table
from features.errors import InputError, NotFoundError
from risk.store import Database
from risk.store.tables_accounts import ACCOUNT, NAMED_USER, OPENING, SESSION, TOKEN

NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{1,63}")
FIELDS = ("id", "username", "name", "role", "districts", "duties", "one_time_until", "failures", "locked_until",
          "issuer", "subject", "made_at", "made_by", "signed_in_at", "disabled_at", "disabled_by")  # fmt: skip


@dataclass(frozen=True)
class Account:
    """An account as it stands. The hash of its password is not part of it."""

    id: int
    username: str
    name: str
    role: str
    districts: tuple[str, ...]
    duties: tuple[str, ...]
    one_time_until: datetime | None
    failures: int
    locked_until: datetime | None
    issuer: str | None
    subject: str | None
    made_at: datetime
    made_by: str
    signed_in_at: datetime | None
    disabled_at: datetime | None
    disabled_by: str | None

    @classmethod
    def of(cls, row: Any) -> Account:
        """From a row of the table."""
        found = {name: row[name] for name in FIELDS}
        return cls(**{**found, "districts": tuple(row["districts"]), "duties": tuple(row["duties"])})

    def locked(self, now: datetime) -> bool:
        """Whether sign-in waits after wrong passwords."""
        return self.locked_until is not None and self.locked_until > now


def utc_now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


def add(
    db: Database,
    username: str,
    *,
    role: str,
    by: str,
    name: str = "",
    districts: Sequence[str] = (),
    duties: Sequence[str] = (),
    password: str | None = None,
    one_time: bool = True,
    provider: tuple[str, str] | None = None,
) -> Account:
    """Make an account. ``provider`` is (issuer, subject) of one who signs in elsewhere.

    With ``one_time`` the password must be changed at first sign-in, within the hours of the table. Raises InputError
    for a name that is taken or malformed, an unknown role or duty, a password that would be guessed.
    """
    username = username.strip().lower()
    if not NAME.fullmatch(username):
        raise InputError(
            "A username has 2 to 64 characters: letters a to z, digits, dot, dash, underscore, at sign.",
            where="username",
            cure="Use the name the force's other systems know the person by.",
        )
    check(role, duties)
    if password is not None and not one_time:
        passwords.check_new(password, (username, name))
    now = utc_now()
    hours = timedelta(hours=table().limit("passwords", "one_time_hours"))
    row = {
        "username": username,
        "name": name.strip() or username,
        "role": role,
        "districts": sorted(set(districts)),
        "duties": sorted(set(duties)),
        "password": passwords.hashed(password) if password else None,
        "one_time_until": now + hours if password and one_time else None,
        "issuer": provider[0] if provider else None,
        "subject": provider[1] if provider else None,
        "made_at": now,
        "made_by": by,
    }
    try:
        with db.begin() as store:
            store.execute(sa.insert(ACCOUNT).values(row))
    except sa.exc.IntegrityError as taken:
        raise InputError(
            f"There is an account {username} already.",
            where="username",
            cure="Choose another name; a closed account keeps its name, because the audit trail speaks of it.",
        ) from taken
    return need(db, username)


def check(role: str, duties: Sequence[str]) -> None:
    """Refuse a role or duty that is not in the table: InputError."""
    known = table()
    if role not in known.roles:
        raise InputError(
            f"There is no role {role!r}.", where="role", cure=f"Roles: {', '.join(known.roles)}."
        )
    for duty in duties:
        if duty not in known.duties:
            raise InputError(
                f"There is no duty {duty!r}.", where="duty", cure=f"Duties: {', '.join(known.duties)}."
            )


def find(db: Database, username: str) -> Account | None:
    """An account by its username, or None."""
    with db.read() as store:
        row = store.execute(sa.select(ACCOUNT).where(ACCOUNT.c.username == username.strip().lower()))
        found = row.mappings().first()
    return Account.of(found) if found else None


def need(db: Database, username: str) -> Account:
    """An account by its username; NotFoundError when there is none."""
    found = find(db, username)
    if found is None:
        raise NotFoundError(
            f"There is no account {username!r}.", where="username", cure="See: doorstep user list."
        )
    return found


def every(db: Database) -> list[Account]:
    """Every account, by username."""
    with db.read() as store:
        rows = store.execute(sa.select(ACCOUNT).order_by(ACCOUNT.c.username)).mappings().all()
    return [Account.of(row) for row in rows]


def none_yet(db: Database) -> bool:
    """Whether nobody can sign in yet: the service has just been set up."""
    with db.read() as store:
        return store.execute(sa.select(ACCOUNT.c.id).limit(1)).first() is None


def change(
    db: Database, username: str, *, role: str, districts: Sequence[str], duties: Sequence[str]
) -> None:
    """Give an account another role, districts or duties; its sessions and tokens end, so that nothing outlives it.

    Raises InputError for an unknown role, and for the last administrator.
    """
    check(role, duties)
    found = need(db, username)
    if role != "administrator":
        _not_the_last(db, found)
    values = {"role": role, "districts": sorted(set(districts)), "duties": sorted(set(duties))}
    if (role, tuple(values["districts"]), tuple(values["duties"])) == (
        found.role,
        found.districts,
        found.duties,
    ):
        return
    with db.begin() as store:
        store.execute(sa.update(ACCOUNT).where(ACCOUNT.c.id == found.id).values(values))
        end_all(store, found.id, utc_now())
        if role != found.role:
            _shut_records(store, found.id)


def disable(db: Database, username: str, by: str) -> None:
    """Close an account: its sessions and tokens end at once. InputError for the last administrator."""
    found = need(db, username)
    _not_the_last(db, found)
    now = utc_now()
    with db.begin() as store:
        store.execute(
            sa.update(ACCOUNT)
            .where(ACCOUNT.c.id == found.id, ACCOUNT.c.disabled_at.is_(None))
            .values(disabled_at=now, disabled_by=by)
        )
        end_all(store, found.id, now)
        _shut_records(store, found.id)


def enable(db: Database, username: str) -> None:
    """Open an account again, and let it sign in at once."""
    found = need(db, username)
    with db.begin() as store:
        store.execute(
            sa.update(ACCOUNT)
            .where(ACCOUNT.c.id == found.id)
            .values(disabled_at=None, disabled_by=None, failures=0, locked_until=None)
        )


def new_one_time_password(db: Database, username: str) -> str:
    """Replace a password by a one-time one, which is returned and kept nowhere; sessions end, a lock is lifted.

    InputError for an account that signs in with the identity provider.
    """
    found = need(db, username)
    if found.issuer is not None:
        raise InputError(
            f"{found.username} signs in with the identity provider.",
            where="username",
            cure="Their password is changed there.",
        )
    password = secrets.one_time_password()
    hours = table().limit("passwords", "one_time_hours")
    set_password(db, username, password, until=utc_now() + timedelta(hours=hours))
    return password


def set_password(db: Database, username: str, password: str, *, until: datetime | None = None) -> None:
    """Replace an account's password, a one-time one with ``until``; its sessions end, its tokens too, a lock is lifted.

    What a person chooses themselves goes through ``signing.change_password``, which asks for the old one.
    """
    found, kept = need(db, username), passwords.hashed(password)
    values = {"password": kept, "one_time_until": until, "failures": 0, "locked_until": None}
    with db.begin() as store:
        store.execute(sa.update(ACCOUNT).where(ACCOUNT.c.id == found.id).values(values))
        end_all(store, found.id, utc_now())


def end_all(store: sa.Connection, account_id: int, now: datetime, *, tokens: bool = True) -> None:
    """End every session of an account, and revoke its tokens."""
    store.execute(
        sa.update(SESSION)
        .where(SESSION.c.account_id == account_id, SESSION.c.ended_at.is_(None))
        .values(ended_at=now)
    )
    if tokens:
        store.execute(
            sa.update(TOKEN)
            .where(TOKEN.c.account_id == account_id, TOKEN.c.revoked_at.is_(None))
            .values(revoked_at=now)
        )


def _shut_records(store: sa.Connection, account_id: int) -> None:
    """Restricted records were opened to somebody in a role: without it they are shut, and stay so if it comes back."""
    now = utc_now()
    store.execute(sa.delete(NAMED_USER).where(NAMED_USER.c.account_id == account_id))
    mine = (OPENING.c.account_id == account_id, OPENING.c.until > now)
    store.execute(sa.update(OPENING).where(*mine).values(until=now))


def _not_the_last(db: Database, found: Account) -> None:
    others = [
        one
        for one in every(db)
        if one.role == "administrator" and one.disabled_at is None and one.id != found.id
    ]
    if found.role == "administrator" and found.disabled_at is None and not others:
        raise InputError(
            f"{found.username} is the last administrator.",
            where="username",
            cure="Make another first: doorstep user add NAME --role administrator.",
        )

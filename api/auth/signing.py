"""Signing in with a password: lock-out, one-time passwords, and the same answer whatever was wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from api.auth import passwords
from api.auth.accounts import Account, set_password, utc_now
from api.auth.table import table
from features.errors import InputError
from risk.store import Database
from risk.store.tables_accounts import ACCOUNT


class WrongError(InputError):
    """Not signed in. ``username`` is the account that was meant, if there is one; nobody is told which."""

    def __init__(self, username: str | None, why: str) -> None:
        self.username, self.why = username, why
        lock = table().limits["lock"]
        super().__init__(
            "The name and password do not fit, or the account is waiting or closed.",
            where="sign-in",
            cure=f"Try again. After {lock['failures']} wrong passwords an account waits {lock['minutes']} minutes; a "
            "forgotten password is replaced by your administrator.",
        )


def check(db: Database, username: str, password: str) -> Account:
    """The account of a name and its password. Raises WrongError, in the same words and time whatever was wrong.

    The count of wrong passwords is read and raised in one transaction, so that guesses made side by side all count.
    """
    username = username.strip().lower()
    row = _row(db, username)
    fits = passwords.matches(row["password"] if row else None, password)
    if row is None:
        raise WrongError(None, "no such account")
    now = utc_now()
    with db.begin() as store:
        mine = sa.select(ACCOUNT).where(ACCOUNT.c.id == row["id"]).with_for_update()
        kept = store.execute(mine).mappings().one()
        why = _refusal(Account.of(kept), fits and kept["password"] == row["password"])
        values: dict[str, Any]
        if why is None:
            values = {"failures": 0, "locked_until": None, "signed_in_at": now}
            if passwords.stale(kept["password"]):
                values["password"] = passwords.hashed(password)
        elif why == "wrong password":
            limits = table()
            failures = kept["failures"] + 1
            values = {"failures": failures}
            if failures >= limits.limit("lock", "failures"):
                wait = timedelta(minutes=limits.limit("lock", "minutes"))
                values = {"failures": 0, "locked_until": now + wait}
        else:
            values = {}
        if values:
            store.execute(sa.update(ACCOUNT).where(ACCOUNT.c.id == row["id"]).values(values))
    if why is not None:
        raise WrongError(username, why)
    return Account.of(kept)


def _refusal(account: Account, fits: bool) -> str | None:
    now = utc_now()
    if account.disabled_at is not None:
        return "closed"
    if account.locked(now):
        return "locked"
    if not fits:
        return "wrong password"
    if account.one_time_until is not None and account.one_time_until <= now:
        return "the one-time password has run out"
    return None


def change_password(db: Database, username: str, current: str, new: str) -> None:
    """Replace one's own password; every session and token of the account ends.

    Raises WrongError when ``current`` is not the password (wrong ones count as at sign-in), InputError when ``new``
    would be guessed or is the current one.
    """
    account = check(db, username, current)
    if new == current:
        raise InputError("That is the password you have.", where="new_password", cure="Choose another.")
    passwords.check_new(new, (account.username, account.name))
    set_password(db, account.username, new)


def _row(db: Database, username: str) -> Any:
    with db.read() as store:
        return store.execute(sa.select(ACCOUNT).where(ACCOUNT.c.username == username)).mappings().first()

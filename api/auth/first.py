"""The first accounts: the administrator of a new home, and those of a demonstration."""

from __future__ import annotations

from api.auth import accounts, secrets
from api.auth.table import table
from features.errors import InputError
from risk.audit import this_user
from risk.store import Database

FIRST = "administrator"
DEMO = {
    "proactive": ("priya", "Priya Nair (demonstration)"),
    "dalo": ("dani", "Dani Brooks (demonstration)"),
    "supervisor": ("sam", "Sam Okafor (demonstration)"),
    "analyst": ("ada", "Ada Lind (demonstration)"),
    "records": ("rob", "Rob Hale (demonstration)"),
    "auditor": ("aud", "Aud Finch (demonstration)"),
    "administrator": ("admin", "Alex Moor (demonstration)"),
}


def first_administrator(db: Database) -> str | None:
    """Make the first account when there is none, and return its one-time password; None when somebody is there."""
    if not accounts.none_yet(db):
        return None
    password = secrets.one_time_password()
    try:
        accounts.add(
            db, FIRST, role="administrator", by=this_user().username, name="Administrator", password=password
        )
    except InputError:  # another process of the same home was quicker
        return None
    return password


def demo_accounts(db: Database) -> tuple[str, list[tuple[str, str]]]:
    """An account of each role with one fresh password for all, for records of a force that never was.

    Returns the password and (username, role's name). Each start gives another password; the sessions of the last end.
    """
    password = secrets.one_time_password()
    made = []
    for role, (username, name) in DEMO.items():
        duties = ("legal",) if role == "supervisor" else ()
        if accounts.find(db, username) is None:
            accounts.add(db, username, role=role, by="demo", name=name, duties=duties)
        accounts.set_password(db, username, password)
        made.append((username, table().roles[role].name))
    return password, made

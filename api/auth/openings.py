"""Records restricted to named users: who is named, who broke the glass and why, and what the supervisor said.

Being named takes two supervisors, neither of whom is the one named, and ends with the role. Breaking the glass is
asked by reference and never says whether there is such a record: the opening is written down, the supervisors are
alerted, and the person's page then answers or does not. Both are about a person, whichever reference is used.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from api.auth.accounts import Account, need, utc_now
from api.auth.sessions import Task
from api.auth.table import table
from features.errors import InputError, NotFoundError
from risk.store import Database, Moment
from risk.store.tables_accounts import ACCOUNT, NAMED_USER, OPENING

VERDICTS = ("justified", "not justified")
MOST = 2000
LONGEST = 80
_OPEN = sa.union(  # asked at most requests, so written once
    sa.select(OPENING.c.person_id).where(
        OPENING.c.account_id == sa.bindparam("account"), OPENING.c.until > sa.bindparam("now", type_=Moment)
    ),
    sa.select(NAMED_USER.c.person_id).where(
        NAMED_USER.c.account_id == sa.bindparam("account"), NAMED_USER.c.agreed_at.is_not(None)
    ),
)
_WAITING = sa.select(
    sa.select(sa.func.count()).where(OPENING.c.reviewed_at.is_(None)).scalar_subquery()
    + sa.select(sa.func.count()).where(NAMED_USER.c.agreed_at.is_(None)).scalar_subquery()
)


def open_now(db: Database, account_id: int) -> frozenset[str]:
    """The persons whose restricted records this account may open at this moment: named for, or opened by."""
    with db.read() as store:
        return frozenset(store.execute(_OPEN, {"account": account_id, "now": utc_now()}).scalars())


def break_glass(
    db: Database, account: Account, person_id: str, reason: str, task: Task, same: Collection[str] = ()
) -> int:
    """Open a restricted record for a while, for a reason; returns the number of the opening.

    ``same``: every reference the person goes by. InputError when the reference or the reason says nothing. A not
    justified opening of the same person by the same account is refused until they are named.
    """
    person_id, reason = reference_of(person_id), " ".join(reason.split())
    least = table().limit("breakglass", "reason_least")
    if not least <= len(reason) <= MOST:
        raise InputError(
            f"Say in {least} to {MOST:,} characters why this record must be opened now.",
            where="reason",
            cure="Your supervisor reads it within two working days.",
        )
    now = utc_now()
    row = {
        "account_id": account.id,
        "person_id": person_id,
        "reason": reason,
        "purpose": task.purpose,
        "reference": task.reference,
        "at": now,
        "until": now + timedelta(minutes=table().limit("breakglass", "minutes")),
    }
    with db.begin() as store:
        refused = sa.select(OPENING.c.id).where(
            OPENING.c.account_id == account.id,
            OPENING.c.person_id.in_({person_id, *same}),
            OPENING.c.verdict == VERDICTS[1],
        )
        if store.execute(refused).first() is not None:
            raise InputError(
                "A supervisor found your last opening of this record not justified.",
                where="person_id",
                cure="Speak to a supervisor: two of them can name you for the record.",
            )
        made = store.execute(sa.insert(OPENING).values(row).returning(OPENING.c.id)).scalar_one()
    return int(made)


def reference_of(person_id: str) -> str:
    """A person's reference as it was typed, without spaces around it; InputError for none, and for more than one is."""
    person_id = person_id.strip()
    if not 1 <= len(person_id) <= LONGEST:
        raise InputError("Give the reference of the person.", where="person_id", cure="It is on the record.")
    return person_id


def waiting(db: Database) -> list[dict[str, Any]]:
    """Openings no supervisor has looked at, oldest first."""
    return _openings(db, OPENING.c.reviewed_at.is_(None), OPENING.c.id)


def reviewed(db: Database, limit: int = 50) -> list[dict[str, Any]]:
    """Openings that were reviewed, newest first."""
    return _openings(db, OPENING.c.reviewed_at.is_not(None), OPENING.c.id.desc(), limit)


def waiting_count(db: Database) -> int:
    """How many openings and namings wait for a supervisor: the alert on their pages."""
    with db.read() as store:
        return int(store.execute(_WAITING).scalar_one())


def one_opening(db: Database, opening_id: int) -> dict[str, Any] | None:
    """An opening by its number, or None."""
    return next(iter(_openings(db, OPENING.c.id == opening_id, OPENING.c.id)), None)


def review(
    db: Database, opening_id: int, by: Account, verdict: str, note: str, same: Collection[str] = ()
) -> dict[str, Any]:
    """Say whether an opening was justified; a not justified one ends at once, with every other of that account about
    the person (``same``: the references they go by). Returns the opening.

    NotFoundError for no such opening; InputError for one's own, one already reviewed, or a missing note.
    """
    note = " ".join(note.split())
    if verdict not in VERDICTS:
        raise InputError("Say whether it was justified.", where="verdict", cure="Choose one of the two.")
    if not 3 <= len(note) <= MOST:
        raise InputError("Say why in a sentence.", where="note", cure="Both sides may read it later.")
    now = utc_now()
    with db.begin() as store:
        mine = sa.select(OPENING).where(OPENING.c.id == opening_id).with_for_update()
        row = store.execute(mine).mappings().first()
        if row is None:
            raise NotFoundError(
                f"There is no opening {opening_id}.", where="opening", cure="Go back to the list."
            )
        if row["account_id"] == by.id:
            raise InputError(
                "Nobody reviews their own opening.", where="opening", cure="Ask another supervisor."
            )
        if row["reviewed_at"] is not None:
            raise InputError(
                f"{row['reviewed_by']} has reviewed it already: {row['verdict']}.",
                where="opening",
                cure="Speak to them; the review stands.",
            )
        values: dict[str, Any] = {
            "reviewed_at": now,
            "reviewed_by": by.username,
            "verdict": verdict,
            "note": note,
        }
        if verdict == VERDICTS[1]:
            theirs = (
                OPENING.c.account_id == row["account_id"],
                OPENING.c.person_id.in_({row["person_id"], *same}),
                OPENING.c.until > now,
            )
            store.execute(sa.update(OPENING).where(*theirs).values(until=now))
            values["until"] = min(row["until"], now)
        store.execute(sa.update(OPENING).where(OPENING.c.id == opening_id).values(values))
    return {**row, **values}


def name(db: Database, person_id: str, username: str, by: Account, why: str) -> None:
    """Name an account for a restricted record. It opens nothing before another supervisor has agreed (:func:`agree`).

    InputError for oneself, a reason that says nothing, or somebody who is named already; NotFoundError for no account.
    """
    account, person_id, why = need(db, username), reference_of(person_id), " ".join(why.split())
    least = table().limit("breakglass", "reason_least")
    if account.id == by.id:
        raise InputError("Nobody names themselves.", where="username", cure="Ask two other supervisors.")
    if not least <= len(why) <= MOST:
        raise InputError(
            f"Say in {least} to {MOST:,} characters why they need this record.",
            where="why",
            cure="Another supervisor reads it before it opens anything.",
        )
    row = {
        "person_id": person_id,
        "account_id": account.id,
        "named_at": utc_now(),
        "named_by": by.username,
        "why": why,
    }
    try:
        with db.begin() as store:
            store.execute(sa.insert(NAMED_USER).values(row))
    except sa.exc.IntegrityError as there:
        raise InputError(
            f"{account.username} is named for this record already, or waits for a second supervisor.",
            where="username",
            cure="See who is named; strike them off first to name them anew.",
        ) from there


def agree(db: Database, person_id: str, username: str, by: Account) -> dict[str, Any]:
    """Agree, as a second supervisor, that somebody is named: from now on the record opens for them. Returns the naming.

    NotFoundError when nothing waits; InputError for the one named, and for the one who named them.
    """
    account = need(db, username)
    mine = (NAMED_USER.c.person_id == person_id.strip(), NAMED_USER.c.account_id == account.id)
    with db.begin() as store:
        waits = sa.select(NAMED_USER).where(*mine, NAMED_USER.c.agreed_at.is_(None)).with_for_update()
        row = store.execute(waits).mappings().first()
        if row is None:
            raise NotFoundError(
                "No such naming waits.", where="username", cure="It was agreed or struck off meanwhile."
            )
        if account.id == by.id or row["named_by"] == by.username:
            raise InputError(
                "A naming takes two supervisors, and neither is the one named.",
                where="username",
                cure="Ask another supervisor.",
            )
        values = {"agreed_at": utc_now(), "agreed_by": by.username}
        store.execute(sa.update(NAMED_USER).where(*mine).values(values))
    return {**row, **values}


def strike(db: Database, person_id: str, username: str) -> None:
    """Strike an account off those named for a record."""
    account = need(db, username)
    with db.begin() as store:
        store.execute(
            sa.delete(NAMED_USER).where(
                NAMED_USER.c.person_id == person_id.strip(), NAMED_USER.c.account_id == account.id
            )
        )


def named(db: Database) -> list[dict[str, Any]]:
    """Who is named for which record, and who waits for a second supervisor (``agreed_by`` None)."""
    query = (
        sa.select(NAMED_USER, ACCOUNT.c.username)
        .join(ACCOUNT, ACCOUNT.c.id == NAMED_USER.c.account_id)
        .order_by(NAMED_USER.c.person_id, ACCOUNT.c.username)
    )
    with db.read() as store:
        return [dict(row) for row in store.execute(query).mappings()]


def _openings(db: Database, where: Any, order: Any, limit: int = 500) -> list[dict[str, Any]]:
    query = (
        sa.select(OPENING, ACCOUNT.c.username, ACCOUNT.c.name, ACCOUNT.c.role)
        .join(ACCOUNT, ACCOUNT.c.id == OPENING.c.account_id)
        .where(where)
        .order_by(order)
        .limit(limit)
    )
    with db.read() as store:
        return [dict(row) for row in store.execute(query).mappings()]

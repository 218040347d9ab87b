"""Records restricted to named users: who is named, who broke the glass and why, and what the supervisor said.

Breaking the glass is asked by reference and never says whether there is such a record: the opening is written down,
the supervisors are alerted, and the person's page then answers or does not.
"""

from __future__ import annotations

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
_OPEN = sa.union(  # asked at most requests, so written once
    sa.select(OPENING.c.person_id).where(
        OPENING.c.account_id == sa.bindparam("account"), OPENING.c.until > sa.bindparam("now", type_=Moment)
    ),
    sa.select(NAMED_USER.c.person_id).where(NAMED_USER.c.account_id == sa.bindparam("account")),
)
_WAITING = sa.select(sa.func.count()).select_from(OPENING).where(OPENING.c.reviewed_at.is_(None))


def open_now(db: Database, account_id: int) -> frozenset[str]:
    """The persons whose restricted records this account may open at this moment: named for, or opened by."""
    with db.read() as store:
        return frozenset(store.execute(_OPEN, {"account": account_id, "now": utc_now()}).scalars())


def break_glass(db: Database, account: Account, person_id: str, reason: str, task: Task) -> int:
    """Open a restricted record for a while, for a reason; returns the number of the opening.

    InputError when the reference or the reason says nothing. A not justified opening of the same person by the same
    account is refused until a supervisor names them.
    """
    person_id, reason = person_id.strip(), " ".join(reason.split())
    least = table().limit("breakglass", "reason_least")
    if not 1 <= len(person_id) <= 80:
        raise InputError("Give the reference of the person.", where="person_id", cure="It is on the record.")
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
            OPENING.c.person_id == person_id,
            OPENING.c.verdict == VERDICTS[1],
        )
        if store.execute(refused).first() is not None:
            raise InputError(
                "A supervisor found your last opening of this record not justified.",
                where="person_id",
                cure="Speak to a supervisor, who can name you for the record.",
            )
        made = store.execute(sa.insert(OPENING).values(row).returning(OPENING.c.id)).scalar_one()
    return int(made)


def waiting(db: Database) -> list[dict[str, Any]]:
    """Openings no supervisor has looked at, oldest first."""
    return _openings(db, OPENING.c.reviewed_at.is_(None), OPENING.c.id)


def reviewed(db: Database, limit: int = 50) -> list[dict[str, Any]]:
    """Openings that were reviewed, newest first."""
    return _openings(db, OPENING.c.reviewed_at.is_not(None), OPENING.c.id.desc(), limit)


def waiting_count(db: Database) -> int:
    """How many openings wait for a supervisor: the alert on their pages."""
    with db.read() as store:
        return int(store.execute(_WAITING).scalar_one())


def review(db: Database, opening_id: int, by: Account, verdict: str, note: str) -> dict[str, Any]:
    """Say whether an opening was justified; a not justified one ends at once. Returns the opening.

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
        if verdict == VERDICTS[1] and row["until"] > now:
            values["until"] = now
        store.execute(sa.update(OPENING).where(OPENING.c.id == opening_id).values(values))
    return {**row, **values}


def name(db: Database, person_id: str, username: str, by: str, why: str) -> None:
    """Name an account for a restricted record: it opens for them until they are struck off. InputError without a
    reason."""
    account, person_id, why = need(db, username), person_id.strip(), " ".join(why.split())
    if not person_id or len(person_id) > 80 or not 3 <= len(why) <= MOST:
        raise InputError(
            "Give the person's reference and say why.", where="why", cure="A sentence is enough."
        )
    row = {
        "person_id": person_id,
        "account_id": account.id,
        "named_at": utc_now(),
        "named_by": by,
        "why": why,
    }
    with db.begin() as store:
        _strike(store, person_id, account.id)
        store.execute(sa.insert(NAMED_USER).values(row))


def strike(db: Database, person_id: str, username: str) -> None:
    """Strike an account off those named for a record."""
    account = need(db, username)
    with db.begin() as store:
        _strike(store, person_id, account.id)


def named(db: Database) -> list[dict[str, Any]]:
    """Who is named for which record."""
    query = (
        sa.select(NAMED_USER, ACCOUNT.c.username)
        .join(ACCOUNT, ACCOUNT.c.id == NAMED_USER.c.account_id)
        .order_by(NAMED_USER.c.person_id, ACCOUNT.c.username)
    )
    with db.read() as store:
        return [dict(row) for row in store.execute(query).mappings()]


def _strike(store: sa.Connection, person_id: str, account_id: int) -> None:
    store.execute(
        sa.delete(NAMED_USER).where(
            NAMED_USER.c.person_id == person_id, NAMED_USER.c.account_id == account_id
        )
    )


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

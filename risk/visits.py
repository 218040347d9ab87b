"""What officers record before a video response and after a visit (``risk/data/visits.toml``).

Before video: three answers, asked and never inferred; any "no" or "unsure" means: send an officer. Asking for an
officer needs no answers. After a visit: the contact, what is new, another grade with the reason. Everything is kept in
Doorstep's own database, beside the force's records and marked as its own; nothing of it feeds a score.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from features.errors import InputError
from risk.promises import Reached
from risk.settings import settings
from risk.store.tables_visits import VIDEO, VISIT
from risk.words import count, day_time, listed

if TYPE_CHECKING:
    from risk.audit import Who
    from risk.store import Database

QUESTIONS = ("agrees", "can_talk", "suspect_absent")
YES = "Y"


class FormError(InputError):
    """Fields of a form at fault: ``fields`` says of each what to do. Nothing was written."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        super().__init__(
            "Not everything that is needed was given; nothing was recorded.",
            where=", ".join(self.fields),
            cure=" ".join(self.fields.values()),
        )


class SentBeforeError(InputError):
    """A form whose number was used for something else, or for answers that were overtaken. Nothing was written."""

    def __init__(self) -> None:
        super().__init__(
            "This form was sent before, and what it says now is not what stands. Nothing was recorded.",
            where="once",
            cure="Read what was recorded since, then fill the form in anew and send it.",
        )


class Entry(NamedTuple):
    """An entry as :func:`entries` gives it; ``new``: it was written just now, not by an earlier press."""

    row: dict[str, Any]
    new: bool


@dataclass(frozen=True)
class About:
    """What an entry is about: whose sheet, which victim, which call; ``once`` makes sending it twice one entry (of one
    person, by one officer: a number used elsewhere is another entry)."""

    person_id: str
    once: str
    victim_id: str | None = None
    call_id: str | None = None

    def columns(self, who: Who, at: datetime) -> dict[str, Any]:
        """The columns both tables share."""
        return {
            "person_id": self.person_id,
            "once": self.once,
            "victim_id": self.victim_id,
            "call_id": self.call_id,
            "by": who.username,
            "role": who.role,
            "at": at,
        }


def why_send(answers: Mapping[str, str | None]) -> list[str]:
    """Why an officer must be sent, in words; empty when every answer is yes. An answer not given counts as unsure."""
    return [one["if_not"] for one in settings("visits")["video"] if answers.get(one["name"]) != YES]


def standing(
    rows: Sequence[Mapping[str, Any]], call_id: str | None, now: datetime
) -> Mapping[str, Any] | None:
    """What some rows of answers (newest first, one person's) come to now; None: ask.

    Answers belong to the victim who gave them, and the newest of each counts while it is fresh. Whoever of them said
    "no" or was unsure, and an officer asked for without a question, win over every "yes" of somebody else. Video may go
    on for a named victim and for this very call alone.
    """
    since = now - timedelta(hours=settings("visits")["send"]["fresh_hours"])
    newest: dict[tuple[bool, str | None], Mapping[str, Any]] = {}
    for row in rows:
        if row["at"] >= since:
            asked = row["agrees"] is not None or row["victim_id"] is not None
            newest.setdefault((asked, row["victim_id"]), row)
    sends = [row for row in newest.values() if row["send"]]
    goes = [
        row
        for row in newest.values()
        if not row["send"] and row["victim_id"] is not None and row["call_id"] == call_id
    ]
    return next(iter(sends or goes), None)


def answer_video(
    db: Database, who: Who, about: About, answers: Mapping[str, str | None], at: datetime | None = None
) -> Entry:
    """Record the three answers. FormError unless each is Y, N or U, and for three "yes" of nobody in particular;
    SentBeforeError for a form sent before whose "yes" is not what stands."""
    known = settings("visits")["answers"]
    wrong = {
        one["name"]: f"Answer: {one['asks']}"
        for one in settings("visits")["video"]
        if answers.get(one["name"]) not in known
    }
    if wrong:
        raise FormError(wrong)
    given = {name: answers[name] for name in QUESTIONS}
    if about.victim_id is None and not why_send(given):
        raise FormError({"victim": settings("visits")["send"]["whom"]})
    row = about.columns(who, at or datetime.now(UTC)) | given | {"send": bool(why_send(given))}
    return _written(db, VIDEO, row)


def attend_instead(db: Database, who: Who, about: About, at: datetime | None = None) -> Entry:
    """Record that an officer is to be sent, without a question asked. Every press is written: two entries harm
    nobody, one taken for an old one may."""
    about = replace(about, once=_again(about.once))
    row = about.columns(who, at or datetime.now(UTC)) | dict.fromkeys(QUESTIONS) | {"send": True}
    return _written(db, VIDEO, row)


def log_visit(
    db: Database, who: Who, about: About, given: Mapping[str, Any], now: datetime | None = None
) -> Entry:
    """Record a contact and what came of it.

    ``given``: channel, reached (bool), contact_at (aware; None: now), information, regrade (a grade or None),
    regrade_why, referral. FormError naming every field at fault; SentBeforeError for a form sent before as another one.
    """
    written = now or datetime.now(UTC)
    said = {name: _text(given.get(name)) for name in ("information", "regrade", "regrade_why", "referral")}
    when = given.get("contact_at") or written
    wrong = _faults(said, given, when, written)
    if wrong:
        raise FormError(wrong)
    row = about.columns(who, written) | said | {
        "channel": given["channel"], "reached": bool(given["reached"]), "contact_at": when,
    }  # fmt: skip
    return _written(db, VISIT, row)


def _text(value: str | None) -> str | None:
    """A text without surrounding space and without the one character no database keeps; None when nothing is left."""
    return (value or "").replace("\x00", "").strip() or None


def _faults(
    said: Mapping[str, str | None], given: Mapping[str, Any], when: datetime, written: datetime
) -> dict[str, str]:
    rules, wrong = settings("visits")["after"], {}
    if given.get("channel") not in rules["channels"]:
        wrong["channel"] = "Say how the contact was made."
    if given.get("reached") not in (True, False):
        wrong["reached"] = "Say whether anybody was reached."
    if abs(when.year - written.year) > rules["most_years"]:
        wrong["contact_at"] = f"The year {when.year} is not that of a contact."
    elif when > written + timedelta(minutes=rules["skew_minutes"]):
        wrong["contact_at"] = f"The contact is in the future. It is now {day_time(written)}."
    if said["regrade"] is not None and said["regrade"] not in rules["grades"]:
        wrong["regrade"] = f"A grade is one of {listed(list(rules['grades']), 'or')}."
    if said["regrade"] is not None and said["regrade_why"] is None:
        wrong["regrade_why"] = "Say why the grade should change."
    if said["referral"] is not None and said["referral"] not in rules["referrals"]:
        wrong["referral"] = f"A referral is one of {listed(list(rules['referrals']), 'or')}."
    for name in ("information", "regrade_why"):
        over = len(said[name] or "") - rules["most_characters"]
        if over > 0:
            wrong[name] = f"The text is {count(over, 'character')} too long. Shorten it; nothing was cut."
    return wrong


def _again(once: str) -> str:
    """A number of its own for an entry that is written whatever its form's number."""
    return f"{once}/{uuid4()}"


def _written(db: Database, table: sa.Table, row: Mapping[str, Any]) -> Entry:
    """Write a row, whichever process came first, unless the same officer sent the same form about this person before.

    What sends an officer is written again when anything newer was recorded of the person, or when it says something
    else; any other entry that is not the one kept, or was overtaken, is SentBeforeError.
    """
    insert = postgresql.insert if db.dialect == "postgresql" else sqlite.insert
    key = ["person_id", "by", "once"]
    with db.begin() as connection:
        added = insert(table).values(**row).on_conflict_do_nothing(index_elements=key)
        made = connection.execute(added.returning(table.c.id)).scalar() is not None
        found = dict(connection.execute(_of_form(table, row)).mappings().one())
        if made:
            return Entry(found, True)
        theirs = sa.select(sa.func.max(table.c.id)).where(table.c.person_id == row["person_id"])
        newest = connection.scalar(theirs)
        if _same(found, row) and (table is VISIT or newest == found["id"]):
            return Entry(found, False)
        if not row.get("send"):
            raise SentBeforeError
        repeated = {**row, "once": _again(row["once"])}
        connection.execute(sa.insert(table).values(**repeated))
        return Entry(dict(connection.execute(_of_form(table, repeated)).mappings().one()), True)


def _of_form(table: sa.Table, row: Mapping[str, Any]) -> sa.Select[Any]:
    return sa.select(table).where(*(table.c[name] == row[name] for name in ("person_id", "by", "once")))


def _same(kept: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether a row says what a kept one says; a contact "just now" was just before each was written."""

    def just_now(one: Mapping[str, Any]) -> bool:
        return "contact_at" in one and one["contact_at"] == one["at"]

    apart = {name for name in row if name not in ("at", "role") and kept[name] != row[name]}
    return not apart or (apart == {"contact_at"} and just_now(kept) and just_now(row))


def entries(
    db: Database,
    kind: str,
    person_id: str,
    *,
    records: Iterable[str] = (),
    before: int | None = None,
    limit: int | None = 20,
    since: datetime | None = None,
) -> list[dict[str, Any]]:
    """What was recorded about a person, newest first. ``kind``: video (answers before a response) or visits.

    ``records``: the other references of the same person, whose entries belong to them too. ``before``: only entries
    with a smaller id, for the next page. ``since``: only entries written then or later. ``limit`` None: all of them.
    """
    table = {"video": VIDEO, "visits": VISIT}[kind]
    asked = sa.select(table).where(table.c.person_id.in_(sorted({person_id, *records})))
    if before is not None:
        asked = asked.where(table.c.id < before)
    if since is not None:
        asked = asked.where(table.c.at >= since)
    with db.read() as connection:
        rows = connection.execute(asked.order_by(table.c.id.desc()).limit(limit)).mappings()
        return [dict(row) for row in rows]


def fresh(db: Database, person_id: str, records: Iterable[str], now: datetime) -> list[dict[str, Any]]:
    """Every row of answers before video that can still stand at ``now``, newest first."""
    hours = settings("visits")["send"]["fresh_hours"]
    return entries(db, "video", person_id, records=records, limit=None, since=now - timedelta(hours=hours))


def contacts(db: Database, victims: Iterable[str], until: datetime | None = None) -> list[Reached]:
    """Contacts logged here in which one of these victims was reached, for what is owed to them (``risk.promises``).

    ``until``: only what was written by then, for a sheet as of an earlier day.
    """
    wanted = sorted(set(victims))
    if not wanted:
        return []
    asked = sa.select(VISIT.c.victim_id, VISIT.c.contact_at).where(
        VISIT.c.victim_id.in_(wanted), VISIT.c.reached.is_(True)
    )
    if until is not None:
        asked = asked.where(VISIT.c.at <= until)
    with db.read() as connection:
        rows = connection.execute(asked.order_by(VISIT.c.id)).all()
    return [Reached(victim, None, at) for victim, at in rows]

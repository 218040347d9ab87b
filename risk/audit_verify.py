"""Whether the audit trail is whole: row by row against the key, its end against the heads kept elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from risk.audit_beside import beside
from risk.audit_chain import START, row_code, set_hash
from risk.audit_heads import head_code, heads_path, read_heads
from risk.audit_key import Key, read_key
from risk.settings import settings
from risk.store import Database
from risk.store.tables_audit import AUDIT, AUDIT_MEMBER, AUDIT_SET
from risk.words import count, day_time

ROWS_AT_ONCE = 2000
TOLD = 20  # faults of one kind told in full; a trail written anew has as many as it has rows


@dataclass
class _Faults:
    """What is wrong, kind by kind, the first of each kind in full."""

    told: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, words: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.counts[kind] <= TOLD:
            self.told.append(words)

    def all(self) -> list[str]:
        more = [f"And {found - TOLD:,} more {kind}." for kind, found in self.counts.items() if found > TOLD]
        return self.told + more


@dataclass(frozen=True)
class _Head:
    line: int
    count: int
    hash: str
    at: datetime


def verify(db: Database, home: Path) -> list[str]:
    """What is wrong with the trail, in words; empty when nothing is.

    Tells a row that was changed, removed or put in, a tail that was cut, a trail written anew (with or without the
    key), a set of persons that was changed, a head that is none, heads that stopped coming, and a trail that is empty
    or shorter than what stands beside it (``risk.audit_beside``). DoorstepError when the database, the key or the heads
    cannot be read.
    """
    faults = _Faults()
    lines = list(read_heads(home))  # before the rows: a head that comes meanwhile is not missed by them
    with db.read() as connection:
        first = connection.execute(sa.select(sa.func.count()).select_from(AUDIT)).scalar_one()
        if not first and not lines:
            return list(beside(connection, home, None, None))
        key = read_key(home, make=False)
        heads = _heads(lines, key, faults)
        end = _rows(connection, key, heads, faults)
        _against_end(heads, end, faults)
        began = connection.execute(sa.select(sa.func.min(AUDIT.c.at)).where(AUDIT.c.seq <= 1)).scalar_one()
        for words in beside(connection, home, began, end[1]):
            faults.add("such traces", words)
        _carried(connection, home, heads, faults)
        _sets(connection, faults)
    return faults.all()


def _heads(lines: list[tuple[int, dict[str, Any] | None]], key: Key, faults: _Faults) -> list[_Head]:
    found: list[_Head] = []
    for number, head in lines:
        if head is None or head_code(key, head) != head["mac"]:
            faults.add("such lines", f"Line {number} of the heads is not a head made with this key.")
            continue
        found.append(_Head(number, head["count"], head["hash"], datetime.fromisoformat(head["at"])))
    return found


def _rows(
    connection: sa.Connection, key: Key, heads: list[_Head], faults: _Faults
) -> tuple[int, datetime | None]:
    """Every row against the one before it, and against the heads that name it. Number and time of the last row."""
    wanted: dict[int, list[_Head]] = {}
    for head in heads:
        wanted.setdefault(head.count, []).append(head)
    seq, before, at = 0, START, None
    for row in _stream(connection):
        if row["seq"] != seq + 1:
            faults.add("such gaps", f"{_missing(seq + 1, row['seq'] - 1)} before row {row['seq']:,}.")
        elif row["key_id"] != key.name:
            faults.add("such rows", f"Row {row['seq']:,} was coded with another key ({row['key_id']}).")
        elif row_code(key, before, row) != row["mac"]:
            faults.add(
                "such rows",
                f"Row {row['seq']:,} does not fit its code: it was changed or put in, or the row before it was.",
            )
        seq, before, at = row["seq"], row["mac"], row["at"]
        for head in wanted.get(seq, ()):
            if head.hash != before:
                faults.add(
                    "such heads",
                    f"Row {seq:,} is not the one the head of {day_time(head.at)} (line {head.line}) names: the trail "
                    "was written anew.",
                )
    return seq, at


def _stream(connection: sa.Connection) -> Iterator[dict[str, Any]]:
    found = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(
        sa.select(AUDIT).order_by(AUDIT.c.seq)
    )
    for row in found.mappings():
        yield dict(row)


def _against_end(heads: list[_Head], end: tuple[int, datetime | None], faults: _Faults) -> None:
    highest: _Head | None = None
    for head in heads:
        if highest is not None and head.count < highest.count and head.at > highest.at + timedelta(minutes=1):
            faults.add(
                "such heads",
                f"The head of {day_time(head.at)} (line {head.line}) counts {count(head.count, 'row')}, fewer than "
                f"the {highest.count:,} of {day_time(highest.at)}: the trail was cut in between.",
            )
        if highest is None or head.count > highest.count:
            highest = head
    if highest is not None and highest.count > end[0]:
        faults.add(
            "such ends",
            f"The trail ends at row {end[0]:,}, and the head of {day_time(highest.at)} (line {highest.line}) counts "
            f"{highest.count:,}: its tail was cut.",
        )


def _carried(connection: sa.Connection, home: Path, heads: list[_Head], faults: _Faults) -> None:
    """Rows that waited longer than they may for a head."""
    last = max((head.count for head in heads), default=0)
    oldest = connection.execute(
        sa.select(AUDIT.c.seq, AUDIT.c.at).where(AUDIT.c.seq > last).order_by(AUDIT.c.seq).limit(1)
    ).first()
    longest = timedelta(minutes=settings("audit")["heads"]["missed_after_minutes"])
    if oldest is not None and datetime.now(UTC) - oldest.at > longest:
        faults.add(
            "such rows",
            f"No head was carried to {heads_path(home)} since row {oldest.seq:,} of {day_time(oldest.at)}: heads "
            "stopped coming, or were removed.",
        )


def _sets(connection: sa.Connection, faults: _Faults) -> None:
    """The sets of persons that rows speak of: there, unchanged, and found by each of their persons."""
    many = connection.execution_options(yield_per=ROWS_AT_ONCE)
    lost = sa.select(AUDIT.c.seq).where(
        AUDIT.c.persons.is_not(None), AUDIT.c.persons.not_in(sa.select(AUDIT_SET.c.persons))
    )
    for seq in many.execute(lost.order_by(AUDIT.c.seq)).scalars():
        faults.add("such rows", f"The persons of row {seq:,} were removed.")
    kept: set[str] = set()
    for name, members in many.execute(sa.select(AUDIT_SET.c.persons, AUDIT_SET.c.members)):
        if set_hash(members) == name:
            kept.add(name)
        else:
            faults.add("such sets", f"A set of persons was changed ({_rows_of(connection, name)}).")
    found = many.execute(
        sa.select(AUDIT_MEMBER.c.persons, AUDIT_MEMBER.c.person_id).order_by(AUDIT_MEMBER.c.persons)
    )
    for name, rows in groupby(found, key=lambda row: row.persons):
        if set_hash([row.person_id for row in rows]) == name:
            kept.discard(name)
    for name in sorted(kept):  # no member rows that fit: a search by person would miss the look
        faults.add("such sets", f"The search by person was changed ({_rows_of(connection, name)}).")


def _rows_of(connection: sa.Connection, name: str) -> str:
    found = connection.execute(
        sa.select(AUDIT.c.seq).where(AUDIT.c.persons == name).order_by(AUDIT.c.seq).limit(4)
    )
    rows = [f"{seq:,}" for seq in found.scalars()]
    if not rows:
        return "of no row"
    return "row " + ", ".join(rows[:3]) + (" and more" if len(rows) > 3 else "")


def _missing(first: int, last: int) -> str:
    return f"Row {first:,} is missing" if first == last else f"Rows {first:,} to {last:,} are missing"


def standing(db: Database, home: Path) -> dict[str, Any]:
    """How long the trail is and what was last carried: ``rows``, ``last_at``, ``carried``, ``carried_at``.

    Says nothing of whether the trail is whole. DoorstepError when the database or the heads cannot be read."""
    heads = [head for _, head in read_heads(home) if head is not None]
    with db.read() as connection:
        last = connection.execute(
            sa.select(AUDIT.c.seq, AUDIT.c.at).order_by(AUDIT.c.seq.desc()).limit(1)
        ).first()
    return {
        "rows": last.seq if last else 0,
        "last_at": last.at if last else None,
        "carried": heads[-1]["count"] if heads else 0,
        "carried_at": datetime.fromisoformat(heads[-1]["at"]) if heads else None,
    }

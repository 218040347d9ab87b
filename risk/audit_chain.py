"""The chain: how a row is coded, and how rows are appended by several threads and processes without a gap.

A row's code is the HMAC of the code before it and of everything the row says, so that a row changed, removed or put
in shows, and nobody without the key can write the rest anew. Rows of one process that wait at the same moment are
committed together: one wait for the disk serves them all.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from features.errors import DoorstepError
from risk.audit_heads import HeadBook
from risk.audit_key import Key, read_key
from risk.store import Database
from risk.store.tables_audit import AUDIT, AUDIT_MEMBER, AUDIT_SET

START = "0" * 64  # what stands before the first row
_LOCK = 0x61756469  # PostgreSQL: the advisory lock of the chain's end
KEPT_MOST = 20_000  # names of sets held in memory
LARGE = 2000  # persons in one set; more are kept in a transaction of their own, before the row
CODED = tuple(column.name for column in AUDIT.columns if column.name not in ("mac",))


# Made once: every look goes through them.
_END = "SELECT seq, mac FROM audit ORDER BY seq DESC LIMIT 1"
_INSERT = sa.insert(AUDIT)
_INSERTS = {
    name: (insert(AUDIT_SET).on_conflict_do_nothing(), insert(AUDIT_MEMBER).on_conflict_do_nothing())
    for name, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}


def set_hash(persons: Sequence[str]) -> str:
    """The hash a set of persons is kept under: their references, sorted, each once."""
    text = json.dumps(sorted(set(persons)), ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def row_code(key: Key, before: str, row: Mapping[str, Any]) -> str:
    """The code of a row: of the code before it and of every column but itself."""
    said = {name: row[name] for name in CODED}
    at: datetime = said["at"]
    said["at"] = at.astimezone(UTC).isoformat(timespec="microseconds")
    text = json.dumps(said, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return key.code(before.encode(), b"\n", text.encode())


@dataclass
class _Waiting:
    """One row on its way, and what became of it."""

    row: dict[str, Any]
    members: list[str]
    seq: int = 0
    fault: BaseException | None = None
    done: bool = False


@dataclass
class Writer:
    """Appends to the chain of one database. Threads may share it; processes agree through the database's lock."""

    database: Database
    home: Path
    heads: HeadBook = field(init=False)
    _queue: list[_Waiting] = field(default_factory=list)
    _gate: threading.Lock = field(default_factory=threading.Lock)
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _key: Key | None = None
    _seen: tuple[int, str] = (0, START)
    _kept: set[str] = field(default_factory=set)  # sets known to be in the database: not asked again

    def __post_init__(self) -> None:
        self.heads = HeadBook(self.home)

    def append(self, row: dict[str, Any], members: list[str]) -> int:
        """Write one row down for good and return its number.

        Inside ``database.begin()`` the row belongs to that transaction; otherwise it is durable on return, committed
        with the rows that waited beside it. DoorstepError when it cannot be written.
        """
        mine = _Waiting(row, members)
        if self.database.in_transaction:
            with self.database.begin() as connection:
                self._write(connection, [mine])
            return mine.seq
        if len(members) > LARGE:  # a whole force exported: nobody waits while its persons are written
            with self.database.begin() as connection:
                _keep_sets(connection, {row["persons"]: members})
        with self._gate:
            self._queue.append(mine)
        with self._turn:
            if not mine.done:
                with self._gate:
                    batch, self._queue = self._queue, []
                self._commit(batch)
        if mine.fault is not None:
            raise mine.fault
        return mine.seq

    def _commit(self, batch: list[_Waiting]) -> None:
        try:
            with self.database.begin() as connection:
                end = self._write(connection, batch)
            self._seen = end
            if len(self._kept) > KEPT_MOST:
                self._kept.clear()
            self._kept.update(one.row["persons"] for one in batch if one.members)
            self.heads.due(self.key(), end)
        except BaseException as fault:
            for one in batch:
                one.fault = fault
        finally:
            for one in batch:
                one.done = True

    def _write(self, connection: sa.Connection, batch: list[_Waiting]) -> tuple[int, str]:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        seq, before = self.end(connection)
        key = self.key(make=seq == 0)
        self._not_cut(seq, before)
        rows = []
        for one in batch:
            seq += 1
            one.seq = seq
            row = one.row | {"seq": seq, "at": datetime.now(UTC), "key_id": key.name}
            row["mac"] = before = row_code(key, before, row)
            rows.append(row)
        sets = {one.row["persons"]: one.members for one in batch if one.members}
        _keep_sets(connection, {name: sets[name] for name in sorted(sets.keys() - self._kept)})
        connection.execute(_INSERT, rows)
        return seq, before

    def _not_cut(self, seq: int, code: str) -> None:
        """A trail that this process saw longer than it now is was cut, or an older copy put in its place."""
        if seq < self._seen[0] or (seq == self._seen[0] and code != self._seen[1]):
            raise DoorstepError(
                f"The audit trail ended at row {self._seen[0]} and now ends at row {seq}: rows were removed or an "
                "older database was put in its place.",
                where=repr(self.database),
                cure="Run: doorstep audit verify. Nothing more is shown until the service is started again.",
            )

    def key(self, *, make: bool = False) -> Key:
        """The key, read once."""
        if self._key is None:
            self._key = read_key(self.home, make=make)
        return self._key

    def end(self, connection: sa.Connection) -> tuple[int, str]:
        """Number and code of the last row; (0, START) before the first."""
        row = connection.exec_driver_sql(_END).first()
        return (row.seq, row.mac) if row else (0, START)


def _keep_sets(connection: sa.Connection, sets: dict[str, list[str]]) -> None:
    """Keep sets of persons that are not kept yet."""
    insert_set, insert_member = _INSERTS[connection.dialect.name]
    for name, members in sets.items():
        fresh = connection.execute(insert_set, {"persons": name, "members": members})
        if fresh.rowcount:
            connection.execute(insert_member, [{"person_id": person, "persons": name} for person in members])


_WRITERS: WeakKeyDictionary[Database, dict[Path, Writer]] = WeakKeyDictionary()
_ALL = threading.Lock()


def writer_of(database: Database, home: Path) -> Writer:
    """The one writer of this process for a database."""
    with _ALL:
        known = _WRITERS.setdefault(database, {})
        place = Path(home)
        if place not in known:
            known[place] = Writer(database, place)
        return known[place]

"""What in the audit trail is unusual: something to ask a person about, never a finding against them.

Own name, same surname, volume, outside one's districts, refusals, and a clock that was set back. The thresholds are in
``risk/data/audit.toml``. Names are compared here and shown nowhere: an auditor reads usernames and references.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from statistics import median
from typing import Any

import polars as pl
import sqlalchemy as sa

from risk.settings import settings
from risk.store import Database
from risk.store.tables_accounts import ACCOUNT
from risk.store.tables_audit import AUDIT, AUDIT_MEMBER
from risk.words import LONDON, count, day

LOOKS = ("consultation", "disclosure")
TITLES = {
    "own_name": ("Own name", "Opened or searched for somebody of their own given name and surname."),
    "surname": ("Same surname", "Opened or searched for somebody of their own surname."),
    "volume": ("Volume", "Opened far more persons in a day, one at a time, than is usual in the role."),
    "outside": ("Outside district", "Opened persons of districts that are not theirs."),
    "refused": ("Refused", "Was refused often in a day."),
    "clock": ("Clock set back", "A row is earlier than the one before it: the machine’s clock was changed."),
}


@dataclass(frozen=True)
class Unusual:
    """Somebody (or the machine) and what stands out; ``rows`` are numbers of rows to begin with."""

    username: str
    role: str
    words: str
    persons: tuple[str, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Pattern:
    """A kind of unusual, what it means, and who stands out; ``more``: how many are left out."""

    key: str
    title: str
    says: str
    found: list[Unusual]
    more: int


@dataclass(frozen=True)
class _Look:
    seq: int
    at: datetime
    username: str
    role: str
    person: str

    @property
    def day(self) -> date:
        return self.at.astimezone(LONDON).date()


def unusual(
    db: Database, identity: Mapping[str, pl.DataFrame], since: datetime, until: datetime
) -> list[Pattern]:
    """What stands out among the rows from ``since`` (included) to ``until`` (not), pattern by pattern.

    ``identity``: the tables of names (``features.apart.open_identity``), empty where nothing is loaded.
    """
    looks, named, rest = _read(db, since, until)
    names = _names(identity, {look.person for look in looks})
    same, own = _of_ones_name(looks, names, named, rest)
    found = {
        "own_name": own,
        "surname": same,
        "volume": _volume(looks),
        "outside": _outside(rest),
        "refused": _refused(rest),
        "clock": _clock(db, since, until),
    }
    told = settings("audit")["unusual"]["told"]
    return [Pattern(key, *TITLES[key], found[key][:told], max(0, len(found[key]) - told)) for key in TITLES]


def _read(
    db: Database, since: datetime, until: datetime
) -> tuple[list[_Look], dict[str, list[str]], list[sa.Row[Any]]]:
    """Looks at few persons at a time, one for each person; the words of each account's name; and the other rows that
    matter: marked outside, refused, searches."""
    few = settings("audit")["unusual"]["few_persons"]
    within = (AUDIT.c.at >= since, AUDIT.c.at < until)
    opened = (
        sa.select(AUDIT.c.seq, AUDIT.c.at, AUDIT.c.username, AUDIT.c.role, AUDIT_MEMBER.c.person_id)
        .join(AUDIT_MEMBER, AUDIT_MEMBER.c.persons == AUDIT.c.persons)
        .where(
            *within,
            AUDIT.c.persons_count <= few,
            AUDIT.c.act.in_(LOOKS),
            ~AUDIT.c.page.contains("audit"),
            ~AUDIT.c.page.contains("search"),
        )
        .order_by(AUDIT.c.seq)
    )
    refused = sa.and_(AUDIT.c.act == "access", AUDIT.c.detail.startswith("refused"))
    searched = sa.and_(AUDIT.c.act == "consultation", AUDIT.c.page.contains("search"))
    rest = (
        sa.select(AUDIT.c.seq, AUDIT.c.at, AUDIT.c.username, AUDIT.c.role, AUDIT.c.act, AUDIT.c.page,
                  AUDIT.c.outside, AUDIT.c.detail)
        .where(*within, sa.or_(AUDIT.c.outside.is_(True), refused, searched))
        .order_by(AUDIT.c.seq)
    )  # fmt: skip
    with db.read() as connection:
        looks = [_Look(*row) for row in connection.execute(opened)]
        accounts = connection.execute(sa.select(ACCOUNT.c.username, ACCOUNT.c.name)).all()
        return looks, {row.username: _words(row.name) for row in accounts}, list(connection.execute(rest))


def _words(name: str | None) -> list[str]:
    """A name as words to compare: no case, no accents; an apostrophe joins, anything else that is no letter parts."""
    plain = unicodedata.normalize("NFKD", (name or "").casefold())
    joined = "".join(sign for sign in plain if not unicodedata.combining(sign) and sign not in "'’")
    return re.findall(r"[^\W\d_]+", joined)


def _names(
    identity: Mapping[str, pl.DataFrame], persons: set[str]
) -> dict[str, list[tuple[set[str], set[str]]]]:
    """Surnames and given names of persons, of every way they are known."""
    found: dict[str, list[tuple[set[str], set[str]]]] = defaultdict(list)
    for table in ("person", "alias"):
        frame = identity.get(table)
        if frame is None or not persons:
            continue
        among = pl.col("person_id").is_in(pl.Series(sorted(persons), dtype=pl.String).implode())
        rows = frame.filter(among).select("person_id", "family_name", "given_names").unique()
        for person, family, given in rows.iter_rows():
            found[person].append((set(_words(family)), set(_words(given))))
    return found


def _of_ones_name(
    looks: list[_Look],
    names: Mapping[str, list[tuple[set[str], set[str]]]],
    named: Mapping[str, list[str]],
    rest: list[sa.Row[Any]],
) -> tuple[list[Unusual], list[Unusual]]:
    """Who looked at their surname, and who at their own name: by person opened, and by what was typed in a search."""
    own: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    same: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for look in looks:
        mine = named.get(look.username)
        if not mine or len(mine) < 2:
            continue
        for family, given in names.get(look.person, ()):
            if family & set(mine[1:]):
                into = own if given & set(mine[:-1]) else same
                into[look.username, look.role][look.person].append(look.seq)
                break
    for row in rest:
        mine = named.get(row.username)
        if row.act == "access" or "search" not in row.page or not mine or len(mine) < 2:
            continue
        typed = set(_words(row.detail))
        if mine[-1] in typed:
            into = own if mine[0] in typed else same
            into[row.username, row.role][""].append(row.seq)
    return _told(same, "surname"), _told(own, "name")


def _told(found: Mapping[tuple[str, str], Mapping[str, list[int]]], what: str) -> list[Unusual]:
    said = []
    for (username, role), by in sorted(found.items()):
        persons = sorted(person for person in by if person)
        parts = [f"opened {count(len(persons), 'person')} of their own {what}"] if persons else []
        parts += [f"searched for their own {what} {_times(len(by['']))}"] if "" in by else []
        rows = sorted(seq for seqs in by.values() for seq in seqs)
        said.append(Unusual(username, role, " and ".join(parts), tuple(persons[:10]), tuple(rows[:10])))
    return said


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def _volume(looks: list[_Look]) -> list[Unusual]:
    known = settings("audit")["unusual"]
    days: dict[tuple[str, str, date], dict[str, int]] = defaultdict(dict)
    for look in looks:
        days[look.username, look.role, look.day].setdefault(look.person, look.seq)
    said = []
    for (username, role, on), persons in days.items():
        others = [len(one) for key, one in days.items() if key[1] == role and key != (username, role, on)]
        usual = median(others) if others else 0.0
        if len(persons) >= known["persons_least"] and len(persons) > known["persons_times"] * usual:
            words = (
                f"opened {count(len(persons), 'person')} on {day(on)}; usual in the role is {usual:g} a day"
            )
            rows = tuple(sorted(persons.values())[:10])
            said.append((len(persons), Unusual(username, role, words, tuple(sorted(persons))[:10], rows)))
    return [one for _, one in sorted(said, key=lambda pair: (-pair[0], pair[1].username))]


def _outside(rest: Iterable[sa.Row[Any]]) -> list[Unusual]:
    def opened(
        row: sa.Row[Any],
    ) -> bool:  # a search finds people of other districts too; opening one is a choice
        return bool(row.outside) and "search" not in row.page

    return _often(rest, opened, "opened somebody outside their districts", 1)


def _refused(rest: Iterable[sa.Row[Any]]) -> list[Unusual]:
    least = settings("audit")["unusual"]["refused_least"]
    return _often(rest, lambda row: row.act == "access", "was refused", least, daily=True)


def _often(
    rest: Iterable[sa.Row[Any]], counts: Any, words: str, least: int, *, daily: bool = False
) -> list[Unusual]:
    """Who has at least so many rows of a kind, in the whole time or on one day, most first."""
    found: dict[tuple[str, str, date | None], list[int]] = defaultdict(list)
    for row in rest:
        if counts(row):
            on = row.at.astimezone(LONDON).date() if daily else None
            found[row.username, row.role, on].append(row.seq)
    said = []
    for (username, role, on), rows in sorted(found.items(), key=lambda one: (-len(one[1]), one[0][0])):
        if len(rows) >= least:
            when = f" on {day(on)}" if on else ""
            said.append(Unusual(username, role, f"{words} {_times(len(rows))}{when}", (), tuple(rows[:10])))
    return said


def _clock(db: Database, since: datetime, until: datetime) -> list[Unusual]:
    """Rows that are earlier than the row before them."""
    back = settings("audit")["unusual"]["clock_back_seconds"]
    one, two = AUDIT.alias("one"), AUDIT.alias("two")
    query = (
        sa.select(two.c.seq, two.c.at, one.c.at.label("before"))
        .join(one, one.c.seq == two.c.seq - 1)
        .where(two.c.at >= since, two.c.at < until, two.c.at < one.c.at)
        .order_by(two.c.seq)
    )
    with db.read() as connection:
        rows = connection.execute(query).all()
    gaps = [(row.seq, (row.before - row.at).total_seconds()) for row in rows]
    return [
        Unusual("", "", f"row {seq:,} is {seconds:,.0f} seconds earlier than the row before it", (), (seq,))
        for seq, seconds in gaps
        if seconds >= back
    ]

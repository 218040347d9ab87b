"""What is already known and need not be asked again, and what was never recorded.

For each fact of a list (``risk/data/known.toml``) the latest value that is not empty, with its date and where it
stands; where an earlier value differs, that too, because a changed answer is worth knowing. "Not known" is no value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import polars as pl

from features.clocks import ALWAYS
from features.nominals import onto
from features.schema import QUESTIONS
from risk.history import Happened
from risk.settings import settings
from risk.view import View
from risk.words import count, day, plain

EMPTY = ("", "U", "unknown")
RECORD_STORE = ("involvement", "relationship", "event", "risk_assessment")


@dataclass(frozen=True)
class Known:
    """One fact that is known: its value in words, when it was so and where it stands; ``before``: the latest earlier
    value that differs, in words with its date."""

    name: str
    label: str
    column: str
    value: str
    when: datetime | None
    source: str
    before: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The same for a machine."""
        return dict(vars(self))


@dataclass
class Kept:
    """What is known of one person (``facts``, ``answers``: the assessment's) and the labels of what never was.

    ``of`` is None for the person the sheet is about, else the other person.
    """

    of: str | None
    facts: list[Known] = field(default_factory=list)
    answers: list[Known] = field(default_factory=list)
    never: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The same for a machine."""
        return {
            "of": self.of,
            "facts": [one.as_dict() for one in self.facts],
            "answers": [one.as_dict() for one in self.answers],
            "never": list(self.never),
        }


def known(view: View, person: str, others: Sequence[str], happened: Sequence[Happened]) -> list[Kept]:
    """What the records hold of ``person`` and of each of ``others`` (with regard to that person) as of T.

    ``happened``: the person's history. A table that the force did not hand over is
    in no list of what was never recorded: ``risk.sheet`` says so once.
    """
    kept, tables = [], _Tables(view, [person, *others], happened)
    for other in (None, *others):
        rows, mine = _Rows(tables, person, other), Kept(other)
        for fact in settings("known")["fact"]:
            if (fact["of"] == "suspect") != (other is None) or _not_handed_over(view, fact):
                continue
            found = _latest(rows.of(fact["of"], fact["table"]), fact, rows.references)
            if found is None:
                mine.never.append(fact["label"])
            else:
                mine.facts.append(found)
        if other is not None and "risk_assessment" not in view.records.missing:
            _answers(rows, mine)
        kept.append(mine)
    return kept


def _not_handed_over(view: View, fact: Mapping[str, Any]) -> bool:
    gone = view.records.missing
    return fact["table"] in gone or f"{fact['table']}.{fact['column']}" in gone


def _answers(rows: _Rows, mine: Kept) -> None:
    """The assessments' questions: answered last how, and which never."""
    said = settings("known")["assessment"]
    table = rows.of("pair", "risk_assessment")
    never: list[int] = []
    for question in QUESTIONS:
        number = f"{said['numbered']} {int(question[1:])}"
        label = said["labels"].get(question)
        fact = {"name": question, "label": f"{number}: {label}" if label else number, "column": question,
                "at": "completed_at", "says": "yes_no", "source": said["source"]}  # fmt: skip
        found = _latest(table, fact, rows.references)
        if found is None:
            never.append(int(question[1:]))
        else:
            mine.answers.append(found)
    if not table:
        mine.never.append("A risk assessment")
    elif never:
        mine.never.append(f"Assessment {'question' if len(never) == 1 else 'questions'} {_runs(never)}")


def _runs(numbers: Sequence[int]) -> str:
    """Ascending numbers in words: "3, 5 to 9"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


Row = Mapping[str, Any]
_POINTERS = {"relationship": ("person_id_a", "person_id_b"), "risk_assessment": ("victim_id",)}


class _Tables:
    """The rows of each table that can be about some persons, read once for all of them."""

    def __init__(self, view: View, persons: Sequence[str], happened: Sequence[Happened]) -> None:
        self._view, self._persons = view, list(persons)
        self.acts = [one for one in happened if "suspect" in one.roles]
        self.references = {one.event_id: one.reference for one in happened}
        self.times = {one.event_id: one.occurred_at for one in happened}
        self._events = [one.event_id for one in self.acts if one.domestic]
        self._read: dict[str, list[dict[str, Any]]] = {}

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Rows of a table: of the person's own domestic events, or pointing to one of the persons."""
        if table not in self._read:
            frame = self._view.whole(table) if table in RECORD_STORE else self._view.identity(table)
            if table == "person":  # the records of one person stay apart there
                frame = onto(frame, self._view.clusters)
            if table in ("event", "involvement"):
                frame = frame.filter(pl.col("event_id").is_in(self._events))
            else:
                about = _POINTERS.get(table, ("person_id",))
                frame = frame.filter(pl.any_horizontal(pl.col(c).is_in(self._persons) for c in about))
            self._read[table] = frame.to_dicts()
        return self._read[table]


class _Rows:
    """The rows that can say something of one person, or of a pair."""

    def __init__(self, tables: _Tables, person: str, other: str | None) -> None:
        self._tables, self._person, self._other = tables, person, other
        self.references = tables.references
        self._as_suspect = {one.event_id for one in tables.acts}
        self._between = {one.event_id for one in tables.acts if one.domestic and other in one.against}

    def of(self, whose: str, table: str) -> list[Row]:
        """Rows of a table about the suspect, the victim, the pair, or the events between them."""
        rows = self._tables.rows(table)
        if whose in ("suspect", "victim"):
            who = self._person if whose == "suspect" else self._other
            return [row for row in rows if row["person_id"] == who]
        if whose == "events":
            return self._of_events(rows, table)
        if table == "risk_assessment":
            return [row for row in rows if row["victim_id"] == self._other and self._about_him(row)]
        two = {self._person, self._other}
        return [row for row in rows if {row["person_id_a"], row["person_id_b"]} == two]

    def _about_him(self, row: Row) -> bool:
        """An assessment that names the suspect, or nobody in an event in which they are one."""
        named = row["suspect_id"]
        return bool(named == self._person or (named is None and row["event_id"] in self._as_suspect))

    def _of_events(self, rows: Sequence[Row], table: str) -> list[Row]:
        between = [row for row in rows if row["event_id"] in self._between]
        if table == "event":
            return between
        return [
            {**row, "at": self._tables.times[row["event_id"]]}
            for row in between
            if row["person_id"] == self._person
            and row["role"] == "suspect"
            and row["victim_id"] in (None, self._other)
        ]


def _latest(
    rows: Iterable[Row],
    fact: Mapping[str, Any],
    references: Mapping[str, str],
) -> Known | None:
    """The latest value of a column that is not empty; of rows of one moment the last by the event's reference."""

    def order(row: Row) -> tuple[datetime, str]:
        return row[fact["at"]] or ALWAYS, str(row.get("event_id") or "")

    column = fact["column"]
    filled = sorted(
        (row for row in rows if row[column] is not None and row[column] not in EMPTY), key=order, reverse=True
    )
    if not filled:
        return None
    newest = filled[0]
    differs = next((row for row in filled[1:] if row[column] != newest[column]), None)
    when = order(newest)[0]
    before = None
    if differs is not None:
        before = f"{_words(differs[column], fact['says'])} on {_day(order(differs)[0])}"
    event = newest.get("event_id")
    source = f"{fact['source']} {references.get(event, event)}" if event else fact["source"]
    return Known(
        name=fact["name"],
        label=fact["label"],
        column=column,
        value=_words(newest[column], fact["says"]),
        when=None if when <= ALWAYS else when,
        source=source,
        before=before,
    )


def _day(when: datetime) -> str:
    return "an unrecorded date" if when <= ALWAYS else day(when)


def _words(value: Any, says: str) -> str:
    """A value in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, date):
        return day(value)
    if says == "days":
        return f"every {count(value, 'day')}"
    if says == "children":
        return count(value, "child", "children")
    return plain(str(value)) if says in ("code", "yes_no") else str(value)

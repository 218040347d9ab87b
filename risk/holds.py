"""Hold: identity or role in doubt. Anyone may place one at once; the person is greyed wherever they are shown until a
supervisor decides, within two working days.

A supervisor lifts it, or finds the doubt right: then it stands until one lifts it, and the next list shows the person
apart. A hold is about a person, so it changes no record and no score.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import sqlalchemy as sa

from features.errors import InputError, NotFoundError
from risk import written
from risk.settings import settings
from risk.store.tables_decisions import HOLD, HOLD_WORD
from risk.words import day, day_time
from risk.workdays import due_by
from risk.written import CrossedError

if TYPE_CHECKING:
    from risk.audit import Who
    from risk.store import Database


def doubts() -> dict[str, str]:
    """What may be in doubt, in words."""
    return dict(settings("decisions")["hold"]["doubts"])


def sayings() -> dict[str, str]:
    """What a supervisor may say to a hold, in words."""
    return dict(settings("decisions")["hold"]["said"])


@dataclass(frozen=True)
class Hold:
    """A hold with what supervisors have said to it, oldest first."""

    row: Mapping[str, Any]
    said: tuple[Mapping[str, Any], ...] = ()

    @property
    def hold_id(self) -> int:
        """Its number."""
        return int(self.row["id"])

    @property
    def person_id(self) -> str:
        """The reference it was placed on."""
        return str(self.row["person_id"])

    @property
    def doubt_words(self) -> str:
        """What is in doubt."""
        return doubts()[self.row["doubt"]]

    @property
    def in_force(self) -> bool:
        """Whether it greys the person: until a supervisor lifts it."""
        return not self.said or self.said[-1]["said"] != "lift"

    @property
    def waits(self) -> bool:
        """Whether no supervisor has decided yet."""
        return not self.said

    @property
    def stands(self) -> bool:
        """Whether a supervisor found the doubt right."""
        return bool(self.said) and self.in_force

    @property
    def overdue(self) -> bool:
        """Whether a supervisor should have decided by now."""
        return self.waits and datetime.now(UTC) > self.row["due_by"]

    @property
    def line(self) -> str:
        """One line for a row, a page or an export."""
        words = settings("decisions")["hold"]["words"]
        if self.stands:
            return f"{words}. A supervisor found it right on {day(self.said[-1]['at'])}"
        due = "was due" if self.overdue else "decides"
        return f"{words} since {day(self.row['at'])}. A supervisor {due} by {day(self.row['due_by'])}"

    def as_dict(self) -> dict[str, Any]:
        """For a machine."""
        return {
            **self.row,
            "doubt_words": self.doubt_words,
            "line": self.line,
            "in_force": self.in_force,
            "waits": self.waits,
            "overdue": self.overdue,
            "said": [dict(word) for word in self.said],
        }


def place_hold(
    db: Database,
    who: Who,
    person_id: str,
    doubt: str,
    reason: str,
    about: datetime,
    district: str | None = None,
) -> tuple[Hold, bool]:
    """Place a hold, in force from now. Returns it, and False where one is in force already (that one, unchanged).

    Raises FieldError for a field at fault.
    """
    values = written.checked(
        {
            "doubt": lambda: written.checked_code("doubt", doubt, doubts(), "what is in doubt"),
            "reason": lambda: written.checked_text("reason", reason),
        }
    )
    known = holds_of(db, [person_id])[person_id]
    if known and known[0].in_force:
        return known[0], False
    row = {
        "person_id": person_id,
        "number": len(known) + 1,
        "doubt": values["doubt"],
        "district": district,
        **written.signed(who, values["reason"], about),
    }
    row["due_by"] = due_by(row["at"], settings("decisions")["hold"]["working_days"])
    placed = written.add(db, HOLD, row) is not None  # else somebody placed one in the same moment
    return holds_of(db, [person_id])[person_id][0], placed


def say(db: Database, who: Who, hold_id: int, said: str, reason: str, about: datetime) -> Hold:
    """A supervisor's word: "lift" or "stands". Returns the hold with it.

    Raises NotFoundError for none such, FieldError, InputError when the hold is the supervisor's own and nobody has
    decided (two people are needed), and CrossedError when it was lifted or spoken on meanwhile.
    """
    values = written.checked(
        {
            "said": lambda: written.checked_code("said", said, sayings(), "what you find"),
            "reason": lambda: written.checked_text("reason", reason),
        }
    )
    hold = one_hold(db, hold_id)
    if hold.waits and hold.row["by"] == who.username:
        raise InputError(
            "A hold is decided by somebody else than the person who placed it.",
            where=f"hold {hold_id}",
            cure="Ask another supervisor.",
        )
    spoken = not hold.in_force or (hold.stands and said == "stands")
    row = {"hold_id": hold_id, "number": len(hold.said) + 1, "said": said}
    row |= written.signed(who, values["reason"], about)
    if not spoken and written.add(db, HOLD_WORD, row) is not None:
        return one_hold(db, hold_id)
    hold = one_hold(db, hold_id)
    last = hold.said[-1]
    raise CrossedError(
        f"{last['by']} has decided already, on {day_time(last['at'])}: {last['words']}",
        [dict(last)],
        cure="Read it; a new hold may be placed.",
    )


def one_hold(db: Database, hold_id: int) -> Hold:
    """A hold by its number. Raises NotFoundError."""
    found = _holds(db, sa.select(HOLD).where(HOLD.c.id == hold_id))
    if not found:
        raise NotFoundError(f"There is no hold {hold_id}.", where="holds", cure="Open the person again.")
    return found[0]


def holds_of(
    db: Database, persons: Iterable[str], clusters: pl.DataFrame | None = None
) -> dict[str, list[Hold]]:
    """Every hold ever placed on ``persons``, newest first."""
    now = written.references(persons, clusters)
    rows = sa.select(HOLD).where(HOLD.c.person_id.in_(list(now)))
    found: dict[str, list[Hold]] = defaultdict(list)
    for one in _holds(db, rows):
        found[now[one.person_id]].append(one)
    return {person: found[person] for person in set(now.values())}


def held(
    db: Database, persons: Iterable[str] | None = None, clusters: pl.DataFrame | None = None
) -> dict[str, Hold]:
    """The holds in force, by person: of ``persons``, or all of them."""
    if persons is not None:
        every = holds_of(db, persons, clusters)
        first = {person: next((h for h in holds if h.in_force), None) for person, holds in every.items()}
        return {person: hold for person, hold in first.items() if hold is not None}
    found: dict[str, Hold] = {}
    for hold in reversed(_holds(db, sa.select(HOLD))):
        if hold.in_force:
            found[hold.person_id] = hold
    return found


def _holds(db: Database, query: sa.Select[Any]) -> list[Hold]:
    rows = written.select_rows(db, query.order_by(HOLD.c.at.desc(), HOLD.c.id.desc()))
    if not rows:
        return []
    ids, words = [row["id"] for row in rows], sayings()
    spoken = sa.select(HOLD_WORD).where(HOLD_WORD.c.hold_id.in_(ids)).order_by(HOLD_WORD.c.number)
    said: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for word in written.select_rows(db, spoken):
        said[word["hold_id"]].append(word | {"words": words[word["said"]]})
    return [Hold(row, tuple(said[row["id"]])) for row in rows]

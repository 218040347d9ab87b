"""What was done about a person and what came of it: recorded by people, pressed by nobody else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import sqlalchemy as sa

from features.errors import NotFoundError
from risk import written
from risk.settings import settings
from risk.store.tables_decisions import ACTION, ACTION_RESULT, DECISION
from risk.words import LONDON, day
from risk.written import CrossedError, Seen

if TYPE_CHECKING:
    from risk.audit import Who
    from risk.store import Database


def kinds() -> dict[str, str]:
    """The kinds of action with their words."""
    return dict(settings("decisions")["actions"])


def results() -> dict[str, str]:
    """What may come of an action, in words."""
    return dict(settings("decisions")["results"])


@dataclass(frozen=True)
class Planned:
    """An action as it was filled in."""

    kind: str
    reason: str
    owner: str | None
    due_on: date | None


def plan(db: Database, who: Who, person_id: str, planned: Planned, seen: Seen) -> dict[str, Any]:
    """Record an action with its owner and day, and return it. FieldError for a field at fault."""
    values = written.checked(
        {
            "kind": lambda: written.checked_code("kind", planned.kind, kinds(), "what is to be done"),
            "reason": lambda: written.checked_text("reason", planned.reason),
            "owner": lambda: written.checked_owner(planned.owner, asked=True),
            "due_on": lambda: written.checked_due(planned.due_on, asked=True),
        }
    )
    values |= {"person_id": person_id, "decision_id": _decision(db, person_id)}
    values |= {"list_id": seen.list_id, "district": seen.district}
    values |= written.signed(who, values["reason"], seen.about)
    number = written.add(db, ACTION, values)
    return next(one for one in actions_of(db, [person_id])[person_id] if one["id"] == number)


def _decision(db: Database, person_id: str) -> int | None:
    query = sa.select(DECISION.c.id).where(DECISION.c.person_id == person_id)
    rows = written.select_rows(db, query.order_by(DECISION.c.version.desc()).limit(1))
    return rows[0]["id"] if rows else None


def finish(
    db: Database, who: Who, action_id: int, result: str, reason: str, about: datetime
) -> dict[str, Any]:
    """Record what came of an action, once, and return the action with it.

    Raises NotFoundError for none such, FieldError, and CrossedError when a result is recorded already.
    """
    one = action(db, action_id)
    values = written.checked(
        {
            "result": lambda: written.checked_code("result", result, results(), "what came of it"),
            "reason": lambda: written.checked_text("reason", reason),
        }
    )
    values |= {"action_id": action_id, **written.signed(who, values["reason"], about)}
    if one["result"] is None and written.add(db, ACTION_RESULT, values) is not None:
        return action(db, action_id)
    one = action(db, action_id)
    said = one["result"]
    raise CrossedError(
        f"{said['by']} recorded a result already: {said['words']}.",
        [one],
        cure="Read it; plan another action if more is to be done.",
    )


def action(db: Database, action_id: int) -> dict[str, Any]:
    """An action by its number. Raises NotFoundError."""
    rows = written.select_rows(db, sa.select(ACTION).where(ACTION.c.id == action_id))
    if not rows:
        raise NotFoundError(
            f"There is no action {action_id}.", where="actions", cure="Open the person again."
        )
    return _told(rows, db)[0]


def actions_of(
    db: Database, persons: Iterable[str], clusters: pl.DataFrame | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Actions by person, newest first. Each has ``words``, ``line`` (with date and result), ``result`` and whether it
    is ``overdue`` today."""
    now = written.references(persons, clusters)
    query = sa.select(ACTION).where(ACTION.c.person_id.in_(list(now)))
    rows = written.select_rows(db, query.order_by(ACTION.c.at.desc(), ACTION.c.id.desc()))
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in _told(rows, db):
        found[now[one["person_id"]]].append(one)
    return {person: found[person] for person in set(now.values())}


def unfinished(db: Database) -> list[dict[str, Any]]:
    """Every action without a result, the soonest due first."""
    done = sa.select(ACTION_RESULT.c.action_id)
    query = sa.select(ACTION).where(ACTION.c.id.not_in(done)).order_by(ACTION.c.due_on, ACTION.c.id)
    return _told(written.select_rows(db, query), db)


def _told(rows: list[dict[str, Any]], db: Database) -> list[dict[str, Any]]:
    if not rows:
        return []
    ids = [row["id"] for row in rows]
    said = written.select_rows(db, sa.select(ACTION_RESULT).where(ACTION_RESULT.c.action_id.in_(ids)))
    words, endings = kinds(), results()
    came = {row["action_id"]: row | {"words": endings[row["result"]]} for row in said}
    today = datetime.now(LONDON).date()
    told = []
    for row in rows:
        result, name = came.get(row["id"]), words[row["kind"]]
        if result is not None:
            line = f"{name}: {result['words'].lower()}, {day(result['at'])}"
        else:
            line = f"{name}: due {day(row['due_on'])}"
        late = result is None and row["due_on"] < today
        told.append(row | {"words": name, "result": result, "line": line, "overdue": late})
    return told

"""What officers decide about the people on a list, what a supervisor says to it, and where each person stands.

A list proposes; a named person decides and says why. Decisions are numbered for each person (``version``): whoever
decides says which was the newest they had seen, and is told when there is a newer one. A decision that the place should
be lower takes effect only when a supervisor agrees; until then the one before it holds. Nothing here feeds a score.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import sqlalchemy as sa

from features.errors import InputError, NotFoundError
from risk import written
from risk.actions import actions_of
from risk.holds import Hold, held
from risk.nominations import nominations_of
from risk.settings import settings
from risk.store.tables_decisions import DECISION, DECISION_WORD
from risk.words import LONDON, day
from risk.written import CrossedError, Seen

if TYPE_CHECKING:
    from risk.audit import Who
    from risk.store import Database


def choices() -> dict[str, Any]:
    """The choices with their words, codes and what each asks for (``risk/data/decisions.toml``)."""
    found: dict[str, Any] = settings("decisions")["choices"]
    return found


@dataclass(frozen=True)
class Proposed:
    """A decision as it was filled in, not yet checked; ``version`` is that of the newest one the writer had seen."""

    choice: str
    code: str
    reason: str
    owner: str | None = None
    due_on: date | None = None
    version: int = 0


def decide(db: Database, who: Who, person_id: str, proposed: Proposed, seen: Seen) -> dict[str, Any]:
    """Record a decision and return it, as :func:`decisions` gives it.

    Raises FieldError for a field at fault and CrossedError when somebody has decided since ``proposed.version``; the
    very same decision sent twice by the same person is recorded once.
    """
    values = _checked(proposed)
    newest = _newest(db, person_id)
    if (newest["version"] if newest else 0) == proposed.version:
        row = {"person_id": person_id, "version": proposed.version + 1, **values, **_place(seen)}
        row |= written.signed(who, values["reason"], seen.about)
        number = written.add(db, DECISION, row)
        if number is not None:
            return decisions(db, [person_id])[person_id][0]
    known = decisions(db, [person_id])[person_id]
    newer = [one for one in known if one["version"] > proposed.version]
    if newer and newer[0]["by"] == who.username and all(newer[0][k] == v for k, v in values.items()):
        return newer[0]
    if not newer:  # a version nobody has written: the form was tampered with or the records were restored
        raise InputError(
            "The decision was made on a page that no longer fits.",
            where=person_id,
            cure="Open the person again.",
        )
    raise CrossedError(
        f"{newer[0]['by']} decided about this person at {newer[0]['at'].astimezone(LONDON):%H:%M on} "
        f"{day(newer[0]['at'])}, after you opened the page.",
        newer,
        cure="Read both, then send yours again if it still holds, or leave it.",
    )


def _checked(proposed: Proposed) -> dict[str, Any]:
    rule = choices().get(proposed.choice, {"codes": {}, "asks": []})
    asks = rule["asks"]
    checks: dict[str, Callable[[], Any]] = {
        "choice": lambda: written.checked_code("choice", proposed.choice, choices(), "what to decide"),
        "reason": lambda: written.checked_text("reason", proposed.reason),
        "owner": lambda: written.checked_owner(proposed.owner, asked="owner" in asks),
        "due_on": lambda: written.checked_due(proposed.due_on, asked="due_on" in asks),
    }
    if proposed.choice in choices():
        checks["code"] = lambda: written.checked_code(
            "code", proposed.code, rule["codes"], "a reason from the list"
        )
    return written.checked(checks) | {"waits": bool(rule.get("waits"))}


def _place(seen: Seen) -> dict[str, Any]:
    kept = ("list_id", "rank", "place", "district", "model_version", "p_serious")
    return {name: getattr(seen, name) for name in kept}


def _newest(db: Database, person_id: str) -> dict[str, Any] | None:
    query = sa.select(DECISION).where(DECISION.c.person_id == person_id)
    rows = written.select_rows(db, query.order_by(DECISION.c.version.desc()).limit(1))
    return rows[0] if rows else None


def say(
    db: Database, who: Who, decision_id: int, agreed: bool, reason: str, about: datetime
) -> dict[str, Any]:
    """A supervisor's word on a decision that waits for one; returns the decision with it.

    Raises NotFoundError for none such, InputError when it does not wait, was replaced, or is the supervisor's own, and
    CrossedError when another supervisor has spoken.
    """
    reason = written.checked_text("reason", reason)
    one = one_decision(db, decision_id)
    if not one["waits"]:
        raise InputError("This decision waits for nobody.", where=f"decision {decision_id}", cure="Leave it.")
    if one["by"] == who.username:
        raise InputError(
            "A decision is confirmed by somebody else than the person who made it.",
            where=f"decision {decision_id}",
            cure="Ask another supervisor.",
        )
    newest = _newest(db, one["person_id"])
    if newest and newest["version"] > one["version"]:
        raise InputError(
            "A newer decision about this person has taken the place of this one.",
            where=f"decision {decision_id}",
            cure="Open the person to read it.",
        )
    row = {"decision_id": decision_id, "agreed": agreed, **written.signed(who, reason, about)}
    if one["word"] is None and written.add(db, DECISION_WORD, row) is not None:
        return one_decision(db, decision_id)
    said = one_decision(db, decision_id)
    raise CrossedError(
        f"{said['word']['by']} has spoken already: {said['status']}.",
        [said],
        cure="Read it; a new decision may follow it.",
    )


def one_decision(db: Database, decision_id: int) -> dict[str, Any]:
    """A decision by its number, as :func:`decisions` gives it. Raises NotFoundError."""
    rows = written.select_rows(db, sa.select(DECISION.c.person_id).where(DECISION.c.id == decision_id))
    if not rows:
        raise NotFoundError(
            f"There is no decision {decision_id}.", where="decisions", cure="Open the person again."
        )
    known = decisions(db, [rows[0]["person_id"]])[rows[0]["person_id"]]
    return next(one for one in known if one["id"] == decision_id)


def decisions(
    db: Database, persons: Iterable[str] | None = None, clusters: pl.DataFrame | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Decisions by person, newest first, of ``persons`` or of everyone ever decided about.

    Each is a row of the table with ``words``, ``code_words``, ``word`` (what the supervisor said, or None), ``status``
    in words and ``holds``: whether it has effect once no newer one has.
    """
    query = sa.select(DECISION)
    now: dict[str, str] | None = None
    if persons is not None:
        now = written.references(persons, clusters)
        query = query.where(DECISION.c.person_id.in_(list(now)))
    rows = written.select_rows(db, query.order_by(DECISION.c.at.desc(), DECISION.c.id.desc()))
    said = _words_on(db, [row["id"] for row in rows if row["waits"]])
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        person = now[row["person_id"]] if now is not None else row["person_id"]
        found[person].append(_told(row, said.get(row["id"])))
    for person in () if now is None else set(now.values()):
        found.setdefault(person, [])
    return dict(found)


def _words_on(db: Database, ids: list[int]) -> dict[int, dict[str, Any]]:
    if not ids:
        return {}
    rows = written.select_rows(db, sa.select(DECISION_WORD).where(DECISION_WORD.c.decision_id.in_(ids)))
    return {row["decision_id"]: row for row in rows}


def _told(row: dict[str, Any], word: dict[str, Any] | None) -> dict[str, Any]:
    rule, waiting = choices()[row["choice"]], settings("decisions")["waiting"]
    status = "in effect"
    if row["waits"]:
        status = waiting["words"] if word is None else waiting["agreed" if word["agreed"] else "refused"]
    return row | {
        "words": rule["words"],
        "code_words": rule["codes"][row["code"]],
        "word": word,
        "status": status,
        "holds": not row["waits"] or (word is not None and bool(word["agreed"])),
    }


def waiting(db: Database) -> list[dict[str, Any]]:
    """Every decision that waits for a supervisor, oldest first; one that a newer decision replaced waits no more."""
    newest = [known[0] for known in decisions(db).values()]
    found = [one for one in newest if one["waits"] and one["word"] is None]
    return sorted(found, key=lambda one: (one["at"], one["id"]))


@dataclass(frozen=True)
class Standing:
    """Where a person stands with those who decide.

    ``decision``: the newest with effect; ``waiting``: the newest of all while a supervisor's word is missing;
    ``version``: number of the newest of all, for the form. ``actions``: newest first, each with its ``result``.
    """

    person_id: str
    version: int
    decision: Mapping[str, Any] | None
    waiting: Mapping[str, Any] | None
    actions: tuple[Mapping[str, Any], ...]
    hold: Hold | None
    nomination: Mapping[str, Any] | None

    @property
    def owner(self) -> str | None:
        """Who owns it, as the decision in effect says."""
        return self.decision["owner"] if self.decision else None

    @property
    def last_action(self) -> str:
        """The newest action in words, with its date; empty when there is none."""
        return self.actions[0]["line"] if self.actions else ""

    @property
    def overdue(self) -> list[Mapping[str, Any]]:
        """Actions without a result whose day has passed."""
        return [one for one in self.actions if one["overdue"]]

    def as_dict(self) -> dict[str, Any]:
        """For a machine."""
        return {
            "version": self.version,
            "decision": self.decision,
            "waiting": self.waiting,
            "owner": self.owner,
            "last_action": self.last_action or None,
            "actions": list(self.actions),
            "hold": self.hold.as_dict() if self.hold else None,
            "nomination": self.nomination,
        }


def standing(
    db: Database, persons: Iterable[str], clusters: pl.DataFrame | None = None
) -> dict[str, Standing]:
    """Where each of ``persons`` stands now; every one of them is in the answer.

    ``clusters`` (``View.clusters``): what was written about a record counts for the person it has turned out to be.
    """
    asked = list(dict.fromkeys(persons))
    made, done = decisions(db, asked, clusters), actions_of(db, asked, clusters)
    on_hold, named = held(db, asked, clusters), nominations_of(db, asked, clusters)
    found = {}
    for person in asked:
        known = made[person]
        waits = known[0] if known and known[0]["waits"] and known[0]["word"] is None else None
        found[person] = Standing(
            person,
            max((one["version"] for one in known if one["person_id"] == person), default=0),
            next((one for one in known if one["holds"]), None),
            waits,
            tuple(done[person]),
            on_hold.get(person),
            next((one for one in named[person] if one["status"] != "refused"), None),
        )
    return found


def history(db: Database, person_id: str, clusters: pl.DataFrame | None = None) -> list[dict[str, Any]]:
    """Everything people have written about a person, newest first, a line each: ``at``, ``by``, ``role``, ``kind``,
    ``words``, ``reason``, ``owner``, ``due_on``, ``list_id``, ``rank``."""
    from risk.holds import holds_of

    lines = []
    for one in decisions(db, [person_id], clusters)[person_id]:
        words = f"{one['words']}: {one['code_words']}"
        lines.append(_line("decision", one, f"{words} ({one['status']})" if one["waits"] else words))
        if one["word"]:
            said = "agrees" if one["word"]["agreed"] else "does not agree"
            lines.append(_line("supervisor", one["word"], f"A supervisor {said}: {one['words']}"))
    for one in actions_of(db, [person_id], clusters)[person_id]:
        lines.append(_line("action", one, one["words"]))
        if one["result"]:
            lines.append(_line("result", one["result"], f"{one['words']}: {one['result']['words']}"))
    for hold in holds_of(db, [person_id], clusters)[person_id]:
        lines.append(_line("hold", hold.row, f"{settings('decisions')['hold']['words']}. {hold.doubt_words}"))
        lines += [_line("supervisor", word, word["words"]) for word in hold.said]
    for one in nominations_of(db, [person_id], clusters)[person_id]:
        lines.append(_line("nomination", one, f"Nominated: {one['code_words']}"))
        lines += [_line("supervisor", word, word["words"]) for word in one["said"]]
    return sorted(lines, key=lambda line: line["at"], reverse=True)


def _line(kind: str, row: Mapping[str, Any], words: str) -> dict[str, Any]:
    kept = ("at", "by", "role", "reason", "owner", "due_on", "list_id", "rank")
    return {"kind": kind, "words": words} | {name: row.get(name) for name in kept}


def today() -> date:
    """The day it is for people: due dates are theirs, not the records'."""
    return datetime.now(UTC).astimezone(LONDON).date()

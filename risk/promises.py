"""What was promised to victims and what is overdue: promises made, updates agreed, and the Victims' Code.

The Code's clocks are not in any record: they follow from what happened to the suspect. A clock starts when custody,
bail or an outcome changes, as ``risk/data/clocks.toml`` says, and stops with the next recorded contact. That a contact
is recorded does not say what was told; the sheet says no more than that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from risk.history import Happened
from risk.settings import settings
from risk.view import View
from risk.words import count, day, plain
from risk.workdays import due_by

FOUND = "found"


@dataclass(frozen=True)
class Reached:
    """A contact with a victim in which somebody was reached; ``event_id`` None: about no event in particular.
    ``known`` False: the record does not say whether anybody was, so it meets nothing."""

    person_id: str
    event_id: str | None
    at: datetime
    known: bool = True


@dataclass(frozen=True)
class Clock:
    """What one victim must be told after one change. ``met_at``: the first contact since, None: none is recorded.
    ``unsure_at``: the last contact since that does not say whether anybody was reached. ``enhanced``: the shorter
    time of Enhanced Rights was used."""

    to: str
    name: str
    words: str
    event_id: str
    at: datetime
    due: datetime
    enhanced: bool
    basis: str
    met_at: datetime | None = None
    unsure_at: datetime | None = None

    def state(self, t: datetime) -> str:
        """met, met late, due or overdue as of ``t``."""
        if self.met_at is not None:
            return "met" if self.met_at <= self.due else "met late"
        return "overdue" if self.due < t else "due"


def clocks(
    view: View,
    person: str,
    happened: Sequence[Happened],
    victims: Iterable[str],
    logged: Iterable[Reached] = (),
) -> list[Clock]:
    """The Code's clocks that changes to ``person`` started for each of ``victims``, newest change first.

    ``happened``: the person's history, which says who the victims of an event are and whether it was domestic.
    ``logged``: contacts written down in Doorstep itself (``risk.visits``), beside those of the records.
    """
    wanted, known = set(victims), {one.event_id: one for one in happened if "suspect" in one.roles}
    reached = [*_contacts(view, wanted), *_kept(view, wanted), *logged]
    found: dict[tuple[str, str, str, str], Clock] = {}
    for started, event_id, at in _changes(view, person, list(known)):
        event = known[event_id]
        days = started.get("enhanced", started["standard"]) if event.domestic else started["standard"]
        for to in sorted(wanted & set(event.against)):
            since = [c for c in reached if _meets(c, to, event_id, at)]
            one = Clock(
                to=to,
                name=started["name"],
                words=started["words"],
                event_id=event_id,
                at=at,
                due=due_by(at, days),
                enhanced=event.domestic and "enhanced" in started,
                basis=started["basis"],
                met_at=min((c.at for c in since if c.known), default=None),
                unsure_at=max((c.at for c in since if not c.known), default=None),
            )
            # An arrest that ends in bail is told by two tables: one thing to tell of it, the earlier
            same = (to, one.words, event_id, day(at))
            if same not in found or one.at < found[same].at:
                found[same] = one
    return sorted(found.values(), key=lambda c: (c.at, c.to, c.name), reverse=True)


def _meets(contact: Reached, to: str, event_id: str, at: datetime) -> bool:
    return contact.person_id == to and contact.at >= at and contact.event_id in (None, event_id)


def _changes(view: View, person: str, events: Sequence[str]) -> list[tuple[Mapping[str, Any], str, datetime]]:
    """(clock, event_id, when) of every change that starts one; a clock without a source read is not among them."""
    found: list[tuple[Mapping[str, Any], str, datetime]] = []
    rows: dict[str, list[dict[str, Any]]] = {}
    for clock in settings("clocks")["clock"]:
        if clock["mark"] != FOUND:
            continue
        table = clock["table"]
        if table not in rows:
            whose = "suspect_id" if table == "offence" else "person_id"
            mine = (pl.col(whose) == person) | pl.col(whose).is_null()
            frame = view.whole(table).filter(pl.col("event_id").is_in(events), mine)
            rows[table] = frame.to_dicts()
        if "changed" in clock:
            ids = [row["bail_id"] for row in rows[table]]
            found += [(clock, event, at) for event, at in _edits(view, ids, clock["changed"])]
            continue
        found += [
            (clock, row["event_id"], row[clock["at"]])
            for row in rows[table]
            if row[clock["at"]] is not None and row[clock["at"]] <= view.t and _applies(clock, row)
        ]
    return found


def _applies(clock: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    if (when := clock.get("when")) is not None:
        return row[when["column"]] in when["is"]
    unless = clock.get("unless")
    return unless is None or row[unless["column"]] not in unless["is"]


def _edits(view: View, bail_ids: Sequence[str], column: str) -> list[tuple[str, datetime]]:
    """When a column of bail was changed: each version known by T that differs from the one before it."""
    if not bail_ids:
        return []
    known = view.records.table("bail").filter(pl.col("bail_id").is_in(list(bail_ids)))
    versions = [row for row in known.to_dicts() if row["known_from"] <= view.t]
    found, before = [], None
    for row in sorted(versions, key=lambda row: (row["bail_id"], row["known_from"])):
        value = sorted(row[column] or [])
        if before is not None and before[0] == row["bail_id"] and before[1] != value and row["event_id"]:
            found.append((row["event_id"], row["known_from"]))
        before = (row["bail_id"], value)
    return found


def _kept(view: View, victims: Collection[str]) -> list[Reached]:
    """Promises kept to these victims."""
    kinds = settings("clocks")["met"]["promises"]
    promise = view.identity("promise").filter(
        pl.col("person_id").is_in(list(victims)), pl.col("done_on").is_not_null(), pl.col("what").is_in(kinds)
    )
    return [Reached(row["person_id"], row["event_id"], row["done_on"]) for row in promise.to_dicts()]


def _contacts(view: View, victims: Collection[str]) -> list[Reached]:
    """Contacts of the records, but for those in which nobody was reached; one without a code does not say."""
    missed = settings("clocks")["met"]["not_by"]
    contact = view.identity("contact").filter(pl.col("person_id").is_in(list(victims)))
    codes = [(row, str(row["summary_code"] or "").strip().lower()) for row in contact.to_dicts()]
    return [
        Reached(row["person_id"], row["event_id"], row["at"], known=bool(code))
        for row, code in codes
        if code not in missed
    ]


def _nothing_since(unsure_at: datetime | None) -> str:
    """Why something is still owed, in words."""
    if unsure_at is None:
        return "no contact recorded"
    return f"the contact of {day(unsure_at)} does not say whether they were reached"


@dataclass(frozen=True)
class Owed:
    """One line of what is still owed to a victim. ``kind``: promise, update or code; ``basis``: why it is owed."""

    to: str
    kind: str
    what: str
    due: datetime
    overdue: bool
    basis: str

    def as_dict(self) -> dict[str, Any]:
        """The same for a machine."""
        return dict(vars(self))


@dataclass(frozen=True)
class Owing:
    """What is owed, the most overdue first; ``older``: clocks of the Code without a contact since that started too
    long ago to be listed; ``last_contact``: the last time each victim was reached, by person_id."""

    lines: tuple[Owed, ...]
    older: int
    last_contact: Mapping[str, datetime]


def owed(
    view: View,
    person: str,
    happened: Sequence[Happened],
    victims: Sequence[str],
    references: Mapping[str, str],
    logged: Sequence[Reached] = (),
) -> Owing:
    """What is still owed to ``victims`` as of T: promises not done, updates as agreed, and what the Code asks.

    ``references``: event_id -> the reference officers use.
    """
    t = view.t
    reached = [*_contacts(view, victims), *logged]
    lines = _promises(view, victims) + _updates(view, victims, reached)
    since = t - timedelta(days=settings("clocks")["show"]["days"])
    open_ones = [c for c in clocks(view, person, happened, victims, logged) if c.met_at is None]
    lines += [
        Owed(
            c.to,
            "code",
            f"tell them: {c.words} {day(c.at)} ({references.get(c.event_id, c.event_id)}); "
            f"{_nothing_since(c.unsure_at)}{'' if c.unsure_at else ' since'}",
            c.due,
            c.due < t,
            f"{c.basis}{', Enhanced Rights' if c.enhanced else ''}",
        )
        for c in open_ones
        if c.at > since
    ]
    last = {v: max((c.at for c in reached if c.person_id == v and c.known), default=None) for v in victims}
    return Owing(
        tuple(sorted(lines, key=lambda line: (line.due, line.to, line.what))),
        sum(1 for c in open_ones if c.at <= since),
        {v: at for v, at in last.items() if at is not None},
    )


def _promises(view: View, victims: Sequence[str]) -> list[Owed]:
    table = view.identity("promise").filter(pl.col("person_id").is_in(victims), pl.col("done_on").is_null())
    rows = sorted(table.to_dicts(), key=lambda row: (row["due_on"], row["promise_id"]))
    return [
        Owed(row["person_id"], "promise", plain(row["what"]), row["due_on"], row["due_on"] < view.t,
             f"promised {day(row['made_on'])}")
        for row in rows
    ]  # fmt: skip


def _updates(view: View, victims: Sequence[str], reached: Sequence[Reached]) -> list[Owed]:
    """Updates every so many days, as each victim's latest plan says, from the last time they were reached."""
    rows = view.identity("victim_plan").filter(pl.col("person_id").is_in(victims)).to_dicts()
    plans = {row["person_id"]: row for row in sorted(rows, key=lambda row: row["agreed_on"])}
    found = []
    for who, plan in plans.items():
        if not plan["update_every_days"]:
            continue
        theirs = [one for one in reached if one.person_id == who]
        spoken = max((one.at for one in theirs if one.known), default=None)
        unsure = max((one.at for one in theirs if not one.known), default=None)
        due = (spoken or plan["agreed_on"]) + timedelta(days=plan["update_every_days"])
        how = f"last contact {day(spoken)}" if spoken else _nothing_since(unsure)
        what = f"update every {count(plan['update_every_days'], 'day')}, {how}"
        found.append(Owed(who, "update", what, due, due < view.t, f"agreed {day(plan['agreed_on'])}"))
    return found

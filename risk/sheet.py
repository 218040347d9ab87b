"""Before attending: one sheet about a person, in the order an officer at a door needs it.

1 where the person may be and what protects others, 2 who else is there, 3 what happened before, 4 the score in
words, 5 what was promised and is overdue, 6 what is known and need not be asked again, and what was never recorded.
It is the one place that shows names of victims and how they can safely be reached; addresses stay in the records
system.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

import polars as pl

from features.clocks import ALWAYS
from features.schema import QUESTIONS
from risk.history import Happened, history
from risk.known import Kept, known
from risk.nearness import nearness, stays
from risk.promises import Reached, owed
from risk.published import names
from risk.settings import settings
from risk.sheet_call import Call
from risk.sheet_people import age, called, children, linked, people
from risk.state import State, states
from risk.view import View
from risk.who import identity, restricted
from risk.words import ago, count, day, days_between, plain

CAUTION = "This does not replace your assessment."
NO_PLACE = "Opened without a call: with its reference the sheet says how near the latest known address is"
A_YEAR = timedelta(days=365)
TABLES = {
    "risk_assessment": "risk assessments", "victim_plan": "victim plans", "marker": "warning markers",
    "order": "protective orders", "custody": "custody records", "promise": "promises to victims",
    "contact": "contacts with victims", "bail": "bail records", "wanted": "circulations as wanted",
}  # fmt: skip


def sheet(
    view: View,
    person_id: str,
    score: dict[str, Any],
    call: Call | None = None,
    logged: Callable[[Sequence[str]], Sequence[Reached]] = lambda victims: (),
    opened: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """The sheet of a person as of the view's T.

    ``score`` is the score in words (see ``risk.person``). ``call``: what the officer is sent to, whose victims come
    first and whose address the person's is compared with. ``logged``: gives the contacts with some victims that were
    written down in Doorstep. ``opened``: people of restricted records that whoever asks may see; of others there is the
    reference, and nothing of what was agreed with them, ordered for them in a court's own words, or assessed.
    """
    person_id = view.who(person_id)
    happened = history(view, person_id)
    state = states(view, [person_id])[person_id]
    others = linked(view, person_id, happened, state, call.victims if call else ())
    shut = restricted(view, opened) - {person_id}
    known_of = [other for other in others if other not in shut][: settings("sheet")["shown"]["known_people"]]
    known_as = names(view, [person_id, *others, *_everyone(happened)])
    references = {one.event_id: one.reference for one in happened}
    owing = owed(
        view, person_id, happened, [one for one in others if one not in shut], references, logged(others)
    )
    kept = known(view, person_id, known_of, happened)
    same = identity(view, person_id)
    return {
        "person_id": person_id,
        "as_of": view.t,
        "call": call and call.as_dict(),
        "who": _who(view, person_id, same, known_as),
        "identity": same,
        "now": _now(state, known_as, view, person_id, shut)
        | {"near": _near(view, person_id, call, happened)},
        "people": people(view, person_id, others, happened, known_as, homes=call is None, shut=shut),
        "children": children(view, happened, shut),
        "before": [_event(one, known_as) for one in _last_events(happened)],
        "earlier": max(0, sum(one.domestic for one in happened) - settings("sheet")["shown"]["events"]),
        "balance": _balance(happened, known_as),
        "grades": _grades(view, person_id, happened, known_as, shut),
        "separations": _separations(view, person_id, known_as, shut),
        "score": score | {"caution": CAUTION},
        "promises": [
            line.as_dict() | {"to": called(line.to, known_as), "person_id": line.to} for line in owing.lines
        ],
        "promises_older": owing.older,
        "last_contact": {called(who, known_as): at for who, at in owing.last_contact.items()},
        "schemes": _schemes(view, [person_id, *(one for one in others if one not in shut)], known_as),
        "disclosures": _disclosures(view, person_id, known_as, shut),
        "known": [_kept(one, known_as) for one in kept],
        "never_recorded": _never_recorded(view, person_id, kept, happened, known_as),
    }


def _last_events(happened: Sequence[Happened]) -> list[Happened]:
    return [one for one in happened if one.domestic][: settings("sheet")["shown"]["events"]]


def _everyone(happened: Sequence[Happened]) -> list[str]:
    shown = _last_events(happened)
    both = [one for one in happened if one.domestic]
    return [p for one in shown for p in one.co_suspects] + [
        p for one in both for p in (*one.against, *one.accused_by)
    ]


def _near(view: View, person: str, call: Call | None, happened: Sequence[Happened]) -> dict[str, Any]:
    """How near the latest known address is to the call's; the words alone where there is no place to compare."""
    if call is None or call.place is None:
        words = NO_PLACE if call is None else "The call has no address in the records"
        return {"band": None, "words": words, "since": None, "days_old": None, "old": False, "notes": []}
    return nearness(view, person, call.place, happened).as_dict()


def _kept(one: Kept, known_as: dict[str, str]) -> dict[str, Any]:
    """What is known of one person, and the same by where it stands, newest first (``by_source``)."""
    by_source: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for fact in sorted(one.facts, key=lambda fact: fact.when or ALWAYS, reverse=True):
        stands = (day(fact.when) if fact.when else "undated", fact.source)
        by_source.setdefault(stands, []).append(fact.as_dict())
    said = [{"when": when, "source": source, "facts": facts} for (when, source), facts in by_source.items()]
    return one.as_dict() | {"who": None if one.of is None else called(one.of, known_as), "by_source": said}


def _who(view: View, person: str, same: Mapping[str, Any], known_as: dict[str, str]) -> dict[str, Any]:
    born = next(iter(view.table("person").filter(pl.col("person_id") == person)["date_of_birth"]), None)
    alias = view.identity("alias").filter(pl.col("person_id") == person)
    others = [one["person_id"] for one in same["records"]]
    also = set(names(view, others).values()) | {
        " ".join(part for part in (r["given_names"], r["family_name"]) if part)
        for r in alias.iter_rows(named=True)
    }
    return {
        "name": known_as.get(person),
        "also_known_as": sorted(also - {known_as.get(person, ""), ""}),
        "date_of_birth": born,
        "age": age(born, view.t),
        "last_place": _last_place(view, person),
    }


def _last_place(view: View, person: str) -> str:
    """The district of the latest address and its age; the address itself may be a victim's, so it is not here."""
    known = stays(view, [person])[person]
    stay = next((one for one in known if one.left is None), known[0] if known else None)
    if stay is None:
        return "no address in the records"
    places = view.identity("address").filter(pl.col("address_id") == stay.address_id)
    district = next(iter(places["district"]), None) or "not recorded"
    since = "undated" if stay.since <= ALWAYS else f"recorded {day(stay.since)}"
    left = f", left {day(stay.left)}" if stay.left else ""
    return f"district {district}, address {since}{left}"


def _now(
    state: State, known_as: dict[str, str], view: View, person: str, shut: Collection[str]
) -> dict[str, Any]:
    texts = view.identity("order").filter(pl.col("respondent_id") == person)
    worded = {(r["order_id"], r["protected_id"]): r["conditions_text"] for r in texts.iter_rows(named=True)}
    # A court's words name people and places: one restricted person protected, or a person not recorded who may be one,
    # and the codes of the conditions alone are told
    closed = {order for order, whom in worded if whom in shut or (whom is None and shut)}
    orders = [
        {
            "order_id": o["order_id"],
            "kind": plain(o["kind"]),
            "protects": called(o["protected_id"], known_as) if o["protected_id"] else "not recorded",
            "conditions": [plain(condition) for condition in o["conditions"] or []],
            "conditions_text": None
            if o["order_id"] in closed
            else worded.get((o["order_id"], o["protected_id"])),
            "until": o["expires_on"],
            "served": o["served_at"],
        }
        for o in state.orders
    ]
    return {
        "lines": state.lines(),
        "orders": orders,
        "markers": [
            {"code": m["code"], "since": m["started_on"], "until": m["expires_on"]} for m in state.markers
        ],
        "at_large": not state.locked_up,
    }


def _event(one: Happened, known_as: dict[str, str]) -> dict[str, Any]:
    sides = []
    if one.against:
        sides.append("suspect against " + ", ".join(called(p, known_as) for p in one.against))
    if one.accused_by:
        sides.append("victim of " + ", ".join(called(p, known_as) for p in one.accused_by))
    notes = ["counter-allegation recorded"] if one.counter_allegation else []
    notes += ["found by police, not in the score"] if one.found_by_police else []
    return {
        "event_id": one.event_id,
        "reference": one.reference,
        "occurred_at": one.occurred_at,
        "what": one.what,
        "role": "; ".join(sides) or " and ".join(one.roles),
        "ticks": one.ticks,
        "status": one.status,
        "notes": notes,
    }


def _balance(happened: Sequence[Happened], known_as: dict[str, str]) -> list[str]:
    """Pairs reported in both directions, and what the records say of each direction."""
    said = []
    others = dict.fromkeys(p for one in happened if one.domestic for p in (*one.against, *one.accused_by))
    for other in others:
        toward = sum(1 for one in happened if one.domestic and other in one.against)
        back = sum(1 for one in happened if one.domestic and other in one.accused_by)
        if toward and back:
            said.append(
                f"{called(other, known_as)}: {count(toward, 'event')} with this person as suspect, "
                f"{count(back, 'event')} the other way round. Who is the victim may be in doubt."
            )
    return said


def _grades(
    view: View,
    person: str,
    happened: Sequence[Happened],
    known_as: dict[str, str],
    shut: Collection[str],
) -> list[dict[str, Any]]:
    """The last assessments of victims about this person, newest first; none of restricted records."""
    mine = [one.event_id for one in happened if "suspect" in one.roles]
    unnamed = pl.col("suspect_id").is_null() & pl.col("event_id").is_in(mine)
    theirs = (pl.col("suspect_id") == person) | unnamed
    rows = view.table("risk_assessment").filter(theirs, ~pl.col("victim_id").is_in(sorted(shut))).to_dicts()
    rows.sort(key=lambda row: (row["completed_at"], row["assessment_id"]), reverse=True)
    return [
        {
            "when": row["completed_at"],
            "tool": row["tool"],
            "grade": row["grade"] or "no grade recorded",
            "reviewed": row["grade_reviewed"],
            "of": called(row["victim_id"], known_as),
            "yes": sum(row[q] == "Y" for q in QUESTIONS),
            "not_answered": sum(row[q] is None or row[q] == "U" for q in QUESTIONS),
        }
        for row in rows[: settings("sheet")["shown"]["grades"]]
    ]


def _separations(view: View, person: str, known_as: dict[str, str], shut: Collection[str]) -> list[str]:
    table = view.table("relationship").filter(
        pl.col("ended_on").is_not_null(),
        pl.col("kind").is_in(["spouse", "partner"]),
        (pl.col("person_id_a") == person) | (pl.col("person_id_b") == person),
    )
    said = [
        (row["ended_on"], row["person_id_b"] if row["person_id_a"] == person else row["person_id_a"])
        for row in table.iter_rows(named=True)
    ]
    told = {one for one in said if one[1] not in shut}
    latest = sorted(told, reverse=True)[: settings("sheet")["shown"]["separations"]]
    return [f"Separated from {called(other, known_as)} on {day(when)}" for when, other in latest]


def _schemes(view: View, persons: list[str], known_as: dict[str, str]) -> list[str]:
    """Programmes running at T, and conferences of the last year, so that nobody works past them; the score never sees
    these."""
    met = (pl.col("scheme") == "MARAC") & (pl.col("started_on") > view.t - A_YEAR)
    table = view.audit("intervention").filter(
        pl.col("person_id").is_in(persons), pl.col("ended_on").is_null() | met
    )
    return [
        f"{plain(row['scheme'])} {'of' if row['ended_on'] else 'since'} {day(row['started_on'])}: "
        f"{called(row['person_id'], known_as)}" + (f", {row['owner']}" if row["owner"] else "")
        for row in sorted(
            table.to_dicts(), key=lambda row: (row["started_on"], row["person_id"], row["scheme"])
        )
    ]


def _disclosures(view: View, person: str, known_as: dict[str, str], shut: Collection[str]) -> list[str]:
    """Clare's Law applications about the person: open ones, and what was decided."""
    rows = view.identity("disclosure").filter(pl.col("subject_id") == person).to_dicts()
    named = {row["protected_id"] for row in rows} - {None, *shut}
    return [
        f"Clare's Law application ({plain(row['route'])}), opened {day(row['opened_at'])}"
        + (f", for {called(row['protected_id'], known_as)}" if row["protected_id"] in named else "")
        + (
            f": {plain(row['decision'])} {day(row['decided_at'])}"
            if row["decision"]
            else ": no decision recorded"
        )
        for row in sorted(rows, key=lambda row: (row["opened_at"], row["application_id"]))
    ]


def _never_recorded(
    view: View, person: str, kept: Sequence[Kept], happened: Sequence[Happened], known_as: Mapping[str, str]
) -> list[str]:
    """Facts the records do not hold, worth asking for; tables the force did not hand over are said once."""
    missing = view.records.missing
    said = [f"This load holds no {name}" for table, name in TABLES.items() if table in missing]
    row = next(view.identity("person").filter(pl.col("person_id") == person).iter_rows(named=True), {})
    if view.identity("residence").filter(pl.col("person_id") == person).is_empty() and not row.get(
        "address_id"
    ):
        said.append("Any address")
    for one in kept:
        nameless = one.of is not None and one.of not in known_as
        lacks = [*one.never, *(["Name"] if nameless else [])]
        if lacks:
            whom = f"For {called(one.of, dict(known_as))}: " if one.of is not None else ""
            said.append(whom + "; ".join(lacks))
    last = next((one for one in happened if one.domestic), None)
    if last and last.children_present is None:
        said.append(
            f"Whether children were present at {last.reference}, {ago(days_between(last.occurred_at, view.t))}"
        )
    return said

"""Before attending: one sheet about a person, in the order an officer at a door needs it.

1 where the person may be and what protects others, 2 who else is there, 3 what happened before, 4 the score in
words, 5 what was promised, 6 what was never recorded. It is the one place that shows names of victims and how they
can safely be reached; addresses stay in the records system.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from risk.history import Happened, history
from risk.published import names
from risk.state import State, states
from risk.view import View
from risk.who import identity, other_records
from risk.words import LONDON, ago, count, day, days_between, plain

CAUTION = "This does not replace your assessment."
RECENT = timedelta(days=1095)  # three years: whose victims and children are named
LAST_EVENTS = 5
LAST_GRADES = 5
DASH = tuple(f"q{number:02d}" for number in range(1, 28))


def sheet(view: View, person_id: str, score: dict[str, Any]) -> dict[str, Any]:
    """The sheet of a person as of the view's T. ``score`` is the score in words (see ``risk.person``)."""
    person_id = view.who(person_id)
    happened = history(view, person_id)
    state = states(view, [person_id])[person_id]
    linked = _linked(view, person_id, happened, state)
    called = names(view, [person_id, *linked, *_everyone(happened)])
    return {
        "person_id": person_id,
        "as_of": view.t,
        "who": _who(view, person_id, called),
        "identity": identity(view, person_id),
        "now": _now(state, called, view, person_id),
        "people": [_person(view, person_id, other, happened, called) for other in linked],
        "children": _children(view, happened),
        "before": [_event(one, called) for one in happened if one.domestic][:LAST_EVENTS],
        "balance": _balance(happened, called),
        "grades": _grades(view, person_id, called),
        "separations": _separations(view, person_id, called),
        "score": score | {"caution": CAUTION},
        "promises": _promises(view, linked, called),
        "schemes": _schemes(view, [person_id, *linked], called),
        "never_recorded": _never_recorded(view, person_id, linked, happened, called),
    }


def _everyone(happened: list[Happened]) -> list[str]:
    return [p for one in happened for p in (*one.against, *one.accused_by, *one.co_suspects)]


def _called(person: str, called: dict[str, str]) -> str:
    return f"{called[person]} ({person})" if person in called else person


def _who(view: View, person: str, called: dict[str, str]) -> dict[str, Any]:
    born = next(iter(view.table("person").filter(pl.col("person_id") == person)["date_of_birth"]), None)
    alias = view.identity("alias").filter(pl.col("person_id") == person)
    others = [one["person_id"] for one in other_records(view, person)]
    also = set(names(view, others).values()) | {
        " ".join(part for part in (r["given_names"], r["family_name"]) if part)
        for r in alias.iter_rows(named=True)
    }
    return {
        "name": called.get(person),
        "also_known_as": sorted(also - {called.get(person, ""), ""}),
        "date_of_birth": born,
        "age": _age(born, view.t),
        "last_place": _last_place(view, person),
    }


def _age(born: date | None, t: datetime) -> int | None:
    if born is None:
        return None
    today = t.astimezone(LONDON).date()
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def _last_place(view: View, person: str) -> str:
    """The district of the latest address and its age; the address itself may be a victim's, so it is not here."""
    places = (
        view.identity("residence")
        .filter(pl.col("person_id") == person)
        .join(view.identity("address").select("address_id", "district"), on="address_id", how="left")
        .sort("at", "address_id")
    )
    if places.is_empty():
        return "no address with a date in the records"
    row = places.row(-1, named=True)
    left = f", left {day(row['ended_on'])}" if row["ended_on"] else ""
    return f"district {row['district'] or 'not recorded'}, address recorded from {day(row['at'])}{left}"


def _now(state: State, called: dict[str, str], view: View, person: str) -> dict[str, Any]:
    texts = view.identity("order").filter(pl.col("respondent_id") == person)
    worded = {(r["order_id"], r["protected_id"]): r["conditions_text"] for r in texts.iter_rows(named=True)}
    orders = [
        {
            "order_id": o["order_id"],
            "kind": plain(o["kind"]),
            "protects": _called(o["protected_id"], called) if o["protected_id"] else "not recorded",
            "conditions": [plain(condition) for condition in o["conditions"] or []],
            "conditions_text": worded.get((o["order_id"], o["protected_id"])),
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


def _linked(view: View, person: str, happened: list[Happened], state: State) -> list[str]:
    """Victims of the last three years, newest first, then anyone an order in force protects, then partners."""
    ordered = [
        v for one in happened if one.occurred_at > view.t - RECENT and one.domestic for v in one.against
    ]
    ordered += [o["protected_id"] for o in state.orders if o["protected_id"]]
    kin = view.table("relationship").filter(
        pl.col("kind").is_in(["spouse", "partner"]), pl.col("ended_on").is_null()
    )
    ordered += kin.filter(pl.col("person_id_a") == person)["person_id_b"].to_list()
    ordered += kin.filter(pl.col("person_id_b") == person)["person_id_a"].to_list()
    return list(dict.fromkeys(other for other in ordered if other != person))


def _person(
    view: View, person: str, other: str, happened: list[Happened], called: dict[str, str]
) -> dict[str, Any]:
    toward = [one for one in happened if other in one.against and one.domestic]
    back = [one for one in happened if other in one.accused_by and one.domestic]
    plans = view.identity("victim_plan").filter(pl.col("person_id") == other).sort("agreed_on")
    plan = plans.row(-1, named=True) if plans.height else None
    return {
        "person_id": other,
        "name": called.get(other),
        "relationship": _relationship(view, person, other, toward),
        "events": len(toward),
        "last": toward[0].occurred_at if toward else None,
        "events_other_way": len(back),
        "plan": plan
        and {
            "safe_channel": plain(plan["safe_channel"]),
            "safe_times": plan["safe_times"],
            "do_not": plan["do_not"],
            "language": plan["language"],
            "interpreter": plan["interpreter"],
            "access_needs": plan["access_needs"],
            "video_consent": plain(plan["video_consent"]),
            "named_contact": plan["named_contact"],
            "idva": plan["idva"],
            "update_every_days": plan["update_every_days"],
            "agreed_on": plan["agreed_on"],
        },
    }


def _relationship(view: View, person: str, other: str, toward: list[Happened]) -> str:
    table = view.table("relationship")
    forward = (pl.col("person_id_a") == person) & (pl.col("person_id_b") == other)
    backward = (pl.col("person_id_a") == other) & (pl.col("person_id_b") == person)
    rows = table.filter(forward | backward).sort("at", "kind")
    if rows.height:
        row = rows.row(-1, named=True)
        child = ", a child together" if row["shared_child"] else ""
        ended = f", ended {day(row['ended_on'])}" if row["ended_on"] else ""
        return f"{plain(row['kind'])} since {day(row['started_on'])}{ended}{child}"
    if toward and toward[0].relationships:
        return f"{' / '.join(toward[0].relationships)}, as recorded {day(toward[0].occurred_at)}"
    return "not recorded"


def _children(view: View, happened: list[Happened]) -> list[str]:
    """Children in the recorded events, by number and reference."""
    recent = [one for one in happened if one.domestic and one.occurred_at > view.t - RECENT]
    present = [one for one in recent if one.children_present]
    said = [
        f"{count(one.children_present or 0, 'child', 'children')} present on {day(one.occurred_at)} ({one.reference})"
        for one in present[:3]
    ]
    ids = [one.event_id for one in recent]
    named = view.whole("involvement").filter(pl.col("event_id").is_in(ids), pl.col("role") == "child")
    children = named["person_id"].unique().sort().to_list()
    if children:
        said.append(
            f"{count(len(children), 'child', 'children')} recorded by reference: {', '.join(children)}"
        )
    return said


def _event(one: Happened, called: dict[str, str]) -> dict[str, Any]:
    sides = []
    if one.against:
        sides.append("suspect against " + ", ".join(_called(p, called) for p in one.against))
    if one.accused_by:
        sides.append("victim of " + ", ".join(_called(p, called) for p in one.accused_by))
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


def _balance(happened: list[Happened], called: dict[str, str]) -> list[str]:
    """Pairs reported in both directions, and what the records say of each direction."""
    said = []
    others = dict.fromkeys(p for one in happened if one.domestic for p in (*one.against, *one.accused_by))
    for other in others:
        toward = sum(1 for one in happened if one.domestic and other in one.against)
        back = sum(1 for one in happened if one.domestic and other in one.accused_by)
        if toward and back:
            said.append(
                f"{_called(other, called)}: {count(toward, 'event')} with this person as suspect, "
                f"{count(back, 'event')} the other way round. Who is the victim may be in doubt."
            )
    return said


def _grades(view: View, person: str, called: dict[str, str]) -> list[dict[str, Any]]:
    """The last assessments of victims about this person, newest first."""
    mine = (
        view.whole("involvement")
        .filter(pl.col("person_id") == person, pl.col("role") == "suspect")
        .select("event_id")
        .unique()
    )
    table = view.table("risk_assessment")
    about = table.join(mine, on="event_id", how="semi").filter(pl.col("suspect_id").is_null())
    rows = pl.concat([table.filter(pl.col("suspect_id") == person), about])
    rows = rows.sort(["completed_at", "assessment_id"], descending=True).head(LAST_GRADES)
    return [
        {
            "when": row["completed_at"],
            "tool": row["tool"],
            "grade": row["grade"] or "no grade recorded",
            "reviewed": row["grade_reviewed"],
            "of": _called(row["victim_id"], called),
            "yes": sum(row[q] == "Y" for q in DASH),
            "not_answered": sum(row[q] is None or row[q] == "U" for q in DASH),
        }
        for row in rows.iter_rows(named=True)
    ]


def _separations(view: View, person: str, called: dict[str, str]) -> list[str]:
    table = view.table("relationship").filter(
        pl.col("ended_on").is_not_null(),
        pl.col("kind").is_in(["spouse", "partner"]),
        (pl.col("person_id_a") == person) | (pl.col("person_id_b") == person),
    )
    said = [
        (row["ended_on"], row["person_id_b"] if row["person_id_a"] == person else row["person_id_a"])
        for row in table.iter_rows(named=True)
    ]
    latest = sorted(set(said), reverse=True)[:3]
    return [f"Separated from {_called(other, called)} on {day(when)}" for when, other in latest]


def _promises(view: View, linked: list[str], called: dict[str, str]) -> list[dict[str, Any]]:
    """What is still owed to the victims: promises not done, and updates that were agreed."""
    owed = view.identity("promise").filter(pl.col("person_id").is_in(linked), pl.col("done_on").is_null())
    lines = [
        {
            "to": _called(row["person_id"], called),
            "what": plain(row["what"]),
            "due": row["due_on"],
            "overdue": row["due_on"] < view.t,
        }
        for row in owed.sort("due_on", "promise_id").iter_rows(named=True)
    ]
    contacts = view.identity("contact")
    plans = view.identity("victim_plan").filter(pl.col("person_id").is_in(linked)).sort("agreed_on")
    for key, rows in plans.group_by("person_id", maintain_order=True):
        plan = rows.row(-1, named=True)
        if not plan["update_every_days"]:
            continue
        spoken = contacts.filter(pl.col("person_id") == key[0])["at"].max()
        since = spoken if isinstance(spoken, datetime) else plan["agreed_on"]
        due = since + timedelta(days=plan["update_every_days"])
        how = f"last contact {day(spoken)}" if isinstance(spoken, datetime) else "no contact recorded"
        what = f"update every {count(plan['update_every_days'], 'day')}, {how}"
        lines.append({"to": _called(str(key[0]), called), "what": what, "due": due, "overdue": due < view.t})
    return sorted(lines, key=lambda line: (line["due"], line["to"], line["what"]))


def _schemes(view: View, persons: list[str], called: dict[str, str]) -> list[str]:
    """Programmes running at T, so that nobody works past them; the score never sees these."""
    table = view.audit("intervention").filter(
        pl.col("person_id").is_in(persons), pl.col("ended_on").is_null()
    )
    return [
        f"{plain(row['scheme'])} since {day(row['started_on'])}: {_called(row['person_id'], called)}"
        + (f", {row['owner']}" if row["owner"] else "")
        for row in table.sort("started_on", "person_id", "scheme").iter_rows(named=True)
    ]


def _never_recorded(
    view: View, person: str, linked: list[str], happened: list[Happened], called: dict[str, str]
) -> list[str]:
    """Facts the records do not hold, worth asking for; tables the force did not hand over are said once."""
    missing, said = view.records.missing, []
    row = next(view.identity("person").filter(pl.col("person_id") == person).iter_rows(named=True), {})
    if row.get("date_of_birth") is None:
        said.append("Date of birth")
    if view.identity("residence").filter(pl.col("person_id") == person).is_empty() and not row.get(
        "address_id"
    ):
        said.append("Any address")
    tables = {
        "risk_assessment": "risk assessments", "victim_plan": "victim plans", "marker": "warning markers",
        "order": "protective orders", "custody": "custody records", "promise": "promises to victims",
    }  # fmt: skip
    said += [f"This load holds no {name}" for table, name in tables.items() if table in missing]
    plans = set(view.identity("victim_plan")["person_id"])
    assessed = set(view.table("risk_assessment")["victim_id"])
    for other in linked:
        lacks = ["safe contact"] if other not in plans and "victim_plan" not in missing else []
        lacks += ["a risk assessment"] if other not in assessed and "risk_assessment" not in missing else []
        lacks += ["name"] if other not in called else []
        if lacks:
            said.append(f"For {_called(other, called)}: {', '.join(lacks)}")
    last = next((one for one in happened if one.domestic), None)
    if last and last.children_present is None:
        said.append(
            f"Whether children were present at {last.reference}, {ago(days_between(last.occurred_at, view.t))}"
        )
    return said

"""One page a person for the briefing pack, from what their page shows: who, how sure, why, what happened, what holds
now, what may lawfully be done, and room to write a decision down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from risk.blocks import Block, facts, lines, table, to_write
from risk.decisions import choices
from risk.published import row_words
from risk.settings import settings
from risk.words import amount, count, day, plain

Row = Mapping[str, Any]


def person_sheet(row: Row, person: Mapping[str, Any]) -> dict[str, Any]:
    """The sheet of one listed person: ``row`` of the list, ``person`` as their page shows them."""
    values = settings("pack")["person"]
    blocks = [
        _figures(row, person),
        lines("State", person["state"]["lines"], ""),
        _why(person, int(values["reasons"])),
        _lowers(person, int(values["reasons"])),
        _events(person, int(values["events"])),
        _people(person),
        _orders(person),
        _options(person),
        _doubts(row, person),
        _decided(row),
        to_write("", _boxes(), "Reason, name, time:"),
    ]
    name = person["name"] or row["person_id"]
    return {
        "title": f"{row['rank']}. {name}",
        "landscape": False,
        "lead": _lead(row, person),
        "hold": held_words(row),
        "blocks": [block for block in blocks if block is not None],
    }


def held_words(row: Row) -> str:
    """What is said of a row on hold; empty when it is on none."""
    hold = row["standing"].hold if row["standing"] else None
    if hold:
        return f"{hold.line}. {hold.doubt_words}."
    return f"{row['held']}." if row.get("held") else ""


def _lead(row: Row, person: Mapping[str, Any]) -> str:
    parts = [row["person_id"], f"district {row['district']}"]
    if others := person["identity"]["records"]:
        parts.append("also recorded as " + ", ".join(one["person_id"] for one in others))
    return " · ".join(parts)


def _figures(row: Row, person: Mapping[str, Any]) -> Block:
    score, said, standing = person["score"], row_words(dict(row)), row["standing"]
    chance = f"{score['in_100']} ({score['between']})" if score.get("between") else said["in_100"]
    return facts(
        "",
        [
            ("Serious harm recorded in a year", chance),
            ("Rank", f"{row['rank']} ({said['change']}); {row['count_rank']} by count of reports"),
            ("Harm expected in a year", said["expected"]),
            ("Harm recorded, last year", said["harm_365"]),
            ("Reports 30 / 90 / 365 days", said["incidents"]),
            ("Since the last report", said["since"]),
            ("Victims in three years", said["victims"]),
            ("Owner", (standing and standing.owner) or "nobody yet"),
        ],
        across=2,
    )


def _why(person: Mapping[str, Any], most: int) -> Block:
    told = []
    for reason in person["reasons"]["raises"][:most]:
        cited = ", ".join(one.reference for one in reason.cited[:3])
        told.append(f"{reason.sentence}{f' ({cited})' if cited else ''}")
    return lines("Why (Doorstep's calculation)", told, "Nothing raises the score above the average.")


def _lowers(person: Mapping[str, Any], most: int) -> Block | None:
    told = [reason.sentence for reason in person["reasons"]["lowers"][:most]]
    told += [f"in {later['days']} days, {later['words']}" for later in person["ahead"]]
    return lines("What lowers it, and what time alone would change", told, "") if told else None


def _events(person: Mapping[str, Any], most: int) -> Block:
    happened = [one for one in person["history"] if one["domestic"]]
    rows = [
        [
            day(one["occurred_at"]),
            one["reference"],
            one["what"],
            " and ".join(one["roles"]),
            "; ".join(one["ticks"]),
            amount(one["harm_days"]) if "suspect" in one["roles"] else "",
            one["status"],
        ]
        for one in happened[:most]
    ]
    more = f": the newest {most} of {len(happened)}" if len(happened) > most else ""
    return table(
        f"Domestic events on record{more}",
        ["Date", "Reference", "What", "Role", "Recorded with it", "Harm, days", "Status"],
        rows,
        "No domestic event in the records.",
        widths=(0, 0, 4, 0, 3, 0, 3),
        figures=(5,),
    )


def _people(person: Mapping[str, Any]) -> Block:
    pairs = person["dyads"]["shown"]
    told = [f"{one['other']} ({one['relationship']}): {'; '.join(one['lines'])}" for one in pairs]
    if person["dyads"]["more"]:
        told.append(f"{count(person['dyads']['more'], 'further person', 'further people')} on the page")
    children = [one for one in person["history"] if one["domestic"] and one["children_present"]]
    if children:
        last: datetime = children[0]["occurred_at"]
        told.append(f"Children present at {count(len(children), 'event')}, the last on {day(last)}")
    return lines("Victims and others, by reference", told, "Nobody else in the records.")


def _orders(person: Mapping[str, Any]) -> Block | None:
    state = person["state"]
    told = [_order(one) for one in _by_order(state["orders"])]
    for one in state["bail"]:
        until = f"until {day(one['until_at'])}" if one["until_at"] else "with no end recorded"
        told.append(f"Bail {until}{_conditions(one['conditions'])}")
    told += [
        f"Warning marker {one['code']}" + (f" since {day(one['started_on'])}" if one["started_on"] else "")
        for one in state["markers"]
    ]
    return lines("Orders, bail and markers", told, "") if told else None


def _by_order(orders: Sequence[Row]) -> list[Row]:
    """Rows of one order, a row a protected person, told once."""
    return list({one["order_id"]: one for one in reversed(orders)}.values())[::-1]


def _order(one: Row) -> str:
    until = f"until {day(one['expires_on'])}" if one["expires_on"] else "with no end recorded"
    return f"{one['kind']} {until}{_conditions(one['conditions'])}"


def _conditions(codes: Sequence[str] | None) -> str:
    return f": {', '.join(plain(code) for code in codes)}" if codes else ""


def _options(person: Mapping[str, Any]) -> Block:
    bearing = [one for one in person["options"]["shown"] if one["bears"]]
    told = [
        f"{one['title']}: {one['test']} On record: {'; '.join(line['text'] for line in one['lines'] if line['bears'])}"
        for one in bearing
    ]
    return lines(
        "What may lawfully be considered (a person decides; check the test yourself)",
        told,
        "Nothing on record bears on the test of an option that may be shown.",
    )


def _doubts(row: Row, person: Mapping[str, Any]) -> Block | None:
    told = [*row["warnings"], *(f"not known: {one}" for one in person["reasons"]["missing"])]
    return lines("What to doubt", dict.fromkeys(told), "") if told else None


def _decided(row: Row) -> Block:
    standing = row["standing"]
    told = []
    if standing and standing.decision:
        told.append(_decision(standing.decision))
    if standing and standing.waiting:
        told.append(f"Waits for a supervisor: {_decision(standing.waiting)}")
    told += [one["line"] for one in standing.actions] if standing else []
    return lines("Decided so far", told, "Nothing yet.")


def _decision(one: Row) -> str:
    return f"{one['words']}: {one['code_words']}, by {one['by']} on {day(one['at'])}. {one['reason']}"


def _boxes() -> list[str]:
    """What may be decided, in the words of the page."""
    return [*(choice["words"] for choice in choices().values()), settings("decisions")["hold"]["words"]]

"""Worked examples: a few compact rows, read into records, so that one line is documentation and test at once.

A row is one line: a short word for the table, its first columns in a fixed order, then ``column=value``::

    event E1 2024-05-20 P>V kind=crime domestic=Y     an event with its suspect(s) and victim(s): P+Q>V+W
    offence E1 008/06 suspect_id=P                    an offence of that event
    order O1 DVPO P V 2024-05-21                      a protective order against P that protects V

Times follow the contract of the extract: London unless a zone is given, a bare date is 23:59:59 of that day. Events
are domestic crimes unless the line says otherwise. Persons need no line of their own. P is the offender the example
is about, V the victim, P > V the dyad.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from features.catalogue import KEYS, Example
from features.clocks import canonical, parse_as_of
from features.errors import InputError
from features.records import Records
from features.schema import SPECS

LONDON = ZoneInfo("Europe/London")
EXAMPLE_KEYS = {"offender": ("P",), "victim": ("V",), "dyad": ("P", "V")}

#: word -> (table, columns in order, values unless given, column that is numbered when not given)
_WORDS: dict[str, tuple[str, tuple[str, ...], dict[str, Any], str | None]] = {
    "event": ("event", ("event_id", "occurred_at"), {"kind": "crime", "domestic": "Y"}, None),
    "offence": ("offence", ("event_id", "ho_code"), {}, "offence_id"),
    "role": ("involvement", ("event_id", "person_id", "role"), {}, None),
    "dash": (
        "risk_assessment",
        ("event_id", "suspect_id", "victim_id", "completed_at"),
        {"tool": "DASH"},
        "assessment_id",
    ),
    "custody": ("custody", ("person_id", "arrested_at"), {}, "custody_id"),
    "bail": ("bail", ("person_id", "from_at"), {}, "bail_id"),
    "order": ("order", ("order_id", "kind", "respondent_id", "protected_id", "made_on"), {}, None),
    "breach": ("breach", ("person_id", "occurred_at"), {}, "breach_id"),
    "marker": ("marker", ("person_id", "code", "started_on"), {}, None),
    "conviction": ("conviction", ("person_id", "convicted_on", "ho_code"), {}, "conviction_id"),
    "wanted": ("wanted", ("person_id", "circulated_at"), {}, None),
    "spell": ("spell", ("person_id", "state", "started_on"), {}, None),
    "person": ("person", ("person_id", "date_of_birth"), {}, None),
    "relationship": ("relationship", ("person_id_a", "kind", "person_id_b", "started_on"), {}, None),
    "address": ("address", ("address_id", "kind"), {}, None),
    "residence": ("residence", ("person_id", "address_id", "started_on"), {}, None),
    "call": ("call", ("call_id", "received_at"), {"reference": "R"}, None),
}


def records_of(given: Iterable[str]) -> Records:
    """The record store of some compact rows; InputError names the line that cannot be read."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for number, line in enumerate(given, start=1):
        for table, row in _read(line, number):
            rows.setdefault(table, []).append(row)
    named = {
        value
        for table, table_rows in rows.items()
        for row in table_rows
        for column, value in row.items()
        if SPECS[table].parents.get(column, ("",))[0] == "person" and value is not None
    }
    declared = {row["person_id"] for row in rows.get("person", ())}
    rows.setdefault("person", []).extend({"person_id": p} for p in sorted(named - declared))
    frames = {table: _frame(table, table_rows) for table, table_rows in rows.items()}
    return Records.from_canonical(canonical(frames), load_id="example")


def key_frame(subject: str) -> pl.DataFrame:
    """The subject an example is about: person P, person V, or the pair P > V."""
    return pl.DataFrame(
        {name: [value] for name, value in zip(KEYS[subject], EXAMPLE_KEYS[subject], strict=True)}
    )


def as_of_time(example: Example) -> datetime:
    """The moment of an example (a bare date is 06:00 in London)."""
    return parse_as_of(example.as_of)


def _read(line: str, number: int) -> list[tuple[str, dict[str, Any]]]:
    word, *parts = line.split()
    if word not in _WORDS:
        raise InputError(f"{word!r} is not one of {', '.join(_WORDS)}", where=line, cure="Mend the example.")
    table, columns, defaults, numbered = _WORDS[word]
    plain = [part for part in parts if "=" not in part]
    cast = plain.pop() if word == "event" and len(plain) > len(columns) else ""
    if len(plain) > len(columns):
        raise InputError(f"too many values for {word}", where=line, cure="Write column=value.")
    given = dict(zip(columns, plain, strict=False))
    given |= {name: value for name, _, value in (part.partition("=") for part in parts if "=" in part)}
    row = dict(defaults)
    row |= {name: _value(table, name, value, line) for name, value in given.items()}
    if numbered and numbered not in row:
        row[numbered] = f"{word}-{number}"
    absent = [name for name in SPECS[table].required if row.get(name) is None]
    if absent:
        raise InputError(f"{word} lacks {absent[0]}", where=line, cure=f"Begin with {', '.join(columns)}.")
    return [(table, row), *(("involvement", role) for role in _cast(row, cast))]


def _cast(event: dict[str, Any], cast: str) -> list[dict[str, Any]]:
    """P+Q>V+W: suspects P and Q, each against victims V and W; "P>" leaves the victim unknown."""
    if not cast:
        return []
    suspects, _, victims = cast.partition(">")
    row = {"event_id": event["event_id"], "recorded_at": event.get("recorded_at")}
    accused: list[str | None] = [victim for victim in victims.split("+") if victim] or [None]
    roles = [
        {**row, "person_id": person, "role": "suspect", "victim_id": victim}
        for person in suspects.split("+")
        for victim in accused
    ]
    return roles + [{**row, "person_id": victim, "role": "victim"} for victim in accused if victim]


def _value(table: str, column: str, text: str, line: str) -> Any:
    dtype = _dtypes(table).get(column)
    if dtype is None:
        raise InputError(f"{table} has no column {column!r}", where=line, cure="Mend the example.")
    declared = SPECS[table].schema.columns().get(column)
    codes = ((declared.metadata or {}).get("values") if declared is not None else None) or ()
    strange = [code for code in text.split(",") if codes and code not in codes]
    if strange:
        raise InputError(
            f"{column} is one of {', '.join(codes)}, not {strange[0]!r}", where=line, cure="Mend the example."
        )
    try:
        return _typed(dtype, text)
    except (ValueError, OverflowError) as problem:
        raise InputError(
            f"{text!r} cannot be read as {column}", where=line, cure="Mend the example."
        ) from problem


def _dtypes(table: str) -> dict[str, pl.DataType]:
    return {**SPECS[table].dtypes, "recorded_at": pl.Datetime("us", "UTC"), "withdrawn": pl.Boolean()}


def _typed(dtype: pl.DataType, text: str) -> Any:
    """A word of a line as its column's type; ValueError when it cannot be."""
    if dtype == pl.Boolean:
        if text not in ("true", "false"):
            raise ValueError(text)
        return text == "true"
    if dtype.is_integer():
        return int(text)
    if dtype.is_float():
        return float(text)
    if dtype == pl.Date:
        return date.fromisoformat(text)
    if isinstance(dtype, pl.Datetime):
        if len(text) == 10:
            return datetime.combine(date.fromisoformat(text), time(23, 59, 59), LONDON).astimezone(UTC)
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=LONDON)).astimezone(UTC)
    return text.split(",") if isinstance(dtype, pl.List) else text


def _frame(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    dtypes = _dtypes(table)
    used = {column for row in rows for column in row}
    columns = {
        column: pl.Series(column, [row.get(column) for row in rows], dtype=dtype)
        for column, dtype in dtypes.items()
        if column in used
    }
    return pl.DataFrame(columns)

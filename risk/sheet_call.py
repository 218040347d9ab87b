"""The call or report an officer is sent to: found by its reference, with who it names and where it is.

A call that names no suspect still has a sheet: it says which suspects the records tie to that address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from features.apart import open_identity
from features.errors import NotFoundError
from features.home import Load
from features.nominals import clusters_at, onto
from risk.settings import settings
from risk.view import held
from risk.words import count, day

CALL, REPORT = "call", "report"


@dataclass(frozen=True)
class Call:
    """A call for service, or a report where no call is recorded. ``call_id`` is the event's id for a report.

    ``suspects``: as the call names one, else as its event does, under the reference each is known by as of T.
    ``place``: the row of its address. ``not_shown``: how many suspects more it names, who are not told.
    """

    kind: str
    call_id: str
    reference: str
    at: datetime
    grade: int | None
    caller_role: str | None
    victims: tuple[str, ...]
    suspects: tuple[str, ...]
    address_id: str | None
    district: str | None
    event_id: str | None
    place: Mapping[str, Any] | None = None
    not_shown: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The same for a machine, without the address."""
        told = dict(vars(self))
        for address in ("address_id", "place"):
            told.pop(address)
        return told | {"victims": list(self.victims), "suspects": list(self.suspects)}


def find_calls(load: Load, reference: str, t: datetime) -> list[Call]:
    """The calls, else the reports, with this reference as of T, newest first; letter case and spaces do not matter."""
    asked = "".join(reference.split()).upper()
    if not asked:
        return []
    calls = _rows(load, "call", _plain("reference") == asked, t)
    if calls.height:
        rows = calls.sort(["received_at", "call_id"], descending=True).iter_rows(named=True)
        return [_of_call(load, row, t) for row in rows]
    places = _rows(load, "event_place", _plain("reference") == asked, t)
    found = [_of_report(load, row, t) for row in places.sort("event_id").iter_rows(named=True)]
    return sorted((one for one in found if one), key=lambda one: (one.at, one.call_id), reverse=True)


def the_call(load: Load, call_id: str, t: datetime) -> Call:
    """A call by its id, or a report by its event's; NotFoundError when it is not known as of T."""
    for row in _rows(load, "call", pl.col("call_id") == call_id, t).iter_rows(named=True):
        return _of_call(load, row, t)
    for row in _rows(load, "event_place", pl.col("event_id") == call_id, t).iter_rows(named=True):
        report = _of_report(load, row, t)
        if report is not None:
            return report
    raise NotFoundError(
        f"There is no call or report {call_id!r} in the records.",
        where="calls",
        cure="Check the reference. A call taken a moment ago is there once the force's system has handed it over; "
        "the age of the records is at the foot of the page.",
    )


def _plain(column: str) -> pl.Expr:
    return pl.col(column).str.replace_all(r"\s", "").str.to_uppercase()


def _rows(load: Load, table: str, which: pl.Expr, t: datetime) -> pl.DataFrame:
    """Some rows of an identity table as of T, persons under their one reference."""
    frame = open_identity(load)[table].filter(which)
    return onto(held(frame, table, t), clusters_at(load.records().links, t))


def _of_call(load: Load, row: Mapping[str, Any], t: datetime) -> Call:
    victims, suspects = _parties(load, row["event_id"], t)
    return Call(
        CALL,
        row["call_id"],
        row["reference"],
        row["received_at"],
        row["grade"],
        row["caller_role"],
        _first(row["victim_id"], victims),
        _first(row["suspect_id"], suspects),
        row["address_id"],
        row["district"],
        row["event_id"],
        _place(load, row["address_id"], t),
    )


def _first(named: str | None, others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*([named] if named else []), *others]))


def _of_report(load: Load, row: Mapping[str, Any], t: datetime) -> Call | None:
    events = _records(load, "event", pl.col("event_id") == row["event_id"], t)
    if events.is_empty():
        return None
    victims, suspects = _parties(load, row["event_id"], t)
    reference = row["reference"] or row["event_id"]
    at = events["occurred_at"][0]
    return Call(REPORT, row["event_id"], reference, at, None, None, victims, suspects, row["address_id"],
                row["district"], row["event_id"], _place(load, row["address_id"], t))  # fmt: skip


def _place(load: Load, address_id: str | None, t: datetime) -> dict[str, Any] | None:
    if address_id is None:
        return None
    rows = _rows(load, "address", pl.col("address_id") == address_id, t)
    return rows.row(0, named=True) if rows.height else {"address_id": address_id}


def _parties(load: Load, event_id: str | None, t: datetime) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(victims, suspects) of an event as involvements and offences name them."""
    if event_id is None:
        return (), ()
    part = _records(load, "involvement", pl.col("event_id") == event_id, t)
    offence = _records(load, "offence", pl.col("event_id") == event_id, t)

    def named(role: str, column: str) -> tuple[str, ...]:
        told = [*part.filter(pl.col("role") == role)["person_id"], *offence[column].drop_nulls()]
        return tuple(sorted(set(told)))

    return named("victim", "victim_id"), named("suspect", "suspect_id")


def _records(load: Load, table: str, which: pl.Expr, t: datetime) -> pl.DataFrame:
    """Some rows of a record table as of T, persons under their one reference."""
    records = load.records()
    return onto(held(records.table(table).filter(which), table, t), clusters_at(records.links, t))


def suspects_at(load: Load, address_id: str, t: datetime) -> list[dict[str, Any]]:
    """Suspects the records tie to an address: of domestic events there, the most recent first, then who is recorded as
    living there and is a suspect of any domestic event. Each with ``person_id`` and ``why``, in words."""
    since = t - pl.duration(days=settings("sheet")["shown"]["victims_days"])
    places = _rows(load, "event_place", pl.col("address_id") == address_id, t)["event_id"]
    events = _records(
        load, "event", pl.col("event_id").is_in(places.implode()) & (pl.col("domestic") == "Y"), t
    ).filter(pl.col("occurred_at") > since)
    acts = _records(
        load,
        "involvement",
        pl.col("event_id").is_in(events["event_id"].implode()) & (pl.col("role") == "suspect"),
        t,
    ).join(events.select("event_id", "occurred_at"), on="event_id")
    here = (
        acts.unique(["person_id", "event_id"])
        .group_by("person_id")
        .agg(pl.len().alias("events"), pl.col("occurred_at").max().alias("last"))
        .sort(["last", "person_id"], descending=[True, False])
    )
    found = [
        {"person_id": who, "why": f"suspect in {count(n, 'domestic event')} here, the last on {day(last)}"}
        for who, n, last in here.iter_rows()
    ]
    lives = _rows(load, "residence", pl.col("address_id") == address_id, t).filter(
        pl.col("ended_on").is_null()
    )
    known = set(here["person_id"])
    living = sorted(set(lives["person_id"]) - known)
    acting = _records(
        load, "involvement", pl.col("person_id").is_in(living) & (pl.col("role") == "suspect"), t
    )
    return found + [
        {"person_id": who, "why": "recorded as living here; suspect in earlier reports"}
        for who in sorted(set(acting["person_id"]) & set(living))
    ]

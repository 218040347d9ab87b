"""Where a person stands on the day: wanted, in custody, in prison, on bail, under orders, with warning markers.

Every line is what the records say as of T, no more: an arrest without a recorded release is said to be that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from features.asof import instant
from risk.view import View
from risk.words import day, day_time, listed, plain

LOCKED_UP = {"prison": "In prison", "remand": "On remand"}
OTHER_SPELLS = {"licence": "On licence", "tag": "On a tag", "hospital": "In hospital", "abroad": "Abroad"}


@dataclass
class State:
    """The present state of one person; times are UTC, ``None`` where the records say nothing."""

    person_id: str
    t: datetime
    wanted: list[dict[str, Any]] = field(default_factory=list)
    custody: list[dict[str, Any]] = field(default_factory=list)
    spells: list[dict[str, Any]] = field(default_factory=list)
    bail: list[dict[str, Any]] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)
    markers: list[dict[str, Any]] = field(default_factory=list)

    @property
    def locked_up(self) -> bool:
        """In prison, on remand or arrested with no release recorded."""
        return bool(self.custody) or any(s["state"] in LOCKED_UP for s in self.spells)

    def lines(self) -> list[str]:
        """One plain sentence a fact, the most pressing first; never empty."""
        said = [f"Wanted since {day(w['circulated_at'])}{_because(w['reason'])}" for w in self.wanted]
        said += [f"Arrested {day_time(c['arrested_at'])}, no release recorded" for c in self.custody]
        said += [self._spell(s) for s in self.spells]
        said += [f"On bail {_until(b['until_at'])}{_conditions(b['conditions'])}" for b in self.bail]
        if self.orders:
            kinds = sorted({o["kind"] for o in self.orders})
            number = len({o["order_id"] for o in self.orders})
            said.append(f"{number} {'order' if number == 1 else 'orders'} in force ({', '.join(kinds)})")
        if not self.locked_up and not self.wanted:
            said.append("At large, as far as the records say")
        return said

    def _spell(self, spell: dict[str, Any]) -> str:
        due, state = spell["expected_end"], spell["state"]
        name = (LOCKED_UP | OTHER_SPELLS).get(state, plain(state).capitalize())
        if due is None:
            return f"{name} since {day(spell['started_on'])}, no end date recorded"
        if due <= self.t:
            return f"{name} since {day(spell['started_on'])}; was due to end {day(due)}, no end recorded"
        return f"{name} until {day(due)}"

    def as_dict(self) -> dict[str, Any]:
        """The same facts for a machine."""
        return {
            "lines": self.lines(),
            "wanted": self.wanted,
            "custody": self.custody,
            "spells": self.spells,
            "bail": self.bail,
            "orders": self.orders,
            "markers": self.markers,
        }


def states(view: View, persons: Iterable[str]) -> dict[str, State]:
    """The present state of each person as of the view's T (an empty state for one with no such record)."""
    wanted_ones = sorted(set(persons))
    found = {person: State(person, view.t) for person in wanted_ones}
    for kind, frame in _current(view).items():
        key = "respondent_id" if kind == "orders" else "person_id"
        for row in frame.filter(pl.col(key).is_in(wanted_ones)).collect().iter_rows(named=True):
            getattr(found[row[key]], kind).append(row)
    return found


def _current(view: View) -> dict[str, pl.LazyFrame]:
    """The rows of each kind that hold at T, each in a fixed order; one query a kind once somebody is asked for."""
    t = instant(view.t)

    def open_at(column: str) -> pl.Expr:
        return pl.col(column).is_null() | (pl.col(column) > t)

    orders = (
        view.whole("order")
        .lazy()
        .filter(
            pl.coalesce("served_at", "made_on") <= t,
            open_at("expires_on"),
            open_at("discharged_on"),
        )
    )
    return {
        "wanted": view.whole("wanted")
        .lazy()
        .filter(pl.col("cleared_at").is_null())
        .select("person_id", "circulated_at", "reason", "event_id")
        .sort("person_id", "circulated_at"),
        "custody": view.whole("custody")
        .lazy()
        .filter(pl.col("released_at").is_null(), pl.col("release").is_null())
        .select("person_id", "custody_id", "arrested_at", "event_id")
        .sort("person_id", "arrested_at", "custody_id"),
        "spells": view.whole("spell")
        .lazy()
        .filter(pl.col("ended_on").is_null())
        .select("person_id", "state", "started_on", "expected_end")
        .sort("person_id", "started_on", "state"),
        "bail": view.whole("bail")
        .lazy()
        .filter(open_at("until_at"), pl.col("cancelled_at").is_null())
        .select("person_id", "bail_id", "from_at", "until_at", "conditions", "event_id")
        .sort("person_id", "until_at", "bail_id"),
        "orders": orders.select(
            "order_id",
            "kind",
            "respondent_id",
            "protected_id",
            "made_on",
            "served_at",
            "expires_on",
            "conditions",
            "court_reference",
        ).sort("respondent_id", "made_on", "order_id", "protected_id", nulls_last=True),
        "markers": view.whole("marker")
        .lazy()
        .filter(open_at("expires_on"))
        .select("person_id", "code", "started_on", "expires_on")
        .sort("person_id", "started_on", "code"),
    }


def _because(reason: str | None) -> str:
    return f": {reason}" if reason else ""


def _until(when: datetime | None) -> str:
    return f"until {day(when)}" if when else "with no end date recorded"


def _conditions(conditions: list[str] | str | None) -> str:
    if not conditions:
        return ""
    parts = [conditions] if isinstance(conditions, str) else list(conditions)
    return f": {listed([plain(part) for part in parts])}"

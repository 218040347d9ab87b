"""The words a table is declared in: identifier, code, moment, flag.

Each makes a dataframely column and notes beside it what the front door needs to know: whether it is part of the key,
what it points to, which clock it runs on, what an unreadable cell counts as.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import dataframely as dy
import polars as pl

UTC_TIME = pl.Datetime("us", "UTC")
FIRST_YEAR, LAST_YEAR = 1900, 2100
_EARLIEST = dt.datetime(FIRST_YEAR, 1, 1, tzinfo=dt.UTC)
_LATEST = dt.datetime(LAST_YEAR + 1, 1, 1, tzinfo=dt.UTC)


def _meta(**facts: Any) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value}


def ident(
    *, required: bool = False, key: bool = False, to: str = "", subject: bool = False, soft: bool = False
) -> dy.String:
    """An opaque identifier. ``to`` = "table.column" it points to; ``subject`` = the row is *about* that person
    (a restricted person takes the row along, elsewhere only the pointer is blanked); ``soft`` = the row does
    not wait for a quarantined parent, the pointer alone is blanked."""
    meta = _meta(key=key, to=to, subject=subject, soft=soft, says="an identifier that is not blank")
    return dy.String(nullable=not required, regex=r"\S", metadata=meta)


def text(*, key: bool = False, later: str = "") -> dy.String:
    """Free text, kept as it is; ``later`` names the clock of a column filled in later."""
    return dy.String(nullable=True, metadata=_meta(key=key, later=later))


def pattern(regex: str, says: str, *, required: bool = False, later: str = "") -> dy.String:
    """Text of a fixed form."""
    return dy.String(nullable=not required, regex=regex, metadata=_meta(says=says, later=later))


def code(
    *values: str, required: bool = False, key: bool = False, later: str = "", when_faulty: str = ""
) -> dy.String:
    """One of a closed list. ``when_faulty`` = what an unreadable cell counts as, where blank would be unsafe."""
    allowed = list(values)
    meta = _meta(key=key, values=values, later=later, when_faulty=when_faulty)
    return dy.String(nullable=not required, check=lambda col: col.is_in(allowed), metadata=meta)


def codes(*values: str) -> dy.List:
    """A list of codes; in CSV a JSON array."""
    allowed = list(values)
    inner = dy.String(check=lambda col: col.is_in(allowed))
    return dy.List(inner, nullable=True, metadata=_meta(values=values))


def moment(*, required: bool = False, key: bool = False, own: bool = False, later: str = "") -> dy.Datetime:
    """A time, in UTC. ``own`` = the row's own time (the † of the contract); ``later`` = its clock."""
    return dy.Datetime(
        nullable=not required,
        min=_EARLIEST,
        max_exclusive=_LATEST,
        time_zone="UTC",
        time_unit="us",
        metadata=_meta(key=key, own=own, later=later),
    )


def day(*, key: bool = False) -> dy.Date:
    """A calendar day with no clock (a date of birth)."""
    last = dt.date(LAST_YEAR, 12, 31)
    return dy.Date(nullable=True, min=dt.date(FIRST_YEAR, 1, 1), max=last, metadata=_meta(key=key))


def flag(*, when_faulty: bool = False) -> dy.Bool:
    """True or false."""
    return dy.Bool(nullable=True, metadata=_meta(when_faulty=when_faulty))


def whole(low: int, high: int) -> dy.Int64:
    """A whole number within limits."""
    return dy.Int64(nullable=True, min=low, max=high)


def degrees(limit: float) -> dy.Float64:
    """A latitude or longitude in degrees."""
    return dy.Float64(nullable=True, min=-limit, max=limit)

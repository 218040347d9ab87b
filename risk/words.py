"""Numbers and dates in the words officers read: "3 March 2026", "7 in 100", "4 domestic reports"."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

LONDON = ZoneInfo("Europe/London")
SECONDS_A_DAY = 86_400


def day(when: datetime | date | None) -> str:
    """A date as "3 March 2026" (times are turned to London first); "not recorded" for none."""
    if when is None:
        return "not recorded"
    if isinstance(when, datetime):
        when = when.astimezone(LONDON).date()
    return f"{when.day} {when:%B %Y}"


def day_time(when: datetime | None) -> str:
    """A moment as "3 March 2026, 06:00" in London time."""
    if when is None:
        return "not recorded"
    return f"{day(when)}, {when.astimezone(LONDON):%H:%M}"


def days_between(earlier: datetime, later: datetime) -> int:
    """Whole days from one moment to a later one (86,400 s each)."""
    return int((later - earlier).total_seconds() // SECONDS_A_DAY)


def ago(days: float | None) -> str:
    """How long ago, in words: "today", "yesterday", "6 days ago"."""
    if days is None:
        return "never"
    whole = math.floor(days)
    return {0: "in the last 24 hours", 1: "yesterday"}.get(whole, f"{whole:,} days ago")


def count(number: float, singular: str, plural: str | None = None) -> str:
    """A count with its noun: "1 report", "4 reports", "no reports"."""
    whole = int(number)
    noun = singular if whole == 1 else plural or f"{singular}s"
    return f"{whole:,} {noun}" if whole else f"no {noun}"


def times(number: float) -> str:
    """How often: "once", "twice", "5 times"."""
    whole = int(number)
    return {1: "once", 2: "twice"}.get(whole, f"{whole:,} times")


def amount(value: float | None) -> str:
    """A figure without needless decimals: 365, 7.5, 0.3, under 0.1."""
    if value is None:
        return "not known"
    if 0 < abs(value) < 0.1:
        return "under 0.1"
    text = f"{value:,.1f}"
    return text.removesuffix(".0")


def in_100(probability: float | None) -> str:
    """A probability as a natural frequency, never as "none": below 1 is "fewer than 1 in 100"."""
    if probability is None:
        return "not scored"
    hundred = probability * 100
    if hundred < 1:
        return "fewer than 1 in 100"
    if hundred > 99:
        return "more than 99 in 100"
    return f"{math.floor(hundred + 0.5)} in 100"


def between(low: float, high: float) -> str:
    """The interval of a probability beside its "x in 100", outward to whole people: "between 5 and 9"."""
    below, above = math.floor(round(low * 100, 9)), math.ceil(round(high * 100, 9))
    if above <= 1:
        return "fewer than 1"
    return f"between {below if below >= 1 else 'fewer than 1'} and {above if high <= 0.99 else 'nearly 100'}"


def listed(parts: Sequence[str], last: str = "and") -> str:
    """Parts as a phrase: "a", "a and b", "a, b and c"."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def plain(code: str | None) -> str:
    """A code of the extract in words: "ex_partner" becomes "ex-partner", null "not recorded"."""
    if code is None:
        return "not recorded"
    return PLAIN.get(code, code.replace("_", " "))


PLAIN = {
    "ex_partner": "ex-partner",
    "non_crime": "non-crime incident",
    "contact": "other contact",
    "no_contact": "no contact",
    "intimate_current": "current partner",
    "intimate_former": "former partner",
    "third_party": "third party",
    "partner_agency": "partner agency",
    "police_proactive": "found by police",
    "charged_bail": "charged and bailed",
    "charged_remand": "charged and remanded",
    "precharge_bail": "released on bail before charge",
    "under_investigation": "released under investigation",
    "nfa": "no further action",
    "Y": "yes",
    "N": "no",
    "U": "not known",
}

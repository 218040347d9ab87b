"""Working days in England and Wales, for what is due within some of them.

The rules are data (``risk/data/workdays.toml``): fixed days with their substitutes, Mondays, Easter, and the years in
which a day was moved or added.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import cache

from risk.settings import settings
from risk.words import LONDON

__all__ = ["bank_holidays", "due_by", "is_working"]

ONE = timedelta(days=1)


@cache
def bank_holidays(year: int) -> dict[date, str]:
    """The bank holidays of a year with their names."""
    rules = settings("workdays")
    found = {_monday(year, rule["month"], rule["nth"]): rule["name"] for rule in rules["monday"]}
    found |= {_easter(year) + rule["days"] * ONE: rule["name"] for rule in rules["easter"]}
    for rule in rules["yearly"]:
        day, name = date(year, rule["month"], rule["day"]), rule["name"]
        if not _weekend(day):
            found[day] = name
            continue
        # Boxing Day may hold the Monday that Christmas would move to: the substitute is the next day that is free
        taken = {date(year, one["month"], one["day"]) for one in rules["yearly"]} | found.keys()
        while _weekend(day) or day in taken:
            day += ONE
        found[day] = f"{name} (substitute day)"
    for change in rules["change"]:
        if (moved := change.get("off")) and moved.year == year:
            found.pop(moved, None)
        if change["on"].year == year:
            found[change["on"]] = change["name"]
    return dict(sorted(found.items()))


def is_working(day: date) -> bool:
    """Whether a day is a working day in England and Wales."""
    return not _weekend(day) and day not in bank_holidays(day.year)


def due_by(since: datetime, days: int) -> datetime:
    """The end (23:59:59 London) of the ``days``-th working day after the one on which ``since`` falls."""
    day = since.astimezone(LONDON).date()
    for _ in range(days):
        day += ONE
        while not is_working(day):
            day += ONE
    return datetime.combine(day, time(23, 59, 59), LONDON)


def _weekend(day: date) -> bool:
    return day.isoweekday() in settings("workdays")["weekly"]["free"]


def _monday(year: int, month: int, nth: int) -> date:
    if nth > 0:
        first = date(year, month, 1)
        return first + ((-first.weekday()) % 7 + 7 * (nth - 1)) * ONE
    last = date(year + month // 12, month % 12 + 1, 1) - ONE
    return last - last.weekday() * ONE


def _easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar (the anonymous algorithm, Meeus, Astronomical Algorithms, ch. 8)."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)

"""The arithmetic of windows over sorted facts: running totals, suffixes and range maxima.

At one T a subject's facts inside a window are a *suffix* of that subject's facts in time order, since nothing later
than T exists. So facts are sorted once by (subject, time); per window one comparison and one count give where each
suffix starts, sums are differences of one running total, maxima are one ``maximum.reduceat`` over the suffixes.
The cost is facts x windows, whatever the number of subjects. All integers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.engines.formulas import Cells, Ints

DAY = 86_400_000_000  # microseconds
ALWAYS = np.iinfo(np.int64).min


def window_start(t: int, window: int | None) -> int:
    """The instant that is just outside a window of ``window`` days at ``t`` (microseconds); None: ever."""
    return int(ALWAYS) if window is None else t - window * DAY


@dataclass(frozen=True)
class Sorted:
    """Facts of ``n`` subjects in (subject, time, value) order: subject numbers, times and, if any, values."""

    n: int
    subject: NDArray[np.int64]
    at: Ints
    value: Ints | None
    end: Ints  # per subject, one past its last fact

    @classmethod
    def build(
        cls, n: int, subject: Ints, at: Ints, value: Ints | None = None, in_order: bool = False
    ) -> Sorted:
        """Sort facts by (subject, time), then value. ``in_order``: already sorted by (subject, time), value unused
        for order."""
        if not in_order:
            keys = (at, subject) if value is None else (value, at, subject)
            order = np.lexsort(keys)
            subject, at = subject[order], at[order]
            value = None if value is None else value[order]
        return cls(n, subject, at, value, np.cumsum(np.bincount(subject, minlength=n)))

    def counts(self, after: int) -> Ints:
        """Facts of each subject with time > ``after``."""
        return np.bincount(self.subject[self.at > after], minlength=self.n).astype(np.int64)


def count(facts: Sorted, after: int) -> Cells:
    """How many facts."""
    values = facts.counts(after)
    return Cells(values, np.ones(facts.n, dtype=np.bool_))


def total(facts: Sorted, after: int) -> Cells:
    """The sum of values: a difference of the running total at the two ends of each suffix."""
    assert facts.value is not None
    number = facts.counts(after)
    running = np.concatenate(([0], np.cumsum(facts.value, dtype=np.int64)))
    return Cells(running[facts.end] - running[facts.end - number], number > 0)


def greatest(facts: Sorted, after: int) -> Cells:
    """The largest value, by a range scan over each non-empty suffix."""
    assert facts.value is not None
    number = facts.counts(after)
    some = np.flatnonzero(number)
    out = np.zeros(facts.n, dtype=np.int64)
    if some.size:
        bounds = np.column_stack((facts.end[some] - number[some], facts.end[some])).ravel()
        padded = np.append(facts.value, 0)  # reduceat needs every bound, the last end too, to be an index
        out[some] = np.maximum.reduceat(padded, bounds)[::2]
    return Cells(out, number > 0)


def latest_value(facts: Sorted, after: int) -> Cells:
    """The value of the latest fact; of several at one instant the largest (their order must not matter)."""
    assert facts.value is not None
    number = facts.counts(after)
    return Cells(_pick(facts.value, facts.end - 1, number > 0), number > 0)


def days_since_latest(facts: Sorted, after: int, t: int) -> Cells:
    """Whole days (86,400 s) from the latest fact to T."""
    some = facts.counts(after) > 0
    return Cells(np.where(some, (t - _pick(facts.at, facts.end - 1, some)) // DAY, 0), some)


def days_since_first(facts: Sorted, after: int, t: int) -> Cells:
    """Whole days from the earliest fact inside the window to T."""
    number = facts.counts(after)
    some = number > 0
    return Cells(np.where(some, (t - _pick(facts.at, facts.end - number, some)) // DAY, 0), some)


def distinct_only(facts: Sorted) -> Sorted:
    """Only the latest fact of each (subject, value): a value lies in a window when its latest fact does, so
    counting what is left counts different values, at every window."""
    assert facts.value is not None
    order = np.lexsort((facts.at, facts.value, facts.subject))
    subject, value, at = facts.subject[order], facts.value[order], facts.at[order]
    last = np.ones(subject.size, dtype=np.bool_)
    last[:-1] = (subject[1:] != subject[:-1]) | (value[1:] != value[:-1])
    return Sorted.build(facts.n, subject[last], at[last])


def _pick(values: Ints, where: Ints, some: NDArray[np.bool_]) -> Ints:
    """values[where] for the subjects that have facts, 0 for the rest."""
    out = np.zeros(where.size, dtype=np.int64)
    out[some] = values[where[some]]
    return out

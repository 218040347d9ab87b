"""The arithmetic of windows over sorted facts: binary searches, running totals and range maxima.

Facts are sorted once by (subject, time). A window of one row of the answer is then a *span*: the positions
``lo .. hi - 1`` of its subject's facts inside the window. A count is ``hi - lo``, a sum is a difference of one running
total, the latest and the first are the facts at the ends, and the maxima of nested windows share one
``maximum.reduceat`` over the segments between their beginnings. The cost is facts (to sort) and rows x windows (to
answer), never the number of (row, fact) pairs a join would make. All integers; nothing here knows what a fact means.

Two kinds of answer use it. ``engines.fast`` asks for every subject at one T: nothing later than T exists, so a window
is a suffix of the subject's facts (:meth:`Sorted.since`). ``features.windows`` asks for rows with a T of their own
(:func:`spans`). Imports NumPy only, so that a short script starts quickly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

DAY = 86_400_000_000  # microseconds
ALWAYS = np.iinfo(np.int64).min


def window_start(t: int, window: int | None) -> int:
    """The instant that is just outside a window of ``window`` days at ``t`` (microseconds); None: ever."""
    return int(ALWAYS) if window is None else t - window * DAY


@dataclass(frozen=True)
class Spans:
    """For each row, where the facts of its window lie: positions ``lo .. hi - 1`` of the sorted facts."""

    lo: Ints
    hi: Ints

    @property
    def number(self) -> Ints:
        """How many facts each row's window holds."""
        return self.hi - self.lo

    @property
    def some(self) -> Bools:
        """Rows whose window holds any."""
        return self.hi > self.lo


@dataclass(frozen=True)
class Sorted:
    """Facts of ``n`` subjects in (subject, time, value) order: subject numbers, times and, if any, values."""

    n: int
    subject: Ints
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

    def since(self, after: int) -> Spans:
        """The facts of each subject with time > ``after``: a suffix of each subject's facts."""
        if after == ALWAYS:
            return Spans(np.concatenate(([0], self.end[:-1])) if self.n else self.end, self.end)
        number = np.bincount(self.subject[self.at > after], minlength=self.n).astype(np.int64)
        return Spans(self.end - number, self.end)


def spans(keys: Ints, begin: Ints, end: Ints) -> Spans:
    """The positions in sorted ``keys`` of those that are > ``begin`` and <= ``end``, row by row."""
    return Spans(np.searchsorted(keys, begin, side="right"), np.searchsorted(keys, end, side="right"))


def order(keys: Ints, bound: int) -> tuple[Ints, Ints]:
    """``keys`` (0 <= key < ``bound``) sorted, and the order that sorts them, equal keys as they came.

    When key and position fit one integer together the integers themselves are sorted, several times faster than
    sorting positions by key.
    """
    bits = int(keys.size).bit_length()
    if int(bound).bit_length() + bits <= 62:
        packed = (keys << bits) | np.arange(keys.size, dtype=np.int64)
        packed.sort()
        return packed >> bits, packed & ((1 << bits) - 1)
    places = np.argsort(keys, kind="stable").astype(np.int64)
    return keys[places], places


def running(values: NDArray[np.generic]) -> Ints:
    """Running totals with a 0 in front, so that the sum over a span is ``r[hi] - r[lo]``."""
    out = np.zeros(values.size + 1, dtype=np.int64)
    np.cumsum(values, dtype=np.int64, out=out[1:])
    return out


def total(totals: Ints, span: Spans) -> Ints:
    """The sum over each span, from running totals (:func:`running`)."""
    return totals.take(span.hi) - totals.take(span.lo)


def latest(values: Ints, span: Spans) -> Ints:
    """The value at the end of each span (anything where it is empty: see ``Spans.some``)."""
    return _at(values, span.hi - 1)


def first(values: Ints, span: Spans) -> Ints:
    """The value at the beginning of each span (anything where it is empty)."""
    return _at(values, span.lo)


def greatest(values: Ints, nested: Sequence[Spans]) -> list[Ints]:
    """The largest value over each span, for windows that end together and grow: ``nested`` from short to long.

    One scan does for all: between the beginnings of two neighbouring windows lies a segment, and the maximum of a
    window is that of its own segment and the shorter window's. ``ALWAYS`` (no integer is smaller) where a span is
    empty.
    """
    bounds = np.column_stack([span.lo for span in reversed(nested)] + [nested[0].hi])
    padded = np.append(values, ALWAYS)  # reduceat needs every bound, the last end too, to be an index
    segments = np.maximum.reduceat(padded, bounds.ravel()).reshape(bounds.shape)[:, :-1]
    empty = bounds[:, 1:] == bounds[:, :-1]
    segments[empty] = ALWAYS  # reduceat gives an empty segment the value at its bound
    wider = np.maximum.accumulate(segments[:, ::-1], axis=1)
    return [wider[:, k] for k in range(len(nested))]


def distinct_only(facts: Sorted) -> Sorted:
    """Only the latest fact of each (subject, value): a value lies in a window when its latest fact does, so
    counting what is left counts different values, at every window."""
    assert facts.value is not None
    order = np.lexsort((facts.at, facts.value, facts.subject))
    subject, value, at = facts.subject[order], facts.value[order], facts.at[order]
    last = np.ones(subject.size, dtype=np.bool_)
    last[:-1] = (subject[1:] != subject[:-1]) | (value[1:] != value[:-1])
    return Sorted.build(facts.n, subject[last], at[last])


def _at(values: Ints, where: Ints) -> Ints:
    if not values.size:
        return np.zeros(where.size, dtype=np.int64)
    return values.take(where, mode="clip")

"""The sorted plan of :func:`features.windows.windows`: one sort, then rows in blocks on every core."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.engines import kernels
from features.engines.kernels import ALWAYS, Ints, Spans
from features.windows import Measure

BLOCK = 32_768
"""Rows answered at a time: what a block touches stays in the processor's cache, and cores share the blocks."""
_ROOM = 2**62
Out = dict[str, NDArray[Any]]


def answer(
    events: pl.DataFrame,
    asked: pl.DataFrame,
    key: str,
    at: str,
    t: str,
    lengths: Sequence[int],
    measures: Sequence[Measure],
) -> pl.DataFrame:
    """See ``windows``; ``events`` as its ``_prepared`` makes them."""
    subjects = _Subjects.of(events[key], asked[key])
    day = 1 if events.schema[at] == pl.Date else kernels.DAY
    person, when = _in_order(subjects.asked, asked[t].to_physical().to_numpy().astype(np.int64))
    clock = _Clock.of(events[at].to_physical().to_numpy().astype(np.int64), subjects.n)
    keys, places = kernels.order(subjects.own * clock.span + clock.codes, subjects.n * clock.span)
    reads = [_Read.of(m, events, keys, places) for m in measures]
    longest_last = sorted(lengths)
    out = _room(person.size, lengths, measures)

    def block(start: int, stop: int) -> None:
        """Answer rows start .. stop - 1: their persons' events lie together, so only those are searched."""
        base, now = person[start:stop] * clock.span, when[start:stop]
        a, z = (int(x) for x in np.searchsorted(keys, (base[0], base[-1] + clock.span)))
        end = np.searchsorted(keys[a:z], base + clock.code(now), side="right") + a
        spans = []
        for w in longest_last:
            begin = np.searchsorted(keys[a:z], base + clock.code(now - w * day), side="right") + a
            spans.append(Spans(begin, end))
        for read in reads:
            made = read.cells(spans, base, clock, now, day)
            for w, values in zip(longest_last, made, strict=True):
                out[f"{read.name}_{w}"][start:stop] = values

    cuts = [*range(0, person.size, BLOCK), person.size]
    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        list(pool.map(block, cuts[:-1], cuts[1:]))
    times = pl.Series(t, when.astype(np.int32) if day == 1 else when).cast(asked.schema[t])
    frame = pl.DataFrame([subjects.names(person, asked.schema[key]).alias(key), times, *_series(out)])
    return frame.with_columns(_empty_to_null(lengths, measures))


@dataclass(frozen=True)
class _Subjects:
    """Keys as numbers 0 .. n-1 in the order of the keys: those of the events, those asked for, and the way back."""

    own: Ints
    asked: Ints
    n: int
    low: int
    known: pl.Series | None

    @classmethod
    def of(cls, own: pl.Series, asked: pl.Series) -> _Subjects:
        """Integers that lie close together need only an offset; anything else is numbered by a join."""
        if own.dtype.is_integer():
            a, b = (s.cast(pl.Int64).to_numpy() for s in (own, asked))
            low = int(min(a.min(initial=np.iinfo(np.int64).max), b.min(initial=np.iinfo(np.int64).max)))
            high = int(max(a.max(initial=ALWAYS), b.max(initial=ALWAYS)))
            if 0 <= high - low < 10_000_000 + 4 * (a.size + b.size):
                return cls(a - low, b - low, high - low + 1, low, None)
        known = pl.concat([own.alias("k"), asked.alias("k")]).unique().sort()
        number = pl.DataFrame({"k": known, "n": np.arange(known.len(), dtype=np.int64)})
        a, b = (
            s.alias("k").to_frame().join(number, on="k", how="left", maintain_order="left")["n"].to_numpy()
            for s in (own, asked)
        )
        return cls(a, b, max(known.len(), 1), 0, known)

    def names(self, numbers: Ints, dtype: pl.DataType) -> pl.Series:
        """The keys of these numbers."""
        return pl.Series(numbers + self.low).cast(dtype) if self.known is None else self.known.gather(numbers)


@dataclass(frozen=True)
class _Clock:
    """Event times as codes 0 .. span-1 that keep their order: an offset, or, where subject and time would not fit one
    integer together, the rank among the times that occur."""

    codes: Ints
    span: int
    first: int
    times: Ints | None

    @classmethod
    def of(cls, at: Ints, subjects: int) -> _Clock:
        """Codes for these times, given how many subjects there are."""
        first = int(at.min()) if at.size else 0
        span = int(at.max()) - first + 1 if at.size else 1
        if span < _ROOM // (subjects + 1):
            return cls(at - first, span, first, None)
        times, codes = np.unique(at, return_inverse=True)
        return cls(codes.astype(np.int64), int(times.size), 0, times)

    def code(self, moment: Ints) -> Ints:
        """The code of the latest event time at or before each moment, -1 for none."""
        if self.times is None:
            return np.clip(moment - self.first, -1, self.span - 1)
        return np.searchsorted(self.times, moment, side="right") - 1

    def time(self, code: Ints) -> Ints:
        """Back from codes to times."""
        return code + self.first if self.times is None else self.times.take(code, mode="clip")


@dataclass(frozen=True)
class _Read:
    """A measure made ready: the one array its kernel reads, in the events' order."""

    name: str
    kind: str
    array: NDArray[Any] | None
    keys: Ints

    @classmethod
    def of(cls, m: Measure, events: pl.DataFrame, keys: Ints, places: Ints) -> _Read:
        """Running totals for count (where there is a condition) and sum; values for max; latest keys for days."""
        met = None if m.where is None else events[f"_where_{m.name}"].to_numpy().take(places)
        array: NDArray[Any] | None = None
        if m.kind == "count" and met is not None:
            array = np.zeros(met.size + 1, dtype=np.uint32)
            np.cumsum(met, out=array[1:])
        elif m.kind == "days_since":
            array = keys if met is None else np.maximum.accumulate(np.where(met, keys, -1))
        elif m.value is not None:
            nothing = 0 if m.kind == "sum" else int(ALWAYS)
            values = events[f"_value_{m.value}"].fill_null(nothing).to_numpy().take(places)
            values = values if met is None else np.where(met, values, nothing)
            array = kernels.running(values) if m.kind == "sum" else values
        return cls(m.name, m.kind, array, keys)

    def cells(self, spans: list[Spans], base: Ints, clock: _Clock, now: Ints, day: int) -> list[NDArray[Any]]:
        """The measure in each window, short to long; an empty window has the least integer (max) or -1 (days)."""
        if self.array is None:
            return [span.number for span in spans]
        if self.kind == "max":
            return list(kernels.greatest(self.array, spans))
        if self.kind in ("count", "sum"):
            end = self.array.take(spans[0].hi)
            return [end - self.array.take(span.lo) for span in spans]
        # The latest event that counts: one no earlier than the window's first is inside every window that has it.
        latest = np.where(spans[0].hi > 0, kernels.latest(self.array, spans[0]), -1)
        days = (now - clock.time(latest - base)) // day
        keys = [np.where(span.some, kernels.first(self.keys, span), _ROOM) for span in spans]
        return [np.where(latest >= key, days, -1) for key in keys]


def _in_order(person: Ints, when: Ints) -> tuple[Ints, Ints]:
    """Rows in (subject, T) order."""
    if not person.size:
        return person, when
    first, span = int(when.min()), int(when.max() - when.min()) + 1
    if (int(person.max()) + 1) * span >= _ROOM:
        places = np.lexsort((when, person))
        return person[places], when[places]
    keys, _ = kernels.order(person * span + (when - first), (int(person.max()) + 1) * span)
    number, left = np.divmod(keys, span)
    return number, left + first


def _room(n: int, lengths: Sequence[int], measures: Sequence[Measure]) -> Out:
    """An array a column, in the order of the answer."""
    types = {"count": np.uint32, "sum": np.int64, "max": np.int64, "days_since": np.int32}
    return {f"{m.name}_{w}": np.empty(n, dtype=types[m.kind]) for w in lengths for m in measures}


def _series(out: Out) -> list[pl.Series]:
    return [pl.Series(name, values) for name, values in out.items()]


def _empty_to_null(lengths: Sequence[int], measures: Sequence[Measure]) -> list[pl.Expr]:
    """Null where a window held nothing."""
    nothing = {"max": int(ALWAYS), "days_since": -1}
    names = [(f"{m.name}_{w}", nothing[m.kind]) for w in lengths for m in measures if m.kind in nothing]
    return [pl.when(pl.col(name) != none).then(name).alias(name) for name, none in names]

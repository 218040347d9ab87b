"""The engine for a few persons: plain Python over the few rows that matter to them.

A Polars query costs a tenth of a millisecond however little it reads, and a history is some hundreds of them; for one
person it is quicker to walk their few dozen rows. The facts are the reference engine's own, by its own code, over a
slice of the records (``features.slices``) with an index of who is in what; what is different is the arithmetic: facts
of a stream are sorted once, each condition is tried once on each, and a window is a binary search and a difference.
All cells are integers, so it gives the same bits as the other engines.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from threading import local
from typing import Any

import polars as pl

from features.catalogue import Column, Condition, Feature
from features.engines import fast
from features.engines.formulas import Cells
from features.engines.reference import DAY, Row, World, cell, meets, subjects_in
from features.records import Records
from features.slices import around

SMALL = 4_000
"""Events from which on a store is cut to what matters before it is walked in Python."""
STEPS = 2
"""How many ties away from a person a history may look."""


def subjects(records: Records, subject: str, t: datetime) -> pl.DataFrame:
    """Every subject at T: of a slice in plain Python; of a whole store the fast engine answers."""
    if records.table("event").height > SMALL:
        return fast.subjects(records, subject, t)
    return subjects_in(world_of(records, t), subject)


def compute(
    records: Records, subject: str, t: datetime, keys: pl.DataFrame, columns: Sequence[Column]
) -> dict[str, Cells]:
    """Integer cells of each column (formula columns excepted) for the subjects in ``keys``, in their order."""
    if records.table("event").height > SMALL:
        persons = pl.concat([keys[name].rename("person") for name in keys.columns]).unique()
        records = around(records, persons, STEPS)
    world = world_of(records, t)
    by_feature: dict[Feature, list[Column]] = {}
    for column in columns:
        by_feature.setdefault(column.feature, []).append(column)
    values: dict[str, list[int | None]] = {column.name: [] for column in columns}
    for key in keys.iter_rows():
        streams = world.streams.setdefault(key, {})
        for feature, wanted in by_feature.items():
            if feature.source not in streams:
                streams[feature.source] = Facts(world.facts(feature.source, key), t)
            suffix = streams[feature.source].of(feature)
            for column in wanted:
                quick = _AGGREGATES.get(feature.aggregate)
                made = quick(suffix, column.window) if quick else cell(world, key, column)
                values[column.name].append(feature.empty if made is None else made)
    return {name: Cells.of(column) for name, column in values.items()}


def world_of(records: Records, t: datetime) -> Nearby:
    """The world of these very records at T. A thread keeps its last one: whoever asks for a person asks for the
    cohort line and the history of the same records in turn."""
    held: tuple[Records, datetime, Nearby] | None = getattr(_LAST, "held", None)
    if held is not None and held[0] is records and held[1] == t:
        return held[2]
    world = Nearby(records, t)
    _LAST.held = (records, t, world)
    return world


_LAST = local()


class Nearby(World):
    """The reference's world over a few rows, with an index of events by person and of rows by whose they are."""

    def __init__(self, records: Records, t: datetime) -> None:
        self._facts: dict[tuple[str, str | None, str | None], Row] = {}
        self._paired: dict[tuple[str, str], list[tuple[str, str, bool]]] = {}
        self.streams: dict[tuple[str, ...], dict[str, Facts]] = {}
        """Facts of a subject by stream: a page asks for a score's columns, then for all, then for the interval's."""
        super().__init__(records, t)

    def source(self, table: str) -> Iterable[Row]:
        """As the reference's; prices that came with the rows are taken as they are."""
        frame = self.records.table(table)
        if table in ("offence", "conviction") and "tags" not in frame.columns and frame.height:
            return super().source(table)
        return frame.iter_rows(named=True)

    def _own_events(self, stream: str, person: str) -> Iterator[Row]:
        for event in self.events_with(person):
            if stream == "suspect_event" and person in self.suspects_of(event):
                yield self._event_fact(event, person, None)
            if stream == "victim_event" and person in self.victims_of(event):
                yield self._event_fact(event, None, person)

    def _pair_events(self, stream: str, key: tuple[str, ...]) -> Iterator[Row]:
        everything, self.events = self.events, {e["event_id"]: e for e in self.events_with(key[0])}
        try:
            yield from super()._pair_events(stream, key)
        finally:
            self.events = everything

    def pairs_with(self, event: Row, person: str) -> Iterator[tuple[str, str, bool]]:
        """As the reference's, worked out once: streams and the neighbours of neighbours ask again."""
        asked = (event["event_id"], person)
        if asked not in self._paired:
            self._paired[asked] = list(super().pairs_with(event, person))
        return iter(self._paired[asked])

    def _event_fact(self, event: Row, suspect: str | None, victim: str | None) -> Row:
        asked = (event["event_id"], suspect, victim)
        if asked not in self._facts:
            self._facts[asked] = super()._event_fact(event, suspect, victim)
        return self._facts[asked]


class Facts:
    """The facts of one subject in one stream, oldest first, with each condition tried at most once on each."""

    def __init__(self, facts: list[Row], t: datetime) -> None:
        self.facts = sorted(facts, key=lambda fact: fact["at"])
        self.t = t
        self._met: dict[Condition, list[bool]] = {}
        self._chosen: dict[tuple[tuple[Condition, ...], str], Suffixes] = {}

    def of(self, feature: Feature) -> Suffixes:
        """The facts that the feature counts."""
        asked = (feature.where, feature.value)
        if asked not in self._chosen:
            chosen = self.facts
            for condition in feature.where:
                if condition not in self._met:
                    self._met[condition] = [meets(fact, condition) for fact in self.facts]
            masks = [self._met[condition] for condition in feature.where]
            if len(masks) == 1:
                chosen = [fact for fact, met in zip(self.facts, masks[0], strict=True) if met]
            elif masks:
                chosen = [fact for fact, *met in zip(self.facts, *masks, strict=True) if all(met)]
            if feature.value:
                chosen = [fact for fact in chosen if fact[feature.value] is not None]
            self._chosen[asked] = Suffixes(chosen, feature.value, self.t)
        return self._chosen[asked]


class Suffixes:
    """Sorted facts that qualify; what lies in a window is always the tail of them, since nothing later than T is
    there. Every method takes a window in days (None: ever) and returns None where nothing lies in it."""

    def __init__(self, facts: list[Row], value: str, t: datetime) -> None:
        self.at: list[datetime] = [fact["at"] for fact in facts]
        self.values: list[Any] = [fact[value] for fact in facts] if value else []
        self.t = t
        self._starts: dict[int | None, int] = {None: 0}

    def start(self, window: int | None) -> int:
        """Where the window's tail begins."""
        if window not in self._starts:
            assert window is not None
            self._starts[window] = bisect_right(self.at, self.t - window * DAY) if self.at else 0
        return self._starts[window]

    def count(self, window: int | None) -> int | None:
        """How many facts."""
        return len(self.at) - self.start(window) or None

    def any(self, window: int | None) -> int | None:
        """1 where there is one, and 0 where there is none: never null."""
        return int(len(self.at) > self.start(window))

    def total(self, window: int | None) -> int | None:
        """The sum of their values."""
        tail = self.values[self.start(window) :]
        return sum(tail) if tail else None

    def greatest(self, window: int | None) -> int | None:
        """The largest value."""
        return max(self.values[self.start(window) :], default=None)

    def distinct(self, window: int | None) -> int | None:
        """How many different values."""
        return len(set(self.values[self.start(window) :])) or None

    def latest(self, window: int | None) -> int | None:
        """The value of the latest fact; of several at one instant the largest."""
        n = len(self.at)
        if n <= self.start(window):
            return None
        first = n - 1
        while first and self.at[first - 1] == self.at[-1]:
            first -= 1
        return max(self.values[first:])

    def days_since(self, window: int | None) -> int | None:
        """Whole days from the latest fact to T."""
        return (self.t - self.at[-1]) // DAY if len(self.at) > self.start(window) else None

    def days_first(self, window: int | None) -> int | None:
        """Whole days from the earliest fact inside the window to T."""
        start = self.start(window)
        return (self.t - self.at[start]) // DAY if len(self.at) > start else None


_AGGREGATES = {
    "count": Suffixes.count,
    "any": Suffixes.any,
    "sum": Suffixes.total,
    "max": Suffixes.greatest,
    "distinct": Suffixes.distinct,
    "last": Suffixes.latest,
    "days_since": Suffixes.days_since,
    "days_first": Suffixes.days_first,
}
"""Aggregate -> how it is read off the sorted facts; one not named here goes the reference's way."""

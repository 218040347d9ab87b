"""The fast engine: joins once for everybody, then one sort and a few kernels a column.

It executes the catalogue for all subjects together: facts of a stream come from ``facts.FactStore``; a feature's
conditions become one mask over them (each condition is evaluated once, however many features share it); the
kernels turn the masked facts into one integer column a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import polars as pl

from features.asof import micros
from features.catalogue import Column, Condition, Feature
from features.engines import kernels
from features.engines.facts import FactStore, events_at
from features.engines.formulas import Bools, Cells, Ints
from features.records import Records

#: Aggregates that have a value, 0, in an empty window.
ALWAYS_KNOWN = ("count", "distinct", "any")


def subjects(records: Records, subject: str, t: datetime) -> pl.DataFrame:
    """Every suspect (offender), victim or pair (dyad) of a domestic event known at T, sorted by key."""
    events = events_at(records, t)
    domestic = events.events.filter(pl.col("domestic") == "Y").select("e")
    if subject == "dyad":
        pairs = events.pairs.join(domestic, on="e", how="semi")
        return pairs.select(suspect_id="suspect", victim_id="victim").unique().sort("suspect_id", "victim_id")
    people = events.suspects if subject == "offender" else events.victims
    return people.join(domestic, on="e", how="semi").select(person_id="person").unique().sort("person_id")


def compute(
    records: Records, subject: str, t: datetime, keys: pl.DataFrame, columns: Sequence[Column]
) -> dict[str, Cells]:
    """Integer cells of each column (formula columns excepted) for the subjects in ``keys``, in their order.

    ``keys`` holds the key columns of the subject, each key once; ``columns`` are columns of the catalogue.
    """
    numbered = keys.with_row_index("subject").with_columns(pl.col("subject").cast(pl.Int64))
    store = FactStore(records, t, numbered, fields_read(columns))
    out: dict[str, Cells] = {}
    for stream in dict.fromkeys(c.feature.source for c in columns):
        mine = [c for c in columns if c.feature.source == stream]
        table = _Table(store.facts(stream), keys.height, micros(t))
        for feature in dict.fromkeys(c.feature for c in mine):
            windows = {c.name: c.window for c in mine if c.feature is feature}
            out.update(table.run(feature, windows))
    return out


def fields_read(columns: Sequence[Column]) -> dict[str, set[str]]:
    """Per stream, the fields that the features of these columns read."""
    read: dict[str, set[str]] = {}
    for column in columns:
        feature = column.feature
        fields = read.setdefault(feature.source, set())
        fields.update(field for condition in feature.where for field in condition.fields)
        if feature.value:
            fields.add(feature.value)
    return read


class _Table:
    """One stream's facts as arrays, with its conditions evaluated at most once each."""

    def __init__(self, facts: pl.DataFrame, n: int, t: int) -> None:
        self.facts, self.n, self.t = facts, n, t
        self.subject: Ints = facts["subject"].to_numpy()
        self.at: Ints = facts["at"].to_physical().to_numpy()
        self._met: dict[Condition, Bools] = {}
        self._values: dict[str, tuple[Ints, Bools]] = {}

    def run(self, feature: Feature, windows: dict[str, int | None]) -> dict[str, Cells]:
        """The feature's columns: name -> cells. What its windows share, the sorting, the running total and the scan
        for maxima, is done once for all of them."""
        mask = self._mask(feature)
        subject, at = self.subject[mask], self.at[mask]
        value = self._value(feature.value)[0][mask] if feature.value else None
        facts = kernels.Sorted.build(self.n, subject, at, value, in_order=feature.aggregate != "last")
        if feature.aggregate == "distinct":
            facts = kernels.distinct_only(facts)
        starts = {name: kernels.window_start(self.t, window) for name, window in windows.items()}
        names = sorted(starts, key=lambda name: -starts[name])  # from the shortest window to the longest
        spans = [facts.since(starts[name]) for name in names]
        made = self._aggregate(feature.aggregate, facts, spans)
        everyone = np.ones(self.n, dtype=np.bool_)
        out: dict[str, Cells] = {}
        for name, span, values in zip(names, spans, made, strict=True):
            valid = everyone if feature.aggregate in ALWAYS_KNOWN else span.some
            if valid is not everyone:
                empty = feature.empty or 0
                values, valid = np.where(valid, values, empty), valid if feature.empty is None else everyone
            out[name] = Cells(values, valid)
        return {name: out[name] for name in windows}

    def _aggregate(self, kind: str, facts: kernels.Sorted, spans: list[kernels.Spans]) -> list[Ints]:
        """Values of one aggregate, window by window; whatever stands in an empty window is nobody's."""
        if kind in ("count", "distinct"):
            return [span.number for span in spans]
        if kind == "any":
            return [span.some.astype(np.int64) for span in spans]
        if kind == "days_since":
            return [(self.t - kernels.latest(facts.at, span)) // kernels.DAY for span in spans]
        if kind == "days_first":
            return [(self.t - kernels.first(facts.at, span)) // kernels.DAY for span in spans]
        assert facts.value is not None
        if kind == "sum":
            totals = kernels.running(facts.value)
            return [kernels.total(totals, span) for span in spans]
        if kind == "max":
            return kernels.greatest(facts.value, spans)
        return [kernels.latest(facts.value, span) for span in spans]

    def _mask(self, feature: Feature) -> Bools:
        mask = np.ones(self.subject.size, dtype=np.bool_)
        for condition in feature.where:
            mask &= self._condition(condition)
        if feature.value:
            mask &= self._value(feature.value)[1]
        return mask

    def _condition(self, condition: Condition) -> Bools:
        if condition not in self._met:
            self._met[condition] = self.facts.select(met=meets(condition))["met"].to_numpy()
        return self._met[condition]

    def _value(self, field: str) -> tuple[Ints, Bools]:
        """A field as integers (text as codes: only sameness matters) and where it is not null."""
        if field not in self._values:
            column = self.facts[field]
            present = column.is_not_null().to_numpy()
            if column.dtype == pl.String:
                column = column.rank("dense")
            self._values[field] = (column.fill_null(0).cast(pl.Int64).to_numpy(), present)
        return self._values[field]


def meets(condition: Condition) -> pl.Expr:
    """A condition as a Polars expression that is never null: an empty field does not meet it."""
    tests = [
        pl.col(field) >= condition.minimum
        if condition.minimum is not None
        else pl.col(field).is_in(list(condition.values))
        for field in condition.fields
    ]
    return pl.any_horizontal([test.fill_null(False) for test in tests])

"""The task by the product's own engine, ``features.windows``."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from benchmarks.asof.task import CATEGORIES, WINDOWS, columns
from features.windows import Measure, windows

MEASURES = (
    Measure("count", "count"),
    Measure("sum", "sum", "amount"),
    Measure("max", "max", "amount"),
    Measure("days_since", "days_since"),
    *(Measure(f"cat{c}", "count", where=pl.col("category") == c) for c in range(CATEGORIES)),
)


def run(events: pl.DataFrame, rows: pl.DataFrame, plan: str = "auto") -> pl.DataFrame:
    """T is t 00:00 minus one second: in whole days, the day before t."""
    seen = rows.select("person", pl.col("t") - timedelta(days=1))
    answer = windows(
        events, seen, key="person", at="date", t="t", lengths=WINDOWS, measures=MEASURES, plan=plan
    )
    return answer.select("person", pl.col("t") + timedelta(days=1), *columns())


def run_sorted(events: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """The same, made to sort whatever the size."""
    return run(events, rows, "sorted")


def run_join(events: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """The same, made to join whatever the size."""
    return run(events, rows, "join")

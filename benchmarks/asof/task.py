"""The task, in words and in ten lines of Python, and the data it runs on.

*Words.* Given events (person, date, amount, category 0..4) and rows (person, t): for every row and each of five
windows of w days, over the person's events with t - w <= date < t: how many there are, the sum and the greatest of
their amounts, whole days from the latest to T, and how many there are of each category. T is t 00:00 minus one second,
so an event of the day before t is 0 whole days ago. Nothing in the window: 0, 0, null, null, 0. That is 45 columns.

*Shapes*, a million events over six years each, persons unequal (gamma-Poisson):

====  ======================================  ===========  ==================================================
name  persons                                 rows         what it is
====  ======================================  ===========  ==================================================
A     100,000, 10 events each on average      20,000       a weekly list: on 24 month starts
B     the same                                20,000       training by episodes: each row on a date of its own
C     the same                                1,200,000    a training matrix: everyone, 12 month starts
D     5,000, 200 events each on average       120,000      long histories: everyone, 24 month starts
====  ======================================  ===========  ==================================================

Input and output are Parquet files. Engines get both tables in an order that is nobody's: shuffled.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date, timedelta
from pathlib import Path

import polars as pl

WINDOWS = (30, 90, 180, 365, 730)
CATEGORIES = 5
SHAPES = ("A", "B", "C", "D")
FIRST_DAY, LAST_DAY = date(2018, 1, 1), date(2023, 12, 31)
EVENTS = 1_000_000


def columns() -> list[str]:
    """Names of the 45 columns, in the order they are written."""
    return [
        name
        for w in WINDOWS
        for name in (
            f"count_{w}",
            f"sum_{w}",
            f"max_{w}",
            f"days_since_{w}",
            *(f"cat{c}_{w}" for c in range(CATEGORIES)),
        )
    ]


def month_starts(number: int) -> list[date]:
    """The last ``number`` month starts of the six years."""
    months = [date(y, m, 1) for y in range(FIRST_DAY.year, LAST_DAY.year + 1) for m in range(1, 13)]
    return months[-number:]


def make(shape: str, folder: Path, seed: int = 1, events: int = EVENTS) -> None:
    """Write ``events.parquet`` and ``rows.parquet`` of a shape to ``folder``; fewer ``events`` scale all of it."""
    import numpy as np  # only here: an engine that needs no NumPy shall not pay for loading it

    random = np.random.default_rng([seed, ord(shape)])
    scale = events / EVENTS
    persons = max(2, round((5_000 if shape == "D" else 100_000) * scale))
    weights = random.gamma(0.8, size=persons)
    person = random.choice(persons, size=events, p=weights / weights.sum())
    days = (LAST_DAY - FIRST_DAY).days + 1
    pl.DataFrame(
        {
            "person": person.astype(np.int64),
            "date": pl.Series(random.integers(0, days, events).astype(np.int32) + _number(FIRST_DAY)).cast(
                pl.Date
            ),
            "amount": random.integers(0, 100_000, events),
            "category": random.integers(0, CATEGORIES, events).astype(np.int8),
        }
    ).write_parquet(folder / "events.parquet")
    everyone = np.arange(persons)
    starts = np.array([_number(d) for d in month_starts(12 if shape == "C" else 24)])
    if shape in "CD":
        who, when = np.repeat(everyone, len(starts)), np.tile(starts, persons)
    else:
        number = min(round(20_000 * scale), persons)
        who = random.choice(persons, number, replace=False)
        first = _number(LAST_DAY) - 730
        when = random.choice(starts, number) if shape == "A" else first + random.integers(0, 730, number)
    order = random.permutation(len(who))
    rows = {"person": who[order].astype(np.int64), "t": pl.Series(when[order].astype(np.int32)).cast(pl.Date)}
    pl.DataFrame(rows).write_parquet(folder / "rows.parquet")


def brute(events: list[tuple[date, int, int]], t: date) -> list[int | None]:
    """The 45 cells of one row, from the person's (date, amount, category)s: the words above, as a loop."""
    cells: list[int | None] = []
    for w in WINDOWS:
        inside = [e for e in events if t - timedelta(days=w) <= e[0] < t]
        cells.append(len(inside))
        cells.append(sum(amount for _, amount, _ in inside))
        cells.append(max((amount for _, amount, _ in inside), default=None))
        cells.append(min(((t - day).days - 1 for day, _, _ in inside), default=None))
        cells.extend(sum(category == c for _, _, category in inside) for c in range(CATEGORIES))
    return cells


def canonical(answer: pl.DataFrame) -> pl.DataFrame:
    """An engine's answer in one order and one type, so that equal answers are equal frames."""
    return answer.select("person", "t", *(pl.col(c).cast(pl.Int64) for c in columns())).sort("person", "t")


def wrong_cells(answer: pl.DataFrame, folder: Path, sample: int = 300, seed: int = 7) -> int:
    """Cells of ``answer`` that differ from :func:`brute` on a sample of rows (a row missing: all 45 are wrong)."""
    rows = pl.read_parquet(folder / "rows.parquet").sample(sample, seed=seed)
    events = pl.read_parquet(folder / "events.parquet")
    histories: dict[int, list[tuple[date, int, int]]] = {}
    for person, *event in events.filter(pl.col("person").is_in(rows["person"].implode())).iter_rows():
        histories.setdefault(person, []).append(tuple(event))
    found = {
        (r[0], r[1]): r[2:] for r in canonical(answer.join(rows, on=["person", "t"], how="semi")).iter_rows()
    }
    nothing = tuple(object() for _ in columns())
    return sum(
        a != b
        for person, t in rows.iter_rows()
        for a, b in zip(brute(histories.get(person, []), t), found.get((person, t), nothing), strict=True)
    )


def digest(answer: pl.DataFrame) -> str:
    """One short name for a whole answer: the same for two engines exactly when every cell is the same."""
    frame = canonical(answer)
    whole = hashlib.sha256(json.dumps([frame.height, frame.columns]).encode())
    for name in frame.columns:
        whole.update(frame[name].hash(seed=1).to_numpy().tobytes())
    return whole.hexdigest()[:12]


def _number(day: date) -> int:
    return (day - date(1970, 1, 1)).days

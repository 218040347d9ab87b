"""features.windows: both plans against a plain loop, on random events; edges; refusals."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.asof import others, ours, task
from benchmarks.asof.polars_forms import FORMS
from features.errors import InputError
from features.windows import Measure, windows

LENGTHS = (30, 7, 365)
MEASURES = [
    Measure("events", "count"),
    Measure("grave", "count", where=pl.col("grade") == 2),
    Measure("harm", "sum", "harm"),
    Measure("grave_harm", "sum", "harm", where=pl.col("grade") == 2),
    Measure("worst", "max", "harm"),
    Measure("grave_worst", "max", "harm", where=pl.col("grade") == 2),
    Measure("since", "days_since"),
    Measure("grave_since", "days_since", where=pl.col("grade") == 2),
]
Event = tuple[str, datetime, int | None, int | None]


def loop(events: list[Event], person: str, t: datetime, unit: timedelta) -> dict[str, int | None]:
    """The meaning, as a loop. ``unit``: what one tick of time is (a day or a microsecond) plays no part but in days."""
    cells: dict[str, int | None] = {}
    for w in LENGTHS:
        own = [e for e in events if e[0] == person and t - timedelta(days=w) < e[1] <= t]
        for name, inside in (("", own), ("grave_", [e for e in own if e[3] == 2])):
            values = [e[2] for e in inside if e[2] is not None]
            cells[f"{'grave' if name else 'events'}_{w}"] = len(inside)
            cells[f"{name}harm_{w}"] = sum(values)
            cells[f"{name}worst_{w}"] = max(values, default=None)
            cells[f"{name}since_{w}"] = min(((t - e[1]) // timedelta(days=1) for e in inside), default=None)
    return cells


def tables(
    events: list[Event], rows: list[tuple[str, datetime]], dates: bool, numbers: bool
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The same as frames: times as dates or datetimes, keys as strings or far-apart integers."""
    time = pl.Datetime("us", "UTC")
    frames = (
        pl.DataFrame(
            events, {"key": pl.String, "at": time, "harm": pl.Int64, "grade": pl.Int8}, orient="row"
        ),
        pl.DataFrame(rows, {"key": pl.String, "t": time}, orient="row"),
    )
    codes = {"a": -3, "b": 0, "c": 9_000_000_000_000}
    out = []
    for frame, when in zip(frames, ("at", "t"), strict=True):
        if dates:
            frame = frame.with_columns(pl.col(when).dt.date())
        if numbers:
            frame = frame.with_columns(pl.col("key").replace_strict(codes, return_dtype=pl.Int64))
        out.append(frame)
    return out[0], out[1]


START = datetime(2024, 1, 1, tzinfo=UTC)
moments = st.one_of(
    st.integers(0, 400).map(lambda d: START + timedelta(days=d)),
    st.integers(0, 400 * 86_400).map(lambda s: START + timedelta(seconds=s, microseconds=s % 7)),
)
persons = st.sampled_from(["a", "b", "c"])
event = st.tuples(
    persons, moments, st.one_of(st.none(), st.integers(-5, 9)), st.one_of(st.none(), st.integers(1, 2))
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(event, max_size=30),
    st.lists(st.tuples(persons, moments), max_size=8),
    st.booleans(),
    st.booleans(),
)
def test_both_plans_give_what_a_loop_gives(
    events: list[Event], rows: list[tuple[str, datetime]], dates: bool, numbers: bool
) -> None:
    if dates:
        events = [(p, at.replace(hour=0, minute=0, second=0, microsecond=0), h, g) for p, at, h, g in events]
        rows = [(p, t.replace(hour=0, minute=0, second=0, microsecond=0)) for p, t in rows]
    rows = sorted(rows)
    expected = [loop(events, p, t, timedelta(days=1)) for p, t in rows]
    own, asked = tables(events, rows, dates, numbers)
    for plan in ("sorted", "join", "auto"):
        answer = windows(own, asked, key="key", at="at", t="t", lengths=LENGTHS, measures=MEASURES, plan=plan)
        assert answer.columns == ["key", "t", *(f"{m.name}_{w}" for w in LENGTHS for m in MEASURES)]
        assert answer.select("key", "t").equals(asked.sort("key", "t")), plan
        assert answer.drop("key", "t").to_dicts() == expected or (not rows and answer.height == 0), plan


def test_plans_agree_on_types_and_on_more_rows_than_a_block() -> None:
    days = pl.date_range(date(2020, 1, 1), date(2023, 12, 31), "1d", eager=True)
    rows = pl.DataFrame({"key": range(50)}).join(days.alias("t").to_frame(), how="cross")
    assert rows.height > 65_536
    events = rows.sample(3_000, seed=1).select(
        "key", at="t", harm=pl.int_range(pl.len()), grade=pl.col("key") % 3
    )
    made = [
        windows(events, rows, key="key", at="at", t="t", lengths=LENGTHS, measures=MEASURES, plan=plan)
        for plan in ("sorted", "join")
    ]
    assert made[0].schema == made[1].schema
    assert made[0].equals(made[1])


def test_microseconds_over_many_persons_do_not_overflow() -> None:
    n = 200_000  # persons x microseconds of six years would not fit one integer
    at = datetime(2018, 1, 1, tzinfo=UTC)
    events = pl.DataFrame({"key": range(n)}).with_columns(
        at=pl.lit(at) + pl.duration(days=pl.col("key") % 2000, microseconds=pl.col("key"))
    )
    rows = events.select("key", t="at")
    ask = {"key": "key", "at": "at", "t": "t", "lengths": (1,)}
    measures = [Measure("n", "count"), Measure("since", "days_since")]
    just, before = (
        windows(events, r, **ask, measures=measures, plan="sorted")  # type: ignore[arg-type]
        for r in (rows, rows.with_columns(pl.col("t") - pl.duration(microseconds=1)))
    )
    assert just["n_1"].eq(1).all()
    assert just["since_1"].eq(0).all()
    assert before["n_1"].eq(0).all()
    assert before["since_1"].null_count() == n


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"key": "nobody"}, "lack the column nobody"),
        ({"lengths": (0,)}, "window lengths"),
        ({"lengths": ()}, "window lengths"),
        ({"plan": "fastest"}, "no plan 'fastest'"),
        ({"measures": [Measure("x", "mean", "harm")]}, "Kinds are"),
        ({"measures": [Measure("x", "sum")]}, "sum of None"),
        ({"measures": [Measure("x", "count"), Measure("x", "count")]}, "name of its own"),
        ({"measures": [Measure("x", "sum", "share")]}, "share is no integer"),
        ({"t": "later"}, "times of type"),
    ],
)
def test_what_cannot_be_read_is_refused(change: dict[str, object], says: str) -> None:
    events = pl.DataFrame({"key": ["a"], "at": [date(2024, 1, 1)], "harm": [1], "share": [0.5]})
    rows = pl.DataFrame({"key": ["a"], "t": [date(2024, 1, 2)], "later": [START]})
    ask: dict[str, object] = {
        "key": "key", "at": "at", "t": "t", "lengths": (7,), "measures": [Measure("n", "count")], "plan": "auto",
    }  # fmt: skip
    with pytest.raises(InputError, match=says):
        windows(events, rows, **{**ask, **change})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no key or no T"):
        windows(events, pl.concat([rows, rows.clear(1)]), **ask)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", ["A", "B", "C", "D"])
def test_every_engine_of_the_benchmark_gives_the_same_cells(shape: str, tmp_path: Path) -> None:
    task.make(shape, tmp_path, seed=2, events=3_000)
    events, rows = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("events", "rows"))
    right = ours.run_sorted(events, rows)
    assert task.wrong_cells(right, tmp_path, sample=30) == 0
    engines = {"join": ours.run_join, "auto": ours.run, "numpy": others.numpy, **FORMS}
    differ = [n for n, run in engines.items() if task.digest(run(events, rows)) != task.digest(right)]
    assert not differ


def test_the_benchmark_sees_a_wrong_cell_and_a_missing_row(tmp_path: Path) -> None:
    task.make("D", tmp_path, seed=2, events=3_000)
    right = ours.run(*(pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("events", "rows")))
    off_by_one = right.with_columns(pl.col("count_90") + 1)
    assert task.wrong_cells(off_by_one, tmp_path, sample=30) == 30
    assert task.wrong_cells(right.clear(), tmp_path, sample=30) == 30 * 45
    first_row = pl.int_range(pl.len()) == 0
    one_cell = right.with_columns(pl.when(first_row).then(-1).otherwise("sum_30").alias("sum_30"))
    assert task.digest(one_cell) != task.digest(right)
    assert task.digest(right.reverse()) == task.digest(right)

"""A slice of the records gives the same bits as the whole, at every T, and is small."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from features.assurance import TABLES, random_extract
from features.catalogue import KEYS
from features.clocks import canonical
from features.examples import records_of
from features.histories import histories, subjects_at
from features.records import Records
from features.slices import POINTERS, around, within

T = datetime(2024, 6, 1, 5, tzinfo=UTC)
ROWS = {table: 30 if table in ("event", "involvement", "offence") else 9 for table in TABLES}
SUBJECTS = ("offender", "victim", "dyad")


def towns(number: int, seed: int) -> dict[str, pl.DataFrame]:
    """Several small random worlds in one extract, their ids told apart, so that a slice can leave some out."""
    parts = []
    for town in range(number):
        raw = random_extract(ROWS, seed + town, T)
        parts.append({name: _renamed(frame, f"t{town}.") for name, frame in raw.items()})
    return {name: pl.concat([part[name] for part in parts]) for name in TABLES}


def _renamed(frame: pl.DataFrame, prefix: str) -> pl.DataFrame:
    ids = [c for c in frame.columns if c.endswith(("_id", "_id_a", "_id_b"))]
    return frame.with_columns((pl.lit(prefix) + pl.col(c)).alias(c) for c in ids)


@pytest.fixture(scope="module")
def world() -> Records:
    return Records.from_canonical(canonical(towns(12, 70)))


def people(frame: pl.DataFrame) -> pl.Series:
    return pl.concat([frame[c].rename("person") for c in frame.columns]).unique()


def test_every_table_of_the_store_says_whose_its_rows_are(world: Records) -> None:
    assert set(world.tables) <= set(POINTERS)
    for name, columns in POINTERS.items():
        if name in world.tables:
            assert set(columns) <= set(world.table(name).columns), name


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("days", [0, 200])
def test_a_slice_gives_the_same_bits(world: Records, subject: str, days: int) -> None:
    t = T - timedelta(days=days)
    known = subjects_at(world, subject, t)
    assert known.height > 5
    for asked in (known[:1], known[3:5], known[-1:]):
        small = around(world, people(asked))
        assert small.table("event").height < world.table("event").height
        whole = histories(world, subject, t, subjects=asked)
        cut = histories(small, subject, t, subjects=asked)
        assert whole.schema == cut.schema
        differ = [c for c in whole.columns if not whole[c].equals(cut[c], null_equal=True)]
        assert not differ, differ


def test_a_slice_of_everyone_is_everything(world: Records) -> None:
    everyone = world.table("person")["person_id"]
    whole = around(world, pl.concat([everyone, pl.Series(["nobody"])]))
    named = around(world, pl.Series(["nobody"]))
    assert all(frame.is_empty() for frame in named.tables.values())
    for name in ("event", "involvement", "offence"):
        ids = set(whole.table(name)["event_id"])
        assert ids <= set(world.table(name)["event_id"])
        assert whole.table(name).height > 0.9 * world.table(name).height
    assert whole.missing == world.missing
    assert whole.load_id != world.load_id


def test_steps_follow_events_children_relationships_and_orders() -> None:
    records = records_of(
        [
            "event E1 2024-05-01 A>B",
            "role E1 K child",
            "event E2 2024-05-02 C>D",
            "role E2 K child",
            "relationship D partner F 2020-01-01",
            "event E3 2024-05-03 G>F",
            "event E4 2024-05-04 X>Y",
        ]
    )
    names = {steps: set(within(records, pl.Series(["A"]), steps)) for steps in (0, 1, 2, 3)}
    assert names[0] == {"A"}
    assert names[1] == {"A", "B", "K", "C", "D"}, "a common child is one tie, not two"
    assert names[2] == names[1] | {"F"}
    assert names[3] == names[2] | {"G"}
    assert not {"X", "Y"} & names[3]


def test_a_slice_of_two_persons_holds_the_order_that_a_third_breached() -> None:
    records = records_of(
        ["event E1 2024-05-01 A>B", "order O1 DVPO Z B 2024-01-01", "breach A 2024-05-02 order_id=O1"]
    )
    pair = pl.DataFrame({"suspect_id": ["A"], "victim_id": ["B"]})
    small = around(records, people(pair), steps=0)
    assert small.table("order").height == 1
    whole, cut = (histories(r, "dyad", T, subjects=pair) for r in (records, small))
    assert whole.equals(cut, null_equal=True)
    assert KEYS["dyad"] == ("suspect_id", "victim_id")


def test_what_a_store_carries_along_is_carried(world: Records) -> None:
    lacking = replace(world, missing=frozenset({"call"}))
    assert around(lacking, pl.Series(["t0.P1"])).missing == {"call"}

"""Rows added to a load give what one ingest of everything would have given, whole or not at all."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from features import append as module
from features import disk, segments
from features.append import NEEDS_INGEST, append, append_folder
from features.apart import open_audit, open_identity
from features.assurance import random_extract, unambiguous
from features.errors import InputError
from features.histories import histories
from features.home import Home
from features.ingest import ingest
from features.schema import SPECS, parents_first

REPOSITORY = Path(__file__).parent.parent
T = datetime(2024, 6, 1, 5, tzinfo=UTC)
ROWS = dict.fromkeys(SPECS, 10) | {
    "event": 25,
    "involvement": 40,
    "offence": 25,
    "person": 14,
    "residence": 20,
}
Raw = dict[str, pl.DataFrame]


def everything(seed: int) -> Raw:
    """A random extract of every table; what police set going stays so, and nobody is restricted."""
    from features import assurance

    spare, assurance.TABLES = assurance.TABLES, tuple(SPECS)
    try:
        raw = random_extract(ROWS, seed, T)
    finally:
        assurance.TABLES = spare
    proactive = pl.col("event_id").str.extract(r"(\d+)").cast(pl.Int64) % 4 == 0
    long_ago = datetime(2010, 1, 1, tzinfo=UTC)
    raw["event"] = (
        raw["event"]
        .with_columns(
            source=pl.when(proactive).then(pl.lit("police_proactive")).otherwise(pl.lit("victim")),
            occurred_at=pl.when(proactive).then(long_ago).otherwise("occurred_at"),
            recorded_at=pl.when(proactive).then(long_ago).otherwise("recorded_at"),
        )
        .filter(~proactive | pl.col("event_id").is_first_distinct())
    )
    for table, spec in SPECS.items():  # what a row hangs on stays as it was
        hung = [c for c in ("event_id", "custody_id", "bail_id") if c in spec.parents and c not in spec.key]
        raw[table] = raw[table].with_columns(pl.col(c).first().over(spec.key[0]) for c in hung)
    raw["breach"] = raw["breach"].with_columns(source=pl.lit("victim"))
    raw["address"] = raw["address"].with_columns(kind=pl.lit("dwelling"))
    return unambiguous(raw)


def parted(raw: Raw, seed: int, share: float = 0.6) -> tuple[Raw, Raw]:
    """Rows that came first, and the rest; nothing came before what it points to."""
    draw = random.Random(seed)
    first: Raw = {}
    for name in parents_first():
        frame, spec = raw[name], SPECS[name]
        known = pl.lit(True)
        for column, (parent, target) in spec.parents.items():
            late = set(raw[parent][target]) - set(first[parent][target])
            known &= ~pl.col(column).is_in(list(late)).fill_null(False)
        picked = pl.Series([draw.random() < share for _ in range(frame.height)], dtype=pl.Boolean)
        if (
            name == "event"
        ):  # an event known sooner than the load has it needs a full ingest; tested by itself
            clock = pl.coalesce("recorded_at", pl.max_horizontal("occurred_at", "reported_at"))
            oldest = frame.select((clock == clock.min().over("event_id")).fill_null(False)).to_series()
            late = frame.filter(~picked & oldest)["event_id"].unique().implode()
            known &= ~pl.col("event_id").is_in(late)
        first[name] = frame.filter(known & picked)
    rest = {n: f.join(first[n].with_row_index("_i"), on=f.columns, how="anti", nulls_equal=True) if "conditions" not in f.columns
            else _less(f, first[n]) for n, f in raw.items()}  # fmt: skip
    return first, rest


def _less(frame: pl.DataFrame, part: pl.DataFrame) -> pl.DataFrame:
    gone = [json.dumps(row, default=str) for row in part.iter_rows()]
    keep = [json.dumps(row, default=str) not in gone for row in frame.iter_rows()]
    return frame.filter(pl.Series(keep, dtype=pl.Boolean))


def write(folder: Path, raw: Raw) -> Path:
    folder.mkdir(parents=True)
    (folder / "extract.json").write_text('{"nature": "simulated"}')
    for name, frame in raw.items():
        frame.write_parquet(folder / f"{name}.parquet")
    return folder


def stores(home: Home) -> dict[str, pl.DataFrame]:
    load = home.require()
    found = {f"records/{n}": f for n, f in load.records().tables.items()}
    found |= {f"identity/{n}": f for n, f in open_identity(load).items()}
    return found | {f"audit/{n}": f for n, f in open_audit(load).items()}


def same_stores(one: Home, two: Home) -> None:
    a, b = stores(one), stores(two)
    assert a.keys() == b.keys()
    for name in a:
        left, right = (
            sorted(json.dumps(row, default=str) for row in frame.iter_rows(named=True))
            for frame in (a[name], b[name])
        )
        assert left == right, (name, set(left) ^ set(right))
        if name != "identity/event_place":
            assert a[name].equals(b[name], null_equal=True), f"{name}: the order of rows"
    assert one.require().records().missing == two.require().records().missing


@pytest.mark.parametrize("seed", range(4))
def test_a_load_and_what_is_added_make_the_load_of_everything(tmp_path: Path, seed: int) -> None:
    raw = everything(seed)
    for attempt in range(4):  # what an append may refuse is tested by itself: here such records are left out
        refused = both_ways(tmp_path / str(attempt), raw, seed)
        if not refused:
            break
        for table, key in refused:
            raw[table] = raw[table].filter(pl.col(SPECS[table].key[0]) != key)
    assert not refused
    whole, grown = Home(tmp_path / str(attempt) / "whole"), Home(tmp_path / str(attempt) / "grown")
    same_stores(whole, grown)
    assert whole.require().records().table("event").height > 5
    assert open_audit(whole.require())["proactive_event"].height > 0
    for subject in ("offender", "victim", "dyad"):
        a, b = (histories(home.require().records(), subject, T) for home in (whole, grown))
        assert a.equals(b, null_equal=True)


def both_ways(folder: Path, raw: Raw, seed: int) -> set[tuple[str, str]]:
    """Ingest everything at once, and in three parts; (table, key) of rows that an append refused."""
    first, rest = parted(raw, seed)
    second, third = parted(rest, seed + 1)
    assert min(sum(frame.height for frame in part.values()) for part in (second, third)) > 20
    ingest(write(folder / "all", raw), Home(folder / "whole"))
    grown = Home(folder / "grown")
    ingest(write(folder / "first", first), grown)
    refused = set()
    for number, part in enumerate((second, third), start=1):
        report = append_folder(write(folder / f"part{number}", part), grown)
        assert report.segment == number
        refused |= {
            (
                fault["table"],
                part[fault["table"]].row(fault["line"] - 1, named=True)[SPECS[fault["table"]].key[0]],
            )
            for fault in report.faults
            if fault["reason"].startswith(NEEDS_INGEST)
        }
    return refused

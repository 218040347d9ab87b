"""One person asked for live on a large force: the time of a whole history row and score, and of an added event.

    python -m benchmarks.live HOME [--extract DIR] [--persons 400] [--seconds 10] [--model model.json]

HOME is a home to work in; with ``--extract`` that extract is ingested into it first (a force of 400,000 events:
``doorstep simulate DIR --events-per-year 35000 --years 10``). **An event is added to the load in HOME**, so give it
one of its own. Without a model in HOME or ``--model`` a stand-in over every column a model may take is scored: only
the time is looked at.

Persons are drawn from the cohort at the last event's time, with the busiest 20 among them; each is asked for alone:
rows gathered by index, the whole history row (every declared column), cohort line and score (``risk.score.score``).
Beside it, in the same turn: the same by search instead of by index (``features.slices.around`` and the fast engine) on
a few persons, and the batch of the whole cohort divided by its size. For a sample the answer is compared with the
batch, bit for bit.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from features.append import append
from features.cohort import cohort
from features.histories import histories
from features.home import Home, Load
from features.ingest import ingest
from features.slices import around
from models.dataset import model_columns
from models.scorer import FORMAT
from models.store import champion
from risk.score import score, score_records

BAR_P99, BAR_RATE = 25.0, 50.0


def stand_in(load: Load) -> dict[str, Any]:
    """A model document over every column a model may take; its weights say nothing."""
    columns = list(model_columns(load.records().missing).shapes)
    terms = [
        {
            "column": c,
            "kind": kind,
            "a": a,
            "b": 0.0,
            "fill": 0.0,
            "center": 0.0,
            "scale": 1.0,
            "weight": 0.01,
        }
        for c in columns
        for kind, a in (("log1p", 50.0), ("missing", 0.0))
    ]
    head = {"kind": "linear", "intercept": -3.0, "terms": terms}
    harm = {"scale": 1.0, "serious_days": 250.0, "other_days": 8.0}
    return {"format": FORMAT, "version": "stand-in", "key": "person_id",
            "heads": {"serious": head, "other": head}, "harm_parts": harm}  # fmt: skip


def timed(work: Callable[[], object]) -> float:
    """Wall milliseconds of one call."""
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1e3


def spread(times: list[float]) -> str:
    """p50, p99 and the largest."""
    p50, p99 = np.percentile(times, [50, 99])
    return f"p50 {p50:6.1f}  p99 {p99:6.1f}  max {max(times):6.1f} ms"


def an_event(person: str, at: datetime, number: int) -> dict[str, list[dict[str, Any]]]:
    """One domestic assault of which the person is suspected."""
    event = f"BENCH-{os.getpid()}-{number}"
    when = at.isoformat()
    return {
        "event": [
            {"event_id": event, "kind": "crime", "occurred_at": when, "domestic": "Y", "source": "victim"}
        ],
        "involvement": [{"event_id": event, "person_id": person, "role": "suspect", "victim_id": None}],
        "offence": [{"offence_id": event, "event_id": event, "ho_code": "8N", "suspect_id": person}],
    }


def sample(load: Load, t: datetime, members: pl.DataFrame, number: int) -> list[str]:
    """Random members of the cohort, and the 20 suspected most often."""
    part = load.records().table("involvement").filter(pl.col("role") == "suspect")
    busiest = part.group_by("person_id").len().sort("len", "person_id", descending=[True, False])
    ids = members["person_id"].to_list()
    known = set(ids)
    busy = [p for p in busiest["person_id"].head(100) if p in known][:20]
    return list(dict.fromkeys([*busy, *random.Random(1).sample(ids, min(number, len(ids)))]))


def run(home: Home, doc: Mapping[str, Any] | None, persons: int, seconds: float) -> dict[str, float]:
    """Measure and print; the figures by name."""
    load = home.require()
    reading = timed(load.records)
    indexing = timed(load.ready)
    live = load.__dict__["_live"]
    records = load.records()
    t = records.table("event")["occurred_at"].max()
    assert isinstance(t, datetime)
    doc = doc or stand_in(load)
    members = cohort(records, t)
    rows = {name: records.table(name).height for name in ("event", "involvement", "person")}
    print(f"{rows['event']:,} events, {rows['involvement']:,} involvements, {rows['person']:,} persons; "
          f"cohort {members.height:,}")  # fmt: skip
    print(
        f"read {reading / 1e3:.1f} s, index {indexing / 1e3:.1f} s, tables and index {live.bytes() / 1e6:,.0f} MB"
    )
    asked = sample(load, t, members, persons)
    for person in asked[:5]:
        score(load, doc, person, t)  # compiled regular expressions, caches of the catalogue
    times = {person: timed(lambda p=person: score(load, doc, p, t)) for person in asked}
    found = list(times.values())
    print(f"row of {score(load, doc, asked[0], t).features.width} columns and score, {len(found)} persons: "
          f"{spread(found)} (bar p99 {BAR_P99:g})")  # fmt: skip
    print(f"  the busiest 20: {spread(found[:20])}")
    print(f"  the others, drawn at random: {spread(found[20:])}")

    draw, done, begun, cpu = random.Random(2), 0, time.perf_counter(), time.process_time()
    while (spent := time.perf_counter() - begun) < seconds:
        score(load, doc, draw.choice(asked), t)
        done += 1
    rate, cpu_ms = done / spent, (time.process_time() - cpu) * 1e3 / done
    print(f"sustained {rate:.0f} a second by one process (bar {BAR_RATE:g}), {cpu_ms:.1f} ms of CPU each")

    few = asked[20:26]
    whole_ms = timed(lambda: score_records(records, doc, t, whole_row=True))
    batch = score_records(records, doc, t, whole_row=True)
    key = pl.col("person_id")
    for person in asked[:30]:
        alone = score(load, doc, person, t)
        mine = batch.frame.filter(key == person).select("p_serious", "p_any", "expected_harm")
        assert alone.frame.select(mine.columns).rows() == mine.rows(), person
        assert alone.features.equals(batch.features.filter(key == person), null_equal=True), person
    print("the first 30 equal the batch to the bit")
    searched = [timed(lambda p=p: _by_search(load, p, t)) for p in few]
    mean = float(np.mean(found))
    print(f"peers, over ours: fast engine on a slice found by search {np.mean(searched) / mean:.0f} times; "
          f"batch of everyone {whole_ms / 1e3:.1f} s, a person {whole_ms / members.height / mean:.2f}")  # fmt: skip

    appends, sights = [], []
    for number in range(5):
        person = asked[30 + number]
        before = score(load, doc, person, t).features["domestic_events_30d"][0]
        appends.append(timed(lambda n=number, p=person: append(home, an_event(p, t - timedelta(hours=1), n))))
        begun = time.perf_counter()
        after = score(load, doc, person, t).features["domestic_events_30d"][0]
        sights.append((time.perf_counter() - begun) * 1e3)
        assert after == before + 1, "the next call must know of it"
    print(f"append of one event: {', '.join(f'{ms:.0f}' for ms in appends)} ms; "
          f"the next answer, with it: {', '.join(f'{ms:.0f}' for ms in sights)} ms")  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    busy = os.getloadavg()[0]
    print(f"peak memory {peak:,.0f} MB; load average {busy:.1f} on {os.cpu_count()} processors")
    return {"p50": float(np.percentile(found, 50)), "p99": float(np.percentile(found, 99)), "rate": rate}


def _by_search(load: Load, person: str, t: datetime) -> None:
    small = around(load.records(), pl.Series([person]))
    histories(small, "offender", t, subjects=pl.DataFrame({"person_id": [person]}), engine="fast")


def main() -> None:
    """Read the command line, ingest if asked, measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("home", type=Path)
    parser.add_argument("--extract", type=Path)
    parser.add_argument("--persons", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--model", type=Path)
    given = parser.parse_args()
    home = Home(given.home)
    if given.extract:
        ingest(given.extract, home)
    doc: Mapping[str, Any] | None = None
    if given.model:
        doc = json.loads(given.model.read_text(encoding="utf-8"))
    elif (given.home / "models").is_dir():
        doc = champion(given.home)
    run(home, doc, given.persons, given.seconds)


if __name__ == "__main__":
    main()

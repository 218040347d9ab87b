"""Relationships in bulk: every network column for 400,000 persons with 1.5 million involvements.

``python -m benchmarks.graph`` makes a force's worth of ties (seeded), computes every column of the catalogue that rests
on relationships, at one T, for every person who is a suspect or a victim, and prints time and memory. Then the same
count (persons within two steps) and sum (their recent harm) for a sample of persons by NetworkX and by DuckDB, checked
cell by cell against ours. ``--persons`` and ``--involvements`` change the size.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from features.catalogue import load_catalogue
from features.clocks import canonical
from features.engines import fast
from features.engines.facts_network import STREAMS_HERE, Graph
from features.histories import histories, subjects_at
from features.records import Records

T = datetime(2025, 1, 1, 6, tzinfo=UTC)
YEARS = 6
CODES = np.array(["008/06", "105A", "8N", "8L", "8U", "005/01"])
RATES = [0.3, 0.3, 0.2, 0.1, 0.08, 0.02]


def world(persons: int, involvements: int, seed: int) -> Records:
    """A record store of persons in small circles: most events stay inside a circle, one in ten crosses over."""
    rng = np.random.default_rng(seed)
    events = involvements * 10 // 26  # a suspect and a victim each; here and there a second suspect, a child
    circle = 12
    active = rng.gamma(0.6, 1.0, persons)
    suspect = rng.choice(persons, events, p=active / active.sum())
    near = (suspect // circle) * circle + rng.integers(0, circle, events)
    victim = np.where(rng.random(events) < 0.9, near, rng.integers(0, persons, events)) % persons
    second = np.where(rng.random(events) < 0.2, (near + 1) % persons, -1)
    child = np.where(rng.random(events) < 0.4, (suspect // circle) * circle + circle - 1, -1) % persons
    child = np.where(rng.random(events) < 0.4, child, -1)
    when = np.datetime64("2019-01-01T00:00:00", "us") + rng.integers(0, YEARS * 365 * 86_400, events) * 1_000_000
    at = pl.Series(when).dt.replace_time_zone("UTC")
    event_id = pl.Series([f"E{k}" for k in range(events)])
    name = pl.Series([f"P{k:07d}" for k in range(persons)])

    def of(numbers: Any) -> pl.Series:
        return name.gather(pl.Series(np.asarray(numbers, dtype=np.uint32)))

    def part(mask: Any, numbers: Any, role: str, victims: Any = None) -> pl.DataFrame:
        whom = of(victims[mask]) if victims is not None else pl.repeat(None, int(mask.sum()), dtype=pl.String, eager=True)
        return pl.DataFrame(
            {"event_id": event_id.filter(pl.Series(mask)), "person_id": of(numbers[mask]), "victim_id": whom}
        ).with_columns(role=pl.lit(role))

    everyone = np.ones(events, dtype=np.bool_)
    involvement = pl.concat(
        [
            part(everyone, suspect, "suspect", victim),
            part(everyone, victim, "victim"),
            part(second >= 0, second, "suspect", victim),
            part(child >= 0, child, "child"),
        ]
    ).unique(["event_id", "person_id", "role", "victim_id"])
    kin = persons // 3
    a = rng.integers(0, persons, kin)
    b = (a // circle) * circle + rng.integers(0, circle, kin)
    began = pl.Series(np.datetime64("2010-01-01T00:00:00", "us") + rng.integers(0, 14 * 365, kin) * 86_400_000_000)
    relationship = pl.DataFrame(
        {"person_id_a": of(a), "person_id_b": of(b % persons), "started_on": began.dt.replace_time_zone("UTC")}
    ).with_columns(kind=pl.Series(rng.choice(["partner", "ex_partner", "sibling", "parent"], kin)))
    order = pl.DataFrame(
        {
            "order_id": [f"O{k}" for k in range(events // 40)],
            "respondent_id": of(suspect[: events // 40]),
            "protected_id": of(victim[: events // 40]),
            "made_on": at[: events // 40],
        }
    ).with_columns(kind=pl.lit("NMO"))
    home = rng.integers(0, persons // 2, persons)
    frames = {
        "person": pl.DataFrame({"person_id": name}),
        "event": pl.DataFrame({"event_id": event_id, "occurred_at": at}).with_columns(
            kind=pl.lit("crime"), domestic=pl.lit("Y"), first_reporter_id=of(victim)
        ),
        "offence": pl.DataFrame({"offence_id": event_id, "event_id": event_id, "ho_code": rng.choice(CODES, events, p=RATES)}),
        "involvement": involvement,
        "relationship": relationship.unique(["person_id_a", "person_id_b", "kind", "started_on"]),
        "order": order,
        "address": pl.DataFrame({"address_id": [f"A{k}" for k in range(persons // 2)]}).with_columns(kind=pl.lit("dwelling")),
        "residence": pl.DataFrame({"person_id": name, "address_id": [f"A{k}" for k in home]}).with_columns(
            started_on=pl.lit(datetime(2018, 1, 1, tzinfo=UTC))
        ),
    }
    return Records.from_canonical(canonical(frames), load_id=f"graph-{persons}-{seed}")

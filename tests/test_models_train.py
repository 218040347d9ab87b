"""Training end to end on a small made-up force: no future, same bits, fall-backs, files that cannot be altered."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from features.clocks import canonical, parse_as_of
from features.errors import InputError, NotFoundError
from features.records import Records
from models import compare, logistic, store
from models.dataset import Source, label_grid, training_rows
from models.scorer import Scorer

START = datetime(2021, 1, 1, tzinfo=UTC)
END = datetime(2024, 12, 31, 6, tzinfo=UTC)
CODES = ("105/01", "008/06", "058/01", "005/01", "019/08", "008/66")
CHANCE = (0.5, 0.2, 0.15, 0.05, 0.04, 0.06)


def small_force(persons: int = 400, seed: int = 3) -> dict[str, pl.DataFrame]:
    """Raw frames of a force of ``persons`` suspects over four years: a gamma rate each, a few grave offences."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(0.5, 1.6, persons)
    event, offence, involvement, assessment = [], [], [], []
    for i in range(persons):
        grave = 3.0 if rng.random() < 0.2 else 0.6
        for _ in range(rng.poisson(rate[i] * 4)):
            k = len(event)
            at = (START + timedelta(seconds=float(rng.uniform(0, 4 * 365.25 * 86400)))).replace(microsecond=0)
            crime = rng.random() < 0.7
            entered = at + timedelta(hours=float(rng.exponential(20)))
            event.append(
                {
                    "event_id": f"E{k:05d}",
                    "kind": "crime" if crime else "non_crime",
                    "occurred_at": at,
                    "reported_at": at,
                    "domestic": "Y",
                    "source": "victim",
                    "recorded_at": entered,
                }
            )
            involvement.append(
                {
                    "event_id": f"E{k:05d}",
                    "person_id": f"P{i:04d}",
                    "role": "suspect",
                    "victim_id": f"V{i:04d}{int(rng.integers(2))}",
                    "relationship_to_victim": "partner",
                    "recorded_at": entered,
                }
            )
            if crime:
                weights = np.array(CHANCE) * np.array([1, 1, 1, grave, grave, grave])
                offence.append(
                    {
                        "offence_id": f"O{k:05d}",
                        "event_id": f"E{k:05d}",
                        "ho_code": str(rng.choice(CODES, p=weights / weights.sum())),
                        "suspect_id": f"P{i:04d}",
                        "recorded_at": entered,
                    }
                )
            if rng.random() < 0.6:
                assessment.append(
                    {
                        "assessment_id": f"A{k:05d}",
                        "event_id": f"E{k:05d}",
                        "victim_id": f"V{i:04d}0",
                        "suspect_id": f"P{i:04d}",
                        "tool": "DASH",
                        "grade": str(rng.choice(["standard", "medium", "high"])),
                        "completed_at": entered,
                        "recorded_at": entered,
                    }
                )
    person = [
        {"person_id": f"P{i:04d}", "date_of_birth": date(1960 + int(rng.integers(40)), 3, 4)} for i in range(persons)
    ]
    raw = {"person": person, "event": event, "offence": offence}
    raw |= {"involvement": involvement, "risk_assessment": assessment}
    utc = pl.Datetime("us", "UTC")
    frames = {}
    for name, rows in raw.items():
        frame = pl.DataFrame(rows, infer_schema_length=None)
        frames[name] = frame.with_columns(pl.col(c).cast(utc) for c, d in frame.schema.items() if d == pl.Datetime)
    return frames


def records_of(raw: dict[str, pl.DataFrame]) -> Records:
    return Records.from_canonical(canonical(raw))


@pytest.fixture(scope="module")
def raw() -> dict[str, pl.DataFrame]:
    return small_force()


@pytest.fixture(scope="module")
def records(raw: dict[str, pl.DataFrame]) -> Records:
    return records_of(raw)


@pytest.fixture(scope="module")
def doc(records: Records) -> dict:
    return logistic.fit_until(records, END, seed=1)

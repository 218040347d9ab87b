"""A hundred lines of plain Python give the product's numbers, for a model of any family."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from models import families, fitting, plain
from models.scorer import FORMAT, Scorer

SHAPES = {
    "domestic_events_30d": "count",
    "events_ever": "count",
    "harm_365d": "harm",
    "days_since_domestic": "recency",
    "grade": "grade",
    "age": "age",
    "ratio": "number",
    "flag": "flag",
}
DIRECTIONS = {
    "domestic_events_30d": 1,
    "events_ever": 1,
    "harm_365d": 1,
    "days_since_domestic": -1,
    "grade": 1,
}


def rows(n: int = 1600, seed: int = 11) -> pl.DataFrame:
    """(person, T) rows with outcomes, as training sees them; four rows a person."""
    rng = np.random.default_rng(seed)
    recent, harm = rng.poisson(0.5, n), np.round(rng.gamma(0.4, 90, n), 1)
    since = np.where(rng.random(n) < 0.3, np.nan, np.round(rng.exponential(250, n)))
    z = (
        -2.0
        + 0.9 * np.log1p(recent)
        + 0.3 * np.log1p(harm)
        + np.where(np.isnan(since), 0, np.exp(-since / 100))
    )
    serious = rng.random(n) < 1 / (1 + np.exp(-z))
    other = ~serious & (rng.random(n) < 0.4)
    frame = {
        "person_id": [f"P{i // 4:04d}" for i in range(n)],
        "domestic_events_30d": recent,
        "events_ever": recent + rng.poisson(2, n),
        "harm_365d": harm,
        "days_since_domestic": since,
        "grade": np.where(rng.random(n) < 0.5, np.nan, rng.integers(1, 4, n)),
        "age": np.where(rng.random(n) < 0.1, np.nan, rng.integers(18, 75, n)),
        "ratio": np.where(rng.random(n) < 0.3, np.nan, rng.normal(0, 1, n)),
        "flag": rng.random(n) < 0.2,
        "serious": serious,
        "other": other,
        "serious_day": np.where(serious, np.minimum(np.ceil(rng.exponential(130, n)), 365), np.nan),
        "winsor_days": np.where(serious, rng.gamma(1, 300, n), np.where(other, rng.gamma(1, 5, n), 0.0)),
        "weight": np.where(serious, 1.0, 1.5),
    }
    return pl.DataFrame(frame).with_columns(pl.col(pl.Float64).fill_nan(None))


@pytest.fixture(scope="module", params=families.NAMES)
def document(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A model document fitted by one family, as it comes back from disk."""
    frame = rows()
    newest = frame.filter(pl.int_range(pl.len()) % 4 == 3).drop("weight")
    few = {"boosted": {"max_iter": 25}, "ebm": {"max_rounds": 60}}.get(request.param)
    fitted = fitting.fit(frame, newest, SHAPES, DIRECTIONS, family=request.param, seed=1, changes=few)
    assert fitted.heads["serious"]["fallback"] is None
    doc = {"format": FORMAT, "heads": fitted.heads, "harm_parts": fitted.harm_parts, "when": fitted.when}
    back: dict[str, Any] = json.loads(json.dumps(doc))
    return back


def test_plain_python_gives_the_products_numbers(document: dict[str, Any]) -> None:
    frame = rows(300, seed=12)
    edges = frame.with_columns(pl.col("events_ever") * 10, pl.lit(None, pl.Float64).alias("age"))
    for one in (frame, edges):
        theirs = Scorer(document).score(one).drop("person_id")
        assert {
            "p_serious",
            "p_any",
            "expected_harm",
            "p_serious_30",
            "p_serious_90",
            "p_serious_180",
        } == set(theirs.columns)
        mine = pl.DataFrame([plain.score(document, row) for row in one.to_dicts()])
        for column in theirs.columns:
            assert np.abs(theirs[column].to_numpy() - mine[column].to_numpy()).max() < 1e-9, column
        assert mine["p_serious"].n_unique() > 10


def test_the_program_reads_two_files_and_prints_the_scores(document: dict[str, Any], tmp_path: Path) -> None:
    """Lifted out of the product: only the one file, run by itself in isolated mode."""
    people = rows(3, seed=13).drop("weight").to_dicts()
    alone = tmp_path / "alone.py"
    alone.write_bytes(Path(plain.__file__).read_bytes())
    (tmp_path / "model.json").write_text(json.dumps(document))
    (tmp_path / "rows.json").write_text(json.dumps(people))
    made = subprocess.run(
        [sys.executable, "-I", "-S", str(alone), str(tmp_path / "model.json"), str(tmp_path / "rows.json")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(made.stdout) == [plain.score(document, row) for row in people]


def test_it_stays_within_a_hundred_lines_and_the_standard_library() -> None:
    text = Path(plain.__file__).read_text()
    assert len(text.splitlines()) <= 100
    found = {line.split()[1] for line in text.splitlines() if line.startswith(("import ", "from "))}
    assert found <= set(sys.stdlib_module_names)


def test_a_model_without_periods_is_scored_without_them(small_document: dict[str, Any]) -> None:
    doc = {**small_document, "when": None}
    values = dict.fromkeys(Scorer(doc).columns)
    row = {**values, "age": 30, "domestic_events_90d": 3, "domestic_events_365d": 5}
    frame = pl.DataFrame([{"person_id": "P1", **row}], schema_overrides=dict.fromkeys(values, pl.Float64))
    theirs = Scorer(doc).score(frame).drop("person_id").to_dicts()[0]
    mine = plain.score(doc, row)
    assert mine.keys() == theirs.keys()
    assert all(abs(mine[k] - theirs[k]) < 1e-9 for k in mine)

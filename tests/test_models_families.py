"""The family of models: JSON heads that repeat the library, declared directions kept, cards that can be added up."""

from __future__ import annotations

import json
import os
from functools import cache

import numpy as np
import polars as pl
import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from sklearn.metrics import roc_auc_score

from features.errors import InputError
from models import families, parts
from models.families import Family
from models.scorecard import card
from models.transforms import padded

SHAPES = {
    "events_90d": "count",
    "events_ever": "count",
    "harm_365d": "harm",
    "days_since": "recency",
    "grade": "grade",
    "age": "age",
    "ratio": "number",
    "flag": "flag",
    "constant": "count",
}
DIRECTIONS = {"events_90d": 1, "events_ever": 1, "harm_365d": 1, "days_since": -1, "grade": 1, "flag": 1}
LIMITED = [c for c in DIRECTIONS if DIRECTIONS[c]]


def people(n: int = 2400, seed: int = 4) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """A frame of histories, the outcome, and its true log-odds: three rows a person, nulls where nothing is known."""
    rng = np.random.default_rng(seed)
    n90 = rng.poisson(0.8, n)
    ever = n90 + rng.poisson(2.0, n)
    since = np.where(rng.random(n) < 0.35, np.nan, np.round(rng.exponential(250, n)))
    grade = np.where(rng.random(n) < 0.5, np.nan, rng.integers(1, 4, n))
    age = np.where(rng.random(n) < 0.1, np.nan, rng.integers(18, 75, n))
    harm, flag = np.round(rng.gamma(0.4, 100, n), 1), rng.random(n) < 0.2
    ratio = np.where(rng.random(n) < 0.3, np.nan, rng.normal(0, 1, n))
    near = np.where(np.isnan(since), 0.0, np.exp(-np.nan_to_num(since) / 120))
    z = -3.2 + 0.9 * np.log1p(n90) + 0.25 * np.log1p(harm) + 1.2 * near + 0.5 * (np.nan_to_num(grade) >= 3)
    z = z + 0.8 * flag + 0.4 * (np.nan_to_num(age, nan=40.0) < 25)
    frame = pl.DataFrame(
        {
            "person_id": [f"P{i // 3:04d}" for i in range(n)],
            "events_90d": n90,
            "events_ever": ever,
            "harm_365d": harm,
            "days_since": since,
            "grade": grade,
            "age": age,
            "ratio": ratio,
            "flag": flag,
            "constant": np.ones(n, dtype=np.int64),
        }
    ).with_columns(pl.col(pl.Float64).fill_nan(None))
    return frame, (rng.random(n) < 1 / (1 + np.exp(-z))).astype(np.float64), z


@cache
def fitted(name: str) -> Family:
    frame, y, _ = people()
    return families.make(name, SHAPES, DIRECTIONS, 1).fit(frame, y, np.ones(len(y)), frame["person_id"])


def by_json(model: Family, frame: pl.DataFrame) -> np.ndarray:
    head = json.loads(json.dumps(model.head()))
    scored = parts.part(head)
    return scored.log_odds(lambda c: padded(frame, c), len(padded(frame, "age")))[: frame.height]


@pytest.mark.parametrize("name", families.NAMES)
def test_a_family_ranks_close_to_the_truth_on_people_it_has_not_seen(name: str) -> None:
    frame, y, z = people(4000, seed=9)
    found = roc_auc_score(y, fitted(name).decision_function(frame))
    assert roc_auc_score(y, z) - found < 0.035


@pytest.mark.parametrize("name", families.NAMES)
def test_the_head_gives_the_estimators_log_odds_after_a_trip_through_json(name: str) -> None:
    frame, _, _ = people(500, seed=2)
    model = fitted(name)
    assert np.abs(by_json(model, frame) - model.decision_function(frame)).max() < 1e-9
    p = model.predict_proba(frame)
    assert np.allclose(p.sum(axis=1), 1.0)
    assert model.predict_proba(frame.head(0)).shape == (0, 2)


@pytest.mark.parametrize("name", ["ebm", "boosted"])
def test_exported_tables_and_trees_give_the_librarys_own_numbers(name: str) -> None:
    """Values between, on and beyond the cuts, and missing where training had none."""
    frame, _, _ = people(600, seed=3)
    model = fitted(name)
    cuts = sorted({c for t in model.head().get("tables", []) for c in t["cuts"][0]}) or [0.5, 1.0]
    edges = pl.Series("ratio", [(cuts * 600)[i] for i in range(600)])
    odd = frame.with_columns(
        edges,
        events_90d=pl.when(pl.int_range(pl.len()) % 7 == 0).then(None).otherwise(pl.col("events_90d") * 1000),
        age=pl.when(pl.int_range(pl.len()) % 5 == 0).then(None).otherwise(pl.col("age") - 100),
    )
    for rows in (frame, odd):
        assert np.abs(model.library_log_odds(rows) - by_json(model, rows)).max() < 1e-9  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", families.NAMES)
def test_what_is_declared_to_raise_the_risk_never_lowers_it(name: str) -> None:
    frame, _, _ = people(30, seed=5)
    model = fitted(name)
    ladders = {"days_since": np.linspace(0, 1500, 16), "grade": np.array([1.0, 2.0, 3.0])}
    for column in LIMITED:
        ladder = ladders.get(column, np.array([0.0, 1.0]) if column == "flag" else np.linspace(0, 30, 16))
        z = np.stack([model.decision_function(frame.with_columns(pl.lit(v).alias(column))) for v in ladder])
        assert (np.diff(z, axis=0) * DIRECTIONS[column] >= -1e-9).all(), column
        assert np.ptp(z, axis=0).max() > 0 or name == "scorecard" or column == "events_ever", column


@pytest.mark.parametrize("name", families.NAMES)
def test_the_same_data_and_seed_give_the_same_bits(name: str) -> None:
    frame, y, _ = people(900)
    one, two = (families.make(name, SHAPES, DIRECTIONS, 3).fit(frame, y).head() for _ in range(2))
    assert json.dumps(one) == json.dumps(two)


@pytest.mark.parametrize("name", families.NAMES)
def test_held_out_predictions_know_nothing_of_the_persons_own_outcome(name: str) -> None:
    """Outcomes that only the person's own row could tell: a fit that saw them would rank them, held out it cannot."""
    rng = np.random.default_rng(7)
    n = 1500
    frame = pl.DataFrame({"a": rng.normal(0, 1, n), "b": rng.normal(0, 1, n)})
    y, fold = (rng.random(n) < 0.3).astype(np.float64), rng.integers(0, 4, n)
    model = families.make(name, {"a": "number", "b": "number"}, None, 1)
    _, z, z_new = model.cross_fit(frame, y, np.ones(n), fold, frame, fold)
    assert np.abs(z - z_new).max() < 1e-9
    assert len(np.unique(z)) == 1 or abs(roc_auc_score(y, z) - 0.5) < 0.05


def test_a_card_can_be_added_up_on_paper() -> None:
    head = fitted("scorecard").head()
    assert 0 < len(head["items"]) <= 12
    assert all(isinstance(i["points"], int) and 0 < abs(i["points"]) <= 5 for i in head["items"])
    assert not any(i.get("missing") for i in head["items"])
    columns = [i["column"] for i in head["items"]]
    assert max(columns.count(c) for c in columns) <= 2
    frame, _, _ = people(50, seed=8)
    totals = {row["points"]: row["probability"] for row in card(head)["totals"]}
    for row, p in zip(frame.to_dicts(), fitted("scorecard").predict_proba(frame)[:, 1], strict=True):
        total = 0
        for item in head["items"]:
            value = row[item["column"]]
            if value is not None and (
                value < item["below"] if "below" in item else value >= item["at_least"]
            ):
                total += item["points"]
        assert abs(totals[total] - p) < 1e-12
    heavy = [abs(i["points"]) for i in card(head)["items"]]
    assert heavy == sorted(heavy, reverse=True)


def test_a_period_is_in_every_fit_but_is_no_line_of_the_card() -> None:
    frame, y, _ = people(1500)
    rng = np.random.default_rng(1)
    frame = frame.with_columns(pl.Series("(period)", rng.integers(0, 3, 1500).astype(float)))
    y = np.where(frame["(period)"].to_numpy() == 2, np.maximum(y, rng.random(1500) < 0.5), y)
    model = families.make("scorecard", {"(period)": "period", **SHAPES}, None, 1).fit(frame, y)
    head = {**model.head(), "fixed": {"(period)": 2.0}}
    assert "(period)" not in {i["column"] for i in card(head)["items"]}
    late, early = (
        model.predict_proba(frame.with_columns(pl.lit(k).alias("(period)")))[:, 1] for k in (2.0, 0.0)
    )
    assert (late > early).all()
    for k in range(3):  # logistic regression with the period in it: each period's mean is its rate
        here = frame["(period)"].to_numpy() == k
        assert abs(model.predict_proba(frame)[here, 1].mean() - y[here].mean()) < 1e-4


def test_no_line_rests_on_a_fact_whose_direction_nobody_declared() -> None:
    frame, y, _ = people(1500)
    y = np.where(frame["ratio"].fill_null(-9.0).to_numpy() > 0.8, 1.0, y)  # the strongest fact there is
    declared, free = (
        families.make("scorecard", SHAPES, d, 1).fit(frame, y).head() for d in (DIRECTIONS, None)
    )
    assert {i["column"] for i in declared["items"]} <= set(DIRECTIONS)
    assert "ratio" in {i["column"] for i in free["items"]}


def test_fewer_lines_when_asked_for_and_a_wrong_setting_is_named() -> None:
    frame, y, _ = people(1200)
    small = families.make("scorecard", SHAPES, DIRECTIONS, 1, {"max_items": 4, "max_points": 3}).fit(frame, y)
    assert len(small.head()["items"]) <= 4
    assert max(abs(i["points"]) for i in small.head()["items"]) <= 3
    with pytest.raises(InputError, match="max_item"):
        families.make("scorecard", SHAPES, None, 1, {"max_item": 4})


def test_an_ebm_keeps_the_columns_that_tell_most_and_always_the_period() -> None:
    frame, y, _ = people(1500)
    frame = frame.with_columns(pl.Series("(period)", [float(i % 3) for i in range(1500)]))
    shapes = {"(period)": "period", **SHAPES}
    model = families.make("ebm", shapes, None, 1, {"columns": 3}).fit(frame, y)
    assert len(model.columns_) == 3  # type: ignore[attr-defined]
    assert "(period)" in model.columns_  # type: ignore[attr-defined]
    assert "constant" not in model.columns_  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", families.NAMES)
def test_nothing_to_tell_apart_gives_everyone_the_base_rate(name: str) -> None:
    y = np.array([1.0] * 20 + [0.0] * 180)
    frame = pl.DataFrame({"a": np.ones(200), "b": pl.Series([None] * 200, dtype=pl.Float64)})
    model = families.make(name, {"a": "count", "b": "recency"}, {"a": 1, "b": -1}, 1).fit(frame, y)
    p = model.predict_proba(frame)[:, 1]
    assert np.ptp(p) < 1e-12
    assert abs(p[0] - 0.1) < 0.02


@pytest.mark.parametrize("name", families.NAMES)
def test_one_class_only_is_refused_in_words(name: str) -> None:
    frame, y, _ = people(300)
    with pytest.raises(ValueError, match="both classes"):
        families.make(name, SHAPES, DIRECTIONS, 1).fit(frame, np.zeros(len(y)))


def test_the_elastic_net_follows_a_curve_that_bends_and_never_turns() -> None:
    """Risk that rises between 5 and 11 and nowhere else: straight pieces find it; a few hundred rows get none."""
    rng = np.random.default_rng(6)
    n = 6000
    x = rng.gamma(2.0, 3.0, n)
    y = (rng.random(n) < 1 / (1 + np.exp(2.5 - 2.0 * (np.clip(x, 5, 11) - 5) / 6))).astype(np.float64)
    frame = pl.DataFrame({"x": x})
    model = families.make("elastic_net", {"x": "harm"}, {"x": 1}, 1, {"penalties": [0.0006]}).fit(frame, y)
    kinds = [t["kind"] for t in model.head()["terms"]]
    assert "hinge" in kinds
    low, mid, high, far = model.decision_function(pl.DataFrame({"x": [1.0, 5.0, 11.0, 17.0]}))
    assert high - mid > 1.5
    assert far - high < 0.5 * (high - mid)
    assert mid - low < high - mid
    few = families.make("elastic_net", {"x": "harm"}, {"x": 1}, 1).fit(frame.head(500), y[:500])
    assert "hinge" not in [t.kind for t in few.terms_]  # type: ignore[attr-defined]

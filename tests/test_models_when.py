"""When: rows become periods, the hazard spreads a probability over the horizon, few cases get the shares of all."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from models.scorer import FORMAT, Scorer
from models.when import fit_when, offsets, person_periods

PERIODS = [30, 90, 180, 365]
CONSTANT = {"kind": "linear", "intercept": -3.0, "terms": []}


def rows(n: int = 4000, seed: int = 1) -> pl.DataFrame:
    """Serious harm in 3 of 10; of those with a recent report most of it early, of the others evenly."""
    rng = np.random.default_rng(seed)
    recent = rng.random(n) < 0.5
    serious = rng.random(n) < 0.3
    day = np.where(recent, rng.integers(1, 60, n), rng.integers(1, 366, n))
    return pl.DataFrame(
        {
            "person_id": [f"P{i}" for i in range(n)],
            "days_since_domestic": np.where(recent, 5, 300),
            "serious": serious,
            "serious_day": [int(d) if s else None for d, s in zip(day, serious, strict=True)],
            "weight": np.ones(n),
        }
    )


def test_a_row_lives_until_serious_harm() -> None:
    frame = pl.DataFrame(
        {"person_id": ["A", "B"], "serious": [True, False], "serious_day": [90, None], "weight": [1.0, 1.0]},
        schema_overrides={"serious_day": pl.Int64},
    )
    cases = person_periods(frame, PERIODS, seed=1)
    mine = cases.filter(person_id="A").sort("(period)")
    assert mine["(period)"].to_list() == [
        0.0,
        1.0,
    ]  # day 90 is in the second period, and no later one is begun
    assert mine["y"].to_list() == [False, True]
    assert cases.filter(person_id="B")["y"].to_list() == [False] * 4


def test_periods_kept_restore_the_whole() -> None:
    frame = rows(20000).with_columns(serious=pl.col("serious") & (pl.int_range(pl.len()) % 10 == 0))
    cases = person_periods(frame, PERIODS, seed=3)
    begun = sum(
        frame.filter(~pl.col("serious") | (pl.col("serious_day") > start)).height
        for start in (0, 30, 90, 180)
    )
    assert cases.height < begun / 2
    assert cases["weight"].sum() == pytest.approx(begun, rel=0.05)


def test_the_hazard_says_soon_where_it_was_soon() -> None:
    notes: list[str] = []
    frame = rows()
    when = fit_when(
        frame, {"days_since_domestic": "recency"}, None, ["days_since_domestic"],
        family="elastic_net", seed=1, fixed_settings={"penalties": [0.0005]}, notes=notes,
    )  # fmt: skip
    assert notes == []
    doc = {
        "format": FORMAT, "heads": {"serious": CONSTANT, "other": CONSTANT}, "when": when,
        "harm_parts": {"scale": 1.0, "serious_days": 1.0, "other_days": 1.0},
    }  # fmt: skip
    out = Scorer(doc).score(frame.sort("person_id"))
    share = (out["p_serious_90"] / out["p_serious"]).to_numpy()
    recent = (frame.sort("person_id")["days_since_domestic"] == 5).to_numpy()
    assert share[recent].mean() == pytest.approx(1.0, abs=0.12)
    assert share[~recent].mean() == pytest.approx(90 / 365, abs=0.08)
    for earlier, later in (("p_serious_30", "p_serious_90"), ("p_serious_90", "p_serious_180")):
        assert (out[earlier] <= out[later] + 1e-12).all()
    assert (out["p_serious_180"] <= out["p_serious"] + 1e-12).all()


def test_as_many_cases_are_expected_in_a_period_as_there_were() -> None:
    rng = np.random.default_rng(4)
    n, period = 40_000, np.repeat([0.0, 1.0], 20_000)
    z = rng.normal(-2, 0.7, n)
    y = (rng.random(n) < 1 / (1 + np.exp(-(z + np.where(period == 0, 0.8, -0.4))))).astype(float)
    found = offsets(z, y, np.ones(n), period, 3)
    assert found[:2] == pytest.approx([0.8, -0.4], abs=0.06)
    assert found[2] == 0.0  # nothing began there


def test_few_cases_give_everyone_the_shares_of_all() -> None:
    notes: list[str] = []
    frame = rows(300).with_columns(serious=pl.col("serious") & (pl.int_range(pl.len()) < 60))
    when = fit_when(
        frame, {"days_since_domestic": "recency"}, None, ["days_since_domestic"],
        family="elastic_net", seed=1, fixed_settings=None, notes=notes,
    )  # fmt: skip
    assert "the same spread" in notes[0]
    assert when["head"]["kind"] == "tables"
    assert when["offsets"] == [0.0] * 4
    doc = {
        "format": FORMAT, "heads": {"serious": CONSTANT, "other": CONSTANT}, "when": when,
        "harm_parts": {"scale": 1.0, "serious_days": 1.0, "other_days": 1.0},
    }  # fmt: skip
    assert Scorer(doc).score(frame)["p_serious_90"].n_unique() == 1

"""The far end of a score says no more than held-out people bore out, and still adds up."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from models.fitting import fit_tail
from models.scorer import FORMAT, Scorer, held_back, sigmoid
from models.transforms import Term, declare


def linear(intercept: float, terms: list[Term], weights: list[float]) -> dict:
    both = zip(terms, weights, strict=True)
    return {
        "kind": "linear",
        "intercept": intercept,
        "terms": [{**t.to_dict(), "weight": w} for t, w in both],
    }


def test_a_straight_line_that_is_right_is_left_alone() -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(-3, 1.5, 1_000_000)
    y = (rng.random(len(z)) < sigmoid(z)).astype(float)
    tail = fit_tail(z, y, np.ones(len(z)))
    assert tail is None or tail["share"] > 0.85


def test_a_line_that_runs_ahead_is_held_to_what_was_seen() -> None:
    rng = np.random.default_rng(2)
    z = rng.normal(-3, 1.5, 60_000)
    knot = float(np.quantile(z, 0.99))
    truth = np.where(z > knot, knot + 0.3 * (z - knot), z)
    y = (rng.random(len(z)) < sigmoid(truth)).astype(float)
    tail = fit_tail(z, y, np.ones(len(z)))
    assert tail is not None
    assert tail["from"] == pytest.approx(knot, abs=0.05)
    top = z > knot
    assert sigmoid(held_back(z, tail))[top].mean() == pytest.approx(y[top].mean(), abs=0.03)
    assert sigmoid(z)[top].mean() - y[top].mean() > 0.03
    assert (np.argsort(held_back(z, tail)) == np.argsort(z)).all()


def test_too_few_outcomes_fit_no_tail() -> None:
    assert fit_tail(np.linspace(-5, 0, 1000), np.zeros(1000), np.ones(1000)) is None


def test_contributions_of_someone_in_the_tail_add_up_to_what_is_stated() -> None:
    frame = pl.DataFrame({"person_id": [f"P{i}" for i in range(50)], "n": list(range(50))})
    terms, _ = declare(frame, {"n": "count"})
    head = linear(-2.0, terms, [1.5] * len(terms)) | {"tail": {"from": -1.0, "share": 0.4}}
    scorer = Scorer(
        {
            "format": FORMAT,
            "heads": {"serious": head, "other": linear(0.0, [], [])},
            "harm_parts": {"other_days": 1.0, "serious_days": 2.0, "scale": 1.0},
        }
    )
    stated = scorer.score(frame)["p_serious"].to_numpy()
    added = (
        scorer.contributions(frame)
        .group_by("person_id", maintain_order=True)
        .agg(pl.col("contribution").sum())
    )
    assert added["contribution"].to_numpy() == pytest.approx(np.log(stated / (1 - stated)), abs=1e-9)
    plain = scorer.contributions(frame, before_tail=True)
    assert (
        plain.filter(person_id="P49")["contribution"].sum() > added.filter(person_id="P49")["contribution"][0]
    )

"""The scorer: scikit-learn's numbers, the same bits for one person as for many, contributions that add up."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from features.errors import InputError
from models.elasticnet import fit_path, objective
from models.scorer import FORMAT, Scorer, scorer_of
from models.transforms import Term, declare, design

SHAPES = {
    "n_90d": "count",
    "harm_365d": "harm",
    "days_since": "recency",
    "age": "age",
    "grade": "grade",
    "r": "number",
}


def people(n: int = 503, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    gap = rng.random(n) < 0.3
    return pl.DataFrame(
        {
            "person_id": [f"P{i:04d}" for i in range(n)],
            "n_90d": rng.poisson(1.5, n),
            "harm_365d": rng.gamma(0.4, 120, n),
            "days_since": [None if g else int(d) for g, d in zip(gap, rng.integers(0, 900, n), strict=True)],
            "age": [None if rng.random() < 0.1 else int(a) for a in rng.integers(18, 75, n)],
            "grade": [None if rng.random() < 0.4 else int(a) for a in rng.integers(1, 4, n)],
            "r": rng.normal(0, 1, n),
        }
    )


def linear(intercept: float, terms: list[Term], weights: list[float]) -> dict:
    both = zip(terms, weights, strict=True)
    return {
        "kind": "linear",
        "intercept": intercept,
        "terms": [{**t.to_dict(), "weight": w} for t, w in both],
    }


def model(frame: pl.DataFrame) -> dict:
    terms, _ = declare(frame, SHAPES)
    rng = np.random.default_rng(9)
    heads = {
        name: linear(float(rng.normal(-1, 1)), terms, rng.normal(0, 0.3, len(terms)).tolist())
        for name in ("serious", "other")
    }
    hazard = Term("(period)", "step", a=1.0)
    again = Term("n_90d@0", "log1p", a=50.0)
    when = {
        "periods": [90, 365],
        "interacts": ["n_90d"],
        "offsets": [0.2, -0.1],
        "head": linear(-2.0, [*terms, hazard, again], [0.1] * (len(terms) + 2)),
    }
    harm = {"other_days": 4.0, "serious_days": 180.0, "scale": 1.1}
    harm["map"] = {"intercept": 0.1, "slope": 0.9, "from": 3.0, "above": 1.2}
    return {"format": FORMAT, "heads": heads, "when": when, "harm_parts": harm}


def test_one_person_and_the_batch_agree_to_the_bit() -> None:
    frame = people()
    scorer = Scorer(model(frame))
    batch = scorer.score(frame)
    for i in (0, 1, 7, 8, 255, 500, 502):
        alone = scorer.score(frame[i : i + 1])
        assert alone.row(0) == batch.row(i)
    assert scorer.score(frame[100:103]).rows() == batch[100:103].rows()
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=2)
    assert scorer.score(shuffled).sort("person_id").rows() == batch.rows()


def test_few_rows_at_once_and_term_by_term_agree_to_the_bit() -> None:
    """Few rows take all terms in one go; one row more than ``LANES`` takes them one by one."""
    frame = people(400, seed=5)
    shapes = {"age": "age", "r": "number", "n_90d": "count", "days_since": "recency", "grade": "grade"}
    doc = model(frame)
    terms, _ = declare(frame, shapes)  # other kinds, in another order, and a column that comes back
    terms = [*terms, *declare(frame, SHAPES)[0][:5]]
    rng = np.random.default_rng(3)
    for name in doc["heads"]:
        doc["heads"][name] = linear(0.3, terms, rng.normal(0, 2, len(terms)).tolist())
    doc["heads"]["serious"]["tail"] = {"from": -0.5, "share": 0.5}
    scorer = Scorer(doc)
    many = scorer.log_odds(frame, ("serious", "other"))
    for start in range(0, 400, 16):
        few = scorer.log_odds(frame[start : start + 16], ("serious", "other"))
        for head, z in few.items():
            assert z.tobytes() == many[head][start : start + 16].tobytes()


def test_a_scorer_is_built_once_and_follows_its_document() -> None:
    doc = model(people())
    first = scorer_of(doc)
    assert scorer_of({**doc}) is first
    doc["heads"]["serious"]["intercept"] += 1.0
    second = scorer_of(doc)
    assert second is not first
    assert second.score(people(3))["p_serious"][0] > first.score(people(3))["p_serious"][0]


def test_probabilities_agree_with_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    frame = people()
    doc = model(frame)
    terms = doc["heads"]["serious"]["terms"]
    x = design(frame, [Term(**{k: v for k, v in t.items() if k != "weight"}) for t in terms])
    reference = LogisticRegression()
    reference.classes_ = np.array([0, 1])
    reference.coef_ = np.array([[t["weight"] for t in terms]])
    reference.intercept_ = np.array([doc["heads"]["serious"]["intercept"]])
    theirs = reference.predict_proba(x)[:, 1]
    ours = Scorer(doc).score(frame)["p_serious"].to_numpy()
    assert np.abs(ours - theirs).max() < 1e-9


def test_contributions_add_up_to_the_log_odds() -> None:
    frame = people()
    scorer = Scorer(model(frame))
    total = (
        scorer.contributions(frame).group_by("person_id").agg(pl.col("contribution").sum()).sort("person_id")
    )
    p = scorer.score(frame)["p_serious"].to_numpy()
    np.testing.assert_allclose(total["contribution"].to_numpy(), np.log(p / (1 - p)), atol=1e-9)
    one = scorer.contributions(frame[5:6])
    assert one["column"].to_list()[0] == "(intercept)"
    held = one.filter(pl.col("column") == "r")["value"][0]
    assert held == frame["r"][5]


def test_probabilities_and_harm_form_one_tree() -> None:
    frame = people()
    doc = model(frame)
    out = Scorer(doc).score(frame)
    assert (out["p_any"] >= out["p_serious"]).all()
    assert out["p_any"].max() <= 1.0  # type: ignore[operator]
    assert (out["expected_harm"] > 0).all()
    assert out.columns == ["person_id", "p_serious", "p_any", "expected_harm", "p_serious_90"]


def test_empty_frames_and_absent_columns() -> None:
    frame = people()
    scorer = Scorer(model(frame))
    assert scorer.score(frame[:0]).height == 0
    assert scorer.contributions(frame[:0]).height == 0
    with pytest.raises(InputError, match="harm_365d"):
        scorer.score(frame.drop("harm_365d"))
    with pytest.raises(InputError, match="format"):
        Scorer({**model(frame), "format": "other"})


def test_transforms_by_hand() -> None:
    x = np.array([0.0, 60.0, np.nan, 5000.0] + [np.nan] * 12)
    assert Term("c", "decay", a=30.0).raw(x)[:4].tolist() == pytest.approx([1.0, 0.25, 0.0, 0.0], abs=1e-12)
    assert Term("c", "log1p", a=3650.0).raw(x)[3] == pytest.approx(np.log(3651))
    assert Term("c", "missing").raw(x)[:4].tolist() == [0, 0, 1, 0]
    assert Term("c", "step", a=60.0).raw(x)[:4].tolist() == [0, 1, 0, 1]
    assert Term("c", "hinge", a=25.0, b=80.0, fill=30.0).raw(x)[:4].tolist() == [0, 35, 5, 55]
    assert Term("c", "linear", a=0.0, b=1.0).apply(x)[:4].tolist() == [0, 1, 0, 1]


def test_constant_columns_are_left_out_by_name() -> None:
    frame = people().with_columns(pl.lit(3).alias("n_90d"))
    terms, constant = declare(frame, SHAPES)
    assert constant == ["n_90d"]
    assert all(t.column != "n_90d" for t in terms)


def test_the_solver_finds_scikit_learns_optimum(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(5)
    x = rng.normal(size=(3000, 12))
    x[:, 1] = x[:, 0] + 0.1 * x[:, 1]
    y = (rng.random(3000) < 1 / (1 + np.exp(2 - x[:, 0] + 0.5 * x[:, 3]))).astype(float)
    weight = np.where(y > 0, 1.0, 2.5)
    ours = fit_path(x, y, weight, [0.01], 0.5)[0]
    reference = LogisticRegression(
        solver="saga", l1_ratio=0.5, C=1 / (0.01 * weight.sum()), tol=1e-9, max_iter=20000, random_state=0
    ).fit(x, y, sample_weight=weight)
    assert np.abs(ours.coef - reference.coef_[0]).max() < 1e-5
    monkeypatch.setattr(
        "models.elasticnet.CURVATURE_ROWS", 500
    )  # steps from a sixth of the rows, the same optimum
    strided = fit_path(x, y, weight, [0.01], 0.5)[0]
    assert strided.converged
    assert np.abs(ours.coef - strided.coef).max() < 1e-6
    best = objective(x, y, weight, 0.01, 0.5, ours.intercept, ours.coef)
    assert best <= objective(x, y, weight, 0.01, 0.5, reference.intercept_[0], reference.coef_[0]) + 1e-10


def test_limited_signs_are_kept_and_optimal_among_those_allowed() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(2000, 5))
    y = (rng.random(2000) < 1 / (1 + np.exp(1 - x[:, 0] + x[:, 1] + x[:, 4]))).astype(float)
    w = np.ones(2000)
    signs = np.array([1.0, 1.0, 0.0, -1.0, 0.0])
    fit = fit_path(x, y, w, [0.003], 0.5, signs=signs)[0]
    assert (fit.coef * signs >= 0).all()
    assert fit.coef[1] == 0.0
    assert fit.coef[4] < -0.3
    value = objective(x, y, w, 0.003, 0.5, fit.intercept, fit.coef)
    for j in range(5):
        for step in (1e-3, -1e-3):
            moved = fit.coef.copy()
            moved[j] += step
            if (moved * signs >= 0).all():
                assert objective(x, y, w, 0.003, 0.5, fit.intercept, moved) >= value - 1e-12

"""Sums held against shap, and whether a person's reasons stay the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from models import explain
from models.intervals import packed

N = 120


@pytest.fixture(scope="module")
def people() -> pl.DataFrame:
    rng = np.random.default_rng(3)
    n = pl.Series("n", rng.poisson(2.0, N).astype(float))
    days = pl.Series("days", np.where(rng.random(N) < 0.2, np.nan, rng.integers(0, 800, N))).fill_nan(None)
    return pl.DataFrame([pl.Series("person_id", [f"P{i:03d}" for i in range(N)]), n, days])


def _doc(head: dict[str, Any]) -> dict[str, Any]:
    facts = [("n", "history", ""), ("days", "harm", ""), ("age", "person", "age")]
    dictionary = [{"column": c, "family": f, "sensitive": s} for c, f, s in facts]
    return {"heads": {"serious": {"tail": None, **head}}, "dictionary": dictionary}


def _term(column: str, kind: str, weight: float, **more: float) -> dict[str, Any]:
    base = {"column": column, "kind": kind, "a": 60.0, "b": 0.0, "fill": 0.0, "center": 0.4, "scale": 0.6}
    return {**base, **more, "weight": weight}


LINEAR = {"kind": "linear", "intercept": -3.0,
          "terms": [_term("n", "log1p", 0.8), _term("days", "decay", 0.5), _term("days", "missing", -0.3)]}  # fmt: skip
TREES = {
    "kind": "trees", "intercept": -2.0, "columns": ["n", "days"],
    "trees": [
        {"feature": [0, -1, 1, -1, -1], "threshold": [1.5, 0.0, 90.0, 0.0, 0.0],
         "missing_left": [True, False, False, False, False], "left": [1, 0, 3, 0, 0], "right": [2, 0, 4, 0, 0],
         "value": [0.0, -0.4, 0.0, 0.9, 0.2]},
        {"feature": [1, -1, -1], "threshold": [200.0, 0.0, 0.0], "missing_left": [True, False, False],
         "left": [1, 0, 0], "right": [2, 0, 0], "value": [0.0, 0.15, -0.25]},
    ],
}  # fmt: skip
POINTS = {"kind": "points", "intercept": -4.0, "per_point": 0.35, "items": [
    {"column": "n", "at_least": 2, "points": 3}, {"column": "days", "missing": True, "points": -1},
]}  # fmt: skip
TABLES = {"kind": "tables", "intercept": -3.0, "tables": [
    {"columns": ["n"], "cuts": [[1.0, 3.0]], "scores": [0.0, -0.3, 0.1, 0.6]},
    {"columns": ["n", "days"], "cuts": [[2.0], [100.0]], "scores": [[0.0] * 3, [0.1, 0.2, -0.1], [0.3, 0.5, 0.0]]},
]}  # fmt: skip


@pytest.mark.parametrize("head", [LINEAR, POINTS, TABLES, TREES], ids=lambda head: head["kind"])
def test_the_sums_hold_for_every_kind(head: dict[str, Any], people: pl.DataFrame) -> None:
    found = explain.checks(_doc(head), people)
    assert found
    assert all(check.holds for check in found), [check.sentence() for check in found]
    assert all(check.persons == N for check in found)
    assert "the sums hold" in found[0].sentence()


def test_each_linear_contribution_is_shaps(people: pl.DataFrame) -> None:
    methods = [check.method for check in explain.checks(_doc(LINEAR), people)]
    assert methods == [
        "Contributions added up against the score",
        "Contributions against shap's LinearExplainer",
    ]


def test_shap_of_trees_is_worked_out_and_not_copied_from_the_score(people: pl.DataFrame) -> None:
    """The values of a tree that asks one column alone are that column's, around their own average."""
    alone = {**TREES, "trees": [TREES["trees"][1]]}
    base, values = explain.tree_shap(alone, people)
    assert np.abs(values["n"].to_numpy()).max() < 1e-9
    assert values["days"].mean() == pytest.approx(0.0, abs=1e-6)
    near = people["days"].fill_null(0.0) <= 200.0
    assert base + values["days"].filter(near).to_numpy() == pytest.approx(-2.0 + 0.15, abs=1e-6)
    assert base + values["days"].filter(~near).to_numpy() == pytest.approx(-2.0 - 0.25, abs=1e-6)


def test_a_sum_that_does_not_hold_is_said_loudly() -> None:
    check = explain.Check("A comparison", 12, 0.02)
    assert not check.holds
    assert "DO NOT HOLD" in check.sentence()


def test_reasons_are_steady_where_refits_agree_and_not_where_they_do_not(people: pl.DataFrame) -> None:
    turned = {
        **LINEAR,
        "terms": [_term("n", "log1p", 0.01), _term("days", "decay", 2.0, a=600.0, center=0.0)],
    }
    same = explain.stability({**_doc(LINEAR), "refits": packed([LINEAR, LINEAR])}, people)
    assert same == [
        {"between": "2 refits on other people", "persons": N, "first_same": 1.0, "three_shared": 1.0}
    ]
    other = explain.stability({**_doc(LINEAR), "refits": packed([turned, turned])}, people)
    assert other[0]["first_same"] < 0.8
    assert explain.stability(_doc(LINEAR), people) == []


def test_reasons_of_two_models_are_compared_person_by_person(people: pl.DataFrame) -> None:
    turned = {**LINEAR, "terms": [_term("n", "log1p", -0.8), _term("days", "decay", 0.5)]}
    assert explain.between(_doc(LINEAR), _doc(LINEAR), people)["first_same"] == 1.0
    assert explain.between(_doc(LINEAR), _doc(turned), people)["first_same"] < 0.6


@pytest.mark.parametrize(
    ("own", "other", "first", "three"),
    [
        ([["a", "b", "c"]], [["a", "c", "d"]], 1.0, 2 / 3),
        ([["a"], []], [["b", "a"], ["x"]], 0.0, 1.0),
        ([["a", "b"]], [[]], 0.0, 0.0),
        ([[]], [["a"]], None, None),
    ],
)
def test_agreement_counts_what_is_shared(
    own: list[list[str]], other: list[list[str]], first: float | None, three: float | None
) -> None:
    found = explain.agreement(own, other)
    assert found["first_same"] == (None if first is None else pytest.approx(first))
    assert found["three_shared"] == (None if three is None else pytest.approx(three))


def test_what_is_sensitive_is_no_reason(people: pl.DataFrame) -> None:
    with_age = {**LINEAR, "terms": [*LINEAR["terms"], _term("age", "linear", 9.0, a=18.0, b=80.0, scale=1.0)]}
    old = people.with_columns(age=pl.lit(70.0))
    reasons = explain._reasons(explain.contributions(_doc(with_age), old), _doc(with_age))
    assert {name for row in reasons for name in row} <= {"history", "harm"}

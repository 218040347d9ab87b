"""Heads of every kind: numbers by hand, parts that add up, one person and many to the bit, recalibration written in."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from features.errors import InputError
from models.parts import part, scaled, without
from models.scorer import FORMAT, Scorer, sigmoid
from models.transforms import padded, padded_length

FRAME = pl.DataFrame(
    {"person_id": [f"P{i}" for i in range(40)], "a": [None if i % 7 == 0 else i for i in range(40)],
     "b": [float((i * 13) % 11) for i in range(40)]}
)  # fmt: skip
POINTS = {
    "kind": "points",
    "intercept": -2.0,
    "per_point": 0.25,
    "items": [
        {"column": "a", "at_least": 10, "points": 2},
        {"column": "a", "missing": True, "points": -1},
        {"column": "b", "at_least": 3, "points": 3},
    ],
}
TABLES = {
    "kind": "tables",
    "intercept": -1.0,
    "tables": [
        {"columns": ["a"], "cuts": [[5.0, 20.0]], "scores": [0.5, 0.0, 0.25, 1.0]},
        {"columns": ["a", "b"], "cuts": [[20.0], [6.0]], "scores": [[0, 0, 0], [0, 0.0, 0.5], [0, 0.5, 1.5]]},
    ],
}
TREES = {
    "kind": "trees",
    "intercept": -1.5,
    "columns": ["a", "b"],
    "trees": [
        {
            "feature": [0, -1, 1, -1, -1],
            "threshold": [9.0, 0.0, 4.0, 0.0, 0.0],
            "missing_left": [True, False, False, False, False],
            "left": [1, 0, 3, 0, 0],
            "right": [2, 0, 4, 0, 0],
            "value": [0.0, -0.5, 0.0, 0.25, 1.0],
        }
    ],
}


def log_odds(head: dict, frame: pl.DataFrame = FRAME) -> np.ndarray:
    return part(head).log_odds(lambda c: padded(frame, c), padded_length(frame.height))[: frame.height]


def test_points_are_what_a_pencil_gives() -> None:
    # rows: (missing, 0), (1, 2), (3, 6), (12, 2), (13, 4)
    wanted = {0: -1, 1: 0, 3: 3, 12: 2, 13: 5}
    z = log_odds(POINTS)
    for row, points in wanted.items():
        assert z[row] == -2.0 + 0.25 * points


def test_tables_look_up_where_a_value_falls() -> None:
    z = log_odds(TABLES)
    assert z[0] == -1.0 + 0.5  # nothing known of a
    assert z[1] == -1.0 + 0.0
    assert z[5] == -1.0 + 0.25 + 0.5  # a = 5 is at the cut: in the upper bin; b = 10 is in its upper bin
    assert z[20] == -1.0 + 1.0 + 1.5  # b = 7
    assert z[22] == -1.0 + 1.0 + 0.5  # b = 0


def test_trees_send_a_null_where_they_learnt_to() -> None:
    z = log_odds(TREES)
    assert z[0] == -2.0
    assert z[9] == -2.0  # at the threshold: left
    assert z[12] == -1.5 + 0.25  # b = 2
    assert z[10] == -1.5 + 1.0  # b = 9


@pytest.mark.parametrize("head", [POINTS, TABLES, TREES], ids=lambda h: h["kind"])
def test_one_person_and_many_agree_to_the_bit(head: dict) -> None:
    many = log_odds(head)
    for i in (0, 5, 17, 39):
        assert log_odds(head, FRAME[i : i + 1]).tobytes() == many[i : i + 1].tobytes()


@pytest.mark.parametrize("head", [POINTS, TABLES], ids=lambda h: h["kind"])
def test_contributions_add_up_and_trees_refuse(head: dict) -> None:
    doc = {
        "format": FORMAT,
        "heads": {"serious": head, "other": TREES},
        "harm_parts": {"scale": 1.0, "serious_days": 9.0, "other_days": 1.0},
    }
    scorer = Scorer(doc)
    total = (
        scorer.contributions(FRAME)
        .group_by("person_id", maintain_order=True)
        .agg(pl.col("contribution").sum())
    )
    assert total["contribution"].to_numpy() == pytest.approx(log_odds(head), abs=1e-12)
    assert scorer.score(FRAME)["p_serious"].to_numpy() == pytest.approx(sigmoid(log_odds(head)), abs=1e-12)
    with pytest.raises(InputError, match="no exact contributions"):
        scorer.contributions(FRAME, "other")


@pytest.mark.parametrize("head", [POINTS, TABLES, TREES], ids=lambda h: h["kind"])
def test_a_recalibration_is_written_into_the_head(head: dict) -> None:
    assert log_odds(scaled(head, 0.3, 1.2)) == pytest.approx(0.3 + 1.2 * log_odds(head), abs=1e-12)


def test_points_stay_whole_when_recalibrated() -> None:
    assert [i["points"] for i in scaled(POINTS, 0.3, 1.2)["items"]] == [2, -1, 3]


def test_a_column_can_be_left_out_of_an_additive_head_only() -> None:
    z = log_odds(without(POINTS, {"a"}))
    assert set(np.round(z, 6)) == {-2.0, -1.25}
    with pytest.raises(InputError, match="trees"):
        without(TREES, {"a"})


def test_fixed_columns_are_not_read_from_the_person() -> None:
    blind = part({**TABLES, "fixed": {"a": None}})
    assert blind.columns == ["b"]
    assert (log_odds({**TABLES, "fixed": {"a": None}}) == -0.5).all()
    twice = {**POINTS, "fixed": {"a": {"column": "b"}}}
    assert part(twice).columns == ["b"]
    assert log_odds(twice)[10] == -2.0 + 0.25 * 3  # b = 9: not ten, but three or more


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match="kind 'forest'"):
        part({"kind": "forest"})

"""Figures by hand: ties, weights, persons kept together, calibration on known data."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from models import metrics
from models.metrics import Board


def ones(n: int) -> np.ndarray:
    return np.ones(n)


def test_auc_counts_ties_half() -> None:
    score = np.array([3.0, 2.0, 2.0, 1.0])
    y = np.array([1.0, 1.0, 0.0, 0.0])
    # pairs: (3 v 2) 1, (3 v 1) 1, (2 v 2) one half, (2 v 1) 1 -> 3.5 of 4
    assert Board(score, ones(4)).auc(y)[0] == pytest.approx(3.5 / 4)


def test_auc_of_a_constant_is_one_half_and_of_one_class_unknown() -> None:
    board = Board(np.zeros(5), ones(5))
    assert board.auc(np.array([1.0, 0, 0, 1, 0]))[0] == 0.5
    assert np.isnan(board.auc(np.zeros(5))[0])


def test_auc_with_weights_equals_auc_of_repeated_rows() -> None:
    rng = np.random.default_rng(0)
    score, y = rng.integers(0, 6, 60).astype(float), (rng.random(60) < 0.3).astype(float)
    counts = rng.integers(0, 4, 60)
    repeated = np.repeat(np.arange(60), counts)
    plain = Board(score[repeated], ones(len(repeated))).auc(y[repeated])[0]
    assert Board(score, counts.astype(float)).auc(y)[0] == pytest.approx(plain, abs=1e-12)


def test_average_precision_is_scikit_learns_under_ties_and_weights() -> None:
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(5)
    score, y = rng.integers(0, 12, 300).astype(float), (rng.random(300) < 0.1).astype(float)
    weight = rng.poisson(1.0, (300, 4)).astype(float)
    got = Board(score, weight).pr_auc(y)
    want = [average_precision_score(y, score, sample_weight=weight[:, j]) for j in range(4)]
    np.testing.assert_allclose(got, want, rtol=1e-12)
    assert Board(np.zeros(300), ones(300)).pr_auc(y)[0] == pytest.approx(y.mean())
    assert np.isnan(Board(score, ones(300)).pr_auc(np.zeros(300))[0])


def test_negative_prediction_error_is_the_harm_among_those_left_off() -> None:
    # 10 events among 100 persons; a list of 20 took 6 of them: 4 of the 80 left off came to harm
    assert metrics.missed(np.array([6.0]), np.array([20.0]), np.array([10.0]), np.array([100.0])) == [0.05]
    assert np.isnan(metrics.missed(np.array([10.0]), np.array([100.0]), np.array([10.0]), np.array([100.0])))[
        0
    ]


def test_overlap_of_two_lists() -> None:
    one, two = dict.fromkeys("abcd", 1.0), dict.fromkeys("bcde", 1.0)
    assert metrics.overlap(one, two) == (0.75, 0.6)
    assert metrics.overlap({}, {}) == (1.0, 1.0)
    tied = dict.fromkeys("abcdefghij", 0.2)  # two places among ten who cannot be told apart
    assert metrics.overlap(tied, tied)[0] == pytest.approx(0.2)


def test_a_place_on_the_list_is_shared_by_those_tied_at_the_cut() -> None:
    board = Board(np.array([1.0, 5.0, 5.0, 9.0, 5.0]), ones(5))
    assert board.listed(2 / 5).tolist() == pytest.approx([0.0, 1 / 3, 1 / 3, 1.0, 1 / 3])
    assert board.listed(1.0).tolist() == [1.0] * 5
    harm = np.array([7.0, 3.0, 1.0, 4.0, 8.0])
    assert board.listed(2 / 5) @ harm == pytest.approx(board.top(harm, 2 / 5)[0][0])


def test_rank_overlap_knows_order_as_well_as_membership() -> None:
    one = [f"p{i}" for i in range(100)]
    assert metrics.rank_overlap(one, one, 50) == pytest.approx(1.0)
    assert metrics.rank_overlap(one, [f"q{i}" for i in range(100)], 50) == 0.0
    top_swapped = ["p1", "p0", *one[2:]]
    end_swapped = [*one[:48], "p49", "p48", *one[50:]]
    assert metrics.rank_overlap(one, top_swapped, 50) < metrics.rank_overlap(one, end_swapped, 50) < 1.0
    by_hand = (0.5 / 0.5) * (0 / 1 * 0.5 + 2 / 2 * 0.25) + 2 / 2 * 0.25  # p .5, two places swapped
    assert metrics.rank_overlap(["a", "b"], ["b", "a"], 2, p=0.5) == pytest.approx(by_hand)


def test_tied_scores_share_the_remaining_places_exactly() -> None:
    score = np.array([9.0, 5.0, 5.0, 5.0, 1.0])
    harm = np.array([10.0, 6.0, 0.0, 3.0, 100.0])
    by_hand = np.mean([10 + harm[1 + p[0]] for p in permutations(range(3))])
    got, taken = Board(score, ones(5)).top(harm, 2 / 5)
    assert got[0] == pytest.approx(by_hand)
    assert got[0] == pytest.approx(13.0)
    assert taken[0] == pytest.approx(2.0)


def test_top_of_a_constant_is_the_share_and_top_of_all_is_all() -> None:
    harm = np.arange(10.0)
    assert Board(np.zeros(10), ones(10)).top(harm, 0.3)[0][0] == pytest.approx(0.3 * harm.sum())
    assert Board(-harm, ones(10)).top(harm, 1.0)[0][0] == pytest.approx(harm.sum())
    assert Board(harm, ones(10)).top(harm, 0.1)[0][0] == 9.0


def test_draws_are_judged_column_by_column() -> None:
    rng = np.random.default_rng(1)
    score, harm = rng.integers(0, 9, 40).astype(float), rng.random(40)
    weight = rng.poisson(1.0, (40, 7)).astype(float)
    together, _ = Board(score, weight).top(harm, 0.2)
    alone = [Board(score, weight[:, j]).top(harm, 0.2)[0][0] for j in range(7)]
    np.testing.assert_allclose(together, alone, rtol=1e-12)


def test_bootstrap_keeps_all_rows_of_a_person_together() -> None:
    persons = np.array([0, 1, 2, 0, 1, 2, 3])
    weight = metrics.person_weights(persons, 50, seed=4)
    assert weight.shape == (7, 50)
    np.testing.assert_array_equal(weight[0], weight[3])
    np.testing.assert_array_equal(weight[2], weight[5])
    assert (weight[0] != weight[1]).any()
    np.testing.assert_array_equal(weight, metrics.person_weights(persons, 50, seed=4))


def test_calibration_slope_recovers_a_known_distortion() -> None:
    rng = np.random.default_rng(2)
    z = rng.normal(-2, 1, 200_000)
    y = (rng.random(len(z)) < metrics.sigmoid(z)).astype(float)
    overconfident = metrics.sigmoid(2.0 * z + 1.0)  # logit = 2 z + 1, so the slope that mends it is one half
    figures = metrics.calibration(overconfident, y, ones(len(y)))
    assert figures["slope"] == pytest.approx(0.5, abs=0.02)
    right = metrics.calibration(metrics.sigmoid(z), y, ones(len(y)))
    assert right["slope"] == pytest.approx(1.0, abs=0.02)
    assert right["intercept"] == pytest.approx(0.0, abs=0.02)
    assert right["ece"] < 0.004


def test_recalibration_in_the_large_makes_the_mean_right() -> None:
    z, y = np.array([-1.0, 0.0, 1.0, 2.0]), np.array([0.0, 0.0, 1.0, 0.0])
    a, b = metrics.fit_slope(z, y, ones(4), slope=1.0)
    assert b == 1.0
    assert metrics.sigmoid(a + z).mean() == pytest.approx(0.25)


def test_slope_of_one_class_is_unknown_and_of_a_constant_score_not_invented() -> None:
    assert np.isnan(metrics.fit_slope(np.array([0.0, 1.0]), np.zeros(2), ones(2))).all()
    a, b = metrics.fit_slope(np.zeros(4), np.array([1.0, 0, 0, 0]), ones(4))
    assert b == 1.0
    assert metrics.sigmoid(np.array([a]))[0] == pytest.approx(0.25)


def test_ece_by_hand() -> None:
    p, y = np.array([0.1, 0.1, 0.9, 0.9]), np.array([0.0, 1.0, 1.0, 1.0])
    rows = metrics.reliability(p, y, ones(4), bins=2)
    assert [r["observed"] for r in rows] == [0.5, 1.0]
    gaps = sum(r["share"] * abs(r["mean_p"] - r["observed"]) for r in rows)
    assert gaps == pytest.approx((0.4 + 0.1) / 2)


def test_interval_needs_enough_draws() -> None:
    low, high = metrics.interval(np.linspace(0, 1, 1001))
    assert (low, high) == (pytest.approx(0.025), pytest.approx(0.975))
    assert np.isnan(metrics.interval(np.full(100, np.nan))[0])

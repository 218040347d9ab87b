"""The gates: each refuses what it should, says by how much, and lets a good model through."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from models import gates, settings
from models.gates import FAILED, PASSED, SIGNED, TO_SIGN, Facts, Verdict

GOOD = Facts(
    "m-candidate000", additive=True, reproduced=True, reproduction="fitted again: the same to the bit"
)


def ranked(score: str, auc: float, capture: float, dates: int = 6) -> dict[str, Any]:
    return {
        "t": "pooled",
        "cohort": "all",
        "score": score,
        "dates": dates,
        "auc": auc,
        "capture_1pc": capture,
    }


def group(name: str, value: str, serious: int = 80, oe: float = 1.0, fnr: float = 1.0) -> dict[str, Any]:
    return {
        "grouping": name,
        "group": value,
        "n": 900,
        "serious": serious,
        "serious_persons": serious // 3,
        "observed_over_expected": oe,
        "observed_over_expected_low": oe - 0.1,
        "observed_over_expected_high": oe + 0.1,
        "fnr_ratio": fnr,
        "fnr_ratio_low": fnr - 0.05,
        "fnr_ratio_high": fnr + 0.05,
        "assessable": serious >= 50,
    }


def good_results() -> dict[str, Any]:
    """Results of a model that passes everything."""
    return {
        "ranking": [
            ranked("model", 0.76, 0.15),
            ranked("without age", 0.75, 0.14),
            ranked("rfgv", 0.72, 0.13),
            ranked("v100", 0.70, 0.16),
            ranked("constant", 0.5, 0.01),
            ranked("champion", 0.80, 0.30),
            {"t": "pooled", "cohort": "active_365", "score": "other rule", "auc": 0.99, "capture_1pc": 0.9},
        ],
        "difference": [
            {"rule": "rfgv", "figure": "auc", "difference": 0.04, "low": 0.01, "high": 0.07},
            {"rule": "v100", "figure": "auc", "difference": 0.06, "low": 0.03, "high": 0.09},
        ],
        "probability": [
            {"t": "pooled", "cohort": "active_365", "slope": 3.0},
            {"t": "pooled", "cohort": "all", "slope": 1.02},
        ],
        "harm": [
            {"part": "everyone", "observed_over_expected": 1.05, "unwinsorised_over_expected": 1.2},
            {"part": "top decile", "observed_over_expected": 0.75, "unwinsorised_over_expected": 0.75},
            {"part": "top 1 %", "observed_over_expected": 1.39, "unwinsorised_over_expected": 1.6},
        ],
        "fairness": [group("sex", "female"), group("sex", "male"), group("age", "under 25")],
        "leak_suspect": False,
    }


def by_gate(results: dict[str, Any] | None, facts: Facts = GOOD, versus: Any = None) -> dict[str, Verdict]:
    return {v.gate: v for v in gates.judge(results, versus, facts)}


def test_a_good_model_passes_every_gate() -> None:
    verdicts = gates.judge(good_results(), None, GOOD)
    assert {v.outcome for v in verdicts} == {PASSED}, gates.render(gates.failed(verdicts))
    assert not gates.failed(verdicts)


def test_the_best_simple_rule_is_the_bar_in_each_figure_and_other_models_are_no_rules() -> None:
    found = by_gate(good_results())
    assert "rfgv" in found["beats rules: AUC"].words
    assert (
        "v100" in found["beats rules: harm"].words
    )  # it captures most; the champion and "without age" do not count
    assert found["beats rules: harm"].limit == (pytest.approx(0.144),)


def test_an_auc_interval_that_touches_nought_is_refused_with_the_distance() -> None:
    results = good_results()
    results["difference"][0] |= {"low": -0.004}
    found = by_gate(results)["beats rules: AUC"]
    assert found.outcome == FAILED
    assert found.missed_by == pytest.approx(0.004)
    assert "short by 0.004" in found.words
    results["difference"][0] |= {"low": 0.0}  # above nought, not at it
    assert by_gate(results)["beats rules: AUC"].outcome == FAILED


def test_harm_captured_may_be_a_tenth_below_the_best_rule_and_no_more() -> None:
    results = good_results()
    results["ranking"][0]["capture_1pc"] = 0.144
    assert by_gate(results)["beats rules: harm"].outcome == PASSED
    results["ranking"][0]["capture_1pc"] = 0.140
    found = by_gate(results)["beats rules: harm"]
    assert (found.outcome, found.missed_by) == (FAILED, pytest.approx(0.004))


@pytest.mark.parametrize(
    ("slope", "outcome", "off"),
    [
        (0.85, PASSED, None),
        (1.15, PASSED, None),
        (0.80, FAILED, 0.05),
        (1.25, FAILED, 0.10),
        (None, FAILED, None),
    ],
)
def test_calibration_slope(slope: float | None, outcome: str, off: float | None) -> None:
    results = good_results()
    results["probability"][1]["slope"] = slope
    found = by_gate(results)["calibration"]
    assert found.outcome == outcome
    assert found.missed_by == (None if off is None else pytest.approx(off))


def test_harm_days_everyone_is_held_tighter_than_the_top_and_the_raw_figure_stands_beside() -> None:
    results = good_results()
    results["harm"][0]["observed_over_expected"] = 1.2
    found = by_gate(results)
    assert found["harm, everyone"].outcome == FAILED
    assert "unwinsorised 1.200" in found["harm, everyone"].words
    assert found["harm, top decile"].outcome == PASSED
    results["harm"] = results["harm"][:1]
    assert by_gate(results)["harm, top 1 %"].outcome == FAILED  # a figure that is missing is not a pass


def test_a_group_whose_harm_is_foreseen_wrongly_is_named() -> None:
    results = good_results()
    results["fairness"][0] = group("sex", "female", oe=0.65)  # interval .55 to .75, below .8
    found = by_gate(results)["group sex: female"]
    assert (found.outcome, found.missed_by) == (FAILED, pytest.approx(0.05))
    results["fairness"][0] = group("sex", "female", oe=0.72)  # .62 to .82 overlaps
    assert by_gate(results)["group sex: female"].outcome == PASSED


def test_a_group_whose_serious_harm_is_missed_more_often_is_named() -> None:
    results = good_results()
    results["fairness"][1] = group("sex", "male", fnr=1.4)
    found = by_gate(results)["missed, sex: male"]
    assert (found.outcome, found.missed_by) == (FAILED, pytest.approx(0.10))
    results["fairness"][1] = group("sex", "male", fnr=1.28)  # its lower end is 1.23
    assert by_gate(results)["missed, sex: male"].outcome == PASSED


def test_missed_harm_that_is_withheld_passes_only_if_all_of_it_missed_would() -> None:
    results = good_results()
    hidden = group("sex", "male") | dict.fromkeys(("fnr_ratio", "fnr_ratio_low", "fnr_ratio_high"))
    whole = group("everyone", "everyone")
    results["fairness"] = [whole | {"fnr": 0.85}, hidden]
    assert by_gate(results)["missed, sex: male"].outcome == PASSED  # 1 / .85 is 1.18
    results["fairness"] = [whole | {"fnr": 0.7}, hidden]
    assert by_gate(results)["missed, sex: male"].outcome == TO_SIGN
    results["fairness"] = [whole | {"fnr": None}, hidden]
    assert by_gate(results)["missed, sex: male"].outcome == TO_SIGN


def test_small_groups_wait_for_a_signature_and_are_not_judged() -> None:
    results = good_results()
    results["fairness"] += [group("age", "missing", serious=49, oe=9.0, fnr=9.0)]
    found = by_gate(results)["groups, too small"]
    assert found.outcome == TO_SIGN
    assert "age: missing" in found.words
    assert gates.failed(list(by_gate(results).values())) == [found]
    signed = Facts(**{**GOOD.__dict__, "signed": True, "by": "A. Approver"})
    found = by_gate(results, signed)["groups, too small"]
    assert found.outcome == SIGNED
    assert "signed by A. Approver" in found.words


def test_fairness_that_was_not_measured_is_no_pass() -> None:
    results = good_results()
    del results["fairness"]
    assert by_gate(results)["groups"].outcome == FAILED


def test_a_leak_suspect_run_is_refused_until_a_named_person_records_the_cause() -> None:
    results = good_results() | {
        "leak_suspect": True,
        "leak": {"auc": 0.91, "text": "AUC .91; charge_date alone gives .90"},
    }
    found = by_gate(results)["no leak"]
    assert (found.outcome, found.hard) == (FAILED, True)
    assert "charge_date" in found.words
    named = Facts(**{**GOOD.__dict__, "by": "A. Approver", "leak_cause": "a closed cohort of repeat callers"})
    assert by_gate(results, named)["no leak"].outcome == SIGNED


def test_against_the_champion_a_hundredth_may_be_lost_and_no_more() -> None:
    facts = Facts(**{**GOOD.__dict__, "in_use": "m-champion0000"})
    row = {"rule": "champion", "figure": "auc", "difference": 0.0, "low": -0.009, "high": 0.01}
    gate = "holds the champion"
    assert by_gate(good_results(), facts, {"difference": [row]})[gate].outcome == PASSED
    found = by_gate(good_results(), facts, {"difference": [row | {"low": -0.03}]})[gate]
    assert (found.outcome, found.missed_by) == (FAILED, pytest.approx(0.02))
    assert by_gate(good_results(), facts, None)[gate].outcome == FAILED
    gone = by_gate(good_results(), facts, {"difference": [], "problem": "column x is not there"})[gate]
    assert "column x is not there" in gone.words


def test_no_test_no_second_fit_and_trees_are_refused() -> None:
    untested = by_gate(None)
    assert untested["tested"].outcome == FAILED
    assert "beats rules: AUC" not in untested
    assert by_gate(good_results(), Facts("m-x", additive=True))["reproducible"].outcome == FAILED
    trees = by_gate(good_results(), Facts(**{**GOOD.__dict__, "additive": False}))["explained exactly"]
    assert (trees.outcome, trees.hard) == (FAILED, True)


def test_a_test_at_few_dates_is_for_the_approver_to_sign() -> None:
    results = good_results()
    for row in results["ranking"]:
        row["dates"] = 3
    found = by_gate(results)["tested"]
    assert (found.outcome, found.value) == (TO_SIGN, 3)


def test_a_force_can_set_its_own_limits() -> None:
    limits = deepcopy(settings.load("gates"))
    limits["calibration"]["slope"] = [0.99, 1.01]
    found = {v.gate: v for v in gates.judge(good_results(), None, GOOD, limits)}
    assert found["calibration"].outcome == FAILED
    assert by_gate(good_results())["calibration"].outcome == PASSED

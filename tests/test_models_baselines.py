"""The simple rules against values worked out by hand from the published formulae."""

from __future__ import annotations

import math

import polars as pl
import pytest

from models.baselines import baseline_scores, needed_columns, not_applicable, place


def people() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "person_id": ["a", "b", "c"],
            "days_since_domestic": [60, None, 0],
            "domestic_events_365d": [3, 0, 30],
            "domestic_crimes_365d": [2, 0, 1],
            "harm_days_365d": [20.0, None, 9000.0],
            "distinct_victims_1095d": [3, 1, 9],
            "last_dash_grade": [2, None, 3],
            "age": [28, None, 18],
            "convictions_ever": [2, None, 0],
            "cautions_ever": [1, 0, 0],
        }
    )


def test_v100_is_the_harm_sum_of_those_with_more_than_one_crime() -> None:
    assert baseline_scores(people())["v100"].to_list() == [20.0, 0.0, 0.0]


def test_rfgv_by_hand() -> None:
    a = (
        0.25 * 50
        + 0.25 * 100 * math.log(4) / math.log(13)
        + 0.35 * 100 * math.log(21) / math.log(2001)
        + 0.15 * 50
    )
    c = 0.25 * 100 + 0.25 * 100 + 0.35 * 100 + 0.15 * 100  # every part at its cap
    got = baseline_scores(people())["rfgv"].to_list()
    assert got[0] == pytest.approx(a, abs=1e-9)
    assert got[1] == pytest.approx(0.0, abs=1e-9)
    assert got[2] == pytest.approx(c, abs=1e-9)
    assert c == pytest.approx(100.0)


def test_counts_harm_and_grades_are_taken_as_they_are() -> None:
    scores = baseline_scores(people())
    assert scores["count_365"].to_list() == [3.0, 0.0, 30.0]
    assert scores["harm_365"].to_list() == [20.0, 0.0, 9000.0]
    assert scores["last_dash"].to_list() == [2.0, 0.0, 3.0]
    assert scores["constant"].n_unique() == 1


def test_age_and_priors_by_hand() -> None:
    got = baseline_scores(people())["age_priors"].to_list()
    # three sanctions in ten adult years; nobody knows the second one's age, 35 stands for it; a first-timer of 18
    assert got == pytest.approx([math.log(4 / 20), math.log(1 / 27), math.log(1 / 10)])


def test_whom_a_rule_does_not_apply_to_comes_last_together() -> None:
    assert place(pl.Series([0.4, None, 0.1, None])).to_list() == [0.4, -0.9, 0.1, -0.9]
    assert place(pl.Series([None, None], dtype=pl.Float64)).to_list() == [0.0, 0.0]


def test_a_rule_without_its_records_is_not_applicable_and_says_why() -> None:
    no_dash = people().drop("last_dash_grade")
    assert "last_dash_grade" in not_applicable(no_dash)["last_dash"]
    assert "last_dash" not in baseline_scores(no_dash).columns
    empty = people().with_columns(pl.lit(None, dtype=pl.Int64).alias("last_dash_grade"))
    assert "no DASH" in not_applicable(empty)["last_dash"]
    assert set(not_applicable(people())) == set()
    bare = people().select("person_id")
    assert set(not_applicable(bare)) == {"last_dash", "count_365", "harm_365", "v100", "rfgv", "age_priors"}
    assert baseline_scores(bare).columns == ["person_id", "constant"]


def test_rules_name_columns_the_catalogue_has() -> None:
    from features.catalogue import load_catalogue

    known = {c.name for c in load_catalogue().columns("offender")}
    assert set(needed_columns()) <= known

"""One way to a score: a person alone equals the batch, ranks are one rule, some are never scored."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from features.clocks import parse_as_of
from features.errors import InputError
from features.home import Home
from models.store import champion
from risk.score import FILE_COLUMNS, Scored, score_cohort

T = parse_as_of("2025-06-01")


@pytest.fixture(scope="module")
def scored(small_home: Path) -> Scored:
    return score_cohort(Home(small_home).require(), champion(small_home), T)


def test_a_person_alone_has_the_bits_of_the_batch(small_home: Path, scored: Scored) -> None:
    load, doc = Home(small_home).require(), champion(small_home)
    kept = ["p_serious", "p_any", "expected_harm"]
    for person in scored.frame["person_id"].to_list():
        alone = score_cohort(load, doc, T, [person])
        batch = scored.frame.filter(pl.col("person_id") == person)
        assert alone.frame.select(kept).equals(batch.select(kept), null_equal=True)
        assert alone.contributions([person]).equals(scored.contributions([person]), null_equal=True)
        assert alone.frame["rank"].to_list() == [None], "a rank needs everyone"


def test_contributions_sum_to_the_log_odds(scored: Scored) -> None:
    sums = scored.contributions().group_by("person_id").agg(pl.col("contribution").sum())
    for person, total in sums.iter_rows():
        p = scored.frame.filter(pl.col("person_id") == person)["p_serious"][0]
        if p is not None:
            assert total == pytest.approx(math.log(p / (1 - p)), abs=1e-9)


def test_ranks_run_from_one_by_expected_harm_among_those_in_scope(scored: Scored) -> None:
    ranked = scored.frame.filter("in_scope").sort("rank")
    assert ranked["rank"].to_list() == list(range(1, ranked.height + 1))
    assert ranked["expected_harm"].is_sorted(descending=True)
    assert (
        scored.frame.filter(~pl.col("in_scope"))["rank"].null_count()
        == scored.frame.filter(~pl.col("in_scope")).height
    )


def test_equal_counts_share_the_best_place(scored: Scored) -> None:
    ranked = scored.frame.filter("in_scope").sort("count_rank", "person_id")
    assert ranked.row(0, named=True)["person_id"] == "P1"
    assert ranked["count_rank"].to_list() == [1, 2, 2, 2, 2]


def test_children_and_the_dead_are_never_scored_prisoners_and_likely_victims_are_but_not_ranked(
    scored: Scored,
) -> None:
    rows = {row["person_id"]: row for row in scored.frame.iter_rows(named=True)}
    assert rows["P4"]["out_of_scope_reason"] == "under 18"
    assert rows["P4"]["p_serious"] is None
    assert rows["P5"]["out_of_scope_reason"] == "known to have died"
    assert rows["P5"]["expected_harm"] is None
    assert rows["P2"]["out_of_scope_reason"] == "in prison or on remand"
    assert rows["P2"]["p_serious"] is not None
    assert rows["P2"]["rank"] is None
    assert rows["V3"]["out_of_scope_reason"] == "held for review: may be the victim", (
        "only in an answering allegation"
    )
    assert (rows["V3"]["rank"], rows["V3"]["in_scope"]) == (None, False)
    assert rows["V3"]["p_serious"] is not None
    assert rows["P3"]["in_scope"], "due out within 28 days: ranked"
    assert "P9" not in rows, "restricted by law: in no store"


def test_the_file_has_the_columns_others_script_against(scored: Scored) -> None:
    assert scored.frame.select(FILE_COLUMNS).columns == [
        "person_id", "expected_harm", "p_serious", "p_any", "rank", "in_scope", "out_of_scope_reason",
    ]  # fmt: skip


def test_equal_scores_are_ranked_by_the_stated_rule() -> None:
    from risk.score import _ranked

    frame = pl.DataFrame(
        {
            "person_id": ["B", "A", "C", "D"],
            "expected_harm": [5.0, 5.0, 5.0, 9.0],
            "p_serious": [0.1, 0.1, 0.2, 0.0],
            "count_365": [1, 1, 1, 1],
            "in_scope": [True] * 4,
        }
    )
    ranks = dict(_ranked(frame, whole=True).select("person_id", "rank").iter_rows())
    assert ranks == {"D": 1, "C": 2, "A": 3, "B": 4}


def test_the_future_cannot_be_scored(small_home: Path) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    with pytest.raises(InputError, match="in the future"):
        score_cohort(Home(small_home).require(), champion(small_home), tomorrow)


def test_before_the_first_event_the_cohort_is_empty(small_home: Path) -> None:
    early = score_cohort(Home(small_home).require(), champion(small_home), parse_as_of("2001-01-01"))
    assert early.frame.is_empty()
    assert set(FILE_COLUMNS) <= set(early.frame.columns)

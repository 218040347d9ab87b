"""Sentences: the person's own numbers, the records behind them, nothing about who someone is."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from features.catalogue import load_catalogue
from features.clocks import parse_as_of
from features.evidence import evidence
from features.home import Home
from models.store import champion
from risk.reasons import APART, Explainer, Explanation, group_of, names_protected, narrowed, tell
from risk.score import score_cohort
from risk.settings import settings
from risk.view import View

T = parse_as_of("2025-06-01")
COLUMNS = {column.name: column for column in load_catalogue().columns("offender")}


@pytest.fixture(scope="module")
def explain(small_home: Path) -> Callable[[str], Explanation]:
    load = Home(small_home).require()
    scored = score_cohort(load, champion(small_home), T)
    explainer = Explainer(View(load, T), scored, scored.frame["person_id"].to_list())
    return explainer.of


def test_reasons_and_base_sum_to_the_score(explain: Callable[[str], Explanation], small_home: Path) -> None:
    load = Home(small_home).require()
    scored = score_cohort(load, champion(small_home), T)
    for person in ("P1", "P6", "P7"):
        said = explain(person)
        parts = scored.contributions([person])["contribution"].sum()
        assert said.base + sum(reason.contribution for reason in said.reasons) == pytest.approx(
            parts, abs=1e-9
        )


def test_a_sentence_holds_the_numbers_and_cites_the_records_behind_them(
    explain: Callable[[str], Explanation],
) -> None:
    said = {reason.group: reason for reason in explain("P1").reasons}
    reports = said["history"]
    assert "2 domestic reports as suspect in the last 90 days, 1 in the 90 before" in reports.sentence
    assert "the last domestic report 11 days ago" in reports.sentence.lower()
    assert {cited.event_id for cited in reports.cited} == {"E04", "E05"}
    assert [cited.reference for cited in reports.cited] == ["REF-E05", "REF-E04"], "newest first"
    assert "latest risk assessment graded high" in said["assessment"].sentence.lower()
    assert [cited.event_id for cited in said["assessment"].cited] == ["E04"]


def test_no_reason_cites_what_police_found_by_themselves(explain: Callable[[str], Explanation]) -> None:
    assert "E06" not in {cited.event_id for reason in explain("P1").reasons for cited in reason.cited}


def test_age_is_a_figure_of_the_sum_and_in_no_sentence(explain: Callable[[str], Explanation]) -> None:
    for person in ("P1", "P6", "P7", "P3"):
        said = explain(person)
        assert all(reason.group != APART for reason in said.top(10))
        assert not any(names_protected(reason.sentence) for reason in said.reasons)
    apart = [reason for reason in explain("P3").reasons if reason.group == APART]
    assert set(apart[0].columns) == {"age"}
    assert apart[0].contribution > 0, (
        "younger than the average of this model: it does raise, and is in the sum"
    )
    assert "33" not in apart[0].sentence
    assert "birth date not recorded" in explain("P6").missing


def test_what_lowers_is_told_too(explain: Callable[[str], Explanation]) -> None:
    lowers = explain("P6").lowers()
    assert any("no harm days" in reason.sentence.lower() for reason in lowers)
    assert [r.contribution for r in lowers] == sorted(r.contribution for r in lowers)


def test_tables_the_force_did_not_hand_over_are_named_with_what_they_cost(
    explain: Callable[[str], Explanation],
) -> None:
    lines = explain("P1").not_fed
    assert any(line.startswith("conviction (") and "convictions" in line for line in lines)


def test_every_offender_feature_has_words_of_its_own() -> None:
    told = settings("reasons")["feature"]
    features = load_catalogue().features("offender")
    named = {feature.name for feature in features if not feature.sensitive} | {"age"}
    assert set(told) <= named, f"sentences for features there are not: {set(told) - named}"
    assert named - set(told) == set(), "features told only in the catalogue's words"


def test_every_template_can_be_told_for_every_kind_of_value() -> None:
    for column in [column for column in COLUMNS.values() if group_of(column.feature) != APART]:
        for value in (None, 0, 1, 3):
            values = dict.fromkeys(COLUMNS, value)
            for up in (True, False):
                said = tell(column.feature, values, column, up=up)
                assert said
                assert "{" not in said


def test_a_feature_without_a_template_is_told_in_the_catalogues_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(settings("reasons"), "feature", {})
    column = COLUMNS["domestic_events_90d"]
    assert tell(column.feature, {column.name: 4}, column, up=True) == f"{column.text}: 4"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"domestic_events_90d": 4, "domestic_events_180d": 5}, "4 domestic reports as suspect in the last 90 days, "
         "1 in the 90 before"),
        ({"domestic_events_90d": 1, "domestic_events_180d": 1}, "1 domestic report as suspect in the last 90 days, "
         "none in the 90 before"),
        ({"domestic_events_90d": 0, "domestic_events_180d": 2}, "no domestic reports as suspect in the last 90 days"),
    ],
)  # fmt: skip
def test_a_count_stands_beside_the_stretch_before_it(values: dict[str, int], said: str) -> None:
    column = COLUMNS["domestic_events_90d"]
    assert tell(column.feature, values, column, up=True) == said


@pytest.mark.parametrize(
    "text",
    ["Age 33", "reports by female victims", "events with a pregnant victim", "DISABLED person", "ethnicity recorded",
     "mental health marker", "a religious setting", "married", "her husband", "aged_over_50", "transgender"],
)  # fmt: skip
def test_words_for_protected_characteristics_are_known(text: str) -> None:
    assert names_protected(text)


@pytest.mark.parametrize(
    "text",
    [
        "damage or arson",
        "managed",
        "average",
        "older ones counting less",
        "sexual offence",
        "traced",
        "message",
    ],
)
def test_words_that_only_look_like_one_are_not_taken_for_it(text: str) -> None:
    assert not names_protected(text)


def test_no_sentence_that_can_be_made_names_a_protected_characteristic_or_guilt() -> None:
    """Every column, every kind of value, both ways, at once and by time alone: whatever is not kept apart is told."""
    shouted = [str(words["title"]) for words in settings("reasons")["family"].values()]
    shouted += [str(text) for text in settings("reasons")["apart"].values()]
    for column in COLUMNS.values():
        if group_of(column.feature) == APART:
            continue
        for value in (None, 0, 1, 2.5, 1000):
            values = dict.fromkeys(COLUMNS, value)
            shouted += [tell(column.feature, values, column, up=up) for up in (True, False)]
    assert len(shouted) > 1000
    assert [said for said in shouted if names_protected(said)] == []
    for word in ("offender", "perpetrator", "guilty", "low risk"):
        assert not [said for said in shouted if re.search(rf"\b{word}s?\b", said, re.IGNORECASE)]


def test_what_the_catalogue_marks_sensitive_is_kept_apart() -> None:
    apart = {column.feature.name for column in COLUMNS.values() if group_of(column.feature) == APART}
    assert apart == {"age", "marker_mn", "marker_su", "marker_sh"}
    assert apart.isdisjoint(
        name for name, t in settings("reasons")["feature"].items() if set(t) & {"say", "one"}
    )


def test_an_own_feature_whose_words_name_one_is_kept_apart() -> None:
    feature = COLUMNS["domestic_events_90d"].feature
    own = replace(
        feature, name="own_count", text="events with a pregnant victim {window}", origin="mine.toml"
    )
    assert group_of(own) == APART
    assert group_of(replace(own, text="events at night {window}")) == "history"


def test_citing_from_the_narrowed_records_is_citing_from_all_of_them(small_home: Path) -> None:
    records = Home(small_home).require().records()
    for person in ("P1", "P7", "V3"):
        few = narrowed(records, [person])
        assert few.table("event").height < records.table("event").height
        row = {"person_id": person}
        cited = {name: evidence(few, row, T, name) for name in COLUMNS}
        assert cited == {name: evidence(records, row, T, name) for name in COLUMNS}


def test_nothing_recorded_after_t_is_told(small_home: Path) -> None:
    load = Home(small_home).require()
    before = T - timedelta(days=30)
    scored = score_cohort(load, champion(small_home), before, ["P1"])
    said = Explainer(View(load, before), scored, ["P1"]).of("P1")
    cited = pl.Series([one.at for reason in said.reasons for one in reason.cited])
    assert cited.len() > 0
    assert (cited <= before).all()

"""Sentences: the person's own numbers, the records behind them, nothing about who someone is."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from features.catalogue import load_catalogue
from features.clocks import parse_as_of
from features.evidence import evidence
from features.home import Home
from models.store import champion
from risk.reasons import Explainer, Explanation, narrowed, tell
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


def test_age_is_named_plainly_and_is_never_a_top_reason(explain: Callable[[str], Explanation]) -> None:
    for person in ("P1", "P6", "P7", "P3"):
        said = explain(person)
        assert all(reason.group != "age" for reason in said.top(10))
    ages = [reason for reason in explain("P3").reasons if reason.group == "age"]
    assert ages[0].sentence == "Age 33"
    assert ages[0].contribution > 0, "younger than the average of this model: it does raise"
    assert "age not known" in explain("P6").missing


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
    named = {feature.name for feature in load_catalogue().features("offender")}
    assert set(told) <= named, f"sentences for features there are not: {set(told) - named}"
    assert named - set(told) == set(), "features told only in the catalogue's words"


def test_every_template_can_be_told_for_every_kind_of_value() -> None:
    for column in COLUMNS.values():
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


def test_no_sentence_speaks_of_a_protected_characteristic_or_of_guilt() -> None:
    words = " ".join(
        str(text) for template in settings("reasons")["feature"].values() for text in template.values()
    ).lower()
    for word in ("ethnic", "race", "religio", "nationality", "gender", " sex ", "male", "disab", "pregnan", "offender",
                 "perpetrator", "guilty", "low risk"):  # fmt: skip
        assert not re.search(rf"\b{word.strip()}\b", words), word


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

"""The catalogue is checked data: complete, documented, and true on both engines by its own worked examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.catalogue import CATALOGUE_FILE, Feature, load_catalogue, window_phrase
from features.dictionary import PAGE, render, source_tables
from features.errors import InputError
from features.examples import as_of_time, key_frame, records_of
from features.histories import ENGINES, histories

CATALOGUE = load_catalogue()
ALL = [pytest.param(f, id=f"{f.subject}-{f.name}") for f in CATALOGUE.all]


@pytest.mark.parametrize("feature", ALL)
def test_the_worked_example_comes_out_as_written(feature: Feature) -> None:
    example = feature.example
    columns = [name for name, _ in example.expect]
    assert set(columns) <= {c.name for c in feature.columns}, "an example speaks of its own feature"
    records = records_of(example.given)
    for engine in ENGINES:
        row = histories(
            records,
            feature.subject,
            as_of_time(example),
            subjects=key_frame(feature.subject),
            engine=engine,
            columns=columns,
        )
        assert row.select(columns).row(0, named=True) == dict(example.expect), engine


def test_there_are_enough_declarations_and_each_says_all_it_must() -> None:
    assert len(CATALOGUE.all) >= 60
    assert len(CATALOGUE.features("offender")) >= 60
    for feature in CATALOGUE.all:
        assert feature.unit, feature.name
        assert "_" not in feature.text, feature.name
        assert feature.text[0].islower() or feature.text.startswith("DASH"), feature.name
        assert source_tables(CATALOGUE, feature), feature.name


def test_windows_are_those_of_the_contract() -> None:
    assert {w for f in CATALOGUE.all for w in f.windows} == {28, 30, 90, 180, 365, 730, 1095, None}
    assert window_phrase(90) == "in the last 90 days"
    assert window_phrase(None) == "ever recorded"
    assert CATALOGUE.column("offender", "domestic_events_90d").text == (
        "domestic-abuse events as suspect in the last 90 days"
    )


def test_columns_other_rooms_rely_on_are_there() -> None:
    names = {c.name for c in CATALOGUE.columns("offender")}
    for base in ("domestic_events", "domestic_crimes", "harm_days", "max_harm_days", "serious_events"):
        assert {f"{base}_{w}" for w in ("30d", "90d", "180d", "365d", "730d", "ever")} <= names
    assert {"distinct_victims_365d", "distinct_victims_1095d", "distinct_victims_ever"} <= names
    assert {"days_since_domestic", "last_dash_grade", "age", "suspect_events_ever"} <= names


def test_health_and_age_are_marked_sensitive() -> None:
    marked = {f.name: f.sensitive for f in CATALOGUE.all if f.sensitive}
    assert marked == {
        "marker_mn": "health",
        "marker_su": "health",
        "marker_sh": "health",
        "age": "age",
        "victim_age": "age",
    }


def test_no_feature_reads_what_it_may_not() -> None:
    """Protected characteristics, place, programmes: no field, no need and no stream has them."""
    banned = (
        "sex",
        "ethnicity",
        "address",
        "district",
        "beat",
        "lsoa",
        "postcode",
        "intervention",
        "proactive",
    )
    for feature in CATALOGUE.all:
        fields = [field for condition in feature.where for field in condition.fields]
        values = [str(value) for condition in feature.where for value in condition.values]
        read = [*fields, *values, feature.value, *feature.needs]
        assert not [word for word in read if any(word == b or word.endswith(f".{b}") for b in banned)], (
            feature.name
        )
        assert "police_proactive" not in values


def test_the_data_dictionary_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(CATALOGUE), "run: python -m features.catalogue"


def test_every_family_says_what_it_is_and_the_flagged_ones_are_these() -> None:
    flagged = {family.name: family.flags for family in CATALOGUE.families if family.flags}
    assert flagged == {
        "enforcement": ("proactive",),
        "protected characteristic": ("protected",),
        "household": ("proxy_risk",),
    }
    held = {feature.name for feature in CATALOGUE.all if CATALOGUE.refused(feature)}
    assert {"other_drug_crimes", "household_now", "live_together"} <= held
    allowed = {"wanted_now", "arrests", "bails"}  # states that follow a reported crime
    assert not allowed & held


def test_the_dictionary_says_of_each_feature_all_it_must() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for subject in ("offender", "victim", "dyad"):
        part = page.split(f"\n## {subject.capitalize()}: ")[1].split("\n## ")[0]
        entries = {entry.split("`", 1)[0]: entry for entry in part.split("\n#### `")[1:]}
        assert set(entries) == {feature.name for feature in CATALOGUE.features(subject)}
        for feature in CATALOGUE.features(subject):
            entry = entries[feature.name]
            for heading in ("Unit", "Family", "Source tables", "Is", "Expected direction"):
                assert f"\n- {heading}: " in entry, (feature.name, heading)
            flags = CATALOGUE.family(feature).flags
            assert ("no model may take it" in entry) == bool(flags), feature.name
            assert all(line in entry for line in feature.example.given), feature.name


BROKEN = {
    "no field": ('where = { domestic = "Y" }', 'where = { sex = "M" }'),
    "not bool": ("serious = true", 'serious = "yes"'),
    "aggregate": ('aggregate = "count"', 'aggregate = "mean"'),
    "no stream": ('source = "suspect_event"', 'source = "address_event"'),
    "declared twice": ('name = "domestic_crimes"', 'name = "domestic_events"'),
    "no earlier": (
        '"domestic_events_30d", "domestic_events_365d"',
        '"domestic_events_7d", "domestic_events_365d"',
    ),
    "unknown keys": ("direction = 1", "directoin = 1"),
    "the text holds": ("as suspect {window}", "as suspect"),
    "is never": ('kind = "non_crime"', 'kind = "non-crime"'),
    "did you mean history": ('family = "history"', 'family = "histry"'),
    "reads health data": ('sensitive = "health"\n', ""),
    "reads age data": ('sensitive = "age"\n', ""),
    "no section": ("[[dyad]]", "[[dyads]]"),
    "not 90.5": ("windows = [30, 90", "windows = [30, 90.5"),
    "cannot be read": ("[[offender]]", "[[offender"),
}


@pytest.mark.parametrize("says", BROKEN)
def test_a_broken_declaration_is_refused_by_name(says: str, tmp_path: Path) -> None:
    old, new = BROKEN[says]
    text = CATALOGUE_FILE.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "catalogue.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=says):
        load_catalogue(path)


def test_examples_name_the_line_at_fault() -> None:
    with pytest.raises(InputError, match="evnt"):
        records_of(["evnt E1 2024-05-20 P>V"])
    with pytest.raises(InputError, match="no column"):
        records_of(["event E1 2024-05-20 P>V colour=red"])

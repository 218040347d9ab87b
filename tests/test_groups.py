"""Who belongs to which group, as known at T; who has nothing on record belongs to one too."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from features.home import Home
from models import groups

T = datetime(2025, 6, 1, 5, tzinfo=UTC)


def protected(**more: Any) -> dict[str, Any]:
    row = {
        "person_id": "P1",
        "sex": "M",
        "ethnicity_self": None,
        "ethnicity_observed": None,
        "known_from": datetime(2020, 1, 1, tzinfo=UTC),
        "known_to": None,
    }
    return row | more


def as_groups(home: Path, rows: list[dict[str, Any]], t: datetime = T) -> dict[str, dict[str, str]]:
    schema = dict.fromkeys(("person_id", "sex", "ethnicity_self", "ethnicity_observed"), pl.String)
    moment = pl.Datetime("us", "UTC")
    audit = {
        "person_protected": pl.DataFrame(rows, schema={**schema, "known_from": moment, "known_to": moment})
    }
    frame = groups.groups_at(audit, Home(home).require().records(), t)
    return {row["person_id"]: row for row in frame.iter_rows(named=True)}


def test_groups_are_as_known_at_t_and_what_is_not_recorded_is_a_group(small_home: Path) -> None:
    later = datetime(2025, 6, 2, tzinfo=UTC)
    rows = [
        protected(sex="U", known_to=later),
        protected(sex="F", known_from=later),  # corrected after T: not known yet
        protected(person_id="P2", ethnicity_self="B2", ethnicity_observed="3"),
        protected(person_id="P3", sex=None, ethnicity_self="NS"),
    ]
    found = as_groups(small_home, rows)
    assert found["P1"]["sex"] == "recorded as unknown"
    assert found["P2"]["ethnicity_self"] == "Black"
    assert found["P2"]["ethnicity_observed"] == "IC3"
    assert found["P3"]["sex"] == "not recorded"
    assert found["P3"]["ethnicity_self"] == "not stated"
    assert found["P7"]["sex"] == "not recorded"
    assert as_groups(small_home, rows, datetime(2025, 6, 3, tzinfo=UTC))["P1"]["sex"] == "female"


def test_age_bands_turn_on_the_birthday_and_relationship_is_the_latest(small_home: Path) -> None:
    found = as_groups(small_home, [])
    assert found["P1"]["age_band"] == "35 to 44"  # born 3 February 1985
    assert found["P4"]["age_band"] == "under 18"
    assert found["P6"]["age_band"] == "not recorded"
    assert found["P1"]["relationship"] == "spouse or partner"
    assert found["V1"]["relationship"] == "not recorded"  # never a suspect
    birthday = as_groups(small_home, [], datetime(2025, 2, 3, 6, tzinfo=UTC))
    assert birthday["P1"]["age_band"] == "35 to 44"
    assert as_groups(small_home, [], datetime(2025, 1, 1, 6, tzinfo=UTC))["P2"]["age_band"] == "35 to 44"
    assert as_groups(small_home, [], datetime(2024, 12, 31, 6, tzinfo=UTC))["P2"]["age_band"] == "25 to 34"


def test_districts_are_those_lists_are_cut_by(small_home: Path) -> None:
    from risk.teams import districts
    from risk.view import View

    load = Home(small_home).require()
    found = groups.groups_of(load)(T)
    theirs = districts(View(load, T), found)
    assert theirs["district"].replace("unassigned", "not recorded").to_list() == found["district"].to_list()
    assert found["district"].n_unique() > 1


def test_of_several_records_the_commonest_holds_and_unknown_gives_way() -> None:
    rows = pl.DataFrame(
        [protected(sex="U"), protected(sex="U"), protected(sex="F")]
        + [protected(person_id="P2", sex=sex) for sex in ("F", "M", "M")]
    )
    found = groups._protected(rows, groups.groupings()["sex"])
    assert dict(found.iter_rows()) == {"P1": "female", "P2": "male"}

"""Published lists: frozen, whole, the same twice, and honest about who moved, left or stands apart."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from features.clocks import parse_as_of
from features.errors import InputError, NotFoundError
from features.home import Home
from features.ingest import ingest
from models.store import champion, point_champion, save
from risk import priority
from risk.priority import list_ids, publish, read_list
from risk.published import row_words, shown

T, WEEK_BEFORE = parse_as_of("2025-06-01"), parse_as_of("2025-05-25")


def test_a_list_says_what_it_was_made_from(small_home: Path) -> None:
    facts = read_list(Home(small_home)).facts
    load, doc = Home(small_home).require(), champion(small_home)
    assert facts["as_of"] == "2025-06-01T05:00:00+00:00"
    assert facts["load_id"] == load.load_id
    assert facts["model_version"] == doc["version"]
    assert facts["harm"] == {"scheme": "cchi-da", "edition": "2020.1"}
    assert "+" in facts["code_version"]
    assert facts["settings"]["places"] == {"force": 100, "team": 25}
    assert facts["nature"] == "simulated"
    assert datetime.fromisoformat(facts["published_at"]) <= datetime.now(UTC)


def test_a_row_holds_what_a_team_needs(small_home: Path) -> None:
    row = read_list(Home(small_home)).rows.row(0, named=True)
    assert row["person_id"] == "P1"
    assert (row["rank"], row["team_rank"], row["district"]) == (1, 1, "D1")
    assert (row["incidents_30"], row["incidents_90"], row["incidents_365"]) == (1, 2, 4)
    assert row["days_since"] == 11
    assert row["victims_1095"] == 2
    assert row["harm_days_365"] == 385.0
    assert row["state"] == [
        "Wanted since 30 May 2025: failed to answer bail",
        "On bail until 18 June 2025: no contact and exclusion",
        "1 order in force (NMO)",
    ]
    assert len(row["reasons"]) == 3
    assert all(reason["events"] for reason in row["reasons"])
    assert row_words(row)["change"] == "no change"


def test_who_is_due_out_within_28_days_is_listed_with_the_date(small_home: Path) -> None:
    rows = {row["person_id"]: row for row in read_list(Home(small_home)).rows.iter_rows(named=True)}
    assert rows["P3"]["state"] == ["On remand until 20 June 2025"]
    assert row_words(rows["P3"])["release"] == "due out 20 June 2025"


def test_the_others_stand_apart_with_the_reason(small_home: Path) -> None:
    apart = read_list(Home(small_home)).apart
    assert dict(apart.select("person_id", "reason").iter_rows()) == {
        "P2": "in prison or on remand", "P4": "under 18", "P5": "known to have died",
        "V3": "held for review: may be the victim",
    }  # fmt: skip
    assert apart["person_id"].to_list() == ["V3", "P2", "P4", "P5"]


def test_a_restricted_record_keeps_its_reasons_back(small_home: Path) -> None:
    row = read_list(Home(small_home)).rows.filter(pl.col("person_id") == "P8").row(0, named=True)
    assert row["restricted"]
    assert row["reasons"] == []
    assert "P8" not in shown(read_list(Home(small_home)), Home(small_home)).names


def test_no_victim_name_address_or_safe_contact_is_in_a_list_folder(
    small_home: Path, small_extract_tables: dict[str, pl.DataFrame]
) -> None:
    found = read_list(Home(small_home))
    text = found.rows.write_json() + found.apart.write_json() + json.dumps(found.facts)
    people = small_extract_tables["person"]
    secret = [
        *people["family_name"],
        *small_extract_tables["address"]["line"],
        "leave a message",
        "after ten",
    ]
    assert [word for word in secret if word in text] == []


def test_the_same_again_is_the_same_list(small_home_maker: Callable[..., Path]) -> None:
    home = Home(small_home_maker())
    first, again = publish(home, T), publish(home, T)
    assert first.created
    assert not again.created
    assert first.list_id == again.list_id
    assert list_ids(home) == [first.list_id]


def test_files_are_read_only_and_a_changed_one_is_refused(small_home_maker: Callable[..., Path]) -> None:
    home = Home(small_home_maker())
    made = publish(home, T)
    for file in made.folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o444
    rows = made.folder / "rows.parquet"
    rows.chmod(0o644)
    pl.read_parquet(rows.read_bytes()).with_columns(rank=pl.lit(1, dtype=pl.Int64)).write_parquet(rows)
    with pytest.raises(InputError, match="not the one that was published"):
        _ = read_list(home).rows


def test_a_list_cut_short_leaves_nothing_behind(
    small_home_maker: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(small_home_maker())

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        publish(home, T)
    monkeypatch.undo()
    assert list_ids(home) == []
    assert publish(home, T).created


def test_entrants_movers_and_leavers(
    small_home_maker: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(small_home_maker())
    values = priority.settings("list")
    monkeypatch.setitem(values, "places", {"force": 2, "team": 1})
    first = publish(home, parse_as_of("2025-03-10"))
    assert first.rows["movement"].null_count() == first.rows.height, "nothing to compare the first list with"
    second = publish(home, T)
    rows = {row["person_id"]: row for row in second.rows.iter_rows(named=True)}
    assert second.facts["previous"]["list_id"] == first.list_id
    assert rows["P7"]["movement"] == "new"
    assert rows["P7"]["rank_before"] is None
    assert rows["P1"]["movement"] in {"same", "up"}
    gone = {leaver["person_id"]: leaver for leaver in second.facts["leavers"]}
    assert gone.keys() == set(first.rows.filter("listed")["person_id"]) - set(
        second.rows.filter("listed")["person_id"]
    )
    assert gone
    assert all(leaver["why"].startswith("now ") for leaver in gone.values())


def test_a_leaver_who_went_to_prison_is_said_to_have(small_home_maker: Callable[..., Path]) -> None:
    home = Home(small_home_maker())
    publish(home, parse_as_of("2024-12-01"))
    later = publish(home, parse_as_of("2025-02-01"))
    assert {leaver["person_id"]: leaver["why"] for leaver in later.facts["leavers"]}[
        "P2"
    ] == "in prison or on remand"


def test_a_team_sees_its_patch_by_team_or_by_district(small_home: Path) -> None:
    home = Home(small_home)
    view = shown(read_list(home), home, team="D2")
    assert {row["district"] for row in view.rows} == {"D2"}
    assert view.team_name == "Team D2"
    assert view.names["P7"] == "Gus Garnleigh"
    few = shown(read_list(home), home, top=2)
    assert len(few.rows) == 2
    assert shown(read_list(home), home, top=500).note == "The list was published with 5 places here, not 500."
    with pytest.raises(InputError, match="no team or district 'D9'") as refused:
        shown(read_list(home), home, team="D9")
    assert "D1, D2, D3" in refused.value.cure


def test_who_is_taken_out_of_the_records_by_law_is_blanked_on_old_lists(
    small_home_maker: Callable[..., Path], small_extract_tables: dict[str, pl.DataFrame], tmp_path: Path
) -> None:
    home = Home(small_home_maker())
    made = publish(home, T)
    extract = tmp_path / "force" / "extract"
    people = small_extract_tables["person"].with_columns(
        no_processing=pl.when(pl.col("person_id") == "P1").then(True).otherwise("no_processing")
    )
    people.write_parquet(extract / "person.parquet")
    ingest(extract, home)
    row = shown(read_list(home, made.list_id), home).rows[0]
    assert row["withheld"]
    assert row["person_id"].startswith("withheld-")
    assert (row["rank"], row["reasons"], row["state"]) == (1, [], [])
    assert "P1" not in json.dumps(shown(made, home).rows, default=str)


def test_each_thing_that_is_not_there_is_said(small_home_maker: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Nothing is loaded"):
        publish(Home(tmp_path / "empty"), T)
    bare = Home(small_home_maker("bare", model=False))
    with pytest.raises(NotFoundError, match="No model"):
        publish(bare, T)
    with pytest.raises(NotFoundError, match="No list has been published"):
        read_list(bare)
    home = Home(small_home_maker("whole"))
    with pytest.raises(InputError, match="future"):
        publish(home, datetime.now(UTC) + timedelta(days=1))
    empty = publish(home, parse_as_of("2001-01-01"))
    assert empty.rows.is_empty()
    assert empty.facts["counts"]["listed"] == 0
    with pytest.raises(NotFoundError, match=r"no list '\.\./\.\./etc'"):
        read_list(home, "../../etc")


def test_another_model_makes_another_list(small_home_maker: Callable[..., Path]) -> None:
    home = Home(small_home_maker())
    first = publish(home, T)
    doc = {**champion(home.path), "seed": 2}
    other = save(home.path, doc)
    point_champion(home.path, other["version"], "tests", "another", "2025-06-01T00:00:00Z")
    second = publish(home, T)
    assert second.list_id != first.list_id
    assert list_ids(home) == [first.list_id, second.list_id]
    assert read_list(home).list_id == second.list_id

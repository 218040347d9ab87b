"""The front door: every row kept, quarantined with its reason, or counted; every refusal names its place."""

from __future__ import annotations

import datetime as dt
import json
import random
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.errors import InputError
from features.extract import check
from features.front import Count, Examined, examine

PERSON = "person_id,sex\np1,F\np2,M\n"
EVENT = "event_id,kind,occurred_at,domestic\ne1,crime,2024-05-01T10:00,Y\ne2,non_crime,2024-05-02T10:00,Y\n"
INVOLVEMENT = "event_id,person_id,role,victim_id\ne1,p2,suspect,p1\ne1,p1,victim,\n"


@pytest.fixture
def extract(tmp_path: Path) -> Path:
    folder = tmp_path / "extract"
    folder.mkdir()
    write(folder, person=PERSON, event=EVENT, involvement=INVOLVEMENT)
    return folder


def write(folder: Path, **tables: str) -> None:
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")


def faults(found: Examined, table: str) -> list[tuple]:
    log = found.faults.filter(table=table).select("line", "column", "value", "reason", "quarantined")
    return log.rows()


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        check(folder)
    assert caught.value.cure
    return str(caught.value)


# --- rows ----------------------------------------------------------------------------------------------------


def test_a_clean_extract(extract: Path) -> None:
    report = check(extract)
    assert report.exit_code == 0
    assert report.facts["faults"] == []
    assert report.facts["tables"]["person"]["new"] == 2
    assert "custody" in report.facts["missing"]["tables"]
    assert "event.alcohol" in report.facts["missing"]["columns"]
    assert report.facts["features_lost"]["offender.arrests"] == "custody"
    assert "Fit to ingest." in report.render()
    json.dumps(report.to_dict())
    assert sorted(p.name for p in extract.iterdir()) == ["event.csv", "involvement.csv", "person.csv"]


def test_an_optional_cell_is_blanked_and_logged(extract: Path) -> None:
    write(extract, person="person_id,sex,date_of_birth\np1,Q,1980-02-30\np2,M,1980-02-28\n")
    found = examine(extract)
    assert faults(found, "person") == [
        (2, "date_of_birth", "1980-02-30", "not a date like 1980-01-31", False),
        (2, "sex", "Q", "not one of F, M, X, U", False),
    ]
    assert found.counts["person"] == Count(read=2, new=2)
    assert found.tables["person"].select("sex", "date_of_birth").rows() == [
        (None, None),
        ("M", dt.date(1980, 2, 28)),
    ]


def test_a_required_cell_quarantines_and_what_points_there_waits(extract: Path) -> None:
    broken = EVENT.replace("2024-05-01T10:00", "01/05/2024")
    write(
        extract,
        event=broken,
        offence="offence_id,event_id,ho_code\no1,e1,008/06\no2,e2,008/06\n",
        custody="custody_id,person_id,event_id,arrested_at\nc1,p2,e1,2024-05-01T12:00\n",
        bail="bail_id,person_id,custody_id,from_at\nb1,p2,c1,2024-05-01T18:00\n",
    )
    found = examine(extract)
    assert faults(found, "event") == [(2, "occurred_at", "01/05/2024", "not an ISO 8601 date or time", True)]
    assert faults(found, "offence") == [(2, "event_id", "e1", "parent quarantined", True)]
    assert faults(found, "custody") == [(2, "event_id", "e1", "parent quarantined", True)]
    assert faults(found, "bail") == [(2, "custody_id", "c1", "parent quarantined", True)]
    assert found.counts["involvement"].quarantined == 2
    held = found.quarantine.filter(table="event").row(0, named=True)
    assert json.loads(held["row"])["occurred_at"] == "01/05/2024"

    write(extract, event=EVENT)
    mended = examine(extract)
    assert mended.quarantine.is_empty()
    assert mended.tables["bail"].height == 1


def test_a_pointer_to_nobody(extract: Path) -> None:
    write(
        extract,
        involvement=INVOLVEMENT + "e1,nobody,suspect,p1\ne1,p1,suspect,nobody\n",
        offence="offence_id,event_id,ho_code,suspect_id\no1,e1,008/06,nobody\no2,nothing,008/06,p1\n",
    )
    found = examine(extract)
    assert faults(found, "involvement") == [
        (4, "person_id", "nobody", "parent missing", True),
        (5, "victim_id", "nobody", "parent missing", True),
    ]
    assert faults(found, "offence") == [
        (2, "suspect_id", "nobody", "parent missing", False),
        (3, "event_id", "nothing", "parent missing", True),
    ]
    assert found.tables["offence"].select("offence_id", "suspect_id").rows() == [("o1", None)]


def test_a_pointer_into_a_table_that_was_not_handed_over_is_kept(extract: Path) -> None:
    write(extract, person="person_id,address_id\np1,a1\np2,a2\n")
    found = examine(extract)
    assert found.faults.is_empty()
    assert found.tables["person"]["address_id"].to_list() == ["a1", "a2"]


def test_repeats_corrections_withdrawals_and_ambiguity(extract: Path) -> None:
    write(
        extract,
        person=(
            "person_id,sex,recorded_at,withdrawn\n"
            "p1,F,2024-01-01,\np1,F,2024-01-01,\n"  # a repeat
            "p2,M,2024-01-01,\np2,F,2024-02-01,\np2,,2024-03-01,true\np2,M,2024-04-01,\n"
            "p3,M,2024-01-01,\np3,F,2024-01-01,\n"  # one clock, two truths
            "p4,M,,\np4,F,,\n"
        ),
    )
    found = examine(extract)
    assert found.counts["person"] == Count(
        read=10, new=2, corrections=2, withdrawals=1, repeats=1, quarantined=4
    )
    assert {(line, reason) for line, _, _, reason, _ in faults(found, "person")} == {
        (n, "ambiguous") for n in (8, 9, 10, 11)
    }
    assert found.tables["person"].filter(person_id="p2")["sex"].to_list() == ["M", "F", "M"]


def test_a_withdrawal_needs_no_more_than_its_key_and_clock(extract: Path) -> None:
    write(
        extract,
        event="event_id,kind,occurred_at,domestic,recorded_at,withdrawn\n"
        "e1,crime,2024-05-01T10:00,Y,2024-05-01T11:00,\ne1,,,,2024-06-01,true\ne2,crime,2024-05-02,Y,,\n",
    )
    found = examine(extract)
    assert found.faults.is_empty()
    assert found.counts["event"] == Count(read=3, new=2, withdrawals=1)
    ended = found.tables["event"].filter(event_id="e1")["known_to"].item()
    assert ended == dt.datetime(2024, 6, 1, 22, 59, 59, tzinfo=dt.UTC)


def test_an_unreadable_restriction_is_honoured(extract: Path) -> None:
    write(extract, person="person_id,no_processing,access\np1,maybe,who?\np2,0,normal\n")
    report = check(extract)
    assert report.facts["restricted_persons"] == 1
    assert any("count as restricted" in warning for warning in report.facts["warnings"])
    assert examine(extract).tables["person"]["access"].to_list() == ["named_users", "normal"]


def test_lists_numbers_and_booleans(extract: Path) -> None:
    write(
        extract,
        event="event_id,kind,occurred_at,domestic,alcohol,children_present\n"
        "e1,crime,2024-05-01,Y,TRUE,2.0\ne2,crime,2024-05-01,Y,no,-1\ne3,crime,2024-05-01,U,2,two\n",
        bail='bail_id,person_id,from_at,conditions\nb1,p1,2024-05-01,"[""no_contact"", ""curfew""]"\n'
        'b2,p1,2024-05-01,curfew\nb3,p1,2024-05-01,"[""stay in""]"\nb4,p1,2024-05-01,[]\n',
        address="address_id,latitude,longitude\na1,51.5,-0.1\na2,91,181\na3,north,nan\n",
    )
    found = examine(extract)
    events = found.tables["event"].sort("event_id")
    assert events["alcohol"].to_list() == [True, False, None]
    assert events["children_present"].to_list() == [2, None, None]
    assert found.tables["bail"].sort("bail_id")["conditions"].to_list() == [
        ["no_contact", "curfew"],
        None,
        None,
        [],
    ]
    assert [f[:2] for f in faults(found, "bail")] == [(3, "conditions"), (4, "conditions")]
    assert found.tables["address"].sort("address_id")["latitude"].to_list() == [51.5, None, None]
    assert len(faults(found, "address")) == 4
    assert found.quarantine.is_empty()
    assert check(extract).facts["domestic_unknown"] == 1


def test_lines_are_those_of_the_file(extract: Path) -> None:
    text = 'address_id,line,kind\na1,"Flat 1\nThe ""Mill""",dwelling\n\na2,x,castle\na3,y\na4,z,public,,\n'
    write(extract, address=text)
    found = examine(extract)
    assert faults(found, "address") == [
        (5, "kind", "castle", "not one of dwelling, public, work, licensed, custody, other", False),
        (6, "", "2 cells", "not as many cells as the header", True),
    ]
    assert found.tables["address"].filter(address_id="a1")["line"].item() == 'Flat 1\nThe "Mill"'
    assert found.tables["address"]["address_id"].to_list() == ["a1", "a2", "a4"]


def test_parquet_of_any_sensible_type_is_the_same_extract(extract: Path) -> None:
    write(
        extract,
        event="event_id,kind,occurred_at,domestic,children_present,alcohol\n"
        "1,crime,2024-07-01T10:00:00,Y,2,true\n2,crime,2024-07-02,N,,\n",
        involvement="event_id,person_id,role\n1,p1,victim\n",
    )
    from_csv = examine(extract).tables["event"]
    (extract / "event.csv").unlink()
    london = dt.datetime(2024, 7, 1, 10)
    for number, times in enumerate(
        [
            pl.Series([london, dt.datetime(2024, 7, 2, 23, 59, 59)], dtype=pl.Datetime("ns")),
            pl.Series([london, dt.datetime(2024, 7, 2, 23, 59, 59)]).dt.replace_time_zone("Europe/London"),
            pl.Series(["2024-07-01T09:00:00Z", "2024-07-02"]),
        ]
    ):
        pl.DataFrame(
            {
                "event_id": [1, 2] if number else [1.0, 2.0],
                "kind": pl.Series(["crime", "crime"], dtype=pl.Categorical),
                "occurred_at": times,
                "domestic": [True, False],
                "children_present": [2.0, None],
                "alcohol": [1, None],
                "extra": ["x", "y"],
            }
        ).write_parquet(extract / "event.parquet")
        found = examine(extract)
        assert found.tables["event"].equals(from_csv)
        assert found.raw.tables["event"].unknown_columns == ("extra",)


@pytest.mark.parametrize("rows", [0, 1])
def test_empty_and_one_row_tables(extract: Path, rows: int) -> None:
    for path in extract.iterdir():
        lines = path.read_text().splitlines()[: 1 + rows]
        path.write_text("\n".join(lines).replace(",p1", ","))
    report = check(extract)
    assert {t["read"] for t in report.facts["tables"].values()} == {rows}


# --- random extracts -----------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6))
def test_any_extract_reconciles(extract: Path, seed: int) -> None:
    """Rows read = kept + quarantined for any mess, and what is kept points only to what is kept."""
    rng = random.Random(seed)
    pick = rng.choice
    ids = ["x1", "x2", "x3", "x4", "x5", "", " "]
    times = ["2024-05-01", "2024-05-02T10:00Z", "", "soon", "1815-06-18", "2024-10-27T01:30"]

    def table(columns: dict[str, list[str]], n: int) -> str:
        rows = [",".join(pick(values) for values in columns.values()) for _ in range(n)]
        rows += [pick(rows) for _ in range(3)] + [pick(rows) + ",extra"]
        return "\n".join([",".join(columns), *rows]) + "\n"

    clock = {"recorded_at": times, "withdrawn": ["", "", "true", "?"]}
    write(
        extract,
        person=table({"person_id": ids, "sex": ["F", "Q"], **clock}, 12),
        event=table(
            {"event_id": ids, "kind": ["crime", "x"], "occurred_at": times, "domestic": ["Y", "U"], **clock},
            12,
        ),
        involvement=table(
            {"event_id": ids, "person_id": ids, "role": ["suspect"], "victim_id": ids, **clock}, 12
        ),
        offence=table(
            {"offence_id": ids, "event_id": ids, "ho_code": ["8N"], "suspect_id": ids, **clock}, 12
        ),
    )
    found = examine(extract)
    for name, count in found.counts.items():
        lines = (extract / f"{name}.csv").read_text().splitlines()
        assert count.read == len([line for line in lines[1:] if line])
        assert count.quarantined == found.quarantine.filter(table=name).height
        assert found.quarantine.filter(table=name)["line"].is_unique().all()
        in_log = found.faults.filter((pl.col("table") == name) & pl.col("quarantined"))["line"].n_unique()
        assert in_log == count.quarantined
    people = set(found.raw.tables["person"].frame["person_id"])
    involvement = found.tables["involvement"]
    assert set(involvement["person_id"]) | set(involvement["victim_id"].drop_nulls()) <= people
    for frame in found.tables.values():
        assert frame["known_from"].null_count() == 0
        assert frame.filter(pl.col("known_to") <= pl.col("known_from")).is_empty()


# --- what check says -----------------------------------------------------------------------------------------


def test_more_than_one_percent_of_a_required_table_stops(extract: Path) -> None:
    people = "".join(f"q{n},F\n" for n in range(197))
    write(extract, person=PERSON + people + ",F\n")
    assert check(extract).exit_code == 0  # 1 of 200
    write(extract, person=PERSON + people + ",F\n,M\n,M\n")
    report = check(extract)
    assert report.exit_code == 2
    assert "rows of person" in report.facts["stops"][0]


def test_any_serious_crime_in_quarantine_stops(extract: Path) -> None:
    offences = "".join(f"o{n},e2,008/06\n" for n in range(300))
    write(extract, offence="offence_id,event_id,ho_code\n" + offences + "x,gone,008/06\n")
    assert check(extract).exit_code == 0
    write(extract, offence="offence_id,event_id,ho_code\n" + offences + "x,gone,001/01\n")
    report = check(extract)
    assert report.exit_code == 2
    assert report.facts["serious_quarantined"] == 1


def test_codes_without_a_weight_are_listed(extract: Path) -> None:
    write(extract, offence="offence_id,event_id,ho_code\no1,e1,008/06\no2,e1,999/99\no3,e2,999/99\n")
    report = check(extract)
    assert report.facts["unmatched_codes"] == {"999/99": 2}
    assert "999/99 (2)" in report.render()


def test_stamps_that_are_not_when_a_row_was_entered(extract: Path) -> None:
    start = dt.datetime(2023, 1, 1)

    def events(recorded: list[dt.datetime]) -> str:
        rows = [
            f"v{n},crime,{(start + dt.timedelta(days=n)).isoformat()},Y,{at.isoformat()}"
            for n, at in enumerate(recorded)
        ]
        return "event_id,kind,occurred_at,domestic,recorded_at\n" + "\n".join(rows) + "\n"

    days = [start + dt.timedelta(days=n) for n in range(100)]
    write(extract, involvement="event_id,person_id,role\n")
    write(extract, event=events([d + dt.timedelta(hours=5) for d in days]))
    assert check(extract).facts["warnings"] == []
    write(extract, event=events([d + dt.timedelta(days=40) for d in days]))
    assert "last-update stamp" in check(extract).facts["warnings"][0]
    write(extract, event=events(days[:-10] + [days[-1]] * 10))
    assert "migration stamp" in check(extract).facts["warnings"][0]


def test_unknown_files_and_columns_are_listed(extract: Path) -> None:
    (extract / "notes.txt").write_text("x")
    (extract / "vehicles.csv").write_text("a\n")
    write(extract, person=PERSON.replace("sex", "shoe_size"))
    facts = check(extract).facts
    assert facts["unknown_files"] == ["notes.txt", "vehicles.csv"]
    assert facts["unknown_columns"] == ["person.shoe_size"]


# --- what cannot be read at all ------------------------------------------------------------------------------


def test_refusals_name_table_line_and_cure(extract: Path) -> None:
    path = extract / "event.csv"

    path.write_text(EVENT.replace(",", ";"))
    assert "semicolons" in refusal(extract)

    path.write_bytes(EVENT.replace("non_crime", "café").encode("latin-1"))
    message = refusal(extract)
    assert "not UTF-8" in message
    assert "table event, line 3" in message

    path.write_text(EVENT, encoding="utf-16")
    assert "UTF-16" in refusal(extract)

    path.write_text(EVENT + '"e3,crime,2024-05-01,Y\n')
    assert "table event, line 4" in refusal(extract)

    path.write_text("")
    assert "no header row" in refusal(extract)

    path.write_text(EVENT.replace("occurred_at", "when"))
    message = refusal(extract)
    assert "Required column occurred_at" in message
    assert "table event" in message

    path.write_text(EVENT.replace("kind", "domestic"))
    assert "there twice" in refusal(extract)

    path.unlink()
    assert "Required table event is missing" in refusal(extract)

    pl.DataFrame({"event_id": ["e1"] * 500}).write_parquet(extract / "event.parquet")
    assert "Required column" in refusal(extract)
    whole = (extract / "event.parquet").read_bytes()
    (extract / "event.parquet").write_bytes(whole[: len(whole) // 2])
    assert "not a whole Parquet file" in refusal(extract)
    path.write_text(EVENT)
    assert "there twice" in refusal(extract)


def test_refusals_of_the_folder_and_its_manifest(extract: Path) -> None:
    assert "not a folder" in refusal(extract / "nowhere")
    outer = extract.parent
    assert "extract/ inside it" in refusal(outer)
    (extract / "extract.json").write_text('{"nature": "pretend"}')
    assert "pretend" in refusal(extract)
    (extract / "extract.json").write_text("{")
    assert "cannot be read" in refusal(extract)
    (extract / "extract.json").write_text('{"nature": "simulated"}')
    assert check(extract).facts["nature"] == "simulated"


def test_a_byte_order_mark_is_no_fault(extract: Path) -> None:
    for path in extract.iterdir():
        path.write_text(path.read_text(), encoding="utf-8-sig")
    assert check(extract).facts["faults"] == []


def test_windows_line_ends_quoted_and_plain_read_alike(extract: Path) -> None:
    plain = examine(extract).tables["event"]
    (extract / "event.csv").write_bytes(EVENT.replace("\n", "\r\n").encode())
    assert examine(extract).tables["event"].equals(plain)
    (extract / "event.csv").write_text(
        EVENT.replace("crime", '"crime"').replace('non_"crime"', '"non_crime"')
    )
    assert examine(extract).tables["event"].equals(plain)

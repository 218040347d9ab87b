"""What records staff see: uncertain pairs side by side and what was set aside; never a score."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fastapi.testclient import TestClient

from api.answers.records import OnePair
from features.home import Home
from features.linkage import store
from features.nominals import PAIRS
from risk.audit import rows
from tests.signing import client_of

RUN = {"run_id": "r1", "prior": 0.0005, "threshold": 0.9, "counts": {}}


@pytest.fixture
def home(small_home: Path, tmp_path: Path) -> Path:
    """The hand-made force with two uncertain pairs: one open, one with a record for named users."""
    shutil.copytree(small_home, tmp_path / "home")
    place = Home(tmp_path / "home")
    load = place.require()
    pairs = pl.DataFrame(
        {
            "person_id_a": ["P2", "P7"],
            "person_id_b": ["P3", "P8"],
            "probability": [0.62, 0.55],
            "known_from": [None, None],
            "unique_id_l": ["P2#1", "P7#1"],
            "unique_id_r": ["P3#1", "P8#1"],
            "mw_given": [-2.0, 1.0],
            "mw_family": [1.5, 1.0],
            "mw_born": [3.0, 1.0],
            "mw_sex": [0.5, 0.5],
            "mw_address": [6.0, 2.0],
        },
        schema_overrides={"known_from": pl.Datetime("us", "UTC")},
    )
    folder = store.folder(place.path, load.load_id)
    folder.mkdir(parents=True, exist_ok=True)
    known = load.records().table("person").select("person_id", "known_from")
    frames = {"shown": pairs, "pairs": pairs.select(list(PAIRS)).head(0), "persons": known}
    store.write_run(place.path, load.load_id, frames, RUN)
    return place.path


def set_aside(home: Path, many: int) -> None:
    """Put so many rows of events into quarantine, with a value that is mark-up."""
    place = Home(home).require().path / "quarantine" / "rows.parquet"
    rows_of = {
        "table": ["event"] * many,
        "line": list(range(2, 2 + many)),
        "column": ["occurred_at"] * many,
        "value": ["<script>32 May</script>"] * many,
        "reason": ["not a date"] * many,
        "row": ['{"event_id": "E99"}'] * many,
    }
    place.chmod(0o644)
    pl.DataFrame(rows_of).write_parquet(place)


@pytest.fixture
def staff(home: Path) -> TestClient:
    return client_of(home, "records", purpose="review")


def test_the_queue_names_nobody_and_counts_what_it_keeps_back(staff: TestClient) -> None:
    page = staff.get("/linkage")
    assert page.status_code == 200
    assert "P2 and P3" in page.text
    assert "Brackfold" not in page.text
    assert "P8" not in page.text, "a record for named users is not shown"
    assert "1 pair not shown" in page.text
    assert staff.get("/api/v1/linkage").json()["closed"] == 1


def test_a_pair_shows_both_records_and_no_score_and_is_written_down(staff: TestClient) -> None:
    page = staff.get("/linkage/P3/P2")
    assert page.status_code == 200
    for told in ("Ben Brackfold", "Cal Carrowby", "1 January 1990", "5 May 1992"):
        assert told in page.text
    assert "harm days" not in page.text
    assert "Serious harm" not in page.text
    last = rows(staff.app.state.desk.db, limit=1000)[-1]  # type: ignore[attr-defined]
    assert (last["act"], last["persons"], last["purpose"]) == ("consultation", ["P2", "P3"], "review")
    answer = OnePair.model_validate(staff.get("/api/v1/linkage/P2/P3").json())
    assert sum(one.bits for one in answer.compared) == pytest.approx(9.0)


def test_a_decision_carries_a_name_and_a_reason_and_empties_the_queue(staff: TestClient, home: Path) -> None:
    refused = staff.post("/linkage/P2/P3", data={"same": "yes", "reason": ""})
    assert refused.status_code == 400
    assert "Say why" in refused.text
    assert 'value="yes" checked' in refused.text, "what was chosen is not lost"
    done = staff.post("/linkage/P2/P3", data={"same": "no", "reason": "Different birth dates"})
    assert done.status_code == 200
    assert "No pair waits" in done.text
    kept = store.decisions(home)[-1]
    assert (kept["same"], kept["by"], kept["reason"]) == (False, "test.records", "Different birth dates")
    told = [row for row in rows(staff.app.state.desk.db, limit=1000) if row["act"] == "alteration"]  # type: ignore[attr-defined]
    assert told[-1]["persons"] == ["P2", "P3"]
    assert staff.get("/linkage/P2/P3").status_code == 404, "it does not wait any more"


def test_a_pair_is_opened_only_with_a_purpose_and_by_records_staff(home: Path) -> None:
    without = client_of(home, "records", purpose=None)
    asked = without.get("/linkage/P2/P3", follow_redirects=False)
    assert asked.status_code == 303
    assert asked.headers["location"].startswith("/purpose")
    assert client_of(home, "proactive").get("/linkage").status_code == 403
    assert client_of(home, "analyst", purpose="review").get("/linkage/P2/P3").status_code == 403


def test_records_staff_see_no_list_and_no_person(staff: TestClient) -> None:
    for path in ("/lists/latest", "/persons/P1", "/persons/P1/sheet", "/api/v1/lists/latest"):
        assert staff.get(path).status_code == 403, path


def test_quarantine_is_counted_for_all_and_shown_row_by_row_with_a_purpose(
    staff: TestClient, home: Path
) -> None:
    empty = staff.get("/quarantine")
    assert "No row of this load was set aside" in empty.text
    set_aside(home, 60)
    assert "60" in staff.get("/quarantine").text
    page = staff.get("/quarantine/event")
    assert "&lt;script&gt;32 May" in page.text
    assert "<script>32 May" not in page.text
    assert "/quarantine/event?offset=50" in page.text
    second = staff.get("/api/v1/quarantine/event?offset=50").json()
    assert (len(second["rows"]), second["next"], second["rows"][0]["line"]) == (10, None, 52)
    assert second["rows"][0]["keys"] == {"event_id": "E99"}
    assert staff.get("/quarantine/person").status_code == 404
    without = client_of(home, "records", purpose=None)
    assert without.get("/quarantine/event", follow_redirects=False).status_code == 303


def test_no_safe_contact_name_or_address_is_read_in_quarantine_and_whose_rows_they_were_is_logged(
    home: Path,
) -> None:
    """A row with a bad date is no way to what stands only on the sheet, nor to anybody whose record is restricted."""
    plan = '{"person_id":"%s","safe_times":"sister Ann 07700 900123","do_not":"call the landline","agreed_on":"x"}'
    put = [
        # table, line, column, value, row
        ("victim_plan", 2, "agreed_on", "after ten, by text", plan % "V1"),
        ("victim_plan", 3, "agreed_on", "x", plan % "P8"),
        ("victim_plan", 4, "agreed_on", "x", plan % "P9"),
        ("residence", 2, "started_on", "9 Hidden Close", '{"person_id":"V1","address_id":"A9"}'),
        ("person", 2, "sex", "Q", '{"person_id":"P7","family_name":"Graveney","sex":"Q"}'),
        ("person", 3, "sex", "Q", '{"person_id":"N1","family_name":"Hush","no_processing":"Y"}'),
        ("person", 4, "family_name", "Graveney", '{"person_id":"P6","family_name":"Graveney"}'),
        ("offence", 2, "suspect_id", "P9", '{"offence_id":"O1","event_id":"E1","suspect_id":"P9"}'),
        ("offence", 3, "suspect_id", "P77", "not a row at all"),
    ]
    names = ("table", "line", "column", "value", "row")
    place = Home(home).require().path / "quarantine" / "rows.parquet"
    place.chmod(0o644)
    frame = pl.DataFrame(put, schema=list(names), orient="row").with_columns(reason=pl.lit("not a date"))
    frame.write_parquet(place)
    staff = client_of(home, "records", purpose="review")

    def told(table: str) -> tuple[str, dict[str, Any], list[str]]:
        answer = staff.get(f"/api/v1/quarantine/{table}")
        assert answer.status_code == 200, answer.text
        last = rows(staff.app.state.desk.db, limit=1000)[-1]  # type: ignore[attr-defined]
        return answer.text + staff.get(f"/quarantine/{table}").text, answer.json(), last["persons"]

    text, answer, seen = told("victim_plan")
    assert not [word for word in ("07700", "landline", "after ten", "P8", "P9") if word in text]
    assert (answer["kept_back"], seen) == (2, ["V1"])
    assert [(row["keys"], row["value"], row["told"]) for row in answer["rows"]] == [
        ({"person_id": "V1"}, None, False)
    ]
    text, answer, seen = told("residence")
    assert not [word for word in ("Hidden Close", "A9") if word in text]
    assert seen == ["V1"]
    text, answer, seen = told("person")
    assert not [word for word in ("Graveney", "Hush", "N1") if word in text]
    assert [(row["line"], row["value"]) for row in answer["rows"]] == [(2, "Q"), (4, None)]
    assert (answer["kept_back"], seen) == (1, ["P6", "P7"])
    text, answer, seen = told("offence")
    assert ("P9" in text, answer["kept_back"], seen) == (False, 1, ["P77"])
    assert "1 row of restricted records not shown" in text

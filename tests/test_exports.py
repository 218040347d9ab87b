"""Copies of a list: what stands in them, what never does, and that taking one is written down."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import openpyxl
import pytest
from fastapi.testclient import TestClient
from pypdf import PdfReader

from risk.audit import rows
from risk.exports import COLUMNS, text_cell
from tests.signing import client_of

WHERE = "/lists/latest/export"
HIDDEN = ("Josselyn", "Kettlewell", "Hidden Close", "Refuge Walk", "after ten", "leave a message")
"""A victim's name, address, or safe contact in the hand-made force."""


@pytest.fixture
def home(small_home: Path, tmp_path: Path) -> Path:
    shutil.copytree(small_home, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def officer(home: Path) -> TestClient:
    return client_of(home, "proactive", purpose="briefing")


def _pdf(client: TestClient, reason: str = "08:00 briefing") -> PdfReader:
    answer = client.post(WHERE, data={"form": "pdf", "reason": reason})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/pdf"
    return PdfReader(io.BytesIO(answer.content))


def test_the_pack_has_a_roll_up_and_a_page_a_person_with_marking_and_watermark_on_each(
    officer: TestClient,
) -> None:
    reader = _pdf(officer)
    texts = [page.extract_text() for page in reader.pages]
    assert all(text.count("OFFICIAL-SENSITIVE: SIMULATED, NO REAL PERSON") == 2 for text in texts)
    assert all(
        "Copy made by Test proactive, test.proactive (proactive)" in " ".join(text.split()) for text in texts
    )
    assert all("Reason: 08:00 briefing" in " ".join(text.split()) for text in texts)
    assert "Briefing: whole force" in texts[0]
    assert "Wanted since 30 May 2025" in " ".join(texts[0].split())
    titles = [text for text in texts[1:] if "Adam Quillmark" in text]
    assert titles, "the first person has a page"
    assert "/MarkInfo" in reader.trailer["/Root"], "tagged for screen readers"


def test_no_copy_has_a_victims_name_address_or_safe_contact(officer: TestClient) -> None:
    whole = "".join(page.extract_text() for page in _pdf(officer).pages)
    for form in ("csv", "xlsx"):
        answer = officer.post(WHERE, data={"form": form, "reason": "08:00 briefing"})
        assert answer.status_code == 200
        if form == "csv":
            whole += answer.text
        else:
            sheet = openpyxl.load_workbook(io.BytesIO(answer.content)).active
            whole += " ".join(str(cell.value) for row in sheet.iter_rows() for cell in row)
    assert "V1" in whole, "victims stand by reference"
    for secret in HIDDEN:
        assert secret not in whole, secret


def test_rows_as_csv_are_the_rows_of_the_list(officer: TestClient) -> None:
    answer = officer.post(WHERE, data={"form": "csv", "reason": "08:00 briefing"})
    told = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert told[0] == ["OFFICIAL-SENSITIVE: SIMULATED, NO REAL PERSON"]
    assert told[3] == [heading for heading, _, _ in COLUMNS]
    listed = officer.get("/api/v1/lists/latest").json()["rows"]
    assert [row[2] for row in told[4:]] == [row["person_id"] for row in listed]
    restricted = next(row for row in told[4:] if row[2] == "P8")
    assert restricted[3] == "", "a record for named users has no name in a copy"
    assert restricted[17] == ""


def test_text_that_a_spreadsheet_would_run_stays_text() -> None:
    for start in "=+-@\t\r":
        assert text_cell(f"{start}cmd|' /C calc'!A0").startswith("'")
    assert text_cell(-3.5) == -3.5


def test_a_copy_needs_a_reason_and_keeps_what_was_typed(officer: TestClient) -> None:
    answer = officer.post(WHERE, data={"form": "xlsx", "reason": "no"})
    assert answer.status_code == 400
    assert "it is printed on every page" in answer.text
    assert 'value="xlsx" checked' in answer.text


def test_every_copy_is_written_down_with_everyone_on_it(officer: TestClient) -> None:
    officer.post(WHERE, data={"form": "csv", "reason": "tasking meeting, team 4"})
    last = [row for row in rows(officer.app.state.desk.db, limit=1000) if row["act"] == "disclosure"][-1]  # type: ignore[attr-defined]
    assert {"P1", "P8", "V1"} <= set(last["persons"])
    assert "tasking meeting, team 4" in last["detail"]
    assert last["purpose"] == "briefing"


def test_only_who_may_export_gets_a_copy_and_only_of_their_districts(home: Path) -> None:
    for role in ("dalo", "records", "auditor", "administrator"):
        assert (
            client_of(home, role).post(WHERE, data={"form": "csv", "reason": "a reason"}).status_code == 403
        )
    analyst = client_of(home, "analyst", purpose="review")
    assert analyst.post(WHERE, data={"form": "csv", "reason": "a reason"}).status_code == 403
    mine = client_of(home, "proactive", purpose="briefing", districts=("D2",), username="test.d2")
    told = mine.post(WHERE, data={"form": "csv", "reason": "08:00 briefing"}).content.decode("utf-8-sig")
    districts = {row[4] for row in list(csv.reader(io.StringIO(told)))[4:]}
    assert districts <= {"D2"}
    asked = {"form": "csv", "reason": "08:00 briefing", "team": "D1"}
    assert mine.post("/api/v1/lists/latest/export", json=asked).status_code in (400, 403)


def test_a_hold_is_on_every_copy(home: Path, officer: TestClient) -> None:
    placed = officer.post("/persons/P1/hold", data={"doubt": "identity", "reason": "Looks like another man"})
    assert placed.status_code == 200, placed.text
    told = officer.post(WHERE, data={"form": "csv", "reason": "08:00 briefing"}).text
    assert "A supervisor decides by" in told
    assert any("A supervisor decides by" in page.extract_text() for page in _pdf(officer).pages[1:])

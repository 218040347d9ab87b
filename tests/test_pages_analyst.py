"""What analysts and supervisors see of models: side by side, gates, fairness, drift and the report; nobody named."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from features.errors import InputError
from features.home import Home
from models import side_by_side
from models.promote import Signature
from models.report import write_report
from models.side_by_side import compare, families
from tests.promoting import Maker, put
from tests.reporting import document, home_with, measured
from tests.signing import client_of

pytest_plugins = ("tests.promoting",)
pytestmark = pytest.mark.usefixtures("fitted_again")


@pytest.fixture
def place(small_home_maker: Maker) -> Path:
    return small_home_maker()


@pytest.fixture
def two(place: Path) -> tuple[str, str]:
    """A champion that was approved, and a challenger, both with a temporal test."""
    champion = home_with(place, document(), measured())[1]
    loud = Signature("A. Approver", "nothing better yet", sign=True, override="the old one is worse")
    put(place, champion, loud, now=datetime.now(UTC))
    return champion, home_with(place, document("tables"), measured())[1]


@pytest.fixture
def analyst(place: Path) -> TestClient:
    return client_of(place, "analyst", purpose="review")


def test_champion_and_challenger_stand_side_by_side(
    analyst: TestClient, two: tuple[str, str], place: Path
) -> None:
    champion, challenger = two
    every = analyst.get("/models").text
    assert f'<a class="govuk-link" href="/models/{champion}">' in every
    assert "IN USE, approved by A. Approver until" in every
    page = analyst.get(f"/models/{challenger}").text
    for one in compare(place, [challenger, champion]):
        assert one.title in page
        for value in one.values:
            assert value in page
    told = analyst.get(f"/api/v1/models/{challenger}/beside").json()
    assert told["versions"] == [challenger, champion]
    assert analyst.get("/api/v1/models").json()["models"] == families(place)


def test_gates_decisions_fairness_and_drift_are_those_on_file(
    analyst: TestClient, two: tuple[str, str], place: Path
) -> None:
    champion, _ = two
    judged = json.loads((place / "models" / champion / "gates.json").read_text())
    page = analyst.get(f"/models/{champion}").text
    for verdict in judged["verdicts"]:
        assert verdict["gate"][:1].upper() + verdict["gate"][1:] in page
    assert "promote, by A. Approver" in page
    assert "OVERRIDE by A. Approver, against" in page
    assert "Drift was not looked for yet" in page
    call = {"month": "2025-05", "topic": "histories", "text": "3 columns drifted", "reviewed": None}
    folder = place / "drift"
    folder.mkdir()
    kept = {"as_of": "2025-06-01T05:00:00Z", "call": "review", "calls": [call]}
    (folder / f"2025-06-01-{champion}.json").write_text(json.dumps(kept))
    page = analyst.get(f"/models/{champion}").text
    assert "3 columns drifted" in page
    assert "a person looks at what changed" in page
    assert analyst.get(f"/api/v1/models/{champion}").json()["drift"] == kept


def test_the_report_is_handed_over_as_it_was_written(
    analyst: TestClient, two: tuple[str, str], place: Path
) -> None:
    champion, _ = two
    missing = analyst.get(f"/models/{champion}/report.pdf")
    assert missing.status_code == 404
    assert f"doorstep report {champion}" in missing.text
    written = write_report(Home(place), run=champion)
    assert analyst.get(f"/models/{champion}/report.pdf").content == written.pdf.read_bytes()
    assert analyst.get(f"/api/v1/models/{champion}/report").content == written.pdf.read_bytes()
    assert "Report (PDF)" in analyst.get(f"/models/{champion}").text


def test_a_model_whose_file_was_changed_is_said_to_be_so(
    analyst: TestClient, two: tuple[str, str], place: Path
) -> None:
    _, challenger = two
    path = place / "models" / challenger / "model.json"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b" ")
    assert "REFUSED: its file is not the one that was saved" in analyst.get("/models").text
    assert analyst.get(f"/models/{challenger}").status_code == 400


def test_an_unknown_model_and_a_role_without_models_are_told_so(
    analyst: TestClient, place: Path, two: tuple[str, str]
) -> None:
    for path in ("/models/m-nothing", "/models/..%2F..%2Fcurrent/report.pdf", "/api/v1/models/m-nothing"):
        assert analyst.get(path).status_code == 404, path
    assert client_of(place, "proactive").get("/models").status_code == 403
    assert client_of(place, "supervisor").get("/models").status_code == 200


def test_a_test_that_cannot_be_read_is_said_to_be_damaged(two: tuple[str, str], place: Path) -> None:
    champion, _ = two
    path = place / "models" / champion / "temporal_test.json"
    path.chmod(0o644)
    path.write_text("{")
    with pytest.raises(InputError, match="damaged"):
        side_by_side.test_of(place, champion)

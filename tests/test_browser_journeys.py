"""Three people at work, in a real Chromium: from sign-in to what they did, and the rows it left in the audit trail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.auth import accounts
from risk.audit import rows, verify
from tests.browsing import running
from tests.reporting import document, home_with, measured
from tests.sheet_force import make
from tests.signing import client_of

pytest_plugins = ("tests.browsing",)
pytestmark = pytest.mark.browser

PASSWORD = "seven quiet herons at dusk"
PEOPLE = {
    "pat": ("proactive", "Pat Proactive"),
    "dee": ("dalo", "Dee Attends"),
    "sam": ("supervisor", "Sam Supervises"),
    "ann": ("analyst", "Ann Analyses"),
    "aud": ("auditor", "Aud Checks"),
}
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any, Path]]:
    """The hand-made force with calls and places, two models, and five people with accounts."""
    from api.app import create_app

    home = make(tmp_path_factory.mktemp("journeys"))
    home_with(home, document("tables"), measured())
    app = create_app(home)
    for username, (role, name) in PEOPLE.items():
        accounts.add(
            app.state.desk.db, username, role=role, by="tests", name=name, password=PASSWORD, one_time=False
        )
    with running(app) as address:
        yield address, app, home


@pytest.fixture
def signed_in(chromium: Any, service: tuple[str, Any, Path]) -> Iterator[Open]:
    """Signs somebody in by the form, as they would: ``signed_in("pat", width)`` -> page."""
    opened = []

    def one(username: str, width: int = 1280) -> Any:
        context = chromium.new_context(viewport={"width": width, "height": 800}, base_url=service[0])
        opened.append(context)
        page = context.new_page()
        page.goto("/")
        page.get_by_label("Username").fill(username)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        assert PEOPLE[username][1] in page.locator("header").inner_text()
        return page

    yield one
    for context in opened:
        context.close()


def _task(page: Any, purpose: str, reference: str) -> None:
    """Say what for, on the page that asks."""
    assert page.get_by_role("heading", level=1).inner_text() == "What is this for?"
    page.get_by_label(purpose, exact=True).check()
    page.get_by_label("Reference").fill(reference)
    page.get_by_role("button", name="Continue").click()


def _trail(service: tuple[str, Any, Path], username: str) -> list[dict[str, Any]]:
    return rows(service[1].state.desk.db, limit=1000, who=username)


def test_a_proactive_officer_briefs_decides_and_takes_a_pack(signed_in: Open, service: Any) -> None:
    page = signed_in("pat")
    page.get_by_role("link", name="Today’s list").first.click()
    _task(page, "Briefing", "T-0800")
    assert "Quillmark" in page.locator("main").inner_text()
    page.get_by_role("link", name="Adam Quillmark", exact=True).click()
    assert page.get_by_role("heading", level=1).inner_text().startswith("Adam Quillmark")
    page.goto("/persons/P1/decide")
    page.get_by_label("Adopt", exact=True).check()
    page.locator("[name=code_adopt]").select_option("records")
    page.locator("[name=reason]").fill("Three reports in eight weeks and a strangulation")
    page.locator("[name=owner]").fill("PC Fielding")
    due = datetime.now(UTC) + timedelta(days=7)
    for part, value in (("day", due.day), ("month", due.month), ("year", due.year)):
        page.locator(f"[name=due_on_{part}]").fill(str(value))
    page.get_by_role("button", name="Record the decision").click()
    assert "The decision is recorded." in page.locator("main").inner_text()
    page.goto("/lists/latest")
    assert "PC Fielding" in page.locator("main").inner_text()
    page.get_by_role("link", name="Briefing pack or file of this list").click()
    page.get_by_label("What it is for").fill("08:00 briefing")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Take the copy").click()
    assert waiting.value.suggested_filename.endswith(".pdf")
    trail = _trail(service, "pat")
    acts = [row["act"] for row in trail]
    assert acts[0] == "access"
    assert {"consultation", "alteration", "disclosure"} <= set(acts)
    opened = [row for row in trail if "P1" in row["persons"]]
    assert opened
    assert {row["purpose"] for row in opened} == {"briefing"}
    assert {row["reference"] for row in opened} == {"T-0800"}


def test_a_dalo_finds_the_call_reads_the_sheet_and_logs_the_visit_on_a_phone(
    signed_in: Open, service: Any
) -> None:
    page = signed_in("dee", 390)
    page.goto("/calls?reference=CAD-100")
    if "What is this for?" in page.locator("h1").inner_text():
        _task(page, "Attending", "CAD-100")
    if "/sheet" not in page.url:
        page.locator("main").get_by_role("link").first.click()
    text = page.locator("main").inner_text()
    assert "This does not replace your assessment." in text
    assert "after ten" in text, "safe contact is on the sheet"
    page.goto("/persons/P1/video")
    for question in page.locator("main").get_by_role("group").all()[1:]:
        question.get_by_label("Unsure").check()
    page.get_by_role("button", name="Record the answers").click()
    assert "end an officer" in page.locator("main").inner_text()
    trail = _trail(service, "dee")
    seen = [row for row in trail if "P1" in row["persons"]]
    assert seen
    assert {row["purpose"] for row in seen} == {"attending"}
    assert any(row["act"] == "collection" for row in seen), "the answers are on record"


def test_an_analyst_compares_models_and_sees_no_name(signed_in: Open, service: Any) -> None:
    page = signed_in("ann")
    page.get_by_role("link", name="Models").first.click()
    page.locator("table a").first.click()
    assert "AUC, everyone" in page.locator("main").inner_text()
    page.goto("/lists/latest")
    if "What is this for?" in page.locator("h1").inner_text():
        _task(page, "Review", "monthly review")
    text = page.locator("main").inner_text()
    assert "Quillmark" not in text
    assert "P1" not in text.split()
    assert page.goto("/persons/P1").status == 403


def test_an_auditor_reads_what_others_did_and_the_chain_holds(signed_in: Open, service: Any) -> None:
    _, app, home = service
    pat = client_of(home, "proactive", username="pat", purpose="briefing", app=app)
    pat.post("/lists/latest/export", data={"form": "csv", "reason": "tasking meeting"})
    page = signed_in("aud")
    page.get_by_role("link", name="Audit").first.click()
    if "What is this for?" in page.locator("h1").inner_text():
        _task(page, "Audit", "monthly check")
    page.locator("[name=why]").select_option(index=1)
    page.get_by_label("Username").fill("pat")
    page.get_by_role("button", name="Search the rows").click()
    assert "Disclosure: /lists/{list_id}/export" in " ".join(page.locator("table").inner_text().split())
    assert page.goto("/lists/latest").status == 403
    assert verify(app.state.desk.db, home) == []

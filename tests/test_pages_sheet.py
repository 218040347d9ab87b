"""Before attending, as an officer meets it: a call's reference pasted, the sheet, three answers, after the visit."""

from __future__ import annotations

import gzip
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.signing import client_of

if TYPE_CHECKING:
    from fastapi.testclient import TestClient


@pytest.fixture(scope="module")
def home(sheet_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(sheet_home, tmp_path_factory.mktemp("pages") / "home"))


@pytest.fixture(scope="module")
def dalo(home: Path) -> TestClient:
    return client_of(home, "dalo", purpose="attending", reference="CAD-100")


def rows(client: TestClient, **which: Any) -> list[dict[str, Any]]:
    """Rows of the audit trail, oldest first."""
    from risk.audit import rows as audit_rows

    return audit_rows(client.app.state.desk.db, limit=10_000, **which)  # type: ignore[attr-defined]


def test_a_pasted_reference_opens_the_sheet_of_the_call(dalo: TestClient) -> None:
    page = dalo.get("/calls", params={"reference": " cad-100 "})
    assert page.status_code == 200
    assert page.url.path == "/calls/C1/sheet"
    assert "under 1 km from here" in page.text
    assert "Adam Quillmark" in page.text
    steps = re.findall(r'class="step-n">(\d)<', page.text)
    assert steps == list("1234567")


def test_one_screen_in_the_order_it_is_read(dalo: TestClient) -> None:
    text = dalo.get("/persons/P1/sheet?call=C1").text
    said = [
        "Wanted since 30 May 2025",
        "Latest known address",
        "Orders in force",
        ">WE<",
        "Who is here?",
        "<h3>Jo Josselyn",
        "text, after ten",
        "interpreter needed",
        "What happened before",
        "does not replace your assessment",
        "Promises to keep",
        "Overdue",
        "Known: do not ask again",
        "Language: <strong>Polish",
        "Never recorded",
        "</span> After the visit",
    ]
    places = [text.index(word) for word in said]
    assert places == sorted(places)
    assert "not near" not in text
    assert "low risk" not in text.lower()


def test_an_unknown_reference_says_what_to_do_and_keeps_what_was_typed(dalo: TestClient) -> None:
    page = dalo.get("/calls", params={"reference": 'CAD"<script>'})
    assert page.status_code == 404
    assert "No call or report has this reference" in page.text
    assert 'value="CAD&#34;&lt;script&gt;"' in page.text
    assert "<script>" not in page.text.split("</head>")[1]
    assert dalo.get("/calls", params={"reference": "x" * 5000}).status_code == 404


def test_a_call_without_a_suspect_says_whom_the_records_tie_to_the_address_and_no_more(
    dalo: TestClient,
) -> None:
    page = dalo.get("/calls/C2/sheet")
    assert page.status_code == 200
    assert "The call names no suspect" in page.text
    assert "That does not make it safe" in page.text
    refused = dalo.get("/calls/C5/sheet")
    assert "has no page you can open" in refused.text
    assert "Hal" not in refused.text


def test_the_sheet_as_json_says_the_same(dalo: TestClient) -> None:
    found = dalo.get("/api/v1/persons/P1/sheet", params={"call": "C1"}).json()
    assert found["now"]["near"]["band"] == "under_1_km"
    assert found["call"]["reference"] == "CAD-100"
    assert found["people"][0]["name"] == "Jo Josselyn"
    assert any(fact["label"] == "Language" for kept in found["known"] for fact in kept["facts"])
    of_call = dalo.get("/api/v1/calls/C1/sheet").json()
    assert of_call["sheet"] == found
    calls = dalo.get("/api/v1/calls", params={"reference": "CAD-100"}).json()["calls"]
    assert [one["call_id"] for one in calls] == ["C1"]
    assert "9 Hidden Close" not in str(found) + str(calls)


def test_every_name_on_the_sheet_is_in_the_audit_row(home: Path, dalo: TestClient) -> None:
    officer = client_of(
        home, "dalo", purpose="attending", reference="CAD-100", username="d.looked", app=dalo.app
    )
    officer.get("/persons/P1/sheet?call=C1")
    row = rows(officer, who="d.looked")[-1]
    assert (row["act"], row["page"]) == ("consultation", "/persons/{person_id}/sheet")
    assert {"P1", "V1", "V2"} <= set(row["persons"])
    assert (row["purpose"], row["reference"]) == ("attending", "CAD-100")


def test_safe_contact_is_for_who_attends(home: Path, dalo: TestClient) -> None:
    proactive = client_of(home, "proactive", app=dalo.app)
    assert proactive.get("/persons/P1/sheet").status_code == 403
    assert "after ten" not in proactive.get("/persons/P1").text
    for role in ("analyst", "records", "auditor", "administrator"):
        assert client_of(home, role, app=dalo.app).get("/persons/P1/sheet").status_code == 403, role


@pytest.mark.parametrize("wrong", ["V1", "P8", "P9", "nobody", "<script>alert(1)"])
def test_who_has_no_page_has_no_sheet_in_the_same_words(dalo: TestClient, wrong: str) -> None:
    from urllib.parse import quote

    for path in ("sheet", "video", "visits"):
        page = dalo.get(f"/persons/{quote(wrong, safe='')}/{path}")
        assert page.status_code == 404
        assert "you can open" in page.text
        assert "<script>alert" not in page.text


def _form(client: TestClient, path: str) -> dict[str, str]:
    """The hidden fields of the first form with a number on a page."""
    text = client.get(path).text
    return {"once": re.findall(r'name="once" value="([^"]+)"', text)[0]}


def test_three_answers_are_asked_and_none_is_filled_in(dalo: TestClient) -> None:
    text = dalo.get("/persons/P1/video?call=C1").text
    assert text.count('type="radio"') == 9
    assert "checked" not in text, "video consent in a plan answers nothing"
    assert text.index("Attend instead") > 0


@pytest.mark.parametrize("name", ["agrees", "can_talk", "suspect_absent"])
@pytest.mark.parametrize("answer", ["N", "U"])
def test_any_no_or_unsure_shows_send_an_officer(dalo: TestClient, name: str, answer: str) -> None:
    given = _form(dalo, "/persons/P1/video?call=C1") | {"agrees": "Y", "can_talk": "Y", "suspect_absent": "Y"}
    page = dalo.post("/persons/P1/video?call=C1", data=given | {"victim": "V1", name: answer})
    assert page.status_code == 200
    assert "<h2>Send an officer</h2>" in page.text
    assert "Tell the control room now" in page.text
    assert "<h2>Send an officer</h2>" in dalo.get("/persons/P1/sheet?call=C1").text, "the sheet says so too"


def test_three_yes_let_video_go_on_with_attending_one_press_away(dalo: TestClient) -> None:
    given = _form(dalo, "/persons/P1/video") | {"agrees": "Y", "can_talk": "Y", "suspect_absent": "Y"}
    nobody = dalo.post("/persons/P1/video", data=given)
    assert nobody.status_code == 400
    assert "video goes on for a named victim alone" in nobody.text
    page = dalo.post("/persons/P1/video", data=given | {"victim": "V1"})
    assert "<h2>Video may go on</h2>" in page.text
    assert 'Attend instead<span class="govuk-visually-hidden">: send an officer' in page.text


def test_attend_instead_is_one_press_from_the_sheet(dalo: TestClient) -> None:
    text = dalo.get("/persons/P1/sheet?call=C1").text
    form = text[text.index('action="/persons/P1/video?call=C1"') :]
    assert 'name="attend" value="1"' in form[:700]
    once = re.findall(r'name="once" value="([^"]+)"', form)[0]
    page = dalo.post("/persons/P1/video?call=C1", data={"once": once, "attend": "1"})
    assert "An officer was asked for without the questions" in page.text
    last = rows(dalo, who="test.dalo", act="collection")[-1]
    assert last["detail"] == "officer asked for; call CAD-100"


def test_an_answer_left_out_is_asked_for_and_the_others_are_kept(dalo: TestClient) -> None:
    given = _form(dalo, "/persons/P1/video") | {"agrees": "Y", "suspect_absent": "N", "victim": "V2"}
    page = dalo.post("/persons/P1/video", data=given)
    assert page.status_code == 400
    assert "There is a problem" in page.text
    assert page.text.count("checked") == 2
    assert 'value="V2" selected' in page.text
    assert given["once"] in page.text, "mended and sent again it is one entry"


def test_after_the_visit_a_contact_is_logged_and_stops_a_clock(home: Path, dalo: TestClient) -> None:
    officer = client_of(home, "dalo", purpose="attending", username="d.visits", app=dalo.app)
    before = officer.get("/api/v1/persons/P7/sheet").json()
    owed = [line for line in before["promises"] if line["person_id"] == "V3"]
    assert [line["kind"] for line in owed] == ["code"]
    given = _form(officer, "/persons/P7/visits") | {
        "victim": "V3", "channel": "visit", "reached": "Y", "information": "Told of the arrest.\nShe has <moved>.",
        "regrade": "high", "regrade_why": "Weapon seen.", "referral": "IDVA",
    }  # fmt: skip
    page = officer.post("/persons/P7/visits", data=given)
    assert page.status_code == 200
    assert "She has &lt;moved&gt;." in page.text
    assert "Grade should be high" in page.text
    officer.post("/persons/P7/visits", data=given)  # pressed twice
    after = officer.get("/api/v1/persons/P7/sheet").json()
    assert len(after["visits"]) == 1
    assert [line for line in after["promises"] if line["person_id"] == "V3"] == []
    then = officer.get("/api/v1/persons/P7/sheet", params={"as_of": "2025-06-01"}).json()
    assert [line["kind"] for line in then["promises"] if line["person_id"] == "V3"] == ["code"], (
        "not yet known then"
    )


def test_nothing_typed_is_lost_when_a_visit_form_has_faults(dalo: TestClient) -> None:
    given = _form(dalo, "/persons/P1/visits") | {
        "victim": "V1", "channel": "phone", "information": "Long text", "regrade": "high", "reached": "Y",
        "contact_at": f"{datetime.now(UTC).year + 1}-12-01T10:00",
    }  # fmt: skip
    page = dalo.post("/persons/P1/visits", data=given)
    assert page.status_code == 400
    assert "Long text" in page.text
    assert "Say why the grade should change" in page.text
    assert "The contact is in the future" in page.text
    unreadable = dalo.post("/persons/P1/visits", data=given | {"contact_at": "tomorrow"})
    assert unreadable.status_code == 400
    assert "Long text" in unreadable.text
    stranger = dalo.post("/persons/P1/visits", data=given | {"victim": "P6", "contact_at": ""})
    assert "Choose one of those on the sheet" in stranger.text


def test_programs_record_the_same_with_the_same_rules(dalo: TestClient) -> None:
    path = "/api/v1/persons/P1/video"
    sent = {"once": "api-0001", "victim_id": "V1", "agrees": "Y", "can_talk": "U", "suspect_absent": "Y"}
    first = dalo.post(path, json=sent)
    assert first.status_code == 200
    assert first.json()["send"] is True
    assert first.json()["why"] == ["cannot surely talk safely"]
    assert dalo.post(path, json=sent).json()["id"] == first.json()["id"]
    assert dalo.post(path, json={"once": "api-0002"}).status_code == 400, "no answer is inferred"
    assert dalo.post(path, json={"once": "api-0003", "attend_instead": True}).json()["send"] is True
    assert dalo.post(path, json=sent | {"agrees": True}).status_code == 400
    page = dalo.get(path, params={"limit": 1}).json()
    assert [row["asked"] for row in page["video"]] == [False]
    assert dalo.get(path, params={"limit": 1, "before": page["next"]}).json()["video"][0]["asked"] is True
    assert dalo.post(path, json=sent | {"once": "api\x00-0005"}).status_code == 400
    assert dalo.post(path, json=sent | {"once": "api-0006", "call_id": "none"}).status_code == 404
    assert dalo.post(path, json=sent | {"once": "api-0007", "victim_id": "P6"}).status_code == 400
    early = f"{datetime.now(UTC).year}-01-01T10:00:00Z"
    visit = {"once": "api-0004", "channel": "video", "reached": False, "contact_at": early}
    made = dalo.post("/api/v1/persons/P1/visits", json=visit)
    assert made.json()["contact_at"] == early
    assert dalo.get("/api/v1/persons/P1/visits").json()["visits"][0]["id"] == made.json()["id"]


def test_a_hold_is_the_first_thing_said(home: Path, dalo: TestClient) -> None:
    from risk.audit import Who
    from risk.holds import doubts, place_hold

    place_hold(
        dalo.app.state.desk.db,  # type: ignore[attr-defined]
        Who("p.officer", "proactive", "page", "127.0.0.1"),
        "P6",
        next(iter(doubts())),
        "Two people seem to share this record.",
        datetime(2025, 6, 1, tzinfo=UTC),
    )
    text = dalo.get("/persons/P6/sheet").text
    assert 'class="identity identity-held"' in text
    assert text.index("On hold") < text.index("Is it safe now?")
    assert dalo.get("/api/v1/persons/P6/sheet").json()["hold"]
    assert dalo.get("/api/v1/persons/P1/sheet").json()["hold"] is None


def test_an_officer_of_another_district_may_attend_and_the_row_says_so(home: Path, dalo: TestClient) -> None:
    away = client_of(home, "dalo", purpose="attending", districts=["D9"], username="d.away", app=dalo.app)
    assert away.get("/persons/P1/sheet").status_code == 200
    assert rows(away, who="d.away")[-1]["outside"] is True


def test_the_rows_around_a_person_make_the_same_sheet_as_all_of_them(dalo: TestClient) -> None:
    from risk.sheet import sheet
    from risk.sheet_call import the_call

    desk = dalo.app.state.desk  # type: ignore[attr-defined]
    t = desk.now()
    for person, call_id in (("P1", None), ("P1", "C1"), ("P7", None), ("P2", "C5"), ("P6", "C3")):
        call = the_call(desk.load(), call_id, t) if call_id else None
        near = desk.around([person, *(call.victims if call else ())], t)
        assert sheet(near, person, {}, call) == sheet(desk.view(t), person, {}, call), (person, call_id)


def test_the_first_load_is_light_and_asks_nobody_else(dalo: TestClient) -> None:
    page = dalo.get("/persons/P1/sheet?call=C1")
    assets = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
    weight = len(gzip.compress(page.content)) + sum(len(gzip.compress(dalo.get(a).content)) for a in assets)
    assert weight < 150_000
    addresses = re.findall(r'(?:src|href|action)="([^"]*)"', page.text)
    assert all(one.startswith(("/", "#")) for one in addresses)
    assert " style=" not in page.text
    assert page.text.count("<script") == 1


def test_a_call_ingested_a_minute_ago_is_there(home: Path, dalo: TestClient) -> None:
    from features.append import append
    from features.home import Home

    assert dalo.get("/calls", params={"reference": "CAD-900"}).status_code == 404
    new = {
        "call_id": "C9",
        "reference": "CAD-900",
        "received_at": "2025-06-02T09:00:00Z",
        "caller_role": "victim",
    }
    new |= {"victim_id": "V1", "suspect_id": "P1", "address_id": "A1", "recorded_at": "2025-06-02T09:00:30Z"}
    append(Home(home), {"call": [new]})
    page = dalo.get("/calls", params={"reference": "CAD-900"})
    assert page.url.path == "/calls/C9/sheet"
    assert "THIS ADDRESS" in page.text

"""A person's page and its JSON: what an officer reads, what stays hidden, what is written down."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from api import person_facts
from api.app import create_app
from features.append import append
from features.clocks import parse_as_of
from features.home import Home
from features.linkage import store
from features.nominals import APART, PAIRS, PERSONS
from risk.audit import Who
from risk.holds import place_hold
from risk.options import VERIFIED, option, say
from risk.priority import publish
from tests.databases import trail_of
from tests.signing import client_of

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

T = parse_as_of("2025-06-01")
SUPERVISOR = Who("sup", "supervisor", "page", "testclient")


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.conftest import make_home

    home = make_home(tmp_path_factory.mktemp("listed"))
    for when in ("2025-05-25", "2025-06-01"):
        publish(Home(home), parse_as_of(when))
    return home


@pytest.fixture
def home(listed: Path, tmp_path: Path) -> Path:
    """A home with two lists, to be changed."""
    return Path(shutil.copytree(listed, tmp_path / "home"))


@pytest.fixture(scope="module")
def service(listed: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., TestClient]:
    """Makes clients of one running service, by role; its records never change, what officers write does."""
    place = Path(shutil.copytree(listed, tmp_path_factory.mktemp("read") / "home"))
    app = create_app(place)

    def one(role: str, **more: Any) -> TestClient:
        return client_of(place, role, app=app, **more)

    return one


@pytest.fixture(scope="module")
def reader(service: Callable[..., TestClient]) -> TestClient:
    """A supervisor of that service."""
    return service("supervisor")


def home_of(client: TestClient) -> Path:
    return Path(client.app.state.desk.path)  # type: ignore[attr-defined]


def text_of(client: TestClient, person: str, status: int = 200) -> str:
    answer = client.get(f"/persons/{person}")
    assert answer.status_code == status
    return answer.text


def test_the_page_says_everything_the_json_says(reader: TestClient) -> None:
    told = reader.get("/api/v1/persons/P1").json()
    page = re.sub(r"\s+", " ", text_of(reader, "P1"))
    assert told["score"]["words"] in page
    assert f"{told['score']['place']['rank']} of" in page
    for reason in told["reasons"]["raises"]:
        assert reason["sentence"] in page
    for event in told["history"]:
        assert event["reference"] in page
    for pair in told["dyads"]["shown"]:
        assert f'id="dyad-{pair["other"]}"' in page
    for one in told["options"]["shown"]:
        assert one["title"].replace("'", "&#39;") in page
    for place in told["ranks"]:
        assert place["words"] in page
    assert told["called"] == "suspect"
    assert [place["rank"] for place in told["ranks"]] == [1, 1]


def test_every_line_is_marked_and_each_reason_opens_its_records(reader: TestClient) -> None:
    page = text_of(reader, "P1")
    for kind in ("record", "assessment", "calculation"):
        assert f"kind-{kind}" in page
    targets = set(re.findall(r'href="#([^"]+)"', page))
    ids = set(re.findall(r'id="([^"]+)"', page))
    assert targets <= ids
    assert "event-E04" in targets
    assert page.count("behind it</summary>") >= 3


def test_events_say_where_an_allegation_stands(reader: TestClient) -> None:
    history = {one["event_id"]: one for one in reader.get("/api/v1/persons/P1").json()["history"]}
    assert (history["E04"]["status_code"], history["E04"]["status"]) == ("alleged", "alleged; open")
    assert history["E02"]["status_code"] == "no_crime"
    assert "A person is a <strong>suspect</strong>" in text_of(reader, "P1")


def test_people_around_are_links_to_their_page_or_to_the_pair(reader: TestClient) -> None:
    page = text_of(reader, "P7")
    assert re.search(r'<a class="leads" href="/persons/V3" aria-label="V3, victim[^"]*"', page)
    page = text_of(reader, "P1")
    assert 'class="leads" href="#dyad-V1"' in page
    assert 'href="/persons/V1"' not in page
    assert 'class="network" viewBox' in page
    assert 'role="group"' in page.split('class="network"')[1][:200]


def test_no_victim_is_named_on_any_page_and_nobody_is_called_low_risk(
    reader: TestClient, small_extract_tables: dict[str, pl.DataFrame]
) -> None:
    people, places = small_extract_tables["person"], small_extract_tables["address"]["line"]
    for person in ("P1", "P2", "P3", "P6", "P7", "V3"):
        told = text_of(reader, person) + reader.get(f"/api/v1/persons/{person}").text
        others = people.filter(pl.col("person_id") != person)["family_name"]
        secrets = [*others, *places, "leave a message", "after ten", "Not to go within 100 metres"]
        assert [secret for secret in secrets if secret in told] == []
        assert "low risk" not in told.lower()


def test_who_may_read_a_person_and_what_for(service: Callable[..., TestClient]) -> None:
    for role, status in (
        ("dalo", 200),
        ("proactive", 200),
        ("analyst", 403),
        ("records", 403),
        ("auditor", 403),
    ):
        assert service(role).get("/persons/P1").status_code == status
    aimless = service("dalo", purpose=None, username="aimless")
    asked = aimless.get("/persons/P1", follow_redirects=False)
    assert (asked.status_code, asked.headers["location"]) == (303, "/purpose?next=%2Fpersons%2FP1")
    assert aimless.get("/api/v1/persons/P1").status_code == 403


def test_a_look_leaves_one_row_that_says_whether_it_was_outside_the_district(
    service: Callable[..., TestClient],
) -> None:
    client = service("proactive", districts=("D2",), username="far")
    before = len(trail_of(home_of(client)))
    assert client.get("/persons/P1").status_code == 200
    rows = trail_of(home_of(client))[before:]
    assert [(row["act"], row["persons"], row["outside"]) for row in rows] == [("consultation", ["P1"], True)]
    assert (rows[0]["purpose"], rows[0]["reference"]) == ("investigation", "TEST")
    briefing = service("proactive", purpose="briefing", districts=("D2",), username="brief")
    assert briefing.get("/persons/P1").status_code == 403
    assert briefing.get("/persons/P7").status_code == 200


def test_a_restricted_record_opens_only_to_whom_it_was_opened(service: Callable[..., TestClient]) -> None:
    from api.auth import accounts, openings, sessions

    client = service("supervisor", username="glass")
    refused = client.get("/persons/P8")
    assert refused.status_code == 404
    said = [
        re.sub(r"\s+", " ", client.get(f"/persons/{one}").text.replace(one, "X")) for one in ("P8", "NONE")
    ]
    assert said[0] == said[1]
    db = client.app.state.desk.db  # type: ignore[attr-defined]
    session = sessions.find(db, client.cookies["doorstep"])
    assert session is not None
    assert session.task is not None
    account = accounts.need(db, "glass")
    openings.break_glass(db, account, "P8", "He is at the door of the victim now", session.task)
    assert "Holtbeck" in text_of(client, "P8")
    assert service("proactive").get("/persons/P8").status_code == 404


def test_a_victim_whose_record_is_restricted_stands_on_no_page_of_others(
    small_home_maker: Callable[..., Path], small_extract_tables: dict[str, pl.DataFrame]
) -> None:
    people = small_extract_tables["person"].with_columns(
        access=pl.when(pl.col("person_id") == "V1").then(pl.lit("named_users")).otherwise("access")
    )
    client = client_of(small_home_maker(person=people), "supervisor")
    told = client.get("/api/v1/persons/P1")
    assert told.status_code == 200
    assert re.findall(r"\bV1\b", told.text + text_of(client, "P1")) == []
    assert told.json()["dyads"]["not_shown"] == 1
    assert "a restricted record" in told.text


def test_an_unknown_reference_and_a_date_to_come_say_what_to_do(reader: TestClient) -> None:
    page = reader.get("/persons/NOBODY")
    assert page.status_code == 404
    assert "Check the reference" in page.text
    later = reader.get("/persons/P1?as_of=2099-01-01")
    assert later.status_code == 400
    assert "in the future" in later.text
    assert reader.get("/api/v1/persons/V2").status_code == 404  # recorded only as a victim
    assert reader.get(f"/persons/{'x' * 5000}").status_code == 404


def test_without_a_model_the_records_stand_alone_and_the_page_says_why(
    small_home_maker: Callable[..., Path],
) -> None:
    client = client_of(small_home_maker(model=False), "dalo")
    page = text_of(client, "P1")
    assert "not scored: " in page
    assert "REF-E04" in page
    assert 'id="why"' not in page
    told = client.get("/api/v1/persons/P1").json()
    assert (told["model_version"], told["score"]["scored"], told["ranks"]) == (None, False, [])


def test_a_script_in_a_name_is_text(
    small_home_maker: Callable[..., Path], small_extract_tables: dict[str, pl.DataFrame]
) -> None:
    people = small_extract_tables["person"].with_columns(
        given_names=pl.when(pl.col("person_id") == "P1")
        .then(pl.lit("<script>x()</script>"))
        .otherwise("given_names")
    )
    page = text_of(client_of(small_home_maker(person=people), "supervisor"), "P1")
    assert "<script>x" not in page
    assert "&lt;script&gt;x()" in page


# --- kept while it stays true -----------------------------------------------------------------------------------------


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, datetime]]:
    """Whom the records were asked about, and as of when."""
    asked: list[tuple[str, datetime]] = []
    real = person_facts.person

    def counted(view: Any, doc: Any, person_id: str, *rest: Any) -> Any:
        asked.append((person_id, view.t))
        return real(view, doc, person_id, *rest)

    monkeypatch.setattr(person_facts, "person", counted)
    return asked


def add_event(home: Path, event: str, suspect: str, victim: str) -> None:
    at = "2025-06-01T03:00:00Z"
    part: dict[str, Any] = {"event_id": event, "recorded_at": at}
    parts = [part | {"person_id": suspect, "role": "suspect", "victim_id": victim},
             part | {"person_id": victim, "role": "victim", "victim_id": None}]  # fmt: skip
    row = {"event_id": event, "reference": f"REF-{event}", "kind": "non_crime", "occurred_at": "2025-06-01T02:00:00Z",
           "domestic": "Y", "source": "victim", "recorded_at": at}  # fmt: skip
    new = [{"person_id": one, "recorded_at": at} for one in ("X1", "X2") if one in (suspect, victim)]
    rows: dict[str, list[dict[str, Any]]] = {"event": [row], "involvement": parts, "person": new}
    append(Home(home), {name: table for name, table in rows.items() if table})


def test_a_page_is_worked_out_once_until_something_about_the_person_is_new(
    home: Path, told: list[tuple[str, datetime]]
) -> None:
    client = client_of(home, "supervisor")
    first = text_of(client, "P7")
    assert text_of(client, "P7").count("REF-") == first.count("REF-")
    assert [person for person, _ in told] == ["P7"]
    add_event(home, "N1", "X1", "X2")  # nothing to do with P7
    text_of(client, "P7")
    assert [person for person, _ in told] == ["P7"]
    add_event(home, "N2", "P7", "V3")
    assert "REF-N2" in text_of(client, "P7")
    assert [person for person, _ in told] == ["P7", "P7"]


def test_a_bail_that_ends_ends_on_the_page_without_a_new_row(
    home: Path, told: list[tuple[str, datetime]], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(home, "supervisor")
    desk = client.app.state.desk  # type: ignore[attr-defined]
    assert "On bail until 18 June 2025" in text_of(client, "P1")
    ends = datetime.fromisoformat("2025-06-18T10:00:00+00:00")
    for now, on_bail in ((ends - timedelta(minutes=1), True), (ends + timedelta(minutes=1), False)):
        monkeypatch.setattr(desk, "now", lambda now=now: now)
        assert ("On bail until 18 June 2025" in text_of(client, "P1")) is on_bail
    asked = [t for _, t in told]
    assert asked[0] == T
    assert asked[-1] == ends


def test_the_score_is_of_six_in_the_morning_unless_something_is_newer(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(home, "supervisor")
    desk = client.app.state.desk  # type: ignore[attr-defined]
    noon = datetime.fromisoformat("2025-06-03T12:34:56+00:00")
    monkeypatch.setattr(desk, "now", lambda: noon)
    answer = client.get("/api/v1/persons/P7").json()
    assert answer["as_of"] == "2025-06-03T05:00:00Z"
    early = datetime.fromisoformat("2025-06-03T03:00:00+00:00")
    monkeypatch.setattr(desk, "now", lambda: early)
    client.app.state.desk._made.clear()  # type: ignore[attr-defined]
    assert client.get("/api/v1/persons/P7").json()["as_of"] == "2025-06-02T05:00:00Z"


# --- lists, holds and options stand beside ----------------------------------------------------------------------------


def test_a_hold_greys_the_page_at_once(reader: TestClient) -> None:
    assert "identity-held" not in text_of(reader, "P6")
    db = reader.app.state.desk.db  # type: ignore[attr-defined]
    place_hold(db, SUPERVISOR, "P6", "identity", "Two people of that name live there", T)
    page = text_of(reader, "P6")
    assert "identity-held" in page
    assert "Two people of that name live there" in page
    told = reader.get("/api/v1/persons/P6").json()
    assert told["standing"]["hold"] is not None
    assert [one["kind"] for one in told["decided"]] == ["hold"]


def test_a_person_joined_since_the_list_is_shown_as_one_and_it_is_said(home: Path) -> None:
    load = Home(home).require()
    known = load.records().table("person").select("person_id", "known_from")
    later = T - timedelta(days=3)  # after the first list, before the second
    pairs = pl.DataFrame([("P6", "P7", 0.93, later)], schema=PAIRS, orient="row")
    persons = known.unique("person_id").cast(PERSONS)  # type: ignore[arg-type]
    frames = {"pairs": pairs, "apart": pl.DataFrame(schema=APART), "persons": persons}
    store.write_run(home, load.load_id, frames, {"run_id": "links-test", "threshold": 0.9})
    client = client_of(home, "supervisor")
    told = client.get("/api/v1/persons/P7").json()
    other = "P6" if told["person_id"] == "P7" else "P7"
    page = text_of(client, other)
    assert f'You asked for <span class="ref">{other}</span>' in page
    assert [one["person_id"] for one in told["identity"]["records"]] == [other]
    assert told["moved"] == ""
    then = client.get("/api/v1/persons/P7?as_of=2025-05-25").json()
    assert then["identity"]["records"] == []
    assert all(place["rank"] is not None for place in told["ranks"])


def test_what_a_legal_officer_verifies_stands_on_the_page_under_their_name(
    service: Callable[..., TestClient],
) -> None:
    officer, reader = service("proactive", duties=("legal",), username="lou"), service("supervisor")
    before = len(trail_of(home_of(officer)))
    assert "Family Law Act 1996" not in text_of(reader, "P1")
    page = officer.get("/options/nmo")
    assert "Not checked" in page.text
    typed = {"wording": option("nmo").wording, "verdict": "verified", "source": "", "note": "read on the day"}
    again = officer.post("/options/nmo", data=typed)
    assert again.status_code == 400
    assert "Say what it was checked against" in again.text
    assert "read on the day" in again.text  # nothing typed is lost
    done = officer.post("/options/nmo", data=typed | {"source": "Family Law Act 1996 s.42 as amended"})
    assert done.url.path == "/options"
    page_now = text_of(reader, "P1")
    assert "Non-molestation order" in page_now
    assert "Verified by Test proactive, legal officer" in page_now
    told = reader.get("/api/v1/persons/P1").json()["options"]["shown"]
    assert {one["option_id"]: one["verified_by"] for one in told}["nmo"] == "Test proactive"
    rows = trail_of(home_of(officer))[before:]
    acts = [row["act"] for row in rows if row["page"] == "/options/{option_id}"]
    assert acts == ["consultation", "alteration", "alteration"]


def test_options_are_verified_by_the_legal_officer_alone(service: Callable[..., TestClient]) -> None:
    client = service("supervisor")
    for ask in (client.get("/options"), client.get("/options/dapn"), client.get("/api/v1/options"),
                client.post("/options/dapn", data={"verdict": "verified"})):  # fmt: skip
        assert ask.status_code == 403
    officer = service("supervisor", duties=("legal",), username="max")
    body = {
        "verdict": "verified",
        "wording": option("dapn").wording,
        "source": "s.22, and we are a pilot area",
    }
    assert officer.post("/api/v1/options/dapn/checks", json=body | {"extra": 1}).status_code == 400
    assert officer.post("/api/v1/options/none/checks", json=body).status_code == 404
    made = officer.post("/api/v1/options/dapn/checks", json=body)
    assert made.status_code == 201
    assert made.json()["shown"]
    assert [one["verdict"] for one in made.json()["checks"]] == ["verified"]


def test_old_words_cannot_be_verified_from_a_page_opened_before_they_changed(
    service: Callable[..., TestClient],
) -> None:
    officer = service("proactive", duties=("legal",), username="lou")
    typed = {"wording": "as it was", "verdict": "verified", "source": "the Act", "note": ""}
    answer = officer.post("/options/matac", data=typed)
    assert answer.status_code == 400
    assert "has changed since you opened it" in answer.text
    assert f'name="wording" value="{option("matac").wording}"' in answer.text


def test_nothing_on_the_page_presses_an_option(reader: TestClient) -> None:
    db = reader.app.state.desk.db  # type: ignore[attr-defined]
    for one in ("restraining_order", "dapo"):
        say(db, one, VERIFIED, wording=option(one).wording, source="s", note="", username="l", name="L")
    page = text_of(reader, "P1")
    part = page[page.index('id="options"') : page.index('id="ranks"')]
    assert "Restraining order" in part
    assert "<form" not in part
    assert "<button" not in part
    assert not re.search(r'href="/(?!persons/|static)', part)

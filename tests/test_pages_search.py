"""Searching as officers do: found, told apart, kept to what each may see, and written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from features.append import append
from features.home import Home
from risk.audit import rows
from risk.holds import place_hold
from risk.search import Search
from risk.search_text import read
from tests.deciding import who
from tests.signing import client_of


@pytest.fixture(scope="module")
def dalo(small_home: Path) -> TestClient:
    return client_of(small_home, "dalo", username="search.dalo")


@pytest.fixture(scope="module")
def proactive(small_home: Path) -> TestClient:
    return client_of(small_home, "proactive", username="search.proactive")


def asked(client: TestClient, **typed: str) -> dict:
    """The JSON answer to a search."""
    answer = client.post("/api/v1/search", json=typed)
    assert answer.status_code == 200, answer.text
    return answer.json()


def last_row(client: TestClient) -> dict:
    return rows(client.app.state.desk.db, limit=100_000)[-1]


def test_search_typed_into_the_page_finds_the_person_and_leads_to_page_and_sheet(dalo: TestClient) -> None:
    answer = dalo.post("/search", data={"text": "Adm Quilmark"})
    assert answer.status_code == 200
    assert "Adam Quillmark" in answer.text
    assert "/persons/P1/sheet" in answer.text
    assert 'href="/persons/P1"' in answer.text
    assert "Quilmark" not in str(answer.url)


def test_going_back_to_an_answer_asks_nothing_again_and_only_its_author_can(
    dalo: TestClient, proactive: TestClient
) -> None:
    url = dalo.post("/search", data={"text": "Quillmark"}).url.path
    assert "Adam Quillmark" in dalo.get(url).text
    other = proactive.get(url)
    assert other.status_code == 404
    assert "no longer kept" in other.text
    assert "Quillmark" not in other.text


def test_every_search_is_written_down_with_what_was_typed_and_whom_it_showed(dalo: TestClient) -> None:
    asked(dalo, text="Quillmark", born="1985")
    row = last_row(dalo)
    assert row["username"] == "search.dalo"
    assert "P1" in row["persons"]
    assert "Quillmark" in row["detail"]
    assert "1985" in row["detail"]
    assert row["purpose"] == "investigation"


def test_names_of_victims_are_found_by_those_who_may_open_the_sheet_alone(
    dalo: TestClient, proactive: TestClient
) -> None:
    seen = asked(dalo, text="Kim Kettlewell")["hits"]
    assert [hit["person_id"] for hit in seen] == ["V2"]
    assert seen[0]["district"] is None
    assert seen[0]["named_in"]
    assert "Refuge" not in dalo.post("/search", data={"text": "Kim Kettlewell"}).text
    assert asked(proactive, text="Kim Kettlewell")["hits"] == []
    assert "Kettlewell" not in proactive.post("/search", data={"text": "Kim Kettlewel"}).text


def test_no_address_is_printed_even_when_it_was_searched_for_in_other_words(dalo: TestClient) -> None:
    page = dalo.post("/search", data={"text": "Quillmark", "address": "High Row"}).text
    assert "Adam Quillmark" in page
    assert "1 High Row" not in page


@pytest.mark.parametrize("text", ["Holtbeck", "P8", "REF-E14", "Hal Holtbeck 1979", "Inchwater", "P9"])
def test_a_restricted_record_is_answered_like_one_that_is_not_there(dalo: TestClient, text: str) -> None:
    page = dalo.post("/search", data={"text": text})
    assert page.status_code == 200
    assert "Nobody you can open fits this" in page.text
    assert "Holtbeck" not in page.text.replace(f"“{text}”", "").replace(f'value="{text}"', "")


def test_a_briefing_shows_nobody_of_another_district_and_says_how_many(small_home: Path) -> None:
    client = client_of(small_home, "proactive", username="search.d2", purpose="briefing", districts=["D2"])
    found = asked(client, text="Quillmark")
    assert found["hits"] == []
    assert found["elsewhere"] == 1
    assert last_row(client)["persons"] == []
    page = client.post("/search", data={"text": "Quillmark"}).text
    assert "Adam" not in page
    assert "Choose another task" in page


def test_attending_shows_another_district_and_the_row_says_so(small_home: Path) -> None:
    client = client_of(small_home, "dalo", username="search.d2a", purpose="attending", districts=["D2"])
    assert [hit["person_id"] for hit in asked(client, text="Quillmark")["hits"]] == ["P1"]
    assert last_row(client)["outside"] is True


def test_an_event_is_found_by_its_reference_however_it_is_written(dalo: TestClient) -> None:
    for text in ("REF-E04", "ref e4", "E04", "ref/e04"):
        found = asked(dalo, text=text)["referred"]
        assert [(one["kind"], one["event_id"]) for one in found] == [("event", "E04")], text
        assert [hit["person_id"] for hit in found[0]["persons"]] == ["P1"]
    assert "/calls/E04/sheet" in dalo.post("/search", data={"text": "REF-E04"}).text


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"text": ""}, "not enough"),
        ({"born": "1985"}, "not enough"),
        ({"text": "Adam", "born": "31/2/1985"}, "birth date cannot be read"),
        ({"text": "x" * 5000}, "too long"),
    ],
)
def test_what_cannot_be_searched_for_is_said_and_nothing_typed_is_lost(
    dalo: TestClient, typed: dict[str, str], said: str
) -> None:
    page = dalo.post("/search", data=typed)
    assert page.status_code == 400
    assert said in page.text
    assert all(value in page.text for value in typed.values())
    answer = dalo.post("/api/v1/search", json=typed)
    assert answer.status_code == 400
    assert said in answer.json()["detail"]
    assert answer.json()["cure"]


def test_ten_megabytes_are_refused_without_being_read(dalo: TestClient) -> None:
    assert dalo.post("/api/v1/search", json={"text": "x" * 10_000_000}).status_code == 413
    assert dalo.post("/search", data={"text": "x" * 10_000_000}).status_code == 413


def test_script_typed_into_the_box_stays_text(dalo: TestClient) -> None:
    page = dalo.post("/search", data={"text": "<script>alert(1)</script> Quillmark"}).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("role", ["analyst", "records", "auditor", "administrator"])
def test_roles_that_open_no_person_have_no_search(small_home: Path, role: str) -> None:
    client = client_of(small_home, role, username=f"search.{role}", purpose=None)
    assert client.get("/search").status_code == 403
    assert client.post("/api/v1/search", json={"text": "Quillmark"}).status_code == 403


def test_no_search_without_a_task(small_home: Path) -> None:
    client = client_of(small_home, "dalo", username="search.idle", purpose=None)
    assert "/purpose" in str(client.get("/search").url)
    assert client.post("/api/v1/search", json={"text": "Quillmark"}).status_code == 403


def test_a_call_taken_in_a_minute_ago_is_there_without_a_restart(small_home_maker: Any) -> None:
    home = small_home_maker()
    client = client_of(home, "dalo", username="search.live", purpose="attending")
    assert asked(client, text="Nora Newcombe")["hits"] == []
    now = "2025-05-31T20:00:00Z"
    event = {"event_id": "N1", "reference": "REF-N1", "kind": "crime", "occurred_at": now, "domestic": "Y"}
    person = {
        "person_id": "N9",
        "family_name": "Newcombe",
        "given_names": "Nora",
        "date_of_birth": "1990-01-01",
    }
    part = {"event_id": "N1", "person_id": "N9", "role": "suspect", "victim_id": "V2"}
    append(
        Home(home),
        {
            "person": [person],
            "event": [event | {"recorded_at": now, "source": "victim"}],
            "involvement": [part],
        },
    )
    assert [hit["person_id"] for hit in asked(client, text="Nora Newcome 1990")["hits"]] == ["N9"]
    assert asked(client, text="ref-n1")["referred"][0]["persons"][0]["person_id"] == "N9"
    seen = asked(client, text="Kim Kettlewell")["hits"][0]["named_in"]
    assert seen[0] | {"at": None} == {"event_id": "N1", "reference": "REF-N1", "at": None, "suspects": ["N9"]}
    assert "E14" not in [place["event_id"] for place in seen]  # its suspect's record is restricted


def test_the_index_that_followed_through_the_desk_answers_as_one_made_now(small_home_maker: Any) -> None:
    home = small_home_maker()
    client = client_of(home, "dalo", username="search.same", purpose="attending")
    desk = client.app.state.desk  # type: ignore[attr-defined]
    asked(client, text="Quillmark")
    row = {"person_id": "P7", "family_name": "Garnlee", "given_names": "Gustav", "address_id": "A1"}
    append(Home(home), {"person": [row | {"recorded_at": "2025-05-31T00:00:00Z"}]})
    followed, anew = desk.search.ready(), Search(Home(home).require(), desk.now())
    for text in ("Gustav Garnlee", "Gus Garnleigh", "1 High Row", "Lambourne", "REF-E12", "Brackfold", "P7"):
        one, other = (each.find(read(text), everyone=True) for each in (followed, anew))
        assert sorted(map(str, one.hits)) == sorted(map(str, other.hits)), text
        assert one.referred == other.referred


def test_a_hold_is_said_where_the_person_is_found(small_home_maker: Any) -> None:
    home = small_home_maker()
    client = client_of(home, "dalo", username="search.hold", purpose="attending")
    desk = client.app.state.desk  # type: ignore[attr-defined]
    assert asked(client, text="Quillmark")["hits"][0]["hold"] is None
    place_hold(desk.db, who("dan", "dalo"), "P1", "identity", "two men of one name", desk.now(), "D1")
    assert "On hold" in asked(client, text="Quillmark")["hits"][0]["hold"]
    assert "search-held" in client.post("/search", data={"text": "Quillmark"}).text

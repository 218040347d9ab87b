"""What a list keeps back: of restricted records, of people taken out by law, and from those who see no names."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from features.append import append
from features.clocks import parse_as_of
from features.home import Home
from risk.priority import publish
from tests.signing import client_of
from tests.test_pages_list import DATA, LIST, clients, ranks, row_of

GONE = {"person_id": "P7", "family_name": "Garnleigh", "given_names": "Gus", "no_processing": True}
SHUT = {"family_name": "Fennimoor", "given_names": "Fay", "access": "named_users"}
DATE = re.compile(r"\d{1,2} (January|February|March|April|May|June|July|August|September|October) 20\d\d")
PLACE = {"rank", "team_rank", "person_id", "district", "restricted", "linked"}


@pytest.fixture
def home(small_home: Path, tmp_path: Path) -> Path:
    """The hand-made force with its two lists, to be changed."""
    return Path(shutil.copytree(small_home, tmp_path / "home"))


def later(home: Path, *people: dict[str, Any]) -> None:
    """Add what became known of some people after the list of 1 June."""
    known = [{"recorded_at": "2025-06-01T08:00:00Z", **one} for one in people]
    append(Home(home), {"person": known})


def of(rows: list[dict[str, Any]], person: str) -> dict[str, Any]:
    """The one row of a person."""
    found = [row for row in rows if row["person_id"] == person]
    assert len(found) == 1
    return found[0]


def test_of_a_record_for_named_users_a_list_tells_the_place_and_no_more(home: Path) -> None:
    client = client_of(home, "supervisor")
    row = of(client.get(DATA).json()["rows"], "P8")
    assert {name for name, value in row.items() if value} == PLACE
    page = row_of(client.get(LIST).text, "P8")
    assert "open to named users only" in page
    for never in ("in 100", "At large", "report", "Owner", " by count", "first list", "no change"):
        assert never not in page, never
    for only in ("wanted", "large", "unowned", "up", "release"):
        assert 3 not in ranks(client.get(f"{LIST}?only={only}").text), only


def test_copies_tell_no_more_of_a_restricted_record_than_the_page(home: Path) -> None:
    client = client_of(home, "supervisor")
    where, reason = f"{LIST}/export", "08:00 briefing"
    text = client.post(where, data={"form": "csv", "reason": reason}).content.decode("utf-8-sig")
    row = next(one for one in csv.reader(io.StringIO(text)) if one[2:3] == ["P8"])
    kept = {"open to named users only", "kept back", "P8", "D2", "2", "3", ""}
    assert set(row) <= kept, "rank, reference, district and that it is restricted"
    pdf = PdfReader(io.BytesIO(client.post(where, data={"form": "pdf", "reason": reason}).content))
    rollup = " ".join(pdf.pages[0].extract_text().split())
    told = re.search(r"P8 (.{0,80})", rollup)
    assert told
    assert told[1].startswith("kept back kept back kept back open to named users only"), told[1]
    assert "P8" not in rollup.split("Nobody owns")[1].split("What to doubt")[0]
    assert client.post(where, data={"form": "xlsx", "reason": reason}).status_code == 200


def test_whoever_is_restricted_since_is_kept_back_on_older_lists_and_apart_too(home: Path) -> None:
    later(home, {**SHUT, "person_id": "P6"}, {**SHUT, "person_id": "P2"})
    publish(Home(home), parse_as_of("2025-06-02T10:00:00Z"))
    client = client_of(home, "supervisor")
    older = sorted(one["list_id"] for one in client.get("/api/v1/lists").json()["lists"])[0]
    for which in (older, "latest"):
        row = of(client.get(f"/api/v1/lists/{which}").json()["rows"], "P6")
        assert (row["restricted"], row["now"], row["in_100"], row["name"]) == (True, [], None, None)
        apart = of(client.get(f"/api/v1/lists/{which}/apart").json()["apart"], "P2")
        assert (apart["reason"], apart["release_due"]) == ("open to named users only", None)
        assert "Fennimoor" not in client.get(f"/lists/{which}").text
        assert "Fennimoor" not in client.get(f"/lists/{which}/changes?since={older}").text
    said = client.get(f"{DATA}/why?person=P2").json()["words"]
    assert said == "Stands apart, not ranked. The record is open to named users only."


def test_of_somebody_taken_out_by_law_why_and_changes_say_what_they_say_of_nobody(home: Path) -> None:
    later(home, GONE)
    client = client_of(home, "supervisor")
    asked = {one: client.get(f"{DATA}/why?person={one}").json() for one in ("P7", "P77777")}
    assert asked["P7"]["words"] == asked["P77777"]["words"]
    assert client.get(f"{LIST}/why?person=P7").text.count("ranked 2") == 0
    publish(Home(home), parse_as_of("2025-06-02T10:00:00Z"))
    for role, purpose in (("supervisor", "investigation"), ("proactive", "briefing"), ("analyst", "review")):
        reader = client_of(home, role, purpose=purpose)
        for path in (f"{DATA}/changes", f"{LIST}/changes", LIST, DATA):
            text = reader.get(path).text
            assert not re.search(r"\bP7\b", text), path
            assert "Garnleigh" not in text, path
    gone = [row for row in client.get(f"{DATA}/changes").json()["leavers"] if row["withheld"]]
    assert [(row["rank_before"], row["name"], row["district"]) for row in gone] == [(2, None, None)]
    assert gone[0]["why"].startswith("taken out of the records by law")


def test_a_withheld_row_is_rank_and_score_under_a_code_that_trying_references_does_not_undo(
    home: Path,
) -> None:
    later(home, GONE)
    answer = client_of(home, "proactive").get(DATA).json()
    row = next(one for one in answer["rows"] if one["withheld"])
    told = {name for name, value in row.items() if value}
    assert told == {"rank", "in_100", "p_serious", "expected_harm", "withheld", "person_id", "linked"}
    plain = hashlib.sha256(f"{answer['list_id']}:P7".encode()).hexdigest()
    assert row["person_id"].startswith("withheld-")
    assert row["person_id"] != f"withheld-{plain[:10]}"
    again = client_of(home, "proactive").get(DATA).json()["rows"]
    assert row["person_id"] in {one["person_id"] for one in again}, "the same code at every look"
    other = client_of(home, "proactive").get(f"{DATA}?order=recent").json()["rows"]
    assert [one["rank"] for one in other][-2:] == [2, 3], "what is kept back is not told by an order"


def test_an_analyst_gets_no_day_no_digits_and_no_reason_of_a_state(home: Path) -> None:
    analyst = client_of(home, "analyst", purpose="review")
    rows = analyst.get(DATA).json()["rows"]
    for row in rows:
        for name in ("p_serious", "p_any", "release_due", "stays_until", "state"):
            assert row[name] is None, name
        assert row["ends"] == []
        assert row["expected_harm"] is None or row["expected_harm"] == round(row["expected_harm"])
        assert not DATE.search(json.dumps([row["now"], row["held"], row["warnings"], row["reasons"]]))
    assert rows[0]["now"] == ["Wanted", "On bail", "With an order in force"]
    assert rows[0]["in_100"].endswith("in 100")
    page = analyst.get(LIST).text.split('<ol class="rows"')[1].split("</ol>\n")[0]
    assert not DATE.search(page)
    assert "failed to answer" not in page
    apart = analyst.get(f"{DATA}/apart").json()["apart"]
    assert all(row["release_due"] is None for row in apart)
    assert "1 January 2026" not in analyst.get(f"{LIST}/apart").text
    named = client_of(home, "proactive").get(DATA).json()["rows"][0]
    assert named["p_serious"], "who acts on the list still reads the figure"
    assert "Wanted since 30 May 2025: failed to answer bail" in named["now"]


def test_a_hold_shows_wherever_a_list_names_the_person(home: Path) -> None:
    team = clients(home)
    client, analyst = team("supervisor"), team("analyst", purpose="review")
    doubt = {"doubt": "identity", "reason": "not the same man at all"}
    for person in ("P2", "P1"):
        assert client.post(f"/api/v1/persons/{person}/hold", json=doubt).status_code == 201
    line = "On hold: identity or role in doubt since"
    assert of(client.get(f"{DATA}/apart").json()["apart"], "P2")["held"].startswith(line)
    page = client.get(f"{LIST}/apart").text
    assert page.count(line) == 1
    assert page.count("<tr class=row-held>") == 1
    for person in ("P1", "P2"):
        assert client.get(f"{DATA}/why?person={person}").json()["held"].startswith(line)
        assert line in client.get(f"{LIST}/why?person={person}").text
    assert client.get(f"{DATA}/why?person=P3").json()["held"] == ""
    assert of(client.get(f"{DATA}/changes").json()["stayed"], "P1")["held"].startswith(line)
    assert line in client.get(f"{LIST}/changes").text
    held = [row["held"] for row in analyst.get(f"{DATA}/apart").json()["apart"] if row["held"]]
    assert held == ["On hold: identity or role in doubt"], "no day under a pseudonym"


def test_an_analyst_may_be_the_first_to_look_in_a_new_home(home: Path) -> None:
    assert not (home / "keys").exists(), "nothing was ever written down here"
    analyst = client_of(home, "analyst", purpose="review")
    for path in (f"{DATA}/changes", f"{DATA}/apart", DATA):
        assert analyst.get(path).status_code == 200, path

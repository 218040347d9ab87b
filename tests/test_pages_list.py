"""Today's list as people meet it: narrowed without moving a rank, greyed at once on a hold, no victim named."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from features.clocks import parse_as_of
from features.home import Home
from risk import audit
from risk.priority import publish
from tests.conftest import ADDRESSES, make_home, small_tables, write_small
from tests.signing import client_of

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

LIST, DATA = "/lists/latest", "/api/v1/lists/latest"
VICTIMS = ("Josselyn", "Kettlewell", "Lambourne")
NAMES = ("Quillmark", "Carrowby", "Fennimoor", "Garnleigh")


def clients(home: Path) -> Callable[..., TestClient]:
    """Makes clients of one running service over a home."""
    app: list[Any] = []

    def one(role: str = "proactive", **more: Any) -> TestClient:
        made = client_of(home, role, app=app[0] if app else None, **more)
        app[:] = [made.app]
        return made

    return one


@pytest.fixture(scope="module")
def read(small_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., TestClient]:
    """Clients that change nothing, of the hand-made force with its two lists."""
    return clients(Path(shutil.copytree(small_home, tmp_path_factory.mktemp("read") / "home")))


@pytest.fixture
def home(small_home: Path, tmp_path: Path) -> Path:
    """The same force, to be changed."""
    return Path(shutil.copytree(small_home, tmp_path / "home"))


def ranks(page: str) -> list[int]:
    """The ranks of the rows of a page, from top to bottom."""
    return [int(found) for found in re.findall(r'<li class="row[^"]*" value="(\d+)"', page)]


def row_of(page: str, person: str) -> str:
    """The row of a person on a page."""
    found = [row for row in page.split('<li class="row')[1:] if f'<span class="ref">{person}</span>' in row]
    assert len(found) == 1, f"{person} is on {len(found)} rows"
    return found[0].split("</li>\n{#")[0]


def test_a_row_says_where_he_stands_what_ends_soon_and_whom_he_harmed_by_reference(read: Any) -> None:
    page = read().get(LIST).text
    first = row_of(page, "P1")
    for said in (
        "Adam Quillmark",
        "Wanted since 30 May 2025",
        "On bail until 18 June 2025",
        "1 order in force (NMO)",
    ):
        assert said in first
    assert re.search(r'Victims: <span class="ref">V1</span>, <span class="ref">V2</span>', first)
    assert "counter-allegation in 1 report" in first
    assert "Release due 20 June 2025, in 18 days" in row_of(page, "P3")
    assert "Birth date not recorded" in row_of(page, "P6")


def test_no_victims_name_and_nobodys_address_is_on_any_form_of_the_list(read: Any) -> None:
    client = read("supervisor")
    for path in (LIST, DATA, f"{LIST}?team=D1", f"{LIST}/apart", f"{LIST}/changes", f"{LIST}/why?person=V1"):
        text = client.get(path).text
        for never in (*VICTIMS, *(line for _, line, _ in ADDRESSES), "after ten", "leave a message"):
            assert never not in text, f"{path} says {never}"


def test_sorting_and_narrowing_move_rows_and_no_rank(read: Any) -> None:
    client = read()
    assert ranks(client.get(LIST).text) == [1, 2, 3, 4, 5]
    recent = ranks(client.get(f"{LIST}?order=recent").text)
    assert recent == [1, 2, 4, 5, 3], "a restricted row comes last: its place says nothing of its reports"
    assert ranks(client.get(f"{LIST}?order=ends").text)[0] == 5, "a release in 18 days comes first"
    assert ranks(client.get(f"{LIST}?only=custody").text) == [5]
    assert ranks(client.get(f"{LIST}?only=wanted&order=count").text) == [1]
    rows = client.get(f"{DATA}?order=recent").json()["rows"]
    assert [(row["rank"], row["person_id"]) for row in rows[:2]] == [(1, "P1"), (2, "P7")]
    none = client.get(f"{LIST}?only=overdue").text
    assert "Nobody on this list is of that kind today." in none
    assert "Choose “Everyone” to see all 5" in none


def test_a_word_the_list_does_not_know_is_answered_with_those_it_does(read: Any) -> None:
    refused = read().get(f"{DATA}?only=<script>")
    assert refused.status_code == 400
    assert refused.headers["content-type"] == "application/problem+json"
    assert "wanted" in refused.json()["cure"]
    assert "&lt;script&gt;" in read().get(f"{LIST}?only=<script>").text
    for nowhere in ("20990101T0600Z-0000000000", "%00", ".hidden", "a" * 300):
        assert read().get(f"/lists/{nowhere}").status_code == 404
    assert read().get(f"{LIST}/changes?since=latest").status_code == 400, "a list against itself"
    assert read().get(f"{LIST}?team=nowhere").status_code == 400


def test_a_hold_greys_the_row_at_once_for_everyone(home: Path) -> None:
    team = clients(home)
    reader, doubter = team(username="reader"), team("dalo", username="doubter")
    assert "row-held" not in row_of(reader.get(LIST).text, "P7")
    typed = {"doubt": "role", "reason": "She called us first, he has the injuries"}
    assert doubter.post("/persons/P7/hold", data=typed).status_code == 200
    held = row_of(reader.get(LIST).text, "P7")
    assert held.startswith(" row-held")
    assert "On hold: identity or role in doubt" in held
    assert ranks(reader.get(f"{LIST}?only=held").text) == [2]
    row = next(one for one in reader.get(DATA).json()["rows"] if one["person_id"] == "P7")
    assert row["held"].startswith("On hold")
    assert row["rank"] == 2


def test_owner_and_decision_stand_beside_the_rank_and_can_be_asked_for(home: Path) -> None:
    team = clients(home)
    client = team(username="pc.hart")
    assert "nobody yet" in row_of(client.get(LIST).text, "P1")
    due = date.today() + timedelta(days=7)
    typed = {"choice": "adopt", "code_adopt": "records", "reason": "Three teams agree", "owner": "pc.hart"}
    when = {"due_on_day": due.day, "due_on_month": due.month, "due_on_year": due.year}
    sent = client.post("/persons/P1/decide", data=typed | when | {"version": "0"})
    assert sent.status_code == 200
    row = row_of(client.get(LIST).text, "P1")
    assert "pc.hart" in row
    assert "Adopt" in row
    assert ranks(client.get(f"{LIST}?only=mine").text) == [1]
    assert ranks(team(username="somebody.else").get(f"{LIST}?only=mine").text) == []
    assert ranks(client.get(f"{LIST}?only=unowned").text) == [2, 4, 5], "of 3, restricted, nothing is said"
    first = client.get(DATA).json()["rows"][0]
    assert (first["owner"], first["decision"], first["due_on"]) == ("pc.hart", "Adopt", due.isoformat())


def test_analysts_see_pseudonyms_that_stay_the_same_and_no_record(read: Any) -> None:
    analyst = read("analyst", purpose="review")
    pages = [
        analyst.get(path).text for path in (LIST, DATA, f"{LIST}/apart", f"{LIST}/changes", f"{DATA}/changes")
    ]
    for text in pages:
        assert not re.search(r"\b(P\d|V\d|E\d\d)\b", text), "no reference of a person or a record"
        assert not any(name in text for name in NAMES)
        assert "/persons/" not in text
    now = [row["person_id"] for row in analyst.get(DATA).json()["rows"]]
    before = analyst.get(f"{DATA}/changes").json()
    assert sorted(now) == sorted(row["person_id"] for row in before["stayed"])
    assert all(re.fullmatch(r"S-[a-z2-9]{10}", one) for one in now)
    assert analyst.get(f"{LIST}/why?person=P1").status_code == 403


def test_a_list_holds_the_viewers_districts_alone(read: Any) -> None:
    officer = read(username="d1", districts=("D1",))
    page = officer.get(LIST).text
    assert ranks(page) == [1, 4]
    assert "Today’s list: districts D1" in page
    assert officer.get(f"{LIST}?team=D2").status_code == 400, "another team's list is not theirs"
    assert {row["district"] for row in officer.get(f"{DATA}/apart").json()["apart"]} == {"D1"}
    briefed = read(username="d2", districts=("D2",), purpose="briefing")
    assert briefed.get(f"{LIST}/why?person=P1").status_code == 403, "a briefing is about one's own districts"


def test_a_restricted_record_keeps_its_reasons_and_victims_back(read: Any) -> None:
    row = row_of(read().get(LIST).text, "P8")
    assert "open to named users only" in row
    assert "V2" not in row
    assert "not shown, restricted" not in row, "nor how many victims there are"
    assert 'href="/persons/P8"' not in row
    assert "/breakglass/open?person_id=P8" in row


def test_whoever_is_taken_out_by_law_or_restricted_after_publication_is_not_shown(tmp_path: Path) -> None:
    from features.ingest import ingest

    home = make_home(tmp_path)
    publish(Home(home), parse_as_of("2025-06-01"))
    shut = pl.col("person_id") == "P6"
    people = small_tables()["person"].with_columns(
        no_processing=pl.when(pl.col("person_id") == "P7").then(True).otherwise("no_processing"),
        access=pl.when(shut).then(pl.lit("named_users")).otherwise("access"),
    )
    ingest(write_small(tmp_path / "later", person=people), Home(home))
    client = client_of(home, "proactive")
    page = client.get(LIST).text
    assert "Garnleigh" not in page
    assert "REF-E12" not in page
    assert "Taken out of the records by law since this list was published." in page
    assert ranks(page) == [1, 2, 3, 4, 5], "the rank stays with nobody's name"
    hidden = row_of(page, "P6")
    assert "Fennimoor" not in hidden
    assert "REF-E11" not in hidden
    assert "open to named users only" in hidden


def test_a_name_with_a_script_in_it_is_a_name(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    people = small_tables()["person"].with_columns(
        family_name=pl.when(pl.col("person_id") == "P1").then(pl.lit(evil)).otherwise("family_name")
    )
    home = make_home(tmp_path, person=people)
    publish(Home(home), parse_as_of("2025-06-01"))
    page = client_of(home, "proactive").get(LIST).text
    assert evil not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_an_older_list_stays_as_it_was_and_says_there_is_a_newer_one(home: Path) -> None:
    team = clients(home)
    client = team()
    older, newer = sorted(path.name for path in (home / "lists").iterdir())
    page = client.get(f"/lists/{older}").text
    assert "This is not the latest list." in page
    assert "/persons/P1?as_of=2025-05-25" in page
    publish(Home(home), parse_as_of("2025-06-02"))
    assert "This is not the latest list." in client.get(f"/lists/{newer}").text
    assert "As of <strong>2 June 2025, 06:00</strong>" in client.get(LIST).text


def test_who_is_not_on_the_list_is_told_why(read: Any) -> None:
    client = read()
    said = {p: client.get(f"{DATA}/why?person={p}").json()["words"] for p in ("P1", "P2", "P4", "V1")}
    assert said["P1"].startswith("On the list: ranked 1 of 5")
    assert said["P2"] == "Stands apart, not ranked: in prison or on remand; due out 1 January 2026."
    assert said["P4"].startswith("Stands apart, not ranked: under 18")
    assert said["V1"].startswith("Not scored for this list")
    page = client.get(LIST).text
    assert re.search(r'apart\?reason=in%20prison%20or%20on%20remand">1 in prison or on remand', page)
    apart = client.get(f"{LIST}/apart?reason=under%2018").text
    assert "P4" in apart
    assert "P2" not in apart
    assert client.get(f"{LIST}/why?person=%20").status_code == 400


def test_rows_and_those_apart_come_a_page_at_a_time_and_none_is_lost(read: Any) -> None:
    client = read()
    for path, of in ((DATA, "rows"), (f"{DATA}/apart", "apart")):
        every = [row["person_id"] for row in client.get(path).json()[of]]
        found, following = [], f"{path}?limit=2"
        while following:
            answer = client.get(following).json()
            assert len(answer[of]) <= 2
            found += [row["person_id"] for row in answer[of]]
            following = answer["next"]
        assert found == every


def test_an_answer_is_the_same_packed_or_plain(read: Any) -> None:
    packed = read().get(DATA)
    plain = read().get(DATA, headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.json() == plain.json()


def test_every_look_at_a_list_is_written_down_with_everyone_it_showed(home: Path) -> None:
    team = clients(home)
    client = team(username="pc.hart")
    db = client.app.state.desk.db

    def newest(path: str) -> dict[str, Any]:
        assert client.get(path).status_code == 200
        return audit.rows(db, limit=1000, who="pc.hart")[-1]

    for _ in range(2):  # the second answer was made before; the look is written all the same
        row = newest(LIST)
        assert row["act"] == "consultation"
        assert row["purpose"] == "investigation"
        assert set(row["persons"]) == {"P1", "P3", "P6", "P7", "P8"}
    assert set(newest(f"{LIST}?only=wanted")["persons"]) == {"P1"}
    assert set(newest(f"{LIST}/apart")["persons"]) == {"P2", "P4", "P5", "V3"}
    assert set(newest(f"{LIST}/why?person=P2")["persons"]) == {"P2"}


def test_without_a_list_the_page_says_what_to_do(small_home_maker: Callable[..., Path]) -> None:
    client = client_of(small_home_maker(), "proactive")
    missing = client.get(LIST)
    assert missing.status_code == 404
    assert "doorstep publish" in missing.text
    assert "No list has been published yet." in client.get("/lists").text
    assert "No list has been published yet." in client.get("/").text

"""Records restricted to named users: opened for a reason by somebody else, alerted, reviewed; or by who is named."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.app import create_app
from api.auth import accounts
from api.auth.accounts import utc_now
from api.settings import Settings
from features.home import Home
from features.linkage import store
from features.nominals import PAIRS
from risk.audit import rows
from risk.store import Database
from risk.store.tables_accounts import OPENING
from tests.signing import changed, client_of

REASON = "Her sister rang: he has taken the child and she cannot be reached"
SHUT = "P8"  # restricted to named users in the hand-made force


@pytest.fixture(scope="module")
def service(small_home: Path, tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    home = tmp_path_factory.mktemp("glass") / "home"
    shutil.copytree(small_home, home)
    return create_app(home, Settings(rate_scale=100))


@pytest.fixture
def db(service: FastAPI) -> Database:
    found: Database = service.state.desk.db
    return found


def officer(service: FastAPI, username: str, role: str = "dalo") -> TestClient:
    return client_of(service.state.desk.path, role, username=username, app=service)


def break_glass(client: TestClient, person_id: str = SHUT, reason: str = REASON) -> int:
    return client.post("/breakglass/open", data={"person_id": person_id, "reason": reason}).status_code


def latest(db: Database) -> int:
    with db.read() as store:
        return max(store.execute(OPENING.select()).scalars())


def test_a_restricted_record_opens_for_a_reason_to_that_officer_alone_and_for_an_hour(
    service: FastAPI, db: Database
) -> None:
    client, other = officer(service, "breaks"), officer(service, "looks.on")
    shut = client.get(f"/persons/{SHUT}")
    assert shut.status_code == 404
    assert "Holtbeck" not in shut.text
    assert "/breakglass/open" in shut.text
    found = client.post("/breakglass/open", data={"person_id": SHUT, "reason": REASON})
    assert (found.status_code, found.url.path) == (200, f"/persons/{SHUT}")
    assert "Holtbeck" in found.text
    assert client.get(f"/api/v1/persons/{SHUT}/sheet").status_code == 200
    assert other.get(f"/persons/{SHUT}").status_code == 404
    told = [one for one in rows(db, limit=10_000, who="breaks", person=SHUT) if one["act"] == "access"]
    assert [one["detail"] for one in told] == ["refused: answered 404", f"glass broken: {REASON}"]
    row = told[-1]
    assert (row["purpose"], row["reference"]) == ("investigation", "TEST")
    changed(db, OPENING, OPENING.c.id == latest(db), until=utc_now() - timedelta(seconds=1))
    assert client.get(f"/persons/{SHUT}").status_code == 404


def test_asking_never_says_whether_there_is_such_a_record(service: FastAPI) -> None:
    client = officer(service, "curious")
    told = []
    for person_id in ("no-such-person", "P9"):  # P9 is withheld by law and stays so
        found = client.post("/breakglass/open", data={"person_id": person_id, "reason": REASON})
        told.append(found.text.replace(person_id, "X"))
        assert found.status_code == 404
    assert told[0] == told[1]
    assert "Inchwater" not in "".join(told)


@pytest.mark.parametrize(
    ("person_id", "reason", "word"),
    [
        (SHUT, "because", "20 to 2,000 characters"),
        (SHUT, "x" * 2001, "20 to 2,000 characters"),
        (" ", REASON, "Give the reference"),
        ("x" * 81, REASON, "Give the reference"),
    ],
)
def test_a_reason_that_says_nothing_opens_nothing_and_what_was_typed_stays(
    service: FastAPI, person_id: str, reason: str, word: str
) -> None:
    client = officer(service, "hasty")
    found = client.post("/breakglass/open", data={"person_id": person_id, "reason": reason})
    assert found.status_code == 400
    assert word in found.text
    assert reason in found.text
    assert client.get(f"/persons/{SHUT}").status_code == 404


def test_every_supervisor_is_alerted_on_every_page_and_one_reviews(service: FastAPI, db: Database) -> None:
    client, sam, ann = officer(service, "opener"), officer(service, "sam", "supervisor"), officer(
        service, "ann", "supervisor"
    )  # fmt: skip
    assert break_glass(client) == 200
    opening = latest(db)
    for one in (sam, ann):
        assert "opened by somebody not named" in one.get("/account").text
    assert "opened by somebody not named" not in client.get("/account").text
    assert client.get("/breakglass").status_code == 403
    page = ann.get("/breakglass").text
    assert REASON in page
    assert SHUT in page
    told = ann.get("/api/v1/breakglass").json()["waiting"]
    assert opening in {one["id"] for one in told}
    sent = {"verdict": "justified", "note": "Right: the child was found with him"}
    assert ann.post(f"/breakglass/{opening}", data=sent).status_code == 200
    second = sam.post(f"/breakglass/{opening}", data=sent | {"note": "My own view of it"})
    assert second.status_code == 400
    assert "ann has reviewed it already: justified" in second.text
    assert client.get(f"/persons/{SHUT}").status_code == 200, "justified: it stays open for its hour"
    row = rows(db, limit=10_000, who="ann", act="alteration")[-1]
    assert (row["persons"], row["detail"]) == ([SHUT], f"opening {opening} justified: {sent['note']}")


def test_an_opening_found_not_justified_ends_at_once_and_is_not_asked_again(
    service: FastAPI, db: Database
) -> None:
    client, sam = officer(service, "nosy"), officer(service, "sam", "supervisor")
    assert break_glass(client) == 200
    verdict = {"verdict": "not justified", "note": "A neighbour, no call"}
    assert sam.post(f"/breakglass/{latest(db)}", data=verdict | {"note": ""}).status_code == 400
    assert client.get(f"/persons/{SHUT}").status_code == 200, "no note, no review"
    assert sam.post(f"/breakglass/{latest(db)}", data=verdict).status_code == 200
    assert client.get(f"/persons/{SHUT}").status_code == 404
    found = client.post("/breakglass/open", data={"person_id": SHUT, "reason": REASON})
    assert found.status_code == 400
    assert "not justified" in found.text


def test_nobody_reviews_their_own_opening(service: FastAPI, db: Database) -> None:
    sam = officer(service, "sam", "supervisor")
    assert break_glass(sam) == 200
    found = sam.post(f"/breakglass/{latest(db)}", data={"verdict": "justified", "note": "I was right"})
    assert found.status_code == 400
    assert "Nobody reviews their own opening" in found.text
    assert sam.post("/breakglass/999999", data={"verdict": "justified", "note": "abc"}).status_code == 400


def test_who_is_named_opens_the_record_until_struck_off(service: FastAPI, db: Database) -> None:
    named, sam = officer(service, "case.officer"), officer(service, "sam", "supervisor")
    asked = {"person_id": SHUT, "username": "case.officer", "why": "Case officer since March", "do": "name"}
    ann = officer(service, "ann", "supervisor")
    for said in ("", "because"):
        assert sam.post("/breakglass-named", data=asked | {"why": said}).status_code == 400
    assert sam.post("/breakglass-named", data=asked | {"username": "nobody"}).status_code == 400
    assert named.get(f"/persons/{SHUT}").status_code == 404
    assert sam.post("/breakglass-named", data=asked).status_code == 200
    assert named.get(f"/persons/{SHUT}").status_code == 404, "one supervisor alone opens nothing"
    assert "opened by somebody not named" in ann.get("/account").text
    assert sam.post("/breakglass-named", data=asked | {"do": "agree"}).status_code == 400, "their own naming"
    assert sam.post("/breakglass-named", data=asked).status_code == 400, "it waits already"
    assert "Waits for a second supervisor" in ann.get("/breakglass").text
    assert ann.post("/breakglass-named", data=asked | {"do": "agree"}).status_code == 200
    assert "Holtbeck" in named.get(f"/persons/{SHUT}").text
    told = ann.get("/api/v1/breakglass").json()["named"]
    assert [(one["named_by"], one["agreed_by"]) for one in told] == [("sam", "ann")]
    row = rows(db, limit=10_000, who="ann", act="alteration")[-1]
    assert (row["persons"], row["detail"]) == (
        [SHUT],
        "agreed: case.officer, named by sam: Case officer since March",
    )
    assert sam.post("/breakglass-named", data=asked | {"do": "strike"}).status_code == 200
    assert named.get(f"/persons/{SHUT}").status_code == 404


def test_nobody_names_themselves_nor_agrees_to_their_own_naming(service: FastAPI) -> None:
    sam, ann = officer(service, "sam.too", "supervisor"), officer(service, "ann", "supervisor")
    mine = {"person_id": SHUT, "username": "sam.too", "why": "I should like to see this one", "do": "name"}
    found = sam.post("/breakglass-named", data=mine)
    assert (found.status_code, "Nobody names themselves" in found.text) == (400, True)
    assert ann.post("/breakglass-named", data=mine).status_code == 200
    assert sam.post("/breakglass-named", data=mine | {"do": "agree"}).status_code == 400, "the one named"
    assert sam.get(f"/persons/{SHUT}").status_code == 404
    assert ann.post("/breakglass-named", data=mine | {"do": "strike"}).status_code == 200


def test_a_naming_ends_with_the_role_and_does_not_come_back_with_it(service: FastAPI, db: Database) -> None:
    sam, ann = officer(service, "sam", "supervisor"), officer(service, "ann", "supervisor")
    officer(service, "moves.on")
    asked = {"person_id": SHUT, "username": "moves.on", "why": "Case officer since March", "do": "name"}
    assert sam.post("/breakglass-named", data=asked).status_code == 200
    assert ann.post("/breakglass-named", data=asked | {"do": "agree"}).status_code == 200
    assert officer(service, "moves.on").get(f"/persons/{SHUT}").status_code == 200
    for role in ("auditor", "dalo"):
        accounts.change(db, "moves.on", role=role, districts=(), duties=())
    assert officer(service, "moves.on").get(f"/persons/{SHUT}").status_code == 404
    again = officer(service, "breaks.again")
    assert break_glass(again) == 200
    for role in ("auditor", "dalo"):
        accounts.change(db, "breaks.again", role=role, districts=(), duties=())
    assert officer(service, "breaks.again").get(f"/persons/{SHUT}").status_code == 404


def test_what_was_not_justified_is_not_opened_under_another_reference_of_the_same_person(
    small_home: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(small_home, home)
    place = Home(home)
    load = place.require()
    pair = pl.DataFrame([("P2", "P8", 0.97, datetime(2023, 1, 1, tzinfo=UTC))], schema=PAIRS, orient="row")
    first = load.records().table("person").group_by("person_id").agg(pl.col("known_from").min())
    frames = {"pairs": pair, "apart": pl.DataFrame(), "persons": first, "shown": pair}
    store.write_run(home, load.load_id, frames, {"run_id": "r1", "threshold": 0.9})
    service = create_app(home, Settings(rate_scale=100))
    db: Database = service.state.desk.db
    client, sam = officer(service, "nosy"), officer(service, "sam", "supervisor")
    assert client.get("/persons/P2").status_code == 404, "one of his records is for named users"
    for reference in ("P8", "P2"):
        assert break_glass(client, reference) == 200
    assert client.get("/persons/P2").status_code == 200
    assert client.get("/persons/P2/sheet").status_code == 200
    verdict = {"verdict": "not justified", "note": "A neighbour, no call"}
    assert sam.post(f"/breakglass/{latest(db)}", data=verdict).status_code == 200
    for reference in ("P8", "P2"):
        assert client.get(f"/persons/{reference}").status_code == 404, "both openings ended"
        assert break_glass(client, reference) == 400, "and neither reference opens it again"


def test_the_page_of_openings_asks_for_a_purpose(service: FastAPI) -> None:
    client = client_of(
        service.state.desk.path, "supervisor", username="no.task.sup", purpose=None, app=service
    )
    found = client.get("/breakglass", follow_redirects=False)
    assert (found.status_code, found.headers["location"]) == (303, "/purpose?next=%2Fbreakglass")
    assert client.get("/api/v1/breakglass").status_code == 403


def test_breaking_the_glass_asks_for_a_purpose_first(service: FastAPI) -> None:
    client = client_of(service.state.desk.path, "dalo", username="no.task", purpose=None, app=service)
    client.follow_redirects = False
    assert client.get("/breakglass/open").headers["location"].startswith("/purpose?next=")
    sent = {"person_id": SHUT, "reason": REASON}
    kept = client.post("/breakglass/open", data=sent).headers["location"]
    assert re.fullmatch(r"/purpose\?next=%2Fkept%2F[\w-]+", kept), "typed before the task ended: kept"
    assert REASON in client.get(kept.removeprefix("/purpose?next=").replace("%2F", "/")).text

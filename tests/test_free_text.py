"""Free texts beside lists and person pages: a victim's name, home, number or safe contact is sent back, however it is
written; what officers ordinarily write is not."""

from __future__ import annotations

import time
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from api.app import create_app
from features.clocks import parse_as_of
from features.home import Home
from risk.free_text import Read, _Name, _places, refuse_named, tied_to
from risk.priority import publish
from risk.view import View
from risk.written import FieldError
from tests.conftest import SMALL_T, make_home, small_tables
from tests.sheet_force import tables
from tests.signing import client_of

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

WHY = "Two partners say the same as the records"
SOON = date.today() + timedelta(days=7)
PEOPLE = [  # beside the hand-made force: whom an order or a disclosure alone ties to P2, and short and everyday names
    {"person_id": "V4", "family_name": "Ng", "given_names": "Li", "address_id": "A20"},
    {"person_id": "V5", "family_name": "Young", "given_names": "Zoë Ann", "address_id": "A21"},
]
PLACES = [
    {"address_id": "A20", "line": "Flat 2, 14b Örtl Crescent, Netherby", "postcode": "ZY2 4AB"},
    {"address_id": "A21", "line": "Rose Cottage, Mere Lane", "postcode": None},
]


def force() -> dict[str, pl.DataFrame]:
    """The hand-made force with two women whom nobody has harmed yet in the records."""
    made = tables()
    small = small_tables()
    order = {"order_id": "O9", "kind": "NMO", "respondent_id": "P2", "protected_id": "V4",
             "made_on": "2025-05-01T10:00:00Z"}  # fmt: skip
    told = {"application_id": "Q9", "route": "right_to_know", "subject_id": "P2", "protected_id": "V5",
            "opened_at": "2025-05-02T10:00:00Z"}  # fmt: skip
    for name, rows in (("person", PEOPLE), ("address", PLACES), ("order", [order]), ("disclosure", [told])):
        more = pl.DataFrame(rows)
        made[name] = pl.concat([made.get(name, small.get(name, more)), more], how="diagonal")
    return made


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That force with a list, for all tests of this file."""
    made = make_home(tmp_path_factory.mktemp("free"), **force())
    publish(Home(made), parse_as_of(SMALL_T))
    return made


@pytest.fixture(scope="module")
def view(home: Path) -> View:
    """Its records as of the list."""
    return View(Home(home).require(), parse_as_of(SMALL_T))


@pytest.fixture(scope="module")
def service(home: Path) -> FastAPI:
    """The running service."""
    return create_app(home)


@pytest.fixture(scope="module")
def ann(home: Path, service: FastAPI) -> TestClient:
    """An officer of the proactive team."""
    return client_of(home, "proactive", username="ann", app=service)


def kind_of(view: View, person: str, text: str, **more: Any) -> str:
    """What a text looks like, empty when it is let through."""
    try:
        refuse_named(view, person, {"reason": text}, **more)
    except FieldError as fault:
        return fault.what.split("looks like: ")[1].rstrip(".")
    return ""


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("He waited for Jo Josselyn at the gate", "a name"),
        ("Jossélyn Jo", "a name"),
        ("Ask JOSSELYN’S mother", "a name"),
        ("The Josselyns have moved", "a name"),
        ("jojosselyn on the usual site", "a name"),
        ("Joss\u200belyn is afraid", "a name"),
        ("9, Hidden Close, ask at the door", "an address"),
        ("Hidden Close no. 9 is where she is", "an address"),
        ("9Hidden Cl", "an address"),
        ("at number nine, HIDDEN-CLOSE", "an address"),
        ("Refuge at 8, Refuge Walk", "an address"),
        ("She lives at ZZ9 9JJ with the child", "a postcode"),
        ("zz99jj", "a postcode"),
        ("contact sister: A. Adviser", "what was agreed about safe contact"),
        ("Ring her after ten", "what was agreed about safe contact"),
        ("text after 10 only", "what was agreed about safe contact"),
        ("call through a sister", "what was agreed about safe contact"),
        ("Mo Josselyn, 9 Hidden Close, ZZ9 9JJ", "a name, an address, a postcode"),
    ],
)
def test_a_victim_is_recognised_however_she_is_written(view: View, text: str, kind: str) -> None:
    assert kind_of(view, "P1", text) == kind


@pytest.mark.parametrize(
    "text",
    [
        "Phone her on 07700 900123",
        "+44 7700 900123",
        "+44 (0)20 7946 0123",
        "0044 20 7946 0123",
        "(01632) 960 001",
        "01632-960001",
        "new number 07700.900.123.",
    ],
)
def test_a_telephone_number_is_sent_back_whoevers_it_is(view: View, text: str) -> None:
    assert kind_of(view, "P1", text) == "a telephone number"
    assert kind_of(view, "P6", text) == "a telephone number"


@pytest.mark.parametrize(
    "text",
    [
        "Quillmark was seen with a blade on Friday",
        "Seen in Hidden Close after ten at night",
        "Number 9 on the list; hidden knife, see crime 42/0123456/25",
        "Seen 05 11 2025 22 15 and 05-11-2025 10 30 by DC 4411",
        "His sister rang at 08:00; CAD 0412 of 3 June 2025",
        "Call from his sister, she says he left",
        "Refer V1 to MARAC; URN 00123456789012; £1,250.00",
        "Jo is his brother's name as well",
        "A close friend; the walk to the refuge is hidden",
        "He lives at 1 High Row, ZZ1 1AA",
    ],
)
def test_what_officers_ordinarily_write_is_let_through(view: View, text: str) -> None:
    assert kind_of(view, "P1", text) == ""


def test_whom_an_order_or_a_disclosure_alone_protects_is_not_named_either(view: View) -> None:
    assert {"V4", "V5"} <= set(tied_to(view, ["P2"]))
    for text, kind in (
        ("Seen with Li Ng on Friday", "a name"),
        ("NG, LI has moved", "a name"),
        ("Bus 14 to Ortl Cres., second floor", "an address"),
        ("zy2-4ab", "a postcode"),
        ("Zoe Young rang", "a name"),
        ("Ms Young rang", "a name"),
        ("ask at rose cottage", "an address"),
    ):
        assert kind_of(view, "P2", text) == kind, text
    for text in ("The children are young", "Li is a unit of length, ng is not", "A rose at the cottage door"):
        assert kind_of(view, "P2", text) == "", text
    assert kind_of(view, "P7", "Seen with Li Ng on Friday") == "", "nothing ties her to this man"


def test_names_in_two_parts_and_places_without_a_number() -> None:
    name = _Name(("oneil",), ("sinead",), own=False)
    assert all(name.stands(Read.of(text), True) for text in ("O'Neil rang", "O Neil rang", "Sinéad O’Neil"))
    assert not name.stands(Read.of("Neil the neighbour rang"), True)
    shared = _Name(("quillmark",), ("jo",), own=True)
    assert shared.stands(Read.of("Quillmark, Jo"), True)
    assert not shared.stands(Read.of("Quillmark said so"), True)
    (street,) = _places("Apartment 3, The Mill, 12 St Mary's Rd, Oldtown")
    for text in ("12 St Marys Road", "12, Saint Mary's Rd", "St. Mary’s Road (no. 12, flat 3)"):
        assert street.stands(Read.of(text)), text
    assert not street.stands(Read.of("12 people in the road by St Mary's"))
    assert _places("") == _places(None) == _places("Unknown") == []


def test_of_a_whole_list_a_family_name_alone_may_be_an_officers(view: View) -> None:
    assert kind_of(view, "P1", "for DS Josselyn", family_alone=False) == ""
    assert kind_of(view, "P1", "for Jo Josselyn", family_alone=False) == "a name"


def test_looking_takes_milliseconds_also_for_a_long_text(view: View) -> None:
    long = "He said 07 7 0 9 that she would not 9 hid " * 48
    kind_of(view, "P1", long)
    began = time.process_time()
    for _ in range(5):
        assert kind_of(view, "P1", long) == ""
    assert (time.process_time() - began) / 5 < 0.1


HIDDEN = ("Josselyn", "Hidden Close", "07700")


def test_the_owner_of_a_decision_or_an_action_is_looked_at_too(ann: TestClient) -> None:
    due = {"due_on_day": str(SOON.day), "due_on_month": str(SOON.month), "due_on_year": str(SOON.year)}
    for owner in ("Jo Josselyn 9 Hidden Close", "PC Smith 07700 900123"):
        body = {"reason": WHY, "owner": owner, "due_on": SOON.isoformat()}
        decided = ann.post(
            "/api/v1/persons/P1/decisions", json=body | {"choice": "adopt", "code": "records", "version": 0}
        )
        planned = ann.post("/api/v1/persons/P1/actions", json=body | {"kind": "visit"})
        assert (decided.status_code, planned.status_code) == (400, 400)
        assert not any(secret in decided.text + planned.text for secret in HIDDEN), "it does not say whose"
        form = {"choice": "adopt", "code_adopt": "records", "reason": WHY, "owner": owner, "version": "0"}
        for path, typed in (("decide", form), ("action", {"kind": "visit", "reason": WHY, "owner": owner})):
            back = ann.post(f"/persons/P1/{path}", data=typed | due)
            assert back.status_code == 400
            assert 'href="#owner"' in back.text
            assert "Give a collar number" in back.text
            assert f'value="{owner}"' in back.text, "what was typed is kept"
    for path in ("/lists/latest", "/api/v1/lists/latest", "/persons/P1", "/actions"):
        assert not any(secret in ann.get(path).text for secret in HIDDEN), path
    copy = ann.post("/lists/latest/export", data={"form": "csv", "reason": "08:00 briefing"})
    assert copy.status_code == 200
    assert not any(secret in copy.text for secret in HIDDEN)


def test_every_field_that_names_somebody_is_told_at_once(ann: TestClient) -> None:
    form = {"choice": "disagree_up", "code_disagree_up": "fear", "version": "0"}
    back = ann.post(
        "/persons/P1/decide", data=form | {"reason": "Speak to Jo Josselyn first", "owner": "Jo Josselyn"}
    )
    assert back.status_code == 400
    assert 'href="#owner"' in back.text
    assert 'href="#reason"' in back.text


@pytest.mark.parametrize("reason", ["Kim Kettlewell of 8 Refuge Walk", "briefing, ring 07700 900123"])
def test_the_reason_of_a_copy_is_printed_on_every_page_and_looked_at(ann: TestClient, reason: str) -> None:
    from tests.databases import trail_of

    home = Path(ann.app.state.desk.path)  # type: ignore[attr-defined]
    before = len([row for row in trail_of(home) if row["act"] == "disclosure"])
    page = ann.post("/lists/latest/export", data={"form": "csv", "reason": reason})
    assert page.status_code == 400
    assert reason in page.text, "what was typed is kept"
    assert 'href="#reason"' in page.text
    data = ann.post("/api/v1/lists/latest/export", json={"form": "csv", "reason": reason})
    assert data.status_code == 400
    assert "Kettlewell" not in data.text
    assert len([row for row in trail_of(home) if row["act"] == "disclosure"]) == before, (
        "nothing was disclosed"
    )

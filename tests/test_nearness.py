"""Where he may be: his latest address against the place an officer is going to, and how old that knowledge is."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.clocks import parse_as_of
from features.home import Home
from risk.history import history
from risk.nearness import latest_address, nearness
from risk.view import View
from tests import sheet_force

T = parse_as_of("2025-06-01")


@pytest.fixture(scope="module")
def view(sheet_home: Path) -> View:
    return View(Home(sheet_home).require(), T)


@pytest.mark.parametrize(
    ("place", "band", "words"),
    [
        ("A1", "here", "THIS ADDRESS"),
        ("A9", "under_1_km", "under 1 km from here"),
        ("A8", "under_10_km", "under 10 km from here"),
        ("A3", "further", "10 km or further from here"),
        ("A4", "unknown", "distance from here not known"),
        ("A0", "unknown", "distance from here not known"),
    ],
)
def test_five_things_can_be_said_and_never_that_he_is_not_near(
    view: View, place: str, band: str, words: str
) -> None:
    found = nearness(view, "P1", place)
    assert found.band == band
    assert found.words.startswith(f"Latest known address: {words}")
    assert "not near" not in found.words
    assert "recorded 1 January 2024, 517 days ago" in found.words
    assert found.days_old == 517
    assert found.old, "what was last said over a year ago is said to be old"


def test_a_place_entered_twice_is_one_place(view: View) -> None:
    assert nearness(view, "P1", "A5").band == "here"


def test_without_co_ordinates_what_the_places_share_is_said(view: View) -> None:
    assert "the same postcode" in nearness(view, "P7", "A4").words
    assert "the same district" in nearness(view, "P7", "A2").words


def test_an_address_he_left_is_no_current_address_but_is_said(view: View) -> None:
    gone = nearness(view, "P2", "A2")
    assert gone.band == "unknown"
    assert "No current address known (the last one recorded was left on 1 February 2025)" in gone.words
    assert gone.notes == ("Recorded as living here until 1 February 2025",)
    before = nearness(view, "P1", "A9", history(view, "P1"))
    assert "Recorded as living here until 31 December 2023" in before.notes


def test_nothing_entered_after_t_is_known(sheet_home: Path) -> None:
    earlier = View(Home(sheet_home).require(), parse_as_of("2023-12-01"))
    assert latest_address(earlier, "P1") == "A9", "not yet moved"


def test_a_custody_suite_is_nobodys_home(view: View) -> None:
    assert latest_address(view, "P6") is None
    found = nearness(view, "P6", "A7")
    assert found.band == "unknown"
    assert found.words.startswith("No current address known (no address in the records)")


def test_an_undated_address_says_that_it_is_undated(view: View) -> None:
    found = nearness(view, "P3", "A2")
    assert "the records do not say since when" in found.words
    assert found.days_old is None
    assert found.old


def test_no_address_is_written_out(view: View) -> None:
    every = [nearness(view, "P1", place, history(view, "P1")) for place in sheet_force.NAMES]
    text = " ".join(" ".join([one.words, *one.notes]) for one in every)
    assert not [row[0] for row in sheet_force.NAMES.values() if row[0].strip() in text]

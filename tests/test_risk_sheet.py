"""Before attending: present state, people, history both ways, promises, gaps; and the people around, as a graph."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pytest

from features.clocks import parse_as_of
from features.errors import NotFoundError
from features.home import Home
from models.store import champion
from risk.history import history, pairs
from risk.network import MOST, network
from risk.person import person, require_open, score_in_words
from risk.promises import Reached
from risk.sheet import sheet
from risk.sheet_call import find_calls, suspects_at, the_call
from risk.state import states
from risk.teams import districts
from risk.view import View

T = parse_as_of("2025-06-01")


@pytest.fixture(scope="module")
def view(small_home: Path) -> View:
    return View(Home(small_home).require(), T)


@pytest.fixture(scope="module")
def of_p1(view: View, small_home: Path) -> dict[str, Any]:
    return sheet(view, "P1", score_in_words(view, champion(small_home), "P1", None))


def test_the_sheet_is_in_the_order_an_officer_needs(of_p1: dict[str, Any]) -> None:
    order = ["who", "now", "people", "children", "before", "balance", "grades", "separations", "score", "promises",
             "schemes", "known", "never_recorded"]  # fmt: skip
    assert [name for name in of_p1 if name in order] == order


def test_it_says_where_the_person_stands_and_what_protects_others(of_p1: dict[str, Any]) -> None:
    now = of_p1["now"]
    assert now["lines"][0] == "Wanted since 30 May 2025: failed to answer bail"
    assert [marker["code"] for marker in now["markers"]] == ["WE"]
    order = now["orders"][0]
    assert order["kind"] == "NMO"
    assert order["protects"] == "Jo Josselyn (V1)"
    assert order["conditions"] == ["no contact"]
    assert order["conditions_text"] == "Not to go within 100 metres"


def test_it_says_who_is_there_and_how_to_reach_them_safely(of_p1: dict[str, Any]) -> None:
    people = {one["person_id"]: one for one in of_p1["people"]}
    assert list(people) == ["V1", "V2"]
    assert people["V1"]["plan"]["safe_channel"] == "text"
    assert people["V1"]["plan"]["do_not"] == "leave a message"
    assert people["V1"]["relationship"].startswith("partner since 1 January 2020, ended 1 May 2025")
    assert people["V2"]["plan"] is None
    assert "2 children present on 15 April 2025 (REF-E04)" in of_p1["children"]
    assert "1 child recorded: C1, aged 7" in of_p1["children"]


def test_it_shows_the_last_five_domestic_events_with_what_police_found_marked(of_p1: dict[str, Any]) -> None:
    assert [one["event_id"] for one in of_p1["before"]] == ["E06", "E05", "E04", "E03", "E02"]
    assert of_p1["before"][0]["notes"] == ["found by police, not in the score"]
    assert of_p1["before"][0]["reference"] == "REF-E06"
    assert of_p1["before"][1]["notes"] == ["counter-allegation recorded"]
    assert of_p1["before"][2]["ticks"] == ["strangulation"]
    assert of_p1["before"][2]["role"] == "suspect against Jo Josselyn (V1)"


def test_reports_in_both_directions_are_said_both_ways(view: View, small_home: Path) -> None:
    found = sheet(view, "P7", score_in_words(view, champion(small_home), "P7", None))
    assert len(found["balance"]) == 1
    assert "1 event with this person as suspect, 1 event the other way round" in found["balance"][0]
    assert {one["role"] for one in found["before"]} == {
        "suspect against Lee Lambourne (V3)", "victim of Lee Lambourne (V3)",
    }  # fmt: skip


def test_it_says_what_is_owed_and_what_was_never_recorded(of_p1: dict[str, Any]) -> None:
    owed = [line["what"] for line in of_p1["promises"]]
    assert sorted(owed) == [
        "callback",
        "tell them: released on bail 21 May 2025 (REF-E05); no contact recorded since",
        "update every 14 days, no contact recorded",
    ]
    assert all(line["overdue"] for line in of_p1["promises"])
    assert of_p1["schemes"] == ["MARAC since 10 May 2025: Jo Josselyn (V1)"]
    kim = next(line for line in of_p1["never_recorded"] if line.startswith("For Kim Kettlewell (V2): "))
    assert "Safe way to make contact" in kim
    assert "A risk assessment" in kim
    assert "This load holds no custody records" in of_p1["never_recorded"]
    assert any(
        line.startswith("Whether children were present at REF-E06") for line in of_p1["never_recorded"]
    )


def test_the_score_does_not_replace_the_officers_assessment(of_p1: dict[str, Any]) -> None:
    assert of_p1["score"]["caution"] == "This does not replace your assessment."
    assert "in 100 people with histories like this" in of_p1["score"]["words"]
    assert len(of_p1["score"]["reasons"]) == 3


def test_no_address_is_on_a_sheet(
    of_p1: dict[str, Any], small_extract_tables: dict[str, pl.DataFrame]
) -> None:
    text = json.dumps(of_p1, default=str)
    assert [line for line in small_extract_tables["address"]["line"] if line in text] == []


@pytest.fixture(scope="module")
def busy(sheet_home: Path) -> View:
    return View(Home(sheet_home).require(), T)


def _called_to(busy: View, reference: str, person: str = "P1") -> dict[str, Any]:
    call = find_calls(busy.load, reference, T)[0]
    doc = champion(busy.load.path.parent.parent)
    return sheet(busy, person, score_in_words(busy, doc, person, None), call)


def test_with_a_call_it_says_how_near_he_lives_and_shows_the_callers_victim_first(busy: View) -> None:
    found = _called_to(busy, " cad-100 ")
    near = found["now"]["near"]
    assert near["band"] == "under_1_km"
    assert "Recorded as living here until 31 December 2023" in near["notes"]
    assert found["people"][0]["person_id"] == "V1"
    assert found["call"]["reference"] == "CAD-100"
    other = _called_to(busy, "CAD-104", "P2")
    assert other["people"][0]["person_id"] == "V2"


def test_without_a_call_it_does_not_guess_a_place(busy: View, of_p1: dict[str, Any]) -> None:
    assert of_p1["now"]["near"]["band"] is None
    assert "not near" not in json.dumps(of_p1, default=str)
    doc = champion(busy.load.path.parent.parent)
    found = sheet(busy, "P1", score_in_words(busy, doc, "P1", None))
    assert found["people"][0]["apart"]["words"] == "Latest known addresses: under 1 km apart"


def test_a_call_is_found_by_what_is_pasted_and_a_report_where_there_is_none(busy: View) -> None:
    assert [one.call_id for one in find_calls(busy.load, "CAD - 101", T)] == ["C2"]
    report = find_calls(busy.load, "ref-e12", T)[0]
    assert (report.kind, report.suspects, report.victims) == ("report", ("P7",), ("V3",))
    assert find_calls(busy.load, "CAD-103", T) == [], "taken after T"
    assert find_calls(busy.load, "  ", T) == []
    with pytest.raises(NotFoundError):
        the_call(busy.load, "C4", T)


def test_a_call_that_names_nobody_says_whom_the_records_tie_to_the_address(busy: View) -> None:
    call = the_call(busy.load, "C2", T)
    assert call.suspects == ()
    assert call.address_id is not None
    tied = suspects_at(busy.load, "A1", T)
    assert tied == [{"person_id": "P1", "why": "recorded as living here; suspect in earlier reports"}]
    assert suspects_at(busy.load, "A9", T) == [], "he left; she is no suspect"


def test_a_sheet_with_a_call_holds_no_address_either(busy: View) -> None:
    from tests import sheet_force

    text = json.dumps(_called_to(busy, "CAD-100"), default=str)
    assert [row[0] for row in sheet_force.NAMES.values() if row[0].strip() in text] == []
    assert [row[1] for row in sheet_force.NAMES.values() if row[1] in text] == []


def test_a_contact_logged_in_doorstep_changes_what_is_owed(busy: View) -> None:
    doc = champion(busy.load.path.parent.parent)
    said = score_in_words(busy, doc, "P1", None)
    before = sheet(busy, "P1", said)
    after = sheet(busy, "P1", said, logged=lambda victims: [Reached("V1", None, T)])
    assert len(after["promises"]) < len(before["promises"])
    assert after["last_contact"]["Jo Josselyn (V1)"] == T


def test_a_clares_law_application_and_what_a_plan_says_are_on_it(busy: View) -> None:
    found = _called_to(busy, "CAD-100")
    assert found["disclosures"] == [
        "Clare's Law application (right to know), opened 2 May 2025, for Kim Kettlewell (V2): no decision recorded"
    ]
    plan = found["people"][0]["plan"]
    assert (plan["language"], plan["interpreter"], plan["idva"]) == ("Polish", True, "A. Adviser")


def test_of_a_victim_whose_record_is_restricted_nothing_agreed_is_told(
    small_home_maker: Callable[..., Path], small_extract_tables: dict[str, pl.DataFrame]
) -> None:
    shut = pl.when(pl.col("person_id") == "V1").then(pl.lit("named_users")).otherwise("access")
    people = small_extract_tables["person"].with_columns(access=shut)
    court = pl.lit("Not to go to 9 Hidden Close, the home of Jo Josselyn")
    orders = small_extract_tables["order"].with_columns(conditions_text=court)
    home = small_home_maker("shut", person=people, order=orders)
    view = View(Home(home).require(), T)
    said = score_in_words(view, champion(home), "P1", None)
    hidden = sheet(view, "P1", said)
    text = json.dumps(hidden, default=str)
    assert "leave a message" not in text
    assert "Josselyn" not in text
    first = hidden["people"][0]
    assert (first["person_id"], first["plan"], first["restricted"]) == ("V1", None, True)
    assert "Hidden Close" not in text, "a court's words name her and her home"
    assert [one["conditions"] for one in hidden["now"]["orders"]] == [
        one["conditions"] for one in sheet(view, "P1", said, opened=frozenset({"V1"}))["now"]["orders"]
    ]
    assert first["relationship"] == "relationship not shown"
    assert [one for one in hidden["grades"] if "V1" in one["of"]] == []
    assert [line for line in [*hidden["separations"], *hidden["schemes"]] if "V1" in line] == []
    assert "C1" not in " ".join(hidden["children"])
    assert "REF-E04" not in " ".join(hidden["children"])
    assert [one["of"] for one in hidden["known"]] == [None, "V2"]
    assert [line for line in hidden["promises"] if line["person_id"] == "V1"] == []
    shown = sheet(view, "P1", said, opened=frozenset({"V1"}))
    assert shown["people"][0]["plan"]["do_not"] == "leave a message"
    assert "Hidden Close" in shown["now"]["orders"][0]["conditions_text"]
    assert all(shown[part] for part in ("schemes", "separations", "grades"))
    assert "C1" in " ".join(shown["children"])


def test_a_person_page_names_no_victim(
    view: View, small_home: Path, small_extract_tables: dict[str, pl.DataFrame]
) -> None:
    found = person(view, champion(small_home), "P1", None)
    found["network"] = [found["network"].as_dict(), found["network"].svg(), found["network"].summary()]
    text = json.dumps(found, default=str)
    others = small_extract_tables["person"].filter(pl.col("person_id") != "P1")
    secret = [
        *others["family_name"],
        *small_extract_tables["address"]["line"],
        "leave a message",
        "after ten",
    ]
    assert [word for word in secret if word in text] == []
    assert found["name"] == "Adam Quillmark"


def test_states_know_only_what_was_known_at_t(small_home: Path) -> None:
    earlier = View(Home(small_home).require(), parse_as_of("2025-05-21T09:00"))
    assert states(earlier, ["P1"])["P1"].lines() == [
        "1 order in force (NMO)",
        "At large, as far as the records say",
    ]
    served = View(Home(small_home).require(), parse_as_of("2025-04-20T20:00"))
    assert states(served, ["P1"])["P1"].orders != [], (
        "made and not yet served: in force from when it was made"
    )


def test_a_district_is_the_latest_address_else_most_events_else_unassigned(
    small_home_maker: Callable[..., Path],
) -> None:
    moved = pl.DataFrame({"person_id": ["P1"], "address_id": ["A4"], "started_on": ["2025-01-01T00:00:00Z"]})
    view = View(Home(small_home_maker("moved", residence=moved)).require(), T)
    people = pl.DataFrame({"person_id": ["P1", "P6", "P7", "C9"]})
    assert dict(districts(view, people).iter_rows()) == {
        "P1": "D2",  # moved
        "P6": "D1",  # no address: where the events were
        "P7": "D2",
        "C9": "unassigned",
    }
    before = View(Home(small_home_maker("moved2", residence=moved)).require(), parse_as_of("2024-12-01"))
    assert districts(before, people.head(1))["district"].to_list() == ["D1"], "not yet moved at T"


def test_pairs_come_from_the_offence_else_the_involvement_else_everyone(small_home: Path) -> None:
    view = View(Home(small_home).require(), T)
    found = {(s, v): inferred for _, s, v, inferred in pairs(view).iter_rows()}
    assert found["P1", "V1"] is False
    assert found["P6", "V2"] is False, "named by the involvement, no offence"
    assert all(suspect != victim for suspect, victim in found)


def test_history_is_newest_first_and_says_where_an_allegation_stands(view: View) -> None:
    found = history(view, "P1")
    assert [one.event_id for one in found] == ["E06", "E05", "E04", "E03", "E02", "E01"]
    assert found[0].found_by_police
    assert found[2].serious
    assert found[2].status == "alleged; open"
    assert found[4].status == "no crime recorded"


def test_the_network_says_the_same_as_data_picture_and_table(view: View) -> None:
    net = network(view, "P1")
    assert {node["person_id"] for node in net.as_dict()["nodes"]} == {"P1", "V1", "V2"}
    kinds = {(e["from"], e["to"], e["kind"]): e for e in net.edges()}
    assert kinds["P1", "V1", "suspect of harm to"]["events"] == 5
    assert ("P1", "V1", "order protects") in kinds
    assert "with a child together" in kinds["P1", "V1", "recorded relationship"]["detail"]
    drawn = ElementTree.fromstring(net.svg())
    space = "{http://www.w3.org/2000/svg}"
    assert drawn.find(f"{space}title") is not None
    assert net.summary() in (drawn.find(f"{space}desc").text or "")
    ties = [path for path in drawn.findall(f"{space}path") if (path.get("class") or "").startswith("tie ")]
    assert len(ties) == len(net.edges())
    assert "style=" not in net.svg(), "the content policy forbids inline styles"


def test_a_crowd_is_cut_to_the_most_connected_and_counted(
    small_home_maker: Callable[..., Path], small_extract_tables: dict[str, pl.DataFrame]
) -> None:
    many = [f"X{n:02d}" for n in range(MOST + 6)]
    people = pl.concat([small_extract_tables["person"], pl.DataFrame({"person_id": many})], how="diagonal")
    kin = pl.DataFrame(
        {"person_id_a": ["P1"] * len(many), "person_id_b": many, "kind": ["other_family"] * len(many)}
    )
    kin = kin.with_columns(started_on=pl.lit("2020-01-01T00:00:00Z"))
    home = Home(small_home_maker("crowd", person=people, relationship=kin))
    net = network(View(home.require(), T), "P1")
    assert net.graph.number_of_nodes() == MOST + 1
    assert net.left_out == len(many) + 2 - MOST
    assert {"V1"} <= set(net.graph), "the most connected stay"


def test_only_suspects_have_a_page_and_all_refusals_read_alike(view: View) -> None:
    require_open(view, "P1")
    said = set()
    for who in ("V1", "P8", "P9", "nobody"):
        with pytest.raises(NotFoundError) as refused:
            require_open(view, who)
        said.add((refused.value.what.replace(who, "X"), refused.value.cure))
    assert len(said) == 1

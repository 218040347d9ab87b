"""Finding the right person however the name is typed, telling two apart, and following what is added."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from features.append import append
from features.errors import InputError
from features.home import Home, Load
from features.linkage import store
from features.nominals import PAIRS
from risk.search import Found, Search
from risk.search_text import Birth, read
from risk.search_words import Vocabulary
from risk.view import View

T = datetime.now(UTC) + timedelta(hours=1)
OTHERS = [
    # person_id, given, family, born, address
    ("M1", "Michael Archie", "Taylor", "1985-10-09", "A1"),
    ("M2", "Michael Archie", "Taylor", "1962-03-04", "A2"),
    ("M3", "Peter Michael", "Taylor", "1985-05-25", "A2"),
    ("M4", "Michelle", "Tailor", "1985-01-01", "A2"),
    ("S1", "Siân", "O'Brien-Smyth", "1990-08-04", "A3"),
    ("S2", "Wojciech", "Mac Donald", None, "A1"),
    ("S3", "Smith", "John", "1971-01-02", "A2"),
    ("X1", 'Robert"); DROP TABLE person;--', "<b>Tables</b>", "1980-01-01", "A2"),
]
ALIASES = [("S2", "Voytek", "Malinowski", None)]


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The hand-made force with some more people in it."""
    from tests.conftest import make_home, small_tables

    tables = small_tables()
    more = pl.DataFrame(
        OTHERS,
        schema=["person_id", "given_names", "family_name", "date_of_birth", "address_id"],
        orient="row",
    )
    alias = pl.DataFrame(
        ALIASES, schema=["person_id", "given_names", "family_name", "date_of_birth"], orient="row"
    )
    part = [{"event_id": "E03", "person_id": one[0], "role": "suspect", "victim_id": "V1"} for one in OTHERS]
    tables["person"] = pl.concat([tables["person"], more], how="diagonal_relaxed")
    tables["alias"] = pl.concat([tables["alias"], alias], how="diagonal_relaxed")
    tables["involvement"] = pl.concat([tables["involvement"], pl.DataFrame(part)], how="diagonal_relaxed")
    names = ("person", "alias", "involvement")
    return Home(
        make_home(tmp_path_factory.mktemp("crowd"), model=False, **{name: tables[name] for name in names})
    )


@pytest.fixture(scope="module")
def search(crowd: Home) -> Search:
    return Search(crowd.require(), T)


def found(search: Search, text: str = "", **typed: str) -> list[str]:
    return [hit.person_id for hit in search.find(read(text, **typed), everyone=True).hits]


@pytest.mark.parametrize(
    ("text", "person"),
    [
        ("Siân O'Brien-Smyth", "S1"),
        ("sian obrien smyth", "S1"),
        ("SIAN O’BRIEN SMYTH", "S1"),
        ("Sian Smythe", "S1"),
        ("Smyth, Sian", "S1"),
        ("Smyth Sian", "S1"),
        ("S O'Brien", "S1"),
        ("Sian OBri", "S1"),
        ("Shan O'Brein", "S1"),
        ("Wojciech MacDonald", "S2"),
        ("wojciech mcdonald", "S2"),
        ("Voytek Malinowski", "S2"),
        ("Malinovsky", "S2"),
        ("Adm Quillmark", "P1"),
        ("Adam Markquill", "P1"),
        ("Quillmrak", "P1"),
        ("Kwillmark", "P1"),
        ("Qui", "P1"),
        ("Dan Dunstile", "P4"),
        ("Benny Brackfold", "P2"),
        ("Benjamin Brackfold", "P2"),
        ("P1", "P1"),
        ("p 1", "P1"),
    ],
)
def test_the_right_person_comes_first_however_the_name_is_typed(
    search: Search, text: str, person: str
) -> None:
    assert found(search, text)[:1] == [person]


def test_a_record_with_its_names_turned_round_is_found_either_way(search: Search) -> None:
    assert found(search, "John Smith")[0] == "S3"
    assert found(search, "Smith John")[0] == "S3"


def test_two_persons_with_one_name_stay_apart_and_are_told_apart_by_year_or_place(search: Search) -> None:
    both = search.find(read("Mick Taylor"), everyone=True).hits
    assert {hit.person_id for hit in both[:2]} == {"M1", "M2"}
    assert [hit.namesakes for hit in both[:2]] == [1, 1]
    assert found(search, "Mick Taylor 1962")[0] == "M2"
    assert found(search, "Mick Taylor", born="9/10/1985")[0] == "M1"
    assert found(search, "Mick Taylor", district="D2")[0] == "M2"
    assert found(search, "Mick Taylor", address="1 High Row")[0] == "M1"


def test_a_middle_name_counts_for_less_than_a_first(search: Search) -> None:
    assert found(search, "Michael Taylor 1985")[:2] == ["M1", "M3"]


def test_how_somebody_fits_is_said(search: Search) -> None:
    hit = search.find(read("Mick Tayler", "1985", "D1"), everyone=True).hits[0]
    assert hit.person_id == "M1"
    said = "; ".join(hit.agrees)
    assert "“mick”: a short form or another spelling" in said
    assert "“tayler”: sounds alike" in said
    assert "the year of birth" in said
    assert "the district" in said
    alias = search.find(read("Voytek Malinowski"), everyone=True).hits[0]
    assert alias.name == "Wojciech Mac Donald"
    assert "also known as Voytek Malinowski" in alias.agrees
    assert alias.known_as == ("Voytek Malinowski",)


def test_day_and_month_turned_round_and_a_year_off_still_find_the_person(search: Search) -> None:
    for born in ("4/8/1990", "8/4/1990", "4 August 1990", "1990-08-04", "4/8/1991"):
        assert found(search, "Sian Smyth", born=born)[0] == "S1", born
    assert found(search, born="4 August 1990") == ["S1"]


def test_an_address_finds_who_lives_there_and_who_was_in_an_event_there(search: Search) -> None:
    assert found(search, "1 High Row")[:3] == found(search, address="1 high row")[:3]
    assert set(found(search, address="1 High Row")) == {"P1", "M1", "S2"}
    assert found(search, address="11 High Row") == []
    assert {"V3", "P7"} <= set(found(search, address="4 Chappel Hill"))


@pytest.mark.parametrize("text", ["Zzyzx", "Adam Brackfold", "99 Nowhere Street", "ZZ99 9ZZ", "REF-E99"])
def test_nobody_is_made_up(search: Search, text: str) -> None:
    answer = search.find(read(text), everyone=True)
    assert answer.hits == ()
    assert answer.referred == ()


def test_signs_and_markup_in_a_name_are_only_letters_to_look_for(search: Search) -> None:
    assert found(search, "Robert Tables")[0] == "X1"
    assert found(search, "<b>Robert</b>'); DROP TABLE person;--") in ([], ["X1"])


@pytest.mark.parametrize(
    ("text", "born", "birth", "words"),
    [
        ("Adam Quillmark 1985", "", Birth(1985), ("adam", "quillmark")),
        ("Adam Quillmark 3/2/1985", "", Birth(1985, date(1985, 2, 3)), ("adam", "quillmark")),
        ("3rd February 1985 Quillmark", "", Birth(1985, date(1985, 2, 3)), ("quillmark",)),
        ("Quillmark", "1985-02-03", Birth(1985, date(1985, 2, 3)), ("quillmark",)),
        ("Quillmark", "", None, ("quillmark",)),
    ],
)
def test_dates_are_read_as_they_are_written_here(
    text: str, born: str, birth: Birth | None, words: tuple[str, ...]
) -> None:
    asked = read(text, born)
    assert asked.birth == birth
    assert asked.words == words


@pytest.mark.parametrize(
    "typed", [("",), ("", "1985"), ("", "", "D1"), ("", "", "", "  "), ("Adam", "30/2/1985")]
)
def test_what_would_answer_with_a_crowd_or_cannot_be_read_is_refused_with_a_cure(
    typed: Sequence[str],
) -> None:
    with pytest.raises(InputError) as fault:
        read(*typed)
    assert fault.value.cure


def test_what_is_near_a_word_matches_letter_by_letter_comparison() -> None:
    """The quick way to words that are nearly so finds every word that comparing all of them finds."""
    from rapidfuzz.distance import OSA

    words = ["quillmark", "quilmark", "quillmakr", "uqillmark", "quillmarks", "brackfold", "kwillmark", "quill",
             "aquillmark", "quillmrka", "adam", "adma", "edam", "dam", "adams", "ada"]  # fmt: skip
    vocabulary = Vocabulary(words)
    for word in [*words, "quillmaark", "admm"]:
        most = 2 if len(word) >= 7 else 1
        near = {vocabulary.words[code] for code in vocabulary.near(word).kinds}
        assert {other for other in words if OSA.distance(word, other) <= most} <= near


# -- following -----------------------------------------------------------------------------------------------


def follow(search: Search, load: Load) -> bool:
    """Take in what was added."""
    load.refresh()
    return search.follow(load, T, lambda persons: View(load, T))


def as_anew(search: Search, load: Load) -> None:
    """Whatever is asked, the index that followed answers like one made now."""
    anew = Search(load, T)
    asked = ["Quillmark", "Adam Newname", "Taylor", "Nora Newcombe", "P1", "REF-E04", "REF-N1", "1 High Row",
             "9 Hidden Close", "Brackfold", "Lee Lambourne", "Newcombe 1990", "Josselyn"]  # fmt: skip
    for text in asked:
        one, other = (each.find(read(text), everyone=True) for each in (search, anew))
        assert _shown(one) == _shown(other), text


def _shown(answer: Found) -> tuple[Any, Any]:
    referred = [(one.reference, one.at, {hit.person_id for hit in one.persons}) for one in answer.referred]
    return sorted(answer.hits, key=lambda hit: (hit.cost, hit.person_id)), referred


@pytest.fixture
def running(small_home_maker: Any) -> tuple[Home, Load, Search]:
    home = Home(small_home_maker(model=False))
    load = home.require()
    load.ready()
    return home, load, Search(load, T)


def test_a_call_of_a_minute_ago_and_who_is_in_it_are_found(running: tuple[Home, Load, Search]) -> None:
    home, load, search = running
    now = "2025-05-31T20:00:00Z"
    event = {"event_id": "N1", "reference": "REF-N1", "kind": "crime", "occurred_at": now, "domestic": "Y"}
    part = {"event_id": "N1", "victim_id": "V2", "role": "suspect"}
    append(
        home,
        {
            "person": [
                {
                    "person_id": "N9",
                    "family_name": "Newcombe",
                    "given_names": "Nora",
                    "date_of_birth": "1990-01-01",
                }
            ],
            "event": [event | {"recorded_at": now, "source": "victim"}],
            "involvement": [part | {"person_id": "N9"}, part | {"person_id": "V3"}],
        },
    )
    assert found(search, "Nora Newcombe") == []
    assert follow(search, load)
    assert not follow(search, load)
    assert found(search, "Nora Newcomb")[0] == "N9"
    referred = search.find(read("ref n1"), everyone=True).referred
    assert [{hit.person_id for hit in one.persons} for one in referred] == [{"N9", "V3"}]
    hit = search.find(read("Lee Lambourne"), everyone=False).hits[0]
    assert hit.suspect
    assert hit.last == date(2025, 5, 31)
    as_anew(search, load)


def test_a_corrected_name_is_found_and_the_old_one_is_not(running: tuple[Home, Load, Search]) -> None:
    home, load, search = running
    append(
        home,
        {
            "person": [
                {"person_id": "P1", "family_name": "Newname", "given_names": "Adam", "date_of_birth": "1985-02-03",
                 "recorded_at": "2025-05-31T00:00:00Z"}
            ]
        },
    )  # fmt: skip
    follow(search, load)
    assert found(search, "Adam Newname") == ["P1"]
    assert found(search, "Adam Quillmark") == []
    as_anew(search, load)


def test_whoever_is_restricted_by_law_or_taken_to_named_users_is_gone_at_once(
    running: tuple[Home, Load, Search],
) -> None:
    home, load, search = running
    row = {"given_names": "Ben", "family_name": "Brackfold", "recorded_at": "2025-05-31T00:00:00Z"}
    append(home, {"person": [row | {"person_id": "P2", "no_processing": True}]})
    follow(search, load)
    assert found(search, "Brackfold") == []
    closed = {"given_names": "Adam", "family_name": "Quillmark", "recorded_at": "2025-05-31T00:00:00Z"}
    append(home, {"person": [closed | {"person_id": "P1", "access": "named_users"}]})
    follow(search, load)
    assert found(search, "Quillmark") == []
    assert found(search, "1 High Row") == []
    opened = search.find(read("Quillmark"), everyone=True, opened=frozenset({"P1"}))
    assert [hit.person_id for hit in opened.hits] == ["P1"]
    as_anew(search, load)


def test_a_withdrawn_event_is_no_longer_found(running: tuple[Home, Load, Search]) -> None:
    home, load, search = running
    assert search.find(read("REF-E04"), everyone=True).referred
    row = {"event_id": "E04", "reference": "REF-E04", "kind": "crime", "occurred_at": "2025-04-15T19:30:00Z"}
    append(
        home, {"event": [row | {"domestic": "Y", "withdrawn": True, "recorded_at": "2025-05-31T00:00:00Z"}]}
    )
    follow(search, load)
    assert not search.find(read("REF-E04"), everyone=True).referred
    as_anew(search, load)


def test_records_that_are_one_person_are_one_answer_until_a_reviewer_parts_them(
    running: tuple[Home, Load, Search],
) -> None:
    home, load, search = running
    pair = pl.DataFrame([("P1", "P3", 0.97, T - timedelta(days=900))], schema=PAIRS, orient="row")
    first = load.records().table("person").group_by("person_id").agg(pl.col("known_from").min())
    frames = {"pairs": pair, "apart": pl.DataFrame(), "persons": first, "shown": pair}
    store.write_run(home.path, load.load_id, frames, {"run_id": "k-1", "threshold": 0.9})
    assert follow(search, load)
    hit = search.find(read("Cal Carrowby"), everyone=True).hits[0]
    assert (hit.person_id, hit.records) == ("P1", 2)
    assert "Adam Quillmark" in hit.known_as
    assert found(search, "Adam Carrowby") == []
    as_anew(search, load)
    store.decide(home.path, ("P1", "P3"), same=False, by="a reviewer", reason="two people")
    assert follow(search, load)
    assert found(search, "Cal Carrowby") == ["P3"]
    assert found(search, "Adam Markquill") == ["P1"]
    as_anew(search, load)


def test_an_index_follows_a_load_that_takes_anothers_place(crowd: Home, small_home: Path) -> None:
    search = Search(crowd.require(), T)
    other = Home(small_home).require()
    assert found(search, "Mick Taylor")
    assert follow(search, other)
    assert found(search, "Mick Taylor") == []
    assert found(search, "Quillmark") == ["P1"]


def test_a_child_found_only_beside_somebody_for_named_users_is_not_found_before_she_is_opened(
    small_home_maker: Any,
) -> None:
    from tests.conftest import small_tables

    tables = small_tables()
    child = pl.DataFrame([{"person_id": "K1", "given_names": "Mo", "family_name": "Josselyn"}])
    cousin = pl.DataFrame([{"person_id": "K2", "given_names": "Mo", "family_name": "Josselin"}])
    tables["person"] = pl.concat([tables["person"], child, cousin], how="diagonal_relaxed")
    part = [
        {"event_id": "E03", "person_id": "K1", "role": "child"},
        {"event_id": "E03", "person_id": "K2", "role": "witness"},
        {"event_id": "E11", "person_id": "K2", "role": "witness"},
    ]
    tables["involvement"] = pl.concat([tables["involvement"], pl.DataFrame(part)], how="diagonal_relaxed")
    home = Home(small_home_maker(model=False, person=tables["person"], involvement=tables["involvement"]))
    load = home.require()
    load.ready()
    search = Search(load, T)
    assert "K1" in found(search, "Mo Josselyn")
    person = load.records() and View(load, T).identity("person").filter(pl.col("person_id") == "V1")
    row = {
        name: str(person[name][0])
        for name in ("person_id", "given_names", "family_name", "date_of_birth")
        if name in person.columns and person[name][0] is not None
    }
    append(home, {"person": [row | {"access": "named_users", "recorded_at": "2025-06-10T10:00:00Z"}]})
    assert follow(search, load)
    assert "V1" not in found(search, "Jo Josselyn")
    assert "K1" not in found(search, "Mo Josselyn"), "her child leads to her"
    assert "K1" not in found(search, "K1"), "nor by reference"
    assert "K2" in found(search, "Mo Josselin"), "who is also in events of others is found"
    opened = search.find(read("Mo Josselyn"), everyone=True, opened=frozenset({"V1"}))
    assert "K1" in [hit.person_id for hit in opened.hits]
    as_anew(search, load)

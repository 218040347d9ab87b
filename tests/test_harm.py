"""Harm weights: the order of identifiers, the lowest of several, never a median, and what is serious."""

from __future__ import annotations

import csv
import os
import time
import tomllib
from pathlib import Path

import polars as pl
import pytest

from features.errors import InputError
from features.harm import SERIOUS, TABLE, coverage, family, load_scheme, normalise_code, price, serious_keys

ROOT = Path(__file__).parent.parent
SHEET = (
    Path(os.environ.get("DOORSTEP_DATA", ROOT.parent / "shared" / "data")) / "harm" / "cchi_2020_offences.csv"
)
needs_sheet = pytest.mark.skipif(
    not SHEET.exists(), reason="the official Cambridge sheet is not on this machine"
)

SHEET_COLUMNS = (
    "athena_urn", "full_offence_title", "cchi_days", "classification_code", "home_office_classification", "cjs_codes"
)  # fmt: skip


def priced(**columns: list[object]) -> pl.DataFrame:
    schema = dict.fromkeys(columns, pl.String)
    if "attempt" in columns:
        schema["attempt"] = pl.Boolean
    return price(pl.DataFrame(columns, schema=schema), load_scheme())


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("008/06", "008/06"), ("8/6", "008/06"), ("00806", "008/06"), (" 8n ", "8N"), ("08N", "8N"), ("105A", "105A"),
        ("4.1", "4.1"), ("4/1", "004/01"), ("", None), (None, None), ("1/4.1/4.10/4.2", "1/4.1/4.10/4.2"), ("x9", "X9"),
    ],
)  # fmt: skip
def test_codes_are_compared_in_one_form(raw: str | None, code: str | None) -> None:
    assert normalise_code(raw) == code


def test_a_code_and_its_class_are_of_one_family() -> None:
    assert {family("008/06"), family("8N"), family("8Q")} == {"8"}
    assert family("US-F1") is None
    assert family(None) is None


def test_the_first_identifier_that_matches_decides() -> None:
    frame = priced(
        athena_urn=["8N.8.1.1", None, None, None, "not a urn"],
        cjs_code=["CJ88001", "OF61131", None, None, "CJ88001"],
        ho_code=["105/01", "105/01", "008/01", "8N", "005/01"],
        description=["Common assault", "Common assault", "Malicious wounding, minor wound", None, None],
    )
    assert frame["harm_basis"].to_list() == ["athena_urn", "cjs_code", "ho_code", "class", "cjs_code"]
    assert frame["harm_cd"].to_list() == [54750, 1900, 1900, 1000, 100]


def test_the_lowest_of_several_weights_that_share_a_code_is_taken_and_counted() -> None:
    frame = priced(ho_code=["008/01", "008/01"], description=[None, "GBH, serious wound"])
    assert frame["harm_cd"].to_list() == [1900, 54750]
    assert frame["harm_shared"].to_list() == [True, False]
    assert frame["serious"].to_list() == [True, True]


def test_a_bare_class_takes_its_commonest_offence() -> None:
    frame = priced(ho_code=["8N", "105A", "19C", "58A"])
    assert frame["harm_cd"].to_list() == [1000, 100, 182500, 100]
    assert not frame["harm_assumed"].any()


def test_an_unmatched_code_takes_the_lowest_of_its_number_never_a_median_and_is_never_serious() -> None:
    frame = priced(ho_code=["008/99", "5Z", "019/99", "36X"])
    rows = tomllib.loads(TABLE.read_text(encoding="utf-8"))["offence"]
    for number, cd in zip(("8", "5", "19", "36"), frame["harm_cd"], strict=True):
        of = [r["days"] for r in rows if number in {family(r["class"]), *map(family, r["codes"])}]
        assert cd == round(min(of) * 100)
    assert frame["harm_assumed"].all()
    assert not frame["serious"].any()
    assert frame["harm_cd"][0] < 36500, "the median of violence with injury must not come back"


def test_nothing_known_is_no_days_and_flagged() -> None:
    frame = priced(ho_code=[None, "ZZ"])
    assert frame["harm_cd"].to_list() == [0, 0]
    assert frame["harm_assumed"].all()


@pytest.mark.parametrize(
    ("code", "description", "serious"),
    [
        ("001/01", None, True), ("2", None, True), ("4.1", None, True), ("5D", None, True), ("008/01", None, True),
        ("5E", "Non-fatal strangulation", True), ("005/25", "Intentional suffocation", True), ("5E", None, False),
        ("19C", None, True), ("020/03", None, True), ("20A", None, False), ("36", None, True), ("056/01", None, True),
        ("56B", None, False), ("8Q", None, False), ("8Q", "Stalking involving fear of violence", True),
        ("008/66", None, True), ("195/12", None, False), ("8U", None, True), ("008/67", None, True), ("3B", None, True),
        ("8N", None, False), ("008/06", None, False), ("34B", None, False), ("005/10", None, False),
    ],
)  # fmt: skip
def test_serious_harm_follows_what_the_offence_is_not_its_days(
    code: str, description: str | None, serious: bool
) -> None:
    assert priced(ho_code=[code], description=[description])["serious"].item() is serious


def test_an_attempt_is_the_full_offence_unless_the_table_prices_it() -> None:
    frame = priced(ho_code=["001/01", "001/01", "008/06"], attempt=[True, False, True])
    assert frame["harm_cd"].to_list() == [328500, 547500, 1000]
    assert frame["serious"].to_list() == [True, True, False]


def test_rows_keep_their_order_and_columns_and_can_be_priced_twice() -> None:
    frame = pl.DataFrame({"offence_id": ["b", "a", "c"], "ho_code": ["8N", "ZZ", "105/01"]})
    once = price(frame, load_scheme())
    assert once.columns[:2] == ["offence_id", "ho_code"]
    assert once["offence_id"].to_list() == ["b", "a", "c"]
    assert price(once, load_scheme()).equals(once)
    assert price(frame.clear(), load_scheme()).schema == once.schema
    with pytest.raises(InputError, match="ho_code"):
        price(frame.drop("ho_code"), load_scheme())


def test_a_million_offences_are_priced_in_seconds() -> None:
    codes = ["008/06", "105/01", "8N", "ZZ", "008/01", "5E"]
    frame = pl.DataFrame(
        {
            "ho_code": codes * 166_667,
            "description": ["ABH", None, "x", None, "GBH", "strangulation"] * 166_667,
        }
    )
    began = time.perf_counter()
    price(frame, load_scheme())
    assert time.perf_counter() - began < 10


def test_check_can_list_what_was_assumed_and_shared() -> None:
    found = coverage(priced(ho_code=["008/99", "008/99", "8N", "008/01"]))
    assert found.select("ho_code", "offences", "harm_assumed").rows() == [
        ("008/99", 2, True),
        ("008/01", 1, False),
    ]


def test_every_row_of_the_table_is_reached_by_its_own_code_and_title() -> None:
    scheme = load_scheme()
    for weight in scheme.weights:
        code = weight.codes[0].replace("*", "99") if weight.codes else weight.klass
        found = scheme.find(None, None, code, weight.title)
        assert (found.harm_cd, found.serious) == (weight.days_cd, weight.serious), weight.key


def test_the_data_files_agree_with_each_other() -> None:
    rows = tomllib.loads(TABLE.read_text(encoding="utf-8"))["offence"]
    keys = [row["key"] for row in rows]
    assert len(keys) == len(set(keys))
    assert serious_keys() <= set(keys)
    commonest = [row["class"] for row in rows if row.get("commonest")]
    assert sorted(commonest) == sorted({row["class"] for row in rows}), (
        "each class needs one commonest offence"
    )
    assert {row["confidence"] for row in rows} == {"published", "near", "own"}
    assert all(row["source"] for row in rows)
    by_class: dict[str, set[bool]] = {}
    for row in rows:
        by_class.setdefault(row["class"], set()).add(row["key"] in serious_keys())
    for group in tomllib.loads(SERIOUS.read_text(encoding="utf-8"))["group"]:
        for klass in group["classes"]:
            known_mixed = {"36"}  # forced marriage is recorded with kidnap, and is told apart by its code
            assert by_class.get(klass, {True}) == {True} or klass in known_mixed, klass


def test_provenance_names_edition_and_digest() -> None:
    about = load_scheme().provenance()
    assert about["scheme"] == "cchi"
    assert "2020" in about["edition"]
    assert about["serious"] == "serious.v1"
    assert len(about["sha256"]) == 64
    assert load_scheme("css").provenance()["sha256"] != about["sha256"]


def test_the_ons_scheme_prices_what_is_known_and_keeps_what_is_serious() -> None:
    frame = pl.DataFrame({"ho_code": ["001/01", "46", "5D", "8N"]})
    got = price(frame, load_scheme("css"))
    assert got["harm_cd"].to_list()[:2] == [797900, 1300]
    assert got["harm_assumed"].to_list() == [False, False, True, True]
    assert (
        got["serious"].to_list()
        == price(frame, load_scheme())["serious"].to_list()
        == [True, False, True, False]
    )


def write_sheet(path: Path, rows: list[tuple[str, ...]], columns: tuple[str, ...] = SHEET_COLUMNS) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    return path


def test_a_sheet_prices_what_it_holds_and_our_table_the_rest(tmp_path: Path) -> None:
    sheet = write_sheet(
        tmp_path / "sheet.csv",
        [
            ("8N.8.6.0", "Assault occasioning actual bodily harm", "12", "8N", "008/06", "OF61102"),
            ("8S.8.6.0", "Assault police, actual bodily harm", "180", "8S", "008/06", ""),
            ("126.126.0.0", "Interfering with a motor vehicle", "3", "126", "126/00", ""),
            ("5D.5.1.0", "Wounding with intent", "1500", "5D", "005/01", "OF61016"),
        ],
    )
    scheme = load_scheme("cchi", sheet)
    frame = price(pl.DataFrame({"ho_code": ["008/06", "8N", "126", "005/01", "005/25", "008/31"],
                                "description": [None, None, None, None, "strangulation", None]}), scheme)  # fmt: skip
    assert frame["harm_cd"].to_list() == [1200, 1200, 300, 150000, 36500, 500]
    assert frame["harm_shared"].to_list() == [True, False, False, False, False, False]
    assert frame["serious"].to_list() == [False, False, False, True, True, False]
    assert frame["harm_assumed"].to_list() == [False, False, True, False, False, False]
    assert scheme.sha256 != load_scheme().sha256
    assert "sheet.csv" in scheme.edition


def test_a_faulty_sheet_says_where(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_scheme("cchi", tmp_path / "absent.csv")
    short = write_sheet(tmp_path / "short.csv", [("1", "Murder")], ("athena_urn", "full_offence_title"))
    with pytest.raises(InputError, match="cchi_days"):
        load_scheme("cchi", short)
    wrong = write_sheet(tmp_path / "wrong.csv", [("8N.8.6.0", "ABH", "ten", "8N", "008/06", "")])
    with pytest.raises(InputError, match="line 2"):
        load_scheme("cchi", wrong)
    with pytest.raises(InputError, match="unknown harm scheme"):
        load_scheme("median")


def test_weights_of_a_forces_own_for_the_ons_scheme(tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "css.csv", [("008/06", "200"), ("149/99", "7")], ("ho_code", "weight"))
    got = price(pl.DataFrame({"ho_code": ["8/6", "149/99"]}), load_scheme("css", sheet))
    assert got["harm_cd"].to_list() == [20000, 700]
    assert not got["harm_assumed"].any()


@needs_sheet
def test_published_values_are_the_sheets_own() -> None:
    with SHEET.open(encoding="utf-8-sig", newline="") as file:
        days = {row["athena_urn"]: float(row["cchi_days"]) for row in csv.DictReader(file)}
    rows = tomllib.loads(TABLE.read_text(encoding="utf-8"))["offence"]
    checked = 0
    for row in rows:
        for urn in row.get("urns", ()):
            assert days[urn] == row["days"], (row["key"], urn)
            checked += 1
        assert row["confidence"] != "published" or row.get("urns"), row["key"]
    assert checked > 80


@needs_sheet
def test_the_official_sheet_loads_and_agrees_with_our_table_on_domestic_abuse() -> None:
    sheet, own = load_scheme("cchi", SHEET), load_scheme()
    for weight in own.weights:
        if weight.urns:
            assert sheet.find(weight.urns[0], None, None, None).serious == weight.serious, weight.key
    frame = pl.DataFrame({"ho_code": ["008/06", "105/01", "8N", "19C", "005/01", "008/67", "8Q", "056/01"]})
    with_sheet, without = price(frame, sheet), price(frame, own)
    assert with_sheet["harm_cd"].equals(without["harm_cd"])
    assert with_sheet["serious"].equals(without["serious"])


def test_the_page_on_harm_is_that_of_the_data() -> None:
    from features.harm_page import PAGE, render

    assert PAGE.read_text(encoding="utf-8") == render(), "run python -m features.harm_page"

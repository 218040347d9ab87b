"""The Broward converter on a made-up folder of the same shape, and on the real files where they are at hand."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.convert import convert
from features.convert.broward import text_code
from features.errors import InputError
from features.harm import load_scheme, price
from models import broward as study
from models import metrics
from models.broward_page import render

REAL = study.default_data()
needs_data = pytest.mark.skipif(
    not (REAL / "person.parquet").exists(),
    reason="the Broward files are not on this machine (set DOORSTEP_DATA)",
)


def folder(at: Path) -> Path:
    """Four invented persons with every kind of row the converter must handle."""
    at.mkdir()
    pl.DataFrame(
        {"person_id": [1, 2, 3, 4], "sex": ["Male", "Female", "Male", "?"],
         "birth_year_month": ["1980-05", "1990-12", "1975-01", "1988-02"]}
    ).write_parquet(at / "person.parquet")  # fmt: skip
    pl.DataFrame(
        [
            (10, 1, date(2013, 2, 1), "F3", "Felony Battery (Dom Strang)", "explicit"),
            (11, 1, date(2013, 9, 1), "M1", "Battery", "possible"),
            (12, 1, date(2013, 9, 1), "M1", "Battery", "possible"),
            (13, 2, date(2013, 3, 1), "M1", "Viol Injunct Domestic Violence", "explicit"),
            (14, 3, date(2013, 4, 1), "F3", "Possession of Cocaine", "no"),
            (15, 4, date(2013, 5, 1), "XX", None, None),
        ],
        schema=["charge_id", "person_id", "event_date", "charge_degree", "charge_desc", "dv_class"],
        orient="row",
    ).write_parquet(at / "charge.parquet")
    pl.DataFrame(
        [
            (20, 1, date(2013, 2, 1), "F3"), (21, 1, date(2013, 2, 1), "F3"), (22, 1, date(2013, 2, 1), "M2"),
            (23, 3, date(2010, 1, 1), "F7"),
        ],
        schema=["arrest_charge_id", "person_id", "arrest_date", "degree_class"], orient="row",
    ).write_parquet(at / "arrest_relinked.parquet")  # fmt: skip
    pl.DataFrame(
        [(1, date(2013, 2, 1), date(2013, 2, 9), False), (1, date(2013, 2, 1), date(2013, 2, 2), False),
         (2, date(2013, 3, 1), date(2020, 1, 1), True)],
        schema=["person_id", "in_date", "out_date", "open_or_unknown_end"], orient="row",
    ).write_parquet(at / "jail_spell.parquet")  # fmt: skip
    pl.DataFrame(
        [(3, date(2001, 1, 1), date(2003, 1, 1), False)],
        schema=["person_id", "in_date", "out_date", "open_or_unknown_end"], orient="row",
    ).write_parquet(at / "prison_spell.parquet")  # fmt: skip
    return at


def table(out: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(out / f"{name}.parquet")


def test_every_offence_is_there_once_told_as_well_as_the_files_can(tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = convert("broward", folder(tmp_path / "in"), out)
    offence = table(out, "offence").sort("offence_id")
    assert offence.select("offence_id", "ho_code").rows() == [
        ("A-21", "US-F3"), ("A-22", "US-M2"), ("A-23", "US-F1"), ("C-10", "US-STRANGULATION"), ("C-11", "US-BATTERY"),
        ("C-13", "US-VIOLATED-INJUNCTION"), ("C-14", "US-F3"), ("C-15", "US-NONE"),
    ]  # fmt: skip
    assert summary["notes"]["charges listed twice, counted once"] == 1
    assert summary["notes"]["arrest rows replaced by the charge that tells what they were"] == 1
    assert summary["rows"] == {
        "person": 4, "event": 6, "offence": 8, "involvement": 6, "custody": 2, "spell": 3, "breach": 1
    }  # fmt: skip


def test_only_explicit_text_makes_an_event_domestic_and_untold_parts_make_it_unknown(tmp_path: Path) -> None:
    convert("broward", folder(tmp_path / "in"), tmp_path / "out")
    event = table(tmp_path / "out", "event")
    assert dict(event.select("event_id", "domestic").rows()) == {
        "E-1-20130201": "Y", "E-1-20130901": "U", "E-2-20130301": "Y", "E-3-20100101": "U", "E-3-20130401": "N",
        "E-4-20130501": "U",
    }  # fmt: skip
    assert event["kind"].unique().to_list() == ["crime"]


def test_stays_are_spells_with_open_ends_left_open(tmp_path: Path) -> None:
    convert("broward", folder(tmp_path / "in"), tmp_path / "out")
    assert sorted(table(tmp_path / "out", "spell").rows()) == [
        ("1", "remand", "2013-02-01", "2013-02-09"),
        ("2", "remand", "2013-03-01", None),
        ("3", "prison", "2001-01-01", "2003-01-01"),
    ]


def test_nothing_is_made_up(tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert("broward", folder(tmp_path / "in"), out)
    assert {p.stem for p in out.glob("*.parquet")} == {
        "person", "event", "offence", "involvement", "custody", "spell", "breach"
    }  # fmt: skip
    assert table(out, "person")["sex"].to_list() == ["M", "F", "M", "U"]
    assert "victim_id" not in table(out, "involvement").columns
    assert "family_name" not in table(out, "person").columns
    about = json.loads((out / "extract.json").read_text(encoding="utf-8"))
    assert about["nature"] == "public"
    assert str(tmp_path) not in json.dumps(about)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Felony Battery (Dom Strang)", "US-STRANGULATION"), ("Kidnapping / Domestic Violence", "US-KIDNAPPING"),
        ("Attempt Murder in the First Degree", "US-ATTEMPTED-MURDER"), ("Murder in the First Degree", "US-MURDER"),
        ("Felony Batt(Great Bodily Harm)", "US-GREAT-BODILY-HARM"), ("Battery", "US-BATTERY"),
        ("Aggrav Stalking After Injunctn", "US-AGGRAVATED-STALKING"), ("Robbery / No Weapon", "US-ROBBERY"),
        ("Sexual Battery / Vict 12 Yrs +", "US-SEXUAL-BATTERY"), ("Battery Spouse Or Girlfriend", "US-BATTERY"),
        ("Restraining Order Dating Viol", "US-VIOLATED-INJUNCTION"), ("Possession of Cocaine", None), (None, None),
    ],
)  # fmt: skip
def test_text_says_what_a_charge_was(text: str | None, code: str | None) -> None:
    assert text_code(text) == code


def test_every_code_has_a_weight_and_all_are_marked_assumed() -> None:
    from features.convert.broward import NO_DEGREE, mapping

    codes = {*mapping()["degree"].values(), *(rule["code"] for rule in mapping()["text"]), NO_DEGREE}
    frame = price(pl.DataFrame({"ho_code": sorted(codes)}), load_scheme())
    assert frame["harm_basis"].unique().to_list() == ["class"], (
        "an unknown code would fall through to 'nothing known'"
    )
    assert frame["harm_assumed"].all()
    by_degree = frame.filter(pl.col("ho_code").is_in(sorted(mapping()["degree"].values())))
    assert not by_degree["serious"].any(), "a degree alone never says that harm was serious"
    assert frame.filter(pl.col("ho_code") == "US-STRANGULATION")["serious"].item()


def test_missing_files_and_columns_say_which_and_what_to_do(tmp_path: Path) -> None:
    source = folder(tmp_path / "in")
    with pytest.raises(InputError, match="no converter"):
        convert("elsewhere", source, tmp_path / "out")
    with pytest.raises(InputError, match=r"jail_spell|person"):
        convert("broward", tmp_path / "nowhere", tmp_path / "out")
    table(source, "charge").drop("dv_class").write_parquet(source / "charge.parquet")
    with pytest.raises(InputError, match="dv_class"):
        convert("broward", source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        convert("broward", folder(tmp_path / "again"), tmp_path / "file")


def test_the_study_says_plainly_when_the_data_are_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert study.main(["--data", str(tmp_path), "--out", str(tmp_path / "page.md")]) == 2
    assert "DOORSTEP_DATA" in capsys.readouterr().err
    assert not (tmp_path / "page.md").exists()
    monkeypatch.setenv("DOORSTEP_DATA", str(tmp_path))
    assert study.default_data() == tmp_path / "broward"


def test_the_page_prints_what_the_study_found() -> None:
    score = {
        "name": "Some score", "auc": (0.7, 0.65, 0.75), "gain": (0.02, -0.01, 0.05), "brier": (0.2, 0.19, 0.21),
        "slope": (1.0, 0.9, 1.1), "intercept": (0.0, -0.1, 0.1), "top": (0.2, 0.15, 0.25),
    }  # fmt: skip
    part = {"n": 1000, "any": 300, "violent": 120}
    page = render(
        {
            "people": 2000, "left_out": {"no outcome": 3}, "columns": 9, "features_out": 4, "dates": 7, "history": 5,
            "parts": {"January to June": part, "July to September": part},
            "outcomes": {"any": [score, {**score, "name": "COMPAS"}], "violent": [score, {**score, "name": "COMPAS"}]},
            "all_any": (0.6, 0.5, 0.7), "all_violent": (0.6, 0.5, 0.7),
            "dv": {"index": 11, "new": 5, "both": 1, "auc": (0.5, 0.4, 0.6)},
            "artefact": {"n": 6, "any": 1, "auc": (0.8, 0.7, 0.9)},
        }
    )  # fmt: skip
    for text in (
        "300 (30.0 %)",
        "0.700 (0.650 to 0.750)",
        "+0.020 (-0.010 to +0.050)",
        "3 no outcome",
        "no embargo",
    ):
        assert text in page


@needs_data
def test_the_real_files_convert_and_load(tmp_path: Path) -> None:
    from features.cohort import cohort
    from features.extract import check
    from features.home import Home
    from features.ingest import ingest

    summary = convert("broward", REAL, tmp_path / "extract")
    assert summary["rows"]["person"] == 4692
    assert summary["rows"]["spell"] == 9023 + 2288 - 3
    report = check(tmp_path / "extract")
    assert report.exit_code == 0
    home = Home(tmp_path / "home")
    ingest(tmp_path / "extract", home)
    load = home.require()
    assert load.nature == "public"
    records = load.records()
    assert records.table("offence").height == summary["rows"]["offence"]
    assert cohort(records, study.datetime(2013, 10, 1, tzinfo=study.UTC)).height > 80


@needs_data
def test_screened_persons_are_counted_as_the_files_hold_them() -> None:
    people, left_out = study.screened(REAL)
    assert people.height + sum(left_out.values()) == 4692
    assert left_out["no case found for the person (is_recid -1)"] == 279
    assert people["explicit_dv"].sum() == 50
    unmatched = study.screened(REAL, unmatched=True)[0].join(people, on="person_id", how="anti")
    assert unmatched["any"].mean() < 0.01, "these have no outcome because no case was matched to them"


@needs_data
def test_no_history_sees_past_the_screening() -> None:
    people = study.screened(REAL)[0].filter(pl.col("screened_on") < date(2013, 1, 8))
    records = study.ingested(REAL)
    rows, _, _ = study.rows_as_screened(records, people)
    cut = {
        name: frame.filter(pl.col(own) < pl.datetime(2013, 1, 8, time_zone="UTC"))
        if (own := {"event": "occurred_at", "custody": "arrested_at", "spell": "started_on"}.get(name)) else frame
        for name, frame in records.tables.items()
    }  # fmt: skip
    assert cut["event"].height < records.table("event").height
    again, _, _ = study.rows_as_screened(study.Records("cut", cut, records.missing), people)
    assert rows.equals(again)


def test_the_model_finds_what_is_there_and_is_calibrated_on_persons_held_out() -> None:
    draw = np.random.default_rng(3)
    before, after = (
        pl.DataFrame(
            {"person_id": [f"{part}{i}" for i in range(n)], "suspect_events_ever": draw.poisson(3.0, n)}
        )
        for part, n in (("a", 2000), ("b", 1000))
    )
    before, after = (
        f.with_columns(any=pl.Series(draw.random(f.height) < 0.08 * f["suspect_events_ever"].to_numpy()))
        for f in (before, after)
    )
    model = study.train(before, "any", {"suspect_events_ever": "count"})
    p, y = model.probability(after), after["any"].to_numpy().astype(float)
    assert metrics.Board(p, np.ones(len(y))).auc(y)[0] > 0.65
    assert abs(p.mean() - y.mean()) < 0.05
    assert 0.7 < metrics.calibration(p, y, np.ones(len(y)))["slope"] < 1.4


@pytest.mark.slow
@needs_data
def test_the_whole_study_stays_where_real_data_puts_it(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    assert study.main(["--data", str(REAL), "--out", str(page)]) == 0
    found = {
        line.split("|")[1].strip(): float(line.split("|")[2].split()[0])
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith(("| Histories", "| The same", "| COMPAS"))
    }
    assert set(found) >= {"COMPAS recidivism decile", "COMPAS violence decile", "Histories as of screening"}
    assert all(0.60 < auc < 0.75 for auc in found.values()), f"above this a history sees the outcome: {found}"
    assert str(tmp_path) not in page.read_text(encoding="utf-8")

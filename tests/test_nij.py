"""The challenge's rules counted by hand, its rows read as published, and the families on rows that nobody is behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from benchmarks import broward, nij, nij_data, nij_page
from benchmarks.nij_data import brier, encode, facts, fair_and_accurate, numbers
from benchmarks.nij_made_up import made_up
from features.errors import InputError
from models import broward as study
from models import families

REAL = nij_data.default_data() / "nij_train.parquet"
needs_data = pytest.mark.skipif(
    not REAL.is_file(), reason="the NIJ rows are not on this machine (set DOORSTEP_DATA)"
)


def test_the_error_is_that_of_women_and_of_men_averaged() -> None:
    p, y = np.array([0.5, 0.0, 0.0, 0.0]), np.array([1.0, 0.0, 0.0, 1.0])
    female = np.array([True, False, False, False])
    assert brier(p, y, female) == pytest.approx((0.25 + 1 / 3) / 2)
    assert brier(y, y, female) == 0.0


def test_fair_and_accurate_counts_false_positives_of_black_and_white_apart() -> None:
    p = np.array([0.6, 0.1, 0.1, 0.1, 0.6, 0.6, 0.1, 0.1])
    y = np.zeros(8)
    female = np.array([True] * 4 + [False] * 4)
    black = np.array([True, True, False, False] * 2)
    errors = [(0.36 + 3 * 0.01) / 4, (2 * 0.36 + 2 * 0.01) / 4]
    rates = [0.5, 1.0]  # one of two Black women, both Black men, no white person
    wanted = np.mean([(1 - e) * (1 - r) for e, r in zip(errors, rates, strict=True)])
    assert fair_and_accurate(p, y, female, black) == pytest.approx(wanted)
    cut = np.minimum(p, 0.499)
    assert fair_and_accurate(cut, y, female, black) == pytest.approx(1 - brier(cut, y, female)), (
        "below a half nobody is counted: the rule can be gamed, as the page says"
    )


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        (["23-27", "48 or older"], [23.0, 48.0]),
        (["0", "10 or more", None, ""], [0.0, 10.0, None, None]),
        (["Less than 1 year", "1-2 years", "More than 3 years"], [0.0, 1.0, 3.0]),
        (["TRUE", "false", "Yes", "NA"], [1.0, 0.0, 1.0, None]),
        (["Standard", "High", "Specialized"], [0.0, 1.0, 2.0]),
    ],
)
def test_texts_of_the_challenge_become_numbers(texts: list[str], wanted: list[float]) -> None:
    assert numbers(pl.Series("x", texts), "here").to_list() == wanted


def test_a_word_without_a_number_is_told_with_its_column() -> None:
    with pytest.raises(InputError, match=r"Dependents holds 'many'.*here"):
        numbers(pl.Series("Dependents", ["1", "many"]), "here")


def test_rows_read_the_same_from_csv_and_parquet(tmp_path: Path) -> None:
    frame = made_up(200, 3)
    frame.write_parquet(tmp_path / "rows.parquet")
    frame.write_csv(tmp_path / "rows.csv")
    one, two = (encode(nij_data.read(tmp_path / n)) for n in ("rows.parquet", "rows.csv"))
    assert one.digest == two.digest
    assert (one.female == (frame["Gender"] == "F").to_numpy()).all()


def test_a_year_is_judged_among_those_not_arrested_before() -> None:
    frame = made_up(300, 4)
    rows = encode(frame)
    first, second = (frame[facts()["outcomes"][k]].to_numpy() for k in ("1", "2"))
    assert rows.at_risk[1].all()
    assert (rows.at_risk[3] == ~(first | second)).all()


def test_honest_columns_hold_nothing_of_the_supervision_and_no_model_sees_race_or_place() -> None:
    rows = encode(made_up(100, 5))
    honest, allowed = set(rows.shapes(False, True)), set(rows.shapes(True, True))
    assert set(facts()["supervision"]) <= allowed - honest
    assert {"days_a_job", "positive_tests", "violations"} <= allowed - honest
    assert not {"Race", "Residence_PUMA", "Gender"} & allowed
    assert nij_data.SEX not in rows.shapes(True, False)
    changed = made_up(100, 5).with_columns(
        pl.lit(0.5).alias("Percent_Days_Employed"), pl.lit(1.0).alias("Jobs_Per_Year")
    )
    assert encode(changed).frame.select(sorted(honest)).equals(rows.frame.select(sorted(honest)))


def member(name: str, **more: Any) -> dict[str, Any]:
    return {**next(m for m in facts()["member"] if m["name"] == name), **more}


@pytest.mark.parametrize("name", ["Elastic-net logistic with splines", "Boosting, all years"])
def test_nobodys_own_outcome_is_in_their_forecast(name: str, tmp_path: Path) -> None:
    rows = encode(made_up(400, 6))
    at = np.flatnonzero(rows.at_risk[2])
    inside, held = nij.folds(rows.outcome[2][at])[0]
    turned = {y: o.copy() for y, o in rows.outcome.items()}
    for y in (2, 3):
        turned[y][at[held]] = 1 - turned[y][at[held]]
    other = nij_data.Rows(**{**rows.__dict__, "outcome": turned})
    few = member(name, settings={"max_iter": 20} if "Boosting" in name else {"penalties": [0.01]})
    first, second = (
        nij.Case(few, 2, False, True, r, r, at[inside], at[held]).predict() for r in (rows, other)
    )
    assert len(first) == len(held)
    assert (first == second).all()
    assert first.std() > 0


def test_without_the_sex_nothing_gives_it_away() -> None:
    rows = encode(made_up(300, 7))
    case = nij.Case(member("EBM"), 1, False, False, rows, rows, np.arange(300), np.arange(300))
    shown = case.frame(rows).select(*rows.shapes(False, False))
    for column in shown.columns:
        null = shown[column].is_null().to_numpy()
        assert not (null == rows.female).all(), column


def quick(monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]) -> None:
    """Only some members, with small settings."""
    small = {"scorecard": {"max_items": 3, "swap_rounds": 0}, "elastic_net": {"penalties": [0.01]},
             "ebm": {"max_rounds": 20, "bags": 2}, "boosted": {"max_iter": 15}}  # fmt: skip
    told = dict(nij_data.facts())
    told["member"] = [{**m, "settings": small[m["family"]]} for m in told["member"] if m["name"] in names]
    told["blend"] = [{"name": "Blend", "of": [names[0], names[-1]]}]
    for module in (nij_data, nij, nij_page):
        monkeypatch.setattr(module, "facts", lambda: told)


def test_a_run_is_taken_up_again_and_judges_a_file_held_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quick(monkeypatch, ("Elastic-net logistic with splines", "EBM", "Boosting"))
    frame = made_up(900, 8)
    frame.head(600).write_parquet(tmp_path / "nij_train.parquet")
    frame.tail(400).write_csv(tmp_path / "test.csv")  # a hundred training rows among them
    call = ["--data", str(tmp_path), "--cache", str(tmp_path / "kept"), "--years", "2", "--test",
            str(tmp_path / "test.csv"), "--out", str(tmp_path / "page.md")]  # fmt: skip
    assert nij.main(call) == 0
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "judged on the test file's rows (100 training rows in it were left out)" in page
    assert "7 fits, 1 from the cache" in capsys.readouterr().err
    assert nij.main(call) == 0
    assert "0 fits, 8 from the cache" in capsys.readouterr().err
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == page
    assert str(tmp_path) not in page


def test_only_code_that_acts_makes_a_kept_forecast_stale(tmp_path: Path) -> None:
    told = []
    for k, text in enumerate(
        [
            'def f():\n    """One."""\n    return 1\n',
            "def f():\n    return 1  # one\n",
            "def f():\n    return 2\n",
        ]
    ):
        (tmp_path / f"{k}.py").write_text(text, encoding="utf-8")
        told.append(nij._bare(tmp_path / f"{k}.py"))
    assert told[0] == told[1] != told[2]


def test_the_page_says_what_was_not_reached() -> None:
    figure = {"brier": 0.2, "fair": 0.7, "auc": 0.6, "slope": 1.0, "less_best": (0.004, 0.001, 0.007)}
    names = [*(m["name"] for m in facts()["member"]), *(b["name"] for b in facts()["blend"])]
    best = {**figure, "brier": 0.15}
    best.pop("less_best")
    found = {"figures": {n: dict(figure) for n in names}, "best_boosting": "Boosting"}
    found["figures"]["Boosting"] = best
    found["figures"]["EBM"]["less_best"] = (0.002, 0.001, 0.003)
    result = {
        "judged_on": "folds", "left_out": 0, "years": {2: {"honest": found}},
        "people": {2: {"n": 100, "women": 10, "arrested": 20, "constant": 0.21}},
        "without_sex": {2: {"told": 0.15, "untold": 0.16, "women_over": [0.0, 0.05]}},
    }  # fmt: skip
    met = {(r["what"].split(" ")[0], r["met"]) for r in nij_page.reached(result)}
    assert met == {("best", False), ("EBM", True), ("Elastic-net", False)}
    page = nij_page.render(result)
    assert page.count("**not reached**") == 2
    assert "on other rows" in page


def test_what_is_missing_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert nij.main(["--data", str(tmp_path)]) == 2
    assert "DOORSTEP_DATA" in capsys.readouterr().err
    made_up(50, 1).drop("Jobs_Per_Year").write_parquet(tmp_path / "nij_train.parquet")
    assert nij.main(["--data", str(tmp_path)]) == 2
    assert "Jobs_Per_Year" in capsys.readouterr().err
    made_up(50, 1).write_parquet(tmp_path / "nij_train.parquet")
    assert nij.main(["--data", str(tmp_path), "--test", str(tmp_path / "nij_train.parquet")]) == 2
    assert "every row of the test file is a training row" in capsys.readouterr().err
    assert broward.main(["--data", str(tmp_path)]) == 2
    assert "Broward" in capsys.readouterr().err


def test_every_family_is_put_beside_compas_on_the_same_persons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "DRAWS", 60)
    rng = np.random.default_rng(9)
    count = rng.poisson(2.0, 500)
    rows = pl.DataFrame(
        {
            "person_id": [f"P{k}" for k in range(500)], "suspect_events_ever": count,
            "any": rng.random(500) < 0.1 + 0.1 * np.minimum(count, 6),
            "violent": rng.random(500) < 0.05 + 0.06 * np.minimum(count, 6),
            "decile_recidivism": rng.integers(1, 11, 500), "decile_violence": rng.integers(1, 11, 500),
        }
    )  # fmt: skip
    shapes = {"suspect_events_ever": "count"}
    figures = broward.judge(rows.head(300), rows.tail(200), shapes)
    page = broward.render({"figures": figures, "learnt": 300, "judged": 200, "held_out": 12})
    for family in families.NAMES:
        assert page.count(families.class_of(family).title) == len(study.OUTCOMES)
    assert "12 persons that are here too were left out" in page
    by_name = {f["name"]: f["auc"][0] for f in figures["any"]}
    assert by_name["Explainable boosting machine"] > by_name["COMPAS recidivism decile"]
    with pytest.raises(InputError, match="same outcome"):
        broward.judge(rows.head(300), rows.filter(~pl.col("any")), shapes)


@needs_data
def test_the_real_rows_are_those_the_challenge_describes() -> None:
    rows = encode(nij_data.read(REAL))
    counts = [int(rows.at_risk[y].sum()) for y in nij_data.YEARS]
    assert counts == [18_028, 12_651, 9_398]
    for year, constant in zip(nij_data.YEARS, facts()["bars"]["constants"], strict=True):
        at = rows.at_risk[year]
        y, f = rows.outcome[year][at], rows.female[at]
        assert brier(nij_data.constant(y, f, f), y, f) == pytest.approx(constant, abs=5e-5)


@pytest.mark.slow
@needs_data
def test_the_plain_logistic_is_within_reach_of_the_winners_without_knowing_the_future() -> None:
    rows = encode(nij_data.read(REAL))
    kept = nij.Kept(None, "")
    p = nij.predictions(member("Elastic-net logistic with splines"), 1, "honest", True, rows, None, kept)
    found = brier(p, rows.outcome[1], rows.female)
    assert 0.168 < found < 0.174, "above: it learns too little; below: it sees what it may not"

"""The interval of a person's own figure: from refits on other people, read without the training libraries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from benchmarks.intervals import coverage
from features.clocks import parse_as_of
from features.home import Home
from models import families, fitting, refits, settings
from models.elasticnet import fit_path
from models.intervals import columns_of, interval, packed, refit_heads, refit_log_odds
from models.logistic import ElasticNet
from models.parts import part
from models.refits import misfit
from models.scorer import Scorer, sigmoid
from models.store import champion
from models.transforms import design, padded
from risk.person import person, score_in_words
from risk.view import View
from risk.words import between

SHAPES = {"n": "count", "days": "recency", "grade": "grade"}
PERSONS, DATES = 1200, 3


def force(seed: int = 1, persons: int = PERSONS) -> pl.DataFrame:
    """Rows of a made-up force: (person, date) with three histories and a serious outcome that two of them decide."""
    rng = np.random.default_rng(seed)
    n = rng.poisson(1.5, persons)
    days = np.where(n > 0, rng.integers(1, 900, persons), 0)
    z = -2.6 + 0.9 * np.log1p(n) - 0.001 * days
    frames = []
    for date in range(DATES):
        y = rng.random(persons) < sigmoid(z)
        frames.append(
            pl.DataFrame(
                {
                    "person_id": [f"P{i:04d}" for i in range(persons)],
                    "date": date,
                    "n": n,
                    "days": pl.Series(days).replace(0, None),
                    "grade": rng.integers(1, 4, persons),
                    "truth": sigmoid(z),
                    "serious": y,
                    "other": ~y & (rng.random(persons) < 0.3),
                    "serious_day": np.where(y, 100.0, np.nan),
                    "winsor_days": np.where(y, 300.0, 0.0),
                    "weight": 1.0,
                }
            )
        )
    return pl.concat(frames).with_columns(pl.col("serious_day").fill_nan(None))


@pytest.fixture(scope="module")
def doc() -> dict[str, Any]:
    """A document with refits, as it stands in a file."""
    rows = force()
    newest = rows.filter(pl.col("date") == DATES - 1)
    fitted = fitting.fit(rows, newest, SHAPES, {"n": 1, "days": -1, "grade": 0})
    notes: list[str] = []
    tail = fitted.heads["serious"]["tail"]
    kept = refits.refits(fitted.models["serious"], rows, newest, notes, seed=1, tail=tail)
    assert notes == []
    made = {"format": "doorstep-model-3", "key": "person_id", "heads": fitted.heads, "harm_parts": fitted.harm_parts,
            "when": fitted.when, "refits": kept}  # fmt: skip
    return dict(json.loads(json.dumps(made)))


def test_the_interval_lies_around_the_figure_and_inside_probabilities(doc: dict[str, Any]) -> None:
    people = force().filter(pl.col("date") == 0)
    found, p = interval(doc, people), Scorer(doc).score(people)["p_serious"]
    assert found is not None
    assert found["person_id"].equals(people["person_id"])
    assert ((found["p_low"] > 0) & (found["p_low"] < p) & (p < found["p_high"]) & (found["p_high"] < 1)).all()


def test_it_holds_the_truth_of_people_with_like_histories(doc: dict[str, Any]) -> None:
    """In a world where the learner can be right, the nominal nine in ten holds the true probability, or more."""
    people = force().filter(pl.col("date") == 0)
    found = interval(doc, people)
    assert found is not None
    inside = (found["p_low"] <= people["truth"]) & (people["truth"] <= found["p_high"])
    assert inside.mean() >= 0.85
    assert (found["p_high"] - found["p_low"]).mean() < 0.25, "not by saying nothing"


def test_more_people_make_it_narrower() -> None:
    widths, few = [], {"family": {"elastic_net": {"refits": 12}}}
    for persons in (250, 1500):
        rows = force(2, persons)
        newest = rows.filter(pl.col("date") == DATES - 1)
        model = families.make("elastic_net", SHAPES, None, 1, {"penalties": [0.002]})
        model.fit(rows, rows["serious"].to_numpy().astype(float), None, rows["person_id"])
        kept = refits.refits(model, rows, newest, [], seed=1, changes=few)
        assert kept is not None
        widths.append(float(np.std(refit_log_odds(kept, force(3)), axis=0).mean()))
    assert widths[1] < 0.75 * widths[0]


def test_one_person_alone_gets_what_they_get_among_others(doc: dict[str, Any]) -> None:
    people = force().filter(pl.col("date") == 0)
    many, one = interval(doc, people), interval(doc, people.slice(17, 1))
    assert many is not None
    assert one is not None
    assert one.row(0)[1:] == pytest.approx(many.row(17)[1:], abs=1e-12)


def test_the_same_seed_gives_the_same_refits_and_another_seed_others() -> None:
    rows = force()
    newest = rows.filter(pl.col("date") == DATES - 1)
    model = families.make("elastic_net", SHAPES, None, 1, {"penalties": [0.002]})
    model.fit(rows, rows["serious"].to_numpy().astype(float), None, rows["person_id"])
    few = {"family": {"elastic_net": {"refits": 6}}}
    one, same, other = (refits.refits(model, rows, newest, [], seed=s, changes=few) for s in (1, 1, 2))
    assert one == same
    assert one != other


def test_a_refit_warm_started_is_the_optimum_of_the_same_problem() -> None:
    rows = force()
    y = rows["serious"].to_numpy().astype(float)
    made = families.make("elastic_net", SHAPES, {"n": 1}, 1, {"penalties": [0.002]})
    assert isinstance(made, ElasticNet)
    model = made.fit(rows, y)
    weights = np.random.default_rng(5).poisson(1.0, PERSONS).astype(float)[np.arange(rows.height) % PERSONS]
    warm = refits._fitter(model, rows, y, settings.load("intervals"), "person_id")(weights)
    kept = weights > 0
    x = design(rows, model.terms_)
    cold = fit_path(x[kept], y[kept], weights[kept], [0.002], 0.5, 1e-8, 50, model.signs_)[0]
    z = part(warm).log_odds(lambda c: padded(rows, c), len(padded(rows, "n")))[: rows.height]
    assert np.abs(z - cold.predict(x)).max() < 0.01


@pytest.mark.parametrize("kind", ["linear", "points"])
def test_heads_that_are_packed_come_out_as_they_went_in(kind: str) -> None:
    term = {"column": "n", "kind": "log1p", "a": 50.0, "b": 0.0, "fill": 0.0, "center": 0.2, "scale": 0.7}
    grade = {**term, "column": "grade", "kind": "step", "a": 2.0}
    heads: list[dict[str, Any]] = [
        {"kind": "linear", "intercept": -1.0, "terms": [{**term, "weight": 0.5}]},
        {"kind": "linear", "intercept": -2.0, "terms": [{**grade, "weight": 0.25}, {**term, "weight": -0.5}]},
    ]
    if kind == "points":
        item = {"column": "n", "at_least": 2, "points": 3}
        heads = [{"kind": "points", "intercept": b, "per_point": 0.3, "items": [item]} for b in (-3.0, -2.5)]
    kept = json.loads(json.dumps(packed(heads)))
    people = force().head(40)
    get = lambda column: padded(people, column)  # noqa: E731
    wanted = np.stack([part(h).log_odds(get, len(get("n")))[:40] for h in heads])
    assert np.allclose(refit_log_odds(kept, people), wanted, atol=1e-9)
    again = np.stack([part(h).log_odds(get, len(get("n")))[:40] for h in refit_heads({"refits": kept})])
    assert np.allclose(again, wanted, atol=1e-9)


def test_columns_only_a_refit_reads_are_asked_for(doc: dict[str, Any]) -> None:
    term = [
        *dict(doc["refits"]["terms"][0:1] and zip(range(7), doc["refits"]["terms"][0], strict=True)).values()
    ]
    extra = {**doc["refits"], "terms": [*doc["refits"]["terms"], ["elsewhere", *term[1:]]]}
    assert "elsewhere" in columns_of({**doc, "refits": extra})
    assert set(columns_of(doc)) <= set(SHAPES)


def test_a_model_without_refits_has_no_interval_and_says_so(doc: dict[str, Any]) -> None:
    bare = {name: value for name, value in doc.items() if name != "refits"}
    assert interval(bare, force().head(3)) is None
    assert columns_of(bare) == []
    notes: list[str] = []
    assert refits.refits(None, force(), force(), notes, seed=1) is None
    boosted = families.make("boosted", SHAPES)
    assert refits.refits(boosted, force(), force(), notes, seed=1) is None
    assert len(notes) == 2
    assert all("no interval" in note for note in notes)


def test_too_few_outcomes_to_draw_from_give_no_interval() -> None:
    """One person with the outcome is left out of every third draw: too few refits hold both outcomes."""
    rows = force(4, 60).with_columns(serious=pl.col("person_id") == "P0001")
    model = families.make("elastic_net", SHAPES, None, 1, {"penalties": [0.1]})
    model.fit(rows, rows["serious"].to_numpy().astype(float), None, rows["person_id"])
    notes: list[str] = []
    changes = {"family": {"elastic_net": {"refits": 6}}, "min_refits": 6}
    assert refits.refits(model, rows, rows, notes, seed=1, changes=changes) is None
    assert "of 6 refits had both outcomes" in notes[0]


def test_misfit_is_nought_where_the_figures_are_right_and_found_where_they_are_not() -> None:
    rng = np.random.default_rng(6)
    z = rng.normal(-2.0, 1.0, 20_000)
    frame = pl.DataFrame(
        {"person_id": np.arange(20_000), "weight": 1.0, "serious": rng.random(20_000) < sigmoid(z)}
    )
    right = misfit(z, frame, 10)
    assert max(right["misfit"]) < 0.15
    wrong = misfit(np.where(z < -2.5, z - 1.0, z), frame, 10)
    assert wrong["z"] == sorted(wrong["z"])
    assert min(wrong["misfit"][:3]) > 0.8, "a whole unit of log-odds too low down there"
    assert wrong["misfit"][-1] < 0.2


def test_a_person_page_and_a_sheet_say_the_interval_beside_the_figure(small_home: Path) -> None:
    """Refits may read histories that the score does not: they are fetched when a page asks."""
    doc = dict(champion(small_home))
    head = doc["heads"]["serious"]
    other = {**head["terms"][0], "column": "violence_events_ever", "weight": 0.4}
    heads = [
        {**head, "intercept": head["intercept"] + d, "terms": [*head["terms"], other]}
        for d in (-0.4, 0.1, 0.3)
    ]
    doc["refits"] = {**packed(heads), "times": 2.9, "misfit": {"z": [-4.0, 0.0], "misfit": [0.1, 0.1]}}
    load, t = Home(small_home).require(), parse_as_of("2025-06-01")
    found = person(View(load, t), doc, "P1")["score"]
    assert found["p_low"] < found["p_serious"] < found["p_high"]
    assert f"{found['in_100']} ({found['between']}) people with histories like this" in found["words"]
    sheet = score_in_words(View(load, t), doc, "P1", None)
    assert sheet["words"] == found["words"]


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.051, 0.089, "between 5 and 9"),
        (0.004, 0.012, "between fewer than 1 and 2"),
        (0.001, 0.006, "fewer than 1"),
        (0.07, 0.07, "between 7 and 7"),
        (0.6, 0.995, "between 60 and nearly 100"),
    ],
)
def test_the_interval_in_words_is_rounded_outward(low: float, high: float, said: str) -> None:
    assert between(low, high) == said


def test_coverage_is_counted_as_printed_exactly_and_by_groups() -> None:
    people = pl.DataFrame(
        {
            "p": [0.002, 0.03, 0.2, 0.2],
            "p_low": [0.001, 0.021, 0.15, 0.15],
            "p_high": [0.004, 0.042, 0.25, 0.25],
            "truth": [0.0, 0.02, 0.1, 0.31],
        }
    )
    rows = {(row["reading"], row["of"]): row for row in coverage(people)}
    printed = rows["as printed", "everyone"]
    assert (printed["n"], printed["covered"], printed["below"], printed["above"]) == (4, 0.5, 0.25, 0.25)
    assert rows["exact", "everyone"]["covered"] == 0.0, "0 is under 0.001, 0.02 under 0.021"
    assert rows["as printed", "1 in 100 or more"]["n"] == 3
    assert rows["groups", "10 groups"]["n"] == 4

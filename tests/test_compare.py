"""What is judged beside what: every figure on hand-made lists whose answers can be counted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from features.errors import InputError
from models import baselines, compare, lists, metrics
from models.compare import Occasion
from models.dataset import Columns, refuse_flagged
from models.evaluate_page import render

START = datetime(2025, 1, 1, 6, tzinfo=UTC)
N = 400


def model() -> dict:
    """Two columns that add up, in two families, with nothing but whole numbers."""
    term = {"kind": "linear", "a": 0.0, "b": 100.0, "fill": 0.0, "center": 0.0, "scale": 1.0}
    head = {
        "kind": "linear",
        "intercept": -4.0,
        "terms": [{**term, "column": "hits", "weight": 1.0}, {**term, "column": "age", "weight": -0.001}],
    }
    described = {"unit": "", "direction": 1, "own": "", "shape": "count"}
    return {
        "format": "doorstep-model-3",
        "key": "person_id",
        "version": "m-hand",
        "kind": "Hand-made",
        "heads": {"serious": head, "other": {**head, "intercept": -1.0}},
        "harm_parts": {"scale": 1.0, "serious_days": 400.0, "other_days": 5.0},
        "when": None,
        "dictionary": [
            {"column": "hits", "feature": "hits", "text": "hits", "family": "history", "sensitive": "", **described},
            {"column": "age", "feature": "age", "text": "age", "family": "person", "sensitive": "age", **described},
        ],
        "training": {"dates": [], "until": "2024-01-01T00:00:00Z"},
    }  # fmt: skip


def frame(seed: int = 1, **columns: object) -> pl.DataFrame:
    """A cohort: more hits, more serious harm; its first serious day is its number."""
    rng = np.random.default_rng(seed)
    hits = rng.integers(0, 6, N)
    serious = rng.random(N) < 1 / (1 + np.exp(4.0 - hits))
    return pl.DataFrame(
        {
            "person_id": [f"P{i:03d}" for i in range(N)],
            "hits": hits,
            "age": rng.integers(18, 70, N),
            "active_365": rng.random(N) < 0.7,
            "serious": serious,
            "winsor_days": np.where(serious, 400.0, 0.0),
            "harm_days": np.where(serious, 500.0, 0.0),
            "serious_day": pl.Series([i % 365 + 1 if s else None for i, s in enumerate(serious)]),
        }
    ).with_columns(**columns)


def at(days: float = 0, seed: int = 1, **more: object) -> Occasion:
    return compare.occasion(model(), frame(seed), START + timedelta(days=days), **more)


def by_hand(t: datetime, place: list[float], days: list[float | None]) -> Occasion:
    """One score ``model`` and a person's first serious day, None for no harm."""
    scores = np.array(place)
    day = np.array([np.nan if d is None else d for d in days])
    serious = (~np.isnan(day)).astype(float)
    people = pl.Series("person_id", [f"P{i}" for i in range(len(place))])
    outcomes = {
        "serious": serious,
        "winsor_days": serious * 10,
        "harm_days": serious * 10,
        "serious_day": day,
    }
    return Occasion(t, people, {"model": (scores, scores)}, {"model": scores}, scores, {}, outcomes)


# --- what stands beside ---------------------------------------------------------------------------------------


def test_another_model_stands_in_every_table_on_the_same_draws() -> None:
    twin = model() | {"version": "m-twin"}
    blind = {**model(), "heads": {h: {**d, "terms": []} for h, d in model()["heads"].items()}}
    others = {"champion": twin, "blind": blind}
    out = compare.tables([at(0, 1, others=others), at(30, 2, others=others)], 0.1, draws=40, seed=3)
    assert out["others"] == ["champion", "blind"]
    pooled = {r["score"]: r for r in out["ranking"] if r["t"] == "pooled" and r["cohort"] == "all"}
    assert pooled["champion"]["auc"] == pooled["model"]["auc"] > 0.75
    assert pooled["blind"]["auc"] == 0.5
    gaps = {(r["rule"], r["figure"]): r for r in out["difference"]}
    same = gaps["champion", "auc"]
    assert same["difference"] == same["low"] == same["high"] == 0.0
    assert gaps["blind", "pr_auc"]["low"] > 0
    assert {r["score"] for r in out["probability_others"]} == {"champion", "blind"}
    mine = [r for r in out["probability"] if r["t"] == "pooled"]
    theirs = [r for r in out["probability_others"] if r["t"] == "pooled" and r["score"] == "champion"]
    assert [{k: v for k, v in r.items() if k != "score"} for r in theirs] == mine
    assert [r["part"] for r in out["harm_others"] if r["score"] == "champion"] == [
        r["part"] for r in out["harm"]
    ]
    assert "champion" in {r["score"] for r in out["capture_curve"]}
    assert "champion" in {r["score"] for r in out["lead_time"]}


def test_a_model_that_cannot_score_here_is_named_and_the_rest_stands() -> None:
    lost = model()
    lost["heads"]["serious"]["terms"][0]["column"] = "vanished_feature"
    out = compare.tables([at(others={"champion": lost})], 0.1, 20, 1)
    assert out["others"] == []
    assert "champion is not among the scores" in out["score_notes"][0]
    assert "vanished_feature" in out["score_notes"][0]


def test_a_rule_from_apart_is_placed_last_where_it_does_not_apply_and_counted() -> None:
    people = frame()
    rule = people.select("person_id", ogrs3=pl.when(pl.col("hits") > 3).then(pl.col("hits") / 10.0))
    o = at(rules=rule)
    place = o.scores["ogrs3"][0]
    bare = people["hits"].to_numpy() <= 3
    assert len(set(place[bare])) == 1
    assert place[bare].max() < place[~bare].min()
    row = next(r for r in compare.tables([o], 0.1, 20, 1)["cohort"] if r["cohort"] == "all")
    assert row["ogrs3_applies_to"] == int((~bare).sum())


def test_persons_unseen_in_training_are_a_cohort_of_their_own() -> None:
    seen = pl.Series([f"P{i:03d}" for i in range(300)])
    o = at(seen=seen)
    assert o.flags["unseen"].sum() == 100
    rows = compare.tables([o], 0.1, 20, 1)["ranking"]
    assert any(r["cohort"] == "unseen" and r["score"] == "model" and r["t"] == "pooled" for r in rows)


def test_no_model_may_take_the_rule_that_reads_sex() -> None:
    assert baselines.apart() == ["ogrs3"]
    with pytest.raises(InputError, match="reads what no score may"):
        refuse_flagged(Columns({"ogrs3": "number"}, {}, {}))


# --- figures ----------------------------------------------------------------------------------------------------


def test_k_of_25_pr_auc_and_missed_harm_are_in_the_ranking() -> None:
    o = by_hand(START, [float(i) for i in range(1000)], [None] * 970 + [5.0] * 30)
    row = next(r for r in compare.tables([o], 0.1, 20, 1)["ranking"] if r["t"] == "pooled")
    assert (row["auc"], row["pr_auc"]) == (1.0, 1.0)
    assert row["ppv_25"] == 1.0
    assert row["capture_25"] == pytest.approx(25 / 30, abs=1e-6)
    assert row["npe_25"] == pytest.approx(5 / 975, abs=1e-6)
    assert row["npe_100"] == 0.0


def test_lead_time_counts_days_from_the_list_to_the_harm() -> None:
    days: list[float | None] = [None] * 200
    days[0], days[1], days[2], days[150] = 3.0, 20.0, 300.0, 1.0
    o = by_hand(START, [200.0 - i for i in range(200)], days)
    row = next(r for r in lists.lead_time([o]) if r["k"] == "100")
    assert row["cases"] == 3.0
    assert row["median_days"] == 20.0
    assert (row["within_7"], row["within_30"]) == pytest.approx((1 / 3, 2 / 3), abs=1e-6)
    assert lists.lead_time([by_hand(START, [1.0, 2.0], [None, None])])[0]["median_days"] is None


def test_stability_tells_weeks_from_months_and_ties_from_order() -> None:
    first = by_hand(START, [float(i) for i in range(1000)], [None] * 1000)
    moved = [float(i) for i in range(1000)]
    for i in range(20):  # twenty of the top hundred fall to the bottom
        moved[999 - i] = -float(i)
    later = by_hand(START + timedelta(days=7), moved, [None] * 1000)
    flat = {"flat": (np.zeros(1000), np.zeros(1000))}
    pair = [replace(o, scores={**o.scores, **flat}) for o in (first, later)]
    rows = {(r["score"], r["k"]): r for r in lists.stability(pair)}
    assert rows["model", "100"]["step"] == "week"
    assert rows["model", "100"]["kept"] == pytest.approx(0.8)
    assert rows["model", "100"]["jaccard"] == pytest.approx(80 / 120, abs=1e-6)
    assert 0 < rows["model", "100"]["rbo"] < 0.8
    assert rows["flat", "100"]["kept"] == pytest.approx(0.1)  # chance, not the order of ids
    assert rows["flat", "100"]["rbo"] is None
    assert lists.stability([first, replace(later, t=START + timedelta(days=31))])[0]["step"] == "month"
    assert lists.stability([first, replace(later, t=START + timedelta(days=90))]) == []


def test_what_the_list_rests_on() -> None:
    rows = {(r["k"], r["family"]): r for r in at().families}
    history, person = rows["100", "history"], rows["100", "person"]
    assert history["leads"] == pytest.approx(1.0)
    assert history["alone"] > 0.6
    assert history["without"] < 0.5
    assert person["without"] > 0.75  # age only breaks ties between those with the same hits
    table = compare.tables([at(0), at(30, 2)], 0.1, 20, 1)["explained_by"]
    top = next(r for r in table if r["k"] == "100")
    assert (top["family"], top["dates"]) == ("history", 2)


def test_points_without_age_keep_what_age_adds_on_average() -> None:
    """An item left out leaves its mean share behind: the model without age expects about as much as with it."""
    people = frame()
    items = [
        {"column": "hits", "at_least": 3.0, "points": 4},
        {"column": "age", "below": 60.0, "points": 2},
        {"column": "age", "missing": True, "points": 1},
    ]
    card = {"kind": "points", "intercept": -4.0, "per_point": 0.5, "items": items}
    doc = model() | {"heads": {"serious": card, "other": {**card, "items": items[:1]}}}
    bare = compare.without(doc, ["age"], people)
    young = float((people["age"] < 60).mean())
    assert bare["heads"]["serious"]["intercept"] == pytest.approx(-4.0 + 0.5 * 2 * young)
    assert bare["heads"]["other"]["intercept"] == -4.0  # age adds nothing there
    assert [i["column"] for i in bare["heads"]["serious"]["items"]] == ["hits"]
    o = compare.occasion(doc, people, START)
    assert o.p["without age"].mean() == pytest.approx(o.p["model"].mean(), rel=0.05)
    assert compare.without(doc, ["age"], people.clear())["heads"]["serious"]["intercept"] == -4.0


def test_a_list_of_trees_is_not_taken_apart() -> None:
    leaf = {
        "feature": [-1],
        "threshold": [0.0],
        "missing_left": [True],
        "left": [0],
        "right": [0],
        "value": [0.1],
    }
    trees = {"kind": "trees", "intercept": -3.0, "columns": ["hits"], "trees": [leaf]}
    doc = model() | {"heads": {"serious": trees, "other": trees}}
    o = compare.occasion(doc, frame(), START)
    assert o.families == []
    assert "without age" not in o.scores


# --- what knows too much ---------------------------------------------------------------------------------------


def test_a_leak_names_the_column_that_alone_knows_too_much() -> None:
    people = frame()
    told = people["serious"].cast(pl.Int64) * 40  # a fact that was entered after the outcome
    leaky = people.with_columns(age=told)
    doc = model()
    doc["heads"]["serious"]["terms"][1]["weight"] = 1.0
    out = compare.tables([compare.occasion(doc, leaky, START)], 0.1, 20, 1, texts={"age": "age in years"})
    assert out["leak_suspect"]
    assert (out["leak"]["feature"], out["leak"]["feature_auc"]) == ("age", 1.0)
    assert "age (age in years) alone gives 1.000" in out["leak"]["text"]
    honest = compare.tables([at()], 0.1, 20, 1)
    assert honest["leak"]["feature"] == "hits"
    assert honest["leak_suspect"] is (honest["leak"]["auc"] > lists.LEAK_AUC)


def test_what_a_column_alone_tells_whichever_way_it_points_and_whatever_null_means() -> None:
    y = np.array([1.0] * 20 + [0.0] * 80)
    table = pl.DataFrame(
        {
            "down": [-float(v) for v in y],
            "gap": [None if v else 3.0 for v in y],
            "flat": [1.0] * 100,
            "half": [float(i % 2) for i in range(100)],
        }
    )
    found = lists.alone_auc(table, ["down", "gap", "flat", "half"], y)
    assert found == {"down": 1.0, "gap": 1.0, "half": 0.5}
    assert lists.alone_auc(table, ["down"], np.zeros(100)) == {}


# --- said ------------------------------------------------------------------------------------------------------


def test_the_page_for_a_terminal_says_all_of_it() -> None:
    twin = model() | {"version": "m-twin"}
    dates = [at(d, s, others={"champion": twin}, seen=pl.Series(["P001"])) for d, s in ((0, 1), (31, 2))]
    weekly = [at(24, 3, others={"champion": twin})]
    tables = compare.tables(dates, 0.1, 30, 1, weekly=weekly)
    facts = {"how": "out of sample", "horizon_days": 365, "delay_days": 90, "notes": ["a note"]}
    facts["beside"] = [{"score": "champion", "model": "m-twin", "kind": "Hand-made", "refit": False}]
    page = render(facts, tables)
    for words in (
        "champion is model m-twin",
        "not in training",
        "PR-AUC",
        "missed at 100",
        "warning, model: half of those",
        "steadiness, champion:",
        "is on it a week later",
        "rests on history",
        "note: a note",
    ):
        assert words in page
    assert "nan" not in page


def test_pooling_one_date_gives_that_date() -> None:
    rows = compare.tables([at()], 0.1, 30, 5)["ranking"]
    one, pooled = (
        next(
            r
            for r in rows
            if (r["t"] == "pooled") is whole and r["score"] == "model" and r["cohort"] == "all"
        )
        for whole in (False, True)
    )
    for name in ("auc", "pr_auc", "capture_25", "npe_1pc", "ppv_250"):
        assert one[name] == pooled[name]
        assert pooled[f"{name}_low"] <= pooled[name] + 0.05
        assert pooled[f"{name}_low"] <= pooled[f"{name}_high"]
    assert metrics.interval(np.array([0.5] * 30)) == (0.5, 0.5)

"""Groups as known at T, every group's figures against fairlearn, what is withheld, and how the list moves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

from models import (
    fairness,
    fairness_book,
    fairness_words,
    metrics,
    moves,
    places,
    ranking,
    withheld,
)
from models.compare import Occasion

T = datetime(2025, 6, 1, 5, tzinfo=UTC)
SHARE = 0.1


def occasion(n: int = 800, seed: int = 0, t: datetime = T, first: int = 0) -> Occasion:
    """A made-up date: list order, probabilities that are right on average, serious harm, harm days."""
    rng = np.random.default_rng(seed)
    p = rng.beta(1.2, 8.0, n)
    serious = (rng.random(n) < p).astype(float)
    harm = np.where(serious > 0, rng.gamma(1.0, 300.0, n), np.where(rng.random(n) < 0.3, 5.0, 0.0))
    order = p * 300 + rng.normal(0, 5, n)
    outcomes = {"serious": serious, "winsor_days": harm, "harm_days": harm}
    ids = pl.Series("person_id", [f"p{first + i:05d}" for i in range(n)])
    return Occasion(t, ids, {"model": (order, p)}, {"model": p}, p * 300.0, {}, outcomes)


def by_number(sizes: dict[str, int]) -> Callable[[datetime], pl.DataFrame]:
    """Groups of one grouping ("sex"), given out in the order of the person ids; the rest has no record."""
    names = [name for name, size in sizes.items() for _ in range(size)]
    frame = pl.DataFrame({"person_id": [f"p{i:05d}" for i in range(len(names))], "sex": names})
    return lambda t: frame


def row_of(rows: list[dict[str, Any]], group: str) -> dict[str, Any]:
    return next(row for row in rows if row["group"] == group)


# --- the figures ---------------------------------------------------------------------------------------------


def test_every_group_figure_is_what_fairlearn_says() -> None:
    from fairlearn.metrics import (
        MetricFrame,
        count,
        false_negative_rate,
        false_positive_rate,
        mean_prediction,
        selection_rate,
    )
    from sklearn.metrics import precision_score

    o = occasion(4000)
    who = by_number({"female": 1500, "male": 2000})
    assert o.outcomes is not None
    y, p = o.outcomes["serious"], o.p["model"]
    listed = places.places_of(o.scores["model"][0], SHARE)
    assert set(np.unique(listed)) == {0.0, 1.0}  # a whole number of places and no ties: a plain yes or no
    sex = np.array(["female"] * 1500 + ["male"] * 2000 + ["not recorded"] * 500)
    theirs = MetricFrame(
        metrics={
            "n": count,
            "listed": selection_rate,
            "ppv": precision_score,
            "fnr": false_negative_rate,
            "fpr": false_positive_rate,
        },
        y_true=y,
        y_pred=listed,
        sensitive_features=sex,
    )
    mean = MetricFrame(metrics=mean_prediction, y_true=y, y_pred=p, sensitive_features=sex)
    free = o.outcomes["harm_days"] == 0
    spared = MetricFrame(
        metrics=mean_prediction, y_true=y[free], y_pred=p[free], sensitive_features=sex[free]
    )
    ours = fairness.tables([o], who, SHARE, draws=30)["fairness"]
    for group in ("female", "male", "not recorded"):
        row, its = row_of(ours, group), theirs.by_group.loc[group]
        assert row["n"] == its["n"]
        assert all(row[name] is not None for name in fairness.FIGURES)
        places_taken = its["listed"] * its["n"]
        assert row["list_share"] == pytest.approx(places_taken / listed.sum(), abs=1e-6)
        assert row["fpr"] == pytest.approx(its["fpr"], abs=1e-6)
        assert row["fnr"] == pytest.approx(its["fnr"], abs=1e-6)
        assert row["fnr_ratio"] == pytest.approx(its["fnr"] / theirs.overall["fnr"], abs=1e-6)
        assert row["ppv"] == pytest.approx(its["ppv"], abs=1e-6)
        assert row["mean_p_no_harm"] == pytest.approx(spared.by_group.loc[group], abs=1e-6)
        expected = mean.by_group.loc[group] * its["n"]
        assert row["serious_observed_over_expected"] == pytest.approx(
            y[sex == group].sum() / expected, abs=1e-6
        )


def test_shares_of_list_and_harm_add_up_and_everyone_is_one() -> None:
    rows = fairness.tables([occasion(1600)], by_number({"female": 600, "male": 800}), SHARE, draws=30)[
        "fairness"
    ]
    whole, parts = rows[0], rows[1:]
    assert (whole["grouping"], whole["list_share"], whole["harm_share"], whole["fnr_ratio"]) == (
        "everyone",
        1,
        1,
        1,
    )
    for name in ("list_share", "harm_share"):
        assert sum(row[name] for row in parts) == pytest.approx(1, abs=1e-5)
    assert parts[-1]["group"] == "not recorded"


def test_the_list_is_as_long_in_every_draw_and_ties_share_what_is_left() -> None:
    order = np.array([5.0, 3.0, 3.0, 3.0, 1.0])
    assert places.places_of(order, 2).tolist() == pytest.approx([1, 1 / 3, 1 / 3, 1 / 3, 0])
    weight = np.random.default_rng(1).poisson(1.0, (5, 50)).astype(float)
    _, taken = places.on_list(order, weight, 0.4)
    assert taken.sum(axis=0) == pytest.approx(0.4 * weight.sum(axis=0))
    board = metrics.Board(order, weight)
    assert taken.sum(axis=0) == pytest.approx(board.top(np.ones(5), 0.4)[1])


def test_calibration_is_the_fit_and_its_draws_are_close_to_refits() -> None:
    o = occasion(3000, 3)
    assert o.outcomes is not None
    y, z = o.outcomes["serious"], metrics.logit(o.p["model"])
    counts = ranking.Bootstrap([o], 12, 1).counts
    slope, intercept = fairness_book.calibration_draws(z, y, np.arange(o.n), counts)
    for draw in range(counts.shape[1]):
        assert slope[draw] == pytest.approx(metrics.fit_slope(z, y, counts[:, draw])[1], abs=0.03)
        assert intercept[draw] == pytest.approx(
            metrics.fit_slope(z, y, counts[:, draw], slope=1.0)[0], abs=0.03
        )
    assert slope[0] == pytest.approx(metrics.calibration(o.p["model"], y, np.ones(o.n))["slope"])


def test_a_person_seen_at_many_dates_is_one_person() -> None:
    once = fairness.tables([occasion()], by_number({"male": 800}), SHARE, draws=60)["fairness"][1]
    again = fairness.tables(
        [occasion(), occasion(t=datetime(2025, 7, 1, 5, tzinfo=UTC))],
        by_number({"male": 800}),
        SHARE,
        draws=60,
    )["fairness"][1]
    assert again["n"] == 2 * once["n"]
    for name in (
        "persons",
        "serious_persons",
        "ppv",
        "fnr",
        "slope",
        "fnr_low",
        "observed_over_expected_low",
    ):
        assert again[name] == pytest.approx(once[name], abs=1e-5), name


def test_a_group_scored_too_high_shows_in_its_expected_harm() -> None:
    o = occasion(4000, 4)
    o.expected[:1500] *= 3.0
    rows = fairness.tables([o], by_number({"female": 1500, "male": 2500}), SHARE, draws=60)["fairness"]
    assert row_of(rows, "female")["observed_over_expected_high"] < 0.8
    male = row_of(rows, "male")
    assert male["observed_over_expected_low"] < 1.25
    assert male["observed_over_expected_high"] > 0.8


def test_the_interval_of_missed_harm_is_exact_where_few_persons_were_found() -> None:
    o = occasion(3000, 2)
    dates = [
        o,
        occasion(3000, 2, datetime(2025, 7, 1, 5, tzinfo=UTC)),
        occasion(3000, 2, datetime(2025, 8, 1, 5, tzinfo=UTC)),
    ]
    assert o.outcomes is not None
    found = o.scores["model"][0][:1000].argsort()[::-1][:60]
    for date in dates:
        assert date.outcomes is not None
        date.outcomes["serious"][found[4:]] = 0.0
        date.outcomes["serious"][found[:4]] = 1.0  # four persons found at three dates each
        date.scores["model"][0][:1000][np.setdiff1d(np.arange(1000), found)] = -1.0
    rows = fairness.tables(dates, by_number({"female": 1000, "male": 2000}), SHARE, draws=60)["fairness"]
    female = row_of(rows, "female")
    persons = female["serious_persons"]
    low, high = fairness_book.clopper_pearson(persons - 4, persons)
    assert female["fnr"] == pytest.approx(1 - 4 / persons, abs=1e-6)
    assert female["fnr_low"] <= low + 1e-6
    assert female["fnr_high"] >= high - 1e-6
    assert fairness_book.clopper_pearson(2, 20) == pytest.approx((0.0123, 0.3170), abs=1e-4)


# --- what is withheld ----------------------------------------------------------------------------------------


def test_fewer_than_ten_persons_have_no_figures_and_cannot_be_worked_out() -> None:
    sizes = {"female": 600, "male": 1200, "recorded as unknown": 192, "another sex recorded": 8}
    rows = fairness.tables([occasion(2000)], by_number(sizes), SHARE, draws=30)["fairness"]
    small, next_one = row_of(rows, "another sex recorded"), row_of(rows, "recorded as unknown")
    assert small["suppressed"] == "fewer than 10 persons"
    assert not small["assessable"]
    assert all(small[name] is None for name in fairness.FIGURES)
    assert all(small[name] is None for name in ("n", "persons", "serious", "listed_persons"))
    # everyone less the other groups would be the small one: the next smallest keeps its counts and shares as well
    for name in ("n", "persons", "list_share", "harm_share"):
        assert next_one[name] is None, name
        assert row_of(rows, "male")[name] is not None, name
    assert next_one["suppressed"] == fairness.FEW
    assert next_one["observed_over_expected"] is not None


def solved(rows: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """Every count of places and person-dates that a reader can work out of the rows of one grouping and everyone."""
    whole, parts = rows[0], rows[1:]
    places = 0.1 * whole["n"]
    found = []
    for row in rows:
        cells = {name: row[name] for name in ("n", "serious") if row[name] is not None}
        if row["list_share"] is not None:
            cells["listed"] = row["list_share"] * places
        if row["fnr"] is not None and "serious" in cells:
            cells["hits"] = (1 - row["fnr"]) * cells["serious"]
        if row["ppv"] is not None and "listed" in cells:
            cells.setdefault("hits", row["ppv"] * cells["listed"])
        if row["fpr"] is not None and {"n", "serious"} <= cells.keys():
            cells["vain"] = row["fpr"] * (cells["n"] - cells["serious"])
        for part, of in (("hits", "listed"), ("hits", "serious"), ("serious", "n"), ("listed", "n")):
            if {part, of} <= cells.keys():
                cells[f"{of} less {part}"] = cells[of] - cells[part]
        found += [(f"{row['group']}: {name}", value) for name, value in cells.items()]
    for name in ("n", "serious", "persons", "serious_persons", "listed_persons", "list_share"):
        scale = places if name == "list_share" else 1.0
        shown = [row[name] for row in parts if row[name] is not None]
        if whole[name] is not None and shown and len(shown) < len(parts):
            found.append((f"the others: {name}", scale * (whole[name] - sum(shown))))
    return found


@pytest.mark.parametrize("seed", range(6))
def test_no_count_below_ten_is_shown_nor_can_be_worked_out(seed: int) -> None:
    sizes = {
        "female": 90 + 40 * seed,
        "male": 1200,
        "another sex recorded": 25,
        "recorded as unknown": 4 + seed,
    }
    rows = fairness.tables([occasion(1500, seed)], by_number(sizes), SHARE, draws=30)["fairness"]
    told = solved(rows)
    assert len(told) > 15
    assert not [(what, value) for what, value in told if value < 10 - 1e-3]
    assert row_of(rows, "male")["persons"] == 1200


def test_rates_that_give_each_other_away_are_withheld_together() -> None:
    """Of 200 serious cases the list found 4: 1 - fnr, ppv and fpr would each say so, and the share of it stays."""
    o = occasion(3000, 2)
    assert o.outcomes is not None
    found = o.scores["model"][0][:1000].argsort()[::-1][:100]
    o.outcomes["serious"][found[4:]] = 0.0
    o.outcomes["serious"][found[:4]] = 1.0
    rows = fairness.tables([o], by_number({"female": 1000, "male": 2000}), SHARE, draws=30)["fairness"]
    female = row_of(rows, "female")
    assert all(female[name] is None for name in ("ppv", "fnr", "fnr_ratio", "fpr", "fnr_low", "ppv_high"))
    assert female["list_share"] is not None
    assert female["assessable"]
    assert female["suppressed"] == fairness.FEW
    assert row_of(rows, "male")["fnr"] is None  # everyone's less the four


def test_those_withheld_are_never_one_group_nor_together_too_few() -> None:
    cells = {"a": (300, 40), "b": (200, 30), "c": (50, 12), "d": (30, 3), "e": (20, 2)}
    assert withheld.closed(cells, 10) == {"c", "d", "e"}  # three and two are five
    assert withheld.closed({**cells, "e": (20, 10)}, 10) == {"d", "e"}
    assert withheld.closed({**cells, "d": (30, 10), "e": (20, 10)}, 10) == frozenset()
    assert withheld.closed({**cells, "d": (30, 10), "e": (20, 10)}, 10, also={"a"}) == {"a", "e"}
    assert withheld.closed({"a": (8, 0)}, 10) == {"a"}


def test_assessable_from_fifty_serious_outcomes_whose_intervals_draw_persons() -> None:
    o = occasion(3000, 5)
    assert o.outcomes is not None
    o.outcomes["serious"][:] = 0.0
    o.outcomes["serious"][:24] = 1.0  # two dates: 48 outcomes among the first thousand, 50 among the second
    o.outcomes["serious"][1000:1025] = 1.0
    o.outcomes["serious"][2000:2009] = 1.0  # nine persons
    dates = [o] + [occasion(3000, 5, datetime(2025, month, 1, 5, tzinfo=UTC)) for month in range(7, 13)]
    for other in dates[1:]:
        other.outcomes = o.outcomes
    groups = by_number({"female": 1000, "male": 1000, "another sex recorded": 1000})
    rows = fairness.tables(dates[:2], groups, SHARE, draws=30)["fairness"]
    assert not row_of(rows, "female")["assessable"]
    assert row_of(rows, "male")["assessable"]  # 25 different persons, 50 outcomes
    assert (row_of(rows, "male")["serious"], row_of(rows, "male")["serious_persons"]) == (50, 25)
    many = fairness.tables(dates, groups, SHARE, draws=30)["fairness"]
    assert row_of(many, "female")["assessable"]
    assert not row_of(many, "another sex recorded")[
        "assessable"
    ]  # 63 outcomes, of nine persons: no figure is shown
    once, often = row_of(rows, "male"), row_of(many, "male")
    widths = [line["base_rate_high"] - line["base_rate_low"] for line in (once, often)]
    assert widths[1] > 0.8 * widths[0]  # the same persons at seven dates tell no more than at two


def test_a_group_without_harm_has_nulls_not_an_error() -> None:
    o = occasion()
    assert o.outcomes is not None
    for name in o.outcomes:
        o.outcomes[name][:200] = 0.0
    rows = fairness.tables([o], by_number({"female": 200, "male": 600}), SHARE, draws=30)["fairness"]
    none = row_of(rows, "female")
    assert none["fnr"] is None
    assert none["slope"] is None
    assert none["list_over_harm"] is None
    assert none["observed_over_expected"] is None  # nought would say that there was none
    assert none["mean_p_no_harm"] > 0


def test_no_date_with_outcomes_gives_empty_tables() -> None:
    o = occasion()
    o.outcomes = None
    made = fairness.tables([o], by_number({"male": 800}), SHARE)
    assert made == {"fairness": [], "fairness_sensitivity": [], "dual_role": []}


# --- had the records been otherwise --------------------------------------------------------------------------


def test_a_group_reported_less_loses_places_that_others_gain() -> None:
    o = occasion(1000, 6)
    order = o.scores["model"][0]
    scene = moves.Scene([order * 0.8, order * 0.9], {moves.WITHOUT: order[::-1].copy(), moves.WITH: order})
    made = fairness.tables(
        [o],
        by_number({"female": 310, "male": 300, "another sex recorded": 4}),
        SHARE,
        30,
        scene=lambda _: scene,
    )["fairness_sensitivity"]
    less = {row["group"]: row for row in made if row["what"] == moves.LESS}
    assert less["female"]["places_then"] < less["female"]["places"]
    assert less["another sex recorded"]["places"] is None
    same = [row for row in made if row["what"] == moves.WITH and row["suppressed"] is None]
    assert len(same) == 3  # everyone, and all but the small group and its neighbour
    assert all(row["places"] == row["places_then"] for row in same)
    assert same[0]["overlap"] == 1
    whole = [row for row in made if row["what"] == moves.WITHOUT and row["group"] == "everyone"]
    assert whole[0]["overlap"] < 0.5


def test_places_of_a_small_group_cannot_be_worked_out_from_any_what_if() -> None:
    """Seven persons, four of them listed: everyone less the others must not say so, on this list or another."""
    o = occasion(2000, 9)
    order = o.scores["model"][0]
    order[-7:-3], order[-3:] = 1e6, -1.0
    late = order.copy()
    late[1200:1480] = -0.5  # a group that only the other list leaves without places
    scene = moves.Scene([order * 0.9], {moves.WITHOUT: late, moves.WITH: order})
    sizes = {"female": 1200, "recorded as unknown": 280, "male": 513, "another sex recorded": 7}
    made = fairness.tables([o], by_number(sizes), SHARE, 30, scene=lambda _: scene)
    rows = [row for row in made["fairness_sensitivity"] if row["what"] != moves.UNSEEN]
    places_of_group: dict[str, list[float | None]] = {}
    for row in rows:
        places_of_group.setdefault(row["group"], []).append(row["places"])
    assert places_of_group["everyone"] == [200, 200]
    assert places_of_group["another sex recorded"] == places_of_group["recorded as unknown"] == [None] * 3
    for what in (moves.WITHOUT, moves.WITH, moves.LESS):
        shown = [r for r in rows if r["what"] == what and r["grouping"] == "sex" and r["places"] is not None]
        assert shown
        for name in ("places", "places_then"):
            assert min(r[name] for r in shown) >= 10
            assert 200 - sum(r[name] for r in shown) >= 10 or what == moves.LESS
    unseen = [r for r in made["fairness_sensitivity"] if r["what"] == moves.UNSEEN]
    assert [r["list_over_harm"] is None for r in unseen] == [
        r["harm_share"] is None or r["list_share"] is None for r in made["fairness"][1:]
    ]  # with what it would be then, it gives both shares


def test_unreported_outcomes_raise_a_groups_share_of_the_harm() -> None:
    o = occasion(1000, 6)
    made = fairness.tables([o], by_number({"female": 400, "male": 600}), SHARE, 30)["fairness_sensitivity"]
    row = next(r for r in made if r["group"] == "female")
    assert row["what"] == moves.UNSEEN
    assert o.outcomes is not None
    harm = o.outcomes["winsor_days"]
    share = harm[:400].sum() / harm.sum()
    then = (harm[:400].sum() * 1.25) / (harm[:400].sum() * 1.25 + harm[400:].sum())
    assert row["list_over_harm_then"] / row["list_over_harm"] == pytest.approx(share / then, abs=1e-4)
    assert row["observed_over_expected_then"] == pytest.approx(1.25 * row["observed_over_expected"], abs=1e-5)


# --- the statement -------------------------------------------------------------------------------------------


def test_the_statement_names_clear_differences_and_clears_nobody_it_cannot_tell() -> None:
    o = occasion(8000, 4)
    o.expected[:600] *= 3.0
    sizes = {"female": 600, "male": 7300, "recorded as unknown": 92, "another sex recorded": 8}
    made = fairness.tables([o], by_number(sizes), SHARE, draws=60)
    sex = " ".join(fairness_words.statement(made)["Sex"])
    assert "Female: the model expects too much harm. Harm recorded" in sex
    assert "Male: the model expects" not in sex
    assert "fewer than 50 serious outcomes: recorded as unknown." in sex
    assert "Too small for any figure to be shown: another sex recorded." in sex
    text = fairness_words.render(made)
    assert "What this cannot show" in text
    assert "low risk" not in text
    assert "None" not in text
    assert "nan" not in text


def test_a_terminal_is_told_what_is_clear() -> None:
    o = occasion(8000, 4)
    o.expected[:600] *= 3.0
    roles = pl.DataFrame(
        {
            "person_id": o.persons[:40],
            "pairs": 1,
            "likely": 1,
            "others": 0,
            "held": [True] * 30 + [False] * 10,
        }
    )
    made = fairness.tables(
        [o], by_number({"female": 600, "male": 7400}), SHARE, draws=60, roles_of=lambda t: roles
    )
    lines = fairness_words.brief(made)
    assert lines[0] == "fairness: 2 of 2 groups have outcomes enough to be assessed"
    assert lines[1].startswith("fairness: Sex: Female: the model expects too much harm.")
    assert (
        lines[-1]
        == "fairness: persons who may be victims recorded as suspects, held for review (2025-06-01): 30"
    )
    assert fairness_words.brief({"fairness": []}) == []


def test_the_statement_says_when_nothing_was_measured() -> None:
    assert list(fairness_words.statement({})) == ["Not measured"]


# --- likely victims recorded as suspects ---------------------------------------------------------------------


def test_dual_roles_are_reported_by_sex_without_small_counts() -> None:
    o = occasion(500, 7)
    ids = o.persons.to_list()
    roles = pl.DataFrame(
        {"person_id": ids[:40], "pairs": 1, "likely": 1, "others": 0, "held": [i < 30 for i in range(40)]}
    )
    rows = fairness.tables([o], by_number({"female": 35, "male": 465}), SHARE, 30, roles_of=lambda t: roles)[
        "dual_role"
    ]
    whole, female, male = rows
    assert (whole["group"], whole["both_roles"], whole["held"]) == ("everyone", 40, 30)
    assert whole["held_share"] == pytest.approx(0.06)
    assert male["both_roles"] is None  # five
    assert female["both_roles"] is None  # else everyone less these would be the five

"""Searches for settings and models at past origins: resumed where they stopped, and never wiser than their date."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from features.clocks import parse_as_of
from features.errors import InputError
from features.home import Home
from models import families, settings
from models.backtest import backtest
from models.recipe import Recipe, tuned
from models.tune import tune

END = datetime(2024, 12, 31, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def searched(
    drawn_force: dict[str, pl.DataFrame],
    home_of: Callable[..., Home],
    tmp_path_factory: pytest.TempPathFactory,
) -> Home:
    """A home of its own, for what searches and backtests write."""
    return home_of(drawn_force, tmp_path_factory.mktemp("searched"))


def test_a_search_is_resumed_and_train_uses_it_no_earlier_than_it_knew(
    searched: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    until = parse_as_of("2024-10-01")
    first = tune(searched, "elastic_net", until, minutes=0.0)
    assert first.trials == 1  # as they stand; the budget allows no other
    assert first.loss == first.loss_before
    fits: list[int] = []
    monkeypatch.setattr("models.tune._loss", lambda *a: fits.append(1) or first.loss - 0.001)
    monkeypatch.setattr("models.tune._draws", lambda *a: iter([{}, {"l1_ratio": 0.9}]))
    second = tune(searched, "elastic_net", until, minutes=10.0)
    assert (second.trials, len(fits)) == (2, 1)  # the first trial was not made again
    changes, known = tuned(searched.path, "elastic_net")
    assert changes == {"l1_ratio": 0.9} == second.changes
    recipe = Recipe("elastic_net", 1, changes, None, known)
    assert recipe.at(until) == recipe
    assert recipe.at(until - timedelta(days=1)).changes is None
    (searched.path / "tuning" / "elastic_net.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        tuned(searched.path, "elastic_net")
    (searched.path / "tuning" / "elastic_net.json").unlink()


def test_a_family_or_setting_that_is_none_is_told_before_any_work(searched: Home) -> None:
    with pytest.raises(InputError, match="no family 'forest'"):
        tune(searched, "forest", END, 1.0)
    with pytest.raises(InputError, match="no setting 'depth'"):
        families.make("elastic_net", {}, settings={"depth": 3})


@pytest.mark.parametrize("family", families.NAMES)
def test_what_a_search_tries_are_settings_the_family_has(family: str) -> None:
    held = settings.load(family)
    for name, values in held["search"].items():
        assert name in held["fit"]
        assert held["fit"][name] not in values
        for value in values:
            families.make(family, {}, settings={name: value})


def test_past_origins_learn_nothing_of_what_they_are_judged_by(
    searched: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = backtest(searched, ["elastic_net"], origins=2, months=2, draws=20)
    assert found.facts["families"] == ["elastic_net"]
    for origin in found.facts["origins"]:
        newest = datetime.fromisoformat(origin["learnt_from"][1])
        assert newest + timedelta(days=365 + 90) <= datetime.fromisoformat(origin["origin"])
        assert origin["judged"][0] == origin["origin"]
    judged = [t for origin in found.facts["origins"] for t in origin["judged"]]
    assert len(set(judged)) == 4
    pooled = [r for r in found.tables["ranking"] if r["t"] == "pooled" and r["cohort"] == "all"]
    assert {"model", "rfgv", "count_365"} <= {r["score"] for r in pooled}
    assert all(r["dates"] == 4 for r in pooled)
    monkeypatch.setattr("models.backtest.fit_until", lambda *a: pytest.fail("it was made already"))
    again = backtest(searched, ["elastic_net"], origins=2, months=2, draws=20)
    assert again.to_dict() == found.to_dict()
    with pytest.raises(InputError, match="too short for 9 origins"):
        backtest(searched, ["elastic_net"], origins=9, months=6)

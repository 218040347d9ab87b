"""What hangs on a choice: other prices, other links, one family fewer; and several models judged at once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from features.clocks import parse_as_of
from features.errors import InputError
from features.harm import load_scheme
from features.home import Home
from models import sensitivity, settings
from models.ranking import PLACES


def test_a_list_keeps_what_another_order_leaves_on_it() -> None:
    place = np.arange(1000.0)
    assert set(sensitivity._kept(place, place).values()) == {1.0}
    assert sensitivity._kept(place, -place)["kept_100"] == 0.0
    assert sensitivity._kept(place, np.zeros(1000))["kept_100"] == pytest.approx(0.1)


def test_captured_counts_every_date_and_its_own_list() -> None:
    one, two = np.array([3.0, 2.0, 1.0]), np.array([1.0, 2.0, 3.0])
    found = sensitivity._captured([one, two], [np.array([4.0, 0.0, 0.0]), np.array([4.0, 0.0, 0.0])])
    assert found["capture_1pc"] == pytest.approx((0.03 * 4 + 0) / 8)
    assert found["capture_100"] == 1.0
    assert sensitivity._captured([one], [np.zeros(3)])["capture_100"] is None


def test_what_is_tried_is_in_the_data_file() -> None:
    tried = settings.load("judging")["sensitivity"]
    for name in tried["harm_schemes"]:
        assert load_scheme(name).scheme == name != load_scheme().scheme
    assert all(0 < threshold <= 1 for threshold in tried["linkage_thresholds"])


@dataclass
class Force:
    home: Home
    first: dict[str, Any]
    second: dict[str, Any]


DATES = [parse_as_of("2024-07-01"), parse_as_of("2024-08-01")]


@pytest.fixture(scope="module")
def force(tmp_path_factory: pytest.TempPathFactory) -> Force:
    """A simulated force, linked, with two models made before the dates that are judged."""
    from features.ingest import ingest
    from features.linkage.run import link
    from features.simulate.run import simulate
    from models import store
    from models.training import Recipe, fit_until

    place: Path = tmp_path_factory.mktemp("judged")
    simulate(place / "force", 1500, 4, 11, oracle=["2024-07-01"])
    home = Home(place / "home")
    ingest(place / "force" / "extract", home)
    link(home)
    load = home.require()
    made = []
    for family in ("elastic_net", "scorecard"):
        doc = fit_until(load.records(), DATES[0], Recipe(family), home.path)
        doc["load"] = {"load_id": load.load_id, "nature": load.nature, "manifest": "tests"}
        made.append(store.save(home.path, doc))
    store.point_champion(home.path, made[1]["version"], "tests", "by hand", "2024-07-01T00:00:00Z")
    return Force(home, *made)


@pytest.mark.slow
def test_two_models_and_every_what_if_on_one_force(force: Force, monkeypatch: pytest.MonkeyPatch) -> None:
    from models.evaluate import evaluate

    monkeypatch.setattr(
        sensitivity, "_families", lambda columns: ["harm", "history"]
    )  # of eleven: a fit each

    found = evaluate(
        force.home,
        DATES,
        force.home.path.parent / "force" / "truth",
        force.first["version"],
        others=("champion",),
        sensitivities=True,
        draws=40,
        track=False,
    )
    tables = found.tables
    assert tables["others"] == ["champion"]
    assert found.facts["beside"][0]["model"] == force.second["version"]
    pooled = {r["score"]: r for r in tables["ranking"] if r["t"] == "pooled" and r["cohort"] == "all"}
    assert {"model", "champion", "ogrs3", "age_priors", "rfgv"} <= set(pooled)
    assert pooled["model"]["auc"] > pooled["ogrs3"]["auc"]
    assert any(r["rule"] == "champion" and r["figure"] == "auc" for r in tables["difference"])
    assert {r["score"] for r in tables["oracle"]} >= {"model", "champion", "ogrs3"}
    assert {"week", "month"} == {r["step"] for r in tables["stability"]}
    assert any(r["cohort"] == "unseen" and r["n"] > 0 for r in tables["cohort"])
    assert next(r for r in tables["rules"] if r["rule"] == "ogrs3")["note"] is None
    assert any("OGRS3 does not apply to" in note for note in found.facts["notes"])

    tried = [r for r in tables["sensitivity"] if "kind" in r]
    families = {r["family"]: r for r in tried if r["kind"] == "family"}
    assert {"history", "harm"} == set(families)
    assert all(r["auc_difference_low"] <= r["auc_difference_high"] for r in families.values())
    assert all(0 <= r["kept_100"] <= 1 for r in families.values())
    assert {r["kind"] for r in tried} == {"family", "harm", "linkage"}
    text = found.render()
    assert "what hangs on a choice" in text
    assert "records never joined" in text


@pytest.mark.slow
def test_the_threshold_in_use_changes_nothing_and_prices_change_only_the_counting(
    force: Force, monkeypatch: pytest.MonkeyPatch
) -> None:
    from features.labels import reporting_delay
    from models.dataset import Source
    from models.judge import Judge

    load = force.home.require()
    records = load.records()
    source = Source(records, force.home.path / "cache" / records.state, reporting_delay(records, DATES[0]))
    judge = Judge(records, force.first, load)
    o = judge.occasion(source.frame_at(DATES[0]), DATES[0])
    own = {"harm_schemes": [], "linkage_thresholds": [records.links.threshold]}
    load_settings = settings.load
    monkeypatch.setattr(
        settings,
        "load",
        lambda name: {"sensitivity": own} if name == "judging" else load_settings(name),
    )
    same, never = sensitivity.joined_otherwise(source, judge, o)
    assert same["persons"] == o.n
    assert {same[f"kept_{k}"] for k, _ in PLACES} == {1.0}
    assert never["persons"] >= same["persons"]
    rows = sensitivity.harm_priced(source, judge, [o], load_scheme())
    mine = next(r for r in rows if r["score"] == "model" and "list made" not in r["what"])
    board = sensitivity._captured([o.scores["model"][0]], [o.outcomes["harm_days"]])
    assert mine["capture_100"] == pytest.approx(board["capture_100"])


@pytest.mark.slow
def test_a_model_cannot_stand_beside_itself(force: Force) -> None:
    from models.evaluate import evaluate

    with pytest.raises(InputError, match="beside itself"):
        evaluate(force.home, DATES, model="champion", others=(force.second["version"],), track=False)

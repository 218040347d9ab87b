"""What-ifs of fairness on a load: events thinned, police rows put back and taken out, and a whole load in one call."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from features.clocks import parse_as_of
from features.home import Home
from models import fairness, groups, moves
from models.compare import Occasion

T = datetime(2025, 6, 1, 5, tzinfo=UTC)


def test_thinning_takes_events_with_all_that_hangs_on_them(small_home: Path) -> None:
    records = Home(small_home).require().records()
    gone = moves.thin(records, T, 1.0, [1])
    for name in ("event", "offence", "involvement", "risk_assessment"):
        assert records.table(name).height > 0
        assert gone.table(name).is_empty(), name
    assert gone.table("bail").is_empty()
    assert gone.table("order").height == records.table("order").height
    some = moves.thin(records, T, 0.5, [1]).table("event")["event_id"].to_list()
    assert 0 < len(some) < records.table("event").height
    assert some == moves.thin(records, T, 0.5, [1]).table("event")["event_id"].to_list()
    assert moves.thin(records, T, 0.0, [1]).table("event").height == records.table("event").height


def test_police_rows_are_put_back_and_taken_out_for_the_question_alone(small_home: Path) -> None:
    from features.apart import open_audit
    from models import settings

    load = Home(small_home).require()
    records = load.records()
    assert "E06" not in records.table("event")["event_id"].to_list()  # found on patrol
    back = moves.with_initiated(records, open_audit(load))
    assert "E06" in back.table("event")["event_id"].to_list()
    assert "E06-1" in back.table("offence")["offence_id"].to_list()
    less = moves.without_action(records, settings.load("fairness")["attention"])
    assert less.table("wanted").is_empty()
    assert less.table("event").height == records.table("event").height
    assert "E06" not in records.table("event")["event_id"].to_list()


def test_a_whole_load_is_compared_in_one_call(small_home: Path) -> None:
    from models import store
    from models.dataset import Source
    from models.scorer import Scorer

    load = Home(small_home).require()
    doc, t = store.champion(small_home), parse_as_of("2025-01-15")
    source = Source(load.records(), delay_days=0)
    frame = source.features_at(t).filter(pl.col("in_scope"))
    scored = Scorer(doc).score(frame)
    expected, p = (scored[name].to_numpy() for name in ("expected_harm", "p_serious"))
    zero = np.zeros(frame.height)
    outcomes = {"serious": zero, "winsor_days": zero, "harm_days": zero}
    o = Occasion(t, frame["person_id"], {"model": (expected, p)}, {"model": p}, expected, {}, outcomes)
    made = fairness.of_load(load, doc, [o], draws=20, share_of_list=2)
    assert made["fairness"][0]["suppressed"] == "fewer than 10 persons"
    assert {row["grouping"] for row in made["fairness"]} == {"everyone", *groups.groupings()}
    assert {row["what"] for row in made["fairness_sensitivity"]} == {
        moves.LESS,
        moves.UNSEEN,
        moves.WITHOUT,
        moves.WITH,
    }
    assert made["dual_role"][0]["persons"] is None  # fewer than ten in the cohort
    scene = moves.scene_of(doc, load.records(), {}, 1)(o)
    assert any(
        (order == moves.NOT_RANKED).any() for order in scene.thinned
    )  # whose only event went is in no cohort
    assert (
        scene.others[moves.WITH] == o.scores["model"][0]
    ).all()  # nothing to put back: the very same scores

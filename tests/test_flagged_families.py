"""No model takes a feature of a family flagged proactive, protected or proxy_risk, whoever asks for it."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from features.catalogue import load_catalogue
from features.errors import InputError
from models import settings, training
from models.dataset import Columns, model_columns, refuse_flagged


def test_a_model_takes_no_feature_of_a_flagged_family() -> None:
    catalogue = load_catalogue()
    columns = model_columns(frozenset(), health=True)
    flagged = [f for f in catalogue.features("offender") if catalogue.refused(f)]
    assert {"other_drug_crimes", "household_now"} <= {f.name for f in flagged}
    for feature in flagged:
        assert "no model may take it" in columns.left_out[feature.name]
        assert not {c.name for c in feature.columns} & set(columns.shapes)


def test_settings_that_ask_for_a_flagged_feature_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    features = settings.load("logistic")["features"]
    monkeypatch.setitem(features, "only", ["domestic_events", "other_drug_crimes"])
    with pytest.raises(InputError, match="other_drug_crimes: family enforcement is flagged proactive"):
        model_columns(frozenset())
    monkeypatch.setitem(features, "only", ["domestic_event"])
    with pytest.raises(InputError, match="no such offender feature"):
        model_columns(frozenset())
    monkeypatch.setitem(features, "only", ["domestic_events"])
    assert {name.rsplit("_", 1)[0] for name in model_columns(frozenset()).shapes} == {"domestic_events"}


def test_columns_chosen_by_hand_are_refused_at_the_fit() -> None:
    columns = model_columns(frozenset())
    by_hand = replace(columns, shapes={**columns.shapes, "household_now": "count"})
    with pytest.raises(InputError, match="household_now"):
        refuse_flagged(by_hand)
    rows = pl.DataFrame({"person_id": ["a"], "serious": [True], "other": [False], "weight": [1.0]})
    with pytest.raises(InputError, match="household_now"):
        training.document(
            rows,
            rows,
            Columns({"household_now": "count"}, {}, {}),
            horizon_days=365,
            recipe=training.Recipe(),
        )

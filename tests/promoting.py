"""Homes and models on which promotions are tried, shared by the tests of promotion."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from features.clocks import parse_as_of
from features.home import Home
from models import promote, store
from models.promote import Signature

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
SIGNED = Signature("A. Approver", "beats RFGV by .04", sign=True)
T = parse_as_of("2025-06-01")


def results(**changes: Any) -> dict[str, Any]:
    """Results tables that pass every gate, some changed."""
    ranking = [
        {"t": "pooled", "cohort": "all", "score": s, "dates": 6, "auc": auc, "capture_1pc": 0.1}
        for s, auc in (("model", 0.76), ("rfgv", 0.72))
    ]
    harm = [{"part": part, "observed_over_expected": 1.0} for part in ("everyone", "top decile", "top 1 %")]
    return {
        "how": "made as at 2024-01-01",
        "cohort": [{"t": "2024-01-01T06:00:00Z", "cohort": "all", "n": 9}],
        "ranking": ranking,
        "difference": [{"rule": "rfgv", "figure": "auc", "difference": 0.04, "low": 0.01, "high": 0.07}],
        "probability": [{"t": "pooled", "cohort": "all", "slope": 1.0}],
        "harm": harm,
        "fairness": [{"grouping": "sex", "group": "missing", "serious_persons": 3, "assessable": False}],
        "leak_suspect": False,
        **changes,
    }


@pytest.fixture
def fitted_again(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The minutes' work (a second fit, the model in use beside it) stands in here; both are tried in earnest in
    test_models_train (``test_next_model_is_a_challenger_until_someone_promotes_it``). Returns what was asked."""
    asked: list[str] = []

    def again(home: Home, doc: dict[str, Any], progress: Any = None) -> tuple[bool, str]:
        asked.append(f"again {doc['version']}")
        return True, "the same to the bit"

    def beside(home: Home, doc: dict[str, Any], results: Any, progress: Any = None) -> dict[str, Any]:
        asked.append(f"beside {doc['version']}")
        return {
            "difference": [
                {"rule": "champion", "figure": "auc", "difference": 0.0, "low": -0.002, "high": 0.01}
            ]
        }

    monkeypatch.setattr(promote, "reproduce", again)
    monkeypatch.setattr(promote, "beside", beside)
    return asked


Maker = Callable[..., Path]


@pytest.fixture
def place(small_home_maker: Maker) -> Path:
    """A home with a load of the hand-made, simulated force and no model."""
    return small_home_maker(model=False)


@pytest.fixture
def trained(small_document: dict[str, Any]) -> Callable[..., str]:
    """Saves a model as training leaves it, sealed results beside it: ``trained(home, seed)`` -> version."""

    def make(home: Path, seed: int = 1, found: dict[str, Any] | None = None, **changes: Any) -> str:
        found = results() if found is None else found
        data = store.canonical_bytes(found)
        doc = {**small_document, "seed": seed, "temporal_test": {"sha256": store.sha256(data)}, **changes}
        made_at = f"2026-02-{seed:02d}T00:00:00+00:00"
        version = str(store.save(home, doc, {"made_at": made_at})["version"])
        store.write_atomic(home / "models" / version / "temporal_test.json", data)
        return version

    return make


def put(home: Path, version: str, signature: Signature = SIGNED, now: datetime = NOW) -> promote.Change:
    return promote.promote(Home(home), version, signature, now=now, track=False)

"""A model document, results tables and a home for tests of the report."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from features.home import Home
from models import compare, fairness, store
from models.compare import Occasion
from models.groups import MISSING
from tests.conftest import small_model

COLUMNS = {
    "domestic_events_90d": ("domestic events in the last 90 days", "history", "count", "events", 1),
    "domestic_events_365d": ("domestic events in the last 365 days", "history", "count", "events", 1),
    "days_since_domestic": ("days since the last domestic event", "history", "recency", "days", -1),
    "harm_days_365d": ("harm of the last 365 days", "harm", "harm", "harm days", 1),
    "last_dash_grade": ("last DASH grade", "assessment", "grade", "", 1),
    "age": ("age", "person", "age", "years", 0),
}


def points_head() -> dict[str, Any]:
    return {
        "kind": "points",
        "intercept": -4.0,
        "per_point": 0.5,
        "items": [
            {"column": "domestic_events_90d", "at_least": 3.0, "points": 4},
            {"column": "days_since_domestic", "below": 30.0, "points": 2},
            {"column": "age", "at_least": 50.0, "points": -1},
            {"column": "last_dash_grade", "missing": True, "points": 1},
        ],
        "tail": {"from": -1.5, "share": 0.5},
    }


def tables_head() -> dict[str, Any]:
    return {
        "kind": "tables",
        "intercept": -3.5,
        "tables": [
            {"columns": ["domestic_events_90d"], "cuts": [[1.0, 3.0]], "scores": [0.0, -0.2, 0.3, 0.9]},
            {"columns": ["age"], "cuts": [[25.0, 50.0]], "scores": [0.1, 0.2, 0.0, -0.4]},
        ],
    }


def trees_head() -> dict[str, Any]:
    tree = {"feature": [0, -1, -1], "threshold": [2.5, 0.0, 0.0], "missing_left": [True, False, False],
            "left": [1, 0, 0], "right": [2, 0, 0], "value": [0.0, -0.1, 0.6]}  # fmt: skip
    return {"kind": "trees", "intercept": -3.0, "columns": ["domestic_events_90d"], "trees": [tree]}


def document(kind: str = "linear", **changes: Any) -> dict[str, Any]:
    """A model document with everything a trained one has."""
    heads = {"points": points_head(), "tables": tables_head(), "trees": trees_head()}
    family = {"linear": "elastic_net", "points": "scorecard", "tables": "ebm", "trees": "boosted"}[kind]
    doc = small_model()
    if kind in heads:
        doc["heads"] = {"serious": heads[kind], "other": heads[kind]}
    size_of = {"linear": "terms", "points": "items", "tables": "tables", "trees": "trees"}[kind]
    for head in doc["heads"].values():
        head["calibration"] = {"slope": 1.02, "intercept": -0.01, "how": "held-out persons, newest date"}
    return doc | {
        "family": family, "kind": family.replace("_", " "), "settings": "training.v2", "rules": "rules.v2",
        "code": "0+abc", "libraries": {"python": "3.11"}, "signs": [], "own_features": [],
        "notes": ["the records stop early"],
        "left_out": {"weapon_carried": "health data: used only when a named person has authorised it"},
        "authorisations": {"health": None},
        "load": {"load_id": "load-0", "nature": "simulated", "manifest": "f" * 64},
        "dictionary": [
            {"column": c, "feature": c, "text": t, "family": f, "shape": s, "unit": u, "direction": d, "own": "",
             "sensitive": "age" if c == "age" else ""}
            for c, (t, f, s, u, d) in COLUMNS.items()
        ],
        "training": {
            "until": "2025-05-01T05:00:00Z", "dates": ["2022-05-01T05:00:00Z", "2024-02-01T06:00:00Z"],
            "delay_days": 90, "rows": 12_000, "persons": 2_000, "events": 400, "persons_with_event": 200,
            "base_rate": 0.0333, "base_rate_newest": 0.03, "sampled": True,
            "size": len(doc["heads"]["serious"][size_of]), "size_of": size_of, "columns": 5,
            "signs_checked": 6, "signs_agree": 6,
        },
    } | changes  # fmt: skip


def occasions(n: int = 900, dates: int = 2) -> list[Occasion]:
    """Dates on which a model knows something and a rule knows a little."""
    rng = np.random.default_rng(5)
    truth = rng.gamma(0.6, 0.09, n).clip(0.001, 0.9)
    persons = pl.Series([f"P{i:04d}" for i in range(n)])
    out = []
    for k in range(dates):
        serious = (rng.random(n) < truth).astype(float)
        days = serious * rng.gamma(1.0, 400.0, n)
        count = rng.poisson(4 * truth).astype(float)
        outcomes = {"serious": serious, "harm_days": days, "winsor_days": np.minimum(days, 3650.0),
                    "serious_day": np.where(serious > 0, rng.integers(1, 365, n), np.nan)}  # fmt: skip
        t = datetime(2024, 3 + k, 1, 6, tzinfo=UTC)
        expected = 400.0 * truth
        scores = {
            "model": (expected, truth),
            "count_365": (count, count),
            "rfgv": (count + truth, count + truth),
        }
        flags = {"active_365": count > 0, "unseen": rng.random(n) < 0.3}
        reach = {"harm_days": 900.0, "harm_unreachable": 0.31, "serious_unreachable": 0.28}
        p = {"model": truth}
        out.append(Occasion(t, persons, scores, p, expected, flags, outcomes, oracle=expected, reach=reach))
    return out


def groups_of(_: datetime) -> pl.DataFrame:
    n = 900
    sex = np.where(np.arange(n) % 3 == 0, "female", np.where(np.arange(n) % 4 == 1, MISSING, "male"))
    frame = {"person_id": [f"P{i:04d}" for i in range(n)], "sex": sex.tolist()}
    return pl.DataFrame(frame | {"district": [f"D{i % 3}" for i in range(n)]})


def roles_of(_: datetime) -> pl.DataFrame:
    ids = [f"P{i:04d}" for i in range(0, 900, 2)]
    held = [k % 2 == 0 for k in range(len(ids))]
    likely = [int(one) for one in held]
    return pl.DataFrame({"person_id": ids, "pairs": 1, "likely": likely, "others": 0, "held": held})


@cache
def measured() -> dict[str, Any]:
    """Results tables of those dates, computed once for all tests."""
    judged = occasions()
    out = compare.tables(judged, 0.05, 20, 1, texts={})
    out |= fairness.tables(judged, groups_of, 0.3, 20, 1, roles_of=roles_of)
    out["how"] = "model made as at 2024-03-01, judged at 2 later dates"
    out["rules"] = [{"rule": "ogrs3", "title": "OGRS3", "note": "not applicable: no convictions"}]
    return json.loads(json.dumps(out, allow_nan=False))


def home_with(tmp_path: Path, doc: dict[str, Any], results: dict[str, Any] | None = None) -> tuple[Home, str]:
    """A home that holds one model and, sealed in it, its temporal test."""
    sealed = doc | {"temporal_test": results and {"sha256": store.sha256(store.canonical_bytes(results))}}
    version = store.save(tmp_path, sealed, {"made_at": "2026-01-02T03:04:05+00:00"})["version"]
    if results:
        store.write_atomic(
            tmp_path / "models" / version / "temporal_test.json", store.canonical_bytes(results)
        )
    return Home(tmp_path), version


def drawn(page: str) -> list[str]:
    """Every drawing of a page, as SVG."""
    return [
        base64.b64decode(d).decode()
        for d in re.findall(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", page)
    ]

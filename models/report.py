"""The report an analyst hands on: one self-contained HTML file, every figure from the run's own tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from features.errors import InputError
from features.home import Home, Load
from models import baselines, own, plots, settings, store
from models.compare import sensitive_columns
from models.dataset import Source
from models.scorer import Scorer
from models.transforms import Term, design

COHORTS = {
    "all": "Everyone in scope",
    "active_365": "With a domestic event in the last 365 days",
    "first_time": "First-time suspects",
}
COLUMNS = (
    ("auc", "AUC"),
    ("capture_100", "harm at 100"),
    ("capture_250", "harm at 250"),
    ("capture_1pc", "harm at 1 %"),
    ("ppv_100", "PPV at 100"),
    ("ppv_250", "PPV at 250"),
    ("ppv_1pc", "PPV at 1 %"),
)
MARKINGS = {
    "simulated": "SIMULATED, NO REAL PERSON",
    "public": "PUBLIC DATA",
    "operational": "OFFICIAL-SENSITIVE",
}


def write_report(
    home: Home, out: Path, run: str | None = None, results: Mapping[str, Any] | None = None
) -> Path:
    """Write the report of a model version to ``out`` (an HTML file) and return its path.

    ``run``: a model version; None = the model in use. ``results``: tables of ``models.evaluate``; None = the temporal
    test made when the model was trained. Raises InputError when there is no such model.
    """
    from jinja2 import Environment

    home_path = Path(home.path)
    doc = store.champion(home_path) if run is None else store.load_model(home_path, run)
    if results is None:
        results = temporal_test_of(home_path, doc["version"])
    text = files("models").joinpath("data", "report.html.j2").read_text(encoding="utf-8")
    template = Environment(autoescape=True, trim_blocks=True).from_string(text)
    page = template.render(**_context(home, doc, results))
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    store.write_atomic(out, page.encode())
    return out


def temporal_test_of(home: Path, version: str) -> dict[str, Any] | None:
    """Results tables saved when the model was trained, or None when there was no temporal test."""
    path = home / "models" / version / "temporal_test.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def _context(home: Home, doc: Mapping[str, Any], results: Mapping[str, Any] | None) -> dict[str, Any]:
    load = _load(home, doc)
    titles = {**plots.TITLES, **{name: rule["title"] for name, rule in baselines.rules().items()}}
    out: dict[str, Any] = {
        "doc": doc,
        "results": results,
        "marking": MARKINGS.get(doc.get("load", {}).get("nature", ""), MARKINGS["operational"]),
        "facts": _facts(doc),
        "notes": list(dict.fromkeys([*doc["notes"], *(results or {}).get("notes", [])])),
        "titles": titles,
        "cohorts": COHORTS,
        "columns": COLUMNS,
        "winsor": settings.load("logistic")["harm"]["winsor_days"],
        "fig": figure,
        "signed": signed,
        "span": span,
        "coefficients": coefficients(doc),
        "left_out": sorted(doc["left_out"].items()),
        "shap_line": shap_check(doc, load),
    }
    if results:
        out |= _tables(results)
    return out


def _tables(results: Mapping[str, Any]) -> dict[str, Any]:
    pooled = [r for r in results["ranking"] if r["t"] == "pooled"]
    gaps: dict[str, dict[str, Any]] = {}
    for row in results["difference"]:
        gaps.setdefault(row["rule"], {})[row["figure"]] = row
    shown = ("auc", "capture_100", "capture_1pc", "ppv_100")
    return {
        "how": results.get("how", ""),
        "pooled_dates": max((r.get("dates", 0) for r in pooled), default=0),
        "ranking": [(c, [r for r in pooled if r["cohort"] == c]) for c in COHORTS],
        "differences": [(rule, [cells[name] for name in shown]) for rule, cells in gaps.items()],
        "reach": [r for r in results["reach"] if "harm_unreachable" in r],
        "capture_plot": plots.inline(plots.capture(results["capture_curve"])),
        "calibration_plot": plots.inline(plots.calibration(results["reliability"])),
    }


def _load(home: Home, doc: Mapping[str, Any]) -> Load | None:
    """The load the model was trained on, when it is still here."""
    try:
        return home.load(doc.get("load", {}).get("load_id", ""))
    except InputError:
        return None


def _own(doc: Mapping[str, Any]) -> str:
    """The own features the model was trained on, with their files and the start of each file's sha256."""
    said = [
        f"{entry['feature']} ({entry['file']}, sha256 {entry['sha256'][:12]})"
        for entry in doc.get("own_features", ())
    ]
    return ", ".join(said) or "none"


def _facts(doc: Mapping[str, Any]) -> list[tuple[str, str]]:
    training, heads = doc["training"], doc["heads"]
    health = doc["authorisations"]["health"]
    recalibrated = "; ".join(
        f"{name}: slope {h['calibration']['slope']:.2f}, intercept {h['calibration']['intercept']:.2f} "
        f"({h['calibration']['how']})"
        for name, h in heads.items()
    )
    return [
        ("Trained until", training["until"]),
        (
            "As-of dates",
            f"{training['dates'][0][:10]} to {training['dates'][-1][:10]}, {len(training['dates'])} dates",
        ),
        ("Reporting delay", f"{training['delay_days']} days (the force's own 95 % lag, at least 90)"),
        (
            "Rows",
            f"{training['rows']} of {training['persons']} persons"
            + (", non-events sampled" if training["sampled"] else ""),
        ),
        (
            "Serious harm",
            f"{training['events']} rows of {training['persons_with_event']} persons; "
            f"base rate {training['base_rate']:.4f}",
        ),
        ("Harm weights", f"{doc['harm']['scheme']}, edition {doc['harm']['edition']}"),
        ("Harm parts, days", ", ".join(f"{k} {v:.2f}" for k, v in doc["harm_parts"].items())),
        ("Recalibration", recalibrated),
        ("Own features", _own(doc)),
        (
            "Health markers",
            f"used; authorised by {health['by']}: {health['reason']}" if health else "not used",
        ),
        ("Age", "used; figures without age beside" if sensitive_columns(doc, "age") else "not used"),
        (
            "Data load",
            f"{doc['load']['load_id']} (manifest sha256 {doc['load']['manifest'][:12]}…)"
            if "load" in doc
            else "none",
        ),
        ("Code", doc["code"]),
        ("Libraries", ", ".join(f"{k} {v}" for k, v in doc["libraries"].items())),
        ("Settings", f"{doc['settings']}, {doc['rules']}, seed {doc['seed']}"),
    ]


def coefficients(doc: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Terms of a linear main head, and those whose data disagree with the declared direction, largest first; empty for
    a head of another kind."""
    head = doc["heads"]["serious"]
    if head["kind"] != "linear":
        return []
    texts = {entry["column"]: entry["text"] for entry in doc["dictionary"]}
    checks = {row["term"]: row for row in doc["signs"]}
    weights = {}
    for raw in head["terms"]:
        term = Term(**{k: v for k, v in raw.items() if k != "weight"})
        weights[term.name] = (term.column, term.kind == "missing", raw["weight"])
    for row in doc["signs"]:
        if not row["agrees"] and row["term"] not in weights:
            weights[row["term"]] = (row["column"], False, 0.0)
    rows = []
    for name, (column, absent, value) in weights.items():
        check = checks.get(name)
        verdict = "none declared"
        if check is not None:
            verdict = "as declared" if check["agrees"] else "data disagree"
        text = ("nothing recorded: " if absent else "") + texts[column]
        free = check["free"] if check else None
        rows.append({"term": name, "text": text, "coef": value, "free": free, "verdict": verdict})
    return sorted(rows, key=lambda r: (-abs(r["coef"]), r["term"]))


def shap_check(doc: Mapping[str, Any], load: Load | None, rows: int = 500) -> str:
    """Compare the contributions shown to officers with shap's LinearExplainer; one sentence with the difference."""
    if doc["heads"]["serious"]["kind"] != "linear":
        return (
            "The contributions of this family are read from its own tables: there is nothing for shap to add."
        )
    if load is None:
        return "The load the model was trained on is not here: contributions were not compared with shap."
    try:
        own.check(doc, load.records().declared)
    except InputError as problem:
        return f"Contributions were not compared with shap: {problem.what}"
    t = datetime.fromisoformat(doc["training"]["dates"][-1])
    source = Source(load.records(), Path(load.path).parent.parent / "cache" / load.records().state)
    frame = source.features_at(t).filter(pl.col("in_scope")).head(rows)
    if not frame.height:
        return "Nobody was in scope at the newest training date: contributions were not compared with shap."
    gap = shap_gap(doc, frame)
    return (
        f"Check by shap's LinearExplainer on {frame.height} persons at {t:%Y-%m-%d}: largest difference between its "
        f"values and our contributions {gap:.1e} (log-odds, before the far end is held back)."
    )


def shap_gap(doc: Mapping[str, Any], frame: pl.DataFrame) -> float:
    """Largest absolute difference, over persons and columns, between shap's linear values (background: the training
    average) and ``Scorer.contributions``."""
    import shap

    scorer = Scorer(doc)
    head = doc["heads"]["serious"]
    terms = [Term(**{k: v for k, v in t.items() if k != "weight"}) for t in head["terms"]]
    x = design(frame, terms)
    background = np.zeros((1, len(terms)))  # terms are centred: zero is the average training row
    weights = np.array([t["weight"] for t in head["terms"]])
    explainer = shap.LinearExplainer((weights, float(head["intercept"])), background)
    values = np.asarray(explainer.shap_values(x)).reshape(x.shape)
    theirs = {c: np.zeros(frame.height) for c in scorer.columns}
    for j, term in enumerate(terms):
        theirs[term.column] = theirs[term.column] + values[:, j]
    ours = scorer.contributions(frame, before_tail=True)
    gaps = [0.0]
    for (column,), part in ours.partition_by("column", as_dict=True, maintain_order=True).items():
        if column in theirs:
            gaps.append(float(np.abs(part["contribution"].to_numpy() - theirs[str(column)]).max()))
    return max(gaps)


def figure(value: float | None, digits: int = 3) -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None else f"{value:,.{digits}f}"


def signed(value: float | None) -> str:
    """A number with its sign."""
    return "–" if value is None else f"{value:+.3f}"


def span(row: Mapping[str, Any], name: str) -> str:
    """The interval of a figure in brackets, or nothing."""
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    return f"[{low:.3f}, {high:.3f}]" if low is not None and high is not None else ""

"""Fit the heads of the model on rows of (person, T): terms, elastic net, calibration on held-out persons, harm parts.

Heads are logistic regressions over the same terms:

- ``serious``   serious harm recorded in the main horizon (the head that is explained, person by person);
- ``other``     another domestic event recorded, among those without serious harm;
- ``severe``    very high harm, among those with serious harm;
- ``serious_<h>d``  serious harm within a further horizon.

No person's own outcome calibrates a prediction made for that person: the recalibration map is fitted on
predictions from models that left the person's whole fold out, at the newest date with complete outcomes, and is then
applied to the final coefficients, fitted on everybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from models import metrics, settings
from models.dataset import person_folds
from models.elasticnet import Fit, fit_path
from models.scorer import sigmoid
from models.transforms import Term, declare, design

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Target:
    """One head: outcome column, and the outcome that must (True) or must not (False) hold for a row to count."""

    name: str
    outcome: str
    given: tuple[str, bool] | None = None


@dataclass
class Fitted:
    """Terms, heads (as they go into the document) and held-out log-odds of the newest date's rows."""

    terms: list[Term]
    heads: dict[str, dict[str, Any]]
    harm_parts: dict[str, float]
    constant: list[str]
    notes: list[str] = field(default_factory=list)
    held_out: dict[str, Array] = field(default_factory=dict)


def targets(columns: list[str]) -> list[Target]:
    """The heads that a frame with these outcome columns can feed, in document order."""
    heads = [
        Target("serious", "serious"),
        Target("other", "other", ("serious", False)),
        Target("severe", "severe", ("serious", True)),
    ]
    further = [c for c in columns if c.startswith("serious_") and c.endswith("d")]
    return heads + [Target(c, c) for c in further]


def fit(
    rows: pl.DataFrame, newest: pl.DataFrame, shapes: Mapping[str, str], key: str = "person_id"
) -> Fitted:
    """Fit every head.

    Parameters
    ----------
    rows: (person, T) rows with the columns of ``shapes``, outcome columns (``serious``, ``other``, ``severe``,
        ``winsor_days``, optional ``serious_<h>d``) and ``weight`` (inverse sampling share).
    newest: the rows of the newest date with complete outcomes, unsampled, same columns without ``weight``.
    shapes: column -> shape (see ``models.transforms``), in the fixed order of the terms.
    """
    terms, constant = declare(rows, shapes)
    work = _Workspace(
        x=design(rows, terms),
        x_new=design(newest, terms),
        weight=rows["weight"].to_numpy().astype(np.float64),
        fold=person_folds(rows[key], int(_config()["person_folds"])),
        fold_new=person_folds(newest[key], int(_config()["person_folds"])),
        persons=rows[key],
    )
    out = Fitted(terms, {}, {}, constant)
    held_rows: dict[str, Array] = {}
    for target in targets(rows.columns):
        head, z_rows, z_new = _fit_head(target, rows, newest, work, out.notes)
        out.heads[target.name], held_rows[target.name], out.held_out[target.name] = head, z_rows, z_new
    out.harm_parts = harm_parts(rows, work.weight, held_rows, out.notes)
    return out


@dataclass(frozen=True)
class _Workspace:
    x: Array
    x_new: Array
    weight: Array
    fold: npt.NDArray[np.int64]
    fold_new: npt.NDArray[np.int64]
    persons: pl.Series


def _config() -> dict[str, Any]:
    return dict(settings.load("logistic")["fit"])


def _mask(frame: pl.DataFrame, target: Target) -> Mask:
    if target.given is None:
        return np.ones(frame.height, dtype=bool)
    column, wanted = target.given
    return frame[column].fill_null(False).to_numpy() == wanted


def _fit_head(
    target: Target, rows: pl.DataFrame, newest: pl.DataFrame, work: _Workspace, notes: list[str]
) -> tuple[dict[str, Any], Array, Array]:
    """The head's entry, and held-out recalibrated log-odds for ``rows`` and for ``newest``."""
    config = _config()
    mask = _mask(rows, target)
    y = rows[target.outcome].fill_null(False).to_numpy().astype(np.float64)
    persons = work.persons.filter(pl.Series(mask & (y > 0))).n_unique()
    others = work.persons.filter(pl.Series(mask & (y == 0))).n_unique()
    if min(persons, others) < int(config["min_events"]):
        return _constant_head(target, y[mask], work, mask, persons, notes)
    penalties = [float(p) for p in config["penalties"]]
    ratio = float(config["l1_ratio"])
    test = mask & (work.fold == 0)
    best = _best_penalty(work.x, y, work.weight, mask & (work.fold != 0), test, penalties, ratio)
    z_rows, z_new = np.zeros(len(y)), np.zeros(len(work.x_new))
    for fold in range(int(config["person_folds"])):
        part = _solve(work.x, y, work.weight, mask & (work.fold != fold), best, ratio)
        z_rows[work.fold == fold] = part.predict(work.x[work.fold == fold])
        z_new[work.fold_new == fold] = part.predict(work.x_new[work.fold_new == fold])
    final = _solve(work.x, y, work.weight, mask, best, ratio)
    mask_new = _mask(newest, target)
    y_new = newest[target.outcome].fill_null(False).to_numpy().astype(np.float64)
    calibration = _calibrate(z_new[mask_new], y_new[mask_new], z_rows[mask], y[mask], work.weight[mask])
    a, b = calibration["intercept"], calibration["slope"]
    head = {
        "outcome": target.outcome,
        "given": None if target.given is None else {target.given[0]: target.given[1]},
        "intercept": a + b * final.intercept,
        "coef": [b * float(c) for c in final.coef],
        "penalty": best,
        "calibration": calibration,
        "rows": int(mask.sum()),
        "persons_with_outcome": int(persons),
        "fallback": None,
    }
    return head, a + b * z_rows, a + b * z_new


def _constant_head(
    target: Target, y: Array, work: _Workspace, mask: Mask, persons: int, notes: list[str]
) -> tuple[dict[str, Any], Array, Array]:
    """Too few persons with (or without) the outcome to tell anyone apart: the same probability for all, said so."""
    w = work.weight[mask]
    rate = (float((w * y).sum()) + 0.5) / (float(w.sum()) + 1.0)
    z = float(np.log(rate) - np.log1p(-rate))
    why = f"{target.name}: only {persons} persons with the outcome; everyone gets the base rate {rate:.4f}"
    notes.append(why)
    head = {
        "outcome": target.outcome,
        "given": None if target.given is None else {target.given[0]: target.given[1]},
        "intercept": z,
        "coef": [0.0] * work.x.shape[1],
        "penalty": None,
        "calibration": {"intercept": 0.0, "slope": 1.0, "how": "none"},
        "rows": int(mask.sum()),
        "persons_with_outcome": int(persons),
        "fallback": why,
    }
    return head, np.full(len(work.x), z), np.full(len(work.x_new), z)


def _solve(x: Array, y: Array, weight: Array, mask: Mask, penalty: float, ratio: float) -> Fit:
    config = _config()
    return fit_path(
        x[mask],
        y[mask],
        weight[mask],
        [penalty],
        ratio,
        float(config["tolerance"]),
        int(config["max_iterations"]),
    )[0]


def _best_penalty(
    x: Array, y: Array, weight: Array, train: Mask, test: Mask, penalties: list[float], ratio: float
) -> float:
    """The penalty with the least mean log loss on one held-out fold of persons; the strongest without both classes."""
    if not 0.0 < y[train].mean() < 1.0 or not test.any() or not 0.0 < y[test].mean() < 1.0:
        return max(penalties)
    config = _config()
    path = fit_path(
        x[train],
        y[train],
        weight[train],
        penalties,
        ratio,
        float(config["tolerance"]),
        int(config["max_iterations"]),
    )
    losses = []
    for part in path:
        z = part.predict(x[test])
        loss = np.maximum(z, 0.0) - z * y[test] + np.log1p(np.exp(-np.abs(z)))
        losses.append((float(np.average(loss, weights=weight[test])), part.penalty))
    return min(losses)[1]


def _calibrate(z_new: Array, y_new: Array, z_rows: Array, y_rows: Array, weight: Array) -> dict[str, Any]:
    """Recalibration (Platt): newest date's held-out rows; all dates' held-out rows where the newest has too few."""
    config = settings.load("logistic")["calibration"]
    low, high = (float(v) for v in config["slope_limits"])
    enough = int(config["min_events"])
    candidates = (
        ("held-out persons, newest date", z_new, y_new, np.ones(len(y_new))),
        ("held-out persons, all dates", z_rows, y_rows, weight),
    )
    for how, z, y, w in candidates:
        if min(int(y.sum()), int((1 - y).sum())) < enough:
            continue
        a, b = metrics.fit_slope(z, y, w)
        if not low <= b <= high:
            a, b = metrics.fit_slope(z, y, w, slope=1.0)
            how += ", intercept only"
        return {"intercept": a, "slope": b, "how": how, "rows": len(y), "events": int(y.sum())}
    return {
        "intercept": 0.0,
        "slope": 1.0,
        "how": "none: too few events",
        "rows": len(y_new),
        "events": int(y_new.sum()),
    }


def harm_parts(
    rows: pl.DataFrame, weight: Array, z: Mapping[str, Array], notes: list[str]
) -> dict[str, float]:
    """Mean winsorised harm days in each leaf, and the scale that makes observed / expected harm 1 on the predictions
    for held-out persons."""
    harm = rows["winsor_days"].fill_null(0.0).to_numpy()
    serious = rows["serious"].fill_null(False).to_numpy()
    severe = rows["severe"].fill_null(False).to_numpy()
    other = rows["other"].fill_null(False).to_numpy()

    def mean(mask: Mask, fallback: float) -> float:
        return float(np.average(harm[mask], weights=weight[mask])) if mask.any() else fallback

    leaves = {
        "other_days": mean(other & ~serious, 0.0),
        "serious_days": mean(serious & ~severe, 0.0),
        "severe_days": mean(severe, float(settings.load("logistic")["harm"]["severe_days"])),
    }
    p, q, s = sigmoid(z["serious"]), sigmoid(z["other"]), sigmoid(z["severe"])
    expected = (
        p * (s * leaves["severe_days"] + (1 - s) * leaves["serious_days"])
        + (1 - p) * q * leaves["other_days"]
    )
    total, predicted = float((weight * harm).sum()), float((weight * expected).sum())
    scale = total / predicted if predicted > 0 and total > 0 else 1.0
    if total <= 0:
        notes.append("no harm days at all in the outcomes: expected harm is 0 for everyone")
    return {**leaves, "scale": scale}

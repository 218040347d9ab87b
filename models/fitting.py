"""Fit the heads of the model on rows of (person, T): terms, elastic net, calibration on held-out persons, harm parts.

Heads are logistic regressions over the same terms:

- ``serious``   serious harm recorded in the main horizon (the head that is explained, person by person);
- ``other``     another domestic event recorded, among those without serious harm;
- ``serious_<h>``  serious harm within a further horizon.

No person's own outcome calibrates a prediction made for that person: the recalibration map is fitted on
predictions from models that left the person's whole fold out, at the newest date with complete outcomes, and is then
applied to the final coefficients, fitted on everybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from models import metrics, settings
from models.dataset import WITHIN, person_folds
from models.elasticnet import Fit, fit_path
from models.scorer import held_back, sigmoid
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
    free: Array | None = None
    """Coefficients of the main head without sign limits: where the data would have them point."""


def targets(columns: list[str]) -> list[Target]:
    """The heads that a frame with these outcome columns can feed, in document order."""
    heads = [
        Target("serious", "serious"),
        Target("other", "other", ("serious", False)),
    ]
    further = [c for c in columns if c.startswith(WITHIN)]
    return heads + [Target(f"serious_{c.removeprefix(WITHIN).removesuffix('d')}", c) for c in further]


def term_sign(term: Term, directions: Mapping[str, int]) -> float:
    """The sign a term's coefficient has when its column acts in the declared direction; 0: no direction declared.

    A decay falls as days since grow, so that its sign is turned round; flags of absence and the hinges of age are
    shapes without a direction.
    """
    if term.kind in ("missing", "hinge"):
        return 0.0
    return float(directions.get(term.column, 0)) * (-1.0 if term.kind == "decay" else 1.0)


def fit(
    rows: pl.DataFrame,
    newest: pl.DataFrame,
    shapes: Mapping[str, str],
    directions: Mapping[str, int] | None = None,
    key: str = "person_id",
) -> Fitted:
    """Fit every head.

    Parameters
    ----------
    rows: (person, T) rows with the columns of ``shapes``, outcome columns (``serious``, ``other``,
        ``winsor_days``, optional ``serious_within_<h>d``) and ``weight`` (inverse sampling share).
    directions: column -> +1, -1 or 0: coefficients may only point that way or be zero (None: all are free).
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
        signs=None if directions is None else np.array([term_sign(t, directions) for t in terms]),
    )
    out = Fitted(terms, {}, {}, constant)
    held_rows: dict[str, Array] = {}
    for target in targets(rows.columns):
        head, z_rows, z_new = _fit_head(target, rows, newest, work, out.notes)
        out.heads[target.name], held_rows[target.name], out.held_out[target.name] = head, z_rows, z_new
    out.harm_parts = harm_parts(rows, work.weight, held_rows, out.notes)
    main = targets(rows.columns)[0]
    if directions is not None and out.heads[main.name]["fallback"] is None:
        y = rows[main.outcome].fill_null(False).to_numpy().astype(np.float64)
        free = replace(work, signs=None)
        out.free = _path(free, y, _mask(rows, main), [out.heads[main.name]["penalty"]], main)[0].coef
    return out


@dataclass(frozen=True)
class _Workspace:
    x: Array
    x_new: Array
    weight: Array
    fold: npt.NDArray[np.int64]
    fold_new: npt.NDArray[np.int64]
    persons: pl.Series
    signs: Array | None


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
    best, z_rows, z_new = _cross_fit(y, mask, work, target)
    final = _path(work, y, mask, [best], target)[0]
    mask_new = _mask(newest, target)
    y_new = newest[target.outcome].fill_null(False).to_numpy().astype(np.float64)
    calibration = _calibrate(z_new[mask_new], y_new[mask_new], z_rows[mask], y[mask], work.weight[mask])
    a, b = calibration["intercept"], calibration["slope"]
    tail = fit_tail(a + b * z_rows[mask], y[mask], work.weight[mask])
    head = {
        "outcome": target.outcome,
        "given": None if target.given is None else {target.given[0]: target.given[1]},
        "intercept": a + b * final.intercept,
        "coef": [b * float(c) for c in final.coef],
        "penalty": best,
        "calibration": calibration,
        "tail": tail,
        "rows": int(mask.sum()),
        "persons_with_outcome": int(persons),
        "fallback": None,
    }
    return head, held_back(a + b * z_rows, tail), held_back(a + b * z_new, tail)


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


def _path(work: _Workspace, y: Array, mask: Mask, penalties: list[float], target: Target) -> list[Fit]:
    config = _config()
    signs = (
        work.signs if target.name.startswith("serious") else None
    )  # directions are declared for serious harm
    return fit_path(
        work.x[mask],
        y[mask],
        work.weight[mask],
        penalties,
        float(config["l1_ratio"]),
        float(config["tolerance"] if len(penalties) == 1 else config["search_tolerance"]),
        int(config["max_iterations"]),
        signs,
    )


def _cross_fit(y: Array, mask: Mask, work: _Workspace, target: Target) -> tuple[float, Array, Array]:
    """The penalty with the least held-out log loss over the person folds, and the held-out log-odds it gives for the
    rows and for the newest date's rows."""
    config = _config()
    penalties = sorted((float(p) for p in config["penalties"]), reverse=True)
    z_rows = np.zeros((len(penalties), len(y)))
    z_new = np.zeros((len(penalties), len(work.x_new)))
    for fold in range(int(config["person_folds"])):
        out, out_new = work.fold == fold, work.fold_new == fold
        for k, part in enumerate(_path(work, y, mask & ~out, penalties, target)):
            z_rows[k, out] = part.predict(work.x[out])
            z_new[k, out_new] = part.predict(work.x_new[out_new])
    z = z_rows[:, mask]
    loss = np.maximum(z, 0.0) - z * y[mask] + np.log1p(np.exp(-np.abs(z)))
    losses = np.average(loss, axis=1, weights=work.weight[mask])
    k = int(np.argmin(losses))  # penalties run strongest first: of equals, the simpler model
    return penalties[k], z_rows[k], z_new[k]


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


def fit_tail(z: Array, y: Array, weight: Array) -> dict[str, float] | None:
    """How far the highest log-odds are borne out by people held out: where the tail begins, and the share of the
    distance beyond it that counts (see ``models.scorer.held_back``).

    The tail is the highest ``tail_share`` of rows, or more until ``min_events`` outcomes lie in it; the share is its
    maximum likelihood within ``tail_limits``. None where there are too few outcomes, or the line needs no holding.
    """
    from scipy.optimize import minimize_scalar

    config = settings.load("logistic")["calibration"]
    if y.sum() < 2 * int(config["min_events"]):
        return None
    order = np.lexsort((np.arange(len(z)), -z))
    reached = np.cumsum(weight[order]) >= float(config["tail_share"]) * weight.sum()
    enough = np.cumsum(y[order]) >= int(config["min_events"])
    knot = float(z[order][int(np.argmax(reached & enough))])
    above = z > knot
    if not above.any():
        return None
    far, seen, w = z[above] - knot, y[above], weight[above]

    def loss(share: float) -> float:
        bent = knot + share * far
        return float(np.sum(w * (np.logaddexp(0.0, bent) - seen * bent)))

    low, high = (float(v) for v in config["tail_limits"])
    share = float(minimize_scalar(loss, bounds=(low, high), method="bounded").x)
    return {"from": knot, "share": share} if share < high - 1e-3 else None


def harm_parts(
    rows: pl.DataFrame, weight: Array, z: Mapping[str, Array], notes: list[str]
) -> dict[str, float]:
    """Mean winsorised harm days in each leaf, and the scale that makes observed / expected harm 1 on the predictions
    for held-out persons."""
    harm = rows["winsor_days"].fill_null(0.0).to_numpy()
    serious = rows["serious"].fill_null(False).to_numpy()
    other = rows["other"].fill_null(False).to_numpy() & ~serious

    def mean(mask: Mask) -> float:
        return float(np.average(harm[mask], weights=weight[mask])) if mask.any() else 0.0

    leaves = {"other_days": mean(other), "serious_days": mean(serious)}
    p, q = sigmoid(z["serious"]), sigmoid(z["other"])
    expected = p * leaves["serious_days"] + (1 - p) * q * leaves["other_days"]
    total, predicted = float((weight * harm).sum()), float((weight * expected).sum())
    scale = total / predicted if predicted > 0 and total > 0 else 1.0
    if total <= 0:
        notes.append("no harm days at all in the outcomes: expected harm is 0 for everyone")
    return {**leaves, "scale": scale}

"""Fit the heads of a model on rows of (person, T), whatever the family: calibration, harm, when.

Heads:

- ``serious``   serious harm recorded in the main horizon (the head that is explained, person by person);
- ``other``     another domestic event recorded, among those without serious harm.

No person's own outcome calibrates a prediction made for that person: the recalibration map is fitted on
predictions from models that left the person's whole fold out, at the newest date with complete outcomes, and is then
applied to the final fit, made on everybody. The same held-out predictions bend the far end (``fit_tail``) and
calibrate expected harm in days (``harm_parts``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from models import families, metrics, settings
from models.dataset import person_folds
from models.families import Family
from models.parts import part, scaled
from models.scorer import held_back, sigmoid
from models.transforms import padded, padded_length
from models.when import fit_when

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Folds = npt.NDArray[np.int64]
Step = Callable[[str], None]


@dataclass(frozen=True)
class Target:
    """One head: outcome column, and the outcome that must (True) or must not (False) hold for a row to count."""

    name: str
    outcome: str
    given: tuple[str, bool] | None = None


TARGETS = (Target("serious", "serious"), Target("other", "other", ("serious", False)))


@dataclass
class Fitted:
    """Heads, harm parts and when, as they go into the document, and the estimators behind the heads."""

    heads: dict[str, dict[str, Any]]
    harm_parts: dict[str, Any]
    when: dict[str, Any]
    constant: list[str]
    models: dict[str, Family]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Rows:
    """What every head is fitted on."""

    rows: pl.DataFrame
    newest: pl.DataFrame
    weight: Array
    fold: Folds
    fold_new: Folds
    key: str


def fit(
    rows: pl.DataFrame,
    newest: pl.DataFrame,
    shapes: Mapping[str, str],
    directions: Mapping[str, int] | None = None,
    key: str = "person_id",
    *,
    family: str = "elastic_net",
    seed: int = 1,
    changes: Mapping[str, Any] | None = None,
    step: Step | None = None,
) -> Fitted:
    """Fit every head with one family.

    Parameters
    ----------
    rows: (person, T) rows with the columns of ``shapes``, outcome columns (``serious``, ``other``, ``serious_day``,
        ``winsor_days``) and ``weight`` (inverse sampling share).
    newest: the rows of the newest date with complete outcomes, unsampled, same columns without ``weight``.
    shapes: column -> shape (see ``models.transforms``), in a fixed order.
    directions: column -> +1, -1 or 0: what a column adds to serious harm may only go that way (None: all are free).
    changes: changes to the family's settings (``doorstep tune`` finds some). step: told what begins.
    """
    varying = {c: s for c, s in shapes.items() if _varies(rows[c])}
    count = int(_config()["person_folds"])
    work = _Rows(
        rows,
        newest,
        rows["weight"].to_numpy().astype(np.float64),
        person_folds(rows[key], count),
        person_folds(newest[key], count),
        key,
    )
    out = Fitted({}, {}, {}, [c for c in shapes if c not in varying], {})
    held: dict[str, Array] = {}
    for target in TARGETS:
        if step:
            step(f"fitting: {target.name}")
        made = families.make(family, varying, directions if target.name == "serious" else None, seed, changes)
        out.heads[target.name], held[target.name] = _fit_head(target, made, work, out)
    out.harm_parts = harm_parts(rows, work.weight, held, out.notes)
    if step:
        step("fitting: when")
    out.when = fit_when(
        rows,
        varying,
        None,
        strongest(out.heads["serious"], rows),
        family=family,
        seed=seed,
        fixed_settings=_chosen(out, changes),
        notes=out.notes,
        key=key,
    )
    return out


def _varies(series: pl.Series) -> bool:
    """Whether a column tells any two rows apart, absence included."""
    return series.n_unique() > 1


def _chosen(fitted: Fitted, changes: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Settings for the hazard: the main head's, its chosen penalty included."""
    penalty = getattr(fitted.models.get("serious"), "penalty_", None)
    return {**(changes or {}), **({} if penalty is None else {"penalties": [penalty]})} or None


def strongest(head: Mapping[str, Any], rows: pl.DataFrame) -> list[str]:
    """Columns of a head, those whose part varies most over ``rows`` first; for trees, those most often asked about."""
    scored = part(head)
    if not scored.additive:
        asked = [i for tree in head["trees"] for i in tree["feature"] if i >= 0]
        times = np.bincount(np.array(asked, dtype=np.intp), minlength=len(head["columns"]))
        return [head["columns"][i] for i in np.argsort(-times, kind="stable") if times[i]]
    length = padded_length(rows.height)
    spread = {c: float(v.std()) for c, v in scored.shares(lambda c: padded(rows, c), length).items()}
    return sorted(spread, key=lambda c: (-spread[c], c))


def _config() -> dict[str, Any]:
    return dict(settings.load("logistic")["fit"])


def _mask(frame: pl.DataFrame, target: Target) -> Mask:
    if target.given is None:
        return np.ones(frame.height, dtype=bool)
    column, wanted = target.given
    return frame[column].fill_null(False).to_numpy() == wanted


def _outcome(frame: pl.DataFrame, target: Target) -> Array:
    return frame[target.outcome].fill_null(False).to_numpy().astype(np.float64)


def _fit_head(target: Target, made: Family, work: _Rows, out: Fitted) -> tuple[dict[str, Any], Array]:
    """The head's entry, and held-out log-odds for the rows, calibrated at the level of all their dates."""
    mask, y = _mask(work.rows, target), _outcome(work.rows, target)
    persons = work.rows[work.key]
    cases = persons.filter(pl.Series(mask & (y > 0))).n_unique()
    others = persons.filter(pl.Series(mask & (y == 0))).n_unique()
    facts: dict[str, Any] = {
        "outcome": target.outcome,
        "given": None if target.given is None else {target.given[0]: target.given[1]},
        "rows": int(mask.sum()),
        "persons_with_outcome": int(cases),
    }
    if min(cases, others) < int(_config()["min_events"]) or not made.shapes:
        return _constant_head(target, y[mask], work.weight[mask], facts, len(y), out.notes)
    keep = pl.Series(mask)
    rest = work.rows.filter(
        ~keep
    )  # rows that do not count still need a prediction by fits without their person
    read = list(made.shapes)
    asked = pl.concat([work.newest.select(read), rest.select(read)], how="vertical_relaxed")
    final, z_in, z_asked = made.cross_fit(
        work.rows.filter(keep),
        y[mask],
        work.weight[mask],
        work.fold[mask],
        asked,
        np.concatenate([work.fold_new, work.fold[~mask]]),
    )
    z_new = z_asked[: work.newest.height]
    out.models[target.name] = final
    mask_new, y_new = _mask(work.newest, target), _outcome(work.newest, target)
    calibration = recalibration(z_new[mask_new], y_new[mask_new], z_in, y[mask], work.weight[mask])
    a, b = calibration["intercept"], calibration["slope"]
    # The rows are of all dates, whose level of recording need not be the newest one's. What they teach about the far
    # end and about harm is learnt at their own level, and carried over.
    a_all, b_all = _own_level(z_in, y[mask], work.weight[mask], a, b)
    tail_all = fit_tail(a_all + b_all * z_in, y[mask], work.weight[mask])
    tail = None
    if tail_all is not None:
        tail = {**tail_all, "from": a + b * (tail_all["from"] - a_all) / b_all}
        if tail["share"] <= float(settings.load("logistic")["calibration"]["tail_limits"][0]) + 1e-3:
            out.notes.append(
                f"{target.name}: beyond the highest hundredth held-out people bore out next to nothing of the rise "
                "of the score; figures there are nearly level"
            )
    head = {**scaled(final.head(), a, b), **facts, "calibration": calibration, "tail": tail, "fallback": None}
    if (penalty := getattr(final, "penalty_", None)) is not None:
        head["penalty"] = penalty
    z = np.full(len(y), np.nan)
    z[mask] = held_back(a_all + b_all * z_in, tail_all)
    z[~mask] = held_back(a_all + b_all * z_asked[work.newest.height :], tail_all)
    return head, z


def _own_level(z: Array, y: Array, weight: Array, a: float, b: float) -> tuple[float, float]:
    """Intercept and slope that calibrate held-out log-odds over all dates together; ``a``, ``b`` where the rows cannot
    carry a slope."""
    low, high = (float(v) for v in settings.load("logistic")["calibration"]["slope_limits"])
    found = metrics.fit_slope(z, y, weight)
    return found if low <= found[1] <= high else (a, b)


def _constant_head(
    target: Target, y: Array, w: Array, facts: dict[str, Any], length: int, notes: list[str]
) -> tuple[dict[str, Any], Array]:
    """Too few persons with (or without) the outcome to tell anyone apart: the same probability for all, said so."""
    rate = (float((w * y).sum()) + 0.5) / (float(w.sum()) + 1.0)
    z = float(np.log(rate) - np.log1p(-rate))
    why = (
        f"{target.name}: only {facts['persons_with_outcome']} persons with the outcome; "
        f"everyone gets the base rate {rate:.4f}"
    )
    notes.append(why)
    head = {
        "kind": "linear",
        "intercept": z,
        "terms": [],
        **facts,
        "calibration": {"intercept": 0.0, "slope": 1.0, "how": "none"},
        "tail": None,
        "fallback": why,
    }
    return head, np.full(length, z)


def recalibration(z_new: Array, y_new: Array, z_rows: Array, y_rows: Array, weight: Array) -> dict[str, Any]:
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


def harm_parts(rows: pl.DataFrame, weight: Array, z: Mapping[str, Array], notes: list[str]) -> dict[str, Any]:
    """Mean winsorised harm days in each leaf, and the map that makes observed over expected harm days 1 on the
    predictions for held-out persons: in all, and along the range (``models.scorer.mapped``).

    The map is a Poisson regression of harm days on the logarithm of expected days, straight below the highest
    ``1 - map_from`` of rows and straight with another slope above; where the sample cannot carry it (few cases, slopes
    beyond ``map_limits``) a scale alone.
    """
    config = settings.load("logistic")
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
    enough = int(serious.sum()) >= 10 * int(config["calibration"]["min_events"])
    bend = _harm_map(scale * expected, harm, weight, config["harm"]) if enough and total > 0 else None
    return {**leaves, "scale": scale, "map": bend}


def _harm_map(
    expected: Array, harm: Array, weight: Array, config: Mapping[str, Any]
) -> dict[str, float] | None:
    from sklearn.linear_model import PoissonRegressor

    level = np.log(np.maximum(expected, 1e-9))
    order = np.argsort(level, kind="stable")
    reached = np.searchsorted(np.cumsum(weight[order]), float(config["map_from"]) * weight.sum())
    knot = float(level[order][min(int(reached), len(order) - 1)])
    x = np.stack([np.minimum(level, knot), np.maximum(level - knot, 0.0)], axis=1)
    model = PoissonRegressor(alpha=0.0, solver="newton-cholesky", tol=1e-8, max_iter=200)
    model.fit(x, harm, sample_weight=weight)
    low, high = (float(v) for v in config["map_limits"])
    if not all(low <= c <= high for c in model.coef_):
        return None
    slope, above = (float(c) for c in model.coef_)
    return {"intercept": float(model.intercept_), "slope": slope, "from": knot, "above": above}

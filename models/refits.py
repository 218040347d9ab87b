"""The main head fitted again on other people: what a model document keeps for its intervals (``models.intervals``).

Each refit draws persons with replacement (a Poisson count a person, all their rows together), fits the same learner
with those counts as weights, and recalibrates on the persons its draw left out: they are held out by construction.
About 37 in 100 are, fewer than calibrate the model itself, so that an interval errs on the wide side. What was chosen
on all persons (a penalty, the columns that vary) is kept; what a fit chooses by itself it chooses again.

Refits agree on what the learner cannot say: a straight line that runs too high for those with next to no history runs
too high in all of them. Hence the *misfit*: along the score, how far the outcomes of people left out were from what
the refits said of them, beyond chance (:func:`misfit`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from models import settings
from models.elasticnet import fit_path
from models.families import Family, make
from models.fitting import recalibration
from models.intervals import packed
from models.logistic import ElasticNet
from models.parts import part, scaled
from models.scorer import held_back, sigmoid
from models.transforms import LANES, Array, design, padded

Fit = Callable[[Array], dict[str, Any]]
Step = Callable[[int, int], None]


def refits(
    model: Family | None,
    rows: pl.DataFrame,
    newest: pl.DataFrame,
    notes: list[str],
    *,
    seed: int,
    tail: Mapping[str, Any] | None = None,
    key: str = "person_id",
    changes: Mapping[str, Any] | None = None,
    step: Step | None = None,
) -> dict[str, Any] | None:
    """What goes into ``doc["refits"]``: the recalibrated heads, how many, the level, and the quantile to reach it.

    ``model``: the fitted estimator of the main head (None: it fell back to a constant, which has no interval).
    ``rows``, ``newest``: as ``models.fitting.fit`` takes them. ``tail``: how the model holds back its far end.
    ``changes``: changes to ``intervals.toml``, for tests. ``step``: told how many are done, of how many. None, and a
    note, when fewer than ``min_refits`` succeed or the
    family has none.
    """
    config = {**settings.load("intervals"), **(changes or {})}
    count = 0 if model is None else int(config["family"][model.name]["refits"])
    if model is None or count == 0:
        notes.append("no interval of a person's own figure: this model keeps no refits")
        return None
    heads: list[dict[str, Any]] = []
    total, times = np.zeros(rows.height), np.zeros(rows.height)
    for done, found in enumerate(_refitted(model, rows, newest, count, seed, key, config)):
        if found is not None:
            heads.append(found[0])
            total[found[1]] += found[2]
            times[found[1]] += 1.0
        if step:
            step(done + 1, count)
    if len(heads) < int(config["min_refits"]):
        notes.append(
            f"no interval of a person's own figure: only {len(heads)} of {count} refits had both outcomes"
        )
        return None
    from scipy.stats import t

    level, left_out = float(config["level"]), times > 0
    judged = rows.filter(pl.Series(left_out)).select(key, "serious", "weight")
    shown = held_back(total[left_out] / times[left_out], tail)
    apart = misfit(shown, judged, int(config["groups"]), key)
    return {
        **packed(heads),
        "settings": config["version"],
        "seed": seed,
        "count": len(heads),
        "level": level,
        "times": float(t.ppf((1.0 + level) / 2.0, len(heads) - 1)),
        "misfit": apart,
    }


def misfit(z: Array, rows: pl.DataFrame, groups: int, key: str = "person_id") -> dict[str, list[float]]:
    """How far the outcomes of held-out people are from their log-odds ``z``, beyond chance, along ``z``.

    Rows (``serious``, ``weight``, ``key``) fall into ``groups`` of equal weight by ``z``. In each, the log of observed
    over expected cases L has a sampling variance v from the residuals summed person by person. With tau^2 =
    mean(L^2 - v), not below 0, the misfit of a group is the root of the posterior mean square (b L)^2 + b v, b = tau^2
    / (tau^2 + v): parametric empirical Bayes (Morris 1983). Returns ``z`` (group means, ascending) and ``misfit``
    (log-odds, which is the log of a ratio where cases are rare).
    """
    y = rows["serious"].fill_null(False).to_numpy().astype(np.float64)
    weight = rows["weight"].to_numpy().astype(np.float64)
    person = rows[key].rank("dense").cast(pl.Int64).to_numpy() - 1
    order = np.argsort(z, kind="stable")
    reached = np.cumsum(weight[order]) - 0.5 * weight[order]
    group = np.empty(len(z), dtype=np.int64)
    group[order] = np.minimum((reached / weight.sum() * groups).astype(np.int64), groups - 1)
    found = []
    for g in np.unique(group):
        here = group == g
        w, p = weight[here], sigmoid(z[here])
        cases, expected = float(w @ y[here]), float(w @ p)
        half = 0.5 * float(w.mean())  # half a case on both sides: a group without any says something too
        residual = np.bincount(person[here], w * (y[here] - p))
        chance = float(residual @ residual) / (cases + half) ** 2
        found.append(
            (float(w @ z[here] / w.sum()), float(np.log((cases + half) / (expected + half))), chance)
        )
    centre, gap, chances = np.array(found).T
    tau = max(float(np.mean(gap**2 - chances)), 0.0)
    share = tau / (tau + chances) if tau > 0 else np.zeros_like(chances)
    return {"z": centre.tolist(), "misfit": np.sqrt((share * gap) ** 2 + share * chances).tolist()}


def _refitted(
    model: Family,
    rows: pl.DataFrame,
    newest: pl.DataFrame,
    count: int,
    seed: int,
    key: str,
    config: Mapping[str, Any],
) -> Iterator[tuple[dict[str, Any], npt.NDArray[np.bool_], Array] | None]:
    """One a draw: the recalibrated head, which rows' persons it left out, and its log-odds for those; None for a draw
    that holds one outcome only."""
    y = rows["serious"].fill_null(False).to_numpy().astype(np.float64)
    y_new = newest["serious"].fill_null(False).to_numpy().astype(np.float64)
    weight = rows["weight"].to_numpy().astype(np.float64)
    everyone = pl.concat([rows[key], newest[key]]).unique().sort()
    place, place_new = (
        frame[key].replace_strict(everyone, pl.int_range(len(everyone), eager=True)).to_numpy()
        for frame in (rows, newest)
    )
    fit = _fitter(model, rows, y, config, key)
    rng = np.random.default_rng([seed, 11])
    for _ in range(count):
        drawn = rng.poisson(1.0, len(everyone)).astype(np.float64)
        weights = weight * drawn[place]
        if len(np.unique(y[weights > 0])) < 2:
            yield None
            continue
        head = fit(weights)
        out, out_new = drawn[place] == 0, drawn[place_new] == 0
        z_out, z_new = (_log_odds(head, f.filter(pl.Series(o))) for f, o in ((rows, out), (newest, out_new)))
        fitted = recalibration(z_new, y_new[out_new], z_out, y[out], weight[out])
        a, b = fitted["intercept"], fitted["slope"]
        yield scaled(head, a, b), out, a + b * z_out


def _fitter(model: Family, rows: pl.DataFrame, y: Array, config: Mapping[str, Any], key: str) -> Fit:
    """Weights -> head, by the learner of ``model`` as it was fitted."""
    if isinstance(model, ElasticNet):
        return _elastic_net(model, rows, y)
    given = config["family"][model.name].get("settings", {})
    changed = {**(model.settings or {}), **given}
    shapes = dict(model.shapes or {})

    def fit(weights: Array) -> dict[str, Any]:
        kept = weights > 0
        again = make(model.name, shapes, model.directions, model.seed, changed)
        some = rows.filter(pl.Series(kept))
        return again.fit(some, y[kept], weights[kept], some[key]).head()

    return fit


def _elastic_net(model: ElasticNet, rows: pl.DataFrame, y: Array) -> Fit:
    """The same terms and penalty, started from the model's own solution: a few steps instead of dozens."""
    x, given = design(rows, model.terms_), model.config

    def fit(weights: Array) -> dict[str, Any]:
        kept = weights > 0
        found = fit_path(
            x[kept],
            y[kept],
            weights[kept],
            [model.penalty_],
            float(given["l1_ratio"]),
            float(given["search_tolerance"]),
            int(given["max_iterations"]),
            model.signs_,
            (float(model.head()["intercept"]), model.coef_),
        )[0]
        terms = [
            {**term.to_dict(), "weight": float(c)}
            for term, c in zip(model.terms_, found.coef, strict=True)
            if c != 0.0
        ]
        return {"kind": "linear", "intercept": float(found.intercept), "terms": terms}

    return fit


def _log_odds(head: Mapping[str, Any], frame: pl.DataFrame) -> Array:
    length = -(-max(frame.height, 1) // LANES) * LANES
    return part(head).log_odds(lambda column: padded(frame, column), length)[: frame.height]

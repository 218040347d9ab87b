"""When: a discrete-time hazard of serious harm, learnt by the same learner as the main head.

The horizon is cut into periods. A row (person, T) becomes one row for each period it began without serious harm; the
learner sees the period beside the histories, and a few columns once more for each period but the last, since a fresh
report weighs differently early and late. Who is likely to do serious harm is the main head's answer; the hazard says
how it spreads over the periods (``models.scorer``: share within each).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from models import families, metrics, settings
from models.scorer import PERIOD, at_period

Array = npt.NDArray[np.float64]


def fit_when(
    rows: pl.DataFrame,
    shapes: Mapping[str, str],
    directions: Mapping[str, int] | None,
    order: Sequence[str],
    *,
    family: str,
    seed: int,
    fixed_settings: Mapping[str, Any] | None,
    notes: list[str],
    key: str = "person_id",
) -> dict[str, Any]:
    """The ``when`` part of the document: periods (days), what interacts with them, and the hazard's head.

    ``rows`` hold the columns of ``shapes``, ``serious``, ``serious_day`` and ``weight``; ``order``: columns, those that
    move the main head most first. With too few cases everyone gets the shares of all, and ``notes`` says so.
    """
    config = settings.load("logistic")["when"]
    periods = [int(d) for d in config["periods"]]
    interacts = [c for c in config["interacts"] if c in shapes]
    chosen = list(dict.fromkeys([*interacts, *[c for c in order if c in shapes]]))[
        : int(config["most_columns"])
    ]
    cases = person_periods(rows.select(key, *chosen, "serious", "serious_day", "weight"), periods, seed)
    apart = {at_period(c, k): (c, k) for c in interacts for k in range(len(periods) - 1)}
    cases = cases.with_columns(
        pl.when(pl.col(PERIOD) == k).then(pl.col(c)).alias(name) for name, (c, k) in apart.items()
    )
    y, weight = cases["y"].to_numpy().astype(np.float64), cases["weight"].to_numpy().astype(np.float64)
    out = {"periods": periods, "interacts": interacts}
    if y.sum() < int(config["min_events"]):
        notes.append(
            f"when: only {int(y.sum())} cases of serious harm; the same spread over the periods for everyone"
        )
        head = _by_period(cases, y, weight, len(periods))
        return {**out, "interacts": [], "head": head, "offsets": [0.0] * len(periods)}
    first = {name: shapes[c] for name, (c, _) in apart.items()}
    model = families.make(
        family, {PERIOD: "period", **first, **{c: shapes[c] for c in chosen}}, None, seed, fixed_settings
    )
    model.fit(cases, y, weight, cases[key])
    z, period = model.decision_function(cases), cases[PERIOD].to_numpy()
    return {**out, "head": model.head(), "offsets": offsets(z, y, weight, period, len(periods))}


def offsets(z: Array, y: Array, weight: Array, period: Array, count: int) -> list[float]:
    """What is added to the log-odds of each period so that as many cases are expected in it as there were: a penalty
    pulls the periods towards each other, and one number a period is more than a sample this large can overfit."""
    out = []
    for k in range(count):
        here = period == k
        shift, _ = metrics.fit_slope(z[here], y[here], weight[here], slope=1.0)
        out.append(
            shift if np.isfinite(shift) else 0.0
        )  # no case at all in the period: as the learner has it
    return out


def person_periods(rows: pl.DataFrame, periods: Sequence[int], seed: int) -> pl.DataFrame:
    """A row for each period that a row of ``rows`` began without serious harm: its columns, ``(period)`` (0, 1, ...),
    ``y`` (serious harm within it) and ``weight``. Periods without are sampled to so many for each with, by a draw of
    their own, and weighted by the inverse of the share kept."""
    per_event = float(settings.load("logistic")["when"]["non_events_per_event"])
    starts = [0, *periods[:-1]]
    day = pl.col("serious_day")
    parts = []
    for k, (start, end) in enumerate(zip(starts, periods, strict=True)):
        begun = ~pl.col("serious").fill_null(False) | (day > start)
        parts.append(
            rows.filter(begun).with_columns(
                pl.lit(float(k)).alias(PERIOD), y=(pl.col("serious") & (day <= end)).fill_null(False)
            )
        )
    whole = pl.concat(parts).drop("serious", "serious_day")
    with_, without = int(whole["y"].sum()), whole.height - int(whole["y"].sum())
    share = min(1.0, per_event * max(with_, 1) / max(without, 1))
    keep = whole["y"] | pl.Series(np.random.default_rng([seed, 7]).random(whole.height) < share)
    weight = pl.when(pl.col("y")).then(pl.col("weight")).otherwise(pl.col("weight") / share)
    return whole.with_columns(weight=weight).filter(keep)


def _by_period(cases: pl.DataFrame, y: Array, weight: Array, count: int) -> dict[str, Any]:
    """A head that knows the period and nothing else: the rate of each, with half a case added to both sides."""
    period = cases[PERIOD].to_numpy()
    scores = [0.0]
    for k in range(count):
        here = period == k
        rate = (float((weight * y)[here].sum()) + 0.5) / (float(weight[here].sum()) + 1.0)
        scores.append(float(np.log(rate) - np.log1p(-rate)))
    cuts = [k + 0.5 for k in range(count - 1)]
    return {
        "kind": "tables",
        "intercept": 0.0,
        "tables": [{"columns": [PERIOD], "cuts": [cuts], "scores": scores}],
    }

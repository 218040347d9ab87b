"""Do people still look like those the model learnt from? Histories and scores by month, without any label.

PSI, the population stability index, is sum over bins of (q - p) ln(q / p), with p the share in the bin at the
reference date, q the share now and half a case added to each bin. Bins are the tenths of the reference date's own
values (equal ones stay together) and one for "nothing known". Without any change it is about chi-squared with
bins - 1 degrees of freedom over (1/n + 1/m) (n and m the persons then and now); what such chance reaches once in a
thousand (``noise``) is added to every threshold, so that a small force is not alarmed by its size.

The reference is the newest date that the model learnt from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import stats

from models.places import number
from models.scorer import Scorer

Array = npt.NDArray[np.float64]
WORSE = ("none", "review", "retrain", "off")
"""What a figure calls for, from nothing to switching off."""
_BINS, _CHANCE, _RARE = 10, 0.999, 0.01


def worst(calls: Sequence[str]) -> str:
    """The gravest of several calls; ``none`` of none."""
    return max(calls, key=WORSE.index, default="none")


def shares(reference: Array, current: Array) -> tuple[Array, Array]:
    """Shares of both in the bins of the reference: tenths of its values, and nulls (NaN) last."""
    known = reference[~np.isnan(reference)]
    inner = np.linspace(0, 1, _BINS + 1)[1:-1]
    cuts = np.unique(np.quantile(known, inner, method="lower")) if known.size else np.zeros(0)
    cuts = cuts[cuts < known.max()] if known.size else cuts

    def count(values: Array) -> Array:
        found = values[~np.isnan(values)]
        inside = np.bincount(np.searchsorted(cuts, found, side="left"), minlength=len(cuts) + 1)
        counts = np.append(inside, len(values) - len(found)).astype(np.float64) + 0.5
        return np.asarray(counts / counts.sum())

    return count(reference), count(current)


def psi(reference: Array, current: Array) -> tuple[float, float]:
    """Population stability index and what chance alone reaches once in a thousand; both need at least one value."""
    p, q = shares(reference, current)
    value = float(((q - p) * np.log(q / p)).sum())
    used = int(((p * len(reference) >= 1.0) | (q * len(current) >= 1.0)).sum())
    chance = float(stats.chi2.ppf(_CHANCE, max(used - 1, 1))) * (1.0 / len(reference) + 1.0 / len(current))
    return value, chance


def call_for(value: float, noise: float, limits: Mapping[str, float]) -> str:
    """The gravest call whose limit, with chance added, ``value`` reaches; ``limits``: call -> limit."""
    return worst([call for call, limit in limits.items() if value >= limit + noise])


def _column(frame: pl.DataFrame, name: str) -> Array:
    return frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()


def weights(scorer: Scorer, frame: pl.DataFrame) -> dict[str, float]:
    """Share of each column in how far apart the model puts people: the standard deviation of what it adds, over the
    sum of all. A model whose parts do not add up gives every column the same."""
    if not scorer.additive:
        return {c: 1.0 / len(scorer.columns) for c in scorer.columns}
    parts = scorer.contributions(frame, before_tail=True).filter(pl.col("column") != "(intercept)")
    spread = parts.group_by("column").agg(pl.col("contribution").std().fill_null(0.0))
    total = float(spread["contribution"].sum()) or 1.0
    return {column: float(value) / total for column, value in sorted(spread.iter_rows())}


def feature_rows(
    scorer: Scorer,
    reference: pl.DataFrame,
    current: pl.DataFrame,
    month: str,
    known_at: str,
    limits: Mapping[str, Any],
    weight: Mapping[str, float],
) -> list[dict[str, Any]]:
    """One row a column the model reads: psi, missing share and mean then and now, and what that calls for; ``weight``
    as :func:`weights` gives it for the reference date."""
    rows = []
    for column in scorer.columns:
        then, now = _column(reference, column), _column(current, column)
        value, noise = psi(then, now)
        missing = float(np.isnan(then).mean()), float(np.isnan(now).mean())
        emptied = abs(missing[1] - missing[0]) >= float(limits["missing_apart"])
        call = worst([call_for(value, noise, {"review": limits["review"]}), "review" if emptied else "none"])
        rows.append(
            {
                "month": month,
                "known_at": known_at,
                "column": column,
                "weight": number(weight.get(column, 0.0)),
                "psi": number(value),
                "noise": number(noise),
                "missing_was": number(missing[0]),
                "missing": number(missing[1]),
                "mean_was": number(_mean(then)),
                "mean": number(_mean(now)),
                "call": call,
            }
        )
    return rows


def _mean(values: Array) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def feature_calls(rows: Sequence[Mapping[str, Any]], limits: Mapping[str, Any]) -> str:
    """What a month's features call for together: training again when those that drifted carry much of the score."""
    moved = [row for row in rows if row["call"] != "none"]
    carried = sum(row["weight"] or 0.0 for row in moved)
    return worst(
        ["review" if moved else "none", "retrain" if carried >= limits["retrain_weight"] else "none"]
    )


def score_row(
    reference: pl.DataFrame, current: pl.DataFrame, month: str, known_at: str, limits: Mapping[str, Any]
) -> dict[str, Any]:
    """Scores of a month beside those of the reference date: ``p_serious`` and ``expected_harm`` of both frames."""
    then, now = _column(reference, "p_serious"), _column(current, "p_serious")
    value, noise = psi(then, now)
    high = float(np.quantile(then, 1.0 - _RARE))
    ratio = float(now.mean() / then.mean())
    apart = max(ratio, 1.0 / ratio) if ratio > 0 else float("inf")
    by_mean = worst([call for call, limit in limits["mean_ratio"].items() if apart >= limit])
    return {
        "month": month,
        "known_at": known_at,
        "n": len(now),
        "psi": number(value),
        "noise": number(noise),
        "mean_p_was": number(float(then.mean())),
        "mean_p": number(float(now.mean())),
        "mean_harm_was": number(_mean(_column(reference, "expected_harm"))),
        "mean_harm": number(_mean(_column(current, "expected_harm"))),
        "above_reference_top": number(float((now > high).mean())),
        "call": worst([call_for(value, noise, limits["psi"]), by_mean]),
    }


def month_of(t: datetime) -> str:
    """``2025-06`` for a T on the first of June: the month a figure describes begins then."""
    return f"{t:%Y-%m}"

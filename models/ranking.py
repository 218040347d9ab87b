"""How well scores rank, with intervals: the same persons, the same T and the same draws for every score.

The bootstrap draws a weight for each person, the same at every T and for every score, K being the same share of the
weight; intervals are 2.5-97.5 percentiles. AUC and PR-AUC of several T are means over T; captures, PPV and
negative-prediction error are sums over T of what the list took over sums of what there was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from models import metrics
from models.metrics import Board

if TYPE_CHECKING:
    from models.compare import Occasion

Array = npt.NDArray[np.float64]
PLACES: tuple[tuple[str, float], ...] = (("25", 25.0), ("100", 100.0), ("250", 250.0), ("1pc", 0.01))
"""List lengths of every table: places, or a share of the cohort."""


class Bootstrap:
    """Weights of every occasion: column 0 is one for all, then the draws; a person's draw is the same at every T."""

    def __init__(self, occasions: Sequence[Occasion], draws: int, seed: int) -> None:
        people = sorted({p for o in occasions for p in o.persons.to_list()})
        index = {p: i for i, p in enumerate(people)}
        counts = np.random.default_rng(seed).poisson(1.0, size=(len(people), draws)).astype(np.float64)
        self.counts = np.concatenate([np.ones((len(people), 1)), counts], axis=1)
        self.rows = [np.array([index[p] for p in o.persons.to_list()], dtype=np.intp) for o in occasions]

    def weight(self, i: int) -> Array:
        """Rows of occasion ``i`` x (1 + draws)."""
        return np.asarray(self.counts[self.rows[i]])


def share_of(places: float, n: int) -> float:
    """``places`` of ``n`` persons as a share (a number below 1 is one already)."""
    return places if places < 1 else min(1.0, places / max(n, 1))


def ranking(
    occasions: Sequence[Occasion], boot: Bootstrap
) -> tuple[list[dict[str, Any]], dict[str, dict[str, Array]]]:
    """Rows per T and pooled for each cohort and score; and the pooled draws of the whole cohort, score -> figure."""
    rows: list[dict[str, Any]] = []
    pool: dict[tuple[str, str], list[dict[str, Array]]] = {}
    for i, o in enumerate(occasions):
        assert o.outcomes is not None
        weight = boot.weight(i)
        for cohort, mask in o.cohorts().items():
            if not mask.any():
                continue
            y, harm = o.outcomes["serious"][mask], o.outcomes["winsor_days"][mask]
            drawn = weight[mask]
            for score, (place, order) in o.scores.items():
                part = _part(place[mask], None if order is place else order[mask], y, harm, drawn)
                pool.setdefault((cohort, score), []).append(part)
                rows.append({"t": o.name, "cohort": cohort, "score": score, **_described(_merge([part]))})
    spread: dict[str, dict[str, Array]] = {}
    for (cohort, score), parts in pool.items():
        merged = _merge(parts)
        if cohort == "all":
            spread[score] = merged
        rows.append(
            {"t": "pooled", "cohort": cohort, "score": score, "dates": len(parts), **_described(merged)}
        )
    return rows, spread


def _part(place: Array, order: Array | None, y: Array, harm: Array, weight: Array) -> dict[str, Array]:
    """What one score did at one T, per draw; ``order`` None: the list order serves for both."""
    board = Board(place, weight)
    whole = board if order is None else Board(order, weight)
    auc, pr_auc = whole.areas(y)
    out = {"auc": auc, "pr_auc": pr_auc, "harm_total": harm @ weight, "events": y @ weight}
    out["persons"] = board.total
    for name, places in PLACES:
        share = share_of(places, len(y))
        out[f"harm_{name}"], _ = board.top(harm, share)
        out[f"hits_{name}"], out[f"taken_{name}"] = board.top(y, share)
    return out


def _merge(parts: Sequence[dict[str, Array]]) -> dict[str, Array]:
    """Figures per draw from the sums of one or several T."""
    total = {key: np.sum([p[key] for p in parts], axis=0) for key in parts[0]}
    out: dict[str, Array] = {}
    with np.errstate(invalid="ignore", divide="ignore"):
        for area in ("auc", "pr_auc"):
            values = np.array([p[area] for p in parts])
            known = ~np.isnan(values)
            out[area] = np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0)
        for name, _ in PLACES:
            hits, taken = total[f"hits_{name}"], total[f"taken_{name}"]
            out[f"capture_{name}"] = total[f"harm_{name}"] / total["harm_total"]
            out[f"ppv_{name}"] = hits / taken
            out[f"npe_{name}"] = metrics.missed(hits, taken, total["events"], total["persons"])
    return out


def _described(figures: Mapping[str, Array]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, draws in figures.items():
        low, high = metrics.interval(draws[1:])
        out |= {name: figure(draws[0]), f"{name}_low": figure(low), f"{name}_high": figure(high)}
    return out


def figure(value: float | np.floating[Any]) -> float | None:
    """A plain JSON number, or None where it cannot be computed."""
    return round(float(value), 6) if np.isfinite(value) else None


def differences(spread: Mapping[str, Mapping[str, Array]], score: str = "model") -> list[dict[str, Any]]:
    """``score`` minus each other one on the same draws, pooled: rule, figure, difference, low, high."""
    rows = []
    for rule, figures in spread.items():
        if rule == score:
            continue
        for name, draws in figures.items():
            gap = spread[score][name] - draws
            low, high = metrics.interval(gap[1:])
            rows.append(
                {
                    "rule": rule,
                    "figure": name,
                    "difference": figure(gap[0]),
                    "low": figure(low),
                    "high": figure(high),
                }
            )
    return rows

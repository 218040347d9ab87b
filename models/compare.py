"""The model and the simple rules on the same persons at the same T: every figure, with intervals.

A score takes part in two ways: its *place on the list* (the model: expected harm) decides harm captured and PPV at
K; its *probability order* (the model: p_serious) decides the AUC on serious harm. A rule has one number for both.
Pooled figures: AUC is the mean over T; captures and PPV are sums over T of what the list took over sums of what there
was; Brier and calibration put the rows of all T together. The bootstrap draws a weight for each person, the same at
every T and for every score, K being the same share of the weight; intervals are 2.5-97.5 percentiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from models import baselines, metrics, parts
from models.dataset import WITHIN
from models.metrics import Board
from models.scorer import Scorer

Array = npt.NDArray[np.float64]
PLACES: tuple[tuple[str, float], ...] = (("100", 100.0), ("250", 250.0), ("1pc", 0.01))
LEAK_AUC = 0.85
"""Above this among persons active in the last 365 days a run is marked leak-suspect (domain 1.4: honest police data
give .70-.77)."""


@dataclass
class Occasion:
    """Everything known about one T: persons in scope, what the scores said, what was recorded afterwards."""

    t: datetime
    persons: pl.Series
    scores: dict[str, tuple[Array, Array]]
    """name -> (list order, probability order)"""
    p: dict[str, Array]
    """named probabilities of serious harm (``model``, ``without age``, ``90`` ...)"""
    expected: Array
    flags: dict[str, npt.NDArray[np.bool_]]
    outcomes: dict[str, Array] | None = None
    oracle: Array | None = None
    reach: dict[str, float] = field(default_factory=dict)

    @property
    def n(self) -> int:
        return len(self.persons)


def without(doc: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """The document with what ``columns`` add left out: those facts held at the training average. Raises InputError for
    a model of trees."""
    mute = set(columns)
    heads = {name: parts.without(head, mute) for name, head in doc["heads"].items()}
    return {**doc, "heads": heads, "when": None}


def sensitive_columns(doc: Mapping[str, Any], kind: str) -> list[str]:
    """Columns of the model marked ``kind`` (age, health) in its data dictionary."""
    return [entry["column"] for entry in doc["dictionary"] if entry["sensitive"] == kind]


def occasion(
    doc: Mapping[str, Any], frame: pl.DataFrame, t: datetime, oracle: pl.DataFrame | None = None
) -> Occasion:
    """Score ``frame`` (one T's cohort in scope, histories, cohort flags, and outcomes if known)."""
    scorer = Scorer(doc)
    scored = scorer.score(frame)
    rules = baselines.baseline_scores(frame)
    p = {"model": _array(scored["p_serious"])}
    for name in scored.columns:
        if name.startswith("p_serious_"):
            p[name.removeprefix("p_serious_")] = _array(scored[name])
    scores = {"model": (_array(scored["expected_harm"]), p["model"])}
    for kind in ("age", "health"):
        columns = sensitive_columns(doc, kind)
        if columns and scorer.additive:
            bare = Scorer(without(doc, columns)).score(frame)
            scores[f"without {kind}"] = (_array(bare["expected_harm"]), _array(bare["p_serious"]))
            p[f"without {kind}"] = scores[f"without {kind}"][1]
    for rule in rules.columns[1:]:
        values = _array(rules[rule])
        scores[rule] = (values, values)
    flags: dict[str, npt.NDArray[np.bool_]] = {
        f: frame[f].fill_null(False).to_numpy() for f in ("active_365", "first_time") if f in frame.columns
    }
    outcomes = None
    if "serious" in frame.columns:
        names: tuple[str, ...] = ("serious", "winsor_days", "harm_days", "serious_182", "serious_10")
        names += tuple(c for c in frame.columns if c.startswith(WITHIN))
        outcomes = {c: _array(frame[c].cast(pl.Float64).fill_null(0.0)) for c in names if c in frame.columns}
    truth = None
    if oracle is not None:
        known = frame.select("person_id").join(oracle, on="person_id", how="left", maintain_order="left")
        truth = _array(known["expected_harm"].cast(pl.Float64).fill_null(0.0))
    return Occasion(t, frame["person_id"], scores, p, _array(scored["expected_harm"]), flags, outcomes, truth)


def _array(series: pl.Series) -> Array:
    return np.ascontiguousarray(series.cast(pl.Float64).to_numpy())


# --- tables ------------------------------------------------------------------------------------------------


def tables(occasions: Sequence[Occasion], base_rate: float, draws: int, seed: int) -> dict[str, Any]:
    """All results tables of ``occasions``: lists of plain rows under ``cohort``, ``ranking``, ``difference``,
    ``probability``, ``harm``, ``reliability``, ``sensitivity``, ``oracle``, ``reach``; and ``leak_suspect``.

    ``base_rate`` is what the constant rule predicts: the rate known when the model was made.
    """
    labelled = [o for o in occasions if o.outcomes is not None]
    out: dict[str, Any] = {"cohort": [r for o in occasions for r in _cohort_rows(o)]}
    boot = _Bootstrap(labelled, draws, seed)
    ranking, spread = _ranking(labelled, boot)
    out["ranking"] = ranking
    out["difference"] = _differences(spread)
    out["probability"] = _probability(labelled, base_rate)
    out["harm"] = _harm(labelled)
    out["reliability"] = _reliability(labelled)
    out["capture_curve"] = _curve(labelled)
    out["sensitivity"] = _sensitivity(labelled)
    out["oracle"] = _oracle([o for o in occasions if o.oracle is not None])
    out["reach"] = [{"t": _name(o), **o.reach} for o in occasions if o.reach]
    active = [
        r for r in ranking if r["cohort"] == "active_365" and r["score"] == "model" and r["t"] == "pooled"
    ]
    out["leak_suspect"] = bool(active and active[0]["auc"] is not None and active[0]["auc"] > LEAK_AUC)
    return out


def _name(o: Occasion) -> str:
    return o.t.strftime("%Y-%m-%dT%H:%M:%SZ")


def _cohorts(o: Occasion) -> dict[str, npt.NDArray[np.bool_]]:
    return {"all": np.ones(o.n, dtype=bool), **o.flags}


def _cohort_rows(o: Occasion) -> list[dict[str, Any]]:
    rows = []
    for name, mask in _cohorts(o).items():
        row: dict[str, Any] = {
            "t": _name(o),
            "cohort": name,
            "n": int(mask.sum()),
            "serious": None,
            "base_rate": None,
        }
        if o.outcomes is not None:
            events = int(o.outcomes["serious"][mask].sum())
            row |= {
                "serious": events,
                "base_rate": _figure(events / mask.sum() if mask.any() else float("nan")),
            }
            row["harm_days"] = _figure(float(o.outcomes["harm_days"][mask].sum()))
        rows.append(row)
    return rows


class _Bootstrap:
    """Weights of every occasion: column 0 is one for all, then the draws; a person's draw is the same at every T."""

    def __init__(self, occasions: Sequence[Occasion], draws: int, seed: int) -> None:
        people = sorted({p for o in occasions for p in o.persons.to_list()})
        index = {p: i for i, p in enumerate(people)}
        counts = np.random.default_rng(seed).poisson(1.0, size=(len(people), draws)).astype(np.float64)
        self.counts = np.concatenate([np.ones((len(people), 1)), counts], axis=1)
        self.rows = [np.array([index[p] for p in o.persons.to_list()], dtype=np.intp) for o in occasions]

    def weight(self, i: int) -> Array:
        return np.asarray(self.counts[self.rows[i]])


def _share(places: float, n: int) -> float:
    return places if places < 1 else min(1.0, places / max(n, 1))


def _ranking(
    occasions: Sequence[Occasion], boot: _Bootstrap
) -> tuple[list[dict[str, Any]], dict[str, dict[str, Array]]]:
    """Rows per T and pooled for each cohort and score; and the pooled draws of the whole cohort, score -> figure."""
    rows: list[dict[str, Any]] = []
    pool: dict[tuple[str, str], list[dict[str, Array]]] = {}
    for i, o in enumerate(occasions):
        assert o.outcomes is not None
        weight = boot.weight(i)
        for cohort, mask in _cohorts(o).items():
            if not mask.any():
                continue
            y, harm = o.outcomes["serious"][mask], o.outcomes["winsor_days"][mask]
            for score, (place, order) in o.scores.items():
                part = _part(place[mask], None if order is place else order[mask], y, harm, weight[mask])
                pool.setdefault((cohort, score), []).append(part)
                rows.append({"t": _name(o), "cohort": cohort, "score": score, **_described(_merge([part]))})
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
    out = {"auc": (board if order is None else Board(order, weight)).auc(y)}
    out["harm_total"] = harm @ weight
    for name, places in PLACES:
        share = _share(places, len(y))
        out[f"harm_{name}"], _ = board.top(harm, share)
        out[f"hits_{name}"], out[f"taken_{name}"] = board.top(y, share)
    return out


def _merge(parts: Sequence[dict[str, Array]]) -> dict[str, Array]:
    """Figures per draw from the sums of one or several T."""
    total = {key: np.sum([p[key] for p in parts], axis=0) for key in parts[0]}
    aucs = np.array([p["auc"] for p in parts])
    known = ~np.isnan(aucs)
    with np.errstate(invalid="ignore", divide="ignore"):
        out = {"auc": np.where(known, aucs, 0.0).sum(axis=0) / known.sum(axis=0)}
        for name, _ in PLACES:
            out[f"capture_{name}"] = total[f"harm_{name}"] / total["harm_total"]
            out[f"ppv_{name}"] = total[f"hits_{name}"] / total[f"taken_{name}"]
    return out


def _described(figures: Mapping[str, Array]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, draws in figures.items():
        low, high = metrics.interval(draws[1:])
        out |= {name: _figure(draws[0]), f"{name}_low": _figure(low), f"{name}_high": _figure(high)}
    return out


def _figure(value: float | np.floating[Any]) -> float | None:
    """A plain JSON number, or None where it cannot be computed."""
    return round(float(value), 6) if np.isfinite(value) else None


def _differences(spread: Mapping[str, Mapping[str, Array]]) -> list[dict[str, Any]]:
    """Model minus each rule on the same draws, pooled."""
    rows = []
    for rule, figures in spread.items():
        if rule == "model":
            continue
        for name, draws in figures.items():
            gap = spread["model"][name] - draws
            low, high = metrics.interval(gap[1:])
            rows.append(
                {
                    "rule": rule,
                    "figure": name,
                    "difference": _figure(gap[0]),
                    "low": _figure(low),
                    "high": _figure(high),
                }
            )
    return rows


def _stack(occasions: Sequence[Occasion], values: Sequence[Array]) -> Array:
    return np.concatenate(list(values)) if occasions else np.zeros(0)


def _probability(occasions: Sequence[Occasion], base_rate: float) -> list[dict[str, Any]]:
    rows = []
    groups = [(_name(o), [o]) for o in occasions] + ([("pooled", list(occasions))] if len(occasions) else [])
    for label, members in groups:
        for cohort in _cohorts(members[0]):
            y = _stack(members, [o.outcomes["serious"][_cohorts(o)[cohort]] for o in members if o.outcomes])
            p = _stack(members, [o.p["model"][_cohorts(o)[cohort]] for o in members])
            if not len(y):
                continue
            w = np.ones(len(y))
            error, reference = metrics.brier(p, y, w), metrics.brier(np.full(len(y), base_rate), y, w)
            own = metrics.brier(np.full(len(y), y.mean()), y, w)
            rows.append(
                {
                    "t": label,
                    "cohort": cohort,
                    "n": len(y),
                    "base_rate": _figure(y.mean()),
                    "mean_p": _figure(p.mean()),
                    "brier": _figure(error),
                    "brier_constant": _figure(reference),
                    "skill": _figure(1 - error / reference) if reference else None,
                    "skill_own_rate": _figure(1 - error / own) if own else None,
                    **{k: _figure(v) for k, v in metrics.calibration(p, y, w).items()},
                }
            )
    return rows


def _harm(occasions: Sequence[Occasion]) -> list[dict[str, Any]]:
    """Observed over expected harm days: everyone, the tenth and the hundredth ranked highest (each at its own T)."""
    rows = []
    for part, share in (("everyone", 1.0), ("top decile", 0.1), ("top 1 %", 0.01)):
        sums = np.zeros(3)
        for o in occasions:
            assert o.outcomes is not None
            board = Board(o.expected, np.ones(o.n))
            for k, values in enumerate((o.expected, o.outcomes["winsor_days"], o.outcomes["harm_days"])):
                sums[k] += board.top(values, share)[0][0]
        if sums[0] > 0:
            rows.append(
                {
                    "part": part,
                    "expected_days": _figure(sums[0]),
                    "observed_days": _figure(sums[1]),
                    "observed_over_expected": _figure(sums[1] / sums[0]),
                    "unwinsorised_over_expected": _figure(sums[2] / sums[0]),
                }
            )
    return rows


def _reliability(occasions: Sequence[Occasion]) -> list[dict[str, float]]:
    p = _stack(occasions, [o.p["model"] for o in occasions])
    y = _stack(occasions, [o.outcomes["serious"] for o in occasions if o.outcomes])
    return [{k: round(v, 6) for k, v in row.items()} for row in metrics.reliability(p, y, np.ones(len(y)))]


def _curve(occasions: Sequence[Occasion]) -> list[dict[str, Any]]:
    """Share of harm captured against share of persons listed, pooled, every score and (where known) the oracle."""
    shares = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0]
    rows: list[dict[str, Any]] = []
    for score in dict.fromkeys(
        s for o in occasions for s in [*o.scores, *(["oracle"] if o.oracle is not None else [])]
    ):
        sums, total = np.zeros(len(shares)), 0.0
        for o in occasions:
            values = o.oracle if score == "oracle" else o.scores.get(score, (None, None))[0]
            if values is None or o.outcomes is None:
                continue
            board, harm = Board(values, np.ones(o.n)), o.outcomes["winsor_days"]
            sums += np.array([board.top(harm, s)[0][0] for s in shares])
            total += float(harm.sum())
        if total > 0:
            rows += [
                {"score": score, "share": s, "captured": _figure(v / total)}
                for s, v in zip(shares, sums, strict=True)
            ]
    return rows


def _sensitivity(occasions: Sequence[Occasion]) -> list[dict[str, Any]]:
    """The same list judged otherwise: day thresholds instead of offence classes, the shorter horizon, without age."""
    rows: list[dict[str, Any]] = []
    if not occasions or occasions[0].outcomes is None:
        return rows
    labels = [c for c in occasions[0].outcomes if c.startswith("serious_")]
    shown = {"serious_182": "any offence of 182 days or more", "serious_10": "any offence of 10 days or more"}
    for label in labels:
        own = label.removeprefix(WITHIN).removesuffix("d")
        title = shown.get(label, f"serious harm within {own} days")
        for score in occasions[0].scores:
            if score.startswith("without"):
                continue
            values = []
            for o in occasions:
                assert o.outcomes is not None
                order = o.p[own] if score == "model" and own in o.p else o.scores[score][1]
                values.append(Board(order, np.ones(o.n)).auc(o.outcomes[label])[0])
            y = _stack(occasions, [o.outcomes[label] for o in occasions if o.outcomes])
            rate = float(y.mean()) if len(y) else float("nan")
            mean = float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")
            row = {
                "what": title,
                "label": label,
                "score": score,
                "auc": _figure(mean),
                "base_rate": _figure(rate),
            }
            if score == "model" and own in occasions[0].p:
                p = _stack(occasions, [o.p[own] for o in occasions])
                row |= {k: _figure(v) for k, v in metrics.calibration(p, y, np.ones(len(y))).items()}
            rows.append(row)
    return rows


def _oracle(occasions: Sequence[Occasion]) -> list[dict[str, Any]]:
    """The oracle's expected recorded harm summed over a score's top K, over the same for the oracle's own top K."""
    rows: list[dict[str, Any]] = []
    pool: dict[str, list[Array]] = {}
    for o in occasions:
        assert o.oracle is not None
        ones = np.ones(o.n)
        best = np.array([Board(o.oracle, ones).top(o.oracle, _share(k, o.n))[0][0] for _, k in PLACES])
        for score, (place, _) in o.scores.items():
            board = Board(place, ones)
            got = np.array([board.top(o.oracle, _share(k, o.n))[0][0] for _, k in PLACES])
            pool.setdefault(score, []).append(np.array([got, best]))
            rows.append({"t": _name(o), "score": score, "n": o.n, **_ratios(got, best)})
    for score, parts in pool.items():
        got, best = np.sum(parts, axis=0)
        rows.append({"t": "pooled", "score": score, "dates": len(parts), **_ratios(got, best)})
    return rows


def _ratios(got: Array, best: Array) -> dict[str, float | None]:
    return {
        f"ratio_{name}": _figure(g / b) if b > 0 else None
        for (name, _), g, b in zip(PLACES, got, best, strict=True)
    }

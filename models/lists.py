"""What a list is like to work with: how much warning it gives, how steady it is, what it rests on, what knows too much.

Places are counted as in every table: K is a share of the cohort, and persons tied at the cut hold equal parts of the
places that remain, so that a rule which cannot tell people apart gains nothing from the order of their ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from models import metrics, parts
from models.metrics import Board
from models.ranking import PLACES, figure, share_of
from models.scorer import held_back, sigmoid
from models.transforms import LANES, padded

if TYPE_CHECKING:
    from models.compare import Occasion

Array = npt.NDArray[np.float64]
LEAK_AUC = 0.85
"""Above this among persons active in the last 365 days a run is marked leak-suspect (domain 1.4: honest police data
give .70-.77)."""
STEPS: tuple[tuple[str, float, float], ...] = (("week", 6.0, 8.0), ("month", 27.0, 32.0))
"""Steps between two lists whose overlap is shown: name, fewest and most days."""
SOON = (7, 30)
"""Days within which a warning may come too late to act on."""


# --- how much warning -----------------------------------------------------------------------------------------


def lead_time(occasions: Sequence[Occasion]) -> list[dict[str, Any]]:
    """Days from a list to the first serious harm by those on it who did any, for each score and K, all T together.

    Every list speaks for itself: a person on six lists counts six times. Rows: score, k, cases (persons on lists who
    did serious harm; tied persons count in part), median, lower and upper quartile in days, and the share whose harm
    came within a week or a month of the list.
    """
    pool: dict[tuple[str, str], list[tuple[Array, Array]]] = {}
    for o in occasions:
        if o.outcomes is None or "serious_day" not in o.outcomes:
            continue
        days = o.outcomes["serious_day"]
        harmed = o.outcomes["serious"] > 0
        for score, (place, _) in o.scores.items():
            board = Board(place, np.ones(o.n))
            for k, places in PLACES:
                share = board.listed(share_of(places, o.n))
                pool.setdefault((score, k), []).append((days[harmed], share[harmed]))
    rows = []
    for (score, k), members in pool.items():
        days, share = (np.concatenate([m[j] for m in members]) for j in (0, 1))
        cases = float(share.sum())
        row: dict[str, Any] = {"score": score, "k": k, "cases": figure(cases)}
        quartiles = weighted_quantiles(days, share, (0.5, 0.25, 0.75))
        row |= dict(zip(("median_days", "lower_days", "upper_days"), map(figure, quartiles), strict=True))
        for soon in SOON:
            late = float(share[days <= soon].sum()) / cases if cases else float("nan")
            row[f"within_{soon}"] = figure(late)
        rows.append(row)
    return rows


def weighted_quantiles(values: Array, weight: Array, at: Sequence[float]) -> list[float]:
    """Smallest value at or below which at least the share ``at`` of the weight lies; NaN without weight."""
    order = np.argsort(values, kind="stable")
    upto = np.cumsum(weight[order])
    if not len(values) or upto[-1] <= 0:
        return [float("nan")] * len(at)
    return [float(values[order][min(int(np.searchsorted(upto, q * upto[-1])), len(values) - 1)]) for q in at]


# --- how steady -----------------------------------------------------------------------------------------------


def stability(occasions: Sequence[Occasion]) -> list[dict[str, Any]]:
    """How much of a list stays on the next one, a week or a month later, for each score and K.

    ``occasions`` in any order; those a week (or a month) apart are compared. Rows: score, step, k, pairs, kept (share
    of the places that the same persons hold next time), jaccard, rbo (rank-biased overlap of the first hundred places,
    for scores that put people in an order; null for rules with many ties).
    """
    ordered = sorted(occasions, key=lambda o: o.t)
    pool: dict[tuple[str, str, str], list[tuple[float, float, float]]] = {}
    for i, first in enumerate(ordered):
        for later in ordered[i + 1 :]:
            gap = (later.t - first.t).total_seconds() / 86_400
            step = next((name for name, low, high in STEPS if low <= gap <= high), None)
            for score in first.scores if step else ():
                if score in later.scores:
                    _compare_lists(first, later, score, str(step), pool)
    rows = []
    for (score, step, k), values in pool.items():
        kept, jaccard, rbo = np.mean(np.array(values), axis=0)
        row = {"score": score, "step": step, "k": k, "pairs": len(values), "kept": figure(kept)}
        rows.append({**row, "jaccard": figure(jaccard), "rbo": figure(rbo)})
    return rows


def _compare_lists(
    first: Occasion,
    later: Occasion,
    score: str,
    step: str,
    pool: dict[tuple[str, str, str], list[tuple[float, float, float]]],
) -> None:
    boards = [Board(o.scores[score][0], np.ones(o.n)) for o in (first, later)]
    people = [o.persons.to_list() for o in (first, later)]
    rbo = float("nan")
    depth = min(100, *(o.n for o in (first, later)))
    if all(len(b.starts) > 0.9 * b.n for b in boards):  # hardly a tie: there is an order to speak of
        top = [[who[r] for r in b.order[:depth]] for b, who in zip(boards, people, strict=True)]
        rbo = metrics.rank_overlap(top[0], top[1], depth)
    for k, places in PLACES:
        lists = [
            {who[r]: float(share[r]) for r in np.flatnonzero(share)}
            for b, who in zip(boards, people, strict=True)
            for share in [b.listed(share_of(places, b.n))]
        ]
        pool.setdefault((score, step, k), []).append((*metrics.overlap(*lists), rbo))


# --- what it rests on -----------------------------------------------------------------------------------------


def by_family(doc: Mapping[str, Any], frame: pl.DataFrame) -> list[dict[str, Any]]:
    """What of a model's list each feature family explains at one T: rows of family, k, leads, alone, without.

    ``leads``: share of the places held by persons for whom the family adds more than any other (against the average
    of the cohort). ``alone``: share of the list that would be on it if this family alone told people apart, the others
    held at the cohort's average. ``without``: share that stays when this family is held at that average. Empty for a
    model whose parts do not add up (trees).
    """
    heads = {name: parts.part(doc["heads"][name]) for name in ("serious", "other")}
    if not frame.height or not all(head.additive for head in heads.values()):
        return []
    named = {entry["column"]: entry["family"] or "other" for entry in doc["dictionary"]}
    n = frame.height
    adds: dict[str, dict[str, Array]] = {}
    means: dict[str, float] = {}
    for name, head in heads.items():
        shares = head.shares(lambda column: padded(frame, column), _whole(n))
        grouped: dict[str, Array] = {}
        for column, values in shares.items():
            key = named.get(column, "other")
            grouped[key] = grouped.get(key, np.zeros(n)) + values[:n]
        means[name] = head.intercept + sum(float(v.mean()) for v in grouped.values())
        adds[name] = {key: v - v.mean() for key, v in grouped.items()}
    families = sorted({key for grouped in adds.values() for key in grouped})

    def place(keys: Sequence[str]) -> Array:
        z = {}
        for name, grouped in adds.items():
            total = np.full(n, means[name])
            for key in keys:
                total = total + grouped.get(key, 0.0)
            z[name] = held_back(total, doc["heads"][name].get("tail"))
        p, q = sigmoid(z["serious"]), sigmoid(z["other"])
        harm = doc["harm_parts"]
        return np.asarray(p * float(harm["serious_days"]) + (1.0 - p) * q * float(harm["other_days"]))

    whole = Board(place(families), np.ones(n))
    most = _leading(adds["serious"], families, n)
    alone = {key: Board(place([key]), np.ones(n)) for key in families}
    rest = {key: Board(place([f for f in families if f != key]), np.ones(n)) for key in families}
    rows = []
    for k, places in PLACES:
        share = share_of(places, n)
        listed = whole.listed(share)
        size = listed.sum()
        for i, key in enumerate(families):
            rows.append(
                {
                    "family": key,
                    "k": k,
                    "leads": float(listed[most == i].sum() / size),
                    "alone": float(listed @ alone[key].listed(share) / size),
                    "without": float(listed @ rest[key].listed(share) / size),
                }
            )
    return rows


def _leading(adds: Mapping[str, Array], families: Sequence[str], n: int) -> npt.NDArray[np.intp]:
    """Index of the family that adds most for each person; -1 where none adds anything."""
    table = np.stack([adds.get(key, np.zeros(n)) for key in families]) if families else np.zeros((1, n))
    return np.asarray(np.where(table.max(axis=0) > 0, table.argmax(axis=0), -1))


def _whole(n: int) -> int:
    return -(-max(n, 1) // LANES) * LANES


def explained_by(occasions: Sequence[Occasion]) -> list[dict[str, Any]]:
    """:func:`by_family` averaged over the T, families that lead most first."""
    pool: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for o in occasions:
        for row in o.families:
            pool.setdefault((row["k"], row["family"]), []).append(
                (row["leads"], row["alone"], row["without"])
            )
    rows = []
    for (k, family), found in pool.items():
        leads, alone, without = np.mean(np.array(found), axis=0)
        row = {"k": k, "family": family, "dates": len(found), "leads": figure(leads)}
        rows.append({**row, "alone": figure(alone), "without": figure(without)})
    order = [k for k, _ in PLACES]
    return sorted(rows, key=lambda r: (order.index(r["k"]), -(r["leads"] or 0.0), r["family"]))


# --- what knows too much ------------------------------------------------------------------------------------


def alone_auc(frame: pl.DataFrame, columns: Sequence[str], y: Array) -> dict[str, float]:
    """What each column alone tells of the outcome: AUC, whichever way it points (0.5-1), nulls put at whichever end
    tells more. Columns that do not vary are left out; empty where one class is absent."""
    out: dict[str, float] = {}
    if not 0 < y.sum() < len(y):
        return out
    ones = np.ones(len(y))
    for column in columns:
        values = frame[column].cast(pl.Float64).to_numpy()
        null = np.isnan(values)
        known = values[~null]
        if not known.size or (not null.any() and known.min() == known.max()):
            continue
        fills = (known.min() - 1.0, known.max() + 1.0) if null.any() else (0.0,)
        found = [float(Board(np.where(null, fill, values), ones).auc(y)[0]) for fill in fills]
        out[column] = max(max(a, 1.0 - a) for a in found)
    return out


def leak(
    occasions: Sequence[Occasion], ranking: Sequence[Mapping[str, Any]], texts: Mapping[str, str]
) -> dict[str, Any]:
    """Whether the run is leak-suspect, and which columns alone know most of who did serious harm, pooled over the T
    (among persons active in the last 365 days).

    ``suspect``, ``auc`` (the model's), ``feature``, ``feature_auc``, ``columns`` (the five that know most: column,
    auc), ``text``.
    """
    row = next(
        (r for r in ranking if r["t"] == "pooled" and r["cohort"] == "active_365" and r["score"] == "model"),
        None,
    )
    auc = row["auc"] if row else None
    known: dict[str, list[float]] = {}
    for o in occasions:
        for column, value in o.alone.items():
            known.setdefault(column, []).append(value)
    most = sorted(((float(np.mean(v)), c) for c, v in known.items()), key=lambda pair: (-pair[0], pair[1]))[
        :5
    ]
    suspect = bool(auc is not None and auc > LEAK_AUC)
    feature_auc, feature = most[0] if most else (None, None)
    return {
        "suspect": suspect,
        "auc": auc,
        "feature": feature,
        "feature_auc": None if feature_auc is None else figure(feature_auc),
        "columns": [{"column": c, "auc": figure(a)} for a, c in most],
        "text": _leak_words(auc, suspect, feature, feature_auc, texts),
    }


def _leak_words(
    auc: float | None, suspect: bool, feature: str | None, feature_auc: float | None, texts: Mapping[str, str]
) -> str:
    if auc is None:
        return "nobody active in the last 365 days to judge by"
    said = f"AUC {auc:.3f} among persons active in the last 365 days, {'above' if suspect else 'not above'} {LEAK_AUC}"
    if feature is None or feature_auc is None:
        return said
    words = f"{feature} ({texts.get(feature, feature)})"
    if not suspect:
        return f"{said}; the column that alone tells most is {words}: {feature_auc:.3f}"
    if feature_auc > LEAK_AUC:
        return f"{said}; {words} alone gives {feature_auc:.3f}: ask how it can know that before T"
    return f"{said}; no column alone passes {LEAK_AUC}, the most is {words} with {feature_auc:.3f}"

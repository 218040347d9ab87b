"""What a score is made of, checked against shap, and how steady its reasons are.

Officers read exact sums (``Scorer.contributions``). This module serves the report: it holds those sums against shap's
own values where shap has an exact method, gives SHAP values for the challenger of trees (whose parts act together, so
that no officer reads them), and measures whether a person's top reasons stay the same when the model is learnt from
other people or at another date.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from models import settings
from models.intervals import refit_heads
from models.parts import part
from models.transforms import LANES, Array, Term, design, padded

TOLERANCE = 1e-6
"""Largest difference, in log-odds, at which sums are said to hold."""


@dataclass(frozen=True)
class Check:
    """One comparison: how it was made, over how many persons, and the largest difference in log-odds."""

    method: str
    persons: int
    gap: float

    @property
    def holds(self) -> bool:
        return self.gap <= TOLERANCE

    def sentence(self) -> str:
        """The comparison in words, for the report."""
        verdict = "the sums hold" if self.holds else "THE SUMS DO NOT HOLD"
        return (
            f"{self.method}, {self.persons} persons: largest difference {self.gap:.1e} log-odds; {verdict}."
        )


def checks(doc: Mapping[str, Any], frame: pl.DataFrame) -> list[Check]:
    """Every comparison there is for the kind of the main head, on the persons of ``frame`` (key and history columns).

    Any additive kind: contributions add up to the log-odds. ``linear``: each contribution equals shap's
    ``LinearExplainer`` (background: the average training row). ``trees``: shap's ``TreeExplainer`` adds up to the
    score.
    """
    head = doc["heads"]["serious"]
    z = _log_odds(head, frame)
    if head["kind"] == "trees":
        base, values = tree_shap(head, frame)
        gap = _largest(base + values.to_numpy().sum(axis=1) - z)
        return [Check("SHAP values of the trees (TreeExplainer) against the score", frame.height, gap)]
    found = contributions(doc, frame)
    sums = float(head["intercept"]) + found.to_numpy().sum(axis=1)
    out = [Check("Contributions added up against the score", frame.height, _largest(sums - z))]
    if head["kind"] == "linear":
        theirs = linear_shap(head, frame)
        gap = max((_largest(found[c].to_numpy() - theirs[c].to_numpy()) for c in found.columns), default=0.0)
        out.append(Check("Contributions against shap's LinearExplainer", frame.height, gap))
    return out


def contributions(doc: Mapping[str, Any], frame: pl.DataFrame) -> pl.DataFrame:
    """Rows x columns of the main head: what each adds to a person's log-odds, before the far end is held back.

    Exact for additive kinds, SHAP values for trees.
    """
    head = doc["heads"]["serious"]
    if head["kind"] == "trees":
        return tree_shap(head, frame)[1]
    return _shares(head, frame)


def linear_shap(head: Mapping[str, Any], frame: pl.DataFrame) -> pl.DataFrame:
    """shap's values for a linear head, terms added up by column."""
    import shap

    terms = [Term(**{k: v for k, v in t.items() if k != "weight"}) for t in head["terms"]]
    weights = np.array([t["weight"] for t in head["terms"]], dtype=np.float64)
    if not terms:
        return pl.DataFrame()
    x = design(frame, terms)
    background = np.zeros((1, len(terms)))  # terms are centred: zero is the average training row
    explainer = shap.LinearExplainer((weights, float(head["intercept"])), background)
    values = np.asarray(explainer.shap_values(x)).reshape(x.shape)
    out: dict[str, Array] = {}
    for j, term in enumerate(terms):
        out[term.column] = out.get(term.column, np.zeros(frame.height)) + values[:, j]
    return pl.DataFrame(out)


def tree_shap(head: Mapping[str, Any], frame: pl.DataFrame) -> tuple[float, pl.DataFrame]:
    """shap's values for a head of trees (path-dependent, Lundberg and others 2020): the base, and rows x columns.

    Nodes weigh as many as the persons of ``frame`` that pass them, so that the base is their average score.
    """
    import shap

    columns = list(head["columns"])
    if not head["trees"]:
        return float(head["intercept"]), pl.DataFrame({c: np.zeros(frame.height) for c in columns})
    x = np.stack([padded(frame, c)[: frame.height] for c in columns], axis=1)
    model = {
        "trees": [_shap_tree(tree, x) for tree in head["trees"]],
        "base_offset": float(head["intercept"]),
    }
    explainer = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent")
    values = np.asarray(explainer.shap_values(x, check_additivity=False)).reshape(x.shape)
    base = float(np.ravel(explainer.expected_value)[0])
    return base, pl.DataFrame(dict(zip(columns, values.T, strict=True)))


def _shap_tree(tree: Mapping[str, Any], x: Array) -> dict[str, npt.NDArray[Any]]:
    """A tree of the document as shap reads one, with the number of rows of ``x`` at each node."""
    feature, left, right = (np.array(tree[name], dtype=np.int64) for name in ("feature", "left", "right"))
    threshold, value = np.array(tree["threshold"], np.float64), np.array(tree["value"], np.float64)
    missing_left, leaf = np.array(tree["missing_left"], dtype=bool), feature < 0
    passed, node, rows = np.zeros(len(feature)), np.zeros(len(x), dtype=np.int64), np.arange(len(x))
    passed[0] = len(x)
    moving = rows[~leaf[node]]
    while moving.size:
        here = node[moving]
        at = x[moving, feature[here]]
        goes = np.where(np.isnan(at), missing_left[here], at <= threshold[here])
        node[moving] = np.where(goes, left[here], right[here])
        passed += np.bincount(node[moving], minlength=len(passed))
        moving = moving[~leaf[node[moving]]]
    return {
        "children_left": np.where(leaf, -1, left),
        "children_right": np.where(leaf, -1, right),
        "children_default": np.where(leaf, -1, np.where(missing_left, left, right)),
        "features": np.where(leaf, -2, feature),
        "thresholds": threshold,
        "values": value.reshape(-1, 1),
        # A node nobody of the frame passes weighs next to nothing, and not nothing: shap divides by it.
        "node_sample_weight": np.maximum(passed, 1e-6),
    }


# --- do the reasons stay the same? ---------------------------------------------------------------------------


def stability(doc: Mapping[str, Any], frame: pl.DataFrame) -> list[dict[str, Any]]:
    """How a person's top reasons hold when the model is learnt from other people: one row, for the persons of
    ``frame`` with the highest scores (as many as ``intervals.toml`` says), over the refits that the document keeps
    (none: no row).

    ``first_same``: share of persons and refits whose strongest reason is the model's; ``three_shared``: of the model's
    three strongest, the mean share among the refit's three strongest. A reason is a family of the dictionary; what is
    sensitive is none.
    """
    heads = refit_heads(doc)
    if not heads:
        return []
    head = doc["heads"]["serious"]
    top = _top(frame, _log_odds(head, frame))
    own = _reasons(_shares(head, top), doc)
    found = [agreement(own, _reasons(_shares(one, top), doc)) for one in heads]
    return [{"between": f"{len(heads)} refits on other people", "persons": top.height, **_mean(found)}]


def between(doc: Mapping[str, Any], other: Mapping[str, Any], frame: pl.DataFrame) -> dict[str, Any]:
    """As :func:`stability`, between two models: the same persons, at the same moment, explained by each."""
    top = _top(frame, _log_odds(doc["heads"]["serious"], frame))
    pair = [_reasons(_shares(one["heads"]["serious"], top), one) for one in (doc, other)]
    return {"between": f"{doc.get('version', 'one')} and {other.get('version', 'another')}", "persons": top.height,
            **agreement(*pair)}  # fmt: skip


def agreement(own: Sequence[Sequence[str]], other: Sequence[Sequence[str]]) -> dict[str, float | None]:
    """Of two lists of top reasons, person by person: share with the same first, and mean share of the three kept.

    Persons without any reason in the first list are left out; null when nobody has one.
    """
    pairs = [(set(a), a, b) for a, b in zip(own, other, strict=True) if a]
    if not pairs:
        return {"first_same": None, "three_shared": None}
    first = [float(bool(b) and a[0] == b[0]) for _, a, b in pairs]
    kept = [len(mine & set(b)) / len(mine) for mine, _, b in pairs]
    return {"first_same": float(np.mean(first)), "three_shared": float(np.mean(kept))}


def _reasons(shares: pl.DataFrame, doc: Mapping[str, Any], number: int = 3) -> list[list[str]]:
    """The families that raise each person's score, the strongest first."""
    families: dict[str, list[str]] = {}
    for entry in doc["dictionary"]:
        if entry["column"] in shares.columns and not entry["sensitive"]:
            families.setdefault(entry["family"], []).append(entry["column"])
    if not families:
        return [[] for _ in range(shares.height)]
    names = sorted(families)
    sums = np.stack([shares.select(families[n]).to_numpy().sum(axis=1) for n in names], axis=1)
    least = float(settings.load("intervals")["reasons"]["ignore"])
    order = np.argsort(-sums, axis=1, kind="stable")[:, :number]
    return [[names[j] for j in row if sums[i, j] > least] for i, row in enumerate(order)]


def _top(frame: pl.DataFrame, z: Array) -> pl.DataFrame:
    most = int(settings.load("intervals")["reasons"]["persons"])
    return frame[np.argsort(-z, kind="stable")[:most].tolist()]


def _mean(found: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """Means over the refits; persons are the same in all, so that either every one of them has a figure or none."""
    known = {name: [value for one in found if (value := one[name]) is not None] for name in found[0]}
    return {name: float(np.mean(values)) if values else None for name, values in known.items()}


def _shares(head: Mapping[str, Any], frame: pl.DataFrame) -> pl.DataFrame:
    n = frame.height
    found = part(head).shares(lambda column: padded(frame, column), _length(frame))
    return pl.DataFrame({column: values[:n] for column, values in found.items()})


def _log_odds(head: Mapping[str, Any], frame: pl.DataFrame) -> Array:
    return part(head).log_odds(lambda column: padded(frame, column), _length(frame))[: frame.height]


def _length(frame: pl.DataFrame) -> int:
    return -(-max(frame.height, 1) // LANES) * LANES


def _largest(differences: Array) -> float:
    return float(np.abs(differences).max(initial=0.0))

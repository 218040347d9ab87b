"""A fitted head as plain data, and the numbers it gives: one class a kind, numpy only.

Kinds (the model document holds nothing else that scores):

- ``linear``  intercept + sum of weight x transformed column (``models.transforms``);
- ``points``  intercept + per_point x whole points that can be added up on paper;
- ``tables``  intercept + one number a column, looked up by where its value falls (pairs of columns: by both);
- ``trees``   intercept + sum of the leaves reached: the challenger, which no list may rest on.

Values come as float64 with NaN for null, padded to whole lanes. Every operation is element-wise and added in the
document's order, so that one person alone and the same person among many get the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from features.errors import InputError
from models.transforms import LANES, Array, Term, Terms

Get = Callable[[str], Array]
"""Column -> its values, NaN for null, a whole number of lanes long."""


class Part(Protocol):
    """What scores one head."""

    columns: list[str]
    additive: bool
    intercept: float

    def log_odds(self, get: Get, length: int) -> Array:
        """Log-odds before the far end is held back."""

    def shares(self, get: Get, length: int) -> dict[str, Array]:
        """What each column adds; with the intercept they sum to :meth:`log_odds`. InputError when not additive."""


def part(head: Mapping[str, Any]) -> Part:
    """The scoring part of a head of the document. Raises InputError for a kind this version does not know."""
    kind = head.get("kind")
    if kind not in KINDS:
        raise InputError(
            f"The model document has a head of kind {kind!r}; this version reads {', '.join(KINDS)}.",
            where="model.json: heads",
            cure="Train the model again with this version.",
        )
    made = KINDS[kind](head)
    return Fixed(made, head["fixed"]) if head.get("fixed") else made


class Linear:
    """Weighted transformed columns."""

    additive = True

    def __init__(self, head: Mapping[str, Any]) -> None:
        self.intercept = float(head["intercept"])
        self.terms = [Term(**{k: v for k, v in t.items() if k != "weight"}) for t in head["terms"]]
        self.weights = np.array([t["weight"] for t in head["terms"]], dtype=np.float64)
        self.columns = list(dict.fromkeys(t.column for t in self.terms))
        place = {column: n for n, column in enumerate(self.columns)}
        self._together = Terms(self.terms, [place[t.column] for t in self.terms])

    def log_odds(self, get: Get, length: int) -> Array:
        if (
            length == LANES and self.terms
        ):  # all terms at once: for few rows a term at a time costs more than its sums
            x = self._together.apply(np.stack([get(c) for c in self.columns]))
            parts = np.empty((len(self.terms) + 1, LANES))
            parts[0] = self.intercept
            np.multiply(x, self.weights[:, None], out=parts[1:])
            return np.asarray(np.add.accumulate(parts)[-1])
        total = np.full(length, self.intercept)
        for term, weight in zip(self.terms, self.weights, strict=True):
            total += weight * term.apply(get(term.column))
        return total

    def shares(self, get: Get, length: int) -> dict[str, Array]:
        out: dict[str, Array] = {}
        for term, weight in zip(self.terms, self.weights, strict=True):
            out[term.column] = out.get(term.column, np.zeros(length)) + weight * term.apply(get(term.column))
        return out


class Points:
    """Whole points for facts that hold: ``at_least`` a cut, ``below`` it, or ``missing``."""

    additive = True

    def __init__(self, head: Mapping[str, Any]) -> None:
        self.intercept, self.per_point = float(head["intercept"]), float(head["per_point"])
        self.items = list(head["items"])
        self.columns = list(dict.fromkeys(item["column"] for item in self.items))

    def points(self, get: Get, length: int) -> Array:
        """The sum an officer would reach with a pencil."""
        total = np.zeros(length)
        for item in self.items:
            total += float(item["points"]) * _holds(item, get(item["column"]))
        return total

    def log_odds(self, get: Get, length: int) -> Array:
        return self.intercept + self.per_point * self.points(get, length)

    def shares(self, get: Get, length: int) -> dict[str, Array]:
        out: dict[str, Array] = {}
        for item in self.items:
            share = self.per_point * float(item["points"]) * _holds(item, get(item["column"]))
            out[item["column"]] = out.get(item["column"], np.zeros(length)) + share
        return out


def _holds(item: Mapping[str, Any], values: Array) -> Array:
    null = np.isnan(values)
    if item.get("missing"):
        return null.astype(np.float64)
    if "below" in item:
        return np.where(null, 0.0, (values < float(item["below"])).astype(np.float64))
    return np.where(null, 0.0, (values >= float(item["at_least"])).astype(np.float64))


class Tables:
    """A number a column, or a pair of columns, by where the value falls."""

    additive = True

    def __init__(self, head: Mapping[str, Any]) -> None:
        self.intercept = float(head["intercept"])
        self.tables = [
            (
                list(t["columns"]),
                [np.array(c, dtype=np.float64) for c in t["cuts"]],
                np.array(t["scores"], np.float64),
            )
            for t in head["tables"]
        ]
        self.columns = list(dict.fromkeys(c for columns, _, _ in self.tables for c in columns))

    def log_odds(self, get: Get, length: int) -> Array:
        total = np.full(length, self.intercept)
        for columns, cuts, scores in self.tables:
            total += scores[self._place(columns, cuts, get)]
        return total

    def shares(self, get: Get, length: int) -> dict[str, Array]:
        out: dict[str, Array] = {}
        for columns, cuts, scores in self.tables:
            share = scores[self._place(columns, cuts, get)] / len(columns)
            for column in columns:
                out[column] = out.get(column, np.zeros(length)) + share
        return out

    @staticmethod
    def _place(columns: list[str], cuts: list[Array], get: Get) -> tuple[npt.NDArray[np.intp], ...]:
        return tuple(_bin(get(column), edges) for column, edges in zip(columns, cuts, strict=True))


def _bin(values: Array, cuts: Array) -> npt.NDArray[np.intp]:
    """0 for a null, else one more than the number of cuts at or below the value."""
    found = np.searchsorted(cuts, values, side="right") + 1
    found[np.isnan(values)] = 0
    return np.asarray(found)


class Trees:
    """Sum of the leaves a person reaches."""

    additive = False

    def __init__(self, head: Mapping[str, Any]) -> None:
        self.intercept, self.columns = float(head["intercept"]), list(head["columns"])
        self.trees = [
            (
                np.array(t["feature"], dtype=np.intp),
                np.array(t["threshold"], dtype=np.float64),
                np.array(t["missing_left"], dtype=bool),
                np.array(t["left"], dtype=np.intp),
                np.array(t["right"], dtype=np.intp),
                np.array(t["value"], dtype=np.float64),
            )
            for t in head["trees"]
        ]

    def log_odds(self, get: Get, length: int) -> Array:
        x = np.stack([get(c) for c in self.columns], axis=1) if self.columns else np.zeros((length, 1))
        total, rows = np.full(length, self.intercept), np.arange(length)
        for feature, threshold, missing_left, left, right, value in self.trees:
            node = np.zeros(length, dtype=np.intp)
            while (feature[node] >= 0).any():
                at = x[rows, np.maximum(feature[node], 0)]
                goes = np.where(np.isnan(at), missing_left[node], at <= threshold[node])
                node = np.where(feature[node] >= 0, np.where(goes, left[node], right[node]), node)
            total += value[node]
        return total

    def shares(self, get: Get, length: int) -> dict[str, Array]:
        raise InputError(
            "A model of trees has no exact contributions: its parts act together.",
            where="model.json: heads",
            cure="Explain an additive model; the challenger's SHAP values are in its report.",
        )


class Fixed:
    """A part some of whose columns are not read from the person: a number, nothing, or another column's value."""

    def __init__(self, inner: Part, fixed: Mapping[str, Any]) -> None:
        self.inner, self.fixed = inner, dict(fixed)
        self.additive, self.intercept = inner.additive, inner.intercept
        read = [c for c in inner.columns if c not in self.fixed]
        read += [v["column"] for c, v in self.fixed.items() if c in inner.columns and isinstance(v, Mapping)]
        self.columns = list(dict.fromkeys(read))

    def _get(self, get: Get, length: int) -> Get:
        def value(column: str) -> Array:
            if column not in self.fixed:
                return get(column)
            given = self.fixed[column]
            if isinstance(given, Mapping):
                return get(given["column"])
            return np.full(length, np.nan if given is None else float(given))

        return value

    def log_odds(self, get: Get, length: int) -> Array:
        return self.inner.log_odds(self._get(get, length), length)

    def shares(self, get: Get, length: int) -> dict[str, Array]:
        return self.inner.shares(self._get(get, length), length)


KINDS: dict[str, Callable[[Mapping[str, Any]], Part]] = {
    "linear": Linear,
    "points": Points,
    "tables": Tables,
    "trees": Trees,
}


def scaled(head: Mapping[str, Any], intercept: float, slope: float) -> dict[str, Any]:
    """The head whose log-odds are ``intercept + slope x`` those of ``head``: a recalibration, written into it."""
    out = {**head, "intercept": intercept + slope * float(head["intercept"])}
    if head["kind"] == "linear":
        out["terms"] = [{**t, "weight": slope * t["weight"]} for t in head["terms"]]
    elif head["kind"] == "points":
        out["per_point"] = slope * head["per_point"]
    elif head["kind"] == "tables":
        out["tables"] = [{**t, "scores": (slope * np.array(t["scores"])).tolist()} for t in head["tables"]]
    else:
        out["trees"] = [{**t, "value": (slope * np.array(t["value"])).tolist()} for t in head["trees"]]
    return out


def without(
    head: Mapping[str, Any], columns: set[str], means: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """The head with what ``columns`` add left out: those facts held at their average.

    Terms of a linear head and tables are centred in training, so that leaving them out does that. Points are not: they
    leave their mean share (``means``, column -> mean share in log-odds; absent: zero) in the intercept.
    """
    moved = sum((means or {}).get(c, 0.0) for c in columns)
    out = {**head, "intercept": float(head["intercept"]) + moved}
    if head["kind"] == "linear":
        out["terms"] = [t for t in head["terms"] if t["column"] not in columns]
    elif head["kind"] == "points":
        out["items"] = [i for i in head["items"] if i["column"] not in columns]
    elif head["kind"] == "tables":
        out["tables"] = [t for t in head["tables"] if not columns & set(t["columns"])]
    else:
        raise InputError(
            "A column cannot be taken out of a model of trees without fitting it again.",
            where="model.json: heads",
            cure="Train it without the column.",
        )
    return out

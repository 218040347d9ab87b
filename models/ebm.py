"""Explainable boosting machine: one curve a column, learnt by boosting, added up (Lou, Caruana and Gehrke 2012).

interpret-core fits it; what is kept is a table a column: cuts, and the log-odds added between them. Nothing acts
together, so that contributions are exact; a column with a declared direction has a curve that never turns; a missing
value has a step of its own.

An EBM is an average of fits (bags). Here each bag leaves out one fold of *persons*, and stops when it gains nothing
more on them. The same bag then gives the held-out predictions of that fold: of the persons judged it knows when to
stop, as an elastic net knows its penalty, and nothing else.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from models.families import Family
from models.transforms import Array

Folds = npt.NDArray[np.int64]


class Ebm(Family):
    """Explainable boosting machine of single columns; ``head()`` is of kind ``tables``."""

    name: ClassVar[str] = "ebm"
    title: ClassVar[str] = "Explainable boosting machine"

    def _learn(self, X: pl.DataFrame, y: Array, weight: Array, groups: pl.Series | None) -> None:
        """Screen the columns, then one bag a fold of persons."""
        self._boost(X, y, weight, self._folds(len(y), groups, int(self.config["bags"])))

    def cross_fit(
        self, X: pl.DataFrame, y: Array, weight: Array, fold: Folds, X_new: pl.DataFrame, fold_new: Folds
    ) -> tuple[Family, Array, Array]:
        """As the family's, but the bags serve both: fold ``k`` is predicted by the bag that left it out."""
        self._boost(X, y, weight, fold)
        z, z_new = np.zeros(X.height), np.zeros(X_new.height)
        for bag, k in enumerate(self.folds_):
            for frame, out, mask in ((X, z, fold == k), (X_new, z_new, fold_new == k)):
                out[mask] = self._of_bag(bag, frame.filter(pl.Series(mask)))
        return self, z, z_new

    def library_log_odds(self, X: pl.DataFrame) -> Array:
        """What interpret itself answers: the check on the exported tables."""
        return np.asarray(self.model_.decision_function(_matrix(X, self.columns_)), dtype=np.float64)

    def _boost(self, X: pl.DataFrame, y: Array, weight: Array, fold: Folds) -> None:
        """Fit one bag a fold, without it and stopped on it; rows of fold -1 are in every bag."""
        from interpret.glassbox import ExplainableBoostingClassifier

        config = self.config
        y = np.asarray(y, dtype=np.int64)
        if not 0 < y.sum() < len(y):
            raise ValueError("both classes are needed")
        self.columns_ = self._screened(X, y, weight)
        self.folds_ = sorted(set(fold.tolist()) - {-1})
        if not self.columns_:
            rate = float(np.average(y, weights=weight))
            self.head_ = _flat(rate)
            return
        limits = self.directions or {}
        bags = np.stack([np.where(fold == k, -1, 1) for k in self.folds_], axis=1).astype(np.int8)
        self.model_ = ExplainableBoostingClassifier(
            feature_names=self.columns_,
            feature_types=["continuous"] * len(self.columns_),
            interactions=0,
            outer_bags=len(self.folds_),
            max_bins=int(config["max_bins"]),
            learning_rate=float(config["learning_rate"]),
            max_rounds=int(config["max_rounds"]),
            smoothing_rounds=int(config["smoothing_rounds"]),
            early_stopping_rounds=int(config["early_stopping_rounds"]),
            min_samples_leaf=int(config["min_samples_leaf"]),
            max_leaves=int(config["max_leaves"]),
            monotone_constraints=[int(limits.get(c, 0)) for c in self.columns_],
            missing="separate",
            n_jobs=1,
            random_state=self.seed,
        )
        with (
            warnings.catch_warnings()
        ):  # that the library's own charts leave a missing value out: ours do not
            warnings.filterwarnings("ignore", message="Missing values detected")
            self.model_.fit(_matrix(X, self.columns_), y, sample_weight=weight, bags=bags)
        self.head_ = {
            "kind": "tables",
            "intercept": float(np.ravel(self.model_.intercept_)[0]),
            "tables": self._tables(self.model_.term_scores_),
        }

    def _screened(self, X: pl.DataFrame, y: Array, weight: Array) -> list[str]:
        """The columns that alone tell most, in the order of ``shapes``; a period is the first to be taken."""
        shapes, most = self.shapes or {}, int(self.config["columns"])
        told = {c: _told(_matrix(X, [c])[:, 0], y, weight, int(self.config["screen_bins"])) for c in shapes}
        ranked = sorted(told, key=lambda c: (shapes[c] != "period", -told[c], c))[:most]
        ranked = [c for c in ranked if told[c] > 0.0]
        return [c for c in shapes if c in set(ranked)]

    def _tables(self, scores: Any) -> list[dict[str, Any]]:
        """Cuts and scores of each term; the library's last score is for values it cannot read, which ours cannot be."""
        out = []
        for term, (feature,) in enumerate(self.model_.term_features_):
            cuts = [float(c) for c in self.model_.bins_[feature][0]]
            values = [float(s) for s in scores[term][: len(cuts) + 2]]
            if any(values):
                out.append({"columns": [self.columns_[feature]], "cuts": [cuts], "scores": values})
        return out

    def _of_bag(self, bag: int, X: pl.DataFrame) -> Array:
        """Log-odds of one bag alone."""
        from models.parts import part
        from models.transforms import padded

        if not X.height or not self.columns_:
            return np.full(X.height, self.head_["intercept"])
        scores = [s[bag] for s in self.model_.bagged_scores_]
        intercept = float(np.ravel(self.model_.bagged_intercept_[bag])[0])
        head: Mapping[str, Any] = {"kind": "tables", "intercept": intercept, "tables": self._tables(scores)}
        length = len(padded(X, self.columns_[0]))
        return part(head).log_odds(lambda column: padded(X, column), length)[: X.height]


def _flat(rate: float) -> dict[str, Any]:
    """The head of everyone alike."""
    return {"kind": "tables", "intercept": float(np.log(rate) - np.log1p(-rate)), "tables": []}


def _matrix(X: pl.DataFrame, columns: list[str]) -> Array:
    """Rows x columns, NaN for null."""
    wanted = X.select(pl.col(c).cast(pl.Float64).fill_null(float("nan")) for c in columns)
    return np.ascontiguousarray(wanted.to_numpy(), dtype=np.float64)


def _told(values: Array, y: Array, weight: Array, bins: int) -> float:
    """Gain in log likelihood when the rate is told apart by bins of one column (missing a bin of its own), each rate
    drawn towards the whole by five rows, so that a bin of a handful cannot win."""
    null = np.isnan(values)
    if null.all() or (not null.any() and bool((values == values[0]).all())):
        return 0.0
    cuts = np.unique(np.quantile(values[~null], np.linspace(0.0, 1.0, bins + 1)[1:-1]))
    place = np.searchsorted(cuts, values, side="right")
    place[null] = len(cuts) + 1
    total = np.bincount(place, weights=weight, minlength=len(cuts) + 2)
    events = np.bincount(place, weights=weight * y, minlength=len(cuts) + 2)
    base = float(events.sum() / total.sum())
    pull = 5.0 * float(weight.mean())
    rate = (events + pull * base) / (total + pull)
    return float((events * np.log(rate / base) + (total - events) * np.log((1 - rate) / (1 - base))).sum())

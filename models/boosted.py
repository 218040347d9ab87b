"""Monotone gradient boosting: the challenger that shows what simplicity costs.

scikit-learn's histogram trees with the declared directions as limits; facts may act together freely, which is why no
list may rest on it: its contributions are one choice of many, not sums. The number of trees is chosen on whole persons
held out. The trees are exported node by node, missing values included.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from models.families import Family
from models.transforms import Array

Folds = npt.NDArray[np.int64]


class Boosted(Family):
    """Monotone histogram gradient boosting; ``head()`` is of kind ``trees``."""

    name: ClassVar[str] = "boosted"
    title: ClassVar[str] = "Monotone gradient boosting"
    additive: ClassVar[bool] = False

    def _learn(self, X: pl.DataFrame, y: Array, weight: Array, groups: pl.Series | None) -> None:
        """Choose the number of trees on one fold of persons, then grow so many on all."""
        fold = self._folds(len(y), groups, int(self.config["folds"]))
        x = self._begin(X, y, weight)
        if self.columns_:
            stopped = self._stopped(x, y, weight, fold == fold.max())
            self._keep(self._grown(stopped.n_iter_).fit(x, y, sample_weight=weight))

    def cross_fit(
        self, X: pl.DataFrame, y: Array, weight: Array, fold: Folds, X_new: pl.DataFrame, fold_new: Folds
    ) -> tuple[Family, Array, Array]:
        """As the family's; each fold also says when its fit stops, and the middle of these is the final number of
        trees."""
        x = self._begin(X, y, weight)
        if not self.columns_:
            flat = self.head_["intercept"]
            return self, np.full(X.height, flat), np.full(X_new.height, flat)
        x_new = self._matrix(X_new)
        z, z_new, counts = np.zeros(len(x)), np.zeros(len(x_new)), []
        for k in sorted(set(fold.tolist()) - {-1}):
            out, out_new = fold == k, fold_new == k
            model = self._stopped(x, y, weight, out)
            counts.append(model.n_iter_)
            z[out] = model.decision_function(x[out])
            if out_new.any():
                z_new[out_new] = model.decision_function(x_new[out_new])
        final = self._grown(int(np.median(counts)))
        self._keep(final.fit(x, y, sample_weight=weight))
        return self, z, z_new

    def library_log_odds(self, X: pl.DataFrame) -> Array:
        """What scikit-learn itself answers: the check on the exported trees."""
        return np.asarray(self.model_.decision_function(self._matrix(X)), dtype=np.float64)

    def _begin(self, X: pl.DataFrame, y: Array, weight: Array) -> Array:
        """The matrix of the columns that vary; where none does, the head of everyone alike."""
        rate = float(np.average(y, weights=weight))
        if not 0.0 < rate < 1.0:
            raise ValueError("both classes are needed")
        self.columns_ = [c for c in self.shapes or {} if X[c].n_unique() > 1]
        flat = float(np.log(rate) - np.log1p(-rate))
        self.head_ = {"kind": "trees", "intercept": flat, "columns": [], "trees": []}
        return self._matrix(X)

    def _matrix(self, X: pl.DataFrame) -> Array:
        wanted = X.select(pl.col(c).cast(pl.Float64).fill_null(float("nan")) for c in self.columns_)
        return np.ascontiguousarray(wanted.to_numpy(), dtype=np.float64)

    def _grown(self, trees: int, **more: Any) -> Any:
        """The library's estimator with so many trees at most."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        config, limits = self.config, self.directions or {}
        return HistGradientBoostingClassifier(
            learning_rate=float(config["learning_rate"]),
            max_iter=trees,
            max_leaf_nodes=int(config["max_leaf_nodes"]),
            min_samples_leaf=int(config["min_samples_leaf"]),
            l2_regularization=float(config["l2_regularization"]),
            max_features=float(config["max_features"]),
            max_bins=int(config["max_bins"]),
            monotonic_cst=[int(limits.get(c, 0)) for c in self.columns_],
            categorical_features=None,
            random_state=self.seed,
            **{"early_stopping": False, **more},
        )

    def _stopped(self, x: Array, y: Array, weight: Array, out: npt.NDArray[np.bool_]) -> Any:
        """Fitted without the rows ``out``, and stopped when these gain nothing more."""
        config = self.config
        model = self._grown(
            int(config["max_iter"]), early_stopping=True, n_iter_no_change=int(config["patience"])
        )
        return model.fit(
            x[~out],
            y[~out],
            sample_weight=weight[~out],
            X_val=x[out],
            y_val=y[out],
            sample_weight_val=weight[out],
        )

    def _keep(self, model: Any) -> None:
        self.model_ = model
        self.head_ = {
            "kind": "trees",
            "intercept": float(np.ravel(model._baseline_prediction)[0]),
            "columns": self.columns_,
            "trees": [_tree(predictors[0].nodes) for predictors in model._predictors],
        }


def _tree(nodes: Any) -> dict[str, Any]:
    """One tree as lists, a number a node."""
    leaf = nodes["is_leaf"].astype(bool)
    threshold = np.where(leaf, 0.0, nodes["num_threshold"])
    return {
        "feature": np.where(leaf, -1, nodes["feature_idx"].astype(np.int64)).tolist(),
        "threshold": np.clip(threshold, -np.finfo(np.float64).max, np.finfo(np.float64).max).tolist(),
        "missing_left": (nodes["missing_go_to_left"].astype(bool) & ~leaf).tolist(),
        "left": np.where(leaf, 0, nodes["left"].astype(np.int64)).tolist(),
        "right": np.where(leaf, 0, nodes["right"].astype(np.int64)).tolist(),
        "value": np.where(leaf, nodes["value"], 0.0).tolist(),
    }

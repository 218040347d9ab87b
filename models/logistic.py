"""Elastic-net logistic regression over transformed columns: the family's plainest member.

Columns enter through declared transforms (``models.transforms``), coefficients may only point where the catalogue
says they can, and the penalty is the one with the least loss on whole persons held out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from models.elasticnet import Fit, fit_path
from models.families import Family
from models.transforms import Term, declare, design

Array = npt.NDArray[np.float64]


def term_sign(term: Term, directions: Mapping[str, int]) -> float:
    """The sign a term's coefficient has when its column acts in the declared direction; 0: no direction declared.

    A decay falls as days since grow, so that its sign is turned round; flags of absence and the hinges of age are
    shapes without a direction.
    """
    if term.kind == "missing" or (term.kind == "hinge" and term.column == "age"):
        return 0.0
    return float(directions.get(term.column, 0)) * (-1.0 if term.kind == "decay" else 1.0)


class ElasticNet(Family):
    """Elastic-net logistic regression (``models.elasticnet`` solves it)."""

    name = "elastic_net"
    title = "Elastic-net logistic regression"

    def _learn(self, X: pl.DataFrame, y: Array, weight: Array, groups: pl.Series | None) -> None:
        penalties = self._penalties()
        if len(penalties) > 1:
            fold = self._folds(len(y), groups, int(self.config["folds"]))
            self.cross_fit(X, y, weight, fold, X.head(0), fold[:0])
            return
        self._declare(X)
        self._keep(self._path(design(X, self.terms_), y, weight, penalties)[0])

    def cross_fit(
        self,
        X: pl.DataFrame,
        y: Array,
        weight: Array,
        fold: npt.NDArray[np.int64],
        X_new: pl.DataFrame,
        fold_new: npt.NDArray[np.int64],
    ) -> tuple[Family, Array, Array]:
        """As the family's, choosing the penalty on the way: one path of fits a fold serves both."""
        self._declare(X)
        x, x_new = design(X, self.terms_), design(X_new, self.terms_)
        penalties = sorted(self._penalties(), reverse=True)
        z = np.zeros((len(penalties), len(y)))
        z_new = np.zeros((len(penalties), len(x_new)))
        for k in sorted(set(fold.tolist()) - {-1}):
            out, out_new = fold == k, fold_new == k
            for i, part in enumerate(self._path(x[~out], y[~out], weight[~out], penalties)):
                z[i, out] = part.predict(x[out])
                z_new[i, out_new] = part.predict(x_new[out_new])
        loss = np.maximum(z, 0.0) - z * y + np.log1p(np.exp(-np.abs(z)))
        judged = fold >= 0
        best = int(
            np.argmin(np.average(loss[:, judged], axis=1, weights=weight[judged]))
        )  # ties: the simpler model
        self._keep(self._path(x, y, weight, [penalties[best]])[0])
        return self, z[best], z_new[best]

    def _penalties(self) -> list[float]:
        given = self.config["penalties"]
        return [float(p) for p in (given if isinstance(given, list | tuple) else [given])]

    def _declare(self, X: pl.DataFrame) -> None:
        self.terms_, self.constant_ = declare(X, self.shapes or {})
        self.signs_ = (
            None
            if self.directions is None
            else np.array([term_sign(t, self.directions) for t in self.terms_])
        )

    def _path(self, x: Array, y: Array, weight: Array, penalties: list[float]) -> list[Fit]:
        config = self.config
        tolerance = config["tolerance"] if len(penalties) == 1 else config["search_tolerance"]
        ratio, most = float(config["l1_ratio"]), int(config["max_iterations"])
        return fit_path(x, y, weight, penalties, ratio, float(tolerance), most, self.signs_)

    def _keep(self, fit: Fit) -> None:
        self.penalty_, self.coef_ = fit.penalty, fit.coef
        terms: list[dict[str, Any]] = [
            {**term.to_dict(), "weight": float(c)}
            for term, c in zip(self.terms_, fit.coef, strict=True)
            if c != 0.0
        ]
        self.head_ = {"kind": "linear", "intercept": float(fit.intercept), "terms": terms}

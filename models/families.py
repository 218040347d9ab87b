"""The family of models behind one interface: scikit-learn estimators outside, JSON heads inside.

An estimator takes a Polars frame of history columns, learns the log-odds of one outcome, and hands over a *head*:
plain data that ``models.parts`` (and the hundred lines of ``models.plain``) score to the same numbers without the
library that fitted it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.base import BaseEstimator, ClassifierMixin, clone

from features.errors import InputError
from models import settings as files
from models.parts import part
from models.scorer import sigmoid
from models.transforms import padded, padded_length

Array = npt.NDArray[np.float64]
Folds = npt.NDArray[np.int64]

WHERE = {
    "elastic_net": ("models.logistic", "ElasticNet"),
    "scorecard": ("models.scorecard", "Scorecard"),
    "ebm": ("models.ebm", "Ebm"),
    "boosted": ("models.boosted", "Boosted"),
}
NAMES = tuple(WHERE)
SIZE = {"linear": "terms", "points": "items", "tables": "tables", "trees": "trees"}
"""Kind of head -> what its size is counted in."""


class Family(ClassifierMixin, BaseEstimator):
    """One learner of the family.

    ``shapes``: column -> count, harm, recency, age, grade, flag, number or period: the columns that enter, in order.
    ``directions``: column -> +1 or -1 where what it adds may only rise or fall with its value (a recency's direction is
    of days since: -1 means the longer ago, the less), 0 or absent where it is free; None: all are free.
    ``settings``: changes to the family's data file. After ``fit`` the fitted head is in ``head_``.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    additive: ClassVar[bool] = True
    """Whether contributions are exact; a list may only rest on a model for which they are."""

    def __init__(
        self,
        shapes: Mapping[str, str] | None = None,
        directions: Mapping[str, int] | None = None,
        seed: int = 1,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.shapes = shapes
        self.directions = directions
        self.seed = seed
        self.settings = settings

    @property
    def config(self) -> dict[str, Any]:
        """The family's data file with this estimator's changes; InputError for a setting the file does not have."""
        base = dict(files.load(self.name)["fit"])
        for name in self.settings or {}:
            if name not in base:
                raise InputError(
                    f"{self.title} has no setting {name!r}.",
                    where="settings",
                    cure=f"It has {', '.join(sorted(base))}.",
                )
        return {**base, **(self.settings or {})}

    def fit(
        self,
        X: pl.DataFrame,
        y: Array,
        sample_weight: Array | None = None,
        groups: pl.Series | None = None,
    ) -> Self:
        """Learn from ``X`` (a row a case, with the columns of ``shapes``; null where nothing is known), ``y`` (0 or
        1, both present) and ``sample_weight``. ``groups``: the person of each row; what is chosen inside a fit (a
        penalty, a stopping point) is chosen on whole persons held out. ValueError when ``y`` is of one class."""
        y = np.asarray(y, dtype=np.float64)
        weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        if not 0.0 < float(np.average(y, weights=weight)) < 1.0:
            raise ValueError("both classes are needed")
        self._learn(X, y, weight, groups)
        return self

    @abstractmethod
    def _learn(self, X: pl.DataFrame, y: Array, weight: Array, groups: pl.Series | None) -> None:
        """Fit and set ``head_``; ``y`` holds both classes and ``weight`` one figure a row."""

    def _folds(self, rows: int, groups: pl.Series | None, count: int) -> Folds:
        """A fold 0 ... count-1 a row, whole persons together; by row number where nobody says whose a row is."""
        from models.dataset import person_folds

        return np.arange(rows) % count if groups is None else person_folds(groups, count)

    def head(self) -> dict[str, Any]:
        """The fitted head as plain data (``models.parts``)."""
        return dict(self.head_)

    @property
    def classes_(self) -> Array:
        """The two classes, as scikit-learn names them."""
        return np.array([0.0, 1.0])

    def decision_function(self, X: pl.DataFrame) -> Array:
        """Log-odds of each row, as the JSON head gives them."""
        scored = part(self.head_)
        return scored.log_odds(lambda column: padded(X, column), padded_length(X.height))[: X.height]

    def predict_proba(self, X: pl.DataFrame) -> Array:
        """Rows x 2: chance of 0, chance of 1."""
        p = sigmoid(self.decision_function(X))
        return np.stack([1.0 - p, p], axis=1)

    def predict(self, X: pl.DataFrame) -> Array:
        """1 where the chance is at least a half."""
        return (self.decision_function(X) >= 0).astype(np.float64)

    def cross_fit(
        self, X: pl.DataFrame, y: Array, weight: Array, fold: Folds, X_new: pl.DataFrame, fold_new: Folds
    ) -> tuple[Family, Array, Array]:
        """Fitted on all; and the log-odds of the rows of ``X`` and of ``X_new`` from fits that left out the fold of the
        row's person. ``fold``: fold of each row's person, 0 ... k-1, -1 for a row that is in every fit."""
        z, z_new = np.zeros(X.height), np.zeros(X_new.height)
        for k in sorted(set(fold.tolist()) - {-1}):
            inside, new = fold == k, fold_new == k
            kept = pl.Series(~inside)
            model = clone(self).fit(X.filter(kept), y[~inside], weight[~inside])
            z[inside] = model.decision_function(X.filter(pl.Series(inside)))
            z_new[new] = model.decision_function(X_new.filter(pl.Series(new)))
        return clone(self).fit(X, y, weight), z, z_new


def class_of(name: str) -> type[Family]:
    """The estimator class of a family; InputError for a name that is none."""
    if name not in WHERE:
        raise InputError(
            f"There is no family {name!r}.", where="--family", cure=f"Choose from {', '.join(NAMES)}."
        )
    module, cls = WHERE[name]
    found: type[Family] = getattr(import_module(module), cls)
    return found


def make(
    name: str,
    shapes: Mapping[str, str],
    directions: Mapping[str, int] | None = None,
    seed: int = 1,
    settings: Mapping[str, Any] | None = None,
) -> Family:
    """An estimator of the family, not yet fitted. InputError for an unknown family or setting."""
    made = class_of(name)(dict(shapes), None if directions is None else dict(directions), seed, settings)
    _ = made.config  # a wrong setting is told before any work is done
    return made

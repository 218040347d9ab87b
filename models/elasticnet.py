"""Elastic-net logistic regression by Newton's method around scikit-learn's coordinate descent.

Without sign limits the problem is scikit-learn's own
``LogisticRegression(solver="saga", l1_ratio=r, C=1/(penalty * sum of weights))``:

    minimise  sum_i w_i log(1 + exp(-s_i z_i)) / sum_i w_i  +  penalty * ( r |b|_1 + (1 - r)/2 |b|_2^2 ),
    z = intercept + X b, s = +-1, intercept not penalised.

Stochastic steps take minutes on hundreds of overlapping windows and stop short of the optimum. Each Newton step here
is a weighted least-squares problem in as many rows as columns (a Cholesky factor of the Hessian), which
``sklearn.linear_model.ElasticNet`` solves. The same data give the same bits: no randomness, and
matrix products on one thread.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.scorer import sigmoid

Array = npt.NDArray[np.float64]
CURVATURE_ROWS = 20_000


@dataclass(frozen=True)
class Fit:
    """One solution: log-odds = ``intercept`` + X @ ``coef``."""

    penalty: float
    intercept: float
    coef: Array
    iterations: int
    converged: bool

    def predict(self, x: Array) -> Array:
        """Log-odds of the rows of ``x``."""
        return np.asarray(self.intercept + x @ self.coef)


def objective(
    x: Array, y: Array, weight: Array, penalty: float, l1_ratio: float, b0: float, b: Array
) -> float:
    """The function minimised (see the module's first lines)."""
    z = b0 + x @ b
    loss = np.maximum(z, 0.0) - z * y + np.log1p(np.exp(-np.abs(z)))
    ridge = 0.5 * (1.0 - l1_ratio) * float(b @ b)
    return float(np.average(loss, weights=weight)) + penalty * (l1_ratio * float(np.abs(b).sum()) + ridge)


def fit_path(
    x: Array,
    y: Array,
    weight: Array,
    penalties: Sequence[float],
    l1_ratio: float,
    tolerance: float = 1e-7,
    max_iterations: int = 50,
    signs: Array | None = None,
    start: tuple[float, Array] | None = None,
) -> list[Fit]:
    """Solutions for ``penalties``, strongest first, each started from the one before (the first from ``start``, an
    intercept and coefficients near the solution, where there are any).

    ``x`` rows x terms, standardised; ``y`` 0/1 with both classes present; ``weight`` > 0; ``signs`` +1 or -1 where a
    coefficient may only be that way or zero, 0 where it is free. A step that does not lower the objective is halved.
    Stops when no coefficient moves by more than ``tolerance``.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    rate = float(np.average(y, weights=weight))
    if not 0.0 < rate < 1.0:
        raise ValueError("both classes are needed")
    problem = _Problem(
        x,
        y,
        weight / weight.sum(),
        l1_ratio,
        np.zeros(x.shape[1]) if signs is None else signs,
        tolerance,
        max_iterations,
    )
    b0, b, before = float(np.log(rate / (1.0 - rate))), np.zeros(x.shape[1]), float("inf")
    if start is not None:
        b0, b, before = start[0], start[1].copy(), max(penalties)
    fits = []
    with threadpool_limits(limits=1):
        for penalty in sorted(penalties, reverse=True):
            b0, b, steps, done = problem.solve(penalty, before, b0, b)
            fits.append(Fit(penalty, b0, b.copy(), steps, done))
            before = penalty
    return fits


@dataclass(frozen=True)
class _Problem:
    x: Array
    y: Array
    w: Array
    l1_ratio: float
    signs: Array
    tolerance: float
    max_iterations: int

    def pull(self, b0: float, b: Array) -> Array:
        """How strongly each term pulls away from zero: its gradient, in the allowed direction only."""
        gradient = (self.w * (self.y - sigmoid(b0 + self.x @ b))) @ self.x
        return np.where(self.signs == 0, np.abs(gradient), gradient * self.signs)

    def solve(self, penalty: float, before: float, b0: float, b: Array) -> tuple[float, Array, int, bool]:
        """Newton on the terms that can matter at this penalty; a term left out that pulls harder than the lasso part
        joins them, until none does (sequential strong rule, then the optimality conditions of all terms)."""
        limit = self.l1_ratio * penalty
        guess = self.l1_ratio * (2.0 * penalty - before) if np.isfinite(before) else limit
        active = (b != 0) | (self.pull(b0, b) >= guess)
        steps, done = 0, False
        for _ in range(20):
            part = b[active]
            b0, part, taken, done = _newton(
                np.ascontiguousarray(self.x[:, active]),
                self.y,
                self.w,
                penalty,
                self.l1_ratio,
                b0,
                part,
                self.tolerance,
                self.max_iterations,
                self.signs[active],
            )
            b = np.zeros(len(b))
            b[active] = part
            steps += taken
            missed = ~active & (self.pull(b0, b) > limit * (1.0 + 1e-6) + 1e-12)
            if not missed.any():
                break
            active |= missed
        return b0, b, steps, done


def _newton(
    x: Array,
    y: Array,
    w: Array,
    penalty: float,
    l1_ratio: float,
    b0: float,
    b: Array,
    tolerance: float,
    max_iterations: int,
    signs: Array,
) -> tuple[float, Array, int, bool]:
    value = objective(x, y, w, penalty, l1_ratio, b0, b)
    for step in range(1, max_iterations + 1):
        p = sigmoid(b0 + x @ b)
        v = np.maximum(w * p * (1.0 - p), 1e-12 * w)
        total, mean, hessian = _curvature(x, v)
        slack = w * (y - p)
        gradient = slack @ x - slack.sum() * mean  # of minus the loss, the intercept profiled out
        new = _quadratic(hessian, hessian @ b + gradient, penalty, l1_ratio, signs)
        new0 = b0 + float(slack.sum()) / total - float(mean @ (new - b))
        move, move0, share = new - b, new0 - b0, 1.0
        while True:
            candidate = objective(x, y, w, penalty, l1_ratio, b0 + share * move0, b + share * move)
            if candidate <= value + 1e-15 or share < 1e-6:
                break
            share *= 0.5
        b0, b, value = b0 + share * move0, b + share * move, candidate
        if max(abs(move0), float(np.abs(move).max(initial=0.0))) * share < tolerance:
            return b0, b, step, True
    return b0, b, max_iterations, False


def _curvature(x: Array, v: Array) -> tuple[float, Array, Array]:
    """Total weight, weighted mean of the rows, and their weighted scatter about it.

    Above ``CURVATURE_ROWS`` rows every k-th row stands for its neighbours: steps then aim a little off, but the
    gradient and the objective that accept them are of all rows, so that the optimum reached is the same.
    """
    total = float(v.sum())
    stride = -(-len(v) // CURVATURE_ROWS)
    if stride > 1:
        x, v = x[::stride], v[::stride]
        v = v * (total / float(v.sum()))
    mean = (v @ x) / total
    root = np.sqrt(v)[:, None] * x
    return total, mean, root.T @ root - total * np.outer(mean, mean)


def _quadratic(hessian: Array, linear: Array, penalty: float, l1_ratio: float, signs: Array) -> Array:
    """argmin_b 1/2 b'Hb - c'b + penalty * elastic net within the sign limits, through scikit-learn on a root of H.

    A limited coefficient is solved for as (sign x a non-negative number); when any is limited, a free one becomes the
    difference of two non-negative numbers, of which the penalty leaves at most one.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import ElasticNet

    size = len(linear)
    if size == 0:
        return np.zeros(0)
    # The jitter makes H invertible where windows coincide; a fixed point of the outer loop does not depend on it.
    jitter = 1e-9 * max(float(np.trace(hessian)) / max(size, 1), 1e-12)
    lower = np.linalg.cholesky(hessian + jitter * np.eye(size))
    target = np.sqrt(size) * np.linalg.solve(lower, linear)
    root = np.sqrt(size) * lower.T
    limited = bool((signs != 0).any())
    free = np.flatnonzero(signs == 0)
    columns = (
        np.concatenate([root * np.where(signs == 0, 1.0, signs), -root[:, free]], axis=1) if limited else root
    )
    inner = ElasticNet(
        alpha=penalty, l1_ratio=l1_ratio, fit_intercept=False, tol=1e-8, max_iter=2000, positive=limited
    )
    with warnings.catch_warnings():  # an inner solve cut short only costs the outer loop another step
        warnings.simplefilter("ignore", ConvergenceWarning)
        inner.fit(np.asfortranarray(columns), target)
    found = np.asarray(inner.coef_, dtype=np.float64)
    if not limited:
        return found
    out = found[:size] * np.where(signs == 0, 1.0, signs)
    out[free] -= found[size:]
    return out

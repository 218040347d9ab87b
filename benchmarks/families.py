"""Each family beside the elastic net: AUC, log loss and processor time on made-up histories with a known truth.

    python -m benchmarks.families [--rows 200000] [--families elastic_net,scorecard,ebm,boosted]

60 columns (counts, days since with 40 % never, shares, flags), 2 % with the outcome; the true log-odds are mostly a sum
of saturating, fading and bent curves, with three pairs that act together, so that the best AUC anyone can reach is
about 0.764. ``--npz FILE`` also writes the first 20,000 rows as threshold flags, for a program of another environment.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import polars as pl

from models import families
from models.scorecard import candidates

COUNTS, RECENCIES, SHARES, FLAGS = 30, 14, 8, 8
SHAPES = {
    **{f"count_{i}": "count" for i in range(COUNTS)},
    **{f"since_{i}": "recency" for i in range(RECENCIES)},
    **{f"share_{i}": "number" for i in range(SHARES)},
    **{f"flag_{i}": "flag" for i in range(FLAGS)},
}
DIRECTIONS = {c: {"count": 1, "recency": -1, "flag": 1}.get(s, 0) for c, s in SHAPES.items()}
TEST_ROWS = 50_000


def made_up(n: int, seed: int) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """Histories, the outcome, and its true log-odds."""
    rng = np.random.default_rng(seed)
    busy = rng.gamma(1.0, 1.0, n)  # some people are on record more often: columns move together, as they do
    counts = [rng.poisson(busy * (0.2 + 0.1 * i)).astype(float) for i in range(COUNTS)]
    never = [rng.random(n) < 0.4 for _ in range(RECENCIES)]
    since = [np.where(gone, np.nan, np.round(rng.exponential(400 / (0.5 + busy)))) for gone in never]
    shares = [np.round(rng.beta(2, 3, n), 3) for _ in range(SHARES)]
    flags = [(rng.random(n) < 0.05 + 0.03 * i).astype(float) for i in range(FLAGS)]
    near = [
        np.where(np.isnan(s), 0.0, np.exp(-np.nan_to_num(s) / h))
        for s, h in zip(since, (60, 120, 240) * 5, strict=False)
    ]
    z = 0.45 * np.log1p(counts[2]) + 0.35 * np.log1p(counts[7]) + 0.3 * np.minimum(counts[11], 2)
    z += 0.35 * (counts[15] >= 3) + 0.25 * np.log1p(counts[20]) + 0.3 * np.sqrt(counts[4])
    z += (
        0.7 * near[0]
        + 0.5 * near[1]
        + 0.6 * near[5]
        + 1.6 * np.abs(shares[0] - 0.4)
        - 0.9 * (shares[3] < 0.2)
    )
    z += 0.6 * flags[1] + 0.5 * flags[4] + 0.4 * flags[6]
    z += 0.5 * (counts[2] > 0) * near[0] + 0.5 * flags[4] * (counts[7] >= 2) + 0.4 * flags[1] * near[5]
    z = 0.755 * z
    low, high = -20.0, 20.0
    for _ in range(60):  # the level at which 2 % have the outcome
        level = 0.5 * (low + high)
        low, high = (level, high) if np.mean(1 / (1 + np.exp(-(z + level)))) < 0.02 else (low, level)
    z = z + level
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(np.float64)
    columns = [*counts, *since, *shares, *flags]
    frame = pl.DataFrame(dict(zip(SHAPES, columns, strict=True))).fill_nan(None)
    return frame, y, z


def threshold_flags(frame: pl.DataFrame, fitted: families.Family) -> tuple[np.ndarray, list[str]]:
    """Every fact the scorecard may use, as a column of 0 and 1, and its name."""
    values = {c: frame[c].cast(pl.Float64).fill_null(float("nan")).to_numpy() for c in SHAPES}
    facts = [f for f in candidates(values, SHAPES, DIRECTIONS, fitted.config) if f.sign > 0]
    return np.stack([f.holds(values[f.column]) for f in facts], axis=1), [
        f"{f.column} {f.cut}" for f in facts
    ]


def main() -> None:
    from sklearn.metrics import log_loss, roc_auc_score

    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rows", type=int, default=200_000)
    arguments.add_argument("--families", default=",".join(families.NAMES))
    arguments.add_argument("--npz", default="", help="file for the first 20,000 rows as threshold flags")
    given = arguments.parse_args()
    frame, y, _ = made_up(given.rows, 1)
    test, y_test, z_test = made_up(TEST_ROWS, 2)
    if given.npz:
        both = pl.concat([frame.head(20_000), test])
        flags, names = threshold_flags(both, families.make("scorecard", SHAPES, DIRECTIONS))
        np.savez_compressed(
            given.npz, x=flags[:20_000], y=y[:20_000], x_test=flags[20_000:], y_test=y_test, names=names
        )
    print(
        f"{given.rows} rows, {int(y.sum())} with the outcome; best possible AUC {roc_auc_score(y_test, z_test):.4f}"
    )
    for name in given.families.split(","):
        begun = time.process_time()
        model = families.make(name, SHAPES, DIRECTIONS).fit(frame, y)
        fitted = time.process_time()
        p = model.predict_proba(test)[:, 1]
        print(
            f"{name:<12} AUC {roc_auc_score(y_test, p):.4f}  log loss {log_loss(y_test, p):.5f}  "
            f"fit {fitted - begun:.1f} cpu-s  {TEST_ROWS} scored in {time.process_time() - fitted:.2f} cpu-s",
            flush=True,
        )


if __name__ == "__main__":
    main()

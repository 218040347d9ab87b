"""Does the interval of a person's figure hold the truth? Coverage against a simulated force's oracle, and how steady
reasons are.

    python -m benchmarks.intervals FORCE --as-of 2024-07-01 [--home HOME] [--family elastic_net] [--month-before]

FORCE is a simulated force with an oracle at that date (``doorstep simulate FORCE --oracle 2024-07-01 ...``). The model
is made from what was known then and nothing later, its intervals are worked out for everyone in scope on that day, and
are held against ``p_serious`` of the oracle: the chance of a *recorded* serious harm within a year that the mechanism
gives each person, who may since have given up, moved on or met someone. Three readings:

- *as printed*: the interval an officer reads, in whole people of a hundred, against each person's own chance;
- *exact*: the same without rounding;
- *groups*: people in order of their figure, cut into groups of equal size: the mean interval against the mean chance.
  On real data this is all that can be claimed.

``--month-before`` also trains as of a month earlier and compares the top reasons of the same people on the same day.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Array = npt.NDArray[np.float64]


def coverage(people: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows of (reading, of, n, covered, below, above); ``people`` has a row a person with p, p_low, p_high, truth."""
    p, low, high, truth = (people[c].to_numpy() for c in ("p", "p_low", "p_high", "truth"))
    printed_low = np.floor(np.round(low * 100, 9)) / 100
    printed_high = np.maximum(np.ceil(np.round(high * 100, 9)) / 100, 0.01)
    highest = np.zeros(len(p), dtype=bool)
    highest[np.argsort(-p, kind="stable")[:250]] = True
    some = {
        "everyone": np.ones(len(p), dtype=bool),
        "1 in 100 or more": p >= 0.01,
        "the highest 250": highest,
    }
    rows = []
    for reading, a, b in (("as printed", printed_low, printed_high), ("exact", low, high)):
        rows += [_row(reading, name, a[who], b[who], truth[who]) for name, who in some.items() if who.any()]
    order = np.argsort(p, kind="stable")
    for count in (10, 20):
        groups = [g for g in np.array_split(order, count) if g.size]
        means = [np.array([values[g].mean() for g in groups]) for values in (low, high, truth)]
        rows.append(_row("groups", f"{count} groups", *means))
    return rows


def _row(reading: str, of: str, low: Array, high: Array, truth: Array) -> dict[str, Any]:
    under, over = float((truth < low).mean()), float((truth > high).mean())
    return {
        "reading": reading,
        "of": of,
        "n": len(truth),
        "covered": 1.0 - under - over,
        "below": under,
        "above": over,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.intervals", description="Coverage of intervals."
    )
    parser.add_argument("force", type=Path, help="a simulated force: extract and truth")
    parser.add_argument("--as-of", required=True, help="a day with an oracle, as 2024-07-01")
    parser.add_argument(
        "--home", type=Path, help="a home where the extract is loaded (default: a temporary one)"
    )
    parser.add_argument("--family", default="elastic_net")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--month-before", action="store_true")
    given = parser.parse_args()
    if given.home is not None:
        _run(given, given.home)
        return
    with tempfile.TemporaryDirectory() as folder:
        _run(given, Path(folder) / "home")


def _run(given: argparse.Namespace, home: Path) -> None:
    from features.clocks import parse_as_of
    from features.home import Home
    from features.ingest import ingest
    from models import explain
    from models.dataset import Source
    from models.intervals import interval
    from models.scorer import Scorer
    from models.training import Recipe, fit_until

    t = parse_as_of(given.as_of)
    if Home(home).current() is None:
        ingest(given.force / "extract", Home(home))
    records = Home(home).require().records()
    recipe = Recipe(given.family, given.seed)
    began = time.process_time()
    doc = fit_until(records, t, recipe, home, with_refits=True)
    training, seconds = doc["training"], time.process_time() - began
    print(f"{given.family}, known by {given.as_of}: {training['rows']:,} rows, {training['events']:,} with serious "
          f"harm; {seconds:.0f} CPU-seconds with histories and refits")  # fmt: skip
    if doc["refits"] is None:
        raise SystemExit("; ".join(doc["notes"]))
    truth = pl.read_parquet(given.force / "truth" / f"oracle_{given.as_of}.parquet")
    people = Source.of(records, t, home).features_at(t).filter("in_scope")
    people = people.join(truth.select("person_id", truth="p_serious"), on="person_id").sort("person_id")
    ends = interval(doc, people)
    assert ends is not None
    held = people.select("person_id", "truth").with_columns(
        p=Scorer(doc).score(people)["p_serious"], p_low=ends["p_low"], p_high=ends["p_high"]
    )
    figure, chance = (float(np.mean(held[c].to_numpy())) for c in ("p", "truth"))
    print(f"{doc['refits']['count']} refits, nominal {100 * doc['refits']['level']:.0f} %; mean figure {figure:.4f}, "
          f"mean chance {chance:.4f}")  # fmt: skip
    print("| reading | of | n | covered | chance below | chance above |\n|---|---|---|---|---|---|")
    for row in coverage(held):
        print(f"| {row['reading']} | {row['of']} | {row['n']:,} | {100 * row['covered']:.0f} % | "
              f"{100 * row['below']:.0f} % | {100 * row['above']:.0f} % |")  # fmt: skip
    found = doc["reason_stability"] + _month_before(given, records, t, recipe, home, doc, people)
    print(
        "| reasons compared between | persons | same first reason | of three reasons kept |\n|---|---|---|---|"
    )
    for row in found:
        print(f"| {row['between']} | {row['persons']} | {100 * row['first_same']:.0f} % | "
              f"{100 * row['three_shared']:.0f} % |")  # fmt: skip
    print(*[check.sentence() for check in explain.checks(doc, people.head(500))], sep="\n")


def _month_before(
    given: argparse.Namespace,
    records: Any,
    t: datetime,
    recipe: Any,
    home: Path,
    doc: dict[str, Any],
    people: pl.DataFrame,
) -> list[dict[str, Any]]:
    if not given.month_before:
        return []
    from models import explain
    from models.training import fit_until

    earlier = fit_until(records, t - timedelta(days=30), recipe, home)
    return [explain.between(doc, earlier, people) | {"between": "this model and one made a month earlier"}]


if __name__ == "__main__":
    main()

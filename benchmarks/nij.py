"""The model families on the NIJ recidivism challenge, by its own rules, beside the winners' published figures.

    python -m benchmarks.nij --cache /somewhere/nij --out docs/results-nij.md
    python -m benchmarks.nij --test nij_test.csv

Without ``--test``: stratified five-fold cross-validation of the training rows (seed 1), each year among those not
arrested before. With ``--test FILE`` (Parquet or CSV, the challenge's columns): fitted on all training rows, judged on
the file's. Predictions are kept under ``--cache`` by what made them (rows, columns, settings, code), so that a run can
be stopped and taken up again. No row of the data is written anywhere else.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks import nij_data
from benchmarks.nij_data import YEARS, Array, Rows, facts
from features.errors import DoorstepError, InputError
from models import families, settings

PERIOD = "year"
VARIANTS = {"rules": True, "honest": False}
"""As the rules allow (with the supervision columns in Years 2 and 3); forecast-honest (never with them)."""


@dataclass(frozen=True)
class Case:
    """One thing to learn and predict: a member, a year, which columns, and who is learnt from and judged."""

    member: Mapping[str, Any]
    year: int
    supervision: bool
    sex: bool
    learn: Rows
    judge: Rows
    learn_at: Array
    """Positions in ``learn``, at risk in the year, that may be learnt from."""
    judge_at: Array
    """Positions in ``judge`` that are judged."""

    def frame(self, rows: Rows) -> pl.DataFrame:
        """The columns; without the sex also without what its absence tells (gangs were not recorded for women)."""
        return rows.frame if self.sex else rows.frame.with_columns(pl.col("Gang_Affiliated").fill_null(0.0))

    def predict(self) -> Array:
        """Chance of arrest in the year for each judged row."""
        shapes = self.learn.shapes(self.supervision and self.year > 1, self.sex)
        at, rows = self.learn_at, self.learn
        source = self.frame(rows).with_columns(id=rows.ids)
        judged = self.frame(self.judge)[self.judge_at]
        if self.member["rows"] == "year":
            x, y = source[at], rows.outcome[self.year][at]
        else:  # who is judged is left out of every year, not only of this one
            kept = np.isin(np.arange(source.height), self.spared, invert=True)
            parts = {k: np.flatnonzero(rows.at_risk[k] & kept) for k in YEARS}
            x = pl.concat(source[parts[k]].with_columns(pl.lit(float(k)).alias(PERIOD)) for k in YEARS)
            y = np.concatenate([rows.outcome[k][parts[k]] for k in YEARS])
            judged = judged.with_columns(pl.lit(float(self.year)).alias(PERIOD))
            shapes = {PERIOD: "period", **shapes}
        model = families.make(self.member["family"], shapes, None, 1, self.member.get("settings"))
        return np.asarray(model.fit(x, y, None, x["id"].cast(pl.String)).predict_proba(judged)[:, 1])

    @cached_property
    def spared(self) -> Array:
        """Positions in ``learn`` of the persons judged (none when another file is judged)."""
        return self.judge_at if self.judge is self.learn else self.judge_at[:0]


@dataclass
class Kept:
    """Predictions kept under a folder by what made them; no folder: nothing is kept."""

    folder: Path | None
    data: str
    counts: dict[str, float] = field(default_factory=lambda: {"fitted": 0, "found": 0, "cpu_seconds": 0.0})

    def predict(self, case: Case) -> Array:
        """``case.predict()``, from the folder where it was made before."""
        path = None if self.folder is None else self.folder / f"{self._key(case)}.npy"
        if path is not None and path.exists():
            self.counts["found"] += 1
            return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
        began = time.process_time()
        p = case.predict()
        self.counts["fitted"] += 1
        self.counts["cpu_seconds"] += time.process_time() - began
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            half = path.with_suffix(".part.npy")
            np.save(half, p, allow_pickle=False)
            half.replace(path)  # a run stopped while writing leaves no half a file
        return p

    def _key(self, case: Case) -> str:
        made = {
            "data": self.data,
            "member": {k: v for k, v in case.member.items() if k != "name"},
            "code": source_digest(case.member["family"]),
            "case": [case.year, case.supervision and case.year > 1, case.sex],
            "rows": [
                hashlib.sha256(at.astype(np.int64).tobytes()).hexdigest()
                for at in (case.learn_at, case.judge_at)
            ],
        }
        return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:24]


@cache
def source_digest(family: str) -> str:
    """Digest of the code and settings that a fit of ``family`` rests on, as they are when first asked for."""
    module, _ = families.WHERE[family]
    names = {module, "models.families"}
    if family == "elastic_net":  # the only one that transforms its columns
        names |= {"models.transforms", "models.elasticnet"}
    files = [Path(str(import_module(n).__file__)) for n in sorted(names)]
    told: list[Any] = [settings.load(family)["fit"]]
    if family == "elastic_net":
        told.append(settings.load("logistic")["transforms"])
    parts = [json.dumps(told, sort_keys=True).encode(), *(_bare(f) for f in files)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _bare(file: Path) -> bytes:
    """A module's code without its comments and docstrings: a better explanation fits nothing anew."""
    tree = ast.parse(file.read_bytes())
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree).encode()


def folds(y: Array) -> list[tuple[Array, Array]]:
    """Stratified folds of the rows at risk: (learnt from, judged), as positions among them."""
    from sklearn.model_selection import StratifiedKFold

    told = facts()["folds"]
    split = StratifiedKFold(int(told["count"]), shuffle=True, random_state=int(told["seed"]))
    return list(split.split(np.zeros((len(y), 1)), y))


def predictions(
    member: Mapping[str, Any], year: int, variant: str, sex: bool, learn: Rows, judge: Rows | None, kept: Kept
) -> Array:
    """Chance of each person at risk in the year: cross-validated on ``learn``, or for ``judge`` from all ``learn``."""
    at = np.flatnonzero(learn.at_risk[year])
    supervision = VARIANTS[variant]
    if judge is not None:
        who = np.flatnonzero(judge.at_risk[year])
        return kept.predict(Case(member, year, supervision, sex, learn, judge, at, who))
    out = np.zeros(len(at))
    for inside, held in folds(learn.outcome[year][at]):
        out[held] = kept.predict(Case(member, year, supervision, sex, learn, learn, at[inside], at[held]))
    return out


def blended(parts: Sequence[Array]) -> Array:
    """The chance with the mean log-odds of the parts."""
    from models.metrics import logit
    from models.scorer import sigmoid

    return np.asarray(sigmoid(np.mean([logit(p) for p in parts], axis=0)))


def judged(p: Array, y: Array, female: Any, black: Any) -> dict[str, float]:
    """The challenge's two figures, the area under the curve and the calibration slope."""
    from models import metrics

    ones = np.ones(len(y))
    return {
        "brier": nij_data.brier(p, y, female),
        "fair": nij_data.fair_and_accurate(p, y, female, black),
        "auc": float(metrics.Board(p, ones).auc(y)[0]),
        "slope": metrics.calibration(p, y, ones)["slope"],
    }


def difference(p: Array, q: Array, y: Array, female: Any) -> tuple[float, float, float]:
    """Brier of ``p`` less Brier of ``q`` on the same persons, with its 95 % interval (normal, paired by person)."""
    gap = (p - y) ** 2 - (q - y) ** 2
    parts = [gap[s] for s in (female, ~female)]
    middle = float(np.mean([g.mean() for g in parts]))
    half = 1.96 * 0.5 * float(np.sqrt(sum(g.var(ddof=1) / len(g) for g in parts)))
    return middle, middle - half, middle + half


def run(
    learn: Rows, judge: Rows | None, kept: Kept, years: Sequence[int], say: Any = print
) -> dict[str, Any]:
    """Every figure of the page: variant -> year -> name -> figures, differences, and who was judged."""
    told = facts()
    on = learn if judge is None else judge
    result: dict[str, Any] = {"judged_on": "folds" if judge is None else "test", "people": {}, "years": {}}
    for year in years:
        at = on.at_risk[year]
        y, female, black = on.outcome[year][at], on.female[at], on.black[at]
        result["people"][year] = {"n": len(y), "women": int(female.sum()), "arrested": int(y.sum())}
        base = learn.at_risk[year]
        flat = nij_data.constant(learn.outcome[year][base], learn.female[base], female)
        result["people"][year]["constant"] = nij_data.brier(flat, y, female)
        for variant in VARIANTS if year > 1 else ("honest",):
            p: dict[str, Array] = {}
            for member in told["member"]:
                p[member["name"]] = predictions(member, year, variant, True, learn, judge, kept)
                say(f"Year {year}, {variant}, {member['name']}: "
                    f"{nij_data.brier(p[member['name']], y, female):.5f}")  # fmt: skip
            for blend in told["blend"]:
                p[blend["name"]] = blended([p[name] for name in blend["of"]])
            figures = {name: judged(values, y, female, black) for name, values in p.items()}
            families_of = {m["name"]: m["family"] for m in told["member"]}
            best = min((n for n in p if families_of.get(n) == "boosted"), key=lambda n: figures[n]["brier"])
            for name in (n for n in p if n != best):
                figures[name]["less_best"] = difference(p[name], p[best], y, female)
            result["years"].setdefault(year, {})[variant] = {"figures": figures, "best_boosting": best}
    return result


def without_sex(
    learn: Rows, judge: Rows | None, kept: Kept, years: Sequence[int]
) -> dict[int, dict[str, Any]]:
    """What the product's own rule costs here: EBM told neither the sex nor what gives it away, forecast-honest."""
    member = next(m for m in facts()["member"] if m["family"] == "ebm")
    on, out = (learn if judge is None else judge), {}
    for year in years:
        at = on.at_risk[year]
        y, female = on.outcome[year][at], on.female[at]
        told, untold = (predictions(member, year, "honest", s, learn, judge, kept) for s in (True, False))
        own = [float(p[female].mean() - y[female].mean()) for p in (told, untold)]
        out[year] = {
            "told": nij_data.brier(told, y, female),
            "untold": nij_data.brier(untold, y, female),
            "women_over": own,
        }
    return out


def test_rows(path: Path, learn: Rows) -> tuple[Rows, int]:
    """The rows to judge and how many were left out because they are training rows."""
    frame = nij_data.read(path)
    mine = frame["ID"].is_in(learn.ids.implode())
    if mine.all():
        raise InputError(
            "every row of the test file is a training row.", where=str(path), cure="give the held-out rows"
        )
    return nij_data.encode(frame.filter(~mine), str(path)), int(mine.sum())


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit code 0, or 2 when the data are not there or not as published."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.nij", description="The NIJ recidivism challenge."
    )
    parser.add_argument(
        "--data", type=Path, default=nij_data.default_data(), help="folder of nij_train.parquet"
    )
    parser.add_argument(
        "--test", type=Path, help="the challenge's test rows: judge on these instead of by folds"
    )
    parser.add_argument(
        "--cache", type=Path, help="folder for predictions, so that a run can be taken up again"
    )
    parser.add_argument("--out", type=Path, help="the Markdown page to write; none: print it")
    parser.add_argument("--years", type=int, nargs="+", default=list(YEARS), choices=YEARS)
    options = parser.parse_args(arguments)
    from benchmarks.nij_page import render

    try:
        source = options.data / "nij_train.parquet"
        learn = nij_data.encode(nij_data.read(source), str(source))
        judge, left_out = (None, 0) if options.test is None else test_rows(options.test, learn)
        kept = Kept(options.cache, learn.digest + ("" if judge is None else judge.digest))
        result = run(
            learn, judge, kept, sorted(set(options.years)), lambda line: print(line, file=sys.stderr)
        )
        result["left_out"] = left_out
        result["without_sex"] = without_sex(learn, judge, kept, sorted(set(options.years)))
    except DoorstepError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return problem.exit_code
    page = render(result)
    if options.out is None:
        print(page)
    else:
        options.out.write_text(page, encoding="utf-8")
        print(f"wrote {options.out}")
    print("{fitted:.0f} fits, {found:.0f} from the cache, {cpu_seconds:.0f} CPU-seconds".format(**kept.counts),
          file=sys.stderr)  # fmt: skip
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

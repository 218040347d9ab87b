"""The NIJ challenge's rows as columns that the model families take, and its rules as plain functions.

Texts that stand for steps ("3 or more", "23-27", "Less than 1 year") become numbers, yes or no becomes 1 or 0, and
nothing known stays null. A few columns are derived by plain arithmetic from the row itself, never from other rows or
outcomes.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from features.errors import InputError

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
HERE = Path(__file__).resolve().parent
DATA_SETTING = "DOORSTEP_DATA"
YEARS = (1, 2, 3)
SEX = "female"
TRUE, FALSE = ("true", "yes", "1", "1.0"), ("false", "no", "0", "0.0")


@cache
def facts() -> dict[str, Any]:
    """``benchmarks/nij.toml``; treat as read-only."""
    return tomllib.loads((HERE / "nij.toml").read_text(encoding="utf-8"))


def default_data(name: str = "nij") -> Path:
    """A folder of the public data: under the folder that DOORSTEP_DATA names, else beside the repository."""
    root = os.environ.get(DATA_SETTING)
    return (Path(root) if root else HERE.parent.parent / "shared" / "data") / name


@dataclass(frozen=True)
class Rows:
    """Encoded rows of one file.

    ``frame``: a column for each entry of ``release`` and ``supervision`` (column -> shape), Float64, null where nothing
    is known. ``outcome``: year -> arrested in it; ``at_risk``: year -> not arrested before it.
    """

    ids: pl.Series
    frame: pl.DataFrame
    release: dict[str, str]
    supervision: dict[str, str]
    female: Mask
    black: Mask
    outcome: dict[int, Array]
    at_risk: dict[int, Mask]

    @property
    def digest(self) -> str:
        """sha256 of everything a fit could see: columns, shapes, outcomes."""
        parts = [json.dumps([self.frame.columns, self.release, self.supervision]).encode()]
        parts += [series.fill_null(float("nan")).to_numpy().tobytes() for series in self.frame.get_columns()]
        parts += [self.outcome[y].tobytes() for y in YEARS]
        return hashlib.sha256(b"".join(parts)).hexdigest()

    def shapes(self, supervision: bool, sex: bool) -> dict[str, str]:
        """The columns a model may take: of the release, and where asked the supervision's and the sex."""
        chosen = {**self.release, **(self.supervision if supervision else {})}
        return {**chosen, **({SEX: "flag"} if sex else {})}


def read(path: Path) -> pl.DataFrame:
    """The file's rows (Parquet or CSV); InputError where it cannot be read or lacks a column."""
    cure = f"give the file of the challenge's rows, or its folder's parent in {DATA_SETTING}"
    try:
        frame = (
            pl.read_csv(path, infer_schema_length=None)
            if path.suffix.lower() == ".csv"
            else pl.read_parquet(path)
        )
    except (OSError, pl.exceptions.PolarsError) as fault:
        raise InputError("the challenge's rows cannot be read.", where=str(path), cure=cure) from fault
    if lacking := [c for c in _needed() if c not in frame.columns]:
        raise InputError(f"the rows lack {', '.join(lacking)}.", where=str(path), cure=cure)
    return frame


def encode(frame: pl.DataFrame, where: str = "the rows") -> Rows:
    """``Rows`` of the challenge's columns; InputError names a column with a value that has no number."""
    told = facts()
    plain = {**told["release"], **told["supervision"]}
    columns = {c: numbers(frame[c], where) for c in plain}
    kind, offence = told["offence"]["column"], frame[told["offence"]["column"]].cast(pl.String)
    flags = {f"{kind}: {k}": (offence == k).cast(pl.Float64) for k in told["offence"]["kinds"]}
    encoded = pl.DataFrame({name: series.rename(name) for name, series in {**columns, **flags}.items()})
    release_more, supervision_more = derived(encoded)
    sex = frame["Gender"].cast(pl.String).str.to_uppercase().str.slice(0, 1)
    if strange := set(sex.unique().to_list()) - {"F", "M"}:
        raise InputError(f"Gender holds {sorted(map(str, strange))}.", where=where, cure="M or F is wanted")
    outcome = {
        y: numbers(frame[told["outcomes"][str(y)]], where).fill_null(float("nan")).to_numpy() for y in YEARS
    }
    before = {y: sum((outcome[e] for e in YEARS if e < y), np.zeros(frame.height)) for y in YEARS}
    return Rows(
        ids=frame["ID"],
        frame=encoded.with_columns(
            *release_more, *supervision_more, (sex == "F").cast(pl.Float64).alias(SEX)
        ),
        release={
            **told["release"],
            **dict.fromkeys(flags, "flag"),
            **{s.name: "number" for s in release_more},
        },
        supervision={**told["supervision"], **{s.name: "number" for s in supervision_more}},
        female=(sex == "F").to_numpy(),
        black=(frame["Race"].cast(pl.String).str.to_uppercase() == "BLACK").fill_null(False).to_numpy(),
        outcome=outcome,
        at_risk={y: (before[y] == 0) & ~np.isnan(outcome[y]) for y in YEARS},
    )


def numbers(series: pl.Series, where: str) -> pl.Series:
    """A column of the challenge as Float64: yes or no as 1 or 0, steps by their words, else by their leading number."""
    if series.dtype != pl.String:
        return series.cast(pl.Float64)
    words = facts()["words"]

    def number(text: str | None) -> float | None:
        bare = (text or "").strip()
        if not bare or bare.upper() in ("NA", "NULL"):
            return None
        if bare in words:
            return float(words[bare])
        if bare.lower() in TRUE or bare.lower() in FALSE:
            return float(bare.lower() in TRUE)
        try:
            return float(bare.split(" ")[0].split("-")[0])
        except ValueError:
            raise InputError(
                f"{series.name} holds {bare!r}, which stands for no number.",
                where=where,
                cure="give the challenge's rows as published, or add the word to benchmarks/nij.toml",
            ) from None

    known = {text: number(text) for text in series.unique().to_list()}
    return series.replace_strict(
        list(known), [known[text] for text in known], return_dtype=pl.Float64
    ).rename(series.name)


def derived(frame: pl.DataFrame) -> tuple[list[pl.Series], list[pl.Series]]:
    """Columns made from a row's own: of the release, and of the supervision."""
    arrests = [c for c in frame.columns if c.startswith("Prior_Arrest_Episodes_")]
    convictions = [c for c in frame.columns if c.startswith("Prior_Conviction_Episodes_")]
    tests = [c for c in frame.columns if c.startswith("DrugTests_")]
    age, jobs, worked = (pl.col(c) for c in ("Age_at_Release", "Jobs_Per_Year", "Percent_Days_Employed"))
    all_arrests, all_convictions = pl.sum_horizontal(arrests), pl.sum_horizontal(convictions)
    release = frame.select(
        arrests_of_all_kinds=all_arrests,
        arrests_a_year_since_14=all_arrests / (age - 14),
        felony_arrests_a_year_since_14=pl.col("Prior_Arrest_Episodes_Felony") / (age - 14),
        convictions_an_arrest=all_convictions / (all_arrests + 1),
        age_at_prison=age - pl.col("Prison_Years"),
    )
    supervision = frame.select(
        days_a_job=pl.when(jobs > 0).then(365 * worked / jobs),
        jobs_a_year_worked=jobs / (worked + 0.1),
        jobs_a_year_out_of_work=jobs * (1 - worked),
        positive_tests=pl.sum_horizontal(tests),
        violations=pl.sum_horizontal(c for c in frame.columns if c.startswith("Violations_")),
    )
    return release.get_columns(), supervision.get_columns()


# --- the rules -----------------------------------------------------------------------------------------------------


def brier(p: Array, y: Array, female: Mask) -> float:
    """The challenge's error: mean squared error of each sex, averaged."""
    return float(np.mean([np.mean((p[s] - y[s]) ** 2) for s in (female, ~female)]))


def fair_and_accurate(p: Array, y: Array, female: Mask, black: Mask) -> float:
    """The challenge's second figure, for each sex: (1 - Brier)(1 - |false positive rate, Black less white|) at p >= .5,
    averaged. A group without anyone unharmed has no rate: NaN."""

    def of(sex: Mask) -> float:
        error = float(np.mean((p[sex] - y[sex]) ** 2))
        rates = []
        for group in (black, ~black):
            free = sex & group & (y == 0)
            rates.append(float(np.mean(p[free] >= 0.5)) if free.any() else float("nan"))
        return (1 - error) * (1 - abs(rates[0] - rates[1]))

    return float(np.mean([of(female), of(~female)]))


def constant(y: Array, female: Mask, to: Mask) -> Array:
    """Each sex's rate in (``y``, ``female``), for the persons of whom ``to`` says whether they are women."""
    return np.where(to, y[female].mean(), y[~female].mean())


def _needed() -> Sequence[str]:
    told = facts()
    columns: Mapping[str, Any] = {**told["release"], **told["supervision"]}
    return ["ID", "Gender", "Race", told["offence"]["column"], *columns, *told["outcomes"].values()]

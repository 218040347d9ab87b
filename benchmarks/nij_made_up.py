"""Invented rows in the layout of the NIJ challenge, for machines that do not hold its data: nobody is behind them."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from benchmarks.nij_data import facts

CHOICES: dict[str, list[str | None]] = {
    "Age_at_Release": ["18-22", "23-27", "28-32", "33-37", "38-42", "43-47", "48 or older"],
    "Supervision_Level_First": ["Standard", "High", "Specialized", None],
    "Education_Level": ["Less than HS diploma", "High School Diploma", "At least some college"],
    "Dependents": ["0", "1", "2", "3 or more"],
    "Prison_Offense": ["Property", "Violent/Non-Sex", "Drug", "Violent/Sex", "Other", None],
    "Prison_Years": ["Less than 1 year", "1-2 years", "Greater than 2 to 3 years", "More than 3 years"],
    "Delinquency_Reports": ["0", "1", "2", "3", "4 or more"],
    "Program_Attendances": ["0", "5", "10 or more"],
    "Program_UnexcusedAbsences": ["0", "1", "2", "3 or more"],
    "Residence_Changes": ["0", "1", "2", "3 or more"],
}


def made_up(persons: int, seed: int) -> pl.DataFrame:
    """``persons`` rows with every column of the challenge.

    The young and the often arrested are arrested again sooner, men more than women; and, as in the real rows, work is
    counted only until the arrest, so that it knows the future.
    """
    rng = np.random.default_rng(seed)
    told = facts()
    women = rng.random(persons) < 0.15
    age, arrests = rng.integers(0, 7, persons), rng.integers(0, 11, persons)
    z = -1.2 + 0.25 * (3 - age) + 0.16 * (arrests - 5) - 0.4 * women
    year = np.full(persons, 4)
    for k in (3, 2, 1):
        year = np.where(rng.random(persons) < 1 / (1 + np.exp(-z + 0.2 * (k - 1))), k, year)
    columns: dict[str, Any] = {
        "ID": np.arange(1, persons + 1),
        "Gender": np.where(women, "F", "M"),
        "Race": np.where(rng.random(persons) < 0.55, "BLACK", "WHITE"),
        "Residence_PUMA": rng.integers(1, 26, persons),
    }
    for name, shape in {**told["release"], **told["supervision"]}.items():
        columns[name] = _column(name, shape, rng, persons)
    columns["Prison_Offense"] = _column("Prison_Offense", "grade", rng, persons)
    columns["Age_at_Release"] = [CHOICES["Age_at_Release"][k] for k in age]
    columns["Prior_Arrest_Episodes_Felony"] = ["10 or more" if k == 10 else str(k) for k in arrests]
    columns["Gang_Affiliated"] = [
        None if w else bool(g) for w, g in zip(women, rng.random(persons) < 0.2, strict=True)
    ]
    columns["Percent_Days_Employed"] = np.clip(rng.random(persons) * year / 4, 0, 1)
    columns["Jobs_Per_Year"] = rng.poisson(1.0, persons) * 3.0 / np.minimum(year, 3)
    columns |= {told["outcomes"][str(k)]: year == k for k in (1, 2, 3)}
    return pl.DataFrame(columns)


def _column(name: str, shape: str, rng: np.random.Generator, n: int) -> list[Any]:
    """Values as published: words and numbers for steps, yes or no for flags, some of them not known."""
    if name in CHOICES:
        return [CHOICES[name][k] for k in rng.integers(0, len(CHOICES[name]), n)]
    if shape == "flag":
        return [bool(v) for v in rng.random(n) < 0.3]
    if shape == "number":
        return [
            None if miss else float(v) for v, miss in zip(rng.random(n), rng.random(n) < 0.1, strict=True)
        ]
    return [str(v) if v < 3 else "3 or more" for v in rng.integers(0, 4, n)]

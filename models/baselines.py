"""The simple rules a force has today, on the same persons and the same T as the model.

Formulas: V100 (sum of harm days in 365 days for suspects of more than one crime), RFGV (recency, frequency, harm and
victims on 0-100 with half-life 60 days), age and priors (the Copas rate of OGRS3 from 18). Weights and sources:
``models/data/rules.toml``. OGRS3 itself reads sex and is computed apart, in ``models.ogrs3``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import polars as pl

from models import settings


def rules() -> dict[str, dict[str, Any]]:
    """Rule name -> its declaration (title, source, needs, weights), in the order they are shown."""
    return {name: rule for name, rule in settings.load("rules").items() if isinstance(rule, dict)}


def place(scores: pl.Series) -> pl.Series:
    """A rule's numbers as a place on the list: whom it does not apply to (null) comes last, together."""
    values = scores.cast(pl.Float64)
    least = values.min()
    return values.fill_null(float(least) - 1.0 if isinstance(least, float) else 0.0)


def apart() -> list[str]:
    """Rules that read what no score may (sex): computed where figures are judged, refused as an input."""
    return [name for name, rule in rules().items() if rule.get("apart")]


def needed_columns() -> list[str]:
    """Every history column some rule reads."""
    return list(dict.fromkeys(column for rule in rules().values() for column in rule["needs"]))


def not_applicable(features: pl.DataFrame) -> dict[str, str]:
    """Rules that cannot be computed here, with the reason in words."""
    out = {}
    for name, rule in rules().items():
        absent = [c for c in rule["needs"] if c not in features.columns]
        if absent:
            out[name] = f"not applicable: this force's records do not give {', '.join(absent)}"
        elif (
            name == "last_dash"
            and features.height
            and features["last_dash_grade"].null_count() == features.height
        ):
            out[name] = "not applicable: no DASH or DARA grade is known for anyone"
    return out


def baseline_scores(features: pl.DataFrame, skip: Mapping[str, str] | None = None) -> pl.DataFrame:
    """``person_id`` and one Float64 column per rule that applies (higher = placed earlier on the list).

    Counts and harm that are null count as none; no recorded domestic event gives recency 0. Rules that cannot be
    computed are left out by name (``not_applicable`` says why).
    """
    skip = not_applicable(features) if skip is None else skip
    declared = rules()
    exprs: dict[str, pl.Expr] = {
        "constant": pl.lit(0.0),
        "last_dash": number("last_dash_grade", float(declared["last_dash"]["none"])),
        "count_365": number("domestic_events_365d"),
        "harm_365": number("harm_days_365d"),
        "v100": _v100(declared["v100"]),
        "rfgv": _rfgv(declared["rfgv"]),
        "age_priors": _age_priors(declared["age_priors"]),
    }
    return features.select(
        "person_id", *(expr.alias(name) for name, expr in exprs.items() if name not in skip)
    )


def number(column: str, null: float = 0.0) -> pl.Expr:
    """``column`` as a float, ``null`` where absent."""
    return pl.col(column).cast(pl.Float64).fill_null(null)


def _v100(rule: Mapping[str, Any]) -> pl.Expr:
    several = number("domestic_crimes_365d") > float(rule["more_than_crimes"])
    return pl.when(several).then(number("harm_days_365d")).otherwise(0.0)


def _rfgv(rule: Mapping[str, Any]) -> pl.Expr:
    days = pl.col("days_since_domestic").cast(pl.Float64)
    recency = (days * (-math.log(2) / float(rule["half_life_days"]))).exp().fill_null(0.0)
    frequency = _share(number("domestic_events_365d").log1p() / math.log1p(float(rule["frequency_cap"])))
    harm = _share(number("harm_days_365d").log1p() / math.log1p(float(rule["harm_cap_days"])))
    victims = _share((number("distinct_victims_1095d") - 1.0) / float(rule["victims_cap"]))
    w = rule["weights"]
    return 100.0 * (
        float(w["recency"]) * recency
        + float(w["frequency"]) * frequency
        + float(w["harm"]) * harm
        + float(w["victims"]) * victims
    )


def _age_priors(rule: Mapping[str, Any]) -> pl.Expr:
    sanctions = number("convictions_ever") + number("cautions_ever")
    adult = (number("age", float(rule["age_unknown"])) - float(rule["adult_years"])).clip(0.0)
    return ((1.0 + sanctions) / (float(rule["copas_years"]) + adult)).log()


def _share(expr: pl.Expr) -> pl.Expr:
    """Held between 0 and 1."""
    return expr.clip(0.0, 1.0)

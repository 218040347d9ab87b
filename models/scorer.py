"""Score persons from a model document: numpy and Polars only, one fixed order of additions.

The document is plain data: terms (transformed columns), heads (coefficients over the terms), harm parts. A person
scored alone and the same person inside a batch get the same bits: every operation is element-wise over rows, terms
are added one by one in the document's order, and no matrix product is used.

Probabilities of the tree, given history x:

- ``p_serious``      = P(serious harm recorded in the horizon)
- ``p_any``          = p_serious + (1 - p_serious) * P(other recorded event | no serious harm)
- ``expected_harm``  = scale * [ p_serious * m_serious + (1 - p_serious) * o * m_other ],
  with o = P(other | no serious) and m the mean recorded harm days of such cases.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from features.errors import InputError
from models.transforms import LANES, Array, Term, Terms, padded

FORMAT = "doorstep-logistic-1"


def sigmoid(z: Array) -> Array:
    """Logistic function without overflow; element-wise."""
    return np.where(z >= 0, 1.0 / (1.0 + np.exp(-np.abs(z))), np.exp(-np.abs(z)) / (1.0 + np.exp(-np.abs(z))))


def held_back(z: Array, tail: Mapping[str, Any] | None) -> Array:
    """Log-odds with the far end held back to what held-out people bore out; element-wise, order is kept.

    Few people score as high as the highest, and a straight line runs ahead of them: above ``tail["from"]`` only the
    share ``tail["share"]`` of the distance counts.
    """
    if tail is None:
        return z
    knot = float(tail["from"])
    return np.where(z > knot, knot + float(tail["share"]) * (z - knot), z)


class Scorer:
    """A fitted model ready to score; built from the JSON document alone."""

    def __init__(self, doc: Mapping[str, Any]) -> None:
        if doc.get("format") != FORMAT:
            raise InputError(
                f"The model document has format {doc.get('format')!r}; this version reads {FORMAT!r}.",
                where="model.json",
                cure="Train the model again with this version.",
            )
        self.doc = doc
        self.terms = [Term(**term) for term in doc["terms"]]
        self.columns: list[str] = list(dict.fromkeys(term.column for term in self.terms))
        self.key: str = doc.get("key", "person_id")
        place = {column: n for n, column in enumerate(self.columns)}
        self._together = Terms(self.terms, [place[term.column] for term in self.terms])
        self._weights: dict[str, tuple[npt.NDArray[np.intp], Array]] = {}

    def _check(self, features: pl.DataFrame) -> None:
        there = set(features.columns)
        absent = [c for c in (self.key, *self.columns) if c not in there]
        if absent:
            raise InputError(
                f"The model needs feature columns that are not there: {', '.join(absent[:8])}"
                + (f" and {len(absent) - 8} more." if len(absent) > 8 else "."),
                where="features",
                cure="Compute them with this version's catalogue, or train the model again on what this force has.",
            )

    def linear(self, features: pl.DataFrame, heads: tuple[str, ...]) -> dict[str, Array]:
        """Recalibrated log-odds of each head, length = rows padded to ``LANES``."""
        self._check(features)
        maps = {h: self.doc["heads"][h] for h in heads}
        if features.height <= LANES:
            return self._few(features, maps)
        length = -(-max(features.height, 1) // LANES) * LANES
        total = {h: np.full(length, float(maps[h]["intercept"])) for h in heads}
        column, values = "", np.empty(0)
        for j, term in enumerate(self.terms):
            weights = {h: maps[h]["coef"][j] for h in heads if maps[h]["coef"][j] != 0.0}
            if not weights:
                continue
            if term.column != column:
                column, values = term.column, padded(features, term.column)
            x = term.apply(values)
            for h, w in weights.items():
                total[h] += w * x
        return {h: held_back(z, maps[h].get("tail")) for h, z in total.items()}

    def _few(self, features: pl.DataFrame, maps: Mapping[str, Any]) -> dict[str, Array]:
        """:meth:`linear` for up to ``LANES`` rows: all terms at once, since a term at a time costs more than its
        numbers. The same operations on each number, and one running sum in the document's order: the same bits."""
        values = np.full((len(self.columns), LANES), np.nan)
        at = {name: n for n, name in enumerate(features.columns)}
        wanted = [at[name] for name in self.columns]
        for lane, row in enumerate(features.rows()):
            values[:, lane] = [np.nan if row[n] is None else row[n] for n in wanted]
        x = self._together.apply(values)
        out = {}
        for h, head in maps.items():
            if h not in self._weights:
                weights = np.array(head["coef"], dtype=np.float64)
                self._weights[h] = np.flatnonzero(weights), weights[weights != 0.0]
            used, weights = self._weights[h]
            parts = np.empty((used.size + 1, LANES))
            parts[0] = float(head["intercept"])
            np.multiply(x[used], weights[:, None], out=parts[1:])
            out[h] = held_back(np.add.accumulate(parts)[-1], head.get("tail"))
        return out

    def score(self, features: pl.DataFrame) -> pl.DataFrame:
        """Person key, ``p_serious``, ``p_any``, ``expected_harm`` (days) and one ``p_serious_<h>`` for each further
        horizon; rows in the order of ``features``."""
        heads = tuple(self.doc["heads"])
        z = self.linear(features, heads)
        n = features.height
        p, q = sigmoid(z["serious"]), sigmoid(z["other"])
        harm = self.doc["harm_parts"]
        expected = harm["scale"] * (p * harm["serious_days"] + (1.0 - p) * q * harm["other_days"])
        out = {
            self.key: features[self.key],
            "p_serious": p[:n],
            "p_any": (p + (1.0 - p) * q)[:n],
            "expected_harm": expected[:n],
        }
        for head in heads:
            if head.startswith("serious_"):
                out[f"p_{head}"] = sigmoid(z[head])[:n]
        return pl.DataFrame(out)

    def contributions(
        self, features: pl.DataFrame, head: str = "serious", before_tail: bool = False
    ) -> pl.DataFrame:
        """What each column adds to the log-odds of ``head``, for each person: long frame of key, ``column``,
        ``value`` (the history value, null where absent) and ``contribution``; the row ``(intercept)`` holds the
        average person. The contributions of a person add up to logit(p): where the far end is held back, each part
        is held back in proportion (``before_tail`` shows them as they were)."""
        self._check(features)
        weights = self.doc["heads"][head]
        n = features.height
        parts: dict[str, Array] = {}
        column, values = "", np.empty(0)
        for j, term in enumerate(self.terms):
            w = weights["coef"][j]
            if term.column != column:
                column, values = term.column, padded(features, term.column)
            if w != 0.0:
                parts[column] = parts.get(column, np.zeros(len(values))) + w * term.apply(values)
        if not before_tail and weights.get("tail") is not None:
            raised = np.sum(list(parts.values()), axis=0) if parts else np.zeros(n)
            base = float(weights["intercept"])
            kept = held_back(base + raised, weights["tail"]) - base
            share = np.divide(kept, raised, out=np.ones_like(raised), where=kept != raised)
            parts = {name: part * share for name, part in parts.items()}
        frames = [self._long(features, "(intercept)", None, np.full(n, float(weights["intercept"])))]
        frames += [self._long(features, name, features[name], part[:n]) for name, part in parts.items()]
        return pl.concat(frames)

    def _long(self, features: pl.DataFrame, name: str, values: pl.Series | None, part: Array) -> pl.DataFrame:
        value = (
            pl.Series([None] * features.height, dtype=pl.Float64)
            if values is None
            else values.cast(pl.Float64)
        )
        return pl.DataFrame(
            {
                self.key: features[self.key],
                "column": pl.Series([name] * features.height, dtype=pl.String),
                "value": value,
                "contribution": part,
            }
        )


_BUILT: list[tuple[dict[str, Any], Scorer]] = []
_KEPT = 4


def scorer_of(doc: Mapping[str, Any]) -> Scorer:
    """The scorer of a document, built once however often it is asked for: found again by the document's content."""
    for content, scorer in _BUILT:
        if content == doc:
            return scorer
    content = deepcopy(dict(doc))
    scorer = Scorer(content)
    _BUILT.append((content, scorer))
    del _BUILT[:-_KEPT]
    return scorer

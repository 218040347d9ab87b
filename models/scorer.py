"""Score persons from a model document: numpy and Polars only, one fixed order of additions.

The document is plain data: heads (``models.parts``), harm parts, and when. A person scored alone and the same person
inside a batch get the same bits.

Probabilities of the tree, given history x:

- ``p_serious``      = P(serious harm recorded in the horizon)
- ``p_any``          = p_serious + (1 - p_serious) * P(other recorded event | no serious harm)
- ``expected_harm``  = map( scale * [ p_serious * m_serious + (1 - p_serious) * o * m_other ] ),
  with o = P(other | no serious), m the mean recorded harm days of such cases, and a map that keeps the order
  (``mapped``) and was fitted on held-out persons so that observed over expected harm days is 1 along the whole range.
- ``p_serious_<d>``  = p_serious * share of such harm that falls within d days, from the hazard of each period.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import polars as pl

from features.errors import InputError
from models.parts import Get, Part, part
from models.transforms import LANES, Array, padded, padded_length

FORMAT = "doorstep-model-3"
PERIOD = "(period)"
"""The column that tells a hazard which period is asked for."""


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


def mapped(expected: Array, map_: Mapping[str, Any] | None) -> Array:
    """Harm days calibrated: straight in the logarithm, with another slope above ``from``; order is kept."""
    if map_ is None:
        return expected
    level = np.log(np.maximum(expected, 1e-9))
    knot = float(map_["from"])
    below, above = np.minimum(level, knot), np.maximum(level - knot, 0.0)
    return np.asarray(
        np.exp(float(map_["intercept"]) + float(map_["slope"]) * below + float(map_["above"]) * above)
    )


def at_period(column: str, period: int) -> str:
    """The name of a column that is read in one period alone (never the last: that is what the others differ from)."""
    return f"{column}@{period}"


def period_heads(when: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The hazard's head once for each period: what interacts with a period is read there and nowhere else, and the
    period's own offset (``offsets``, log-odds) is in the intercept."""
    out, offsets = [], when["offsets"]
    for k in range(len(when["periods"])):
        own = {
            at_period(c, j): ({"column": c} if j == k else None)
            for c in when["interacts"]
            for j in range(len(when["periods"]) - 1)
        }
        level = float(when["head"]["intercept"]) + float(offsets[k])
        out.append({**when["head"], "intercept": level, "fixed": {PERIOD: float(k), **own}})
    return out


def check_format(doc: Mapping[str, Any]) -> None:
    """Refuse (InputError) a document that another version of Doorstep wrote in another form."""
    if doc.get("format") != FORMAT:
        named = f"The document of model {doc['version']}" if doc.get("version") else "The model document"
        raise InputError(
            f"{named} has format {doc.get('format')!r}; this version reads {FORMAT!r}.",
            where="model.json",
            cure="Train the model again with this version.",
        )


class Scorer:
    """A fitted model ready to score; built from the JSON document alone."""

    def __init__(self, doc: Mapping[str, Any]) -> None:
        check_format(doc)
        self.doc = doc
        self.key: str = doc.get("key", "person_id")
        self._parts: dict[str, Part] = {name: part(head) for name, head in doc["heads"].items()}
        when = doc.get("when")
        self.periods: list[int] = list(when["periods"]) if when else []
        self._hazards = [part(head) for head in period_heads(when)] if when else []
        every = [*self._parts.values(), *self._hazards]
        self.columns: list[str] = list(dict.fromkeys(c for p in every for c in p.columns))
        self.additive = all(p.additive for p in self._parts.values())

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

    def _values(self, features: pl.DataFrame) -> tuple[Get, int]:
        """Columns of ``features`` padded to whole lanes, each made once, and the padded length."""
        length = padded_length(features.height)
        if features.height <= LANES:
            at = {name: n for n, name in enumerate(features.columns)}
            wanted = [at[name] for name in self.columns]
            few = np.full((len(wanted), LANES), np.nan)
            for lane, row in enumerate(features.rows()):
                few[:, lane] = [np.nan if row[n] is None else row[n] for n in wanted]
            place = {name: n for n, name in enumerate(self.columns)}
            return lambda column: few[place[column]], length
        last: list[tuple[str, Array]] = [("", np.empty(0))]

        def get(column: str) -> Array:
            if last[0][0] != column:
                last[0] = (column, padded(features, column))
            return last[0][1]

        return get, length

    def log_odds(self, features: pl.DataFrame, heads: Sequence[str]) -> dict[str, Array]:
        """Recalibrated log-odds of each head, length = rows padded to ``LANES``."""
        self._check(features)
        get, length = self._values(features)
        return {h: self._head(h, get, length) for h in heads}

    def _head(self, name: str, get: Get, length: int) -> Array:
        return held_back(self._parts[name].log_odds(get, length), self.doc["heads"][name].get("tail"))

    def score(self, features: pl.DataFrame) -> pl.DataFrame:
        """Person key, ``p_serious``, ``p_any``, ``expected_harm`` (days) and one ``p_serious_<d>`` for each earlier
        period of the hazard; rows in the order of ``features``."""
        self._check(features)
        get, length = self._values(features)
        n = features.height
        p = sigmoid(self._head("serious", get, length))
        q = sigmoid(self._head("other", get, length))
        harm = self.doc["harm_parts"]
        expected = harm["scale"] * (p * harm["serious_days"] + (1.0 - p) * q * harm["other_days"])
        out = {
            self.key: features[self.key],
            "p_serious": p[:n],
            "p_any": (p + (1.0 - p) * q)[:n],
            "expected_harm": mapped(expected, harm.get("map"))[:n],
        }
        if self._hazards:
            shares = self._shares_by(get, length)
            for days, share in zip(self.periods[:-1], shares, strict=True):
                out[f"p_serious_{days}"] = (p * share)[:n]
        return pl.DataFrame(out)

    def _shares_by(self, get: Get, length: int) -> list[Array]:
        """Share of the serious harm of the horizon that falls within each earlier period."""
        left, upto = np.ones(length), []
        for hazard in self._hazards:
            left = left * (1.0 - sigmoid(hazard.log_odds(get, length)))
            upto.append(1.0 - left)
        whole = np.maximum(upto[-1], 1e-300)
        return [part_ / whole for part_ in upto[:-1]]

    def contributions(
        self, features: pl.DataFrame, head: str = "serious", before_tail: bool = False
    ) -> pl.DataFrame:
        """What each column adds to the log-odds of ``head``, for each person: long frame of key, ``column``,
        ``value`` (the history value, null where absent) and ``contribution``; the row ``(intercept)`` holds the
        average person. The contributions of a person add up to logit(p): where the far end is held back, each part
        is held back in proportion (``before_tail`` shows them as they were). Raises InputError for a model whose
        parts do not add up (trees)."""
        self._check(features)
        get, length = self._values(features)
        n, tail = features.height, self.doc["heads"][head].get("tail")
        parts = self._parts[head].shares(get, length)
        base = self._parts[head].intercept
        if not before_tail and tail is not None:
            raised = np.sum(list(parts.values()), axis=0) if parts else np.zeros(length)
            kept = held_back(base + raised, tail) - base
            share = np.divide(kept, raised, out=np.ones_like(raised), where=kept != raised)
            parts = {name: values * share for name, values in parts.items()}
        keys, names = features[self.key], ["(intercept)", *parts]
        values = [pl.Series("value", [None] * n, dtype=pl.Float64)]
        values += [features[name].cast(pl.Float64).alias("value") for name in parts]
        return pl.DataFrame(
            {
                self.key: pl.concat([keys] * len(names)),
                "column": np.repeat(np.array(names, dtype=np.object_), n).tolist(),
                "value": pl.concat(values),
                "contribution": np.concatenate([np.full(n, base), *(part_[:n] for part_ in parts.values())]),
            },
            schema_overrides={"column": pl.String},
        )


_BUILT: list[tuple[dict[str, Any], Scorer]] = []
_KEPT = 4
_SCORES = ("format", "key", "version", "heads", "when", "harm_parts")
"""What of a document a score depends on, and its name."""


def scorer_of(doc: Mapping[str, Any]) -> Scorer:
    """The scorer of a document, built once however often it is asked for: found again by what scores in it."""
    scores = {name: doc.get(name) for name in _SCORES}
    for content, scorer in _BUILT:
        if content == scores:
            return scorer
    content = deepcopy(scores)
    scorer = Scorer({**doc, **{name: content[name] for name in _SCORES if name in doc}})
    _BUILT.append((content, scorer))
    del _BUILT[:-_KEPT]
    return scorer

"""How sure a person's own "x in 100" is: read from the refits that a model document keeps.

``models.refits`` fits the main head again on persons drawn with replacement and recalibrates each refit on the persons
its draw left out. Here their log-odds are set beside the model's own: with s the root mean square of their distances
and m the misfit at z (what held-out people showed that no refit says), the interval is

    sigmoid( tail(z) - q r )  to  sigmoid( tail(z) + q r ),   r^2 = s^2 + m^2,

q the quantile of Student's t for as many refits, ``tail`` the model's own holding back of the far end (which moves the
middle and does not narrow the interval: how far the end must be held back is not sure either). It is an interval of the
figure for *people with such a history*. It is not the spread of people who share a history: how a person differs from
them is in no record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from models.parts import Get, part
from models.scorer import held_back, sigmoid
from models.transforms import LANES, Array, Term, design, padded

_TERM = ("column", "kind", "a", "b", "fill", "center", "scale")


def interval(doc: Mapping[str, Any], features: pl.DataFrame) -> pl.DataFrame | None:
    """Person key, ``p_low`` and ``p_high`` of P(serious harm) for each row of ``features``, in their order; None when
    the document keeps no refits. The ends lie on either side of ``p_serious``."""
    kept = doc.get("refits")
    if not kept:
        return None
    head = doc["heads"]["serious"]
    z = _log_odds(head, features)
    refitted = refit_log_odds(kept, features)
    away = ((refitted - z) ** 2).sum(axis=0) / (len(refitted) - 1)
    middle = held_back(z, head.get("tail"))
    apart = np.interp(middle, kept["misfit"]["z"], kept["misfit"]["misfit"])
    reach = float(kept["times"]) * np.sqrt(away + apart**2)
    key = doc.get("key", "person_id")
    ends = {"p_low": sigmoid(middle - reach), "p_high": sigmoid(middle + reach)}
    return pl.DataFrame({key: features[key], **ends})


def columns_of(doc: Mapping[str, Any]) -> list[str]:
    """The history columns an interval reads: the main head's and its refits', which may have chosen others."""
    kept = doc.get("refits")
    if not kept:
        return []
    own = part(doc["heads"]["serious"]).columns
    if kept["kind"] == "linear":
        return list(dict.fromkeys([*own, *(values[0] for values in kept["terms"])]))
    return list(dict.fromkeys([*own, *(c for head in kept["heads"] for c in part(head).columns)]))


def refit_log_odds(kept: Mapping[str, Any], features: pl.DataFrame) -> Array:
    """Recalibrated log-odds of every refit, refits x rows, before the far end is held back."""
    if kept["kind"] == "linear":
        terms = [Term(**dict(zip(_TERM, values, strict=True))) for values in kept["terms"]]
        shares = np.array(kept["weights"], dtype=np.float64).reshape(-1, len(terms))
        return np.asarray(np.array(kept["intercepts"])[:, None] + shares @ design(features, terms).T)
    return np.stack([_log_odds(head, features) for head in kept["heads"]])


def _log_odds(head: Mapping[str, Any], features: pl.DataFrame) -> Array:
    length = -(-max(features.height, 1) // LANES) * LANES
    get: Get = lambda column: padded(features, column)  # noqa: E731
    return part(head).log_odds(get, length)[: features.height]


def refit_heads(doc: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The heads of the refits a document keeps, each whole (``models.parts``); none when it keeps none."""
    kept = doc.get("refits")
    if not kept:
        return []
    if kept["kind"] != "linear":
        return list(kept["heads"])
    terms = [dict(zip(_TERM, values, strict=True)) for values in kept["terms"]]
    return [
        {
            "kind": "linear",
            "intercept": intercept,
            "terms": [{**term, "weight": w} for term, w in zip(terms, weights, strict=True) if w != 0.0],
        }
        for intercept, weights in zip(kept["intercepts"], kept["weights"], strict=True)
    ]


def packed(heads: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Heads of refits as the document keeps them: linear ones share one list of terms, so that forty of them take the
    room of a few."""
    if any(head["kind"] != "linear" for head in heads):
        return {"kind": "heads", "heads": [_bare(head) for head in heads]}
    place: dict[tuple[Any, ...], int] = {}
    for head in heads:
        for term in head["terms"]:
            place.setdefault(tuple(term[name] for name in _TERM), len(place))
    weights = np.zeros((len(heads), len(place)))
    for row, head in zip(weights, heads, strict=True):
        for term in head["terms"]:
            row[place[tuple(term[name] for name in _TERM)]] += term["weight"]
    return {
        "kind": "linear",
        "terms": [list(key) for key in place],
        "intercepts": [float(head["intercept"]) for head in heads],
        "weights": [[float(f"{w:.9g}") for w in row] for row in weights.tolist()],
    }


def _bare(head: Mapping[str, Any]) -> dict[str, Any]:
    """What scores in a head and nothing else; the numbers of tables to a millionth, so that eight fit in a file."""
    kept = ("kind", "intercept", "terms", "per_point", "items", "tables", "columns", "trees", "fixed")
    out = {name: head[name] for name in kept if name in head}
    if "tables" in out:
        out["tables"] = [{**t, "scores": np.round(np.array(t["scores"]), 6).tolist()} for t in out["tables"]]
    return out

"""The whole scorer in a hundred lines of Python's own library: anyone can read what a model does, and check it.

    python -m models.plain MODEL.json ROWS.json

ROWS.json: a list of objects, a person each: column -> number, true, false or null. Any family, to 1e-9.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

Json = dict[str, Any]
RAW: Json = {  # of x (None: unknown), x or its fill, a, b
    "missing": lambda x, known, a, b: float(x is None),
    "log1p": lambda x, known, a, b: math.log1p(min(max(known, 0.0), a)),
    "decay": lambda x, known, a, b: 0.0 if x is None else math.exp(max(x, 0.0) * (-math.log(2) / a)),
    "step": lambda x, known, a, b: float(x is not None and x >= a),
    "linear": lambda x, known, a, b: min(max(known, a), b),
    "hinge": lambda x, known, a, b: min(max(known, a), b) - a,
}


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def term(t: Json, x: float | None) -> float:
    """A weighted, transformed, centred and scaled column of a linear head."""
    raw = RAW[t["kind"]](x, t["fill"] if x is None else x, t["a"], t["b"])
    return float(t["weight"] * (raw - t["center"]) / t["scale"])


def holds(item: Json, x: float | None) -> bool:
    """Whether a line of a scorecard counts."""
    if item.get("missing"):
        return x is None
    return x is not None and (x < item["below"] if "below" in item else x >= item["at_least"])


def looked_up(table: Json, value: Any) -> float:
    """A table's number: place 0 for an unknown value, else one more than the cuts at or below the value."""
    found = table["scores"]
    for column, cuts in zip(table["columns"], table["cuts"], strict=True):
        x = value(column)
        found = found[0 if x is None else 1 + sum(cut <= x for cut in cuts)]
    return float(found)


def leaf(tree: Json, columns: list[str], value: Any) -> float:
    """The number at the end of a tree."""
    node = 0
    while tree["feature"][node] >= 0:
        x = value(columns[tree["feature"][node]])
        left = tree["missing_left"][node] if x is None else x <= tree["threshold"][node]
        node = tree["left" if left else "right"][node]
    return float(tree["value"][node])


def log_odds(head: Json, row: Json, period: int | None = None) -> float:
    def value(column: str) -> float | None:  # "column@2" is read in period 2 alone, and unknown in the others
        name, _, only = column.partition("@")
        x = period if name == "(period)" else row[name] if only in ("", str(period)) else None
        return None if x is None else float(x)

    z, kind = float(head["intercept"]), head["kind"]
    if kind == "linear":
        z += sum(term(t, value(t["column"])) for t in head["terms"])
    elif kind == "points":
        z += head["per_point"] * sum(i["points"] for i in head["items"] if holds(i, value(i["column"])))
    elif kind == "tables":
        z += sum(looked_up(t, value) for t in head["tables"])
    elif kind == "trees":
        z += sum(leaf(t, head["columns"], value) for t in head["trees"])
    tail = head.get("tail") or {"from": z, "share": 1.0}  # the far end is held back
    return float(min(z, tail["from"]) + tail["share"] * max(z - tail["from"], 0.0))


def score(model: Json, row: Json) -> dict[str, float]:
    """Chance of serious harm (in all, and within each earlier period) and of any event; expected harm in days."""
    p, q = (sigmoid(log_odds(model["heads"][name], row)) for name in ("serious", "other"))
    harm, bend = model["harm_parts"], model["harm_parts"].get("map")
    days = harm["scale"] * (p * harm["serious_days"] + (1 - p) * q * harm["other_days"])
    if bend:
        z, knot = math.log(max(days, 1e-9)), bend["from"]
        days = math.exp(bend["intercept"] + bend["slope"] * min(z, knot) + bend["above"] * max(z - knot, 0))
    when, left = model.get("when") or {"periods": []}, [1.0]
    for k in range(len(when["periods"])):
        left.append(left[-1] * (1 - sigmoid(log_odds(when["head"], row, k) + when["offsets"][k])))
    by = zip(when["periods"][:-1], left[1:-1], strict=True)
    within = {f"p_serious_{d}": p * (1 - x) / max(1 - left[-1], 1e-300) for d, x in by}
    return {"p_serious": p, "p_any": p + (1 - p) * q, "expected_harm": days, **within}


if __name__ == "__main__":
    MODEL, ROWS = (json.loads(Path(name).read_bytes()) for name in sys.argv[1:3])
    print(json.dumps([score(MODEL, row) for row in ROWS], indent=1))

"""What a model adds up, drawn: the curve of each column of an explainable boosting machine, and what each column of a
linear model weighs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from models.plots import GREY, MODEL, RED, style

PANEL = (3.1, 2.35)


def reach(table: Mapping[str, Any]) -> float:
    """How far apart the largest and the smallest number of a table are for values that are recorded."""
    scores = np.array(table["scores"], dtype=np.float64)
    known = scores[1:] if scores.ndim == 1 else scores
    return float(known.max() - known.min()) if known.size else 0.0


def shape(table: Mapping[str, Any], title: str, entry: Mapping[str, Any], limits: tuple[float, float]) -> Any:
    """One single-column table as a stair: what is added to the log-odds by the value, "no record" apart.

    ``entry``: of the data dictionary (unit, shape). ``limits``: common to all panels, so that a flat curve looks flat;
    what lies beyond is drawn at the edge. Long axes of counts, days and harm are stretched at the low end, where most
    people are. The last stair has no end; it is drawn a little beyond the last cut.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=PANEL, layout="constrained")
    axes = figure.add_subplot()
    style(axes)
    cuts, scores = [float(c) for c in table["cuts"][0]], [float(s) for s in table["scores"]]
    first, last = cuts[0], cuts[-1]
    room = max((last - first) * 0.1, 0.5)
    most = max(last + 1e-6, 1.0) if entry.get("unit") == "share" else last + room
    edges = [0.0 if first > 0 else first - room, *cuts, most]
    axes.axhline(0.0, color=GREY, linewidth=0.9, linestyle="--")
    axes.stairs(np.clip(scores[1:], *limits), edges, baseline=None, color=MODEL, linewidth=2.0)
    axes.set_xlim(edges[0], edges[-1])
    long = entry.get("shape") in ("count", "harm", "recency") or entry.get("unit") == "harm days"
    if edges[0] >= 0 and last > 50 and long:
        axes.set_xscale("function", functions=(np.log1p, np.expm1))
        ticks = [t for t in ((0, 10, 100, 1000, 10000) if last > 300 else (0, 3, 10, 30, 100)) if t <= most]
        axes.set_xticks(ticks, [f"{t:,}" for t in ticks])
        axes.minorticks_off()
    if scores[0] != 0.0:
        value = min(max(scores[0], limits[0]), limits[1])
        axes.annotate(f"no record: {scores[0]:+.2f}", (0.98, 0.04), xycoords="axes fraction", ha="right", fontsize=8.5,
                      color=RED)  # fmt: skip
        axes.plot([0.0], [value], transform=axes.get_yaxis_transform(), marker="D", color=RED, markersize=5.5,
                  clip_on=False, zorder=5)  # fmt: skip
    axes.set_ylim(*limits)
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(entry.get("unit") or "value", fontsize=9.5)
    axes.tick_params(labelsize=9)
    return figure


def limits_of(tables: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """One vertical scale for all panels, of the values that are recorded."""
    values = [float(s) for t in tables for s in t["scores"][1:]] or [0.0]
    low, high = min([*values, 0.0]), max([*values, 0.1])
    room = 0.08 * (high - low)
    return low - room, high + room


def weights(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Terms of a linear head by the size of their coefficient, as bars from zero: ``rows`` of label (one or two lines)
    and coef."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0, 0.8 + 0.36 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    style(axes)
    places = list(range(len(rows)))
    values = [float(r["coef"]) for r in rows]
    axes.barh(places, values, color=[MODEL if v >= 0 else "#8a9bbf" for v in values], height=0.6)
    axes.set_yticks(places, [r["label"] for r in rows], fontsize=8.2, linespacing=0.95)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.axvline(0.0, color=GREY, linewidth=1)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("weight (log-odds)", fontsize=10)
    return figure

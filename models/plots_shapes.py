"""What a model adds up, drawn: the curve of each column of an explainable boosting machine, and what each column of a
linear model weighs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from models.plots import GREY, MODEL, RED, style

PANEL = (3.1, 2.35)


def reach(table: Mapping[str, Any]) -> float:
    """How far apart the largest and the smallest number of a table are: what the column can do to log-odds."""
    scores = np.array(table["scores"], dtype=np.float64)
    return float(scores.max() - scores.min()) if scores.size else 0.0


def shape(table: Mapping[str, Any], title: str, unit: str, limits: tuple[float, float]) -> Any:
    """One single-column table as a stair: what is added to the log-odds by the value, "nothing recorded" apart.

    ``limits``: common to all panels, so that a flat curve looks flat. The last stair has no end; it is drawn a tenth of
    the range beyond the last cut.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=PANEL, layout="constrained")
    axes = figure.add_subplot()
    style(axes)
    cuts, scores = [float(c) for c in table["cuts"][0]], [float(s) for s in table["scores"]]
    known = scores[1:]
    first, last = (cuts[0], cuts[-1]) if cuts else (0.0, 1.0)
    room = max((last - first) * 0.1, 0.5)
    low = min(0.0, first) if first >= 0 else first - room
    edges = [low if cuts and low < first else first - room, *cuts, last + room]
    axes.axhline(0.0, color=GREY, linewidth=0.9, linestyle="--")
    axes.stairs(known, edges, baseline=None, color=MODEL, linewidth=2.0)
    if scores[0] != 0.0:
        span = edges[-1] - edges[0]
        axes.plot([edges[0] - 0.12 * span], [scores[0]], marker="D", color=RED, markersize=5, clip_on=False)
        axes.annotate("none", (edges[0] - 0.12 * span, scores[0]), textcoords="offset points", xytext=(0, 7),
                      ha="center", fontsize=8.5, color=RED)  # fmt: skip
        axes.set_xlim(edges[0] - 0.2 * span, edges[-1])
    axes.set_ylim(*limits)
    axes.set_title(title, fontsize=10, loc="left", wrap=True)
    axes.set_xlabel(unit or "value", fontsize=9.5)
    axes.tick_params(labelsize=9)
    return figure


def limits_of(tables: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """One vertical scale for all panels."""
    values = [float(s) for t in tables for s in np.array(t["scores"], dtype=np.float64).ravel()] or [0.0]
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

"""Plots people can read, as matplotlib figures without a display."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

TITLES = {
    "model": "Model",
    "oracle": "Oracle (simulation only)",
    "constant": "Same for everyone",
    "last_dash": "Last DASH grade",
    "count_365": "Count, 365 days",
    "harm_365": "Harm sum, 365 days",
    "v100": "V100",
    "rfgv": "RFGV",
    "without age": "Model without age",
    "without health": "Model without health markers",
}
COLOURS = {
    "model": "#1b2f5b",
    "oracle": "#0b0c0c",
    "constant": "#b1b4b6",
    "last_dash": "#d4351c",
    "count_365": "#00703c",
    "harm_365": "#f47738",
    "v100": "#912b88",
    "rfgv": "#5694ca",
}


def _figure() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e5e6e7", linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def calibration(rows: Sequence[Mapping[str, float]]) -> Any:
    """Predicted against recorded share in ten groups of equal size, with 95 % binomial intervals."""
    figure, axes = _figure()
    p, y = [r["mean_p"] for r in rows], [r["observed"] for r in rows]
    half = [1.96 * (max(v * (1 - v), 0.0) / max(r["n"], 1.0)) ** 0.5 for v, r in zip(y, rows, strict=True)]
    top = max([*p, *(a + b for a, b in zip(y, half, strict=True)), 0.001]) * 1.08
    axes.plot([0, top], [0, top], color="#505a5f", linewidth=1, linestyle="--", label="perfect agreement")
    low = [min(v, h) for v, h in zip(y, half, strict=True)]
    axes.errorbar(
        p, y, yerr=[low, half], color=COLOURS["model"], marker="o", markersize=4, linewidth=1.2, label="model"
    )
    axes.set(
        xlim=(0, top), ylim=(0, top), xlabel="said: chance of recorded serious harm", ylabel="recorded: share"
    )
    axes.legend(frameon=False, loc="upper left")
    return figure


def capture(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Share of the recorded harm that falls to persons on the list, against the share of the cohort listed."""
    figure, axes = _figure()
    for score in dict.fromkeys(r["score"] for r in rows):
        if score not in COLOURS:
            continue
        points = [r for r in rows if r["score"] == score]
        axes.plot(
            [100 * r["share"] for r in points],
            [100 * (r["captured"] or 0.0) for r in points],
            color=COLOURS[score],
            linewidth=2.4 if score == "model" else 1.2,
            linestyle=":" if score == "oracle" else "-",
            label=TITLES[score],
        )
    axes.set_xscale("log")
    ticks = [0.1, 0.5, 1, 2, 5, 10, 20, 50, 100]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set(
        xlabel="persons listed, % of the cohort", ylabel="recorded harm days on the list, %", ylim=(0, 100)
    )
    if rows:
        axes.legend(frameon=False, loc="upper left", fontsize="small")
    return figure


def inline(figure: Any) -> str:
    """The figure as a data address for an ``img`` element: nothing to fetch."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()

"""Plots people can read, as matplotlib figures without a display: one size, large type, no colour that alone carries
meaning. Figures of the model's own shapes are in ``models.plots_shapes``, of groups and of drift in
``models.plots_groups``.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from models import baselines

TITLES = {
    "model": "This model",
    "oracle": "Oracle (simulation only)",
    "champion": "Model in use",
    "without age": "This model without age",
    "without health": "This model without health markers",
}
INK, GREY, PALE, RED = "#0b0c0c", "#505a5f", "#b1b4b6", "#942514"
MODEL = "#1b2f5b"
LINES = {
    "constant": ("#b1b4b6", "-"),
    "last_dash": ("#d4351c", "-"),
    "count_365": ("#00703c", "--"),
    "harm_365": ("#c15c10", "-"),
    "v100": ("#912b88", "--"),
    "rfgv": ("#2b7bb9", "-"),
    "age_priors": ("#6f4e21", "-."),
    "ogrs3": ("#28a197", "-."),
}
"""Colour and dash of each rule: two rules alike in one differ in the other."""
OTHERS = ("#4c2c92", "#801650", "#12436d")
WIDTH = 5.0


def title_of(score: str) -> str:
    """A score's name as people read it."""
    rule = baselines.rules().get(score)
    return str(rule["title"]) if rule else TITLES.get(score, score)


def blank(height: float = 3.9, width: float = WIDTH) -> tuple[Any, Any]:
    """A figure (inches) and its axes, in the house style."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    style(axes)
    return figure, axes


def style(axes: Any) -> None:
    """Light grid behind, no box, type that stays legible on a phone."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.grid(color="#e5e6e7", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=10.5, colors=INK)
    axes.xaxis.label.set_size(11)
    axes.yaxis.label.set_size(11)


def calibration(rows: Sequence[Mapping[str, float]]) -> Any:
    """Predicted against recorded share in ten groups of equal size, with 95 % binomial intervals; axes "in 100"."""
    figure, axes = blank()
    p, y = [100 * r["mean_p"] for r in rows], [100 * r["observed"] for r in rows]
    half = [
        196 * (max(v * (100 - v), 0.0) / 1e4 / max(r["n"], 1.0)) ** 0.5 for v, r in zip(y, rows, strict=True)
    ]
    top = max([*p, *(a + b for a, b in zip(y, half, strict=True)), 0.1]) * 1.08
    axes.plot([0, top], [0, top], color=GREY, linewidth=1, linestyle="--", label="what is said comes true")
    low = [min(v, h) for v, h in zip(y, half, strict=True)]
    axes.errorbar(
        p, y, yerr=[low, half], color=MODEL, marker="o", markersize=5, linewidth=1.4, capsize=3,
        label="a tenth of the persons each",
    )  # fmt: skip
    for axis in (
        axes.set_xscale,
        axes.set_yscale,
    ):  # most people are near zero: a root spreads them, and keeps zero
        axis("function", functions=(np.sqrt, np.square))
    ticks = [t for t in (0, 0.1, 0.5, 1, 2, 4, 7, 10, 15, 20, 30, 40, 60, 80, 100) if t <= top]
    for setter in (axes.set_xticks, axes.set_yticks):
        setter(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set(xlim=(0, top), ylim=(0, top))
    axes.set(xlabel="said: … in 100", ylabel="recorded for serious harm: … in 100")
    axes.legend(frameon=False, loc="upper left", fontsize=10)
    return figure


def capture(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Share of the recorded harm that falls to persons on the list, against the share of the cohort listed: every
    score there is, best at one in a hundred first in the legend."""
    figure, axes = blank(5.2)
    at = {r["score"]: r["captured"] or 0.0 for r in rows if r["share"] == 0.01}
    scores = sorted(dict.fromkeys(r["score"] for r in rows if not r["score"].startswith("without")),
                    key=lambda s: (-at.get(s, 0.0), s))  # fmt: skip
    others = [s for s in scores if s not in LINES and s not in ("model", "oracle")]
    for score in scores:
        points = [r for r in rows if r["score"] == score]
        colour, dash, width = _line(score, others)
        axes.plot(
            [100 * r["share"] for r in points],
            [100 * (r["captured"] or 0.0) for r in points],
            color=colour, linestyle=dash, linewidth=width, zorder=3 if score == "model" else 2,
            label=f"{title_of(score)}: {100 * at.get(score, 0.0):.0f} %",
        )  # fmt: skip
    axes.axvline(1.0, color=PALE, linewidth=1, zorder=1)
    axes.set_xscale("log")
    ticks = [0.1, 0.5, 1, 2, 5, 10, 20, 50, 100]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set(xlabel="persons on the list, % of the cohort", ylabel="recorded harm they did, %", ylim=(0, 100))
    if rows:
        figure.legend(
            loc="outside lower center", ncols=2, frameon=False, fontsize=9.5, handlelength=2.8, columnspacing=1.4,
            title="Harm captured by a list of 1 % of the cohort", title_fontsize=9.5, alignment="left",
        )  # fmt: skip
    return figure


def _line(score: str, others: Sequence[str]) -> tuple[str, str, float]:
    if score == "model":
        return MODEL, "-", 2.8
    if score == "oracle":
        return INK, ":", 1.8
    if score in LINES:
        return (*LINES[score], 1.4)
    return OTHERS[others.index(score) % len(OTHERS)], (0, (6, 2)), 1.8  # type: ignore[return-value]


def svg(figure: Any) -> str:
    """The figure as one SVG element's text: sharp at any size, nothing to fetch, the same bytes each time."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "doorstep"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue().decode()
    return text[text.index("<svg") :]

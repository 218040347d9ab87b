"""Groups beside everyone with their intervals (forest plots), and how a model in use drifts by month."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from models.plots import GREY, INK, MODEL, RED, blank, style

LARGEST = 4.0
"""Ratios are drawn up to this many times (or one over it); an interval that goes on beyond ends in an arrow."""


def forest(rows: Sequence[Mapping[str, Any]], figure_name: str, label: str, band: tuple[float, float]) -> Any:
    """A ratio of every group with its interval, on a log scale around 1; grouped, one line a group.

    ``rows``: of the fairness table with ``title`` (of the grouping); a group without the figure keeps an empty line.
    Filled marks are groups with outcomes enough to be assessed, hollow ones are shown for what they are. ``band``: the
    limits of the promotion gate, shaded.
    """
    from matplotlib.figure import Figure

    lines: list[tuple[str, Mapping[str, Any] | None]] = []
    for title in dict.fromkeys(r["title"] for r in rows):
        lines += [(title, None), *((r["group"], r) for r in rows if r["title"] == title)]
    figure = Figure(figsize=(5.0, 1.0 + 0.24 * len(lines)), layout="constrained")
    axes = figure.add_subplot()
    style(axes)
    axes.grid(axis="y", visible=False)
    axes.axvspan(max(band[0], 1 / LARGEST), min(band[1], LARGEST), color="#e8f1ee", zorder=0)
    axes.axvline(1.0, color=GREY, linewidth=1, linestyle="--")
    for place, (_, row) in enumerate(lines):
        if row is not None and row.get(figure_name):
            _mark(axes, place, row, figure_name)
    axes.set_xscale("log")
    axes.set_xlim(1 / LARGEST, LARGEST)
    ticks = [0.25, 0.5, 0.8, 1, 1.25, 2, 4]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_yticks(
        range(len(lines)), [("   " if row is not None else "") + name for name, row in lines], fontsize=9.5
    )
    for text, (_, row) in zip(axes.get_yticklabels(), lines, strict=True):
        text.set_fontweight("normal" if row is not None else "bold")
        text.set_horizontalalignment("left")
    axes.tick_params(axis="y", length=0, pad=126)
    axes.set_xlabel(label, fontsize=10.5)
    axes.set_title(f"{label[:1].upper()}{label[1:]}", fontsize=11, loc="center")
    return figure


def _mark(axes: Any, place: int, row: Mapping[str, Any], name: str) -> None:
    value, low, high = row[name], row.get(f"{name}_low"), row.get(f"{name}_high")
    sure = bool(row.get("assessable"))
    colour = MODEL if sure else "#7d8790"
    inside = lambda v: min(max(v, 1 / LARGEST), LARGEST)  # noqa: E731
    if low is not None and high is not None:
        axes.plot([inside(low), inside(high)], [place, place], color=colour, linewidth=1.8 if sure else 1.2)
        for end, beyond, arrow in ((low, low < 1 / LARGEST, "<"), (high, high > LARGEST, ">")):
            if beyond:
                axes.plot([inside(end)], [place], marker=arrow, color=colour, markersize=5, clip_on=False)
    axes.plot(
        [inside(value)], [place], marker="o", markersize=5.5, color=colour,
        markerfacecolor=MODEL if sure else "white", zorder=3, clip_on=False,
    )  # fmt: skip


# --- drift ---------------------------------------------------------------------------------------------------


def months(
    rows: Sequence[Mapping[str, Any]], name: str, label: str, limits: Sequence[tuple[float, str]]
) -> Any:
    """One figure by month, with its interval where there is one; ``limits``: values at which something is called for
    and its word. Months that call for something are marked red."""
    figure, axes = blank(2.9)
    shown = [r for r in rows if r.get(name) is not None]
    places = list(range(len(shown)))
    values = [float(r[name]) for r in shown]
    spread = [(r.get(f"{name}_low"), r.get(f"{name}_high")) for r in shown]
    if values and all(low is not None and high is not None for low, high in spread):
        axes.fill_between(
            places, [s[0] for s in spread], [s[1] for s in spread], color="#d6dbe6", linewidth=0
        )
    axes.plot(places, values, color=MODEL, marker="o", markersize=4.5, linewidth=1.6)
    called = [i for i, r in enumerate(shown) if r.get("call", "none") != "none"]
    axes.plot(called, [values[i] for i in called], "s", color=RED, markersize=7, zorder=4)
    reach = max([*values, *(s[1] for s in spread if s[1] is not None)], default=1.0)
    for value, word in limits:
        if value <= reach * 1.6:
            axes.axhline(value, color=GREY, linewidth=0.9, linestyle="--")
            axes.annotate(word, (1.0, value), xycoords=("axes fraction", "data"), ha="right", va="bottom",
                          fontsize=9, color=INK)  # fmt: skip
    step = max(1, len(shown) // 6)
    axes.set_xticks(places[::step], [r["month"] for r in shown][::step])
    axes.set_ylabel(label)
    if values and min(values) >= 0:
        axes.set_ylim(bottom=0)
    return figure

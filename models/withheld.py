"""Which figures of groups are not shown because too few persons stand behind them: one rule, for every table.

Counts come as *cells*: numbers that add up over the groups of a grouping to a whole that is known. A group is closed
when one of its cells is below ``least``, and then so are its smallest neighbours until those closed, taken together,
are more than one group and pass the same rule: everyone less the groups shown says no more than that. What a figure
leaves over (not listed, not harmed) is a cell as well, since it follows from the figure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

Cells = Mapping[str, Sequence[float]]
"""Group -> its cells, as many for each; the first is the group's size."""


def few(cells: Sequence[float], least: float) -> bool:
    """Whether a cell is below ``least``: such counts are shown of nobody, everyone included."""
    return any(not cell >= least - 1e-9 for cell in cells)


def closed(cells: Cells, least: float, also: Collection[str] = ()) -> frozenset[str]:
    """Groups of one grouping whose figure is not shown; ``also``: groups known to be closed for another reason."""
    out = {group for group, mine in cells.items() if group in also or few(mine, least)}
    rest = sorted(cells.keys() - out, key=lambda group: (cells[group][0], group))
    while out and rest:
        together = [sum(line) for line in zip(*(cells[group] for group in out), strict=True)]
        if len(out) > 1 and not few(together, least):
            break
        out.add(rest.pop(0))
    return frozenset(out)


def hide(row: dict[str, Any], names: Collection[str], reason: str) -> None:
    """The figures ``names`` of a row, with their intervals, taken out; why, unless the row says more already."""
    row |= dict.fromkeys(k for name in names for k in (name, f"{name}_low", f"{name}_high") if k in row)
    row["suppressed"] = row.get("suppressed") or reason

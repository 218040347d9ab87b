"""The picture of the people around one person: SVG made on the server, legible at five people and at forty.

The person stands in the middle; everyone tied to them has a row of their own to the left or right, those two steps away
indented beyond the one they are tied to, so that no two labels can meet. The picture is as wide as a phone and as tall
as it must be. A circle grows and darkens with the harm its person is recorded as suspected of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from risk.words import amount

if TYPE_CHECKING:
    from risk.network import Network

WIDTH, TOP = 390, 26
KINDS = {
    "suspect of harm to": "harm",
    "suspect together with": "together",
    "order protects": "order",
    "recorded relationship": "kin",
    "same child": "child",
    "shared address": "home",
}
DIRECTED = ("harm", "order")
COLOURS = {
    "harm": ("#942514", ""), "together": ("#0b0c0c", "6 4"), "order": ("#1d70b8", ""), "kin": ("#505a5f", "2 4"),
    "child": ("#4c2c92", "8 3 2 3"), "home": ("#00703c", "1 3"),
}  # fmt: skip
SHADES = ("#ffffff", "#fbe3df", "#f2b8ae", "#d4513f", "#942514")
STEPS_OF_HARM = (0.0, 1.0, 30.0, 365.0)  # a circle is one shade darker beyond each of these harm days
_SHIFT = {"harm": 3.5, "together": -3.5, "kin": 0, "order": 7, "child": -7, "home": -10}
_STYLE = (
    'text{font:13px Arial,"Liberation Sans",Helvetica,sans-serif;fill:#0b0c0c;paint-order:stroke;stroke:#fff;'
    "stroke-width:3px}text.detail{font-size:11px;fill:#383f43}.self,.fresh{font-weight:bold}"
)


def draw(net: Network, alone: bool = False, links: Mapping[str, str] | None = None) -> str:
    """The network as SVG with a title and a description. ``alone``: a file of its own, with its styles, a heading and
    a key; else for a page, whose strict policy allows no styles inside. ``links``: person -> where they lead to; a
    picture with links is a group for those who cannot see it, so that the links in it are reached."""
    leads = links or {}
    place, side, height = _places(net)
    lines = [_edge(net, edge, place, side) for edge in net.edges()]
    dots = [_linked(net, node, _node(net, node, place, side), place, side, leads.get(node)) for node in place]
    bottom = _key(net, height) if alone else ""
    whole = height + (_key_height(net) if alone else 0)
    tips = "".join(
        f'<marker id="tip-{kind}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" '
        f'orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" fill="{COLOURS[kind][0]}"/></marker>'
        for kind in DIRECTED
    )
    size = 'width="100%" style="max-width:560px;display:block;margin:auto;background:#fff" ' if alone else ""
    return (
        f'<svg class="network" viewBox="0 0 {WIDTH} {whole}" {size}role="{"group" if leads else "img"}" '
        'aria-labelledby="network-title network-desc" xmlns="http://www.w3.org/2000/svg">'
        f'<title id="network-title">People around {escape(net.person_id)}</title>'
        f'<desc id="network-desc">{escape(net.summary())} The table below lists every tie.</desc>'
        + (f"<style>{_STYLE}</style>" if alone else "")
        + f"<defs>{tips}</defs>"
        + "".join(lines)
        + "".join(dots)
        + bottom
        + "</svg>"
    )


def _places(net: Network) -> tuple[dict[str, tuple[float, float]], dict[str, str], int]:
    """Where everyone stands, on which side of the person, and how tall the picture is."""
    families = net.families()
    sides: dict[str, list[str]] = {"left": [], "right": []}
    side: dict[str, str] = {}
    for parent, beyond in families:  # the side with fewer rows takes the next
        chosen = "left" if len(sides["left"]) < len(sides["right"]) else "right"
        for node in (parent, *beyond):
            sides[chosen].append(node)
            side[node] = chosen
    rows = max((len(nodes) for nodes in sides.values()), default=0)
    between = _row(rows)
    height = max(rows * between + 2 * TOP, 130)
    place: dict[str, tuple[float, float]] = {net.person_id: (WIDTH / 2, height / 2)}
    far = {node for _, beyond in families for node in beyond}
    for name, nodes in sides.items():
        top = (height - (len(nodes) - 1) * between) / 2
        for number, node in enumerate(nodes):
            lean = math.cos(math.pi * ((number + 0.5) / len(nodes) - 0.5)) if len(nodes) > 2 else 1.0
            out = ((66 if node in far else 50) if far else 62) + 6 * lean
            place[node] = (WIDTH / 2 + (out if name == "right" else -out), top + number * between)
    return place, side, height


def _row(rows: int) -> int:
    """Pixels from one row to the next: few people stand further apart."""
    return 66 if rows <= 3 else 44 if rows <= 8 else 34


def _radius(net: Network, node: str) -> float:
    return 5 + min(7.0, math.log10(1 + net.harm.get(node, 0.0)) * 2.2) + 3 * (node == net.person_id)


def _edge(
    net: Network, edge: dict[str, Any], place: dict[str, tuple[float, float]], side: dict[str, str]
) -> str:
    (x1, y1), (x2, y2) = place[edge["from"]], place[edge["to"]]
    length = math.hypot(x2 - x1, y2 - y1) or 1.0
    ux, uy = (x2 - x1) / length, (y2 - y1) / length
    kind = KINDS[edge["kind"]]
    sx, sy = -uy * _SHIFT[kind], ux * _SHIFT[kind]
    colour, dashes = COLOURS[kind]
    leave, arrive = _radius(net, edge["from"]) + 2, _radius(net, edge["to"]) + 3
    x1, y1, x2, y2 = x1 + ux * leave + sx, y1 + uy * leave + sy, x2 - ux * arrive + sx, y2 - uy * arrive + sy
    path = f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"
    here = side.get(edge["from"])
    if here and here == side.get(edge["to"]) and abs(y2 - y1) > 50:
        # Two on one side, not neighbours: bend the tie towards the middle, clear of the rows between.
        bend = min(58.0, 14 + abs(y2 - y1) / 5) * (-1 if here == "right" else 1)
        path = f"M{x1:.1f} {y1:.1f}Q{(x1 + x2) / 2 + bend:.1f} {(y1 + y2) / 2:.1f} {x2:.1f} {y2:.1f}"
    tip = f' marker-end="url(#tip-{kind})"' if kind in DIRECTED else ""
    dash = f' stroke-dasharray="{dashes}"' if dashes else ""
    new = " new" if edge["new"] else ""
    return (
        f'<path class="tie {kind}{new}" d="{path}" fill="none" stroke="{colour}" '
        f'stroke-width="{3.2 if edge["new"] else 1.7}"{dash}{tip}>'
        f"<title>{escape(edge['from'])} {escape(edge['kind'])} {escape(edge['to'])}: "
        f"{escape(edge['detail'])}</title></path>"
    )


def _node(net: Network, node: str, place: dict[str, tuple[float, float]], side: dict[str, str]) -> str:
    x, y = place[node]
    harm = net.harm.get(node, 0.0)
    radius = _radius(net, node)
    shade = SHADES[sum(harm > step for step in STEPS_OF_HARM)]
    mine = node == net.person_id
    circle = (
        f'<circle class="{"self" if mine else "other"}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" '
        f'fill="{shade}" stroke="#0b0c0c" stroke-width="{3 if mine else 1.4}">'
        f"<title>{escape(node)}: {_harm(harm)}</title></circle>"
    )
    if mine:
        low = y + radius
        ground = (
            f'<rect x="{x - 44:.1f}" y="{low + 4:.1f}" width="88" height="31" rx="4" fill="#fff" fill-opacity="0.88"/>'
            if len(place) > 13  # many ties cross here
            else ""
        )
        return (
            circle
            + ground
            + f'<text class="self" x="{x:.1f}" y="{low + 18:.1f}" text-anchor="middle">{escape(_cut(node))}</text>'
            + f'<text class="detail" x="{x:.1f}" y="{low + 31:.1f}" text-anchor="middle">{_harm(harm)}</text>'
        )
    right = side[node] == "right"
    at = x + (radius + 5 if right else -radius - 5)
    anchor = "start" if right else "end"
    fresh = " fresh" if net.is_new(node) else ""
    return circle + (
        f'<text class="other{fresh}" x="{at:.1f}" y="{y - 1:.1f}" text-anchor="{anchor}">{escape(_cut(node))}</text>'
        f'<text class="detail" x="{at:.1f}" y="{y + 12:.1f}" text-anchor="{anchor}">{escape(net.label(node))}</text>'
    )


def _linked(
    net: Network,
    node: str,
    drawn: str,
    place: dict[str, tuple[float, float]],
    side: dict[str, str],
    href: str | None,
) -> str:
    """A person as a link, with a box under circle and label that a thumb can hit."""
    if href is None or node == net.person_id:
        return drawn
    x, y = place[node]
    left = x - 12 if side[node] == "right" else 0
    wide = WIDTH - left if side[node] == "right" else x + 12
    return (
        f'<a class="leads" href="{escape(href)}" aria-label="{escape(node)}, {escape(net.label(node))}">'
        f'<rect class="hit" x="{left:.1f}" y="{y - 15:.1f}" width="{wide:.1f}" height="30" fill="#fff" '
        f'fill-opacity="0"/>{drawn}</a>'
    )


def _harm(days: float) -> str:
    return f"{amount(days)} harm days" if days else "no harm recorded"


def _cut(reference: str) -> str:
    return reference if len(reference) <= 13 else reference[:12] + "…"


def _kinds(net: Network) -> list[str]:
    used = {edge["kind"] for edge in net.edges()}
    return [kind for kind in KINDS if kind in used]


def _key_height(net: Network) -> int:
    return 56 + 18 * (len(_kinds(net)) + bool(net.since))


def _key(net: Network, top: int) -> str:
    """What the lines and circles mean, below the picture."""
    parts = [f'<path d="M12 {top + 4}H{WIDTH - 12}" stroke="#b1b4b6"/>']
    y = top + 22
    for kind in _kinds(net):
        colour, dashes = COLOURS[KINDS[kind]]
        tip = f' marker-end="url(#tip-{KINDS[kind]})"' if KINDS[kind] in DIRECTED else ""
        dash = f' stroke-dasharray="{dashes}"' if dashes else ""
        parts.append(
            f'<path d="M14 {y - 4}H48" stroke="{colour}" stroke-width="2"{dash}{tip}/>'
            f'<text class="detail" x="58" y="{y}">{escape(kind)}</text>'
        )
        y += 18
    if net.since:
        parts.append(
            f'<path d="M14 {y - 4}H48" stroke="#0b0c0c" stroke-width="3.6"/>'
            f'<text class="detail" x="58" y="{y}">thick, bold: new since {escape(net.since)}</text>'
        )
        y += 18
    x = 18.0
    for step, shade in zip((0.0, 0.5, 10.0, 182.0, 1460.0), SHADES, strict=True):
        radius = 5 + min(7.0, math.log10(1 + step) * 2.2)
        parts.append(
            f'<circle cx="{x:.0f}" cy="{y}" r="{radius:.1f}" fill="{shade}" stroke="#0b0c0c" stroke-width="1.2"/>'
        )
        x += 24
    words = "harm as suspect: none, to 1, 30, 365 days, more"
    parts.append(f'<text class="detail" x="{x - 4:.0f}" y="{y + 4}">{words}</text>')
    return "".join(parts)

"""Pictures made on the server as SVG: no script, no inline style, a title and a description in each.

Every picture stands beside a table or a list that says the same in words. Colours and strokes are classes of the
stylesheet, so a strict content policy allows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from html import escape
from math import log1p
from typing import Any

from markupsafe import Markup

from risk.reasons import Reason
from risk.words import LONDON, amount, day

BAR, STEP, SPAN = 16, 46, 380
YEAR = timedelta(days=365)


def bars(reasons: Sequence[Reason]) -> Markup:
    """What raises (to the right) and lowers (to the left) a score, one bar a family, in log-odds.

    The family's name stands above its bar, so that the letters stay legible on a phone.
    """
    drawn = [reason for reason in reasons if abs(reason.contribution) >= 0.005]
    if not drawn:
        return Markup("")
    up = max((reason.contribution for reason in drawn), default=0.0)
    down = min((reason.contribution for reason in drawn), default=0.0)
    low, high = min(down, 0.0), max(up, 0.0)
    scale = (SPAN - 4) / (high - low)
    zero = 2 - low * scale
    height = len(drawn) * STEP
    parts = []
    for place, reason in enumerate(drawn):
        y = place * STEP
        width = max(abs(reason.contribution) * scale, 2)
        x = zero if reason.contribution > 0 else zero - width
        sign = "+" if reason.contribution > 0 else "\u2212"
        parts.append(
            f'<text class="label" x="0" y="{y + 16}">{escape(reason.title)}</text>'
            f'<text class="value" x="{SPAN}" y="{y + 16}" text-anchor="end">{sign}{abs(reason.contribution):.2f}</text>'
            f'<rect class="{"up" if reason.contribution > 0 else "down"}" x="{x:.1f}" y="{y + 22}" '
            f'width="{width:.1f}" height="{BAR}"/>'
        )
    return Markup(
        f'<svg class="bars" viewBox="0 0 {SPAN} {height}" role="img" '
        'aria-labelledby="bars-title bars-desc" xmlns="http://www.w3.org/2000/svg">'
        '<title id="bars-title">What raises and what lowers the score</title>'
        f'<desc id="bars-desc">{escape(_bars_in_words(drawn))}</desc>' + "".join(parts) + "</svg>"
    )


def _bars_in_words(reasons: Sequence[Reason]) -> str:
    return "; ".join(
        f"{reason.title} {'raises' if reason.contribution > 0 else 'lowers'} it by {abs(reason.contribution):.2f}"
        for reason in reasons
    )


LANES = ("prison, remand, licence", "custody", "bail", "orders")
LEFT, RIGHT, TOP, EVENTS_HIGH, LANE = 92, 690, 14, 120, 22


def timeline(happened: Sequence[dict[str, Any]], spans: Sequence[dict[str, Any]], now: datetime) -> Markup:
    """Events by harm over the whole record, a year at least, with stretches in custody, on bail and under orders."""
    if not happened:
        return Markup("")
    first = min(min(one["occurred_at"] for one in happened), now - YEAR)
    start = datetime(first.astimezone(LONDON).year, 1, 1, tzinfo=LONDON)
    total = (now - start).total_seconds()

    def x(when: datetime) -> float:
        part = (min(max(when, start), now) - start).total_seconds() / total
        return LEFT + part * (RIGHT - LEFT)

    lanes = [lane for lane in LANES if any(span["lane"] == lane for span in spans)]
    base = TOP + EVENTS_HIGH
    height = base + 30 + len(lanes) * LANE + 8
    parts = [_years(start, now, x, base, height), _events(happened, x, base)]
    for place, lane in enumerate(lanes):
        y = base + 30 + place * LANE
        parts.append(
            f'<text class="label" x="{LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(_short(lane))}</text>'
        )
        parts += [_stretch(span, x, y, now) for span in spans if span["lane"] == lane and span["from"] <= now]
    return Markup(
        f'<svg class="timeline" viewBox="0 0 {RIGHT + 20} {height}" role="img" '
        'aria-labelledby="timeline-title timeline-desc" xmlns="http://www.w3.org/2000/svg">'
        '<title id="timeline-title">Events over time</title>'
        f'<desc id="timeline-desc">{len(happened)} events from {day(happened[-1]["occurred_at"])} to '
        f"{day(happened[0]['occurred_at'])}, taller lines for more harm; the table below lists each.</desc>"
        + "".join(parts)
        + "</svg>"
    )


def _short(lane: str) -> str:
    return "prison etc." if lane.startswith("prison") else lane


def _years(start: datetime, now: datetime, x: Any, base: int, height: int) -> str:
    parts = [f'<line class="axis" x1="{LEFT}" y1="{base}" x2="{RIGHT}" y2="{base}"/>']
    last = now.astimezone(LONDON).year
    every = 1 if last - start.year <= 8 else 2
    for year in range(start.year, last + 1, every):
        at = x(datetime(year, 1, 1, tzinfo=LONDON))
        parts.append(f'<line class="grid" x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{height - 6}"/>')
        if RIGHT - at > 24:
            parts.append(f'<text class="year" x="{at + 3:.1f}" y="{base + 16}">{year}</text>')
    parts.append(f'<text class="label" x="{LEFT - 8}" y="{TOP + 12}" text-anchor="end">more harm</text>')
    parts.append(f'<text class="label" x="{LEFT - 8}" y="{base - 4}" text-anchor="end">no crime</text>')
    return "".join(parts)


def _events(happened: Sequence[dict[str, Any]], x: Any, base: int) -> str:
    parts = []
    for one in reversed(happened):
        high = _high(one["harm_days"]) * (EVENTS_HIGH - 14)
        at, top = x(one["occurred_at"]), base - 6 - high
        kind = _kind(one)
        said = f"{day(one['occurred_at'])}: {one['what']}, {kind}, {amount(one['harm_days'])} harm days"
        parts.append(
            f'<g class="event {kind.replace(" ", "-")}"><title>{escape(said)}</title>'
            f'<line x1="{at:.1f}" y1="{base}" x2="{at:.1f}" y2="{top:.1f}"/>'
            f'<circle cx="{at:.1f}" cy="{top:.1f}" r="5"/></g>'
        )
    return "".join(parts)


def _high(days: float) -> float:
    """Harm from 0 to 1 on a scale a stay of days and one of years both show on (logarithm of days + 1)."""
    return min(log1p(days) / log1p(5475), 1.0)  # 5,475 days: murder, the top of the Cambridge index


def _kind(one: dict[str, Any]) -> str:
    if not one["domestic"]:
        return "not domestic"
    if "suspect" in one["roles"] and "victim" in one["roles"]:
        return "both roles"
    return "suspect" if "suspect" in one["roles"] else "victim"


def _stretch(span: dict[str, Any], x: Any, y: int, now: datetime) -> str:
    left = x(span["from"])
    right = max(x(span["to"] or now), left + 3)
    until = f" to {day(span['to'])}" if span["to"] else ", no end recorded"
    return (
        f'<rect class="stretch {escape(span["lane"].split(",")[0])}" x="{left:.1f}" y="{y}" '
        f'width="{right - left:.1f}" height="14"><title>{escape(span["label"])}: {day(span["from"])}{until}'
        "</title></rect>"
    )

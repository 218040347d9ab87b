"""Pictures made on the server as SVG: no script, no inline style, a title and a description in each.

Every picture stands beside a table or a list that says the same in words. Colours and strokes are classes of the
stylesheet, so a strict content policy allows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from html import escape
from math import ceil, floor, log1p
from typing import Any

from markupsafe import Markup

from risk.words import LONDON, amount, day

BAR, STEP, SPAN = 16, 46, 380
RANK_LEFT, RANK_HIGH = 44, 150
LANES = ("prison, remand, licence", "custody", "bail", "orders")
LEFT, RIGHT, TOP, EVENTS_HIGH, LANE = 92, 690, 14, 120, 22
YEAR = timedelta(days=365)


def hundred(score: Mapping[str, Any]) -> Markup:
    """A hundred people with histories like this: so many recorded for serious harm, and how far the figure may move.

    ``score``: p_serious, p_low and p_high of a person's score (the last two None where a model keeps no refits).
    """
    p = score["p_serious"]
    if p is None:
        return Markup("")
    hit = round(100 * p)
    low = hit if score["p_low"] is None else floor(round(100 * score["p_low"], 9))
    high = hit if score["p_high"] is None else ceil(round(100 * score["p_high"], 9))
    dots = []
    for number in range(100):
        kind = "sure" if number < low else "best" if number < hit else "maybe" if number < high else "other"
        x, y = 9 + number % 20 * 19, 9 + number // 20 * 19
        dots.append(f'<circle class="{kind}" cx="{x}" cy="{y}" r="7"/>')
    said = f"{score['in_100']} people with histories like this"
    if score["between"]:
        said += f", {score['between']}"
    return Markup(
        '<svg class="hundred" viewBox="0 0 380 95" role="img" aria-labelledby="hundred-title" '
        f'xmlns="http://www.w3.org/2000/svg"><title id="hundred-title">{escape(said)}</title>'
        + "".join(dots)
        + "</svg>"
    )


def ranks(places: Sequence[Mapping[str, Any]]) -> Markup:
    """The rank on each list, oldest left, rank 1 on top (logarithm: a place counts more near the top)."""
    told = [one for one in reversed(places) if one["rank"] is not None]
    if len(told) < 2:
        return Markup("")
    start, end = told[0]["as_of"], told[-1]["as_of"]
    most = log1p(max(one["of"] for one in told))
    points = []
    for one in told:
        x = RANK_LEFT + (one["as_of"] - start) / (end - start) * (SPAN - RANK_LEFT - 8)
        y = 10 + log1p(one["rank"] - 1) / most * (RANK_HIGH - 30)
        points.append((x, y, one))
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
    dots = [
        f'<circle class="{"listed" if one["listed"] else "unlisted"}" cx="{x:.1f}" cy="{y:.1f}" r="5">'
        f"<title>{day(one['as_of'])}: {escape(one['words'])}</title></circle>"
        for x, y, one in points
    ]
    return Markup(
        f'<svg class="ranks" viewBox="0 0 {SPAN} {RANK_HIGH}" role="img" aria-labelledby="ranks-title" '
        'xmlns="http://www.w3.org/2000/svg">'
        f'<title id="ranks-title">Rank on {len(told)} lists: {told[0]["rank"]:,} on {day(start)}, '
        f"{told[-1]['rank']:,} on {day(end)}</title>"
        f'<text class="label" x="0" y="15">first</text><text class="label" x="0" y="{RANK_HIGH - 22}">last</text>'
        f'<polyline class="path" points="{line}"/>{"".join(dots)}'
        f'<text class="year" x="{RANK_LEFT}" y="{RANK_HIGH - 2}">{day(start)}</text>'
        f'<text class="year" x="{SPAN}" y="{RANK_HIGH - 2}" text-anchor="end">{day(end)}</text></svg>'
    )


def bars(reasons: Sequence[Mapping[str, Any]]) -> Markup:
    """What raises (to the right) and lowers (to the left) a score, one bar a family, in log-odds.

    The family's name stands above its bar, so that the letters stay legible on a phone.
    """
    drawn = [(one["title"], one["contribution"]) for one in reasons if abs(one["contribution"]) >= 0.005]
    if not drawn:
        return Markup("")
    low, high = min(0.0, *(share for _, share in drawn)), max(0.0, *(share for _, share in drawn))
    scale = (SPAN - 4) / (high - low)
    zero = 2 - low * scale
    height = len(drawn) * STEP
    parts = []
    for place, (title, share) in enumerate(drawn):
        y = place * STEP
        width = max(abs(share) * scale, 2)
        x = zero if share > 0 else zero - width
        sign = "+" if share > 0 else "\u2212"
        parts.append(
            f'<text class="label" x="0" y="{y + 16}">{escape(title)}</text>'
            f'<text class="value" x="{SPAN}" y="{y + 16}" text-anchor="end">{sign}{abs(share):.2f}</text>'
            f'<rect class="{"up" if share > 0 else "down"}" x="{x:.1f}" y="{y + 22}" '
            f'width="{width:.1f}" height="{BAR}"/>'
            f'<line class="axis" x1="{zero:.1f}" y1="{y + 19}" x2="{zero:.1f}" y2="{y + 25 + BAR}"/>'
        )
    words = "; ".join(
        f"{title} {'raises' if share > 0 else 'lowers'} it by {abs(share):.2f}" for title, share in drawn
    )
    return Markup(
        f'<svg class="bars" viewBox="0 0 {SPAN} {height}" role="img" '
        'aria-labelledby="bars-title bars-desc" xmlns="http://www.w3.org/2000/svg">'
        '<title id="bars-title">What raises and what lowers the score</title>'
        f'<desc id="bars-desc">{escape(words)}</desc>' + "".join(parts) + "</svg>"
    )


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

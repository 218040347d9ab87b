"""The section of the report that shows what the model adds up: a card, curves, coefficients, or why there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from features.errors import InputError
from features.home import Load
from models import explain, intervals, own, plots, plots_shapes, settings
from models.dataset import Source
from models.report_parts import (
    Block,
    bullets,
    figure,
    figures,
    folded,
    heading,
    in_100,
    number,
    percent,
    section,
    signed,
    table,
    text,
    warn,
    whole,
)
from models.scorer import Scorer, held_back, sigmoid
from models.transforms import Term

Doc = Mapping[str, Any]
PANELS = 12
"""Curves drawn, those that move the score most; the others are in the table."""
BARS = 15
ROWS = 500
"""Persons over whom contributions are checked and their spread is taken."""
BANDS = (
    (0.0, "less than 1 in 100"),
    (0.01, "1 to 5 in 100"),
    (0.05, "5 to 10 in 100"),
    (0.1, "10 in 100 or more"),
)
"""Chances, and what they are called, by which persons are grouped to show how wide their intervals are."""
LEAST = 0.5
"""In 100: chances below this share one line of the card's table."""


def learnt(doc: Doc, load: Load | None) -> dict[str, Any] | None:
    """The section ``interpretability``."""
    head = doc["heads"]["serious"]
    shown = {"linear": linear, "points": card, "tables": curves, "trees": trees}[head["kind"]]
    frame, why = cohort_of(doc, load)
    return section(
        "interpretability",
        "What the model adds up",
        [*shown(doc, frame), *checked(doc, frame, why), *sure(doc, frame), _dictionary(doc), _left_out(doc)],
    )


def cohort_of(doc: Doc, load: Load | None) -> tuple[pl.DataFrame | None, str]:
    """Histories of everyone in scope at the newest training date, or None and why they cannot be had."""
    if load is None:
        return None, "the load the model was trained on is not here"
    try:
        own.check(doc, load.records().declared)
    except InputError as problem:
        return None, problem.what
    t = datetime.fromisoformat(doc["training"]["dates"][-1])
    source = Source(load.records(), Path(load.path).parent.parent / "cache" / load.records().state)
    frame = source.features_at(t).filter(pl.col("in_scope"))
    return (frame, "") if frame.height else (None, "nobody was in scope at the newest training date")


def texts(doc: Doc) -> dict[str, str]:
    """Column -> what it is, in words."""
    return {entry["column"]: entry["text"] for entry in doc["dictionary"]}


# --- the card -------------------------------------------------------------------------------------------------


def card(doc: Doc, _: pl.DataFrame | None = None) -> Iterator[Block | None]:
    """A points head as a card that can be added up on paper, and a worked example."""
    head = doc["heads"]["serious"]
    lines, totals = card_of(doc)
    yield text(
        f"{len(lines)} plain facts, each worth whole points. Tick what holds as of the day, add up the "
        "points, read the "
        "chance off the table. A fact about which nothing is recorded counts nothing."
    )
    yield {
        "kind": "card",
        "title": f"Chance of recorded serious harm in the next {doc['horizon_days']} days",
        "lines": [{"words": words, "points": points} for words, points in lines],
        "totals": [{"points": label, "chance": in_100(p)} for label, p in totals],
        "foot": "For one suspect, as of one day, from police records. It does not replace anybody's own assessment.",
    }
    yield text(_sum_of_two(head, lines))


def _sum_of_two(head: Mapping[str, Any], lines: list[tuple[str, int]]) -> str:
    """How to add up, by the first two lines; and that lines about the same fact count together."""
    columns = [i["column"] for i in head["items"]]
    several = "Where several lines ask about the same fact, every one that holds is ticked. "
    said = several if len(set(columns)) < len(columns) else ""
    if len(lines) > 1:
        first, second = lines[0][1], lines[1][1]
        total = first + second
        said += (
            f"Adding up: were the first two lines ticked and no other, {first:+d} and {second:+d} would make {total} "
            f"points, and that stands for {in_100(chance(head, total))}."
        )
    return said


def chance(head: Mapping[str, Any], points: float) -> float:
    """Probability that a total of points stands for, the far end held back as in use."""
    z = np.array([float(head["intercept"]) + float(head["per_point"]) * points])
    return float(sigmoid(held_back(z, head.get("tail")))[0])


def card_of(doc: Doc) -> tuple[list[tuple[str, int]], list[tuple[str, float]]]:
    """Lines of the card (words, points; heaviest first) and the look-up table (total in words, probability).

    Every total that can be reached has its own line, but that the totals of less than :data:`LEAST` in 100 share the
    first one, "or fewer", which gives the highest chance among them.
    """
    head, words = doc["heads"]["serious"], texts(doc)
    items = sorted(head["items"], key=lambda i: (-int(i["points"]), str(i["column"])))
    lines = [(fact(i, words, doc), int(i["points"])) for i in items]
    reach = {0}
    for _, points in lines:
        reach |= {total + points for total in reach}
    totals = sorted(reach)
    first = max((k for k, t in enumerate(totals) if 100 * chance(head, t) < LEAST), default=0)
    labels = [f"{t}" for t in totals[first:]]
    if first > 0:
        labels[0] += " or fewer"
    return lines, [(label, chance(head, t)) for label, t in zip(labels, totals[first:], strict=True)]


def fact(item: Mapping[str, Any], words: Mapping[str, str], doc: Doc) -> str:
    """An item of the card in words: "Domestic reports in the last 365 days: 3 or more"."""
    column = str(item["column"])
    entry: Mapping[str, Any] = next((e for e in doc["dictionary"] if e["column"] == column), {})
    said = words.get(column, column)
    said, unit = said[:1].upper() + said[1:], str(entry.get("unit") or "")
    if item.get("missing"):
        return f"{said}: nothing recorded"
    if entry.get("shape") == "flag":
        return said if "at_least" in item else f"Not so: {said}"
    after = f" {unit}" if unit in ("days", "years") else ""
    if "below" in item:
        return f"{said}: less than {_plain(item['below'])}{after}"
    return f"{said}: {_plain(item['at_least'])}{after} or more"


def _plain(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}".rstrip("0").rstrip(".")


# --- curves ---------------------------------------------------------------------------------------------------


def curves(doc: Doc, frame: pl.DataFrame | None = None) -> Iterator[Block | None]:
    """The curves of an explainable boosting machine: those that move the score most drawn, all in a table."""
    head, words = doc["heads"]["serious"], texts(doc)
    entries = {e["column"]: e for e in doc["dictionary"]}
    spread = spread_of(doc, frame)
    far = {id(t): spread.get(" ".join(t["columns"]), plots_shapes.reach(t)) for t in head["tables"]}
    tables = sorted(head["tables"], key=lambda t: (-far[id(t)], t["columns"]))
    drawn = [t for t in tables if len(t["columns"]) == 1 and t["cuts"][0]][:PANELS]
    most = "that tell people apart most" if spread else "that reach furthest"
    yield text(
        f"{len(tables)} curves, one for each column. A person's score is the sum of what each curve adds at "
        "their value; "
        f"0 adds nothing. Drawn are the {len(drawn)} {most}, all on one scale (log-odds: +0.69 doubles the "
        "odds, -0.69 "
        "halves them). A diamond marks what is added when nothing is recorded. Long axes are stretched at "
        "the low end."
    )
    limits = plots_shapes.limits_of(drawn)
    panels = []
    for t in drawn:
        column = t["columns"][0]
        said = words.get(column, column)
        alt = f"{said}: adds from {min(t['scores']):+.2f} to {max(t['scores']):+.2f}"
        plot = plots_shapes.shape(t, _short(said), entries.get(column, {}), limits)
        panels.append((plots.svg(plot), alt, ""))
    yield figures(panels, columns=3)
    rows = [
        [
            " and ".join(words.get(c, c) for c in t["columns"]),
            number(spread.get(" ".join(t["columns"])), 3),
            signed(_end(t, min), 2),
            signed(_end(t, max), 2),
        ]
        for t in tables
    ]
    caption = "What each column adds to the log-odds: standard deviation between people, least, most"
    yield folded(
        f"All {len(tables)} curves", [table(caption, ["column", "between people", "least", "most"], rows)]
    )


def spread_of(doc: Doc, frame: pl.DataFrame | None) -> dict[str, float]:
    """Standard deviation, over the persons of ``frame``, of what each single column adds (SHAP values for trees); empty
    without a frame."""
    if frame is None:
        return {}
    return {s.name: float(s.std() or 0.0) for s in explain.contributions(doc, frame.head(ROWS))}  # type: ignore[arg-type]


def _end(t: Mapping[str, Any], which: Any) -> float:
    return float(which(np.array(t["scores"], dtype=np.float64).ravel().tolist()))


def _short(words: str, width: int = 34) -> str:
    """A title in two lines at most."""
    import textwrap

    lines = textwrap.wrap(words, width)
    return "\n".join(lines[:2]) + ("…" if len(lines) > 2 else "")


# --- coefficients ---------------------------------------------------------------------------------------------


def linear(doc: Doc, _: pl.DataFrame | None = None) -> Iterator[Block | None]:
    """Coefficients of a linear head, those whose data disagree with the declared direction marked."""
    training = doc["training"]
    rows = coefficients(doc)
    yield text(
        f"{training['size']} {training['size_of']} over {training['columns']} columns. Coefficients are per standard "
        "deviation of the transformed history; they may only point in the declared direction or be zero. "
        "“Free” is where "
        "the data alone would have put them: a free coefficient against the declared direction is a question to ask "
        "(overlapping windows often trade places). The data agree with "
        f"{training['signs_agree']} of {training['signs_checked']} declared directions."
    )
    bars = [{"label": _short(r["text"], 42), "coef": r["coef"]} for r in rows if r["coef"]][:BARS]
    if bars:
        yield figure(
            plots.svg(plots_shapes.weights(bars)),
            "Bars of the largest coefficients; the figures are in the table below",
            f"The {len(bars)} largest coefficients.",
        )
    body = [[(r["text"], r["term"]), signed(r["coef"]), signed(r["free"]), r["verdict"]] for r in rows]
    head = ["term", "coefficient", "free", "direction"]
    yield folded(f"All {len(rows)} terms", [table("Terms, largest first", head, body, words=(0, 3))])


def coefficients(doc: Doc) -> list[dict[str, Any]]:
    """Terms of a linear main head, and those whose data disagree with the declared direction, largest first; empty for
    a head of another kind."""
    head = doc["heads"]["serious"]
    if head["kind"] != "linear":
        return []
    words = texts(doc)
    checks = {row["term"]: row for row in doc["signs"]}
    weights = {}
    for raw in head["terms"]:
        term = Term(**{k: v for k, v in raw.items() if k != "weight"})
        weights[term.name] = (term.column, term.kind == "missing", raw["weight"])
    for row in doc["signs"]:
        if not row["agrees"] and row["term"] not in weights:
            weights[row["term"]] = (row["column"], False, 0.0)
    rows = []
    for name, (column, absent, value) in weights.items():
        check = checks.get(name)
        verdict = "none declared"
        if check is not None:
            verdict = "as declared" if check["agrees"] else "data disagree"
        said = ("nothing recorded: " if absent else "") + words.get(column, column)
        free = check["free"] if check else None
        rows.append({"term": name, "text": said, "coef": value, "free": free, "verdict": verdict})
    return sorted(rows, key=lambda r: (-abs(r["coef"]), r["term"]))


# --- trees ----------------------------------------------------------------------------------------------------


def trees(doc: Doc, frame: pl.DataFrame | None = None) -> Iterator[Block | None]:
    """The challenger: what moves it most, by SHAP values where persons are at hand, else by what it asks about most
    often. It shows what simplicity costs and is never put in use."""
    head, words = doc["heads"]["serious"], texts(doc)
    yield text(
        f"{len(head['trees'])} trees whose answers act together: there is no sum of reasons that an officer could be "
        "told. A model of this family stands beside the others to show what simplicity costs; the gates refuse to put "
        "it in use."
    )
    asked = [i for tree in head["trees"] for i in tree["feature"] if i >= 0]
    counts = np.bincount(np.array(asked, dtype=np.intp), minlength=len(head["columns"]))
    times = dict(zip(head["columns"], counts.tolist(), strict=True))
    spread = spread_of(doc, frame)
    order = sorted((c for c in times if times[c]), key=lambda c: (-spread.get(c, 0.0), -times[c], c))[:BARS]
    rows = [[words.get(c, c), number(spread.get(c), 3), f"{times[c]:,}"] for c in order]
    caption = "What moves it most: standard deviation of SHAP values between people, and how often it is asked about"
    yield table(caption, ["column", "between people", "times asked"], rows)


# --- for every family -----------------------------------------------------------------------------------------


def _dictionary(doc: Doc) -> Block | None:
    used = set(Scorer(doc).columns)
    ways = {1: "more raises", -1: "more lowers", 0: "free"}
    rows = [
        [
            (e["text"], e["column"]),
            str(e["family"]).replace("_", " ") or "–",
            e["unit"] or "–",
            ways[int(e["direction"])],
        ]
        for e in doc["dictionary"]
        if e["column"] in used
    ]
    said = table(
        "What the model reads", ["column", "family", "unit", "declared direction"], rows, words=(0, 1, 2, 3)
    )
    return folded(f"Data dictionary: the {len(rows)} columns the model reads", [said])


def _left_out(doc: Doc) -> Block | None:
    rows = sorted(doc["left_out"].items())
    said = table("Not in the model", ["feature or column", "why"], [list(r) for r in rows], words=(0, 1))
    return folded(f"{len(rows)} features or columns are not in the model", [said]) if rows else None


def checked(doc: Doc, frame: pl.DataFrame | None, why: str) -> list[Block | None]:
    """The sums of reasons held against the score and against shap (``models.explain``), and how steady reasons are.

    ``frame``: of :func:`cohort_of`, with ``why`` there is none.
    """
    if frame is None:
        return [text(f"Contributions were not checked here: {why.rstrip('.')}."), _steady(doc)]
    found = explain.checks(doc, frame.head(ROWS))
    said = bullets(check.sentence() for check in found)
    wrong = any(not check.holds for check in found)
    loud = warn("The reasons do not add up to the score: do not use this model.") if wrong else None
    return [heading("Do the reasons add up?"), loud, said, _steady(doc)]


def _steady(doc: Doc) -> Block | None:
    rows = [
        [r["between"], f"{r['persons']:,}", percent(r["first_same"], 0), percent(r["three_shared"], 0)]
        for r in doc.get("reason_stability", ())
    ]
    caption = "How steady the reasons of those ranked highest are when the model is learnt again"
    return table(caption, ["between", "persons", "same first reason", "of three reasons, kept"], rows)


# --- how sure is one person's figure --------------------------------------------------------------------------


def sure(doc: Doc, frame: pl.DataFrame | None) -> list[Block | None]:
    """What the document keeps for the interval of a person's own figure, and how wide those of the cohort are.

    ``frame``: of :func:`cohort_of`; None: no widths.
    """
    kept = doc.get("refits")
    title = heading("How sure is one person's figure?")
    if not kept:
        return [title, text("This model keeps no refits: a person's figure is shown without an interval.")]
    said = (
        f"A person's “x in 100” is shown with an interval from {kept['count']} refits on other people, each calibrated "
        "on the persons its draw left out, and from how far the outcomes of those left out were from what the refits "
        f"said of them. It is meant to hold in {percent(kept['level'], 0)} of cases, for people with such a history: "
        "how one person differs from others with the same history is in no record. Whether it does hold cannot be "
        "seen in police records, and was not measured in this run."
    )
    return [title, text(said), None if frame is None else _widths(doc, frame)]


def _widths(doc: Doc, frame: pl.DataFrame) -> Block | None:
    """Medians of figure and interval over the persons of a cohort, by how high the figure is; never of fewer than the
    fairness tables would show."""
    found = intervals.interval(doc, frame)
    if found is None:
        return None
    people = found.with_columns(p=Scorer(doc).score(frame)["p_serious"])
    fewest = int(settings.load("fairness")["counts"]["least"])
    rows = []
    for i, (low, words) in enumerate(BANDS):
        high = BANDS[i + 1][0] if i + 1 < len(BANDS) else 2.0
        some = people.filter(pl.col("p").is_between(low, high, closed="left"))
        if some.height >= fewest:
            middle = some.select(pl.col("p", "p_low", "p_high").median()).row(0)
            rows.append([words, whole(some.height), *(in_100(v) for v in middle)])
    caption = "The cohort at the newest date learnt from, by how high the figure is; medians"
    return table(caption, ["figure", "persons", "figure, median", "from", "to"], rows)

"""Sections of the report that put the model beside other things: the simple rules, its own earlier list, other
yardsticks, and what could make its figures look better than they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models import plots
from models.lists import LEAK_AUC
from models.plots import title_of
from models.ranking import PLACES
from models.report_measured import COHORTS, PLACE_WORDS, Results, Section, mine, pooled, pooled_dates
from models.report_parts import (
    DASH,
    Block,
    bullets,
    date,
    figure,
    heading,
    interval,
    note,
    number,
    percent,
    section,
    share_with_interval,
    signed,
    table,
    text,
    warn,
    whole,
    with_interval,
)

# --- baselines -----------------------------------------------------------------------------------------------


def baselines(results: Results) -> Section:
    """The model and every rule on the same persons and dates."""
    curve = results.get("capture_curve", ())
    return section(
        "baselines",
        "Beside the simple rules",
        [
            text(
                f"Same persons, same dates, {pooled_dates(results)} dates together. Tied scores share the remaining "
                "places. Intervals are 95 %: persons are drawn anew with all their dates together, the same "
                "draws for "
                "every score. “Harm captured” is the share of all recorded harm that fell to the persons on "
                "a list of "
                "that length; PPV is the share of the persons listed who were recorded for serious harm."
            ),
            figure(
                plots.svg(plots.capture(curve)),
                "Share of recorded harm captured against the share of the cohort listed, one line for each "
                "score; the "
                "figures at the lengths that matter are in the tables below",
                "Harm captured by a list of each length. The upright line is a list of 1 % of the cohort.",
            )
            if curve
            else None,
            _ranking(results, "capture", "Harm captured, everyone in scope"),
            _ranking(results, "ppv", "PPV, everyone in scope"),
            _rank_areas(results),
            _differences(results),
            *_oracle(results),
            *_absent(results),
        ],
    )


def _scores(results: Results, cohort: str = "all") -> list[Mapping[str, Any]]:
    rows = pooled(results, "ranking", cohort)
    return sorted(
        rows,
        key=lambda r: (r["score"] != "model", r["score"].startswith("without"), -(r["capture_1pc"] or 0.0)),
    )


def _ranking(results: Results, figure_name: str, caption: str) -> Block | None:
    rows = _scores(results)
    names = [k for k, _ in PLACES if any(f"{figure_name}_{k}" in r for r in rows)]
    body = [
        [title_of(r["score"]), *(share_with_interval(r, f"{figure_name}_{k}") for k in names)] for r in rows
    ]
    head = ["list made by", *(PLACE_WORDS[k] for k in names)]
    return table(caption, head, body, strong=[i for i, r in enumerate(rows) if r["score"] == "model"])


def _rank_areas(results: Results) -> Block | None:
    present = [c for c in COHORTS if pooled(results, "ranking", c)]
    cells = {(r["score"], c): r for c in present for r in pooled(results, "ranking", c)}
    rows = _scores(results)
    body = [
        [
            title_of(r["score"]),
            *(
                with_interval(cells[r["score"], c], "auc") if (r["score"], c) in cells else DASH
                for c in present
            ),
        ]
        for r in rows
    ]
    head = ["ranked by", *(COHORTS[c] for c in present)]
    return table(
        "AUC on serious harm", head, body, strong=[i for i, r in enumerate(rows) if r["score"] == "model"]
    )


def _differences(results: Results) -> Block | None:
    shown = (
        ("auc", "AUC"),
        ("capture_100", "harm at 100"),
        ("capture_1pc", "harm at 1 %"),
        ("ppv_100", "PPV at 100"),
    )
    cells = {(r["rule"], r["figure"]): r for r in results.get("difference", ())}
    rules = [r["score"] for r in _scores(results) if r["score"] != "model"]
    body = []
    for rule in rules:
        found = [cells.get((rule, name)) for name, _ in shown]
        ends = [
            (signed(c["difference"]), f"{signed(c['low'])} to {signed(c['high'])}") if c else DASH
            for c in found
        ]
        body.append([title_of(rule), *ends])
    caption = (
        "This model minus each other score, on the same draws; an interval wholly above 0: it is better."
    )
    return table(caption, ["against", *(head for _, head in shown)], body)


def _oracle(results: Results) -> list[Block | None]:
    rows = [r for r in results.get("oracle", ()) if r["t"] == "pooled"] or list(results.get("oracle", ()))
    if not rows:
        return []
    body = [
        [title_of(r["score"]), *(number(r.get(f"ratio_{k}")) for k, _ in PLACES if f"ratio_{k}" in rows[0])]
        for r in rows
    ]
    head = ["list made by", *(PLACE_WORDS[k] for k, _ in PLACES if f"ratio_{k}" in rows[0])]
    caption = (
        "Against the oracle: a simulated force knows what to expect of everyone. Expected recorded harm of "
        "a list over "
        "that of the oracle's own list of the same length; 1 cannot be passed."
    )
    strong = [i for i, r in enumerate(rows) if r["score"] == "model"]
    return [table(caption, head, body, strong=strong)]


def _absent(results: Results) -> list[Block | None]:
    noted = [
        f"{r['title']}: {r['note']}."
        for r in results.get("rules", ())
        if isinstance(r, Mapping) and r.get("note")
    ]
    return [bullets(noted)] if noted else []


# --- stability -----------------------------------------------------------------------------------------------


def stability(results: Results) -> Section:
    """How steady the list is and what it hangs on."""
    kept = table(
        "How much of a list of 1 % of the cohort the same persons hold on the next one (RBO: rank-biased overlap of "
        "the first hundred places, for scores with hardly a tie)",
        ["list made by", "kept a week later", "kept a month later"],
        _steady(results),
        strong=(0,),
    )
    explained = [r for r in results.get("explained_by", ()) if r["k"] == "1pc"]
    by_family = table(
        "What the list rests on, at 1 % of the cohort. Leads: share of the places whose holder owes most to "
        "this family. "
        "Alone: share of the list that this family alone would choose. Without: share that stays when it is "
        "held at the "
        "average.",
        ["feature family", "leads", "alone", "without"],
        [
            [r["family"].replace("_", " "), percent(r["leads"]), percent(r["alone"]), percent(r["without"])]
            for r in explained
        ],
    )
    return section("stability", "Stability", [kept, by_family, *_sensitivity(results)])


def _steady(results: Results) -> list[list[Any]]:
    """Rows of the table of stability, a score each, this model first."""
    rows = [r for r in results.get("stability", ()) if r["k"] == "1pc" and r["score"] != "constant"]
    cells = {(r["score"], r["step"]): r for r in rows if not r["score"].startswith("without")}
    out = []
    for score in dict.fromkeys(score for score, _ in cells):
        found = [cells.get((score, step)) for step in ("week", "month")]
        out.append([title_of(score), *((percent(r["kept"], 0), _overlap(r)) if r else DASH for r in found)])
    return out


def _overlap(row: Mapping[str, Any]) -> str:
    rbo = "" if row["rbo"] is None else f", RBO {number(row['rbo'], 2)}"
    return f"Jaccard {number(row['jaccard'], 2)}{rbo}"


def _sensitivity(results: Results) -> list[Block | None]:
    rows = list(results.get("sensitivity", ()))
    if not rows:
        return []
    yard = [r for r in rows if not r.get("kind") and r.get("auc") is not None]
    labels = list(dict.fromkeys(r["what"] for r in yard))
    scores = [s for s in dict.fromkeys(r["score"] for r in yard) if s != "constant"]
    cells = {(r["what"], r["score"]): r for r in yard}
    shares = {r["what"]: r.get("base_rate") for r in yard}
    body = [
        [title_of(s), *(number(cells[label, s]["auc"]) if (label, s) in cells else DASH for label in labels)]
        for s in scores
    ]
    head = ["ranked by", *(f"{label} ({percent(shares[label], 1)} of persons)" for label in labels)]
    out: list[Block | None] = [
        heading("Would another yardstick change the answer?"),
        table("AUC of the same scores when something else is to be foreseen", head, body,
              strong=[i for i, s in enumerate(scores) if s == "model"]),
    ]  # fmt: skip
    other = [r for r in rows if r.get("kind")]
    what_if = [
        [
            str(r["what"]),
            title_of(r.get("score", "model")),
            (number(r.get("auc")), _gap(r)),
            percent(r.get("capture_1pc")),
            percent(r.get("kept_1pc")),
        ]
        for r in other
    ]
    head = ["what if", "score", "AUC (lost by it)", "harm at 1 %", "list kept"]
    caption = "The same procedure without a feature family, with harm priced otherwise, with records joined otherwise"
    return [*out, table(caption, head, what_if, words=(0, 1))]


def _gap(row: Mapping[str, Any]) -> str:
    gap = row.get("auc_difference")
    ends = f", {signed(row.get('auc_difference_low'))} to {signed(row.get('auc_difference_high'))}"
    return "" if gap is None else f"{signed(gap)}{ends}"


# --- checks for bias -----------------------------------------------------------------------------------------


def checks(doc: Mapping[str, Any], results: Results) -> Section:
    """What could make the figures above look better than they are, or the list fairer than it is."""
    leak = results.get("leak") or {}
    suspect = bool(results.get("leak_suspect"))
    said = leak.get("text") or ("AUC above .85 among persons active in the last 365 days" if suspect else "")
    words = {entry["column"]: entry["text"] for entry in doc["dictionary"]}
    columns = [
        [(words.get(c["column"], c["column"]), c["column"]), number(c["auc"])]
        for c in leak.get("columns", ())
    ]
    delay = doc["training"]["delay_days"]
    return section(
        "checks",
        "Checks for bias and leaks",
        [
            heading("Does a column know the outcome?"),
            warn(f"Leak-suspect: {said}. Promotion is refused until a named person records the cause.")
            if suspect
            else text(
                f"{said[:1].upper()}{said[1:]}."
                if said
                else f"AUC not above {LEAK_AUC}: no figure is too good to be honest."
            ),
            table(
                "What single columns know, among persons active in the last 365 days",
                ["column", "AUC alone"],
                columns,
            ),
            *_unseen(results),
            *_reach(results),
            heading("What the labels cannot see"),
            bullets(
                [
                    f"Late records: outcomes count once {delay} days have passed after the horizon (the "
                    "force's own 95 % "
                    "reporting delay, at least 90 days); what is entered later still is missing.",
                    "Custody: people in prison do less recorded harm. The figures hold under the custody "
                    "practice of the "
                    "period; custody is not an offset in this model.",
                    "Attention: proactive policing is not in the record store and cannot raise a score, but "
                    "who is looked "
                    "at is recorded more. The fairness section shows how the list moves without such records.",
                ]
            ),
            *_dual(results),
        ],
    )


def _unseen(results: Results) -> list[Block | None]:
    whole_, unseen = mine(results), mine(results, cohort="unseen")
    if not whole_ or not unseen:
        return []
    said = (
        f"Persons stay in training and test, as in use. Among those the model never learnt from the AUC is "
        f"{number(unseen['auc'])} ({interval(unseen['auc_low'], unseen['auc_high'])}); among everyone "
        f"{number(whole_['auc'])}."
    )
    return [heading("Does it only know people it has seen?"), text(said)]


def _reach(results: Results) -> list[Block | None]:
    found = [r for r in results.get("reach", ()) if "harm_unreachable" in r]
    if not found:
        return []
    body = [
        [
            date(r["t"]),
            whole(r["harm_days"]),
            percent(r["harm_unreachable"], 0),
            percent(r.get("serious_unreachable"), 0),
        ]
        for r in found
    ]
    head = ["date", "harm days that followed", "out of reach, harm", "out of reach, serious cases"]
    said = "A list is not the only gateway: keep the route for professional referral."
    caption = "Share of the harm no list could have reached: done by persons who were not in the cohort at that date"
    return [heading("What no list could reach"), table(caption, head, body), note(said)]


def _dual(results: Results) -> list[Block | None]:
    rows = list(results.get("dual_role", ()))
    rows = [r for r in rows if r.get("t") == rows[-1].get("t")]
    if not rows:
        return []
    names = [
        k for k in ("persons", "both_roles", "pairs", "likely_pairs", "held", "held_listed") if k in rows[0]
    ]
    words = {"both_roles": "suspect and victim of the same person", "likely_pairs": "pairs, may be the victim",
             "held": "held for review", "held_listed": "of these, would be on the list"}  # fmt: skip
    body = [[str(r["group"]), *(whole(r[k]) for k in names)] for r in rows]
    caption = (
        f"Likely victims who stand on record as suspects, {date(rows[0]['t'])}. Counts below 10, "
        "and those that would give one away, are not shown."
    )
    head = ["sex", *(words.get(k, k.replace("_", " ")) for k in names)]
    return [heading("Victims recorded as suspects"), table(caption, head, body)]

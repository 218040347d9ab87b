"""Sections of the report about groups, and about how the model in use has drifted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from models import moves, plots, plots_groups, settings
from models.drift_words import MEANS
from models.groups import groupings
from models.report_parts import (
    Block,
    bullets,
    date,
    figures,
    folded,
    heading,
    note,
    number,
    percent,
    section,
    share_with_interval,
    table,
    text,
    warn,
    whole,
    with_interval,
)

Results = Mapping[str, Any]
Rows = Sequence[Mapping[str, Any]]
FORESTS = (
    (
        "serious_observed_over_expected",
        "serious harm: recorded over expected",
        "Right means more harm than was said",
    ),
    (
        "list_over_harm",
        "share of the list over share of the harm",
        "Right means on the list more than the harm they did",
    ),
    (
        "fnr_ratio",
        "serious harm missed, over everyone's",
        "Right means more of it is missed than on the whole",
    ),
)
THEMES: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Who is on the list, and who does the harm",
        (
            ("base_rate", "serious harm"),
            ("list_share", "share of list"),
            ("harm_share", "share of harm"),
            ("list_over_harm", "list / harm"),
        ),
    ),
    (
        "Is the list right about them?",
        (
            ("ppv", "PPV"),
            ("fnr", "missed (FNR)"),
            ("fnr_ratio", "missed, over everyone's"),
            ("fpr", "listed without harm"),
            ("mean_p_no_harm", "mean chance, no harm"),
        ),
    ),
    (
        "Do the figures come true for them?",
        (
            ("slope", "slope"),
            ("intercept", "intercept"),
            ("serious_observed_over_expected", "serious: rec. / exp."),
            ("observed_over_expected", "harm days: rec. / exp."),
        ),
    ),
)
SHARES = {"base_rate", "list_share", "harm_share", "ppv", "fnr", "fpr", "mean_p_no_harm"}


def title_of(grouping: str) -> str:
    """A grouping as people read it."""
    declared = groupings().get(grouping)
    return str(declared["title"]) if declared else "Everyone"


def fairness(results: Results) -> dict[str, Any] | None:
    """Every group beside everyone: plots, tables, what the list would be on other records."""
    rows = [dict(r) for r in results.get("fairness", ()) if r.get("t", "pooled") == "pooled"]
    if not rows:
        return None
    for row in rows:
        row["title"] = title_of(row["grouping"])
    config = settings.load("fairness")
    return section(
        "fairness",
        "Fairness",
        [
            text(
                f"Each group beside everyone, on a list of {percent(float(config['list']['places']), 0)} of "
                "the cohort, "
                f"{rows[0]['dates']} dates together; 95 % intervals, persons drawn anew. Groups are read "
                "from stores that "
                "no score can open; who has nothing on record is a group too. What is compared is what was "
                "recorded: a "
                "group that reports less looks safer, and more fairly treated, than it is."
            ),
            note(" ".join(statement(rows))),
            figures(_forests(rows)),
            text(
                "Filled: enough outcomes to be assessed "
                f"({config['counts']['assessable']} serious outcomes). Hollow: shown, "
                "not assessed. Shaded: "
                "the limits of the promotion gates. Arrows: the interval goes on."
            ),
            *[
                folded(f"All groups: {caption[:1].lower()}{caption[1:]}", [_theme(rows, caption, names)])
                for caption, names in THEMES
            ],
            text(_too_few(rows)),
            *_what_if(results),
        ],
    )


def statement(rows: Rows) -> list[str]:
    """What the table comes to, in sentences: groups that can be assessed, and those outside the gates' limits."""
    limits = settings.load("gates")["groups"]
    low, high = (float(v) for v in limits["observed_over_expected"])
    most = float(limits["fnr_ratio_at_most"])
    groups = [r for r in rows if r["grouping"] != "everyone"]
    judged = [r for r in groups if r.get("assessable")]
    said = [f"{len(judged)} of {len(groups)} groups have outcomes enough to be assessed."]
    out = [r for r in judged if _outside(r, "observed_over_expected", low, high)]
    missed = [r for r in judged if (r.get("fnr_ratio_low") or 0.0) > most]
    if out:
        names = ", ".join(f"{_name(r)} ({number(r['observed_over_expected'], 2)})" for r in out)
        said.append(
            f"Recorded over expected harm lies outside {low:g} to {high:g} by more than chance for: {names}."
        )
    if missed:
        names = ", ".join(f"{_name(r)} ({number(r['fnr_ratio'], 2)})" for r in missed)
        said.append(
            f"More than {most:g} times as much serious harm is missed as for everyone, beyond chance, for: {names}."
        )
    if judged and not out and not missed:
        said.append(
            "In none of them is recorded over expected harm outside the limits, or serious harm missed more "
            "often than "
            f"{most:g} times as for everyone, by more than chance."
        )
    return said


def _too_few(rows: Rows) -> str:
    """The groups that cannot be assessed, by grouping."""
    few: dict[str, list[str]] = {}
    for r in rows:
        if r["grouping"] != "everyone" and not r.get("assessable"):
            few.setdefault(title_of(r["grouping"]).lower(), []).append(str(r["group"]))
    named = "; ".join(f"{title}: {', '.join(groups)}" for title, groups in few.items())
    return f"Not assessable, for the approver to sign: {named}." if named else ""


def _name(row: Mapping[str, Any]) -> str:
    return f"{title_of(row['grouping']).lower()}: {row['group']}"


def _outside(row: Mapping[str, Any], name: str, low: float, high: float) -> bool:
    ends = row.get(f"{name}_low"), row.get(f"{name}_high")
    return ends[0] is not None and ends[1] is not None and (ends[0] > high or ends[1] < low)


def _forests(rows: Rows) -> list[tuple[str, str, str]]:
    limits = settings.load("gates")["groups"]
    band = tuple(float(v) for v in limits["observed_over_expected"])
    bands = {"fnr_ratio": (0.0, float(limits["fnr_ratio_at_most"]))}
    groups = [
        r
        for r in rows
        if r["grouping"] != "everyone" and any(r.get(name) is not None for name, _, _ in FORESTS)
    ]
    out = []
    for name, label, caption in FORESTS:
        if any(r.get(name) for r in groups):
            plot = plots_groups.forest(groups, name, label, bands.get(name, (band[0], band[1])))
            alt = f"Ratio of each group with its interval: {label}; the figures are in the tables below"
            out.append((plots.svg(plot), alt, f"{caption}."))
    return out


def _theme(rows: Rows, caption: str, names: Sequence[tuple[str, str]]) -> Block | None:
    body, spans = [], {}
    for i, r in enumerate(rows):
        if r["grouping"] != "everyone" and (i == 0 or rows[i - 1]["grouping"] != r["grouping"]):
            spans[i] = r["title"]
        few = "" if r.get("assessable") else "not assessable"
        figures_ = [share_with_interval(r, n) if n in SHARES else with_interval(r, n, 2) for n, _ in names]
        body.append([(str(r["group"]), few), whole(r.get("persons")), *figures_])
    return table(caption, ["group", "persons", *(head for _, head in names)], body, spans=spans)


def _what_if(results: Results) -> list[Block | None]:
    rows = list(results.get("fairness_sensitivity", ()))
    if not rows:
        return []
    out: list[Block | None] = [heading("How the list would move if the records were otherwise")]
    everyone = [r for r in rows if r["grouping"] == "everyone"]
    out.append(
        bullets(
            f"{moves.TITLES[r['what']][:1].upper()}{moves.TITLES[r['what']][1:]}: "
            f"{percent(r['overlap'], 0)} of the list stays."
            for r in everyone
            if r.get("overlap") is not None
        )
    )
    for what in (moves.LESS, moves.WITHOUT, moves.WITH):
        found = [
            r
            for r in rows
            if r["what"] == what and r["grouping"] != "everyone" and r.get("places") is not None
        ]
        body = [
            [
                str(r["group"]),
                number(r["places"], 1),
                number(r["places_then"], 1),
                percent(r["list_share"]),
                percent(r["list_share_then"]),
            ]
            for r in found
        ]
        caption = f"{moves.TITLES[what][:1].upper()}{moves.TITLES[what][1:]}: places on the newest list"
        head = ["group", "places", "places then", "share", "share then"]
        out.append(folded(caption, [table(caption, head, body, spans=_spans(found))]) if body else None)
    found = [r for r in rows if r["what"] == moves.UNSEEN and r.get("list_over_harm") is not None]
    body = [
        [
            str(r["group"]),
            number(r["list_over_harm"], 2),
            number(r["list_over_harm_then"], 2),
            number(r["observed_over_expected"], 2),
            number(r["observed_over_expected_then"], 2),
        ]
        for r in found
    ]
    caption = f"{moves.TITLES[moves.UNSEEN][:1].upper()}{moves.TITLES[moves.UNSEEN][1:]}, all dates together"
    head = ["group", "list / harm", "then", "harm days: rec. / exp.", "then"]
    out.append(folded(caption, [table(caption, head, body, spans=_spans(found))]) if body else None)
    return out


def _spans(rows: Rows) -> dict[int, str]:
    return {
        i: title_of(r["grouping"])
        for i, r in enumerate(rows)
        if i == 0 or rows[i - 1]["grouping"] != r["grouping"]
    }


# --- drift -----------------------------------------------------------------------------------------------------


def drift(found: Mapping[str, Any] | None, words: Mapping[str, str]) -> dict[str, Any] | None:
    """What ``doorstep drift`` last found about this model; None where it was never asked. ``words``: column -> text."""
    if not found:
        return None
    config = settings.load("drift")
    calls = list(found.get("calls", ()))
    rows = [
        [date(c["known_at"]), str(c["topic"]), f"reviewed by {c['reviewed']}" if c["reviewed"] else str(c["call"]),
         c["text"] + (f". Refer to the {c['refer']}." if c.get("refer") else "")]
        for c in calls
    ]  # fmt: skip
    said = MEANS[found["call"]]
    first = (warn if found["call"] in ("retrain", "off") else note)(f"{said[:1].upper()}{said[1:]}.")
    psi = config["scores"]["psi"]
    lines = [(float(psi[k]), k) for k in ("review", "retrain")]
    shown: list[tuple[str, str, str]] = []
    if len(found.get("scores", ())) > 1:
        plot = plots_groups.months(found["scores"], "psi", "PSI of the score", lines)
        shown.append(
            (plots.svg(plot), "PSI of the score by month", "Scores beside the reference date (PSI).")
        )
    coming_true = [r for r in found.get("calibration", ()) if r.get("assessable")]
    if len(coming_true) > 1:
        plot = plots_groups.months(
            coming_true, "observed_over_expected", "recorded / expected, 90 days", [(1.0, "comes true")]
        )
        shown.append((plots.svg(plot), "Recorded over expected serious harm in 90 days, by the month it describes",
                      "Serious harm within 90 days, recorded over expected, by the month it describes."))  # fmt: skip
    return section(
        "drift",
        "Drift since the model was made",
        [
            text(
                f"As of {found['as_of'][:10]}: {found['months_watched']} months of records, "
                f"{found['signals']} signals watched."
                + (f" Reference date {found['reference'][:10]}." if found.get("reference") else "")
            ),
            first,
            table("What is called for", ["known", "what", "call", "why"], rows, words=(0, 1, 2, 3)),
            figures(shown),
            _moved(found, words),
            bullets(found["notes"]) if found.get("notes") else None,
        ],
    )


def _moved(found: Mapping[str, Any], words: Mapping[str, str]) -> Block | None:
    rows = list(found.get("features", ()))
    newest = [r for r in rows if r["month"] == rows[-1]["month"]]
    newest.sort(key=lambda r: -(r["psi"] or 0.0))
    body = [
        [
            (words.get(r["column"], r["column"]), r["column"]),
            number(r["psi"], 3),
            percent(r["weight"], 1),
            percent(r["missing_was"]),
            percent(r["missing"]),
            r["call"],
        ]
        for r in newest[:10]
    ]
    caption = f"Columns that moved most, {newest[0]['month']}" if newest else ""
    head = ["column", "PSI", "weight in the score", "nothing known then", "now", "call"]
    return table(caption, head, body, words=(0, 5))

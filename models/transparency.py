"""Records for the public and for those who supervise: the Algorithmic Transparency Recording Standard, the ALGO-CARE
checklist, evidence for the equality duty; and a model card. Filled from the run's own facts.

The words are in ``models/data/atrs*.toml``. A field has what the run can say (``value``), what a person in the force
must still write (``to_write``), or both; nothing is ever filled in for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from models import fairness, fairness_words, families, settings
from models.compare import sensitive_columns
from models.groups import groupings
from models.report_groups import statement, title_of
from models.report_measured import best_rules, in_short, mine, pooled, pooled_dates, reads
from models.report_parts import (
    Block,
    bullets,
    facts,
    heading,
    in_100,
    interval,
    listed,
    note,
    number,
    percent,
    text,
    write,
)
from models.scorer import Scorer

Doc = Mapping[str, Any]
Results = Mapping[str, Any]
ARCHITECTURE = {
    "linear": "a weighted sum of transformed counts, harm, recencies and ages; weights may only point the declared way",
    "points": "whole points for plain facts that an officer can add up on paper",
    "tables": "a sum of one curve a column, each limited to the declared direction",
    "trees": "boosted trees whose answers act together; a challenger in reports, never put in use",
}


def facts_of(doc: Doc, results: Results | None, standing: str) -> dict[str, str]:
    """What the words of the records are filled with: name -> words. A fact the run does not have is not in it.

    ``standing``: how the model stands (in use, approved by whom), in words.
    """
    training, load = doc["training"], doc.get("load", {})
    head = doc["heads"]["serious"]
    used = set(Scorer(doc).columns)
    entries = [e for e in doc["dictionary"] if e["column"] in used]
    named = sorted({str(e["family"] or "other").replace("_", " ") for e in entries})
    out = {
        "version": doc["version"],
        "kind": doc["kind"],
        "architecture": ARCHITECTURE[head["kind"]],
        "horizon_days": str(doc["horizon_days"]),
        "harm_scheme": doc["harm"]["scheme"],
        "harm_edition": doc["harm"]["edition"],
        "size": f"{training['size']} {training['size_of']}",
        "columns": str(training["columns"]),
        "inputs": str(len(used)),
        "families": listed(named) + (" families" if len(named) > 1 else ""),
        "load_id": load.get("load_id", "none"),
        "nature": load.get("nature", "unknown"),
        "manifest": str(load.get("manifest", ""))[:12] or "none",
        "rows": f"{training['rows']:,}",
        "persons": f"{training['persons']:,}",
        "events": f"{training['events']:,}",
        "base_rate": percent(training["base_rate"], 2),
        "dates": str(len(training["dates"])),
        "first_date": training["dates"][0][:10],
        "last_date": training["dates"][-1][:10],
        "delay_days": str(training["delay_days"]),
        "left_out": str(len(doc["left_out"])),
        "groupings": listed([str(g["title"]).lower() for g in groupings().values()]),
        "code": doc["code"],
        "settings": doc["settings"],
        "seed": str(doc["seed"]),
        "life_days": str(settings.load("gates")["life"]["days"]),
        "standing": standing,
        "fairness_summary": "Fairness between groups was not measured in this run.",
    }
    return out | _sensitive(doc) | _shown(doc) | (_measured(results) if results else {})


def _sensitive(doc: Doc) -> dict[str, str]:
    """What the score reads of age and health, and what it never reads: health markers may tell of a disability."""
    given, used = doc["authorisations"]["health"], set(Scorer(doc).columns)
    words = {e["column"]: str(e["text"]) for e in doc["dictionary"]}
    markers = [words[c] for c in sensitive_columns(doc, "health") if c in used]
    by = f"authorised by {given['by']} ({given['reason']})" if given else ""
    health = f"{by}, but this model reads none" if given else "not used"
    caution, never = "", "disability"
    if markers:
        health = f"used ({'; '.join(markers)})" + (f", {by}" if given else "")
        caution = (
            "Health markers may tell of a disability, which is a protected characteristic; no groups of people with "
            "and without one are compared here."
        )
        never = "a record of disability (but health markers, which may tell of one, are read)"
    return {
        "health": health,
        "health_caution": caution,
        "age": "used" if reads(doc, "age") else "not used",
        "never_read": f"sex, ethnicity, religion, nationality, {never}, pregnancy, place, police-initiated activity",
    }


def _shown(doc: Doc) -> dict[str, str]:
    """What people are shown beside a figure: with an interval only where refits are kept, with reasons only where they
    add up, for shorter times only where the model has learnt when."""
    kind = ARCHITECTURE[doc["heads"]["serious"]["kind"]]
    exact = families.class_of(doc["family"]).additive
    kept = doc.get("refits")
    periods = [str(days) for days in (doc.get("when") or {}).get("periods", ()) if days < doc["horizon_days"]]
    return {
        "figure": '"x in 100"' + (" with its interval" if kept else " (this model gives no interval)"),
        "interval_said": "each figure has an interval for people with such a history"
        if kept
        else "this model keeps no refits, so that its figures have no interval",
        "sooner": f", also for the first {listed(periods)} days" if periods else "",
        "sums": "; what each column adds (exact sums)" if exact else "",
        "reasons": "the reasons in words with the records they rest on, what lowers the figure"
        if exact
        else "no reasons (its trees act together; the gates refuse to put it in use)",
        "explained": "Each figure is an exact sum of what each history adds; reasons are sentences with the records "
        f"behind them. This model: {kind}."
        if exact
        else "Not exactly: its trees act together. The gates refuse to put it in use.",
    }


def _measured(results: Results) -> dict[str, str]:
    """Facts of the results tables; each only where its table is there."""
    out: dict[str, str] = {"reach_said": ""}
    row, probability = mine(results), mine(results, "probability")
    harm = next((r for r in results.get("harm", ()) if r["part"] == "everyone"), None)
    if row and probability and harm:
        out |= {
            "test_dates": str(pooled_dates(results)),
            "auc": number(row["auc"]),
            "auc_interval": interval(row["auc_low"], row["auc_high"]),
            "capture": percent(row["capture_1pc"], 0),
            "ppv": percent(row["ppv_1pc"], 0),
            "skill": number(probability["skill"]),
            "slope": number(probability["slope"], 2),
            "harm_ratio": number(harm["observed_over_expected"], 2),
            "how": str(results.get("how", "")).strip()[:1].upper() + str(results.get("how", "")).strip()[1:],
            "cohort": f"{[r for r in results['cohort'] if r['cohort'] == 'all'][-1]['n']:,}",
        }
    out |= _rules(results)
    reach = [r["harm_unreachable"] for r in results.get("reach", ()) if "harm_unreachable" in r]
    if reach:
        out["unreachable"] = percent(sum(reach) / len(reach), 0)
        out["reach_said"] = f"{out['unreachable']} of the harm was out of any list's reach."
    if results.get("fairness"):
        rows = [
            {**r, "title": title_of(r["grouping"])}
            for r in results["fairness"]
            if r.get("t", "pooled") == "pooled"
        ]
        out["fairness_summary"] = " ".join(statement(rows))
        measured = dict.fromkeys(r["grouping"] for r in rows)
        protected = [
            str(g["title"]).lower()
            for name, g in groupings().items()
            if g["kind"] == "protected" and name in measured
        ]
        if protected:
            others = [title_of(name).lower() for name in measured if name != "everyone"]
            beside = [title for title in others if title not in protected]
            out["protected"] = listed(protected)[:1].upper() + listed(protected)[1:]
            out["protected"] += f"; beside them {listed(beside)}" if beside else ""
    return out | _otherwise(results)


def _rules(results: Results) -> dict[str, str]:
    names = list(best_rules(results))
    if not names:
        return {}
    rules = [r for r in pooled(results, "ranking") if plain(r["score"]) in names]
    best, by_harm = (max(rules, key=lambda r, f=f: r[f] or 0.0) for f in ("auc", "capture_1pc"))  # type: ignore[misc]
    return {
        "rules": ", ".join(names),
        "best_rule": plain(best["score"]),
        "best_auc": number(best["auc"]),
        "best_harm_rule": plain(by_harm["score"]),
        "best_capture": percent(by_harm["capture_1pc"], 0),
    }


def plain(score: str) -> str:
    from models.plots import title_of as score_title

    return score_title(score)


def _otherwise(results: Results) -> dict[str, str]:
    out: dict[str, str] = {}
    moved = (
        sentences(results).get("If the records were otherwise")
        if results.get("fairness_sensitivity")
        else None
    )
    if moved:
        out["under_reporting"] = " ".join(moved)
    dual = [r for r in results.get("dual_role", ()) if r.get("group") == "everyone"]
    if dual:
        last = dual[-1]
        held = "a number not shown" if last.get("held") is None else f"{last['held']:,}"
        both = "a number not shown" if last.get("both_roles") is None else f"{last['both_roles']:,}"
        out["dual"] = (
            f"On {str(last['t'])[:10]} {both} persons stood on record as suspect and victim of the same "
            f"person; {held} of them "
            "may be the victim and are held for review by a person instead of being listed."
        )
    return out


# --- the records ---------------------------------------------------------------------------------------------


def _field(entry: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, Any]:
    """A field: key, title, value (None: the run has nothing to say), to_write (None: nothing is left to write)."""
    value = None
    for name in ("text", "otherwise"):
        if value is None and name in entry:
            try:
                value = " ".join(str(entry[name]).format_map(known).split())  # a fact may be an empty word
            except KeyError:
                continue
    out = {"key": entry["key"], "title": entry["title"], "value": value, "to_write": entry.get("write")}
    return {**out, "question": entry["question"]} if "question" in entry else out


def atrs(known: Mapping[str, str]) -> dict[str, Any]:
    """The transparency record: standard, version of the model, ``complete`` (False while anything is left to write) and
    sections with their fields. A fact that is missing leaves its field to be written."""
    words = settings.load("atrs")
    sections = [
        {"key": s["key"], "title": s["title"], "fields": [_field(f, known) for f in s["field"]]}
        for s in words["section"]
    ]
    left = sum(1 for s in sections for f in s["fields"] if f["to_write"] or f["value"] is None)
    return {
        "standard": words["standard"],
        "source": words["source"],
        "words": words["version"],
        "model": known["version"],
        "complete": left == 0,
        "fields_to_write": left,
        "sections": sections,
    }


def checklist(name: str, known: Mapping[str, str]) -> dict[str, Any]:
    """``atrs_algocare`` or ``atrs_equality``: title, source, note (what to know before it is read), fields."""
    words = settings.load(name)
    return {
        "title": words["title"],
        "source": words["source"],
        "note": words["note"],
        "fields": [_field(f, known) for f in words["field"]],
    }


def blocks_of(fields: Iterable[Mapping[str, Any]]) -> list[Block]:
    """Fields as blocks: name, what the run says, what is left to write."""
    return [
        {
            "kind": "field",
            "title": f["title"],
            "question": f.get("question", ""),
            "value": f["value"] or "",
            "write": f["to_write"] or ("" if f["value"] else "The run says nothing about this."),
        }
        for f in fields
    ]


def atrs_blocks(record: Mapping[str, Any]) -> list[Block]:
    """The transparency record for the page."""
    said = (
        f"{record['standard']}. Filled from this run; {record['fields_to_write']} fields still need a "
        "person in the force. Item "
        "names follow the published template as far as could be checked: compare with the current one "
        "before publishing. The "
        "same record is in the JSON file beside this report."
    )
    out = [text(said)]
    for section_ in record["sections"]:
        out += [heading(section_["title"]), *blocks_of(section_["fields"])]
    return out


def checklist_blocks(found: Mapping[str, Any]) -> list[Block]:
    """A checklist for the page."""
    return [note(found["note"]), *blocks_of(found["fields"]), text(f"Source: {found['source'].rstrip('.')}.")]


def sentences(results: Results) -> dict[str, list[str]]:
    """What was measured, group by group, in the sentences of ``models.fairness_words``: heading -> sentences."""
    ends = [f"{name}{end}" for name in fairness.FIGURES for end in ("", "_low", "_high")]
    rows = [
        {**dict.fromkeys(ends), **row} for row in results["fairness"]
    ]  # an older run lacks what came later
    return fairness_words.statement({**results, "fairness": rows})


def statement_blocks(results: Results | None) -> list[Block]:
    """:func:`sentences` for the page."""
    if not results or not results.get("fairness"):
        return []
    out: list[Block] = []
    for title, said in sentences(results).items():
        if said:
            out += [heading(title), bullets(said)]
    return out


# --- the model card -------------------------------------------------------------------------------------------


def model_card(doc: Doc, results: Results | None, known: Mapping[str, str]) -> list[Block]:
    """One page that travels with the model: what it is for and not for, what it learnt from, how it did."""
    rate = in_100(float(doc["training"]["base_rate_newest"]))
    rows = [
        ("Model", f"{known['version']}: {known['kind']}, {known['size']} over {known['columns']} columns"),
        ("Answers", f"How likely is recorded serious harm in the next {known['horizon_days']} days, and how "
                    "many harm days?"),
        ("For", "Choosing whose records a team reads first; a named person decides what follows."),
        ("Not for", "Bail, charging, sentencing, employment, refusing help to anyone; evidence in court; "
                    "persons under 18."),
        ("Learnt from", f"{known['rows']} rows of {known['persons']} persons, {known['first_date']} to "
                        f"{known['last_date']}; "
                        f"load {known['load_id']}, {known['nature']} records"),
        ("How common", f"{rate} of the cohort were recorded for serious harm at the newest date learnt from"),
        ("Never reads", known["never_read"][:1].upper() + known["never_read"][1:]),
        ("Age, health", f"Age {known['age']}; health markers {known['health']}"),
        ("Figures", " ".join(in_short(results)) if results else "No test on dates it had not learnt from "
                                                                "was possible."),
        ("Groups", known["fairness_summary"]),
        ("Standing", known["standing"]),
        ("Made again by", f"Code {known['code']}, {known['settings']}, seed {known['seed']}"),
    ]  # fmt: skip
    return [
        facts(rows),
        write("Who answers for this model in the force, how to reach them, and until when it may be used."),
    ]

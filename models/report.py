"""The report an analyst hands on: one self-contained page, the same as a PDF, and the transparency record as JSON.

Every figure is the run's own: the model document, the results tables saved beside it, the gates' verdicts, the last
drift result. A section whose table is absent is left off. What people must still write is marked, never filled in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from features.errors import InputError
from features.home import Home, Load
from models import report_decision, store, transparency
from models.report_beside import baselines, checks, stability
from models.report_groups import drift, fairness
from models.report_learnt import learnt, texts
from models.report_measured import accuracy, in_short, of_use
from models.report_parts import section
from models.report_pdf import pdf_of
from models.report_run import chosen, temporal_test_of

__all__ = ["Written", "content", "temporal_test_of", "write_report"]

MARKINGS = {
    "simulated": "SIMULATED, NO REAL PERSON",
    "public": "PUBLIC DATA",
    "operational": "OFFICIAL-SENSITIVE",
}


@dataclass(frozen=True)
class Written:
    """Files of one report, and the model it is about."""

    model: str
    html: Path
    pdf: Path
    atrs: Path

    def to_dict(self) -> dict[str, Any]:
        """Plain facts for ``--json``."""
        return {"model": self.model, "report": self.html, "pdf": self.pdf, "atrs": self.atrs}


def write_report(
    home: Home, out: Path | None = None, run: str | None = None, results: Mapping[str, Any] | None = None
) -> Written:
    """Write the report of a run: ``out`` (HTML), and beside it the PDF and the transparency record (``.atrs.json``).

    Parameters
    ----------
    home: the home folder.
    out: HTML file; None: ``HOME/reports/<model>.html``. The others take its name.
    run: a model version or an MLflow run id, of a training or an evaluation; None: the model in use.
    results: results tables to show; None: those of the run (of a training: its temporal test).

    Raises InputError when there is no such model or run, or when saved tables are not those of the training.
    """
    home_path = Path(home.path)
    found = chosen(home_path, run, tables=results is None)
    tables = found.results if results is None else dict(results)
    page = content(home, found.doc, tables, found.run_id)
    html = Path(out) if out is not None else home_path / "reports" / f"{found.doc['version']}.html"
    if html.is_dir() or not html.name:
        raise InputError(f"{html} is a folder.", where="report --out", cure="Give the name of an HTML file.")
    written = Written(found.doc["version"], html, html.with_suffix(".pdf"), html.with_suffix(".atrs.json"))
    rendered, printed = render(page), pdf_of(page)  # both made before anything is written
    store.write_atomic(written.html, rendered.encode())
    store.write_atomic(written.pdf, printed)
    store.write_atomic(written.atrs, store.canonical_bytes(page["atrs"]))
    return written


def content(
    home: Home, doc: Mapping[str, Any], results: Mapping[str, Any] | None, run_id: str | None = None
) -> dict[str, Any]:
    """The report as plain data: title, marking, what it comes to in short, sections; and the transparency record."""
    home_path, version = Path(home.path), str(doc["version"])
    load = _load(home, doc)
    results = of_use(doc, results) if results else None
    standing = report_decision.standing(home_path, version)
    known = transparency.facts_of(doc, results, standing)
    record = transparency.atrs(known)
    made_at = str(store.manifest(home_path, version).get("made_at", "not noted"))
    sections = [
        report_decision.run(doc, made_at, run_id),
        report_decision.quality(doc, load, _before(home, load)),
        *((accuracy(doc, results), baselines(results)) if results else ()),
        learnt(doc, load),
        *((fairness(results), stability(results), checks(doc, results)) if results else ()),
        drift(_drift(home_path, version), texts(doc)),
        report_decision.decision(home_path, version),
        report_decision.cannot(),
        section("card", "Model card", transparency.model_card(doc, results, known)),
        section("atrs", "Algorithmic transparency record", transparency.atrs_blocks(record)),
        _checklist("algocare", "atrs_algocare", known, results),
        _checklist("equality", "atrs_equality", known, results),
    ]
    page = {
        "title": "Model report",
        "model": version,
        "kind": doc["kind"],
        "marking": MARKINGS.get(doc.get("load", {}).get("nature", ""), MARKINGS["operational"]),
        "purpose": (
            f"Ranks persons suspected of domestic abuse by the harm expected to be recorded in the next "
            f"{doc['horizon_days']} days. “x in 100” always means: recorded for serious harm within that "
            "time. The score is "
            "advice to a named person who decides; it is not evidence and does not act."
        ),
        "standing": standing,
        "short": in_short(results)
        if results
        else ["There is no test on dates the model had not learnt from."],
        "warnings": _warnings(results),
        "notes": list(dict.fromkeys([*doc["notes"], *(results or {}).get("notes", ())])),
        "sections": [s for s in sections if s is not None],
    }
    return {**_bound(page), "atrs": record}


def _bound(value: Any) -> Any:
    """The same with every number bound to its per-cent sign; drawings as they are."""
    if isinstance(value, str):
        return value if value.startswith("<svg") else re.sub(r"(?<=[0-9]) %", "\u00a0%", value)
    if isinstance(value, Mapping):
        return {k: _bound(v) for k, v in value.items()}
    return [_bound(v) for v in value] if isinstance(value, list) else value


def _checklist(
    key: str, name: str, known: Mapping[str, str], results: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    found = transparency.checklist(name, known)
    blocks = transparency.checklist_blocks(found)
    if key == "equality":
        blocks += transparency.statement_blocks(results)
    return section(key, found["title"], blocks)


def _warnings(results: Mapping[str, Any] | None) -> list[str]:
    if results and results.get("leak_suspect"):
        return [
            "Leak-suspect. The AUC among persons active in the last 365 days is above .85, which honest "
            "police records do "
            "not give: look for a column that knows the outcome before any use."
        ]
    return []


def _load(home: Home, doc: Mapping[str, Any]) -> Load | None:
    """The load the model was trained on, when it is still here."""
    try:
        return home.load(doc.get("load", {}).get("load_id", ""))
    except InputError:
        return None


def _before(home: Home, load: Load | None) -> Load | None:
    """The load before this one, when it is still here."""
    if load is None or not home.loads.is_dir():
        return None
    loaded = str(load.manifest.get("loaded_at", ""))
    others = []
    for folder in home.loads.iterdir():
        try:
            other = home.load(folder.name)
        except InputError:
            continue
        if str(other.manifest.get("loaded_at", "")) < loaded and other.load_id != load.load_id:
            others.append(other)
    return max(others, key=lambda o: str(o.manifest.get("loaded_at", "")), default=None)


def _drift(home: Path, version: str) -> dict[str, Any] | None:
    """The newest drift result about a model, or None."""
    found = sorted((home / "drift").glob(f"*-{version}.json"))
    return dict(json.loads(found[-1].read_text(encoding="utf-8"))) if found else None


def render(page: Mapping[str, Any]) -> str:
    """The report as one HTML page with nothing to fetch."""
    from jinja2 import Environment

    text = files("models").joinpath("data", "report.html.j2").read_text(encoding="utf-8")
    return (
        Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        .from_string(text)
        .render(page=page, inline=inline)
    )


def inline(svg: str) -> str:
    """A drawing as a data address for an ``img`` element."""
    import base64

    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()

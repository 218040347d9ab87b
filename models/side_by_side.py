"""Models laid side by side for people: what each is, how it did on dates it could not know, its gates, its fairness.

Figures are those of the temporal test that training saved, read and never worked out again. Needs none of the training
libraries.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.errors import InputError, NotFoundError
from models import approval, decisions, store
from models.scorer import check_format

Row = Mapping[str, Any]
POOLED, WHOLE = "pooled", "all"
TEST, REPORTS, DRIFT = "temporal_test.json", "reports", "drift"


@dataclass(frozen=True)
class Figure:
    """One line of the comparison: what is measured, how to read it, and the words of each model."""

    title: str
    reads: str
    values: tuple[str, ...]


def families(home: Path) -> list[dict[str, Any]]:
    """Every model of a home, the newest first, as :func:`about` tells of each."""
    found = [about(home, version) for version in store.versions(home)]
    return sorted(found, key=lambda row: (row["made_at"], row["version"]), reverse=True)


def about(home: Path, version: str) -> dict[str, Any]:
    """What a line of a list says of a model: version, family, until, made_at, standing, in_use, report (whether one
    was written), load and nature of its records. A file that is not the one that was saved is said to be so."""
    entry = store.champion_entry(home)
    facts: dict[str, Any] = {
        "version": version,
        "family": "?",
        "until": "",
        "made_at": store.manifest(home, version).get("made_at", ""),
        "in_use": entry is not None and entry["version"] == version,
        "report": (home / REPORTS / f"{version}.pdf").is_file(),
        "load": "",
        "nature": "",
    }
    try:
        doc = store.load_model(home, version)
    except InputError:  # the others are told all the same
        return facts | {"standing": "REFUSED: its file is not the one that was saved"}
    standing = _standing(home, version, entry)
    try:
        check_format(doc)
    except InputError:
        standing += "; OF AN OLDER FORMAT, no list can be made with it"
    load = doc.get("load", {})
    return facts | {
        "family": doc.get("family", "?"),
        "until": doc["training"]["until"],
        "standing": standing,
        "load": load.get("load_id", ""),
        "nature": load.get("nature", ""),
    }


def _standing(home: Path, version: str, entry: Row | None) -> str:
    if entry is not None and entry["version"] == version:
        now = approval.standing_of(entry)
        if not now.approved:
            return "IN USE without an approval"
        until = f", approved by {now.approved_by}" + (
            f" until {now.expires_at:%Y-%m-%d}" if now.expires_at else ""
        )
        return "IN USE" + until + (", BY OVERRIDE" if now.override else "")
    last = next((d for d in reversed(decisions.decisions(home)) if d["version"] == version), None)
    if last is None:
        return "challenger: nothing was decided yet"
    done = {
        "promote": "in use earlier, approved",
        "rollback": "in use earlier, put back",
        "off": "switched off",
        "refused": "refused",
    }
    return f"{done.get(last['kind'], last['kind'])} by {last['by']} on {last['at'][:10]}"


def test_of(home: Path, version: str) -> dict[str, Any] | None:
    """The tables of a model's temporal test, or None when it had none. InputError when they cannot be read."""
    path = home / "models" / version / TEST
    if not path.is_file():
        return None
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as problem:
        raise InputError(
            f"The test of {version} cannot be read: it is damaged.",
            where=f"models/{version}/{TEST}",
            cure="Restore it from a backup, or train the model again.",
        ) from problem


def compare(home: Path, versions: Sequence[str]) -> list[Figure]:
    """The figures of some models beside each other, each with its interval where the test has one."""
    tests = [test_of(home, version) or {} for version in versions]
    docs = [store.load_model(home, version) for version in versions]

    def ranked(name: str, cohort: str = WHOLE, percent: bool = True) -> tuple[str, ...]:
        return tuple(_ranked(test, name, cohort, percent) for test in tests)

    return [
        Figure("Trained on what was known until", "", tuple(str(d["training"]["until"])[:10] for d in docs)),
        Figure(
            "Dates it was judged at", "all later than anything it learned from", tuple(map(_dates, tests))
        ),
        Figure(
            "AUC, everyone", "who from who not: 0.5 is chance, 1 is never wrong", ranked("auc", percent=False)
        ),
        Figure("AUC, active in the last year", "the harder question", ranked("auc", "active_365", False)),
        Figure("Harm held by the first 100", "of all harm days that came, in 100", ranked("capture_100")),
        Figure(
            "Harm held by the first hundredth", "of all harm days that came, in 100", ranked("capture_1pc")
        ),
        Figure("First 100 recorded for serious harm", "in 100", ranked("ppv_100")),
        Figure("Calibration slope", "1 is right; below, it is too sure", tuple(map(_slope, tests))),
        Figure("Harm recorded over harm expected", "1 is right", tuple(map(_harm, tests))),
        Figure("Gain in AUC over the best simple rule", "", tuple(map(_gain, tests))),
    ]


def _one(rows: Sequence[Row], **wanted: str) -> Row:
    return next((row for row in rows if all(row.get(k) == v for k, v in wanted.items())), {})


def _ranked(test: Row, name: str, cohort: str, percent: bool) -> str:
    row = _one(test.get("ranking", ()), t=POOLED, cohort=cohort, score="model")
    return _interval(row, name, percent)


def _interval(row: Row, name: str, percent: bool) -> str:
    value, low, high = (row.get(key) for key in (name, f"{name}_low", f"{name}_high"))
    if value is None:
        return "not measured"
    times, form = (100, ".0f") if percent else (1, ".3f")
    said = f"{value * times:{form}}"
    return said if low is None or high is None else f"{said} ({low * times:{form}} to {high * times:{form}})"


def _slope(test: Row) -> str:
    value = _one(test.get("probability", ()), t=POOLED, cohort=WHOLE).get("slope")
    return "not measured" if value is None else f"{value:.2f}"


def _harm(test: Row) -> str:
    value = _one(test.get("harm", ()), part="everyone").get("observed_over_expected")
    return "not measured" if value is None else f"{value:.2f}"


def _dates(test: Row) -> str:
    dates = sorted({row["t"] for row in test.get("cohort", ()) if row["t"] != POOLED})
    return (
        f"{len(dates)}, from {dates[0][:10]} to {dates[-1][:10]}"
        if dates
        else "no test: too few later records"
    )


def _gain(test: Row) -> str:
    rules = {row["rule"] for row in test.get("rules", ()) if row["rule"] != "constant"}
    ranking = [
        row
        for row in test.get("ranking", ())
        if row["t"] == POOLED and row["cohort"] == WHOLE and row["score"] in rules and row["auc"] is not None
    ]
    if not ranking:
        return "not measured"
    best = max(ranking, key=lambda row: row["auc"])["score"]
    row = _one(test.get("difference", ()), figure="auc", rule=best)
    title = next((one["title"] for one in test["rules"] if one["rule"] == best), best)
    low, high, gap = (row.get(key) for key in ("low", "high", "difference"))
    if gap is None:
        return "not measured"
    return f"{gap:+.3f} ({low:+.3f} to {high:+.3f}) over: {title}"


def drift_of(home: Path, version: str) -> dict[str, Any] | None:
    """The newest drift result about a model: as_of, call and calls; None when drift was not run."""
    found = sorted((home / DRIFT).glob(f"*-{version}.json"))
    if not found:
        return None
    try:
        return dict(json.loads(found[-1].read_text(encoding="utf-8")))
    except ValueError as problem:
        raise InputError(
            f"{found[-1].name} cannot be read: it is damaged.",
            where=f"{DRIFT}/{found[-1].name}",
            cure="Delete it and run doorstep drift again.",
        ) from problem


def report_file(home: Path, version: str, kind: str) -> bytes:
    """The written report of a model: kind "pdf" or "atrs.json". NotFoundError when it was not written."""
    known = set(store.versions(home))
    path = home / REPORTS / f"{version}.{kind}"
    if version not in known or not path.is_file():
        raise NotFoundError(
            f"There is no report of {version} yet.",
            where="reports",
            cure=f"Run: doorstep report {version} --purpose review",
        )
    return path.read_bytes()

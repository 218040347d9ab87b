"""What a model must prove before it is put in use: that its results are its own, that it can be made again, and how it
does beside the model in use.

These take minutes. They are worked out anew by every command, since a file that kept them could be written by hand.
Only within one process, where a person looks at the gates and then decides, is a proof that held not tried again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from features.errors import InputError
from features.home import Home
from models import store
from models.dataset import Progress
from models.scorer import check_format

_FOUND: dict[tuple[str, ...], Any] = {}


def found_once(home: Home, doc: Mapping[str, Any], name: str, find: Callable[[], Any], *beside: str) -> Any:
    """``find()``, or what it gave this process before for the same code, model, records and ``beside``; a proof that
    failed (``False``, or a ``problem``) is not kept: what it lacked may be there the next time."""
    load = home.current()
    records = "" if load is None else f"{load.load_id} {load.records().state}"
    sealed = store.sha256(store.canonical_bytes(doc))
    key = (str(Path(home.path).resolve()), name, store.code_version(), sealed, records, *beside)
    if key in _FOUND:
        return _FOUND[key]
    value = find()
    failed = "problem" in value if isinstance(value, dict) else not value[0]
    if not failed:
        _FOUND[key] = value
    return value


def results_of(home: Path, doc: Mapping[str, Any]) -> dict[str, Any] | None:
    """The results tables of the temporal test, None where there was none; refused when they are not those whose digest
    the model document holds."""
    said = doc.get("temporal_test")
    if not said:
        return None
    path = home / "models" / doc["version"] / "temporal_test.json"
    data = path.read_bytes() if path.is_file() else b""
    if store.sha256(data) != said.get("sha256"):
        raise InputError(
            f"The results of model {doc['version']} are not those of its training: their sha256 differs.",
            where=f"models/{doc['version']}/temporal_test.json",
            cure="Restore the file from a backup or train again; no gate is judged by it as it is.",
        )
    return dict(json.loads(data))


def reproduce(home: Home, doc: Mapping[str, Any], progress: Progress | None = None) -> tuple[bool, str]:
    """Fit again from the same load, date and recipe, without anything kept from the first time; whether the document is
    the same to the bit, and how that was found."""
    from models.training import Recipe, fit_until, manifest_hash

    load = doc.get("load", {})
    try:
        held = home.load(load.get("load_id", ""))
    except InputError:
        return False, f"load {load.get('load_id', '')} is no longer here, so it cannot be fitted again"
    if manifest_hash(held.manifest) != load["manifest"]:
        return False, f"load {held.load_id} is not the one it was trained on: its manifest differs"
    until = datetime.fromisoformat(doc["training"]["until"])
    try:
        again = fit_until(
            held.records(), until, Recipe.of(doc), None, progress, with_refits=bool(doc.get("refits"))
        )
    except InputError as problem:
        return False, f"it cannot be fitted again: {problem.what}"
    apart = differing(doc, again)
    if apart:
        return False, f"fitted again it differs in {', '.join(apart)}"
    code = "" if doc["code"] == again["code"] else f" (by code {again['code']}; it was made by {doc['code']})"
    return True, f"fitted again from load {held.load_id}, seed {doc['seed']}: the same to the bit{code}"


def differing(doc: Mapping[str, Any], again: Mapping[str, Any]) -> list[str]:
    """Parts of a model document that a second fit did not give again; what is not of the fit is left out."""
    outside = {"version", "load", "temporal_test", "notes", "code", "libraries"}
    names = sorted((set(doc) | set(again)) - outside)
    one, other = json.loads(store.canonical_bytes(doc)), json.loads(store.canonical_bytes(again))
    return [name for name in names if one.get(name) != other.get(name)]


def beside(
    home: Home,
    doc: Mapping[str, Any],
    results: Mapping[str, Any],
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The paired differences of a model and the one in use, on the dates of the temporal test; whichever of them has
    seen the future of those dates is made again as it would have been made then. Where the model in use cannot score
    these records any more (a feature vanished), ``problem`` says so; where no version of Doorstep that runs here can
    read its document, ``unjudged`` does."""
    from models.evaluate import evaluate

    try:
        in_use = store.champion(Path(home.path))
    except InputError as problem:
        return {"difference": [], "problem": problem.what}
    try:
        check_format(in_use)
    except InputError as problem:
        return {"difference": [], "unjudged": problem.what}
    dates = sorted({datetime.fromisoformat(r["t"]) for r in results["cohort"]})
    try:
        found = evaluate(
            home, dates, None, str(doc["version"]), others=("champion",), progress=progress, track=False
        )
    except InputError as problem:
        return {"difference": [], "problem": problem.what}
    rows = [r for r in found.tables["difference"] if r["rule"] == "champion"]
    notes = [n for n in found.facts["notes"] if n.startswith("champion is not among the scores")]
    return {"difference": rows, **({"problem": notes[0]} if notes and not rows else {})}

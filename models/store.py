"""Models on disk: one folder a version, a JSON document and a manifest with its sha256, one pointer to the champion.

Nothing here is unpickled and MLflow is not needed: the service reads these files only. The pointer is one small file
that is replaced whole, so that whoever reads it meets the old choice or the new one; beside it a history that only
grows says who changed it, when and why. Who may change it is in ``models.promote``.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

from features.errors import InputError, NotFoundError

CHAMPION = "champion.json"
HISTORY = "champions.jsonl"
LOCK = ".lock"
_ENTRY = ("version", "by", "reason", "at")


def canonical_bytes(doc: Mapping[str, Any]) -> bytes:
    """The one spelling of a document: sorted keys, shortest exact floats, no NaN."""
    return json.dumps(doc, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False).encode() + b"\n"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@cache
def code_version(rooms: tuple[str, ...] = ("features", "models")) -> str:
    """Package version and a digest of the code and data files of ``rooms``: what computed a number."""
    digest = hashlib.sha256()
    for room in rooms:
        root = Path(str(files(room)))
        for path in sorted(p for p in root.rglob("*") if p.suffix in (".py", ".toml") and p.is_file()):
            digest.update(
                path.relative_to(root.parent).as_posix().encode() + b"\0" + path.read_bytes() + b"\0"
            )
    try:
        package = version("doorstep")
    except PackageNotFoundError:  # run from a checkout that is not installed
        package = "0"
    return f"{package}+{digest.hexdigest()[:12]}"


def write_atomic(path: Path, data: bytes) -> None:
    """Write through a temporary file beside ``path``: readers see the old bytes or the new ones, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(name, path)  # noqa: PTH105 - the one atomic rename
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def save(home: Path, doc: Mapping[str, Any], facts: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Write ``doc`` under ``home/models/<version>/``; the version is taken from its content.

    ``facts`` (such as the time it was made) go to the manifest, outside the hashed document. Returns the document
    with its ``version``. Saving the same content again changes nothing, and mends a file that was altered since.
    """
    body = {k: v for k, v in doc.items() if k != "version"}
    full = {**body, "version": f"m-{sha256(canonical_bytes(body))[:12]}"}
    folder = home / "models" / full["version"]
    data = canonical_bytes(full)
    path = folder / "model.json"
    if not (folder / "manifest.json").exists() or not path.is_file() or path.read_bytes() != data:
        write_atomic(path, data)
        manifest = {"version": full["version"], "model.json": sha256(data), **(facts or {})}
        write_atomic(folder / "manifest.json", canonical_bytes(manifest))
    return full


def versions(home: Path) -> list[str]:
    """Versions on disk, sorted."""
    return sorted(p.parent.name for p in (home / "models").glob("*/manifest.json"))


def load_model(home: Path, version: str) -> dict[str, Any]:
    """The document of ``version``; refused (InputError) when its bytes are not those that were saved."""
    folder = home / "models" / version
    named = re.fullmatch(r"m-[0-9a-f]{12}", version) is not None
    if not named or not (folder / "manifest.json").is_file() or not (folder / "model.json").is_file():
        raise NotFoundError(
            f"There is no model {version!r}.",
            where="models",
            cure=f"Versions here: {', '.join(versions(home)) or 'none; run doorstep train'}.",
        )
    data = (folder / "model.json").read_bytes()
    manifest = small_object(folder / "manifest.json")
    doc = json.loads(data) if sha256(data) == manifest.get("model.json") else None
    if doc is None or doc.get("version") != version or version != _version_of(doc):
        raise InputError(
            f"The file of model {version!r} is not the one that was saved: its sha256 differs.",
            where=f"models/{version}/model.json",
            cure="Restore it from a backup or train again; it will not be used as it is.",
        )
    return dict(doc)


def _version_of(doc: Mapping[str, Any]) -> str:
    return f"m-{sha256(canonical_bytes({k: v for k, v in doc.items() if k != 'version'}))[:12]}"


def small_object(path: Path, *, keys: Sequence[str] = (), cure: str = "") -> dict[str, Any]:
    """The JSON object of a small file, with all of ``keys``; a damaged one is refused by its name (InputError)."""
    try:
        found = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as problem:
        raise _damaged(path, cure) from problem
    if not found.keys() >= set(keys):
        raise _damaged(path, cure)
    return found


def json_lines(path: Path, *, keys: Sequence[str] = (), cure: str = "") -> list[dict[str, Any]]:
    """The objects of a file with one a line, each with all of ``keys``; none where there is no file, InputError when it
    is damaged.

    Only a line feed ends a line: text that somebody pasted into a reason may hold other signs that end one (U+2028).
    """
    if not path.is_file():
        return []
    try:
        out = [dict(json.loads(line)) for line in path.read_text(encoding="utf-8").split("\n") if line]
    except (OSError, ValueError, TypeError) as problem:
        raise _damaged(path, cure) from problem
    if any(not entry.keys() >= set(keys) for entry in out):
        raise _damaged(path, cure)
    return out


def _damaged(path: Path, cure: str) -> InputError:
    named = path.name if path.parent.name == "models" else f"{path.parent.name}/{path.name}"
    return InputError(
        f"{path.name} cannot be read: it is damaged.",
        where=named if path.parent.name == "drift" else f"models/{named}",
        cure=cure or "Restore it from a backup; the published lists stay as they are.",
    )


def manifest(home: Path, version: str) -> dict[str, Any]:
    """What was noted beside a model when it was saved: the digest of its document, when it was made."""
    return small_object(home / "models" / version / "manifest.json")


def champion_entry(home: Path) -> dict[str, Any] | None:
    """The pointer: version in use, by whom, why and when; None before the first. ``version`` is None while the model
    is switched off. InputError when the file is damaged."""
    path = home / "models" / CHAMPION
    cure = f"doorstep rollback, with or without --off, writes it anew from {HISTORY}; or restore it from a backup. "
    cure += "The published lists stay as they are."
    return small_object(path, keys=_ENTRY, cure=cure) if path.is_file() else None


def last_entry(home: Path) -> dict[str, Any] | None:
    """The pointer or, where it is damaged, what the history last wrote down; InputError where that is gone too."""
    try:
        return champion_entry(home)
    except InputError:
        known = _written(home)
        if not known:
            raise
        return known[-1]


def champion_version(home: Path) -> str | None:
    """The version in use, or None before the first model and while it is switched off."""
    entry = champion_entry(home)
    return None if entry is None or entry.get("version") is None else str(entry["version"])


def champion(home: Path) -> dict[str, Any]:
    """The document of the model in use."""
    entry = champion_entry(home)
    if entry is not None and entry.get("version") is None:
        raise NotFoundError(
            f"The model was switched off by {entry['by']} on {entry['at'][:10]}: {entry['reason']}",
            where="models",
            cure="doorstep rollback puts the last one back; doorstep promote puts another in use.",
        )
    if entry is None:
        made = versions(home)
        raise NotFoundError(
            "No model is in use yet: none has been approved." if made else "No model has been trained yet.",
            where="models",
            cure=f"Approve one: doorstep promote {made[-1] if len(made) == 1 else 'VERSION'} --by NAME --reason TEXT."
            if made
            else "Run doorstep train --until DATE.",
        )
    return load_model(home, str(entry["version"]))


@contextmanager
def changing(home: Path, who: str) -> Iterator[None]:
    """Hold the one lock under which the pointer is changed; the second comer is told who holds it (InputError).

    The lock belongs to the process, not to the file: it is gone with whoever held it.
    """
    path = home / "models" / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as held:
            stream.seek(0)
            holder = stream.read().strip()
            raise InputError(
                f"Somebody else is changing the model in use at this moment ({holder or 'just begun'}).",
                where=f"models/{LOCK}",
                cure="Look at doorstep models list when they are done, then decide again. Nothing was changed by you.",
            ) from held
        stream.truncate(0)
        stream.write(f"{who}, since {datetime.now(UTC):%H:%M:%S} UTC")
        stream.flush()
        try:
            yield
        finally:
            stream.truncate(0)


def point_champion(
    home: Path, version: str | None, by: str, reason: str, at: str, facts: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Make ``version`` the model in use (None: none is) and keep the pointer's history beside it; returns the entry.

    ``facts`` go into the entry: its ``kind`` (promote, rollback, off, first), whether a named person ``approved`` it,
    ``expires_at``, an ``override``. The pointer is written first and is what counts; a history that lacks it after a
    crash is completed by :func:`history`. Refused are a version whose bytes are not those saved and a damaged history;
    but switching off needs neither: it is the emergency stop.
    """
    if version is not None:
        load_model(home, version)
    last = last_entry(home)
    try:
        known = history(home)  # completes what a crash left out, before the pointer moves on
    except InputError:
        if version is not None:
            raise
        known = None
    entry = {"kind": "promote", "approved": version is not None, **(facts or {})}
    entry |= {"version": version, "by": by, "reason": reason, "at": at}
    entry["before"] = None if last is None else last["version"]
    try:
        write_atomic(home / "models" / CHAMPION, canonical_bytes(entry))
    except OSError as problem:
        raise InputError(
            f"{CHAMPION} cannot be written: {problem.strerror}.",
            where=f"models/{CHAMPION}",
            cure="Nothing was changed. Make room or mend the folder's rights, then do it again.",
        ) from problem
    if known is not None:
        lines = [json.dumps(e, sort_keys=True, ensure_ascii=False) + "\n" for e in (*known, entry)]
        with suppress(OSError):  # the pointer is what counts, and the history is completed from it
            write_atomic(home / "models" / HISTORY, "".join(lines).encode())
    return entry


def history(home: Path) -> list[dict[str, Any]]:
    """Every change of the model in use, oldest first; the pointer is the last one, unless its file is damaged."""
    out, now = _written(home), last_entry(home)
    return [*out, now] if now is not None and (not out or out[-1] != now) else out


def _written(home: Path) -> list[dict[str, Any]]:
    cure = "Restore it from a backup; the model in use and the published lists stay as they are."
    return json_lines(home / "models" / HISTORY, keys=_ENTRY, cure=cure)


def line_of_champions(home: Path) -> list[dict[str, Any]]:
    """The champions one stands on another, the one in use last: what :func:`models.promote.rollback` goes back along.

    A rollback takes the uppermost away; an approval given anew replaces itself; a model put in use after a
    switching-off stands on the one before it.
    """
    line: list[dict[str, Any]] = []
    for entry in history(home):
        if entry.get("kind") == "rollback" and line:
            line.pop()
        if line and (line[-1]["version"] is None or line[-1]["version"] == entry["version"]):
            line.pop()
        line.append(entry)
    return line

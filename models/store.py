"""Models on disk: one folder a version, a JSON document and a manifest with its sha256, one pointer to the champion.

Nothing here is unpickled and MLflow is not needed: the service reads these files only.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

from features.errors import InputError, NotFoundError

CHAMPION = "champion.json"


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
    with its ``version``. Saving the same content again changes nothing.
    """
    body = {k: v for k, v in doc.items() if k != "version"}
    full = {**body, "version": f"m-{sha256(canonical_bytes(body))[:12]}"}
    folder = home / "models" / full["version"]
    data = canonical_bytes(full)
    if not (folder / "manifest.json").exists():
        write_atomic(folder / "model.json", data)
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
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
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


def champion_version(home: Path) -> str | None:
    """The version in use, or None before the first model."""
    path = home / "models" / CHAMPION
    return str(json.loads(path.read_text(encoding="utf-8"))["version"]) if path.is_file() else None


def champion(home: Path) -> dict[str, Any]:
    """The document of the model in use."""
    version = champion_version(home)
    if version is None:
        raise NotFoundError(
            "No model has been trained yet.", where="models", cure="Run doorstep train --until DATE."
        )
    return load_model(home, version)


def point_champion(home: Path, version: str, by: str, reason: str, at: str) -> None:
    """Make ``version`` the model in use and keep the pointer's history (who, why, when) beside it."""
    load_model(home, version)
    entry = {"version": version, "by": by, "reason": reason, "at": at, "before": champion_version(home)}
    history = home / "models" / "champions.jsonl"
    history.parent.mkdir(parents=True, exist_ok=True)
    with history.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(entry, sort_keys=True) + "\n")
    write_atomic(home / "models" / CHAMPION, canonical_bytes(entry))

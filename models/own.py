"""Own features in a model: which it was trained on, and that they still mean what they meant."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from features.catalogue import Catalogue, Feature, load_catalogue, meaning
from features.errors import InputError
from models.dataset import Columns


def used(columns: Columns) -> list[dict[str, str]]:
    """The own features among the columns of a model: feature, file, the file's sha256, a digest of its meaning."""
    digests = dict((columns.catalogue or load_catalogue()).files)
    mine = dict.fromkeys(
        columns.declared[name].feature for name in columns.shapes if name in columns.declared
    )
    return [
        {"feature": f.name, "file": f.origin, "sha256": digests[f.origin], "meaning": _digest(f)}
        for f in mine
        if f.origin
    ]


def check(doc: Mapping[str, Any], catalogue: Catalogue) -> None:
    """InputError when an own feature the model was trained on is not declared here, or means something else now."""
    here = {feature.name: feature for feature in catalogue.own if feature.subject == "offender"}
    for entry in doc.get("own_features", ()):
        name, feature = entry["feature"], here.get(entry["feature"])
        if feature is not None and _digest(feature) == entry["meaning"]:
            continue
        raise InputError(
            f"The model uses the own feature {name}, which "
            + (
                "is not declared here."
                if feature is None
                else "means something else now than when it was trained."
            ),
            where=f"HOME/features/{entry['file']}",
            cure=f"Put back the file (sha256 {entry['sha256'][:12]}) with doorstep features add, or train again.",
        )


def _digest(feature: Feature) -> str:
    return hashlib.sha256(meaning(feature).encode()).hexdigest()[:12]

"""Which run a report is about: a model version, or a run of the MLflow record."""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.errors import InputError, NotFoundError
from models import promote, store


@dataclass(frozen=True)
class Chosen:
    """A model document, the results tables to show (None: there are none), and the MLflow run that was named."""

    doc: dict[str, Any]
    results: dict[str, Any] | None
    run_id: str | None


def chosen(home: Path, run: str | None, tables: bool = True) -> Chosen:
    """The run that ``run`` names: None the model in use, ``m-...`` a version, 32 hexadecimal digits an MLflow run.

    A run of an evaluation shows its own tables, everything else the temporal test of the training; with ``tables``
    False none are read. Raises InputError for anything else, for what is not there, and for a temporal test that is
    not the one of the training.
    """
    run_id, found = None, None
    version = run
    if run is not None and re.fullmatch(r"[0-9a-f]{32}", run):
        run_id = run
        version, found = _recorded(home, run)
    doc = store.champion(home) if version is None else store.load_model(home, version)
    if tables and found is None:
        found = temporal_test_of(home, doc)
    return Chosen(doc, found if tables else None, run_id)


def temporal_test_of(home: Path, doc: dict[str, Any]) -> dict[str, Any] | None:
    """Results tables saved when the model was trained, or None when there was no temporal test; refused when they are
    not those whose digest the document holds."""
    return promote.results_of(home, doc)


def _recorded(home: Path, run_id: str) -> tuple[str, dict[str, Any] | None]:
    """(model version, tables logged if it was an evaluation) of an MLflow run."""
    from mlflow.exceptions import MlflowException

    from models import tracking

    with tracking.recording(home) as client:
        try:
            tags = client.get_run(run_id).data.tags
        except MlflowException:
            tags = {}
        version = tags.get("doorstep.model")
        if version is None:
            raise NotFoundError(
                f"There is no run {run_id!r} of a model of this home.",
                where=tracking.place(),
                cure=f"Give a run id of the record, or a version: {', '.join(store.versions(home)) or 'none yet'}.",
            )
        return version, _tables(client, run_id) if tags.get("doorstep.kind") == "evaluate" else None


def _tables(client: Any, run_id: str) -> dict[str, Any]:
    """What ``tracking.log_evaluation`` kept, put together again."""
    out: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        found = Path(client.download_artifacts(run_id, "tables", folder))
        for path in sorted(found.glob("*.json")):
            try:
                out |= dict(json.loads(path.read_text(encoding="utf-8")))
            except ValueError as problem:
                raise InputError(
                    f"The table {path.name} of run {run_id} cannot be read: it is damaged.",
                    where=f"tables/{path.name}",
                    cure="Evaluate again.",
                ) from problem
    return out

"""MLflow as the record of a run: parameters, figures, tables, plots, the model document, aliases.

A SQLite store and plain files under the home. Nothing is logged as a pickled model and nothing is loaded from here:
scoring reads the JSON under ``models/``. Telemetry is switched off before the import.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.errors import InputError
from models import store

REGISTERED = "doorstep"
EXPERIMENT = "doorstep"


def _client(home: Path) -> Any:
    """An MLflow client on the home's own store; the first call creates the store."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    import mlflow

    for name in (
        "alembic",
        "mlflow",
        "mlflow.store.db.utils",
    ):  # after the import, which sets levels of its own
        logging.getLogger(name).setLevel(logging.WARNING)
    home.mkdir(parents=True, exist_ok=True)
    try:
        return mlflow.MlflowClient(tracking_uri=f"sqlite:///{(home / 'mlflow.db').resolve()}")
    except Exception as fault:
        raise InputError(
            f"The run store cannot be opened: {fault}",
            where="mlflow.db",
            cure="Check that no other process holds it.",
        ) from fault


def _experiment(client: Any, home: Path) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    return str(
        client.create_experiment(EXPERIMENT, artifact_location=(home / "mlartifacts").resolve().as_uri())
    )


def log_training(home: Path, doc: Mapping[str, Any], results: Mapping[str, Any] | None, alias: str) -> str:
    """Record one training run and register the version under ``alias``; returns the MLflow run id."""
    client = _client(home)
    run = client.create_run(
        _experiment(client, home), run_name=doc["version"], tags={"doorstep.kind": "train"}
    )
    run_id = str(run.info.run_id)
    try:
        for name, value in _params(doc).items():
            client.log_param(run_id, name, value)
        _log_metrics(client, run_id, {**_training_metrics(doc), **result_metrics(results or {})})
        client.log_dict(run_id, dict(doc), "model.json")
        client.log_dict(run_id, {"dictionary": doc["dictionary"]}, "data_dictionary.json")
        client.log_dict(run_id, signature(doc), "signature.json")
        client.log_dict(run_id, {"signs": doc["signs"]}, "tables/signs.json")
        _log_tables(client, run_id, results)
        _register(client, home, doc, run_id, alias)
        client.set_terminated(run_id, "FINISHED")
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    return run_id


def log_evaluation(home: Path, version: str, results: Mapping[str, Any]) -> str:
    """Record one evaluation of ``version``; returns the MLflow run id."""
    client = _client(home)
    tags = {"doorstep.kind": "evaluate", "doorstep.model": version}
    run = client.create_run(_experiment(client, home), run_name=f"evaluate {version}", tags=tags)
    run_id = str(run.info.run_id)
    _log_metrics(client, run_id, result_metrics(results))
    _log_tables(client, run_id, results)
    client.set_terminated(run_id, "FINISHED")
    return run_id


def signature(doc: Mapping[str, Any]) -> dict[str, Any]:
    """What goes in and what comes out, in MLflow's words."""
    columns = list(dict.fromkeys(term["column"] for term in doc["terms"]))
    outputs = [
        "p_serious",
        "p_any",
        "expected_harm",
        *(f"p_{h}" for h in doc["heads"] if h.startswith("serious_")),
    ]
    return {
        "inputs": [{"name": c, "type": "double", "required": True} for c in columns],
        "outputs": [{"name": c, "type": "double"} for c in outputs],
    }


def _params(doc: Mapping[str, Any]) -> dict[str, Any]:
    training, load = doc["training"], doc.get("load", {})
    return {
        "model_version": doc["version"],
        "until": training["until"],
        "first_date": training["dates"][0],
        "last_date": training["dates"][-1],
        "dates": len(training["dates"]),
        "delay_days": training["delay_days"],
        "horizon_days": doc["horizon_days"],
        "seed": doc["seed"],
        "load_id": load.get("load_id", ""),
        "load_sha256": load.get("manifest", ""),
        "nature": load.get("nature", ""),
        "code": doc["code"],
        "harm_edition": doc["harm"]["edition"],
        "settings": doc["settings"],
        "rules": doc["rules"],
        "terms": training["terms"],
        "penalty_serious": doc["heads"]["serious"]["penalty"],
        "health_authorised_by": (doc["authorisations"]["health"] or {}).get("by", ""),
        **{f"library_{k}": v for k, v in doc["libraries"].items()},
    }


def _training_metrics(doc: Mapping[str, Any]) -> dict[str, float]:
    names = ("rows", "persons", "events", "base_rate", "nonzero", "signs_checked", "signs_agree")
    return {f"train.{name}": float(doc["training"][name]) for name in names}


def result_metrics(results: Mapping[str, Any]) -> dict[str, float]:
    """Pooled figures as flat names: ``auc.model``, ``auc.model.low``, ``brier``, ``oracle.ratio_100.model`` ..."""
    out: dict[str, float | None] = {}
    for row in results.get("ranking", []):
        if row["t"] == "pooled" and row["cohort"] in ("all", "active_365"):
            end = "" if row["cohort"] == "all" else ".active"
            for name, value in row.items():
                if isinstance(value, float):
                    base, _, side = (
                        name.rpartition("_") if name.endswith(("_low", "_high")) else (name, "", "")
                    )
                    out[f"{base}.{_word(row['score'])}{end}{f'.{side}' if side else ''}"] = value
    for row in results.get("probability", []):
        if row["t"] == "pooled" and row["cohort"] == "all":
            out |= {k: v for k, v in row.items() if k not in ("t", "cohort")}
    for row in results.get("harm", []):
        out[f"harm.{_word(row['part'])}"] = row["observed_over_expected"]
    for row in results.get("oracle", []):
        if row["t"] == "pooled":
            out |= {f"oracle.{k}.{_word(row['score'])}": v for k, v in row.items() if k.startswith("ratio_")}
    return {k: float(v) for k, v in out.items() if isinstance(v, int | float)}


def _word(text: str) -> str:
    return text.replace(" ", "_").replace("%", "pc")


def _log_metrics(client: Any, run_id: str, metrics: Mapping[str, float]) -> None:
    from mlflow.entities import Metric

    now = int(datetime.now(UTC).timestamp() * 1000)
    entries = [Metric(name, value, now, 0) for name, value in sorted(metrics.items())]
    for start in range(0, len(entries), 500):
        client.log_batch(run_id, metrics=entries[start : start + 500])


def _log_tables(client: Any, run_id: str, results: Mapping[str, Any] | None) -> None:
    if not results:
        return
    for name, table in results.items():
        client.log_dict(run_id, {name: table}, f"tables/{name}.json")
    from models import plots

    client.log_figure(run_id, plots.calibration(results["reliability"]), "plots/calibration.png")
    client.log_figure(run_id, plots.capture(results["capture_curve"]), "plots/harm_capture.png")


def _register(client: Any, home: Path, doc: Mapping[str, Any], run_id: str, alias: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(REGISTERED)
    except MlflowException:
        client.create_registered_model(REGISTERED)
    digest = store.sha256((home / "models" / doc["version"] / "model.json").read_bytes())
    tags = {"doorstep.version": doc["version"], "sha256": digest}
    source = client.get_run(run_id).info.artifact_uri + "/model.json"
    made = client.create_model_version(REGISTERED, source=source, run_id=run_id, tags=tags)
    client.set_registered_model_alias(REGISTERED, alias, made.version)


def set_champion(home: Path, version: str, by: str, reason: str) -> dict[str, Any]:
    """Make ``version`` the model in use; a named person and a reason are recorded with the time.

    The pointer under ``models/`` is what the service reads; the registry's alias follows it.
    """
    if not by.strip() or not reason.strip():
        raise InputError(
            "A change of the model in use needs a named person and a reason.",
            where="champion",
            cure="Give both.",
        )
    before = store.champion_version(home)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    store.point_champion(home, version, by, reason, at)
    client = _client(home)
    found = client.search_model_versions(f"name = '{REGISTERED}'")
    for entry in sorted(found, key=lambda e: int(e.version), reverse=True):
        if entry.tags.get("doorstep.version") == version:
            client.set_registered_model_alias(REGISTERED, "champion", entry.version)
            client.set_model_version_tag(
                REGISTERED, entry.version, "promoted", json.dumps({"by": by, "reason": reason, "at": at})
            )
            break
    return {"version": version, "before": before, "by": by, "reason": reason, "at": at}

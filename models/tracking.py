"""MLflow as the record of a run: parameters, figures, tables, plots, the model document, aliases.

A SQLite store and plain files under the home, or a server by one setting, the environment variable DOORSTEP_MLFLOW.
Nothing is logged as a pickled model and nothing is loaded from here: scoring reads the JSON under ``models/``, so that
a store that is locked, gone or wrong cannot change a list. Telemetry is switched off before the import.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.errors import InputError
from models import settings, store
from models.scorer import Scorer

REGISTERED = "doorstep"
EXPERIMENT = "doorstep"
SERVER = "DOORSTEP_MLFLOW"
SCHEMES = ("http://", "https://", "sqlite:///", "postgresql://", "postgresql+psycopg://")
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""A server that does not answer is said so within seconds; MLflow alone would go on asking for minutes."""
LOCKED_SECONDS = 3.0


def server() -> str | None:
    """Where DOORSTEP_MLFLOW points: an MLflow server or a database; None: the home's own store. InputError for
    anything else."""
    given = os.environ.get(SERVER, "").strip()
    if not given:
        return None
    if not given.startswith(SCHEMES):
        raise InputError(
            f"{SERVER} is no address of an MLflow server or database.",
            where=SERVER,
            cure="Give one such as http://127.0.0.1:5000, or leave it empty for the store in the home.",
        )
    return given


def place() -> str:
    """The store in words, for an error."""
    return f"{SERVER}={server()}" if server() else "mlflow.db"


def _client(home: Path) -> Any:
    """An MLflow client on the store of this home; the first call on a home's own store creates it."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    import mlflow

    # after the import, which sets levels of its own; what urllib3 says of a silent server, our error says
    levels = {"alembic": "WARNING", "mlflow": "WARNING", "mlflow.store.db.utils": "WARNING"}
    for name, level in {**levels, "urllib3.connectionpool": "ERROR"}.items():
        logging.getLogger(name).setLevel(level)
    uri = server()
    if uri is None:
        home.mkdir(parents=True, exist_ok=True)
        database = (home / "mlflow.db").resolve()
        _free(database)
        uri = f"sqlite:///{database}"
    return mlflow.MlflowClient(tracking_uri=uri)


def _free(database: Path) -> None:
    """Refuse a database that another process holds: MLflow itself would wait a long time before it says so."""
    if not database.exists():
        return
    held = sqlite3.connect(database, timeout=LOCKED_SECONDS)
    try:
        held.execute("BEGIN IMMEDIATE")
        held.rollback()
    finally:
        held.close()


@contextmanager
def recording(home: Path) -> Iterator[Any]:
    """A client for one piece of work; whatever the store answers with, one clear error (InputError)."""
    import requests
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield _client(home)
    except (MlflowException, SQLAlchemyError, requests.RequestException, sqlite3.Error, OSError) as fault:
        said = next(iter(str(fault).strip().splitlines()), "") or type(fault).__name__
        raise InputError(
            f"The record of runs cannot be written: {said[:300]}",
            where=place(),
            cure="Start the server, or unset the setting to use the store in the home. Models and lists are as they "
            "were."
            if server()
            else "See that no other process holds it and that the disk is not full, or restore it. Models and lists "
            "are as they were.",
        ) from fault


def _experiment(client: Any, home: Path) -> str:
    """The experiment, made when it is not there. A home that was copied or moved gets one of its own: its artifacts
    must not go to where the first one stood."""
    if server() is not None:
        found = client.get_experiment_by_name(EXPERIMENT)
        return str(found.experiment_id if found else client.create_experiment(EXPERIMENT))
    ours = (home / "mlartifacts").resolve().as_uri()
    name, number = EXPERIMENT, 1
    while (found := client.get_experiment_by_name(name)) is not None:
        if found.artifact_location == ours:
            return str(found.experiment_id)
        number += 1
        name = f"{EXPERIMENT} {number}"
    return str(client.create_experiment(name, artifact_location=ours))


def log_training(home: Path, doc: Mapping[str, Any], results: Mapping[str, Any] | None, alias: str) -> str:
    """Record one training run and register the version under ``alias``; returns the MLflow run id.

    Raises InputError when the store is locked, gone or does not answer; the model's own files are not touched.
    """
    with recording(home) as client:
        run = client.create_run(_experiment(client, home), run_name=doc["version"], tags=_tags(doc, "train"))
        run_id = str(run.info.run_id)
        try:
            _log_params(client, run_id, _params(doc))
            _log_dataset(client, run_id, doc)
            _log_metrics(client, run_id, {**_training_metrics(doc), **result_metrics(results or {})})
            for name, content in documents(doc, results).items():
                client.log_dict(run_id, content, name)
            for name, text in settings.texts().items():
                client.log_text(run_id, text, f"settings/{name}.toml")
            _log_tables(client, run_id, results)
            _register(client, home, doc, run_id, alias)
            client.set_terminated(run_id, "FINISHED")
        except BaseException:
            _give_up(client, run_id)
            raise
    return run_id


def _tags(doc: Mapping[str, Any], kind: str) -> dict[str, str]:
    return {
        "doorstep.kind": kind,
        "doorstep.model": str(doc["version"]),
        "doorstep.family": str(doc["family"]),
    }


def _give_up(client: Any, run_id: str) -> None:
    """Mark a run as failed if the store still answers; the first fault is the one to tell."""
    from mlflow.exceptions import MlflowException

    try:
        client.set_terminated(run_id, "FAILED")
    except (MlflowException, OSError) as second:
        logging.getLogger(__name__).warning("run %s could not be marked as failed: %s", run_id, second)


def documents(doc: Mapping[str, Any], results: Mapping[str, Any] | None) -> dict[str, Any]:
    """What is kept of a run as JSON, file name -> content."""
    training = doc["training"]
    tested = sorted({r["t"] for r in (results or {}).get("cohort", ())})
    return {
        "model.json": dict(doc),
        "data_dictionary.json": {"dictionary": doc["dictionary"], "own_features": doc["own_features"]},
        "signature.json": signature(doc),
        "t_grid.json": {"until": training["until"], "trained_on": training["dates"], "tested_on": tested},
        "fairness.json": {"fairness": (results or {}).get("fairness", [])},
        "tables/signs.json": {"signs": doc["signs"]},
        "tables/left_out.json": {"left_out": doc["left_out"]},
    }


def log_evaluation(home: Path, version: str, results: Mapping[str, Any]) -> str:
    """Record one evaluation of ``version``; returns the MLflow run id. InputError as :func:`log_training`."""
    with recording(home) as client:
        tags = {"doorstep.kind": "evaluate", "doorstep.model": version}
        run = client.create_run(_experiment(client, home), run_name=f"evaluate {version}", tags=tags)
        run_id = str(run.info.run_id)
        try:
            _log_metrics(client, run_id, result_metrics(results))
            _log_tables(client, run_id, results)
            client.set_terminated(run_id, "FINISHED")
        except BaseException:
            _give_up(client, run_id)
            raise
    return run_id


def signature(doc: Mapping[str, Any]) -> dict[str, Any]:
    """What goes in and what comes out, in MLflow's words."""
    scorer = Scorer(doc)
    columns = scorer.columns
    outputs = [
        "p_serious",
        "p_any",
        "expected_harm",
        *(f"p_serious_{days}" for days in scorer.periods[:-1]),
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
        "family": doc["family"],
        "changes": json.dumps(doc["changes"]),
        "size": f"{training['size']} {training['size_of']}",
        "columns": training["columns"],
        "penalty_serious": doc["heads"]["serious"].get("penalty", ""),
        "health_authorised_by": (doc["authorisations"]["health"] or {}).get("by", ""),
        **{f"library_{k}": v for k, v in doc["libraries"].items()},
    }


def _training_metrics(doc: Mapping[str, Any]) -> dict[str, float]:
    names = ("rows", "persons", "events", "base_rate", "size", "signs_checked", "signs_agree")
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
    for row in results.get("fairness", []):
        if row.get("t", "pooled") == "pooled" and row.get("assessable"):
            name = f"{_word(str(row['grouping']))}.{_word(str(row['group']))}"
            out |= {f"fair.{k}.{name}": row.get(k) for k in ("observed_over_expected", "fnr_ratio")}
    for row in results.get("oracle", []):
        if row["t"] == "pooled":
            out |= {f"oracle.{k}.{_word(row['score'])}": v for k, v in row.items() if k.startswith("ratio_")}
    return {k: float(v) for k, v in out.items() if isinstance(v, int | float)}


def _word(text: str) -> str:
    """A name MLflow takes: letters, digits, underscores, dashes, dots."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text.replace("%", "pc"))


def _log_params(client: Any, run_id: str, params: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    client.log_batch(run_id, params=[Param(name, str(value)[:6000]) for name, value in params.items()])


def _log_dataset(client: Any, run_id: str, doc: Mapping[str, Any]) -> None:
    """The load as the run's input: its id, its nature and the digest of its manifest; no path and no row."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    load = doc.get("load")
    if not load:
        return
    source = json.dumps({"load_id": load["load_id"], "nature": load["nature"], "sha256": load["manifest"]})
    profile = json.dumps({k: doc["training"][k] for k in ("rows", "persons", "events")})
    held = Dataset(load["load_id"], load["manifest"][:32], "doorstep load", source, profile=profile)
    client.log_inputs(run_id, [DatasetInput(held, [InputTag("mlflow.data.context", "training")])])


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


def registered(home: Path, version: str) -> tuple[str, str] | None:
    """(registry version, run id) of a model, the newest where it was trained more than once; None: not recorded."""
    with recording(home) as client:
        found = _found(client, version)
        return None if found is None else (str(found.version), str(found.run_id))


def _found(client: Any, version: str) -> Any:
    """The newest registry entry of a model version, or None."""
    entries = client.search_model_versions(f"name = '{REGISTERED}'", max_results=10_000)
    mine = [e for e in entries if e.tags.get("doorstep.version") == version]
    return max(mine, key=lambda e: int(e.version), default=None)


def log_decision(home: Path, version: str, decision: Mapping[str, Any]) -> None:
    """Keep a decision about a model (gates, who, why) with its run, under the moment it was taken."""
    with recording(home) as client:
        found = _found(client, version)
        if found is not None:
            client.log_dict(found.run_id, dict(decision), f"decisions/{_moment(decision['at'])}.json")
            last = {"by": decision["by"], "reason": decision["reason"], "at": decision["at"]}
            client.set_model_version_tag(REGISTERED, found.version, decision["kind"], json.dumps(last))


def _moment(text: str) -> str:
    return text.replace(":", "").replace("+0000", "Z")


def follow(home: Path) -> None:
    """Let the registry's alias ``champion`` follow the pointer under ``models/``, which is what the service reads.

    A model that is no longer in use keeps no alias; one that was ``challenger`` and is now in use is that no more.
    Raises InputError when the store does not answer; the pointer stays as it is.
    """
    version = store.champion_version(home)
    with recording(home) as client:
        aliases = dict(client.get_registered_model(REGISTERED).aliases)
        found = None if version is None else _found(client, version)
        if found is not None:
            client.set_registered_model_alias(REGISTERED, "champion", found.version)
            if str(aliases.get("challenger", "")) == str(found.version):
                client.delete_registered_model_alias(REGISTERED, "challenger")
        elif "champion" in aliases:
            client.delete_registered_model_alias(REGISTERED, "champion")

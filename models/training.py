"""Train a model of any family: temporal test first, then the final fit on everything known by ``until``.

The temporal test answers "had we trained at U, how would the list have done after U?": a model is made as it would
have been at U, with the labels complete by U and the reporting delay known at U, and judged at U and later dates
whose outcomes are complete by ``until``. No training row's label window reaches past U, so that nothing the test
counts has been learnt from. The model that is kept is then fitted on all label-complete dates.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from features.errors import InputError
from features.harm import load_scheme
from features.home import Home, Load
from features.records import Records
from models import approval, explain, families, fitting, own, refits, settings, store
from models.dataset import Columns, Progress, Source, label_grid, model_columns, refuse_flagged, training_rows
from models.judge import Judge, unreachable
from models.logistic import ElasticNet, term_sign
from models.parts import part
from models.recipe import SETTINGS_LATER, Recipe, tuned
from models.scorer import FORMAT

LIBRARIES = ("polars", "numpy", "scikit-learn", "scipy", "interpret-core")


@dataclass(frozen=True)
class Trained:
    """What a training run made: the document as saved, its results tables, whether it became the model in use."""

    doc: dict[str, Any]
    results: dict[str, Any] | None
    alias: str
    run_id: str | None
    standing: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain facts for ``--json``."""
        facts = {k: self.doc[k] for k in ("version", "seed", "training", "harm_parts", "notes")}
        facts |= {"alias": self.alias, "standing": list(self.standing), "mlflow_run": self.run_id}
        return {**facts, "temporal_test": self.results}

    def render(self) -> str:
        """A few lines for the terminal."""
        training = self.doc["training"]
        lines = [
            f"model {self.doc['version']} ({self.alias}): {self.doc['kind']}, trained until {training['until']}",
            f"  {training['dates'][0]} ... {training['dates'][-1]}: {len(training['dates'])} dates, "
            f"{training['persons']} persons, {training['rows']} rows; base rate {training['base_rate']:.4f}",
            *self._own(),
            self._size(),
        ]
        if self.results:
            lines += [
                f"  test, {row['score']:<10} AUC {_show(row['auc'])}  harm at 1 % {_show(row['capture_1pc'])}"
                f"  PPV at 100 {_show(row['ppv_100'])}"
                for row in self.results["ranking"]
                if row["t"] == "pooled" and row["cohort"] == "all" and not row["score"].startswith("without")
            ]
        return "\n".join(lines + [f"  note: {note}" for note in (*self.doc["notes"], *self.standing)])

    def _size(self) -> str:
        """How much the main head holds, and whether the data alone would have pointed the declared way."""
        training = self.doc["training"]
        said = f"  {training['size']} {training['size_of']} over {training['columns']} columns"
        if training["signs_checked"]:
            said += (
                f"; the data alone agree with the declared direction of {training['signs_agree']} of "
                f"{training['signs_checked']}"
            )
        return said

    def _own(self) -> list[str]:
        """The own features among its columns, if there are any."""
        mine = [f"{entry['feature']} ({entry['file']})" for entry in self.doc["own_features"]]
        return [f"  own features: {', '.join(mine)}"] if mine else []


def _show(value: float | None) -> str:
    return "  -  " if value is None else f"{value:.3f}"


def train(
    home: Home,
    until: datetime,
    seed: int = 1,
    *,
    family: str = "elastic_net",
    changes: Mapping[str, Any] | None = None,
    health_authorised_by: str | None = None,
    health_reason: str | None = None,
    progress: Progress | None = None,
    track: bool = True,
) -> Trained:
    """Train a model of ``family`` on the home's current load with nothing recorded after ``until``; save, track, alias.

    ``changes``: changes to the family's settings; None: those that ``doorstep tune`` found for this home, if any.

    Writes ``models/<version>/model.json`` and its manifest and logs an MLflow run (``track``). The model is a
    challenger until a named person promotes it (``models.promote``); only the first one of a simulated force is used
    without that, and says so. ``health_authorised_by`` and ``health_reason`` admit health markers; both are recorded in
    the document. Raises InputError when no date has complete outcomes, nothing was recorded in them, or no column
    varies.
    """
    authorisation = _authorisation(health_authorised_by, health_reason)
    load = home.require()
    records = load.records()
    home_path = Path(home.path)
    effective, notes = known_until(records, until)
    found, tuned_until = tuned(home_path, family) if changes is None else (changes, None)
    recipe = Recipe(family, seed, found, authorisation, tuned_until).at(effective)
    results = temporal_test(records, effective, recipe, home_path, progress, load=load)
    if results is not None and results["settings_differ"]:
        notes.append(SETTINGS_LATER)
    if results is None:
        notes.append("no temporal test: too few label-complete dates before the newest ones")
    doc = fit_until(records, effective, recipe, home_path, progress, with_refits=True)
    doc["notes"] = notes + doc["notes"]
    doc["load"] = {"load_id": load.load_id, "nature": load.nature, "manifest": manifest_hash(load.manifest)}
    doc["temporal_test"] = None if results is None else _summary(results)
    saved = store.save(home_path, doc, {"made_at": datetime.now(UTC).isoformat(timespec="seconds")})
    if results is not None:
        store.write_atomic(
            home_path / "models" / saved["version"] / "temporal_test.json", store.canonical_bytes(results)
        )
    if families.class_of(family).additive:
        approval.begin(home_path, saved["version"], load.nature)
    alias = "champion" if store.champion_version(home_path) == saved["version"] else "challenger"
    run_id, unrecorded = None, ""
    if track:
        from models.tracking import log_training

        try:
            run_id = log_training(home_path, saved, results, alias)
        except InputError as problem:  # the model is kept; promote records the run before it puts it in use
            unrecorded = f"{problem.what} {problem.cure} The model itself is saved."
    return Trained(saved, results, alias, run_id, _standing_notes(home_path, saved["version"], unrecorded))


def _standing_notes(home: Path, version: str, unrecorded: str) -> tuple[str, ...]:
    """What must be said of the model's place: used without an approval, or waiting for one; and a run not recorded."""
    now = approval.standing(home)
    if now is not None and now.version == version:
        said = now.notes(datetime.now(UTC))
    else:
        said = [f"not in use: doorstep promote {version} --by NAME --reason TEXT judges it by the gates"]
    return tuple(said + [unrecorded] * bool(unrecorded))


def _authorisation(by: str | None, reason: str | None) -> dict[str, Any] | None:
    if by is None and reason is None:
        return None
    if not (by or "").strip() or not (reason or "").strip():
        raise InputError(
            "Health markers are used only when a named person authorises it and says why.",
            where="health authorisation",
            cure="Give both a name and a reason, or neither.",
        )
    return {"by": by, "reason": reason}


def manifest_hash(manifest: Mapping[str, Any]) -> str:
    """The digest of a load's manifest: which data a model was made from."""
    return store.sha256(store.canonical_bytes(_plain(manifest)))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def known_until(records: Records, until: datetime) -> tuple[datetime, list[str]]:
    """``until``, or the last moment recorded by then when the records stop earlier: outcomes that no one has entered
    yet must not be taken for outcomes that did not happen."""
    last = last_known(records, until)
    if last is None:
        raise InputError(
            f"Nothing was recorded by {until:%Y-%m-%d %H:%M} UTC.",
            where="train --until",
            cure="Choose a later date.",
        )
    if until - last <= timedelta(days=7):
        return until, []
    note = f"the records known by then stop at {last:%Y-%m-%d}: outcomes are complete only as far as that"
    return last, [note]


def last_known(records: Records, until: datetime | None = None) -> datetime | None:
    """The latest moment at which any event row was entered (by ``until``)."""
    entered = records.table("event")["known_from"]
    if until is not None:
        entered = entered.filter(entered <= until)
    latest = entered.max()
    return latest if isinstance(latest, datetime) else None


def temporal_test(
    records: Records,
    until: datetime,
    recipe: Recipe,
    home: Path | None,
    progress: Progress | None,
    draws: int = 200,
    load: Load | None = None,
) -> dict[str, Any] | None:
    """Figures of the procedure on dates it could not have learnt from, or None when the period is too short.

    ``load``: gives the audit store, which fairness between groups and OGRS3 read (nothing that is learnt does).
    """
    grid = settings.load("logistic")["grid"]
    main = int(grid["horizons"][0])
    source = Source.of(records, until, home, progress)
    dates = label_grid(records, until, main, source.delay_days)
    for count in (int(grid["test_dates"]), 3, 1):
        tests = dates[-count:]
        if len(tests) < count:
            continue
        then = Source.of(records, tests[0], home, progress)
        if len(label_grid(records, tests[0], main, then.delay_days)) < int(grid["min_fit_dates"]):
            continue
        try:
            doc = fit_until(records, tests[0], recipe.at(tests[0]), home, progress)
        except InputError:
            continue
        if doc["heads"]["serious"]["fallback"] is not None:
            continue  # the procedure could not yet tell anyone apart: nothing to test
        judge = Judge(records, doc, load)
        occasions = []
        for t, frame in source.frames(tests, "test dates"):
            occasions.append(judge.occasion(frame, t))
            occasions[-1].reach = unreachable(source, t)
        out = judge.tables(occasions, doc["training"]["base_rate_newest"], draws, recipe.seed, source=source)
        out["rules"] = judge.rules(source.features_at(tests[-1]))
        out["settings_differ"] = recipe.at(tests[0]) != recipe
        out["how"] = (
            f"model made as at {tests[0]:%Y-%m-%d} from labels complete by then (newest date "
            f"{doc['training']['dates'][-1][:10]}), "
            f"judged at {len(tests)} later dates; no training label reaches past {tests[0]:%Y-%m-%d}"
        )
        return out
    return None


def fit_until(
    records: Records,
    until: datetime,
    recipe: Recipe,
    home: Path | None = None,
    progress: Progress | None = None,
    where: str = "train --until",
    *,
    with_refits: bool = False,
) -> dict[str, Any]:
    """The model document (without ``load`` and ``version``) that knowledge up to ``until`` gives.

    ``where`` names the option an error should speak of. ``with_refits``: keep what the interval of each person's figure
    needs (``models.refits``), as a model that is used does.
    """
    grid = settings.load("logistic")["grid"]
    main = int(grid["horizons"][0])
    source = Source.of(records, until, home, progress)
    dates = label_grid(records, until, main, source.delay_days)
    if not dates:
        needed = int(grid["min_history_days"]) + main + source.delay_days
        end = last_known(records)
        later = end is not None and until < end
        raise InputError(
            f"Nothing can be learnt from what was known by {until:%Y-%m-%d}: it takes {grid['min_history_days']} days "
            f"of records before a date and {main} + {source.delay_days} days after it.",
            where=f"{where}; records run until {end:%Y-%m-%d}" if end else where,
            cure=f"Load a longer period{f', or choose a date at least {needed} days into it' if later else ''}.",
        )
    columns = model_columns(records.missing, recipe.authorisation is not None, records.declared)
    rows, newest = training_rows(source, dates, list(columns.shapes), recipe.seed)
    doc = document(
        rows,
        newest,
        columns,
        horizon_days=main,
        recipe=recipe,
        progress=progress,
        with_refits=with_refits,
    )
    doc["reason_stability"] = explain.stability(doc, newest)
    doc["training"] |= {
        "until": _iso(until),
        "dates": [_iso(t) for t in dates],
        "delay_days": source.delay_days,
    }
    doc["authorisations"] = {"health": dict(recipe.authorisation) if recipe.authorisation else None}
    return doc


def _iso(t: datetime) -> str:
    return t.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def document(
    rows: pl.DataFrame,
    newest: pl.DataFrame,
    columns: Columns,
    *,
    horizon_days: int,
    recipe: Recipe,
    key: str = "person_id",
    progress: Progress | None = None,
    with_refits: bool = False,
) -> dict[str, Any]:
    """Fit rows of any origin and describe the model as plain data.

    ``rows`` and ``newest`` as ``models.fitting.fit`` takes them; ``columns`` says which columns enter and in what
    shape. Raises InputError when nothing was recorded after any row, or no column varies.
    """
    if not rows.height or not (rows["serious"].any() or rows["other"].any()):
        raise InputError(
            "No outcome at all was recorded in the horizon of any row: there is nothing to learn.",
            where="training outcomes",
            cure="Load a longer period, or check that events are marked domestic and name their suspects.",
        )
    refuse_flagged(columns)
    directions = {n: columns.declared[n].feature.direction for n in columns.shapes if n in columns.declared}
    step = None if progress is None else (lambda what: progress(what, 0, 1))
    fitted = fitting.fit(
        rows,
        newest,
        columns.shapes,
        directions,
        key,
        family=recipe.family,
        seed=recipe.seed,
        changes=recipe.changes,
        step=step,
    )
    if len(fitted.constant) == len(columns.shapes):
        raise InputError(
            "No history column varies between persons: nothing can tell them apart.",
            where="training features",
            cure="Check what doorstep check reports as missing from the extract.",
        )
    kept = None
    if with_refits:
        again = None if progress is None else partial(progress, "refits for intervals")
        main, tail = fitted.models.get("serious"), fitted.heads["serious"]["tail"]
        kept = refits.refits(
            main, rows, newest, fitted.notes, seed=recipe.seed, tail=tail, key=key, step=again
        )
    signs = sign_checks(fitted, directions, rows)
    head = fitted.heads["serious"]
    size_of = families.SIZE[head["kind"]]
    serious = rows["serious"].fill_null(False).to_numpy()
    weight = rows["weight"].to_numpy()
    scheme = load_scheme()
    return {
        "format": FORMAT,
        "key": key,
        "family": recipe.family,
        "kind": families.class_of(recipe.family).title,
        "changes": dict(recipe.changes) if recipe.changes else None,
        "tuned_until": recipe.tuned_until,
        "settings": f"{settings.load('logistic')['version']}, {settings.load(recipe.family)['version']}",
        "rules": settings.load("rules")["version"],
        "seed": recipe.seed,
        "horizon_days": horizon_days,
        "code": store.code_version(),
        "libraries": {"python": platform.python_version(), **{name: installed(name) for name in LIBRARIES}},
        "harm": {"scheme": scheme.scheme, "edition": scheme.edition},
        "heads": fitted.heads,
        "harm_parts": fitted.harm_parts,
        "when": fitted.when,
        "refits": kept,
        "dictionary": dictionary(columns),
        "own_features": own.used(columns),
        "signs": signs,
        "left_out": {
            **columns.left_out,
            **dict.fromkeys(fitted.constant, "never varies in the training rows"),
        },
        "notes": fitted.notes,
        "training": {
            "rows": rows.height,
            "persons": rows[key].n_unique(),
            "rows_newest": newest.height,
            "events": int(serious.sum()),
            "persons_with_event": int(rows.filter(pl.Series(serious))[key].n_unique()),
            "base_rate": float(np.average(serious, weights=weight)),
            "base_rate_newest": float(newest["serious"].fill_null(False).mean() or 0.0),  # type: ignore[arg-type]
            "sampled": bool((weight != 1.0).any()),
            "size": len(head[size_of]),
            "size_of": size_of,
            "columns": len(part(head).columns),
            "signs_checked": len(signs),
            "signs_agree": sum(row["agrees"] for row in signs),
        },
    }


def dictionary(columns: Columns) -> list[dict[str, Any]]:
    """The model's excerpt of the data dictionary: what each column is, in plain English."""
    out = []
    for name, shape in columns.shapes.items():
        column = columns.declared.get(name)
        f = column.feature if column else None
        out.append(
            {
                "column": name,
                "feature": f.name if f else name,
                "text": column.text if column else name,
                "unit": f.unit if f else "",
                "family": f.family if f else "",
                "direction": f.direction if f else 0,
                "sensitive": f.sensitive if f else "",
                "own": f.origin if f else "",
                "shape": shape,
            }
        )
    return out


def sign_checks(
    fitted: fitting.Fitted, directions: Mapping[str, int], rows: pl.DataFrame
) -> list[dict[str, Any]]:
    """Each term with a declared direction: its coefficient, and where the data alone would have put it.

    Coefficients of the main head may only point the declared way or be zero; ``free`` is the coefficient without that
    limit, and ``agrees`` says whether it points the declared way (or nowhere). Overlapping windows make single free
    coefficients turn against each other, so that a disagreement is a question to ask, not a fault. Empty for families
    other than the elastic net, whose limits are part of the shape they learn.
    """
    limited = fitted.models.get("serious")
    if not isinstance(limited, ElasticNet) or limited.shapes is None:
        return []
    free = ElasticNet(
        limited.shapes, None, limited.seed, {**(limited.settings or {}), "penalties": [limited.penalty_]}
    )
    y = rows["serious"].fill_null(False).to_numpy().astype(np.float64)
    free.fit(rows, y, rows["weight"].to_numpy().astype(np.float64))
    slope = float(fitted.heads["serious"]["calibration"]["slope"])
    out = []
    for term, value, loose in zip(limited.terms_, limited.coef_, free.coef_, strict=True):
        sign = term_sign(term, directions)
        if sign:
            facts = {
                "term": term.name,
                "column": term.column,
                "declared": int(sign),
                "coef": slope * float(value),
            }
            out.append({**facts, "free": slope * float(loose), "agrees": bool(loose * sign >= 0.0)})
    return sorted(out, key=lambda r: (-abs(r["coef"]), r["term"]))


def _summary(results: Mapping[str, Any]) -> dict[str, Any]:
    """The pooled rows of a temporal test, small enough to travel inside the model document."""
    pooled: Sequence[Mapping[str, Any]] = [
        r for r in results["ranking"] if r["t"] == "pooled" and r["cohort"] == "all"
    ]
    return {
        "how": results["how"],
        "sha256": store.sha256(
            store.canonical_bytes(results)
        ),  # seals the tables that the gates are judged by
        "ranking": list(pooled),
        "probability": [r for r in results["probability"] if r["t"] == "pooled"],
        "harm": results["harm"],
        "leak_suspect": results["leak_suspect"],
    }

"""Find better settings for a family within a budget of minutes: a search of its own, never part of a training run.

Each trial is a set of changes to the family's settings, judged by the log loss of serious harm on whole persons held
out (never rows, so that nobody straddles folds). Trials are drawn from the lists in the family's data file, the
settings as they stand first. Finished trials are written down as they end: an interrupted search takes up where it
was, and the same seed draws the same trials.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from features.errors import InputError
from features.home import Home
from models import families, settings, store
from models.dataset import Progress, Source, label_grid, model_columns, person_folds, training_rows
from models.training import known_until


@dataclass(frozen=True)
class Tuned:
    """What a search found: the changes to take (none where nothing beat the settings as they stand)."""

    family: str
    changes: dict[str, Any] | None
    loss: float
    loss_before: float
    trials: int
    minutes: float
    path: Path

    def to_dict(self) -> dict[str, Any]:
        """Plain facts for ``--json``."""
        return {**asdict(self), "path": str(self.path)}

    def render(self) -> str:
        """Two lines for a terminal."""
        said = (
            "nothing beat the settings as they stand"
            if self.changes is None
            else f"changes: {json.dumps(self.changes)}"
        )
        return (
            f"{self.family}: {self.trials} trials in {self.minutes:.1f} minutes; {said}\n"
            f"  held-out log loss {self.loss:.6f} (as they stand {self.loss_before:.6f}); doorstep train uses what is "
            f"in {self.path}"
        )


def tune(
    home: Home,
    family: str,
    until: datetime,
    minutes: float,
    seed: int = 1,
    *,
    progress: Progress | None = None,
) -> Tuned:
    """Search the family's settings for ``minutes`` on what was known by ``until``; write ``HOME/tuning/<family>.json``.

    At least the settings as they stand are tried; a trial is begun only when one like the longest so far still fits the
    budget. Raises InputError when the family has nothing to search, or nothing can be learnt from so short a period.
    """
    searched = dict(settings.load(family).get("search", {})) if family in families.NAMES else {}
    families.class_of(family)
    if not searched:
        raise InputError(
            f"The family {family} has no settings to search.", where="--family", cure="Train it as it is."
        )
    begun = time.monotonic()
    load = home.require()
    records = load.records()
    effective, _ = known_until(records, until)
    source = Source.of(records, effective, Path(home.path), progress)
    main = int(settings.load("logistic")["grid"]["horizons"][0])
    dates = label_grid(records, effective, main, source.delay_days)
    columns = model_columns(records.missing, False, records.declared)
    rows, _ = training_rows(source, dates, list(columns.shapes), seed)
    directions = {n: columns.declared[n].feature.direction for n in columns.shapes}
    folder = Path(home.path) / "tuning"
    log = folder / f"{family}.trials.jsonl"
    key = store.sha256(f"{records.state} {effective.isoformat()} {seed} {store.code_version()}".encode())[:12]
    done = _finished(log, key)
    longest = 0.0
    tried: list[dict[str, Any]] = []
    for number, changes in enumerate(_draws(searched, seed)):
        spent = time.monotonic() - begun
        if number and (spent + longest) / 60.0 > minutes:
            break
        if progress:
            progress(f"tuning {family}, minutes", min(int(spent / 60), int(minutes)), max(1, int(minutes)))
        spelt = json.dumps(changes, sort_keys=True)
        if spelt not in done:
            start = time.monotonic()
            loss = _loss(rows, columns.shapes, directions, family, changes, seed)
            longest = max(longest, time.monotonic() - start)
            done[spelt] = loss
            folder.mkdir(parents=True, exist_ok=True)
            with log.open("a", encoding="utf-8") as stream:
                stream.write(
                    json.dumps({"key": key, "changes": changes, "loss": loss}, sort_keys=True) + "\n"
                )
        tried.append({"changes": changes, "loss": done[spelt]})
    best = min(tried, key=lambda t: t["loss"])
    found = best["changes"] or None
    spent = (time.monotonic() - begun) / 60.0
    out = Tuned(family, found, best["loss"], tried[0]["loss"], len(tried), spent, folder / f"{family}.json")
    facts = {
        "family": family,
        "changes": found or {},
        "loss": out.loss,
        "loss_before": out.loss_before,
        "trials": out.trials,
        "seed": seed,
        "until": effective.isoformat(),
        "load_id": load.load_id,
        "code": store.code_version(),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    store.write_atomic(out.path, store.canonical_bytes(facts))
    return out


def _finished(log: Path, key: str) -> dict[str, float]:
    """Trials of the same data, code and seed that an earlier search ended, by their spelling; a line that an
    interruption cut short is passed over."""
    out: dict[str, float] = {}
    if not log.is_file():
        return out
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if row["key"] == key:
            out[json.dumps(row["changes"], sort_keys=True)] = float(row["loss"])
    return out


def _draws(searched: Mapping[str, list[Any]], seed: int) -> Iterator[dict[str, Any]]:
    """The settings as they stand, then each single change, then random combinations, none twice."""
    yield {}
    seen = {"{}"}
    names = sorted(searched)
    for name in names:
        for value in searched[name]:
            yield {name: value}
            seen.add(json.dumps({name: value}, sort_keys=True))
    rng = np.random.default_rng([seed, 11])
    combinations = int(np.prod([len(searched[n]) + 1 for n in names]))
    while len(seen) < combinations:
        drawn = {n: ([None, *searched[n]])[int(rng.integers(len(searched[n]) + 1))] for n in names}
        changes = {n: v for n, v in drawn.items() if v is not None}
        spelt = json.dumps(changes, sort_keys=True)
        if spelt not in seen:
            seen.add(spelt)
            yield changes


def _loss(
    rows: pl.DataFrame,
    shapes: Mapping[str, str],
    directions: Mapping[str, int],
    family: str,
    changes: Mapping[str, Any],
    seed: int,
) -> float:
    """Weighted log loss of serious harm on persons held out."""
    varying = {c: s for c, s in shapes.items() if rows[c].n_unique() > 1}
    y = rows["serious"].fill_null(False).to_numpy().astype(np.float64)
    weight = rows["weight"].to_numpy().astype(np.float64)
    fold = person_folds(rows["person_id"], int(settings.load("logistic")["fit"]["person_folds"]))
    made = families.make(family, varying, directions, seed, changes)
    _, z, _ = made.cross_fit(rows, y, weight, fold, rows.head(0), fold[:0])
    return float(np.average(np.logaddexp(0.0, z) - z * y, weights=weight))

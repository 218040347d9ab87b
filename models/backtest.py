"""How the procedure would have done: models made at several past origins, each judged on the months that followed.

At an origin a model is made from what was known then: labels complete by then, the reporting delay known then. It is
judged at the following monthly T, whose outcomes are complete by now. Every family is made at every origin, so that
families, rules and (on a simulated force) the oracle meet the same persons at the same T. A model made is kept, and a
run that was interrupted takes up where it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from features.errors import InputError
from features.home import Home
from features.labels import reporting_delay
from features.records import Records
from models import families, settings, store
from models.compare import Occasion
from models.dataset import Progress, Source, monthly, records_begin
from models.evaluate import Evaluation, oracle_files
from models.judge import Judge, unreachable
from models.recipe import Recipe, tuned
from models.training import fit_until, last_known


def backtest(
    home: Home,
    names: Sequence[str] = ("elastic_net",),
    origins: int = 4,
    *,
    months: int = 6,
    until: datetime | None = None,
    truth: Path | None = None,
    draws: int = 200,
    seed: int = 1,
    progress: Progress | None = None,
) -> Evaluation:
    """Pooled tables over ``origins`` x ``months`` monthly T: the first family is the model of the tables, further ones
    and every rule stand beside it.

    ``until``: nothing recorded later is used (default: all there is). ``truth``: a simulated force's truth folder.
    Writes ``HOME/backtest/<origins>x<months>-<families>.json``. Raises InputError when the records are too short for so
    many origins, or a family is unknown or named twice.
    """
    chosen = list(dict.fromkeys(names))
    for name in chosen:
        families.class_of(name)
    load = home.require()
    records, place = load.records(), Path(home.path)
    end = last_known(records, until)
    if end is None:
        raise InputError("There are no events to test on.", where="backtest", cure="Load an extract.")
    source = Source(records, place / "cache" / records.state, reporting_delay(records, end), progress)
    chunks = spans(records, end, source.delay_days, origins, months)
    oracles = oracle_files(truth)
    occasions: list[Occasion] = []
    facts: dict[str, Any] = {
        "load_id": load.load_id,
        "origins": [],
        "families": chosen,
        "seed": seed,
        "draws": draws,
    }
    judge: Judge | None = None
    rates = []
    for number, chunk in enumerate(chunks):
        docs = {}
        for name in chosen:
            if progress:
                progress(f"origin {chunk[0]:%Y-%m-%d}, {name}", number, len(chunks))
            changes, tuned_until = tuned(place, name)
            recipe = Recipe(name, seed, changes, None, tuned_until).at(chunk[0])
            docs[name] = made(records, chunk[0], recipe, place, progress)
        first, *rest = chosen
        judge = Judge(records, docs[first], load, {name: docs[name] for name in rest})
        rates.append(float(docs[first]["training"]["base_rate_newest"]))
        facts["origins"].append(_origin(chunk, docs))
        for t, frame in source.frames(chunk, f"months after {chunk[0]:%Y-%m-%d}"):
            occasions.append(_occasion(judge, source, t, frame, oracles.get(t)))
    assert judge is not None
    tables = judge.tables(occasions, sum(rates) / len(rates), draws, seed)
    tables["rules"] = judge.rules(source.features_at(chunks[-1][-1]))
    facts |= _words(chunks, chosen, source, tables)
    out = Evaluation(facts, tables)
    path = place / "backtest" / f"{origins}x{months}-{'-'.join(chosen)}.json"
    store.write_atomic(path, store.canonical_bytes(out.to_dict()))
    return out


def spans(
    records: Records, end: datetime, delay_days: int, origins: int, months: int
) -> list[list[datetime]]:
    """The monthly T of each origin, oldest first: the newest ``origins x months`` whose outcomes are complete by
    ``end``. The first T of each span is its origin."""
    grid = settings.load("logistic")["grid"]
    main = int(grid["horizons"][0])
    complete = end + timedelta(days=1) - timedelta(days=main + delay_days)
    begun = records_begin(records, end)
    found = [] if begun is None else monthly(begun + timedelta(days=int(grid["min_history_days"])), complete)
    learning = main + delay_days  # an origin needs label-complete dates before it
    tests = found[-origins * months :]
    if (
        begun is None
        or len(tests) < origins * months
        or tests[0] < begun + timedelta(days=int(grid["min_history_days"]) + learning)
    ):
        raise InputError(
            f"The records are too short for {origins} origins of {months} months: each needs {main} + {delay_days} "
            f"days after its last month, and as many and {grid['min_history_days']} more before its first.",
            where="backtest --origins",
            cure="Ask for fewer origins or months, or load a longer period.",
        )
    return [tests[i * months : (i + 1) * months] for i in range(origins)]


def made(
    records: Records, origin: datetime, recipe: Recipe, home: Path, progress: Progress | None = None
) -> dict[str, Any]:
    """The model that knowledge up to ``origin`` gives, made once for these records, this code and this recipe."""
    spelt = json.dumps([recipe.family, recipe.seed, recipe.changes, origin.isoformat(), store.code_version()])
    path = home / "cache" / records.state / f"model-{store.sha256(spelt.encode())[:16]}.json"
    if path.is_file():
        return dict(json.loads(path.read_text(encoding="utf-8")))
    doc = fit_until(records, origin, recipe, home, progress, "backtest")
    store.write_atomic(path, store.canonical_bytes(doc))
    return dict(json.loads(store.canonical_bytes(doc)))


def _occasion(
    judge: Judge, source: Source, t: datetime, frame: pl.DataFrame, oracle: Path | None
) -> Occasion:
    truth = None if oracle is None else pl.read_parquet(oracle).select("person_id", "expected_harm")
    out = judge.occasion(frame, t, truth)
    out.reach = unreachable(source, t)
    return out


def _origin(chunk: Sequence[datetime], docs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    sizes = {
        name: f"{doc['training']['size']} {doc['training']['size_of']}, {doc['training']['columns']} columns"
        for name, doc in docs.items()
    }
    first = next(iter(docs.values()))["training"]
    return {
        "origin": _iso(chunk[0]),
        "judged": [_iso(t) for t in chunk],
        "learnt_from": [first["dates"][0], first["dates"][-1]],
        "dates": len(first["dates"]),
        "sizes": sizes,
    }


def _words(
    chunks: Sequence[Sequence[datetime]], chosen: Sequence[str], source: Source, tables: Mapping[str, Any]
) -> dict[str, Any]:
    first = chosen[0]
    return {
        "how": (
            f"{len(chunks)} origins from {chunks[0][0]:%Y-%m-%d} to {chunks[-1][0]:%Y-%m-%d}, {len(chunks[0])} monthly "
            f"T after each; at each origin the model (here {first}) was made from what was known then, so that no "
            "label it learnt from reaches past its origin"
        ),
        "horizon_days": int(settings.load("logistic")["grid"]["horizons"][0]),
        "delay_days": source.delay_days,
        "notes": list(tables["score_notes"]),
    }


def _iso(t: datetime) -> str:
    return t.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

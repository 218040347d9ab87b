"""What hangs on a choice: the same model judged with harm priced otherwise, records joined otherwise, or fitted again
without one feature family.

These are what-ifs beside the headline, run on request (``doorstep evaluate --sensitivity``): a model is fitted once for
every family, and histories are computed once for every other way to join records. Choices tried:
``models/data/judging.toml``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from features.errors import InputError
from features.harm import HarmScheme, load_scheme
from features.labels import outcomes
from features.linkage.store import linked
from features.nominals import clusters_at, onto
from features.records import Records
from models import settings
from models.compare import Occasion
from models.dataset import Columns, Progress, Source, label_grid, model_columns, training_rows
from models.judge import Judge
from models.metrics import Board
from models.ranking import PLACES, Bootstrap, differences, figure, ranking, share_of
from models.scorer import Scorer
from models.training import Recipe, document

Array = npt.NDArray[np.float64]
DRAWS = 100


def rows(
    source: Source,
    judge: Judge,
    occasions: Sequence[Occasion],
    seed: int,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Rows for the results table ``sensitivity``: all three what-ifs over labelled ``occasions``.

    Every row: ``what`` (in words), ``kind`` (family, harm, linkage), ``score``, ``auc`` and ``base_rate`` (null where
    a what-if does not touch them), ``capture_<K>``, and for a list made otherwise ``kept_<K>``: the share of the places
    of the list in use that the same persons hold on it.
    """
    if not occasions:
        return []
    found = without_families(source, judge, occasions, seed, progress)
    for name in settings.load("judging")["sensitivity"]["harm_schemes"]:
        found += harm_priced(source, judge, occasions, load_scheme(name))
    return found + joined_otherwise(source, judge, occasions[-1])


# --- without a family -----------------------------------------------------------------------------------------


def without_families(
    source: Source,
    judge: Judge,
    occasions: Sequence[Occasion],
    seed: int,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """The same procedure fitted again without each feature family, on the same rows, judged on the same persons.

    Rows of kind ``family`` also have ``auc_difference``, ``auc_difference_low`` and ``_high`` (the model less the one
    without the family, paired by person), and the same for capture at 1 %.
    """
    until = datetime.fromisoformat(judge.doc["training"]["until"])
    recipe = Recipe.of(judge.doc)
    home = source.cache.parent.parent if source.cache else None
    then = Source.of(judge.records, until, home, progress)
    main = int(settings.load("logistic")["grid"]["horizons"][0])
    dates = label_grid(judge.records, until, main, then.delay_days)
    columns = model_columns(judge.records.missing, recipe.authorisation is not None, judge.records.declared)
    learnt, newest = training_rows(then, dates, list(columns.shapes), recipe.seed)
    families = _families(columns)
    made: dict[str, Scorer] = {}
    for i, family in enumerate(families):
        if progress:
            progress("fits without a family", i, len(families))
        kept = {n: s for n, s in columns.shapes.items() if _family(columns, n) != family}
        try:
            doc = document(learnt, newest, replace(columns, shapes=kept), horizon_days=main, recipe=recipe)
        except InputError:  # nothing else tells people apart: there is no model without this family
            continue
        made[family] = Scorer(doc)
    if progress:
        progress("fits without a family", len(families), len(families))
    return _family_rows(source, occasions, made, seed)


def _families(columns: Columns) -> list[str]:
    return sorted({_family(columns, name) for name in columns.shapes})


def _family(columns: Columns, name: str) -> str:
    column = columns.declared.get(name)
    return column.feature.family if column and column.feature.family else "other"


def _family_rows(
    source: Source, occasions: Sequence[Occasion], made: Mapping[str, Scorer], seed: int
) -> list[dict[str, Any]]:
    judged = []
    for o in occasions:
        frame = source.features_at(o.t).join(o.persons.to_frame(), on="person_id", how="semi")
        scores = {"model": o.scores["model"]}
        for family, scorer in made.items():
            answer = scorer.score(frame)
            scores[family] = (_array(answer["expected_harm"]), _array(answer["p_serious"]))
        judged.append(replace(o, scores=scores, flags={}))
    table, spread = ranking(judged, Bootstrap(judged, DRAWS, seed))
    pooled = {r["score"]: r for r in table if r["t"] == "pooled"}
    gaps = {(r["rule"], r["figure"]): r for r in differences(spread)} if spread else {}
    out = []
    for family in made:
        row: dict[str, Any] = {"what": f"fitted again without {family}", "kind": "family", "family": family}
        row |= {"score": "model"}
        row |= {"auc": pooled[family]["auc"], "base_rate": _rate(occasions)}
        row |= {f"capture_{k}": pooled[family][f"capture_{k}"] for k, _ in PLACES}
        for name in ("auc", "capture_1pc"):
            gap = gaps[family, name]
            row |= {f"{name}_difference": gap["difference"]}
            row |= {f"{name}_difference_low": gap["low"], f"{name}_difference_high": gap["high"]}
        kept = [_kept(o.scores["model"][0], o.scores[family][0]) for o in judged]
        out.append(row | _mean(kept))
    return out


# --- harm priced otherwise ------------------------------------------------------------------------------------


def harm_priced(
    source: Source, judge: Judge, occasions: Sequence[Occasion], scheme: HarmScheme
) -> list[dict[str, Any]]:
    """The same lists judged with harm priced by another scheme, and each serious case counted once whatever its
    weight; then the list the model would make if harm were priced so when it puts probability and severity together.

    Histories and probabilities stay as they are: what changes is what is counted, and how much a serious case weighs
    against another one.
    """
    main = int(settings.load("logistic")["grid"]["horizons"][0])
    priced = [_priced(judge.records, o.persons, o.t, main, source.delay_days, scheme) for o in occasions]
    once = [o.outcomes["serious"] for o in occasions if o.outcomes is not None]
    title = f"{scheme.scheme.upper()} weights"
    said = ((f"harm priced by {title}", priced), ("each person with serious harm counted once", once))
    out = []
    for what, values in said:
        for score in occasions[0].scores:
            row: dict[str, Any] = {"what": what, "kind": "harm", "score": score, "edition": scheme.edition}
            row |= {"auc": None, "base_rate": None}
            out.append(row | _captured([o.scores[score][0] for o in occasions], values))
    places = _composed(source, judge, occasions, scheme, main)
    row = {
        "what": f"list made with severity from {title}, judged by it",
        "kind": "harm",
        "score": "model",
        "edition": scheme.edition,
        "auc": None,
        "base_rate": None,
        **_captured(places, priced),
    }
    kept = [_kept(o.scores["model"][0], place) for o, place in zip(occasions, places, strict=True)]
    return [*out, row | _mean(kept)]


def _priced(
    records: Records, persons: pl.Series, t: datetime, horizon: int, delay: int, scheme: HarmScheme
) -> Array:
    """Recorded harm of each person in the horizon by ``scheme``, in its own unit."""
    frame = outcomes(records, persons.to_frame(), t, horizon, delay, scheme)
    joined = persons.to_frame().join(frame, on="person_id", how="left", maintain_order="left")
    return _array(joined["harm_cd"]) / 100.0


def _composed(
    source: Source, judge: Judge, occasions: Sequence[Occasion], scheme: HarmScheme, horizon: int
) -> list[Array]:
    """List order when the mean harm of a serious case, and of another one, are those of ``scheme`` at the newest date
    the model learnt from."""
    newest = datetime.fromisoformat(judge.doc["training"]["dates"][-1])
    delay = int(judge.doc["training"]["delay_days"])
    members = source.features_at(newest).filter("in_scope").select("person_id")
    known = outcomes(judge.records, members, newest, horizon, delay, scheme)

    def mean(flag: str) -> float:
        value = known.filter(flag)["harm_cd"].mean()
        return float(value) / 100.0 if isinstance(value, int | float) else 0.0

    serious, other = mean("serious"), mean("other")
    scorer, out = Scorer(judge.doc), []
    for o in occasions:
        frame = source.features_at(o.t).join(o.persons.to_frame(), on="person_id", how="semi")
        answer = scorer.score(frame)
        p, p_any = _array(answer["p_serious"]), _array(answer["p_any"])
        out.append(p * serious + (p_any - p) * other)
    return out


# --- records joined otherwise ---------------------------------------------------------------------------------


def joined_otherwise(source: Source, judge: Judge, o: Occasion) -> list[dict[str, Any]]:
    """The model's list at one T if records were joined at another threshold, or never; empty where no nominals were
    linked. Histories and outcomes are computed anew; persons are matched through the records in use."""
    load, links = judge.load, judge.records.links
    if load is None or links is None:
        return []
    home = load.path.parent.parent
    ways: list[tuple[str, Records]] = [
        (
            f"records joined at {threshold:g} or more (in use: {links.threshold:g})",
            linked(judge.records, home, load.load_id, threshold),
        )
        for threshold in settings.load("judging")["sensitivity"]["linkage_thresholds"]
    ]
    ways.append(("records never joined", replace(judge.records, links=None)))
    return [_joined(source, judge, o, what, records, home) for what, records in ways]


def _joined(
    source: Source, judge: Judge, o: Occasion, what: str, records: Records, home: Path
) -> dict[str, Any]:
    other = Source(records, home / "cache" / records.state, source.delay_days)
    frame = other.frame_at(o.t)
    answer = Scorer(judge.doc).score(frame)
    place, order = _array(answer["expected_harm"]), _array(answer["p_serious"])
    serious = _array(frame["serious"].cast(pl.Float64).fill_null(0.0))
    harm = _array(frame["winsor_days"].fill_null(0.0))
    auc = float(Board(order, np.ones(len(order))).auc(serious)[0])
    row: dict[str, Any] = {"what": what, "kind": "linkage", "score": "model", "t": o.name}
    row |= {"persons": frame.height}
    row |= {"auc": figure(auc), "base_rate": figure(float(serious.mean()))}
    row |= _captured([place], [harm])
    mine = onto(frame.select("person_id"), clusters_at(judge.records.links, o.t))["person_id"].to_list()
    base = Board(o.scores["model"][0], np.ones(o.n))
    there = Board(place, np.ones(len(place)))
    for k, places in PLACES:
        listed = base.listed(share_of(places, o.n))
        on = {mine[i] for i in np.flatnonzero(there.listed(share_of(places, there.n)) > 0)}
        held = o.persons.is_in(list(on)).to_numpy()
        row[f"kept_{k}"] = figure(float(listed[held].sum() / listed.sum()))
    return row


# --- shared ---------------------------------------------------------------------------------------------------


def _array(series: pl.Series) -> Array:
    return np.ascontiguousarray(series.cast(pl.Float64).to_numpy())


def _rate(occasions: Sequence[Occasion]) -> float | None:
    y = np.concatenate([o.outcomes["serious"] for o in occasions if o.outcomes is not None])
    return figure(float(y.mean()))


def _captured(places: Sequence[Array], values: Sequence[Array]) -> dict[str, float | None]:
    """``capture_<K>``: share of the values, summed over the T, that each T's list took."""
    total = sum(float(v.sum()) for v in values)
    out: dict[str, float | None] = {}
    for k, size in PLACES:
        took = sum(
            float(Board(p, np.ones(len(p))).top(v, share_of(size, len(p)))[0][0])
            for p, v in zip(places, values, strict=True)
        )
        out[f"capture_{k}"] = figure(took / total) if total else None
    return out


def _kept(place: Array, other: Array) -> dict[str, float]:
    """Share of a list's places that the same persons hold on the other list, for each K."""
    ones = np.ones(len(place))
    out = {}
    for k, size in PLACES:
        share = share_of(size, len(place))
        listed = Board(place, ones).listed(share)
        out[f"kept_{k}"] = float(listed @ Board(other, ones).listed(share) / listed.sum())
    return out


def _mean(members: Sequence[Mapping[str, float]]) -> dict[str, float | None]:
    return {key: figure(float(np.mean([m[key] for m in members]))) for key in members[0]}

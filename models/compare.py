"""The model and the simple rules on the same persons at the same T: every figure, with intervals.

A score takes part in two ways: its *place on the list* (the model: expected harm) decides harm captured and PPV at
K; its *probability order* (the model: p_serious) decides the AUC on serious harm. A rule has one number for both.
Pooled figures: AUC is the mean over T; captures and PPV are sums over T of what the list took over sums of what there
was; Brier and calibration put the rows of all T together. The bootstrap draws a weight for each person, the same at
every T and for every score, K being the same share of the weight; intervals are 2.5-97.5 percentiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from features.errors import InputError
from models import baselines, lists, metrics, parts
from models.dataset import WITHIN
from models.metrics import Board
from models.ranking import PLACES, Bootstrap, differences, figure, ranking, share_of
from models.scorer import Scorer
from models.transforms import padded, padded_length

Array = npt.NDArray[np.float64]


@dataclass
class Occasion:
    """Everything known about one T: persons in scope, what the scores said, what was recorded afterwards."""

    t: datetime
    persons: pl.Series
    scores: dict[str, tuple[Array, Array]]
    """name -> (list order, probability order)"""
    p: dict[str, Array]
    """named probabilities of serious harm (``model``, ``without age``, ``90`` ...)"""
    expected: Array
    flags: dict[str, npt.NDArray[np.bool_]]
    outcomes: dict[str, Array] | None = None
    oracle: Array | None = None
    reach: dict[str, float] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    """names of further models among the scores"""
    expected_of: dict[str, Array] = field(default_factory=dict)
    """expected harm days by those models"""
    families: list[dict[str, Any]] = field(default_factory=list)
    """what of the model's list each feature family explains (``models.lists.by_family``)"""
    alone: dict[str, float] = field(default_factory=dict)
    """AUC of each of the model's columns alone, among persons active in the last 365 days"""
    applies: dict[str, int] = field(default_factory=dict)
    """rule -> persons it applies to, for rules that do not apply to everyone"""
    notes: list[str] = field(default_factory=list)

    @property
    def n(self) -> int:
        return len(self.persons)

    @property
    def name(self) -> str:
        """T as tables write it."""
        return self.t.strftime("%Y-%m-%dT%H:%M:%SZ")

    def cohorts(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Everyone, and each group that tables show beside them: name -> who is in it."""
        return {"all": np.ones(self.n, dtype=bool), **self.flags}


def without(doc: Mapping[str, Any], columns: Sequence[str], frame: pl.DataFrame) -> dict[str, Any]:
    """The document with what ``columns`` add left out: those facts held at the training average, on which weights and
    tables are centred. Points are not: theirs are held at what they add on average to the rows of ``frame``, the
    persons judged. Raises InputError for a model of trees."""
    mute = set(columns)
    heads = {
        name: parts.without(head, mute, _mean_shares(head, frame)) for name, head in doc["heads"].items()
    }
    return {**doc, "heads": heads, "when": None}


def _mean_shares(head: Mapping[str, Any], frame: pl.DataFrame) -> dict[str, float]:
    """Column -> what its points add to the log-odds, in the mean over ``frame``; nothing for other kinds of head."""
    if head["kind"] != "points" or not frame.height:
        return {}
    shares = parts.part(head).shares(lambda column: padded(frame, column), padded_length(frame.height))
    return {column: float(values[: frame.height].mean()) for column, values in shares.items()}


def sensitive_columns(doc: Mapping[str, Any], kind: str) -> list[str]:
    """Columns of the model marked ``kind`` (age, health) in its data dictionary."""
    return [entry["column"] for entry in doc["dictionary"] if entry["sensitive"] == kind]


def occasion(
    doc: Mapping[str, Any],
    frame: pl.DataFrame,
    t: datetime,
    oracle: pl.DataFrame | None = None,
    *,
    others: Mapping[str, Mapping[str, Any]] | None = None,
    rules: pl.DataFrame | None = None,
    seen: pl.Series | None = None,
) -> Occasion:
    """Score ``frame`` (one T's cohort in scope, histories, cohort flags, and outcomes if known).

    ``others``: further models, name -> document: scores beside the rules. ``rules``: ``person_id`` and a column for
    each rule that is not computed from histories (``models.ogrs3``), null where it does not apply to a person.
    ``seen``: ids of the persons the model may have learnt from (``models.unseen``): adds the cohort ``unseen``.
    """
    scorer = Scorer(doc)
    scored = scorer.score(frame)
    p = {"model": _array(scored["p_serious"])}
    for name in scored.columns:
        if name.startswith("p_serious_"):
            p[name.removeprefix("p_serious_")] = _array(scored[name])
    scores = {"model": (_array(scored["expected_harm"]), p["model"])}
    for kind in ("age", "health"):
        columns = sensitive_columns(doc, kind)
        if columns and scorer.additive:
            bare = Scorer(without(doc, columns, frame)).score(frame)
            scores[f"without {kind}"] = (_array(bare["expected_harm"]), _array(bare["p_serious"]))
            p[f"without {kind}"] = scores[f"without {kind}"][1]
    beside, notes = _beside(others or {}, frame)
    for name, answer in beside.items():
        p[name] = _array(answer["p_serious"])
        scores[name] = (_array(answer["expected_harm"]), p[name])
    scores |= _rules(frame, rules)
    applies = {} if rules is None else {n: rules[n].drop_nulls().len() for n in rules.columns[1:]}
    out = Occasion(t, frame["person_id"], scores, p, scores["model"][0], _flags(frame, seen))
    out.others, out.notes, out.applies = tuple(beside), notes, applies
    out.expected_of = {name: scores[name][0] for name in beside}
    out.families = lists.by_family(doc, frame)
    if "serious" in frame.columns:
        out.outcomes = _outcomes(frame)
        active = out.flags.get("active_365", np.ones(out.n, dtype=bool))
        out.alone = lists.alone_auc(
            frame.filter(pl.Series(active)), scorer.columns, out.outcomes["serious"][active]
        )
    if oracle is not None:
        known = frame.select("person_id").join(oracle, on="person_id", how="left", maintain_order="left")
        out.oracle = _array(known["expected_harm"].cast(pl.Float64).fill_null(0.0))
    return out


def _beside(
    others: Mapping[str, Mapping[str, Any]], frame: pl.DataFrame
) -> tuple[dict[str, pl.DataFrame], list[str]]:
    """Scores of further models, and what must be said of those that cannot score here."""
    out, notes = {}, []
    for name, doc in others.items():
        try:
            out[name] = Scorer(doc).score(frame)
        except InputError as problem:
            notes.append(f"{name} is not among the scores: {problem.what}")
    return out, notes


def _rules(frame: pl.DataFrame, apart: pl.DataFrame | None) -> dict[str, tuple[Array, Array]]:
    rules = baselines.baseline_scores(frame)
    if apart is not None:
        rules = rules.join(apart, on="person_id", how="left", maintain_order="left")
    placed = {name: _array(baselines.place(rules[name])) for name in rules.columns[1:]}
    return {name: (values, values) for name, values in placed.items()}


def _flags(frame: pl.DataFrame, seen: pl.Series | None) -> dict[str, npt.NDArray[np.bool_]]:
    flags: dict[str, npt.NDArray[np.bool_]] = {
        f: frame[f].fill_null(False).to_numpy() for f in ("active_365", "first_time") if f in frame.columns
    }
    if seen is not None:
        flags["unseen"] = ~frame["person_id"].is_in(seen.implode()).to_numpy()
    return flags


def _outcomes(frame: pl.DataFrame) -> dict[str, Array]:
    names = ["serious", "winsor_days", "harm_days", "serious_182", "serious_10"]
    names += [c for c in frame.columns if c.startswith(WITHIN)]
    out = {c: _array(frame[c].cast(pl.Float64).fill_null(0.0)) for c in names if c in frame.columns}
    if "serious_day" in frame.columns:
        out["serious_day"] = _array(frame["serious_day"])
    return out


def _array(series: pl.Series) -> Array:
    return np.ascontiguousarray(series.cast(pl.Float64).to_numpy())


# --- tables ------------------------------------------------------------------------------------------------


def tables(
    occasions: Sequence[Occasion],
    base_rate: float,
    draws: int,
    seed: int,
    *,
    weekly: Sequence[Occasion] = (),
    texts: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """All results tables of ``occasions``: lists of plain rows under ``cohort``, ``ranking``, ``difference``,
    ``probability``, ``harm``, ``reliability``, ``capture_curve``, ``sensitivity``, ``oracle``, ``reach``,
    ``lead_time``, ``stability``, ``explained_by``; ``others`` (names of further models among the scores) with their
    ``probability_others`` and ``harm_others``; ``leak`` and ``leak_suspect``; ``score_notes``.

    ``base_rate`` is what the constant rule predicts: the rate known when the model was made. ``weekly``: further T a
    week apart, scored alone, for stability. ``texts``: column -> what it is in words.
    """
    labelled = [o for o in occasions if o.outcomes is not None]
    out: dict[str, Any] = {"cohort": [r for o in occasions for r in _cohort_rows(o)]}
    out["ranking"], spread = ranking(labelled, Bootstrap(labelled, draws, seed))
    out["difference"] = differences(spread) if spread else []
    out["probability"] = _probability(labelled, base_rate)
    out["harm"] = _harm(labelled)
    out["reliability"] = _reliability(labelled)
    out["capture_curve"] = _curve(labelled)
    out["sensitivity"] = _sensitivity(labelled)
    out["oracle"] = _oracle([o for o in occasions if o.oracle is not None])
    out["reach"] = [{"t": o.name, **o.reach} for o in occasions if o.reach]
    out["lead_time"] = lists.lead_time(labelled)
    out["stability"] = lists.stability([*occasions, *weekly])
    out["explained_by"] = lists.explained_by(occasions)
    out["others"] = list(dict.fromkeys(name for o in occasions for name in o.others))
    out["probability_others"] = [
        {"score": name, **row} for name in out["others"] for row in _probability(labelled, base_rate, name)
    ]
    out["harm_others"] = [{"score": name, **row} for name in out["others"] for row in _harm(labelled, name)]
    out["leak"] = lists.leak(labelled, out["ranking"], texts or {})
    out["leak_suspect"] = out["leak"]["suspect"]
    out["score_notes"] = occasions[-1].notes if occasions else []
    return out


def _cohort_rows(o: Occasion) -> list[dict[str, Any]]:
    rows = []
    for name, mask in o.cohorts().items():
        row: dict[str, Any] = {
            "t": o.name,
            "cohort": name,
            "n": int(mask.sum()),
            "serious": None,
            "base_rate": None,
        }
        if name == "all":
            row |= {f"{rule}_applies_to": persons for rule, persons in o.applies.items()}
        if o.outcomes is not None:
            events = int(o.outcomes["serious"][mask].sum())
            row |= {
                "serious": events,
                "base_rate": figure(events / mask.sum() if mask.any() else float("nan")),
            }
            row["harm_days"] = figure(float(o.outcomes["harm_days"][mask].sum()))
        rows.append(row)
    return rows


def _stack(occasions: Sequence[Occasion], values: Sequence[Array]) -> Array:
    return np.concatenate(list(values)) if occasions else np.zeros(0)


def _probability(
    occasions: Sequence[Occasion], base_rate: float, score: str = "model"
) -> list[dict[str, Any]]:
    rows = []
    groups = [(o.name, [o]) for o in occasions] + ([("pooled", list(occasions))] if len(occasions) else [])
    for label, members in groups:
        for cohort in members[0].cohorts():
            y = _stack(members, [o.outcomes["serious"][o.cohorts()[cohort]] for o in members if o.outcomes])
            p = _stack(members, [o.p[score][o.cohorts()[cohort]] for o in members])
            if not len(y):
                continue
            w = np.ones(len(y))
            error, reference = metrics.brier(p, y, w), metrics.brier(np.full(len(y), base_rate), y, w)
            own = metrics.brier(np.full(len(y), y.mean()), y, w)
            rows.append(
                {
                    "t": label,
                    "cohort": cohort,
                    "n": len(y),
                    "base_rate": figure(y.mean()),
                    "mean_p": figure(p.mean()),
                    "brier": figure(error),
                    "brier_constant": figure(reference),
                    "skill": figure(1 - error / reference) if reference else None,
                    "skill_own_rate": figure(1 - error / own) if own else None,
                    **{k: figure(v) for k, v in metrics.calibration(p, y, w).items()},
                }
            )
    return rows


def _harm(occasions: Sequence[Occasion], score: str = "model") -> list[dict[str, Any]]:
    """Observed over expected harm days: everyone, the tenth and the hundredth ranked highest (each at its own T)."""
    rows = []
    for part, share in (("everyone", 1.0), ("top decile", 0.1), ("top 1 %", 0.01)):
        sums = np.zeros(3)
        for o in occasions:
            assert o.outcomes is not None
            expected = o.expected_of.get(score, o.expected)
            board = Board(expected, np.ones(o.n))
            for k, values in enumerate((expected, o.outcomes["winsor_days"], o.outcomes["harm_days"])):
                sums[k] += board.top(values, share)[0][0]
        if sums[0] > 0:
            rows.append(
                {
                    "part": part,
                    "expected_days": figure(sums[0]),
                    "observed_days": figure(sums[1]),
                    "observed_over_expected": figure(sums[1] / sums[0]),
                    "unwinsorised_over_expected": figure(sums[2] / sums[0]),
                }
            )
    return rows


def _reliability(occasions: Sequence[Occasion]) -> list[dict[str, float]]:
    p = _stack(occasions, [o.p["model"] for o in occasions])
    y = _stack(occasions, [o.outcomes["serious"] for o in occasions if o.outcomes])
    return [{k: round(v, 6) for k, v in row.items()} for row in metrics.reliability(p, y, np.ones(len(y)))]


def _curve(occasions: Sequence[Occasion]) -> list[dict[str, Any]]:
    """Share of harm captured against share of persons listed, pooled, every score and (where known) the oracle."""
    shares = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0]
    rows: list[dict[str, Any]] = []
    for score in dict.fromkeys(
        s for o in occasions for s in [*o.scores, *(["oracle"] if o.oracle is not None else [])]
    ):
        sums, total = np.zeros(len(shares)), 0.0
        for o in occasions:
            values = o.oracle if score == "oracle" else o.scores.get(score, (None, None))[0]
            if values is None or o.outcomes is None:
                continue
            board, harm = Board(values, np.ones(o.n)), o.outcomes["winsor_days"]
            sums += np.array([board.top(harm, s)[0][0] for s in shares])
            total += float(harm.sum())
        if total > 0:
            rows += [
                {"score": score, "share": s, "captured": figure(v / total)}
                for s, v in zip(shares, sums, strict=True)
            ]
    return rows


def _sensitivity(occasions: Sequence[Occasion]) -> list[dict[str, Any]]:
    """The same list judged otherwise: day thresholds instead of offence classes, the shorter horizon, without age."""
    rows: list[dict[str, Any]] = []
    if not occasions or occasions[0].outcomes is None:
        return rows
    labels = [c for c in occasions[0].outcomes if c.startswith("serious_") and c != "serious_day"]
    shown = {"serious_182": "any offence of 182 days or more", "serious_10": "any offence of 10 days or more"}
    for label in labels:
        own = label.removeprefix(WITHIN).removesuffix("d")
        title = shown.get(label, f"serious harm within {own} days")
        for score in occasions[0].scores:
            if score.startswith("without"):
                continue
            values = []
            for o in occasions:
                assert o.outcomes is not None
                order = o.p[own] if score == "model" and own in o.p else o.scores[score][1]
                values.append(Board(order, np.ones(o.n)).auc(o.outcomes[label])[0])
            y = _stack(occasions, [o.outcomes[label] for o in occasions if o.outcomes])
            rate = float(y.mean()) if len(y) else float("nan")
            mean = float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")
            row = {
                "what": title,
                "label": label,
                "score": score,
                "auc": figure(mean),
                "base_rate": figure(rate),
            }
            if score == "model" and own in occasions[0].p:
                p = _stack(occasions, [o.p[own] for o in occasions])
                row |= {k: figure(v) for k, v in metrics.calibration(p, y, np.ones(len(y))).items()}
            rows.append(row)
    return rows


def _oracle(occasions: Sequence[Occasion]) -> list[dict[str, Any]]:
    """The oracle's expected recorded harm summed over a score's top K, over the same for the oracle's own top K."""
    rows: list[dict[str, Any]] = []
    pool: dict[str, list[Array]] = {}
    for o in occasions:
        assert o.oracle is not None
        ones = np.ones(o.n)
        best = np.array([Board(o.oracle, ones).top(o.oracle, share_of(k, o.n))[0][0] for _, k in PLACES])
        for score, (place, _) in o.scores.items():
            board = Board(place, ones)
            got = np.array([board.top(o.oracle, share_of(k, o.n))[0][0] for _, k in PLACES])
            pool.setdefault(score, []).append(np.array([got, best]))
            rows.append({"t": o.name, "score": score, "n": o.n, **_ratios(got, best)})
    for score, sums in pool.items():
        got, best = np.sum(sums, axis=0)
        rows.append({"t": "pooled", "score": score, "dates": len(sums), **_ratios(got, best)})
    return rows


def _ratios(got: Array, best: Array) -> dict[str, float | None]:
    return {
        f"ratio_{name}": figure(g / b) if b > 0 else None
        for (name, _), g, b in zip(PLACES, got, best, strict=True)
    }

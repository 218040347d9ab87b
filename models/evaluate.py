"""Judge a model on dates whose outcomes are known, honestly: never on a date whose future it has learnt from.

A model trained until U has seen outcomes recorded up to U. At a date T >= U its figures are out of sample. At an
earlier T they would not be: then the model is made again as it would have been at the earliest T asked for (same
settings, same seed, only what was known by then), and the tables say so in their first line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from features.clocks import parse_as_of
from features.errors import InputError
from features.home import Home
from features.labels import reporting_delay
from features.records import Records
from models import baselines, compare, own, settings, store
from models.dataset import Progress, Source, monthly, records_begin
from models.training import Recipe, fit_until, last_known

POOL = 6


@dataclass(frozen=True)
class Evaluation:
    """Results tables with the words that must stand beside them."""

    facts: dict[str, Any]
    tables: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain data."""
        return {**self.facts, **self.tables}

    def render(self) -> str:
        """The headline tables for a terminal."""
        return render(self.facts, self.tables)


def evaluate(
    home: Home,
    as_of: Sequence[datetime] = (),
    truth: Path | None = None,
    model: str = "champion",
    *,
    draws: int = 200,
    seed: int = 1,
    progress: Progress | None = None,
    track: bool = True,
) -> Evaluation:
    """Figures of a model and of every rule on the same persons, per T and pooled.

    Parameters
    ----------
    home: the home folder; its current load is judged.
    as_of: dates T. With a single date further month starts are added, up to six in all, where that is honest. With
        none: the newest six months whose outcomes are complete.
    truth: a simulation's truth folder: adds the ratio to the oracle for dates that have an ``oracle_<T>.parquet``.
    model: "champion" or a version.
    draws, seed: of the bootstrap over persons.

    Raises InputError when no date can be judged (outcomes incomplete and no oracle for it).
    """
    home_path = Path(home.path)
    load = home.require()
    records = load.records()
    doc = store.champion(home_path) if model == "champion" else store.load_model(home_path, model)
    end = last_known(records)
    if end is None:
        raise InputError(
            "The load holds no events: there is nothing to judge.", where="event", cure="Load an extract."
        )
    source = Source(records, home_path / "cache" / records.state, reporting_delay(records, end), progress)
    main = int(settings.load("logistic")["grid"]["horizons"][0])
    complete = end + timedelta(days=1) - timedelta(days=main + source.delay_days)
    oracles = oracle_files(truth)
    trained = datetime.fromisoformat(doc["training"]["until"])
    asked = sorted(dict.fromkeys(as_of))
    dates = choose_dates(records, asked, trained, complete, set(oracles))
    facts: dict[str, Any] = {"asked": [_iso(t) for t in asked], "load_id": load.load_id, "notes": []}
    judged, facts["how"] = _honest(records, doc, dates, trained, home_path, progress)
    facts |= {"model": doc["version"], "model_until": judged["training"]["until"], "refit": judged is not doc}
    facts |= {
        "horizon_days": main,
        "delay_days": source.delay_days,
        "harm": judged["harm"],
        "draws": draws,
        "seed": seed,
    }
    occasions = []
    for i, t in enumerate(dates):
        if progress:
            progress("dates", i, len(dates))
        occasions.append(_occasion(source, judged, t, t <= complete, oracles.get(t)))
    if progress:
        progress("dates", len(dates), len(dates))
    facts["notes"] = _notes(occasions, asked, complete, source, judged)
    tables = compare.tables(occasions, float(judged["training"]["base_rate_newest"]), draws, seed)
    tables["rules"] = [
        {
            "rule": name,
            "title": rule["title"],
            "note": baselines.not_applicable(source.features_at(dates[-1])).get(name),
        }
        for name, rule in baselines.rules().items()
    ]
    out = Evaluation(facts, tables)
    if track:
        from models.tracking import log_evaluation

        facts["mlflow_run"] = log_evaluation(home_path, str(doc["version"]), out.to_dict())
    return out


def choose_dates(
    records: Records, asked: Sequence[datetime], trained: datetime, complete: datetime, oracle: set[datetime]
) -> list[datetime]:
    """The dates to judge: those asked for if they can be; one date, or none, is filled up to six month starts."""
    late = [t for t in asked if t > complete and t not in oracle]
    if late:
        raise InputError(
            f"Outcomes for {late[0]:%Y-%m-%d} are not complete: the records would have to reach its horizon and the "
            "reporting delay.",
            where="evaluate --as-of",
            cure=f"The latest date that can be judged is {complete:%Y-%m-%d}; "
            "a simulation's truth folder judges later ones against the oracle.",
        )
    first = records_begin(records, complete)
    if first is None or (asked and asked[0] <= first):
        raise InputError(
            "There are no domestic events before the date asked for.",
            where="evaluate --as-of",
            cure="Choose a later one.",
        )
    if len(asked) >= 2:
        return list(asked)
    earliest = first + timedelta(days=int(settings.load("logistic")["grid"]["min_history_days"]))
    candidates = [t for t in monthly(earliest, complete) if t not in asked]
    if asked:
        # stay out of sample: after the date asked for, else before it, but never before the model was made
        floor = max(trained, earliest) if trained <= asked[0] else asked[0]
        near = sorted((t for t in candidates if t >= floor), key=lambda t: (t < asked[0], abs(t - asked[0])))
        return sorted([*asked, *near[: POOL - 1]])
    if not candidates:
        raise InputError(
            "No date has complete outcomes yet.",
            where="evaluate --as-of",
            cure="Load a longer period, or give a simulation's truth folder and a date it has an oracle for.",
        )
    return candidates[-POOL:]


def _honest(
    records: Records,
    doc: dict[str, Any],
    dates: Sequence[datetime],
    trained: datetime,
    home: Path,
    progress: Progress | None,
) -> tuple[dict[str, Any], str]:
    own.check(doc, records.declared)
    if dates[0] >= trained:
        return (
            doc,
            f"out of sample: model {doc['version']} was trained until {trained:%Y-%m-%d}, before every date judged",
        )
    again = fit_until(records, dates[0], Recipe.of(doc), home, progress, "evaluate --as-of")
    how = (
        f"made again: model {doc['version']} was trained until {trained:%Y-%m-%d} and has seen the future of "
        f"{dates[0]:%Y-%m-%d}, so its own figures there would be in-sample. These are of the same procedure with only "
        f"what was known by {dates[0]:%Y-%m-%d}"
    )
    return again, how


def _occasion(
    source: Source, doc: Mapping[str, Any], t: datetime, labelled: bool, oracle: Path | None
) -> compare.Occasion:
    frame = source.frame_at(t) if labelled else source.features_at(t).filter(pl.col("in_scope"))
    if not frame.height:
        raise InputError(
            f"Nobody is in the cohort at {t:%Y-%m-%d}.", where="evaluate --as-of", cure="Choose another date."
        )
    truth = None if oracle is None else pl.read_parquet(oracle).select("person_id", "expected_harm")
    out = compare.occasion(doc, frame, t, truth)
    if labelled:
        out.reach = unreachable(source, t)
    if truth is not None:
        out.reach["oracle_missing"] = float(out.persons.is_in(truth["person_id"].implode()).not_().sum())
    return out


def unreachable(source: Source, t: datetime) -> dict[str, float]:
    """Share of the recorded harm, and of the serious cases, of the horizon that no list at T could have reached: by
    persons who were not in the cohort, or stood apart from it."""
    main = int(settings.load("logistic")["grid"]["horizons"][0])
    everyone = source.outcomes_at(t, main, everyone=True)
    members = source.features_at(t).filter(pl.col("in_scope")).select("person_id")
    inside = everyone.join(members, on="person_id", how="semi")
    harm, serious = int(everyone["harm_cd"].sum()), int(everyone["serious"].sum())
    return {
        "harm_days": harm / 100,
        "harm_unreachable": round(1 - int(inside["harm_cd"].sum()) / harm, 6) if harm else 0.0,
        "serious_persons": float(serious),
        "serious_unreachable": round(1 - int(inside["serious"].sum()) / serious, 6) if serious else 0.0,
    }


def oracle_files(truth: Path | None) -> dict[datetime, Path]:
    """``oracle_<T>.parquet`` files of a truth folder by the moment their names spell."""
    if truth is None:
        return {}
    if not truth.is_dir():
        raise InputError(
            f"There is no folder {truth}.",
            where="evaluate --truth",
            cure="Give the simulation's truth folder.",
        )
    return {parse_as_of(p.stem.removeprefix("oracle_")): p for p in sorted(truth.glob("oracle_*.parquet"))}


def _notes(
    occasions: Sequence[compare.Occasion],
    asked: Sequence[datetime],
    complete: datetime,
    source: Source,
    doc: Mapping[str, Any],
) -> list[str]:
    notes = []
    labelled = sum(o.outcomes is not None for o in occasions)
    if labelled < POOL:
        notes.append(
            f"pooled over {labelled} dates, fewer than six: intervals understate what a year can bring"
        )
    if len(asked) == 1 and len(occasions) > 1:
        notes.append(f"{len(occasions) - 1} further month starts were added to the date asked for")
    for o in occasions:
        if o.outcomes is None:
            notes.append(
                f"{o.t:%Y-%m-%d}: outcomes not complete (they are up to {complete:%Y-%m-%d}); oracle only"
            )
        if o.reach.get("oracle_missing"):
            notes.append(
                f"{o.t:%Y-%m-%d}: {o.reach['oracle_missing']:.0f} persons in scope are not in the oracle file"
            )
    notes += baselines.not_applicable(source.features_at(occasions[-1].t)).values()
    return [*notes, *doc["notes"]]


def _iso(t: datetime) -> str:
    return t.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cell(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if value is None:
        return "-"
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    return f"{value:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else "")


def render(facts: Mapping[str, Any], tables: Mapping[str, Any]) -> str:
    """Terminal text: cohort, then every score pooled, harm, probability, oracle, reach, notes."""
    lines = [
        facts["how"] + ".",
        f"horizon {facts['horizon_days']} d, reporting delay {facts['delay_days']} d",
        "",
    ]
    lines.append(f"{'T':<12}{'cohort':<12}{'n':>7}{'serious':>9}{'base rate':>11}")
    lines += [
        f"{r['t'][:10]:<12}{r['cohort']:<12}{r['n']:>7}"
        + (
            f"{r['serious']:>9}{r['base_rate'] or 0:>11.4f}"
            if r["serious"] is not None
            else f"{'-':>9}{'-':>11}"
        )
        for r in tables["cohort"]
    ]
    for cohort in ("all", "active_365", "first_time"):
        rows = [r for r in tables["ranking"] if r["t"] == "pooled" and r["cohort"] == cohort]
        if rows:
            lines += [
                "",
                f"pooled over {rows[0]['dates']} dates, {cohort}  (95 % intervals, persons resampled)",
            ]
            head = ("AUC", "harm at 100", "harm at 250", "harm at 1 %", "PPV at 100", "PPV at 1 %")
            names = ("auc", "capture_100", "capture_250", "capture_1pc", "ppv_100", "ppv_1pc")
            lines.append(f"{'':<16}" + "".join(f"{h:<24}" for h in head))
            lines += [f"{r['score']:<16}" + "".join(f"{_cell(r, n):<24}" for n in names) for r in rows]
    rows = [r for r in tables["difference"] if r["figure"] in ("auc", "capture_1pc")]
    if rows:
        lines += ["", "model minus rule, same persons, same draws"]
        lines += [
            f"{r['rule']:<16}{r['figure']:<14}"
            + _cell({"d": r["difference"], "d_low": r["low"], "d_high": r["high"]}, "d")
            for r in rows
        ]
    for r in tables["probability"]:
        if r["t"] == "pooled":
            lines += [
                "",
                f"probability of serious harm, {r['cohort']}: Brier {_cell(r, 'brier')}, skill {_cell(r, 'skill')}, "
                f"slope {_cell(r, 'slope')}, intercept {_cell(r, 'intercept')}, ECE {_cell(r, 'ece')}",
            ]
    lines += [
        f"harm observed / expected, {r['part']}: {_cell(r, 'observed_over_expected')} "
        f"(unwinsorised {_cell(r, 'unwinsorised_over_expected')})"
        for r in tables["harm"]
    ]
    if tables["oracle"]:
        lines += ["", "ratio to the oracle (expected recorded harm of the top K over the oracle's own top K)"]
        lines += [
            f"{r['t'][:10]:<12}{r['score']:<16}at 100 {_cell(r, 'ratio_100')}  at 250 {_cell(r, 'ratio_250')}  "
            f"at 1 % {_cell(r, 'ratio_1pc')}"
            for r in tables["oracle"]
        ]
    reach = [r for r in tables["reach"] if "harm_unreachable" in r]
    if reach:
        share = sum(r["harm_unreachable"] for r in reach) / len(reach)
        lines += ["", f"share of the harm that no list could reach (persons not in the cohort): {share:.3f}"]
    if tables["leak_suspect"]:
        lines.append("LEAK-SUSPECT: AUC above .85 among persons active in the last 365 days")
    return "\n".join([*lines, *(f"note: {n}" for n in facts["notes"])])

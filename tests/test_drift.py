"""Drift: breaks in recording practice are told in time, from what was known then, and a quiet force is left in peace;
histories, scores, calibration and fairness carry the month they describe and the call their size deserves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from api.cli import run_command
from benchmarks import drift as bench
from features.clocks import parse_as_of
from features.front import examine
from features.home import Home
from features.ingest import ingest
from features.records import Records
from models import drift_labels, drift_scores, settings
from models.drift import drift as look
from models.drift_practice import Break, breaks, call_of, forecast, surprise
from models.drift_signals import SHARE, VOLUME, month_bounds, signals_of
from models.store import point_champion, save

Tables = dict[str, pl.DataFrame]
MONTHS = 33
SEEN = "2025-11-01"
START = bench.month_start(1)


def force(seed: int, a_month: float = 220.0) -> Tables:
    """A force without any change for 33 months: crimes of five classes and non-crimes, reported within days."""
    draw = np.random.default_rng(seed)
    days = (bench.month_start(MONTHS + 1) - START).days
    n = int(draw.poisson(a_month * MONTHS))
    entered = [START + timedelta(seconds=int(s)) for s in np.sort(draw.integers(0, days * 86_400, n))]
    crime = draw.random(n) < 0.65
    ids = [f"E{i:06d}" for i in range(n)]
    event = pl.DataFrame(
        {
            "event_id": ids,
            "kind": np.where(crime, "crime", "non_crime"),
            "occurred_at": [
                t - timedelta(hours=float(h)) for t, h in zip(entered, draw.exponential(60, n), strict=True)
            ],
            "recorded_at": entered,
            "domestic": "Y",
            "source": draw.choice(["victim", "witness", "third_party"], n, p=[0.7, 0.2, 0.1]),
            "abuse": draw.choice(["intimate_current", "intimate_former", "familial"], n),
        }
    )
    codes = ["105/01", "008/06", "149/00", "008/72", "195/94"]
    offence = event.filter(pl.Series(crime)).select(
        offence_id=pl.col("event_id") + "-1",
        event_id="event_id",
        ho_code=pl.Series(draw.choice(codes, int(crime.sum()), p=[0.4, 0.25, 0.15, 0.12, 0.08])),
        description=pl.lit("as coded"),
        suspect_id=pl.Series(
            [f"S{i % 900:04d}" if draw.random() < 0.85 else None for i in range(int(crime.sum()))]
        ),
        recorded_at="recorded_at",
    )
    people = pl.DataFrame({"person_id": [f"S{i:04d}" for i in range(900)]})
    involvement = event.select(
        "event_id",
        person_id=pl.Series([f"S{i % 900:04d}" for i in range(n)]),
        role=pl.lit("suspect"),
        recorded_at="recorded_at",
    )
    return {"person": people, "event": event, "offence": offence, "involvement": involvement}


def records_of(tables: Tables, folder: Path) -> Records:
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        frame.write_parquet(folder / f"{name}.parquet")
    (folder / "extract.json").write_text('{"nature": "simulated", "made_by": "tests"}', encoding="utf-8")
    return Records.from_canonical(examine(folder).tables)


@pytest.fixture(scope="module")
def quiet() -> Tables:
    return force(1)


def test_a_force_that_changes_nothing_is_left_in_peace(quiet: Tables, tmp_path: Path) -> None:
    found, months = breaks(records_of(quiet, tmp_path), bench.month_start(MONTHS + 1))
    assert found == []
    assert months.count == MONTHS
    assert months.label(0) == f"{START:%Y-%m}"


@pytest.mark.parametrize("name", list(bench.BREAKS))
def test_a_break_in_month_30_is_told_once_by_month_32_from_what_was_known_then(
    name: str, quiet: Tables, tmp_path: Path
) -> None:
    changed, is_it = bench.BREAKS[name](quiet, 1)
    until = bench.month_start(33)
    known = {
        t: f.filter(pl.col("recorded_at") <= until) if "recorded_at" in f.columns else f
        for t, f in changed.items()
    }
    told, _ = breaks(records_of(known, tmp_path / "then"), until)
    hits = [b for b in told if is_it(b)]
    assert hits
    assert min(b.number for b in hits) in (30, 31, 32)
    assert len({b.signal for b in told}) == len(told)  # one change of a signal is told once
    assert all(b.number >= 30 for b in told)
    assert all(b.known_at <= until.strftime("%Y-%m-%dT%H:%M:%SZ") for b in told)
    # a month later, with more records and later edits, the past reads the same
    later, _ = breaks(records_of(changed, tmp_path / "later"), bench.month_start(34))
    assert [b for b in later if b.number <= 32] == told


def test_a_field_filled_in_later_does_not_change_a_month_that_is_over(quiet: Tables, tmp_path: Path) -> None:
    until = bench.month_start(MONTHS + 1)
    edited = (
        quiet["offence"]
        .filter(pl.col("suspect_id").is_null())
        .with_columns(suspect_id=pl.lit("S0001"), recorded_at=pl.col("recorded_at") + timedelta(days=40))
    )
    mended = {**quiet, "offence": pl.concat([quiet["offence"], edited])}
    before, after = (
        {s.name: s for s in signals_of(records_of(t, tmp_path / n), until).signals}
        for n, t in (("as it was", quiet), ("mended", mended))
    )
    name = "domestic_offence: no suspect_id"
    assert before[name].k.sum() > 0
    assert (before[name].k == after[name].k).all()
    assert (before[name].n == after[name].n).all()


def test_a_migration_that_enters_much_on_one_day_is_told(quiet: Tables, tmp_path: Path) -> None:
    day = bench.month_start(30) + timedelta(days=9)
    held_up = (pl.col("recorded_at") > bench.month_start(30)) & (pl.col("recorded_at") < day)
    entered = pl.when(held_up).then(pl.lit(day)).otherwise("recorded_at").alias("recorded_at")
    moved = {n: f.with_columns(entered) if "recorded_at" in f.columns else f for n, f in quiet.items()}
    told, _ = breaks(records_of(moved, tmp_path), bench.month_start(31))
    assert {b.number for b in told} == {30}
    assert "domestic_event: one day" in {b.signal for b in told}


def test_counts_are_of_rows_first_entered_in_the_month(quiet: Tables, tmp_path: Path) -> None:
    months = signals_of(records_of(quiet, tmp_path), bench.month_start(4))
    by_name = {s.name: s for s in months.signals}
    event = quiet["event"].filter(pl.col("recorded_at") <= bench.month_start(4))
    for i in range(3):
        a, b = bench.month_start(i + 1), bench.month_start(i + 2)
        rows = event.filter(pl.col("recorded_at") > a, pl.col("recorded_at") <= b)
        assert by_name["domestic_event: kind non_crime"].k[i] == (rows["kind"] == "non_crime").sum()
        assert by_name["domestic_event: rows"].k[i] == rows.height
        late = (rows["recorded_at"] - rows["occurred_at"] > timedelta(days=7)).sum()
        assert by_name["domestic_event: late"].k[i] == late


def test_old_events_at_the_head_of_a_load_are_not_taken_for_months_of_recording(
    quiet: Tables, tmp_path: Path
) -> None:
    old = (
        quiet["event"]
        .head(3)
        .with_columns(
            event_id=pl.format("OLD{}", pl.int_range(3)),
            occurred_at=pl.lit(START - timedelta(days=900)),
            recorded_at=pl.lit(START - timedelta(days=899)),
        )
    )
    records = records_of({**quiet, "event": pl.concat([old, quiet["event"]])}, tmp_path)
    assert month_bounds(records, bench.month_start(20))[0] == START
    assert month_bounds(records, START - timedelta(days=2000)) == ()


def test_a_change_too_small_to_matter_is_not_told_however_sure(tmp_path: Path) -> None:
    share = settings.load("drift")["practice"]["least_share_apart"]
    n, k = np.full(24, 60_000), np.full(24, 18_000)
    past = forecast(k, n, SHARE, 1, 0.75)
    now = int(60_000 * (0.30 + share / 2))
    assert surprise(now, 60_000, SHARE, past) < 1e-12  # sure, and yet:
    tables = force(3)
    month_30 = pl.col("recorded_at") > bench.month_start(30)
    slightly = pl.int_range(pl.len()) % 40 == 0
    source = pl.when(month_30 & slightly).then(pl.lit("third_party")).otherwise("source").alias("source")
    told, _ = breaks(
        records_of({**tables, "event": tables["event"].with_columns(source)}, tmp_path), bench.month_start(34)
    )
    assert told == []


def test_the_predictive_law_knows_how_much_months_differ() -> None:
    steady, unruly = np.full(20, 60), np.tile([30, 90], 10)
    n = np.full(20, 200)
    assert surprise(100, 200, SHARE, forecast(steady, n, SHARE, 1, 0.75)) < 1e-4
    assert surprise(100, 200, SHARE, forecast(unruly, n, SHARE, 1, 0.75)) > 0.01
    days = np.full(20, 30)
    assert surprise(0, 30, VOLUME, forecast(steady, days, VOLUME, 1, 0.75)) < 1e-6
    # what never happened and now happens often; what happened always and now never does
    assert surprise(30, 200, SHARE, forecast(np.zeros(20, int), n, SHARE, 1, 0.75)) < 1e-9
    assert surprise(60, 200, SHARE, forecast(n, n, SHARE, 1, 0.75)) < 1e-9
    assert surprise(60, 200, SHARE, forecast(steady, n, SHARE, 1, 0.75)) == 1.0


def test_three_months_together_vary_less_than_one() -> None:
    k, n = np.random.default_rng(2).binomial(200, np.tile([0.25, 0.35], 10)), np.full(20, 200)
    one, three = (forecast(k, n, SHARE, w, 0.75).beyond for w in (1, 3))
    assert one > three > forecast(k, n, SHARE, 1000, 0.75).beyond > 0


def test_the_size_of_a_break_decides_what_it_calls_for() -> None:
    calls = settings.load("drift")["practice"]["calls"]
    assert call_of(0.10, 0.18, SHARE, calls) == "review"
    assert call_of(0.00, 0.50, SHARE, calls) == "retrain"
    assert call_of(0.02, 0.98, SHARE, calls) == "off"
    assert call_of(3.0, 0.0, VOLUME, calls) == "off"
    assert call_of(3.0, 4.0, VOLUME, calls) == "review"


# --- histories, scores, outcomes -----------------------------------------------------------------------------


def test_psi_is_the_published_formula_and_chance_alone_stays_below_its_noise() -> None:
    then, now = np.repeat([0.0, 1.0], [800, 200]), np.repeat([0.0, 1.0, np.nan], [500, 300, 200])
    p = np.array([800.5, 200.5, 0.5]) / 1001.5
    q = np.array([500.5, 300.5, 200.5]) / 1001.5
    value, _ = drift_scores.psi(then, now)
    assert value == pytest.approx(float(((q - p) * np.log(q / p)).sum()))
    draw = np.random.default_rng(4)
    for _ in range(50):
        value, noise = drift_scores.psi(draw.normal(size=400), draw.normal(size=300))
        assert value < noise
    assert drift_scores.psi(draw.normal(size=400), draw.normal(1.0, size=300))[0] > 0.25 + noise


def test_a_call_needs_the_limit_and_chance_on_top() -> None:
    limits = {"review": 0.10, "retrain": 0.25}
    assert drift_scores.call_for(0.12, 0.05, limits) == "none"
    assert drift_scores.call_for(0.16, 0.05, limits) == "review"
    assert drift_scores.call_for(0.31, 0.05, limits) == "retrain"
    assert drift_scores.worst(["review", "off", "none"]) == "off"


def test_drifted_columns_call_for_training_again_when_they_carry_the_score() -> None:
    limits = settings.load("drift")["features"]
    row = {"call": "review", "weight": limits["retrain_weight"] / 2}
    still = {"call": "none", "weight": 0.7}
    assert drift_scores.feature_calls([still], limits) == "none"
    assert drift_scores.feature_calls([row, still], limits) == "review"
    assert drift_scores.feature_calls([row, row, still], limits) == "retrain"


def test_an_interval_must_lie_wholly_outside_a_band() -> None:
    bands = settings.load("drift")["calibration"]["observed_over_expected"]
    assert drift_labels.outside((1.3, 1.1, 1.5), bands) == "none"
    assert drift_labels.outside((1.3, 1.2, 1.5), bands) == "review"
    assert drift_labels.outside((1.6, 1.3, 1.9), bands) == "retrain"
    assert drift_labels.outside((0.3, 0.2, 0.4), bands) == "off"
    assert drift_labels.outside((None, None, None), bands) == "none"


def test_pooled_months_do_not_overlap() -> None:
    dates = [datetime(2024, m, 1, tzinfo=UTC) for m in range(1, 13)]
    assert [d.month for d in drift_labels.pooled(dates, dates[10])] == [2, 5, 8, 11]
    assert [d.month for d in drift_labels.pooled(dates, dates[2])] == [3]


def fairness_line(**changes: Any) -> dict[str, Any]:
    line: dict[str, Any] = {"grouping": "sex", "group": "female", "persons": 900, "serious_persons": 80,
                            "assessable": True, "suppressed": None}  # fmt: skip
    for name, value in (
        ("serious_observed_over_expected", 1.0),
        ("fnr", 0.5),
        ("fnr_ratio", 1.0),
        ("list_share", 0.2),
    ):
        line |= {name: value, f"{name}_low": value * 0.9, f"{name}_high": value * 1.1}
    return line | changes


def test_fairness_speaks_only_of_groups_that_can_be_assessed() -> None:
    limits, when = settings.load("drift")["fairness"], datetime(2025, 6, 1, tzinfo=UTC)

    def call(**changes: Any) -> str:
        return str(drift_labels.fairness_rows([fairness_line(**changes)], "2025-01", when, limits)[0]["call"])

    assert call() == "none"
    assert call(fnr_ratio_low=1.3) == "review"
    assert call(fnr_ratio_low=1.3, assessable=False) == "none"
    worse = {"serious_observed_over_expected_low": 1.6, "serious_observed_over_expected_high": 1.9}
    assert call(**worse) == "retrain"


# --- the command ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def watched_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small simulated force whose suspects stop being named, and a model written by hand in use since before."""
    from features.simulate.run import simulate

    folder = tmp_path_factory.mktemp("drift")
    simulate(folder / "force", 500, 3, 5)
    extract = folder / "force" / "extract"
    changed, _ = bench.half_of_suspects(bench.read(extract), 5)
    changed["offence"].write_parquet(extract / "offence.parquet")
    home = folder / "home"
    ingest(extract, Home(home))
    doc = model_document()
    point_champion(home, save(home, doc)["version"], "tests", "by hand", "2025-03-01T00:00:00Z")
    return home


def model_document() -> dict[str, Any]:
    """Points for events in a year and for what is not known, made in March 2025 from histories of January 2024."""

    def head(intercept: float) -> dict[str, Any]:
        items = [{"column": "domestic_events_365d", "at_least": cut, "points": 1} for cut in (1, 2, 4)]
        items.append({"column": "last_dash_grade", "missing": True, "points": -1})
        return {"kind": "points", "intercept": intercept, "per_point": 0.6, "items": items}

    period = {"kind": "points", "intercept": -2.0, "per_point": 0.0, "items": []}
    return {
        "format": "doorstep-model-3", "family": "scorecard", "key": "person_id", "horizon_days": 365, "seed": 1,
        "training": {"until": "2025-03-01T06:00:00Z", "dates": ["2024-01-01T06:00:00Z"]},
        "heads": {"serious": head(-4.5), "other": head(-1.0)},
        "harm_parts": {"scale": 1.0, "serious_days": 250.0, "other_days": 8.0},
        "when": {"periods": [30, 90, 180, 365], "interacts": [], "offsets": [0.0] * 4, "head": period},
    }  # fmt: skip


def run(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> tuple[int, str]:
    code = run_command([str(a) for a in argv])
    return code, capsys.readouterr().out


def test_the_command_tells_breaks_and_marks_every_figure_with_its_month(
    watched_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = run(capsys, "drift", "--as-of", SEEN, "--months", "3", "--home", watched_home, "--json")
    assert code == 0
    told = json.loads(out)
    hit = next(b for b in told["practice"] if b["signal"] == "domestic_offence: no suspect_id")
    assert hit["month"] in ("2025-06", "2025-07", "2025-08")
    assert hit["call"] in ("retrain", "off")
    assert [r["month"] for r in told["scores"]] == ["2025-09", "2025-10", "2025-11"]
    columns = {r["column"] for r in told["features"]}
    assert columns == {"domestic_events_365d", "last_dash_grade"}
    assert sum(r["weight"] for r in told["features"] if r["month"] == "2025-10") == pytest.approx(1.0)
    assert told["call"] in ("retrain", "off")
    kept = json.loads((watched_home / "drift" / f"{SEEN}-{told['model']}.json").read_text(encoding="utf-8"))
    assert kept["practice"] == told["practice"]


def test_outcomes_are_judged_only_once_they_are_complete_and_carry_the_month_they_describe(
    watched_home: Path,
) -> None:
    found = look(Home(watched_home), parse_as_of(SEEN), months=8)
    delay = timedelta(days=90 + found.facts["delay_days"])
    months = [r["month"] for r in found.tables["calibration"]]
    assert months == ["2025-04", "2025-05"]
    for row in found.tables["calibration"] + found.tables["fairness"]:
        begins = datetime.fromisoformat(f"{row['month']}-01T05:00:00+00:00")
        assert abs(datetime.fromisoformat(row["known_at"]) - begins - delay) <= timedelta(hours=1)
        assert row["known_at"] <= found.facts["as_of"]
    # the same month looked at before its outcomes could be known
    early = look(Home(watched_home), datetime(2025, 6, 1, 5, tzinfo=UTC))
    assert early.tables["calibration"] == []
    assert any("90-day" in note for note in early.facts["notes"])
    assert "observed / expected" in found.render()


def test_small_groups_show_no_share_of_the_list_and_cannot_be_worked_out(watched_home: Path) -> None:
    rows = look(Home(watched_home), parse_as_of(SEEN), months=1).tables["list"]
    for grouping in {r["grouping"] for r in rows}:
        lines = [r for r in rows if r["grouping"] == grouping]
        hidden = [r for r in lines if r["list_share"] is None]
        assert len(hidden) != 1
        if not hidden:
            assert sum(r["list_share"] for r in lines) == pytest.approx(1.0, abs=1e-4)
    assert any(r["list_share"] is None for r in rows)


def test_a_review_is_recorded_and_shown(
    watched_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    shutil.copytree(watched_home, home, ignore=shutil.ignore_patterns("drift", "models"))
    seen = ("drift", "--as-of", SEEN, "--home", home)  # the records alone: quick
    told = json.loads(run(capsys, *seen, "--json")[1])["practice"]
    newest = max(b["month"] for b in told)
    reason = "a new screen;\u2028the supplier mends it"  # as pasted from elsewhere: not the end of a line
    said = ("--by", "A. Analyst", "--reason", reason)
    code, out = run(capsys, "drift", "--reviewed", newest, *said, "--home", home)
    assert (code, f"{len(told)} break" in out) == (0, True)
    again = run(capsys, *seen)[1]
    assert again.count("reviewed by A. Analyst: a new screen") == len(told)
    assert "RETRAIN  recording practice" not in again
    code, _ = run(capsys, "drift", "--as-of", "2099-01-01", "--home", home)
    assert code == 2  # months that are not over would look empty, and be told as breaks


def test_without_a_model_the_records_alone_are_looked_at(
    small_home_maker: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    home = small_home_maker("bare", model=False)
    code, out = run(capsys, "drift", "--home", home, "--json")
    told = json.loads(out)
    assert code == 0
    assert told["call"] == "none"
    assert told["scores"] == []
    assert any("no model" in note for note in told["notes"])
    assert run(capsys, "drift", "--as-of", "1999-01-01", "--home", home)[0] == 2


def test_the_report_of_a_benchmark_fails_when_a_bar_is_missed() -> None:
    fine = {"month": 31, "told": [], "before": []}
    result: dict[str, Any] = {"seed": 1, "false": [], "breaks": dict.fromkeys(bench.BREAKS, fine)}
    assert bench.report([result] * 20)[1]
    late = {**result, "breaks": {**result["breaks"], "suspect": {**fine, "month": None}}}
    assert bench.report([result] * 18 + [late] * 2)[1]
    assert not bench.report([result] * 17 + [late] * 3)[1]
    alarm = {"month": 12, "signal": "x", "p": 1e-6, "call": "review"}
    assert bench.report([{**result, "false": [alarm]}] * 20)[1]
    lines, met = bench.report([result] * 19 + [{**result, "false": [alarm, alarm]}])
    assert not met
    assert sum("month 12 x" in line for line in lines) == 1
    early = {"month": 31, "told": [], "before": [alarm]}  # an alarm before the break, in a broken run alone
    lines, met = bench.report([{**result, "breaks": dict.fromkeys(bench.BREAKS, early)}])
    assert met
    assert any("seed 1: month 12 x" in line for line in lines)


def test_a_break_says_what_changed_in_words() -> None:
    told = Break("2025-06", 30, "2025-07-01T05:00:00Z", "2025-06", "s", "offences without suspect_id", "p", "c", "",
                 SHARE, 0.15, 0.55, 30.0, 110, 1e-9, "retrain")  # fmt: skip
    assert (
        told.sentence()
        == "offences without suspect_id: 15.0% before, 55.0% since 2025-06 (110 rows, 30 expected)"
    )

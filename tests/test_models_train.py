"""Training end to end on a small made-up force: no future, same bits, fall-backs, files that cannot be altered."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from features.clocks import canonical, parse_as_of
from features.errors import InputError, NotFoundError
from features.home import Home
from features.records import Records
from models import compare, settings, store, training
from models.dataset import Columns, Source, label_grid, model_columns, person_folds, training_rows
from models.evaluate import choose_dates, evaluate, oracle_files
from models.proof import reproduce
from models.report import write_report
from models.scorer import Scorer

START = datetime(2021, 1, 1, tzinfo=UTC)
END = datetime(2024, 12, 31, 6, tzinfo=UTC)


def records_of(raw: dict[str, pl.DataFrame]) -> Records:
    return Records.from_canonical(canonical(raw))


@pytest.fixture(scope="module")
def raw(drawn_force: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    return drawn_force


@pytest.fixture(scope="module")
def records(raw: dict[str, pl.DataFrame]) -> Records:
    return records_of(raw)


@pytest.fixture(scope="module")
def doc(records: Records) -> dict:
    return training.fit_until(records, END, training.Recipe())


def strip(doc: dict) -> dict:
    return {k: v for k, v in doc.items() if k not in ("load", "version")}


# --- dates and rows ------------------------------------------------------------------------------------------


def test_grid_holds_only_dates_whose_outcomes_are_complete(records: Records) -> None:
    dates = label_grid(records, END, 365, 90)
    assert len(dates) == 24
    assert dates == sorted(dates)
    assert dates[-1] + timedelta(days=455) <= END < dates[-1] + timedelta(days=455 + 31)
    assert dates[0] == parse_as_of("2021-11-01")
    # recording got under way in the first weeks of January, so that 1 August is the first month 180 days in
    short = label_grid(records, parse_as_of("2023-01-15"), 365, 90)
    assert short == [parse_as_of("2021-08-01"), parse_as_of("2021-09-01"), parse_as_of("2021-10-01")]
    assert label_grid(records, parse_as_of("2022-06-01"), 365, 90) == []


def test_sampled_rows_keep_every_event_and_restore_the_weight(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source.of(records, END)
    dates = label_grid(records, END, 365, source.delay_days)[-3:]
    full, _ = training_rows(source, dates, ["age"], seed=1)
    config = settings.load("logistic")
    small = {**config, "fit": {**config["fit"], "max_rows": 1, "non_events_per_event": 2}}
    load = settings.load
    monkeypatch.setattr(settings, "load", lambda name: small if name == "logistic" else load(name))
    sampled, newest = training_rows(source, dates, ["age"], seed=1)
    assert sampled.height < full.height
    assert sampled["serious"].sum() == full["serious"].sum()
    assert sampled["weight"].sum() == pytest.approx(full.height, rel=0.15)
    assert newest.height == full.filter(pl.col("as_of") == dates[-1]).height
    again, _ = training_rows(source, dates, ["age"], seed=1)
    assert again.equals(sampled)


def test_no_person_is_in_two_folds_and_folds_do_not_depend_on_order() -> None:
    people = pl.Series("person_id", [f"P{i}" for i in range(400)] * 2)
    fold = person_folds(people, 4)
    assert (fold[:400] == fold[400:]).all()
    assert (person_folds(people.reverse(), 4)[::-1] == fold).all()
    assert min(np.bincount(fold)) > 120


# --- the model ----------------------------------------------------------------------------------------------


def test_same_records_and_seed_give_the_same_bytes(records: Records, doc: dict) -> None:
    again = training.fit_until(records, END, training.Recipe())
    assert store.canonical_bytes(again) == store.canonical_bytes(doc)


def test_nothing_recorded_after_until_changes_the_model(raw: dict[str, pl.DataFrame]) -> None:
    until = parse_as_of("2023-12-01")
    late = pl.col("recorded_at") > until
    changed = dict(raw)
    changed["event"] = pl.concat(
        [
            raw["event"].filter(~late),
            # half of what came later is gone; what stays is edited
            raw["event"].filter(late).gather_every(2).with_columns(domestic=pl.lit("N")),
            # and an old event is withdrawn, a year on
            raw["event"].head(40).with_columns(recorded_at=pl.lit(END), domestic=pl.lit("N")),
        ]
    )
    kept = changed["event"].select("event_id")
    for name in ("offence", "involvement", "risk_assessment"):
        changed[name] = raw[name].join(kept, on="event_id", how="semi")
    before = training.fit_until(records_of(raw), until, training.Recipe())
    after = training.fit_until(records_of(changed), until, training.Recipe())
    assert records_of(changed).table("event").height != records_of(raw).table("event").height
    assert store.canonical_bytes(strip(after)) == store.canonical_bytes(strip(before))


def test_document_says_what_made_it(doc: dict) -> None:
    assert doc["horizon_days"] == 365
    assert doc["harm"]["edition"]
    assert doc["code"].count("+") == 1
    assert set(doc["libraries"]) >= {"python", "polars", "numpy", "scikit-learn"}
    assert len(doc["training"]["dates"]) == 24
    assert {h["outcome"] for h in doc["heads"].values()} >= {"serious", "other"}
    assert doc["when"]["periods"][-1] == doc["horizon_days"]
    assert {e["column"] for e in doc["dictionary"]} >= {t["column"] for t in doc["heads"]["serious"]["terms"]}
    assert doc["authorisations"] == {"health": None}
    assert not any(e["sensitive"] == "health" for e in doc["dictionary"])
    json.loads(store.canonical_bytes(doc))


def test_coefficients_keep_the_declared_direction(doc: dict) -> None:
    assert doc["signs"]
    for row in doc["signs"]:
        assert row["coef"] * row["declared"] >= 0.0


def test_expected_harm_is_right_in_the_large(records: Records, doc: dict) -> None:
    source = Source.of(records, END)
    rows = pl.concat(
        [
            f.select("person_id", "winsor_days", *Scorer(doc).columns)
            for _, f in source.frames([datetime.fromisoformat(t) for t in doc["training"]["dates"]], "dates")
        ]
    )
    expected = Scorer(doc).score(rows.drop("winsor_days"))["expected_harm"].sum()
    assert rows["winsor_days"].sum() / expected == pytest.approx(1.0, abs=0.15)


def test_too_few_outcomes_fall_back_to_the_base_rate_and_say_so(records: Records) -> None:
    source = Source.of(records, END)
    rows, newest = training_rows(source, [parse_as_of("2023-10-01")], ["age", "domestic_events_365d"], 1)
    rare = (pl.col("person_id").rank("ordinal") <= 5).alias("serious")
    columns = Columns({"age": "age", "domestic_events_365d": "count"}, {}, {})
    doc = training.document(
        rows.with_columns(rare),
        newest.with_columns(rare),
        columns,
        horizon_days=365,
        recipe=training.Recipe(),
    )
    assert doc["heads"]["serious"]["fallback"] in doc["notes"]
    assert doc["heads"]["serious"]["terms"] == []
    p = Scorer(doc).score(newest)["p_serious"]
    assert p.n_unique() == 1
    assert p[0] == pytest.approx(5.5 / (rows.height + 1))


def test_periods_too_short_and_forces_without_outcomes_are_refused(
    records: Records, raw: dict[str, pl.DataFrame]
) -> None:
    with pytest.raises(InputError, match="Nothing can be learnt") as refused:
        training.fit_until(records, parse_as_of("2022-03-01"), training.Recipe(), where="evaluate --as-of")
    assert "evaluate --as-of" in refused.value.where
    assert "choose a date at least 635 days" in refused.value.cure
    with pytest.raises(InputError, match="Nothing was recorded"):
        training.known_until(records, parse_as_of("2020-01-01"))
    early = raw["event"].filter(pl.col("occurred_at") < parse_as_of("2021-10-01"))
    quiet = {"person": raw["person"], "event": early}
    for name in ("involvement", "offence"):
        quiet[name] = raw[name].join(early.select("event_id"), on="event_id", how="semi")
    rows, newest = training_rows(Source.of(records_of(quiet), END), [parse_as_of("2022-03-01")], ["age"], 1)
    with pytest.raises(InputError, match="No outcome at all"):
        training.document(
            rows, newest, model_columns(frozenset()), horizon_days=365, recipe=training.Recipe()
        )


def test_records_that_stop_before_until_are_not_read_as_peace(records: Records) -> None:
    effective, notes = training.known_until(records, parse_as_of("2026-06-01"))
    assert effective < END + timedelta(days=7)
    assert "stop at" in notes[0]
    assert training.known_until(records, END) == (END, [])


def test_health_markers_need_a_name_and_a_reason() -> None:
    with pytest.raises(InputError, match="named person"):
        training._authorisation("A. Approver", None)
    assert "marker_su" in model_columns(frozenset()).left_out
    admitted = model_columns(frozenset(), health=True)
    assert any(admitted.declared[c].feature.sensitive == "health" for c in admitted.shapes)


def test_a_force_without_assessments_or_offences_still_trains(raw: dict[str, pl.DataFrame]) -> None:
    tables = {k: raw[k] for k in ("person", "event", "involvement")}
    missing = frozenset(
        {"risk_assessment", "offence", "order", "bail", "custody", "marker", "spell", "conviction"}
    )
    bare = Records.from_canonical(canonical(tables), missing=missing)
    doc = training.fit_until(bare, END, training.Recipe())
    assert doc["heads"]["serious"]["fallback"]
    assert doc["harm_parts"]["other_days"] == 0.0
    assert any("no harm days" in n for n in doc["notes"])
    frame = Source.of(bare, END).features_at(END).filter(pl.col("in_scope"))
    out = compare.occasion(doc, frame, END)
    assert "last_dash" not in out.scores
    assert "count_365" in out.scores


# --- figures ------------------------------------------------------------------------------------------------


def test_temporal_test_learns_nothing_from_the_dates_it_judges(records: Records) -> None:
    results = training.temporal_test(records, END, training.Recipe(), None, None, draws=25)
    assert results is not None
    judged = sorted({r["t"] for r in results["cohort"]})
    assert len(judged) >= 3
    assert f"judged at {len(judged)} later dates" in results["how"]
    assert judged[0][:10] in results["how"]
    pooled = {r["score"]: r for r in results["ranking"] if r["t"] == "pooled" and r["cohort"] == "all"}
    assert {"model", "constant", "last_dash", "count_365", "harm_365", "v100", "rfgv"} <= set(pooled)
    assert pooled["constant"]["auc"] == 0.5
    assert pooled["constant"]["capture_1pc"] == pytest.approx(0.01, abs=1e-6)
    assert {r["cohort"] for r in results["cohort"]} == {"all", "active_365", "first_time", "unseen"}


def test_differences_are_of_the_same_draws(records: Records, doc: dict) -> None:
    source = Source.of(records, END)
    dates = label_grid(records, END, 365, source.delay_days)[-2:]
    occasions = [compare.occasion(doc, frame, t) for t, frame in source.frames(dates, "dates")]
    out = compare.tables(occasions, 0.1, draws=40, seed=2)
    pooled = {r["score"]: r for r in out["ranking"] if r["t"] == "pooled" and r["cohort"] == "all"}
    row = next(r for r in out["difference"] if r["rule"] == "rfgv" and r["figure"] == "auc")
    assert row["difference"] == pytest.approx(pooled["model"]["auc"] - pooled["rfgv"]["auc"], abs=2e-6)
    same = compare.tables(
        [replace(o, scores={**o.scores, "twin": o.scores["model"]}) for o in occasions], 0.1, draws=40, seed=2
    )
    twin = [r for r in same["difference"] if r["rule"] == "twin"]
    untold = {r["figure"] for r in twin if r["difference"] is None}
    assert untold <= {"npe_250"}  # a list of everybody leaves nobody off it
    twin = [r for r in twin if r["figure"] not in untold]
    assert all(r["difference"] == r["low"] == r["high"] == 0.0 for r in twin)


def test_oracle_ratio_is_one_for_the_oracle_itself(records: Records, doc: dict) -> None:
    source = Source.of(records, END)
    frame = source.frame_at(parse_as_of("2023-10-01"))
    truth = Scorer(doc).score(frame).select("person_id", "expected_harm")
    out = compare.tables([compare.occasion(doc, frame, parse_as_of("2023-10-01"), truth)], 0.1, 20, 1)
    ratios = {r["score"]: r for r in out["oracle"] if r["t"] == "pooled"}
    assert ratios["model"]["ratio_100"] == 1.0
    assert ratios["constant"]["ratio_1pc"] < 0.9


# --- files, registry, report ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, raw: dict[str, pl.DataFrame], home_of: Callable[..., Home]
) -> tuple[Home, training.Trained]:
    home = home_of(raw, tmp_path_factory.mktemp("force"))
    return home, training.train(home, END, seed=1)


def test_first_model_is_champion_and_its_bytes_are_sealed(trained: tuple[Home, training.Trained]) -> None:
    home, made = trained
    assert made.alias == "champion"
    assert store.champion(home.path)["version"] == made.doc["version"]
    path = home.path / "models" / made.doc["version"] / "model.json"
    data = path.read_bytes()
    try:
        path.write_bytes(data.replace(b'"seed": 1', b'"seed": 2'))
        with pytest.raises(InputError, match="sha256"):
            store.champion(home.path)
    finally:
        path.write_bytes(data)
    with pytest.raises(NotFoundError):
        store.load_model(home.path, "../../etc")


def test_next_model_is_a_challenger_until_someone_promotes_it(trained: tuple[Home, training.Trained]) -> None:
    import mlflow

    from models.promote import Signature, promote, rollback
    from models.tracking import REGISTERED

    home, first = trained
    second = training.train(home, parse_as_of("2024-10-01"), seed=1)
    assert second.alias == "challenger"
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{home.path / 'mlflow.db'}")
    champion = client.get_model_version_by_alias(REGISTERED, "champion")
    challenger = client.get_model_version_by_alias(REGISTERED, "challenger")
    assert champion.tags["doorstep.version"] == first.doc["version"]
    assert challenger.tags["doorstep.version"] == second.doc["version"]
    files = {f.path for f in client.list_artifacts(first.run_id)}
    assert {"model.json", "signature.json", "data_dictionary.json", "tables", "plots"} <= files
    assert "auc.model" in client.get_run(first.run_id).data.metrics
    with pytest.raises(InputError, match="named person"):
        Signature("", "better")
    by = Signature("A. Approver", "newer records", sign=True, override="a made-up force of 400 persons")
    verdicts = {v.gate: v for v in promote(home, second.doc["version"], by).verdicts}
    assert verdicts["reproducible"].outcome == "passed"  # fitted again in earnest, from the load
    assert "the same to the bit" in verdicts["reproducible"].words
    beside = verdicts["holds the champion"]  # both made again as at the dates of the test, and compared
    assert beside.value is not None
    assert beside.low is not None
    assert first.doc["version"] in beside.words
    assert store.champion_version(home.path) == second.doc["version"]
    assert client.get_model_version_by_alias(REGISTERED, "champion").version == challenger.version
    rollback(home.path, "A. Approver", "back again")
    assert store.champion_version(home.path) == first.doc["version"]
    champion = client.get_model_version_by_alias(REGISTERED, "champion")
    assert champion.tags["doorstep.version"] == first.doc["version"]


@pytest.mark.slow
def test_a_document_that_the_load_does_not_give_again_is_found_out(
    trained: tuple[Home, training.Trained],
) -> None:
    home, first = trained
    doc = store.load_model(home.path, first.doc["version"])
    doc["heads"]["serious"]["intercept"] += 1e-9
    assert reproduce(home, doc) == (False, "fitted again it differs in heads")


def test_a_model_whose_load_is_away_proves_nothing(trained: tuple[Home, training.Trained]) -> None:
    home, first = trained
    doc = store.load_model(home.path, first.doc["version"])
    elsewhere = home.path / "elsewhere"
    (home.path / "loads").rename(elsewhere)
    try:
        held, how = reproduce(home, doc)
    finally:
        elsewhere.rename(home.path / "loads")
    assert not held
    assert "no longer here" in how


def test_evaluation_never_shows_in_sample_figures(trained: tuple[Home, training.Trained]) -> None:
    home, _ = trained
    inside = evaluate(home, [parse_as_of("2023-08-01"), parse_as_of("2023-10-01")], draws=25, track=False)
    assert inside.facts["refit"]
    assert "made again" in inside.render()
    assert inside.facts["model_until"] <= "2023-08-01T06:00:00Z"
    with pytest.raises(InputError, match="not complete"):
        evaluate(home, [parse_as_of("2024-06-01")], track=False)
    with pytest.raises(InputError, match="before the date"):
        evaluate(home, [parse_as_of("2019-06-01")], track=False)
    reach = [r for r in inside.tables["reach"] if "harm_unreachable" in r]
    assert all(0.0 <= r["harm_unreachable"] <= 1.0 for r in reach)
    json.dumps(inside.to_dict(), allow_nan=False)


def test_a_trained_model_has_a_report(trained: tuple[Home, training.Trained], tmp_path: Path) -> None:
    home, first = trained
    made = write_report(home, tmp_path / "report.html", run=first.doc["version"])
    page = made.html.read_text(encoding="utf-8")
    for words in (
        "SIMULATED",
        first.doc["version"],
        "RFGV",
        "LinearExplainer",
        "What this report cannot show",
        "V100",
    ):
        assert words in page
    assert made.pdf.read_bytes().startswith(b"%PDF")
    assert "http" not in page.replace("http-equiv", "")


def test_an_interrupted_run_takes_up_cached_dates(raw: dict[str, pl.DataFrame], tmp_path: Path) -> None:
    records = records_of(raw)
    source = Source(records, tmp_path / "cache")
    t = parse_as_of("2023-10-01")
    fresh = source.frame_at(t)
    assert list((tmp_path / "cache").glob("*.parquet"))
    assert not list((tmp_path / "cache").glob("*.half"))
    assert Source(records, tmp_path / "cache").frame_at(t).equals(fresh)


def test_one_date_is_filled_up_with_months_that_are_out_of_sample(records: Records) -> None:
    complete = parse_as_of("2023-10-02")
    asked = [parse_as_of("2023-05-01")]
    dates = choose_dates(records, asked, parse_as_of("2023-04-15"), complete, set())
    assert dates == [parse_as_of(f"2023-{m:02d}-01") for m in (5, 6, 7, 8, 9, 10)]
    late = choose_dates(records, [parse_as_of("2023-09-15")], parse_as_of("2023-07-20"), complete, set())
    assert late == [parse_as_of(d) for d in ("2023-08-01", "2023-09-01", "2023-09-15", "2023-10-01")]
    newest = choose_dates(records, [], parse_as_of("2024-12-31"), complete, set())
    assert newest == dates
    future = parse_as_of("2024-12-01")
    assert choose_dates(records, [future, *asked], future, complete, {future}) == [future, *asked]


def test_oracle_files_are_known_by_the_moment_they_spell(tmp_path: Path) -> None:
    pl.DataFrame({"person_id": ["a"]}).write_parquet(tmp_path / "oracle_2024-10-01.parquet")
    assert list(oracle_files(tmp_path)) == [datetime(2024, 10, 1, 5, tzinfo=UTC)]
    assert oracle_files(None) == {}
    with pytest.raises(InputError, match="no folder"):
        oracle_files(tmp_path / "nowhere")

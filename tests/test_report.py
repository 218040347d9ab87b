"""The report an analyst hands on: what is on the page and in the PDF, what is left to people, and what is left off."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from features.errors import InputError, NotFoundError
from models import dual, report_learnt, store
from models.groups import groupings
from models.report import content, render, write_report
from models.report_pdf import pdf_of
from tests.reporting import document, drawn, home_with, measured


@pytest.fixture(scope="session")
def results() -> dict[str, Any]:
    return measured()


def test_one_file_with_every_section_and_nothing_to_fetch(tmp_path: Path, results: dict[str, Any]) -> None:
    home, version = home_with(tmp_path, document(), results)
    made = write_report(home, None, version)
    page = made.html.read_text(encoding="utf-8")
    assert made.html == tmp_path / "reports" / f"{version}.html"
    for title in ("The run", "Quality of the records", "Accuracy", "Beside the simple rules", "What the model adds up",
                  "Fairness", "Stability", "Checks for bias and leaks", "Decision", "Model card",
                  "Algorithmic transparency record", "Checklist after ALGO-CARE",
                  "Equality duty: evidence"):  # fmt: skip
        assert f"<h2>{title}</h2>" in page
    assert page.count("SIMULATED, NO REAL PERSON") == 2
    assert not re.search(
        r"(?:src|href|url)\s*[=(]\s*[\"']?(?!data:|#)[a-z/.]", page
    )  # nothing fetched, no link out
    assert "<script" not in page
    svgs = drawn(page)
    assert len(svgs) >= 5  # calibration, capture, weights, forests
    assert all("<svg" in s and "http://www.w3.org" in s for s in svgs)


def test_the_pdf_is_tagged_marked_and_the_same_twice(tmp_path: Path, results: dict[str, Any]) -> None:
    home, version = home_with(tmp_path, document("points"), results)
    page = content(home, store.load_model(tmp_path, version), results)
    first = pdf_of(page)
    assert first.startswith(b"%PDF-1.7")
    assert b"/StructTreeRoot" in first
    assert b"pdfuaid" in first  # says which accessibility standard it keeps
    assert first == pdf_of(page)


def test_the_figures_on_the_page_are_those_of_the_tables(tmp_path: Path, results: dict[str, Any]) -> None:
    home, version = home_with(tmp_path, document(), results)
    page = content(home, store.load_model(tmp_path, version), results)
    row = next(
        r for r in results["ranking"] if (r["t"], r["cohort"], r["score"]) == ("pooled", "all", "model")
    )
    best = max((r for r in results["ranking"] if r["t"] == "pooled" and r["cohort"] == "all" and r["score"] != "model"),
               key=lambda r: r["auc"])  # fmt: skip
    assert f"AUC of {row['auc']:.3f}" in page["short"][0]
    assert f"reaches {best['auc']:.3f}" in page["short"][0]
    assert "31\u00a0% of the harm that followed was done by people no list could have held." in page["short"]
    rendered = render(page)
    assert f"{100 * row['capture_1pc']:.1f}\u00a0%" in rendered
    assert "without an approval" not in rendered
    assert "Not in use: nothing has been decided about it" in rendered


def test_sections_without_a_table_are_left_off_not_faked(tmp_path: Path, results: dict[str, Any]) -> None:
    bare = {
        k: results[k]
        for k in ("cohort", "ranking", "difference", "probability", "harm", "reliability", "leak_suspect")
    }
    home, version = home_with(tmp_path, document(), bare)
    ids = [s["id"] for s in content(home, store.load_model(tmp_path, version), bare)["sections"]]
    assert "accuracy" in ids
    assert not {"fairness", "stability", "drift"} & set(ids)
    home, version = home_with(tmp_path / "none", document())
    page = content(home, store.load_model(tmp_path / "none", version), None)
    assert not {"accuracy", "baselines", "checks"} & {s["id"] for s in page["sections"]}
    assert page["short"] == ["There is no test on dates the model had not learnt from."]
    assert render(page)


def test_age_is_said_to_be_used_only_where_it_is(tmp_path: Path, results: dict[str, Any]) -> None:
    row = next(
        r for r in results["ranking"] if (r["t"], r["cohort"], r["score"]) == ("pooled", "all", "model")
    )
    more = results | {"ranking": [*results["ranking"], row | {"score": "without age"}]}
    home, version = home_with(tmp_path, document("tables"), more)
    assert "This model without age" in render(content(home, store.load_model(tmp_path, version), more))
    home, version = home_with(tmp_path / "none", document("trees"), more)  # asks about events alone
    page = render(content(home, store.load_model(tmp_path / "none", version), more))
    assert "This model without age" not in page
    assert "Age not used" in page


def test_the_card_adds_up_to_what_the_model_says(results: dict[str, Any]) -> None:
    doc = document("points")
    lines, totals = report_learnt.card_of(doc)
    assert lines[0] == ("Domestic events in the last 90 days: 3 or more", 4)
    assert ("Days since the last domestic event: less than 30 days", 2) in lines
    assert ("Last DASH grade: nothing recorded", 1) in lines
    by_points = dict(totals)
    assert set(by_points) == {str(p) for p in range(-1, 8)}  # every total that can be reached
    from models.scorer import Scorer

    who: dict[str, Any] = {"person_id": ["P"], "domestic_events_90d": [3.0], "days_since_domestic": [12.0],
                           "age": [60.0], "last_dash_grade": [None]}  # fmt: skip
    columns = {c: pl.Series(v, dtype=pl.Float64) if c != "person_id" else v for c, v in who.items()}
    said = Scorer(doc).score(pl.DataFrame(columns))["p_serious"][0]
    assert by_points["6"] == pytest.approx(said, abs=1e-12)  # 4 + 2 - 1 + 1, the far end held back


def test_the_example_on_the_card_claims_no_impossible_person() -> None:
    """Two lines about one fact hold together: nobody has "5 or more" and not "1 or more"."""
    doc = document("points")
    said = str(list(report_learnt.card(doc)))
    assert "were the first two lines ticked and no other, +4 and +2 would make 6 points" in said
    assert "every one that holds is ticked" not in said
    doc["heads"]["serious"]["items"].append({"column": "domestic_events_90d", "at_least": 1.0, "points": 1})
    assert "every one that holds is ticked" in str(list(report_learnt.card(doc)))


def test_the_card_hides_no_high_total() -> None:
    doc = document("points")
    head = doc["heads"]["serious"]
    head["items"] = [
        {"column": "domestic_events_365d", "at_least": float(k), "points": 5} for k in range(1, 9)
    ]
    head["items"] += [{"column": "age", "at_least": float(k), "points": -3} for k in range(30, 35)]
    _, totals = report_learnt.card_of(doc)
    assert totals[0][0].endswith("or fewer")
    assert totals[0][1] < 0.005 <= totals[1][1]
    assert totals[-1][0] == "40"
    assert totals[-1][1] == pytest.approx(report_learnt.chance(head, 40))
    assert [p for _, p in totals] == sorted(p for _, p in totals)


@pytest.mark.parametrize(("kind", "words"), [
    ("linear", "may only point in the declared direction"),
    ("points", "Tick what holds as of the day"),
    ("tables", "A person's score is the sum of what each curve adds"),
    ("trees", "no sum of reasons"),
])  # fmt: skip
def test_every_family_shows_what_it_adds_up(tmp_path: Path, kind: str, words: str) -> None:
    home, version = home_with(tmp_path, document(kind))
    page = content(home, store.load_model(tmp_path, version), None)
    section = next(s for s in page["sections"] if s["id"] == "interpretability")
    assert words in json.dumps(section, ensure_ascii=False)
    if kind == "tables":
        panels = next(b for b in section["blocks"] if b["kind"] == "figures")["items"]
        assert [p["alt"] for p in panels] == [
            "domestic events in the last 90 days: adds from -0.20 to +0.90",
            "age: adds from -0.40 to +0.20",
        ]


def test_a_group_outside_the_limits_is_named(results: dict[str, Any]) -> None:
    rows = [dict(r) for r in results["fairness"]]
    male = next(r for r in rows if r["group"] == "male")
    male |= {"assessable": True, "observed_over_expected": 1.6, "observed_over_expected_low": 1.4,
             "observed_over_expected_high": 1.8, "fnr_ratio_low": 1.3, "fnr_ratio": 1.5}  # fmt: skip
    from models.report_groups import statement

    said = " ".join(statement(rows))
    title = str(groupings()["sex"]["title"]).lower()
    assert f"lies outside 0.8 to 1.25 by more than chance for: {title}: male (1.60)" in said
    assert f"is missed as for everyone, beyond chance, for: {title}: male (1.50)" in said


def test_what_somebody_typed_stays_text_on_page_and_paper(tmp_path: Path, results: dict[str, Any]) -> None:
    nasty = "<script>alert(1)</script> #panic() $x$ [a](b) *bold*"
    changes: dict[str, Any] = {
        "notes": [nasty],
        "authorisations": {"health": {"by": nasty, "reason": "because"}},
    }
    home, version = home_with(tmp_path, document(**changes), results)
    page = content(home, store.load_model(tmp_path, version), results)
    assert "<script" not in render(page)
    assert "&lt;script&gt;" in render(page)
    assert pdf_of(page).startswith(b"%PDF")  # typst did not run it


def test_a_leak_suspect_run_is_loud(tmp_path: Path, results: dict[str, Any]) -> None:
    leak = {"suspect": True, "auc": 0.93, "feature": "x", "feature_auc": 0.95, "columns": [],
            "text": "AUC 0.930 among persons active"}  # fmt: skip
    home, version = home_with(tmp_path, document(), results | {"leak": leak, "leak_suspect": True})
    page = content(home, store.load_model(tmp_path, version), results | {"leak": leak, "leak_suspect": True})
    assert page["warnings"][0].startswith("Leak-suspect")
    assert "a named person records the cause" in render(page)


def test_gates_and_drift_are_shown_when_they_were_asked(tmp_path: Path) -> None:
    home, version = home_with(tmp_path, document())
    before = content(home, store.load_model(tmp_path, version), None)
    assert "have not judged this model yet" in render(before)
    verdict = {"gate": "calibration", "outcome": "failed", "words": "slope 0.700; asked: 0.85 to 1.15; off by 0.150",
               "value": 0.7, "low": None, "high": None, "limit": [0.85, 1.15], "missed_by": 0.15,
               "hard": False}  # fmt: skip
    judged = {"kind": "refused", "version": version, "at": "2026-02-03T00:00:00+00:00", "by": "Ada", "reason": "try",
              "override": "", "verdicts": [verdict], "gates": {"version": "gates-1", "sha256": "0" * 64}}  # fmt: skip
    store.write_atomic(tmp_path / "models" / version / "gates.json", store.canonical_bytes(judged))
    month = {"psi": 0.3, "call": "review"}
    drift = {
        "as_of": "2026-01-01T00:00:00Z", "call": "review", "months_watched": 40, "signals": 90, "notes": ["young"],
        "reference": "2025-01-01T00:00:00Z", "features": [], "calibration": [],
        "scores": [month | {"month": "2025-11"}, month | {"month": "2025-12"}],
        "calls": [{"topic": "scores", "month": "2025-12", "known_at": "2025-12-01", "call": "review",
                   "text": "PSI 0.300", "refer": None, "reviewed": None}],
    }  # fmt: skip
    store.write_atomic(tmp_path / "drift" / f"2026-01-01-{version}.json", store.canonical_bytes(drift))
    page = render(content(home, store.load_model(tmp_path, version), None))
    assert "1 of 1 gates stand against it" in page
    assert "off by 0.150" in page
    assert "<h2>Drift since the model was made</h2>" in page
    assert "PSI 0.300" in page
    assert pdf_of(content(home, store.load_model(tmp_path, version), None)).startswith(b"%PDF")


def test_tables_that_are_not_those_of_the_training_are_refused(
    tmp_path: Path, results: dict[str, Any]
) -> None:
    home, version = home_with(tmp_path, document(), results)
    path = tmp_path / "models" / version / "temporal_test.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"auc": 0.', '"auc": 1.', 1), encoding="utf-8")
    with pytest.raises(InputError, match="sha256 differs"):
        write_report(home, tmp_path / "r.html", version)
    assert not (tmp_path / "r.html").exists()


def test_a_run_that_is_not_there_is_refused(tmp_path: Path) -> None:
    home, _ = home_with(tmp_path, document())
    with pytest.raises(NotFoundError, match="no model"):
        write_report(home, tmp_path / "r.html", "m-000000000000")
    with pytest.raises(NotFoundError, match="No model is in use yet"):
        write_report(home, tmp_path / "r.html")


def test_a_run_of_the_record_is_found_and_an_evaluation_shows_its_own_tables(
    tmp_path: Path, results: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOORSTEP_MLFLOW", raising=False)
    from models import report_run, tracking

    _, version = home_with(tmp_path, document(), results)
    other = results | {"how": "judged elsewhere"}
    run_id = tracking.log_evaluation(tmp_path, version, other)
    found = report_run.chosen(tmp_path, run_id)
    assert (found.doc["version"], found.run_id) == (version, run_id)
    assert found.results is not None
    assert found.results["how"] == "judged elsewhere"
    assert found.results["ranking"] == results["ranking"]
    with pytest.raises(NotFoundError, match="no run"):
        report_run.chosen(tmp_path, "0" * 32)


def test_dual_roles_are_counted_on_the_page(tmp_path: Path, results: dict[str, Any]) -> None:
    assert dual.HELD
    home, version = home_with(tmp_path, document(), results)
    page = render(content(home, store.load_model(tmp_path, version), results))
    assert "Likely victims who stand on record as suspects" in page
    assert "225 of them may be the victim" in page


def test_the_newest_drift_result_counts(tmp_path: Path) -> None:
    from models.report import _drift

    for day in ("2025-01-01", "2025-02-01"):
        at = datetime.fromisoformat(day) + timedelta(0)
        store.write_atomic(
            tmp_path / "drift" / f"{at:%Y-%m-%d}-m-1.json", json.dumps({"as_of": day}).encode()
        )
    assert _drift(tmp_path, "m-1") == {"as_of": "2025-02-01"}
    assert _drift(tmp_path, "m-2") is None

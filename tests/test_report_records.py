"""The records in the report: what they say of a model, what they leave to people, what they must not promise."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from models import intervals, report_learnt, settings, store, transparency
from models.report import content, write_report
from tests.reporting import document, home_with, measured, points_head


@pytest.fixture(scope="session")
def results() -> dict[str, Any]:
    return measured()


def test_the_transparency_record_says_what_people_must_write(tmp_path: Path, results: dict[str, Any]) -> None:
    home, version = home_with(tmp_path, document(), results)
    made = write_report(home, tmp_path / "mine" / "r.html", version)
    record = json.loads((tmp_path / "mine" / "r.atrs.json").read_text(encoding="utf-8"))
    assert made.atrs.name == "r.atrs.json"
    fields = {f["key"]: f for s in record["sections"] for f in s["fields"]}
    assert not record["complete"]
    for who in ("organisation", "team", "senior_responsible_owner", "contact_email", "website_url",
                "impact_assessments", "required_training"):  # fmt: skip
        assert fields[who]["value"] is None  # nobody's name is made up
        assert fields[who]["to_write"]
    assert version in fields["model_name"]["value"]
    assert "12,000 rows of 2,000 persons" in fields["datasets"]["value"]
    row = next(
        r for r in results["ranking"] if (r["t"], r["cohort"], r["score"]) == ("pooled", "all", "model")
    )
    assert f"AUC {row['auc']:.3f}" in fields["model_performance"]["value"]
    assert "Count, 365 days" in fields["alternatives_considered"]["value"]


def test_a_test_without_the_harm_out_of_reach_still_counts(tmp_path: Path, results: dict[str, Any]) -> None:
    """The tables of a training run do not have it: its accuracy is measured all the same."""
    some = {k: v for k, v in results.items() if k != "reach"}
    assert said_by(document(), some, tmp_path)["accuracy"].startswith(
        "On 2 dates it had not learnt from: AUC"
    )
    assert "31 % of the harm was out" in said_by(document(), results, tmp_path / "all")["accuracy"]


def test_without_a_test_the_records_say_so(tmp_path: Path) -> None:
    known = transparency.facts_of(store.save(tmp_path, document()), None, "Not in use")
    fields = {f["key"]: f for s in transparency.atrs(known)["sections"] for f in s["fields"]}
    assert fields["model_performance"]["value"].startswith("Not measured")
    accuracy = next(
        f for f in transparency.checklist("atrs_algocare", known)["fields"] if f["key"] == "accuracy"
    )
    assert accuracy["value"].startswith("Not measured")
    assert not any("{" in (f["value"] or "") for f in fields.values())


def said_by(doc: dict[str, Any], results: dict[str, Any] | None, tmp_path: Path) -> dict[str, str]:
    """Field -> what the three records say in it of a model."""
    known = transparency.facts_of(store.save(tmp_path, doc), results, "Not in use")
    fields = [f for s in transparency.atrs(known)["sections"] for f in s["fields"]]
    for name in ("atrs_algocare", "atrs_equality"):
        fields += transparency.checklist(name, known)["fields"]
    return {f["key"]: f["value"] or "" for f in fields}


def test_health_markers_that_are_read_are_owned_up_to(tmp_path: Path, results: dict[str, Any]) -> None:
    """They may tell of a disability: no record may say that nothing protected but age enters the score."""
    plain = document("points")
    entry = {"column": "marker_mn", "feature": "marker_mn", "text": "warning marker in force: mental health",
             "family": "marker", "shape": "flag", "unit": "yes/no", "direction": 1, "own": "",
             "sensitive": "health"}  # fmt: skip
    given = {"health": {"by": "Ada", "reason": "reviewed"}}
    offered = plain | {"authorisations": given, "dictionary": [*plain["dictionary"], entry]}
    head = points_head() | {"calibration": plain["heads"]["serious"]["calibration"]}
    head["items"].append({"column": "marker_mn", "at_least": 1.0, "points": 1})
    reads = offered | {"heads": {"serious": head, "other": head}}
    said = said_by(reads, results, tmp_path / "reads")
    for key in ("model_input", "sensitive_attributes", "inputs"):
        assert "used (warning marker in force: mental health), authorised by Ada (reviewed)" in said[key]
    for key in ("model_input", "inputs"):
        assert "nationality, disability" not in said[key]
        assert "health markers, which may tell of one, are read" in said[key]
    assert "may tell of a disability, which is a protected characteristic" in said["inputs"]
    home, version = home_with(tmp_path / "card", reads, results)
    page = content(home, store.load_model(tmp_path / "card", version), results)
    card = json.dumps(next(s for s in page["sections"] if s["id"] == "card"))
    assert "Never reads" in card
    assert "nationality, disability" not in card
    none = said_by(offered, results, tmp_path / "none")
    assert "authorised by Ada (reviewed), but this model reads none" in none["inputs"]
    assert "nationality, disability, pregnancy" in none["inputs"]
    assert "  " not in none["inputs"]
    assert "Health markers: not used." in said_by(plain, results, tmp_path / "plain")["inputs"]


def test_intervals_are_promised_only_of_models_that_keep_refits(tmp_path: Path) -> None:
    doc = document("points")
    bare = said_by(doc, None, tmp_path / "bare")
    assert "this model gives no interval" in bare["provided_information"]
    assert "figures have no interval" in bare["granularity"]
    blocks = report_learnt.sure(doc, None)
    assert "without an interval" in str(blocks)
    rng = np.random.default_rng(3)
    heads = [
        {**points_head(), "intercept": -4.0 + float(rng.normal(0, 0.2)), "per_point": 0.5} for _ in range(6)
    ]
    kept = {**intervals.packed(heads), "settings": "intervals.v1", "seed": 1, "count": 6, "level": 0.9, "times": 2.0,
            "misfit": {"z": [-4.0, 0.0], "misfit": [0.1, 0.1]}}  # fmt: skip
    full = doc | {"refits": kept}
    said = said_by(full, None, tmp_path / "full")
    assert '"x in 100" with its interval, ' in said["provided_information"]
    assert "each figure has an interval" in said["granularity"]
    n = 60
    frame = pl.DataFrame({
        "person_id": [f"P{i}" for i in range(n)], "domestic_events_90d": [3.0 * (i % 3 == 0) for i in range(n)],
        "days_since_domestic": [400.0] * n, "age": [30.0] * n,
        "last_dash_grade": pl.Series([2.0] * n, dtype=pl.Float64),
    })  # fmt: skip
    text, table = report_learnt.sure(full, frame)[1:]
    assert text is not None
    assert "6 refits on other people" in text["text"]
    assert "90 % of cases" in text["text"]
    assert table is not None
    rows = [[c["text"] for c in r["cells"]] for r in table["rows"]]
    assert [r[:2] for r in rows] == [["1 to 5 in 100", "40"], ["10 in 100 or more", "20"]]
    ends = [[float(c.split(" in ")[0]) for c in r[2:]] for r in rows]
    assert all(low < middle < high for middle, low, high in ends)
    few = report_learnt.sure(full, frame.head(9))[2]  # 3 and 6 persons
    assert few is None


def test_a_model_without_exact_sums_promises_no_reasons(tmp_path: Path) -> None:
    said = said_by(document("trees"), None, tmp_path)
    assert "exact sums" not in said["model_output"]
    assert "no reasons" in said["provided_information"]
    assert said["model_output"] == "p_serious; p_any; expected harm days."  # it has not learnt when, either


def test_every_table_the_report_reads_is_written_by_something() -> None:
    """A section of a table that nobody makes could never appear."""
    folder = Path(report_learnt.__file__).parent
    code = {p.name: p.read_text(encoding="utf-8") for p in folder.glob("*.py")}
    mine = {n for n in code if n.startswith("report") or n == "transparency.py"}
    read = r'(?:results(?:\.get\(|\[)|pooled\(results, |mine\(results, )"(\w+)"'
    asked = {name for n in mine for name in re.findall(read, code[n])}
    others = "\n".join(text for n, text in code.items() if n not in mine)
    assert len(asked) > 10
    assert sorted(name for name in asked if f'"{name}"' not in others) == []


def test_what_was_not_checked_at_its_source_is_not_printed_as_fact(tmp_path: Path) -> None:
    home, version = home_with(tmp_path, document())
    page = content(home, store.load_model(tmp_path, version), None)
    first = {s["id"]: s["blocks"][0]["text"] for s in page["sections"] if s["id"] in ("algocare", "equality")}
    assert "from memory" in first["algocare"]
    assert "neither has been compared with the paper" in first["algocare"]
    assert "no legal advice: read the Act" in first["equality"]


def test_the_checklists_are_whole(tmp_path: Path, results: dict[str, Any]) -> None:
    known = transparency.facts_of(store.save(tmp_path, document()), results, "Not in use")
    care = transparency.checklist("atrs_algocare", known)
    assert "".join(f["title"][0] for f in care["fields"]) == "ALGOCARE"
    assert (
        next(f for f in care["fields"] if f["key"] == "lawful")["value"] is None
    )  # the law is for people to answer
    equality = transparency.checklist("atrs_equality", known)
    said = next(f for f in equality["fields"] if f["key"] == "eliminate")["value"]
    judged = [r for r in results["fairness"] if r["grouping"] != "everyone"]
    able = sum(bool(r["assessable"]) for r in judged)
    assert said.startswith(f"{able} of {len(judged)} groups have outcomes enough to be assessed.")


def test_words_of_the_records_are_filled_from_known_facts_only(
    tmp_path: Path, results: dict[str, Any]
) -> None:
    """Every name in braces in the data files is a fact that some run has: a misspelt one would never be filled."""
    known = transparency.facts_of(store.save(tmp_path, document()), results, "Not in use")
    have = set(known) | {
        "under_reporting"
    }  # needs the what-if on records, which this small force does not have
    for name in ("atrs", "atrs_algocare", "atrs_equality"):
        words = settings.texts()[name]
        assert set(re.findall(r"\{(\w+)\}", words.split("version =", 1)[1])) <= have

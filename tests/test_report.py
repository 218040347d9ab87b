"""The report an analyst hands on: what is on the page and in the PDF, what is left to people, and what is left off."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from features.errors import InputError, NotFoundError
from features.home import Home
from models import compare, dual, fairness, intervals, report_learnt, settings, store, transparency
from models.compare import Occasion
from models.groups import MISSING, groupings
from models.report import content, render, write_report
from models.report_pdf import pdf_of
from tests.conftest import small_model

COLUMNS = {
    "domestic_events_90d": ("domestic events in the last 90 days", "history", "count", "events", 1),
    "domestic_events_365d": ("domestic events in the last 365 days", "history", "count", "events", 1),
    "days_since_domestic": ("days since the last domestic event", "history", "recency", "days", -1),
    "harm_days_365d": ("harm of the last 365 days", "harm", "harm", "harm days", 1),
    "last_dash_grade": ("last DASH grade", "assessment", "grade", "", 1),
    "age": ("age", "person", "age", "years", 0),
}


def points_head() -> dict[str, Any]:
    return {
        "kind": "points",
        "intercept": -4.0,
        "per_point": 0.5,
        "items": [
            {"column": "domestic_events_90d", "at_least": 3.0, "points": 4},
            {"column": "days_since_domestic", "below": 30.0, "points": 2},
            {"column": "age", "at_least": 50.0, "points": -1},
            {"column": "last_dash_grade", "missing": True, "points": 1},
        ],
        "tail": {"from": -1.5, "share": 0.5},
    }


def tables_head() -> dict[str, Any]:
    return {
        "kind": "tables",
        "intercept": -3.5,
        "tables": [
            {"columns": ["domestic_events_90d"], "cuts": [[1.0, 3.0]], "scores": [0.0, -0.2, 0.3, 0.9]},
            {"columns": ["age"], "cuts": [[25.0, 50.0]], "scores": [0.1, 0.2, 0.0, -0.4]},
        ],
    }


def trees_head() -> dict[str, Any]:
    tree = {"feature": [0, -1, -1], "threshold": [2.5, 0.0, 0.0], "missing_left": [True, False, False],
            "left": [1, 0, 0], "right": [2, 0, 0], "value": [0.0, -0.1, 0.6]}  # fmt: skip
    return {"kind": "trees", "intercept": -3.0, "columns": ["domestic_events_90d"], "trees": [tree]}


def document(kind: str = "linear", **changes: Any) -> dict[str, Any]:
    """A model document with everything a trained one has."""
    heads = {"points": points_head(), "tables": tables_head(), "trees": trees_head()}
    family = {"linear": "elastic_net", "points": "scorecard", "tables": "ebm", "trees": "boosted"}[kind]
    doc = small_model()
    if kind in heads:
        doc["heads"] = {"serious": heads[kind], "other": heads[kind]}
    size_of = {"linear": "terms", "points": "items", "tables": "tables", "trees": "trees"}[kind]
    for head in doc["heads"].values():
        head["calibration"] = {"slope": 1.02, "intercept": -0.01, "how": "held-out persons, newest date"}
    return doc | {
        "family": family, "kind": family.replace("_", " "), "settings": "training.v2", "rules": "rules.v2",
        "code": "0+abc", "libraries": {"python": "3.11"}, "signs": [], "own_features": [],
        "notes": ["the records stop early"],
        "left_out": {"weapon_carried": "health data: used only when a named person has authorised it"},
        "authorisations": {"health": None},
        "load": {"load_id": "load-0", "nature": "simulated", "manifest": "f" * 64},
        "dictionary": [
            {"column": c, "feature": c, "text": t, "family": f, "shape": s, "unit": u, "direction": d, "own": "",
             "sensitive": "age" if c == "age" else ""}
            for c, (t, f, s, u, d) in COLUMNS.items()
        ],
        "training": {
            "until": "2025-05-01T05:00:00Z", "dates": ["2022-05-01T05:00:00Z", "2024-02-01T06:00:00Z"],
            "delay_days": 90, "rows": 12_000, "persons": 2_000, "events": 400, "persons_with_event": 200,
            "base_rate": 0.0333, "base_rate_newest": 0.03, "sampled": True,
            "size": len(doc["heads"]["serious"][size_of]), "size_of": size_of, "columns": 5,
            "signs_checked": 6, "signs_agree": 6,
        },
    } | changes  # fmt: skip


def occasions(n: int = 900, dates: int = 2) -> list[Occasion]:
    """Dates on which a model knows something and a rule knows a little."""
    rng = np.random.default_rng(5)
    truth = rng.gamma(0.6, 0.09, n).clip(0.001, 0.9)
    persons = pl.Series([f"P{i:04d}" for i in range(n)])
    out = []
    for k in range(dates):
        serious = (rng.random(n) < truth).astype(float)
        days = serious * rng.gamma(1.0, 400.0, n)
        count = rng.poisson(4 * truth).astype(float)
        outcomes = {"serious": serious, "harm_days": days, "winsor_days": np.minimum(days, 3650.0),
                    "serious_day": np.where(serious > 0, rng.integers(1, 365, n), np.nan)}  # fmt: skip
        t = datetime(2024, 3 + k, 1, 6, tzinfo=UTC)
        expected = 400.0 * truth
        scores = {
            "model": (expected, truth),
            "count_365": (count, count),
            "rfgv": (count + truth, count + truth),
        }
        flags = {"active_365": count > 0, "unseen": rng.random(n) < 0.3}
        reach = {"harm_days": 900.0, "harm_unreachable": 0.31, "serious_unreachable": 0.28}
        p = {"model": truth}
        out.append(Occasion(t, persons, scores, p, expected, flags, outcomes, oracle=expected, reach=reach))
    return out


def groups_of(_: datetime) -> pl.DataFrame:
    n = 900
    sex = np.where(np.arange(n) % 3 == 0, "female", np.where(np.arange(n) % 4 == 1, MISSING, "male"))
    frame = {"person_id": [f"P{i:04d}" for i in range(n)], "sex": sex.tolist()}
    return pl.DataFrame(frame | {"district": [f"D{i % 3}" for i in range(n)]})


def roles_of(_: datetime) -> pl.DataFrame:
    ids = [f"P{i:04d}" for i in range(0, 900, 2)]
    held = [k % 2 == 0 for k in range(len(ids))]
    likely = [int(one) for one in held]
    return pl.DataFrame({"person_id": ids, "pairs": 1, "likely": likely, "others": 0, "held": held})


@pytest.fixture(scope="session")
def results() -> dict[str, Any]:
    judged = occasions()
    out = compare.tables(judged, 0.05, 20, 1, texts={})
    out |= fairness.tables(judged, groups_of, 0.3, 20, 1, roles_of=roles_of)
    out["how"] = "model made as at 2024-03-01, judged at 2 later dates"
    out["rules"] = [{"rule": "ogrs3", "title": "OGRS3", "note": "not applicable: no convictions"}]
    return json.loads(json.dumps(out, allow_nan=False))


def home_with(tmp_path: Path, doc: dict[str, Any], results: dict[str, Any] | None = None) -> tuple[Home, str]:
    """A home that holds one model and, sealed in it, its temporal test."""
    sealed = doc | {"temporal_test": results and {"sha256": store.sha256(store.canonical_bytes(results))}}
    version = store.save(tmp_path, sealed, {"made_at": "2026-01-02T03:04:05+00:00"})["version"]
    if results:
        store.write_atomic(
            tmp_path / "models" / version / "temporal_test.json", store.canonical_bytes(results)
        )
    return Home(tmp_path), version


def drawn(page: str) -> list[str]:
    """Every drawing of a page, as SVG."""
    return [
        base64.b64decode(d).decode()
        for d in re.findall(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", page)
    ]


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

    who = {"person_id": ["P"], "domestic_events_90d": [3.0], "days_since_domestic": [12.0], "age": [60.0],
           "last_dash_grade": [None]}  # fmt: skip
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
    changes = {"notes": [nasty], "authorisations": {"health": {"by": nasty, "reason": "because"}}}
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

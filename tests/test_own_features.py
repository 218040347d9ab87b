"""An analyst's own features: refused by name when they cannot be right, and otherwise features like any other."""

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
from api.explaining import explained, in_words, models_with
from features.catalogue import load_catalogue
from features.clocks import parse_as_of
from features.errors import InputError, NotFoundError
from features.evidence import evidence
from features.histories import ENGINES, histories, left_out
from features.home import Home
from features.ingest import ingest
from features.own import catalogue_at
from features.own_check import add, check, remove
from models import store, training
from models.dataset import model_columns
from models.report import write_report
from models.store import champion
from risk.reasons import Explainer
from risk.score import score_cohort
from risk.view import View

FILE = """
[[family]]
name = "calls"
text = "calls for service that name the person"

[[offender]]
name = "emergency_calls"
family = "calls"
text = "emergency calls naming this person as suspect {window}"
unit = "calls"
source = "call_as_suspect"
where = { grade = 1 }
aggregate = "count"
windows = [60, 365]
direction = 1
given = [
  "event E1 2024-05-20 P>V",
  "call C1 2024-05-20 suspect_id=P grade=1",
  "call C2 2024-05-20 suspect_id=P grade=2",
  "call C3 2023-09-20 suspect_id=P grade=1",
]
expect = { emergency_calls_60d = 1, emergency_calls_365d = 2 }

[[offender]]
name = "calls_per_event"
family = "calls"
text = "emergency calls for each domestic-abuse event {window}"
unit = "ratio"
aggregate = "formula"
formula = "share"
of = ["emergency_calls_{w}", "domestic_events_{w}"]
windows = [365]
direction = 0
given = [
  "event E1 2024-05-20 P>V", "event E2 2024-03-20 P>V", "event E3 2024-02-20 P>V",
  "call C1 2024-05-20 suspect_id=P grade=1",
]
expect = { calls_per_event_365d = 0.3333 }
"""


def written(folder: Path, text: str = FILE, name: str = "calls.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


# --- refused, by name ------------------------------------------------------------------------------------------

FAULTS: dict[str, tuple[str, str]] = {
    "cannot be read: .*line": ("[[family]]", "[[family"),
    "no section 'offnder'; did you mean offender": ("[[offender]]", "[[offnder]]"),
    "not a list of tables": ("[[family]]", "[family]"),
    "family calls: .*text": ('text = "calls for service that name the person"\n', ""),
    "family history: declared twice": ('name = "calls"', 'name = "history"'),
    "a flag is true or false": ('text = "calls for', 'proactive = "yes"\ntext = "calls for'),
    "family 'cals' is none of .*did you mean calls": ('family = "calls"', 'family = "cals"'),
    "small letters": ('name = "emergency_calls"', 'name = "Emergency calls"'),
    "domestic_events: declared twice for one offender": ("emergency_calls", "domestic_events"),
    "kept for something else": (
        'windows = [365]\ndirection = 0\ngiven = [\n  "event E1',
        'windows = [365]\ndirection = 0\nas_of = "2024-06-01"\ngiven = [\n  "event E1',
    ),
    "unknown keys .*did you mean source": ("source = ", "sorce = "),
    "lacks \\['unit'\\]": ('unit = "calls"\n', ""),
    "direction is a whole number": ("direction = 1", "direction = true"),
    "direction is \\+1, 0 or -1": ("direction = 1", "direction = 2"),
    "windows is a list": ("windows = [60, 365]", "windows = 60"),
    "a window is": ("windows = [60, 365]", 'windows = ["60d", 365]'),
    "not 0": ("windows = [60, 365]", "windows = [0, 365]"),
    "named twice": ("windows = [60, 365]", "windows = [60, 365, 60]"),
    "aggregate 'counts'": ('aggregate = "count"', 'aggregate = "counts"'),
    "no stream 'calls_as_suspect'.*did you mean call_as_suspect": ("call_as_suspect", "calls_as_suspect"),
    "no field 'grades'.*did you mean grade": ("where = { grade = 1 }", "where = { grades = 1 }"),
    "not int": ("where = { grade = 1 }", 'where = { grade = "1" }'),
    "write a value": ("where = { grade = 1 }", "where = { grade = { below = 3 } }"),
    "caller_role is never 'Victim'; did you mean": ("{ grade = 1 }", '{ grade = 1, caller_role = "Victim" }'),
    "the text holds": ("this person as suspect {window}", "this person as suspect"),
    "needs no value": ('aggregate = "count"', 'aggregate = "count"\nvalue = "grade"'),
    "scale is": ('aggregate = "count"', 'aggregate = "count"\nscale = 10'),
    "takes 2 columns": ('of = ["emergency_calls_{w}", ', "of = ["),
    "uses \\['emergency_cals_365d'\\].*did you mean emergency_calls": (
        'of = ["emergency_calls_{w}"',
        'of = ["emergency_cals_{w}"',
    ),
    "not held in the same unit": ('"domestic_events_{w}"]', '"harm_days_{w}"]'),
    "formula of a formula": ('"domestic_events_{w}"]', '"domestic_crime_share_{w}"]'),
    "hold \\{w\\}": (
        '"emergency_calls_{w}", "domestic_events_{w}"',
        '"emergency_calls_365d", "domestic_events_365d"',
    ),
    "expects emergency_calls_60d = 2, the reference engine gives 1": ("_60d = 1,", "_60d = 2,"),
    "the fast engine gives 1": ("_60d = 1,", "_60d = 2,"),
    "expects 'emergency_calls_30d', but": ("_60d = 1,", "_30d = 1,"),
    "number or .null.": ("_60d = 1,", '_60d = "one",'),
    "never expects anything but nothing": (
        "{ calls_per_event_365d = 0.3333 }",
        '{ calls_per_event_365d = "null" }',
    ),
    "'evnt' is not one of": (
        '"event E1 2024-05-20 P>V",\n  "call C1',
        '"evnt E1 2024-05-20 P>V",\n  "call C1',
    ),
    "'high' cannot be read as grade": ("suspect_id=P grade=2", "suspect_id=P grade=high"),
    "lacks received_at": ("call C2 2024-05-20 suspect_id=P grade=2", "call C2 suspect_id=P grade=2"),
    "cannot be read as received_at": ("call C2 2024-05-20", "call C2 20/05/2024"),
    "proves nothing": ("expect = { calls_per_event_365d = 0.3333 }", "expect = { calls_per_event_365d = 0 }"),
    "given is a list": (
        'given = [\n  "event E1 2024-05-20 P>V", "event E2',
        'given = "x"\nas_of = [ "event E2',
    ),
    "belongs to family household": ("{ grade = 1 }", "{ current = true }"),
    "reads health data": ("{ grade = 1 }", '{ code = "SH" }'),
    "reads other_drug_crimes of family enforcement": (
        '"domestic_events_{w}"]',
        '"other_drug_crimes_{w}"]',
    ),
    "what police set going": ("{ grade = 1 }", '{ source = "police_proactive" }'),
    "flagged proactive: no model may take it": ("flagged", "flagged"),
}
#: Faults that take more than one replacement.
ALSO = {
    "kept for something else": [('name = "calls_per_event"', 'name = "serious_within"'), ("[365]\n", "[90]\n"),
                                ("calls_per_event_365d", "serious_within_90d")],
    "domestic_events: declared twice for one offender": [],
    "belongs to family household": [("call_as_suspect", "household_person")],
    "reads health data": [("call_as_suspect", "marker")],
    "what police set going": [("call_as_suspect", "suspect_event")],
    "flagged proactive: no model may take it": [
        ('text = "calls for', 'proactive = true\ntext = "calls for'),
        ("direction = 1", "direction = 1\nmodel = true"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("says", FAULTS)
def test_what_cannot_be_right_is_refused_by_name_and_not_kept(says: str, tmp_path: Path) -> None:
    text = FILE
    for old, new in [FAULTS[says], *ALSO.get(says, [])]:
        assert old in text or old == "flagged", old
        text = text.replace(old, new)
    with pytest.raises(InputError, match=says) as caught:
        add(written(tmp_path, text), tmp_path / "home")
    assert caught.value.where == "calls.toml"
    assert not list((tmp_path / "home").rglob("*.toml"))


def test_what_is_no_file_of_features_is_said_so(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with pytest.raises(InputError, match="cannot be read"):
        check(tmp_path / "nothing.toml", home)
    with pytest.raises(InputError, match="TOML file"):
        check(written(tmp_path, FILE, "calls.txt"), home)
    with pytest.raises(InputError, match="declares nothing"):
        check(written(tmp_path, ""), home)
    with pytest.raises(InputError, match="families alone"):
        check(written(tmp_path, FILE.split("[[offender]]")[0]), home)
    (tmp_path / "latin.toml").write_bytes("# caf\xe9".encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8"):
        check(tmp_path / "latin.toml", home)
    assert not home.exists()


def test_two_files_may_not_share_a_name_and_the_new_one_is_at_fault(tmp_path: Path) -> None:
    add(written(tmp_path, FILE, "later.toml"), tmp_path / "home")
    with pytest.raises(InputError, match="declared twice") as caught:
        add(written(tmp_path, FILE, "earlier.toml"), tmp_path / "home")
    assert caught.value.where == "earlier.toml"


# --- kept, used, taken out -------------------------------------------------------------------------------------


def test_added_features_are_in_histories_on_every_engine_and_documented(
    small_home_maker: Callable[..., Path], small_extract_tables: dict[str, pl.DataFrame], tmp_path: Path
) -> None:
    calls = pl.DataFrame(
        {
            "call_id": ["K1", "K2"],
            "reference": ["k1", "k2"],
            "received_at": ["2025-05-20T23:00:00Z", "2025-02-01T10:00:00Z"],
            "grade": [1, 1],
            "suspect_id": ["P1", "P1"],
        }
    )
    home = Home(small_home_maker("force", model=False, call=calls))
    t = parse_as_of("2025-06-01")
    before = home.require().records()
    checked, what = add(written(tmp_path), home.path)
    assert (what, checked.columns) == (
        "added",
        ["emergency_calls_60d", "emergency_calls_365d", "calls_per_event_365d"],
    )
    assert add(written(tmp_path), home.path)[1] == "unchanged"

    records = home.require().records()
    assert records.state != before.state, "what is kept for later use must not be mistaken for this"
    rows = {
        engine: histories(records, "offender", t, engine=engine) for engine in ("fast", "reference", "single")
    }
    assert rows["fast"].equals(rows["reference"])
    assert rows["fast"].equals(rows["single"])
    person = rows["fast"].filter(pl.col("person_id") == "P1").row(0, named=True)
    assert (person["emergency_calls_60d"], person["emergency_calls_365d"]) == (1, 2)
    assert person["calls_per_event_365d"] == 2 / person["domestic_events_365d"]
    cited = evidence(records, {"person_id": "P1"}, t, "emergency_calls_365d")
    assert [reference for reference, _ in cited] == ["K1", "K2"]

    page = (home.path / "features" / "dictionary.md").read_text(encoding="utf-8")
    assert "#### `emergency_calls`" in page
    assert "Family: calls" in page

    assert remove("calls", home.path) == ("calls.toml", ("emergency_calls", "calls_per_event"))
    assert home.require().records().state == before.state
    assert not (home.path / "features" / "dictionary.md").exists()
    with pytest.raises(NotFoundError, match="no own file"):
        remove("calls", home.path)


def test_a_load_already_open_sees_a_file_come_and_go(
    small_home_maker: Callable[..., Path], tmp_path: Path
) -> None:
    load = Home(small_home_maker("force", model=False)).require()
    add(written(tmp_path), load.path.parents[1])
    assert load.records().catalogue is not None
    remove("calls.toml", load.path.parents[1])
    assert load.records().catalogue is None


def test_records_that_cannot_feed_an_own_feature_leave_it_out_by_name(
    small_home_maker: Callable[..., Path], tmp_path: Path
) -> None:
    home = Home(small_home_maker("force", model=False))
    add(written(tmp_path), home.path)
    records = home.require().records()
    lost = left_out(records, "offender")
    assert (lost["emergency_calls"], lost["calls_per_event"]) == ("call", "call")
    assert "emergency_calls_60d" not in histories(records, "offender", parse_as_of("2025-06-01")).columns


def test_a_home_whose_file_was_spoilt_by_hand_says_so_and_can_be_mended(
    small_home_maker: Callable[..., Path], tmp_path: Path
) -> None:
    home = Home(small_home_maker("force", model=False))
    add(written(tmp_path), home.path)
    written(home.path / "features", "offender = 3")
    with pytest.raises(InputError, match=r"features remove calls\.toml") as caught:
        home.require().records()
    assert caught.value.where == "calls.toml"
    remove("calls.toml", home.path)
    assert home.require().records().catalogue is None


def test_a_file_another_builds_on_cannot_be_taken_out_first(tmp_path: Path) -> None:
    first, second = FILE.split('[[offender]]\nname = "calls_per_event"')
    add(written(tmp_path, first, "a.toml"), tmp_path / "home")
    add(written(tmp_path, '[[offender]]\nname = "calls_per_event"' + second, "b.toml"), tmp_path / "home")
    with pytest.raises(InputError, match=r"b\.toml needs a\.toml"):
        remove("a", tmp_path / "home")
    remove("b", tmp_path / "home")
    assert remove("a", tmp_path / "home")[1] == ("emergency_calls",)


# --- what no model may take ------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["proactive", "protected", "proxy_risk"])
def test_each_flag_keeps_an_own_feature_out(flag: str, tmp_path: Path) -> None:
    text = FILE.replace('text = "calls for', f'{flag} = true\ntext = "calls for')
    columns = model_columns(frozenset(), catalogue=check(written(tmp_path, text), tmp_path).catalogue)
    assert flag in columns.left_out["emergency_calls"]
    assert not [name for name in columns.shapes if "call" in name and "calls_as_suspect" not in name]


def test_an_own_feature_enters_with_every_window_unless_it_says_otherwise(tmp_path: Path) -> None:
    takes = model_columns(frozenset(), catalogue=check(written(tmp_path), tmp_path).catalogue)
    assert {"emergency_calls_60d", "emergency_calls_365d", "calls_per_event_365d"} <= set(takes.shapes)
    kept_out = FILE.replace("direction = 1", "direction = 1\nmodel = false")
    leaves = model_columns(frozenset(), catalogue=check(written(tmp_path, kept_out), tmp_path).catalogue)
    assert leaves.left_out["emergency_calls"] == "declared with model = false"
    assert "calls_per_event_365d" in leaves.shapes


# --- through training, reasons and evidence --------------------------------------------------------------------

START, UNTIL = datetime(2021, 1, 1, tzinfo=UTC), datetime(2024, 12, 31, 6, tzinfo=UTC)


def calling_force(persons: int = 160, seed: int = 5) -> dict[str, pl.DataFrame]:
    """A force where those whom emergency calls name go on to serious harm, and nothing else tells them apart."""
    rng = np.random.default_rng(seed)
    tables: dict[str, list[dict[str, Any]]] = {
        "person": [],
        "event": [],
        "involvement": [],
        "offence": [],
        "call": [],
    }
    for i in range(persons):
        tables["person"].append({"person_id": f"P{i:03d}", "date_of_birth": "1985-03-04"})
        loud = i % 4 == 0
        for day in np.sort(rng.uniform(0, 1460, rng.poisson(7) + 1)):
            at, key = START + timedelta(days=float(day)), f"E{len(tables['event']):05d}"
            when = at.strftime("%Y-%m-%dT%H:%M:%SZ")
            tables["event"].append(
                {"event_id": key, "kind": "crime", "occurred_at": when, "reported_at": when, "domestic": "Y"}
            )
            tables["involvement"].append({"event_id": key, "person_id": f"P{i:03d}", "role": "suspect"})
            grave = rng.random() < (0.35 if loud else 0.02)
            tables["offence"].append(
                {"offence_id": f"{key}-1", "event_id": key, "ho_code": "005/01" if grave else "105/01"}
            )
            if loud:
                tables["call"].append(
                    {
                        "call_id": f"C{key}",
                        "reference": key,
                        "received_at": when,
                        "grade": 1,
                        "suspect_id": f"P{i:03d}",
                    }
                )
    return {name: pl.DataFrame(rows) for name, rows in tables.items()}


@pytest.fixture(scope="module")
def calling_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with that force, the own features, and a model trained with them."""
    folder = tmp_path_factory.mktemp("calling")
    (folder / "extract").mkdir()
    for name, frame in calling_force().items():
        frame.write_parquet(folder / "extract" / f"{name}.parquet")
    (folder / "extract" / "extract.json").write_text('{"nature": "simulated"}', encoding="utf-8")
    home = Home(folder / "home")
    ingest(folder / "extract", home)
    add(written(folder), home.path)
    doc = training.fit_until(home.require().records(), UNTIL, training.Recipe(), home=home.path)
    saved = store.save(
        home.path, {**doc, "load": {"load_id": "none", "nature": "simulated", "manifest": "0" * 64}}
    )
    store.point_champion(
        home.path, saved["version"], "tests", "trained with own features", "2024-12-31T06:00:00Z"
    )
    return home.path


def test_the_next_training_run_takes_them_and_the_model_names_file_and_digest(calling_home: Path) -> None:
    doc = champion(calling_home)
    files = dict(catalogue_at(calling_home).files)  # type: ignore[union-attr]
    assert [entry["feature"] for entry in doc["own_features"]] == ["emergency_calls", "calls_per_event"]
    assert {entry["sha256"] for entry in doc["own_features"]} == {files["calls.toml"]}
    weight = dict.fromkeys((entry["column"] for entry in doc["dictionary"]), 0.0)
    for term, coef in ((t, t["weight"]) for t in doc["heads"]["serious"]["terms"]):
        weight[term["column"]] += coef
    assert weight["emergency_calls_60d"] + weight["emergency_calls_365d"] > 0.1
    said = {row["column"]: row for row in doc["dictionary"]}
    assert said["emergency_calls_60d"]["own"] == "calls.toml"
    assert said["domestic_events_90d"]["own"] == ""


def test_reasons_tell_them_and_cite_their_records(calling_home: Path) -> None:
    load, t = Home(calling_home).require(), parse_as_of("2024-12-01")
    scored = score_cohort(load, champion(calling_home), t)
    top = scored.frame.filter("in_scope").sort("p_serious", descending=True)["person_id"][0]
    assert int(top[1:]) % 4 == 0
    explained = Explainer(View(load, t), scored, [top]).of(top)
    calls = next(reason for reason in explained.reasons if reason.group == "calls")
    assert calls.contribution > 0
    assert "mergency calls naming this person as suspect" in calls.sentence
    assert calls.cited
    assert any(cited.event_id.startswith("CE") for cited in calls.cited)


def test_the_report_names_the_file(calling_home: Path, tmp_path: Path) -> None:
    page = write_report(Home(calling_home), tmp_path / "report.html").html.read_text(encoding="utf-8")
    assert "emergency_calls (calls.toml, sha256" in page
    assert "wanted_now" in page
    assert "flagged proactive: no model may take it" in page
    assert models_with(["calls.toml"], calling_home) == [champion(calling_home)["version"]]
    assert models_with(["other.toml"], calling_home) == []


def test_a_model_is_refused_where_its_feature_means_something_else(
    calling_home: Path, tmp_path: Path
) -> None:
    home, t = Home(tmp_path / "home"), parse_as_of("2024-12-01")
    shutil.copytree(calling_home, home.path)
    doc = champion(home.path)
    score_cohort(home.require(), doc, t, ["P000"])
    words = FILE.replace("emergency calls naming", "grade-one calls naming")
    assert add(written(tmp_path, words), home.path)[1] == "replaced"
    score_cohort(home.require(), doc, t, ["P000"])  # other words, same number
    add(written(tmp_path, FILE.replace("{ grade = 1 }", "{ grade = [1, 2] }").replace("60d = 1", "60d = 2")
                .replace("365d = 2 }", "365d = 3 }")), home.path)  # fmt: skip
    with pytest.raises(InputError, match="emergency_calls, which means something else now"):
        score_cohort(home.require(), doc, t, ["P000"])
    remove("calls", home.path)
    with pytest.raises(InputError, match="emergency_calls, which is not declared here"):
        score_cohort(home.require(), doc, t, ["P000"])


# --- the command line ------------------------------------------------------------------------------------------


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home, file = str(tmp_path / "home"), str(written(tmp_path))

    def ask(*words: str, code: int = 0) -> str:
        assert run_command(["--home", home, "features", *words]) == code, words
        out = capsys.readouterr()
        return out.out + out.err

    assert "file is" not in ask("check", file)
    assert not (tmp_path / "home" / "features" / "calls.toml").exists(), "check writes nothing"
    assert "takes emergency_calls_60d, emergency_calls_365d" in ask("add", file)
    assert "calls.toml" in ask("explain", "emergency_calls")
    assert "emergency_calls" in ask("list", "--family", "calls")
    assert "removed: calls.toml (emergency_calls, calls_per_event)" in ask("remove", "calls")
    assert "did you mean domestic_events" in ask("explain", "domestc_events", code=2)
    assert "did you mean enforcement" in ask("list", "--family", "enforcment", code=2)
    assert "proactive: no model may take it" in ask("list", "--family", "enforcement")
    assert "no own file" in ask("remove", "calls", code=2)
    assert "Missing option --subject, --out" in ask("--as-of", "2025-01-01", code=2)
    assert "not for a sub-command" in ask("--as-of", "2025-01-01", "list", code=2)
    told = json.loads(ask("explain", "harm_days_90d", "--json"))["features"][0]
    assert (told["unit"], told["family"], told["source_tables"]) == (
        "harm days",
        "harm",
        ["event", "involvement", "offence"],
    )
    assert told["meaning"] == "Harm of domestic-abuse crimes as suspect in the last 90 days, in days."


@pytest.mark.parametrize(
    "name", ["domestic_events", "wanted_now", "pair_events", "harm_burst", "age", "recent_harm"]
)
def test_explain_says_everything(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["features", "explain", name]) == 0
    said = capsys.readouterr().out
    for heading in (
        "unit:",
        "windows:",
        "source tables:",
        "family:",
        "direction:",
        "computed:",
        "worked example",
    ):
        assert heading in said, heading


def test_every_feature_can_be_explained() -> None:
    catalogue = load_catalogue()
    for name in dict.fromkeys(f.name for f in catalogue.all):
        for entry in explained(catalogue, name):
            assert f"{name} ({entry['subject']})" in in_words(entry)
            assert entry["source_tables"], name


def test_engines_agree_on_names() -> None:
    from features.own_check import ENGINES as CHECKED

    assert set(CHECKED) <= set(ENGINES)

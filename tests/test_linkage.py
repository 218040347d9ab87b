"""Linkage from spelling to review page: what is compared, when it was known, and what a kill leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from api.cli import run_command
from features.clocks import canonical
from features.errors import InputError
from features.home import Home
from features.ingest import ingest
from features.linkage import store
from features.linkage.fields import FIELDS_OF_EXTRACT, spelt, variants
from features.linkage.model import _days
from features.linkage.pairs import staircase, two_people
from features.linkage.review import decide, page, queue, waterfall
from features.linkage.run import STAGES, _Stages, link, uncertain
from features.nominals import clusters_at
from features.records import Records
from tests.databases import trail_of

pytest.importorskip("splink", reason="linkage is the er extra")

T = datetime(2024, 6, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)


def tables(**raw: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Canonical tables that variants are made from."""
    made = canonical(raw)
    made["event_place"] = made["event"].select("event_id", "address_id", "known_from", "known_to")
    return {name: made[name] for name in FIELDS_OF_EXTRACT}


def test_one_spelling() -> None:
    raw = pl.DataFrame(
        {
            "given_names": ["José  Mary-Ann", None, "Bob"],
            "family_name": ["O'Brien", "Smith", ""],
            "date_of_birth": [date(1985, 4, 23), None, None],
            "sex": ["F", "U", "M"],
            "line": ["12 High St.", None, None],
            "postcode": ["zz1 2ab", None, None],
        }
    )
    found = spelt(raw)
    assert found.select("given", "first", "middle", "family", "born", "sex", "line", "postcode").row(0) == (
        "jose mary ann", "jose", "ann", "obrien", "19850423", "F", "12highst", "ZZ12AB",
    )  # fmt: skip
    assert found["sex"][1] is None
    assert found["family"][2] is None
    assert "robert" in found["roots"][2]


def test_names_the_wrong_way_round_have_one_key() -> None:
    raw = {"date_of_birth": [None] * 2, "sex": [None] * 2, "line": [None] * 2, "postcode": [None] * 2}
    names = {"given_names": ["Alan Mark", "Shaw"], "family_name": ["Shaw", "Alan Mark"]}
    frame = pl.DataFrame(raw | names, schema_overrides=dict.fromkeys(raw, pl.String))
    assert spelt(frame)["names"].n_unique() == 1


def test_a_variant_is_known_from_the_latest_of_its_fields() -> None:
    made = tables(
        person=pl.DataFrame(
            {
                "person_id": ["A", "A"],
                "family_name": ["Shaw", "Shore"],
                "given_names": ["Al", "Al"],
                "recorded_at": [T - 9 * DAY, T - 3 * DAY],
            }
        ),
        alias=pl.DataFrame(
            {"person_id": ["A"], "family_name": ["Sure"], "given_names": ["Al"], "recorded_at": [T - DAY]}
        ),
        address=pl.DataFrame({"address_id": ["H"], "postcode": ["ZZ1 1AA"], "recorded_at": [T - 20 * DAY]}),
        residence=pl.DataFrame(
            {
                "person_id": ["A"],
                "address_id": ["H"],
                "started_on": [T - 6 * DAY],
                "recorded_at": [T - 5 * DAY],
            }
        ),
    )
    found, cut = variants(made)
    rows = {(r["family"], r["postcode"]): r["known_from"] for r in found.iter_rows(named=True)}
    # a name corrected after the address was known never stood alone
    assert rows == {
        ("shaw", None): T - 9 * DAY,
        ("shaw", "ZZ11AA"): T - 5 * DAY,
        ("shore", "ZZ11AA"): T - 3 * DAY,
        ("sure", "ZZ11AA"): T - DAY,
    }
    assert cut == 0
    assert found["unique_id"].is_unique().all()


def test_what_is_entered_later_leaves_earlier_variants_and_their_names_alone() -> None:
    person = pl.DataFrame(
        {"person_id": ["A"], "family_name": ["Shaw"], "given_names": ["Al"], "recorded_at": [T - 9 * DAY]}
    )
    later = pl.DataFrame(
        {"person_id": ["A"], "family_name": ["Aaron"], "given_names": ["Al"], "recorded_at": [T + DAY]}
    )
    before, _ = variants(tables(person=person))
    after, _ = variants(tables(person=pl.concat([person, later])))
    assert after.filter(pl.col("known_from") <= T).equals(before)
    assert after.height == before.height + 1


def fake_scores(rows: list[tuple[str, str, float]]) -> pl.DataFrame:
    """Scored variant pairs, as the comparison gives them."""
    return pl.DataFrame(
        [
            {"unique_id_l": a, "unique_id_r": b, "person_id_l": a[0], "person_id_r": b[0], "match_probability": p,
             "match_weight": 1.0, "mw_given": 0.5, "mw_family": 0.5}
            for a, b, p in rows
        ]
    )  # fmt: skip


def known(rows: dict[str, datetime], **more: list[str | None]) -> pl.DataFrame:
    """Variants with clocks and, where given, names."""
    base: dict[str, object] = {"unique_id": list(rows), "known_from": list(rows.values())}
    for name in ("first", "given", "family", "born", "sex"):
        base[name] = more.get(name, [None] * len(rows))
    base["roots"] = [[] for _ in rows]
    types: dict[str, pl.DataType] = {"roots": pl.List(pl.String()), "known_from": pl.Datetime("us", "UTC")}
    types |= {name: pl.String() for name in ("first", "given", "family", "born", "sex")}
    return pl.DataFrame(base, schema_overrides=types)


def test_the_evidence_for_a_pair_is_a_staircase() -> None:
    ways = known({"A#0": T - 9 * DAY, "A#1": T - 2 * DAY, "B#0": T - 5 * DAY, "B#1": T})
    scores = fake_scores([("B#0", "A#0", 0.6), ("A#1", "B#0", 0.5), ("A#0", "B#1", 0.7), ("A#1", "B#1", 0.9)])
    found = staircase(scores, ways)
    assert found.select("person_id_a", "person_id_b", "probability", "known_from").rows() == [
        ("A", "B", 0.6, T - 5 * DAY),
        ("A", "B", 0.9, T),
    ]


def test_twins_are_left_to_a_person() -> None:
    ways = known(
        {"A#0": T, "B#0": T, "C#0": T},
        first=["jack", "harry", "jak"],
        family=["shaw"] * 3,
        born=["20010203"] * 3,
        sex=["M"] * 3,
    )
    found = staircase(fake_scores([("A#0", "B#0", 0.99), ("A#0", "C#0", 0.99)]), ways)
    assert dict(found.select("person_id_b", "probability").iter_rows()) == {"B": 0.5, "C": 0.99}


def test_one_home_does_not_make_one_person_of_two_names() -> None:
    ways = known(
        {"A#0": T, "B#0": T, "C#0": T, "D#0": T},
        first=["susan", "ruby", "susan", "suzan"],
        family=["graham", "popescu", "hall", "hall"],
        born=["20060424", None, None, "20060424"],
        sex=["F"] * 4,
    )
    scores = fake_scores([("A#0", "B#0", 0.97), ("A#0", "C#0", 0.98), ("A#0", "D#0", 0.99)])
    far = scores.with_columns(mw_family=-2.6)
    told = dict(staircase(far, ways).select("person_id_b", "probability").iter_rows())
    assert told == {"B": 0.5, "C": 0.98, "D": 0.99}
    near = dict(
        staircase(scores.with_columns(mw_family=6.0), ways).select("person_id_b", "probability").iter_rows()
    )
    assert near == {"B": 0.97, "C": 0.98, "D": 0.99}


def test_a_day_that_a_crowd_has_says_little() -> None:
    days = [f"1990{month:02}{day:02}" for month in range(1, 13) for day in range(1, 29)]
    born = days + ["19900704"] * 40 + ["19910101"]
    rows = pl.DataFrame({"person_id": [f"P{n}" for n in range(len(born))], "born": born})
    found = dict(_days(rows).iter_rows())
    assert [day for day, often in sorted(found.items()) if often] == ["19900101", "19900704", "19910101"]


def test_suspect_and_victim_of_one_event_are_two_people() -> None:
    raw = {
        "person": pl.DataFrame({"person_id": ["A", "B", "C", "D"]}),
        "event": pl.DataFrame(
            {"event_id": ["E"], "kind": ["crime"], "occurred_at": [T - 9 * DAY], "domestic": ["Y"]}
        ),
        "involvement": pl.DataFrame(
            {
                "event_id": ["E", "E", "E"],
                "person_id": ["A", "B", "B"],
                "role": ["suspect", "victim", "victim"],
                "recorded_at": [T - 8 * DAY, T - 6 * DAY, T - 2 * DAY],
                "withdrawn": [False, False, True],
            }
        ),
        "relationship": pl.DataFrame(
            {"person_id_a": ["C"], "person_id_b": ["A"], "kind": ["sibling"], "started_on": [T - 4 * DAY]}
        ),
    }
    pairs = pl.DataFrame({"person_id_a": ["A", "A", "C"], "person_id_b": ["B", "C", "D"]})
    found = two_people(Records.from_canonical(canonical(raw)), pairs)
    assert found.rows() == [("A", "B", T - 6 * DAY, T - 2 * DAY), ("A", "C", T - 4 * DAY, None)]


# The whole way, on a small simulated force ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def force(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from features.simulate import simulate

    out = tmp_path_factory.mktemp("force")
    simulate(out, events_per_year=700, years=2, seed=3)
    return out


@pytest.fixture(scope="module")
def home(force: Path) -> Home:
    made = Home(force / "home")
    ingest(force / "extract", made)
    link(made)
    return made


def test_the_duplicates_of_a_simulated_force_are_found(force: Path, home: Home) -> None:
    found = clusters_at(home.require().records().links, datetime.now(UTC))
    truth = pl.read_parquet(force / "truth" / "clusters.parquet")
    joined = found.join(truth, on="person_id")

    def pairs(frame: pl.DataFrame) -> int:
        return int((frame["len"] * (frame["len"] - 1) // 2).sum())

    right = pairs(joined.group_by("cluster_id", "true_person").len())
    assert right / pairs(joined.group_by("cluster_id").len()) > 0.98
    there = truth.join(home.require().records().table("person").select("person_id").unique(), on="person_id")
    assert right / pairs(there.group_by("true_person").len()) > 0.85


def test_a_second_run_scores_nothing_again_and_takes_another_threshold(home: Home) -> None:
    first = store.run_of(home.path, home.require().load_id)
    assert first is not None
    state = home.require().records().state
    again = link(home, threshold=0.8)
    assert not again.changed
    assert again.run["run_id"] == first["run_id"]
    assert home.require().records().state != state, "what is kept for later use goes by the threshold"
    assert again.counts["clusters"] > link(home, threshold=0.99).counts["clusters"]
    link(home, threshold=first["threshold"])


def test_no_name_is_in_what_feature_code_can_reach(home: Home) -> None:
    folder = store.folder(home.path, home.require().load_id)
    for path in folder.glob("*.parquet"):
        frame = pl.read_parquet(path)
        words = [c for c in frame.columns if frame.schema[c] == pl.String]
        assert all(frame[c].drop_nulls().str.contains(r"^P\d+(#\d+)?$").all() for c in words), path.name


def test_the_review_page_draws_each_comparison(home: Home) -> None:
    pairs = queue(home, 5)
    assert pairs
    text = page(home, pairs)
    for one in pairs:
        assert all(person in text for person in one.persons)
        assert waterfall(one) in text
        odds = 2.0**one.total
        held_down = one.probability == 0.5  # may be twins
        assert held_down or odds / (1 + odds) == pytest.approx(one.probability, abs=0.01)


def test_a_decision_is_honoured_at_once_and_not_asked_again(home: Home) -> None:
    load = home.require()
    a, b = uncertain(home, load.load_id).select("person_id_a", "person_id_b").row(0)
    before = datetime.now(UTC)
    assert load.records().links is not None
    together = clusters_at(load.records().links, before).filter(pl.col("person_id").is_in([a, b]))
    was_one = together.height == 2 and together["cluster_id"].n_unique() == 1
    decide(home, b, a, same=not was_one, by="R", reason="seen the custody record")
    found = clusters_at(load.records().links, datetime.now(UTC)).filter(pl.col("person_id").is_in([a, b]))
    assert (found.height == 2 and found["cluster_id"].n_unique() == 1) is not was_one
    assert (
        clusters_at(load.records().links, before).filter(pl.col("person_id").is_in([a, b])).equals(together)
    )
    rest = uncertain(home, load.load_id)
    assert rest.filter((pl.col("person_id_a") == a) & (pl.col("person_id_b") == b)).is_empty()


def test_a_decision_needs_two_records_a_name_and_a_reason(home: Home) -> None:
    a, b = home.require().records().table("person")["person_id"].unique().sort().head(2)
    for args, says in (
        ((a, "nobody", "R", "x"), "no record"),
        ((a, a, "R", "x"), "itself"),
        ((a, b, " ", "x"), "--by"),
        ((a, b, "R", ""), "--reason"),
    ):
        with pytest.raises(InputError, match=says):
            decide(home, args[0], args[1], same=True, by=args[2], reason=args[3])
    with pytest.raises(InputError, match="no probability"):
        link(home, threshold=1.5)


def test_a_review_has_a_name_and_a_page_that_can_be_written(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for by, out, says in (
        (" ", tmp_path / "r.html", "--by is empty"),
        ("A Reviewer", tmp_path / "none" / "r.html", "cannot be written"),
    ):
        words = [
            "link",
            "review",
            "--by",
            by,
            "--out",
            str(out),
            "--home",
            str(home.path),
            "--purpose",
            "review",
        ]
        assert run_command(words) == 2
        assert says in capsys.readouterr().err
        assert not out.exists()


def test_progress_names_each_stage_and_moves_on() -> None:
    told: list[tuple[str, int, int]] = []
    tell = _Stages(lambda stage, done, of: told.append((stage, done, of)))
    for stage in ("reading", "learning", "learning", "comparing"):
        tell(stage)
    assert told == [
        ("reading", 0, STAGES), ("learning", 1, STAGES), ("learning, round 2", 1, STAGES), ("comparing", 2, STAGES)
    ]  # fmt: skip


def test_half_a_line_left_by_a_kill_is_passed_over_and_does_not_swallow_the_next(tmp_path: Path) -> None:
    store.decide(tmp_path, ("A", "B"), True, "R", "x")
    with (store.folder(tmp_path) / store.LOG).open("a") as log:
        log.write('{"person_id_a": "A", "pers')
    store.decide(tmp_path, ("C", "D"), False, "R", "pasted\u2028from elsewhere")
    assert [(one["person_id_a"], one["same"]) for one in store.decisions(tmp_path)] == [
        ("A", True),
        ("C", False),
    ]


KILLED = """
import os, signal, sys
from pathlib import Path
import polars as pl
from features import disk
from features.linkage import store
left = int(sys.argv[2])
def watch(function):
    def watched(*args, **kw):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kw)
    return watched
disk.sync = watch(disk.sync); disk.replace_text = watch(disk.replace_text)
frames = {n: pl.DataFrame({"x": [2]}) for n in ("pairs", "apart", "persons", "shown")}
store.write_run(Path(sys.argv[1]), "l", frames, {"run_id": "new", "threshold": 0.9})
"""


@pytest.mark.parametrize("step", [0, 2, 4])
def test_a_kill_leaves_the_old_run_or_the_new_one(tmp_path: Path, step: int) -> None:
    old = {n: pl.DataFrame({"x": [1]}) for n in ("pairs", "apart", "persons", "shown")}
    store.write_run(tmp_path, "l", old, {"run_id": "old", "threshold": 0.9})
    died = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(step)], env=os.environ, check=False
    )
    assert died.returncode == -signal.SIGKILL
    run = store.run_of(tmp_path, "l")
    assert run is not None
    value = {"old": 1, "new": 2}[run["run_id"]]
    assert all(store.table(tmp_path, "l", name)["x"].to_list() == [value] for name in old)


def test_the_commands_answer_as_written(force: Path, home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    at, why = ["--home", str(home.path)], ["--purpose", "review"]
    before = len(trail_of(home.path))
    assert run_command(["link", "--json", *why, *at]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] is False
    out = force / "review.html"
    assert run_command(["link", "review", "--by", "R", "--out", str(out), "--top", "3", *why, *at]) == 0
    assert out.read_text(encoding="utf-8").count("<svg") == 3
    a, b = queue(home, 1)[0].persons
    assert (
        run_command(["link", "decide", a, b, "--different", "--by", "R", "--reason", "two birth places", *at])
        == 0
    )
    assert run_command(["link", "decide", a, "nobody", "--same", "--by", "R", "--reason", "x", *at]) == 2
    assert run_command(["link", "--threshold", "7", *why, *at]) == 2
    assert run_command(["link", *at]) == 2, "no purpose"
    written = trail_of(home.path)[before:]
    assert [(one["act"], one["page"]) for one in written] == [
        ("combination", "link"), ("disclosure", "link review"), ("alteration", "link decision"),
    ]  # fmt: skip
    assert written[1]["persons_count"] >= 4
    assert written[2]["persons"] == sorted([a, b])

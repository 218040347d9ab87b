"""Bad input, from the extract to the feature: right answers, or one clear error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from features.assurance import TABLES, random_extract
from features.catalogue import KEYS
from features.clocks import canonical, parse_as_of
from features.cohort import cohort
from features.errors import InputError
from features.examples import records_of
from features.histories import histories, subjects_at
from features.home import Home
from features.ingest import ingest
from features.records import Records
from models.store import point_champion, save
from models.training import train
from risk.priority import publish

T = datetime(2024, 6, 1, 5, tzinfo=UTC)  # 06:00 in London
SUBJECTS = ("offender", "victim", "dyad")


def loaded(folder: Path, tables: Mapping[str, str]) -> Home:
    """A home with an extract of CSV tables, each written as lines of text."""
    (folder / "extract").mkdir(parents=True)
    for name, text in tables.items():
        lines = [line.strip() for line in text.strip().splitlines()]
        (folder / "extract" / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "extract" / "extract.json").write_text('{"nature": "simulated"}', encoding="utf-8")
    home = Home(folder / "home")
    ingest(folder / "extract", home)
    return home


def agreed(records: Records, subject: str, t: datetime, keys: pl.DataFrame | None = None) -> pl.DataFrame:
    """Histories that every engine gives alike."""
    fast = histories(records, subject, t, subjects=keys)
    for engine in ("reference", "single"):
        other = histories(records, subject, t, subjects=keys, engine=engine)
        differ = [c for c in fast.columns if not fast[c].equals(other[c], null_equal=True)]
        assert not differ, f"{engine}: {differ}"
    return fast


def one(records: Records, subject: str, t: datetime, *key: str) -> dict[str, float | int | None]:
    """The history of one subject, on which every engine agrees."""
    keys = pl.DataFrame({name: [value] for name, value in zip(KEYS[subject], key, strict=True)})
    return agreed(records, subject, t, keys).row(0, named=True)


# --- relationships that cannot be --------------------------------------------------------------------------------


def test_a_circle_of_parents_and_one_related_to_himself() -> None:
    records = records_of(
        [
            "event E1 2024-05-20 P>V",
            "relationship P parent Q 2020-01-01",
            "relationship Q parent V 2020-01-01",
            "relationship V parent P 2020-01-01",
            "relationship P partner P 2021-01-01 shared_child=true",
            "relationship P spouse V 2022-01-01",
            "relationship V child P 2022-01-01",
        ]
    )
    row = one(records, "offender", T, "P")
    assert row["shared_child_ties"] == 0, "nobody shares a child with himself"
    assert row["partners_named_ever"] == 1
    assert row["ties_ever"] == 2, "P is tied to Q and to V, however often, and not to P"
    assert one(records, "dyad", T, "P", "V")["partners_now"] == 1
    for subject in SUBJECTS:
        agreed(records, subject, T)


def test_relationships_that_contradict_each_other() -> None:
    records = records_of(
        [
            "event E1 2024-05-20 P>V",
            "relationship P spouse V 2020-01-01 ended_on=2019-01-01",   # ended before it began
            "relationship P ex_partner V 2020-01-01",
            "relationship V partner P 2020-01-01",
            "relationship V sibling P 2020-01-01",
            "relationship P partner V 2023-01-01 ended_on=2023-06-01",
            "relationship P partner V 2024-01-01",                     # together again
        ]
    )  # fmt: skip
    row = one(records, "dyad", T, "P", "V")
    assert row["partners_now"] == 1
    before = one(records, "dyad", parse_as_of("2023-12-01"), "P", "V")
    assert before["days_since_separation"] == 182, "the latest end recorded by then, 1 June 2023 at 23:59:59"
    for subject in SUBJECTS:
        agreed(records, subject, T)


# --- who is what in one event ------------------------------------------------------------------------------------


def test_one_who_is_suspect_and_victim_of_the_same_event_is_no_pair_with_himself() -> None:
    records = records_of(
        [
            "event E1 2024-05-20 P>V",
            "role E1 P victim",
            "offence E1 008/06 suspect_id=P victim_id=P",
            "event E2 2024-05-21 P>P",
        ]
    )
    row = one(records, "offender", T, "P")
    assert (row["domestic_events_30d"], row["victim_in_domestic_365d"], row["distinct_victims_ever"]) == (
        2,
        2,
        1,
    )
    assert row["role_balance_365d"] == 0
    assert one(records, "victim", T, "P")["distinct_suspects_ever"] == 0
    pairs = subjects_at(records, "dyad", T)
    assert pairs.rows() == subjects_at(records, "dyad", T, engine="reference").rows() == [("P", "V")]


def test_two_who_accuse_each_other_in_one_event_are_two_pairs() -> None:
    records = records_of(["event E1 2024-05-20 P>V", "role E1 V suspect victim_id=P", "role E1 P victim"])
    assert subjects_at(records, "dyad", T).rows() == [("P", "V"), ("V", "P")]
    row = one(records, "dyad", T, "P", "V")
    assert (row["pair_events_30d"], row["reverse_events_365d"], row["direction_balance_365d"]) == (1, 1, 0)


def test_ten_thousand_involvements_in_one_event() -> None:
    suspects, victims = [f"S{n:04d}" for n in range(12)], [f"V{n:04d}" for n in range(9_988)]
    moment = pl.Series([T - timedelta(days=9), T - timedelta(days=3)], dtype=pl.Datetime("us", "UTC"))
    raw = {
        "person": pl.DataFrame({"person_id": suspects + victims}),
        "event": pl.DataFrame(
            {
                "event_id": ["E", "F"],
                "kind": ["crime", "crime"],
                "occurred_at": moment,
                "domestic": ["Y", "Y"],
            }
        ),
        "involvement": pl.DataFrame(
            {
                "event_id": ["E"] * 10_000 + ["F", "F"],
                "person_id": [*suspects, *victims, "S0000", "V0000"],
                "role": ["suspect"] * 12 + ["victim"] * 9_988 + ["suspect", "victim"],
            }
        ),
        "offence": pl.DataFrame({"offence_id": ["O"], "event_id": ["E"], "ho_code": ["105A"]}),
    }
    records = Records.from_canonical(canonical(raw))
    assert histories(records, "offender", T, columns=["domestic_events_ever"]).height == 12
    assert subjects_at(records, "dyad", T).rows() == [("S0000", "V0000")], (
        "a crowd names nobody: the other does"
    )
    row = one(records, "offender", T, "S0000")
    assert (row["domestic_events_ever"], row["distinct_victims_ever"]) == (2, 1)
    assert (row["harm_days_30d"], row["ties_ever"]) == (1.0, 1), "a crowd ties nobody: the other event does"
    victim = one(records, "victim", T, "V0001")
    assert (victim["distinct_suspects_ever"], victim["victim_events_ever"]) == (0, 1)
    assert one(records, "dyad", T, "S0000", "V0000")["pair_events_ever"] == 1


# --- clocks --------------------------------------------------------------------------------------------------------


def test_the_hour_that_comes_twice_and_the_hour_that_never_was(tmp_path: Path) -> None:
    home = loaded(
        tmp_path,
        {
            "person": "person_id\nP\nV",
            "event": """event_id,kind,occurred_at,recorded_at,domestic
                AUTUMN,crime,2024-10-27T01:30:00,2024-10-27T00:30:00Z,Y
                SPRING,crime,2024-03-31T01:30:00,2024-03-31T01:30:00Z,Y
                SECOND,crime,2024-10-27T01:30:00Z,2024-10-27T01:30:00Z,Y""",
            "involvement": """event_id,person_id,role,victim_id
                AUTUMN,P,suspect,V\nSPRING,P,suspect,V\nSECOND,P,suspect,V""",
        },
    )
    records = home.require().records()
    at = dict(records.table("event").select("event_id", "occurred_at").iter_rows())
    assert at["AUTUMN"] == datetime(2024, 10, 27, 0, 30, tzinfo=UTC), "the first of the two"
    assert at["SECOND"] - at["AUTUMN"] == timedelta(hours=1)
    assert at["SPRING"] == datetime(2024, 3, 31, 1, 30, tzinfo=UTC), (
        "02:30 summer time: the clock went forward"
    )
    told = (
        home.require().manifest["report"] if "report" in home.require().manifest else home.require().manifest
    )
    assert "autumn" in json.dumps(told)
    for t, events in (
        (datetime(2024, 3, 31, 1, 29, 59, tzinfo=UTC), 0),
        (datetime(2024, 3, 31, 1, 30, tzinfo=UTC), 1),
        (parse_as_of("2024-10-27T01:30"), 2),  # typed in London time: the first half past one
        (datetime(2024, 10, 27, 1, 30, tzinfo=UTC), 3),
    ):
        assert one(records, "offender", t, "P")["domestic_events_ever"] == events, t


def test_a_window_is_so_many_times_86400_seconds_whatever_the_clocks_did() -> None:
    # From 06:00 on 30 March to 06:00 on 29 April 2024 in London the clocks show 30 days, and an hour less went by.
    records = records_of(
        ["event E1 2024-03-30T06:00 P>V", "event E2 2024-03-30T05:00 P>V", "event E3 2024-03-30T05:00:01 P>V"]
    )
    t = parse_as_of("2024-04-29T06:00")
    row = one(records, "offender", t, "P")
    assert row["domestic_events_30d"] == 2, "exactly 30 x 86,400 s old is out, a second younger is in"
    day = one(records, "offender", parse_as_of("2024-03-31T06:00"), "P")
    assert day["days_since_domestic"] == 0, "23 hours are no whole day"


def test_events_in_the_future_are_seen_by_nobody_until_they_have_happened() -> None:
    given = ["event E1 2024-05-20 P>V", "offence E1 105A"]
    ahead = [
        "event E2 2024-06-01T06:00:01 P>V recorded_at=2024-05-01T00:00Z",  # a second ahead, written down a month ago
        "event E3 2099-01-01 P>W recorded_at=2024-05-01T00:00Z",
        "order O1 NMO P V 2024-07-01 recorded_at=2024-05-01T00:00Z",
        "custody P 2030-01-01 recorded_at=2024-05-01T00:00Z",
        "relationship P partner V 2031-01-01 recorded_at=2024-05-01T00:00Z",
        "marker P VI 2032-01-01 recorded_at=2024-05-01T00:00Z",
    ]
    persons = ["person P 1985-01-01", "person V 1986-01-01", "person W 1987-01-01"]
    without, within = records_of([*given, *persons]), records_of([*given, *ahead, *persons])
    for subject in SUBJECTS:
        assert agreed(within, subject, T).equals(agreed(without, subject, T))
    assert cohort(within, T).equals(cohort(without, T))
    assert one(within, "offender", T + timedelta(seconds=1), "P")["domestic_events_30d"] == 2


@pytest.mark.parametrize("seed", range(2))
def test_the_order_of_rows_with_one_timestamp_does_not_matter(seed: int) -> None:
    raw = random_extract(dict.fromkeys(TABLES, 14), seed, T)
    moment = T - timedelta(days=20)
    for name, frame in raw.items():  # everything happened, and was written down, in the same second
        times = [
            c
            for c, kind in frame.schema.items()
            if isinstance(kind, pl.Datetime) and c not in ("recorded_at",)
        ]
        raw[name] = frame.with_columns(
            *(
                pl.when(pl.col(c).is_not_null()).then(pl.lit(moment)).cast(frame.schema[c]).alias(c)
                for c in times
            ),
            pl.lit(None, dtype=pl.Boolean).alias("withdrawn"),
            pl.lit(moment).cast(frame.schema["recorded_at"]).alias("recorded_at"),
        ).unique([c for c in frame.columns if c in _key(name)], keep="first", maintain_order=True)
    shuffled = {name: frame.sample(fraction=1.0, shuffle=True, seed=seed + 1) for name, frame in raw.items()}
    turned = {name: frame.reverse() for name, frame in raw.items()}
    records = Records.from_canonical(canonical(raw))
    for other in (shuffled, turned):
        again = Records.from_canonical(canonical(other))
        for subject in SUBJECTS:
            rows = agreed(records, subject, T)
            assert rows.height > 0
            assert rows.equals(agreed(again, subject, T))


def _key(table: str) -> tuple[str, ...]:
    from features.schema import SPECS

    return SPECS[table].key


# --- who may not be processed ----------------------------------------------------------------------------------------


PEOPLE = (
    "person_id,date_of_birth,no_processing\nP,1980-01-01,\nQ,1985-01-01,{q}\nV,1990-01-01,\nW,1991-01-01,"
)
FORCE = {
    "event": """event_id,kind,occurred_at,domestic,first_reporter_id,primary_aggressor_id
        E1,crime,2024-05-01T10:00:00Z,Y,Q,Q
        E2,crime,2024-05-05T10:00:00Z,Y,V,
        E3,non_crime,2024-05-09T10:00:00Z,Y,,""",
    "involvement": """event_id,person_id,role,victim_id,relationship_to_victim
        E1,P,suspect,V,partner
        E1,Q,suspect,V,ex_partner
        E1,V,victim,,
        E2,P,suspect,Q,partner
        E2,Q,victim,,
        E3,Q,suspect,W,partner
        E3,W,victim,,""",
    "offence": "offence_id,event_id,ho_code,suspect_id,victim_id\nO1,E1,005/01,Q,V\nO2,E2,008/06,P,Q",
    "relationship": "person_id_a,person_id_b,kind,started_on,shared_child\nP,Q,partner,2020-01-01,true",
    "order": "order_id,kind,respondent_id,protected_id,made_on\nR1,NMO,P,Q,2024-05-06\nR2,NMO,Q,V,2024-05-02",
    "call": "call_id,reference,received_at,suspect_id,victim_id\nC1,c,2024-05-05T09:00:00Z,P,Q",
}


def test_one_under_restriction_is_gone_from_every_feature_of_everyone_at_the_next_load(
    tmp_path: Path,
) -> None:
    before = loaded(tmp_path / "a", {"person": PEOPLE.format(q=""), **FORCE})
    assert one(before.require().records(), "offender", T, "P")["distinct_victims_ever"] == 2

    extract = tmp_path / "a" / "extract"
    (extract / "person.csv").write_text(PEOPLE.format(q="true") + "\n", encoding="utf-8")
    ingest(extract, before)
    restricted = before.require().records()

    never_had = {  # rows about Q taken out by hand, and Q taken off those about others
        "event": FORCE["event"].replace("Y,Q,Q", "Y,,"),
        "involvement": """event_id,person_id,role,victim_id,relationship_to_victim
            E1,P,suspect,V,partner
            E1,V,victim,,
            E2,P,suspect,,partner
            E3,W,victim,,""",
        "offence": "offence_id,event_id,ho_code,suspect_id,victim_id\nO2,E2,008/06,P,",
        "relationship": "person_id_a,person_id_b,kind,started_on,shared_child",
        "order": "order_id,kind,respondent_id,protected_id,made_on\nR1,NMO,P,,2024-05-06",
        "call": "call_id,reference,received_at,suspect_id,victim_id\nC1,c,2024-05-05T09:00:00Z,P,",
    }
    people = "\n".join(line for line in PEOPLE.format(q="").splitlines() if not line.startswith("Q"))
    never = loaded(tmp_path / "b", {"person": people, **never_had}).require().records()

    for name, table in restricted.tables.items():
        for column, kind in table.schema.items():
            assert kind != pl.String or "Q" not in table[column].to_list(), f"{name}.{column}"
    for subject in SUBJECTS:
        rows = agreed(restricted, subject, T)
        assert "Q" not in {person for key in KEYS[subject] for person in rows[key]}
        assert rows.equals(agreed(never, subject, T)), "as if the person had never been on record"
    everyone = pl.DataFrame({"person_id": ["P", "V", "W", "Q"]})
    assert agreed(restricted, "offender", T, everyone).equals(agreed(never, "offender", T, everyone))
    assert cohort(restricted, T)["person_id"].to_list() == ["P"]


# --- nothing at all ---------------------------------------------------------------------------------------------

NOTHING = {
    "person": "person_id",
    "event": "event_id,kind,occurred_at,domestic",
    "involvement": "event_id,person_id,role",
}


def test_an_extract_of_empty_tables_gives_empty_answers_and_one_clear_error(tmp_path: Path) -> None:
    home = loaded(tmp_path, NOTHING)
    records = home.require().records()
    for subject in SUBJECTS:
        rows = agreed(records, subject, T)
        assert rows.height == 0
        assert set(KEYS[subject]) <= set(rows.columns)
        stranger = pl.DataFrame({name: ["nobody"] for name in KEYS[subject]})
        assert agreed(records, subject, T, stranger).height == 1
        assert agreed(records, subject, T, stranger.clear()).height == 0
    assert cohort(records, T).height == 0
    with pytest.raises(InputError, match="Nothing was recorded"):
        train(home, T, track=False)


def test_a_cohort_of_nobody_makes_an_empty_list(small_model_doc: dict[str, object], tmp_path: Path) -> None:
    home = loaded(tmp_path, NOTHING)
    point_champion(
        home.path, save(home.path, small_model_doc)["version"], "tests", "by hand", "2024-01-01T00:00:00Z"
    )
    assert publish(home, T).rows.height == 0


def test_a_table_that_is_there_but_empty_is_not_a_table_that_is_missing(tmp_path: Path) -> None:
    tables = {"person": PEOPLE.format(q=""), **FORCE}
    empty = (
        loaded(tmp_path / "empty", {**tables, "order": FORCE["order"].splitlines()[0]}).require().records()
    )
    absent = (
        loaded(tmp_path / "absent", {k: v for k, v in tables.items() if k != "order"}).require().records()
    )
    assert one(empty, "offender", T, "P")["orders_made_ever"] == 0
    assert "orders_made_ever" not in one(absent, "offender", T, "P")


@pytest.fixture
def small_model_doc() -> dict[str, object]:
    """A model document by hand: one term, so that nothing needs training."""
    term = {
        "column": "domestic_events_365d",
        "kind": "log1p",
        "a": 50.0,
        "b": 0.0,
        "fill": 0.0,
        "center": 0.6,
        "scale": 0.5,
        "weight": 0.5,
    }
    head = {"kind": "linear", "intercept": -3.0, "terms": [term]}
    return {
        "format": "doorstep-model-3", "family": "elastic_net", "changes": None, "tuned_until": None, "seed": 1,
        "key": "person_id", "horizon_days": 365,
        "harm": {"scheme": "cchi-da", "edition": "2020.1"}, "training": {"until": "2024-05-01T05:00:00Z"},
        "heads": {"serious": head, "other": head},
        "harm_parts": {"scale": 1.0, "serious_days": 250.0, "other_days": 8.0},
    }  # fmt: skip

"""Two engines built differently agree on every cell of every subject, on records made to be awkward."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from features.assurance import TABLES, random_extract
from features.catalogue import KEYS, load_catalogue
from features.clocks import canonical
from features.errors import InputError
from features.examples import records_of
from features.histories import histories, left_out, subjects_at
from features.records import Records

T = datetime(2024, 6, 1, 5, tzinfo=UTC)
SUBJECTS = ("offender", "victim", "dyad")
ENGINES = ("reference", "fast", "single")
QUICK = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    phases=[
        Phase.explicit,
        Phase.generate,
    ],  # rows come from a seed: shrinking them costs minutes and says little
    suppress_health_check=[HealthCheck.too_slow],
)
LONG = settings(QUICK, max_examples=100, derandomize=False)
ROWS = st.fixed_dictionaries(
    {
        table: st.integers(0, 40) if table in ("event", "involvement", "offence") else st.integers(0, 12)
        for table in TABLES
    }
)
SHIFT = st.sampled_from([0, 0, 0, -1, 1, -200 * 86_400, 10**9, -(10**9)])


def generated(rows: dict[str, int], seed: int, t: datetime) -> Records:
    """The record store of a random extract."""
    return Records.from_canonical(canonical(random_extract(rows, seed, t)))


def everyone(subject: str) -> pl.DataFrame:
    """Every possible subject of a random extract, known at T or not, and one nobody has heard of."""
    people = pl.DataFrame({"person_id": [*(f"P{n}" for n in range(5)), "nobody"]})
    if subject != "dyad":
        return people
    pairs = people.rename({"person_id": "suspect_id"}).join(
        people.rename({"person_id": "victim_id"}), how="cross"
    )
    return pairs.filter(pl.col("suspect_id") != pl.col("victim_id"))


def same_bits(a: pl.DataFrame, b: pl.DataFrame) -> None:
    """Equal columns, types, nulls and bytes of values; says which columns differ."""
    assert a.columns == b.columns
    assert a.schema == b.schema
    differ = [c for c in a.columns if not a[c].equals(b[c], null_equal=True)]
    assert not differ, pl.concat(
        [a.select(differ), b.select(pl.col(differ).name.suffix("_b"))], how="horizontal"
    )
    for column in a.columns:
        if a.schema[column].is_numeric():
            assert a[column].fill_null(0).to_numpy().tobytes() == b[column].fill_null(0).to_numpy().tobytes()


def agree(rows: dict[str, int], seed: int, shift: int) -> None:
    """The engines find the same subjects and the same cells, for those subjects and for everyone."""
    records = generated(rows, seed, T)
    t = T + timedelta(seconds=shift)
    for subject in SUBJECTS:
        same_bits(subjects_at(records, subject, t, "reference"), subjects_at(records, subject, t))
        slow = histories(records, subject, t, subjects=everyone(subject), engine="reference")
        for engine in ("fast", "single"):
            same_bits(slow, histories(records, subject, t, subjects=everyone(subject), engine=engine))


@QUICK
@given(rows=ROWS, seed=st.integers(0, 10**9), shift=SHIFT)
def test_reference_and_fast_agree_on_every_cell(rows: dict[str, int], seed: int, shift: int) -> None:
    agree(rows, seed, shift)


@pytest.mark.slow
@LONG
@given(rows=ROWS, seed=st.integers(0, 10**9), shift=SHIFT)
def test_reference_and_fast_agree_on_many_random_records(rows: dict[str, int], seed: int, shift: int) -> None:
    agree(rows, seed, shift)


FULL = {table: 40 if table in ("event", "involvement", "offence") else 12 for table in TABLES}


def test_the_random_records_exercise_the_catalogue() -> None:
    """Agreement over empty columns would prove nothing: nearly every column takes a value other than 0 and null."""
    silent = {(s, c.name) for s in SUBJECTS for c in load_catalogue().columns(s)}
    total = len(silent)
    for seed in range(8):
        records = Records.from_canonical(canonical(random_extract(FULL, 1000 + seed, T)))
        for subject in SUBJECTS:
            rows = histories(records, subject, T, subjects=everyone(subject))
            silent -= {
                (subject, c)
                for c in rows.columns
                if rows[c].dtype.is_numeric() and (rows[c].fill_null(0) != 0).any()
            }
    assert len(silent) < 0.03 * total, sorted(silent)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_one_subject_alone_equals_its_row_in_the_batch(subject: str) -> None:
    records = Records.from_canonical(canonical(random_extract(FULL, 7, T)))
    batch = histories(records, subject, T)
    assert batch.height > 2
    for number in range(batch.height):
        row = batch[number]
        for engine in ("fast", "auto"):
            same_bits(row, histories(records, subject, T, subjects=row.select(KEYS[subject]), engine=engine))


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_column_alone_equals_the_column_among_all(subject: str) -> None:
    records = Records.from_canonical(canonical(random_extract(FULL, 8, T)))
    whole = histories(records, subject, T)
    for name in whole.columns[len(KEYS[subject]) :: 7]:
        alone = histories(records, subject, T, columns=[name])
        same_bits(alone, whole.select(*KEYS[subject], name))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_order_of_rows_does_not_matter(engine: str) -> None:
    raw = random_extract(FULL, 9, T)
    there = Records.from_canonical(canonical(raw))
    back = Records("back", {name: table.reverse() for name, table in there.tables.items()})
    for subject in SUBJECTS:
        same_bits(histories(there, subject, T, engine=engine), histories(back, subject, T, engine=engine))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("subject", SUBJECTS)
def test_no_records_at_all_gives_no_rows_and_all_columns(subject: str, engine: str) -> None:
    empty = Records.from_canonical(canonical({}))
    rows = histories(empty, subject, T, engine=engine)
    assert rows.height == 0
    assert rows.columns == [*KEYS[subject], *(c.name for c in load_catalogue().columns(subject))]
    one = histories(empty, subject, T, engine=engine, subjects=everyone(subject).head(1))
    assert one.height == 1
    assert set(rows.schema.items()) == set(one.schema.items())


def test_before_the_first_event_nobody_has_a_history() -> None:
    records = records_of(["event E1 2024-05-20 P>V"])
    assert histories(records, "offender", datetime(2020, 1, 1, tzinfo=UTC)).height == 0
    later = histories(records, "offender", datetime(2099, 1, 1, tzinfo=UTC))
    assert later["domestic_events_ever"].to_list() == [1]
    assert later["domestic_events_730d"].to_list() == [0]


@pytest.mark.parametrize("engine", ENGINES)
def test_what_the_extract_lacks_is_left_out_by_name(engine: str) -> None:
    whole = records_of(["event E1 2024-05-20 P>V"])
    lacking = Records(
        "lacking", whole.tables, frozenset({"risk_assessment", "event.alcohol", "order.protected_id"})
    )
    lost = left_out(lacking, "offender")
    assert lost["last_dash_grade"] == "risk_assessment"
    assert lost["alcohol_events"] == "event.alcohol"
    assert lost["alcohol_share"] == "event.alcohol", "a formula goes with its input"
    columns = histories(lacking, "offender", T, engine=engine).columns
    assert not {"last_dash_grade", "alcohol_events_90d", "alcohol_share_ever"} & set(columns)
    assert "domestic_events_30d" in columns
    assert (
        "last_dash_grade" not in histories(lacking, "offender", T, columns=["age", "last_dash_grade"]).columns
    )
    assert left_out(lacking, "dyad")["pair_orders_in_force"] == "order.protected_id"


def test_either_of_two_sources_is_enough() -> None:
    whole = records_of(["event E1 2024-05-20 P>V"])
    one = Records("one", whole.tables, frozenset({"offence.victim_id"}))
    neither = Records("neither", whole.tables, frozenset({"offence", "involvement.victim_id"}))
    assert "distinct_victims" not in left_out(one, "offender")
    assert "distinct_victims" in left_out(neither, "offender")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"subject": "suspect"}, "no histories of"),
        ({"engine": "spark9"}, "no engine"),
        ({"columns": ["domestic_events_7d"]}, "domestic_events_7d"),
        ({"as_of": datetime(2024, 6, 1)}, "no time zone"),
        ({"subjects": pl.DataFrame({"id": ["P"]})}, "person_id"),
        ({"subjects": pl.DataFrame({"person_id": ["P", None]})}, "empty key"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(arguments: dict[str, object], says: str) -> None:
    question = {"subject": "offender", "as_of": T, **arguments}
    with pytest.raises(InputError, match=says):
        histories(records_of(["event E1 2024-05-20 P>V"]), **question)


def test_an_unknown_person_has_counts_of_zero_and_no_dates() -> None:
    rows = histories(
        records_of(["event E1 2024-05-20 P>V"]),
        "offender",
        T,
        subjects=pl.DataFrame({"person_id": ["P", "P", "X"]}),
    )
    assert rows["person_id"].to_list() == ["P", "X"]
    assert rows["domestic_events_ever"].to_list() == [1, 0]
    assert rows["days_since_domestic"].to_list() == [11, None]
    assert rows["age"].to_list() == [None, None]


# What an event means when it has several suspects or victims ------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_pairs_come_from_the_first_source_that_names_someone(engine: str) -> None:
    """Offence before involvement before everybody; suspect by suspect."""
    records = records_of(
        [
            "event E1 2024-05-20",
            "role E1 P suspect victim_id=W",
            "role E1 Q suspect",
            "role E1 V victim",
            "offence E1 008/06 suspect_id=P victim_id=X",
        ]
    )
    pairs = subjects_at(records, "dyad", T, engine)
    # P by the offence alone; Q names no one, so every victim: V by role, W and X because they are named.
    assert pairs.rows() == [("P", "X"), ("Q", "V"), ("Q", "W"), ("Q", "X")]


@pytest.mark.parametrize("engine", ENGINES)
def test_one_person_suspect_and_victim_in_one_event(engine: str) -> None:
    records = records_of(["event E1 2024-05-20 P>V", "role E1 V suspect victim_id=P", "role E1 P victim"])
    assert subjects_at(records, "dyad", T, engine).rows() == [("P", "V"), ("V", "P")]
    rows = histories(
        records, "offender", T, engine=engine, columns=["role_balance_ever", "distinct_victims_ever"]
    )
    assert rows.rows() == [("P", 0.0, 1), ("V", 0.0, 1)]


@pytest.mark.parametrize("engine", ENGINES)
def test_harm_that_names_no_suspect_is_every_suspects_and_is_not_divided(engine: str) -> None:
    records = records_of(["event E1 2024-05-20 P+Q>V+W", "offence E1 008/06", "offence E1 105A suspect_id=Q"])
    rows = histories(records, "offender", T, engine=engine, columns=["harm_days_30d", "max_harm_days_30d"])
    assert rows.rows() == [("P", 10.0, 10.0), ("Q", 11.0, 10.0)]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_withdrawn_event_takes_its_crimes_and_pairs_with_it(engine: str) -> None:
    lines = [
        "event E1 2024-05-20 P>V",
        "offence E1 008/06",
        "event E1 2024-05-20 recorded_at=2024-05-25 withdrawn=true",
    ]
    records = records_of(lines)
    for subject in SUBJECTS:
        assert subjects_at(records, subject, T, engine).height == 0
        assert subjects_at(records, subject, datetime(2024, 5, 24, tzinfo=UTC), engine).height > 0


def test_a_correction_holds_from_when_it_was_entered() -> None:
    lines = ["event E1 2024-05-20 P>V domestic=N", "event E1 2024-05-20 recorded_at=2024-05-25 domestic=Y"]
    before, after = datetime(2024, 5, 25, tzinfo=UTC), datetime(2024, 5, 26, tzinfo=UTC)
    records = records_of(lines)
    person = pl.DataFrame({"person_id": ["P"]})
    counts = [
        histories(records, "offender", t, subjects=person, columns=["domestic_events_ever"]).item(0, 1)
        for t in (before, after)
    ]
    assert counts == [0, 1]

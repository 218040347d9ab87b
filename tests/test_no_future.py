"""Nothing after T can change a number at T, to the bit, by either engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from features.asof import as_of
from features.assurance import TABLES, random_extract, tamper
from features.clocks import canonical
from features.histories import histories, subjects_at
from features.records import Records

T = datetime(2024, 6, 1, 5, tzinfo=UTC)
SUBJECTS = ("offender", "victim", "dyad")
PEOPLE = pl.DataFrame({"person_id": [f"P{n}" for n in range(5)]})
QUICK = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[
        Phase.explicit,
        Phase.generate,
    ],  # rows come from a seed: shrinking them costs minutes and says little
    suppress_health_check=[HealthCheck.too_slow],
)
LONG = settings(QUICK, max_examples=80, derandomize=False)
ROWS = st.fixed_dictionaries(
    {
        table: st.integers(0, 30) if table in ("event", "involvement", "offence") else st.integers(0, 10)
        for table in TABLES
    }
)


def store(raw: dict[str, pl.DataFrame]) -> Records:
    """The record store of raw tables."""
    return Records.from_canonical(canonical(raw))


def bits(frame: pl.DataFrame) -> list[object]:
    """A frame down to names, types, nulls and the bytes of its values."""
    parts: list[object] = [frame.schema]
    for column in frame:
        parts.append(column.is_null().to_list())
        parts.append(
            column.to_list() if column.dtype == pl.String else column.fill_null(0).to_numpy().tobytes()
        )
    return parts


def unmoved(rows: dict[str, int], seed: int, engine: str) -> bool:
    """Whether features at T are the same bits after the future is tampered with; says if the future differed."""
    raw = random_extract(rows, seed, T)
    other = tamper(raw, T, seed)
    before, after = store(raw), store(other)
    for subject in SUBJECTS:
        assert subjects_at(before, subject, T, engine).equals(subjects_at(after, subject, T, engine))
        given_keys = None if subject == "dyad" else PEOPLE
        past = histories(before, subject, T, subjects=given_keys, engine=engine)
        assert bits(past) == bits(histories(after, subject, T, subjects=given_keys, engine=engine))
    later = T + timedelta(days=900)
    return not histories(before, "offender", later, PEOPLE).equals(
        histories(after, "offender", later, PEOPLE)
    )


@pytest.mark.parametrize("engine", ["reference", "fast"])
@QUICK
@given(rows=ROWS, seed=st.integers(0, 10**9))
def test_the_future_changes_nothing_at_t(engine: str, rows: dict[str, int], seed: int) -> None:
    unmoved(rows, seed, engine)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["reference", "fast"])
@LONG
@given(rows=ROWS, seed=st.integers(0, 10**9))
def test_many_futures_change_nothing_at_t(engine: str, rows: dict[str, int], seed: int) -> None:
    unmoved(rows, seed, engine)


def test_the_tampering_is_real() -> None:
    """The same tampering does change what is computed after it: the test above could fail."""
    full = {table: 30 if table in ("event", "involvement", "offence") else 10 for table in TABLES}
    assert all(unmoved(full, seed, "fast") for seed in (1, 2, 3))


def test_a_person_first_written_down_after_t_was_at_nobodys_address_before() -> None:
    """A stay without a clock of its own is known with the person who stayed, not on the day it began."""
    lived, after = T - timedelta(days=300), T + timedelta(days=30)
    raw = random_extract({}, 1, T)
    rows = {
        "person": [{"person_id": "P0"}, {"person_id": "P1", "recorded_at": after}],
        "address": [{"address_id": "A0", "kind": "dwelling"}],
        "residence": [{"person_id": p, "address_id": "A0", "started_on": lived} for p in ("P0", "P1")],
        "event": [{"event_id": "E0", "kind": "crime", "domestic": "Y", "occurred_at": lived}],
        "involvement": [{"event_id": "E0", "person_id": "P0", "role": "suspect"}],
    }
    for name, some in rows.items():
        raw[name] = pl.concat(
            [raw[name], pl.DataFrame(some, schema_overrides=raw[name].schema)], how="diagonal"
        )
    keys = pl.DataFrame({"person_id": ["P0"]})

    def company(given: dict[str, pl.DataFrame], t: datetime) -> list[object]:
        both = [
            histories(store(given), "offender", t, keys, columns=["household_now"], engine=engine).item(0, 1)
            for engine in ("fast", "reference")
        ]
        assert both[0] == both[1]
        return both[:1]

    assert (company(raw, T), company(raw, after)) == ([0], [1])
    other = tamper(raw, T, 1)
    assert company(other, T) == [0]
    newcomers = other["residence"].filter(pl.col("person_id") == "N0", pl.col("started_on") < T)
    assert newcomers["address_id"].to_list() == ["A0"], "the tampering tries just this"


def test_a_value_filled_in_later_is_blank_until_its_clock() -> None:
    raw = {
        "custody": pl.DataFrame(
            {
                "custody_id": ["C1"],
                "person_id": ["P"],
                "arrested_at": [T - timedelta(days=2)],
                "released_at": [T + timedelta(seconds=1)],
                "release": ["nfa"],
            }
        )
    }
    records = Records.from_canonical(canonical(raw))
    assert as_of(records, "custody", T).select("release", "released_at").row(0) == (None, None)
    moment = T + timedelta(seconds=1)
    assert as_of(records, "custody", moment).select("release", "released_at").row(0) == ("nfa", moment)
    assert as_of(records, "custody", T - timedelta(days=3)).height == 0

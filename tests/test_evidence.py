"""A reason cites exactly the records its number rests on."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from features.assurance import TABLES, random_extract
from features.catalogue import load_catalogue
from features.clocks import canonical
from features.errors import InputError
from features.evidence import evidence, evidence_frame
from features.examples import records_of
from features.histories import histories
from features.records import Records

T = datetime(2024, 6, 1, 5, tzinfo=UTC)
EVENTS = ["suspect_event", "victim_event", "pair_event", "reverse_event"]


def test_a_count_cites_the_events_it_counts_newest_first() -> None:
    records = records_of(
        [
            "event E1 2024-05-20 P>V",
            "offence E1 008/06",
            "event E2 2024-05-25 P>V kind=non_crime",
            "event E3 2023-05-20 P>V",  # outside the window
            "event E4 2024-05-21 P>V domestic=U",
            "event E5 2024-05-21 Q>V",
            "event E6 2024-05-21 P>V recorded_at=2024-06-02",  # not known yet
        ]
    )
    cited = evidence(records, {"person_id": "P"}, T, "domestic_events_30d")
    assert [reference for reference, _ in cited] == ["E2", "E1"]
    assert cited[1][1] == datetime(2024, 5, 20, 22, 59, 59, tzinfo=UTC)
    rows = evidence_frame(records, {"person_id": "P"}, T, "domestic_events_30d")
    assert rows.select("reference", "kind", "harm_days").rows() == [
        ("E2", "non_crime", 0.0),
        ("E1", "crime", 10.0),
    ]


@pytest.mark.parametrize(
    ("column", "references"),
    [
        ("harm_days_365d", ["E2", "E1"]),  # E3 adds nothing to the sum
        ("max_harm_days_365d", ["E2"]),
        ("days_since_domestic", ["E3"]),
        ("days_since_first_domestic", ["E1"]),
        ("domestic_burst", ["E3", "E2", "E1"]),  # a formula: what its inputs count
        ("last_dash_grade", ["E2"]),
        ("marker_vi", ["VI"]),
        ("orders_in_force", ["O1"]),
        ("age", []),
        ("wanted_now", []),
    ],
)
def test_each_aggregate_cites_what_decides_it(column: str, references: list[str]) -> None:
    records = records_of(
        [
            "event E1 2024-03-20 P>V", "offence E1 105A", "dash E1 P V 2024-03-20 grade=high",
            "event E2 2024-04-20 P>V", "offence E2 008/06", "dash E2 P V 2024-04-20 grade=medium",
            "event E3 2024-05-20 P>V kind=non_crime",
            "marker P VI 2024-05-01", "marker P WE 2024-05-01",
            "order O1 NMO P V 2024-05-01", "order O2 DVPO P V 2023-05-01 expires_on=2023-06-01",
            "person P 1990-01-01",
        ]
    )  # fmt: skip
    assert [reference for reference, _ in evidence(records, {"person_id": "P"}, T, column)] == references


def test_counts_and_sums_equal_what_is_cited_on_random_records() -> None:
    full = {table: 40 if table in ("event", "involvement", "offence") else 12 for table in TABLES}
    records = Records.from_canonical(canonical(random_extract(full, 3, T)))
    checked = 0
    for subject, keys in (("offender", ("person_id",)), ("dyad", ("suspect_id", "victim_id"))):
        rows = histories(records, subject, T)
        columns = [
            c
            for c in load_catalogue().columns(subject)
            if c.feature.aggregate in ("count", "sum") and c.feature.source in EVENTS
        ]
        for row in rows.head(3).to_dicts():
            for column in columns:
                cited = evidence_frame(records, {key: row[key] for key in keys}, T, column.name)
                if column.feature.aggregate == "count":
                    assert cited.height == row[column.name], column.name
                elif column.feature.value == "harm_cd":
                    assert cited["harm_days"].sum() == pytest.approx(row[column.name]), column.name
                checked += row[column.name] > 0
    assert checked > 50, "the check met numbers above 0"


def test_a_pair_and_a_victim_have_evidence_too() -> None:
    records = records_of(["event E1 2024-05-20 P>V", "event E2 2024-05-21 V>P"])
    pair = {"suspect_id": "P", "victim_id": "V"}
    assert [r for r, _ in evidence(records, pair, T, "pair_events_30d")] == ["E1"]
    assert [r for r, _ in evidence(records, pair, T, "reverse_events_365d")] == ["E2"]
    assert [r for r, _ in evidence(records, {"person_id": "V"}, T, "victim_events_30d")] == ["E1"]


def test_questions_without_an_answer_are_refused() -> None:
    records = records_of(["event E1 2024-05-20 P>V"])
    with pytest.raises(InputError, match="no column"):
        evidence(records, {"person_id": "P"}, T, "domestic_events_7d")
    with pytest.raises(InputError, match="lacks victim_id"):
        evidence(records, {"suspect_id": "P"}, T, "pair_events_30d")

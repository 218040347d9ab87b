"""The whole of a T's events, kept and shared, gives the bits of the part cut out for a few persons."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from features.assurance import random_extract
from features.clocks import canonical
from features.engines import facts
from features.histories import histories, subjects_at
from features.records import Records

T = datetime(2025, 3, 1, 6, tzinfo=UTC)
ROWS = {
    "event": 60, "involvement": 120, "offence": 60, "person": 6, "risk_assessment": 15, "relationship": 10,
    "order": 8, "breach": 4, "custody": 8, "bail": 4, "conviction": 5, "spell": 4, "marker": 4, "wanted": 3,
    "call": 10,
}  # fmt: skip


@pytest.mark.parametrize("subject", ["offender", "victim", "dyad"])
def test_whole_events_kept_for_many_give_the_bits_of_a_part(
    subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract = canonical(random_extract(ROWS, 3, T))
    for records in (Records.from_canonical(extract), Records.from_canonical(extract, "again")):
        for t in (T, T - timedelta(days=200), T):
            some = subjects_at(records, subject, T).head(2)
            monkeypatch.setattr(facts, "MANY", 10**9)
            part = histories(records, subject, t, subjects=some, engine="fast")
            monkeypatch.setattr(facts, "MANY", 0)
            whole = histories(records, subject, t, subjects=some, engine="fast")
            assert part.height == 2
            assert whole.equals(part)


def test_the_whole_is_made_once_a_moment_and_not_for_other_records(monkeypatch: pytest.MonkeyPatch) -> None:
    extract = canonical(random_extract(ROWS, 3, T))
    records, others = Records.from_canonical(extract), Records.from_canonical(extract, "others")
    first = facts.events_at(records, T)
    assert facts.events_at(records, T) is first
    assert facts.events_at(records, T, subjects_at(records, "offender", T)["person_id"]) is not first
    assert facts.events_at(others, T) is not first
    assert facts.events_at(records, T - timedelta(days=1)) is not facts.events_at(records, T)

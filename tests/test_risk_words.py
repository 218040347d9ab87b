"""Numbers and dates in officers' words."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from risk.words import ago, amount, count, day, day_time, days_between, in_100, listed, plain


@pytest.mark.parametrize(
    ("probability", "said"),
    [
        (0.0, "fewer than 1 in 100"),
        (0.0099, "fewer than 1 in 100"),
        (0.01, "1 in 100"),
        (0.0749, "7 in 100"),
        (0.075, "8 in 100"),
        (0.5, "50 in 100"),
        (0.99, "99 in 100"),
        (0.991, "more than 99 in 100"),
        (None, "not scored"),
    ],
)
def test_a_probability_is_a_natural_frequency_and_never_none_at_all(
    probability: float | None, said: str
) -> None:
    assert in_100(probability) == said


def test_a_day_is_the_london_day() -> None:
    late = datetime(2026, 6, 30, 23, 30, tzinfo=UTC)
    assert day(late) == "1 July 2026"
    assert day_time(late) == "1 July 2026, 00:30"
    assert day(date(2026, 3, 3)) == "3 March 2026"
    assert day(None) == "not recorded"


def test_counts_carry_their_noun() -> None:
    assert [count(n, "report") for n in (0, 1, 4, 1200)] == [
        "no reports",
        "1 report",
        "4 reports",
        "1,200 reports",
    ]
    assert count(2, "child", "children") == "2 children"


def test_amounts_lose_needless_decimals_but_never_shrink_to_nothing() -> None:
    assert [amount(v) for v in (365.0, 7.5, 0.04, 0.0, None)] == ["365", "7.5", "under 0.1", "0", "not known"]


def test_how_long_ago() -> None:
    assert [ago(n) for n in (None, 0, 1, 6)] == ["never", "in the last 24 hours", "yesterday", "6 days ago"]
    assert days_between(datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 2, 23, tzinfo=UTC)) == 1


def test_lists_and_codes_read_as_english() -> None:
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(["a"]) == "a"
    assert plain("ex_partner") == "ex-partner"
    assert plain("other_family") == "other family"
    assert plain(None) == "not recorded"

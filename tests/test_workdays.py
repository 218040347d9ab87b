"""Working days as the clocks of a force count them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from risk.workdays import bank_holidays, due_by, is_working


@pytest.mark.parametrize(
    ("year", "days"),
    [
        (2021, "01-01 04-02 04-05 05-03 05-31 08-30 12-27 12-28"),
        (2022, "01-03 04-15 04-18 05-02 06-02 06-03 08-29 09-19 12-26 12-27"),
        (2023, "01-02 04-07 04-10 05-01 05-08 05-29 08-28 12-25 12-26"),
        (2025, "01-01 04-18 04-21 05-05 05-26 08-25 12-25 12-26"),
        (2026, "01-01 04-03 04-06 05-04 05-25 08-31 12-25 12-28"),
    ],
)
def test_bank_holidays_are_those_of_england_and_wales(year: int, days: str) -> None:
    assert [f"{day:%m-%d}" for day in bank_holidays(year)] == days.split()


@pytest.mark.parametrize(
    ("since", "due"),
    [
        (datetime(2026, 3, 2, 9, tzinfo=UTC), date(2026, 3, 4)),  # Monday: Wednesday
        (datetime(2026, 3, 5, 23, 30, tzinfo=UTC), date(2026, 3, 9)),  # Thursday night: over the weekend
        (datetime(2026, 4, 2, 9, tzinfo=UTC), date(2026, 4, 8)),  # before Easter
        (datetime(2025, 12, 24, 9, tzinfo=UTC), date(2025, 12, 30)),  # Christmas Eve
        (
            datetime(2026, 7, 5, 23, 30, tzinfo=UTC),
            date(2026, 7, 8),
        ),  # Sunday in UTC, Monday already in London
    ],
)
def test_two_working_days_are_counted_from_the_day_after(since: datetime, due: date) -> None:
    assert due_by(since, 2).date() == due
    assert f"{due_by(since, 2):%H:%M:%S}" == "23:59:59"


def test_a_weekend_and_a_bank_holiday_are_no_working_days() -> None:
    assert [is_working(date(2026, 5, day)) for day in (1, 2, 3, 4, 5)] == [True, False, False, False, True]

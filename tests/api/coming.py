"""Dates in the future, computed from today."""

from datetime import UTC, date, datetime, timedelta

WEDNESDAY, SUNDAY = 2, 6


def coming_day(weekday: int | None = None) -> date:
    """Returns a day 40 to 46 days ahead, on this weekday if given (Monday is 0)."""
    day = datetime.now(UTC).date() + timedelta(days=40)
    return day if weekday is None else day + timedelta(days=(weekday - day.weekday()) % 7)


def coming_change_of_clocks(month: int) -> date:
    """Returns the last Sunday of March or October, at least two weeks ahead. Clocks in Europe change then at 01:00
    UTC."""
    earliest = datetime.now(UTC).date() + timedelta(days=14)
    for year in (earliest.year, earliest.year + 1):
        day = date(year, month, 31)
        day -= timedelta(days=(day.weekday() - SUNDAY) % 7)
        if day >= earliest:
            break
    return day

"""Dates that lie ahead on whatever day the tests run."""

from datetime import UTC, date, datetime, timedelta

WEDNESDAY, SUNDAY = 2, 6


def coming_day(weekday: int | None = None) -> date:
    """A day in a month or so, on this weekday (Monday is 0) where that matters."""
    day = datetime.now(UTC).date() + timedelta(days=40)
    return day if weekday is None else day + timedelta(days=(weekday - day.weekday()) % 7)


def coming_change_of_clocks(month: int) -> date:
    """The last Sunday of March or October, at least two weeks ahead: there Europe's clocks change at 01:00 UTC."""
    earliest = datetime.now(UTC).date() + timedelta(days=14)
    for year in (earliest.year, earliest.year + 1):
        day = date(year, month, 31)
        day -= timedelta(days=(day.weekday() - SUNDAY) % 7)
        if day >= earliest:
            break
    return day

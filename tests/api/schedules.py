"""Recurring schedules in Berlin, and local times."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sla_monitor.recurrence.occurrences import Schedule
from sla_monitor.recurrence.rules import parse

BERLIN = ZoneInfo("Europe/Berlin")
TWO_HOURS = timedelta(hours=2)


def local(*numbers: int) -> datetime:
    """Returns a local time: a datetime without a zone."""
    return datetime(*numbers)  # type: ignore[arg-type]  # noqa: DTZ001  # year, month, day, hour, minute


def schedule(start: datetime, rule: str | None, length: timedelta = TWO_HOURS, zone: ZoneInfo = BERLIN) -> Schedule:
    """Returns a schedule whose first occurrence begins at the local time `start` of `zone`."""
    starts_at = start.replace(tzinfo=zone).astimezone(UTC)
    return Schedule(starts_at, starts_at + length, parse(rule) if rule else None, zone)

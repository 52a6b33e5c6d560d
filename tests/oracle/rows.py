"""Raw checks, and the rules by which record_checks() stores them."""

import struct
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

SEVERITIES = ("nd", "o", "po", "mo")  # worst last
AHEAD = timedelta(minutes=5)
MARGIN = timedelta(days=1)


class Check(NamedTuple):
    """One raw check. `at` is its scheduled time, `interval` the seconds for which it counts."""

    service: str
    location: str
    at: datetime
    interval: int = 60
    severity: str = "o"
    total_ms: float | None = None
    dns_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    first_byte_ms: float | None = None
    error_type: str | None = None
    error_message: str | None = None

    @property
    def successful(self) -> bool:
        return self.severity != "mo"

    @property
    def key(self) -> tuple[str, str, datetime]:
        return self.service, self.location, self.at

    def after(self, intervals: int = 1) -> datetime:
        """Returns the end of this number of intervals."""
        return self.at + timedelta(seconds=intervals * self.interval)


class Registered(NamedTuple):
    """The services and locations of an installation."""

    services: Collection[str]
    locations: Collection[str]


class Counts(NamedTuple):
    """The result of record_checks() for a batch."""

    stored: int
    duplicates: int
    parked: int


def sixteenths(ms: float | None) -> float | None:
    """Returns a time as it is stored: rounded to sixteenths of a millisecond (half to even), as a four-byte float."""
    if ms is None:
        return None
    sent: float = struct.unpack("f", struct.pack("f", ms))[0]
    stored: float = struct.unpack("f", struct.pack("f", round(sent * 16) / 16))[0]
    return stored


def as_stored(check: Check) -> Check:
    return check._replace(
        total_ms=sixteenths(check.total_ms),
        dns_ms=sixteenths(check.dns_ms),
        connect_ms=sixteenths(check.connect_ms),
        tls_ms=sixteenths(check.tls_ms),
        first_byte_ms=sixteenths(check.first_byte_ms),
    )


class StoredChecks:
    """The stored checks: the first of each key, none of the future and none that is too old."""

    def __init__(self) -> None:
        self.checks: dict[tuple[str, str, datetime], Check] = {}

    def record(self, batch: Iterable[Check], registered: Registered, present: datetime, oldest: datetime) -> Counts:
        stored = duplicates = parked = 0
        for check in batch:
            is_registered = check.service in registered.services and check.location in registered.locations
            if not is_registered or check.at > present + AHEAD or check.at < oldest:
                parked += 1
            elif check.key in self.checks:
                duplicates += 1
            else:
                self.checks[check.key] = as_stored(check)
                stored += 1
        return Counts(stored, duplicates, parked)


def oldest_accepted(present: datetime, retention: timedelta, complete_since: datetime | None) -> datetime:
    """Returns the time before which checks are parked. Raw rows are complete from one day earlier on."""
    oldest = present - retention
    return max(oldest, complete_since or oldest) + MARGIN

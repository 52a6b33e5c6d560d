"""Raw checks as the oracle sees them, and which of those that are sent are kept."""

import struct
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

SEVERITIES = ("nd", "o", "po", "mo")  # worst last
AHEAD = timedelta(minutes=5)
SPARE = timedelta(days=1)


class Check(NamedTuple):
    """One raw check; `at` is when it was scheduled, and `interval` how many seconds it stands for."""

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
    def good(self) -> bool:
        return self.severity != "mo"

    @property
    def key(self) -> tuple[str, str, datetime]:
        return self.service, self.location, self.at

    def after(self, intervals: int = 1) -> datetime:
        """When the time this check stands for is over."""
        return self.at + timedelta(seconds=intervals * self.interval)


class Known(NamedTuple):
    """The services and locations of an installation at one moment."""

    services: Collection[str]
    locations: Collection[str]


class Told(NamedTuple):
    """What record_checks says of a batch."""

    stored: int
    duplicates: int
    parked: int


def sixteenths(ms: float | None) -> float | None:
    """A time as it is kept: to the nearest sixteenth of a millisecond (halves to the even one), in four bytes."""
    if ms is None:
        return None
    sent: float = struct.unpack("f", struct.pack("f", ms))[0]
    kept: float = struct.unpack("f", struct.pack("f", round(sent * 16) / 16))[0]
    return kept


def as_kept(check: Check) -> Check:
    return check._replace(
        total_ms=sixteenths(check.total_ms),
        dns_ms=sixteenths(check.dns_ms),
        connect_ms=sixteenths(check.connect_ms),
        tls_ms=sixteenths(check.tls_ms),
        first_byte_ms=sixteenths(check.first_byte_ms),
    )


class Kept:
    """The checks that were stored: of one key the first that came, none from the future, none that is too old."""

    def __init__(self) -> None:
        self.checks: dict[tuple[str, str, datetime], Check] = {}

    def record(self, batch: Iterable[Check], known: Known, present: datetime, oldest: datetime) -> Told:
        stored = duplicates = parked = 0
        for check in batch:
            is_known = check.service in known.services and check.location in known.locations
            if not is_known or check.at > present + AHEAD or check.at < oldest:
                parked += 1
            elif check.key in self.checks:
                duplicates += 1
            else:
                self.checks[check.key] = as_kept(check)
                stored += 1
        return Told(stored, duplicates, parked)


def oldest_kept(present: datetime, retention: timedelta, complete_since: datetime | None) -> datetime:
    """Older checks are parked: what raw rows say is complete from a day before it."""
    oldest = present - retention
    return max(oldest, complete_since or oldest) + SPARE

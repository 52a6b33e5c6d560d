"""What the figures of service level agreements depend on, as plain values. Spans include their start, not their end."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID


class Episode(NamedTuple):
    """`state` is operational, degraded, outage or unknown. An episode without an end lasts until now."""

    service: str
    location: str
    starts_at: datetime
    ends_at: datetime | None
    state: str


class Hours(NamedTuple):
    """A weekly interval. Monday is 1; times of day are HH:MM up to 24:00."""

    days: tuple[int, ...]
    begins: str
    until: str


class Version(NamedTuple):
    """The terms of a policy from the local day `valid_from` on."""

    number: int = 1
    valid_from: date = date(2026, 1, 1)
    recorded_at: datetime = datetime(2025, 12, 1, tzinfo=UTC)
    ended: bool = False
    target: Decimal = Decimal("99.9")
    zone: str = "UTC"
    hours: tuple[Hours, ...] | None = None
    calendar: str | None = None
    maintenance: str = "excluded"
    announced_minutes: int = 0
    degraded_weight: Decimal = Decimal(0)
    unknown: str = "excluded"
    shortest_outage_s: int = 0
    quorum: str = "majority"
    quorum_locations: int | None = None
    least_coverage: Decimal = Decimal(0)
    period: str = "month"
    rolling_days: int | None = None
    group_method: str = "worst"
    credits: tuple[tuple[str, str], ...] | None = None
    """Pairs of an uptime and the credit below it, in percent."""


class Policy(NamedTuple):
    id: UUID
    scope: str
    subject: str | None
    versions: tuple[Version, ...]


class Correction(NamedTuple):
    id: UUID
    scope: str
    subject: str | None
    effect: str
    spans: tuple[tuple[datetime, datetime], ...]
    created_at: datetime
    withdrawn_at: datetime | None = None


class Membership(NamedTuple):
    """None: since ever, or until further notice."""

    service: str
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()


class Announcement(NamedTuple):
    window: UUID
    starts_at: datetime
    ends_at: datetime
    services: tuple[str, ...]
    announced_at: datetime


class Occurrence(NamedTuple):
    """Maintenance that took place or is planned."""

    window: UUID
    starts_at: datetime
    ends_at: datetime
    services: tuple[str, ...]


class World(NamedTuple):
    now: datetime
    episodes: tuple[Episode, ...] = ()
    policies: tuple[Policy, ...] = ()
    corrections: tuple[Correction, ...] = ()
    memberships: tuple[Membership, ...] = ()
    announcements: tuple[Announcement, ...] = ()
    occurrences: tuple[Occurrence, ...] = ()
    holidays: tuple[tuple[str, date], ...] = ()
    """Pairs of calendar and day."""

    def describe(self) -> str:
        """Returns the world as text, one value a line, to make a fixed test of it."""
        lines = [f"now={self.now!r}"]
        for name in self._fields[1:]:
            lines += [f"{name}: {one!r}" for one in getattr(self, name)]
        return "\n".join(lines)

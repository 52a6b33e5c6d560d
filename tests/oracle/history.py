"""A history: the steps that are executed on an installation, and the queries that are compared."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Literal, NamedTuple

from tests.oracle.rows import Check

Tier = Literal["raw", "15m", "hourly", "daily"]


class Service(NamedTuple):
    id: str
    retries: int = 0
    timeout_ms: int = 7000

    @property
    def one_check(self) -> timedelta:
        """The longest time of one check with its retries."""
        return timedelta(milliseconds=(1 + self.retries) * self.timeout_ms)


class Advance(NamedTuple):
    """The clock is set to a later time."""

    to: datetime


class Record(NamedTuple):
    """A prober records a batch."""

    batch: Sequence[Check]


class Refresh(NamedTuple):
    """The aggregates are refreshed."""


class DropOldRows(NamedTuple):
    """Raw rows older than the retention are dropped, in the units of the engine."""


class Interrupt(NamedTuple):
    """A service is paused or deleted."""

    service: str
    how: Literal["pause", "delete"]


class Resume(NamedTuple):
    """The service is resumed or added again."""

    service: str


class SetRetention(NamedTuple):
    """The retention of raw rows is changed."""

    retention: timedelta


class SetTimeZone(NamedTuple):
    """The reporting time zone is changed, also for past days and months."""

    zone: str


class Compare(NamedTuple):
    """The database is compared with the model."""


Step = Advance | Record | Refresh | DropOldRows | Interrupt | Resume | SetRetention | SetTimeZone | Compare


class Lookup(NamedTuple):
    """A query for response times."""

    tier: Tier
    start: datetime
    end: datetime
    step: timedelta


class History(NamedTuple):
    """An installation, its steps, and the queries that are compared. `calendars` are the parameters of the uptime
    calendar: the number of months and the start date."""

    zone: str
    begins: datetime
    services: Sequence[Service]
    locations: Sequence[str]
    steps: Sequence[Step]
    lookups: Sequence[Lookup] = ()
    calendars: Sequence[tuple[int, date | None]] = ((1, None),)
    retention: timedelta = timedelta(days=400)

    def crosses_a_change(self, changes: Sequence[datetime]) -> bool:
        """Returns whether checks lie before and after one of these times, within two days."""
        times = [one.at for step in self.steps if isinstance(step, Record) for one in step.batch]
        near = timedelta(days=2)
        return any(
            any(change - near <= at < change for at in times) and any(change <= at <= change + near for at in times)
            for change in changes
        )

    def describe(self) -> str:
        """Returns the history in readable form."""
        services = ", ".join(f"{one.id} (retries {one.retries})" for one in self.services)
        locations = ", ".join(self.locations)
        begins = f"{self.begins:%F %T}"
        lines = [f"{self.zone} from {begins}, {services}, {locations}, kept {self.retention.days} d"]
        for step in self.steps:
            match step:
                case Record(batch):
                    lines += [f"  {one.service} {one.location} {_when(one)}" for one in batch]
                case Advance(to):
                    lines.append(f"{to:%F %T.%f}")
                case _:
                    lines.append(str(step))
        return "\n".join(lines)


def _when(check: Check) -> str:
    ms = "" if check.total_ms is None else f" {check.total_ms} ms"
    return f"{check.at:%F %T} {check.severity} for {check.interval} s{ms}"

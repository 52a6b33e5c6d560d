"""A history: what is done to an installation, step by step, and what it is asked."""

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
        """How long one check can take."""
        return timedelta(milliseconds=(1 + self.retries) * self.timeout_ms)


class Advance(NamedTuple):
    """The clock goes on."""

    to: datetime


class Record(NamedTuple):
    """A prober writes a batch."""

    batch: Sequence[Check]


class Refresh(NamedTuple):
    """One round of the housekeeping of aggregates."""


class Clean(NamedTuple):
    """Raw rows older than the retention are dropped, as far as an engine drops them."""


class Interrupt(NamedTuple):
    """A service is paused, or deleted."""

    service: str
    how: Literal["pause", "delete"]


class GoOn(NamedTuple):
    """The service is looked at again, or entered again."""

    service: str


class Retain(NamedTuple):
    """Raw rows are kept for so long from now on."""

    retention: timedelta


class Rezone(NamedTuple):
    """Days and months belong to another zone from now on, those of the past too."""

    zone: str


class Look(NamedTuple):
    """Everything is compared."""


Step = Advance | Record | Refresh | Clean | Interrupt | GoOn | Retain | Rezone | Look


class Lookup(NamedTuple):
    """A question for response times."""

    tier: Tier
    start: datetime
    end: datetime
    step: timedelta


class History(NamedTuple):
    """`calendars` are the pairs of months and start date that the uptime calendar is asked for."""

    zone: str
    begins: datetime
    services: Sequence[Service]
    locations: Sequence[str]
    steps: Sequence[Step]
    asked: Sequence[Lookup] = ()
    calendars: Sequence[tuple[int, date | None]] = ((1, None),)
    retention: timedelta = timedelta(days=400)

    def crosses_a_change(self, turns: Sequence[datetime]) -> bool:
        """Whether rows lie before and after one of these moments, within two days."""
        times = [one.at for step in self.steps if isinstance(step, Record) for one in step.batch]
        near = timedelta(days=2)
        return any(
            any(turn - near <= at < turn for at in times) and any(turn <= at <= turn + near for at in times)
            for turn in turns
        )

    def told(self) -> str:
        """The history as a person writes it down."""
        services = ", ".join(f"{one.id} (retries {one.retries})" for one in self.services)
        places = ", ".join(self.locations)
        begins = f"{self.begins:%F %T}"
        lines = [f"{self.zone} from {begins}, {services}, {places}, kept {self.retention.days} d"]
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

"""Generates a history that the last release records: services, outages of every kind, gaps and late rows.

All days are counted back from `now`, and the last clock change is looked up, so the history works on any date.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ERRORS = ("timeout", "connection_error", "dns_error", "tls_error", "http_error", "assertion_failed", "unknown_error")
SERVICES = ("web", "mail", "shop", "intern", "gone", "live")
PUBLIC = ("web", "mail", "shop", "gone", "live")
LOCATIONS = {
    "web": ("local", "seoul"),
    "mail": ("local",),
    "shop": ("local", "seoul"),
    "intern": ("local",),
    "gone": ("local",),
}
QUIET = 2 * HOUR
"""The last hours of the history. All locations agree, so no state changes when their last checks expire."""


class CheckRow(NamedTuple):
    """One check that the last release records. All figures are computed from these. `at` is in seconds since 1970."""

    service: str
    location: str
    at: float
    interval: int
    severity: str
    total_ms: float | None
    error_type: str | None

    @property
    def key(self) -> tuple[str, str, float]:
        return self.service, self.location, self.at


@dataclass
class History:
    """The checks recorded in order, the late ones before the last housekeeping, and those after it (`pending`)."""

    zone: str
    now: datetime
    retention: timedelta
    clock_change: datetime
    in_order: list[CheckRow] = field(default_factory=list)
    late: list[CheckRow] = field(default_factory=list)
    pending: list[CheckRow] = field(default_factory=list)

    @property
    def rows(self) -> list[CheckRow]:
        return self.in_order + self.late + self.pending


def clock_change(zone: str, now: datetime) -> datetime:
    """Returns the last clock change of a zone that is at least three days old: after a more recent one, the aggregates
    of the last release on TimescaleDB hide some hours. In a zone without clock changes, the time 35 days ago."""
    local = ZoneInfo(zone)
    hour = now.replace(minute=0, second=0, microsecond=0) - 3 * DAY
    for _ in range(370 * 24):
        if (hour - HOUR).astimezone(local).utcoffset() != hour.astimezone(local).utcoffset():
            return hour
        hour -= HOUR
    return now.replace(minute=0, second=0, microsecond=0) - 35 * DAY


def european_zone(now: datetime) -> str:
    """Returns Europe/Berlin, or Asia/Kolkata if Berlin changes its clocks in the four days before or the two days after
    `now`."""
    berlin = ZoneInfo("Europe/Berlin")
    offsets = {(now - hours * HOUR).astimezone(berlin).utcoffset() for hours in range(-48, 97)}
    return "Europe/Berlin" if len(offsets) == 1 else "Asia/Kolkata"


def day_start(day: date, zone: str) -> datetime:
    """Returns the start of a local day. If midnight occurs twice, it is the first one."""
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def raw_ends(now: datetime, retention: timedelta) -> tuple[datetime, datetime]:
    """Returns the times of the oldest raw rows that a retention leaves: with chunks, which are dropped by day, and with
    partitions, which are dropped by month."""
    oldest = (now - retention).replace(hour=0, minute=0, second=0, microsecond=0)
    return oldest, oldest.replace(day=1)


def generate(zone: str, now: datetime, *, retention: timedelta, days: int, fine_days: int) -> History:
    """Returns a history of `days` days that ends `now`. An older clock change adds its whole day.

    `retention` is set after most checks are recorded. An outage spans the oldest raw row on either engine. Checks are
    five minutes apart in the last `fine_days` and around changes, otherwise a quarter of an hour.
    """
    rng = random.Random(f"{zone} {days}")
    created = History(zone, now, retention, clock_change(zone, now))
    begin = now.replace(hour=0, minute=0, second=0, microsecond=0) - days * DAY
    change_day = day_start(created.clock_change.astimezone(ZoneInfo(zone)).date(), zone)
    spans = [(begin, now)]
    if change_day - DAY < begin:
        spans.insert(0, (change_day - HOUR, min(change_day + DAY + 2 * HOUR, begin)))
    rows: list[CheckRow] = []
    for service, locations in LOCATIONS.items():
        for location in locations:
            for low, high in spans:
                rows += _line(created, service, location, low, high, fine_days, rng)
    rows.sort(key=lambda check: (check.at // 7200, check.location, check.at, check.service))
    oldest_late = (now - retention + 2 * DAY).timestamp()
    draws: dict[tuple[str, str, float], float] = {}
    for check in rows:
        # Two hours of one location are late together, as when a spool is replayed. No check is older than the shortened
        # retention, and the checks that begin or end an ongoing outage are in order.
        draw = draws.setdefault((check.service, check.location, check.at // 7200), rng.random())
        settled = check.at < (now - QUIET).timestamp()
        if draw < 0.01 and settled:
            created.late.append(check)
        elif draw < 0.03 and settled and check.at > oldest_late and check.service not in ("gone", "intern"):
            created.pending.append(check)
        else:
            created.in_order.append(check)
    rng.shuffle(created.late)
    rng.shuffle(created.pending)
    return created


def _line(
    created: History, service: str, location: str, low: datetime, high: datetime, fine_days: int, rng: random.Random
) -> Iterator[CheckRow]:
    """Yields the checks of one service from one location. Some are missing; a random severity lasts for a while."""
    interval = {"shop": 900, "gone": 600}.get(service, 300)
    at = int(low.timestamp()) // interval * interval + rng.choice((0, 7, 59))
    severity = "o"
    dense = [
        (created.clock_change - HOUR, created.clock_change + 2 * HOUR),
        (created.now - 3 * DAY, created.now - 3 * DAY + 3 * HOUR),
    ]
    fine = [
        (end - 6 * HOUR, end + 6 * HOUR) for end in (*raw_ends(created.now, created.retention), created.clock_change)
    ]
    fine.append((created.now - fine_days * DAY, created.now))
    while at < high.timestamp() - 20:
        moment = datetime.fromtimestamp(at, UTC)
        step = interval if any(first <= moment < last for first, last in fine) else max(interval, 900)
        if service == "shop" and any(first <= moment < last for first, last in dense):
            step = 60
        if rng.random() < 0.04:
            severity = rng.choice(("o", "o", "o", "po", "mo"))
        planned = _planned(created, service, moment)
        current = severity if planned is None else planned
        if current != "-" and rng.random() > 0.02:
            yield _check(service, location, at, step, current, rng)
        at += step


def _planned(created: History, service: str, moment: datetime) -> str | None:
    """Returns the severity planned for this moment, `-` for no check, None for a random severity."""
    age = created.now - moment
    if service == "mail":
        if any(end - 3 * HOUR <= moment < end + 2 * HOUR for end in raw_ends(created.now, created.retention)):
            return "mo"  # an outage across the oldest raw row
        if 6 * DAY <= age < 8 * DAY:
            return "-"  # no checks for two days, between two outages
        if 5.9 * DAY <= age < 8.1 * DAY:
            return "mo"
        return "mo" if age < HOUR else "o" if age < 2 * HOUR else None  # an ongoing outage
    if service == "intern":
        return "-" if age < 3 * DAY else "o" if age < 3.5 * DAY else None
    if service == "gone":
        if age < 4 * DAY or age > 12 * DAY:
            return "-"
        return "o" if age < 4.5 * DAY else None
    if age < QUIET + HOUR:
        return "o"
    if service == "shop" and age > 14 * DAY and abs(moment - created.clock_change) > 12 * HOUR:
        return "-"  # a new service, except for the night of the clock change
    if created.clock_change - HOUR / 2 <= moment < created.clock_change + HOUR / 2:
        return "mo"  # both locations, during the clock change
    return None


def _check(service: str, location: str, at: int, interval: int, severity: str, rng: random.Random) -> CheckRow:
    failed = severity == "mo"
    total_ms = None if failed else round(rng.lognormvariate(4.5, 0.8) * 16) / 16 + 0.0625
    error = ERRORS[at // 86400 % len(ERRORS)] if failed else None
    return CheckRow(service, location, float(at), interval, severity, total_ms, error)

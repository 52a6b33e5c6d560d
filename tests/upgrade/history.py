"""Sixty days that a last release has recorded, made up: zones, services, outages of every kind, gaps, late rows.

All days are counted back from `now`, and the clocks' last change is looked up, so that the history is one on any date.
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
PLACES = {
    "web": ("local", "seoul"),
    "mail": ("local",),
    "shop": ("local", "seoul"),
    "intern": ("local",),
    "gone": ("local",),
}
QUIET = 2 * HOUR
"""Before the end of the history: several locations agree, so that nothing changes when their last checks expire."""


class Fed(NamedTuple):
    """One check that is given to the last release: what all figures are computed from. `at` is seconds since 1970."""

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
    """What is recorded in order, what comes late but before the last housekeeping, and what comes after it."""

    zone: str
    now: datetime
    kept: timedelta
    turned: datetime
    in_order: list[Fed] = field(default_factory=list)
    late: list[Fed] = field(default_factory=list)
    pending: list[Fed] = field(default_factory=list)

    @property
    def rows(self) -> list[Fed]:
        return self.in_order + self.late + self.pending


def clock_change(zone: str, now: datetime) -> datetime:
    """When clocks were last turned there, at least three days ago: while that is younger, the last release's
    aggregates on TimescaleDB hide hours of it. In a zone where they never are, a moment 35 days ago."""
    local = ZoneInfo(zone)
    hour = now.replace(minute=0, second=0, microsecond=0) - 3 * DAY
    for _ in range(370 * 24):
        if (hour - HOUR).astimezone(local).utcoffset() != hour.astimezone(local).utcoffset():
            return hour
        hour -= HOUR
    return now.replace(minute=0, second=0, microsecond=0) - 35 * DAY


def european_zone(now: datetime) -> str:
    """Europe/Berlin, or where its clocks were turned in these days, one of the other half of the year."""
    berlin = ZoneInfo("Europe/Berlin")
    offsets = {(now - hours * HOUR).astimezone(berlin).utcoffset() for hours in range(-48, 97)}
    return "Europe/Berlin" if len(offsets) == 1 else "Asia/Kolkata"


def day_start(day: date, zone: str) -> datetime:
    """The first moment of a local day; of a midnight that comes twice, the first."""
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def raw_ends(now: datetime, kept: timedelta) -> tuple[datetime, datetime]:
    """Where raw rows begin under a retention: chunks are dropped by days, partitions by months."""
    oldest = (now - kept).replace(hour=0, minute=0, second=0, microsecond=0)
    return oldest, oldest.replace(day=1)


def made_up(zone: str, now: datetime, *, kept: timedelta, days: int, fine_days: int) -> History:
    """A history of `days` days that ends `now`, with the whole day of the clocks' last change, if that was before.

    `kept` is the retention it will have been shortened to; outages lie across where it ends, on either engine. Checks
    are five minutes apart in the last `fine_days` and where something happens, else a quarter of an hour.
    """
    dice = random.Random(f"{zone} {days}")
    made = History(zone, now, kept, clock_change(zone, now))
    begin = now.replace(hour=0, minute=0, second=0, microsecond=0) - days * DAY
    turned = day_start(made.turned.astimezone(ZoneInfo(zone)).date(), zone)
    spans = [(begin, now)]
    if turned - DAY < begin:
        spans.insert(0, (turned - HOUR, min(turned + DAY + 2 * HOUR, begin)))
    rows: list[Fed] = []
    for service, places in PLACES.items():
        for location in places:
            for low, high in spans:
                rows += _line(made, service, location, low, high, fine_days, dice)
    rows.sort(key=lambda fed: (fed.at // 7200, fed.location, fed.at, fed.service))
    refusal = (now - kept + 2 * DAY).timestamp()
    held: dict[tuple[str, str, float], float] = {}
    for fed in rows:
        # Two hours of one location are late together, as when a spool is replayed. Nothing is later than the shortened
        # retention allows, and what ends an outage that goes on is not held back.
        luck = held.setdefault((fed.service, fed.location, fed.at // 7200), dice.random())
        settled = fed.at < (now - QUIET).timestamp()
        if luck < 0.01 and settled:
            made.late.append(fed)
        elif luck < 0.03 and settled and fed.at > refusal and fed.service not in ("gone", "intern"):
            made.pending.append(fed)
        else:
            made.in_order.append(fed)
    dice.shuffle(made.late)
    dice.shuffle(made.pending)
    return made


def _line(
    made: History, service: str, location: str, low: datetime, high: datetime, fine_days: int, dice: random.Random
) -> Iterator[Fed]:
    """One location's checks of one service, some of them missing, with moods that last a while."""
    interval = {"shop": 900, "gone": 600}.get(service, 300)
    at = int(low.timestamp()) // interval * interval + dice.choice((0, 7, 59))
    severity = "o"
    dense = [(made.turned - HOUR, made.turned + 2 * HOUR), (made.now - 3 * DAY, made.now - 3 * DAY + 3 * HOUR)]
    fine = [(end - 6 * HOUR, end + 6 * HOUR) for end in (*raw_ends(made.now, made.kept), made.turned)]
    fine.append((made.now - fine_days * DAY, made.now))
    while at < high.timestamp() - 20:
        moment = datetime.fromtimestamp(at, UTC)
        here = interval if any(first <= moment < last for first, last in fine) else max(interval, 900)
        if service == "shop" and any(first <= moment < last for first, last in dense):
            here = 60
        if dice.random() < 0.04:
            severity = dice.choice(("o", "o", "o", "po", "mo"))
        told = _told(made, service, moment)
        spoken = severity if told is None else told
        if spoken != "-" and dice.random() > 0.02:
            yield _fed(service, location, at, here, spoken, dice)
        at += here


def _told(made: History, service: str, moment: datetime) -> str | None:
    """What must happen at this moment: a severity, `-` for no check, None for whatever the dice say."""
    age = made.now - moment
    if service == "mail":
        if any(end - 3 * HOUR <= moment < end + 2 * HOUR for end in raw_ends(made.now, made.kept)):
            return "mo"  # an outage across the end of the raw rows
        if 6 * DAY <= age < 8 * DAY:
            return "-"  # nobody looked for two days, and it was out before and after
        if 5.9 * DAY <= age < 8.1 * DAY:
            return "mo"
        return "mo" if age < HOUR else "o" if age < 2 * HOUR else None  # and is out now
    if service == "intern":
        return "-" if age < 3 * DAY else "o" if age < 3.5 * DAY else None
    if service == "gone":
        if age < 4 * DAY or age > 12 * DAY:
            return "-"
        return "o" if age < 4.5 * DAY else None
    if age < QUIET + HOUR:
        return "o"
    if service == "shop" and age > 14 * DAY and abs(moment - made.turned) > 12 * HOUR:
        return "-"  # new, but for the night when clocks were turned
    if made.turned - HOUR / 2 <= moment < made.turned + HOUR / 2:
        return "mo"  # both locations, while clocks are turned
    return None


def _fed(service: str, location: str, at: int, interval: int, severity: str, dice: random.Random) -> Fed:
    failed = severity == "mo"
    total_ms = None if failed else round(dice.lognormvariate(4.5, 0.8) * 16) / 16 + 0.0625
    error = ERRORS[at // 86400 % len(ERRORS)] if failed else None
    return Fed(service, location, float(at), interval, severity, total_ms, error)

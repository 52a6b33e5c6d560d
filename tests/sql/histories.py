"""Made-up histories of checks around the changes of clocks, and what their figures must be, computed without SQL."""

import itertools
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tests.sql.batches import DAY, QUARTER, Row, now, row

# Zones whose days begin in other ways than at one midnight are for tests/oracle.
ZONES = ("UTC", "Europe/Vienna", "Asia/Kolkata", "America/St_Johns", "Australia/Lord_Howe")
INTERVAL_S = 300
SERVICES = ("web", "mail")
LOCATIONS = ("local", "seoul")
YEAR = timedelta(days=366)
ORDER = "o", "po", "mo"


class Figures(NamedTuple):
    """One row of checks_15m, checks_hourly or checks_daily, without its key."""

    checks: int
    operational: int
    degraded: int
    failed: int
    worst: str
    covered_seconds: int
    degraded_seconds: int
    down_seconds: int
    good: int
    sum_ms: float
    min_ms: float | None
    max_ms: float | None


@cache
def clock_changes(zone: str) -> list[datetime]:
    """When clocks were turned in the last year; in a zone where they never are, a moment all the same."""
    local = ZoneInfo(zone)
    hours = [now().replace(minute=0, second=0) - timedelta(hours=hour) for hour in range(48, 366 * 24)]
    turned = [
        later
        for later, earlier in itertools.pairwise(hours)
        if later.astimezone(local).utcoffset() != earlier.astimezone(local).utcoffset()
    ]
    return turned or [now().replace(minute=0, second=0) - 40 * DAY]


def day_start(day: date, zone: str) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def history(zone: str, dice: random.Random) -> list[Row]:
    """Two services seen from two places: the whole days of each change of clocks, and the last hours."""
    spans = []
    for turned in clock_changes(zone):
        day = turned.astimezone(ZoneInfo(zone)).date()
        spans.append((day_start(day, zone) - timedelta(hours=2), day_start(day + DAY, zone) + timedelta(hours=2)))
    spans.append((quarter_of_now() - timedelta(hours=5), now() - timedelta(seconds=30)))
    rows = []
    for service, location in itertools.product(SERVICES, LOCATIONS):
        for low, high in spans:
            rows += list(one_line(service, location, low, high, dice))
    return rows


def quarter_of_now() -> datetime:
    return now() - timedelta(seconds=now().timestamp() % QUARTER.total_seconds())


def one_line(service: str, location: str, low: datetime, high: datetime, dice: random.Random) -> Iterator[Row]:
    """One check each five minutes, some of them missing, with moods that last a while."""
    severity = "o"
    at = low + timedelta(seconds=dice.choice((0, 7, 59)))
    while at < high:
        if dice.random() < 0.1:
            severity = dice.choice(("o", "o", "po", "mo", "mo"))
        if dice.random() > 0.04:
            seen = certificate(at, dice) if dice.random() < 0.1 else {}
            times = {} if severity == "mo" else measured(dice)
            yield row(at, severity, service=service, location=location, interval_seconds=INTERVAL_S, **times, **seen)
        at += timedelta(seconds=INTERVAL_S)


def measured(dice: random.Random) -> dict[str, float | None]:
    """The times of a good check; a phase in ten did not happen."""
    names = ("dns_ms", "connect_ms", "tls_ms", "first_byte_ms")
    phases = {name: dice.randrange(1, 400) / 16 if dice.random() > 0.1 else None for name in names}
    return {"total_ms": round(dice.lognormvariate(4.5, 0.8) * 16) / 16, **phases}


def certificate(at: datetime, dice: random.Random) -> dict[str, object]:
    """What a check saw of a certificate, now and then from another issuer."""
    issuer = dice.choice((None, "Acme", "Initech"))
    return {"certificate_expires_at": at + dice.randint(1, 90) * DAY, "certificate_issuer": issuer}


def batches(rows: Sequence[Row], dice: random.Random) -> list[list[Row]]:
    """The rows in runs of random length and order; some come again, some change places with their neighbours."""
    runs, first = [], 0
    while first < len(rows):
        length = dice.randint(1, 150)
        run = list(rows[first : first + length])
        if dice.random() < 0.5:
            dice.shuffle(run)
        runs.append(run + dice.sample(rows[: first + length], min(5, first + length)))
        first += length
    dice.shuffle(runs)
    return runs


def figures(rows: Sequence[Row], bucket: str, zone: str) -> dict[tuple[datetime, str, str], Figures]:
    """What checks_15m (`bucket` quarter), checks_hourly (hour) or checks_daily (day) must say of these rows."""
    groups: dict[tuple[datetime, str, str], list[Row]] = defaultdict(list)
    for one in rows:
        assert one.scheduled_at is not None and one.service_id is not None and one.location is not None
        groups[start_of(bucket, one.scheduled_at, zone), one.service_id, one.location].append(one)
    return {key: added_up(group) for key, group in groups.items()}


def start_of(bucket: str, at: datetime, zone: str) -> datetime:
    local = at.astimezone(ZoneInfo(zone))
    if bucket == "day":
        return day_start(local.date(), zone)
    length = QUARTER if bucket == "quarter" else timedelta(hours=1)
    return at - timedelta(seconds=at.timestamp() % length.total_seconds())


def added_up(rows: Sequence[Row]) -> Figures:
    counts = {severity: sum(one.severity == severity for one in rows) for severity in ORDER}
    good = [one.total_ms for one in rows if one.success and one.total_ms is not None]
    return Figures(
        checks=len(rows),
        operational=counts["o"],
        degraded=counts["po"],
        failed=counts["mo"],
        worst=max((one.severity or "o" for one in rows), key=ORDER.index),
        covered_seconds=len(rows) * INTERVAL_S,
        degraded_seconds=counts["po"] * INTERVAL_S,
        down_seconds=counts["mo"] * INTERVAL_S,
        good=len(good),
        sum_ms=sum(good),
        min_ms=min(good, default=None),
        max_ms=max(good, default=None),
    )


def phases(rows: Sequence[Row], bucket: str, zone: str) -> dict[tuple[datetime, str, str], tuple[float, ...]]:
    """What phases_15m, phases_hourly or phases_daily must say of these rows."""
    sums: dict[tuple[datetime, str, str], list[float]] = defaultdict(lambda: [0.0] * 6)
    for one in rows:
        if one.success and one.total_ms is not None and one.first_byte_ms is not None:
            assert one.scheduled_at is not None and one.service_id is not None and one.location is not None
            times = (1, one.total_ms, one.dns_ms, one.connect_ms, one.tls_ms, one.first_byte_ms)
            key = start_of(bucket, one.scheduled_at, zone), one.service_id, one.location
            sums[key] = [known + (ms or 0) for known, ms in zip(sums[key], times, strict=True)]
    return {key: tuple(known) for key, known in sums.items()}


class Story(NamedTuple):
    """What the rows of one service say: its outages and its last state. (`since` is not part of it: rows that are
    replayed after an interruption are not searched for the beginning of a state that has not changed.)"""

    outages: list[tuple[datetime, datetime | None]]
    state: str


def story(rows: Iterable[Row], moment: datetime) -> Story:
    """The rules of states and outages, played through without a database. A location's vote is its last check, until
    that is two intervals and a minute old."""
    lines: dict[str | None, list[Row]] = defaultdict(list)
    for one in sorted(rows, key=lambda one: one.scheduled_at or moment):
        lines[one.location].append(one)
    turns: dict[datetime, dict[str | None, str | None]] = defaultdict(dict)
    for location, line in lines.items():
        for one, following in itertools.zip_longest(line, line[1:]):
            assert one.scheduled_at is not None and one.interval_seconds is not None
            turns[one.scheduled_at][location] = one.severity
            dies_at = one.scheduled_at + timedelta(seconds=2 * one.interval_seconds + 60)
            replaced_at = following.scheduled_at if following else None
            if dies_at < replaced_at if replaced_at else dies_at <= moment:
                turns[dies_at][location] = None
    votes: dict[str | None, str | None] = {}
    episodes: list[tuple[datetime, datetime | None]] = []
    state = "unknown"
    for turn, changed in sorted(turns.items()):
        votes |= changed
        state = verdict([vote for vote in votes.values() if vote])
        is_out = bool(episodes) and episodes[-1][1] is None
        if state == "outage" and not is_out:
            episodes.append((turn, None))
        elif state in ("operational", "degraded") and is_out:
            episodes[-1] = (episodes[-1][0], turn)
    return Story(episodes, state)


def verdict(votes: Sequence[str]) -> str:
    if not votes:
        return "unknown"
    if votes.count("mo") * 2 > len(votes):
        return "outage"
    return "operational" if set(votes) == {"o"} else "degraded"

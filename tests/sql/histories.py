"""Random histories of checks around changes of clocks, and their expected figures, computed in Python."""

import itertools
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tests.sql.batches import DAY, QUARTER, Row, now, row

# tests/oracle has the zones whose days do not begin at a single midnight.
ZONES = ("UTC", "Europe/Vienna", "Asia/Kolkata", "America/St_Johns", "Australia/Lord_Howe")
INTERVAL_S = 300
SERVICES = ("web", "mail")
LOCATIONS = ("local", "seoul")
YEAR = timedelta(days=366)
ORDER = "o", "po", "mo"


class Figures(NamedTuple):
    """One row of checks_15m, checks_hourly or checks_daily, without its key. The fields are names of columns."""

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
    """Returns the changes of clocks in the last year, or one other time in a zone without changes."""
    local = ZoneInfo(zone)
    hours = [now().replace(minute=0, second=0) - timedelta(hours=hour) for hour in range(48, 366 * 24)]
    change = [
        later
        for later, earlier in itertools.pairwise(hours)
        if later.astimezone(local).utcoffset() != earlier.astimezone(local).utcoffset()
    ]
    return change or [now().replace(minute=0, second=0) - 40 * DAY]


def day_start(day: date, zone: str) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def history(zone: str, rng: random.Random) -> list[Row]:
    """Returns checks of two services and two locations for the whole days of each change of clocks and the last
    hours."""
    spans = []
    for change in clock_changes(zone):
        day = change.astimezone(ZoneInfo(zone)).date()
        spans.append((day_start(day, zone) - timedelta(hours=2), day_start(day + DAY, zone) + timedelta(hours=2)))
    spans.append((quarter_of_now() - timedelta(hours=5), now() - timedelta(seconds=30)))
    rows = []
    for service, location in itertools.product(SERVICES, LOCATIONS):
        for low, high in spans:
            rows += list(one_line(service, location, low, high, rng))
    return rows


def quarter_of_now() -> datetime:
    return now() - timedelta(seconds=now().timestamp() % QUARTER.total_seconds())


def one_line(service: str, location: str, low: datetime, high: datetime, rng: random.Random) -> Iterator[Row]:
    """Yields one check every five minutes, some of them missing, with severities that last for some time."""
    severity = "o"
    at = low + timedelta(seconds=rng.choice((0, 7, 59)))
    while at < high:
        if rng.random() < 0.1:
            severity = rng.choice(("o", "o", "po", "mo", "mo"))
        if rng.random() > 0.04:
            details = certificate(at, rng) if rng.random() < 0.1 else {}
            times = {} if severity == "mo" else measured(rng)
            yield row(at, severity, service=service, location=location, interval_seconds=INTERVAL_S, **times, **details)
        at += timedelta(seconds=INTERVAL_S)


def measured(rng: random.Random) -> dict[str, float | None]:
    """Returns the times of a successful check. One phase in ten is missing."""
    names = ("dns_ms", "connect_ms", "tls_ms", "first_byte_ms")
    phases = {name: rng.randrange(1, 400) / 16 if rng.random() > 0.1 else None for name in names}
    return {"total_ms": round(rng.lognormvariate(4.5, 0.8) * 16) / 16, **phases}


def certificate(at: datetime, rng: random.Random) -> dict[str, object]:
    """Returns the certificate of a check, sometimes of another issuer."""
    issuer = rng.choice((None, "Acme", "Initech"))
    return {"certificate_expires_at": at + rng.randint(1, 90) * DAY, "certificate_issuer": issuer}


def batches(rows: Sequence[Row], rng: random.Random) -> list[list[Row]]:
    """Returns the rows in batches of random length and order. Some rows are repeated."""
    runs, first = [], 0
    while first < len(rows):
        length = rng.randint(1, 150)
        run = list(rows[first : first + length])
        if rng.random() < 0.5:
            rng.shuffle(run)
        runs.append(run + rng.sample(rows[: first + length], min(5, first + length)))
        first += length
    rng.shuffle(runs)
    return runs


def figures(rows: Sequence[Row], bucket: str, zone: str) -> dict[tuple[datetime, str, str], Figures]:
    """Returns the expected rows of checks_15m (`bucket` quarter), checks_hourly (hour) or checks_daily (day)."""
    groups: dict[tuple[datetime, str, str], list[Row]] = defaultdict(list)
    for one in rows:
        assert one.scheduled_at is not None and one.service_id is not None and one.location is not None
        groups[start_of(bucket, one.scheduled_at, zone), one.service_id, one.location].append(one)
    return {key: summed(group) for key, group in groups.items()}


def start_of(bucket: str, at: datetime, zone: str) -> datetime:
    local = at.astimezone(ZoneInfo(zone))
    if bucket == "day":
        return day_start(local.date(), zone)
    length = QUARTER if bucket == "quarter" else timedelta(hours=1)
    return at - timedelta(seconds=at.timestamp() % length.total_seconds())


def summed(rows: Sequence[Row]) -> Figures:
    counts = {severity: sum(one.severity == severity for one in rows) for severity in ORDER}
    times = [one.total_ms for one in rows if one.success and one.total_ms is not None]
    return Figures(
        checks=len(rows),
        operational=counts["o"],
        degraded=counts["po"],
        failed=counts["mo"],
        worst=max((one.severity or "o" for one in rows), key=ORDER.index),
        covered_seconds=len(rows) * INTERVAL_S,
        degraded_seconds=counts["po"] * INTERVAL_S,
        down_seconds=counts["mo"] * INTERVAL_S,
        good=len(times),
        sum_ms=sum(times),
        min_ms=min(times, default=None),
        max_ms=max(times, default=None),
    )


def phases(rows: Sequence[Row], bucket: str, zone: str) -> dict[tuple[datetime, str, str], tuple[float, ...]]:
    """Returns the expected rows of phases_15m, phases_hourly or phases_daily."""
    sums: dict[tuple[datetime, str, str], list[float]] = defaultdict(lambda: [0.0] * 6)
    for one in rows:
        if one.success and one.total_ms is not None and one.first_byte_ms is not None:
            assert one.scheduled_at is not None and one.service_id is not None and one.location is not None
            times = (1, one.total_ms, one.dns_ms, one.connect_ms, one.tls_ms, one.first_byte_ms)
            key = start_of(bucket, one.scheduled_at, zone), one.service_id, one.location
            sums[key] = [values + (ms or 0) for values, ms in zip(sums[key], times, strict=True)]
    return {key: tuple(values) for key, values in sums.items()}


class StateHistory(NamedTuple):
    """The outages and the last state of one service. `since` is left out: replayed rows are not searched for the start
    of a state that has not changed."""

    outages: list[tuple[datetime, datetime | None]]
    state: str


def state_history(rows: Iterable[Row], moment: datetime) -> StateHistory:
    """Computes states and outages from checks. The vote of a location is its last check, for two intervals and a
    minute."""
    lines: dict[str | None, list[Row]] = defaultdict(list)
    for one in sorted(rows, key=lambda one: one.scheduled_at or moment):
        lines[one.location].append(one)
    votes_at: dict[datetime, dict[str | None, str | None]] = defaultdict(dict)
    for location, line in lines.items():
        for one, following in itertools.zip_longest(line, line[1:]):
            assert one.scheduled_at is not None and one.interval_seconds is not None
            votes_at[one.scheduled_at][location] = one.severity
            expires_at = one.scheduled_at + timedelta(seconds=2 * one.interval_seconds + 60)
            replaced_at = following.scheduled_at if following else None
            if expires_at < replaced_at if replaced_at else expires_at <= moment:
                votes_at[expires_at][location] = None
    votes: dict[str | None, str | None] = {}
    episodes: list[tuple[datetime, datetime | None]] = []
    state = "unknown"
    for at, changed in sorted(votes_at.items()):
        votes |= changed
        state = verdict([vote for vote in votes.values() if vote])
        is_out = bool(episodes) and episodes[-1][1] is None
        if state == "outage" and not is_out:
            episodes.append((at, None))
        elif state in ("operational", "degraded") and is_out:
            episodes[-1] = (episodes[-1][0], at)
    return StateHistory(episodes, state)


def verdict(votes: Sequence[str]) -> str:
    if not votes:
        return "unknown"
    if votes.count("mo") * 2 > len(votes):
        return "outage"
    return "operational" if set(votes) == {"o"} else "degraded"

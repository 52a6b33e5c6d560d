"""Computes the expected figures in plain Python, from the recorded checks and the rules of the product."""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tests.upgrade.history import PUBLIC, CheckRow, day_start

ORDER = "o", "po", "mo"
QUARTER_S = 900
Place = tuple[str, str]
"""A service and a location."""


@dataclass
class Sums:
    """The sums of some checks of one service and location: the columns of checks_15m after the key."""

    checks: int = 0
    operational: int = 0
    degraded: int = 0
    failed: int = 0
    worst: str = "o"
    covered: int = 0
    degraded_s: int = 0
    down_s: int = 0
    good: int = 0
    sum_ms: float = 0.0
    min_ms: float | None = None
    max_ms: float | None = None

    def add(self, check: CheckRow) -> None:
        self.checks += 1
        self.covered += check.interval
        self.worst = max(self.worst, check.severity, key=ORDER.index)
        if check.severity == "o":
            self.operational += 1
        elif check.severity == "po":
            self.degraded += 1
            self.degraded_s += check.interval
        else:
            self.failed += 1
            self.down_s += check.interval
        if check.total_ms is not None:
            self.good += 1
            self.sum_ms += check.total_ms
            self.min_ms = check.total_ms if self.min_ms is None else min(self.min_ms, check.total_ms)
            self.max_ms = check.total_ms if self.max_ms is None else max(self.max_ms, check.total_ms)

    def columns(self) -> tuple[object, ...]:
        return tuple(vars(self).values())


class Span(NamedTuple):
    """An outage; times are in seconds since 1970."""

    started: float
    ended: float | None
    error: str | None
    """None if any error is correct, because the outage began without a failed check at that moment."""


def latency_bin(ms: float) -> int:
    return math.ceil(math.log(ms) / math.log(1.04))


class Ledger:
    """Checks and their figures. A second check with the same key is ignored."""

    def __init__(self, zone: str, rows: Iterable[CheckRow] = ()) -> None:
        self.zone = zone
        self.rows: dict[tuple[str, str, float], CheckRow] = {}
        self.quarters: dict[tuple[str, str, int], Sums] = defaultdict(Sums)
        self.days: dict[tuple[str, str, date], Sums] = defaultdict(Sums)
        self.bins: dict[tuple[str, str, date, int], int] = defaultdict(int)
        self._local = ZoneInfo(zone)
        self._outages: dict[str, tuple[int, list[Span]]] = {}
        self._counts: dict[str, int] = defaultdict(int)
        self.add(rows)

    def add(self, rows: Iterable[CheckRow]) -> None:
        for check in rows:
            if check.key in self.rows:
                continue
            self.rows[check.key] = check
            self._counts[check.service] += 1
            day = self.day_of(check.at)
            self.quarters[check.service, check.location, int(check.at // QUARTER_S) * QUARTER_S].add(check)
            self.days[check.service, check.location, day].add(check)
            if check.total_ms is not None:
                self.bins[check.service, check.location, day, latency_bin(check.total_ms)] += 1

    def copy(self) -> "Ledger":
        """An independent copy, to which other rows can be added."""
        created = Ledger(self.zone)
        created.rows, created._counts, created._outages = self.rows.copy(), self._counts.copy(), self._outages.copy()
        created.quarters.update({key: replace(sums) for key, sums in self.quarters.items()})
        created.days.update({key: replace(sums) for key, sums in self.days.items()})
        created.bins.update(self.bins)
        return created

    def day_of(self, at: float) -> date:
        """The local day of a moment."""
        return datetime.fromtimestamp(at, self._local).date()

    def of_services(self) -> dict[tuple[str, date], tuple[object, ...]]:
        """The rows of service_days: the sums over all locations, by service and day."""
        groups: dict[tuple[str, date], list[Sums]] = defaultdict(list)
        for (service, _, day), sums in self.days.items():
            groups[service, day].append(sums)
        return {key: (day_start(key[1], self.zone), len(sums), *total_of(sums)) for key, sums in groups.items()}

    def calendar(self, service: str | None) -> dict[tuple[date, date | None], tuple[str, str, int]]:
        """The result of uptime/months for one public service, or for all: (month, day or None) -> status, uptime,
        checks."""
        groups: dict[tuple[date, date | None], list[Sums]] = defaultdict(list)
        for (name, _, day), sums in self.days.items():
            if name in PUBLIC and name != "gone" and service in (None, name):
                groups[day.replace(day=1), day].append(sums)
                groups[day.replace(day=1), None].append(sums)
        return {key: calendar_figures(sums) for key, sums in groups.items()}

    def outages(self, service: str, moment: float) -> list[Span]:
        """The outages of a service; `moment` is the current time."""
        count, spans = self._outages.get(service, (-1, []))
        if count != self._counts[service]:
            spans = outages_of([check for check in self.rows.values() if check.service == service], moment)
            self._outages[service] = self._counts[service], spans
        return spans


def total_of(sums: Sequence[Sums]) -> tuple[object, ...]:
    """The total of several sums, in the column order of `Sums`."""
    return (
        sum(part.checks for part in sums),
        sum(part.operational for part in sums),
        sum(part.degraded for part in sums),
        sum(part.failed for part in sums),
        max((part.worst for part in sums), key=ORDER.index),
        sum(part.covered for part in sums),
        sum(part.degraded_s for part in sums),
        sum(part.down_s for part in sums),
        sum(part.good for part in sums),
        sum(part.sum_ms for part in sums),
        min((part.min_ms for part in sums if part.min_ms is not None), default=None),
        max((part.max_ms for part in sums if part.max_ms is not None), default=None),
    )


def calendar_figures(sums: Sequence[Sums]) -> tuple[str, str, int]:
    """The worst status, the uptime and the number of checks, as the calendar shows them."""
    covered, down = sum(part.covered for part in sums), sum(part.down_s for part in sums)
    worst = max((part.worst for part in sums), key=ORDER.index)
    return worst, percent(covered, down), sum(part.checks for part in sums)


def percent(covered: int, down: int) -> str:
    """Returns the uptime in percent with two decimals, rounded down, or a dash without data."""
    if not covered:
        return "-"
    hundredths = (covered - down) * 10000 // covered
    return f"{hundredths // 100}.{hundredths % 100:02}"


def outages_of(rows: Iterable[CheckRow], moment: float) -> list[Span]:
    """The outages of one service. The vote of a location is its last check, until that is two intervals and a minute
    old. The service is out while more than half of the votes are failures. A time without votes neither begins nor ends
    an outage."""
    lines: dict[str, list[CheckRow]] = defaultdict(list)
    for check in sorted(rows, key=lambda check: check.at):
        lines[check.location].append(check)
    votes_at: dict[float, dict[str, str | None]] = defaultdict(dict)
    errors: dict[float, list[str]] = defaultdict(list)
    for location, line in lines.items():
        for place, check in enumerate(line):
            votes_at[check.at][location] = check.severity
            if check.error_type:
                errors[check.at].append(check.error_type)
            expires_at = check.at + 2 * check.interval + 60
            replaced_at = line[place + 1].at if place + 1 < len(line) else None
            if expires_at < replaced_at if replaced_at is not None else expires_at <= moment:
                votes_at[expires_at].setdefault(location, None)
    votes: dict[str, str | None] = {}
    spans: list[Span] = []
    for at, changed in sorted(votes_at.items()):
        votes |= changed
        current = [vote for vote in votes.values() if vote]
        is_out = bool(spans) and spans[-1].ended is None
        if not current:
            continue
        if current.count("mo") * 2 > len(current):
            if not is_out:
                spans.append(Span(at, None, max(errors[at], default=None)))
        elif is_out:
            spans[-1] = spans[-1]._replace(ended=at)
    return spans


class StateChange(NamedTuple):
    """The state of one location from `starts` until the next change."""

    starts: float
    state: str


STATES = {"o": "operational", "po": "degraded", "mo": "outage"}


def episodes(rows: Iterable[CheckRow]) -> dict[Place, list[StateChange]]:
    """The states of each service and location. A check is valid until the next one, at most for its interval; the time
    without a valid check is unknown. The last state has no end."""
    lines: dict[Place, list[CheckRow]] = defaultdict(list)
    for check in sorted(rows, key=lambda check: check.at):
        lines[check.service, check.location].append(check)
    created: dict[Place, list[StateChange]] = {}
    for place, line in lines.items():
        steps: list[StateChange] = []
        for check, following in zip(line, [*line[1:], None], strict=True):
            steps.append(StateChange(check.at, STATES[check.severity]))
            if following is not None and check.at + check.interval < following.at:
                steps.append(StateChange(check.at + check.interval, "unknown"))
        created[place] = merged(steps)
    return created


def merged(steps: Iterable[StateChange]) -> list[StateChange]:
    """Merges adjacent entries of the same state."""
    changes: list[StateChange] = []
    for step in steps:
        if not changes or changes[-1].state != step.state:
            changes.append(step)
    return changes


def since(changes: Sequence[StateChange], at: float) -> list[StateChange]:
    """Returns the states from `at` on. The first one begins at `at`."""
    place = bisect_right([change.starts for change in changes], at)
    first = [StateChange(at, changes[place - 1].state)] if place else []
    return merged([*first, *changes[place:]])


def utc(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)

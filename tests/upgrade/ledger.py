"""What every figure must be, computed in plain Python from the checks that were fed, by the rules of the product."""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tests.upgrade.history import PUBLIC, Fed, day_start

ORDER = "o", "po", "mo"
QUARTER_S = 900
Place = tuple[str, str]


@dataclass
class Sums:
    """What some checks of one service and location come to: the columns of checks_15m behind its key."""

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

    def add(self, fed: Fed) -> None:
        self.checks += 1
        self.covered += fed.interval
        self.worst = max(self.worst, fed.severity, key=ORDER.index)
        if fed.severity == "o":
            self.operational += 1
        elif fed.severity == "po":
            self.degraded += 1
            self.degraded_s += fed.interval
        else:
            self.failed += 1
            self.down_s += fed.interval
        if fed.total_ms is not None:
            self.good += 1
            self.sum_ms += fed.total_ms
            self.min_ms = fed.total_ms if self.min_ms is None else min(self.min_ms, fed.total_ms)
            self.max_ms = fed.total_ms if self.max_ms is None else max(self.max_ms, fed.total_ms)

    def columns(self) -> tuple[object, ...]:
        return tuple(vars(self).values())


class Span(NamedTuple):
    """An outage."""

    started: float
    ended: float | None
    error: str | None
    """None where it may be any: the outage began without a failed check of that moment."""


def latency_bin(ms: float) -> int:
    return math.ceil(math.log(ms) / math.log(1.04))


class Ledger:
    """The checks that are known, and their figures. A key that comes again changes nothing."""

    def __init__(self, zone: str, rows: Iterable[Fed] = ()) -> None:
        self.zone = zone
        self.rows: dict[tuple[str, str, float], Fed] = {}
        self.quarters: dict[tuple[str, str, int], Sums] = defaultdict(Sums)
        self.days: dict[tuple[str, str, date], Sums] = defaultdict(Sums)
        self.bins: dict[tuple[str, str, date, int], int] = defaultdict(int)
        self._local = ZoneInfo(zone)
        self._stories: dict[str, tuple[int, list[Span]]] = {}
        self._counts: dict[str, int] = defaultdict(int)
        self.add(rows)

    def add(self, rows: Iterable[Fed]) -> None:
        for fed in rows:
            if fed.key in self.rows:
                continue
            self.rows[fed.key] = fed
            self._counts[fed.service] += 1
            day = self.day_of(fed.at)
            self.quarters[fed.service, fed.location, int(fed.at // QUARTER_S) * QUARTER_S].add(fed)
            self.days[fed.service, fed.location, day].add(fed)
            if fed.total_ms is not None:
                self.bins[fed.service, fed.location, day, latency_bin(fed.total_ms)] += 1

    def copy(self) -> "Ledger":
        """One of its own, to which other rows can be added."""
        made = Ledger(self.zone)
        made.rows, made._counts, made._stories = self.rows.copy(), self._counts.copy(), self._stories.copy()
        made.quarters.update({key: replace(sums) for key, sums in self.quarters.items()})
        made.days.update({key: replace(sums) for key, sums in self.days.items()})
        made.bins.update(self.bins)
        return made

    def day_of(self, at: float) -> date:
        """The local day whose bounds the moment lies in."""
        return datetime.fromtimestamp(at, self._local).date()

    def of_services(self) -> dict[tuple[str, date], tuple[object, ...]]:
        """service_days, without what every view may have beside: the locations added up."""
        groups: dict[tuple[str, date], list[Sums]] = defaultdict(list)
        for (service, _, day), sums in self.days.items():
            groups[service, day].append(sums)
        return {key: (day_start(key[1], self.zone), len(sums), *added_up(sums)) for key, sums in groups.items()}

    def calendar(self, service: str | None) -> dict[tuple[date, date | None], tuple[str, str, int]]:
        """uptime/months of one public service, or of all: (month, day or None) -> status, uptime, checks."""
        groups: dict[tuple[date, date | None], list[Sums]] = defaultdict(list)
        for (name, _, day), sums in self.days.items():
            if name in PUBLIC and name != "gone" and service in (None, name):
                groups[day.replace(day=1), day].append(sums)
                groups[day.replace(day=1), None].append(sums)
        return {key: shown(sums) for key, sums in groups.items()}

    def outages(self, service: str, moment: float) -> list[Span]:
        """The outages of a service; `moment` is the present."""
        count, known = self._stories.get(service, (-1, []))
        if count != self._counts[service]:
            known = story([fed for fed in self.rows.values() if fed.service == service], moment)
            self._stories[service] = self._counts[service], known
        return known


def added_up(several: Sequence[Sums]) -> tuple[object, ...]:
    """The columns of several places together, in the order of `Sums`."""
    return (
        sum(one.checks for one in several),
        sum(one.operational for one in several),
        sum(one.degraded for one in several),
        sum(one.failed for one in several),
        max((one.worst for one in several), key=ORDER.index),
        sum(one.covered for one in several),
        sum(one.degraded_s for one in several),
        sum(one.down_s for one in several),
        sum(one.good for one in several),
        sum(one.sum_ms for one in several),
        min((one.min_ms for one in several if one.min_ms is not None), default=None),
        max((one.max_ms for one in several if one.max_ms is not None), default=None),
    )


def shown(several: Sequence[Sums]) -> tuple[str, str, int]:
    """A day's worst status, uptime and checks, as the calendar shows them."""
    covered, down = sum(one.covered for one in several), sum(one.down_s for one in several)
    worst = max((one.worst for one in several), key=ORDER.index)
    return worst, percent(covered, down), sum(one.checks for one in several)


def percent(covered: int, down: int) -> str:
    """Two decimals, rounded down."""
    if not covered:
        return "-"
    hundredths = (covered - down) * 10000 // covered
    return f"{hundredths // 100}.{hundredths % 100:02}"


def story(rows: Iterable[Fed], moment: float) -> list[Span]:
    """A location's vote is its last check, until that is two intervals and a minute old. Out is a service while more
    than half of the votes say so; a time without votes neither begins an outage nor ends one."""
    lines: dict[str, list[Fed]] = defaultdict(list)
    for fed in sorted(rows, key=lambda fed: fed.at):
        lines[fed.location].append(fed)
    turns: dict[float, dict[str, str | None]] = defaultdict(dict)
    errors: dict[float, list[str]] = defaultdict(list)
    for location, line in lines.items():
        for place, fed in enumerate(line):
            turns[fed.at][location] = fed.severity
            if fed.error_type:
                errors[fed.at].append(fed.error_type)
            dies_at = fed.at + 2 * fed.interval + 60
            replaced_at = line[place + 1].at if place + 1 < len(line) else None
            if dies_at < replaced_at if replaced_at is not None else dies_at <= moment:
                turns[dies_at].setdefault(location, None)
    votes: dict[str, str | None] = {}
    spans: list[Span] = []
    for at, changed in sorted(turns.items()):
        votes |= changed
        living = [vote for vote in votes.values() if vote]
        is_out = bool(spans) and spans[-1].ended is None
        if not living:
            continue
        if living.count("mo") * 2 > len(living):
            if not is_out:
                spans.append(Span(at, None, max(errors[at], default=None)))
        elif is_out:
            spans[-1] = spans[-1]._replace(ended=at)
    return spans


class Line(NamedTuple):
    """A stretch of one location's verdict, from `starts` to the next one's."""

    starts: float
    state: str


STATES = {"o": "operational", "po": "degraded", "mo": "outage"}


def episodes(rows: Iterable[Fed]) -> dict[Place, list[Line]]:
    """The verdicts of each service and location: a check speaks until the next one, at most for its interval; what
    nobody speaks for is unknown. The last check's time is left open."""
    lines: dict[Place, list[Fed]] = defaultdict(list)
    for fed in sorted(rows, key=lambda fed: fed.at):
        lines[fed.service, fed.location].append(fed)
    made: dict[Place, list[Line]] = {}
    for place, line in lines.items():
        steps: list[Line] = []
        for fed, following in zip(line, [*line[1:], None], strict=True):
            steps.append(Line(fed.at, STATES[fed.severity]))
            if following is not None and fed.at + fed.interval < following.at:
                steps.append(Line(fed.at + fed.interval, "unknown"))
        made[place] = merged(steps)
    return made


def merged(steps: Iterable[Line]) -> list[Line]:
    """Neighbours of one state are one."""
    lines: list[Line] = []
    for step in steps:
        if not lines or lines[-1].state != step.state:
            lines.append(step)
    return lines


def since(lines: Sequence[Line], at: float) -> list[Line]:
    """The part from `at` on; its first line begins there."""
    place = bisect_right([line.starts for line in lines], at)
    first = [Line(at, lines[place - 1].state)] if place else []
    return merged([*first, *lines[place:]])


def utc(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)

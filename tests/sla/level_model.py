"""The service levels of a period, computed from the parts of the model. No code is shared with the product.

Percentages are exact fractions, which the numbers of the database equal to twelve decimal places.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from tests.sla.model import STATES, Part, Span, parts, seconds
from tests.sla.model import part as part_of
from tests.sla.world import Policy, Version, World

WINDOWS = tuple(timedelta(minutes=minutes) for minutes in (5, 30, 60, 360, 4320))
LEAST_WINDOWS = {timedelta(minutes=minutes) for minutes in (5, 60, 360, 4320)}
PRECISION = Fraction(1, 10**12)


class Level(NamedTuple):
    """The level of a service: exact figures by column."""

    service: str
    figures: dict[str, Any]

    def differences(self, row: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """The columns that differ from those of a row of the database, with both values."""
        return {name: (row[name], mine) for name, mine in self.figures.items() if not _equal(row[name], mine)}


def _equal(found: Any, expected: Any) -> bool:
    if isinstance(expected, Fraction) and isinstance(found, Decimal):
        return abs(Fraction(found) - expected) < PRECISION * max(Fraction(1), abs(expected))
    if isinstance(expected, datetime) and isinstance(found, datetime):
        return abs(found - expected) < timedelta(milliseconds=1)
    return bool(found == expected)


def expected_levels(
    world: World,
    services: tuple[str, ...],
    first_day: date,
    last_day: date,
    known_at: datetime,
    under: tuple[Policy, Version] | None = None,
) -> list[Level]:
    """The levels of the services that have a policy in these days, by service."""
    found = parts(world, services, first_day, last_day, known_at, under)
    return [
        _level(world, [part for part in found if part.service == service], known_at)
        for service in sorted({part.service for part in found})
    ]


def _version(world: World, part: Part) -> Version:
    [version] = [
        version
        for policy in world.policies
        for version in policy.versions
        if (policy.id, version.number) == (part.policy, part.version)
    ]
    return version


def _level(world: World, mine: list[Part], known_at: datetime) -> Level:
    latest = min(world.now, known_at)
    terms = _version(world, mine[-1])
    time = {state: sum((Fraction(part.seconds(state)) for part in mine), Fraction()) for state in STATES}
    known = time["up"] + time["degraded"] + time["down"]
    planned = sum((Fraction(part.planned) for part in mine), Fraction())
    spent = sum((Fraction(part.spent) for part in mine), Fraction())
    budget = sum(
        (Fraction(part.planned) * (100 - Fraction(_version(world, part).target)) / 100 for part in mine), Fraction()
    )
    targets = {_version(world, part).target for part in mine}
    target = Fraction(terms.target) if len(targets) == 1 or not planned else 100 - 100 * budget / planned
    uptime = 100 * (known - spent) / known if known else None
    coverage = 100 * known / (known + time["unknown"]) if known + time["unknown"] else None
    verdict = _verdict(uptime, coverage, target, terms)
    outages = _joined(sorted(span for part in mine for span in part.spans["down"]))
    lengths = [Fraction(seconds(end - start)) for start, end in outages]
    ended = [Fraction(seconds(end - start)) for start, end in outages if end < latest]
    figures = {
        "policy_id": mine[-1].policy,
        "version": mine[-1].version,
        "target": target,
        "starts_at": mine[0].low,
        "ends_at": mine[-1].high,
        **{f"{state}_seconds": length for state, length in time.items()},
        "uptime": uptime,
        "coverage": coverage,
        "verdict": verdict,
        "estimated": False,
        "outages": len(outages),
        "longest_seconds": max(lengths, default=Fraction()),
        "mttr_seconds": sum(ended, Fraction()) / len(ended) if ended else None,
        "mtbf_seconds": (time["up"] + time["degraded"]) / len(outages) if outages else None,
        **_checks(world, mine),
        "planned_seconds": planned,
        "budget_seconds": budget,
        "spent_seconds": spent,
        "left_seconds": budget - spent,
        "projected_end": _projected_end(time, spent, budget - spent, mine[-1].high, latest),
        "credit": _credit(uptime, verdict, terms),
    }
    return Level(mine[0].service, figures)


def _checks(world: World, mine: list[Part]) -> dict[str, Any]:
    """Counts the checks whose quarter of an hour begins in one of the parts."""
    counted = [
        check
        for check in world.checks
        if check.service == mine[0].service
        and any(part.low <= check.at - timedelta(seconds=check.at.timestamp() % 900) < part.high for part in mine)
    ]
    failed = sum(check.failed for check in counted)
    uptime = Fraction(100 * (len(counted) - failed), len(counted)) if counted else None
    return {"checks": len(counted), "failed_checks": failed, "checks_uptime": uptime}


def _joined(spans: list[Span]) -> list[Span]:
    """The spans, of which those that meet are one."""
    found: list[Span] = []
    for start, end in spans:
        if found and found[-1][1] == start:
            start = found.pop()[0]
        found.append((start, end))
    return found


def _verdict(uptime: Fraction | None, coverage: Fraction | None, target: Fraction, terms: Version) -> str | None:
    if uptime is None or coverage is None:
        return None
    if coverage < Fraction(terms.least_coverage):
        return "insufficient_data"
    return "met" if uptime >= target else "missed"


def _credit(uptime: Fraction | None, verdict: str | None, terms: Version) -> Fraction | None:
    """The credit of the last row of the table whose uptime is not reached."""
    if terms.credits is None or uptime is None or verdict == "insufficient_data":
        return None
    reached = [Fraction(credit) for below, credit in terms.credits if uptime < Fraction(below)]
    return reached[-1] if reached else Fraction()


def _projected_end(
    time: dict[str, Fraction], spent: Fraction, left: Fraction, end: datetime, now: datetime
) -> datetime | None:
    """When the budget is spent if a second of the future loses as much of it as an elapsed second with data, and as
    large a share of the future counts as of the elapsed time."""
    if spent <= 0 or left <= 0:
        return None
    known = time["up"] + time["degraded"] + time["down"]
    counting = (known + time["unknown"]) / sum(time.values())
    rest = left / (spent / known) / counting
    if rest >= Fraction(seconds(end - now)):
        return None
    return now + timedelta(seconds=float(rest))


def burn_rates(
    world: World, service: str, terms: tuple[Policy, Version], known_at: datetime
) -> dict[timedelta, Fraction | None]:
    """The share of downtime in each window until now, divided by the share that the target allows."""
    allowed = 1 - Fraction(terms[1].target) / 100
    rates: dict[timedelta, Fraction | None] = {}
    for length in WINDOWS:
        window = part_of(world, service, terms, (min(world.now, known_at) - length, min(world.now, known_at)), known_at)
        known = sum(Fraction(window.seconds(state)) for state in ("up", "degraded", "down"))
        rates[length] = Fraction(window.spent) / known / allowed if known and allowed else None
    return rates


def assert_rates(found: Mapping[timedelta, Decimal | None], expected: Mapping[timedelta, Fraction | None]) -> None:
    """Compares the rates of the windows that the database has."""
    different = {
        str(length): (rate, expected[length]) for length, rate in found.items() if not _equal(rate, expected[length])
    }
    assert not different, f"burn rates: (database, model) {different}"
    assert found.keys() >= LEAST_WINDOWS


def current_period(version: Version, day: date) -> tuple[date, date]:
    """The first and the last day of the period of a version that contains a day."""
    one_day = timedelta(days=1)
    if version.period == "rolling":
        assert version.rolling_days is not None
        return day - (version.rolling_days - 1) * one_day, day
    months = {"month": 1, "quarter": 3, "year": 12}[version.period]
    first = date(day.year, (day.month - 1) // months * months + 1, 1)
    following = first
    for _ in range(months):
        following = (following + 31 * one_day).replace(day=1)
    return first, following - one_day

"""The seconds that count under an SLA policy, computed by walking over elementary intervals.

An elementary interval lies between two neighbouring moments at which anything can change. What it counts as is decided
for its start by the rules of docs/accounting.md, one after the other. No code is shared with the product.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby, pairwise
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from tests.oracle.local_days import DAY, local_days
from tests.sla.world import Announcement, Correction, Membership, Policy, Version, World

STATES = ("up", "degraded", "down", "unknown", "maintained", "excluded", "outside")
SCOPES = ("service", "tag", "group", "everything")
"""In the order of their precedence."""
ZERO = timedelta()
MICROSECOND = timedelta(microseconds=1)

Span = tuple[datetime, datetime]


class Part(NamedTuple):
    """A service, a policy version and a time in which the version applies. `spans` are those of each state."""

    service: str
    policy: UUID
    version: int
    low: datetime
    high: datetime
    spans: dict[str, list[Span]]
    spent: Decimal
    planned: Decimal
    budget: Decimal

    def seconds(self, state: str) -> Decimal:
        return seconds(length(self.spans[state]))

    @property
    def longest(self) -> Decimal | None:
        return max((seconds(end - start) for start, end in self.spans["down"]), default=None)


def length(spans: list[Span]) -> timedelta:
    return sum((end - start for start, end in spans), ZERO)


def seconds(time: timedelta) -> Decimal:
    """Returns the exact number of seconds."""
    return Decimal(time // MICROSECOND).scaleb(-6)


def parts(
    world: World,
    services: tuple[str, ...],
    first_day: date,
    last_day: date,
    known_at: datetime,
    under: tuple[Policy, Version] | None = None,
) -> list[Part]:
    """Returns the parts of the services in the local days from `first_day` to `last_day`, both included, in the order
    of service and time. `under`: this version applies to all of the time, instead of those that are valid."""
    found = []
    for service in sorted(services):
        cuts = set()
        for policy in world.policies:
            for version in policy.versions:
                cuts |= {_starts_at(version), *_bounds(version, first_day, last_day)}
        for membership in world.memberships:
            cuts |= {moment for moment in (membership.valid_from, membership.valid_until) if moment}
        chosen = []
        for low, high in pairwise(sorted(cuts)):
            applied = under or _applied(world, service, low, known_at)
            if applied:
                first, end = _bounds(applied[1], first_day, last_day)
                applied = applied if first <= low < end else None
            chosen.append((low, high, applied))
        for applied, run in groupby(chosen, key=lambda interval: interval[2]):
            if applied:
                intervals = list(run)
                found.append(part(world, service, applied, (intervals[0][0], intervals[-1][1]), known_at))
    return found


def _bounds(version: Version, first_day: date, last_day: date) -> Span:
    days = local_days(version.zone)
    return days.starts(first_day), days.starts(last_day + DAY)


def _starts_at(version: Version) -> datetime:
    return local_days(version.zone).starts(version.valid_from)


def _member(world: World, service: str, at: datetime) -> Membership | None:
    """Returns the group and tags that the service has at a moment."""
    for one in world.memberships:
        if one.service == service and _within(at, one.valid_from, one.valid_until):
            return one
    return None


def _within(at: datetime, start: datetime | None, end: datetime | None) -> bool:
    return (start is None or start <= at) and (end is None or at < end)


def _concerns(scope: str, subject: str | None, member: Membership | None) -> bool:
    """Whether a policy or a correction is for a service that has this group and these tags."""
    if member is None:
        return False
    match scope:
        case "service":
            return subject == member.service
        case "tag":
            return subject in member.tags
        case "group":
            return member.group is not None and subject == member.group
    return True


def _applied(world: World, service: str, at: datetime, known_at: datetime) -> tuple[Policy, Version] | None:
    """Returns the policy version that applies to a service at a moment."""
    found = []
    for policy in world.policies:
        valid = [one for one in policy.versions if one.recorded_at <= known_at and _starts_at(one) <= at]
        newest = max(valid, key=lambda one: one.number, default=None)
        if newest and not newest.ended and _concerns(policy.scope, policy.subject, _member(world, service, at)):
            found.append((SCOPES.index(policy.scope), policy.subject or "", policy, newest))
    return min(found)[2:] if found else None


def part(world: World, service: str, applied: tuple[Policy, Version], span: Span, known_at: datetime) -> Part:
    (policy, version), (low, high) = applied, span
    opened = _service_hours(world, version, low, high)
    spans: dict[str, list[Span]] = {state: [] for state in STATES}
    for state, start, end in _counted(world, service, version, (low, high), known_at, opened):
        spans[state].append((start, end))
    planned = length([span for span in opened if span[0] < span[1]])
    planned -= length(spans["maintained"]) + length(spans["excluded"])
    planned -= _upcoming(world, service, version, opened, known_at)
    return Part(
        service=service,
        policy=policy.id,
        version=version.number,
        low=low,
        high=high,
        spans=spans,
        spent=seconds(length(spans["down"])) + version.degraded_weight * seconds(length(spans["degraded"])),
        planned=seconds(planned),
        budget=seconds(planned) * (100 - version.target) / 100,
    )


def _counted(
    world: World, service: str, version: Version, part: Span, known_at: datetime, opened: list[Span]
) -> Iterator[tuple[str, datetime, datetime]]:
    """Yields the spans of a part and what each counts as, in their order. Neighbours differ."""
    watched = [one for one in world.episodes if one.service == service]
    now = min(world.now, known_at)
    first_check = min((one.starts_at for one in watched), default=now)
    cuts = {first_check, now, *part}
    cuts |= {moment for one in watched for moment in (one.starts_at, one.ends_at) if moment}
    cuts |= {moment for one in world.announcements for moment in (one.starts_at, one.ends_at)}
    cuts |= {moment for one in world.occurrences for moment in (one.starts_at, one.ends_at)}
    for membership in world.memberships:
        cuts |= {moment for moment in (membership.valid_from, membership.valid_until) if moment}
    cuts |= {moment for correction in world.corrections for span in correction.spans for moment in span}
    cuts |= {moment for span in opened for moment in span}
    history = [
        (_corrected(world, service, version, low, known_at), low, high)
        for low, high in pairwise(sorted(cut for cut in cuts if first_check <= cut <= now))
    ]
    counted = []
    for state, low, high in _long_enough(history, timedelta(seconds=version.shortest_outage_s)):
        if part[0] <= low and high <= part[1]:
            if not any(start <= low < end for start, end in opened):
                state = "outside"
            elif _is_maintained(world, service, version, low, known_at):
                state = "maintained"
            counted.append((state, low, high))
    yield from _merged(counted)


def _merged(intervals: list[tuple[str, datetime, datetime]]) -> Iterator[tuple[str, datetime, datetime]]:
    for state, run in groupby(intervals, key=lambda interval: interval[0]):
        neighbours = list(run)
        yield state, neighbours[0][1], neighbours[-1][2]


def _long_enough(
    history: list[tuple[str, datetime, datetime]], shortest: timedelta
) -> Iterator[tuple[str, datetime, datetime]]:
    """Yields the intervals of a history. Those of an outage that is shorter than `shortest` are up."""
    for state, run in groupby(history, key=lambda interval: interval[0]):
        intervals = list(run)
        short = state == "down" and intervals[-1][2] - intervals[0][1] < shortest
        yield from (("up" if short else state, low, high) for _, low, high in intervals)


def _corrected(world: World, service: str, version: Version, at: datetime, known_at: datetime) -> str:
    """Returns the effect of the newest correction of a moment, or what the locations saw."""
    member = _member(world, service, at)
    newest = max(
        (one for one in world.corrections if _is_effective(one, at, known_at, member)),
        key=lambda one: (one.created_at, one.id),
        default=None,
    )
    return newest.effect if newest else _observed(world, service, version, at)


def _is_effective(correction: Correction, at: datetime, known_at: datetime, member: Membership | None) -> bool:
    known = correction.created_at <= known_at
    withdrawn = correction.withdrawn_at is not None and correction.withdrawn_at <= known_at
    covered = any(start <= at < end for start, end in correction.spans)
    return known and not withdrawn and covered and _concerns(correction.scope, correction.subject, member)


def _observed(world: World, service: str, version: Version, at: datetime) -> str:
    """Returns what the locations with data saw at a moment, by the quorum."""
    seen = [
        one.state
        for one in world.episodes
        if one.service == service and one.state != "unknown" and _within(at, one.starts_at, one.ends_at)
    ]
    if not seen:
        return {"excluded": "unknown", "down": "down", "up": "up"}[version.unknown]
    failing = seen.count("outage")
    match version.quorum:
        case "one":
            needed = 1
        case "majority":
            needed = len(seen) // 2 + 1
        case "all":
            needed = len(seen)
        case _:
            assert version.quorum_locations is not None
            needed = min(version.quorum_locations, len(seen))
    if failing >= needed:
        return "down"
    return "degraded" if failing or "degraded" in seen else "up"


def _is_maintained(world: World, service: str, version: Version, at: datetime, known_at: datetime) -> bool:
    if version.maintenance != "excluded":
        return False
    return any(
        service in one.services
        and one.starts_at <= at < one.ends_at
        and _is_in_time(world, service, version, one.window, at, known_at)
        for one in world.occurrences
    )


def _upcoming(world: World, service: str, version: Version, opened: list[Span], known_at: datetime) -> timedelta:
    """Returns the length of the maintenance after now, within the service hours, that was announced in time."""
    now = min(world.now, known_at)
    cuts = {now, *(moment for span in opened for moment in span)}
    cuts |= {moment for one in world.announcements for moment in (one.starts_at, one.ends_at)}
    cuts |= {moment for one in world.occurrences for moment in (one.starts_at, one.ends_at)}
    return sum(
        (
            high - low
            for low, high in pairwise(sorted(cut for cut in cuts if cut >= now))
            if any(start <= low < end for start, end in opened)
            and _is_maintained(world, service, version, low, known_at)
        ),
        ZERO,
    )


def _is_in_time(world: World, service: str, version: Version, window: UUID, at: datetime, known_at: datetime) -> bool:
    """Whether the first announcement of a moment came early enough before the time that it added."""
    announced = sorted(
        (one for one in world.announcements if one.window == window and service in one.services),
        key=lambda one: (one.announced_at, one.starts_at, one.ends_at),
    )
    earlier: list[Announcement] = []
    for one in announced:
        if one.announced_at <= known_at and one.starts_at <= at < one.ends_at:
            added_from = max([one.starts_at, *(before.ends_at for before in earlier if before.ends_at <= at)])
            return one.announced_at + timedelta(minutes=version.announced_minutes) <= added_from
        earlier.append(one)
    return False


def _service_hours(world: World, version: Version, low: datetime, high: datetime) -> list[Span]:
    """Returns the spans of the service hours in a part, in their order."""
    holidays = {day for calendar, day in world.holidays if calendar == version.calendar}
    days = local_days(version.zone)
    weekly = version.hours
    day, found = days.date_of(low), []
    while days.starts(day) < high:
        if day not in holidays:
            if weekly is None:
                found.append(days.bounds(day))
            else:
                found += [
                    (moment(day, one.begins, version.zone), moment(day, one.until, version.zone, is_end=True))
                    for one in weekly
                    if day.isoweekday() in one.days
                ]
        day += DAY
    clipped = [(max(start, low), min(end, high)) for start, end in sorted(found)]
    return [(start, end) for start, end in clipped if start < end]


def moment(day: date, clock: str, zone: str, *, is_end: bool = False) -> datetime:
    """Returns when a local clock shows a time of a day. Midnight is the start of the day. A time that the clock skips
    is that of the offset before; of a time that comes twice, an interval begins at the first and ends at the second."""
    if clock in ("00:00", "24:00"):
        return local_days(zone).starts(day if clock == "00:00" else day + DAY)
    naive = datetime.fromisoformat(f"{day}T{clock}")
    first, second = (naive.replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() for fold in (0, 1))
    return datetime.fromtimestamp(max(first, second) if is_end else first, UTC)

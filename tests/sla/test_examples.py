"""The worked examples of docs/accounting.md, in the order of the page."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from tests.sla.store import Figures, Period, compare, levels, store
from tests.sla.world import (
    Announcement,
    Correction,
    Episode,
    Hours,
    Membership,
    Occurrence,
    Policy,
    Version,
    World,
)
from tests.sql.batches import Connection

FIRST, SECOND, THIRD, MAY = date(2026, 6, 1), date(2026, 6, 2), date(2026, 6, 3), datetime(2026, 5, 1, tzinfo=UTC)
NEVER = datetime(2026, 12, 1, tzinfo=UTC)
WINDOW = UUID(int=1)
EVERY_DAY = (1, 2, 3, 4, 5, 6, 7)


def at(clock: str, day: int = 1) -> datetime:
    """Returns a time on a day of June 2026 in UTC."""
    return datetime.fromisoformat(f"2026-06-{day:02}T{clock}+00:00")


def watched(location: str, *spans: tuple[datetime, datetime, str], since: datetime = MAY) -> list[Episode]:
    """Returns the episodes of one location, which is up at all other times."""
    found, start = [], since
    for low, high, state in spans:
        found += [
            Episode("web", location, start, low, "operational"),
            Episode("web", location, low, high, state),
        ]
        start = high
    return [*found, Episode("web", location, start, None, "operational")]


def world(episodes: list[Episode], *versions: Version, **rest: Any) -> World:
    policy = Policy(UUID(int=9), "everything", None, versions or (Version(),))
    values: dict[str, Any] = {"now": NEVER, "memberships": (Membership("web"),)} | rest
    return World(episodes=tuple(episodes), policies=(policy,), **values)


async def computed(
    db: Connection, example: World, first_day: date = FIRST, last_day: date | None = None, known_at: datetime = NEVER
) -> list[Figures]:
    """Returns the figures of the database, which are those of the model too."""
    async with db.transaction(force_rollback=True):
        return await compare(db, example, Period(("web",), first_day, last_day or first_day, known_at))


def check(found: Figures, **expected: float) -> None:
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("terms", "down", "degraded", "unknown", "up"),
    [
        ({"quorum": "one"}, 1800, 0, 600, 84000),
        ({"quorum": "majority"}, 600, 1200, 600, 84000),
        ({"quorum": "all"}, 300, 1500, 600, 84000),
        ({"quorum": "number", "quorum_locations": 3}, 300, 1500, 600, 84000),
        ({"unknown": "down"}, 1200, 1200, 0, 84000),
        ({"unknown": "up"}, 600, 1200, 0, 84600),
    ],
)
async def test_quorum(
    shared: Connection, terms: dict[str, Any], down: int, degraded: int, unknown: int, up: int
) -> None:
    gap = at("12:00"), at("12:10"), "unknown"
    episodes = [
        *watched("a", (at("10:00"), at("10:30"), "outage"), gap),
        *watched("b", (at("10:10"), at("10:20"), "outage"), gap),
        *watched("c", (at("10:15"), at("10:20"), "unknown"), gap),
    ]
    [found] = await computed(shared, world(episodes, Version(**terms)))
    check(found, down=down, degraded=degraded, unknown=unknown, up=up)


@pytest.mark.parametrize(
    ("as_of", "down", "excluded"), [("11:30", 3600, 0), ("12:30", 1200, 0), ("13:30", 600, 1200), ("14:30", 1200, 0)]
)
async def test_corrections(shared: Connection, as_of: str, down: int, excluded: int) -> None:
    corrections = (
        Correction(UUID(int=2), "service", "web", "up", ((at("10:00"), at("10:40")),), at("12:00")),
        Correction(
            UUID(int=1), "everything", None, "excluded", ((at("10:30"), at("10:50")),), at("13:00"), at("14:00")
        ),
    )
    example = world(watched("a", (at("10:00"), at("11:00"), "outage")), corrections=corrections)
    [found] = await computed(shared, example, known_at=at(as_of))
    check(found, down=down, excluded=excluded)


async def test_shortest_outage(shared: Connection) -> None:
    episodes = watched(
        "a",
        (at("10:00"), at("10:04:59.999999"), "outage"),
        (at("11:00"), at("11:05"), "outage"),
        (at("12:00"), at("12:10"), "outage"),
        (at("14:00"), at("14:10"), "outage"),
        (at("23:58"), at("00:03", 2), "outage"),
    )
    maintained = WINDOW, at("14:02"), at("14:30"), ("web",)
    example = world(
        episodes,
        Version(shortest_outage_s=300),
        corrections=(Correction(UUID(int=1), "service", "web", "up", ((at("12:02"), at("12:07")),), at("13:00")),),
        announcements=(Announcement(*maintained, announced_at=MAY),),
        occurrences=(Occurrence(*maintained),),
    )
    [first] = await computed(shared, example)
    check(first, down=540, outages=3, longest=300)
    [second] = await computed(shared, example, SECOND)
    check(second, down=180, outages=1)


@pytest.mark.parametrize(
    ("terms", "maintained", "down"),
    [
        ({"announced_minutes": 24 * 60}, 3600, 3000),
        ({"announced_minutes": 30}, 5400, 1200),
        ({"announced_minutes": 31}, 3600, 3000),
        ({"maintenance": "counted"}, 0, 6600),
    ],
)
async def test_maintenance(shared: Connection, terms: dict[str, Any], maintained: int, down: int) -> None:
    example = world(
        watched("a", (at("09:50"), at("11:40"), "outage")),
        Version(**terms),
        corrections=(Correction(UUID(int=1), "service", "web", "down", ((at("10:15"), at("10:20")),), at("13:00")),),
        announcements=(
            Announcement(WINDOW, at("10:00"), at("11:00"), ("web",), datetime(2026, 5, 30, 12, tzinfo=UTC)),
            Announcement(WINDOW, at("10:00"), at("11:30"), ("web",), at("10:30")),
        ),
        occurrences=(Occurrence(WINDOW, at("10:00"), at("11:30"), ("web",)),),
    )
    [found] = await computed(shared, example)
    check(found, maintained=maintained, down=down)


async def test_service_hours(shared: Connection) -> None:
    version = Version(zone="Europe/Berlin", hours=(Hours((1, 2, 3, 4, 5), "08:00", "20:00"),), calendar="Berlin")
    # 19:30 and 08:30 in Berlin
    episodes = watched("a", (at("17:30", 3), at("06:30", 5), "outage"))
    example = world(episodes, version, holidays=(("Berlin", date(2026, 6, 4)),))
    [found] = await computed(shared, example, FIRST, date(2026, 6, 7))
    check(found, planned=172_800, down=3600, outages=2, outside=432_000)
    assert found.budget == Decimal("172.8")


@pytest.mark.parametrize(
    ("hours", "spring", "autumn"),
    [
        (None, 82_800, 90_000),
        (("02:00", "03:00"), 0, 7200),
        (("02:30", "03:00"), 0, 5400),
        (("02:30", "04:00"), 1800, 9000),
    ],
)
async def test_changes_of_clocks(shared: Connection, hours: tuple[str, str] | None, spring: int, autumn: int) -> None:
    weekly = hours and (Hours(EVERY_DAY, *hours),)
    since = datetime(2026, 1, 1, tzinfo=UTC)
    example = world(watched("a", since=since), Version(zone="Europe/Berlin", hours=weekly))
    for day, expected in ((date(2026, 3, 29), spring), (date(2026, 10, 25), autumn)):
        [found] = await computed(shared, example, day)
        check(found, planned=expected, up=expected)


async def test_window(shared: Connection) -> None:
    episodes = watched(
        "a",
        (at("23:40", 15), at("00:20", 16), "outage"),
        (at("10:00", 17), at("10:10", 17), "degraded"),
        (at("10:00", 18), at("10:20", 18), "outage"),
        since=at("00:00", 11),
    )
    second = Version(
        number=2,
        valid_from=date(2026, 6, 16),
        target=Decimal("99.5"),
        degraded_weight=Decimal("0.5"),
        shortest_outage_s=1800,
    )
    example = world(episodes, Version(valid_from=FIRST), second, now=at("00:00", 21))
    first_part, second_part = await computed(shared, example, FIRST, date(2026, 6, 30))
    elapsed = timedelta(days=5).total_seconds()
    for part, down, degraded, spent, budget in (
        (first_part, 1200, 0, 1200, 1296),
        (second_part, 1200, 600, 1500, 6480),
    ):
        check(part, down=down, degraded=degraded, up=elapsed - down - degraded)
        check(part, spent=spent, budget=budget)


@pytest.mark.parametrize("now", [at("00:00", 10), at("12:00", 20)])
async def test_planned_maintenance(shared: Connection, now: datetime) -> None:
    late, partly, cancelled = (UUID(int=number) for number in (1, 2, 3))
    spans = (
        (late, at("07:00", 10), at("09:00", 10), ("web",)),
        (partly, at("19:00", 12), at("21:00", 12), ("web",)),
        (cancelled, at("10:00", 13), at("11:00", 13), ("web",)),
    )
    example = world(
        watched("a"),
        Version(target=Decimal(99), hours=(Hours(EVERY_DAY, "08:00", "20:00"),), announced_minutes=24 * 60),
        now=now,
        announcements=tuple(Announcement(*span, announced_at=at("12:00", 9)) for span in spans),
        occurrences=tuple(Occurrence(*span) for span in spans if span[0] != cancelled),
    )
    [found] = await computed(shared, example, FIRST, date(2026, 6, 30), known_at=now)
    check(found, planned=1_292_400, budget=12_924)
    async with shared.transaction(force_rollback=True):
        await store(shared, example)
        [level] = await levels(shared, Period(("web",), FIRST, date(2026, 6, 30), now))
    assert (level["planned_seconds"], level["budget_seconds"]) == (1_292_400, 12_924)

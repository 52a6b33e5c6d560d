"""The figures of sla_levels and sla_group_levels: those that depend on more than the seconds of one part."""

from datetime import date
from decimal import Decimal
from typing import Any

from tests.sla.store import Period, levels, store
from tests.sla.test_examples import FIRST, NEVER, at, watched, world
from tests.sla.world import Version, World
from tests.sql.batches import Connection

LAST = date(2026, 6, 30)


async def level_of(db: Connection, example: World, **changes: Any) -> dict[str, Any]:
    """Returns the level of `web` in June 2026."""
    period = Period(("web",), FIRST, LAST, NEVER)._replace(**changes)
    async with db.transaction(force_rollback=True):
        await store(db, example)
        [found] = await levels(db, period)
    return found


def two_versions() -> World:
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
    return world(episodes, Version(valid_from=FIRST), second, now=at("00:00", 21))


async def test_a_period_with_two_versions_has_one_row(shared: Connection) -> None:
    found = await level_of(shared, two_versions())
    assert (found["version"], found["target"]) == (2, Decimal("99.7"))
    assert (found["starts_at"], found["ends_at"]) == (at("00:00"), at("00:00", 30) + (at("00:00", 2) - at("00:00")))
    assert (found["down_seconds"], found["degraded_seconds"], found["up_seconds"]) == (2400, 600, 861_000)
    assert (found["budget_seconds"], found["spent_seconds"], found["left_seconds"]) == (7776, 2700, 5076)
    assert (found["outages"], found["longest_seconds"], found["mttr_seconds"]) == (1, 2400, 2400)
    assert found["mtbf_seconds"] == 861_600
    assert found["uptime"] == Decimal("99.6875")
    assert (found["coverage"], found["verdict"], found["estimated"]) == (100, "missed", False)

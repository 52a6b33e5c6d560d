"""The worked examples of docs/accounting.md about figures and service credits."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.sla.store import Period, levels, store
from tests.sla.test_examples import EVERY_DAY, FIRST, NEVER, at, watched, world
from tests.sla.world import Episode, Hours, Version, World
from tests.sql.batches import Connection, value

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


@pytest.mark.parametrize(("least", "verdict", "credit"), [("75", "missed", 10), ("75.01", "insufficient_data", None)])
async def test_the_coverage_decides_whether_there_is_a_verdict(
    shared: Connection, least: str, verdict: str, credit: int | None
) -> None:
    episodes = watched("a", (at("10:00"), at("10:10"), "outage"), (at("12:00"), at("18:00"), "unknown"))
    version = Version(least_coverage=Decimal(least), credits=(("99.9", "10"), ("99.0", "25")))
    found = await level_of(shared, world(episodes, version), last_day=FIRST)
    assert found["coverage"] == 75
    assert round(found["uptime"], 2) == Decimal("99.07")
    assert (found["verdict"], found["credit"]) == (verdict, credit)


async def test_an_outage_that_lasts_until_now_has_not_ended(shared: Connection) -> None:
    episodes = watched("a", (at("10:00"), at("10:10"), "outage"), (at("12:00"), at("12:30"), "outage"))
    open_outage = [
        *episodes[:-1],
        episodes[-1]._replace(ends_at=at("17:30")),
        Episode("web", "a", at("17:30"), None, "outage"),
    ]
    example = world(open_outage, now=at("18:00"))
    found = await level_of(shared, example, last_day=FIRST, known_at=at("18:00"))
    assert (found["outages"], found["longest_seconds"], found["mttr_seconds"]) == (3, 1800, 1200)
    assert found["mtbf_seconds"] == 20_200


async def test_the_budget_is_projected_over_the_service_hours(shared: Connection) -> None:
    version = Version(hours=(Hours(EVERY_DAY, "08:00", "20:00"),))
    now = at("00:00", 11)
    example = world(watched("a", (at("10:00"), at("10:14:24"), "outage")), version, now=now)
    found = await level_of(shared, example, known_at=now)
    assert (found["budget_seconds"], found["left_seconds"]) == (1296, 432)
    assert found["projected_end"] == at("00:00", 16)


@pytest.mark.parametrize(
    ("uptime_down_s", "credit"), [(0, 0), (86, 0), (86.4, 0), (86.5, 10), (864, 10), (865, 25), (86_400, 25)]
)
async def test_the_last_row_that_is_not_reached_is_the_credit(
    shared: Connection, uptime_down_s: float, credit: int
) -> None:
    spans = [(at("00:00"), at("00:00") + timedelta(seconds=uptime_down_s), "outage")] if uptime_down_s else []
    version = Version(credits=(("99.9", "10"), ("99.0", "25")))
    found = await level_of(shared, world(watched("a", *spans), version), last_day=FIRST)
    assert found["credit"] == credit


async def test_an_uptime_is_written_rounded_down(shared: Connection) -> None:
    for uptime, text in (("100", "100.00"), ("99.999999999", "99.99"), ("0", "0.00"), ("9.5", "9.50"), (None, "-")):
        assert await value(shared, "SELECT uptime_text(%s::numeric)", (uptime,)) == text

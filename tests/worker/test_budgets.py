"""Alerts on error budgets begin once, last, and end, with an event for each change."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import anyio
import pytest

import sql
from sla_monitor.settings import Settings
from tests.api.test_sla_figures import add_policy
from tests.sql.batches import MINUTE, Connection, add_services, connected, fetch, set_clock
from tests.worker.working import working
from worker import budgets
from worker.duty import Work

START = datetime(2026, 11, 15, 11, 50, tzinfo=UTC)
"""The start of the outage."""
MONTH = datetime(2026, 11, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
Change = tuple[str, Any]


class Watched(NamedTuple):
    """The service `web`, which is up from the start of November 2026 until the outage."""

    db: Connection
    pool: sql.Pool

    async def turn_at(self, moment: datetime) -> list[Change]:
        """Sets the clock, turns the alerts, and returns the new events: name and long window in seconds."""
        await set_clock(self.db, moment)
        known = len(await self.events())
        await budgets.turn(Work(self.pool, Settings(), anyio.current_time()))
        return [(event, data["windowSeconds"]) for event, _, data in (await self.events())[known:]]

    async def events(self) -> list[tuple[str, str, Any]]:
        found = await fetch(self.db, "SELECT event, room, data FROM events WHERE event LIKE 'budget-%%' ORDER BY seq")
        return [(event, room, data) for event, room, data in found]

    async def end_outage(self, moment: datetime) -> None:
        await self.db.execute("UPDATE episodes SET ends_at = %s WHERE ends_at IS NULL", [moment])
        await add_episode(self.db, moment, None, "operational")

    async def correct(self, *, withdrawn: bool = False) -> None:
        """Adds a correction by which the time of the outage counts as up, or withdraws it."""
        if withdrawn:
            await self.db.execute("UPDATE sla_corrections SET withdrawn_at = present(), withdrawn_by = 'Ann'")
            return
        await self.db.execute(
            "WITH correction AS (INSERT INTO sla_corrections (scope, effect, category, reason, starts_at, ends_at, "
            "time_zone, author) VALUES ('everything', 'up', 'false_positive', 'No impact', %(from)s, %(to)s, 'UTC', "
            "'Ann') RETURNING id) "
            "INSERT INTO sla_correction_spans SELECT id, tstzrange(%(from)s, %(to)s) FROM correction",
            {"from": START, "to": START + timedelta(days=1)},
        )


async def add_episode(db: Connection, start: datetime, end: datetime | None, state: str) -> None:
    await db.execute(
        "INSERT INTO episodes (service_id, location, starts_at, ends_at, state) VALUES ('web', 'local', %s, %s, %s)",
        [start, end, state],
    )


@pytest.fixture
async def watched(database: str) -> AsyncIterator[Watched]:
    async with connected(database) as db, sql.open_pool(database, application="alerting") as pool:
        await add_services(db, "web")
        await add_episode(db, MONTH, START, "operational")
        await add_episode(db, START, None, "outage")
        yield Watched(db, pool)


async def test_an_alert_begins_once_lasts_and_ends_when_the_short_window_is_calm(watched: Watched) -> None:
    await add_policy(watched.db)
    assert await watched.turn_at(START + 30 * SECOND) == []  # a rate of 8.3 in an hour
    assert await watched.turn_at(START + MINUTE) == [("budget-burning", 3600)]
    assert await watched.turn_at(START + 2 * MINUTE) == []
    await watched.end_outage(START + 2 * MINUTE)
    assert await watched.turn_at(START + 6 * MINUTE) == []
    # The rate of the hour is 33, that of five minutes 0.
    assert await watched.turn_at(START + 7 * MINUTE) == [("budget-burning-ended", 3600)]
    assert await watched.turn_at(START + 8 * MINUTE) == []

    [[policy_id]] = await fetch(watched.db, "SELECT id FROM sla_policies")
    begun, ended = await watched.events()
    [[alert_id]] = await fetch(watched.db, "SELECT id FROM sla_alerts")
    assert begun == (
        "budget-burning",
        "staff",
        {
            "alertId": alert_id,
            "serviceId": "web",
            "severity": "page",
            "policy": {"id": str(policy_id), "version": 1},
            "windowSeconds": 3600,
            "shortWindowSeconds": 300,
            "threshold": 14.4,
            "burnRate": 16.667,
            "budgetLeftSeconds": 2532,
            "startedAt": "2026-11-15T11:51:00.000Z",
            "endedAt": None,
        },
    )
    assert ended[1:] == ("staff", begun[2] | {"endedAt": "2026-11-15T11:57:00.000Z"})


async def test_longer_windows_have_alerts_of_their_own(watched: Watched) -> None:
    await add_policy(watched.db)
    await watched.turn_at(START + MINUTE)
    # In 6 hours 6 times 21.6 s, in 3 days 259.2 s.
    assert await watched.turn_at(START + 129 * SECOND) == []
    assert await watched.turn_at(START + 130 * SECOND) == [("budget-burning", 21600)]
    assert await watched.turn_at(START + 259 * SECOND) == []
    assert await watched.turn_at(START + 260 * SECOND) == [("budget-burning", 259200)]
    severities = await fetch(
        watched.db, "SELECT window_seconds, short_window_seconds, severity FROM sla_alerts ORDER BY 1"
    )
    assert severities == [(3600, 300, "page"), (21600, 1800, "page"), (259200, 21600, "ticket")]
    await watched.end_outage(START + 5 * MINUTE)
    assert await watched.turn_at(START + 35 * MINUTE) == [
        ("budget-burning-ended", 3600),
        ("budget-burning-ended", 21600),
    ]
    assert await watched.turn_at(START + 365 * MINUTE) == [("budget-burning-ended", 259200)]


async def test_a_budget_is_spent_until_the_next_period(watched: Watched) -> None:
    await add_policy(watched.db)
    await watched.end_outage(START + 2592 * SECOND)
    burning = {("budget-burning", seconds) for seconds in (3600, 21600, 259200)}
    assert set(await watched.turn_at(START + 2591 * SECOND)) == burning
    assert await watched.turn_at(START + 2592 * SECOND) == [("budget-spent", None)]
    assert (await watched.events())[-1][2]["budgetLeftSeconds"] == 0
    await watched.turn_at(START + timedelta(days=3))
    assert await watched.turn_at(MONTH + timedelta(days=29)) == []
    assert await watched.turn_at(datetime(2026, 12, 1, tzinfo=UTC)) == [("budget-spent-ended", None)]


async def test_a_target_of_100_is_spent_by_any_downtime(watched: Watched) -> None:
    await add_policy(watched.db, target=100)
    assert await watched.turn_at(START) == []
    assert await watched.turn_at(START + SECOND) == [("budget-spent", None)]


async def test_a_correction_that_takes_the_outage_away_ends_the_alerts(watched: Watched) -> None:
    await add_policy(watched.db)
    burning = [("budget-burning", 3600), ("budget-burning", 21600), ("budget-burning", 259200), ("budget-spent", None)]
    assert await watched.turn_at(START + 60 * MINUTE) == burning
    await watched.correct()
    ended = [(f"{event}-ended", seconds) for event, seconds in burning]
    assert await watched.turn_at(START + 61 * MINUTE) == ended
    await watched.correct(withdrawn=True)
    assert await watched.turn_at(START + 62 * MINUTE) == burning


async def test_another_policy_version_begins_alerts_of_its_own(watched: Watched) -> None:
    await add_policy(watched.db)
    midnight = datetime(2026, 11, 16, tzinfo=UTC)
    await watched.db.execute(
        "INSERT INTO sla_policy_versions (policy_id, version, valid_from, name, target, time_zone, author, recorded_at)"
        " SELECT id, 2, '2026-11-16', 'Weak', 80, 'UTC', 'ann', '2026-11-01' FROM sla_policies"
    )
    # The budget of the month is mostly that of version 2, so it is not spent.
    assert len(await watched.turn_at(midnight - SECOND)) == 3
    # With a target of 80 an outage has a rate of 5, and that of three days is 0.84.
    ended = [("budget-burning-ended", seconds) for seconds in (3600, 21600, 259200)]
    assert await watched.turn_at(midnight + SECOND) == ended
    [*_, last] = await watched.events()
    assert last[2]["policy"]["version"] == 1
    assert await watched.turn_at(midnight + timedelta(hours=3)) == [("budget-burning", 259200)]
    assert (await watched.events())[-1][2]["policy"]["version"] == 2


async def test_a_service_without_a_policy_or_deleted_has_no_alert(watched: Watched) -> None:
    await add_policy(watched.db, "tag", "gold")
    assert await watched.turn_at(START + MINUTE) == []
    await watched.db.execute("UPDATE services SET tags = '{gold}'")
    assert await watched.turn_at(START + MINUTE + SECOND) == [("budget-burning", 3600)]
    await watched.db.execute("DELETE FROM services")
    assert await watched.turn_at(START + 2 * MINUTE) == [("budget-burning-ended", 3600)]


async def test_without_services_nothing_happens(watched: Watched) -> None:
    await watched.db.execute("DELETE FROM services")
    await add_policy(watched.db)
    assert await watched.turn_at(START + MINUTE) == []


async def test_workers_at_the_same_time_begin_an_alert_once(watched: Watched) -> None:
    await add_policy(watched.db)
    await set_clock(watched.db, START + MINUTE)
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(budgets.turn, Work(watched.pool, Settings(), anyio.current_time()))
    assert [event for event, _, _ in await watched.events()] == ["budget-burning"]


async def test_a_worker_that_is_started_again_repeats_no_event(watched: Watched, database: str) -> None:
    await add_policy(watched.db)
    await set_clock(watched.db, START + MINUTE)
    for _ in range(2):
        async with working(database, "budgets") as worker:
            await worker.wait_for_rounds("budgets", 2)
            assert worker.rounds("budgets", "failed") == 0
        assert [event for event, _, _ in await watched.events()] == ["budget-burning"]
    await watched.end_outage(START + MINUTE)
    await set_clock(watched.db, START + 6 * MINUTE)
    async with working(database, "budgets") as worker:
        await worker.wait_for_rounds("budgets", 2)
    assert [event for event, _, _ in await watched.events()] == ["budget-burning", "budget-burning-ended"]

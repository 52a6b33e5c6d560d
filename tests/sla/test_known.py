"""Figures as they were known at a moment: late checks and expired states change the past, not what was known before."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.campaigns import Share
from tests.sla.store import FIGURES, SPANS, Figures, Period, figures
from tests.sla.test_states import one_database
from tests.sla.world import Policy, Version
from tests.sql.batches import (
    DAY,
    MINUTE,
    Connection,
    Row,
    add_locations,
    add_services,
    fetch,
    now,
    record,
    row,
    set_clock,
)

POLICY = Policy(
    UUID(int=7),
    "everything",
    None,
    (
        Version(number=1),
        Version(number=2, quorum="one", unknown="down", degraded_weight=Decimal("0.5")),
        Version(number=3, quorum="all", shortest_outage_s=300),
    ),
)
LOCATIONS = ("local", "seoul")


@dataclass
class Recording:
    """A service that is checked each minute from `start` on, and the figures that were noted meanwhile."""

    db: Connection
    start: datetime
    noted: dict[datetime, list[Any]] = field(default_factory=dict)

    def at(self, minute: float) -> datetime:
        return self.start + minute * MINUTE

    def checks(self, first: int, end: int, severity: str = "o", location: str = "local") -> list[Row]:
        return [row(self.at(minute), severity, location=location) for minute in range(first, end)]

    async def record(self, minute: float, rows: Sequence[Row]) -> None:
        """Records a batch at this minute and notes the figures."""
        await set_clock(self.db, self.at(minute))
        await record(self.db, rows)
        await self.db.execute("DELETE FROM incoming_checks")
        await self.note()

    async def execute(self, minute: float, statement: str) -> None:
        await set_clock(self.db, self.at(minute))
        await self.db.execute(statement.encode())
        await self.note()

    async def note(self) -> None:
        [(moment,)] = await fetch(self.db, "SELECT present()")
        self.noted[moment] = await self.known(moment)

    async def known(self, moment: datetime) -> list[Any]:
        """The spans under each version of the policy, and the figures under the first one, as they were known."""
        periods = [self.period(moment, version) for version in POLICY.versions]
        spans = [await fetch(self.db, SPANS, (*period.parameters, moment)) for period in periods]
        return [*spans, await fetch(self.db, FIGURES, periods[0].parameters)]

    def period(self, moment: datetime, version: Version) -> Period:
        first, last = ((self.start + days * DAY).date() for days in (-1, 2))
        return Period(("web",), first, last, moment, (POLICY, version))

    async def as_of(self, minute: float, version: int = 1) -> Figures:
        [found] = await figures(self.db, self.period(self.at(minute), POLICY.versions[version - 1]))
        return found

    async def assert_known(self) -> None:
        """Asserts that the figures of each noted moment are known today as they were then."""
        for moment, expected in self.noted.items():
            assert await self.known(moment) == expected, f"as of {(moment - self.start) / MINUTE} minutes"


@asynccontextmanager
async def recording(db: Connection) -> AsyncIterator[Recording]:
    """What is recorded is rolled back at the end."""
    async with db.transaction(force_rollback=True):
        start = now().replace(minute=0, second=0) - 3 * DAY
        await set_clock(db, start - DAY)
        await add_locations(db, *LOCATIONS)
        await add_services(db, "web")
        await db.execute("INSERT INTO sla_policies (id, scope, subject) VALUES (%s, 'everything', NULL)", (POLICY.id,))
        for one in POLICY.versions:
            await db.execute(
                "INSERT INTO sla_policy_versions (policy_id, version, valid_from, target, time_zone, degraded_weight, "
                "unknown, shortest_outage_seconds, quorum, name, author) "
                "VALUES (%s, %s, '2020-01-01', 99.9, 'UTC', %s, %s, %s, %s, 'Terms', 'Ann')",
                (POLICY.id, one.number, one.degraded_weight, one.unknown, one.shortest_outage_s, one.quorum),
            )
        yield Recording(db, start)


def values(found: Figures, *names: str) -> tuple[Any, ...]:
    return tuple(getattr(found, name) for name in names)


async def history(db: Connection) -> list[tuple[float, float, str | None]]:
    """The rows of former_episodes, with the times in minutes after the first check."""
    return await fetch(
        db,
        "SELECT extract(epoch FROM starts_at - first)::float8 / 60, extract(epoch FROM ends_at - first)::float8 / 60, "
        "state::text FROM former_episodes CROSS JOIN (SELECT min(starts_at) AS first FROM episodes) AS checks "
        "ORDER BY id",
    )


async def test_a_late_check_that_splits_an_outage(shared: Connection) -> None:
    async with recording(shared) as web:
        await web.record(40, [*web.checks(0, 10), *web.checks(10, 20, "mo"), *web.checks(20, 40)])
        await web.record(41, [row(web.at(14.5))])
        assert values(await web.as_of(40), "down", "outages") == (600, 1)
        assert values(await web.as_of(41), "down", "outages") == (570, 2)
        assert await history(shared) == [(0, 40, None), (14.5, 15, "outage")]
        await web.assert_known()


async def test_late_checks_that_move_and_merge_outages(shared: Connection) -> None:
    async with recording(shared) as web:
        await web.record(
            40, [*web.checks(0, 10), *web.checks(10, 12, "mo"), *web.checks(20, 22, "mo"), *web.checks(22, 40)]
        )
        await web.record(50, web.checks(40, 50))
        await web.record(51, [row(web.at(9.5), "mo")])
        await web.record(52, web.checks(12, 20, "mo"))
        found = [values(await web.as_of(minute), "down", "outages") for minute in (40, 50.5, 51, 52)]
        assert found == [(240, 2), (240, 2), (270, 2), (750, 1)]
        assert await history(shared) == [(0, 40, None), (9.5, 10, "operational"), (12, 20, "unknown")]
        await web.assert_known()


async def test_late_checks_of_an_outage(shared: Connection) -> None:
    """The example of docs/accounting.md."""
    async with recording(shared) as web:
        seen = [*web.checks(0, 60), *web.checks(60, 70, "mo"), *web.checks(75, 80, "mo"), *web.checks(80, 150)]
        await web.record(150, seen)
        await web.record(179, web.checks(150, 179))
        await web.record(180, web.checks(70, 75, "mo"))
        await set_clock(shared, web.at(300))
        found = [await web.as_of(minute) for minute in (150, 210)]
        assert [values(one, "down", "outages", "unknown", "up") for one in found] == [
            (900, 2, 300, 7800),
            (1200, 1, 0, 11_400),
        ]


async def test_checks_in_order_need_no_history_but_for_the_time_until_a_turn_is_recorded(shared: Connection) -> None:
    """A failed check of minute 5 is recorded half a minute later. Until then the service is up."""
    async with recording(shared) as web:
        for minute in range(10):
            await web.record(minute + 0.5, web.checks(minute, minute + 1, "mo" if minute == 5 else "o"))
        assert await history(shared) == [(0, 0.5, None), (5, 5.5, "operational"), (6, 6.5, "outage")]
        assert [(await web.as_of(minute)).down for minute in (5.25, 5.75, 6.25, 6.75)] == [0, 45, 75, 60]
        await web.assert_known()


async def test_a_first_check_that_is_recorded_late(shared: Connection) -> None:
    """Before it, the accounting of the service began later."""
    async with recording(shared) as web:
        await web.record(30, web.checks(20, 30))
        await web.record(40, [row(web.at(5), "mo")])
        first, second = await web.as_of(39), await web.as_of(40)
        assert values(first, "up", "down", "unknown") == (19 * 60, 0, 0)
        assert values(second, "up", "down", "unknown") == (20 * 60, 60, 14 * 60)
        assert sum((await web.as_of(29))[6:13]) == 0
        await web.assert_known()


async def test_a_state_that_expires_was_known_until_then(shared: Connection) -> None:
    async with recording(shared) as web:
        await web.record(10.5, web.checks(0, 11))
        await web.execute(30, "SELECT expire_states()")
        assert values(await web.as_of(29), "up", "unknown") == (29 * 60, 0)
        assert values(await web.as_of(30), "up", "unknown") == (11 * 60, 19 * 60)
        await web.assert_known()


async def test_the_history_stays_when_the_service_is_deleted(shared: Connection) -> None:
    async with recording(shared) as web:
        await web.record(20, [*web.checks(0, 10), *web.checks(10, 20, "mo")])
        await web.record(21, [row(web.at(15.5))])
        before = await history(shared)
        await web.execute(22, "DELETE FROM services")
        assert (await history(shared))[: len(before)] == before
        await web.assert_known()


class Step(NamedTuple):
    """What happens after some minutes: a statement, or runs of checks as (first minute before now, length, severity,
    location, seconds after the minute)."""

    after: int
    statement: str | None
    runs: tuple[tuple[int, int, str, str, int], ...]


PAUSE = "UPDATE services SET enabled = NOT enabled"
STEPS = st.builds(
    Step,
    st.integers(1, 25),
    st.sampled_from([None] * 8 + ["SELECT expire_states()", "SELECT expire_states()", PAUSE]),
    st.lists(
        st.tuples(
            st.integers(0, 90),
            st.integers(1, 30),
            st.sampled_from(("o", "o", "mo", "mo", "po")),
            st.sampled_from(LOCATIONS),
            st.sampled_from((0, 0, 0, 17)),
        ),
        min_size=1,
        max_size=4,
    ).map(tuple),
)


def rows_of(step: Step, web: Recording, clock: int) -> Iterator[Row]:
    for before, count, severity, location, second in step.runs:
        first = max(0, clock - before)
        for minute in range(first, min(first + count, clock)):
            yield row(web.at(minute) + timedelta(seconds=second), severity, location=location)


async def check(db: Connection, steps: list[Step]) -> None:
    async with recording(db) as web:
        clock = 60
        for step in steps:
            await set_clock(db, web.at(clock + step.after / 2))
            await web.note()
            clock += step.after
            if step.statement:
                await web.execute(clock, step.statement)
            else:
                await web.record(clock, list(rows_of(step, web, clock)))
        await web.execute(clock + 60, "SELECT expire_states()")
        await set_clock(db, web.at(clock + 90))
        await web.assert_known()


@settings(one_database, max_examples=10)
@given(steps=st.lists(STEPS, min_size=2, max_size=8))
async def test_the_figures_of_each_moment_stay_known(shared: Connection, steps: list[Step]) -> None:
    await check(shared, steps)


@pytest.mark.campaign
async def test_campaign_of_late_checks(shared: Connection, budget: Share) -> None:
    async def one(steps: list[Step]) -> None:
        await check(shared, steps)

    await budget.explore_async(one, steps=st.lists(STEPS, min_size=2, max_size=20))

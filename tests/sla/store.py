"""Stores a world in the tables of a database and reads the figures of its parts."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import AsyncTransaction
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from tests.sla.level_model import assert_rates, burn_rates, current_period, expected_levels
from tests.sla.model import MICROSECOND, STATES, Part, parts
from tests.sla.world import Policy, Version, World
from tests.sql.batches import Connection, fetch, set_clock

FIGURES = """
SELECT service_id, policy_id, version, low, high, target, up_seconds, degraded_seconds, down_seconds, unknown_seconds,
       maintained_seconds, excluded_seconds, outside_seconds, spent_seconds, planned_seconds, budget_seconds,
       outages, longest_seconds
FROM sla_figures(%s, %s, %s, %s, %s, %s)
ORDER BY service_id COLLATE "C", low
"""
SPANS = """
SELECT numbered.service_id, numbered.low, state, lower(span), upper(span)
FROM (SELECT array_agg(service_id ORDER BY service_id, low) AS service_ids,
             array_agg(policy_id ORDER BY service_id, low)  AS policies,
             array_agg(version ORDER BY service_id, low)    AS versions,
             array_agg(low ORDER BY service_id, low)        AS lows,
             array_agg(high ORDER BY service_id, low)       AS highs
      FROM sla_parts(%s, %s, %s, %s, %s, %s)) AS parts
CROSS JOIN LATERAL sla_states(service_ids, policies, versions, lows, highs, %s) AS states
CROSS JOIN LATERAL unnest(service_ids, lows) WITH ORDINALITY AS numbered (service_id, low, part)
CROSS JOIN LATERAL (
    VALUES ('up', up), ('degraded', degraded), ('down', down), ('unknown', unknown), ('maintained', maintained),
           ('excluded', excluded), ('outside', outside)
) AS each (state, spans)
CROSS JOIN LATERAL unnest(spans) AS span
WHERE numbered.part = states.part
ORDER BY 1, 2, 3, 4
"""
RATES = "SELECT length, rate FROM sla_burn_rates(%s::text, %s::uuid, %s::integer, %s::timestamptz)"
COLUMNS = {name: name for name in Version._fields} | {
    "number": "version",
    "zone": "time_zone",
    "hours": "service_hours",
    "calendar": "holiday_calendar",
    "shortest_outage_s": "shortest_outage_seconds",
}
"""The columns of the terms of a version."""
LEVELS = 'SELECT * FROM sla_levels(%s, %s, %s, %s, %s, %s) ORDER BY service_id COLLATE "C"'


class Figures(NamedTuple):
    """A row of sla_figures."""

    service: str
    policy: UUID
    version: int
    low: datetime
    high: datetime
    target: Decimal
    up: Decimal
    degraded: Decimal
    down: Decimal
    unknown: Decimal
    maintained: Decimal
    excluded: Decimal
    outside: Decimal
    spent: Decimal
    planned: Decimal
    budget: Decimal
    outages: int
    longest: Decimal | None


class Period(NamedTuple):
    """What figures are computed for. `under`: the policy version that applies to all of the time."""

    services: tuple[str, ...]
    first_day: date
    last_day: date
    known_at: datetime
    under: tuple[Policy, Version] | None = None

    @property
    def parameters(self) -> tuple[Any, ...]:
        policy, version = (self.under[0].id, self.under[1].number) if self.under else (None, None)
        return list(self.services), self.first_day, self.last_day, self.known_at, policy, version


def stored(connection: Connection) -> AbstractAsyncContextManager[AsyncTransaction]:
    """A transaction that is rolled back: what it stores is for one example."""
    return connection.transaction(force_rollback=True)


async def store(connection: Connection, world: World) -> None:
    """Inserts a world in empty tables and sets the database's clock."""
    await set_clock(connection, world.now)
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO episodes (service_id, location, starts_at, ends_at, state) VALUES (%s, %s, %s, %s, %s)",
            world.episodes,
        )
        await cursor.executemany(
            "INSERT INTO service_memberships (service_id, valid, group_name, tags, interval_seconds, public) "
            "VALUES (%s, tstzrange(%s, %s), %s, %s, 60, true)",
            [(*one[:4], list(one.tags)) for one in world.memberships],
        )
        await cursor.executemany(
            "INSERT INTO holiday_calendars (name) VALUES (%s)",
            [(name,) for name in _calendars(world)],
        )
        await cursor.executemany(
            "INSERT INTO holidays (calendar, day, name) VALUES (%s, %s, 'Holiday')", world.holidays
        )
    for policy in world.policies:
        await _store_policy(connection, policy)
    await _store_corrections(connection, world)
    await _store_maintenance(connection, world)


def _calendars(world: World) -> set[str]:
    named = {version.calendar for policy in world.policies for version in policy.versions if version.calendar}
    return named | {calendar for calendar, _ in world.holidays}


async def _store_policy(connection: Connection, policy: Policy) -> None:
    await connection.execute(
        "INSERT INTO sla_policies (id, scope, subject) VALUES (%s, %s, %s)", (policy.id, policy.scope, policy.subject)
    )
    for one in policy.versions:
        values = {column: getattr(one, name) for name, column in COLUMNS.items()}
        if one.hours is not None:
            values["service_hours"] = Jsonb(
                [{"days": day.days, "from": day.begins, "until": day.until} for day in one.hours]
            )
        if one.credits is not None:
            steps = [{"below": float(below), "credit": float(credit)} for below, credit in one.credits]
            values["credits"] = Jsonb(steps)
        names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
        statement = (
            f"INSERT INTO sla_policy_versions (policy_id, name, author, {names}) VALUES (%s, 'Terms', 'Ann', {marks})"
        )
        await connection.execute(statement.encode(), (policy.id, *values.values()))


async def _store_corrections(connection: Connection, world: World) -> None:
    for one in world.corrections:
        await connection.execute(
            "INSERT INTO sla_corrections (id, scope, subject, effect, category, reason, starts_at, ends_at, "
            "time_zone, author, created_at, withdrawn_at, withdrawn_by) "
            "VALUES (%s, %s, %s, %s, 'other', 'Agreed', %s, %s, 'UTC', 'Ann', %s, %s, %s)",
            (*one[:4], *one.spans[0], one.created_at, one.withdrawn_at, one.withdrawn_at and "Ann"),
        )
        for start, end in one.spans:
            await connection.execute(
                "INSERT INTO sla_correction_spans (correction_id, span) VALUES (%s, tstzrange(%s, %s))",
                (one.id, start, end),
            )


async def _store_maintenance(connection: Connection, world: World) -> None:
    windows = {one.window: one for one in world.announcements}
    for one in windows.values():
        await connection.execute(
            "INSERT INTO maintenance_windows (id, title, affected_services, starts_at, ends_at, time_zone, author) "
            "VALUES (%s, 'Maintenance', %s, %s, %s, 'UTC', 'Ann')",
            (one.window, list(one.services), one.starts_at, one.ends_at),
        )
    for occurrence in world.occurrences:
        await connection.execute(
            "INSERT INTO maintenance_occurrences (window_id, starts_at, ends_at, service_ids) VALUES (%s, %s, %s, %s)",
            (*occurrence[:3], list(occurrence.services)),
        )
    # A trigger has announced the occurrences now.
    await connection.execute("DELETE FROM maintenance_announcements")
    for announced in world.announcements:
        await connection.execute(
            "INSERT INTO maintenance_announcements (window_id, span, service_ids, announced_at) "
            "VALUES (%s, tstzrange(%s, %s), %s, %s)",
            (*announced[:3], list(announced.services), announced.announced_at),
        )


async def figures(connection: Connection, period: Period) -> list[Figures]:
    return [Figures(*row) for row in await fetch(connection, FIGURES, period.parameters)]


async def compare(connection: Connection, world: World, period: Period) -> list[Figures]:
    """Stores a world, and compares its figures and spans with those of the model. Returns the figures."""
    await store(connection, world)
    found = await figures(connection, period)
    expected = parts(world, *period)
    _assert_equal([_comparable(one) for one in found], [_expected(part, world) for part in expected])
    spans = await fetch(connection, SPANS, (*period.parameters, period.known_at))
    await compare_levels(connection, world, period)
    _assert_equal(
        spans,
        sorted(
            (part.service, part.low, state, *span)
            for part in expected
            for state in STATES
            for span in part.spans[state]
        ),
    )
    now = min(world.now, period.known_at)
    for one in found:
        first_check = min((ep.starts_at for ep in world.episodes if ep.service == one.service), default=now)
        elapsed = max(min(one.high, now) - max(one.low, first_check), first_check - first_check)
        assert sum(one[6:13]) == Decimal(elapsed // MICROSECOND).scaleb(-6)
    return found


async def compare_levels(connection: Connection, world: World, period: Period) -> None:
    """Compares the levels of a stored world, its burn rates and its current periods with those of the model."""
    found = await levels(connection, period)
    expected = expected_levels(world, *period)
    assert [one["service_id"] for one in found] == [one.service for one in expected]
    for row, level in zip(found, expected, strict=True):
        different = level.differences(row)
        assert not different, f"{level.service}: (database, model) {different}"
    for policy in world.policies:
        for version in policy.versions:
            terms = (policy.id, version.number)
            for service in period.services:
                rates = await fetch(connection, RATES, (service, *terms, period.known_at))
                assert_rates(dict(rates), burn_rates(world, service, (policy, version), period.known_at))
            days = await fetch(connection, "SELECT * FROM sla_period(%s, %s, %s)", (*terms, period.last_day))
            assert days == [current_period(version, period.last_day)]


def _assert_equal(found: Sequence[Any], expected: Sequence[Any]) -> None:
    only_database = "\n".join(f"  {one}" for one in found if one not in expected)
    only_model = "\n".join(f"  {one}" for one in expected if one not in found)
    assert found == expected, f"only in the database:\n{only_database}\nonly in the model:\n{only_model}"


def _comparable(one: Figures) -> Figures:
    """Rounds the budget to the microsecond: PostgreSQL divides numbers to sixteen digits."""
    return one._replace(budget=round(one.budget, 6))


def _expected(part: Part, world: World) -> Figures:
    [version] = [
        version
        for policy in world.policies
        for version in policy.versions
        if (policy.id, version.number) == (part.policy, part.version)
    ]
    return Figures(
        service=part.service,
        policy=part.policy,
        version=part.version,
        low=part.low,
        high=part.high,
        target=version.target,
        **{state: part.seconds(state) for state in STATES},
        spent=part.spent,
        planned=part.planned,
        budget=round(part.budget, 6),
        outages=len(part.spans["down"]),
        longest=part.longest,
    )


async def levels(connection: Connection, period: Period) -> list[dict[str, Any]]:
    """Returns the rows of sla_levels by service, each as its values by column."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(LEVELS, period.parameters)
        return await cursor.fetchall()

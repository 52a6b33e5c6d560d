"""Plays a history on a real database, with the clock of the history, and compares all that it answers with the oracle.

The clock of a database is set by putting two functions in the place of present() and present_clock(), which say what
the session was told last. One database serves many histories: before each it is emptied, down to what a migration
leaves.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from psycopg.sql import SQL, Identifier, Literal
from psycopg.types.json import Jsonb

from sla_monitor.settings import Settings
from sql.aggregates import refresh
from sql.migrate import migrate
from tests.oracle.compare_answers import calendars, periods, response_times, system_status
from tests.oracle.compare_figures import figures
from tests.oracle.compare_states import Known, changed_ids, known_outages, states
from tests.oracle.differences import Difference, report
from tests.oracle.history import (
    Advance,
    Clean,
    GoOn,
    History,
    Interrupt,
    Look,
    Record,
    Refresh,
    Retain,
    Rezone,
    Service,
    Step,
)
from tests.oracle.local_days import local_days
from tests.oracle.moments import changes_of_clocks
from tests.oracle.rows import Check, Told
from tests.oracle.world import World
from tests.sql.batches import Connection, Row, add_locations, ask, connected, copy, is_timescaledb, value

SECOND = timedelta(seconds=1)
CLOCK = """
CREATE OR REPLACE FUNCTION present() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
    RETURN current_setting('oracle.present')::timestamptz;
CREATE OR REPLACE FUNCTION present_clock() RETURNS timestamptz LANGUAGE sql VOLATILE
    RETURN current_setting('oracle.present')::timestamptz;
"""
TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
  AND relname NOT IN ('schema_versions', 'audit_entries')
ORDER BY relname
"""


class WrongError(AssertionError):
    """The database and the oracle do not agree."""


def as_row(check: Check) -> Row:
    """A check as a prober sends it."""
    return Row(
        service_id=check.service,
        location=check.location,
        scheduled_at=check.at,
        finished_at=check.at,
        interval_seconds=check.interval,
        status_code=200 if check.good else None,
        success=check.good,
        severity=check.severity,
        total_ms=check.total_ms,
        dns_ms=check.dns_ms,
        connect_ms=check.connect_ms,
        tls_ms=check.tls_ms,
        first_byte_ms=check.first_byte_ms,
        attempts=1,
        error_type=check.error_type,
        error_message=check.error_message,
    )


class Database:
    """A migrated database that histories are played on, one after the other."""

    def __init__(self, url: str, connection: Connection, made: dict[str, Any], tables: Sequence[str]) -> None:
        self.url = url
        self.connection = connection
        self._made = made
        self._tables = tables
        self._world: World | None = None
        self._outages: dict[str, list[Known]] = {}
        self._known_zones: dict[str, bool] = {}
        self.looks = 0

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str) -> AsyncIterator[Self]:
        async with connected(url) as connection:
            tables = [name for (name,) in await ask(connection, TABLES)]
            made = {}
            for name in tables:
                rows = SQL("SELECT jsonb_agg(to_jsonb(t)) FROM {} AS t").format(Identifier(name))
                if found := await value(connection, rows.as_string()):
                    made[name] = found
            await connection.execute(CLOCK)
            # Planning takes most of the time of these queries, and what they return does not depend on the plan: each
            # statement is prepared at once and planned once.
            connection.prepare_threshold = 0
            await connection.execute("SET plan_cache_mode = force_generic_plan")
            yield cls(url, connection, made, tables)

    async def knows(self, zone: str) -> bool:
        """Whether the server turns the clocks of a zone when Python does: the two have tz databases of their own."""
        if zone not in self._known_zones:
            days = local_days(zone)
            moments = [at + side * SECOND for at in changes_of_clocks(zone) for side in (-1, 0)]
            found = await ask(
                self.connection,
                "SELECT at, at AT TIME ZONE %s - at AT TIME ZONE 'UTC' FROM unnest(%s::timestamptz[]) AS at",
                (zone, moments),
            )
            self._known_zones[zone] = all(offset == days.offset(at) for at, offset in found)
        return self._known_zones[zone]

    @property
    def world(self) -> World:
        assert self._world is not None, "begin() comes first"
        return self._world

    async def begin(self, history: History) -> None:
        """Empties the database, and sets up the zone, the services and the locations of a history."""
        await self._empty()
        self._world, self._outages = World(history), {}
        await self.set_clock(history.begins)
        await self.connection.execute(
            "UPDATE installation SET time_zone = %s, retention = %s, complete_since = '-infinity'",
            (history.zone, history.retention),
        )
        await self.connection.execute("CALL keep_partitions()")
        await add_locations(self.connection, *history.locations)
        for service in history.services:
            await self._enter(service)

    async def _empty(self) -> None:
        filled = SQL(" UNION ALL ").join(
            SQL("SELECT {} WHERE EXISTS (SELECT FROM {})").format(Literal(name), Identifier(name))
            for name in self._tables
        )
        names = [name for (name,) in await ask(self.connection, filled.as_string())]
        if not await is_timescaledb(self.connection):
            await self._drop_partitions()
        await self.connection.execute(
            SQL("TRUNCATE {} CASCADE").format(SQL(", ").join(map(Identifier, names))).as_string().encode()
        )
        for name, rows in self._made.items():
            statement = SQL(
                "INSERT INTO {} OVERRIDING SYSTEM VALUE SELECT * FROM jsonb_populate_recordset(NULL::{}, %s)"
            )
            text = statement.format(Identifier(name), Identifier(name)).as_string()
            await self.connection.execute(text.encode(), (Jsonb(rows),))

    async def _drop_partitions(self) -> None:
        """Histories of thirty years would leave three hundred."""
        found = await ask(
            self.connection, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'checks'::regclass"
        )
        if found:
            await self.connection.execute(f"DROP TABLE {', '.join(name for (name,) in found)}".encode())

    async def set_clock(self, moment: datetime) -> None:
        self.world.present = moment
        await self.connection.execute("SELECT set_config('oracle.present', %s, false)", (moment.isoformat(),))

    async def _enter(self, service: Service) -> None:
        await self.connection.execute(
            "INSERT INTO services (id, name, endpoint_url, retries, timeout_ms) "
            "VALUES (%s, %s, 'http://target/', %s, %s)",
            (service.id, service.id.title(), service.retries, service.timeout_ms),
        )

    async def play(self, history: History) -> None:
        """Raises WrongError where an answer differs."""
        await self.begin(history)
        for number, step in enumerate(history.steps):
            wrong = await self.take(step, history)
            if wrong:
                place = f"step {number + 1} of {len(history.steps)}, {type(step).__name__}"
                raise WrongError(
                    f"{place}, {self.world.zone}, at {self.world.present:%F %T.%f}Z\n{report(wrong)}\n{history.told()}"
                )

    async def take(self, step: Step, history: History) -> list[Difference]:
        """One step, here and in the oracle's memory; what differs after it."""
        match step:
            case Advance(to):
                await self.set_clock(to)
            case Record(batch):
                return await self.record(batch)
            case Refresh():
                await self.connection.execute("CALL keep_partitions()")  # as a round of housekeeping begins
                if not await refresh(self.connection):
                    return [Difference("refresh", (), True, False)]
            case Clean():
                await self._clean()
            case Look():
                return await self.look(history)
            case Interrupt(service, "pause"):
                await self.connection.execute("UPDATE services SET enabled = false WHERE id = %s", (service,))
                self.world.apply(step)
            case Interrupt(service, _):
                await self.connection.execute("DELETE FROM services WHERE id = %s", (service,))
                self.world.apply(step)
            case GoOn(service):
                if service in self.world.services:
                    await self.connection.execute("UPDATE services SET enabled = true WHERE id = %s", (service,))
                else:
                    await self._enter(self.world.all_services[service])
                self.world.apply(step)
            case Retain(retention):
                await self._retain(retention, self.world.zone)
                self.world.apply(step)
            case Rezone(zone) if await self.knows(zone):
                await self._retain(self.world.retention, zone)
                self.world.apply(step)
        return []

    async def record(self, batch: Sequence[Check]) -> list[Difference]:
        async with self.connection.transaction():
            await copy(self.connection, map(as_row, batch))
            [found] = await ask(self.connection, "SELECT stored, duplicates, parked FROM record_checks_v2()")
        expected = self.world.record(batch)
        return [] if Told(*found) == expected else [Difference("record_checks_v2", (), expected, found)]

    async def look(self, history: History) -> list[Difference]:
        """Everything that differs at this moment."""
        self.looks += 1
        await self.connection.execute("SELECT expire_states()")
        outages = await known_outages(self.connection)
        wrong = changed_ids(self._outages, outages)
        self._outages = outages
        for compare in (figures, states, system_status, periods):
            wrong += await compare(self.connection, self.world)
        wrong += await calendars(self.connection, self.world, history.calendars)
        return wrong + await response_times(self.connection, self.world, history.asked)

    async def _retain(self, retention: Any, zone: str) -> None:
        """Another retention or zone, as a start of the program with other settings brings it."""
        name = await value(self.connection, "SELECT current_database()")
        setting = SQL("ALTER DATABASE {} SET oracle.present = {}")
        moment = Literal(self.world.present.astimezone(UTC).isoformat())
        await self.connection.execute(setting.format(Identifier(name), moment).as_string().encode())
        await migrate(self.url, Settings(retention=retention, time_zone=zone))
        await self.connection.execute(CLOCK, prepare=False)  # two statements

    async def _clean(self) -> None:
        """What the housekeeping, and TimescaleDB's policy, do about old raw rows; the policy by our clock."""
        await self.connection.execute("CALL keep_partitions()")
        if await is_timescaledb(self.connection):
            edge = self.world.present - self.world.retention
            await self.connection.execute("SELECT drop_chunks('checks', older_than => %s::timestamptz)", (edge,))

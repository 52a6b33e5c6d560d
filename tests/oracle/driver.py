"""Replays a history on a real database, with the clock of the history, and compares the database with the oracle.

The clock of the database is set by replacing present() and present_clock() with functions that return a setting of the
session. One database serves many histories: before each it is reset to the rows that a migration creates.
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
from tests.oracle.compare_figures import figures
from tests.oracle.compare_queries import calendars, periods, response_times, system_status
from tests.oracle.compare_states import KnownOutage, changed_ids, outages_by_service, states
from tests.oracle.differences import Difference, report
from tests.oracle.history import (
    Advance,
    Compare,
    DropOldRows,
    History,
    Interrupt,
    Record,
    Refresh,
    Resume,
    Service,
    SetRetention,
    SetTimeZone,
    Step,
)
from tests.oracle.local_days import local_days
from tests.oracle.model import Model
from tests.oracle.moments import changes_of_clocks
from tests.oracle.rows import Check, Counts
from tests.sql.batches import Connection, Row, add_locations, connected, copy, fetch, is_timescaledb, value

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


class DifferenceError(AssertionError):
    """The database and the oracle differ."""


def as_row(check: Check) -> Row:
    """Returns the check as a prober sends it."""
    return Row(
        service_id=check.service,
        location=check.location,
        scheduled_at=check.at,
        finished_at=check.at,
        interval_seconds=check.interval,
        status_code=200 if check.successful else None,
        success=check.successful,
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
    """A migrated database on which histories are replayed, one after the other."""

    def __init__(self, url: str, connection: Connection, initial_rows: dict[str, Any], tables: Sequence[str]) -> None:
        self.url = url
        self.connection = connection
        self._initial_rows = initial_rows
        self._tables = tables
        self._model: Model | None = None
        self._outages: dict[str, list[KnownOutage]] = {}
        self._same_clocks: dict[str, bool] = {}
        self.comparisons = 0

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str) -> AsyncIterator[Self]:
        async with connected(url) as connection:
            tables = [name for (name,) in await fetch(connection, TABLES)]
            initial_rows = {}
            for name in tables:
                rows = SQL("SELECT jsonb_agg(to_jsonb(t)) FROM {} AS t").format(Identifier(name))
                if found := await value(connection, rows.as_string()):
                    initial_rows[name] = found
            await connection.execute(CLOCK)
            # Planning takes most of the time of these queries, and what they return does not depend on the plan: each
            # statement is prepared at once and planned once.
            connection.prepare_threshold = 0
            await connection.execute("SET plan_cache_mode = force_generic_plan")
            yield cls(url, connection, initial_rows, tables)

    async def has_same_clocks(self, zone: str) -> bool:
        """Returns whether the server changes the clocks of a zone when Python does. Each has its own tz database."""
        if zone not in self._same_clocks:
            days = local_days(zone)
            moments = [at + side * SECOND for at in changes_of_clocks(zone) for side in (-1, 0)]
            found = await fetch(
                self.connection,
                "SELECT at, at AT TIME ZONE %s - at AT TIME ZONE 'UTC' FROM unnest(%s::timestamptz[]) AS at",
                (zone, moments),
            )
            self._same_clocks[zone] = all(offset == days.offset(at) for at, offset in found)
        return self._same_clocks[zone]

    @property
    def model(self) -> Model:
        assert self._model is not None, "begin() must be called first"
        return self._model

    async def begin(self, history: History) -> None:
        """Resets the database and adds the zone, the services and the locations of a history."""
        await self._empty()
        self._model, self._outages = Model(history), {}
        await self.set_clock(history.begins)
        await self.connection.execute(
            "UPDATE installation SET time_zone = %s, retention = %s, complete_since = '-infinity'",
            (history.zone, history.retention),
        )
        await self.connection.execute("CALL keep_partitions()")
        await add_locations(self.connection, *history.locations)
        for service in history.services:
            await self._add_service(service)

    async def _empty(self) -> None:
        filled = SQL(" UNION ALL ").join(
            SQL("SELECT {} WHERE EXISTS (SELECT FROM {})").format(Literal(name), Identifier(name))
            for name in self._tables
        )
        names = [name for (name,) in await fetch(self.connection, filled.as_string())]
        if not await is_timescaledb(self.connection):
            await self._drop_partitions()
        await self.connection.execute(
            SQL("TRUNCATE {} CASCADE").format(SQL(", ").join(map(Identifier, names))).as_string().encode()
        )
        for name, rows in self._initial_rows.items():
            statement = SQL(
                "INSERT INTO {} OVERRIDING SYSTEM VALUE SELECT * FROM jsonb_populate_recordset(NULL::{}, %s)"
            )
            text = statement.format(Identifier(name), Identifier(name)).as_string()
            await self.connection.execute(text.encode(), (Jsonb(rows),))

    async def _drop_partitions(self) -> None:
        """Histories over thirty years would otherwise leave three hundred partitions."""
        found = await fetch(
            self.connection, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'checks'::regclass"
        )
        if found:
            await self.connection.execute(f"DROP TABLE {', '.join(name for (name,) in found)}".encode())

    async def set_clock(self, moment: datetime) -> None:
        self.model.present = moment
        await self.connection.execute("SELECT set_config('oracle.present', %s, false)", (moment.isoformat(),))

    async def _add_service(self, service: Service) -> None:
        await self.connection.execute(
            "INSERT INTO services (id, name, endpoint_url, retries, timeout_ms) "
            "VALUES (%s, %s, 'http://target/', %s, %s)",
            (service.id, service.id.title(), service.retries, service.timeout_ms),
        )

    async def play(self, history: History) -> None:
        """Executes all steps of a history. Raises DifferenceError after the first step with differences."""
        await self.begin(history)
        for number, step in enumerate(history.steps):
            found = await self.execute(step, history)
            if found:
                place = f"step {number + 1} of {len(history.steps)}, {type(step).__name__}"
                time = f"{self.model.zone}, at {self.model.present:%F %T.%f}Z"
                raise DifferenceError(f"{place}, {time}\n{report(found)}\n{history.describe()}")

    async def execute(self, step: Step, history: History) -> list[Difference]:
        """Executes one step in the database and in the model. Returns the differences after it."""
        match step:
            case Advance(to):
                await self.set_clock(to)
            case Record(batch):
                return await self.record(batch)
            case Refresh():
                await self.connection.execute("CALL keep_partitions()")  # as the housekeeping does first
                if not await refresh(self.connection):
                    return [Difference("refresh", (), True, False)]
            case DropOldRows():
                await self._drop_old_rows()
            case Compare():
                return await self.compare_all(history)
            case Interrupt(service, "pause"):
                await self.connection.execute("UPDATE services SET enabled = false WHERE id = %s", (service,))
                self.model.apply(step)
            case Interrupt(service, _):
                await self.connection.execute("DELETE FROM services WHERE id = %s", (service,))
                self.model.apply(step)
            case Resume(service):
                if service in self.model.services:
                    await self.connection.execute("UPDATE services SET enabled = true WHERE id = %s", (service,))
                else:
                    await self._add_service(self.model.all_services[service])
                self.model.apply(step)
            case SetRetention(retention):
                await self._migrate(retention, self.model.zone)
                self.model.apply(step)
            case SetTimeZone(zone) if await self.has_same_clocks(zone):
                await self._migrate(self.model.retention, zone)
                self.model.apply(step)
        return []

    async def record(self, batch: Sequence[Check]) -> list[Difference]:
        async with self.connection.transaction():
            await copy(self.connection, map(as_row, batch))
            [found] = await fetch(self.connection, "SELECT stored, duplicates, parked FROM record_checks_v2()")
        expected = self.model.record(batch)
        return [] if Counts(*found) == expected else [Difference("record_checks_v2", (), expected, found)]

    async def compare_all(self, history: History) -> list[Difference]:
        """Returns all differences at the current time."""
        self.comparisons += 1
        await self.connection.execute("SELECT expire_states()")
        outages = await outages_by_service(self.connection)
        found_differences = changed_ids(self._outages, outages)
        self._outages = outages
        for compare in (figures, states, system_status, periods):
            found_differences += await compare(self.connection, self.model)
        found_differences += await calendars(self.connection, self.model, history.calendars)
        return found_differences + await response_times(self.connection, self.model, history.lookups)

    async def _migrate(self, retention: Any, zone: str) -> None:
        """Applies another retention or zone, like a start of the program with other settings."""
        name = await value(self.connection, "SELECT current_database()")
        setting = SQL("ALTER DATABASE {} SET oracle.present = {}")
        moment = Literal(self.model.present.astimezone(UTC).isoformat())
        await self.connection.execute(setting.format(Identifier(name), moment).as_string().encode())
        await migrate(self.url, Settings(retention=retention, time_zone=zone))
        await self.connection.execute(CLOCK, prepare=False)  # two statements

    async def _drop_old_rows(self) -> None:
        """Drops old raw rows like the housekeeping and the policy of TimescaleDB, by the clock of the history."""
        await self.connection.execute("CALL keep_partitions()")
        if await is_timescaledb(self.connection):
            edge = self.model.present - self.model.retention
            await self.connection.execute("SELECT drop_chunks('checks', older_than => %s::timestamptz)", (edge,))

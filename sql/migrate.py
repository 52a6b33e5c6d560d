"""Migrates a database to the schema of this program: forward only, by one process at a time, in one transaction.

Order: numbered migrations (each applied once), the schemas of check types, functions, rollups (tables once, functions
whenever they change), views, the schema `analytics`, policies. If the process is killed, the database is unchanged. A
second process waits for the first.

An installation of release 0.1 keeps its aggregates, and the views on them, until the rollups have all of its data:
`sql.aggregates.refresh` copies them in the background and then calls `finish_upgrade`.
"""

import logging
import random
from dataclasses import dataclass
from typing import NamedTuple

import anyio
import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from sla_monitor.settings import NEW_INSTALLATION, Settings, Terms, terms
from sql import connect, query
from sql.migration_checks import (
    check_stored_time_zone,
    check_time_zone,
    engine_of,
    stored_terms,
    without_shorter_retention,
)
from sql.migration_errors import MigrationError, NotNowError, UnreachableError
from sql.poolers import shares_sessions
from sql.roles import grant_privileges
from sql.schema import LEGACY, Part, folder, parts_of

log = logging.getLogger(__name__)

LOCK_TIMEOUT_S = 120
STEP_TIMEOUT_S = 30
"""The limit of a step that waits for no lock; it detects a database that does not respond."""
REWRITE_TIMEOUT_S = 3600
"""The limit of a step that may rewrite stored data."""
CLOSE_TIMEOUT_S = 2
RETRY_PAUSES_S = (0.5, 10.0)
"""The pause before the first retry, which is doubled each time, and its maximum."""
ATTEMPTS = 5
POOLED = (
    "DATABASE_URL is a connection pooler in transaction or statement mode: give the address of PostgreSQL itself, or "
    "set pool_mode = session in PgBouncer"
)


class Plan(NamedTuple):
    """The parts to apply, the terms in the database, those that apply afterwards, and whether the time zone changes."""

    due: list[Part]
    stored: Terms
    agreed: Terms
    rezoned: bool


@dataclass(frozen=True)
class Migrated:
    """The result of `migrate`: the engine, and the names of the applied parts."""

    engine: str
    applied: tuple[str, ...]


async def _apply_with_retries(
    connection: AsyncConnection[TupleRow], engine: str, settings: Settings, step: anyio.CancelScope
) -> tuple[str, ...]:
    """Applies the parts that are due. Tries up to `ATTEMPTS` times, since a deadlock with a recorder or a reader is
    possible."""
    for left in reversed(range(ATTEMPTS)):
        try:
            async with connection.transaction():
                return await _apply(connection, engine, settings, step)
        except psycopg.errors.DeadlockDetected:
            if not left:
                raise
            log.info("a deadlock with another process: trying again")
    raise AssertionError("unreachable")


async def _apply(
    connection: AsyncConnection[TupleRow], engine: str, settings: Settings, step: anyio.CancelScope
) -> tuple[str, ...]:
    await connection.execute(query("migrate/versions_table"))
    # Before any table: a recorder holds this lock and then waits for tables.
    _allow(step, LOCK_TIMEOUT_S)
    await connection.execute(query("migrate/lock_recording"))
    await connection.execute(query("migrate/lock_accounting"))
    known = await _applied(connection)
    plan = await _plan(connection, engine, settings, known)
    if plan.due:
        await connection.execute(query("migrate/lock_events"))
    if any(part.name.startswith("views/") for part in plan.due):
        _allow(step, LOCK_TIMEOUT_S)
        await _drop_views(connection, known)
    if _changes_analytics(plan.due):
        await _drop_analytics(connection, known)

    await _apply_parts(connection, plan.due, engine, plan.agreed, step)
    await connection.execute(query("migrate/remember_retention"))
    await _store_installation(connection, engine, plan.agreed)
    _allow(step, REWRITE_TIMEOUT_S if plan.rezoned else LOCK_TIMEOUT_S)
    if plan.rezoned:
        await connection.execute("SELECT rebuild_days()")
    # With the new retention, and also after weeks without a running program: the first check needs its partition.
    await connection.execute(query("housekeeping/keep_partitions"))
    await grant_privileges(connection)
    return tuple(part.name for part in plan.due)


def _allow(step: anyio.CancelScope, seconds: float) -> None:
    """Sets the deadline of the next step: `seconds` in addition to `STEP_TIMEOUT_S`."""
    step.deadline = anyio.current_time() + STEP_TIMEOUT_S + seconds


async def _applied(connection: AsyncConnection[TupleRow]) -> dict[str, str]:
    """The checksums of the applied parts, by name."""
    rows = await (await connection.execute("SELECT name, checksum FROM schema_versions")).fetchall()
    return dict(rows)


async def _plan(connection: AsyncConnection[TupleRow], engine: str, settings: Settings, known: dict[str, str]) -> Plan:
    """The plan; changes nothing. Raises MigrationError if the migration is not possible."""
    stored = await stored_terms(connection) if known else NEW_INSTALLATION
    agreed = terms(settings, stored)
    legacy = not LEGACY.isdisjoint(known)
    if legacy:
        agreed = without_shorter_retention(stored, agreed)
    parts = parts_of(engine, agreed, connection, legacy=legacy)

    names = {part.name for part in parts}
    unknown = sorted(name for name in known if name.startswith("migrations/") and name not in names)
    if unknown:
        raise MigrationError(f"the database is newer than this program ({unknown[0]}): upgrade sla-monitor")
    due = [part for part in parts if known.get(part.name) != part.checksum]
    edited = [part for part in due if part.once and part.name in known]
    if edited:
        raise MigrationError(f"{edited[0].name} was edited after it had been applied: restore it, add a new migration")
    rezoned = bool(known) and agreed.time_zone != stored.time_zone
    if rezoned or not known:
        await check_time_zone(connection, agreed.time_zone)
    else:
        await check_stored_time_zone(connection, agreed.time_zone)
    if rezoned and legacy:
        raise MigrationError(
            "the figures of release 0.1 are still being copied in the background: "
            "leave SLA_MONITOR_TIMEZONE unchanged until that is finished"
        )
    if any(part.name.startswith("views/") for part in due):
        due = [part for part in parts if part in due or part.name.startswith("views/")]
    if _changes_analytics(due):
        due = [part for part in parts if part in due or part.name.startswith("analytics/")]
    return Plan(due, stored, agreed, rezoned)


async def _apply_parts(
    connection: AsyncConnection[TupleRow], due: list[Part], engine: str, agreed: Terms, step: anyio.CancelScope
) -> None:
    for part in due:
        _allow(step, REWRITE_TIMEOUT_S if part.once else LOCK_TIMEOUT_S)
        await connection.execute(part.text.encode())
        await connection.execute(query("migrate/record_version"), {"name": part.name, "checksum": part.checksum})
        if part.name == "migrations/0001_services":
            await _store_installation(connection, engine, agreed)


async def finish_upgrade(connection: AsyncConnection[TupleRow]) -> bool:
    """Creates the views on the rollups and drops the aggregates of release 0.1, if the rollups have all of their data.
    Returns False if no upgrade is under way or it is not complete. The connection must be in autocommit mode, and its
    user must own the schema."""
    async with connection.transaction():
        await connection.execute("SET LOCAL lock_timeout = '10s'")
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('sla-monitor migrate', 0))")
        await connection.execute("SELECT lock_recording()")
        row = await (await connection.execute(query("migrate/upgrade_left"))).fetchone()
        if row is None or row[0] is None or row[0] > 0:
            return False
        engine = str(row[1])
        agreed = await stored_terms(connection)
        known = await _applied(connection)
        await _drop_views(connection, known)
        await _drop_analytics(connection, known)
        await connection.execute(dict(folder("continuous_aggregates", engine))["drop_legacy"].encode())
        await connection.execute("UPDATE rollup_state SET legacy = false")
        await connection.execute("DELETE FROM schema_versions WHERE name = ANY (%s)", ([*LEGACY],))
        parts = parts_of(engine, agreed, connection, legacy=False)
        due = [part for part in parts if part.name.startswith("views/") or known.get(part.name) != part.checksum]
        with anyio.CancelScope() as step:
            await _apply_parts(connection, due, engine, agreed, step)
        await grant_privileges(connection)
    log.info("the figures of release 0.1 are all in the rollups: its aggregates are removed")
    return True


async def _store_installation(connection: AsyncConnection[TupleRow], engine: str, agreed: Terms) -> None:
    """Stores the engine and the terms in the table `installation`."""
    await connection.execute(query("migrate/installation"), {"engine": engine, **agreed._asdict()})


async def _drop_views(connection: AsyncConnection[TupleRow], known: dict[str, str]) -> None:
    for name in known:
        kind, _, view = name.partition("/")
        if kind == "views":
            await connection.execute(sql.SQL("DROP VIEW IF EXISTS {} CASCADE").format(sql.Identifier(view)))


def _changes_analytics(due: list[Part]) -> bool:
    """Whether the views and functions for analysts are created again: a migration may change what they read."""
    return any(part.name.startswith(("migrations/", "views/", "analytics/")) for part in due)


async def _drop_analytics(connection: AsyncConnection[TupleRow], known: dict[str, str]) -> None:
    for name in known:
        kind, _, view = name.partition("/")
        if kind == "analytics" and view != "schema":
            identifier = sql.Identifier("analytics", view)
            await connection.execute(sql.SQL("DROP VIEW IF EXISTS {} CASCADE").format(identifier))
            await connection.execute(sql.SQL("DROP FUNCTION IF EXISTS {} CASCADE").format(identifier))


async def migrate(database_url: str, settings: Settings) -> Migrated:
    """Migrates the database. Raises MigrationError if that is not possible, NotNowError if it may be possible later.
    Every step has a timeout."""
    try:
        with anyio.fail_after(STEP_TIMEOUT_S):
            connection = await connect(database_url, application="sla-monitor migrate")
    except TimeoutError:
        raise UnreachableError(f"cannot reach the database (no response within {STEP_TIMEOUT_S} s)") from None
    except psycopg.OperationalError as error:
        raise UnreachableError.of(error) from error
    except psycopg.ProgrammingError:  # its text is not shown: it contains the URL, which may contain a password
        raise MigrationError("DATABASE_URL is not a valid URL: check its port, parameters and %-escapes") from None
    try:
        with anyio.fail_after(STEP_TIMEOUT_S) as step:
            if await shares_sessions(connection, database_url):
                raise MigrationError(POOLED)
            migrated = await _migrate(connection, settings, step)
    except TimeoutError:
        raise UnreachableError("the database stopped responding during the migration of its schema") from None
    except psycopg.errors.LockNotAvailable as error:
        raise NotNowError(f"another process has been migrating for {LOCK_TIMEOUT_S} s") from error
    except psycopg.errors.ReadOnlySqlTransaction as error:
        raise NotNowError("the database can only be read, and its schema is not up to date") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise MigrationError(f"the database user lacks a privilege: {error.diag.message_primary}") from error
    except (psycopg.OperationalError, psycopg.errors.IdleInTransactionSessionTimeout) as error:
        reason = str(error).strip().splitlines()[0]
        raise NotNowError(f"the schema cannot be migrated now ({reason})") from error
    finally:
        with anyio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
            await connection.close()
    if migrated.applied:
        log.info("the schema has been migrated: %d parts applied, on %s", len(migrated.applied), migrated.engine)
    return migrated


async def _migrate(connection: AsyncConnection[TupleRow], settings: Settings, step: anyio.CancelScope) -> Migrated:
    await connection.execute(query("migrate/session"), {"timeout": f"{LOCK_TIMEOUT_S}s"})
    engine = await _current_engine(connection, settings)
    if engine is not None:
        return Migrated(engine, ())
    _allow(step, LOCK_TIMEOUT_S)
    await connection.execute("SELECT pg_advisory_lock(hashtextextended('sla-monitor migrate', 0))")
    _allow(step, 0)
    engine = await engine_of(connection, settings)
    return Migrated(engine, await _apply_with_retries(connection, engine, settings, step))


async def _current_engine(connection: AsyncConnection[TupleRow], settings: Settings) -> str | None:
    """The engine of a database that this program can only use as it is, because it is read-only or its schema belongs
    to another role. None if the schema can be migrated. Raises NotNowError if another role has to migrate it."""
    row = await (await connection.execute(query("migrate/only_usable"))).fetchone()
    read_only, other_owner = row or (False, False)
    if not read_only and not other_owner:
        return None
    engine = await engine_of(connection, settings)
    plan = await _plan(connection, engine, settings, await _applied(connection))
    current = not plan.due and plan.agreed == plan.stored
    if other_owner and not current:
        changed = "the schema is not up to date" if plan.due else "the settings stored in the database differ"
        raise NotNowError(f"{changed}, and the schema belongs to another role: run `sla-monitor migrate` as that role")
    if not current:
        return None
    if read_only:
        log.warning("the database can only be read; its schema is up to date")
    return engine


async def migrate_when_possible(database_url: str, settings: Settings) -> Migrated:
    """As `migrate`, but logs NotNowError and tries again."""
    pause_s, longest_s = RETRY_PAUSES_S
    logged = ""
    while True:
        try:
            return await migrate(database_url, settings)
        except NotNowError as error:
            if str(error) != logged:
                logged = str(error)
                log.warning("%s; it is tried again until it succeeds", logged)
        await anyio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - not a secret
        pause_s = min(longest_s, 2 * pause_s)

"""The checks of a migration before it changes anything: the server, the engine, the terms and the time zone."""

import logging

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from sla_monitor.settings import NEW_INSTALLATION, Settings, Terms
from sql import query
from sql.migration_errors import MigrationError

log = logging.getLogger(__name__)

OLDEST_SERVER = 160000
"""The lowest server_version_num that is supported."""


async def engine_of(connection: AsyncConnection[TupleRow], settings: Settings) -> str:
    """Returns the engine of the installation. For a new one this is the engine of the settings, or the best available;
    the extension of TimescaleDB is created. Raises MigrationError if the server cannot be used."""
    row = await (await connection.execute(query("migrate/engine"))).fetchone()
    assert row is not None
    installed, server_version, encoding, available, license_name = row
    if server_version < OLDEST_SERVER:
        raise MigrationError(f"PostgreSQL 16 or newer is needed, this is {server_version // 10000}")
    if encoding != "UTF8":
        raise MigrationError(
            f"the encoding of this database is {encoding}: use one that was created with ENCODING 'UTF8'"
        )
    if installed:
        known = await (await connection.execute("SELECT engine FROM installation")).fetchone()
        if known is not None:
            return str(known[0])
    if settings.database_engine == "postgresql" or (settings.database_engine == "auto" and not available):
        return "postgresql"
    if not available:
        raise MigrationError("DATABASE_ENGINE=timescaledb, but this server does not load the timescaledb extension")
    if license_name == "apache":
        raise MigrationError(
            "this TimescaleDB is the Apache-only edition, which has no columnstore: install TimescaleDB "
            "Community (timescaledb.license=timescale), or set DATABASE_ENGINE=postgresql to use plain PostgreSQL"
        )
    await connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    return "timescaledb"


async def stored_terms(connection: AsyncConnection[TupleRow]) -> Terms:
    """The terms of the installation."""
    row = await (await connection.execute(query("migrate/kept_terms"))).fetchone()
    return Terms(*row) if row else NEW_INSTALLATION


def without_shorter_retention(stored: Terms, agreed: Terms) -> Terms:
    """The terms with at least the stored retention: late checks must reach the rollups before raw checks are
    dropped."""
    if agreed.retention >= stored.retention:
        return agreed
    log.warning("CHECK_RETENTION stays unchanged until the figures of release 0.1 are copied: restart the program then")
    return agreed._replace(retention=stored.retention)


async def check_time_zone(connection: AsyncConnection[TupleRow], name: str) -> None:
    """Raises MigrationError for a time zone that the server does not know."""
    row = await (await connection.execute(query("migrate/knows_time_zone"), {"name": name})).fetchone()
    if row is None or not row[0]:
        raise MigrationError(f"SLA_MONITOR_TIMEZONE={name}: the database server does not know this time zone")


async def check_stored_time_zone(connection: AsyncConnection[TupleRow], name: str) -> None:
    """Raises MigrationError if the server does not know the time zone of the installation, which may have been moved
    from another server."""
    try:
        async with connection.transaction():
            await connection.execute(query("migrate/try_time_zone"), {"name": name})
    except psycopg.errors.InvalidParameterValue:
        raise MigrationError(
            f"the database server does not know {name}, the time zone of this installation: install it there "
            "(old names are in tzdata-legacy), or set SLA_MONITOR_TIMEZONE to another name of this time zone"
        ) from None

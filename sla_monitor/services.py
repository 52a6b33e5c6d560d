"""`sla-monitor services`: what is watched, and services.toml applied by hand.

On the database of DATABASE_URL, or on the one of a running `sla-monitor up`. The schema is left as it is: a shell in
which SLA_MONITOR_TIMEZONE happens not to be set must not move the days of an installation.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from api import declared
from sla_monitor.settings import Settings, StartError
from sql import connect, open_pool, query
from sql.local import running_url
from sql.migrate import MigrationError, UnreachableError

APPLICATION = "sla-monitor services"


class NoDatabaseError(StartError):
    """There is no database to ask."""

    exit_code = 2


async def list_services(settings: Settings) -> None:
    """Prints one line a service: id, name, URL, and whether it is checked."""
    async with _database(settings) as (_, connection):
        rows = await (await connection.execute(query("services/listing"))).fetchall()
    table = [("id", "name", "URL", "enabled"), *(tuple(map(_printable, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


async def apply_services(settings: Settings, path: Path) -> None:
    """Makes the services of the file what the file says, and prints what changed. Raises DeclarationError."""
    declared.read(path, settings)  # before any database is asked: a mistake in it is told without one
    async with _database(settings) as (url, _), open_pool(url, application=APPLICATION, max_size=1) as pool:
        changed = await declared.apply(path, settings, pool)
    for service_id, what in changed:
        print(f"{service_id} {what}")
    if not changed:
        print(f"nothing has changed: the services are as {path.name} says")


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[tuple[str, AsyncConnection[TupleRow]]]:
    """The database's URL and a connection to it. What is wrong with it is one line."""
    url = settings.database_url or running_url(settings.home / "postgresql")
    if url is None:
        raise NoDatabaseError(f"DATABASE_URL is not set, and no `sla-monitor up` runs on {settings.home}")
    try:
        async with await connect(url, application=APPLICATION) as connection:
            yield url, connection
    except psycopg.OperationalError as error:
        raise UnreachableError.of(error) from error
    except psycopg.errors.UndefinedTable as error:
        raise MigrationError("this database has no schema yet: run `sla-monitor migrate`") from error


def _printable(value: object) -> str:
    """A cell of text that no terminal takes for a command."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(value))

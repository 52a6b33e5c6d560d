"""The database for commands of an operator: that of DATABASE_URL, or that of a running `sla-monitor up`.

The schema is not migrated: a shell without SLA_MONITOR_TIMEZONE must not change the time zone of an installation.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from sla_monitor.formats.one_line import on_one_line
from sla_monitor.local_postgresql.server import running_url
from sla_monitor.settings import Settings, StartError
from sql import connect
from sql.migration_errors import MigrationError, UnreachableError


class NoDatabaseError(StartError):
    """There is no database to connect to."""

    exit_code = 2


@asynccontextmanager
async def installation(settings: Settings, application: str) -> AsyncIterator[tuple[str, AsyncConnection[TupleRow]]]:
    """The URL of the database and a connection to it. Raises StartError, with a text of one line, if it cannot be
    used."""
    url = settings.database_url or running_url(settings.home / "postgresql")
    if url is None:
        raise NoDatabaseError(f"DATABASE_URL is not set, and no `sla-monitor up` runs on {settings.home}")
    try:
        async with await connect(url, application=application) as connection:
            yield url, connection
    except psycopg.OperationalError as error:
        raise UnreachableError.of(error) from error
    except psycopg.errors.UndefinedTable as error:
        raise MigrationError("this database has no schema yet: run `sla-monitor migrate`") from error


def print_table(heads: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    """Prints a table of text. Control characters are replaced."""
    table = [heads, *(tuple(map(_printable, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _printable(value: object) -> str:
    return on_one_line(str(value), "?")

"""Sessions of the program do not depend on settings of the database, the role or the environment."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql as composed

from sla_monitor.settings import Settings
from sql import connect, open_pool, query
from sql.migrate import migrate
from sql.migration_errors import MigrationError
from tests.api.conftest import running_api
from tests.servers import Server

UNUSUAL = {
    "datestyle": "German",
    "intervalstyle": "sql_standard",
    "timezone": "America/St_Johns",
    "client_encoding": "LATIN1",
    "bytea_output": "escape",
    "extra_float_digits": "-10",
    "standard_conforming_strings": "off",
    "transform_null_equals": "on",
    "default_transaction_isolation": "serializable",
    "statement_timeout": "1h",
    "lock_timeout": "1h",
    "idle_session_timeout": "1h",
    "idle_in_transaction_session_timeout": "1h",
}
STATEMENT = (
    "SELECT '2026-11-30 12:00Z'::timestamptz, '3 days 04:05'::interval, '2026-11-30'::date, 0.1::float8, "
    "'\u00e9'::text, current_setting('transaction_isolation'), current_setting('timezone'), "
    "current_setting('statement_timeout'), current_setting('idle_session_timeout')"
)
EXPECTED = (
    *(datetime(2026, 11, 30, 12, tzinfo=UTC), timedelta(days=3, hours=4, minutes=5), datetime(2026, 11, 30).date()),  # noqa: DTZ001
    *(0.1, "\u00e9", "read committed", "UTC"),
)


def set_unusual_settings(database_url: str, settings: dict[str, str] = UNUSUAL) -> None:
    name = composed.Identifier(urlsplit(database_url).path.removeprefix("/"))
    with psycopg.connect(database_url, autocommit=True) as connection:
        for setting, value in settings.items():
            statement = composed.SQL("ALTER DATABASE {} SET {} TO {}")
            connection.execute(statement.format(name, composed.Identifier(setting), composed.Literal(value)))


async def test_a_session_overrides_the_settings_of_the_database(database: str) -> None:
    set_unusual_settings(database)
    async with await connect(database, application="test") as connection:
        assert await (await connection.execute(STATEMENT)).fetchone() == (*EXPECTED, "0", "0")
    async with open_pool(database, application="test") as pool, pool.connection() as pooled:
        assert await (await pooled.execute(STATEMENT)).fetchone() == (*EXPECTED, "14s", "0")
        assert await (await pooled.execute("SELECT current_setting('jit')")).fetchone() == ("off",)


async def test_settings_that_the_server_does_not_have_are_skipped(any_database: str) -> None:
    """transaction_timeout exists since PostgreSQL 17."""
    text = query("connections/session").replace("transaction_timeout", "no_such_setting")
    async with await connect(any_database, application="test") as connection:
        await connection.execute("SET timezone TO 'Asia/Seoul'")
        await connection.execute(text.encode())
        assert await (await connection.execute("SELECT current_setting('timezone')")).fetchone() == ("UTC",)


async def test_a_database_with_unusual_settings_is_migrated_and_served(empty_database: str) -> None:
    set_unusual_settings(empty_database)
    await migrate(empty_database, Settings(retention=timedelta(days=100)))
    async with await connect(empty_database, application="test") as connection:
        terms = await (await connection.execute(query("migrate/kept_terms"))).fetchone()
    assert terms == ("UTC", timedelta(days=100), timedelta(days=2))
    assert (await migrate(empty_database, Settings())).applied == ()
    async with running_api(empty_database) as api:
        for path in ("/api/system-status", "/api/incidents/past", "/api/uptime/all-systems", "/api/maintenance", "/"):
            response = await api.http.get(path)
            assert response.status_code == 200, (path, response.text)


async def test_a_server_without_the_time_zone_of_the_installation_is_an_error_of_one_line(any_database: str) -> None:
    """The database was moved from another server."""
    with psycopg.connect(any_database) as connection:
        connection.execute("UPDATE installation SET time_zone = 'Mars/Olympus'")
    with pytest.raises(MigrationError, match="does not know Mars/Olympus") as refused:
        await migrate(any_database, Settings())
    assert "\n" not in str(refused.value)
    await migrate(any_database, Settings(time_zone="Asia/Seoul"))


async def test_another_encoding_is_refused(any_engine: Server) -> None:
    url = any_engine.empty_database()
    name = urlsplit(url).path.removeprefix("/")
    latin = composed.Identifier(f"{name}_latin")
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            statement = composed.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
            connection.execute(statement.format(latin))
        other = urlunsplit(urlsplit(url)._replace(path=f"/{name}_latin"))
        try:
            with pytest.raises(MigrationError, match="encoding of this database is LATIN1"):
                await migrate(other, Settings())
        finally:
            any_engine.drop(other)
    finally:
        any_engine.drop(url)


async def test_the_owner_of_a_database_can_migrate_it(empty_database: str, engine: Server) -> None:
    """The owner is not a superuser."""
    role = composed.Identifier(name := f"{urlsplit(empty_database).path.removeprefix('/')}_owner")
    database = composed.Identifier(urlsplit(empty_database).path.removeprefix("/"))
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(composed.SQL("CREATE ROLE {} LOGIN PASSWORD 'owner'").format(role))
        try:
            connection.execute(composed.SQL("ALTER DATABASE {} OWNER TO {}").format(database, role))
            parts = urlsplit(empty_database)
            netloc = f"{quote(name)}:owner@{parts.netloc.rpartition('@')[2]}"
            url = urlunsplit(parts._replace(netloc=netloc))
            migrated = await migrate(url, Settings())
            assert migrated.engine == ("timescaledb" if engine.name == "timescaledb" else "postgresql")
            assert (await migrate(url, Settings())).applied == ()
            async with await connect(url, application="test") as owner:
                assert await (
                    await owner.execute("SELECT session_user, usesuper FROM pg_user WHERE usename = user")
                ).fetchone() == (name, False)
        finally:
            connection.execute(composed.SQL("ALTER DATABASE {} OWNER TO CURRENT_USER").format(database))
            connection.execute(composed.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(role))
            connection.execute(composed.SQL("DROP OWNED BY {}").format(role))
            connection.execute(composed.SQL("DROP ROLE {}").format(role))

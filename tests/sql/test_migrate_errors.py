"""Migrations are forward only, and their errors are clear: refusals and temporary errors."""

import anyio
import pytest

import sql.migrate
from sla_monitor.settings import Settings
from sql.migrate import migrate, migrate_when_possible
from sql.migration_errors import MigrationError, NotNowError, UnreachableError
from tests.api.relay import relay_before
from tests.servers import Server
from tests.sql.batches import PATIENCE_S, connected, now, record, row, until_waiting, value
from tests.sql.schemas import ADD_LOCATION, ADD_SERVICE, schema


class TestRefusals:
    @staticmethod
    async def refusal(database_url: str, settings: Settings | None = None) -> str:
        with pytest.raises(MigrationError) as caught:
            await migrate(database_url, settings or Settings())
        line = str(caught.value)
        assert "\n" not in line
        return line

    async def test_an_edited_migration_is_refused(self, database: str) -> None:
        async with connected(database) as connection:
            await connection.execute("UPDATE schema_versions SET checksum = 'x' WHERE name = 'migrations/0003_states'")
        before = await schema(database)
        assert "migrations/0003_states was edited" in await self.refusal(database)
        assert await schema(database) == before

    async def test_a_database_newer_than_the_program_is_refused(self, database: str) -> None:
        async with connected(database) as connection:
            await connection.execute(
                "INSERT INTO schema_versions (name, checksum) VALUES ('migrations/9999_next', 'x')"
            )
        line = await self.refusal(database)
        assert "newer than this program" in line
        assert "upgrade sla-monitor" in line

    async def test_an_unreachable_database_is_an_error_of_one_line(self) -> None:
        with pytest.raises(UnreachableError) as caught:
            await migrate("postgresql://user:secret@127.0.0.1:1/nothing", Settings())
        line = str(caught.value)
        assert "\n" not in line
        assert "DATABASE_URL" in line
        assert "secret" not in line

    @pytest.mark.parametrize(
        "url",
        ["postgresql://u:secret@host:port/x", "postgresql://u:secret@h/x?nonsense=1", "postgresql://u:%zzsecret@h/x"],
    )
    async def test_an_invalid_url_is_refused(self, url: str) -> None:
        line = await self.refusal(url)
        assert "DATABASE_URL" in line
        assert "secret" not in line

    async def test_a_user_without_permissions_is_refused(self, empty_database: str, engine: Server) -> None:
        role = "sla_test_powerless"
        async with connected(empty_database) as connection:
            await connection.execute(f"DROP ROLE IF EXISTS {role}".encode())
            await connection.execute(f"CREATE ROLE {role}".encode())
            try:
                line = await self.refusal(with_options(empty_database, f"-c role={role}"))
            finally:
                await connection.execute(f"DROP ROLE {role}".encode())
        assert "lacks a privilege" in line

    @pytest.mark.engines("timescaledb")
    async def test_an_apache_only_timescaledb_is_refused(self, empty_database: str) -> None:
        apache = with_options(empty_database, "-c timescaledb.license=apache")
        line = await self.refusal(apache)
        assert "Apache-only" in line
        assert "DATABASE_ENGINE=postgresql" in line

        migrated = await migrate(apache, Settings(database_engine="postgresql"))
        assert migrated.engine == "postgresql"
        async with connected(apache) as connection:
            await connection.execute(ADD_LOCATION)
            await connection.execute(ADD_SERVICE)
            assert await record(connection, [row(now())]) == (1, 0, 0)
            assert await value(connection, "SELECT checks FROM service_days") == 1
        assert (await migrate(apache, Settings())).engine == "postgresql", (
            "the engine of an installation does not change"
        )

    @pytest.mark.engines("postgresql")
    async def test_a_missing_timescaledb_is_refused(self, empty_database: str) -> None:
        line = await self.refusal(empty_database, Settings(database_engine="timescaledb"))
        assert "does not load the timescaledb extension" in line


def with_options(database_url: str, options: str) -> str:
    escaped = options.replace(" ", "%20").replace("=", "%3D")
    return f"{database_url}{'&' if '?' in database_url else '?'}options={escaped}"


LOCK = "SELECT pg_advisory_lock(hashtextextended('sla-monitor migrate', 0))"
READ_ONLY = "-c default_transaction_read_only=on"


class TestTemporaryErrors:
    """Temporary conditions have an error of their own and a timeout."""

    async def test_a_read_only_database_with_a_current_schema_is_accepted(self, database: str) -> None:
        whole = await migrate(database, Settings())
        assert await migrate(with_options(database, READ_ONLY), Settings()) == whole

    async def test_a_read_only_database_with_an_old_schema_is_a_temporary_error(
        self, database: str, empty_database: str
    ) -> None:
        async with connected(database) as connection:
            await connection.execute("DELETE FROM schema_versions WHERE name = 'functions/events'")
        for url in (database, empty_database):
            with pytest.raises(NotNowError, match=r"can only be read, and its schema is not up to date") as caught:
                await migrate(with_options(url, READ_ONLY), Settings())
            assert caught.value.exit_code == 75

    async def test_a_migration_waits_for_another_one(
        self, database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(sql.migrate, "LOCK_TIMEOUT_S", 1)
        async with connected(database) as other, anyio.create_task_group() as group:
            await other.execute(LOCK)
            done: list[str] = []

            async def wait() -> None:
                done.append((await migrate_when_possible(database, Settings())).engine)

            group.start_soon(wait)
            with anyio.fail_after(PATIENCE_S):
                while "another process has been migrating for 1 s; it is tried again" not in caplog.text:  # noqa: ASYNC110
                    await anyio.sleep(0.02)
            await until_waiting(other)
            assert done == []
            await other.execute("SELECT pg_advisory_unlock_all()")
        assert len(done) == 1

    async def test_a_connection_lost_at_the_lock_is_a_temporary_error(
        self, database: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sql.migrate, "LOCK_TIMEOUT_S", 1)
        monkeypatch.setattr(sql.migrate, "STEP_TIMEOUT_S", 1)
        reasons: list[str] = []
        for end in ("silence", "cut"):
            async with (
                relay_before(database) as relay,
                connected(database) as other,
                anyio.create_task_group() as group,
            ):
                await other.execute(LOCK)

                async def refusal(url: str = relay.url) -> None:
                    with anyio.fail_after(PATIENCE_S), pytest.raises(NotNowError) as caught:
                        await migrate(url, Settings())
                    reasons.append(str(caught.value))

                group.start_soon(refusal)
                await until_waiting(other)
                getattr(relay, end)()
        assert reasons[0] == "the database stopped responding during the migration of its schema"
        assert reasons[1].startswith("the schema cannot be migrated now (")
        assert (await migrate(database, Settings())).applied == ()

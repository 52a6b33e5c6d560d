"""What the roles of the programs may do in the database, by the catalog and by trying."""

import secrets
from collections.abc import Iterable
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import errors
from psycopg.sql import SQL, Identifier, Literal

import sql
from sla_monitor.settings import Settings
from sql.migrate import migrate
from sql.migration_errors import NotNowError
from sql.roles import ANALYST_SETTINGS, ROLES, grant_privileges
from tests.sql.analytics_reference import relations
from tests.sql.batches import MINUTE, Connection, connected, fetch, now, record, row, value
from tests.sql.logins import login

HIDDEN_FROM_WORKER = (
    "users sessions refresh_tokens api_tokens known_addresses secrets valid_sessions valid_api_tokens "
    "incident_comments incident_drafts"
)
"""Passwords, tokens, keys, addresses of users, and private texts."""
WRITTEN_BY_WORKER = (
    "checks latest_checks left_checks parked_checks service_states outages episodes events announced_days "
    "touched_ranges rollups rollup_state day_strips heartbeats maintenance_windows maintenance_occurrences "
    "maintenance_announcements sla_corrections sla_correction_spans sla_alerts former_episodes sla_days sla_strips "
    "sla_changed_days presence_leases rate_limits"
)
ALL = "SELECT INSERT UPDATE DELETE"


def expected(role: str, tables: Iterable[str], views: Iterable[str], analytics: Iterable[str]) -> dict[str, set[str]]:
    """The privileges of a role by relation. `tables` and `views` are those of the schema public."""
    match role:
        case "sla_prober":
            found = {
                "services": "SELECT",
                "locations": "INSERT",
                "schema_versions": "SELECT",
                "installation": "SELECT",
            }
        case "sla_worker":
            found = dict.fromkeys({*tables, *views} - {*HIDDEN_FROM_WORKER.split()}, "SELECT")
            found |= dict.fromkeys({*WRITTEN_BY_WORKER.split()} & {*tables}, ALL)
            found |= {
                "locations": "SELECT INSERT",
                "audit_entries": "SELECT INSERT DELETE",
                "idempotency_keys": "SELECT DELETE",
                "sessions": "DELETE",
                "refresh_tokens": "DELETE",
                "known_addresses": "DELETE",
            }
        case "sla_api":
            found = dict.fromkeys(tables, ALL) | dict.fromkeys(views, "SELECT")
            found |= {"schema_versions": "SELECT", "installation": "SELECT"}
        case _:
            found = {f"analytics.{name}": "SELECT" for name in analytics}
    return {name: set(privileges.split()) for name, privileges in found.items()}


ROUTINES = {
    "sla_prober": {"record_checks_v2()", "prepare_incoming_checks()"},
    "sla_worker": {"keep_partitions()"},
    "sla_api": set[str](),
    "sla_analyst": {
        "analytics.latencies_v1(text,timestamp with time zone,timestamp with time zone)",
        "analytics.latency_series_v1(text,timestamp with time zone,timestamp with time zone,interval)",
        "analytics.sla_v1(date,date)",
        "analytics.sla_groups_v1(date,date)",
    },
}
COLUMNS = {
    "sla_worker": {
        "sessions.expires_at",
        "sessions.revoked_at",
        "refresh_tokens.expires_at",
        "known_addresses.last_login_at",
    }
}


@pytest.fixture
async def owned(db: Connection, database: str) -> Connection:
    """A session of the owner. A copied database lacks the grants on the database itself, so it is migrated first."""
    await migrate(database, Settings())
    return db


class TestCatalog:
    @pytest.mark.parametrize("role", ROLES)
    async def test_each_role_has_the_listed_privileges_and_no_others(self, owned: Connection, role: str) -> None:
        relation = (
            "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace "
            "WHERE nspname = '{}' AND relkind::text = ANY ('{{{}}}') AND NOT relispartition AND NOT EXISTS "
            "(SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')"
        )
        names = [
            [name for (name,) in await fetch(owned, "SELECT relname " + relation.format(schema, kinds))]
            for schema, kinds in (("public", "r,p"), ("public", "v"), ("analytics", "v"))
        ]
        found = await fetch(
            owned,
            "SELECT c.oid::regclass::text, array_agg(privilege_type) FROM pg_class AS c CROSS JOIN aclexplode(relacl) "
            "WHERE grantee = %s::regrole AND relkind <> 'S' GROUP BY 1",
            (role,),
        )
        assert {name: set(privileges) for name, privileges in found} == expected(role, *names)

    @pytest.mark.parametrize("role", ROLES)
    async def test_each_role_may_call_the_listed_routines_with_the_rights_of_the_owner(
        self, owned: Connection, role: str
    ) -> None:
        """Routines without such rights can be called by every role. Three of those with them only read the bounds of
        buckets."""
        found = await fetch(
            owned,
            "SELECT p.oid::regprocedure::text, has_function_privilege(%s, p.oid, 'EXECUTE') FROM pg_proc AS p "
            "JOIN pg_namespace AS n ON n.oid = pronamespace "
            "WHERE nspname IN ('public', 'analytics') AND prosecdef AND NOT EXISTS "
            "(SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')",
            (role,),
        )
        harmless = {"rollup_watermark()", "open_bucket(rollup_tier)", "day_bucket(timestamp with time zone)"}
        assert {name for name, allowed in found if allowed} == ROUTINES[role] | harmless
        assert {name for name, _ in found} == harmless.union(*ROUTINES.values())

    @pytest.mark.parametrize("role", ROLES)
    async def test_other_privileges(self, owned: Connection, role: str) -> None:
        columns = await fetch(
            owned,
            "SELECT attrelid::regclass || '.' || attname, privilege_type FROM pg_attribute "
            "CROSS JOIN aclexplode(attacl) WHERE grantee = %s::regrole",
            (role,),
        )
        assert {name for name, _ in columns} == COLUMNS.get(role, set())
        assert {privilege for _, privilege in columns} <= {"SELECT"}
        sequences = await fetch(
            owned,
            "SELECT c.oid::regclass::text, privilege_type FROM pg_class AS c CROSS JOIN aclexplode(relacl) "
            "WHERE grantee = %s::regrole AND relkind = 'S' ORDER BY 2",
            (role,),
        )
        writes = role in ("sla_api", "sla_worker")
        assert sequences == ([("events_seq_seq", "UPDATE"), ("events_seq_seq", "USAGE")] if writes else [])
        assert await fetch(
            owned,
            "SELECT has_database_privilege(%(role)s, current_database(), 'TEMP'), "
            "       has_database_privilege(%(role)s, current_database(), 'CREATE'), "
            "       has_schema_privilege(%(role)s, 'public', 'CREATE'), "
            "       has_schema_privilege(%(role)s, 'analytics', 'CREATE'), "
            "       has_schema_privilege(%(role)s, 'analytics', 'USAGE')".replace("%(role)s", f"'{role}'"),
        ) == [(writes, False, False, False, role == "sla_analyst")]
        [attributes] = await fetch(
            owned,
            "SELECT rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls "
            "FROM pg_roles WHERE rolname = %s",
            (role,),
        )
        assert attributes == (False, True, False, False, False, False, False)

    async def test_a_second_migration_grants_nothing(self, owned: Connection) -> None:
        for name in ("roles/grants", "roles/revokes"):
            assert await (await owned.execute(sql.query(name))).fetchall() == []

    async def test_a_new_table_is_granted_by_the_next_migration(self, owned: Connection, database: str) -> None:
        await owned.execute("CREATE TABLE further (id integer)")
        await migrate(database, Settings())
        assert await value(owned, "SELECT has_table_privilege('sla_api', 'further', 'INSERT')")
        assert not await value(owned, "SELECT has_table_privilege('sla_analyst', 'further', 'SELECT')")


async def refused(url: str, *statements: str) -> None:
    """Each statement must be refused for lack of a privilege."""
    async with connected(url) as db:
        for statement in statements:
            with pytest.raises(errors.InsufficientPrivilege):
                await db.execute(statement.encode())


async def test_a_prober_reads_and_writes_nothing_else(db: Connection, database: str) -> None:
    async with login(database, "sla_prober") as url:
        await refused(
            url,
            *(f"SELECT FROM {name}" for name in ("users", "incidents", "api_tokens", "refresh_tokens", "secrets")),
            *(f"SELECT FROM {name}" for name in ("checks", "heartbeats", "incident_comments", "analytics.checks_v1")),
            "UPDATE services SET name = 'x'",
            "INSERT INTO checks (service_id) VALUES ('web')",
            "SELECT record_incoming_checks()",
            "CALL keep_partitions()",
            "CREATE TABLE own (id integer)",
            "CREATE TEMP TABLE folded (id integer)",
        )


async def test_a_worker_reads_no_secrets(db: Connection, database: str) -> None:
    async with login(database, "sla_worker") as url:
        await refused(
            url,
            *(f"SELECT * FROM {name}" for name in HIDDEN_FROM_WORKER.split()),
            "UPDATE services SET name = 'x'",
            "UPDATE audit_entries SET actor = 'x'",
            "DROP TABLE checks",
        )


async def test_an_api_does_not_change_the_schema(db: Connection, database: str) -> None:
    async with login(database, "sla_api") as url:
        await refused(
            url,
            "DELETE FROM schema_versions",
            "UPDATE installation SET retention = '1 day'",
            "DROP TABLE checks",
            "ALTER TABLE services ADD COLUMN x integer",
            "TRUNCATE users",
            "CREATE TABLE own (id integer)",
            "CALL keep_partitions()",
        )


SECRET = "correct-horse-battery-staple"


async def add_secrets(db: Connection) -> None:
    """A service, an incident, a comment, a check and a user whose private fields contain SECRET."""
    await db.execute(
        "UPDATE services SET endpoint_url = %s, headers = jsonb_build_object('X', %s::text), body = %s, public = false",
        [f"http://user:pass@target/?{SECRET}", SECRET, SECRET],
    )
    await record(db, [row(now() - MINUTE), row(now(), "mo", error_message=f"no keyword: {SECRET}")])
    await db.execute(
        "WITH incident AS ("
        "    INSERT INTO incidents (title, severity, priority, description, postmortem, detection_criteria, reporter) "
        "    VALUES ('Down', 'high', 'P1', %s, %s, %s, %s) RETURNING id), "
        "affected AS (INSERT INTO incident_services SELECT id, 'web' FROM incident) "
        "INSERT INTO incident_comments (incident_id, author, text) SELECT id, 'kim', %s FROM incident",
        [SECRET] * 5,
    )
    await db.execute(
        "INSERT INTO users (username, email, password_hash, role) VALUES ('kim', %s, %s, 'admin')",
        [f"{SECRET}@example.com", SECRET],
    )


async def test_an_analyst_sees_no_secret_through_any_view_or_function(db: Connection, database: str) -> None:
    await add_secrets(db)
    arguments = {"text": "'web'", "date": "current_date", "interval": "interval '1 hour'"}
    async with login(database, "sla_analyst") as url, connected(url) as analyst:
        for relation in await relations(db):
            call = f"analytics.{relation.name}"
            if relation.parameters is not None:
                values = [arguments.get(one.type, "now()") for one in relation.parameters]
                call += f"({', '.join(values)})"
            found = await fetch(analyst, f"SELECT * FROM {call}")
            assert SECRET not in str(found), relation.name
            assert "pass@" not in str(found), relation.name
        assert await fetch(analyst, "SELECT service_id, public FROM analytics.services_v1") == [("web", False)]
        assert await fetch(analyst, "SELECT title, service_ids FROM analytics.incidents_v1") == [("Down", ["web"])]


async def test_an_analyst_reads_the_schema_analytics_only(db: Connection, database: str) -> None:
    public = await fetch(
        db,
        "SELECT c.oid::regclass::text FROM pg_class AS c WHERE relnamespace = 'public'::regnamespace "
        "AND relkind IN ('r', 'p', 'v') AND NOT EXISTS "
        "(SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')",
    )
    assert len(public) > 60
    async with login(database, "sla_analyst") as url:
        await refused(
            url,
            *(f"SELECT FROM {name}" for (name,) in public),
            "SELECT * FROM checks_15m",
            "SELECT record_checks_v2()",
            "SELECT prepare_incoming_checks()",
            "CALL keep_partitions()",
            "INSERT INTO analytics.checks_v1 (service_id) VALUES ('web')",
            "DELETE FROM analytics.episodes_v1",
            "UPDATE analytics.outages_v1 SET error_type = 'x'",
            "CREATE TABLE analytics.own (id integer)",
            "CREATE TABLE public.own (id integer)",
            "CREATE TEMP TABLE own (id integer)",
            "CREATE SCHEMA own",
        )


async def test_an_analyst_registers_no_job(db: Connection, database: str) -> None:
    """TimescaleDB lets every role do that by default."""
    if not await value(db, "SELECT engine = 'timescaledb' FROM installation"):
        assert await fetch(db, "SELECT FROM pg_proc WHERE proname = 'add_job'") == []
        return
    async with login(database, "sla_analyst") as url:
        await refused(
            url,
            "SELECT add_job('now', '1 day')",
            "SELECT alter_job(1000, scheduled => false)",
            "SELECT delete_job(1000)",
            "CALL run_job(1000)",
        )


async def test_a_session_of_an_analyst_only_reads_and_ends_slow_statements(db: Connection, database: str) -> None:
    async with login(database, "sla_analyst") as url:
        settings = ANALYST_SETTINGS | {"statement_timeout": "100ms"}
        options = " ".join(f"-c {name}={text}" for name, text in settings.items())
        async with await psycopg.AsyncConnection.connect(url, options=options, autocommit=True) as analyst:
            await analyst.execute("SELECT FROM services_v1")
            with pytest.raises(errors.QueryCanceled):
                await analyst.execute("SELECT pg_sleep(60)")
            with pytest.raises(errors.ReadOnlySqlTransaction):
                await analyst.execute("CREATE TABLE own (id integer)")


class TestMigration:
    async def test_another_role_uses_the_schema_as_it_is(self, db: Connection, database: str) -> None:
        for role in ("sla_prober", "sla_worker", "sla_api"):
            async with login(database, role) as url:
                assert (await migrate(url, Settings())).applied == ()

    async def test_another_role_waits_for_the_migration_of_the_owner(self, db: Connection, database: str) -> None:
        async with login(database, "sla_worker") as url:
            with pytest.raises(NotNowError, match="settings stored in the database differ"):
                await migrate(url, Settings(time_zone="Asia/Kolkata"))
            await db.execute("UPDATE schema_versions SET checksum = 'old' WHERE name = 'views/service_days'")
            with pytest.raises(NotNowError, match="not up to date, and the schema belongs to another role"):
                await migrate(url, Settings())

    async def test_an_owner_who_is_no_superuser_grants_the_privileges(self, empty_database: str) -> None:
        name, password = f"owner_{secrets.token_hex(4)}", secrets.token_hex(16)
        owner = Identifier(name)
        parts = urlsplit(empty_database)
        async with connected(empty_database) as admin:
            await admin.execute(SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(owner, Literal(password)))
            database = Identifier(parts.path.removeprefix("/"))
            await admin.execute(SQL("ALTER DATABASE {} OWNER TO {}").format(database, owner))
            if await value(admin, "SELECT count(*) FROM pg_available_extensions WHERE name = 'timescaledb'"):
                await admin.execute("CREATE EXTENSION timescaledb")
            try:
                url = parts._replace(netloc=f"{name}:{password}@{parts.netloc.rpartition('@')[2]}").geturl()
                await migrate(url, Settings())
                await admin.execute("SET ROLE sla_analyst")
                assert await value(admin, "SELECT count(*) FROM analytics.worker_v1") == 1
                await admin.execute("RESET ROLE")
                owned = "SELECT relowner::regrole::text FROM pg_class WHERE oid = 'users'::regclass"
                assert await value(admin, owned) == name
            finally:
                await admin.execute("RESET ROLE")
                await admin.execute(SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(owner))
                await admin.execute(SQL("DROP OWNED BY {}").format(owner))
                await admin.execute(SQL("DROP ROLE {}").format(owner))

    async def test_a_user_that_may_not_create_roles_does_without_them(
        self, db: Connection, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        async with db.transaction(force_rollback=True):
            for role in ROLES:
                await db.execute(SQL("ALTER ROLE {} RENAME TO {}").format(Identifier(role), Identifier(f"no_{role}")))
            await db.execute("CREATE ROLE ordinary")
            await db.execute("SET LOCAL ROLE ordinary")
            await grant_privileges(db)
        assert "may not create the roles sla_prober, sla_worker, sla_api, sla_analyst" in caplog.text

    async def test_a_user_with_createrole_creates_the_roles_and_can_become_each(self, db: Connection) -> None:
        async with db.transaction(force_rollback=True):
            for role in ROLES:
                await db.execute(SQL("ALTER ROLE {} RENAME TO {}").format(Identifier(role), Identifier(f"no_{role}")))
            await db.execute("CREATE ROLE creator CREATEROLE")
            await db.execute("SET LOCAL ROLE creator")
            await grant_privileges(db)
            for role in ROLES:
                assert await value(db, "SELECT pg_has_role('creator', %s::name, 'SET')", (role,))
                assert not await value(db, "SELECT pg_has_role('creator', %s::name, 'USAGE')", (role,))

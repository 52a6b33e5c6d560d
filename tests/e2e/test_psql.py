"""`sla-monitor psql` runs psql on the database of the installation, as the role sla_analyst."""

from pathlib import Path

from tests.e2e.program import command, free_ports, responds, running, until
from tests.sql.logins import login


def test_it_is_a_session_of_an_analyst(database: str) -> None:
    ended = command(
        "psql",
        "-At",
        "-c",
        "SELECT current_user, current_setting('search_path'), count(*) FROM worker_v1",
        DATABASE_URL=database,
    )
    assert (ended.returncode, ended.stdout) == (0, "sla_analyst|analytics|1\n"), ended.stderr
    for statement, error in (
        ("SELECT FROM public.users", "permission denied for table users"),
        ("CREATE TABLE own (id integer)", "cannot execute CREATE TABLE in a read-only transaction"),
        ("SET statement_timeout = '10ms'; SELECT pg_sleep(9)", "canceling statement due to statement timeout"),
    ):
        ended = command("psql", "-At", "-c", statement, DATABASE_URL=database)
        assert (ended.returncode, error in ended.stderr) == (1, True), ended.stderr
    ended = command("psql", "-At", "-c", "SHOW statement_timeout", DATABASE_URL=database)
    assert ended.stdout == "1min\n"
    ended = command("psql", "-qAt", "-c", "SET ROLE NONE; SELECT current_user = session_user", DATABASE_URL=database)
    assert ended.stdout == "t\n", ended.stderr


async def test_a_user_that_cannot_become_an_analyst_gets_an_error_of_one_line(database: str) -> None:
    async with login(database, "sla_prober") as url:
        ended = command("psql", DATABASE_URL=url)
    assert ended.returncode == 1
    assert "cannot become the role sla_analyst: docs/roles.md has the steps" in ended.stderr
    assert ended.stderr.count("\n") == 1


async def test_a_user_with_the_role_of_an_analyst_needs_no_other_rights(database: str) -> None:
    async with login(database, "sla_analyst") as url:
        ended = command("psql", "-At", "-c", "SELECT count(*) FROM services_v1", DATABASE_URL=url)
    assert (ended.returncode, ended.stdout) == (0, "0\n"), ended.stderr


def test_options_are_passed_to_psql(any_database: str) -> None:
    ended = command("psql", "-At", "-c", "SELECT count(*) FROM worker_v1", DATABASE_URL=any_database)
    assert (ended.returncode, ended.stdout) == (0, "1\n"), ended.stderr


def test_options_of_the_url_are_kept(any_database: str) -> None:
    url = f"{any_database}&options=-c%20application_name%3Dreport"
    ended = command("psql", "-At", "-c", "SHOW application_name", "-c", "SELECT current_user", DATABASE_URL=url)
    assert ended.stdout.splitlines()[-1] == "sla_analyst", ended.stderr


def test_the_exit_code_is_that_of_psql(any_database: str) -> None:
    ended = command("psql", "-v", "ON_ERROR_STOP=1", "-f", "/nonexistent.sql", DATABASE_URL=any_database)
    assert ended.returncode == 1
    assert "/nonexistent.sql" in ended.stderr


def test_without_a_database_the_error_is_one_line(home: Path) -> None:
    ended = command("psql", SLA_MONITOR_HOME=str(home))
    assert ended.returncode == 2
    assert ended.stderr == f"sla-monitor: DATABASE_URL is not set, and no `sla-monitor up` runs on {home}\n"


async def test_the_embedded_database_needs_no_psql_on_path(home: Path) -> None:
    async with running("up", home, free_ports()) as program:
        await until(lambda: responds(program.api, "/ready"), 60)
        arguments = ("psql", "-At", "-c", "SELECT current_user, session_user, time_zone FROM worker_v1")
        ended = command(*arguments, SLA_MONITOR_HOME=str(home), PATH="/nonexistent")
    assert (ended.returncode, ended.stdout) == (0, "sla_analyst|sla_monitor|UTC\n"), ended.stderr

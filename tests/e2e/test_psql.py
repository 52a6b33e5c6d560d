"""`sla-monitor psql` runs psql on the database of the installation."""

from pathlib import Path

from tests.e2e.program import command, responds, running, until
from tests.ports import free_ports


def test_options_are_passed_to_psql(any_database: str) -> None:
    ended = command("psql", "-At", "-c", "SELECT count(*) FROM installation", DATABASE_URL=any_database)
    assert (ended.returncode, ended.stdout) == (0, "1\n"), ended.stderr


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
        arguments = ("psql", "-At", "-c", "SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user")
        ended = command(*arguments, SLA_MONITOR_HOME=str(home), PATH="/nonexistent")
    assert (ended.returncode, ended.stdout) == (0, "sla_monitor|f\n"), ended.stderr

"""A new installation has one admin. Exactly one process shows the password, and only once."""

import re
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from tests.e2e.program import Program, command, responds, running

PASSWORD = re.compile(r"'admin', an admin\. Password: (\S+)")


async def can_log_in(program: Program, password: str) -> bool:
    response = await program.api.post("/api/auth/login", json={"username": "admin", "password": password})
    return response.status_code == 200


@pytest.mark.one_engine
async def test_one_of_five_concurrent_migrations_shows_the_password(empty_database: str) -> None:
    outputs: list[str] = []

    async def start() -> None:
        ended = await anyio.to_thread.run_sync(lambda: command("migrate", DATABASE_URL=empty_database))
        assert ended.returncode == 0, ended.stderr
        outputs.append(ended.stdout)

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(start)
    assert len(PASSWORD.findall("".join(outputs))) == 1


async def test_up_shows_the_password_on_the_first_start_only(home: Path) -> None:
    async with running("up", home) as program:
        await program.wait_for_output("Press Ctrl-C to stop.")
        [password] = PASSWORD.findall(program.output)
        await program.ready()
        assert await can_log_in(program, password)
    async with running("up", home) as program:
        await program.wait_for_output("Press Ctrl-C to stop.")
        assert "password" not in program.output
        await program.ready()
        assert await can_log_in(program, password)


async def test_the_api_shows_the_password_too(any_database: str, home: Path) -> None:
    async with running("api", home, DATABASE_URL=any_database) as program:
        await program.wait_for_output("Password: ")
        [password] = PASSWORD.findall(program.output)
        await program.until(lambda: responds(program.api, "/ready"))
        assert await can_log_in(program, password)

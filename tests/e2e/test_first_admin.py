"""A new installation has one admin, and whoever starts it is shown the password: once, by one process."""

import re
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from tests.e2e.program import Program, answers, command, running

SHOWN = re.compile(r"'admin', an admin\. Password: (\S+)")


async def lets_in(program: Program, password: str) -> bool:
    answer = await program.api.post("/api/auth/login", json={"username": "admin", "password": password})
    return answer.status_code == 200


@pytest.mark.one_engine
async def test_of_five_processes_one_shows_it(empty_database: str) -> None:
    said: list[str] = []

    async def start() -> None:
        ended = await anyio.to_thread.run_sync(lambda: command("migrate", DATABASE_URL=empty_database))
        assert ended.returncode == 0, ended.stderr
        said.append(ended.stdout)

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(start)
    assert len(SHOWN.findall("".join(said))) == 1


async def test_up_shows_it_on_the_first_start_only(home: Path) -> None:
    async with running("up", home) as program:
        await program.says("Press Ctrl-C to stop.")
        [password] = SHOWN.findall(program.said)
        await program.ready()
        assert await lets_in(program, password)
    async with running("up", home) as program:
        await program.says("Press Ctrl-C to stop.")
        assert "password" not in program.said
        await program.ready()
        assert await lets_in(program, password)


async def test_the_api_alone_shows_it_too(any_database: str, home: Path) -> None:
    async with running("api", home, DATABASE_URL=any_database) as program:
        await program.says("Password: ")
        [password] = SHOWN.findall(program.said)
        await program.until(lambda: answers(program.api, "/ready"))
        assert await lets_in(program, password)

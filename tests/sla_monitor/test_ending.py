"""The end of a program is not held up by what libraries have in the background."""

import asyncio

import pytest

from sla_monitor.serving.ending import to_the_end


async def test_a_task_that_waits_when_it_is_cancelled_is_cancelled_again() -> None:
    begun: list[str] = []

    async def stubborn() -> None:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            begun.append("asks a silent database to cancel")
            await asyncio.sleep(600)

    async def work() -> None:
        begun.append("works")
        left.append(asyncio.create_task(stubborn()))
        await asyncio.sleep(0)

    async def program() -> None:
        async with asyncio.timeout(20):
            await to_the_end(work())

    left: list[asyncio.Task[None]] = []
    # In a loop of its own: the tasks of the test's loop are not to be ended.
    await asyncio.to_thread(asyncio.run, program())
    assert begun == ["works", "asks a silent database to cancel"]
    assert left[0].cancelled()


async def test_an_error_is_passed_on() -> None:
    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(asyncio.run, to_the_end(work()))

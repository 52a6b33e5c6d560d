"""The end of a program: tasks of libraries in the background do not delay it."""

import asyncio

import pytest

from sla_monitor.serving.ending import run_and_cancel_rest


async def test_a_task_that_waits_when_it_is_cancelled_is_cancelled_again() -> None:
    steps: list[str] = []

    async def waiting_after_cancellation() -> None:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            steps.append("sends a cancel request")
            await asyncio.sleep(600)

    async def work() -> None:
        steps.append("works")
        left.append(asyncio.create_task(waiting_after_cancellation()))
        await asyncio.sleep(0)

    async def program() -> None:
        async with asyncio.timeout(20):
            await run_and_cancel_rest(work())

    left: list[asyncio.Task[None]] = []
    # In a loop of its own, because all tasks of the loop are cancelled.
    await asyncio.to_thread(asyncio.run, program())
    assert steps == ["works", "sends a cancel request"]
    assert left[0].cancelled()


async def test_an_error_is_passed_on() -> None:
    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(asyncio.run, run_and_cancel_rest(work()))

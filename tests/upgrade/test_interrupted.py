"""An upgrade that is killed at any moment, or run by several processes at once, gives the same figures."""

import random
import subprocess
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from tests.campaigns import Share
from tests.servers import Server
from tests.upgrade.conftest import MakeDatabase, long_history
from tests.upgrade.old_database import OldDatabase, recording, suite_history
from tests.upgrade.processes import MIGRATE, PATIENCE_S, REFRESH, this_release
from tests.upgrade.snapshot import Snapshot
from tests.upgrade.upgrading import assert_complete, assert_correct, pending

ZONES = ("America/Havana", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kathmandu")


async def run_and_kill(program: str, url: str, rng: random.Random, longest: float) -> bool:
    """Runs a program of this release and kills it (-9) after a random time. Returns whether it had ended by itself."""
    process = await to_thread.run_sync(this_release, program, url)
    try:
        if program is REFRESH:
            assert process.stdout is not None
            assert await to_thread.run_sync(process.stdout.readline) == "began\n"
        await anyio.sleep(rng.uniform(0, longest))
        ended = process.poll() is not None
        process.kill()
        _, errors = await to_thread.run_sync(process.communicate)
    finally:
        process.kill()
    assert not ended or process.returncode == 0, errors
    return ended


async def finish_upgrade(url: str) -> None:
    """Completes the upgrade with one process of this release."""
    process = await to_thread.run_sync(this_release, REFRESH, url)
    assert await last_output(process) == "done"


async def last_output(process: "subprocess.Popen[str]") -> str:
    """The last word of the output of a process that must succeed."""
    try:
        with anyio.fail_after(PATIENCE_S):
            out, errors = await to_thread.run_sync(process.communicate, abandon_on_cancel=True)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    return out.split()[-1]


async def finish_migration(url: str) -> None:
    assert await last_output(await to_thread.run_sync(this_release, MIGRATE, url)) in ("timescaledb", "postgresql")


@pytest.mark.campaign
async def test_an_upgrade_killed_at_random_moments_is_completed(budget: Share, old_database: MakeDatabase) -> None:
    for number in budget.rounds():
        old = await long_history(old_database)
        rng = random.Random(f"{budget.seed} {number}")
        while not budget.over() and not await run_and_kill(MIGRATE, old.url, rng, 2.5):
            assert_correct(old)
        await finish_migration(old.url)
        kills = 0
        while kills < 6 and not budget.over() and await pending(old.url):
            await run_and_kill(REFRESH, old.url, rng, 0.4)
            assert_correct(old)
            kills += 1
        await finish_upgrade(old.url)
        await assert_complete(old)


async def test_several_processes_can_upgrade_at_once(short: OldDatabase) -> None:
    processes = [this_release(MIGRATE, short.url) for _ in range(5)]
    engines = [await last_output(process) for process in processes]
    assert len(set(engines)) == 1
    assert_correct(short)
    processes = [this_release(REFRESH, short.url) for _ in range(2)]
    assert [await last_output(process) for process in processes] == ["done"] * 2
    await assert_complete(short)


@pytest.mark.campaign
async def test_a_long_history_killed_often_is_completed(
    budget: Share, old_database: MakeDatabase, package: Path, tmp_path: Path, engine: Server
) -> None:
    """Sixty days, most of them in the aggregates only. A prober of the last release records and runs its
    housekeeping."""
    for number in budget.rounds():
        zone = ZONES[number % len(ZONES)]
        old = await old_database(suite_history(zone, retention_days=25, days=60, fine_days=60), zone)
        # On TimescaleDB the days of Havana are incorrect until the upgrade is complete.
        await _kill_often(
            old,
            random.Random(f"{budget.seed} {number}"),
            package,
            tmp_path / str(number),
            budget,
            compare=zone != "America/Havana" or engine.name == "postgresql",
        )


async def _kill_often(
    old: OldDatabase, rng: random.Random, package: Path, folder: Path, budget: Share, *, compare: bool
) -> None:
    folder.mkdir()  # noqa: ASYNC240
    async with recording(package, old, folder, housekeeping=2, period=1) as prober:
        old.before_migration = Snapshot(old).ledger
        while not budget.over() and not await run_and_kill(MIGRATE, old.url, rng, 4):
            if compare:
                assert_correct(old, prober.acknowledged())
        await finish_migration(old.url)
        prober.migrated.touch()
        while not budget.over() and await pending(old.url):
            await run_and_kill(REFRESH, old.url, rng, rng.choice((0.2, 1, 5)))
            if compare:
                assert_correct(old, prober.acknowledged())
        await finish_upgrade(old.url)
        await prober.wait_for_batches()
        assert_correct(old, prober.acknowledged(), exact=True)
    await assert_complete(old, prober.acknowledged())

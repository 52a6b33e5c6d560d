"""An upgrade that is killed anywhere, or started by several at once, ends at the same figures."""

import random
import subprocess
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from tests.campaigns import Share
from tests.engines import Server
from tests.upgrade.conftest import Make, long_history
from tests.upgrade.old_database import Old, recording, suite_history
from tests.upgrade.processes import MIGRATE, PATIENCE_S, REFRESH, this_release
from tests.upgrade.snapshot import Seen
from tests.upgrade.upgrading import complete, pending, right

ZONES = ("America/Havana", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kathmandu")


async def killed(program: str, url: str, dice: random.Random, longest: float) -> bool:
    """Runs a program of this release and kills it (-9) after a while. Whether it had ended by itself."""
    process = await to_thread.run_sync(this_release, program, url)
    try:
        if program is REFRESH:
            assert process.stdout is not None
            assert await to_thread.run_sync(process.stdout.readline) == "began\n"
        await anyio.sleep(dice.uniform(0, longest))
        ended = process.poll() is not None
        process.kill()
        _, errors = await to_thread.run_sync(process.communicate)
    finally:
        process.kill()
    assert not ended or process.returncode == 0, errors
    return ended


async def until_done(url: str) -> None:
    """Lets one process of this release do what is left."""
    process = await to_thread.run_sync(this_release, REFRESH, url)
    assert await finished(process) == "done"


async def finished(process: "subprocess.Popen[str]") -> str:
    """The last word of a process that ends in order."""
    try:
        with anyio.fail_after(PATIENCE_S):
            out, errors = await to_thread.run_sync(process.communicate, abandon_on_cancel=True)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    return out.split()[-1]


async def migrated(url: str) -> None:
    assert await finished(await to_thread.run_sync(this_release, MIGRATE, url)) in ("timescaledb", "postgresql")


@pytest.mark.campaign
async def test_killed_at_random_moments(budget: Share, old_database: Make) -> None:
    for number in budget.rounds():
        old = await long_history(old_database)
        dice = random.Random(f"{budget.seed} {number}")
        while not budget.over() and not await killed(MIGRATE, old.url, dice, 2.5):
            right(old)
        await migrated(old.url)
        kills = 0
        while kills < 6 and not budget.over() and await pending(old.url):
            await killed(REFRESH, old.url, dice, 0.4)
            right(old)
            kills += 1
        await until_done(old.url)
        await complete(old)


async def test_several_at_once(short: Old) -> None:
    processes = [this_release(MIGRATE, short.url) for _ in range(5)]
    engines = [await finished(process) for process in processes]
    assert len(set(engines)) == 1
    right(short)
    processes = [this_release(REFRESH, short.url) for _ in range(2)]
    assert [await finished(process) for process in processes] == ["done"] * 2
    await complete(short)


@pytest.mark.campaign
async def test_long_histories_killed_often(
    budget: Share, old_database: Make, package: Path, tmp_path: Path, engine: Server
) -> None:
    """Sixty days, most of them in the aggregates only, a prober of the last release at work, its housekeeping too."""
    for number in budget.rounds():
        zone = ZONES[number % len(ZONES)]
        old = await old_database(suite_history(zone, kept_days=25, days=60, fine_days=60), zone)
        # TimescaleDB's own days of Havana are wrong until the upgrade is over.
        await _killed_often(
            old,
            random.Random(f"{budget.seed} {number}"),
            package,
            tmp_path / str(number),
            budget,
            is_right=zone != "America/Havana" or engine.name == "postgresql",
        )


async def _killed_often(
    old: Old, dice: random.Random, package: Path, folder: Path, budget: Share, *, is_right: bool
) -> None:
    folder.mkdir()  # noqa: ASYNC240
    async with recording(package, old, folder, housekeeping=2, period=1) as prober:
        old.before = Seen(old).ledger
        while not budget.over() and not await killed(MIGRATE, old.url, dice, 4):
            if is_right:
                right(old, prober.acknowledged())
        await migrated(old.url)
        prober.migrated.touch()
        while not budget.over() and await pending(old.url):
            await killed(REFRESH, old.url, dice, dice.choice((0.2, 1, 5)))
            if is_right:
                right(old, prober.acknowledged())
        await until_done(old.url)
        await prober.goes_on()
        right(old, prober.acknowledged(), exact=True)
    await complete(old, prober.acknowledged())

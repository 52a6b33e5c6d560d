"""Runs a part of the suite under another date (see test_dates.py): what starts such a run, and a plugin for it.

The date is that of faked_clock.c, which every process of the run has in LD_PRELOAD: pytest, its workers, the PostgreSQL
servers and the programs that tests start."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
HANDED_ON = ("LD_PRELOAD", "CLOCK_SHIFT_S")
DEADLINE, ORDER = "FAKED_CLOCK_DEADLINE", "FAKED_CLOCK_ORDER"
GRACE_S = 300  # for the tests that are under way at the deadline
TIME_IS_OVER = "the time for this date is over"


def build(folder: Path) -> Path:
    """Compiles faked_clock.c; every user may read the library, PostgreSQL's own too."""
    library = folder / "faked_clock.so"
    source = Path(__file__).with_suffix(".c")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    library.chmod(0o644)
    return library


def run(library: Path, at: datetime, time_zone: str, files: Sequence[Path], deadline: float, order: int) -> str:
    """Runs these test files from the date `at` on, in a random order of files, until all are done or the deadline (on
    the monotonic clock) has passed. Returns what pytest said; raises AssertionError with it where a test has failed."""
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "CLOCK_SHIFT_S": str(int((at - datetime.now(UTC)).total_seconds())),
        "TZ": time_zone,
        DEADLINE: str(deadline),
        ORDER: str(order),
        "SLA_MONITOR_TEST_REQUIRE": "",  # what is not reached by the deadline is skipped
    }
    workers = ["-n", str(min(os.cpu_count() or 1, 4)), "--dist", "worksteal"]
    plugins = ["-p", "no:cacheprovider", "-p", "tests.faked_clock"]
    command = [sys.executable, "-m", "pytest", "-q", "-r", "fE", *plugins, *workers, *map(str, files)]
    patience_s = max(0.0, deadline - time.monotonic()) + GRACE_S
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=patience_s,
    )
    assert ended.returncode in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED), (
        f"from {at:%Y-%m-%d %H:%M} UTC on, TZ={time_zone}, {ORDER}={order}:\n{ended.stdout}"
    )
    return ended.stdout


# The plugin


def pytest_configure() -> None:
    """Programs that tests start with an environment of their own, as PostgreSQL is, get the date too."""
    plain: Any = subprocess.Popen.__init__
    handed_on = {name: os.environ[name] for name in HANDED_ON if name in os.environ}

    def __init__(self: Any, *arguments: Any, env: Any = None, **options: Any) -> None:  # noqa: N807
        plain(self, *arguments, env=env if env is None else {**handed_on, **env}, **options)

    subprocess.Popen.__init__ = __init__  # type: ignore[method-assign]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files in a random order: where the time is short, each run tries other ones. All workers need the same."""
    if ORDER in os.environ:
        files = sorted({item.path for item in items})
        random.Random(int(os.environ[ORDER])).shuffle(files)
        items.sort(key=lambda item: files.index(item.path))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    if time.monotonic() > float(os.environ.get(DEADLINE, "inf")):
        pytest.skip(TIME_IS_OVER)

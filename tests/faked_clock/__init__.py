"""Another date for a part of the suite (see tests/test_dates.py).

Every process of such a run reads the date through clock.c: pytest, its workers, the PostgreSQL servers, and the
programs that tests start. plugin.py is what pytest does differently in it."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DEADLINE, EACH = "FAKED_CLOCK_DEADLINE", "FAKED_CLOCK_EACH"
SECOND_NS = 1_000_000_000
GRACE_S = 300  # for the tests that are under way at the deadline


def build(folder: Path) -> Path:
    """Compiles clock.c; every user may read the library, PostgreSQL's own too."""
    library = folder / "clock.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, HERE / "clock.c", "-ldl"], check=True)
    library.chmod(0o644)
    return library


def set_clock(file: Path, shift_ns: int) -> None:
    """Moves the date of those who follow this file."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT)
    try:
        os.pwrite(handle, shift_ns.to_bytes(8, sys.byteorder, signed=True), 0)
        os.fchmod(handle, 0o644)
    finally:
        os.close(handle)


def run(
    library: Path, at: datetime, time_zone: str, files: Sequence[str | Path], *, deadline: float, each: bool
) -> str:
    """Runs these tests from the date `at` on until all are done or the deadline (on the monotonic clock) has passed;
    with `each`, every one of them begins some seconds before `at`. Returns what pytest said; raises AssertionError with
    it where a test has failed."""
    clock = library.with_name("clock")
    set_clock(clock, int(at.timestamp() * SECOND_NS) - time.time_ns())
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        "LD_PRELOAD": str(library),
        "CLOCK_FILE": str(clock),
        "PYTHONPATH": str(HERE / "everywhere"),
        "TZ": time_zone,
        DEADLINE: str(deadline),
        EACH: str(at.timestamp()) if each else "",
        "SLA_MONITOR_TEST_REQUIRE": "",  # what is not reached by the deadline is skipped
    }
    workers = ["-n", str(min(os.cpu_count() or 1, 4)), "--dist", "worksteal"]
    plugins = ["-p", "no:cacheprovider", "-p", "tests.faked_clock.plugin"]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-r", "fE", *plugins, *workers, *map(str, files)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=max(0.0, deadline - time.monotonic()) + GRACE_S,
    )
    assert ended.returncode in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED), (
        f"at {at.astimezone(UTC):%Y-%m-%d %H:%M} UTC, TZ={time_zone}:\n{ended.stdout}"
    )
    return ended.stdout

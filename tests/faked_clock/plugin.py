"""What pytest does differently under another date."""

import ctypes
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.faked_clock import DEADLINE, EACH, SECOND_NS, set_clock

MOST_BEFORE_S = 4.0  # about as long as a test and what it needs take
LEAST_BEFORE_S = 0.2
AFTERWARDS_S = -6.0  # where those begin that would wait until then
FILE = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """A worker has a clock of its own: each of its tests sets it."""
    config.stash[FILE] = Path(os.environ["CLOCK_FILE"])
    if os.environ[EACH] and hasattr(config, "workerinput"):
        shift_ns = int.from_bytes(config.stash[FILE].read_bytes(), sys.byteorder, signed=True)
        handle, name = tempfile.mkstemp(prefix="clock-", dir=config.stash[FILE].parent)
        os.close(handle)
        config.stash[FILE] = Path(name)
        set_clock(config.stash[FILE], shift_ns)
        os.environ["CLOCK_FILE"] = name
        assert ctypes.CDLL(None).follow_clock(name.encode()) == 0


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if time.monotonic() > float(os.environ[DEADLINE]):
        pytest.skip("the time for this date is over")
    if os.environ[EACH]:
        waits = item.get_closest_marker("one_day") or item.get_closest_marker("one_quarter")
        before_s = AFTERWARDS_S if waits else random.uniform(LEAST_BEFORE_S, MOST_BEFORE_S)
        file = item.config.stash[FILE]
        shift_ns = int.from_bytes(file.read_bytes(), sys.byteorder, signed=True)
        real_ns = time.time_ns() - shift_ns
        set_clock(file, int((float(os.environ[EACH]) - before_s) * SECOND_NS) - real_ns)

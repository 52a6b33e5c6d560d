"""Fixtures of the end-to-end tests: home folders and certificates."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.program import left_running
from tests.engines import roomy_memory
from tests.prober.targets import Certificates


@contextmanager
def home_folder() -> Iterator[Path]:
    """Yields a folder for SLA_MONITOR_HOME. Asserts at the end that no process uses it any more.

    If root runs the tests, the user of PostgreSQL must be able to enter the folder. pytest's folders have mode 0700, so
    they are not used.
    """
    folder = Path(tempfile.mkdtemp(prefix="sla-e2e-", dir=roomy_memory() or "/tmp"))
    folder.chmod(0o711)
    try:
        yield folder
        assert left_running(folder) == {}
    finally:
        for process_id in left_running(folder):
            with suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def home() -> Iterator[Path]:
    with home_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def shared_home() -> Iterator[Path]:
    with home_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))

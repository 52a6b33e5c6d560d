"""Databases for the tests: each test that asks for one runs once on every engine found (see engines.py)."""

import asyncio
import gc
import os
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import pytest
import uvicorn.server
from argon2 import PasswordHasher
from hypothesis import settings

from api.auth import passwords
from api.auth.passwords import Passwords
from tests.browsers import NO_BROWSER, find_browser
from tests.engines import EngineError, Server, Servers, find_engines

pytest_plugins = ("tests.campaigns", "tests.requirements")
settings.register_profile("tests", deadline=None)  # how long an example takes is the machine's affair
settings.load_profile("tests")
LONGEST = (
    "tests/oracle/test_oracle.py",
    "tests/sla_monitor/test_demo.py",
    "tests/e2e/",
    "tests/test_bench.py",
    "tests/upgrade/",
    "tests/api/test_described.py",
    "tests/api/test_permissions",
    "tests/pages/test_console_admin.py",
)
ON_ALL = "SLA_MONITOR_TEST_ALL"
"""In the environment: what is marked `one_engine` runs on every engine too."""
PERIODS_S = {"one_day": 86400, "one_quarter": 900}
JUST_BEGUN_S, NEARLY_OVER_S = 5, 30
SERVERS = pytest.StashKey[Servers]()


def pytest_configure(config: pytest.Config) -> None:
    from tests.requirements import require, required  # as a plugin it is imported by pytest

    try:
        config.stash[SERVERS] = Servers(find_engines())
    except EngineError as error:
        raise pytest.UsageError(str(error)) from None
    require(required(), config.stash[SERVERS].engines)
    if sys.dont_write_bytecode and hasattr(config, "cache"):
        # Nothing may be written beside the sources. The cache of pytest keeps the bytecode of tests (5 s of CPU time of
        # each worker) and of the processes that tests start.
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(config.cache.mkdir("bytecode"))
        sys.dont_write_bytecode = False
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each worker begins with some files of what takes longest: else one of them ends with it, and the others have
    nothing left to do. pytest-xdist gives each an equal part of the list."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    files = list(dict.fromkeys(_together(item) for item in items if item.nodeid.startswith(LONGEST)))
    first = [[item for item in items if _together(item) in files[worker::workers]] for worker in range(workers)]
    others = iter([item for item in items if _together(item) not in files])
    parts = [[*some, *islice(others, max(len(items) // workers - len(some), 0))] for some in first]
    items[:] = [*chain.from_iterable(parts), *others]


def _together(item: pytest.Item) -> Path:
    """What one worker begins with: a file; of the upgrade all, which copies databases that a worker builds once."""
    return item.path.parent if item.path.parent.name == "upgrade" else item.path


def pytest_collection_finish() -> None:
    """What was made so far stays: the garbage collector need not look at it again for each of a thousand APIs."""
    gc.collect()
    gc.freeze()


def pytest_report_header(config: pytest.Config) -> str:
    return f"database engines: {config.stash[SERVERS].found()}"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist reports to the process that prints the summary."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["engines"] = session.config.stash[SERVERS].reports()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    node.config.stash[SERVERS].add_reports(getattr(node, "workeroutput", {}).get("engines", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.section("database engines")
    for line in config.stash[SERVERS].summary():
        terminalreporter.line(line)
    terminalreporter.section("browser")
    terminalreporter.line(_browser_summary(terminalreporter))


def _browser_summary(terminalreporter: pytest.TerminalReporter) -> str:
    """The browser, and how many tests of pages ran in it; or how many did not."""
    browser = find_browser()
    outcomes = ("skipped",) if browser is None else ("passed", "failed")
    reports = [report for outcome in outcomes for report in terminalreporter.getreports(outcome)]
    tests = {report.nodeid for report in reports if report.nodeid.startswith("tests/pages/")}
    return f"{browser}: {len(tests)} tests" if browser else f"NOT TESTED, {len(tests)} tests skipped: {NO_BROWSER}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks a database runs on each engine, or on those that its marker `engines` names. Where no statement
    of a test differs between the engines it is marked `one_engine`: its name decides on which of them it runs."""
    if "engine" in metafunc.fixturenames:
        test = metafunc.definition
        only = {name for marker in test.iter_markers("engines") for name in marker.args}
        one = test.get_closest_marker("one_engine") is not None and not os.environ.get(ON_ALL)
        names = engines_of(test.nodeid, list(metafunc.config.stash[SERVERS].engines), only, one=one)
        metafunc.parametrize("engine", names, indirect=True, scope="session")


def engines_of(test: str, found: Sequence[str], only: Collection[str], *, one: bool) -> list[str]:
    """Where a test runs; `only` wins over `one`, so that a test can be the exception in a file."""
    if only:
        return [name for name in found if name.removeprefix("given-") in only]
    return [found[crc32(test.encode()) % len(found)]] if one else list(found)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What must begin and end on the same day, or in the same quarter of an hour, waits where it is nearly over."""
    for marker, period_s in PERIODS_S.items():
        if item.get_closest_marker(marker) is not None:
            since_s = time.time() % period_s
            if not JUST_BEGUN_S < since_s < period_s - NEARLY_OVER_S:
                time.sleep((JUST_BEGUN_S - since_s) % period_s)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Iterator[Servers]:
    yield (servers := pytestconfig.stash[SERVERS])
    servers.close()


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest, servers: Servers) -> Server:
    """The running engine that this round of the test uses; `engine.name` is timescaledb or postgresql."""
    return servers.start(request.param)


@pytest.fixture
def database(request: pytest.FixtureRequest, engine: Server) -> Iterator[str]:
    """The URL of a fresh database with the whole schema, dropped after the test."""
    engine.tests.add(request.node.nodeid)
    yield (url := engine.migrated_database())
    engine.drop(url)


@pytest.fixture(scope="session")
def any_engine(servers: Servers) -> Server:
    """One engine, for what has nothing to do with engines."""
    return servers.start(next(reversed(servers.engines)))


@pytest.fixture
def any_database(request: pytest.FixtureRequest, any_engine: Server) -> Iterator[str]:
    """As `database`, once: on one engine."""
    any_engine.tests.add(request.node.nodeid)
    yield (url := any_engine.migrated_database())
    any_engine.drop(url)


@pytest.fixture
def empty_database(request: pytest.FixtureRequest, engine: Server) -> Iterator[str]:
    """The URL of a fresh database with nothing in it, dropped after the test."""
    engine.tests.add(request.node.nodeid)
    yield (url := engine.empty_database())
    engine.drop(url)


@pytest.fixture
def databases(request: pytest.FixtureRequest, servers: Servers) -> Iterator[dict[str, str]]:
    """The URL of a fresh migrated database on every engine at once, by engine name: for comparing answers."""
    urls = {}
    for name in servers.engines:
        server = servers.start(name)
        server.tests.add(request.node.nodeid)
        urls[name] = server.migrated_database()
    yield urls
    for name, url in urls.items():
        servers.start(name).drop(url)


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> Passwords:
    """Passwords at a cost that nobody should have but tests: for everything that is started after this."""
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "PasswordHasher", lambda: hasher)
    return Passwords()


@pytest.fixture(scope="session", autouse=True)
def quicker_ends() -> Iterator[None]:
    """No API of this process takes the two tenths of a second that uvicorn gives itself to end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn.server, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": _nap}))
        yield


async def _nap(seconds: float) -> None:
    await asyncio.sleep(seconds / 10)

"""Databases for the tests. A test that uses one runs once on every engine found (see engines.py)."""

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
from tests.engines import EngineError, find_engines
from tests.servers import Server, Servers

pytest_plugins = ("tests.campaigns", "tests.requirements")
settings.register_profile("tests", deadline=None)  # the duration of an example depends on the machine
settings.load_profile("tests")
LONGEST = (
    "tests/oracle/test_oracle.py",
    "tests/sla_monitor/test_demo",
    "tests/e2e/",
    "tests/test_bench.py",
    "tests/upgrade/",
    "tests/api/test_described.py",
    "tests/api/test_permissions",
    "tests/pages/test_console_admin.py",
)
"""The beginnings of the ids of the slowest tests, which start first (pytest_collection_modifyitems)."""
ON_ALL = "SLA_MONITOR_TEST_ALL"
"""Environment variable: tests marked `one_engine` run on every engine as well."""
PERIODS_S = {"one_day": 86400, "one_quarter": 900}
"""The period of each marker. A test with the marker must begin and end within one period."""
JUST_BEGUN_S, NEARLY_OVER_S = 5, 30
"""Such a test begins at least 5 s after the start of a period and at least 30 s before its end."""
SERVERS = pytest.StashKey[Servers]()


def pytest_configure(config: pytest.Config) -> None:
    from tests.requirements import require, required  # as a plugin it is imported by pytest

    try:
        config.stash[SERVERS] = Servers(find_engines())
    except EngineError as error:
        raise pytest.UsageError(str(error)) from None
    require(required(), config.stash[SERVERS].engines)
    if sys.dont_write_bytecode and hasattr(config, "cache"):
        # PYTHONDONTWRITEBYTECODE is set, so no bytecode may be written beside the sources, but compiling the tests
        # takes each worker 5 s of CPU time. So the bytecode of the tests, and of the processes that they start, is
        # written to pytest's cache.
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(config.cache.mkdir("bytecode"))
        sys.dont_write_bytecode = False
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Distributes the slowest files so that each worker starts with some of them. pytest-xdist gives each worker an
    equal part of the list; without this, one worker would run the slowest tests at the end while the others are
    idle."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    files = list(dict.fromkeys(_unit(item) for item in items if item.nodeid.startswith(LONGEST)))
    first = [[item for item in items if _unit(item) in files[worker::workers]] for worker in range(workers)]
    others = iter([item for item in items if _unit(item) not in files])
    parts = [[*slow, *islice(others, max(len(items) // workers - len(slow), 0))] for slow in first]
    items[:] = [*chain.from_iterable(parts), *others]


def _unit(item: pytest.Item) -> Path:
    """Returns the file of a test, or its folder if that is tests/upgrade. pytest_collection_modifyitems assigns it to
    one worker as a whole. The databases of tests/upgrade are built once per worker and then copied."""
    return item.path.parent if item.path.parent.name == "upgrade" else item.path


def pytest_collection_finish() -> None:
    """Excludes the objects that exist now from garbage collection. They live until the end of the run, and the tests
    start about a thousand APIs, for each of which the collector would scan them again."""
    gc.collect()
    gc.freeze()


def pytest_report_header(config: pytest.Config) -> str:
    return f"database engines: {config.stash[SERVERS].found()}"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Sends the counts of a pytest-xdist worker to the controller, which prints the summary."""
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
    """Returns the path of the browser and the number of page tests that ran in it, or the number of skipped ones."""
    browser = find_browser()
    outcomes = ("skipped",) if browser is None else ("passed", "failed")
    reports = [report for outcome in outcomes for report in terminalreporter.getreports(outcome)]
    tests = {report.nodeid for report in reports if report.nodeid.startswith("tests/pages/")}
    return f"{browser}: {len(tests)} tests" if browser else f"NOT TESTED, {len(tests)} tests skipped: {NO_BROWSER}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrizes tests that use a database: with each engine, or with those that the marker `engines` names. A test
    marked `one_engine` runs on one of them, chosen by the hash of its name; none of its statements differs by
    engine."""
    if "engine" in metafunc.fixturenames:
        test = metafunc.definition
        only = {name for marker in test.iter_markers("engines") for name in marker.args}
        one = test.get_closest_marker("one_engine") is not None and not os.environ.get(ON_ALL)
        names = engines_of(test.nodeid, list(metafunc.config.stash[SERVERS].engines), only, one=one)
        metafunc.parametrize("engine", names, indirect=True, scope="session")


def engines_of(test: str, found: Sequence[str], only: Collection[str], *, one: bool) -> list[str]:
    """Returns the engines that a test runs on. `only` takes precedence over `one`, so that a single test in a file that
    is marked `one_engine` can run elsewhere."""
    if only:
        return [name for name in found if name.removeprefix("given-") in only]
    return [found[crc32(test.encode()) % len(found)]] if one else list(found)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Waits for the next day or quarter of an hour if this one is nearly over and the test must begin and end within
    one."""
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
    """The running engine of this test; `engine.name` is timescaledb, postgresql or given-postgresql."""
    return servers.start(request.param)


@pytest.fixture
def database(request: pytest.FixtureRequest, engine: Server) -> Iterator[str]:
    """The URL of a new database with the whole schema, dropped after the test."""
    engine.tests.add(request.node.nodeid)
    yield (url := engine.migrated_database())
    engine.drop(url)


@pytest.fixture(scope="session")
def any_engine(servers: Servers) -> Server:
    """One engine, for tests that do not depend on the engine."""
    return servers.start(next(reversed(servers.engines)))


@pytest.fixture
def any_database(request: pytest.FixtureRequest, any_engine: Server) -> Iterator[str]:
    """Like `database`, on one engine only."""
    any_engine.tests.add(request.node.nodeid)
    yield (url := any_engine.migrated_database())
    any_engine.drop(url)


@pytest.fixture
def empty_database(request: pytest.FixtureRequest, engine: Server) -> Iterator[str]:
    """The URL of a new empty database, dropped after the test."""
    engine.tests.add(request.node.nodeid)
    yield (url := engine.empty_database())
    engine.drop(url)


@pytest.fixture
def databases(request: pytest.FixtureRequest, servers: Servers) -> Iterator[dict[str, str]]:
    """The URLs of new migrated databases by engine name, one on every engine, for tests that compare engines."""
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
    """Password hashes at the lowest cost, for tests only. Applies to APIs that are started after this fixture."""
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "PasswordHasher", lambda: hasher)
    return Passwords()


@pytest.fixture(scope="session", autouse=True)
def fast_shutdown() -> Iterator[None]:
    """Shortens uvicorn's sleeps by a factor of ten: it sleeps 0.2 s when an API stops."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn.server, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": _short_sleep}))
        yield


async def _short_sleep(seconds: float) -> None:
    await asyncio.sleep(seconds / 10)

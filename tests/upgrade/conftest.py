"""Databases of the last release, built once for each engine and copied for each test."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.engines import Server
from tests.upgrade.history import History, european_zone
from tests.upgrade.old_database import Old, build, leave_pending, suite_history
from tests.upgrade.processes import LastRelease, unpack
from tests.upgrade.snapshot import Seen, differences

Make = Callable[[History, str], Awaitable[Old]]


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last release, unpacked."""
    return unpack(tmp_path_factory.mktemp("last-release"))


@pytest.fixture(scope="session")
def last_release(package: Path) -> Iterator[LastRelease]:
    """A process of it."""
    yield (release := LastRelease(package))
    release.end()


@pytest.fixture(scope="session")
def built() -> dict[tuple[str, str], Old]:
    """What has been built in this session, by engine and name."""
    return {}


@pytest.fixture
async def old_database(
    request: pytest.FixtureRequest, engine: Server, last_release: LastRelease, built: dict[tuple[str, str], Old]
) -> AsyncIterator[Make]:
    """Makes a database of the last release with a history; its name says which one is made once. The last release's own
    figures are right before anything else is done with it."""
    engine.tests.add(request.node.nodeid)
    copies: list[str] = []

    async def make(history: History, name: str) -> Old:
        if (engine.name, name) not in built:
            url = engine.empty_database()
            old = await build(last_release, url, history)
            if (
                history.zone != "America/Havana" or engine.name == "postgresql"
            ):  # FAULTS A6: it has two rows for one of the days there
                assert differences(Seen(old, base=old.settled)) == []
            await leave_pending(last_release, old)
            built[engine.name, name] = old
        old = built[engine.name, name]
        copies.append(engine.copy(old.url))
        return replace(old, url=copies[-1], all=old.all.copy())

    yield make
    for url in copies:
        engine.drop(url)


@pytest.fixture
async def short(old_database: Make) -> Old:
    """A zone that turns its clocks; most of the past is in the aggregates only."""
    zone = european_zone(datetime.now(UTC))
    return await old_database(suite_history(zone), "short")


async def long_history(old_database: Make) -> Old:
    """A copy of the database in UTC, all raw rows kept."""
    return await old_database(suite_history("UTC", kept_days=400, days=16, fine_days=7), "long")


@pytest.fixture
async def long(old_database: Make) -> Old:
    return await long_history(old_database)

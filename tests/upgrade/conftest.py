"""Databases of the last release, built once for each engine and copied for each test."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.servers import Server
from tests.upgrade.history import History, european_zone
from tests.upgrade.old_database import OldDatabase, build, leave_pending, suite_history
from tests.upgrade.processes import LastRelease, unpack
from tests.upgrade.snapshot import Snapshot, differences

MakeDatabase = Callable[[History, str], Awaitable[OldDatabase]]


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last release, unpacked."""
    return unpack(tmp_path_factory.mktemp("last-release"))


@pytest.fixture(scope="session")
def last_release(package: Path) -> Iterator[LastRelease]:
    """A process of the last release that runs commands."""
    yield (release := LastRelease(package))
    release.end()


@pytest.fixture(scope="session")
def built() -> dict[tuple[str, str], OldDatabase]:
    """The databases built in this session, by engine and name."""
    return {}


@pytest.fixture
async def old_database(
    request: pytest.FixtureRequest, engine: Server, last_release: LastRelease, built: dict[tuple[str, str], OldDatabase]
) -> AsyncIterator[MakeDatabase]:
    """Creates a database of the last release with a history. Each name is built once per engine, then copied. The
    figures of the last release are checked before the first copy."""
    engine.tests.add(request.node.nodeid)
    copies: list[str] = []

    async def make(history: History, name: str) -> OldDatabase:
        if (engine.name, name) not in built:
            url = engine.empty_database()
            old = await build(last_release, url, history)
            # On TimescaleDB the last release has two rows for one of the days in this zone.
            if history.zone != "America/Havana" or engine.name == "postgresql":
                assert differences(Snapshot(old, base=old.settled)) == []
            await leave_pending(last_release, old)
            built[engine.name, name] = old
        old = built[engine.name, name]
        copies.append(engine.copy(old.url))
        return replace(old, url=copies[-1], all=old.all.copy())

    yield make
    for url in copies:
        engine.drop(url)


@pytest.fixture
async def short(old_database: MakeDatabase) -> OldDatabase:
    """A database in a time zone with clock changes. The raw rows of most days are dropped: their figures are in the
    aggregates only."""
    zone = european_zone(datetime.now(UTC))
    return await old_database(suite_history(zone), "short")


async def long_history(old_database: MakeDatabase) -> OldDatabase:
    """Returns a copy of the database in UTC, with all raw rows."""
    return await old_database(suite_history("UTC", retention_days=400, days=16, fine_days=7), "long")


@pytest.fixture
async def long(old_database: MakeDatabase) -> OldDatabase:
    return await long_history(old_database)

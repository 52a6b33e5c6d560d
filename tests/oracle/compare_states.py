"""Episodes of locations, outages and present states."""

from datetime import datetime
from typing import NamedTuple

from tests.oracle.differences import ANYTHING, Difference, OneOf, differences
from tests.oracle.episodes import Outage
from tests.oracle.world import World
from tests.sql.batches import Connection, ask


class Known(NamedTuple):
    """An outage as a database has told it."""

    id: int
    started_at: datetime
    ended_at: datetime | None

    def overlaps(self, other: "Known") -> bool:
        return _before(self.started_at, other.ended_at) and _before(other.started_at, self.ended_at)


def _before(start: datetime, end: datetime | None) -> bool:
    return end is None or start < end


async def states(connection: Connection, world: World) -> list[Difference]:
    """Provided that expire_states() was called at this present."""
    return await _episodes(connection, world) + await _outages(connection, world) + await _present(connection, world)


async def _episodes(connection: Connection, world: World) -> list[Difference]:
    expected = {
        (service.id, location, one.starts_at): (
            *(one.ends_at, one.state, one.error_type, one.error_message, one.expires_at, False),
        )
        for service in world.all_services.values()
        for location, line in world.lines(service).items()
        for one in line
    }
    found = await ask(
        connection,
        "SELECT service_id, location, starts_at, ends_at, state::text, error_type, error_message, expires_at, "
        "estimated FROM episodes",
    )
    return differences("episodes", expected, ((row[:3], row[3:]) for row in found))


async def _outages(connection: Connection, world: World) -> list[Difference]:
    expected = {
        (service.id, one.started_at): (one.ended_at, OneOf(_types(one)), OneOf(_messages(one)))
        for service in world.all_services.values()
        for one in world.story(service).outages
    }
    found = await ask(connection, "SELECT service_id, started_at, ended_at, error_type, error_message FROM outages")
    return differences("outages", expected, ((row[:2], row[2:]) for row in found))


def _types(outage: Outage) -> frozenset[str | None]:
    return frozenset(kind for kind, _ in outage.errors)


def _messages(outage: Outage) -> frozenset[str | None]:
    return frozenset(message for _, message in outage.errors)


async def _present(connection: Connection, world: World) -> list[Difference]:
    expected: dict[str, object] = {}
    for service in world.services:
        said = world.story(world.all_services[service]).present
        expected[service] = said or ("unknown", ANYTHING)
    found = await ask(connection, "SELECT service_id, state::text, since FROM service_states")
    return differences("service_states", expected, ((row[0], row[1:]) for row in found))


async def known_outages(connection: Connection) -> dict[str, list[Known]]:
    found: dict[str, list[Known]] = {}
    for service, *rest in await ask(connection, "SELECT service_id, id, started_at, ended_at FROM outages ORDER BY 3"):
        found.setdefault(service, []).append(Known(*rest))
    return found


def changed_ids(before: dict[str, list[Known]], after: dict[str, list[Known]]) -> list[Difference]:
    """Outages that others know by their id must keep it: one whose bounds have moved has its own, and one that several
    have become has the oldest. What was split is not judged."""
    wrong = []
    for service, now in after.items():
        for outage in now:
            origins = [one for one in before.get(service, ()) if one.overlaps(outage)]
            if any(sum(other.overlaps(one) for other in now) > 1 for one in origins):
                continue
            if origins and outage.id != (oldest := min(one.id for one in origins)):
                wrong.append(Difference("outages.id", (service, outage.started_at), oldest, outage.id))
    return wrong

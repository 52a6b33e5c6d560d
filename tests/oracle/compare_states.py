"""Compares episodes of locations, outages and current states."""

from datetime import datetime
from typing import NamedTuple

from tests.oracle.differences import ANYTHING, Difference, OneOf, differences
from tests.oracle.episodes import Outage
from tests.oracle.model import Model
from tests.sql.batches import Connection, fetch


class KnownOutage(NamedTuple):
    """An outage as read from the database at an earlier comparison."""

    id: int
    started_at: datetime
    ended_at: datetime | None

    def overlaps(self, other: "KnownOutage") -> bool:
        return _before(self.started_at, other.ended_at) and _before(other.started_at, self.ended_at)


def _before(start: datetime, end: datetime | None) -> bool:
    return end is None or start < end


async def states(connection: Connection, model: Model) -> list[Difference]:
    """Returns the differences. expire_states() must have been called at the current time."""
    return await _episodes(connection, model) + await _outages(connection, model) + await _present(connection, model)


async def _episodes(connection: Connection, model: Model) -> list[Difference]:
    expected = {
        (service.id, location, one.starts_at): (
            *(one.ends_at, one.state, one.error_type, one.error_message, one.expires_at, False),
        )
        for service in model.all_services.values()
        for location, line in model.lines(service).items()
        for one in line
    }
    found = await fetch(
        connection,
        "SELECT service_id, location, starts_at, ends_at, state::text, error_type, error_message, expires_at, "
        "estimated FROM episodes",
    )
    return differences("episodes", expected, ((row[:3], row[3:]) for row in found))


async def _outages(connection: Connection, model: Model) -> list[Difference]:
    expected = {
        (service.id, one.started_at): (one.ended_at, OneOf(_types(one)), OneOf(_messages(one)))
        for service in model.all_services.values()
        for one in model.state_history(service).outages
    }
    found = await fetch(connection, "SELECT service_id, started_at, ended_at, error_type, error_message FROM outages")
    return differences("outages", expected, ((row[:2], row[2:]) for row in found))


def _types(outage: Outage) -> frozenset[str | None]:
    return frozenset(kind for kind, _ in outage.errors)


def _messages(outage: Outage) -> frozenset[str | None]:
    return frozenset(message for _, message in outage.errors)


async def _present(connection: Connection, model: Model) -> list[Difference]:
    expected: dict[str, object] = {}
    for service in model.services:
        present = model.state_history(model.all_services[service]).present
        expected[service] = present or ("unknown", ANYTHING)
    found = await fetch(connection, "SELECT service_id, state::text, since FROM service_states")
    return differences("service_states", expected, ((row[0], row[1:]) for row in found))


async def outages_by_service(connection: Connection) -> dict[str, list[KnownOutage]]:
    found: dict[str, list[KnownOutage]] = {}
    for service, *rest in await fetch(
        connection, "SELECT service_id, id, started_at, ended_at FROM outages ORDER BY 3"
    ):
        found.setdefault(service, []).append(KnownOutage(*rest))
    return found


def changed_ids(before: dict[str, list[KnownOutage]], after: dict[str, list[KnownOutage]]) -> list[Difference]:
    """Returns outages that lost their id. An outage whose bounds moved must keep its id, and one that was merged from
    several must have the oldest. Outages that were split are not compared."""
    found_differences = []
    for service, now in after.items():
        for outage in now:
            origins = [one for one in before.get(service, ()) if one.overlaps(outage)]
            if any(sum(other.overlaps(one) for other in now) > 1 for one in origins):
                continue
            if origins and outage.id != (oldest := min(one.id for one in origins)):
                found_differences.append(Difference("outages.id", (service, outage.started_at), oldest, outage.id))
    return found_differences

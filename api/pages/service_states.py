"""What public services are now, one or all, and what they are together: for the status page, badges and the frame."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple

import msgspec

from api.uptime.status import ServiceState, overall
from sql import Pool, database

Headline = Literal[ServiceState, "no_problems", "incident"]


class StateRow(msgspec.Struct):
    """One public service as it is now."""

    id: str
    name: str
    group: str | None
    state: ServiceState
    checked_at: datetime | None


class Together(NamedTuple):
    """What services are together: how it looks, and which text says it."""

    state: ServiceState
    headline: Headline


async def public_states(pool: Pool, service_id: str | None = None) -> list[StateRow]:
    """Every public service, or this one; none where it does not exist or is private."""
    return await database.rows(pool, "status/states", StateRow, service_id=service_id)


async def has_open_incident(pool: Pool) -> bool:
    """Whether people say that something is wrong."""
    return await database.count(pool, "status/open_incidents") > 0


def together(states: Iterable[ServiceState], incident: bool = False) -> Together:
    """In the API's three words; where those would say more than is known, in words that say how little it is. While an
    incident is open nothing is said to be well, whatever the probes see.

    As `overall` of status.js.
    """
    seen = _seen(list(states))
    return Together("degraded", "incident") if incident and seen.state not in ("outage", "degraded") else seen


def _seen(states: list[ServiceState]) -> Together:
    known = set(states)
    state: ServiceState = overall(states)
    if not known or (state == "degraded" and "degraded" not in known):
        return Together("unknown", "unknown")
    if state == "operational" and "unknown" in known:
        return Together(state, "no_problems")
    if state == "operational" and "maintenance" in known:
        return Together("maintenance", "maintenance")
    return Together(state, state)

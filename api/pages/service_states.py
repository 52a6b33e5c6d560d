"""The states of public services, and their overall state: for the status page, badges and the frame."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple

import msgspec

from api.uptime.status import ServiceState, overall
from sql import Pool, database

Headline = Literal[ServiceState, "no_problems", "incident"]


class StateRow(msgspec.Struct):
    """One public service and its state."""

    id: str
    name: str
    group: str | None
    state: ServiceState
    checked_at: datetime | None


class Summary(NamedTuple):
    """The overall state of services: the state whose style is used, and the key of the headline."""

    state: ServiceState
    headline: Headline


async def public_states(pool: Pool, service_id: str | None = None) -> list[StateRow]:
    """All public services, or one; empty if that does not exist or is private."""
    return await database.rows(pool, "status/states", StateRow, service_id=service_id)


async def has_open_incident(pool: Pool) -> bool:
    """Whether there is an unresolved public incident."""
    return await database.count(pool, "status/open_incidents") > 0


def summary_of(states: Iterable[ServiceState], incident: bool = False) -> Summary:
    """The overall state. It is never operational while an incident is open (`incident`).

    It is `overall` of the API, except that "no known problems" and "unknown" are distinguished where states are
    unknown, and maintenance is shown. `summaryOf` in summaries.js is the same rule (tests/pages/test_rules.py).
    """
    seen = _without_incidents(list(states))
    return Summary("degraded", "incident") if incident and seen.state not in ("outage", "degraded") else seen


def _without_incidents(states: list[ServiceState]) -> Summary:
    present = set(states)
    state: ServiceState = overall(states)
    if not present or (state == "degraded" and "degraded" not in present):
        return Summary("unknown", "unknown")
    if state == "operational" and "unknown" in present:
        return Summary(state, "no_problems")
    if state == "operational" and "maintenance" in present:
        return Summary("maintenance", "maintenance")
    return Summary(state, state)

"""What public services are now, one or all, and what they are together: for badges and the embedded frame."""

from collections.abc import Collection
from datetime import datetime

import msgspec

from api import database
from api.status import ServiceState, overall
from sql import Pool


class StateRow(msgspec.Struct):
    """One public service as it is now."""

    id: str
    name: str
    group: str | None
    state: ServiceState
    checked_at: datetime | None


async def public_states(pool: Pool, service_id: str | None = None) -> list[StateRow]:
    """Every public service, or this one; none where it does not exist or is private."""
    return await database.rows(pool, "status/states", StateRow, service_id=service_id)


def together(states: Collection[ServiceState]) -> ServiceState:
    """As the API says it, but for what its three words cannot say: that all are maintained, or nothing is known."""
    if not states:
        return "unknown"
    alike = set(states)
    if alike == {"maintenance"} or alike == {"unknown"}:
        return alike.pop()
    return overall(list(states))

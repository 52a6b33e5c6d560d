"""A service has at most one tag with an SLA policy at any time: saving refuses a second one."""

from collections.abc import Sequence

import sql
from api.rest.errors import ApiError
from api.services.fields import Service
from sql.database import Connection


async def lock_tag_policies(connection: Connection, services: Sequence[Service]) -> None:
    """Waits for transactions that save policies, before services are saved of which one has several tags. Policies are
    saved after this transaction has ended, so that the two see each other."""
    if any(len(service.tags) > 1 for service in services):
        await connection.execute("LOCK TABLE sla_policies IN SHARE MODE")


async def require_one_tag_policy(connection: Connection, services: Sequence[Service]) -> None:
    """Raises 409 if one of these services, which have just been saved, has two tags that both have a policy."""
    ids = [service.id for service in services if len(service.tags) > 1]
    if not ids:
        return
    cursor = await connection.execute(sql.query("services/two_tag_policies"), {"ids": ids})
    if (found := await cursor.fetchone()) is not None:
        service, tag, other = found
        raise ApiError(409, "two_tag_policies", service=service, tag=tag, other=other)

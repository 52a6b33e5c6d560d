"""Validation of the affected services of incidents, templates and maintenance windows."""

from collections.abc import Sequence

import sql
from api.rest.errors import raise_problems
from api.rest.problems import FieldProblem
from sql.database import Connection


async def require_services(
    connection: Connection, ids: Sequence[str], field: str = "affectedServices", incident_id: str | None = None
) -> None:
    """Raises 400 for each of `ids`, the value of `field`, that is not a service. Services that the incident
    `incident_id` already affects are accepted: they may have been deleted since."""
    values = {"ids": list(ids), "incident_id": incident_id}
    rows = await (await connection.execute(sql.query("services/missing"), values)).fetchall()
    raise_problems([FieldProblem.of(f"{field}[{position}]", "unknown_service") for (position,) in rows])

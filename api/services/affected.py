"""Validation of the affected services of incidents, templates and maintenance windows."""

from collections.abc import Collection, Sequence

import sql
from api.rest.errors import invalid
from api.rest.problems import FieldProblem
from sql.database import Connection


async def require_services(
    connection: Connection, ids: Sequence[str], field: str = "affectedServices", kept: Collection[str] = ()
) -> None:
    """Raises 400 for each of `ids`, the value of `field`, that is not a service. Ids in `kept` are accepted: they were
    in the field before and may have been deleted since."""
    rows = await (await connection.execute(sql.query("services/missing"), {"ids": list(ids)})).fetchall()
    missing = {str(row[0]) for row in rows} - set(kept)
    if positions := [n for n, service in enumerate(ids) if service in missing]:
        raise invalid(*(FieldProblem.of(f"{field}[{n}]", "unknown_service") for n in positions))

"""Incidents for templates (incident_parts.html): with datetimes instead of texts."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

import msgspec

from api.incidents.fields import IncidentStatus, Priority, Severity
from api.incidents.records import DayRow
from sql import Pool, database

Names = dict[str, str]
"""Names of services by id. Services that are not in it are not shown."""


class ShownUpdate(msgspec.Struct, rename="camel"):
    """An update of the timeline. `description` is empty if only the status changed."""

    id: int
    status: IncidentStatus
    description: str
    author: str | None
    created_at: datetime


class ShownIncident(msgspec.Struct, rename="camel"):
    """An incident. `updates`: newest first, all or some of `update_count`."""

    id: str
    title: str
    description: str | None
    status: IncidentStatus
    severity: Severity
    priority: Priority
    postmortem: str | None
    public: bool
    affected_services: list[str]
    created_at: datetime
    resolved_at: datetime | None
    update_count: int
    updates: list[ShownUpdate]

    def lasted(self, now: datetime) -> float:
        """Seconds until it was resolved, or until now."""
        return ((self.resolved_at or now) - self.created_at).total_seconds()


class ShownComment(msgspec.Struct, rename="camel"):
    """A comment. `author` is None for anonymous clients."""

    id: int
    text: str
    author: str | None
    created_at: datetime


class ShownDay(msgspec.Struct):
    """A day with the incidents that began on it, newest first. `more`: the number of those left out."""

    day: date
    incidents: list[ShownIncident]
    more: int

    @property
    def is_quiet(self) -> bool:
        return not self.incidents and not self.more


def shown(documents: list[dict[str, Any]]) -> list[ShownIncident]:
    """Incidents from the JSON of the SQL function `incident_json`, or of the REST API."""
    return msgspec.convert(documents, list[ShownIncident])


def shown_comments(documents: list[dict[str, Any]]) -> list[ShownComment]:
    """Comments from the JSON of the SQL function `incident_comment_json`."""
    return msgspec.convert(documents, list[ShownComment])


def past_days(rows: Iterable[DayRow]) -> list[ShownDay]:
    """The days, in the order of the rows."""
    return [ShownDay(row.day, shown(row.incidents), row.total - len(row.incidents)) for row in rows]


class _ServiceName(msgspec.Struct):
    id: str
    name: str


async def public_names(pool: Pool) -> Names:
    """The names of the public services."""
    return {service.id: service.name for service in await database.rows(pool, "services/names", _ServiceName)}

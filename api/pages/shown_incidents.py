"""Incidents as templates take them (incident_parts.html): with times instead of texts, and what follows from them."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

import msgspec

from api.incidents.fields import IncidentStatus, Priority, Severity
from api.incidents.records import DayRow
from sql import Pool, database

Names = dict[str, str]
"""Services by their id: only who is in it is named."""


class ShownUpdate(msgspec.Struct, rename="camel"):
    """A word of the timeline; `description` is empty where only the status changed."""

    id: int
    status: IncidentStatus
    description: str
    author: str | None
    created_at: datetime


class ShownIncident(msgspec.Struct, rename="camel"):
    """`updates` are newest first, of `update_count`."""

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
    """What somebody added, of which those outside are not told the name."""

    id: int
    text: str
    author: str | None
    created_at: datetime


class ShownDay(msgspec.Struct):
    """A day with what began on it, the newest first; `more` began on it than there is room for."""

    day: date
    incidents: list[ShownIncident]
    more: int

    @property
    def is_quiet(self) -> bool:
        return not self.incidents and not self.more


def shown(documents: list[dict[str, Any]]) -> list[ShownIncident]:
    """From `incident_json`, or from an answer of the REST API."""
    return msgspec.convert(documents, list[ShownIncident])


def shown_comments(documents: list[dict[str, Any]]) -> list[ShownComment]:
    """The same, from `incident_comment_json`."""
    return msgspec.convert(documents, list[ShownComment])


def past_days(rows: Iterable[DayRow]) -> list[ShownDay]:
    """Newest first, as the rows are."""
    return [ShownDay(row.day, shown(row.incidents), row.total - len(row.incidents)) for row in rows]


class _ServiceName(msgspec.Struct):
    id: str
    name: str


async def public_names(pool: Pool) -> Names:
    """The services that everybody may know of."""
    return {service.id: service.name for service in await database.rows(pool, "services/names", _ServiceName)}

"""The entries of feeds: the newest public incidents with their updates, and planned maintenance."""

from collections.abc import Sequence
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from uuid import UUID

import msgspec
from jinja2 import Environment

from api.incidents.fields import IncidentStatus
from api.pages.site import Site
from sla_monitor.texts.languages import Texts
from sql import Pool, database

MAX_ENTRIES = 50
"""The limit for incidents, and for maintenance."""


class Update(msgspec.Struct, rename="camel"):
    status: IncidentStatus
    description: str
    created_at: datetime


class Incident(msgspec.Struct, rename="camel"):
    """The fields that a feed uses from the SQL function `incident_json`."""

    id: str
    title: str
    description: str | None
    status: IncidentStatus
    created_at: datetime
    updated_at: datetime
    updates: list[Update]


class _IncidentRow(msgspec.Struct):
    incident: dict[str, Any]
    services: list[str]


class MaintenanceRow(msgspec.Struct):
    """A window with its next occurrences."""

    id: UUID
    title: str
    description: str | None
    created_at: datetime
    updated_at: datetime
    occurrence_starts: list[datetime]
    occurrence_ends: list[datetime]
    services: list[str]

    @property
    def occurrences(self) -> Sequence[tuple[datetime, datetime]]:
        return list(zip(self.occurrence_starts, self.occurrence_ends, strict=True))


class Entry(msgspec.Struct, frozen=True):
    """An entry of a feed. `id` is unique and does not change; `url` need not be unique. `content` is HTML."""

    id: str
    url: str
    title: str
    published: datetime
    updated: datetime
    services: list[str]
    content: str

    @property
    def published_rfc822(self) -> str:
        return format_datetime(self.published, usegmt=True)


async def entries(pool: Pool, site: Site, t: Texts, address: str, service_id: str | None) -> list[Entry]:
    """The entries, newest first. `address`: the origin of this site, without a final slash."""
    values = {"service_id": service_id, "limit": MAX_ENTRIES}
    incidents = await database.rows(pool, "feeds/incidents", _IncidentRow, **values)
    windows = await database.rows(pool, "feeds/maintenance", MaintenanceRow, **values)

    def make() -> list[Entry]:
        found = [_of_incident(site.environment, t, address, row) for row in incidents]
        return found + [_of_maintenance(site.environment, t, address, row) for row in windows]

    return sorted(await site.renderer.run(make), key=lambda entry: (entry.published, entry.id), reverse=True)


def _of_incident(environment: Environment, t: Texts, address: str, row: _IncidentRow) -> Entry:
    incident = msgspec.convert(row.incident, Incident)
    content = environment.get_template("feed_incident.html")
    url = f"{address}/incidents/{incident.id}"
    return Entry(
        id=url,
        url=url,
        title=t("feed.incident", title=" ".join(incident.title.split()), status=t("incidents." + incident.status)),
        published=incident.created_at,
        updated=incident.updated_at,
        services=row.services,
        content=content.render(t=t, incident=incident, services=row.services),
    )


def _of_maintenance(environment: Environment, t: Texts, address: str, row: MaintenanceRow) -> Entry:
    content = environment.get_template("feed_maintenance.html")
    return Entry(
        id=row.id.urn,
        url=f"{address}/",
        title=t("feed.maintenance", title=" ".join(row.title.split())),
        published=row.created_at,
        updated=row.updated_at,
        services=row.services,
        content=content.render(t=t, maintenance=row),
    )

"""The current status of every public service, and of each of its last 90 days."""

from datetime import date, datetime
from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from litestar import Router, get

from api.auth.permissions import requires
from api.cache.entries import Cacheable
from api.rest.injected import Injected
from api.rest.moments import iso
from sql import Pool, database

DAYS = 90
ServiceState = Literal["operational", "degraded", "outage", "unknown", "maintenance"]
OverallStatus = Literal["operational", "degraded", "outage"]
DayStatus = Literal["o", "po", "mo", "nd"]

CACHEABLE = tuple(
    Cacheable(path, frozenset({"checks", "event", "services"})) for path in ("/api/system-status", "/api/system/status")
)


class ServiceStatus(msgspec.Struct, rename="camel"):
    """One service. `uptime`: in percent over the days of `uptimeData`, such as "99.98"; "-" without data. `uptimeData`:
    the status of each of the last 90 days, today last: `o` operational, `po` degraded, `mo` outage, `nd` no data."""

    id: str
    name: str
    status: ServiceState
    uptime: str
    uptime_data: Annotated[list[DayStatus], msgspec.Meta(min_length=DAYS, max_length=DAYS)]


class PlannedMaintenance(msgspec.Struct, rename="camel"):
    """An occurrence of maintenance that is running or begins within a week."""

    id: str
    title: str
    description: str | None
    starts_at: str
    ends_at: str
    affected_services: list[str]


class SystemStatus(msgspec.Struct, rename="camel"):
    """The data of the status page. Days are those of the reporting time zone."""

    overall_status: OverallStatus
    last_updated: str
    services: list[ServiceStatus]
    maintenance: list[PlannedMaintenance]


class MaintenanceRow(msgspec.Struct):
    """A row of the query status/maintenance."""

    id: str
    title: str
    description: str | None
    starts_at: datetime
    ends_at: datetime
    affected_services: list[str]


class StatusRow(msgspec.Struct):
    """A service with its days. `known`, `degraded` and `failed`: see `day_statuses`."""

    id: str
    name: str
    group_name: str | None
    status: ServiceState
    checked_at: datetime | None
    uptime: str
    known: str
    degraded: str
    failed: str
    today: date


def overall(states: list[ServiceState]) -> OverallStatus:
    """The worst known state of the services that are not under maintenance. `degraded` if the states of all of them are
    unknown, `operational` if there are none."""
    counted = [state for state in states if state != "maintenance"]
    known = {state for state in counted if state != "unknown"}
    if "outage" in known:
        return "outage"
    if "degraded" in known or (counted and not known):
        return "degraded"
    return "operational"


@lru_cache(maxsize=4096)  # many services have the same status on every day
def day_statuses(known: str, degraded: str, failed: str) -> list[DayStatus]:
    """The status of each day. Each argument has a character for each day, `1` or `0`: whether the day has data,
    degraded checks, failed checks."""
    return [
        "mo" if mo == "1" else "po" if po == "1" else "o" if any_data == "1" else "nd"
        for any_data, po, mo in zip(known, degraded, failed, strict=True)
    ]


async def status_rows(pool: Pool) -> list[StatusRow]:
    """Every public service, sorted by group and name."""
    return await database.rows(pool, "status/system_status", StatusRow)


async def planned_maintenance(pool: Pool) -> list[MaintenanceRow]:
    """Public maintenance that is running or begins within a week, the next one first."""
    return await database.rows(pool, "status/maintenance", MaintenanceRow)


def newest_check(rows: list[StatusRow]) -> datetime | None:
    """The time of the newest check of these services; None before the first."""
    return max((row.checked_at for row in rows if row.checked_at), default=None)


@get(
    ["/system-status", "/system/status"],
    summary="Get the status of all public services, now and over 90 days",
    **requires("status:read"),
)
async def system_status(pool: Injected[Pool], started_at: Injected[datetime]) -> SystemStatus:
    """The response includes the maintenance that is running or begins within a week. `lastUpdated`: the time of the
    newest check; before the first check, the start of this process."""
    rows = await status_rows(pool)
    planned = await planned_maintenance(pool)
    return SystemStatus(
        overall_status=overall([row.status for row in rows]),
        last_updated=iso(newest_check(rows) or started_at),
        services=[
            ServiceStatus(row.id, row.name, row.status, row.uptime, day_statuses(row.known, row.degraded, row.failed))
            for row in rows
        ],
        maintenance=[
            PlannedMaintenance(
                row.id, row.title, row.description, iso(row.starts_at), iso(row.ends_at), row.affected_services
            )
            for row in planned
        ],
    )


router = Router("/api", route_handlers=[system_status], tags=["status"])

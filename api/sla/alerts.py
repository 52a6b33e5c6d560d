"""Alerts on error budgets: which burn too fast or are spent, and which were. The worker begins and ends them.

The rules are in docs/accounting.md, the SQL in sql/accounting/alerts.sql.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import Router, get
from litestar.params import QueryParameter

from api.auth.permissions import requires
from api.cache.entries import Cacheable
from api.rest.errors import raise_problems
from api.rest.injected import Injected
from api.rest.moments import iso, iso_or_none
from api.rest.pagination import PageNumber, PageSize, Pagination, read_page
from api.rest.texts import text_problems
from sql import Pool

CACHEABLE: tuple[Cacheable, ...] = ()
ActiveFilter = Annotated[
    bool | None, QueryParameter(description="true: only alerts that are active; false: only those that have ended")
]
ServiceFilter = Annotated[str | None, QueryParameter(max_length=50, description="The id of a service")]


class AlertedService(msgspec.Struct):
    """`name`: null if the service has been deleted."""

    id: str
    name: str | None


class AlertPolicy(msgspec.Struct):
    """The policy version by whose terms an alert began."""

    id: UUID
    version: int
    name: str
    target: float


class Alert(msgspec.Struct, rename="camel", kw_only=True):
    """An alert. `kind`: the budget burns too fast, or it is spent. `windowSeconds`, `shortWindowSeconds` and
    `threshold`: the rule of a burning budget, null for one that is spent. `burnRate` (in the long window) and
    `budgetLeftSeconds`: when the alert began. `endedAt`: null while it is active."""

    id: int
    service: AlertedService
    kind: Literal["burning", "spent"]
    severity: Literal["page", "ticket"]
    window_seconds: int | None
    short_window_seconds: int | None
    threshold: float | None
    policy: AlertPolicy
    burn_rate: float | None
    budget_left_seconds: float
    started_at: str
    ended_at: str | None


class AlertList(msgspec.Struct):
    alerts: list[Alert]
    pagination: Pagination


class AlertRow(msgspec.Struct):
    """A row of sla/alerts/page."""

    id: int
    service_id: str
    service_name: str | None
    kind: Literal["burning", "spent"]
    severity: Literal["page", "ticket"]
    window_seconds: int | None
    short_window_seconds: int | None
    threshold: float | None
    policy_id: UUID
    version: int
    policy_name: str
    target: float
    burn_rate: float | None
    left_seconds: float
    started_at: datetime
    ended_at: datetime | None

    def published(self) -> Alert:
        return Alert(
            id=self.id,
            service=AlertedService(self.service_id, self.service_name),
            kind=self.kind,
            severity=self.severity,
            window_seconds=self.window_seconds,
            short_window_seconds=self.short_window_seconds,
            threshold=self.threshold,
            policy=AlertPolicy(self.policy_id, self.version, self.policy_name, self.target),
            burn_rate=self.burn_rate,
            budget_left_seconds=self.left_seconds,
            started_at=iso(self.started_at),
            ended_at=iso_or_none(self.ended_at),
        )


@get(
    "/sla/alerts",
    summary="List the alerts on error budgets",
    **requires("sla-alerts:read", 400),
)
async def list_alerts(
    pool: Injected[Pool],
    active: ActiveFilter = None,
    service: ServiceFilter = None,
    page: PageNumber = 1,
    limit: PageSize = 50,
) -> AlertList:
    """The alerts that pass all filters, newest first, of public and private services. A service that has been deleted
    keeps its alerts."""
    raise_problems(text_problems("service", service))
    rows, pagination = await read_page(pool, "sla/alerts", AlertRow, page, limit, active=active, service=service)
    return AlertList([row.published() for row in rows], pagination)


router = Router("/api", route_handlers=[list_alerts], tags=["sla"])

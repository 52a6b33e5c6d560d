"""`/`: what every public service is now and how its last ninety days were, what is wrong, and what is planned.

status.js keeps the page up to date. What it says of all services and of a group, it says by the same rules as here.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby

import msgspec
from litestar import Router, get
from litestar.response import Template

from api.auth.permissions import shown_to
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.incidents import records
from api.incidents.filters import UNRESOLVED
from api.pages.day_strips import strip
from api.pages.service_states import Headline, together
from api.pages.shown_incidents import past_days, shown
from api.pages.site import page, page_texts
from api.rest.injected import Injected
from api.uptime.status import ServiceState, StatusRow, newest_check, planned_maintenance, status_rows
from sla_monitor.texts.languages import Texts
from sql import Pool

CACHEABLE = (Cacheable("/", frozenset({"checks", "event", "services"}), page=True),)
WORST_FIRST: tuple[ServiceState, ...] = ("outage", "degraded", "unknown", "maintenance", "operational")
PAST_DAYS = 7
MOST_INCIDENTS, MOST_PAST = 50, 30
"""Of those that run, and of those of the past days; nobody reads more of them here."""
MOST_OPEN = 100
"""Where there are more services, only groups with trouble are open."""
FILTERED_FROM = 16


class Banner(msgspec.Struct):
    """The state of everything, as a class name; the text's key, and what follows from the numbers."""

    state: ServiceState
    headline: Headline
    sentences: list[str]


class Group(msgspec.Struct):
    """Services under one name; those without a group have none."""

    name: str | None
    services: list[StatusRow]
    state: ServiceState
    summary: str
    open: bool


def banner(t: Texts, states: list[ServiceState], incident: bool = False) -> Banner:
    state, headline = together(states, incident)
    return Banner(state, headline, list(_sentences(t, Counter(states))))


def _sentences(t: Texts, known: Counter[ServiceState]) -> Iterator[str]:
    total, trouble = known.total(), known["outage"] + known["degraded"]
    if trouble:
        yield t("live.counts_trouble", count=trouble, total=total)
    elif known["operational"] == total:
        yield t("live.counts_good", count=total)
    elif known["operational"]:
        yield t("live.counts_rest", count=known["operational"], total=total)
    if known["maintenance"]:
        yield t("live.counts_maintenance", count=known["maintenance"])
    if known["unknown"]:
        yield t("live.counts_unknown", count=known["unknown"])


def groups(t: Texts, rows: list[StatusRow]) -> list[Group]:
    """In the order of the rows, which is that of the groups."""
    return [_group(t, name, list(members), len(rows)) for name, members in groupby(rows, lambda row: row.group_name)]


def _group(t: Texts, name: str | None, services: list[StatusRow], total: int) -> Group:
    known = Counter(service.status for service in services)
    trouble = known["outage"] + known["degraded"]
    summary = (
        t("live.group_trouble", count=trouble, total=len(services))
        if trouble
        else t("live.group_good", count=len(services))
    )
    worst = next(state for state in WORST_FIRST if known[state])
    return Group(name, services, worst, summary, total <= MOST_OPEN or trouble > 0)


@get("/", **shown_to("status:read"))
async def status_page(request: ApiRequest, pool: Injected[Pool]) -> Template:
    t = await page_texts(request)
    rows = await status_rows(pool)
    running = await records.listed(pool, None, UNRESOLVED, MOST_INCIDENTS)
    days = await records.past(pool, None, PAST_DAYS, PAST_DAYS, most=MOST_PAST)
    past = past_days(days)
    planned, now = await planned_maintenance(pool), datetime.now(UTC)
    return await page(
        request,
        "status.html",
        banner=banner(t, [row.status for row in rows], running.total > 0),
        checked_at=newest_check(rows),
        today=rows[0].today if rows else days[0].day,
        groups=groups(t, rows),
        services={row.id: row.name for row in rows},
        filtered=len(rows) >= FILTERED_FROM,
        many=len(rows) > MOST_OPEN,
        strip=strip,
        incidents=shown(running.incidents),
        more_incidents=running.total - len(running.incidents),
        maintenance=[window for window in planned if window.starts_at <= now],
        upcoming=[window for window in planned if window.starts_at > now],
        past=[day for day in past if day.incidents],
        more_past=sum(day.more for day in past),
        quiet=any(day.is_quiet for day in past),
    )


router = Router("/", route_handlers=[status_page])

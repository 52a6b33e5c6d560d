"""`/`: the status page, with the state and the last 90 days of every public service, incidents and maintenance.

status.js keeps the page up to date. summaries.js has the same rules as this module for the overall state, the sentences
below it and the groups; tests/pages/test_rules.py compares them.
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
from api.pages.service_states import Headline, summary_of
from api.pages.shown_incidents import past_days, shown
from api.pages.site import page, page_texts
from api.rest.injected import Injected
from api.uptime.status import ServiceState, StatusRow, newest_check, planned_maintenance, status_rows
from sla_monitor.texts.languages import Texts
from sql import Pool

CACHEABLE = (Cacheable("/", frozenset({"checks", "event", "services"}), page=True),)
WORST_FIRST: tuple[ServiceState, ...] = ("outage", "degraded", "unknown", "maintenance", "operational")
PAST_DAYS = 7
MAX_INCIDENTS, MAX_PAST = 50, 30
"""Unresolved incidents, and incidents of the past days, on the page."""
MAX_OPEN = 100
"""With more services, only groups with degraded or failed services are open."""
ROWS_AT_ONCE = 40
"""With more services than `MAX_OPEN`, the number of rows that the browser lays out before the page is ready. It is
more than a screen shows; a script inserts the other rows afterwards."""
FILTERED_FROM = 16
"""The number of services from which on the list has a filter."""


class Banner(msgspec.Struct):
    """The overall state (a CSS class), the key of the headline, and the sentences below it."""

    state: ServiceState
    headline: Headline
    sentences: list[str]


class Group(msgspec.Struct):
    """A group of services. `name` is None for services without a group. The rows from the index `at_once` on are in
    <noscript>."""

    name: str | None
    services: list[StatusRow]
    state: ServiceState
    summary: str
    open: bool
    at_once: int


def banner(t: Texts, states: list[ServiceState], incident: bool = False) -> Banner:
    state, headline = summary_of(states, incident)
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
    """The groups of rows that are sorted by group."""
    many = len(rows) > MAX_OPEN
    left = ROWS_AT_ONCE if many else len(rows)
    found = list[Group]()
    for name, members in groupby(rows, lambda row: row.group_name):
        found.append(group := _group(t, name, list(members), many, left))
        left -= group.at_once
    return found


def _group(t: Texts, name: str | None, services: list[StatusRow], many: bool, left: int) -> Group:
    """`left`: the number of rows that may still be outside of <noscript>."""
    known = Counter(service.status for service in services)
    trouble = known["outage"] + known["degraded"]
    summary = (
        t("live.group_trouble", count=trouble, total=len(services))
        if trouble
        else t("live.group_good", count=len(services))
    )
    worst = next(state for state in WORST_FIRST if known[state])
    is_open = not many or trouble > 0
    return Group(name, services, worst, summary, is_open, min(left, len(services)) if is_open else 0)


@get("/", **shown_to("status:read"))
async def status_page(request: ApiRequest, pool: Injected[Pool]) -> Template:
    t = await page_texts(request)
    rows = await status_rows(pool)
    running = await records.listed(pool, None, UNRESOLVED, MAX_INCIDENTS)
    days = await records.past(pool, None, PAST_DAYS, PAST_DAYS, most=MAX_PAST)
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
        many=len(rows) > MAX_OPEN,
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

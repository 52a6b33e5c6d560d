"""/uptime: the uptime calendar of one service, or of all services, three months on a page."""

import re
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Annotated, NamedTuple

from litestar import Router, get
from litestar.params import QueryParameter
from litestar.response import Template

from api.auth.permissions import shown_to
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.pages.site import page, page_texts
from api.rest.errors import invalid
from api.rest.injected import Injected
from api.rest.problems import FieldProblem
from api.services.names import ALL_SYSTEMS, ServiceName
from api.uptime.calendar import DAYS_OF_A_WEEK, DayRow, calendar_rows, chosen_service, whole_weeks
from sql import Pool, database

CACHEABLE = (
    Cacheable("/uptime", frozenset({"checks", "event", "services"}), frozenset({"service", "start"}), page=True),
)
SHOWN_MONTHS = 3
PAST_MONTHS = 60
"""The number of past months that can be shown."""
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
Chosen = Annotated[str, QueryParameter(name="service", max_length=50)]
Start = Annotated[str, QueryParameter(max_length=7)]


class MonthGrid(NamedTuple):
    """A month as whole weeks; cells outside the month are None."""

    first: date
    uptime: str
    weeks: list[list[DayRow | None]]


class Paging(NamedTuple):
    """The first month of this page, of the earlier and of the later page, as in the query; None for no such page."""

    start: str
    earlier: str | None
    later: str | None


def grids(rows: list[DayRow]) -> list[MonthGrid]:
    """The months from the rows of the calendar: each month has a row for its total, then its days."""
    months = []
    for first, (total, *days) in groupby(rows, key=lambda row: row.month):
        cells: list[DayRow | None] = whole_weeks(first, [*days], None)
        weeks = [cells[at : at + DAYS_OF_A_WEEK] for at in range(0, len(cells), DAYS_OF_A_WEEK)]
        months.append(MonthGrid(first, total.uptime, weeks))
    return months


def months_later(month: date, count: int) -> date:
    """The first day of the month `count` months later."""
    years, rest = divmod(month.month - 1 + count, 12)
    return date(month.year + years, rest + 1, 1)


def first_month(start: str, today: date) -> date:
    """The requested month, limited to the past `PAST_MONTHS` and the present. Raises 400 for an invalid month."""
    newest = months_later(today, 1 - SHOWN_MONTHS)
    if not start:
        return newest
    found = _MONTH.fullmatch(start)
    if found is None or found[1] == "0000":
        raise invalid(FieldProblem.of("start", "month"))
    return min(max(date(int(found[1]), int(found[2]), 1), months_later(today, -PAST_MONTHS)), newest)


def paging(first: date, today: date) -> Paging:
    """The pages before and after: `SHOWN_MONTHS` away, limited to the range that can be shown."""
    oldest, newest = first_month("0001-01", today), first_month("9999-12", today)
    earlier, later = max(months_later(first, -SHOWN_MONTHS), oldest), min(months_later(first, SHOWN_MONTHS), newest)
    return Paging(
        f"{first:%Y-%m}",
        f"{earlier:%Y-%m}" if first > oldest else None,
        f"{later:%Y-%m}" if first < newest else None,
    )


@get("/uptime", **shown_to("status:read"))
async def calendar_page(
    request: ApiRequest, pool: Injected[Pool], service_id: Chosen = ALL_SYSTEMS.id, start: Start = ""
) -> Template:
    """`start` is the first month, such as 2026-09. Without it, the last month is the current one."""
    today = (await page_texts(request)).local(datetime.now(UTC)).date()
    first = first_month(start, today)
    service = await chosen_service(pool, service_id or ALL_SYSTEMS.id)
    rows = await calendar_rows(pool, service, SHOWN_MONTHS, first)
    return await page(
        request,
        "uptime.html",
        service=service,
        services=await database.rows(pool, "services/names", ServiceName),
        all_systems=ALL_SYSTEMS,
        months=grids(rows),
        paging=paging(first, today),
        today=today,
    )


router = Router("/", route_handlers=[calendar_page], include_in_schema=False)

"""`/history` and `/incidents/{id}`: the public view of incidents, also for users who are logged in."""

from datetime import date
from itertools import groupby
from typing import Annotated

import msgspec
from litestar import Router, get
from litestar.params import FromPath, QueryParameter
from litestar.response import Template

from api.auth.permissions import shown_to
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable, Change
from api.incidents import records
from api.incidents.comments import listing
from api.incidents.records import MAX_PAST
from api.pages.shown_incidents import ShownDay, ShownIncident, past_days, public_names, shown, shown_comments
from api.pages.site import page
from api.rest.errors import ApiError
from api.rest.injected import Injected
from sql import Pool, database

_CHANGES: frozenset[Change] = frozenset({"event", "services"})
CACHEABLE = (
    Cacheable("/history", _CHANGES, frozenset({"page"}), page=True),
    Cacheable("/incidents/", _CHANGES, page=True),
)
DAYS_A_PAGE = 30
MAX_DAYS = 3660
"""The same limit as in GET /api/incidents/past."""
PageOfHistory = Annotated[int, QueryParameter(name="page", ge=1, le=MAX_DAYS)]


class Days(msgspec.Struct):
    """A day with the incidents that began on it, or consecutive days without incidents. `more`: incidents of the day
    that are left out."""

    first: date
    last: date
    incidents: list[ShownIncident]
    more: int = 0


def folded(days: list[ShownDay]) -> list[Days]:
    """Folds consecutive days without incidents into one entry, newest first."""
    found: list[Days] = []
    for quiet, run in groupby(days, lambda day: day.is_quiet):
        members = list(run)
        if quiet:
            found.append(Days(members[-1].day, members[0].day, []))
        else:
            found += [Days(day.day, day.day, day.incidents, day.more) for day in members]
    return found


@get("/history", **shown_to("incidents:read"))
async def history(request: ApiRequest, pool: Injected[Pool], page_number: PageOfHistory = 1) -> Template:
    """All incidents by the day on which they began, 30 days on a page."""
    known = min(await database.count(pool, "incidents/known_days"), MAX_DAYS)
    pages = max(-(-known // DAYS_A_PAGE), 1)
    if page_number > pages:
        raise ApiError(404)
    offset = (page_number - 1) * DAYS_A_PAGE
    rows = await records.past(pool, None, max(known, 1), DAYS_A_PAGE, offset, MAX_PAST)
    days = past_days(rows)
    return await page(
        request,
        "history.html",
        days=folded(days) if known else [],
        truncated=any(day.more for day in days),
        services=await public_names(pool),
        page_number=page_number,
        pages=pages,
    )


@get("/incidents/{incident_id:str}", **shown_to("incidents:read"))
async def incident_page(request: ApiRequest, pool: Injected[Pool], incident_id: FromPath[str]) -> Template:
    """One incident with its timeline. 404 for an internal one."""
    incident = await records.visible(pool, incident_id, None)
    comments = await listing(pool, incident_id, None)
    [shown_incident] = shown([msgspec.to_builtins(incident)])
    return await page(
        request,
        "incident.html",
        incident=shown_incident,
        comments=shown_comments([comment.comment for comment in comments]),
        services=await public_names(pool),
    )


router = Router("/", route_handlers=[history, incident_page])

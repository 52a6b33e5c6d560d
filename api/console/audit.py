"""/console/audit: who did what, to be searched."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import msgspec
from litestar import Router, get
from litestar.response import Template

from api.auth.permissions import shown_to
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.console.rest import rest
from api.console.submissions import PageNumber, refusal
from api.pages.site import page, page_texts
from api.rest.moments import iso
from sla_monitor.recurrence import instant
from sla_monitor.texts.languages import Texts

CACHEABLE: tuple[Cacheable, ...] = ()
FILTERS = ("actor", "action", "objectType", "objectId", "from", "to")
NOTHING: Mapping[str, Any] = {"entries": [], "pagination": {"page": 1, "totalPages": 0}}
ACTIONS = ("create", "update", "delete", "login", "logout", "login-failed", "password-failed", "refresh-reused")
OBJECTS = (
    "service",
    "user",
    "token",
    "incident",
    "incident-update",
    "comment",
    "template",
    "maintenance",
)


@get("/console/audit", **shown_to("audit:read"))
async def audit_log(request: ApiRequest, number: PageNumber = 1) -> Template:
    """Days and times of the filter are those of the reporting time zone."""
    asked = {name: request.query_params.get(name, "").strip() for name in FILTERS}
    query = _query(asked, await page_texts(request))
    said = await rest(request, "GET", "/api/audit", query=urlencode({**query, "page": number}))
    problems = refusal(said)
    listed = said.body if said.ok else NOTHING
    given = {name: value for name, value in asked.items() if value}
    return await page(
        request,
        "console/audit.html",
        status_code=said.status,
        **listed,
        asked=asked,
        problems=problems,
        here="/console/audit?" + urlencode({**given, "page": ""}),
        actions=ACTIONS,
        objects=OBJECTS,
        parsed=datetime.fromisoformat,
        changes=_changes,
        named=_named,
    )


def _query(asked: Mapping[str, str], t: Texts) -> dict[str, str]:
    """What REST is asked. What is no time goes on as it is: REST says what is wrong with it."""
    query = {name: value for name, value in asked.items() if value}
    for name in ("from", "to"):
        try:
            local = datetime.fromisoformat(query.get(name, ""))
            query[name] = iso(instant(local.replace(tzinfo=None), ZoneInfo(t.zone)))
        except (ValueError, OverflowError):
            continue
    return query


def _changes(entry: Mapping[str, Any]) -> list[tuple[str, str | None, str | None]]:
    """Each column that differs, with its value before and after."""
    before, after = entry["before"] or {}, entry["after"] or {}
    columns = dict.fromkeys([*before, *after])
    return [(column, _shown(before, column), _shown(after, column)) for column in columns]


def _named(entry: Mapping[str, Any]) -> str | None:
    """What people call it, where the entry holds it."""
    values = (entry["before"] or {}) | (entry["after"] or {})
    return next((str(values[column]) for column in ("title", "name", "username") if values.get(column)), None)


def _shown(values: Mapping[str, Any], column: str) -> str | None:
    value = values.get(column)
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


router = Router("/", route_handlers=[audit_log], include_in_schema=False)

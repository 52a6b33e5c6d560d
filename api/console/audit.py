"""/console/audit: the audit log, with filters."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import msgspec
from litestar import Router, get
from litestar.response import Template

from api.auth.permissions import shown_to
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.console import audit_words
from api.console.submissions import REFUSED, PageNumber, Refusal, refusal
from api.operations.audit import AuditFilters, entries
from api.pages.site import page, page_texts
from api.rest.injected import Injected
from api.rest.moments import iso
from api.rest.validation import converted
from sla_monitor.recurrence.occurrences import instant
from sla_monitor.texts.languages import Texts
from sql import Pool

CACHEABLE: tuple[Cacheable, ...] = ()
FILTERS = ("actor", "action", "objectType", "objectId", "from", "to")
PAGE_SIZE = 50
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
    "correction",
    "sla-policy",
    "sla-policy-version",
    "holiday-calendar",
)


@get("/console/audit", **shown_to("audit:read"))
async def audit_log(request: ApiRequest, pool: Injected[Pool], number: PageNumber = 1) -> Template:
    """The entries that match the filters. Times of a filter are in the reporting time zone."""
    entered = {name: request.query_params.get(name, "").strip() for name in FILTERS}
    listed, refused = NOTHING, Refusal({}, 200)
    try:
        filters = converted(_query(entered, await page_texts(request)), AuditFilters)
        listed = msgspec.to_builtins(await entries(pool, filters, number, PAGE_SIZE))
    except REFUSED as error:
        refused = refusal(error)
    given = {name: value for name, value in entered.items() if value}
    return await page(
        request,
        "console/audit.html",
        status_code=refused.status,
        **listed,
        entered=entered,
        problems=refused.problems,
        here="/console/audit?" + urlencode({**given, "page": ""}),
        actions=ACTIONS,
        objects=OBJECTS,
        parsed=datetime.fromisoformat,
        changes=partial(_changes, await page_texts(request)),
        named=_named,
    )


def _query(entered: Mapping[str, str], t: Texts) -> dict[str, str]:
    """The filters by the field names of REST. A time that cannot be parsed is left unchanged, so that REST refuses
    it."""
    query = {name: value for name, value in entered.items() if value}
    for name in ("from", "to"):
        try:
            local = datetime.fromisoformat(query.get(name, ""))
            query[name] = iso(instant(local.replace(tzinfo=None), ZoneInfo(t.zone)))
        except (ValueError, OverflowError):
            continue
    return query


class Change(NamedTuple):
    """A changed column with its value before and after. `label`: the name of the column in words, if it has one."""

    column: str
    label: str | None
    before: str | None
    after: str | None


def _changes(t: Texts, entry: Mapping[str, Any]) -> list[Change]:
    before, after = entry["before"] or {}, entry["after"] or {}
    found = []
    for column in dict.fromkeys([*before, *after]):
        label = audit_words.label(t, entry["objectType"], column)
        values = [audit_words.shown(t, entry["objectType"], column, each.get(column)) for each in (before, after)]
        found.append(Change(column, label, *values))
    return found


def _named(entry: Mapping[str, Any]) -> str | None:
    """The name of the object, if the entry has one."""
    values = (entry["before"] or {}) | (entry["after"] or {})
    name = next((str(values[column]) for column in ("title", "name", "username") if values.get(column)), None)
    return name or entry["objectName"]


router = Router("/", route_handlers=[audit_log], include_in_schema=False)

"""The filters of a list of incidents: `?status=identified,monitoring&from=2026-11-01&q=database`."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, NamedTuple, get_args

from litestar.params import QueryParameter

from api.incidents.fields import IncidentStatus, Priority, Severity
from api.rest.errors import invalid, raise_problems
from api.rest.moments import FIRST_YEAR, LAST_YEAR
from api.rest.problems import FieldProblem
from api.rest.texts import text_problems
from api.services.names import is_slug

MAX_VALUES = 50
MAX_PAGE_SIZE = 100
MAX_OPEN = 1000
"""The default size of a page without filters, which lists the unresolved incidents."""
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

PARAMETERS = frozenset({"status", "severity", "priority", "service", "from", "to", "q", "page", "limit"})
Values = Annotated[str, QueryParameter(max_length=3000, description="One value, or several separated by commas")]
FromMoment = Annotated[
    str,
    QueryParameter(
        name="from", max_length=40, description="Begun on this day or later, or at this time (with a zone) or later"
    ),
]
ToMoment = Annotated[
    str,
    QueryParameter(
        name="to", max_length=40, description="Begun on this day or earlier, or before this time (with a zone)"
    ),
]
Text = Annotated[
    str,
    QueryParameter(
        max_length=200,
        description="A part of id, title, description or updates; the newest 10,000 incidents that pass the other "
        "filters are searched",
    ),
]
PageLimit = Annotated[
    int | None,
    QueryParameter(
        ge=1,
        le=MAX_PAGE_SIZE,
        description=f"The size of a page: by default {MAX_PAGE_SIZE}, without filters {MAX_OPEN}",
    ),
]


class Filters(NamedTuple):
    """The filters of the SQL query. None means no filter."""

    statuses: list[str] | None
    severities: list[str] | None
    priorities: list[str] | None
    services: list[str] | None
    from_day: date | None
    from_time: datetime | None
    to_day: date | None
    to_time: datetime | None
    text: str | None


UNRESOLVED = Filters([known for known in get_args(IncidentStatus) if known != "resolved"], *[None] * 8)


def page_size(selected: Filters, limit: int | None) -> int:
    """The size of a page: `limit`, or by default `MAX_OPEN` for `UNRESOLVED` and `MAX_PAGE_SIZE` for other filters."""
    return limit or (MAX_OPEN if selected == UNRESOLVED else MAX_PAGE_SIZE)


def filters(status: str, severity: str, priority: str, service: str, from_: str, to: str, text: str) -> Filters:
    """Parses the filters. Without any, they are `UNRESOLVED`. Raises 400 for invalid values."""
    raise_problems(text_problems("q", text))
    if not any((status, severity, priority, service, from_, to, text)):
        return UNRESOLVED
    from_day, from_time = _moment("from", from_)
    to_day, to_time = _moment("to", to)
    return Filters(
        _listed("status", status, IncidentStatus, "all"),
        _listed("severity", severity, Severity),
        _listed("priority", priority, Priority),
        _services(service),
        from_day,
        from_time,
        to_day,
        to_time,
        text or None,
    )


def _split(field: str, values: str) -> list[str]:
    listed = [value.strip() for value in values.split(",")] if values else []
    if len(listed) > MAX_VALUES:
        raise invalid(FieldProblem.of(field, "too_many", most=MAX_VALUES))
    return listed


def _listed(field: str, values: str, kind: Any, everything: Literal["all"] | None = None) -> list[str] | None:
    """The values of a comma-separated list, or None for no filter: if there are no values, or if one of them is
    `everything`. Raises 400 for a value that is not in the Literal `kind`."""
    listed = _split(field, values)
    known = (*get_args(kind), everything)
    if any(value not in known for value in listed):
        raise invalid(FieldProblem.of(field, "choices", choices=get_args(kind)))
    return None if not listed or everything in listed else listed


def _services(values: str) -> list[str] | None:
    listed = _split("service", values)
    if not all(map(is_slug, listed)):
        raise invalid(FieldProblem.of("service", "service_ids"))
    return listed or None


def _moment(field: str, text: str) -> tuple[date | None, datetime | None]:
    """Parses a day of the reporting time zone or a time with a zone. Returns (day, None) or (None, time in UTC), or two
    None for an empty text. Raises 400 for other texts."""
    if not text:
        return None, None
    try:
        if _DAY.fullmatch(text):
            day = date.fromisoformat(text)
            if not FIRST_YEAR <= day.year <= LAST_YEAR:
                raise ValueError
            return day, None
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None or not FIRST_YEAR <= moment.year <= LAST_YEAR:
            raise ValueError
        return None, moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise invalid(FieldProblem.of(field, "day_or_time", first=FIRST_YEAR, last=LAST_YEAR)) from None

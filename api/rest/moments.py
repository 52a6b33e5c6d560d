"""Timestamps in JSON and in queries: `from=2026-11-23T14:00:00Z`.

Query parameters are parsed here, since Litestar would accept a number as seconds since 1970.
"""

from datetime import UTC, date, datetime
from typing import Annotated

import msgspec
from litestar.params import QueryParameter
from msgspec import Meta

from api.rest.errors import invalid
from api.rest.problems import FieldProblem

MAX_CHARACTERS = 40
FIRST_YEAR, LAST_YEAR = 2000, 2100
"""The first and the last year that days and times in requests may have."""
FromMoment = Annotated[
    str | None,
    QueryParameter(
        name="from",
        max_length=MAX_CHARACTERS,
        format="date-time",
        description="The start: an RFC 3339 time with a zone",
    ),
]
ToMoment = Annotated[
    str | None,
    QueryParameter(
        max_length=MAX_CHARACTERS, format="date-time", description="The end (exclusive), an RFC 3339 time with a zone"
    ),
]


def read_moment(field: str, text: str | None) -> datetime | None:
    """Parses the query parameter `field`, in UTC. Raises 400 for a text that is not an RFC 3339 time with a zone."""
    if text is None:
        return None
    try:
        moment: datetime = msgspec.convert(text, Annotated[datetime, Meta(tz=True)]).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        raise invalid(FieldProblem.of(field, "time")) from None
    return moment


def in_utc(moment: datetime) -> datetime:
    """The time in UTC, because PostgreSQL does not accept UTC offsets of 16 hours or more. A time that cannot be
    converted is returned unchanged; `year_problems` refuses its year."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return moment


def year_problems(field: str, day: date | None) -> list[FieldProblem]:
    """The problem of a day or time before FIRST_YEAR or after LAST_YEAR; an empty list if there is none."""
    if day is None or FIRST_YEAR <= day.year <= LAST_YEAR:
        return []
    return [FieldProblem.of(field, "years", first=FIRST_YEAR, last=LAST_YEAR)]


def iso_or_none(moment: datetime | None) -> str | None:
    """As `iso`; None for None."""
    return iso(moment) if moment is not None else None


def iso(moment: datetime) -> str:
    """The timestamp in UTC with milliseconds, as JavaScript formats it: 2026-11-23T14:02:00.000Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

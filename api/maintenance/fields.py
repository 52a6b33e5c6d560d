"""The fields of maintenance windows in requests and responses, and their validation."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.incidents.fields import LongText, Title
from api.rest.errors import Code
from api.rest.moments import in_utc, iso, year_problems
from api.rest.problems import FieldProblem
from api.rest.texts import line_problems, repeated_problems, text_problems
from api.services.names import Slug
from sla_monitor.recurrence.rules import MAX_RULE

WindowStatus = Literal["scheduled", "running", "over"]
Services = Annotated[list[Slug], Meta(min_length=1, max_length=1000, description="Ids of services")]
Moment = Annotated[datetime, Meta(tz=True)]
RuleText = Annotated[
    str, Meta(min_length=1, max_length=MAX_RULE, description="RFC 5545, such as FREQ=WEEKLY;BYDAY=SU; null: once")
]
ZoneName = Annotated[
    str, Meta(min_length=1, max_length=64, description="The time zone of the recurrence, such as Asia/Seoul")
]


class WindowChange(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """The fields to change. Other fields stay unchanged. `startsAt` and `endsAt`: of the first occurrence, RFC 3339
    times with a zone. An `endsAt` in the past ends a running window."""

    title: Title | UnsetType = UNSET
    description: LongText | UnsetType | None = UNSET
    affected_services: Services | UnsetType = UNSET
    starts_at: Moment | UnsetType = UNSET
    ends_at: Moment | UnsetType = UNSET
    rrule: RuleText | UnsetType | None = UNSET
    time_zone: ZoneName | UnsetType = UNSET
    public: bool | UnsetType = UNSET

    def given(self) -> dict[str, Any]:
        """The fields of the request, by column."""
        given = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not UNSET}
        return {name: in_utc(value) if isinstance(value, datetime) else value for name, value in given.items()}


class NewWindow(WindowChange, kw_only=True):
    """A new window. Defaults: `timeZone` is the reporting time zone, `public` is true."""

    title: Title
    affected_services: Services
    starts_at: Moment
    ends_at: Moment


class Period(msgspec.Struct, rename="camel"):
    """One occurrence."""

    starts_at: str
    ends_at: str


class Window(msgspec.Struct, rename="camel", kw_only=True):
    """A maintenance window. `occurrences`: those within the requested period. `createdBy`: the name of the user who
    created it."""

    id: UUID
    title: str
    description: str | None
    affected_services: list[str]
    starts_at: str
    ends_at: str
    rrule: str | None
    time_zone: str
    public: bool
    status: WindowStatus
    occurrences: list[Period]
    created_by: str | None
    created_at: str
    updated_at: str
    version: int


class WindowResponse(msgspec.Struct):
    maintenance: Window


class WindowList(msgspec.Struct):
    maintenance: list[Window]


class Conflict(msgspec.Struct):
    """The body of a 412: another user has saved the window since the version of `If-Match`. `maintenance`: the current
    window, so that the client can merge the changes."""

    error: str
    code: Code
    maintenance: Window


class WindowRow(msgspec.Struct, kw_only=True):
    """A row of the queries maintenance/one and maintenance/between."""

    id: UUID
    title: str
    description: str | None
    affected_services: list[str]
    starts_at: datetime
    ends_at: datetime
    rrule: str | None
    time_zone: str
    public: bool
    status: WindowStatus
    occurrence_starts: list[datetime]
    occurrence_ends: list[datetime]
    author: str | None
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime
    version: int

    def published(self) -> Window:
        periods = zip(self.occurrence_starts, self.occurrence_ends, strict=True)
        return Window(
            id=self.id,
            title=self.title,
            description=self.description,
            affected_services=self.affected_services,
            starts_at=iso(self.starts_at),
            ends_at=iso(self.ends_at),
            rrule=self.rrule,
            time_zone=self.time_zone,
            public=self.public,
            status=self.status,
            occurrences=[Period(iso(starts_at), iso(ends_at)) for starts_at, ends_at in periods],
            created_by=self.author,
            created_at=iso(self.created_at),
            updated_at=iso(self.updated_at),
            version=self.version,
        )


def problems(change: WindowChange) -> list[FieldProblem]:
    """The problems of single fields that types cannot express."""
    given = change.given()
    found = line_problems("title", given.get("title")) + text_problems("description", given.get("description"))
    found += repeated_problems("affectedServices", given.get("affected_services", []))
    return found + year_problems("startsAt", given.get("starts_at")) + year_problems("endsAt", given.get("ends_at"))

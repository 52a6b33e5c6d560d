"""The fields of incidents in requests and responses. Their limits are also constraints of the database.

Names are camelCase in JSON and column names in Python. Title and reporter are one line. Other texts are stored
unchanged and escaped when they are displayed.
"""

import re
from typing import Annotated, Any, Literal

import msgspec
from litestar.params import PathParameter
from msgspec import UNSET, Meta, UnsetType

from api.rest.errors import Code
from api.rest.pagination import Pagination
from api.rest.problems import PROBLEM, FieldProblem, camel
from api.rest.texts import control_problems, line_problems, repeated_problems, text_problems
from api.services.names import Slug

INCIDENT_ID = "INC-[0-9]{4}-[0-9]{4,9}"
_TEXTS = ("description", "detection_criteria", "postmortem", "update")

IncidentPath = Annotated[str, PathParameter(description="The id of an incident, such as INC-2026-0001")]
IncidentStatus = Literal["investigating", "identified", "monitoring", "resolved"]
Severity = Literal["low", "medium", "high", "critical"]
Priority = Literal["P1", "P2", "P3"]
Title = Annotated[str, Meta(min_length=1, max_length=255)]
LongText = Annotated[str, Meta(max_length=20000)]
UpdateText = Annotated[str, Meta(min_length=1, max_length=20000)]
Reporter = Annotated[str, Meta(max_length=100)]
Services = Annotated[list[Slug], Meta(max_length=1000, description="Ids of services; `[]` for none")]
Remark = Annotated[str, Meta(min_length=1, max_length=10000, pattern=r"\S", extra={PROBLEM: "empty"})]
"""The text of a comment, with at least one character other than white space."""
MAX_DEPTH = 32
MAX_DATA_BYTES = 64 * 1024


class IncidentFields(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """The fields of new and existing incidents that can be set. Null clears an optional text."""

    title: Title | UnsetType = UNSET
    description: LongText | UnsetType | None = UNSET
    severity: Severity | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    affected_services: Services | UnsetType = UNSET
    reporter: Reporter | UnsetType | None = UNSET
    detection_criteria: LongText | UnsetType | None = UNSET
    public: bool | UnsetType = UNSET

    def given(self) -> dict[str, Any]:
        """The fields of the request, by column."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not UNSET}


class IncidentChange(IncidentFields, kw_only=True):
    """The fields to change. Other fields stay unchanged; null clears an optional text."""

    status: IncidentStatus | UnsetType = UNSET
    postmortem: LongText | UnsetType | None = UNSET


class NewIncident(IncidentFields, kw_only=True):
    """`title`, `severity`, `priority` and `affectedServices` are required, here or in the template; values given here
    take precedence. `update`: the first update of the timeline. Defaults: `reporter` is the user, `public` is true."""

    update: UpdateText | UnsetType | None = UNSET
    template: Annotated[str, Meta(max_length=100, description="The id of a template")] | UnsetType | None = UNSET


class NewUpdate(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A new update of the timeline, with the status of the incident from now on."""

    status: IncidentStatus
    description: UpdateText


class IncidentUpdate(msgspec.Struct, rename="camel", kw_only=True):
    """An update of the timeline. `description` is empty if only the status changed."""

    id: int
    status: IncidentStatus
    description: str
    author: str | None
    created_at: str


class Incident(msgspec.Struct, rename="camel", kw_only=True):
    """An incident. `updates`: newest first; lists and events have at most 20 of `updateCount`. `affectedServices`:
    sorted by id. `version` and `updatedAt` change with every save; for anonymous clients, only with saves that change a
    visible field. Ids of updates ascend, with gaps."""

    id: str
    title: str
    description: str | None
    status: IncidentStatus
    severity: Severity
    priority: Priority
    reporter: str | None
    detection_criteria: str | None
    postmortem: str | None
    public: bool
    affected_services: list[str]
    author: str | None
    created_at: str
    updated_at: str
    resolved_at: str | None
    version: int
    update_count: int
    updates: list[IncidentUpdate]


class IncidentResponse(msgspec.Struct):
    incident: Incident


class UpdateResponse(msgspec.Struct):
    update: IncidentUpdate


class IncidentList(msgspec.Struct):
    incidents: list[Incident]
    pagination: Pagination


class PastDay(msgspec.Struct):
    """A day of the reporting time zone, and the incidents that began on it."""

    date: str
    incidents: list[Incident]


class PastIncidents(msgspec.Struct):
    """`pagination` counts days. `truncated`: the page would have more than 1000 incidents, and the oldest are left out;
    a smaller `limit` includes them."""

    days: list[PastDay]
    pagination: Pagination
    truncated: bool


class IncidentConflict(msgspec.Struct):
    """The body of a 412: another user has saved the incident since the version of `If-Match`. `incident`: the current
    incident, so that the client can merge the changes."""

    error: str
    code: Code
    incident: Incident


def is_incident_id(text: str) -> bool:
    return re.fullmatch(INCIDENT_ID, text) is not None


def problems(fields: IncidentFields) -> list[FieldProblem]:
    """The problems that types cannot express."""
    given = fields.given()
    found = line_problems("title", given.get("title")) + control_problems("reporter", given.get("reporter"))
    found += [problem for name in _TEXTS for problem in text_problems(camel(name), given.get(name))]
    return found + repeated_problems("affectedServices", given.get("affected_services", []))


class TemplateData(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """The values of a new incident. `update`: the text of its first update."""

    title: Title
    severity: Severity
    priority: Priority
    affected_services: Services
    description: LongText | None = None
    update: LongText | None = None


def data_problem(data: Any, field: str = "data") -> FieldProblem | None:
    """The problem that prevents a JSON value from being stored as a draft; None if there is none."""
    unchecked: list[tuple[Any, int]] = [(data, 1)]
    while unchecked:
        value, depth = unchecked.pop()
        if isinstance(value, str) and "\0" in value:
            return FieldProblem.of(field, "nul")
        if isinstance(value, (dict, list)):
            if depth > MAX_DEPTH:
                return FieldProblem.of(field, "nested_too_deeply")
            inner = [*value, *value.values()] if isinstance(value, dict) else value
            unchecked += [(item, depth + 1) for item in inner]
    if len(msgspec.json.encode(data)) > MAX_DATA_BYTES:
        return FieldProblem.of(field, "too_many_bytes", most=MAX_DATA_BYTES)
    return None

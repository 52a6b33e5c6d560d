"""What may be said of an incident and how it is answered, with the limits that the database has too.

Names are camelCase outside and the columns' names inside. Title and reporter are on one line. Other texts are kept as
they come, whatever they hold: whoever shows them makes them harmless for the place where they are shown.
"""

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.rest.errors import Code
from api.rest.pagination import Pagination
from api.rest.problems import FieldProblem, camel
from api.rest.texts import control_problems, line_problems, text_problems
from api.services.fields import Slug

INCIDENT_ID = "INC-[0-9]{4}-[0-9]{4,9}"
_TEXTS = ("description", "detection_criteria", "postmortem", "update")

IncidentStatus = Literal["investigating", "identified", "monitoring", "resolved"]
Severity = Literal["low", "medium", "high", "critical"]
Priority = Literal["P1", "P2", "P3"]
Title = Annotated[str, Meta(min_length=1, max_length=255)]
LongText = Annotated[str, Meta(max_length=20000)]
UpdateText = Annotated[str, Meta(min_length=1, max_length=20000)]
Reporter = Annotated[str, Meta(max_length=100)]
Services = Annotated[list[Slug], Meta(max_length=1000, description="ids of services; [] for none")]


class IncidentFields(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """What can be said of an incident at any time; null clears a text that can be empty."""

    title: Title | UnsetType = UNSET
    description: LongText | UnsetType | None = UNSET
    severity: Severity | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    affected_services: Services | UnsetType = UNSET
    reporter: Reporter | UnsetType | None = UNSET
    detection_criteria: LongText | UnsetType | None = UNSET
    public: bool | UnsetType = UNSET

    def given(self) -> dict[str, Any]:
        """What was said, by column."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not UNSET}


class IncidentChange(IncidentFields, kw_only=True):
    """Some fields of an incident: those that are not given stay as they are."""

    status: IncidentStatus | UnsetType = UNSET
    postmortem: LongText | UnsetType | None = UNSET


class NewIncident(IncidentFields, kw_only=True):
    """Title, severity, priority and affectedServices must be given, here or by a `template`; what is given here wins.
    `update` is the first update of the timeline. `reporter` is, if not given, who creates it; `public` is true."""

    update: UpdateText | UnsetType | None = UNSET
    template: Annotated[str, Meta(max_length=100, description="the id of a template")] | UnsetType | None = UNSET


class NewUpdate(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The next word of the timeline."""

    status: IncidentStatus
    description: UpdateText


class IncidentUpdate(msgspec.Struct, rename="camel", kw_only=True):
    """What was said of an incident at a time; `description` is empty where only the status changed."""

    id: int
    status: IncidentStatus
    description: str
    author: str | None
    created_at: str


class Incident(msgspec.Struct, rename="camel", kw_only=True):
    """`updates` are newest first; `updateCount` of them there are, of which lists and events bring 20 at most.
    `affectedServices` are in the order of their ids. `version` grows with every save; for those who are not logged
    in, as `updatedAt`, with every save that changes what they see. Ids of updates ascend, with gaps."""

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


class IncidentAnswer(msgspec.Struct):
    incident: Incident


class UpdateAnswer(msgspec.Struct):
    update: IncidentUpdate


class IncidentList(msgspec.Struct):
    incidents: list[Incident]
    pagination: Pagination


class PastDay(msgspec.Struct):
    """A day of the reporting time zone, and the incidents that began on it."""

    date: str
    incidents: list[Incident]


class PastIncidents(msgspec.Struct):
    """`pagination` counts days. `truncated` says that the page would hold more than 1000 incidents and the oldest of
    them are left out: fewer days a page show them."""

    days: list[PastDay]
    pagination: Pagination
    truncated: bool


class IncidentConflict(msgspec.Struct):
    """Somebody else saved first: the incident as it is now, for the two to be brought together."""

    error: str
    code: Code
    incident: Incident


def is_incident_id(text: str) -> bool:
    return re.fullmatch(INCIDENT_ID, text) is not None


def problems(fields: IncidentFields) -> list[FieldProblem]:
    """Everything that is wrong beyond what the types say."""
    given = fields.given()
    found = line_problems("title", given.get("title")) + control_problems("reporter", given.get("reporter"))
    found += [problem for name in _TEXTS for problem in text_problems(camel(name), given.get(name))]
    services = given.get("affected_services", [])
    found += [
        FieldProblem.of(f"affectedServices[{n}]", "repeated")
        for n, service in enumerate(services)
        if services.index(service) < n
    ]
    return found

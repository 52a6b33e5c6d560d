"""The fields of SLA policies in requests and responses, and their validation."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.rest.errors import Code
from api.rest.moments import iso, year_problems
from api.rest.problems import PROBLEM, FieldProblem, camel
from api.rest.texts import line_problems
from api.sla.subjects import Scope, Subject
from sla_monitor.formats.time_zones import zone

Length = Literal["month", "quarter", "year", "rolling"]
MaintenanceRule = Literal["excluded", "counted"]
UnknownRule = Literal["excluded", "down", "up"]
Quorum = Literal["one", "majority", "all", "number"]
Name = Annotated[str, Meta(min_length=1, max_length=100)]
Target = Annotated[
    float,
    Meta(gt=0, le=100, description="The promised availability in percent", extra={PROBLEM: "target"}),
]
Weight = Annotated[
    float,
    Meta(ge=0, le=1, description="The share of degraded time that counts as downtime", extra={PROBLEM: "share"}),
]
Coverage = Annotated[
    float,
    Meta(
        ge=0,
        le=100,
        description="The least share of known time, in percent, for a verdict",
        extra={PROBLEM: "percentage"},
    ),
]
RollingDays = Annotated[int, Meta(ge=1, le=366, description="The length of a rolling period")]
Announced = Annotated[
    int, Meta(ge=0, le=525600, description="Maintenance is excluded if it was announced this many minutes before")
]
ShortestOutage = Annotated[int, Meta(ge=0, le=86400, description="Shorter outages do not count as downtime")]
Locations = Annotated[
    int, Meta(ge=1, le=1000, description="The number of locations that must see an outage, for the quorum `number`")
]
ZoneName = Annotated[str, Meta(min_length=1, max_length=64, description="An IANA time zone, such as Asia/Seoul")]
Weekday = Annotated[int, Meta(ge=1, le=7, description="1 is Monday")]
_TIME = {PROBLEM: "time_of_day"}
Start = Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$", max_length=5, extra=_TIME)]
End = Annotated[str, Meta(pattern="^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$", max_length=5, extra=_TIME)]
DECIMALS = {"target": 4, "degraded_weight": 3, "least_coverage": 2}
"""The number of decimal places that the database stores."""
DEFAULTS: dict[str, Any] = {
    "period": "month",
    "rolling_days": None,
    "service_hours": None,
    "holiday_calendar": None,
    "maintenance": "excluded",
    "announced_minutes": 0,
    "degraded_weight": 0.0,
    "unknown": "excluded",
    "shortest_outage_seconds": 0,
    "quorum": "majority",
    "quorum_locations": None,
    "least_coverage": 0.0,
}
"""The values of a new policy by column, except the time zone and the first day."""


class ServiceHours(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """An interval on each of `days`, from `from` until `until` in local time. `24:00` is the end of the day."""

    days: Annotated[list[Weekday], Meta(min_length=1, max_length=7)]
    from_: Start
    until: End


AllHours = Annotated[list[ServiceHours], Meta(min_length=1, max_length=100, description="null: always")]


class PolicyChange(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """The terms of a new version. Those that are not in the body are those of the newest version. `validFrom`: the
    first day of the version in its time zone, by default tomorrow."""

    name: Name | UnsetType = UNSET
    valid_from: date | UnsetType = UNSET
    target: Target | UnsetType = UNSET
    period: Length | UnsetType = UNSET
    rolling_days: RollingDays | UnsetType | None = UNSET
    time_zone: ZoneName | UnsetType = UNSET
    service_hours: AllHours | UnsetType | None = UNSET
    holiday_calendar: Name | UnsetType | None = UNSET
    maintenance: MaintenanceRule | UnsetType = UNSET
    announced_minutes: Announced | UnsetType = UNSET
    degraded_weight: Weight | UnsetType = UNSET
    unknown: UnknownRule | UnsetType = UNSET
    shortest_outage_seconds: ShortestOutage | UnsetType = UNSET
    quorum: Quorum | UnsetType = UNSET
    quorum_locations: Locations | UnsetType | None = UNSET
    least_coverage: Coverage | UnsetType = UNSET

    def given(self) -> dict[str, Any]:
        """The terms of the request, by column."""
        values = {name: getattr(self, name) for name in PolicyChange.__struct_fields__}
        return {name: value for name, value in values.items() if value is not UNSET}


class NewPolicy(PolicyChange, kw_only=True):
    """A new policy with its first version. Defaults: a calendar month, all hours, the reporting time zone, `majority`;
    maintenance and unknown time are excluded, degraded time counts as up. `validFrom` may be in the past."""

    scope: Scope
    subject: Subject | None = None
    name: Name
    target: Target


class PolicyTerms(msgspec.Struct, rename="camel", kw_only=True):
    """The terms of a policy from the local day `validFrom` on. `ended`: the policy does not apply from then on."""

    version: int
    valid_from: str
    ended: bool
    name: str
    target: float
    period: Length
    rolling_days: int | None
    time_zone: str
    service_hours: list[ServiceHours] | None
    holiday_calendar: str | None
    maintenance: MaintenanceRule
    announced_minutes: int
    degraded_weight: float
    unknown: UnknownRule
    shortest_outage_seconds: int
    quorum: Quorum
    quorum_locations: int | None
    least_coverage: float
    author: str
    recorded_at: str


class ListedPolicy(msgspec.Struct, rename="camel", kw_only=True):
    """A policy. `current`: the version that is valid now, null before the first day of the policy. `future`: the next
    version that will be valid, if there is one. `version`: the number of the newest version."""

    id: UUID
    scope: Scope
    subject: str | None
    version: int
    current: PolicyTerms | None
    future: PolicyTerms | None
    created_at: str


class Policy(ListedPolicy, kw_only=True):
    """A policy with all versions, the newest one first. Of those that are valid on a day, the newest one applies."""

    versions: list[PolicyTerms]


class PolicyAnswer(msgspec.Struct):
    policy: Policy


class PolicyList(msgspec.Struct):
    policies: list[ListedPolicy]


class PolicyConflict(msgspec.Struct):
    """The body of a 412: another user has added a version since the version of `If-Match`. `policy`: the current
    policy."""

    error: str
    code: Code
    policy: Policy


class VersionRow(msgspec.Struct, kw_only=True):
    """A row of the query sla/versions."""

    id: UUID
    scope: Scope
    subject: str | None
    created_at: datetime
    version: int
    valid_from: date
    ended: bool
    name: str
    target: Decimal
    period: Length
    rolling_days: int | None
    time_zone: str
    service_hours: list[dict[str, Any]] | None
    holiday_calendar: str | None
    maintenance: MaintenanceRule
    announced_minutes: int
    degraded_weight: Decimal
    unknown: UnknownRule
    shortest_outage_seconds: int
    quorum: Quorum
    quorum_locations: int | None
    least_coverage: Decimal
    author: str
    recorded_at: datetime
    is_current: bool
    is_next: bool

    def terms(self) -> dict[str, Any]:
        """The terms by column, with the types of requests."""
        values = {name: getattr(self, name) for name in PolicyChange.__struct_fields__}
        values |= {name: float(values[name]) for name in DECIMALS}
        values["service_hours"] = msgspec.convert(self.service_hours, list[ServiceHours] | None)
        return values

    def published(self) -> PolicyTerms:
        values = self.terms() | {"valid_from": self.valid_from.isoformat(), "recorded_at": iso(self.recorded_at)}
        return PolicyTerms(version=self.version, ended=self.ended, author=self.author, **values)


def policy_of(rows: Sequence[VersionRow]) -> Policy:
    """The policy with these versions, the newest one first."""
    newest = rows[0]
    return Policy(
        id=newest.id,
        scope=newest.scope,
        subject=newest.subject,
        version=newest.version,
        current=next((row.published() for row in rows if row.is_current), None),
        future=next((row.published() for row in rows if row.is_next), None),
        created_at=iso(newest.created_at),
        versions=[row.published() for row in rows],
    )


def terms_problems(values: dict[str, Any]) -> list[FieldProblem]:
    """The problems of the terms of a version, by column, that types cannot express."""
    found = line_problems("name", values["name"]) + line_problems("holidayCalendar", values["holiday_calendar"])
    for column, most in DECIMALS.items():
        if round(values[column], most) != values[column]:
            found.append(FieldProblem.of(camel(column), "decimals", most=most))
    if zone(values["time_zone"]) is None:
        found.append(FieldProblem.of("timeZone", "time_zone"))
    found += _only_with("rollingDays", values["rolling_days"], "period", "rolling", values["period"])
    found += _only_with("quorumLocations", values["quorum_locations"], "quorum", "number", values["quorum"])
    return found + year_problems("validFrom", values.get("valid_from")) + _hours_problems(values["service_hours"] or [])


def _only_with(field: str, value: int | None, other: str, choice: str, chosen: str) -> list[FieldProblem]:
    """The problem of a field that is required if the field `other` is `choice`, and not allowed otherwise."""
    if (value is not None) == (chosen == choice):
        return []
    return [FieldProblem.of(field, "required" if value is None else "only_with", other=other, value=choice)]


def _hours_problems(hours: Sequence[ServiceHours]) -> list[FieldProblem]:
    found = []
    taken: list[tuple[int, str, str]] = []
    for n, interval in enumerate(hours):
        if interval.from_ >= interval.until:
            found.append(FieldProblem.of(f"serviceHours[{n}].until", "after_start"))
            continue
        for position, day in enumerate(interval.days):
            if day in interval.days[:position]:
                found.append(FieldProblem.of(f"serviceHours[{n}].days[{position}]", "repeated"))
        if any(day in interval.days and interval.from_ < end and start < interval.until for day, start, end in taken):
            found.append(FieldProblem.of(f"serviceHours[{n}]", "hours_overlap"))
        taken += [(day, interval.from_, interval.until) for day in interval.days]
    return found

"""The fields of SLA policies in requests and responses, and their validation."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from api.rest.errors import Code
from api.rest.moments import iso
from api.rest.problems import FieldProblem
from api.sla.policy_problems import terms_problems
from api.sla.policy_terms import (
    DECIMALS,
    AllCredits,
    AllHours,
    Announced,
    Coverage,
    Credit,
    GroupMethod,
    Length,
    Locations,
    MaintenanceRule,
    Name,
    Objective,
    Quorum,
    RollingDays,
    ServiceHours,
    ShortestOutage,
    Target,
    UnknownRule,
    Weight,
    ZoneName,
)
from api.sla.subjects import Scope, Subject, subject_problems


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
    response_time_objective: Objective | UnsetType | None = UNSET
    credits: AllCredits | UnsetType | None = UNSET
    group_method: GroupMethod | UnsetType = UNSET

    def given(self) -> dict[str, Any]:
        """The terms of the request, by field."""
        values = {name: getattr(self, name) for name in PolicyChange.__struct_fields__}
        return {name: value for name, value in values.items() if value is not UNSET}

    @classmethod
    def problems_of_rest(cls, rest: dict[str, Any]) -> list[FieldProblem]:
        """The further problems of a body in which other fields do not have their types."""
        terms = {name: value for name, value in rest.items() if name not in ("scope", "subject")}
        return terms_problems(msgspec.convert(terms, PolicyChange).given())


class NewPolicy(PolicyChange, kw_only=True):
    """A new policy with its first version. Defaults: a calendar month, all hours, the reporting time zone, `majority`;
    maintenance and unknown time are excluded, degraded time counts as up. `validFrom` may be in the past."""

    scope: Scope
    subject: Subject | None = None
    name: Name
    target: Target

    @classmethod
    def problems_of_rest(cls, rest: dict[str, Any]) -> list[FieldProblem]:
        found = subject_problems(rest["scope"], rest.get("subject")) if "scope" in rest else []
        return found + super().problems_of_rest(rest)


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
    response_time_objective: Objective | None
    credits: list[Credit] | None
    group_method: GroupMethod
    author: str
    recorded_at: str


class ListedPolicy(msgspec.Struct, rename="camel", kw_only=True):
    """A policy. `current`: the version that is valid now, null before the first day of the policy. `future`: the next
    version that will be valid, if there is one. `version`: the number of the newest version. `declaredIn`: the file
    that declares the policy, which can be changed only there; null for policies of this API."""

    id: UUID
    scope: Scope
    subject: str | None
    declared_in: str | None
    version: int
    current: PolicyTerms | None
    future: PolicyTerms | None
    created_at: str


class Policy(ListedPolicy, kw_only=True):
    """A policy with all versions, the newest one first. Of those that are valid on a day, the newest one applies."""

    versions: list[PolicyTerms]


class PolicyResponse(msgspec.Struct):
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
    declared_in: str | None
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
    objective_ms: int | None
    objective_share: Decimal | None
    credits: list[dict[str, Any]] | None
    group_method: GroupMethod
    author: str
    recorded_at: datetime
    is_current: bool
    is_next: bool

    @property
    def response_time_objective(self) -> Objective | None:
        if self.objective_ms is None or self.objective_share is None:
            return None
        return Objective(self.objective_ms, float(self.objective_share))

    def terms(self) -> dict[str, Any]:
        """The terms by field, with the types of requests."""
        values = {name: getattr(self, name) for name in PolicyChange.__struct_fields__}
        values |= {name: float(values[name]) for name in DECIMALS}
        values["service_hours"] = msgspec.convert(self.service_hours, list[ServiceHours] | None)
        values["credits"] = msgspec.convert(self.credits, list[Credit] | None)
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
        declared_in=newest.declared_in,
        version=newest.version,
        current=next((row.published() for row in rows if row.is_current), None),
        future=next((row.published() for row in rows if row.is_next), None),
        created_at=iso(newest.created_at),
        versions=[row.published() for row in rows],
    )

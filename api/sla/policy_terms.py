"""The terms of SLA policies: the types of their fields, which requests and responses share, and their defaults."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from api.rest.problems import PROBLEM

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
Percentage = Annotated[float, Meta(gt=0, le=100, extra={PROBLEM: "target"})]
GroupMethod = Literal["worst", "mean"]
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
    "response_time_objective": None,
    "credits": None,
    "group_method": "worst",
}
"""The values of a new policy by column, except the time zone and the first day."""


class ServiceHours(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """An interval on each of `days`, from `from` until `until` in local time. `24:00` is the end of the day."""

    days: Annotated[list[Weekday], Meta(min_length=1, max_length=7)]
    from_: Start
    until: End


class Objective(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The promise that `share` percent of the successful checks take at most `ms` milliseconds."""

    ms: Annotated[int, Meta(ge=1, le=600_000)]
    share: Percentage


class Credit(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A row of the table of service credits: below an uptime of `below` percent, `credit` percent of the fee."""

    below: Percentage
    credit: Percentage


AllCredits = Annotated[
    list[Credit],
    Meta(min_length=1, max_length=20, description="`below` descends, `credit` ascends; null: no service credits"),
]
AllHours = Annotated[list[ServiceHours], Meta(min_length=1, max_length=100, description="null: always")]

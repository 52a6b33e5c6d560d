"""The OpenSLO v1 objects that are read. Their fields are those that SLA accounting honours, or that change no figure;
all others are refused as unknown."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

VERSION = "openslo/v1"
METHOD = "RatioTimeslices"
"""The average of the ratio of all slices of time: the share of time, which SLA accounting computes."""
SOURCE = "sla-monitor"
"""The type of the metric source: the checks of this program."""
Kind = Literal["SLO", "SLI", "Service"]
Text = Annotated[str, Meta(min_length=1, max_length=1050)]


class Object(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    pass


class Metadata(Object):
    name: Text
    display_name: Text | None = None
    labels: dict[str, Any] = {}
    annotations: dict[str, str] = {}


class SourceSpec(Object):
    """What the policy is for. By default the service that the SLO names."""

    scope: str = "service"
    subject: str | None = None


class MetricSource(Object):
    type: Literal["sla-monitor"]
    spec: SourceSpec = msgspec.field(default_factory=SourceSpec)


class RawMetric(Object):
    metric_source: MetricSource


class RatioMetric(Object):
    raw_type: Literal["success"]
    raw: RawMetric
    counter: bool = False


class IndicatorSpec(Object):
    ratio_metric: RatioMetric
    description: str | None = None


class Indicator(Object):
    metadata: Metadata
    spec: IndicatorSpec


class Calendar(Object):
    start_time: str
    time_zone: str


class TimeWindow(Object):
    duration: str
    is_rolling: bool = False
    calendar: Calendar | None = None


class Objective(Object):
    display_name: str | None = None
    target: float | None = None
    target_percent: float | None = None
    time_slice_window: int | str | None = None


class SloSpec(Object):
    service: Text
    time_window: Annotated[list[TimeWindow], Meta(min_length=1, max_length=1)]
    budgeting_method: Literal["RatioTimeslices"]
    objectives: Annotated[list[Objective], Meta(min_length=1, max_length=1)]
    description: str | None = None
    indicator: Indicator | None = None
    indicator_ref: str | None = None
    alert_policies: Annotated[list[Any], Meta(max_length=0)] = []


class Document(Object):
    """The members of every document."""

    api_version: Literal["openslo/v1"]
    kind: Kind
    metadata: Metadata
    spec: dict[str, Any]


class Slo(Document):
    spec: SloSpec  # type: ignore[assignment]


class Sli(Document):
    spec: IndicatorSpec  # type: ignore[assignment]

"""Heartbeat: a job that reports to this program. It fails if a report is late."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar

from cronsim import CronSim, CronSimError

from sla_monitor.checks.config import ONE_LINE, CheckConfig, Labels, labelled, one_line
from sla_monitor.checks.problem import Problem
from sla_monitor.formats.time_zones import zone as named_zone

EARLY_S = 30
"""A report that is early by at most this time counts for the next time of the cron line, because clocks differ."""
_LINE = {ONE_LINE: True}

Cron = Annotated[
    str,
    labelled(
        "Cron line",
        "크론 표현식",
        "When the job runs, such as 0 2 * * *. If empty, it reports once in each interval",
        "작업이 실행되는 때. 예: 0 2 * * *. 비워 두면 간격마다 한 번 보고합니다",
        min_length=1,
        max_length=100,
        extra_json_schema=_LINE,
    ),
]
TimeZone = Annotated[
    str,
    labelled(
        "Time zone of the cron line",
        "크론 표현식의 시간대",
        "Such as Europe/Berlin",
        "예: Asia/Seoul",
        min_length=1,
        max_length=100,
        extra_json_schema=_LINE,
    ),
]
Grace = Annotated[
    int,
    labelled(
        "Grace time (seconds)",
        "유예 시간 (초)",
        "How late a report may be, including the run time of the job; less than a day",
        "보고가 늦어도 되는 시간. 작업 실행 시간을 포함하며 하루보다 짧아야 합니다",
        ge=1,
        le=82800,
    ),
]


class Heartbeat(CheckConfig, frozen=True, kw_only=True, tag="heartbeat"):
    """A job that requests /ping/{key} when it is done: once in each interval, or at the times of a cron line."""

    LABEL: ClassVar[Labels] = {"en": "Heartbeat", "ko": "하트비트"}
    PROBED: ClassVar[bool] = False

    cron: Cron | None = None
    time_zone: TimeZone = "UTC"
    grace_seconds: Grace = 300

    @property
    def target(self) -> str:
        return "/ping" if self.cron is None else f"/ping ({self.cron} {self.time_zone})"

    @property
    def grace(self) -> timedelta:
        return timedelta(seconds=self.grace_seconds)

    def problems(self) -> list[Problem]:
        found = one_line(self)
        zone = named_zone(self.time_zone)
        if zone is None:
            found.append(Problem("time_zone", "time_zone"))
        if self.cron is not None and not found and _next_time(self.cron, datetime(2026, 1, 1, tzinfo=zone)) is None:
            found.append(Problem("cron", "cron"))
        return found

    def due_after(self, moment: datetime, interval_seconds: int) -> datetime:
        """When the next report is due after a report at `moment`, in UTC. If the cron line or its time zone has become
        invalid (zones are removed from the IANA database), the interval counts."""
        zone = named_zone(self.time_zone)
        if self.cron is not None and zone is not None:
            early = min(timedelta(seconds=EARLY_S), self.grace)
            found = _next_time(self.cron, (moment + early).astimezone(zone))
            if found is not None:
                return found.astimezone(UTC)
        return moment + timedelta(seconds=interval_seconds)


def _next_time(cron: str, after: datetime) -> datetime | None:
    try:
        return next(CronSim(cron, after))
    except (CronSimError, StopIteration, OverflowError):
        return None

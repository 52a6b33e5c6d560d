"""What a report is requested for: a period of local days and a scope. Errors name the parameter."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

import msgspec

from sla_monitor.reports.structure import ReportScope
from sla_monitor.texts.problems import Parameter, ProblemCode, text_of

FIRST_YEAR, LAST_YEAR = 2000, 2100
MOST_YEARS = 10
MOST_SERVICES = 1000
MOST_SERVICE_DAYS = 50_000
"""The largest number of services times days: a month of 1,000 services, a year of 136, ten years of 13."""
MOST_OUTAGES = 100
"""Of a service with more outages, the longest ones are listed."""
MOST_EVENTS = 1000
"""The largest number of incidents, of occurrences of maintenance, and of corrections in a report."""
MOST_NAMES = 50
"""The largest number of services, groups or tags in a request."""
MOST_NAME = 100
UNKNOWN: Mapping[str, ProblemCode] = {"service": "unknown_service", "group": "unknown_group", "tag": "unknown_tag"}
"""The problem of a name that no service has, by parameter."""
_PERIOD = re.compile(r"([0-9]{4})(?:-(0[1-9]|1[0-2])|-Q([1-4]))?")


class ReportProblem(Exception):  # noqa: N818  # it becomes a FieldProblem in the API
    """A request for a report is invalid: the parameter `field`, and why."""

    def __init__(self, field: str, code: ProblemCode, **parameters: Parameter) -> None:
        self.field, self.code, self.parameters = field, code, parameters
        super().__init__(f"{field}: {text_of(code, parameters)}")


class ReportRequest(msgspec.Struct):
    """`from_` and `to`: the first and the last day. `as_of`: None for now."""

    from_: date
    to: date
    scope: ReportScope
    as_of: datetime | None = None
    field: str = "period"
    """The parameter that set the period, for errors."""


def days_of(text: str) -> tuple[date, date]:
    """The first and the last day of a month (2026-10), quarter (2026-Q3) or year (2026). Raises ReportProblem."""
    found = _PERIOD.fullmatch(text)
    if found is None or not FIRST_YEAR <= int(found[1]) <= LAST_YEAR:
        raise ReportProblem("period", "sla_period")
    year = int(found[1])
    if found[2]:
        first, months = int(found[2]), 1
    elif found[3]:
        first, months = 3 * int(found[3]) - 2, 3
    else:
        first, months = 1, 12
    following = first + months
    end = date(year + (following - 1) // 12, (following - 1) % 12 + 1, 1)
    return date(year, first, 1), end - timedelta(days=1)


def read_day(field: str, text: str) -> date:
    """Parses a day such as 2026-10-01. Raises ReportProblem."""
    try:
        day = date.fromisoformat(text) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else None
    except ValueError:
        day = None
    if day is None:
        raise ReportProblem(field, "day")
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ReportProblem(field, "years", first=FIRST_YEAR, last=LAST_YEAR)
    return day


def read_request(
    period: str | None, from_: str | None, to: str | None, scope: ReportScope, as_of: datetime | None, today: date
) -> ReportRequest:
    """The request with these parameters. Without a period it is the month of `today`. Raises ReportProblem for a period
    that does not exist, that is longer than MOST_YEARS, or that is given twice."""
    for field, names in (("service", scope.services), ("group", scope.groups), ("tag", scope.tags)):
        _check_names(field, names)
    if from_ is None and to is None:
        first, last = days_of(period if period is not None else f"{today:%Y-%m}")
        return ReportRequest(first, last, scope, as_of)
    if period is not None:
        raise ReportProblem("period", "without_bounds")
    if from_ is None or to is None:
        raise ReportProblem("to" if to is None else "from", "required")
    first, last = read_day("from", from_), read_day("to", to)
    if last < first:
        raise ReportProblem("from", "before_to")
    if last >= _years_later(first, MOST_YEARS):
        raise ReportProblem("to", "report_years", most=MOST_YEARS)
    return ReportRequest(first, last, scope, as_of, "to")


def _check_names(field: str, names: Sequence[str]) -> None:
    if len(names) > MOST_NAMES:
        raise ReportProblem(field, "too_many", most=MOST_NAMES)
    if any(not name or "\x00" in name or len(name) > MOST_NAME for name in names):
        raise ReportProblem(field, UNKNOWN[field])


def _years_later(day: date, years: int) -> date:
    """The same day `years` later; 1 March for 29 February of a year without it."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)

"""The problems of the terms of SLA policies that types cannot express."""

from collections.abc import Sequence
from typing import Any, Literal

from api.rest.moments import year_problems
from api.rest.problems import FieldProblem, camel
from api.rest.texts import line_problems
from api.sla.policy_terms import DECIMALS, Credit, Objective, ServiceHours
from sla_monitor.formats.time_zones import zone


def terms_problems(terms: dict[str, Any]) -> list[FieldProblem]:
    """The problems of terms, by field. Fields that are not in `terms` are not checked."""
    found = line_problems("name", terms.get("name"))
    found += line_problems("holidayCalendar", terms.get("holiday_calendar"))
    for name, most in DECIMALS.items():
        if name in terms:
            found += _decimals_problems(camel(name), terms[name], most)
    if "time_zone" in terms and zone(terms["time_zone"]) is None:
        found.append(FieldProblem.of("timeZone", "time_zone"))
    found += _number_problems(terms, "rolling_days", "period", "rolling")
    found += _number_problems(terms, "quorum_locations", "quorum", "number")
    found += year_problems("validFrom", terms.get("valid_from"))
    found += _hours_problems(terms.get("service_hours") or [])
    found += _objective_problems(terms.get("response_time_objective"))
    return found + _credits_problems(terms.get("credits") or [])


def _decimals_problems(field: str, value: float, most: int) -> list[FieldProblem]:
    return [FieldProblem.of(field, "decimals", most=most)] if round(value, most) != value else []


def _number_problems(terms: dict[str, Any], name: str, other: str, choice: str) -> list[FieldProblem]:
    """The problem of a field that is required if the field `other` is `choice`, and not allowed otherwise."""
    if name not in terms or other not in terms or (terms[name] is not None) == (terms[other] == choice):
        return []
    code: Literal["required", "only_with"] = "required" if terms[name] is None else "only_with"
    return [FieldProblem.of(camel(name), code, other=other, value=choice)]


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


def _objective_problems(objective: Objective | None) -> list[FieldProblem]:
    return _decimals_problems("responseTimeObjective.share", objective.share, 4) if objective is not None else []


def _credits_problems(steps: Sequence[Credit]) -> list[FieldProblem]:
    """A lower uptime must give a higher credit."""
    found = []
    for n, step in enumerate(steps):
        found += _decimals_problems(f"credits[{n}].below", step.below, 4)
        found += _decimals_problems(f"credits[{n}].credit", step.credit, 4)
        if n > 0 and step.below >= steps[n - 1].below:
            found.append(FieldProblem.of(f"credits[{n}].below", "descending"))
        if n > 0 and step.credit <= steps[n - 1].credit:
            found.append(FieldProblem.of(f"credits[{n}].credit", "ascending"))
    return found

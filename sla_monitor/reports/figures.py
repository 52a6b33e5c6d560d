"""The figures of a service as the columns of a table, for CSV and spreadsheets. Their names have units."""

from collections.abc import Callable, Mapping
from typing import Any

from sla_monitor.reports.structure import Report, ReportObjective, ServiceReport


def policy_name(service: ServiceReport, report: Report) -> str | None:
    """The name of the latest policy version of a service in the period."""
    used = (service.policy_id, service.version)
    return next((terms.name for terms in report.policies if (terms.id, terms.version) == used), None)


def _objective(value: Callable[[ReportObjective], Any]) -> Callable[[ServiceReport, Report], Any]:
    """The value of the response-time objective; None without one."""
    return lambda service, _: value(found) if (found := service.response_times.objective) is not None else None


COLUMNS: Mapping[str, Callable[[ServiceReport, Report], Any]] = {
    "service_id": lambda service, _: service.id,
    "service": lambda service, _: service.name,
    "group": lambda service, _: service.group,
    "policy": policy_name,
    "policy_version": lambda service, _: service.version,
    "from_utc": lambda service, _: service.from_,
    "to_utc": lambda service, _: service.to,
    "target_percent": lambda service, _: service.target,
    "uptime_percent": lambda service, _: service.uptime_percent,
    "coverage_percent": lambda service, _: service.coverage,
    "verdict": lambda service, _: service.verdict,
    "estimated": lambda service, _: service.estimated,
    "up_seconds": lambda service, _: service.seconds.up,
    "degraded_seconds": lambda service, _: service.seconds.degraded,
    "down_seconds": lambda service, _: service.seconds.down,
    "unknown_seconds": lambda service, _: service.seconds.unknown,
    "maintenance_seconds": lambda service, _: service.seconds.maintenance,
    "excluded_seconds": lambda service, _: service.seconds.excluded,
    "outside_hours_seconds": lambda service, _: service.seconds.outside_hours,
    "outages": lambda service, _: service.outages,
    "longest_outage_seconds": lambda service, _: service.longest_outage_seconds,
    "mttr_seconds": lambda service, _: service.mttr_seconds,
    "mtbf_seconds": lambda service, _: service.mtbf_seconds,
    "checks": lambda service, _: service.checks.total,
    "failed_checks": lambda service, _: service.checks.failed,
    "successful_checks_percent": lambda service, _: service.checks.uptime,
    "p50_ms": lambda service, _: service.response_times.p50,
    "p95_ms": lambda service, _: service.response_times.p95,
    "p99_ms": lambda service, _: service.response_times.p99,
    "objective_ms": _objective(lambda found: found.ms),
    "objective_percent": _objective(lambda found: found.share),
    "within_objective_percent": _objective(lambda found: found.actual),
    "objective_met": _objective(lambda found: found.met),
    "planned_seconds": lambda service, _: service.planned_seconds,
    "budget_seconds": lambda service, _: service.budget.total_seconds,
    "budget_spent_seconds": lambda service, _: service.budget.spent_seconds,
    "budget_left_seconds": lambda service, _: service.budget.left_seconds,
    "projected_end_utc": lambda service, _: service.budget.projected_end,
    "credit_percent": lambda service, _: service.credit,
}

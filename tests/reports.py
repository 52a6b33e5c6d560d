"""A report with names that are formulas, HTML, Typst markup and Korean, for tests of formats."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from sla_monitor.reports.structure import (
    DayState,
    GroupReport,
    Report,
    ReportBudget,
    ReportChecks,
    ReportCorrection,
    ReportCredit,
    ReportDay,
    ReportIncident,
    ReportMaintenance,
    ReportName,
    ReportObjective,
    ReportOutage,
    ReportPart,
    ReportPolicy,
    ReportResponseTimes,
    ReportScope,
    ReportSeconds,
    ReportSummary,
    ServiceReport,
)

HOSTILE = (
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "<script>alert(1)</script>",
    '#read("/etc/passwd")',
    "결제 서비스",
    "$ #sys.inputs *bold* _x_ `raw` @ref <label>",
    "{{ 7 * 7 }} {% raw %}",
    "W" * 100,
)
POLICY, CORRECTION = UUID(int=1), UUID(int=2)
FIRST, LAST = date(2026, 10, 1), date(2026, 10, 31)
START, END = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
STATES: tuple[DayState, ...] = ("up", "degraded", "down", "maintenance", "excluded", "unknown", "outside", "none")


def service(number: int, name: str) -> ServiceReport:
    """A service that was down for `number` minutes."""
    down = 60.0 * number
    total = 2678.4
    uptime = 100 - down / 26784
    outage = ReportOutage(START + timedelta(days=2), START + timedelta(days=2, seconds=down), down, [CORRECTION])
    return ServiceReport(
        id=f"service-{number}",
        name=name,
        group=name,
        policy_id=POLICY,
        version=2,
        target=99.9,
        from_=START,
        to=END,
        uptime=f"{int(uptime * 100) / 100:.2f}",
        uptime_percent=uptime,
        verdict="met" if down <= total else "missed",
        coverage=99.876,
        estimated=number == 1,
        seconds=ReportSeconds(2678400 - down, 1.5, down, 2, 3, 4, 5),
        outages=200 if number == 3 else int(number > 0),
        longest_outage_seconds=down,
        mttr_seconds=down if number else None,
        mtbf_seconds=1000.25 if number else None,
        checks=ReportChecks(44640, number, 99.5),
        response_times=ReportResponseTimes(82.5, 240, 1250.5, ReportObjective(300, 95, 97.25, True)),
        planned_seconds=2678400,
        budget=ReportBudget(total, down, total - down, END - timedelta(days=1) if number == 1 else None),
        credit=10.0,
        parts=[
            ReportPart(POLICY, 1, 99.5, ReportSeconds(1, 2, 3, 4, 5, 6, 7), 10, 5, START, START + timedelta(days=3)),
            ReportPart(POLICY, 2, 99.9, ReportSeconds(1, 2, 3, 4, 5, 6, 7), 20, 6, START + timedelta(days=3), END),
        ],
        outage_list=[outage] if number else [],
        days=[
            ReportDay(FIRST + timedelta(days=n), state, 60 if state == "down" else 0)
            for n, state in enumerate((STATES * 4)[:31])
        ],
        sql=f"SELECT * FROM analytics.sla_v1('{FIRST}', '{LAST}') WHERE service_id = 'service-{number}';",
    )


def policy(name: str, version: int = 1, **terms: object) -> ReportPolicy:
    """A policy with few terms, or with those that are given."""
    values: dict[str, object] = {
        "scope": "everything",
        "subject": None,
        "valid_from": date(2026, 1, 1),
        "target": 99.9,
        "period": "month",
        "rolling_days": None,
        "time_zone": "Asia/Seoul",
        "service_hours": None,
        "holiday_calendar": None,
        "holidays": [],
        "maintenance": "excluded",
        "announced_minutes": 0,
        "degraded_weight": 0.0,
        "unknown": "excluded",
        "shortest_outage_seconds": 0,
        "quorum": "majority",
        "quorum_locations": None,
        "least_coverage": 0.0,
        "objective_ms": None,
        "objective_share": None,
        "credits": None,
        "group_method": "worst",
    }
    return ReportPolicy(POLICY, version, name, **(values | terms))  # type: ignore[arg-type]


def hostile_report(services: int = len(HOSTILE), *, public: bool = False) -> Report:
    """A report of October 2026 in which each name and text is one of HOSTILE."""
    names = [HOSTILE[n % len(HOSTILE)] for n in range(services)]
    found = [service(n, name) for n, name in enumerate(names)]
    ids = [item.id for item in found]
    moment = START + timedelta(days=4)
    return Report(
        site=HOSTILE[4],
        from_=FIRST,
        to=LAST,
        zone="Asia/Seoul",
        generated_at=datetime(2026, 11, 3, 2, tzinfo=UTC),
        as_of=None,
        revision=2,
        scope=ReportScope(public=public),
        summary=ReportSummary(services, services, 0, 0, 0, [ReportName("old", HOSTILE[0])]),
        groups=[
            GroupReport(
                None, services, "worst", 99.9, "99.81", 99.8123, 99.9, "missed", 4, ReportBudget(100, 120, -20)
            ),
            GroupReport(HOSTILE[5], 2, "mean", 99.9, "99.98", 99.98, 99.9, "met", 1, ReportBudget(100, 20, 80)),
        ],
        services=found,
        policies=[policy(HOSTILE[0]), policy(HOSTILE[7], 2, credits=[ReportCredit(99.9, 10)])],
        incidents=[ReportIncident("INC-2026-0001", HOSTILE[4], "resolved", "high", moment, None, ids)],
        maintenance=[ReportMaintenance("1", HOSTILE[5], moment, moment + timedelta(hours=1), START, ids)],
        corrections=[
            ReportCorrection(
                CORRECTION,
                "up",
                "false_positive",
                "service",
                "service-1",
                None if public else HOSTILE[0],
                None if public else HOSTILE[3],
                moment,
                moment,
                moment + timedelta(hours=1),
                1,
                ids[:1],
            )
        ],
    )

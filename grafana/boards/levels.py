"""The dashboard of SLA policies: targets, actual figures and error budgets of a month."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.panels import (
    BUDGET,
    BUDGET_LEFT,
    COVERAGE,
    MS,
    PERCENT,
    PLAIN,
    SECONDS,
    SERVICE,
    SERVICE_ID,
    STATES,
    VERDICT,
    Field,
    board,
    series,
    stat,
    table,
    variable,
)


def levels() -> Dashboard:
    budget = {"Budget left": BUDGET_LEFT, "Downtime left": SECONDS, "Uptime": PERCENT, "Target": PERCENT}
    return (
        board(
            "sla-levels",
            "SLA Monitor / SLA and budgets",
            "Targets, actual figures and error budgets of a calendar month. docs/accounting.md defines the rules.",
            since="now-30d",
            refresh="15m",
        )
        .with_variable(variable("month", "Month", "months"))
        .with_panel(
            stat(
                "All services",
                "All services together, as their policies say: the worst service, or the mean by time.",
                "sla/summary",
                {
                    "Uptime": PERCENT,
                    "Target": PERCENT,
                    "Budget left": Field(unit="percent", decimals=1, steps=BUDGET),
                    "Coverage": Field(unit="percent", decimals=2, steps=COVERAGE),
                    "Outages": Field(steps=PLAIN),
                },
                width=24,
            )
        )
        .with_panel(
            table(
                "Services",
                "The level of service of each service to which a policy applies, those with the least budget left "
                "first. Verdicts compare the exact percentages.",
                "sla/levels",
                budget
                | {
                    "service_id": SERVICE_ID,
                    "Service": SERVICE,
                    "Verdict": VERDICT,
                    "Downtime": SECONDS,
                    "Time to recovery": SECONDS,
                    "Coverage": Field(unit="percent", decimals=2, steps=COVERAGE, cell="color-text"),
                    "p95": MS,
                    "Objective": MS,
                    "Within objective": PERCENT,
                    "Credit": Field(unit="percent", decimals=1),
                },
                height=14,
            )
        )
        .with_panel(
            table(
                "Groups",
                "The level of service of each group.",
                "sla/groups",
                budget | {"Verdict": VERDICT},
                width=14,
            )
        )
        .with_panel(
            series(
                "Downtime by day",
                "Seconds that all services together were down or degraded on each local day, summed over the "
                "locations; before SLA policies and corrections.",
                "sla/days",
                "s",
                colors={"Degraded": STATES["degraded"], "Outage": STATES["outage"]},
                stacked=True,
                bars=True,
                least_step="1d",
                width=10,
                height=9,
            )
        )
        .with_panel(
            table(
                "Corrections",
                "Decisions on what time counts as, with author and reason. Withdrawn ones are left out.",
                "sla/corrections",
                {"Length": SECONDS},
                width=12,
            )
        )
        .with_panel(
            table(
                "Policies",
                "The versions that apply now, in the order of precedence.",
                "sla/policies",
                {"Target": Field(unit="percent")},
                width=12,
            )
        )
    )

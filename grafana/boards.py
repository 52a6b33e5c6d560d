"""The dashboards. `make grafana` writes them as JSON."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.panels import (
    BAD,
    BUDGET,
    BUDGET_LEFT,
    COVERAGE,
    GOOD,
    MS,
    NEUTRAL,
    NONE_IS_GOOD,
    PERCENT,
    PLAIN,
    SECONDS,
    SERVICE,
    SERVICE_ID,
    STATE,
    STATES,
    VERDICT,
    VERDICTS,
    WARNING,
    Field,
    board,
    series,
    stat,
    states_by_number,
    table,
    timeline,
    variable,
)

DAY = 86_400
PERCENTILES = {"p50": GOOD, "p95": WARNING, "p99": BAD}
RESULTS = {name.capitalize(): STATES[name] for name in ("operational", "degraded", "outage")}


def overview() -> Dashboard:
    verdicts = {text: Field(color=color) for text, color in (VERDICTS["met"], VERDICTS["missed"])}
    return (
        board("sla-overview", "SLA Monitor / Overview", "The present state of all services, and what happened lately.")
        .with_panel(
            stat(
                "Services by state",
                "Services that are not paused, by their present state.",
                "overview/states",
                {name.capitalize(): Field(color=color) for name, color in STATES.items()},
                width=12,
            )
        )
        .with_panel(
            stat(
                "SLA this month",
                "Services by the verdict of their SLA policy in the present month. Budget ends early: at the present "
                "rate, the error budget is spent before the month ends.",
                "overview/verdicts",
                verdicts | {"No verdict": Field(color=STATES["unknown"]), "Budget ends early": Field(color=WARNING)},
                width=7,
            )
        )
        .with_panel(
            stat(
                "Now",
                "Outages and incidents that have not ended, and running maintenance.",
                "overview/open",
                {"Outages": Field(steps=NONE_IS_GOOD), "Incidents": Field(steps=NONE_IS_GOOD)},
                width=5,
            )
        )
        .with_panel(
            table(
                "Not operational",
                "Services that are not operational now, those in the worst state first.",
                "overview/troubled",
                {"service_id": SERVICE_ID, "Service": SERVICE, "State": STATE},
                width=10,
            )
        )
        .with_panel(
            series(
                "Checks",
                "The checks of all services by their result, in each step of at least 15 minutes.",
                "overview/checks",
                "short",
                colors=RESULTS,
                stacked=True,
                bars=True,
                width=14,
                height=9,
            )
        )
        .with_panel(
            timeline(
                "Outages over time",
                "The twenty services with the longest outages in the range, by the majority of their locations, "
                "before SLA policies and corrections.",
                "overview/timeline",
                height=10,
            )
        )
        .with_panel(
            table(
                "Outages",
                "The latest outages in the range.",
                "overview/outages",
                {"service_id": SERVICE_ID, "Service": SERVICE, "Length": SECONDS},
                width=13,
            )
        )
        .with_panel(table("Incidents", "The latest incidents.", "overview/incidents", {"Length": SECONDS}, width=11))
    )


def service() -> Dashboard:
    month = "in the present month, under its SLA policy"
    return (
        board("sla-service", "SLA Monitor / Service", "One service: state, service level, response times and failures.")
        .with_variable(variable("service", "Service", "services"))
        .with_panel(
            stat(
                "State",
                "The present state, the time since the latest check was due, and until the certificate expires.",
                "service/state",
                {
                    "State": Field(mappings=[states_by_number()]),
                    "Last check": Field(unit="s", decimals=0),
                    "Certificate": Field(unit="s", steps=((None, BAD), (7 * DAY, WARNING), (21 * DAY, GOOD))),
                },
                width=9,
            )
        )
        .with_panel(
            stat(
                "Service level this month",
                f"Uptime, target, error budget and outages {month}. Empty without a policy.",
                "service/level",
                {
                    "Uptime": PERCENT,
                    "Target": PERCENT,
                    "Budget left": Field(unit="percent", decimals=1, steps=BUDGET),
                    "Downtime left": Field(unit="s", steps=((None, BAD), (0.001, GOOD))),
                    "Time to recovery": SECONDS,
                },
                width=15,
            )
        )
        .with_panel(timeline("State by location", "What each location saw.", "service/timeline"))
        .with_panel(
            series(
                "Response times",
                "Percentiles of successful checks from all locations, within 2 %, in steps of at least 15 minutes.",
                "latency/percentiles",
                "ms",
                colors=PERCENTILES,
                width=14,
            )
        )
        .with_panel(
            series(
                "Uptime by day",
                "The share of known time that was not down, for each local day; without an SLA policy.",
                "service/days",
                "percent",
                colors={"Observed uptime": GOOD},
                steps=((None, BAD), (99, WARNING), (99.9, GOOD)),
                bars=True,
                limits=(90, 100),
                least_step="1d",
                width=10,
            )
        )
        .with_panel(
            table("Outages", "Outages in the range.", "service/outages", {"Length": SECONDS}, width=12, height=8)
        )
        .with_panel(
            table(
                "Maintenance",
                "Past and planned maintenance, and how long before its start it was announced.",
                "service/maintenance",
                {"Length": SECONDS, "Announced before": SECONDS},
                width=12,
                height=8,
            )
        )
        .with_panel(
            table(
                "Checks that were not operational",
                "The latest ones in the range, while raw checks are kept.",
                "service/failures",
                {"State": STATE, "Time": MS},
            )
        )
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


def latency() -> Dashboard:
    phases = {"DNS": "#8f6fd6", "Connect": NEUTRAL, "TLS": "#2a9d9d", "First byte": WARNING, "Rest": STATES["unknown"]}
    return (
        board(
            "sla-latency", "SLA Monitor / Latency and phases", "Response times of a service, and the slowest services."
        )
        .with_variable(variable("service", "Service", "services"))
        .with_panel(
            stat(
                "Range",
                "Percentiles of the successful checks in the range, within 2 %, and the share of failed checks.",
                "latency/figures",
                {
                    **dict.fromkeys(("p50", "p95", "p99", "Max"), MS),
                    "Failed": Field(unit="percent", decimals=2, steps=((None, GOOD), (0.001, WARNING), (1, BAD))),
                },
                width=24,
            )
        )
        .with_panel(
            series(
                "Percentiles",
                "From all locations, in steps of at least 15 minutes.",
                "latency/percentiles",
                "ms",
                colors=PERCENTILES,
                width=12,
            )
        )
        .with_panel(
            series(
                "Phases",
                "The mean time of each phase of a check: resolving the name, connecting, TLS, waiting for the first "
                "byte, and the rest.",
                "latency/phases",
                "ms",
                colors=phases,
                stacked=True,
                width=12,
            )
        )
        .with_panel(
            series("Locations", "The mean response time from each location.", "latency/locations", "ms", width=12)
        )
        .with_panel(
            series(
                "Errors",
                "Failed checks by the kind of error, while raw checks are kept.",
                "latency/errors",
                "short",
                stacked=True,
                bars=True,
                least_step="5m",
                width=12,
            )
        )
        .with_panel(
            table(
                "Slowest services",
                "By their mean response time in the range. Degraded: the share of checks slower than the limit of the "
                "service.",
                "latency/slowest",
                {
                    "service_id": SERVICE_ID,
                    "Service": Field(link="/d/sla-latency?var-service=${__data.fields.service_id}&${__url_time_range}"),
                    "Mean": MS,
                    "Max": MS,
                    "Degraded": Field(
                        unit="percent", decimals=1, steps=((None, GOOD), (1, WARNING)), cell="color-text"
                    ),
                },
            )
        )
    )


def probers() -> Dashboard:
    silent: tuple[tuple[float | None, str], ...] = ((None, GOOD), (120, WARNING), (300, BAD))
    return (
        board(
            "sla-probers", "SLA Monitor / Probers and worker", "Whether checks arrive, and whether the worker keeps up."
        )
        .with_panel(
            stat(
                "Worker",
                "The age of the checks that are not aggregated yet, normally less than 18 minutes; checks that were "
                "refused when they were recorded; and how long raw checks are kept.",
                "probers/worker",
                {
                    "Aggregation lag": Field(unit="s", steps=((None, GOOD), (1_100, WARNING), (3_600, BAD))),
                    "Refused checks": Field(steps=NONE_IS_GOOD),
                    "Retention": SECONDS,
                },
                width=24,
            )
        )
        .with_panel(
            table(
                "Locations",
                "The probers by their location; `worker` stands for heartbeats. Silent services: their latest check is "
                "too old to stand for the present.",
                "probers/locations",
                {
                    "Silent for": Field(unit="s", steps=silent, cell="color-text"),
                    "Silent services": Field(steps=NONE_IS_GOOD, cell="color-text"),
                },
                width=14,
            )
        )
        .with_panel(
            table(
                "Time to the end of a check",
                "Seconds from the scheduled time of a check to its end, over the last 15 minutes. If they grow, the "
                "prober is overloaded.",
                "probers/delays",
                dict.fromkeys(("p50", "p95", "Max"), SECONDS),
                width=10,
            )
        )
        .with_panel(
            series(
                "Checks",
                "Checks from each location in each step of at least 15 minutes.",
                "probers/checks",
                "short",
                stacked=True,
                width=12,
            )
        )
        .with_panel(
            series(
                "Coverage",
                "The share of each quarter of an hour for which there are checks: the mean of the services that the "
                "location checked. Gaps are time without data.",
                "probers/coverage",
                "percent",
                steps=COVERAGE,
                limits=(0, 100),
                width=12,
            )
        )
        .with_panel(
            table(
                "Silent services",
                "Services that are not paused and had no check for three intervals.",
                "probers/silent",
                {"service_id": SERVICE_ID, "Service": SERVICE, "Silent for": SECONDS, "Interval": SECONDS},
            )
        )
    )


DASHBOARDS = {"overview": overview, "service": service, "sla": levels, "latency": latency, "probers": probers}
"""The function of each dashboard by the name of its file."""

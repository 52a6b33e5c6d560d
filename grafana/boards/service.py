"""The dashboard of one service."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.panels import (
    BAD,
    BUDGET,
    GOOD,
    MS,
    PERCENT,
    PERCENTILES,
    SECONDS,
    STATE,
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

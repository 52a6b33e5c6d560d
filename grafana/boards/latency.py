"""The dashboard of response times."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.panels import (
    BAD,
    GOOD,
    MS,
    NEUTRAL,
    PERCENTILES,
    SERVICE_ID,
    STATES,
    WARNING,
    Field,
    board,
    series,
    stat,
    table,
    variable,
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

"""The dashboard of the programs: whether checks arrive, and whether the worker keeps up."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.panels import (
    BAD,
    COVERAGE,
    GOOD,
    NONE_IS_GOOD,
    SECONDS,
    SERVICE,
    SERVICE_ID,
    WARNING,
    Field,
    Steps,
    board,
    series,
    stat,
    table,
)


def probers() -> Dashboard:
    silent: Steps = ((None, GOOD), (120, WARNING), (300, BAD))
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

"""The dashboard of all services: their present state, and what happened lately."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.panels import (
    NONE_IS_GOOD,
    SECONDS,
    SERVICE,
    SERVICE_ID,
    STATE,
    STATES,
    VERDICTS,
    WARNING,
    Field,
    board,
    series,
    stat,
    table,
    timeline,
)

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

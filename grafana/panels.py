"""The parts of the dashboards: queries, panels with the units and colours of the product, variables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from grafana_foundation_sdk.builders import common as looks
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.statetimeline import Panel as StateTimeline
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common, dashboard

QUERIES = Path(__file__).parent / "queries"
SOURCE = dashboard.DataSourceRef(type_val="grafana-postgresql-datasource", uid="sla-pg")
QUARTER = "15m"
"""The least step of panels on rollups of quarters of an hour."""
WIDTH = 24
"""The columns of a dashboard."""
STATES = {
    "operational": "#1f8a5b",
    "degraded": "#d99411",
    "outage": "#c8322d",
    "unknown": "#9aa3af",
    "maintenance": "#3b6fd4",
}
"""The colours of the states, as on the product's pages, in the order of the numbers in queries."""
VERDICTS = {
    "met": ("Met", STATES["operational"]),
    "missed": ("Missed", STATES["outage"]),
    "insufficient_data": ("Insufficient data", STATES["unknown"]),
    "no_data": ("No data", STATES["unknown"]),
}
GOOD, WARNING, BAD, NEUTRAL = STATES["operational"], STATES["degraded"], STATES["outage"], STATES["maintenance"]
Steps = Sequence[tuple[float | None, str]]
"""Thresholds: from each value on, the colour; the first value is None."""
BUDGET: Steps = ((None, BAD), (0.001, WARNING), (25, GOOD))
"""Colours of the share of the error budget that is left, in percent. The budget follows from the target."""
COVERAGE: Steps = ((None, BAD), (90, WARNING), (99, GOOD))
NONE_IS_GOOD: Steps = ((None, GOOD), (1, BAD))
PLAIN: Steps = ((None, NEUTRAL),)
PERCENTILES = {"p50": GOOD, "p95": WARNING, "p99": BAD}
"""The colours of percentiles."""


class Query(Dataquery, Builder["Query"]):
    """The query of a panel: a file in `queries`, as a table or as time series."""

    def __init__(self, name: str, form: Literal["table", "time_series"]) -> None:
        self._sql = text_of(name)
        self._form = form

    def build(self) -> "Query":
        return self

    def to_json(self) -> dict[str, object]:
        return {
            "refId": "A",
            "datasource": SOURCE,
            "format": self._form,
            "rawQuery": True,
            "editorMode": "code",
            "rawSql": self._sql,
        }


class Field(NamedTuple):
    """How a column of a table or a value of a stat panel is shown."""

    unit: str | None = None
    decimals: int | None = None
    steps: Steps | None = None
    color: str | None = None
    mappings: Sequence[dashboard.ValueMap] = ()
    cell: Literal["gauge", "color-text", "color-background"] | None = None
    hidden: bool = False
    link: str | None = None
    width: int | None = None

    def properties(self) -> list[dashboard.DynamicConfigValue]:
        set_: list[tuple[str, Any]] = []
        if self.unit is not None:
            set_.append(("unit", self.unit))
        if self.decimals is not None:
            set_.append(("decimals", self.decimals))
        if self.steps is not None:
            set_.append(("thresholds", thresholds(self.steps).build()))
            set_.append(("color", {"mode": "thresholds"}))
        if self.color is not None:
            set_.append(("color", {"mode": "fixed", "fixedColor": self.color}))
        if self.mappings:
            set_.append(("mappings", list(self.mappings)))
        if self.cell is not None:
            options = {"type": self.cell, **({"mode": "basic"} if self.cell != "color-text" else {})}
            set_.append(("custom.cellOptions", options))
        if self.cell == "gauge":
            set_ += [("min", 0), ("max", 100)]
        if self.hidden:
            set_.append(("custom.hidden", True))
        if self.link is not None:
            set_.append(("links", [{"title": "Open", "url": self.link}]))
        if self.width is not None:
            set_.append(("custom.width", self.width))
        return [dashboard.DynamicConfigValue(id_val=name, value=value) for name, value in set_]


def text_of(name: str) -> str:
    """The SQL of a query."""
    return (QUERIES / f"{name}.sql").read_text("utf-8").strip()


def thresholds(steps: Steps) -> build.ThresholdsConfig:
    listed = [dashboard.Threshold(value=value, color=color) for value, color in steps]
    return build.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(listed)


def states_by_number() -> dashboard.ValueMap:
    """The name and colour of the number of a state."""
    return dashboard.ValueMap(
        {
            str(n): dashboard.ValueMappingResult(text=name.capitalize(), color=color, index=n)
            for n, (name, color) in enumerate(STATES.items())
        }
    )


def named(values: Mapping[str, tuple[str, str]]) -> dashboard.ValueMap:
    """The text and colour of each value."""
    results = {
        value: dashboard.ValueMappingResult(text=text, color=color, index=n)
        for n, (value, (text, color)) in enumerate(values.items())
    }
    return dashboard.ValueMap(results)


STATE = Field(mappings=[named({name: (name.capitalize(), color) for name, color in STATES.items()})], cell="color-text")
VERDICT = Field(mappings=[named(VERDICTS)], cell="color-background", width=140)
SERVICE_ID = Field(hidden=True)
SERVICE = Field(link="/d/sla-service?var-service=${__data.fields.service_id}&${__url_time_range}")
SECONDS = Field(unit="s")
PERCENT = Field(unit="percent", decimals=3)
MS = Field(unit="ms", decimals=0)
BUDGET_LEFT = Field(unit="percent", decimals=1, steps=BUDGET, cell="gauge")


def stat(
    title: str, description: str, name: str, fields: Mapping[str, Field], *, width: int = 8, no_value: str = "–"
) -> Stat:
    """The columns of the only row of a query, each as a large number. Without `fields` of a column it is plain."""
    panel = (
        Stat()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .with_target(Query(name, "table"))
        .span(width)
        .height(4)
        .no_value(no_value)
        .thresholds(thresholds(PLAIN))
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.NONE)
        .text_mode(common.BigValueTextMode.VALUE_AND_NAME)
        .reduce_options(looks.ReduceDataOptions().values(False).calcs(["lastNotNull"]).fields("/.*/"))
    )
    for column, field in fields.items():
        panel.override_by_name(column, field.properties())
    return panel


def table(
    title: str, description: str, name: str, fields: Mapping[str, Field], *, width: int = WIDTH, height: int = 9
) -> Table:
    """The rows of a query."""
    panel = (
        Table()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .with_target(Query(name, "table"))
        .span(width)
        .height(height)
        .no_value("–")
        .show_header(True)
        .cell_height(common.TableCellHeight.SM)
    )
    for column, field in fields.items():
        panel.override_by_name(column, field.properties())
    return panel


def series(
    title: str,
    description: str,
    name: str,
    unit: str,
    *,
    colors: Mapping[str, str] | None = None,
    steps: Steps | None = None,
    stacked: bool = False,
    bars: bool = False,
    limits: tuple[float, float] | None = None,
    least_step: str = QUARTER,
    width: int = WIDTH,
    height: int = 8,
) -> TimeSeries:
    """Lines over time, or bars. `colors`: of named lines. `steps`: thresholds, drawn as lines."""
    panel = (
        TimeSeries()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .with_target(Query(name, "time_series"))
        .span(width)
        .height(height)
        .unit(unit)
        .min(0)
        .interval(least_step)
        .line_width(1)
        .fill_opacity(70 if bars else 30 if stacked else 10)
        .draw_style(common.GraphDrawStyle.BARS if bars else common.GraphDrawStyle.LINE)
        .show_points(common.VisibilityMode.NEVER)
        .legend(looks.VizLegendOptions().show_legend(True).placement(common.LegendPlacement.BOTTOM))
        .tooltip(looks.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
    )
    if stacked:
        panel.stacking(looks.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if steps is not None:
        panel.thresholds(thresholds(steps))
        panel.thresholds_style(looks.GraphThresholdsStyleConfig().mode(common.GraphTresholdsStyleMode.DASHED))
    if limits is not None:
        panel.min(limits[0]).max(limits[1])
    for line, color in (colors or {}).items():
        panel.override_by_name(line, Field(color=color).properties())
    return panel


def timeline(title: str, description: str, name: str, *, height: int = 6) -> StateTimeline:
    """A row for each series of state numbers, in the colours of the states."""
    return (
        StateTimeline()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .with_target(Query(name, "time_series"))
        .span(WIDTH)
        .height(height)
        .mappings([states_by_number()])
        .show_value(common.VisibilityMode.NEVER)
        .merge_values(True)
        .row_height(0.8)
        .line_width(0)
        .fill_opacity(90)
        .legend(looks.VizLegendOptions().show_legend(True).placement(common.LegendPlacement.BOTTOM))
    )


def variable(name: str, label: str, query: str) -> build.QueryVariable:
    """A variable with one value of a query; by default the first one."""
    return (
        build.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(text_of(query))
        .refresh(dashboard.VariableRefresh.ON_DASHBOARD_LOAD)
        .sort(dashboard.VariableSort.DISABLED)
        .multi(False)
        .include_all(False)
    )


def board(uid: str, title: str, description: str, *, since: str = "now-24h", refresh: str = "1m") -> build.Dashboard:
    """A dashboard with links to the others."""
    links = (
        build.DashboardLink("SLA Monitor")
        .type(dashboard.DashboardLinkType.DASHBOARDS)
        .tags(["sla-monitor"])
        .as_dropdown(True)
        .keep_time(True)
        .include_vars(True)
    )
    return (
        build.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["sla-monitor"])
        .timezone("browser")
        .readonly()
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .time(since, "now")
        .refresh(refresh)
        .link(links)
    )

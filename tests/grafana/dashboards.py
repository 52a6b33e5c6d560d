"""The committed dashboards, and their queries as Grafana sends them."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "grafana" / "dashboards"
_MACRO = re.compile(r"\$__(\w+)\(([^)]*)\)")
_VARIABLE = re.compile(r"\$(\w+)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Panel(NamedTuple):
    """A panel with a query. `columns`: those that have overrides."""

    dashboard: str
    title: str
    query: str
    form: str
    step: str
    range: timedelta
    columns: frozenset[str]

    @property
    def label(self) -> str:
        return f"{self.dashboard} / {self.title}"


def contents() -> dict[str, Any]:
    """The content of each dashboard by the name of its file."""
    return {path.name: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def panels() -> Iterator[Panel]:
    for name, content in contents().items():
        for panel in content["panels"]:
            [target] = panel["targets"]
            overrides = panel["fieldConfig"].get("overrides", [])
            yield Panel(
                name.removesuffix(".json"),
                panel["title"],
                target["rawSql"],
                target["format"],
                panel.get("interval", "1m"),
                _duration(content["time"]["from"].removeprefix("now-")),
                frozenset(one["matcher"]["options"] for one in overrides),
            )


def variables() -> dict[str, dict[str, str]]:
    """The query of each variable, by dashboard and name."""
    return {
        name.removesuffix(".json"): {one["name"]: one["query"] for one in content["templating"]["list"]}
        for name, content in contents().items()
    }


def expanded(query: str, low: datetime, high: datetime, step: str, values: Mapping[str, str]) -> str:
    """The query as the data source of Grafana sends it: the interval and the variables are replaced by their text, and
    the macros are expanded (pkg/tsdb/grafana-postgresql-datasource/macros.go). Raises KeyError for an unknown macro or
    variable."""
    text = query.replace("$__interval", step)
    macros: dict[str, Callable[[str], str]] = {
        "timeFilter": lambda column: f"{column} BETWEEN {_moment(low)} AND {_moment(high)}",
        "timeFrom": lambda _: _moment(low),
        "timeTo": lambda _: _moment(high),
    }
    text = _MACRO.sub(lambda match: macros[match[1]](match[2].strip()), text)
    return _VARIABLE.sub(lambda match: values[match[1]].replace("'", "''"), text)


def _moment(at: datetime) -> str:
    return f"'{at:%Y-%m-%dT%H:%M:%S}Z'"


def _duration(text: str) -> timedelta:
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})

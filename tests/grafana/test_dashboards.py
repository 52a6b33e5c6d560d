"""The committed dashboards: they are what the program writes, read only the schema `analytics`, and are complete."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pglast import ast, parse_sql
from pglast.visitors import Visitor

from api.pages.assets import shipped
from grafana.__main__ import texts
from grafana.panels import QUERIES, STATES
from tests.grafana.dashboards import FOLDER, contents, expanded, panels, variables

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
VALUES = {"service": "o'neill", "month": "2026-11"}


def test_the_committed_dashboards_are_those_that_the_program_writes() -> None:
    committed = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.json")}
    assert committed == texts(), "run `make grafana`"


class _Relations(Visitor):
    """The relations and table functions of a statement with their schemas, and its common table expressions."""

    def __init__(self) -> None:
        self.found: list[tuple[str | None, str]] = []
        self.local = {"generate_series"}

    def visit_RangeVar(self, _: Any, node: ast.RangeVar) -> None:  # noqa: N802
        self.found.append((node.schemaname, str(node.relname)))

    def visit_CommonTableExpr(self, _: Any, node: ast.CommonTableExpr) -> None:  # noqa: N802
        self.local.add(str(node.ctename))

    def visit_RangeFunction(self, _: Any, node: ast.RangeFunction) -> None:  # noqa: N802
        for call, *_rest in node.functions or ():
            *schema, name = [part.sval for part in call.funcname]
            self.found.append((schema[0] if schema else None, name))


def queries() -> Iterator[tuple[str, str]]:
    """Each query as Grafana sends it, with the name of its panel or variable."""
    for panel in panels():
        yield panel.label, expanded(panel.query, AT - timedelta(days=1), AT, panel.step, VALUES)
    for board, listed in variables().items():
        for name, query in listed.items():
            yield f"{board} / {name}", query


def test_the_queries_read_only_the_schema_analytics() -> None:
    for label, query in queries():
        relations = _Relations()
        relations(parse_sql(query))
        assert relations.found, label
        schemas = {schema for schema, name in relations.found if schema is not None or name not in relations.local}
        assert schemas == {"analytics"}, label


def test_macros_are_expanded_as_grafana_does() -> None:
    query = "SELECT '$service', $__interval_ms WHERE $__timeFilter(a.at) AND x > $__timeFrom()::timestamptz"
    with pytest.raises(KeyError):
        expanded("SELECT $__timeGroup(at, '1m')", AT, AT, "15m", VALUES)
    assert expanded(query.replace(", $__interval_ms", ""), AT, AT + timedelta(hours=1), "15m", VALUES) == (
        "SELECT 'o''neill' WHERE a.at BETWEEN '2026-11-01T12:00:00Z' AND '2026-11-01T13:00:00Z' "
        "AND x > '2026-11-01T12:00:00Z'::timestamptz"
    )


def test_every_file_of_a_query_is_used() -> None:
    written = {path.read_text("utf-8").strip() for path in QUERIES.rglob("*.sql")}
    used = {panel.query for panel in panels()} | {one for listed in variables().values() for one in listed.values()}
    assert written == used


def test_dashboards_and_panels_are_complete() -> None:
    boards = contents()
    assert sorted(boards) == ["latency.json", "overview.json", "probers.json", "service.json", "sla.json"]
    assert len({content["uid"] for content in boards.values()}) == len(boards)
    for name, content in boards.items():
        assert content["schemaVersion"] == 39
        assert "id" not in content
        assert content["description"], name
        taken: Counter[tuple[int, int]] = Counter()
        for panel in content["panels"]:
            place = panel["gridPos"]
            taken.update((place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"]))
            assert place["x"] + place["w"] <= 24, f"{name} / {panel['title']}"
            assert panel["description"].endswith("."), f"{name} / {panel['title']}"
            assert panel["datasource"] == {"type": "grafana-postgresql-datasource", "uid": "sla-pg"}
            if panel["type"] == "timeseries":
                assert panel["fieldConfig"]["defaults"]["unit"], f"{name} / {panel['title']}"
        assert max(taken.values()) == 1, f"{name}: panels overlap"
        assert [panel["id"] for panel in content["panels"]] == list(range(1, len(content["panels"]) + 1))


def test_links_lead_to_dashboards() -> None:
    uids = {content["uid"] for content in contents().values()}
    for path in FOLDER.glob("*.json"):
        for part in path.read_text("utf-8").split('"/d/')[1:]:
            assert part.partition("?")[0] in uids


def test_states_have_the_colours_of_the_pages() -> None:
    css = shipped()["app.css"].decode()
    for state, color in STATES.items():
        assert f"--{state}: light-dark({color}," in css
    mapped = [
        panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
        for content in contents().values()
        for panel in content["panels"]
        if panel["type"] == "state-timeline"
    ]
    assert len(mapped) == 2
    for options in mapped:
        assert [options[str(n)]["color"] for n in range(5)] == list(STATES.values())


def test_no_dashboard_names_a_function_of_timescaledb() -> None:
    for path in FOLDER.glob("*.json"):
        text = json.dumps(json.loads(path.read_text("utf-8")))
        assert "time_bucket" not in text
        assert "timeGroup" not in text


def test_the_queries_can_be_read() -> None:
    for path in sorted(Path(QUERIES).rglob("*.sql")):
        lines = path.read_text("utf-8").splitlines()
        assert lines[0].startswith("-- "), path
        assert max(map(len, lines)) <= 144, path

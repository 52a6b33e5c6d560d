"""The files that make up the schema, in the order in which they are applied."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

import msgspec
from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from sla_monitor.checks import CHECK_TYPES
from sla_monitor.checks.config import schema
from sla_monitor.settings import Terms
from sql import query

KINDS = ("checks", "latency", "phases")
"""The files in views/of_tiers: each defines one view per tier."""
TIERS = {"15m": "quarter of an hour (UTC)", "hourly": "hour (UTC)", "daily": "day of the reporting time zone"}
"""The tiers of the rollups, with their buckets in words."""
LEGACY = frozenset(f"aggregates/{kind}_{tier}" for kind in KINDS for tier in TIERS)
"""The names of the aggregates of release 0.1 in schema_versions."""
ROLLUPS = ("functions", "service_figures", "figures_of_parts", "open_days", "folding", "strips", "rebuild", "upgrade")
"""The files of continuous_aggregates with functions, in the order in which they are applied."""
ACCOUNTING = (
    "policies",
    "known_episodes",
    "states",
    "figures",
    "burn_rates",
    "timeline",
    "history",
    "corrections",
    "saving",
)
"""The files of sql/accounting with functions, in the order in which they are applied."""
LEVELS = ("levels", "group_levels")
"""The files of sql/accounting with functions that also read the rollups."""
VIEWS = (
    "service_status",
    "service_days",
    "maintenance_periods",
    "watch_server_logs",
    "api_response_times",
    "uptime_records",
    "api_call_logs",
    "audit_log",
    "incident_history",
    "valid_sessions",
    "valid_api_tokens",
)
"""The files of sql/views, in the order in which they are applied: some views read others."""


@dataclass(frozen=True)
class Part:
    """One file of the schema. `once`: it is applied only once; others are applied again when they change."""

    name: str
    text: str
    once: bool = False

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def folder(package: str, *folders: str) -> Iterator[tuple[str, str]]:
    """The SQL files of a folder by name, with their texts."""
    directory = files(package).joinpath(*folders)
    for entry in sorted(directory.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".sql"):
            yield entry.name.removesuffix(".sql"), entry.read_text("utf-8")


def _rendered(text: str, agreed: Terms, connection: AsyncConnection[TupleRow]) -> str:
    """Inserts the terms as SQL literals, since DDL takes no parameters."""
    literals = {name: sql.Literal(value) for name, value in agreed._asdict().items()}
    return sql.SQL(text).format(**literals).as_string(connection)


def _check_schemas(connection: AsyncConnection[TupleRow]) -> str:
    """The function that returns the JSON Schema of a check type's configuration, generated from sla_monitor/checks."""
    schemas = {name: schema(kind) for name, kind in CHECK_TYPES.items()}
    literal = sql.Literal(msgspec.json.encode(schemas).decode())
    return sql.SQL(query("migrate/check_schema")).format(schemas=literal).as_string(connection)


def _views_of_tiers(connection: AsyncConnection[TupleRow]) -> list[Part]:
    texts = dict(folder("sql", "views", "of_tiers"))
    return [
        Part(
            f"views/{kind}_{tier}",
            sql.SQL(texts[kind]).format(tier=sql.SQL(tier), bucket=sql.SQL(bucket)).as_string(connection),
        )
        for kind in KINDS
        for tier, bucket in TIERS.items()
    ]


def parts_of(engine: str, agreed: Terms, connection: AsyncConnection[TupleRow], *, legacy: bool) -> list[Part]:
    """All parts of the schema for an engine. `legacy`: without those that replace the aggregates of release 0.1."""
    parts = []
    for name, text in folder("sql", "migrations"):
        number, _, variant = name.partition(".")
        if variant in ("", engine):
            parts.append(Part(f"migrations/{number}", text, once=True))
    parts.append(Part("check_types/schemas", _check_schemas(connection)))
    parts += [Part(f"functions/{name}", text) for name, text in folder("sql", "functions")]
    accounting = dict(folder("sql", "accounting"))
    parts += [Part(f"accounting/{name}", accounting[name]) for name in ACCOUNTING]
    shared = dict(folder("continuous_aggregates"))
    own = dict(folder("continuous_aggregates", engine))
    if legacy:
        shared.update(folder("continuous_aggregates", "legacy"))
    parts.append(Part("aggregates/rollups", shared["rollups"], once=True))
    parts.append(Part(f"aggregates/{engine}_rollups", own["rollups"], once=True))
    parts += [Part(f"aggregates/{name}", shared[name]) for name in ROLLUPS]
    parts.append(Part(f"aggregates/{engine}_functions", own["functions"]))
    parts += [Part(f"accounting/{name}", accounting[name]) for name in LEVELS]
    parts.append(Part("aggregates/begin_upgrade", shared["begin_upgrade"], once=True))
    if not legacy:
        parts += _views_of_tiers(connection)
    views = dict(folder("sql", "views"))
    parts += [Part(f"views/{name}", views[name]) for name in VIEWS]
    if not legacy:
        parts.append(Part("aggregates/compatibility", shared["compatibility"]))
    parts.append(Part("aggregates/policies", _rendered(own["policies"], agreed, connection)))
    return parts

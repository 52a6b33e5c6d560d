"""Values that both the database and Python have are the same: limits, states, error types, notifications, locks."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec
import psycopg
import pytest

import sql
from api.auth import api_tokens, permissions, users
from api.incidents import fields as incidents
from api.incidents import templates
from api.live.events import PUBLIC_STEP
from api.maintenance import fields as maintenance
from api.rest.idempotency import MAX_KEY_CHARACTERS
from api.services import fields as services
from api.services.names import ALL_SYSTEMS, Slug
from api.sla import corrections, subjects
from api.uptime import response_times, status
from prober.services import ErrorType, Service
from sla_monitor import heartbeats
from sla_monitor.checks import http
from sla_monitor.settings.values import SLUG
from sql.database import Actor
from worker.duties import DUTIES

ROOT = Path(__file__).parents[2]
LISTENERS = ("api/live/feed.py", "prober/services.py", "prober/catalogue.py", "prober/run.py", "worker/duties.py")

Database = psycopg.Connection[Any]


class Bounds(NamedTuple):
    """The least and the greatest value or length; None without a limit."""

    least: int | None
    most: int | None


def bounds(kind: Any) -> Bounds:
    """Returns the bounds of an annotated type."""
    metas = [meta for meta in get_args(kind)[1:] if isinstance(meta, msgspec.Meta)]
    least = [value for meta in metas for value in (meta.ge, meta.min_length) if value is not None]
    most = [value for meta in metas for value in (meta.le, meta.max_length) if value is not None]
    return Bounds(int(min(least)) if least else None, int(max(most)) if most else None)


def field(struct: type[msgspec.Struct], name: str) -> Any:
    return next(one.type for one in msgspec.structs.fields(struct) if one.name == name)


LIMITS: dict[str, Any] = {
    "services.name": services.Name,
    "services.description": services.Description,
    "services.interval_seconds": services.Interval,
    "services.timeout_ms": services.Timeout,
    "services.degraded_after_ms": services.DegradedAfter,
    "services.retries": services.Retries,
    "services.tags": services.Tags,
    "services.body": http.Body,
    "services.expected_status_codes": http.StatusCodes,
    "services.keyword": http.Keyword,
    "services.keyword_absent": http.Keyword,
    "services.json_path": http.JsonPath,
    "services.json_value": http.JsonValue,
    "services.follow_redirects": http.Redirects,
    "incidents.title": incidents.Title,
    "incidents.description": incidents.LongText,
    "incidents.detection_criteria": incidents.LongText,
    "incidents.postmortem": incidents.LongText,
    "incidents.reporter": incidents.Reporter,
    "incident_updates.description": incidents.LongText,
    "incident_comments.text": incidents.Remark,
    "templates.name": templates.Name,
    "templates.description": templates.Description,
    "templates.title": incidents.Title,
    "templates.incident_description": incidents.LongText,
    "templates.first_update": incidents.LongText,
    "templates.affected_services": incidents.Services,
    "maintenance_windows.title": incidents.Title,
    "maintenance_windows.description": incidents.LongText,
    "maintenance_windows.affected_services": maintenance.Services,
    "sla_corrections.subject": subjects.Subject,
    "sla_corrections.reason": corrections.Reason,
    "users.email": users.Email,
    "api_tokens.name": field(api_tokens.NewApiToken, "name"),
}


def constraints(database: Database) -> dict[str, str]:
    """Returns the text of the CHECK constraints of each `table.column`."""
    found = database.execute(
        "SELECT conrelid::regclass || '.' || attname, string_agg(pg_get_constraintdef(pg_constraint.oid), ' AND ') "
        "FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND ARRAY[attnum] = conkey "
        "WHERE contype = 'c' GROUP BY 1"
    ).fetchall()
    return dict(found)


def limits(constraint: str, column: str) -> Bounds:
    """Returns the bounds of the column, of its length or of its number of elements."""
    measured = rf'(?:(?:length|cardinality)\("?{column}"?\)|{column}) (>=|<=) (\d+)'
    found = {operator: int(number) for operator, number in re.findall(measured, constraint)}
    return Bounds(found.get(">="), found.get("<="))


@pytest.fixture
def connection(database: str) -> Iterable[Database]:
    with psycopg.connect(database, autocommit=True) as connected:
        yield connected


def test_limits_of_fields(connection: Database) -> None:
    known = constraints(connection)
    in_the_database = {column: limits(known[column], column.split(".")[1]) for column in LIMITS}
    assert in_the_database == {column: bounds(kind) for column, kind in LIMITS.items()}


def test_other_limits(connection: Database) -> None:
    known = constraints(connection)
    assert limits(known["idempotency_keys.key"], "key") == (1, MAX_KEY_CHARACTERS)
    assert limits(known["heartbeats.last_text"], "last_text") == (None, heartbeats.MAX_TEXT)
    assert limits(known["maintenance_windows.rrule"], "rrule") == (None, bounds(maintenance.RuleText).most)
    assert limits(known["sla_corrections.rrule"], "rrule") == (None, bounds(maintenance.RuleText).most)
    assert f"'^{SLUG}$'" in known["services.id"]
    assert f"'^{SLUG}$'" in known["locations.id"]
    assert f"'{ALL_SYSTEMS.id}'" in known["services.id"]
    assert f"^{SLUG}$" in [meta.pattern for meta in get_args(Slug)[1:]]
    assert str(next(meta.pattern for meta in get_args(users.Username)[1:])) in known["users.username"]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("user_role", permissions.Role),
        ("incident_status", incidents.IncidentStatus),
        ("incident_severity", incidents.Severity),
        ("incident_priority", incidents.Priority),
        ("service_state", status.ServiceState),
        ("severity", status.DayStatus),
    ],
)
def test_enumerations(connection: Database, name: str, known: Any) -> None:
    values = "SELECT enumlabel FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid WHERE typname = %s"
    assert {label for (label,) in connection.execute(values, [name])} == set(get_args(known))


def test_tiers(connection: Database) -> None:
    tiers = {label for (label,) in connection.execute("SELECT unnest(enum_range(NULL::rollup_tier))::text")}
    assert tiers | {"raw"} == set(get_args(response_times.Tier))


def quoted(constraint: str) -> set[str]:
    return set(re.findall(r"'([^']+)'::text", constraint))


def test_values_of_texts(connection: Database) -> None:
    known = constraints(connection)
    assert quoted(known["services.method"]) == set(get_args(http.Method))
    assert quoted(known["templates.severity"]) == set(get_args(incidents.Severity))
    assert quoted(known["templates.priority"]) == set(get_args(incidents.Priority))
    assert quoted(known["sla_corrections.scope"]) == set(get_args(subjects.Scope))
    assert quoted(known["sla_corrections.effect"]) == set(get_args(corrections.Effect))
    assert quoted(known["sla_corrections.category"]) == set(get_args(corrections.Category))
    assert quoted(known["audit_entries.actor_kind"]) == set(get_args(Actor.__annotations__["kind"]))
    events = [name for kind in get_args(heartbeats.Event) for name in get_args(kind)]
    [(pattern,)] = (re.findall(r"\^\((.*)\|\[0-9\]", known["heartbeats.last_event"]),)
    assert pattern.split("|") == events


def record(connection: Database, **fields: Any) -> tuple[int, str | None]:
    """Records one successful check with these fields. Returns the number of stored rows, and the reason for which the
    check was parked, or None."""
    row = {
        "service_id": "web",
        "location": "local",
        "finished_at": None,
        "interval_seconds": 60,
        "success": True,
        "severity": "o",
        "total_ms": 5.0,
        "attempts": 1,
        "error_type": None,
        "error_message": None,
        **fields,
    }
    with connection.transaction():
        connection.execute("DELETE FROM parked_checks")
        connection.execute(sql.query("checks/incoming"))
        connection.execute(
            "INSERT INTO incoming_checks (service_id, location, scheduled_at, finished_at, interval_seconds, success, "
            "severity, total_ms, attempts, error_type, error_message) "
            "VALUES (%(service_id)s, %(location)s, clock_timestamp(), clock_timestamp(), %(interval_seconds)s, "
            "%(success)s, %(severity)s, %(total_ms)s, %(attempts)s, %(error_type)s, %(error_message)s)",
            row,
        )
        [(stored,)] = connection.execute("SELECT stored FROM record_checks_v2()").fetchall()
        parked = connection.execute("SELECT reason FROM parked_checks").fetchone()
    return stored, parked[0] if parked is not None else None


@pytest.fixture
def watched(connection: Database) -> Database:
    """A database with the service `web` and the location `local`."""
    connection.execute("INSERT INTO services (id, name, endpoint_url) VALUES ('web', 'Web', 'http://target/')")
    connection.execute(sql.query("locations/register"), {"id": "local"})
    return connection


def test_limits_of_the_fields_of_a_check(watched: Database) -> None:
    failed = {"success": False, "severity": "mo"}
    for error_type in get_args(ErrorType):
        assert record(watched, **failed, error_type=error_type) == (1, None)
    assert record(watched, **failed, error_type="nonsense") == (0, "unknown error type")
    longest = bounds(services.Interval).most
    assert longest is not None
    assert record(watched, interval_seconds=longest) == (1, None)
    assert record(watched, interval_seconds=longest + 1) == (0, "interval out of range")
    assert record(watched, interval_seconds=int(heartbeats.MAX_COVERED.total_seconds())) == (1, None)
    assert record(watched, total_ms=heartbeats.MAX_RUN_MS) == (1, None)
    assert record(watched, total_ms=heartbeats.MAX_RUN_MS * 1.01) == (0, "time out of range")
    most_retries = bounds(services.Retries).most
    assert most_retries is not None
    assert record(watched, attempts=1 + most_retries) == (1, None)
    assert record(watched, error_message="x" * (heartbeats.MAX_MESSAGE + 1)) == (1, None)
    assert watched.execute("SELECT max(length(error_message)) FROM checks").fetchone() == (heartbeats.MAX_MESSAGE,)


def test_longest_check_covers_the_slowest_service(watched: Database) -> None:
    """longest_check() is at least the longest interval plus all attempts of the slowest service."""
    interval, timeout, retries = (bounds(kind).most for kind in (services.Interval, services.Timeout, services.Retries))
    assert watched.execute(
        "SELECT longest_check() >= make_interval(secs => %s) + check_duration(%s, %s::smallint)",
        (interval, timeout, retries),
    ).fetchone() == (True,)


def test_defaults_of_services(watched: Database) -> None:
    names = ("interval_seconds", "timeout_ms", "degraded_after_ms", "retries")
    found = watched.execute("SELECT interval_seconds, timeout_ms, degraded_after_ms, retries FROM services").fetchone()
    defaults = {one.name: one.default for one in msgspec.structs.fields(Service)}
    assert found == tuple(defaults[name] for name in names)


def test_days_of_the_status_page(connection: Database) -> None:
    lengths = connection.execute(
        "SELECT DISTINCT atttypmod FROM pg_attribute "
        "WHERE attrelid = 'day_strips'::regclass AND atttypid = 'bit'::regtype"
    ).fetchall()
    assert lengths == [(status.DAYS,)]


def test_public_events_have_the_multiples_of_one_number(connection: Database) -> None:
    for room in ("anonymous", "somewhere", "anonymous"):
        connection.execute("SELECT append_event('test', %s, '{}')", [room])
    numbers = [seq for (seq,) in connection.execute("SELECT seq FROM events ORDER BY seq")]
    assert [seq for seq in numbers if seq % PUBLIC_STEP == 0] == [PUBLIC_STEP, 2 * PUBLIC_STEP]
    assert len(numbers) == 3


def strings(paths: Iterable[Path]) -> set[str]:
    """Returns all string literals of these Python files."""
    nodes = (node for path in paths for node in ast.walk(ast.parse(path.read_text("utf-8"))))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_notifications(connection: Database) -> None:
    """Each payload has a listener, and each duty that waits for one has a sender."""
    sources = connection.execute(
        "SELECT prosrc FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND prosrc LIKE '%pg_notify%'"
    ).fetchall()
    calls = [call for (source,) in sources for call in re.findall(r"pg_notify\('(\w+)', (.*?)\);", source)]
    assert {channel for channel, _ in calls} == {"sla_monitor"}
    payloads = {payload for _, argument in calls for payload in re.findall(r"'([a-z-]+)'", argument)}
    assert payloads <= strings(ROOT / path for path in LISTENERS)
    assert {duty.woken_by for duty in DUTIES if duty.woken_by is not None} <= payloads


def test_locks_that_are_named_in_two_files(connection: Database) -> None:
    held = "SELECT classid, objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
    found = []
    for statement in (sql.query("migrate/lock_recording"), "SELECT lock_recording()"):
        with connection.transaction():
            connection.execute(statement.encode())
            found.append(connection.execute(held).fetchall())
    assert found[0] == found[1] != []
    connection.execute(sql.query("aggregates/lock"))
    assert connection.execute(sql.query("aggregates/unlock")).fetchone() == (True,)

"""Constraints of the database that a change breaks, as errors of the client's fields.

Constraints are named `<table>_<column>`, unique indexes `<table>_<column>_taken`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from psycopg.errors import CheckViolation, RestrictViolation, UniqueViolation

from api.rest.errors import ApiError, invalid
from api.rest.problems import FieldProblem, camel
from sla_monitor.texts.problems import ProblemCode

_RULES: Mapping[str, ProblemCode] = {"users_last_admin": "last_admin", "incident_updates_most": "timeline_full"}
"""Constraints about more than one row: they have no field."""
_TABLES = ("services", "users", "incidents", "templates", "maintenance_windows", "api_tokens")
_FIELDS: Mapping[str, str] = {"group_name": "group"}
"""Columns whose field has another name than the column's in camelCase."""


@contextmanager
def constraint_errors() -> Iterator[None]:
    """Raises ApiError for what the database refuses inside: 409 for what is taken or breaks a rule between rows, 400
    for a value that our own limits did not foresee."""
    try:
        yield
    except (CheckViolation, RestrictViolation, UniqueViolation) as error:
        refused = _refused(error)
        if refused is None:
            raise
        raise refused from error


def field_of(column: str) -> str:
    """The field that REST has for a column."""
    return _FIELDS.get(column) or camel(column)


def _refused(error: CheckViolation | RestrictViolation | UniqueViolation) -> ApiError | None:
    constraint = error.diag.constraint_name or ""
    if (rule := _RULES.get(constraint)) is not None:
        return ApiError(409, rule)
    table = next((table for table in _TABLES if constraint.startswith(f"{table}_")), None)
    if table is None:
        return None
    column = constraint.removeprefix(f"{table}_")
    if isinstance(error, UniqueViolation):
        return _taken(table, field_of(column.removesuffix("_taken")))
    return invalid(FieldProblem.of(field_of(column), "not_storable")) if isinstance(error, CheckViolation) else None


def _taken(table: str, field: str) -> ApiError | None:
    problem = [FieldProblem.of(field, "taken")]
    match table:
        case "users":
            return ApiError(409, "user_exists", problem, field=field)
        case "templates":
            return ApiError(409, "template_exists", problem)
    return None

"""Turns violated constraints of the database into errors that name the field of the request.

Constraints are named `<table>_<column>`, unique indexes `<table>_<column>_taken`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from psycopg.errors import CheckViolation, RestrictViolation, UniqueViolation

from api.rest.errors import ApiError, invalid
from api.rest.problems import FieldProblem, camel
from sla_monitor.texts.problems import ProblemCode

_RULES: Mapping[str, ProblemCode] = {"users_last_admin": "last_admin", "incident_updates_most": "timeline_full"}
"""Constraints on several rows. Their errors name no field."""
_TABLES = ("services", "users", "incidents", "templates", "maintenance_windows", "api_tokens", "sla_corrections")
_FIELDS: Mapping[str, str] = {"group_name": "group"}
"""Columns whose field is not the name of the column in camelCase."""


@contextmanager
def constraint_errors() -> Iterator[None]:
    """Raises ApiError for a constraint that statements in this context violate: 409 for a value that is taken or a
    constraint on several rows, 400 for an invalid value that the validation of fields has accepted."""
    try:
        yield
    except (CheckViolation, RestrictViolation, UniqueViolation) as error:
        described = _error_of(error)
        if described is None:
            raise
        raise described from error


def field_of(column: str) -> str:
    """The name of a column in REST."""
    return _FIELDS.get(column) or camel(column)


def _error_of(error: CheckViolation | RestrictViolation | UniqueViolation) -> ApiError | None:
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

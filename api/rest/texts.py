"""Validation of texts that are stored (no NUL, no control characters in labels), of lists of texts, and of UUIDs."""

from collections.abc import Sequence
from uuid import UUID

from api.rest.problems import FieldProblem
from sla_monitor.formats.one_line import fits_one_line, is_label


def line_problems(field: str, text: str | None) -> list[FieldProblem]:
    """The problems of a label: a title, a name, a tag. It must be one line and not be blank."""
    if found := control_problems(field, text):
        return found
    return [FieldProblem.of(field, "empty")] if text is not None and not is_label(text) else []


def control_problems(field: str, text: str | None) -> list[FieldProblem]:
    """The problems of a text that must be one line but may be blank: a keyword, the name of a reporter."""
    if text is None or fits_one_line(text):
        return []
    return [FieldProblem.of(field, "control_characters")]


def text_problems(field: str, text: str | None) -> list[FieldProblem]:
    """The problems of a text that may have several lines. PostgreSQL cannot store NUL."""
    return [FieldProblem.of(field, "nul")] if text is not None and "\0" in text else []


def repeated_problems(field: str, values: Sequence[str]) -> list[FieldProblem]:
    """A problem for each value of a list that is equal to an earlier one."""
    seen: set[str] = set()
    repeated = []
    for n, value in enumerate(values):
        if value in seen:
            repeated.append(FieldProblem.of(f"{field}[{n}]", "repeated"))
        seen.add(value)
    return repeated


def uuid_or_none(text: str) -> UUID | None:
    """Parses an id. Returns None if it is not a UUID."""
    try:
        return UUID(text)
    except ValueError:
        return None

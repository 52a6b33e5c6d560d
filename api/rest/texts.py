"""Validation of texts: control characters and NUL are refused before a text is stored."""

from uuid import UUID

from api.rest.problems import FieldProblem
from sla_monitor.formats.one_line import fits_one_line, is_label


def line_problems(field: str, text: str | None) -> list[FieldProblem]:
    """Problems of a label on one line: a title, a name, a tag. It must not be empty."""
    if found := control_problems(field, text):
        return found
    return [FieldProblem.of(field, "empty")] if text is not None and not is_label(text) else []


def control_problems(field: str, text: str | None) -> list[FieldProblem]:
    """Problems of another text on one line: a keyword, the name of a reporter."""
    if text is None or fits_one_line(text):
        return []
    return [FieldProblem.of(field, "control_characters")]


def text_problems(field: str, text: str | None) -> list[FieldProblem]:
    """Problems of a text with paragraphs. PostgreSQL cannot store NUL."""
    return [FieldProblem.of(field, "nul")] if text is not None and "\0" in text else []


def uuid_or_none(text: str) -> UUID | None:
    """Parses an id; None if it is not a UUID."""
    try:
        return UUID(text)
    except ValueError:
        return None

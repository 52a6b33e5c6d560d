"""What people write, before it is stored: what no field may hold, whoever shows it later."""

from uuid import UUID

from api.rest.problems import FieldProblem
from sla_monitor.formats.one_line import fits_one_line, is_label


def line_problems(field: str, text: str | None) -> list[FieldProblem]:
    """Of a text on one line that something is called by: a title, a name, a tag."""
    if found := control_problems(field, text):
        return found
    return [FieldProblem.of(field, "empty")] if text is not None and not is_label(text) else []


def control_problems(field: str, text: str | None) -> list[FieldProblem]:
    """Of any other text on one line: a keyword, the name of a reporter."""
    if text is None or fits_one_line(text):
        return []
    return [FieldProblem.of(field, "control_characters")]


def text_problems(field: str, text: str | None) -> list[FieldProblem]:
    """Of a text with paragraphs. PostgreSQL cannot store NUL at all."""
    return [FieldProblem.of(field, "nul")] if text is not None and "\0" in text else []


def uuid_or_none(text: str) -> UUID | None:
    """An id as a path has it; what is none is no id of anything."""
    try:
        return UUID(text)
    except ValueError:
        return None

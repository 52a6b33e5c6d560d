"""What people write, before it is stored: what no field may hold, whoever shows it later."""

import re
from uuid import UUID

from api.errors import FieldProblem

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_TURNED = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Characters that turn the reading direction make a text look like another one."""


def line_problems(field: str, text: str | None) -> list[FieldProblem]:
    """Of a text on one line: a title, a name."""
    if text is None:
        return []
    if not text.strip():
        return [FieldProblem(field, "must not be empty")]
    if _CONTROLS.search(text) or _TURNED.search(text):
        return [FieldProblem(field, "must not contain control characters")]
    return []


def text_problems(field: str, text: str | None) -> list[FieldProblem]:
    """Of a text with paragraphs. PostgreSQL cannot store NUL at all."""
    return [FieldProblem(field, "must not contain NUL")] if text is not None and "\0" in text else []


def uuid_or_none(text: str) -> UUID | None:
    """An id as a path has it; what is none is no id of anything."""
    try:
        return UUID(text)
    except ValueError:
        return None

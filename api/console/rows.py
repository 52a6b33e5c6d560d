"""Rows of a form: a list whose entries have several fields. The field `name` of row 2 is `prefix-2-name`."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from api.pages.forms import Form
from api.pages.problems import Problem
from api.rest.problems import FieldProblem

Row = TypeVar("Row")
_ENTRY = re.compile(r"(\w+)\[(\d+)\]")
SPARE = 1
"""Empty rows below the others."""


def read(form: Form, prefix: str, row: Callable[[str], Row], most: int) -> list[Row]:
    """The rows of a form: `row` reads the one with a prefix such as `hours-0-`. Reading ends at `most` rows."""
    count = form.number(f"{prefix}-rows")
    return [row(f"{prefix}-{n}-") for n in range(min(count, most) if isinstance(count, int) else 0)]


def padded(rows: Sequence[Row], empty: Row, more: bool = False) -> list[Row]:
    """The rows with an empty one at the end, and another one if `more`."""
    spare = 0 if rows and rows[-1] == empty else SPARE
    return [*rows, *[empty] * (spare + more)]


def placed(problems: Sequence[FieldProblem], lists: Mapping[str, tuple[str, Sequence[int]]]) -> dict[str, Problem]:
    """The first problem of each field of the form. `lists`: for a list of the request, the prefix of its rows and the
    row of each entry: `serviceHours[1].until` becomes `hours-3` if row 3 is the second one that is filled in."""
    found: dict[str, Problem] = {}
    for problem in problems:
        entry = _ENTRY.match(problem.field)
        if entry is not None and entry[1] in lists:
            prefix, numbers = lists[entry[1]]
            found.setdefault(f"{prefix}-{numbers[int(entry[2])]}", problem)
        else:
            found.setdefault(problem.field, problem)
    return found

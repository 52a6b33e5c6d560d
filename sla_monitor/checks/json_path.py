"""The JSON paths that a service may have: parsing and validation, for the API and the prober."""

import re
from functools import lru_cache

from sla_monitor.checks.problem import Problem

MAX_STEPS = 32
"""The maximum number of members and indexes in a path."""
_STEP = re.compile(r"""\.([^.\[\]'"]+)|\[(\d{1,9})\]|\['([^']*)'\]|\["([^"]*)"\]""")


@lru_cache(maxsize=4096)
def parse_json_path(path: str) -> tuple[str | int, ...]:
    """The members and indexes of a path such as `$.a.b[0].c` or `$['a key'][2]`. Raises ValueError if it is invalid.

    The syntax is the subset of RFC 9535 that selects one value: no wildcards, slices, filters or negative indexes.
    """
    steps: list[str | int] = []
    position = 1
    while path.startswith("$") and position < len(path):
        step = _STEP.match(path, position)
        if step is None:
            break
        steps.append(int(step[2]) if step[2] else next(name for name in step.group(1, 3, 4) if name is not None))
        position = step.end()
    if position != len(path) or not path.startswith("$"):
        raise ValueError("must be a JSON path such as $.a.b[0].c")
    return tuple(steps)


def json_path_problem(path: str) -> Problem | None:
    """The error if a service may not have this path, otherwise None."""
    try:
        steps = len(parse_json_path(path))
    except ValueError:
        return Problem("json_path", "json_path")
    return Problem("json_path", "json_path_steps", {"most": MAX_STEPS}) if steps > MAX_STEPS else None

"""JSON paths, as services may have them: what the API takes and the prober follows."""

import re
from functools import lru_cache

from sla_monitor.checks.config import Problem

MAX_STEPS = 32
"""Each step takes a level of the document apart."""
_STEP = re.compile(r"""\.([^.\[\]'"]+)|\[(\d{1,9})\]|\['([^']*)'\]|\["([^"]*)"\]""")


@lru_cache(maxsize=4096)
def parse_json_path(path: str) -> tuple[str | int, ...]:
    """`$.a.b[0].c`, `$['a key'][2]`: a member, an index, any depth. Raises ValueError for anything else.

    A subset of RFC 9535 that always names one value: no wildcards, slices, filters or negative indexes.
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
        raise ValueError("is not a JSON path such as $.a.b[0].c")
    return tuple(steps)


def json_path_problem(path: str) -> Problem | None:
    """Why a service may not have this path."""
    try:
        steps = len(parse_json_path(path))
    except ValueError:
        return Problem("json_path", "json_path")
    return Problem("json_path", "json_path_steps", {"most": MAX_STEPS}) if steps > MAX_STEPS else None

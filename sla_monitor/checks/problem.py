"""What is wrong with a field of a check configuration."""

from collections.abc import Mapping
from typing import NamedTuple

from sla_monitor.texts.problems import Parameter, ProblemCode


class Problem(NamedTuple):
    """An invalid field: its name in Python and SQL, and an error code with parameters."""

    field: str
    code: ProblemCode
    parameters: Mapping[str, Parameter] = {}

"""What is wrong with a field of a request, as REST and sockets send it."""

import msgspec

from sla_monitor.texts.problems import Parameter, ProblemCode, text_of

PROBLEM = "problem"
"""The key of `Meta(extra=…)` under which a pattern names the code for what does not match it."""


class FieldProblem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong with one field of a request: `intervalSeconds`, `tags[2]`, `body` for the whole of it. `message` is
    the English text of `code` with its `parameters`."""

    field: str
    message: str
    code: ProblemCode
    parameters: dict[str, Parameter] = {}

    @classmethod
    def of(cls, field: str, code: ProblemCode, **parameters: Parameter) -> "FieldProblem":
        return cls(field, text_of(code, parameters), code, parameters)


def camel(name: str) -> str:
    """`start_date` -> `startDate`, `from_` -> `from`."""
    head, *tail = name.strip("_").split("_")
    return head + "".join(part.capitalize() for part in tail)

"""The problems of the fields of a request, in error responses of REST and error events of sockets."""

import msgspec

from sla_monitor.texts.problems import Parameter, ProblemCode, text_of

PROBLEM = "problem"
"""The key in `Meta(extra=…)` of a type with a pattern: the code of the problem if a value does not match it."""


class FieldProblem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The problem of one field. `field`: its path, such as `intervalSeconds` or `tags[2]`; `body` for the whole body.
    `message`: the English text of `code` with its `parameters`."""

    field: str
    message: str
    code: ProblemCode
    parameters: dict[str, Parameter] = {}

    @classmethod
    def of(cls, field: str, code: ProblemCode, **parameters: Parameter) -> "FieldProblem":
        """The problem with the text of its code."""
        return cls(field, text_of(code, parameters), code, parameters)


def camel(name: str) -> str:
    """The name of a Python attribute in camelCase: `start_date` -> `startDate`, `from_` -> `from`."""
    head, *tail = name.strip("_").split("_")
    return head + "".join(part.capitalize() for part in tail)

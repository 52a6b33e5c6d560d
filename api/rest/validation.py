"""Conversion of JSON to types. A value that does not fit raises a 400 with the problem of each field.

A struct with the class method `problems_of_rest` finds further problems of such a value: it gets the fields whose types
fit, so that all problems of a body are reported at once.
"""

import re
from typing import Any, TypeVar

import msgspec

from api.rest.errors import invalid
from api.rest.problems import FieldProblem
from api.rest.violations import violations

T = TypeVar("T")


def converted(value: Any, kind: type[T]) -> T:
    """Converts a decoded JSON value to the type `kind`. Raises ApiError 400."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        found = violations(value, kind)
        raise invalid(*found, *_problems_of_rest(value, kind, found)) from None


def _problems_of_rest(value: Any, kind: Any, found: list[FieldProblem]) -> list[FieldProblem]:
    """The further problems of the fields of `value` that are not in `found`."""
    if not isinstance(value, dict) or not hasattr(kind, "problems_of_rest"):
        return []
    wrong = {re.split(r"[.\[]", problem.field)[0] for problem in found}
    rest: list[FieldProblem] = kind.problems_of_rest({name: value[name] for name in value.keys() - wrong})
    return rest


def decoded(data: msgspec.Raw | bytes, kind: type[T]) -> T:
    """Decodes JSON to the type `kind`. Raises ApiError 400 for a value that does not fit, and msgspec.DecodeError,
    UnicodeDecodeError or RecursionError for invalid JSON."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError:
        raise invalid(*violations(msgspec.json.decode(data), kind)) from None

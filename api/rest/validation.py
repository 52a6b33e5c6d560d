"""JSON values by their types: what does not fit is a 400 with the code of each fault."""

from typing import Any, TypeVar

import msgspec

from api.rest.errors import invalid
from api.rest.violations import violations

T = TypeVar("T")


def converted(value: Any, kind: type[T]) -> T:
    """`value`, as `msgspec.json.decode` makes it, as a `kind`. Raises ApiError 400."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        raise invalid(*violations(value, kind)) from None


def decoded(data: msgspec.Raw | bytes, kind: type[T]) -> T:
    """The JSON text `data` as a `kind`. Raises ApiError 400; msgspec.DecodeError, UnicodeDecodeError or RecursionError
    for what is no JSON."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError:
        raise invalid(*violations(msgspec.json.decode(data), kind)) from None

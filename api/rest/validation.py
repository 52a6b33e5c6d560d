"""Conversion of JSON to types. A value that does not fit raises a 400 with the problem of each field."""

from typing import Any, TypeVar

import msgspec

from api.rest.errors import invalid
from api.rest.violations import violations

T = TypeVar("T")


def converted(value: Any, kind: type[T]) -> T:
    """Converts a decoded JSON value to the type `kind`. Raises ApiError 400."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        raise invalid(*violations(value, kind)) from None


def decoded(data: msgspec.Raw | bytes, kind: type[T]) -> T:
    """Decodes JSON to the type `kind`. Raises ApiError 400 for a value that does not fit, and msgspec.DecodeError,
    UnicodeDecodeError or RecursionError for invalid JSON."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError:
        raise invalid(*violations(msgspec.json.decode(data), kind)) from None

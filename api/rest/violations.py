"""Finds the fields of a value that violate the constraints of its type.

msgspec reports only the first violation, as an English sentence. This module walks the type (`msgspec.inspect`) and the
value together and reports every violation with its field, a code and parameters. It runs only after msgspec has
refused the value.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from itertools import islice
from typing import Annotated, Any

import msgspec
from msgspec import inspect

from api.rest.problems import PROBLEM, FieldProblem
from sla_monitor.texts.problems import ProblemCode

MOST = 50
"""At most this many violations are reported. A body of 256 KiB could have tens of thousands."""
WHOLE = "body"
_Zoned = Annotated[datetime, msgspec.Meta(tz=True)]
_KINDS: Sequence[tuple[type, type, ProblemCode]] = (
    (inspect.StrType, str, "not_text"),
    (inspect.IntType, int, "not_number"),
    (inspect.BoolType, bool, "not_boolean"),
    (inspect.ListType, list, "not_list"),
    (inspect.VarTupleType, list, "not_list"),
    (inspect.DictType, dict, "not_object"),
    (inspect.StructType, dict, "not_object"),
    (inspect.DateTimeType, str, "time"),
    (inspect.DateType, str, "day"),
)
"""For each type: the kind of JSON value that it accepts, and the code of the problem for other kinds."""


def violations(value: Any, kind: Any, field: str = "") -> list[FieldProblem]:
    """The violations of the type `kind` by `value`, a decoded JSON value: at least one and at most MOST. `field`: the
    path of the value in the request."""
    found = list(islice(_violations(value, inspect.type_info(kind), field), MOST))
    return found or [FieldProblem.of(field or WHOLE, "invalid")]


def _violations(value: Any, kind: inspect.Type, field: str, code: ProblemCode | None = None) -> Iterator[FieldProblem]:
    """The violations of one type. `code`: the code for texts that do not match the pattern of the type, and for values
    of a float type that are no numbers or not within its limits."""
    match kind:
        case inspect.Metadata():
            yield from _violations(value, kind.type, field, (kind.extra or {}).get(PROBLEM, code))
        case inspect.UnionType():
            yield from _violations_of_union(value, kind, field, code)
        case inspect.LiteralType():
            if not any(type(value) is type(known) and value == known for known in kind.values):
                yield FieldProblem.of(field or WHOLE, "choice", choices=[str(known) for known in kind.values])
        case inspect.NoneType() | inspect.AnyType():
            return
        case _ if (wrong := _wrong_kind(value, kind)) is not None:
            yield FieldProblem.of(field or WHOLE, wrong)
        case inspect.StrType():
            yield from _violations_of_text(value, kind, field or WHOLE, code)
        case inspect.IntType():
            yield from _violations_of_number(value, kind, field or WHOLE)
        case inspect.FloatType():
            if not _is_within(value, kind):
                yield FieldProblem.of(field or WHOLE, code or "invalid")
        case inspect.ListType() | inspect.VarTupleType():
            yield from _violations_of_length(value, kind, field or WHOLE)
            for n, item in enumerate(value):
                yield from _violations(item, kind.item_type, f"{field}[{n}]")
        case inspect.DictType():
            yield from _violations_of_length(value, kind, field or WHOLE)
            for name, item in value.items():
                yield from _violations(name, kind.key_type, f"{field}[...]")
                yield from _violations(item, kind.value_type, f"{field}[...]")
        case inspect.StructType():
            yield from _violations_of_object(value, kind, field)
        case inspect.DateTimeType() | inspect.DateType():
            if not _is_moment(value, kind):
                yield FieldProblem.of(field or WHOLE, "day" if isinstance(kind, inspect.DateType) else "time")


def _violations_of_union(
    value: Any, union: inspect.UnionType, field: str, code: ProblemCode | None
) -> Iterator[FieldProblem]:
    """The violations of the first member of the union that accepts this kind of JSON value, or of the first member if
    none does."""
    members = [member for member in union.types if not isinstance(member, inspect.NoneType)]
    if value is None and len(members) < len(union.types):
        return
    fitting = next((member for member in members if _wrong_kind(value, bare(member)) is None), members[0])
    yield from _violations(value, fitting, field, code)


def _violations_of_object(value: dict[str, Any], struct: inspect.StructType, field: str) -> Iterator[FieldProblem]:
    start = f"{field}." if field else ""
    known = {member.encode_name: member for member in struct.fields}
    for name, member in known.items():
        if name in value:
            yield from _violations(value[name], member.type, start + name)
        elif member.required:
            yield FieldProblem.of(start + name, "required")
    if struct.forbid_unknown_fields:
        for name in value:
            if name not in known:
                yield FieldProblem.of(f"{start}{name}"[:200], "unknown_field")


def _violations_of_text(
    value: str, kind: inspect.StrType, field: str, code: ProblemCode | None
) -> Iterator[FieldProblem]:
    if kind.min_length is not None and len(value) < kind.min_length:
        yield (
            FieldProblem.of(field, "empty") if not value else FieldProblem.of(field, "too_short", least=kind.min_length)
        )
    elif kind.max_length is not None and len(value) > kind.max_length:
        yield FieldProblem.of(field, "too_long", most=kind.max_length)
    elif kind.pattern is not None and re.search(kind.pattern, value) is None:
        yield FieldProblem.of(field, code) if code else FieldProblem.of(field, "pattern", pattern=kind.pattern)


def _violations_of_number(value: int, kind: inspect.IntType, field: str) -> Iterator[FieldProblem]:
    least = kind.ge if kind.ge is not None else kind.gt + 1 if kind.gt is not None else None
    most = kind.le if kind.le is not None else kind.lt - 1 if kind.lt is not None else None
    if least is not None and value < least:
        yield FieldProblem.of(field, "too_small", least=int(least))
    elif most is not None and value > most:
        yield FieldProblem.of(field, "too_large", most=int(most))


def _violations_of_length(
    value: Any, kind: inspect.ListType | inspect.VarTupleType | inspect.DictType, field: str
) -> Iterator[FieldProblem]:
    if kind.min_length is not None and len(value) < kind.min_length:
        yield FieldProblem.of(field, "too_few", least=kind.min_length) if value else FieldProblem.of(field, "empty")
    elif kind.max_length is not None and len(value) > kind.max_length:
        yield FieldProblem.of(field, "too_many", most=kind.max_length)


def _wrong_kind(value: Any, kind: inspect.Type) -> ProblemCode | None:
    """The code of the problem if the type does not accept this kind of JSON value; None if it does, or if the type is
    not in `_KINDS`."""
    for of_type, takes, code in _KINDS:
        if isinstance(kind, of_type):
            fits = isinstance(value, takes) and (takes is bool or not isinstance(value, bool))
            return None if fits else code
    return None


def bare(kind: inspect.Type) -> inspect.Type:
    """The type without its metadata."""
    return bare(kind.type) if isinstance(kind, inspect.Metadata) else kind


def _is_within(value: Any, kind: inspect.FloatType) -> bool:
    """Whether the value is a number within the limits of the type."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and (kind.gt is None or value > kind.gt)
        and (kind.ge is None or value >= kind.ge)
        and (kind.lt is None or value < kind.lt)
        and (kind.le is None or value <= kind.le)
    )


def _is_moment(value: str, kind: inspect.DateTimeType | inspect.DateType) -> bool:
    try:
        msgspec.convert(value, date if isinstance(kind, inspect.DateType) else _Zoned if kind.tz else datetime)
    except msgspec.ValidationError:
        return False
    return True

"""Finds out which parameters of the query, path or header Litestar has refused, and why."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from litestar import Request
from litestar.exceptions import ValidationException
from litestar.params import HeaderParameter, ParameterKwarg
from msgspec import inspect

from api.rest.problems import FieldProblem, camel
from api.rest.violations import bare, violations

_NUMBER = re.compile("-?[0-9]{1,1000}")
_FLAGS: Mapping[str, bool] = {"true": True, "1": True, "false": False, "0": False}


def parameter_problems(error: ValidationException, request: Request[Any, Any, Any] | None) -> list[FieldProblem]:
    """The problems of the parameters that `error` names. Its messages are English texts of msgspec and are not used."""
    items = error.extra if isinstance(error.extra, list) else []
    known = request is not None and "route_handler" in request.scope
    found = [problem for item in items if request is not None and known for problem in _problems(item, request)]
    return found or [FieldProblem.of("request", "invalid")]


def _problems(item: Mapping[str, str], request: Request[Any, Any, Any]) -> Iterator[FieldProblem]:
    key = item.get("key", "").partition(".")[0]
    handler: Any = request.scope["route_handler"]
    if key == "data":  # the body is empty
        yield FieldProblem.of("body", "not_object")
    elif key in handler.parsed_fn_signature.parameters:
        definition = handler.parsed_fn_signature.parameters[key].kwarg_definition
        name = (definition.name if isinstance(definition, ParameterKwarg) else None) or camel(key)
        given = request.headers if isinstance(definition, HeaderParameter) else request.query_params
        kind = handler.signature_model.__annotations__[key]
        yield from violations(_read(given.get(name), kind), kind, name)


def _read(text: str | None, kind: Any) -> Any:
    """The text of a parameter as a number or boolean if the type is one and the text represents one; else the text."""
    if text is None:
        return None
    info = bare(inspect.type_info(kind))
    members = [bare(member) for member in info.types] if isinstance(info, inspect.UnionType) else [info]
    if any(isinstance(member, inspect.IntType) for member in members) and _NUMBER.fullmatch(text):
        return int(text)
    if any(isinstance(member, inspect.BoolType) for member in members):
        return _FLAGS.get(text.lower(), text)
    return text

"""Every request type refuses every kind of invalid value with an error code, and never with a message of msgspec."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple, get_args, get_type_hints

import msgspec
import pytest
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from litestar.routes import HTTPRoute
from msgspec import inspect

from api.live import messages
from api.rest.problems import PROBLEM, FieldProblem
from api.rest.violations import MOST, violations
from api.routes import RESOURCES
from sla_monitor.texts.problems import ProblemCode
from tests.api.conftest import Api, create_user
from tests.api.people import Db

CODES = get_args(ProblemCode)
MSGSPEC = re.compile("Expected `|Object (missing|contains)|Invalid (enum|RFC|UUID)|JSON is malformed| - at `")
EXAMPLES = {
    "slug": "shop",
    "username": "kim",
    "email": "kim@example.com",
    "time_of_day": "08:00",
    "empty": "x",
    "nul": "x",
}
"""Valid texts by the code of their pattern."""


def handlers() -> Iterator[tuple[str, HTTPRouteHandler]]:
    for module in RESOURCES:
        for route in module.router.routes:
            assert isinstance(route, HTTPRoute)
            for handler in route.route_handlers:
                if handler.http_methods != {"OPTIONS"}:
                    yield route.path, handler


def body_types(handler: HTTPRouteHandler) -> tuple[Any, ...]:
    """Returns the types of the body of a route: none, one, or one for each check type."""
    kind = get_type_hints(handler.fn, include_extras=True).get("data")
    return handler.opt.get("body") or ((get_args(kind)[0],) if kind is not None else ())


BODIES = {kind for _, handler in handlers() for kind in body_types(handler)}
MESSAGES = {
    kind
    for kind in vars(messages).values()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__module__ == messages.__name__
}
STRUCTS = sorted(BODIES | MESSAGES, key=lambda kind: kind.__name__)


def bare(kind: inspect.Type) -> tuple[inspect.Type, str | None]:
    """Returns the first type that is not null, and the code of its pattern."""
    if isinstance(kind, inspect.Metadata):
        return bare(kind.type)[0], (kind.extra or {}).get(PROBLEM) or bare(kind.type)[1]
    if isinstance(kind, inspect.UnionType):
        return bare(next(member for member in kind.types if not isinstance(member, inspect.NoneType)))
    return kind, None


def valid_value(kind: inspect.Type) -> Any:
    kind, code = bare(kind)
    match kind:
        case inspect.StrType():
            return EXAMPLES[code] if code else "x" * max(kind.min_length or 1, 1)
        case inspect.IntType():
            return kind.ge or 1
        case inspect.FloatType():
            return 0.5
        case inspect.BoolType():
            return True
        case inspect.LiteralType():
            return kind.values[0]
        case inspect.DateTimeType():
            return datetime(2026, 11, 23, tzinfo=UTC).isoformat()
        case inspect.DateType():
            return "2026-11-23"
        case inspect.ListType() | inspect.VarTupleType():
            return [valid_value(kind.item_type)]
        case inspect.DictType():
            return {}
        case inspect.StructType():
            return {field.encode_name: valid_value(field.type) for field in kind.fields if field.required}
        case inspect.AnyType():
            return {}
    raise AssertionError(kind)


class Case(NamedTuple):
    value: Any
    place: str
    """The rest of the path after the field, such as `[0]` or `.title`."""
    code: str
    parameters: dict[str, Any]


def invalid_values(kind: inspect.Type) -> Iterator[Case]:
    """Yields values of this type with one error each, for every kind of error."""
    kind, code = bare(kind)
    match kind:
        case inspect.StrType():
            yield Case(5, "", "not_text", {})
            if kind.min_length == 1:
                yield Case("", "", "empty", {})
            elif kind.min_length is not None:
                yield Case("x" * (kind.min_length - 1), "", "too_short", {"least": kind.min_length})
            if kind.max_length is not None:
                yield Case("x" * (kind.max_length + 1), "", "too_long", {"most": kind.max_length})
            if kind.pattern is not None:
                assert code, f"{kind.pattern} names no code"
                yield Case("\0" if code == "nul" else " ", "", code, {})
        case inspect.IntType():
            for invalid in ("5", True, 1.5):
                yield Case(invalid, "", "not_number", {})
            if kind.ge is not None:
                yield Case(kind.ge - 1, "", "too_small", {"least": kind.ge})
            if kind.le is not None:
                yield Case(10**30, "", "too_large", {"most": kind.le})
        case inspect.FloatType():
            assert code and kind.le is not None, "the type has no code or no limit"
            for invalid in ("5", True, (kind.ge or kind.gt or 0) - 0.5, kind.le + 0.5, 10**400):
                yield Case(invalid, "", code, {})
        case inspect.BoolType():
            yield Case(0, "", "not_boolean", {})
        case inspect.LiteralType():
            for invalid in ("no such thing", 5):
                yield Case(invalid, "", "choice", {"choices": list(kind.values)})
        case inspect.DateTimeType():
            for invalid in ("yesterday", "2026-11-23T14:00:00", 1795442400):
                yield Case(invalid, "", "time", {})
        case inspect.DateType():
            for invalid in ("2026-02-30", "2026-11-23T14:00:00Z", 20261123):
                yield Case(invalid, "", "day", {})
        case inspect.ListType() | inspect.VarTupleType():
            yield Case("x", "", "not_list", {})
            if kind.min_length is not None:
                yield Case([], "", "empty", {})
            if kind.max_length is not None:
                value = [valid_value(kind.item_type)] * (kind.max_length + 1)
                yield Case(value, "", "too_many", {"most": kind.max_length})
            for case in invalid_values(kind.item_type):
                yield case._replace(value=[valid_value(kind.item_type), case.value], place="[1]" + case.place)
        case inspect.DictType():
            yield Case([], "", "not_object", {})
            if not isinstance(kind.value_type, inspect.AnyType):
                yield Case({"x": []}, "[...]", "not_text", {})
        case inspect.StructType():
            yield Case([], "", "not_object", {})
            yield from (case._replace(place="." + case.place) for case in of_object(kind))


def of_object(struct: inspect.StructType) -> Iterator[Case]:
    whole = {field.encode_name: valid_value(field.type) for field in struct.fields}
    for field in struct.fields:
        name = field.encode_name
        for case in invalid_values(field.type):
            yield case._replace(value=whole | {name: case.value}, place=name + case.place)
        if field.required:
            yield Case({key: value for key, value in whole.items() if key != name}, name, "required", {})
    if struct.forbid_unknown_fields:
        yield Case(whole | {"isSuperuser": True}, "isSuperuser", "unknown_field", {})


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda kind: kind.__name__)
def test_each_error_has_its_field_code_and_parameters(struct: type) -> None:
    kind = inspect.type_info(struct)
    assert isinstance(kind, inspect.StructType)
    for case in of_object(kind):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(case.value, struct)
        [found] = violations(case.value, struct)
        assert (found.field, found.code, found.parameters) == (case.place, case.code, case.parameters), found
        assert not MSGSPEC.search(found.message)


def test_the_types_of_all_routes_and_messages_are_found() -> None:
    assert len(BODIES) >= 15
    assert len(MESSAGES) >= 6


def test_all_errors_are_listed_up_to_a_limit() -> None:
    kind = next(kind for kind in BODIES if kind.__name__ == "NewHttpService")
    found = violations({"id": "A B", "endpointUrl": 5, "tags": ["", "x"]}, kind)
    assert {(problem.field, problem.code) for problem in found} == {
        ("id", "slug"),
        ("name", "required"),
        ("endpointUrl", "not_text"),
        ("tags[0]", "empty"),
    }
    assert len(violations({"id": "a", "tags": [5] * 5000}, kind)) == MOST


def test_an_error_that_is_not_found_has_a_generic_code() -> None:
    """msgspec refuses the value and violations() accepts it."""
    assert violations({}, dict[str, int]) == [FieldProblem.of("body", "invalid")]


async def test_no_response_has_a_message_of_msgspec(api: Api, db: Db) -> None:
    """Sends every body with all fields invalid, and every query parameter with invalid values."""
    headers = (await create_user(db, "admin")).headers | {"content-type": "application/json"}
    refused = 0
    for described, handler in handlers():
        kinds, method = body_types(handler), next(iter(handler.http_methods))
        path = re.sub(r"\{\w+:int\}", "1", re.sub(r"\{\w+:str\}", "x", described))
        if path.startswith("/api/auth"):  # these count as login attempts
            continue
        requests: list[dict[str, Any]] = []
        for kind in kinds:
            info = inspect.type_info(kind)
            assert isinstance(info, inspect.StructType)
            invalid = {
                field.encode_name: next(invalid_values(field.type)).value
                for field in info.fields
                if list(invalid_values(field.type))
            }
            requests += [
                {"json": invalid},
                {"json": {}},
                {"json": []},
                {"json": {"isSuperuser": True}},
                {"content": b""},
            ]
        for name, hint in get_type_hints(handler.fn, include_extras=True).items():
            if any(isinstance(found, QueryParameter) for found in getattr(hint, "__metadata__", ())):
                parameter = next(found for found in hint.__metadata__ if isinstance(found, QueryParameter))
                requests += [{"params": {parameter.name or name: value}} for value in ("", "0", "-1", "x" * 4000)]
        for request in requests:
            response = await api.http.request(method, path, headers=headers, **request)
            assert response.status_code < 500, f"{method} {path} {request}: {response.text[:300]}"
            assert not MSGSPEC.search(response.text), response.text
            if response.status_code == 400:
                refused += 1
                assert all(problem["code"] in CODES for problem in response.json()["details"])
                assert response.json()["details"] or response.json()["reason"] != "invalid_request"
    assert refused > 40

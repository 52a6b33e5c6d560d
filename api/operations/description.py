"""Completes the OpenAPI document that Litestar generates.

The schemas of bodies are replaced by those of msgspec, which validates the bodies: Litestar's schemas do not contain
the limits of list items and nullable values, and they do not say that unknown fields are refused. For all routes this
module also adds the 304 of the response cache, and the headers of the cache and of the rate limits."""

import re
from collections.abc import Iterable, Iterator
from copy import deepcopy
from inspect import cleandoc
from typing import Any

import msgspec
from litestar import Litestar, MediaType
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.routes import HTTPRoute
from litestar.typing import FieldDefinition

from api.auth.permissions import ROLES, RULES, Rule
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable

Json = dict[str, Any]
VERSIONED = frozenset(
    {
        *("IncidentResponse", "UpdateResponse", "IncidentConflict", "WindowResponse", "Conflict"),
        *("PolicyResponse", "PolicyConflict", "Report"),
    }
)
"""The schemas of responses with an ETag of their own."""
_SCHEMAS = "#/components/schemas/"
_INTEGER = {"type": "integer", "minimum": 0}
HEADERS: Json = {
    "RateLimit-Limit": {
        "description": "The number of requests that one client may send in a window",
        "schema": _INTEGER,
    },
    "RateLimit-Remaining": {"description": "The number of requests that are left in this window", "schema": _INTEGER},
    "RateLimit-Reset": {"description": "Seconds until the window ends", "schema": _INTEGER},
    "Retry-After": {"description": "Seconds to wait before the next request", "required": True, "schema": _INTEGER},
    "WWW-Authenticate": {"description": "The authentication scheme", "required": True, "schema": {"type": "string"}},
    "ETag": {
        "description": "For `If-None-Match`; for `If-Match` if the route accepts it",
        "schema": {"type": "string"},
    },
    "X-Cache": {
        "description": "STALE: a stale response, because the database cannot be reached or the rate limit is used up. "
        "HIT and MISS are sent only with LOG_LEVEL=debug",
        "schema": {"enum": ["HIT", "MISS", "STALE"]},
    },
}
_LIMITED = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
_ALWAYS = {"401": ("WWW-Authenticate",), "429": ("Retry-After",), "503": ("Retry-After",)}


class ExactDescription(JsonRenderPlugin):
    """Renders /openapi.json. `cacheable`: the routes whose responses may come from the cache."""

    def __init__(self, cacheable: Iterable[Cacheable]) -> None:
        super().__init__(path=["/", "/openapi.json"], media_type=MediaType.JSON)
        self._cacheable = {route.path for route in cacheable}

    def render(self, request: ApiRequest, openapi_schema: Json) -> bytes:
        document = deepcopy(openapi_schema)
        _describe_types(document, request.app)
        document["components"]["headers"] = HEADERS
        for handler, operation in _operations(document, request.app):
            operation["description"] += _required_role(RULES[handler.opt["action"]])
            if "body" in handler.opt:
                _describe_body(operation, handler.opt["body"])
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                _describe_parameters(operation.get("parameters", ()))
                cached = method == "get" and not self._cacheable.isdisjoint(_cache_paths(path))
                _describe_responses(path, operation["responses"], cached=cached)
        return self.render_json(request, document)


def _describe_types(document: Json, app: Litestar) -> None:
    """Replaces the schemas of bodies and responses by those of msgspec. Keeps the examples."""
    components = document["components"]["schemas"]
    handlers = (handler for route in app.routes if isinstance(route, HTTPRoute) for handler in route.route_handlers)
    types = {struct for handler in handlers if handler.include_in_schema for struct in _types(handler)}
    exact = msgspec.json.schema_components(types, ref_template=_SCHEMAS + "{name}")[1]
    for name, schema in exact.items():
        if "description" in schema:
            schema["description"] = cleandoc(schema["description"])
        if "examples" in (generated := components.get(name, {})):
            schema["examples"] = generated["examples"]
        components[name] = schema


def _types(handler: HTTPRouteHandler) -> Iterator[type[msgspec.Struct]]:
    """The types of the request body and of all responses."""
    fields = [handler.parsed_fn_signature.return_type]
    if handler.parsed_data_field is not None:
        fields.append(handler.parsed_data_field)
    fields += [FieldDefinition.from_annotation(spec.data_container) for spec in (handler.responses or {}).values()]
    for field in fields:
        yield from _structs(field)
    yield from handler.opt.get("body", ())


def _operations(document: Json, app: Litestar) -> Iterator[tuple[HTTPRouteHandler, Json]]:
    """The operations of the document, each with its handler."""
    for route in app.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            for method in handler.http_methods:
                operation = document["paths"].get(route.path_format, {}).get(method.lower())
                if operation is not None:
                    yield handler, operation


def _describe_body(operation: Json, types: Iterable[type[msgspec.Struct]]) -> None:
    """Describes a body of one of several types: the `type` in the body selects one."""
    content = operation["requestBody"]["content"]["application/json"]
    examples = {"examples": content["schema"]["examples"]} if "examples" in content["schema"] else {}
    content["schema"] = {"anyOf": [{"$ref": _SCHEMAS + kind.__name__} for kind in types]} | examples


def _required_role(rule: Rule) -> str:
    """A sentence on the role that a rule requires; empty if it permits anonymous clients."""
    if rule.least is None:
        return ""
    text = f" Requires the role `{rule.least}`" + (" or higher" if rule.least != ROLES[-1] else "")
    text += f", for the user's own objects `{rule.own}`" if rule.own is not None else ""
    return text + (". API tokens are refused." if rule.people_only else ".")


def _structs(field: FieldDefinition) -> Iterator[type[msgspec.Struct]]:
    if not field.is_union and field.is_subclass_of(msgspec.Struct):
        yield field.annotation
    for inner in field.inner_types:
        yield from _structs(inner)


def _describe_parameters(parameters: Iterable[Json]) -> None:
    """Removes null from optional parameters: queries and headers have no null."""
    for parameter in parameters:
        schema = parameter["schema"]
        if {"type": "null"} in schema.get("oneOf", ()):
            schema |= next(kind for kind in schema.pop("oneOf") if kind != {"type": "null"})
        if None in schema.get("enum", ()):
            schema |= {"type": "string", "enum": [value for value in schema["enum"] if value is not None]}


def _cache_paths(path: str) -> set[str]:
    """The paths by which a `Cacheable` can name the route with this path."""
    return {path, path[: path.rfind("/") + 1], re.sub(r"{\w+}(?=/)", "*", path)}


def _describe_responses(path: str, responses: Json, *, cached: bool) -> None:
    """Adds the headers of each response, and the 304 if the response may come from the cache."""
    if cached:
        responses.setdefault("304", {"description": "The client's copy is current"})
    for status, response in responses.items():
        schema = response.get("content", {}).get("application/json", {}).get("schema", {})
        if "oneOf" in schema:  # a response may match several of the schemas
            schema["anyOf"] = schema.pop("oneOf")
        from_cache = cached and status in ("200", "304")
        versioned = status == "304" or (status == "200" and "304" in responses)
        versioned = versioned or schema.get("$ref", "").removeprefix(_SCHEMAS) in VERSIONED
        names = [
            *(_LIMITED if path.startswith("/api/") else ()),
            *_ALWAYS.get(status, ()),
            *(("ETag",) if from_cache or versioned else ()),
            *(("X-Cache",) if from_cache else ()),
        ]
        described = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
        response["headers"] = response.get("headers", {}) | described

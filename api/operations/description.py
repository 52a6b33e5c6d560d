"""Makes the OpenAPI document as exact as the server: what Litestar leaves out of it, or says too loosely, is put right.

Schemas of bodies are msgspec's own, by which bodies are read: Litestar's lack the limits of what is inside a list or
may be null, and that unknown fields are refused. The headers and the 304 that the layers around Litestar add to answers
(answers.py, limits.py) are described here, where they can be told for all routes at once.
"""

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

from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable

Json = dict[str, Any]
VERSIONED = frozenset({"IncidentAnswer", "UpdateAnswer", "IncidentConflict", "WindowAnswer", "Conflict"})
"""The schemas of answers that carry the version of what they show."""
_SCHEMAS = "#/components/schemas/"
_SECONDS = {"type": "integer", "minimum": 0}
HEADERS: Json = {
    "RateLimit-Limit": {"description": "How many calls one client has in a window", "schema": _SECONDS},
    "RateLimit-Remaining": {"description": "How many of them are left", "schema": _SECONDS},
    "RateLimit-Reset": {"description": "Seconds until the window ends", "schema": _SECONDS},
    "Retry-After": {"description": "Seconds to wait before the next try", "required": True, "schema": _SECONDS},
    "WWW-Authenticate": {"description": "How to log in", "required": True, "schema": {"type": "string"}},
    "ETag": {"description": "For `If-None-Match`, and `If-Match` where that is taken", "schema": {"type": "string"}},
    "X-Cache": {
        "description": "STALE: the last snapshot, while the database is away or the limit is used up. HIT or MISS with "
        "LOG_LEVEL=debug only",
        "schema": {"enum": ["HIT", "MISS", "STALE"]},
    },
}
_LIMITED = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
_ALWAYS = {"401": ("WWW-Authenticate",), "429": ("Retry-After",), "503": ("Retry-After",)}


class ExactDescription(JsonRenderPlugin):
    """What /openapi.json answers. The answers of the routes in `kept` come from memory."""

    def __init__(self, kept: Iterable[Cacheable]) -> None:
        super().__init__(path=["/", "/openapi.json"], media_type=MediaType.JSON)
        self._kept = {route.path for route in kept}

    def render(self, request: ApiRequest, openapi_schema: Json) -> bytes:
        document = deepcopy(openapi_schema)
        _describe_types(document, request.app)
        document["components"]["headers"] = HEADERS
        _describe_bodies(document, request.app)
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                _describe_parameters(operation.get("parameters", ()))
                kept = method == "get" and not self._kept.isdisjoint({path, path[: path.rfind("/") + 1]})
                _describe_answers(path, operation["responses"], kept=kept)
        return self.render_json(request, document)


def _describe_types(document: Json, app: Litestar) -> None:
    components = document["components"]["schemas"]
    handlers = (handler for route in app.routes if isinstance(route, HTTPRoute) for handler in route.route_handlers)
    types = {struct for handler in handlers if handler.include_in_schema for struct in _types(handler)}
    exact = msgspec.json.schema_components(types, ref_template=_SCHEMAS + "{name}")[1]
    for name, schema in exact.items():
        if "description" in schema:
            schema["description"] = cleandoc(schema["description"])
        if "examples" in (shown := components.get(name, {})):
            schema["examples"] = shown["examples"]
        components[name] = schema


def _types(handler: HTTPRouteHandler) -> Iterator[type[msgspec.Struct]]:
    """Of the body, of the good answer, and of the others."""
    fields = [handler.parsed_fn_signature.return_type]
    if handler.parsed_data_field is not None:
        fields.append(handler.parsed_data_field)
    fields += [FieldDefinition.from_annotation(spec.data_container) for spec in (handler.responses or {}).values()]
    for field in fields:
        yield from _structs(field)
    yield from handler.opt.get("body", ())


def _describe_bodies(document: Json, app: Litestar) -> None:
    """Of routes that read one of several types (`body` of their `opt`), by what the body itself says."""
    for route in app.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            for method in handler.http_methods if "body" in handler.opt else ():
                refs = [{"$ref": _SCHEMAS + kind.__name__} for kind in handler.opt["body"]]
                content = document["paths"][route.path_format][method.lower()]["requestBody"]["content"]
                shown = {
                    name: value for name, value in content["application/json"]["schema"].items() if name == "examples"
                }
                content["application/json"]["schema"] = {"anyOf": refs} | shown


def _structs(field: FieldDefinition) -> Iterator[type[msgspec.Struct]]:
    if not field.is_union and field.is_subclass_of(msgspec.Struct):
        yield field.annotation
    for inner in field.inner_types:
        yield from _structs(inner)


def _describe_parameters(parameters: Iterable[Json]) -> None:
    """One that may be left out is not one that may be null: neither a query nor a header knows null."""
    for parameter in parameters:
        schema = parameter["schema"]
        if {"type": "null"} in schema.get("oneOf", ()):
            schema |= next(kind for kind in schema.pop("oneOf") if kind != {"type": "null"})
        if None in schema.get("enum", ()):
            schema |= {"type": "string", "enum": [value for value in schema["enum"] if value is not None]}


def _describe_answers(path: str, responses: Json, *, kept: bool) -> None:
    if kept:
        responses.setdefault("304", {"description": "Nothing has changed since `If-None-Match`"})
    for status, answer in responses.items():
        schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
        if "oneOf" in schema:  # more than one of them may fit
            schema["anyOf"] = schema.pop("oneOf")
        from_memory = kept and status in ("200", "304")
        versioned = status == "304" or schema.get("$ref", "").removeprefix(_SCHEMAS) in VERSIONED
        names = [
            *(_LIMITED if path.startswith("/api/") else ()),
            *_ALWAYS.get(status, ()),
            *(("ETag",) if from_memory or versioned else ()),
            *(("X-Cache",) if from_memory else ()),
        ]
        described = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
        answer["headers"] = answer.get("headers", {}) | described

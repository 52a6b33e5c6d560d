"""The form of a service: its fields, and the body of the request to REST.

The fields of a check type are derived from the schema of its configuration (sla_monitor/checks).
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from api.pages.forms import Form
from api.pages.problems import Problem
from api.rest.problems import camel
from api.services.fields import DEFAULT_TYPE, Service, defaults
from sla_monitor.checks import CHECK_TYPES
from sla_monitor.checks.config import Label, labels, schema
from sla_monitor.settings import Settings
from sla_monitor.texts.languages import Texts

TEXTS = ("name", "description", "group")
NUMBERS = ("intervalSeconds", "timeoutMs", "degradedAfterMs", "retries")
FLAGS = ("enabled", "public")
NEVER_EMPTY = ("name",)
LONG_TEXT = 1000
"""Fields that accept longer texts are shown as text areas."""
Values = Mapping[str, Any]
"""Values of the form by the field names of REST. Lists and headers are texts. `type` is the check type."""
Kind = Literal["text", "area", "number", "flag", "choice", "numbers", "headers"]


class Field(NamedTuple):
    """One field of a check type. `least` and `most` are the limits of a number; for a text `most` is the maximum
    length."""

    name: str
    column: str
    kind: Kind
    required: bool
    may_be_empty: bool
    least: int | None
    most: int | None
    choices: tuple[str, ...]
    label: Label | None


def fields(check_type: str) -> list[Field]:
    """The fields of a check type, in the order of its configuration."""
    kind = CHECK_TYPES[check_type]
    shape, shown = schema(kind), labels(kind)
    return [
        _field(name, known, name in shape["required"], shown.get(name))
        for name, known in shape["properties"].items()
        if name != "type"
    ]


def _field(name: str, known: dict[str, Any], required: bool, label: Label | None) -> Field:
    one = next((kind for kind in known.get("anyOf", ()) if kind != {"type": "null"}), known)
    most = one.get("maximum", one.get("maxLength"))
    kind: Kind
    match one.get("type", "enum"):
        case "enum":
            kind = "choice"
        case "boolean":
            kind = "flag"
        case "integer":
            kind = "number"
        case "array":
            kind = "numbers"
        case "object":
            kind = "headers"
        case _:
            kind = "area" if most is not None and most > LONG_TEXT else "text"
    if one.get("maxLength", 0) == 2048:  # an address
        kind = "text"
    choices = tuple(one.get("enum", ()))
    return Field(camel(name), name, kind, required, "anyOf" in known, one.get("minimum"), most, choices, label)


def known_type(name: str | None) -> str:
    """The check type of a new form: `name` if there is such a type, else the default one."""
    return name if name is not None and name in CHECK_TYPES else DEFAULT_TYPE


def blank(settings: Settings, check_type: str) -> Values:
    """The values of a new form: the defaults of a service."""
    return _values(defaults(check_type, settings), check_type)


def of_service(service: Service) -> Values:
    return _values(msgspec.structs.asdict(service), service.type)


def _values(stored: Mapping[str, Any], check_type: str) -> Values:
    values: dict[str, Any] = {
        "type": check_type,
        "id": stored["id"],
        "name": stored["name"],
        "description": stored["description"] or "",
        "intervalSeconds": stored["interval_seconds"],
        "timeoutMs": stored["timeout_ms"],
        "degradedAfterMs": stored["degraded_after_ms"],
        "retries": stored["retries"],
        "group": stored["group_name"] or "",
        "tags": ", ".join(stored["tags"]),
        "enabled": stored["enabled"],
        "public": stored["public"],
    }
    return values | {field.name: _shown(field, stored[field.column]) for field in fields(check_type)}


def _shown(field: Field, value: Any) -> Any:
    match field.kind:
        case "headers":
            return "\n".join(f"{name}: {text}" for name, text in value.items())
        case "numbers":
            return ", ".join(map(str, value))
        case _:
            return "" if value is None else value


def of_form(form: Form, check_type: str) -> Values:
    """The entered values, to fill in the form again."""
    values: dict[str, Any] = {name: form.text(name) for name in (*TEXTS, *NUMBERS, "id", "tags")}
    values |= {name: form.flag(name) for name in FLAGS} | {"type": check_type}
    return values | {field.name: _filled_in(field, form) for field in fields(check_type)}


def _filled_in(field: Field, form: Form) -> Any:
    match field.kind:
        case "flag":
            return form.flag(field.name)
        case "area":
            return _as_typed(form.secret(field.name))
        case _:
            return form.text(field.name)


def problems(values: Values, t: Texts) -> dict[str, Problem]:
    """The values that cannot be parsed, by field. All other values are validated by REST."""
    found: dict[str, Problem] = {}
    for field in fields(values["type"]):
        if field.kind == "headers":
            lines = _lines(values[field.name])
            names = [line.partition(":")[0].strip().lower() for line in lines]
            if any(":" not in line for line in lines):
                found[field.name] = t("services.headers_wrong")
            elif len(set(names)) < len(names):
                found[field.name] = t("services.headers_repeated")
        elif field.kind == "numbers" and not all(map(_is_number, _listed(values[field.name]))):
            found[field.name] = t("services.codes_wrong")
    return found


def body(values: Values) -> dict[str, Any]:
    """The body of the request to REST. `problems` must be empty. An empty field clears the stored value."""
    sent: dict[str, Any] = {name: values[name] or ("" if name in NEVER_EMPTY else None) for name in TEXTS}
    sent |= {name: _number(values[name]) for name in NUMBERS} | {name: values[name] for name in FLAGS}
    sent |= {"tags": _listed(values["tags"]), "type": values["type"]}
    return sent | {field.name: _read(field, values[field.name]) for field in fields(values["type"])}


def _read(field: Field, value: Any) -> Any:
    match field.kind:
        case "headers":
            parts = (line.partition(":") for line in _lines(value))
            return {name.strip(): text.strip() for name, _, text in parts}
        case "numbers":
            return [int(number) for number in _listed(value)]
        case "number":
            return None if value == "" and field.may_be_empty else _number(value)
        case "flag":
            return value
        case _:
            return value or (None if field.may_be_empty else "")


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.replace("\n", ",").split(",") if part.strip()]


def _number(text: Any) -> Any:
    return int(text) if _is_number(text) else text


def _is_number(text: Any) -> bool:
    return isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 16


def _as_typed(text: str) -> str:
    """The text with LF line ends. Leading and trailing spaces are kept: they may be part of a body."""
    return text.replace("\r\n", "\n")

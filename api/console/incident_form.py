"""The fields of an incident as the console's forms hold them, by the field names of REST.

A form carries a short digest of each field's original value (`base`). With it the fields that the user has changed can
be distinguished from those that another user has changed meanwhile, without a copy of each version of an incident.
"""

from collections.abc import Collection, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from api.incidents.fields import Incident
from api.pages.forms import Form

Value = str | bool | list[str]
Values = Mapping[str, Value]
Marks = Mapping[str, str]

HOME = "/console/incidents"
TEXTS = ("description", "detectionCriteria", "postmortem")
FIELDS = (
    "title",
    "description",
    "severity",
    "priority",
    "affectedServices",
    "public",
    "reporter",
    "detectionCriteria",
    "postmortem",
)
LIMITS = {"title": 255, "reporter": 100, **dict.fromkeys(TEXTS, 20000)}
"""The maximum lengths of REST, so that the browser enforces them too."""
CLEARABLE = frozenset({"reporter", *TEXTS})
EMPTY: Values = {
    **dict.fromkeys(FIELDS, ""),
    "severity": "medium",
    "priority": "P2",
    "public": True,
    "affectedServices": [],
}


class Written(NamedTuple):
    """A submitted form or a draft: its values, and the digests and the version of the incident it was opened with."""

    values: Values
    base: Marks
    version: int


def of_form(form: Form) -> Written:
    values: dict[str, Value] = {name: form.text(name) for name in FIELDS}
    values["public"] = form.text("public") == "yes"
    values["affectedServices"] = sorted(set(form.texts("affectedServices")))
    version = form.number("version")
    return Written(values, read_marks(form.text("base")), version if isinstance(version, int) else 0)


def of_incident(incident: Incident) -> Values:
    fields = msgspec.to_builtins(incident)
    return {name: _tidy(fields[name]) for name in FIELDS}


def of_draft(data: Mapping[str, Any], version: int | None, current: Incident) -> Written:
    """The values of a draft, which may come from any front end. Fields that are absent or have another type get the
    stored value."""
    stored = of_incident(current)
    values = {name: _tidy(data[name]) if _fits(data.get(name), stored[name]) else stored[name] for name in FIELDS}
    base = data.get("base")
    return Written(values, base if isinstance(base, Mapping) else {}, version or current.version)


def draft_of(written: Written) -> dict[str, Any]:
    """The body of a draft for REST."""
    data = {**written.values, "base": written.base}
    return {"data": data, "baseVersion": written.version} if written.version > 0 else {"data": data}


def marks(values: Values) -> Marks:
    return {name: blake2b(msgspec.json.encode(values[name]), digest_size=6).hexdigest() for name in FIELDS}


def body(values: Values, names: Collection[str] = FIELDS) -> dict[str, Any]:
    """The body of the request to REST. An empty text that can be cleared is null."""
    return {name: values[name] or None if name in CLEARABLE else values[name] for name in names}


def read_marks(text: str) -> Marks:
    """The digests that a form carries; empty if they are absent or invalid."""
    try:
        return msgspec.json.decode(text, type=dict[str, str]) if text else {}
    except msgspec.DecodeError:
        return {}


def _fits(value: Any, stored: Value) -> bool:
    if isinstance(stored, list):
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return type(value) is type(stored)


def _tidy(value: Any) -> Value:
    """The value as a form would submit it."""
    if isinstance(value, list):
        return sorted(value)
    return value if isinstance(value, bool) else (value or "").replace("\r\n", "\n").strip()

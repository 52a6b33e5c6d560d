"""What the console's forms say of an incident: by the names that REST has for the fields, as a form can hold it.

A form knows what it was filled with by a short mark for each field (`base`): so it can be told later which fields its
writer has changed, and which somebody else has changed meanwhile, without keeping every version of an incident.
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
"""As REST has them, so that a browser says it first."""
CLEARABLE = frozenset({"reporter", *TEXTS})
EMPTY: Values = {
    **dict.fromkeys(FIELDS, ""),
    "severity": "medium",
    "priority": "P2",
    "public": True,
    "affectedServices": [],
}


class Written(NamedTuple):
    """A form as it came back, or a draft of it: its values, and what it was filled with."""

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
    told = msgspec.to_builtins(incident)
    return {name: _tidy(told[name]) for name in FIELDS}


def of_draft(data: Mapping[str, Any], version: int | None, current: Incident) -> Written:
    """A draft may come from any front end: what it does not say, or says in another way, is as it is stored."""
    stored = of_incident(current)
    values = {name: _tidy(data[name]) if _fits(data.get(name), stored[name]) else stored[name] for name in FIELDS}
    base = data.get("base")
    return Written(values, base if isinstance(base, Mapping) else {}, version or current.version)


def draft_of(written: Written) -> dict[str, Any]:
    """The body that REST keeps as a draft."""
    data = {**written.values, "base": written.base}
    return {"data": data, "baseVersion": written.version} if written.version > 0 else {"data": data}


def marks(values: Values) -> Marks:
    return {name: blake2b(msgspec.json.encode(values[name]), digest_size=6).hexdigest() for name in FIELDS}


def body(values: Values, names: Collection[str] = FIELDS) -> dict[str, Any]:
    """What REST is told: null clears a text that can be empty."""
    return {name: values[name] or None if name in CLEARABLE else values[name] for name in names}


def read_marks(text: str) -> Marks:
    """The marks that a form carries; where it does not, nothing is taken for granted."""
    try:
        return msgspec.json.decode(text, type=dict[str, str]) if text else {}
    except msgspec.DecodeError:
        return {}


def _fits(said: Any, stored: Value) -> bool:
    if isinstance(stored, list):
        return isinstance(said, list) and all(isinstance(item, str) for item in said)
    return type(said) is type(stored)


def _tidy(value: Any) -> Value:
    """As a form would give it back."""
    if isinstance(value, list):
        return sorted(value)
    return value if isinstance(value, bool) else (value or "").replace("\r\n", "\n").strip()

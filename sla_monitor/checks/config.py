"""What every check type's configuration has: the limits of its fields, their labels in forms, and what no type can say.

A configuration is stored as jsonb in `services.check_config`, with the type's name under `type`. The database checks it
by the JSON Schema of its struct (see `schema`), REST and services.toml by the struct itself.
"""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, NamedTuple, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from sla_monitor.checks.denied_networks import DenyRule
from sla_monitor.formats.one_line import fits_one_line
from sla_monitor.texts.problems import Parameter, ProblemCode

ONE_LINE = "x-one-line"
"""In a JSON Schema: the text holds no control characters and no line breaks (the database's fits_one_line)."""
SECRET = "x-secret"  # noqa: S105  # a keyword of schemas
"""In a JSON Schema: the field may hold a secret, and the audit log does not show it."""
Labels = Mapping[str, str]
"""By language."""


class Problem(NamedTuple):
    """What is wrong with one field. `field` is its name in Python and SQL."""

    field: str
    code: ProblemCode
    parameters: Mapping[str, Parameter] = {}


class Label(NamedTuple):
    """What a form says of a field, by language; an empty hint is none."""

    text: Labels
    hint: Labels


class CheckConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """How one service is checked, and what a good response is."""

    LABEL: ClassVar[Labels]
    """The type's name in forms, by language."""
    PROBED: ClassVar[bool] = True
    """Whether probers check services of this type."""

    @property
    def target(self) -> str:
        """What is checked, in lists of services."""
        raise NotImplementedError

    def tidied(self) -> "CheckConfig":
        """As it is stored."""
        return self

    def problems(self) -> list[Problem]:
        """Everything that is wrong beyond the limits of the fields' types."""
        return []

    def denied(self, rule: DenyRule) -> Problem | None:
        """Why probes will not connect, as far as that is known without a name server."""
        return None


def denied_problem(field: str, address: str) -> Problem:
    """Of a field whose address probes may not connect to."""
    return Problem(field, "probe_denied", {"address": address})


def labelled(en: str, ko: str, en_hint: str = "", ko_hint: str = "", **limits: Any) -> Meta:
    """A field's limits together with its label and hint in forms."""
    return Meta(title=en, extra={"label": Label({"en": en, "ko": ko}, {"en": en_hint, "ko": ko_hint})}, **limits)


def one_line(config: CheckConfig) -> list[Problem]:
    """The texts on one line that hold what such a text may not hold."""
    properties = schema(type(config))["properties"]
    return [
        Problem(name, "control_characters")
        for name, kind in properties.items()
        if any(kind.get(ONE_LINE) for kind in (kind, *kind.get("anyOf", ())))
        and not fits_one_line(getattr(config, name) or "")
    ]


@cache
def schema(kind: type[CheckConfig]) -> dict[str, Any]:
    """The JSON Schema of a stored configuration."""
    definition: dict[str, Any] = msgspec.json.schema(kind)["$defs"][kind.__name__]
    return definition


def labels(kind: type[CheckConfig]) -> dict[str, Label]:
    """By field, in the order of the form."""
    found = {}
    for name, annotation in get_type_hints(kind, include_extras=True).items():
        for meta in _metas(annotation):
            if meta.extra and "label" in meta.extra:
                found[name] = meta.extra["label"]
    return found


def _metas(annotation: Any) -> list[Meta]:
    metas = [item for item in getattr(annotation, "__metadata__", ()) if isinstance(item, Meta)]
    if get_origin(annotation) is Annotated:
        return metas + _metas(get_args(annotation)[0])
    return metas + [meta for inner in get_args(annotation) for meta in _metas(inner)]

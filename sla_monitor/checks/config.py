"""The base of check configurations: fields with limits and labels, and rules that concern several fields.

A configuration is stored as jsonb in `services.check_config`, with the name of the check type under `type`. The
database validates it by the JSON Schema of its struct (see `schema`), REST and services.toml by the struct itself.
"""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, NamedTuple, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from sla_monitor.checks.denied_networks import DenyRule
from sla_monitor.checks.problem import Problem
from sla_monitor.formats.one_line import fits_one_line

ONE_LINE = "x-one-line"
"""Keyword of JSON Schemas: the text must fit on one line (fits_one_line in the database)."""
SECRET = "x-secret"  # noqa: S105  # a keyword of schemas
"""Keyword of JSON Schemas: the field may contain a secret, so the audit log does not show it."""
Labels = Mapping[str, str]
"""A text by language."""


class Label(NamedTuple):
    """The label and the hint of a field in forms. The hint may be empty."""

    text: Labels
    hint: Labels


class CheckConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """How one service is checked, and which response is expected."""

    LABEL: ClassVar[Labels]
    """The name of the check type in forms."""
    PROBED: ClassVar[bool] = True
    """Whether probers make the checks of this type."""

    @property
    def target(self) -> str:
        """The text that lists of services show for what is checked, such as a URL."""
        raise NotImplementedError

    def tidied(self) -> "CheckConfig":
        """The configuration in the form in which it is stored."""
        return self

    def problems(self) -> list[Problem]:
        """The errors that the types of the fields cannot express."""
        return []

    def denied(self, rule: DenyRule) -> Problem | None:
        """The error if probes may not connect to the target; None also if that is only known after a DNS lookup."""
        return None


def denied_problem(field: str, address: str) -> Problem:
    """The error of a field whose address is in a denied network."""
    return Problem(field, "probe_denied", {"address": address})


def labelled(en: str, ko: str, en_hint: str = "", ko_hint: str = "", **limits: Any) -> Meta:
    """Metadata of a field: limits, label and hint."""
    return Meta(title=en, extra={"label": Label({"en": en, "ko": ko}, {"en": en_hint, "ko": ko_hint})}, **limits)


def one_line(config: CheckConfig) -> list[Problem]:
    """An error for each field that must fit on one line and does not."""
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
    """The labels by field, in the order of the form."""
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

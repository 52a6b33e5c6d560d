"""The fields of services in REST and services.toml, and their validation.

The types have the limits of single fields, which are also constraints of the database. `problems` checks rules that
types cannot express. Names are camelCase in JSON and TOML, and column names in Python. Some fields are common to all
services, the others belong to the check type (sla_monitor/checks). REST has both in one flat object; the database
stores the fields of the check type in `check_config`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Union

import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.rest.constraints import field_of
from api.rest.errors import invalid
from api.rest.problems import FieldProblem
from api.rest.texts import line_problems, repeated_problems, text_problems
from api.rest.validation import converted
from api.services.names import ALL_SYSTEMS, Slug, is_slug
from sla_monitor.checks import CHECK_TYPES, read_config
from sla_monitor.checks.config import CheckConfig
from sla_monitor.checks.denied_networks import DenyRule
from sla_monitor.checks.problem import Problem
from sla_monitor.settings import Settings

DEFAULT_TYPE = "http"
"""The type of a new service without `type`: older front ends do not send it."""

Name = Annotated[str, Meta(min_length=1, max_length=100)]
Description = Annotated[str, Meta(max_length=2000)]
Interval = Annotated[int, Meta(ge=1, le=86400, description="seconds")]
Timeout = Annotated[int, Meta(ge=100, le=60000, description="milliseconds; no longer than the interval")]
DegradedAfter = Annotated[int, Meta(ge=1, le=60000, description="milliseconds; no longer than the timeout")]
Retries = Annotated[int, Meta(ge=0, le=5)]
Tags = Annotated[list[Annotated[str, Meta(min_length=1, max_length=50)]], Meta(max_length=50)]


class ServiceChange(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """The fields to change. Other fields stay unchanged; null clears an optional field."""

    name: Name | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    interval_seconds: Interval | UnsetType = UNSET
    timeout_ms: Timeout | UnsetType = UNSET
    degraded_after_ms: DegradedAfter | UnsetType = UNSET
    retries: Retries | UnsetType = UNSET
    group_name: Name | UnsetType | None = msgspec.field(default=UNSET, name="group")
    tags: Tags | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    public: bool | UnsetType = UNSET

    def given(self) -> dict[str, Any]:
        """The fields of the request by their names in Python, without the type."""
        values = msgspec.structs.asdict(self)
        return {name: value for name, value in values.items() if value is not UNSET and name != "type"}


class NewService(ServiceChange, kw_only=True):
    """A new service. `id`, `name` and the required fields of its type are required."""

    id: Slug
    name: Name


class Service(msgspec.Struct, rename="camel", kw_only=True):
    """The fields of every service. A service of a check type (`FAMILIES`) also has the fields of that type."""

    id: Slug
    name: Name
    description: Description | None = None
    interval_seconds: Interval
    timeout_ms: Timeout
    degraded_after_ms: DegradedAfter
    retries: Retries = 0
    group_name: Name | None = msgspec.field(default=None, name="group")
    tags: Tags = []
    enabled: bool = True
    public: bool = True

    @property
    def type(self) -> str:
        return str(self.__struct_config__.tag)

    @property
    def check_config(self) -> CheckConfig:
        kind = CHECK_TYPES[self.type]
        return kind(**{name: getattr(self, name) for name in kind.__struct_fields__})

    def columns(self) -> dict[str, Any]:
        """The values by column."""
        common = {name: getattr(self, name) for name in Service.__struct_fields__}
        return common | {"check_config": msgspec.to_builtins(self.check_config)}


class Family(NamedTuple):
    """The classes of one check type: a stored service, a new one, a change, and the response to both."""

    stored: Any
    new: Any
    change: Any
    saved: Any


def _family(name: str, kind: type[CheckConfig]) -> Family:
    """Creates the classes of a check type from the fields of its configuration, so that each field is declared once."""
    title, fields = kind.__name__, msgspec.structs.fields(kind)
    assert not {field.name for field in fields} & set(Service.__struct_fields__)
    with_default = [
        (field.name, field.type, _default(field)) if not field.required else (field.name, field.type)
        for field in fields
    ]
    optional = [(field.name, field.type | UnsetType, UNSET) for field in fields]
    required_or_optional = [
        (field.name, field.type) if field.required else unset for field, unset in zip(fields, optional, strict=True)
    ]
    type_name = Literal[name]  # type: ignore[valid-type]
    type_field = ("type", type_name) if name != DEFAULT_TYPE else ("type", type_name, name)
    options: dict[str, Any] = {"kw_only": True, "rename": "camel", "module": __name__}
    stored = msgspec.defstruct(
        f"{title}Service",
        with_default,
        bases=(Service,),
        tag_field="type",
        tag=name,
        namespace={"__doc__": f"A service with checks of the type `{name}`."},
        **options,
    )
    saved = msgspec.defstruct(
        f"Saved{title}Service",
        [("warnings", list[FieldProblem] | UnsetType, UNSET)],
        bases=(stored,),
        tag_field="type",
        tag=name,
        namespace={"__doc__": "A stored service. `warnings`: why it cannot be probed, such as a denied address."},
        **options,
    )
    new = msgspec.defstruct(
        f"New{title}Service",
        [type_field, *required_or_optional],
        bases=(NewService,),
        namespace={"__doc__": NewService.__doc__},
        **options,
    )
    change = msgspec.defstruct(
        f"{title}ServiceChange",
        [("type", type_name | UnsetType, UNSET), *optional],
        bases=(ServiceChange,),
        namespace={"__doc__": ServiceChange.__doc__},
        **options,
    )
    return Family(stored, new, change, saved)


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return msgspec.field(default_factory=field.default_factory)


FAMILIES: Mapping[str, Family] = {name: _family(name, kind) for name, kind in CHECK_TYPES.items()}

if TYPE_CHECKING:
    AnyService = Service

    class AnySavedService(Service):
        warnings: list[FieldProblem] | UnsetType
else:
    AnyService = Union[tuple(family.stored for family in FAMILIES.values())]  # noqa: UP007  # any number of types
    AnySavedService = Union[tuple(family.saved for family in FAMILIES.values())]  # noqa: UP007


def type_of(body: Any, default: str = DEFAULT_TYPE) -> str:
    """The check type of an object of REST or services.toml; `default` if the object has no `type`. Raises ApiError 400
    for an unknown type."""
    if not isinstance(body, dict):
        raise invalid(FieldProblem.of("body", "not_object"))
    name = body.get("type", default)
    if not isinstance(name, str) or name not in FAMILIES:
        raise invalid(FieldProblem.of("type", "choice", choices=list(FAMILIES)))
    return name


def read_new(body: Any) -> NewService:
    """Converts an object of REST or services.toml to a new service. Raises ApiError 400 for invalid fields."""
    new: NewService = converted(body, FAMILIES[type_of(body)].new)
    return new


def changed(service: Service, body: Any) -> Service:
    """The service with the changes in `body`. If the type changes, the fields of the new type have their defaults.
    Raises ApiError 400 for invalid fields."""
    name = type_of(body, service.type)
    given = converted(body, FAMILIES[name].change).given()
    if name == service.type:
        return _tidied(msgspec.structs.replace(service, **given))
    common = {field: getattr(service, field) for field in Service.__struct_fields__}
    converted({**body, "type": name, "id": service.id, "name": service.name}, FAMILIES[name].new)
    return _tidied(FAMILIES[name].stored(**common | given))


def stored(row: Mapping[str, Any]) -> Service:
    """The service in a row of the database."""
    config = read_config(row["check_config"])
    common = {name: row[name] for name in Service.__struct_fields__}
    service: Service = FAMILIES[str(config.__struct_config__.tag)].stored(**common, **msgspec.structs.asdict(config))
    return service


def _tidied(service: Service) -> Service:
    """The service with a normalised configuration (`CheckConfig.tidied`)."""
    return msgspec.structs.replace(service, **msgspec.structs.asdict(service.check_config.tidied()))


def complete(new: NewService, settings: Settings) -> Service:
    """A new service with its defaults. The default timeout is not longer than the interval."""
    family = next(family for family in FAMILIES.values() if isinstance(new, family.new))
    return _tidied(_complete(new, family, settings))


def _complete(new: NewService, family: Family, settings: Settings) -> Service:
    given = new.given()
    interval = given.setdefault("interval_seconds", max(1, round(settings.check_interval.total_seconds())))
    timeout = given.setdefault("timeout_ms", min(settings.check_timeout_ms, interval * 1000))
    given.setdefault("degraded_after_ms", min(3000, timeout))
    service: Service = family.stored(**given)
    return service


def defaults(check_type: str, settings: Settings) -> dict[str, Any]:
    """The default values of a new service of a check type. Required fields are empty texts."""
    family = FAMILIES[check_type]
    needed = {field.name: "" for field in msgspec.structs.fields(family.new) if field.required and field.name != "type"}
    given = family.new(**needed) if check_type == DEFAULT_TYPE else family.new(type=check_type, **needed)
    return msgspec.structs.asdict(_complete(given, family, settings))


def problems(service: Service) -> list[FieldProblem]:
    """The problems of a service that its types cannot express."""
    found = _text_problems(service)
    if not is_slug(service.id):  # the `$` of the type's pattern allows a final line break
        found.append(FieldProblem.of("id", "slug"))
    if service.id == ALL_SYSTEMS.id:
        found.append(FieldProblem.of("id", "reserved"))
    probed = service.check_config.PROBED  # other types do not use these fields
    if probed and service.timeout_ms > service.interval_seconds * 1000:
        found.append(FieldProblem.of("timeoutMs", "longer_than_interval"))
    if probed and service.degraded_after_ms > service.timeout_ms:
        found.append(FieldProblem.of("degradedAfterMs", "longer_than_timeout"))
    found += repeated_problems("tags", service.tags)
    return found + [_field_problem(problem) for problem in service.check_config.problems()]


def saved(service: Service, settings: Settings) -> AnySavedService:
    """The response for a stored service, with its warnings."""
    fields = msgspec.structs.asdict(service)
    shown: AnySavedService = FAMILIES[service.type].saved(**fields, warnings=warnings(service, settings) or UNSET)
    return shown


def warnings(service: Service, settings: Settings) -> list[FieldProblem]:
    """The reasons why a service cannot be probed, as far as they are known without a DNS lookup."""
    denied = service.check_config.denied(DenyRule(settings.probe_deny_networks))
    return [_field_problem(denied)] if denied is not None else []


def _field_problem(problem: Problem) -> FieldProblem:
    return FieldProblem.of(field_of(problem.field), problem.code, **problem.parameters)


def _text_problems(service: Service) -> list[FieldProblem]:
    """The problems of the texts that all services have."""
    found = line_problems("name", service.name) + line_problems("group", service.group_name)
    found += [problem for n, tag in enumerate(service.tags) for problem in line_problems(f"tags[{n}]", tag)]
    return found + text_problems("description", service.description)

"""The fields of services, in REST and in services.toml, and their validation.

The types have the limits of single fields, the same as the database's constraints; `problems` checks what types cannot
express. Names are camelCase in JSON and TOML, and column names in Python.
"""

import re
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.rest.errors import FieldProblem, camel
from api.rest.texts import control_problems, line_problems, text_problems
from sla_monitor.checks.denied_networks import DenyRule
from sla_monitor.checks.json_path import json_path_problem
from sla_monitor.settings import Settings
from sla_monitor.settings.values import SLUG, http_url, tidy_url

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_FRAMING = frozenset({"connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer"})
MAX_HEADERS = 50
MAX_HEADER_LENGTH = 8000
_BODILESS = frozenset({*range(100, 200), 204, 304})
"""Status codes of responses that have no body."""

Slug = Annotated[str, Meta(pattern=f"^{SLUG}$", max_length=50, description="small letters, digits and hyphens")]
Name = Annotated[str, Meta(min_length=1, max_length=100)]
Description = Annotated[str, Meta(max_length=2000)]
Url = Annotated[str, Meta(min_length=1, max_length=2048, description="http:// or https://, without credentials")]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
Body = Annotated[str, Meta(max_length=65536)]
StatusCodes = Annotated[list[Annotated[int, Meta(ge=100, le=999)]], Meta(min_length=1, max_length=500)]
Keyword = Annotated[str, Meta(min_length=1, max_length=1000)]
JsonPath = Annotated[str, Meta(min_length=1, max_length=500)]
JsonValue = Annotated[str, Meta(max_length=1000)]
Interval = Annotated[int, Meta(ge=1, le=86400, description="seconds")]
Timeout = Annotated[int, Meta(ge=100, le=60000, description="milliseconds; no longer than the interval")]
DegradedAfter = Annotated[int, Meta(ge=1, le=60000, description="milliseconds; no longer than the timeout")]
Retries = Annotated[int, Meta(ge=0, le=5)]
Redirects = Annotated[int, Meta(ge=0, le=20, description="most redirects that are followed; 0 for none")]
Tags = Annotated[list[Annotated[str, Meta(min_length=1, max_length=50)]], Meta(max_length=50)]


class ServiceName(msgspec.Struct, frozen=True):
    """The public fields of a service."""

    id: str
    name: str


ALL_SYSTEMS = ServiceName("all-systems", "All Systems")


class ServiceChange(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Fields of a service to change; others stay unchanged, null clears optional ones."""

    name: Name | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    type: Literal["http"] | UnsetType = UNSET
    endpoint_url: Url | UnsetType = UNSET
    method: Method | UnsetType = UNSET
    headers: dict[str, str] | UnsetType = UNSET
    body: Body | UnsetType | None = UNSET
    expected_status_codes: StatusCodes | UnsetType = UNSET
    keyword: Keyword | UnsetType | None = UNSET
    keyword_absent: Keyword | UnsetType | None = UNSET
    json_path: JsonPath | UnsetType | None = UNSET
    json_value: JsonValue | UnsetType | None = UNSET
    interval_seconds: Interval | UnsetType = UNSET
    timeout_ms: Timeout | UnsetType = UNSET
    degraded_after_ms: DegradedAfter | UnsetType = UNSET
    retries: Retries | UnsetType = UNSET
    verify_tls: bool | UnsetType = UNSET
    follow_redirects: Redirects | UnsetType = UNSET
    group_name: Name | UnsetType | None = msgspec.field(default=UNSET, name="group")
    tags: Tags | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    public: bool | UnsetType = UNSET

    def given(self) -> dict[str, Any]:
        """The fields of the request, by column."""
        given = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not UNSET}
        if "endpoint_url" in given:
            given["endpoint_url"] = tidy_url(given["endpoint_url"])
        return given


class NewService(ServiceChange, kw_only=True):
    """A new service. id, name and endpointUrl are required."""

    id: Slug
    name: Name
    endpoint_url: Url


class Service(msgspec.Struct, rename="camel", kw_only=True):
    """A service with all its fields."""

    id: Slug
    name: Name
    description: Description | None = None
    type: Literal["http"] = "http"
    endpoint_url: Url
    method: Method = "GET"
    headers: dict[str, str] = {}
    body: Body | None = None
    expected_status_codes: StatusCodes = msgspec.field(default_factory=lambda: [200])
    keyword: Keyword | None = None
    keyword_absent: Keyword | None = None
    json_path: JsonPath | None = None
    json_value: JsonValue | None = None
    interval_seconds: Interval
    timeout_ms: Timeout
    degraded_after_ms: DegradedAfter
    retries: Retries = 0
    verify_tls: bool = True
    follow_redirects: Redirects = 5
    group_name: Name | None = msgspec.field(default=None, name="group")
    tags: Tags = []
    enabled: bool = True
    public: bool = True

    def columns(self) -> dict[str, Any]:
        """By column, for SQL."""
        return msgspec.structs.asdict(self)


class SavedService(Service, kw_only=True):
    """A service that was just stored. `warnings`: why it cannot be probed; absent if it can."""

    warnings: list[FieldProblem] | UnsetType = UNSET


Stored = TypeVar("Stored", bound=Service)


def is_slug(text: str) -> bool:
    return re.fullmatch(SLUG, text) is not None


def complete(new: NewService, settings: Settings) -> Service:
    """A new service with its defaults. The default timeout is not longer than the interval."""
    given = new.given()
    interval = given.setdefault("interval_seconds", max(1, round(settings.check_interval.total_seconds())))
    timeout = given.setdefault("timeout_ms", min(settings.check_timeout_ms, interval * 1000))
    given.setdefault("degraded_after_ms", min(3000, timeout))
    return Service(**given)


def problems(service: Service) -> list[FieldProblem]:
    """The problems of a service that its types cannot express."""
    found = _text_problems(service)
    if not is_slug(service.id):  # the `$` of the type's pattern allows a final line break
        found.append(_problem("id", "must be small letters, digits and hyphens"))
    if service.id == ALL_SYSTEMS.id:
        found.append(_problem("id", "is reserved"))
    if (wrong := _url_problem(service.endpoint_url)) is not None:
        found.append(_problem("endpoint_url", wrong))
    if service.timeout_ms > service.interval_seconds * 1000:
        found.append(_problem("timeout_ms", "must not be longer than intervalSeconds"))
    if service.degraded_after_ms > service.timeout_ms:
        found.append(_problem("degraded_after_ms", "must not be longer than timeoutMs"))
    if service.json_path is not None and (wrong := json_path_problem(service.json_path)) is not None:
        found.append(_problem("json_path", wrong))
    if service.json_value is not None and service.json_path is None:
        found.append(_problem("json_value", "needs a jsonPath"))
    found += _body_problems(service)
    if len(set(service.tags)) < len(service.tags):
        found.append(_problem("tags", "must not repeat a tag"))
    return found + _header_problems(service.headers)


def saved(service: Service, settings: Settings) -> SavedService:
    return SavedService(**service.columns(), warnings=warnings(service, settings) or UNSET)


def warnings(service: Service, settings: Settings) -> list[FieldProblem]:
    """Why a service cannot be probed, as far as that is known without a DNS lookup."""
    address = DenyRule(settings.probe_deny_networks).denied_in(service.endpoint_url)
    if address is None:
        return []
    return [_problem("endpoint_url", f"probes may not connect to {address} (PROBE_DENY_NETWORKS): it stays unknown")]


def _problem(column: str, message: str) -> FieldProblem:
    return FieldProblem("group" if column == "group_name" else camel(column), message)


def _text_problems(service: Service) -> list[FieldProblem]:
    """Problems of texts."""
    found = line_problems("name", service.name) + line_problems("group", service.group_name)
    for name in ("json_path", "keyword", "keyword_absent", "json_value"):
        found += control_problems(camel(name), getattr(service, name))
    found += [problem for tag in service.tags[:50] for problem in line_problems("tags", tag)][:1]
    return found + text_problems("description", service.description) + text_problems("body", service.body)


def _body_problems(service: Service) -> list[FieldProblem]:
    """Expectations of a body where responses have none."""
    if service.method == "HEAD":
        why = "cannot be in a response to HEAD, which has no body"
    elif _BODILESS.issuperset(service.expected_status_codes):
        why = "cannot be in a response with these expectedStatusCodes, which has no body"
    else:
        return []
    return [_problem(name, why) for name in ("keyword", "json_path") if getattr(service, name) is not None]


def _url_problem(url: str) -> str | None:
    try:
        http_url(url)
        has_credentials = "@" in urlsplit(url).netloc
    except ValueError as error:
        return f"must be {error}"
    if not url.startswith(("http://", "https://")):
        return "must begin with http:// or https://"
    return "must not contain credentials; send them in the header Authorization" if has_credentials else None


def _header_problems(headers: dict[str, str]) -> list[FieldProblem]:
    if len(headers) > MAX_HEADERS or sum(map(len, (*headers, *headers.values()))) > MAX_HEADER_LENGTH:
        return [FieldProblem("headers", f"at most {MAX_HEADERS}, and {MAX_HEADER_LENGTH} characters in all")]
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            return [FieldProblem("headers", "a name has a character that HTTP does not allow")]
        if name.lower() in _FRAMING:
            return [FieldProblem("headers", f"{name} is set by the prober itself")]
        if not value.isprintable() or not value.isascii():
            return [FieldProblem("headers", f"the value of {name} must be printable ASCII on one line")]
    return []

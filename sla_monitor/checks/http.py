"""HTTP and HTTPS: the request, and the expected response."""

import re
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from sla_monitor.checks.config import ONE_LINE, SECRET, CheckConfig, Labels, denied_problem, one_line
from sla_monitor.checks.denied_networks import DenyRule
from sla_monitor.checks.json_path import json_path_problem
from sla_monitor.checks.problem import Problem
from sla_monitor.settings.values import http_url, tidy_url
from sla_monitor.texts.problems import ProblemCode

MAX_HEADERS = 50
MAX_HEADER_LENGTH = 8000
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_FRAMING = frozenset({"connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer"})
_BODILESS = frozenset({*range(100, 200), 204, 304})
"""Status codes of responses that have no body."""
_LINE = {ONE_LINE: True}

Url = Annotated[str, Meta(min_length=1, max_length=2048, description="http:// or https://, without credentials")]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
Headers = Annotated[dict[str, str], Meta(extra_json_schema={SECRET: True})]
Body = Annotated[str, Meta(max_length=65536, extra_json_schema={SECRET: True})]
StatusCodes = Annotated[tuple[Annotated[int, Meta(ge=100, le=999)], ...], Meta(min_length=1, max_length=500)]
Keyword = Annotated[str, Meta(min_length=1, max_length=1000, extra_json_schema=_LINE)]
JsonPath = Annotated[str, Meta(min_length=1, max_length=500, extra_json_schema=_LINE)]
JsonValue = Annotated[str, Meta(max_length=1000, extra_json_schema=_LINE)]
Redirects = Annotated[int, Meta(ge=0, le=20, description="redirects that are followed at most; 0 for none")]


class Http(CheckConfig, frozen=True, kw_only=True, tag="http"):
    """A request over HTTP or HTTPS. The template of its form is console/checks/http.html."""

    LABEL: ClassVar[Labels] = {"en": "HTTP", "ko": "HTTP"}

    endpoint_url: Url
    method: Method = "GET"
    headers: Headers = msgspec.field(default_factory=dict)
    body: Body | None = None
    expected_status_codes: StatusCodes = (200,)
    keyword: Keyword | None = None
    keyword_absent: Keyword | None = None
    json_path: JsonPath | None = None
    json_value: JsonValue | None = None
    verify_tls: bool = True
    follow_redirects: Redirects = 5

    @property
    def target(self) -> str:
        return self.endpoint_url

    @property
    def reads_body(self) -> bool:
        """Whether the judgement needs the body of the response."""
        return self.keyword is not None or self.keyword_absent is not None or self.json_path is not None

    def tidied(self) -> "Http":
        return msgspec.structs.replace(self, endpoint_url=tidy_url(self.endpoint_url))

    def problems(self) -> list[Problem]:
        found = one_line(self)
        if self.body is not None and "\0" in self.body:
            found.append(Problem("body", "nul"))
        if (wrong := _url_problem(self.endpoint_url)) is not None:
            found.append(Problem("endpoint_url", wrong))
        if self.json_path is not None and (wrong_path := json_path_problem(self.json_path)) is not None:
            found.append(wrong_path)
        if self.json_value is not None and self.json_path is None:
            found.append(Problem("json_value", "json_path_missing"))
        return found + self._body_problems() + _header_problems(self.headers)

    def denied(self, rule: DenyRule) -> Problem | None:
        address = rule.denied_in(self.endpoint_url)
        return denied_problem("endpoint_url", address) if address is not None else None

    def _body_problems(self) -> list[Problem]:
        """Errors for expectations of a body if no expected response has one."""
        if self.method == "HEAD":
            why: ProblemCode = "head_has_no_body"
        elif _BODILESS.issuperset(self.expected_status_codes):
            why = "status_has_no_body"
        else:
            return []
        return [Problem(name, why) for name in ("keyword", "json_path") if getattr(self, name) is not None]


def _url_problem(url: str) -> ProblemCode | None:
    try:
        http_url(url)
        has_credentials = "@" in urlsplit(url).netloc
    except ValueError:
        return "url"
    if not url.startswith(("http://", "https://")):
        return "url"
    return "credentials" if has_credentials else None


def _header_problems(headers: dict[str, str]) -> list[Problem]:
    if len(headers) > MAX_HEADERS or sum(map(len, (*headers, *headers.values()))) > MAX_HEADER_LENGTH:
        return [Problem("headers", "headers_too_large", {"most": MAX_HEADERS, "characters": MAX_HEADER_LENGTH})]
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            return [Problem("headers", "header_name")]
        if name.lower() in _FRAMING:
            return [Problem("headers", "header_set", {"name": name})]
        if not value.isprintable() or not value.isascii():
            return [Problem("headers", "header_value", {"name": name})]
    return []

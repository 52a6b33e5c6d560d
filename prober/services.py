"""A monitored service, as the prober knows it, and the words for what can go wrong with it."""

from typing import Literal

import msgspec

ErrorType = Literal[
    "timeout",
    "connection_error",
    "dns_error",
    "tls_error",
    "http_error",
    "assertion_failed",
    "unknown_error",
]


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked, how often, and what a good answer is. API and services.toml have the same defaults."""

    id: str
    endpoint_url: str
    type: str = "http"
    method: str = "GET"
    headers: dict[str, str] = {}
    body: str | None = None
    expected_status_codes: tuple[int, ...] = (200,)
    keyword: str | None = None
    keyword_absent: str | None = None
    json_path: str | None = None
    json_value: str | None = None
    interval_seconds: int = 60
    timeout_ms: int = 7000
    degraded_after_ms: int = 3000
    retries: int = 0
    verify_tls: bool = True
    follow_redirects: int = 5
    """The most redirects that are followed; with 0 a redirect is itself the answer."""

    @property
    def reads_body(self) -> bool:
        """Whether the verdict depends on what the answer says, and not on its status alone."""
        return self.keyword is not None or self.keyword_absent is not None or self.json_path is not None

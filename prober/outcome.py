"""The outcome of one attempt: the value that every check type returns and that `judge` evaluates."""

from datetime import datetime
from typing import NamedTuple

import msgspec

from prober.services import ErrorType
from sla_monitor.formats.one_line import on_one_line

MESSAGE_LIMIT = 500


class ProberTrouble(Exception):  # noqa: N818 - a problem of the prober, not an error of the service
    """The prober itself could not probe (no file descriptors, no route, an unreadable CA file, a stalled event loop).
    The state of the service is unknown: no check and no outage is recorded."""


class TargetDenied(ProberTrouble):
    """PROBE_DENY_NETWORKS denies the service's address: it was not probed, so its state is unknown."""


class Certificate(NamedTuple):
    """When a server's certificate expires, and the organisation that issued it, if the certificate names one."""

    expires_at: datetime
    issuer: str | None


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One attempt. Times are milliseconds; None means that the phase did not happen.

    With redirects each time is the sum over all requests; status, body and address are those of the last one.
    """

    total_ms: float
    dns_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    first_byte_ms: float | None = None
    status_code: int | None = None
    error_type: ErrorType | None = None
    error_message: str | None = None
    body: bytes = b""
    """Decoded; empty if the verdict does not need it."""
    content_type: str = ""
    truncated: bool = False
    """The body was longer than PROBE_MAX_BYTES; `body` is its beginning."""
    undecodable: str | None = None
    """Why the body could not be decoded; `body` is empty then."""
    address: str | None = None
    redirects: int = 0
    inspected: bool = False
    """Whether the certificate of the server was inspected."""
    certificate: Certificate | None = None
    """The certificate, if it can be read; with redirects the one that expires first."""


def printable(text: str) -> str:
    """`text` fit for a log line, a database row and a screen: no control characters, at most 500 characters.

    Messages quote responses of targets, which may be hostile: escape sequences, line breaks, lone surrogates,
    direction overrides.
    """
    cut = text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"
    return on_one_line(cut, "�")

"""The options of a request."""

from typing import Any, NamedTuple

import pycurl

from sla_monitor import __version__
from sla_monitor.settings import Settings

METHODS_WITH_BODY = ("POST", "PUT", "PATCH")
"""Methods whose requests have a Content-Length even without a body (RFC 9110, 8.6): some servers require it."""
LONGEST_BODY = 2**63 - 1
"""libcurl refuses a larger Content-Length only if a limit is set; without a limit it ignores the header."""

USER_AGENT = f"sla-monitor/{__version__}"


class Shape(NamedTuple):
    """The options of a request except its URL. A handle keeps them for the next check with the same shape."""

    method: str
    headers: dict[str, str]
    body: str | None
    verify_tls: bool
    credentials: str | None
    connect_only: bool = False
    """No request is sent: the connection is kept open for `Engine.send` and `Engine.receive`."""


def cookie(shape: Shape) -> str:
    """The Cookie header of the service, or an empty string."""
    return next((value for name, value in shape.headers.items() if name.lower() == "cookie"), "")


def header_lines(shape: Shape) -> list[bytes]:
    """The headers of the service and defaults, in the form of CURLOPT_HTTPHEADER: `Name;` sends a header without a
    value, `Name:` removes a header that libcurl would add."""
    lines = {name.lower(): f"{name}: {value}" if value else f"{name};" for name, value in shape.headers.items()}
    lines.pop("cookie", None)
    lines.setdefault("accept-encoding", "Accept-Encoding: identity")
    if shape.body is not None or shape.method in METHODS_WITH_BODY:
        lines.setdefault("expect", "Expect:")
        lines.setdefault("content-type", "Content-Type:")
    return [line.encode() for line in lines.values()]


def fixed_options(settings: Settings) -> list[tuple[int, Any]]:
    """The options of every request. They are set again after a handle is reset."""
    web = pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS
    options: list[tuple[int, Any]] = [
        (pycurl.NOSIGNAL, 1),
        (pycurl.COOKIEFILE, ""),  # keeps cookies in memory, also across a reset: see `Transfer.clear`
        (pycurl.FRESH_CONNECT, 1),
        (pycurl.FORBID_REUSE, 1),
        (pycurl.SSL_SESSIONID_CACHE, 0),  # the certificate is not verified again when a session is resumed
        (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
        (pycurl.PROTOCOLS, web),
        (pycurl.PROXY, ""),  # ignores http_proxy of the environment
        (pycurl.USERAGENT, USER_AGENT),
        (pycurl.MAXFILESIZE_LARGE, LONGEST_BODY),
        (pycurl.DNS_CACHE_TIMEOUT, 1),  # holds the entries of RESOLVE; with 0 they expire before they are used
    ]
    if settings.ca_file is not None:  # without it pycurl uses the bundle of the system
        options.append((pycurl.CAINFO, str(settings.ca_file)))
    return options

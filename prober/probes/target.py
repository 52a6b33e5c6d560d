"""The URL of a request, split into the parts that a probe needs."""

import re
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from sla_monitor.formats.host_names import host_in, host_name

# Most URLs: ASCII, without credentials and backslashes. Matching takes a microsecond; other URLs go through urlsplit.
_PLAIN_URL = re.compile(r"(https?)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?(?:[/?][!-\[\]-~]*)?")


class Target:
    """An http(s) URL. `url` is the form for libcurl: ASCII, without credentials."""

    __slots__ = ("credentials", "host", "port", "scheme", "url")

    def __init__(self, url: str) -> None:
        """Raises HostNameError if the host is invalid, and ValueError if anything else is. The messages do not quote
        the URL, which may contain a secret."""
        plain = _PLAIN_URL.fullmatch(url)
        if plain is not None:
            self.scheme, host, port = plain.groups()
            self.host = host_name(host)
            self.url = url
            self.credentials: str | None = None
            self.port = int(port) if port else _default_port(self.scheme)
            return
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise ValueError(
                f"the scheme of the URL is {parts.scheme}, not http or https"
                if parts.scheme
                else "the URL has no scheme"
            )
        if not parts.hostname:
            raise ValueError("the URL has no host")
        self.scheme = parts.scheme
        self.host = host_in(parts.netloc)
        try:
            self.port = parts.port or _default_port(self.scheme)
        except ValueError:
            raise ValueError("the port of the URL is invalid") from None
        self.credentials = None
        if parts.username is not None:
            self.credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        path = quote(parts.path or "/", safe="%/:=&?~#+!$,;'@()*[]")
        query = quote(parts.query, safe="%/:=&?~#+!$,;'@()*[]")
        self.url = urlunsplit((self.scheme, f"{self.host}:{self.port}", path, query, ""))

    def trusts(self, other: "Target") -> bool:
        """Whether headers and credentials for this URL may be sent to `other`: the same origin, or the same host over
        TLS (ports 80 and 443)."""
        if self.host != other.host:
            return False
        if self.scheme == other.scheme:
            return self.port == other.port
        return self.scheme == "http" and self.port == 80 and other.port == 443


def _default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80

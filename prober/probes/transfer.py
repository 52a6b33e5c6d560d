"""One request over libcurl: what it is made of, what comes back, and what its callbacks notice.

A handle is reused for one check after the other; nothing of a check stays on it but its options.
"""

import asyncio
import contextlib
import errno
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import pycurl

from sla_monitor import __version__
from sla_monitor.settings import Settings

_REFUSED: int = pycurl.SOCKET_BAD
_PAUSE: int = pycurl.WRITEFUNC_PAUSE
_WITH_BODY = ("POST", "PUT", "PATCH")
"""Methods whose requests say how long their body is even where they have none (RFC 9110): some servers insist on it."""
SMALL_BODY_BYTES = 64 * 1024
"""What of a body is kept at once; more needs a place in `Places`."""
LONGEST_BODY = 2**63 - 1
"""With any limit libcurl refuses a Content-Length that is beyond it. Without one it would ignore such a header."""

USER_AGENT = f"sla-monitor/{__version__}"


class Shape(NamedTuple):
    """What a request is, apart from its URL. Checks of one shape reuse a handle without setting it again."""

    method: str
    headers: dict[str, str]
    body: str | None
    verify_tls: bool
    credentials: str | None
    connect_only: bool = False
    """No request: the connection is kept for `Engine.send` and `Engine.receive`."""


class Places:
    """Large bodies that are kept at once: so many, whatever number of checks is under way. A transfer that finds no
    place is paused, and goes on in its turn. Who has a place never waits for another, so there is no deadlock."""

    def __init__(self, count: int) -> None:
        self._count = self._free = count
        self._waiting: deque[Transfer] = deque()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def taken(self) -> int:
        return self._count - self._free

    def take(self, transfer: "Transfer") -> bool:
        """False where the transfer has to pause: it is resumed when it has a place."""
        if self._free:
            self._free -= 1
            return True
        self._waiting.append(transfer)
        return False

    def leave(self, transfer: "Transfer") -> None:
        """The transfer no longer needs the place that it has or waits for. Not for callbacks of libcurl."""
        if transfer.waits:
            self._waiting.remove(transfer)
        elif self._waiting:
            self._waiting.popleft().resume()
        else:
            self._free += 1


class Transfer:
    """A libcurl easy handle, reused for one request after the other, and what its callbacks noticed."""

    __slots__ = (
        "_bytes_left",
        "_certificate",
        "_denied",
        "_grown",
        "_has_place",
        "_kept",
        "_options",
        "_places",
        "_resolve",
        "body",
        "certain",
        "curl",
        "decided",
        "denied_address",
        "head",
        "look_at",
        "look_later",
        "secure",
        "shape",
        "tried",
        "trouble",
        "truncated",
        "waits",
    )

    def __init__(
        self,
        denied: Callable[[str], bool],
        options: list[tuple[int, Any]],
        grown: Callable[["Transfer"], None],
        places: Places,
    ) -> None:
        """`grown` is told of each head that is complete, and of each piece of a body that is kept."""
        self.curl = pycurl.Curl()
        self._places = places
        self._has_place = False
        self._kept = 0
        self.waits = False
        """It is paused until there is a place for its body."""
        self._options = options
        self._denied = denied
        self._grown = grown
        self.shape: Shape | None = None
        self._resolve: list[str] = []
        self._certificate = False
        self.secure = False
        self._bytes_left = 0
        self.body: list[bytes] | None = None
        self.head: list[bytes] = []
        self.truncated = False
        self.certain: Callable[[Transfer], bool] = never
        self.decided = False
        """It was ended before its end, because its verdict was certain."""
        self.look_at = 0.0
        self.look_later: asyncio.TimerHandle | None = None
        self.denied_address: str | None = None
        self.tried: list[str] = []
        self.trouble: str | None = None

    def prepare(self, url: str, shape: Shape, resolve: list[str], timeout_ms: int, certificate: bool) -> None:
        """Sets what differs from the handle's last request; raises pycurl.error for what libcurl refuses.

        `resolve` holds the name's addresses, in CURLOPT_RESOLVE's words. With `certificate` the server's can be
        read afterwards.
        """
        curl = self.curl
        if shape != self.shape:
            curl.reset()
            self._resolve = []
            self._certificate = False
            self.shape = None  # should an option be refused
            self._set_options(shape)
            if shape.credentials is None:  # a handle that carried them is reset for whoever comes next
                self.shape = shape
        if resolve != self._resolve:
            curl.setopt(pycurl.RESOLVE, resolve)
            self._resolve = resolve
        if certificate != self._certificate:
            curl.setopt(pycurl.OPT_CERTINFO, certificate)
            self._certificate = certificate
        self.secure = url.startswith("https")
        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.TIMEOUT_MS, timeout_ms)

    def expect(self, byte_limit: int, keep_body: bool, certain: Callable[["Transfer"], bool]) -> None:
        """Begins a new answer of at most `byte_limit` bytes, kept only where the verdict needs it. Comes before
        `prepare`. The transfer ends as soon as `certain` says that the rest makes no difference."""
        self.leave_place()
        self._bytes_left = byte_limit
        self._kept = 0
        self.body = [] if keep_body else None
        self.head.clear()
        self.truncated = False
        self.certain = certain
        self.decided = False
        self.look_at = 0.0
        self.denied_address = None
        self.tried.clear()
        self.trouble = None

    def forget(self) -> None:
        """Drops what one check must not leave to the next: what it read, and its cookies."""
        self.body = None
        self.head.clear()
        self.certain = never
        self.curl.setopt(pycurl.COOKIELIST, "ALL")

    def leave_place(self) -> None:
        """Its body is no longer needed."""
        if self._has_place or self.waits:
            self._places.leave(self)
            self._has_place = self.waits = False

    def resume(self) -> None:
        """It has a place for its body now."""
        self._has_place, self.waits = True, False
        with contextlib.suppress(pycurl.error):  # of `_write`, which has noted why
            self.curl.pause(pycurl.PAUSE_CONT)

    def _set_options(self, shape: Shape) -> None:
        setopt = self.curl.setopt
        for option, value in self._options:
            setopt(option, value)
        setopt(pycurl.OPENSOCKETFUNCTION, self._open_socket)
        setopt(pycurl.WRITEFUNCTION, self._write)
        setopt(pycurl.HEADERFUNCTION, self._header)
        setopt(pycurl.HTTPHEADER, _header_lines(shape))
        cookie = _cookie(shape)
        if cookie:  # libcurl makes one header of it and of the cookies that servers set
            setopt(pycurl.COOKIE, cookie.encode())
        if shape.method == "HEAD":
            setopt(pycurl.NOBODY, 1)
        elif shape.body is not None or shape.method in _WITH_BODY:
            body = (shape.body or "").encode()
            setopt(pycurl.POSTFIELDSIZE_LARGE, len(body))
            setopt(pycurl.POSTFIELDS, body)
            setopt(pycurl.CUSTOMREQUEST, shape.method)
        elif shape.method != "GET":
            setopt(pycurl.CUSTOMREQUEST, shape.method)
        if shape.connect_only:
            setopt(pycurl.CONNECT_ONLY, 1)
            setopt(pycurl.FORBID_REUSE, 0)  # else libcurl closes the connection once it is there
            setopt(pycurl.SSL_ENABLE_ALPN, 0)  # the protocol is not known; some servers refuse a wrong offer
        if not shape.verify_tls:
            setopt(pycurl.SSL_VERIFYPEER, 0)
            setopt(pycurl.SSL_VERIFYHOST, 0)
        if shape.credentials is not None:
            setopt(pycurl.USERPWD, shape.credentials.encode())

    def _header(self, line: bytes) -> None:
        if line.startswith(b"HTTP/"):  # after an interim response (1xx)
            self.head.clear()
        self.head.append(line)
        if len(line) <= 2:
            self._grown(self)

    def _write(self, chunk: bytes) -> int | None:
        if self.body is not None and not self._has_place:
            if self._kept + len(chunk) > SMALL_BODY_BYTES:
                if self.waits or not self._places.take(self):
                    self.waits = True
                    return _PAUSE
                self._has_place = True
            self._kept += len(chunk)
        room = self._bytes_left
        self._bytes_left = room - len(chunk)
        if self._bytes_left < 0:
            self.truncated = True
            if self.body is not None:
                self.body.append(chunk[:room])
            return 0  # not the chunk's length: libcurl ends the transfer
        if self.body is not None:
            self.body.append(chunk)
            self._grown(self)
        return None

    def _open_socket(self, _purpose: int, address: Any) -> int:
        """Called with each address just before it is connected to: here the deny rule holds, on every hop."""
        host = address.addr[0]
        if self._denied(host):
            self.denied_address = host
            return _REFUSED
        self.tried.append(host)
        try:
            return socket.socket(address.family, address.socktype, address.protocol).detach()
        except OSError as error:
            if error.errno != errno.EAFNOSUPPORT:  # a kernel without IPv6: other addresses follow
                self.trouble = f"no socket could be opened: {error.strerror}"
            return _REFUSED


def never(_: Transfer) -> bool:
    return False


def _cookie(shape: Shape) -> str:
    """The service's own Cookie header; empty where it has none."""
    return next((value for name, value in shape.headers.items() if name.lower() == "cookie"), "")


def _header_lines(shape: Shape) -> list[bytes]:
    lines = {name.lower(): f"{name}: {value}" if value else f"{name};" for name, value in shape.headers.items()}
    lines.pop("cookie", None)
    lines.setdefault("accept-encoding", "Accept-Encoding: identity")
    if shape.body is not None or shape.method in _WITH_BODY:
        lines.setdefault("expect", "Expect:")
        lines.setdefault("content-type", "Content-Type:")
    return [line.encode() for line in lines.values()]


def fixed_options(settings: Settings) -> list[tuple[int, Any]]:
    """What holds for every request, and stays set on a handle until it is reset."""
    web = pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS
    options: list[tuple[int, Any]] = [
        (pycurl.NOSIGNAL, 1),
        (pycurl.COOKIEFILE, ""),  # keeps cookies in memory, also across a reset: see `Transfer.forget`
        (pycurl.FRESH_CONNECT, 1),
        (pycurl.FORBID_REUSE, 1),
        (pycurl.SSL_SESSIONID_CACHE, 0),  # a resumed session is one whose certificate nobody looked at
        (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
        (pycurl.PROTOCOLS, web),
        (pycurl.PROXY, ""),  # else http_proxy of the environment holds
        (pycurl.USERAGENT, USER_AGENT),
        (pycurl.MAXFILESIZE_LARGE, LONGEST_BODY),
        (
            pycurl.DNS_CACHE_TIMEOUT,
            1,
        ),  # RESOLVE's entries live in that cache; 0 drops them before they are used
    ]
    if settings.ca_file is not None:  # else pycurl's choice, the system's bundle
        options.append((pycurl.CAINFO, str(settings.ca_file)))
    return options

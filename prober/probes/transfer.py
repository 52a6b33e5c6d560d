"""One request through libcurl: its options, its response, and the state that libcurl's callbacks keep.

Later checks reuse a handle. They keep its options, and nothing else of earlier checks.
"""

import asyncio
import contextlib
import errno
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

import pycurl

from prober.probes.request import METHODS_WITH_BODY, Shape, cookie, header_lines

_REFUSED: int = pycurl.SOCKET_BAD
_PAUSE: int = pycurl.WRITEFUNC_PAUSE
SMALL_BODY_BYTES = 64 * 1024
"""The part of a body that is kept without a place in `Places`."""


class Places:
    """Limits the number of large bodies in memory. A transfer that needs a place is paused until one is free, in order.
    It needs one place only, so there is no deadlock."""

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
        """Takes a place for the transfer. Returns False if none is free: then the transfer must pause until
        `resume`."""
        if self._free:
            self._free -= 1
            return True
        self._waiting.append(transfer)
        return False

    def leave(self, transfer: "Transfer") -> None:
        """Gives back the place that the transfer has or waits for. Must not be called in a callback of libcurl."""
        if transfer.waits:
            self._waiting.remove(transfer)
        elif self._waiting:
            self._waiting.popleft().resume()
        else:
            self._free += 1


class Transfer:
    """A libcurl easy handle, reused by many requests, and the state of the present one."""

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
        "next_verdict_at",
        "secure",
        "shape",
        "tried",
        "trouble",
        "truncated",
        "verdict_timer",
        "waits",
    )

    def __init__(
        self,
        denied: Callable[[str], bool],
        options: list[tuple[int, Any]],
        grown: Callable[["Transfer"], None],
        places: Places,
    ) -> None:
        """`grown` is called when a head is complete, and with each piece of a body that is kept."""
        self.curl = pycurl.Curl()
        self._places = places
        self._has_place = False
        self._kept = 0
        self.waits = False
        """Whether it is paused until it gets a place for its body."""
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
        """Whether it was ended early because its verdict was certain."""
        self.next_verdict_at = 0.0
        self.verdict_timer: asyncio.TimerHandle | None = None
        self.denied_address: str | None = None
        self.tried: list[str] = []
        self.trouble: str | None = None

    def prepare(self, url: str, shape: Shape, resolve: list[str], timeout_ms: int, certificate: bool) -> None:
        """Sets the options that differ from those of the last request. Raises pycurl.error if libcurl refuses one.

        `resolve` has the format of CURLOPT_RESOLVE. With `certificate` the certificate of the server can be read
        afterwards.
        """
        curl = self.curl
        if shape != self.shape:
            curl.reset()
            self._resolve = []
            self._certificate = False
            self.shape = None  # in case an option is refused
            self._set_options(shape)
            if shape.credentials is None:  # with credentials, the next request resets the handle
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
        """Resets the state for a new response of at most `byte_limit` bytes. Must be called before `prepare`. The
        transfer ends as soon as `certain` returns True."""
        self.leave_place()
        self._bytes_left = byte_limit
        self._kept = 0
        self.body = [] if keep_body else None
        self.head.clear()
        self.truncated = False
        self.certain = certain
        self.decided = False
        self.next_verdict_at = 0.0
        self.denied_address = None
        self.tried.clear()
        self.trouble = None

    def clear(self) -> None:
        """Deletes the response and the cookies of a check."""
        self.body = None
        self.head.clear()
        self.certain = never
        self.curl.setopt(pycurl.COOKIELIST, "ALL")

    def leave_place(self) -> None:
        """Gives back the place of the body, if there is one, or stops waiting for one."""
        if self._has_place or self.waits:
            self._places.leave(self)
            self._has_place = self.waits = False

    def resume(self) -> None:
        """Continues after a pause, with a place for the body."""
        self._has_place, self.waits = True, False
        with contextlib.suppress(pycurl.error):  # `_write` failed and has noted the cause
            self.curl.pause(pycurl.PAUSE_CONT)

    def _set_options(self, shape: Shape) -> None:
        setopt = self.curl.setopt
        for option, value in self._options:
            setopt(option, value)
        setopt(pycurl.OPENSOCKETFUNCTION, self._open_socket)
        setopt(pycurl.WRITEFUNCTION, self._write)
        setopt(pycurl.HEADERFUNCTION, self._header)
        setopt(pycurl.HTTPHEADER, header_lines(shape))
        own_cookie = cookie(shape)
        if own_cookie:  # libcurl adds the cookies that servers set
            setopt(pycurl.COOKIE, own_cookie.encode())
        if shape.method == "HEAD":
            setopt(pycurl.NOBODY, 1)
        elif shape.body is not None or shape.method in METHODS_WITH_BODY:
            body = (shape.body or "").encode()
            setopt(pycurl.POSTFIELDSIZE_LARGE, len(body))
            setopt(pycurl.POSTFIELDS, body)
            setopt(pycurl.CUSTOMREQUEST, shape.method)
        elif shape.method != "GET":
            setopt(pycurl.CUSTOMREQUEST, shape.method)
        if shape.connect_only:
            setopt(pycurl.CONNECT_ONLY, 1)
            setopt(pycurl.FORBID_REUSE, 0)  # else libcurl closes the connection once it is open
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
            return 0  # any number but the length of the chunk ends the transfer
        if self.body is not None:
            self.body.append(chunk)
            self._grown(self)
        return None

    def _open_socket(self, _purpose: int, address: Any) -> int:
        """Opens a socket for a connection to `address`, unless the deny rule denies it. Called by libcurl before each
        connection of every hop. Returns the file descriptor, or `_REFUSED`."""
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

"""libcurl on the running event loop: one multi handle, its sockets in an epoll that the loop watches as one.

Why an epoll of our own: a check opens a socket, changes what it waits for and closes it. Through the loop's
add_reader/add_writer that is half a dozen watcher objects a check; an epoll inside the loop's costs a system
call each and wakes the loop once for many sockets (measured: 60 against 72 µs a check, all in).
Nothing is shared between checks but the parsed CA file: no connection, TLS session or cookie. The hops of one check
share their cookies.
"""

import asyncio
import contextlib
import errno
import select
import socket
from collections import deque
from collections.abc import Callable
from time import perf_counter
from types import TracebackType
from typing import Any, NamedTuple, Self

import pycurl

from prober.outcome import ProberTrouble
from prober.probes.certificates import LOOK_EVERY_S, Inspection
from prober.probes.networks import DenyRule
from prober.probes.resolver import Resolver
from sla_monitor import __version__
from sla_monitor.settings import Settings

_EVENTS_AT_ONCE = 64
"""Sockets served before the loop gets its turn again: the rest stay readable and come next."""
_NEVER = float("inf")
_REFUSED: int = pycurl.SOCKET_BAD
_PAUSE: int = pycurl.WRITEFUNC_PAUSE
STALL_SECONDS = 0.25
"""A timeout noticed later than this after it was due is the event loop's fault, not the service's."""

LOOK_SECONDS = 0.02
LOOK_SHARE = 50
"""A transfer under way is looked at again after LOOK_SECONDS, or after so many times what the last look cost."""
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
        self.certain: Callable[[Transfer], bool] = _never
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
        self.certain = _never
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


class Engine:
    """What all probes of a process share: libcurl's multi handle, resolver, deny rule, byte limit, and whose
    certificate was looked at when.

    `async with Engine(settings) as engine:` binds it to the running loop.
    """

    def __init__(self, settings: Settings, *, certificates_every_s: float = LOOK_EVERY_S) -> None:
        self.max_bytes = settings.probe_max_bytes
        self.inspection = Inspection(certificates_every_s)
        self._options = _fixed_options(settings)
        self._denied = DenyRule(settings.probe_deny_networks).denied
        self._places = Places(max(1, settings.probe_bodies_max_bytes // settings.probe_max_bytes))
        self._spare: list[Transfer] = []
        self._spare_limit = settings.probe_concurrency
        self._grown: set[Transfer] = set()
        self._waiting: dict[Any, asyncio.Future[tuple[int, str]]] = {}
        self._connecting: set[Any] = set()
        self._watched: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due = _NEVER
        self._rings_at = _NEVER

    async def __aenter__(self) -> Self:
        self.loop = asyncio.get_running_loop()
        self.resolver = Resolver()
        self._epoll = select.epoll()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self.loop.add_reader(self._epoll.fileno(), self._on_ready)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.loop.remove_reader(self._epoll.fileno())
        for curl, waiter in list(self._waiting.items()):
            self._finish(curl, pycurl.E_ABORTED_BY_CALLBACK, "the prober stops")
            waiter.cancel()
        self._multi.close()
        if self._timer is not None:
            self._timer.cancel()
        self._epoll.close()
        self.resolver.close()
        for transfer in self._spare:
            transfer.curl.close()
        self._spare.clear()

    def take(self) -> Transfer:
        """A transfer to use and then to `give_back`."""
        if self._spare:
            return self._spare.pop()
        return Transfer(self._denied, self._options, self._grown.add, self._places)

    @property
    def bodies_waiting(self) -> int:
        """Checks that are paused because too many large bodies are in memory."""
        return self._places.waiting

    @property
    def large_bodies(self) -> int:
        """Checks whose large body is in memory."""
        return self._places.taken

    def give_back(self, transfer: Transfer) -> None:
        transfer.leave_place()
        if len(self._spare) < self._spare_limit:
            transfer.forget()
            self._spare.append(transfer)
        else:
            transfer.curl.close()

    async def perform(self, transfer: Transfer) -> tuple[int, str]:
        """Runs a prepared transfer to its end or timeout; returns libcurl's code (0: good) and message."""
        curl = transfer.curl
        waiter: asyncio.Future[tuple[int, str]] = self.loop.create_future()
        self._waiting[curl] = waiter
        try:
            self._multi.add_handle(curl)
            return await waiter
        except pycurl.error as error:
            raise ProberTrouble(f"libcurl: {error}") from None
        finally:
            if transfer.look_later is not None:
                transfer.look_later.cancel()
                transfer.look_later = None
            if curl in self._waiting:  # cancelled, or never begun
                self._finish(curl, pycurl.E_ABORTED_BY_CALLBACK, "cancelled")

    async def connect(self, transfer: Transfer) -> tuple[int, str]:
        """Connects as a prepared transfer says; returns libcurl's code (0: good) and message. The connection is kept
        until `disconnect`, which must be called in any case."""
        curl = transfer.curl
        waiter: asyncio.Future[tuple[int, str]] = self.loop.create_future()
        self._waiting[curl] = waiter
        self._connecting.add(curl)
        try:
            self._multi.add_handle(curl)
            return await waiter
        except pycurl.error as error:
            raise ProberTrouble(f"libcurl: {error}") from None

    def disconnect(self, transfer: Transfer) -> None:
        self._connecting.discard(transfer.curl)
        if transfer.curl in self._waiting:
            self._finish(transfer.curl, pycurl.E_ABORTED_BY_CALLBACK, "cancelled")

    async def send(self, transfer: Transfer, data: bytes, deadline: float) -> None:
        """Sends all of it. Raises pycurl.error, and TimeoutError at `deadline` (loop time)."""
        while data:
            try:
                data = data[transfer.curl.send(data) :]
            except BlockingIOError:
                await self._ready(transfer, deadline, self.loop.add_writer, self.loop.remove_writer)

    async def receive(self, transfer: Transfer, most: int, deadline: float) -> bytes:
        """The next bytes, `most` at most; none at the end. Raises pycurl.error, and TimeoutError at `deadline`."""
        while True:
            try:
                return bytes(transfer.curl.recv(most))
            except BlockingIOError:
                await self._ready(transfer, deadline, self.loop.add_reader, self.loop.remove_reader)

    async def _ready(
        self, transfer: Transfer, deadline: float, add: Callable[..., Any], remove: Callable[[int], Any]
    ) -> None:
        """Waits until the connection can be read or written. Raises TimeoutError at `deadline`."""
        socket_ = transfer.curl.getinfo(pycurl.ACTIVESOCKET)
        ready: asyncio.Future[None] = self.loop.create_future()
        add(socket_, _wake, ready)
        try:
            async with asyncio.timeout_at(deadline):
                await ready
        finally:
            remove(socket_)

    def _finish(self, curl: Any, code: int, message: str) -> None:
        waiter = self._waiting.pop(curl)
        try:
            self._multi.remove_handle(curl)
        except pycurl.error as error:  # it was refused by add_handle
            message = message or str(error)
        if not waiter.done():
            waiter.set_result((code, message))

    def _collect(self) -> None:
        while True:
            more, good, failed = self._multi.info_read()
            for curl in good:
                if curl in self._connecting:  # libcurl would drop the connection with the handle
                    if not self._waiting[curl].done():
                        self._waiting[curl].set_result((0, ""))
                else:
                    self._finish(curl, 0, "")
            for curl, code, message in failed:
                self._finish(curl, code, message)
            if not more:
                break
        while self._grown:  # most are finished already
            self._look_in_time(self._grown.pop())

    def _look_in_time(self, transfer: Transfer) -> None:
        if transfer.curl not in self._waiting or transfer.look_later is not None:
            return
        if transfer.look_at <= self.loop.time():
            self._look(transfer)
        else:
            transfer.look_later = self.loop.call_at(transfer.look_at, self._look, transfer)

    def _look(self, transfer: Transfer) -> None:
        """Ends a transfer under way whose verdict is certain: an endless stream has no other good end."""
        transfer.look_later = None
        began = perf_counter()
        if transfer.certain(transfer):
            transfer.decided = True
            self._finish(transfer.curl, 0, "")
        cost = perf_counter() - began
        transfer.look_at = self.loop.time() + max(LOOK_SECONDS, LOOK_SHARE * cost)

    def _on_socket(self, what: int, fd: int, _multi: Any, _assigned: Any) -> None:
        if what == pycurl.POLL_REMOVE:
            if fd in self._watched:
                self._watched.remove(fd)
                self._epoll.unregister(fd)
            return
        mask = (select.EPOLLIN if what & pycurl.POLL_IN else 0) | (select.EPOLLOUT if what & pycurl.POLL_OUT else 0)
        if fd in self._watched:
            self._epoll.modify(fd, mask)
        else:
            self._epoll.register(fd, mask)
            self._watched.add(fd)

    def _on_ready(self) -> None:
        for fd, events in self._epoll.poll(0, _EVENTS_AT_ONCE):
            action = pycurl.CSELECT_OUT if events & select.EPOLLOUT else 0
            if events & ~select.EPOLLOUT:  # readable, hung up or in error: a read tells which
                action |= pycurl.CSELECT_IN
            self._multi.socket_action(fd, action)
        self._collect()

    def _on_timer(self, timeout_ms: int) -> None:
        """libcurl wants a call in that time. Its wish changes several times a check, so a timer that would
        ring too early is left to ring, and then set anew: cheaper than replacing it each time."""
        if timeout_ms < 0:
            self._due = _NEVER
            return
        self._due = self.loop.time() + timeout_ms / 1000
        if self._due < self._rings_at:
            self._ring_at_due()

    def _ring_at_due(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = self._due
        self._timer = self.loop.call_at(self._due, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._rings_at = _NEVER
        if self._due > self.loop.time():
            if self._due < _NEVER:
                self._ring_at_due()
            return
        self._due = _NEVER
        # Answers that lie ready come before timeouts: after a stall of the loop both are due at once.
        self._on_ready()
        self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._collect()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _never(_: Transfer) -> bool:
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


def _fixed_options(settings: Settings) -> list[tuple[int, Any]]:
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

"""Name resolution in threads, so that names whose servers do not respond do not delay others.

`getaddrinfo` blocks until name servers respond (30 s and more for a dead delegation) and cannot be cancelled. libcurl
calls it in a pool of 20 threads, two for a name, and uvloop in a pool of 4: fifty dead names would block either pool
for all services. The prober therefore has up to THREADS threads, started on demand. A name is looked up by one thread
at a time, and all checks that wait for the name share the result, so a dead name blocks one thread at most. If no
thread is free in time, the check has no result (`ProberTrouble`).
"""

import asyncio
import errno
import socket
import threading
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

from prober.outcome import ProberTrouble

THREADS = 256
_IDLE_SECONDS = 10.0
_ADDRESSES = 16
_SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
_MESSAGES = {
    socket.EAI_NONAME: "name not found",
    socket.EAI_NODATA: "the name has no address",
    socket.EAI_AGAIN: "the name servers did not respond (temporary failure in name resolution)",
    socket.EAI_FAIL: "the name servers failed",
}

LookUp = Callable[..., list[tuple[Any, ...]]]


class NameFailure(Exception):  # noqa: N818 - a failure of the service, not of this program
    """The name servers know no address of the name. The message is shown to users."""


class Found(NamedTuple):
    """The addresses of a name, and the duration of the lookup in milliseconds."""

    addresses: tuple[str, ...]
    """In the order in which to connect to them."""
    ms: float


class _Lookup:
    """A lookup and the futures of the checks that wait for it."""

    __slots__ = ("name", "started", "waiters")

    def __init__(self, name: str) -> None:
        self.name = name
        self.started = False
        self.waiters: list[asyncio.Future[Found]] = []


class Resolver:
    """A bounded pool of threads that call `getaddrinfo`. They are daemons, so a blocked thread does not delay the
    exit."""

    def __init__(self, threads: int = THREADS, look_up: LookUp = socket.getaddrinfo) -> None:
        self._loop = asyncio.get_running_loop()
        self._look_up = look_up
        self._limit = threads
        self._under_way: dict[str, _Lookup] = {}
        self._queue: deque[_Lookup] = deque()
        self._wake = threading.Condition()
        self._threads = 0
        self._idle = 0
        self._closed = False

    async def addresses(self, name: str, deadline: float) -> Found:
        """Looks up the name. Raises NameFailure, TimeoutError at `deadline` (loop time), or ProberTrouble."""
        lookup = self._under_way.get(name)
        if lookup is None:
            lookup = self._under_way[name] = _Lookup(name)
            self._submit(lookup)
        waiter: asyncio.Future[Found] = self._loop.create_future()
        lookup.waiters.append(waiter)
        timer = self._loop.call_at(deadline, _give_up, waiter, lookup, self._limit)
        try:
            return await waiter
        finally:
            timer.cancel()
            if waiter in lookup.waiters:
                lookup.waiters.remove(waiter)

    def close(self) -> None:
        """Ends the idle threads now, and the others when `getaddrinfo` returns."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()

    def _submit(self, lookup: _Lookup) -> None:
        with self._wake:
            self._queue.append(lookup)
            if self._idle >= len(self._queue):
                self._wake.notify()
                return
            if self._threads >= self._limit:
                return
            self._threads += 1
        try:
            threading.Thread(target=self._work, name="resolver", daemon=True).start()
        except RuntimeError as error:  # the running threads will take the lookup, or it times out
            with self._wake:
                self._threads -= 1
                if self._threads == 0:
                    self._queue.remove(lookup)
                    del self._under_way[lookup.name]
                    raise ProberTrouble(f"no thread can be started: {error}") from None

    def _work(self) -> None:
        while True:
            with self._wake:
                self._idle += 1
                while not self._queue:
                    if self._closed or not (self._wake.wait(_IDLE_SECONDS) or self._queue):
                        self._idle -= 1
                        self._threads -= 1
                        return
                self._idle -= 1
                lookup = self._queue.popleft()
                lookup.started = True
            result = self._resolve(lookup.name)
            try:
                self._loop.call_soon_threadsafe(self._deliver, lookup, result)
            except RuntimeError:  # the loop is closed
                return

    def _resolve(self, name: str) -> Found | Exception:
        begun = perf_counter()
        try:
            found = self._look_up(name, None, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        except socket.gaierror as error:
            return _meaning(error)
        except UnicodeError:
            return NameFailure("not a valid host name")
        except OSError as error:
            return ProberTrouble(f"the name could not be looked up: {error.strerror}")
        addresses = tuple(dict.fromkeys(row[4][0] for row in found))
        return Found(addresses[:_ADDRESSES], (perf_counter() - begun) * 1000)

    def _deliver(self, lookup: _Lookup, result: Found | Exception) -> None:
        del self._under_way[lookup.name]
        for waiter in lookup.waiters:
            if waiter.done():
                continue
            if isinstance(result, Exception):
                waiter.set_exception(result)
            else:
                waiter.set_result(result)


def _give_up(waiter: asyncio.Future[Found], lookup: _Lookup, limit: int) -> None:
    if waiter.done():
        return
    if lookup.started:
        waiter.set_exception(TimeoutError())
    else:
        waiter.set_exception(ProberTrouble(f"{limit} name lookups were running, and none ended in time"))


def _meaning(error: socket.gaierror) -> Exception:
    code = error.errno if error.errno is not None else socket.EAI_FAIL
    if code not in _MESSAGES:  # EAI_MEMORY, EAI_SYSTEM
        return ProberTrouble(f"the name could not be looked up: {error.strerror}")
    if code != socket.EAI_NONAME:
        # glibc reports a temporary failure also if this process has no file descriptor left for its socket.
        try:
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
        except OSError as scarce:
            if scarce.errno in _SCARCE:
                return ProberTrouble(f"the name could not be looked up: {scarce.strerror}")
    return NameFailure(_MESSAGES[code])

"""libcurl on the running event loop: one multi handle, its sockets in a poller that the loop watches as one.

Through the loop's own add_reader and add_writer a check would take half a dozen watcher objects (see polling.py).
Nothing is shared between checks but the parsed CA file: no connection, TLS session or cookie. The hops of one check
share their cookies.
"""

import asyncio
from collections.abc import Callable
from time import perf_counter
from types import TracebackType
from typing import Any, Self

import pycurl

from prober.outcome import ProberTrouble
from prober.probes.certificates import LOOK_EVERY_S, Inspection
from prober.probes.networks import DenyRule
from prober.probes.polling import IN, OUT, Poller, new_poller
from prober.probes.resolver import Resolver
from prober.probes.transfer import Places, Transfer, fixed_options
from sla_monitor.settings import Settings

_EVENTS_AT_ONCE = 64
"""Sockets served before the loop gets its turn again: the rest stay readable and come next."""
_NEVER = float("inf")
STALL_SECONDS = 0.25
"""A timeout noticed later than this after it was due is the event loop's fault, not the service's."""

LOOK_SECONDS = 0.02
LOOK_SHARE = 50
"""A transfer under way is looked at again after LOOK_SECONDS, or after so many times what the last look cost."""


class Engine:
    """What all probes of a process share: libcurl's multi handle, resolver, deny rule, byte limit, and whose
    certificate was looked at when.

    `async with Engine(settings) as engine:` binds it to the running loop.
    """

    def __init__(self, settings: Settings, *, certificates_every_s: float = LOOK_EVERY_S) -> None:
        self.max_bytes = settings.probe_max_bytes
        self.inspection = Inspection(certificates_every_s)
        self._options = fixed_options(settings)
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
        self._poller: Poller = new_poller()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self.loop.add_reader(self._poller.fileno(), self._on_ready)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.loop.remove_reader(self._poller.fileno())
        for curl, waiter in list(self._waiting.items()):
            self._finish(curl, pycurl.E_ABORTED_BY_CALLBACK, "the prober stops")
            waiter.cancel()
        self._multi.close()
        if self._timer is not None:
            self._timer.cancel()
        self._poller.close()
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
                self._poller.unregister(fd)
            return
        mask = (IN if what & pycurl.POLL_IN else 0) | (OUT if what & pycurl.POLL_OUT else 0)
        if fd in self._watched:
            self._poller.modify(fd, mask)
        else:
            self._poller.register(fd, mask)
            self._watched.add(fd)

    def _on_ready(self) -> None:
        for fd, events in self._poller.poll(0, _EVENTS_AT_ONCE):
            action = pycurl.CSELECT_OUT if events & OUT else 0
            if events & ~OUT:  # readable, hung up or in error: a read tells which
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

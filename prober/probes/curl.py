"""libcurl on the running event loop: one multi handle, whose sockets are in one poller that the loop watches.

With the loop's own add_reader and add_writer a check would need several watcher objects (see polling.py). Checks share
only the parsed CA file: no connection, TLS session or cookie.
"""

import asyncio
from collections.abc import Callable
from time import perf_counter
from types import TracebackType
from typing import Any, Self

import pycurl

from prober.outcome import ProberTrouble
from prober.probes.certificates import INSPECT_EVERY_S, Inspection
from prober.probes.networks import DenyRule
from prober.probes.polling import IN, OUT, Poller, new_poller
from prober.probes.request import fixed_options
from prober.probes.resolver import Resolver
from prober.probes.transfer import Places, Transfer
from sla_monitor.settings import Settings

_EVENTS_AT_ONCE = 64
"""The most sockets that are handled before other tasks run. Further sockets stay ready."""
_NEVER = float("inf")
STALL_SECONDS = 0.25
"""If a timeout is noticed later than this, the event loop was blocked, and the result says nothing about the
service."""

VERDICT_PAUSE_S = 0.02
VERDICT_PAUSE_FACTOR = 50
"""An unfinished response is judged again after VERDICT_PAUSE_S, or after VERDICT_PAUSE_FACTOR times the duration of the
last judgement if that is longer."""


class Engine:
    """The state that all probes of a process share: the multi handle of libcurl, the resolver, the deny rule, limits,
    and when each certificate was inspected.

    `async with Engine(settings) as engine:` binds it to the running loop.
    """

    def __init__(self, settings: Settings, *, certificates_every_s: float = INSPECT_EVERY_S) -> None:
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
        self._fires_at = _NEVER

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
        """Returns an unused transfer. The caller must `give_back` it."""
        if self._spare:
            return self._spare.pop()
        return Transfer(self._denied, self._options, self._grown.add, self._places)

    @property
    def bodies_waiting(self) -> int:
        """The number of checks that are paused because too many large bodies are in memory."""
        return self._places.waiting

    @property
    def large_bodies(self) -> int:
        """The number of checks whose large body is in memory."""
        return self._places.taken

    def give_back(self, transfer: Transfer) -> None:
        """Deletes the response of the transfer, and keeps its handle for later checks."""
        transfer.leave_place()
        if len(self._spare) < self._spare_limit:
            transfer.clear()
            self._spare.append(transfer)
        else:
            transfer.curl.close()

    async def perform(self, transfer: Transfer) -> tuple[int, str]:
        """Runs a prepared transfer. Returns the code (0: success) and the message of libcurl."""
        curl = transfer.curl
        waiter: asyncio.Future[tuple[int, str]] = self.loop.create_future()
        self._waiting[curl] = waiter
        try:
            self._multi.add_handle(curl)
            return await waiter
        except pycurl.error as error:
            raise ProberTrouble(f"libcurl: {error}") from None
        finally:
            if transfer.verdict_timer is not None:
                transfer.verdict_timer.cancel()
                transfer.verdict_timer = None
            if curl in self._waiting:  # cancelled, or never begun
                self._finish(curl, pycurl.E_ABORTED_BY_CALLBACK, "cancelled")

    async def connect(self, transfer: Transfer) -> tuple[int, str]:
        """Connects a prepared transfer. Returns the code (0: success) and the message of libcurl. The connection is
        kept open until `disconnect`, which must be called in any case."""
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
        """Closes the connection of `connect`, or cancels the attempt. Does nothing if there is neither."""
        self._connecting.discard(transfer.curl)
        if transfer.curl in self._waiting:
            self._finish(transfer.curl, pycurl.E_ABORTED_BY_CALLBACK, "cancelled")

    async def send(self, transfer: Transfer, data: bytes, deadline: float) -> None:
        """Sends all `data`. Raises pycurl.error, or TimeoutError at `deadline` (loop time)."""
        while data:
            try:
                data = data[transfer.curl.send(data) :]
            except BlockingIOError:
                await self._ready(transfer, deadline, self.loop.add_writer, self.loop.remove_writer)

    async def receive(self, transfer: Transfer, most: int, deadline: float) -> bytes:
        """Returns the next bytes, at most `most`; none at the end. Raises pycurl.error, or TimeoutError at `deadline`
        (loop time)."""
        while True:
            try:
                return bytes(transfer.curl.recv(most))
            except BlockingIOError:
                await self._ready(transfer, deadline, self.loop.add_reader, self.loop.remove_reader)

    async def _ready(
        self, transfer: Transfer, deadline: float, add: Callable[..., Any], remove: Callable[[int], Any]
    ) -> None:
        """Waits until the connection is readable or writable. Raises TimeoutError at `deadline`."""
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
        except pycurl.error as error:  # add_handle had refused the handle
            message = message or str(error)
        if not waiter.done():
            waiter.set_result((code, message))

    def _collect(self) -> None:
        while True:
            more, good, failed = self._multi.info_read()
            for curl in good:
                if curl in self._connecting:  # removing the handle would close the connection
                    if not self._waiting[curl].done():
                        self._waiting[curl].set_result((0, ""))
                else:
                    self._finish(curl, 0, "")
            for curl, code, message in failed:
                self._finish(curl, code, message)
            if not more:
                break
        while self._grown:  # most have ended by now
            self._plan_verdict(self._grown.pop())

    def _plan_verdict(self, transfer: Transfer) -> None:
        if transfer.curl not in self._waiting or transfer.verdict_timer is not None:
            return
        if transfer.next_verdict_at <= self.loop.time():
            self._end_if_certain(transfer)
        else:
            transfer.verdict_timer = self.loop.call_at(transfer.next_verdict_at, self._end_if_certain, transfer)

    def _end_if_certain(self, transfer: Transfer) -> None:
        """Ends an unfinished transfer, such as an endless stream, if its verdict is certain."""
        transfer.verdict_timer = None
        began = perf_counter()
        if transfer.certain(transfer):
            transfer.decided = True
            self._finish(transfer.curl, 0, "")
        cost = perf_counter() - began
        transfer.next_verdict_at = self.loop.time() + max(VERDICT_PAUSE_S, VERDICT_PAUSE_FACTOR * cost)

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
            if events & ~OUT:  # readable, closed or failed: reading shows which
                action |= pycurl.CSELECT_IN
            self._multi.socket_action(fd, action)
        self._collect()

    def _on_timer(self, timeout_ms: int) -> None:
        """libcurl sets its timer: `socket_action` must be called after this time, or never if the time is negative.

        The time changes several times in a check. A loop timer that is too early stays, and is set again when it fires:
        replacing it would take longer.
        """
        if timeout_ms < 0:
            self._due = _NEVER
            return
        self._due = self.loop.time() + timeout_ms / 1000
        if self._due < self._fires_at:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._fires_at = self._due
        self._timer = self.loop.call_at(self._due, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._fires_at = _NEVER
        if self._due > self.loop.time():
            if self._due < _NEVER:
                self._set_timer()
            return
        self._due = _NEVER
        # Responses that have arrived come before timeouts: after a blocked loop both are due at once.
        self._on_ready()
        self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._collect()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)

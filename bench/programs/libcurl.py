"""A prober that consists of libcurl's multi interface only: the upper limit of the product's prober.

Each transfer uses a new connection. Nothing is recorded.
"""

import asyncio
import itertools
import resource
import select
import time
from typing import Any

import pycurl

from bench.programs.messages import arguments, requests, respond


class Transfers:
    """Keeps `concurrency` transfers in progress, of one URL after the other."""

    def __init__(self, urls: list[str], concurrency: int, ca_file: str | None) -> None:
        self._urls = itertools.cycle(urls)
        self._epoll = select.epoll()
        self._watched: set[int] = set()
        self._timeout_ms = -1
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._handles = [_handle(ca_file) for _ in range(concurrency)]
        self.done = 0
        self.failed = 0

    def run(self, seconds: float) -> None:
        """Starts transfers for this time and returns when the last ones have ended."""
        deadline = time.monotonic() + seconds
        for curl in self._handles:
            self._begin(curl)
        running = len(self._handles)
        while running:
            self._wait_for_sockets()
            for curl in self._ended():
                self._multi.remove_handle(curl)
                if time.monotonic() < deadline:
                    self._begin(curl)
                else:
                    running -= 1

    def _wait_for_sockets(self) -> None:
        ready = self._epoll.poll(self._timeout_ms / 1000 if self._timeout_ms >= 0 else 1.0)
        if not ready:
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        for fd, events in ready:
            action = pycurl.CSELECT_OUT if events & select.EPOLLOUT else 0
            if events & ~select.EPOLLOUT:
                action |= pycurl.CSELECT_IN
            self._multi.socket_action(fd, action)
        if self._timeout_ms == 0:
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)

    def _begin(self, curl: Any) -> None:
        curl.setopt(pycurl.URL, next(self._urls))
        self._multi.add_handle(curl)

    def _ended(self) -> list[Any]:
        """Counts the transfers that have ended and returns their handles."""
        _, finished, failed = self._multi.info_read()
        good = [curl for curl in finished if curl.getinfo(pycurl.RESPONSE_CODE) == 200]
        self.done += len(good)
        self.failed += len(finished) - len(good) + len(failed)
        return [*finished, *(curl for curl, _, _ in failed)]

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

    def _on_timer(self, timeout_ms: int) -> None:
        self._timeout_ms = timeout_ms


def _handle(ca_file: str | None) -> Any:
    """A handle with the options of the product's prober: no connection and no TLS session is reused, and certificates
    are verified."""
    curl = pycurl.Curl()
    for option, value in (
        (pycurl.NOSIGNAL, 1),
        (pycurl.FRESH_CONNECT, 1),
        (pycurl.FORBID_REUSE, 1),
        (pycurl.SSL_SESSIONID_CACHE, 0),
        (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
        (pycurl.PROXY, ""),
        (pycurl.TIMEOUT_MS, 7000),
        (pycurl.WRITEFUNCTION, lambda _: None),
    ):
        curl.setopt(option, value)
    if ca_file is not None:
        curl.setopt(pycurl.CAINFO, ca_file)
    return curl


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def main(urls: list[str], concurrency: int, ca_file: str | None) -> None:
    """A request is a number of seconds. The response is the number of good and failed checks, and their CPU seconds."""
    transfers = Transfers(urls, concurrency, ca_file)
    respond({})
    async for request in requests():
        done, failed, cpu = transfers.done, transfers.failed, _cpu_seconds()
        transfers.run(request["seconds"])  # blocks the event loop, which has nothing else to do
        respond({"checks": transfers.done - done, "failed": transfers.failed - failed, "cpu": _cpu_seconds() - cpu})


if __name__ == "__main__":
    asyncio.run(main(**arguments()))

"""Cookies: what one hop of a check sets, the next ones send, and nobody else."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from prober.probes import Engine
from prober.probes.resolver import Resolver
from sla_monitor.settings import Settings
from tests.prober import targets
from tests.prober.targets import Behaviour, serving
from tests.prober.test_http_probe import check

CONSENT = "Location: /\r\nSet-Cookie: consent=yes; Path=/\r\n"


@pytest.fixture
async def prober() -> AsyncIterator[Engine]:
    async with Engine(Settings()) as engine:
        yield engine


def consent_page(heads: list[bytes]) -> Behaviour:
    """Redirects to itself until it gets the cookie that it sets, as consent and login pages do."""

    async def behave(reader: Any, writer: Any) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        known = b"consent=yes" in heads[-1]
        writer.write(targets.answer() if known else targets.answer(status="302 Found", headers=CONSENT))
        await writer.drain()

    return behave


def cookies(head: bytes) -> list[bytes]:
    return [line.partition(b": ")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"cookie:")]


async def test_what_a_redirect_sets_goes_to_the_next_hop(prober: Engine) -> None:
    heads: list[bytes] = []
    async with serving(consent_page(heads)) as port:
        outcome, judgement = await check(prober, f"http://127.0.0.1:{port}/", timeout_ms=5000)
    assert judgement.success, judgement
    assert (outcome.redirects, [cookies(head) for head in heads]) == (1, [[], [b"consent=yes"]])


async def test_no_cookie_reaches_another_check(prober: Engine) -> None:
    heads: list[bytes] = []
    async with serving(consent_page(heads)) as port:
        for headers in ({}, {}, {"X-Other": "shape"}, {}):
            _, judgement = await check(prober, f"http://127.0.0.1:{port}/", timeout_ms=5000, headers=headers)
            assert judgement.success, judgement
    assert [cookies(head) for head in heads] == [[], [b"consent=yes"]] * 4


async def test_no_cookie_reaches_another_attempt_of_a_check(prober: Engine) -> None:
    heads: list[bytes] = []
    raw = targets.answer(status="503 Busy", headers="Set-Cookie: stale=yes\r\n")
    async with serving(targets.recording(heads, raw)) as port:
        await check(prober, f"http://127.0.0.1:{port}/", timeout_ms=5000, retries=1, interval_seconds=1)
    assert [cookies(head) for head in heads] == [[], []]


async def test_no_cookie_outlives_a_check_that_is_cut_off(prober: Engine) -> None:
    heads: list[bytes] = []
    arrived = anyio.Event()

    async def behave(reader: Any, writer: Any) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        if len(heads) == 1:
            writer.write(targets.answer(status="302 Found", headers=CONSENT))
        elif len(heads) == 2:
            arrived.set()
            await anyio.sleep_forever()
        writer.write(targets.answer())

    async with serving(behave) as port:
        url = f"http://127.0.0.1:{port}/"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(check, prober, url)
            await arrived.wait()
            tasks.cancel_scope.cancel()
        await check(prober, url, timeout_ms=5000)
    assert [cookies(head) for head in heads] == [[], [b"consent=yes"], []]


async def test_they_go_where_their_domain_lets_them(prober: Engine) -> None:
    """A service that redirects to a login host and back: each host gets its own cookies."""
    heads: dict[bytes, list[list[bytes]]] = {b"shop": [], b"login": []}

    async def behave(reader: Any, writer: Any) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        name = b"login" if b"Host: login." in head else b"shop"
        heads[name].append(cookies(head))
        onward = {(b"shop", 1): "login", (b"login", 1): "shop"}.get((name, len(heads[name])))
        if onward is None:
            writer.write(targets.answer())
        else:
            location = f"Location: http://{onward}.example:{port}/\r\nSet-Cookie: {name.decode()}=1\r\n"
            writer.write(targets.answer(status="302 Found", headers=location))
        await writer.drain()

    prober.resolver.close()
    prober.resolver = Resolver(look_up=lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", 0))])
    async with serving(behave) as port:
        _, judgement = await check(prober, f"http://shop.example:{port}/", timeout_ms=5000)
    assert judgement.success, judgement
    assert heads == {b"shop": [[], [b"shop=1"]], b"login": [[]]}


async def test_the_services_own_cookie_header_is_joined_with_them(prober: Engine) -> None:
    heads: list[bytes] = []
    async with serving(consent_page(heads)) as port:
        url = f"http://127.0.0.1:{port}/"
        _, judgement = await check(prober, url, timeout_ms=5000, headers={"cookie": "session=abc; theme=dark"})
        assert judgement.success, judgement
        await check(prober, url, timeout_ms=5000)
    assert cookies(heads[0]) == [b"session=abc; theme=dark"]
    assert [sorted(line.split(b"; ")) for line in cookies(heads[1])] == [
        [b"consent=yes", b"session=abc", b"theme=dark"]
    ]
    assert cookies(heads[2]) == [], "a reused handle forgets the last request"

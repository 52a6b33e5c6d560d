"""Cookies: those that a response sets are sent with the redirects of the same attempt only."""

from typing import Any

import anyio

from prober.probes import Engine
from prober.probes.resolver import Resolver
from tests.prober import targets
from tests.prober.http_checks import check
from tests.prober.targets import Behaviour, serving

CONSENT = "Location: /\r\nSet-Cookie: consent=yes; Path=/\r\n"


def consent_page(heads: list[bytes]) -> Behaviour:
    """Redirects to itself until it receives the cookie that it sets, like a consent page."""

    async def behave(reader: Any, writer: Any) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        has_cookie = b"consent=yes" in heads[-1]
        writer.write(
            targets.http_response() if has_cookie else targets.http_response(status="302 Found", headers=CONSENT)
        )
        await writer.drain()

    return behave


def cookies(head: bytes) -> list[bytes]:
    return [line.partition(b": ")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"cookie:")]


async def test_a_cookie_of_a_redirect_is_sent_to_the_next_location(probe_engine: Engine) -> None:
    heads: list[bytes] = []
    async with serving(consent_page(heads)) as port:
        outcome, judgement = await check(probe_engine, f"http://127.0.0.1:{port}/", timeout_ms=5000)
    assert judgement.success, judgement
    assert (outcome.redirects, [cookies(head) for head in heads]) == (1, [[], [b"consent=yes"]])


async def test_a_cookie_is_not_sent_by_another_check(probe_engine: Engine) -> None:
    heads: list[bytes] = []
    async with serving(consent_page(heads)) as port:
        for headers in ({}, {}, {"X-Other": "shape"}, {}):
            _, judgement = await check(probe_engine, f"http://127.0.0.1:{port}/", timeout_ms=5000, headers=headers)
            assert judgement.success, judgement
    assert [cookies(head) for head in heads] == [[], [b"consent=yes"]] * 4


async def test_a_cookie_is_not_sent_by_another_attempt(probe_engine: Engine) -> None:
    heads: list[bytes] = []
    raw = targets.http_response(status="503 Busy", headers="Set-Cookie: stale=yes\r\n")
    async with serving(targets.recording(heads, raw)) as port:
        await check(probe_engine, f"http://127.0.0.1:{port}/", timeout_ms=5000, retries=1, interval_seconds=1)
    assert [cookies(head) for head in heads] == [[], []]


async def test_a_cookie_of_a_cancelled_check_is_not_sent_by_the_next(probe_engine: Engine) -> None:
    heads: list[bytes] = []
    arrived = anyio.Event()

    async def behave(reader: Any, writer: Any) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        if len(heads) == 1:
            writer.write(targets.http_response(status="302 Found", headers=CONSENT))
        elif len(heads) == 2:
            arrived.set()
            await anyio.sleep_forever()
        writer.write(targets.http_response())

    async with serving(behave) as port:
        url = f"http://127.0.0.1:{port}/"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(check, probe_engine, url)
            await arrived.wait()
            tasks.cancel_scope.cancel()
        await check(probe_engine, url, timeout_ms=5000)
    assert [cookies(head) for head in heads] == [[], [b"consent=yes"], []]


async def test_a_cookie_is_sent_to_its_own_host_only(probe_engine: Engine) -> None:
    """The service redirects to a login host and back."""
    heads: dict[bytes, list[list[bytes]]] = {b"shop": [], b"login": []}

    async def behave(reader: Any, writer: Any) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        name = b"login" if b"Host: login." in head else b"shop"
        heads[name].append(cookies(head))
        next_host = {(b"shop", 1): "login", (b"login", 1): "shop"}.get((name, len(heads[name])))
        if next_host is None:
            writer.write(targets.http_response())
        else:
            location = f"Location: http://{next_host}.example:{port}/\r\nSet-Cookie: {name.decode()}=1\r\n"
            writer.write(targets.http_response(status="302 Found", headers=location))
        await writer.drain()

    probe_engine.resolver.close()
    probe_engine.resolver = Resolver(look_up=lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", 0))])
    async with serving(behave) as port:
        _, judgement = await check(probe_engine, f"http://shop.example:{port}/", timeout_ms=5000)
    assert judgement.success, judgement
    assert heads == {b"shop": [[], [b"shop=1"]], b"login": [[]]}


async def test_cookies_are_added_to_the_cookie_header_of_the_service(probe_engine: Engine) -> None:
    heads: list[bytes] = []
    async with serving(consent_page(heads)) as port:
        url = f"http://127.0.0.1:{port}/"
        _, judgement = await check(probe_engine, url, timeout_ms=5000, headers={"cookie": "session=abc; theme=dark"})
        assert judgement.success, judgement
        await check(probe_engine, url, timeout_ms=5000)
    assert cookies(heads[0]) == [b"session=abc; theme=dark"]
    assert [sorted(line.split(b"; ")) for line in cookies(heads[1])] == [
        [b"consent=yes", b"session=abc", b"theme=dark"]
    ]
    assert cookies(heads[2]) == [], "a reused handle keeps nothing of the last request"

"""The status page: its size, its request rate, and the time until it is interactive with very many services."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from statistics import median

from playwright.async_api import Browser

from bench.api_server import running_api
from bench.history import create_services, load
from bench.http_comparison import Request, compare_with_uvicorn, fetch
from bench.report import Result, at_least, at_most, comparison, figure, not_measured
from bench.run import Run, query
from tests.browsers import NO_BROWSER, find_browser
from tests.pages.chromium import running_browser

PAGE = "/"
LOGIN_PAGE = "/login"
COMPRESSED = {"accept-encoding": "gzip, deflate, br", "accept-language": "en"}
UNCOMPRESSED: dict[str, str] = {}
SIZE_TARGET = at_most(60.0, "kB")
RATE_TARGET = at_least(0.8)
INTERACTIVE_TARGET = at_most(1.4)
"""Relative to the login page, which shows no figures."""
_LINKED = re.compile(r'<(?:script type="module"[^>]* src|link rel="stylesheet" href|link rel="icon" href)="([^"]+)"')
_IMPORTED = re.compile(rb'(?:from|import) "\./([^"]+)"')
_TIMES = """async () => {
  const [visit] = performance.getEntriesByType("navigation");
  const painted = await new Promise((resolve) => {
    const seen = (list) => list.getEntriesByName("first-contentful-paint").forEach((paint) => resolve(paint.startTime));
    new PerformanceObserver(seen).observe({ type: "paint", buffered: true });
  });
  return {interactive: visit.domContentLoadedEventEnd, painted, first_byte: visit.responseStart};
}"""
"""Milliseconds since the navigation. The page is interactive when DOMContentLoaded ends: its modules have then run."""


async def measure(run: Run) -> AsyncIterator[Result]:
    services = run.scale.api_services
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(run.databases.migrated())
        async with await database.connect() as connection:
            await create_services(connection, services)
            await load(connection, database.engine, services=services, days=run.scale.history_days, checks_per_hour=4)
        api, port = await stack.enter_async_context(running_api(run, database))
        size_kb, note = await _size_with_files(port)
        title = f"Status page of {services} services: compressed size with all its files"
        yield figure(title, [size_kb], "kB", SIZE_TARGET, note=note)
        title, request = f"Status page of {services} services, cached", Request(PAGE, COMPRESSED)
        for result in await compare_with_uvicorn(run, stack, api, port, request, title, RATE_TARGET):
            yield result
    yield await _measure_interactive(run)


async def _size_with_files(port: int) -> tuple[float, str]:
    """The size of the page and all files it loads, in thousands of bytes without headers, and a list of them."""
    page = await fetch(port, Request(PAGE, COMPRESSED))
    text = (await fetch(port, Request(PAGE, UNCOMPRESSED))).content.decode()
    waiting, sizes = list(dict.fromkeys(_LINKED.findall(text))), dict[str, int]()
    while waiting:
        path = waiting.pop()
        sizes[path] = len((await fetch(port, Request(path, COMPRESSED))).content)
        source = (await fetch(port, Request(path, UNCOMPRESSED))).content
        folder = path.rpartition("/")[0]
        imported = [f"{folder}/{name.decode()}" for name in _IMPORTED.findall(source)] if path.endswith(".js") else []
        waiting += [name for name in imported if name not in sizes and name not in waiting]
    page_bytes = len(page.content)
    files = ", ".join(f"{path.rpartition('/')[2]} {size / 1000:.1f}" for path, size in sorted(sizes.items()))
    note = f"page {page_bytes / 1000:.1f} kB ({len(text) / 1000:.0f} uncompressed); {files}"
    return (page_bytes + sum(sizes.values())) / 1000, note


async def _measure_interactive(run: Run) -> Result:
    services = run.scale.page_services
    title = f"Status page of {services:,} services, Chromium: time to interactive, vs the login page"
    program = find_browser()
    if program is None:
        return not_measured(title, NO_BROWSER)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(run.databases.migrated())
        async with await database.connect() as connection:
            await create_services(connection, services)
            await connection.execute(query("group_services"))
            await load(connection, database.engine, services=services, days=run.scale.history_days, checks_per_hour=1)
        _, port = await stack.enter_async_context(running_api(run, database))
        browser = await stack.enter_async_context(running_browser(program))
        for path in (PAGE, LOGIN_PAGE):
            await _visit(browser, port, path)
        visits, login_visits = list[dict[str, float]](), list[dict[str, float]]()
        for _ in range(run.scale.page_loads):
            visits.append(await _visit(browser, port, PAGE))
            login_visits.append(await _visit(browser, port, LOGIN_PAGE))
        size_kb = len((await fetch(port, Request(PAGE, COMPRESSED))).content) / 1000
    first_byte, painted = (median(visit[name] for visit in visits) for name in ("first_byte", "painted"))
    note = f"since navigation, with an empty cache; first byte {first_byte:.0f} ms, first paint {painted:.0f} ms"
    note += f"; {size_kb:.0f} kB"
    interactive, login = ([visit["interactive"] for visit in each] for each in (visits, login_visits))
    return comparison(title, interactive, login, "ms", INTERACTIVE_TARGET, note=note)


async def _visit(browser: Browser, port: int, path: str) -> dict[str, float]:
    """Opens the page in a new context and returns its times: see _TIMES."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        page = await context.new_page()
        await page.goto(f"http://127.0.0.1:{port}{path}", wait_until="load")
        measured: dict[str, float] = await page.evaluate(_TIMES)
        return measured
    finally:
        await context.close()

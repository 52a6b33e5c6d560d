"""The status page: what it weighs, how fast it is sent, and when a browser has it ready with very many services."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from playwright.async_api import Browser

from bench.api import Request, against_bare, fetched
from bench.past import load, make_services
from bench.report import Line, absolute, compared, least, most, not_measured
from bench.run import Run, query
from bench.served import api
from tests.browsers import NO_BROWSER, find_browser
from tests.pages.chromium import running_browser

PAGE = "/"
PACKED = {"accept-encoding": "gzip, deflate, br", "accept-language": "en"}
LARGEST_KB = 60.0
LOGIN = "/login"
SLOWER = 1.4
"""How much longer than the login page, which has no figures in it, the status page may take."""
_LOADED = re.compile(r'(?:<script type="module" src|<link rel="stylesheet" href|<link rel="icon" href)="([^"]+)"')
_IMPORTED = re.compile(rb'(?:from|import) "\./([^"]+)"')
READY = """async () => {
  const [visit] = performance.getEntriesByType("navigation");
  const painted = await new Promise((resolve) => {
    const seen = (list) => list.getEntriesByName("first-contentful-paint").forEach((paint) => resolve(paint.startTime));
    new PerformanceObserver(seen).observe({ type: "paint", buffered: true });
  });
  return {ready: visit.domContentLoadedEventEnd, painted, first: visit.responseStart};
}"""
"""Module scripts have run when that event ends: from then on the page answers."""


async def lines(run: Run) -> AsyncIterator[Line]:
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(run.databases.migrated())
        few = run.scale.api_services
        async with await database.connect() as connection:
            await make_services(connection, few)
            await load(connection, database.engine, services=few, days=run.scale.past_days, checks_an_hour=4)
        child, port = await stack.enter_async_context(api(run, database))
        weight, note = await _weight(port)
        what = f"Status page of {few} services, with all it loads, compressed"
        yield absolute(what, [weight], "kB", most(LARGEST_KB, "kB"), note=note)
        what = f"Status page of {few} services from memory: against bare uvicorn"
        for line in await against_bare(run, stack, child, port, Request(PAGE, PACKED), what, least(0.8)):
            yield line
    yield await _many(run)


async def _weight(port: int) -> tuple[float, str]:
    """In thousands of bytes as they come over the wire, without headers; and what of it is the page itself."""
    page = await fetched(port, Request(PAGE, PACKED))
    text = (await fetched(port, Request(PAGE, {}))).content.decode()
    waiting, sizes = list(dict.fromkeys(_LOADED.findall(text))), dict[str, int]()
    while waiting:
        path = waiting.pop()
        sizes[path] = len((await fetched(port, Request(path, PACKED))).content)
        source = (await fetched(port, Request(path, {}))).content
        folder = path.rpartition("/")[0]
        found = [f"{folder}/{name.decode()}" for name in _IMPORTED.findall(source)] if path.endswith(".js") else []
        waiting += [name for name in found if name not in sizes and name not in waiting]
    own = len(page.content)
    names = ", ".join(f"{path.rpartition('/')[2]} {size / 1000:.1f}" for path, size in sorted(sizes.items()))
    return (own + sum(sizes.values())) / 1000, f"page {own / 1000:.1f} kB of {len(text) / 1000:.0f}; {names}"


async def _many(run: Run) -> Line:
    many = run.scale.page_services
    what = f"Status page of {many:,} services in Chromium, interactive-ready"
    program = find_browser()
    if program is None:
        return not_measured(what, NO_BROWSER)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(run.databases.migrated())
        async with await database.connect() as connection:
            await make_services(connection, many)
            await connection.execute(query("group_services"))
            await load(connection, database.engine, services=many, days=run.scale.past_days, checks_an_hour=1)
        _, port = await stack.enter_async_context(api(run, database))
        browser = await stack.enter_async_context(running_browser(program))
        for path in (PAGE, LOGIN):
            await _visit(browser, port, path)
        visits, ready = list[dict[str, float]](), list[float]()
        for _ in range(run.scale.page_loads):
            visits.append(await _visit(browser, port, PAGE))
            ready.append((await _visit(browser, port, LOGIN))["ready"])
        weight = len((await fetched(port, Request(PAGE, PACKED))).content) / 1000
    painted = sorted(visit["painted"] for visit in visits)[len(visits) // 2]
    first = sorted(visit["first"] for visit in visits)[len(visits) // 2]
    note = f"from navigation, empty cache; first byte {first:.0f} ms, first paint {painted:.0f} ms, {weight:.0f} kB"
    what += ": against the login page"
    return compared(what, [visit["ready"] for visit in visits], ready, "ms", most(SLOWER), note=note)


async def _visit(browser: Browser, port: int, path: str) -> dict[str, float]:
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        page = await context.new_page()
        await page.goto(f"http://127.0.0.1:{port}{path}", wait_until="load")
        measured: dict[str, float] = await page.evaluate(READY)
        return measured
    finally:
        await context.close()

"""The request rate of the API's cached system status, compared with uvicorn that sends the same bytes."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from bench.api_server import STATUS, running_api
from bench.history import create_services, load
from bench.http_comparison import Request, compare_with_uvicorn
from bench.report import Result, at_least
from bench.run import Run


async def measure(run: Run) -> AsyncIterator[Result]:
    services = run.scale.api_services
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(run.databases.migrated())
        async with await database.connect() as connection:
            await create_services(connection, services)
            await load(connection, database.engine, services=services, days=run.scale.history_days, checks_per_hour=4)
        api, port = await stack.enter_async_context(running_api(run, database))
        title = f"API, cached status of {services} services"
        for result in await compare_with_uvicorn(run, stack, api, port, Request(STATUS, {}), title, at_least(0.9)):
            yield result

"""The services of the demo, and queries of its database."""

import psycopg

from sla_monitor.command.demo_targets import SERVICES

IDS = [service.id for service in SERVICES]


async def rows(database: str, statement: str) -> list[tuple[object, ...]]:
    async with await psycopg.AsyncConnection.connect(database) as connection:
        return await (await connection.execute(statement.encode())).fetchall()

"""`sla-monitor services`: what is watched, and services.toml applied by hand."""

from pathlib import Path

from api.services import declared
from sla_monitor.checks import read_config
from sla_monitor.command.installation import installation, print_table
from sla_monitor.settings import Settings
from sql import open_pool, query

APPLICATION = "sla-monitor services"


async def list_services(settings: Settings) -> None:
    """Prints one line a service: id, name, URL, and whether it is checked."""
    async with installation(settings, APPLICATION) as (_, connection):
        rows = await (await connection.execute(query("services/listing"))).fetchall()
    shown = [(service_id, name, read_config(config).target, enabled) for service_id, name, config, enabled in rows]
    print_table(("id", "name", "URL", "enabled"), shown)


async def apply_services(settings: Settings, path: Path) -> None:
    """Makes the services of the file what the file says, and prints what changed. Raises DeclarationError."""
    declared.read(path, settings)  # before any database is asked: a mistake in it is told without one
    async with (
        installation(settings, APPLICATION) as (url, _),
        open_pool(url, application=APPLICATION, max_size=1) as pool,
    ):
        changed = await declared.apply(path, settings, pool)
    for service_id, what in changed:
        print(f"{service_id} {what}")
    if not changed:
        print(f"nothing has changed: the services are as {path.name} says")

"""`sla-monitor services`: lists the services, and applies a services.toml."""

from pathlib import Path

from api.services import declared
from sla_monitor.checks import read_config
from sla_monitor.command.installation import installation, print_table
from sla_monitor.settings import Settings
from sql import open_pool, query

APPLICATION = "sla-monitor services"


async def list_services(settings: Settings) -> None:
    """Prints one line for each service: id, name, URL, and whether it is checked."""
    async with installation(settings, APPLICATION) as (_, connection):
        rows = await (await connection.execute(query("services/listing"))).fetchall()
    listed = [(service_id, name, read_config(config).target, enabled) for service_id, name, config, enabled in rows]
    print_table(("id", "name", "URL", "enabled"), listed)


async def apply_services(settings: Settings, path: Path) -> None:
    """Creates and changes the services that the file declares, and prints the changes. Raises DeclarationError."""
    declared.read(path, settings)  # before a connection is opened: errors in the file are reported without a database
    async with (
        installation(settings, APPLICATION) as (url, _),
        open_pool(url, application=APPLICATION, max_size=1) as pool,
    ):
        changed = await declared.apply(path, settings, pool)
    for service_id, change in changed:
        print(f"{service_id} {change}")
    if not changed:
        print(f"no changes: the services match {path.name}")

"""`sla-monitor sla`: applies a file with SLA policies, and prints the stored ones as such a file."""

import sys
from itertools import groupby
from pathlib import Path
from typing import Any

from api.sla import declared, openslo, policy_files
from api.sla.policy_fields import VersionRow
from sla_monitor.command.installation import installation
from sla_monitor.settings import Settings
from sql import database, open_pool

APPLICATION = "sla-monitor sla"


async def apply_policies(settings: Settings, path: Path) -> None:
    """Creates, changes and ends SLA policies as the file declares them, and prints the changes. Raises
    DeclarationError."""
    policy_files.read(path)  # before a connection is opened: errors in the file are reported without a database
    async with (
        installation(settings, APPLICATION) as (url, _),
        open_pool(url, application=APPLICATION, max_size=1) as pool,
    ):
        changed = await declared.apply(path, pool)
    for label, change in changed:
        print(f"{label} {change}")
    if not changed:
        print(f"no changes: the SLA policies match {path.name}")


async def export_policies(settings: Settings, form: str) -> None:
    """Prints the newest versions of all SLA policies that have not ended. `form`: `toml` or `openslo`."""
    async with (
        installation(settings, APPLICATION) as (url, _),
        open_pool(url, application=APPLICATION, max_size=1) as pool,
    ):
        rows = await database.rows(pool, "sla/versions", VersionRow, id=None)
    newest = [next(versions) for _, versions in groupby(rows, key=lambda row: row.id)]
    bodies: list[dict[str, Any]] = [
        openslo.terms_of(row.scope, row.subject, row.published()) for row in newest if not row.ended
    ]
    sys.stdout.write(policy_files.write_toml(bodies) if form == "toml" else openslo.write(bodies))

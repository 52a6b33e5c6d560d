"""/console/settings: all settings of this process, read-only."""

from litestar import Router, get
from litestar.response import Template

from api.auth.permissions import shown_to
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.operations.settings import current_settings
from api.pages.site import page
from api.rest.injected import Injected
from sla_monitor.settings import Settings
from sql import Pool

CACHEABLE: tuple[Cacheable, ...] = ()


@get("/console/settings", **shown_to("settings:read"))
async def settings(request: ApiRequest, pool: Injected[Pool], settings: Injected[Settings]) -> Template:
    """Settings that differ from their default come first."""
    listed = await current_settings(pool, settings)
    own = [setting for setting in listed if setting.value != setting.default]
    usual = [setting for setting in listed if setting.value == setting.default]
    return await page(request, "console/settings.html", own=own, usual=usual)


router = Router("/", route_handlers=[settings], include_in_schema=False)

"""/console/settings: every setting of this process, to read."""

from litestar import Router, get
from litestar.response import Template

from api.auth.permissions import shown_to
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.console.submissions import answer_of
from api.pages.site import page

CACHEABLE: tuple[Cacheable, ...] = ()


@get("/console/settings", **shown_to("settings:read"))
async def settings(request: ApiRequest) -> Template:
    """Those that are not as by default come first."""
    listed = (await answer_of(request, "/api/settings"))["settings"]
    own = [setting for setting in listed if setting["value"] != setting["default"]]
    usual = [setting for setting in listed if setting["value"] == setting["default"]]
    return await page(request, "console/settings.html", own=own, usual=usual)


router = Router("/", route_handlers=[settings], include_in_schema=False)

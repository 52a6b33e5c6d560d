"""/console/settings: every setting of this process, to read."""

from typing import Any

from litestar import Request, Router, get
from litestar.response import Template

from api.answers import Cacheable
from api.console.submissions import answer_of
from api.pages.site import page
from api.security import shown_to

ANSWERS: tuple[Cacheable, ...] = ()


@get("/console/settings", **shown_to("settings:read"))
async def settings(request: Request[Any, Any, Any]) -> Template:
    """Those that are not as by default come first."""
    listed = (await answer_of(request, "/api/settings"))["settings"]
    own = [setting for setting in listed if setting["value"] != setting["default"]]
    usual = [setting for setting in listed if setting["value"] == setting["default"]]
    return await page(request, "console/settings.html", own=own, usual=usual)


router = Router("/", route_handlers=[settings], include_in_schema=False)

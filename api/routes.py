"""The routes of the API and of the pages, their dependencies, and the Litestar application that serves them."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

from jinja2 import BytecodeCache
from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide

import api.console.account
import api.console.audit
import api.console.incident_changes
import api.console.incident_editor
import api.console.incidents
import api.console.maintenance
import api.console.new_incident
import api.console.services
import api.console.settings
import api.console.templates
import api.console.tokens
import api.console.users
import api.pages.assets
import api.pages.badges
import api.pages.calendar
import api.pages.embed
import api.pages.feeds
import api.pages.incidents
import api.pages.service
import api.pages.session
import api.pages.status
import api.pages.well_known
from api.auth import accounts, api_tokens, users
from api.auth.gatekeeper import check_routes, guard
from api.auth.passwords import Passwords
from api.auth.sessions import LoginParts
from api.auth.tokens import TOKENS
from api.cache.entries import Cacheable
from api.edge.limits import Limits
from api.incidents import comments, drafts, templates
from api.incidents import routes as incidents
from api.live.feed import Feed
from api.maintenance import routes as maintenance
from api.metrics import Metrics
from api.operations import audit, docs, health, settings
from api.pages.assets import Assets
from api.pages.site import SITE, Site
from api.rest.bodies import JsonRequest, add_allow_header
from api.rest.errors import MAX_BODY_BYTES
from api.rest.handling import respond
from api.rest.installation import POOL, SETTINGS
from api.rest.parts import Part
from api.services import heartbeats
from api.services import routes as services
from api.sla import corrections, figures, groups, holidays, policies, simulate, timeline
from api.uptime import calendar, response_times, status

RESOURCES = (
    status,
    services,
    heartbeats,
    calendar,
    response_times,
    incidents,
    comments,
    drafts,
    templates,
    maintenance,
    corrections,
    figures,
    groups,
    timeline,
    simulate,
    policies,
    holidays,
    accounts,
    users,
    api_tokens,
    audit,
    settings,
    docs,
)

PAGES = (
    api.pages.status,
    api.pages.calendar,
    api.pages.service,
    api.pages.incidents,
    api.pages.session,
    api.pages.badges,
    api.pages.embed,
    api.pages.feeds,
    api.pages.well_known,
    api.pages.assets,
    api.console.incidents,
    api.console.new_incident,
    api.console.incident_editor,
    api.console.incident_changes,
    api.console.maintenance,
    api.console.templates,
    api.console.services,
    api.console.users,
    api.console.tokens,
    api.console.settings,
    api.console.audit,
    api.console.account,
)

LOGIN_PARTS = Part[LoginParts]("login_parts")
ASSETS = Part[Assets]("assets")
DATABASE = Part[health.DatabaseState]("database")
FEED = Part[Feed]("feed")
LIMITS = Part[Limits]("limits")
METRICS = Part[Metrics]("metrics")
PASSWORDS = Part[Passwords]("passwords")
STARTED_AT = Part[datetime]("started_at")

DEPENDENCIES: Mapping[str, Provide] = {
    part.name: part.dependency()
    for part in (
        POOL,
        SETTINGS,
        TOKENS,
        SITE,
        LOGIN_PARTS,
        ASSETS,
        DATABASE,
        FEED,
        LIMITS,
        METRICS,
        PASSWORDS,
        STARTED_AT,
    )
}
"""The dependencies of routes by the name of the parameter (api/rest/injected.py)."""


class Shared(NamedTuple):
    """The objects that several applications in one process may share: `litestar`, which creates a Litestar application
    from the routes, and the cache of compiled templates. Neither depends on settings."""

    litestar: Callable[..., Litestar] = Litestar
    templates: BytecodeCache | None = None


def cacheable_resources() -> list[Cacheable]:
    """The cacheable routes of the API."""
    return [route for resource in RESOURCES for route in resource.CACHEABLE]


def cacheable_pages(site: Site) -> list[Cacheable]:
    """The cacheable pages, and their static files."""
    return [*site.assets.cacheable(), *(route for module in PAGES for route in module.CACHEABLE)]


def litestar_application(shared: Shared, site: Site, state: State) -> Litestar:
    """The Litestar application with all routes. Raises RuntimeError for a route without an action."""
    application = shared.litestar(
        [*(module.router for module in (*RESOURCES, *PAGES)), health.router],
        exception_handlers={Exception: respond},
        guards=[guard],
        before_send=[add_allow_header],
        openapi_config=docs.config(cacheable_resources()),
        request_class=JsonRequest,
        request_max_body_size=MAX_BODY_BYTES,
        state=state,
        dependencies=DEPENDENCIES,
        template_config=site.config(),
        logging_config=None,
    )
    check_routes(application)
    return application

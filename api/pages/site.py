"""Rendering of pages: Jinja templates with escaping, in the language of the client, with a content security policy.

Every route of a page ends with `page(request, "status.html", …)`. Errors become pages here too.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from urllib.parse import quote

import msgspec
from jinja2 import BytecodeCache, Environment, PackageLoader, StrictUndefined
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Response, Template
from litestar.response.base import ASGIResponse
from litestar.template import TemplateConfig
from markupsafe import Markup

import sql
from api.auth.csrf import form_token
from api.auth.permissions import Principal, allows
from api.auth.requests import ApiRequest
from api.auth.tokens import TOKENS
from api.edge.cookies import preferences, session_cookie
from api.edge.negotiation import accepts_html, negotiated
from api.edge.security_headers import PAGE_POLICY
from api.pages.assets import Assets
from api.pages.kept_form import KeptForm, KeptFormResponse, kept_form
from api.pages.markdown import Renderer, markdown
from api.pages.problems import problem_text
from api.rest.errors import ApiError
from api.rest.installation import POOL, SETTINGS
from api.rest.parts import Part
from api.rest.request_state import request_state
from sla_monitor import __version__
from sla_monitor.settings import Settings, Terms
from sla_monitor.texts.languages import LANGUAGES, Language, Texts, texts
from sql import database

ZONE_CACHED_S = 60.0


class AnyPolicy(msgspec.Struct):
    """The row of sla_page/any_policy."""

    exists: bool


class Site:
    """The settings, templates and files that all pages share."""

    def __init__(self, settings: Settings, templates: BytecodeCache | None = None) -> None:
        """`templates` keeps compiled ones for the next site of this process."""
        self.title = settings.site_title
        self.assets = Assets(settings)
        self.logo = self.assets.url(self.assets.logo) if self.assets.logo else None
        self.picture = self.logo if self.logo and self.logo.endswith(".png") else None
        """The image for link previews, which do not accept SVG."""
        self.url = settings.site_url
        self.secure = (self.url or "").startswith("https://")
        self.renderer = Renderer()
        self.has_policies = False
        """Whether there is an SLA policy, so that pages link to /sla."""
        self._zone = "UTC"
        self._zone_until = 0.0
        self.environment = Environment(
            loader=PackageLoader("api", "pages/templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            bytecode_cache=templates,
        )
        self.environment.globals |= {
            "site": self,
            "asset": self.assets.url,
            "script": self.assets.script,
            "bundle": self.assets.bundle,
            "version": __version__,
            "languages": LANGUAGES,
            "allows": allows,
            "path_of": lambda text: quote(text, safe=""),
        }
        self.environment.filters |= {
            "markdown": lambda text: Markup(markdown(text)),  # noqa: S704
            "iso": _iso,
            "problem_text": problem_text,
        }

    def config(self) -> TemplateConfig[JinjaTemplateEngine]:
        return TemplateConfig(instance=JinjaTemplateEngine.from_environment(self.environment))

    async def zone(self, pool: sql.Pool) -> str:
        """The reporting time zone, cached for `ZONE_CACHED_S`: it changes with a migration only."""
        if monotonic() >= self._zone_until:
            stored = await database.row(pool, "migrate/kept_terms", Terms)
            self._zone = stored.time_zone if stored is not None else "UTC"
            self._zone_until = monotonic() + ZONE_CACHED_S
        return self._zone

    async def look_for_policies(self, pool: sql.Pool) -> None:
        """Updates `has_policies`. Policies are never deleted, so one that was found is not looked for again. While the
        database is away, the link is left out."""
        if self.has_policies:
            return
        with suppress(sql.OperationalError):
            self.has_policies = await database.row(pool, "sla_page/any_policy", AnyPolicy) is not None

    def address(self, request: ApiRequest) -> str:
        """The origin of this site, for links in feeds: SITE_URL, or from the Host header."""
        if self.url is not None:
            return self.url
        scheme = "https" if request_state(request.scope).get("secure") else "http"
        return f"{scheme}://{request.headers.get('host', 'localhost')}"

    policy = PAGE_POLICY.decode()

    def login_path(self, scope: Mapping[str, Any]) -> str:
        """The path of the login page that returns to the current page."""
        query = scope["query_string"].decode("latin-1")
        return "/login?next=" + quote(scope["path"] + ("?" + query if query else ""), safe="/")

    def error_after_form(self, scope: Mapping[str, Any], error: ApiError, headers: Mapping[str, str]) -> Response[Any]:
        """The page of an error after a form was sent, with the values of the form."""
        return KeptFormResponse(lambda kept: self._error_page(scope, error, kept), error.status, headers)

    def error_page(self, scope: Mapping[str, Any], error: ApiError, body: bytes | None = None) -> bytes | None:
        """The page of an error, made without the database; None if the client does not accept a page. `body`: that of a
        form, whose values the page keeps."""
        if not wants_page(scope):
            return None
        return self._error_page(scope, error, kept_form(scope, body) if body is not None else None)

    def _error_page(self, scope: Mapping[str, Any], error: ApiError, kept: KeptForm | None = None) -> bytes:
        t = texts(language_of(scope), "UTC")
        known = (
            error.status
            if error.status in (400, 401, 403, 404, 412, 413, 429, 503)
            else (500 if error.status >= 500 else 400)
        )
        context = {**_basics(scope, t), "status": error.status, "known": str(known), "error": error}
        context |= {"kept": kept, "csrf": kept.token if kept is not None else ""}
        context["retry_after"] = int(error.headers.get("Retry-After", "0"))
        return self.environment.get_template("error.html").render(context).encode()


SITE = Part[Site]("site")


def language_of(scope: Mapping[str, Any]) -> Language:
    """The language of the response: that of the cache key if it is computed for the cache, else negotiated."""
    of_cache_key = request_state(scope).get("language")
    if of_cache_key is not None:
        return of_cache_key
    accepted = next((value for name, value in scope["headers"] if name == b"accept-language"), b"")
    return negotiated(accepted.decode("latin-1"), preferences(scope).language)


def wants_page(scope: Mapping[str, Any]) -> bool:
    """Whether errors are sent as pages: outside the API, to clients that accept HTML."""
    return not scope["path"].lstrip("/").startswith("api/") and accepts_html(scope)


async def page_texts(request: ApiRequest) -> Texts:
    """The texts in the language of the request, with the reporting time zone."""
    return texts(language_of(request.scope), await SITE.of(request).zone(POOL.of(request)))


class Page(Template):
    """A page that is rendered already. Litestar would render it on the event loop and block all other requests."""

    def __init__(self, name: str, html: str, **options: Any) -> None:
        super().__init__(name, media_type="text/html", **options)
        self.content = html.encode()

    def to_asgi_response(self, *arguments: Any, **options: Any) -> ASGIResponse:
        return Response.to_asgi_response(self, *arguments, **options)


async def page(request: ApiRequest, name: str, status_code: int = 200, **context: Any) -> Template:
    """The response with template `name`, rendered in a thread. `context` is added to the context of every page."""
    t = await page_texts(request)
    context |= _basics(request.scope, t) | {"csrf": await form_token(request)}
    headers = {"Content-Security-Policy": Site.policy}
    cookies = await _renewed(request)
    site = SITE.of(request)
    await site.look_for_policies(POOL.of(request))
    html = await site.renderer.run(lambda: site.environment.get_template(name).render(context))
    return Page(name, html, status_code=status_code, headers=headers, cookies=cookies)


def _basics(scope: Mapping[str, Any], t: Texts) -> dict[str, Any]:
    state = request_state(scope)
    return {
        "t": t,
        "language": t.language,
        "theme": state.get("theme") or preferences(scope).theme,
        "path": scope["path"],
        "query": scope["query_string"].decode("latin-1"),
        "user": scope.get("user"),
        "zone": t.zone,
        "now": datetime.now(UTC),
        "seq": state.get("seq", 0),
    }


async def _renewed(request: ApiRequest) -> list[Any]:
    """The cookie that extends a session: after half of its lifetime the browser gets a new one."""
    user: Principal | None = request.scope.get("user")
    lifetime = SETTINGS.of(request).refresh_token_lifetime
    if user is None or user.session_id is None or user.expires_at is None:
        return []
    if user.expires_at - datetime.now(UTC) > lifetime / 2:
        return []
    async with POOL.of(request).connection() as connection:
        values = {"session_id": user.session_id, "lifetime": lifetime}
        await connection.execute(sql.query("accounts/extend_session"), values)
    token = await TOKENS.of(request).issue("browser", user.user_id, user.session_id, lifetime)
    return [session_cookie(token, lifetime, request_state(request.scope).get("secure", False))]


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

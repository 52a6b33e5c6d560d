"""/static/…: the static files of pages, from memory. Paths contain a digest of all files, so browsers may cache each
file forever. No file is loaded from another server.
"""

import mimetypes
from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from importlib.resources.abc import Traversable

from litestar import Response, Router, get
from litestar.params import FromPath
from markupsafe import Markup

from api.auth.permissions import requires
from api.cache.entries import Cacheable
from api.pages.bundles import bundle, load_order
from api.pages.colors import stylesheet
from api.rest.errors import ApiError
from api.rest.injected import Injected
from sla_monitor.settings import Settings

FOLDERS = ("", "js", "uplot")
TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".txt": "text/plain",
}
CACHEABLE: tuple[Cacheable, ...] = ()
BUNDLED = ("status", "service", "calendar", "sla", "incidents_live")
"""The modules of the pages for visitors."""


class Assets:
    """The files below pages/static, with the colours and the logo of the settings."""

    def __init__(self, settings: Settings) -> None:
        own = {"app.css": shipped()["app.css"] + b"\n" + stylesheet(settings.site_color).encode()}
        self.logo: str | None = None
        if settings.site_logo is not None:
            self.logo = "logo" + settings.site_logo.suffix.lower()
            own[self.logo] = settings.site_logo.read_bytes()
        self._files: Mapping[str, bytes] = {**shipped(), **bundles(), **own}
        digest = blake2b(digest_size=8)
        for name, content in sorted(self._files.items()):
            digest.update(name.encode() + b"\0" + content)
        self.version = digest.hexdigest()

    def url(self, name: str) -> str:
        """The path of a file. Raises KeyError for an unknown one, which is a defect of the program."""
        self._files[name]
        return f"/static/{self.version}/{name}"

    def script(self, name: str) -> Markup:
        """The tags that load the JavaScript module `name`, with preload links for the modules that it imports."""
        *imported, own = load_order(name, modules())
        links = [
            Markup('<link rel="modulepreload" href="{}">').format(self.url(f"js/{other}.js")) for other in imported
        ]
        return _module(self.url(f"js/{own}.js")) + Markup("").join(links)

    def bundle(self, name: str) -> Markup:
        """The tag that loads the bundle of the JavaScript module `name`."""
        return _module(self.url(_bundle_path(name)))

    def content(self, name: str) -> bytes | None:
        return self._files.get(name)

    def cacheable(self) -> tuple[Cacheable, ...]:
        """The routes of all folders of static files."""
        parts = [f"/static/{self.version}/{folder}/".replace("//", "/") for folder in FOLDERS]
        return tuple(Cacheable(part, frozenset(), page=True, immutable=True) for part in parts)


def _module(url: str) -> Markup:
    return Markup('<script type="module" fetchpriority="high" src="{}"></script>').format(url)


def _bundle_path(name: str) -> str:
    return f"js/{name}.bundle.js"


@cache
def modules() -> Mapping[str, str]:
    """The sources of the JavaScript modules by their name, without ".js"."""
    found = {path.removeprefix("js/"): content for path, content in shipped().items() if path.startswith("js/")}
    return {name.removesuffix(".js"): content.decode() for name, content in found.items()}


@cache
def bundles() -> Mapping[str, bytes]:
    """The bundles of `BUNDLED` by their path."""
    return {_bundle_path(name): bundle(name, modules()).encode() for name in BUNDLED}


@cache
def shipped() -> Mapping[str, bytes]:
    """The files in the package."""
    root = files("api").joinpath("pages", "static")
    found: dict[str, bytes] = {}
    for folder in FOLDERS:
        place: Traversable = root.joinpath(folder) if folder else root
        for file in place.iterdir():
            if file.is_file():
                found[f"{folder}/{file.name}".lstrip("/")] = file.read_bytes()
    return found


@get("/static/{version:str}/{name:path}", include_in_schema=False, sync_to_thread=False, **requires("status:read"))
def asset(assets: Injected[Assets], version: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """404 for another version: the page is older than this process and reloads itself."""
    content = assets.content(name.lstrip("/")) if version == assets.version else None
    if content is None:
        raise ApiError(404)
    return Response(content, media_type=_type(name), headers={"Content-Security-Policy": IMAGE_POLICY})


IMAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"
"""For an SVG that is opened as a document: the logo may contain scripts."""


def _type(name: str) -> str:
    ending = "." + name.rpartition(".")[2]
    return TYPES.get(ending) or mimetypes.guess_type(name)[0] or "application/octet-stream"


router = Router("/", route_handlers=[asset])

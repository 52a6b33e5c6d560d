"""/static/…: the static files of pages, from memory. Paths contain a digest of all files, so browsers may cache each
file forever. No file is loaded from another server.
"""

import mimetypes
import re
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
_IMPORT = re.compile(r'^import [^;]*?"\./([^"]+)";', re.MULTILINE)


class Assets:
    """The files below pages/static, with the colours and the logo of the settings."""

    def __init__(self, settings: Settings) -> None:
        own = {"app.css": shipped()["app.css"] + b"\n" + stylesheet(settings.site_color).encode()}
        self.logo: str | None = None
        if settings.site_logo is not None:
            self.logo = "logo" + settings.site_logo.suffix.lower()
            own[self.logo] = settings.site_logo.read_bytes()
        self._files: Mapping[str, bytes] = {**shipped(), **own}
        digest = blake2b(digest_size=8)
        for name, content in sorted(self._files.items()):
            digest.update(name.encode() + b"\0" + content)
        self.version = digest.hexdigest()

    def url(self, name: str) -> str:
        """The path of a file. Raises KeyError for an unknown one, which is a defect of the program."""
        self._files[name]
        return f"/static/{self.version}/{name}"

    def script(self, name: str) -> Markup:
        """The tags that load a JavaScript module, with preload links for the modules that it imports."""
        imported = [
            Markup('<link rel="modulepreload" href="{}">').format(self.url(other)) for other in self._imports(name)
        ]
        return Markup('<script type="module" src="{}"></script>').format(self.url(name)) + Markup("").join(imported)

    @cache  # noqa: B019  # one object in a process, and a handful of names
    def _imports(self, name: str) -> tuple[str, ...]:
        found: dict[str, None] = {}
        waiting = [name]
        while waiting:
            folder, _, _ = (module := waiting.pop()).rpartition("/")
            named = _IMPORT.findall(self._files[module].decode())
            fresh = [f"{folder}/{other}" for other in named if f"{folder}/{other}" not in found]
            found.update(dict.fromkeys(fresh))
            waiting += fresh
        return tuple(found)

    def content(self, name: str) -> bytes | None:
        return self._files.get(name)

    def cacheable(self) -> tuple[Cacheable, ...]:
        """The routes of all folders of static files."""
        parts = [f"/static/{self.version}/{folder}/".replace("//", "/") for folder in FOLDERS]
        return tuple(Cacheable(part, frozenset(), page=True, immutable=True) for part in parts)


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

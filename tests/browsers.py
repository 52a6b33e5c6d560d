"""Finds a Chromium for the tests of pages. Without one they are skipped, with a reason."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

NO_BROWSER = "no browser: install Debian's chromium, or set CHROMIUM to the path of one"
PROGRAMS = ("chromium", "google-chrome", "chromium-browser", "google-chrome-stable")


def find_browser(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Returns the program of CHROMIUM, else the first of PROGRAMS on PATH, else the newest one that `playwright install
    chromium` has downloaded, else None."""
    if given := environ.get("CHROMIUM"):
        return Path(given)
    on_path = (shutil.which(name, path=environ.get("PATH")) for name in PROGRAMS)
    return next((Path(program) for program in on_path if program), None) or max(_downloaded(environ), default=None)


def _downloaded(environ: Mapping[str, str]) -> Iterator[Path]:
    home = Path(environ.get("HOME", "/nonexistent"))
    folder = Path(environ.get("PLAYWRIGHT_BROWSERS_PATH", home / ".cache" / "ms-playwright"))
    for name in ("chrome", "chrome-headless-shell", "headless_shell"):
        yield from folder.glob(f"chromium*/chrome*/{name}")

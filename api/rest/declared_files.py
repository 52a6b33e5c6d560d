"""Files that declare objects as code: SERVICES_FILE and SLA_FILE. Each is applied at the start and after every change,
completely or not at all."""

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import anyio
import psycopg

from sla_monitor.formats.one_line import on_one_line
from sla_monitor.settings import Settings, SettingsError, StartError

log = logging.getLogger(__name__)

POLL_S = 1.0
STABLE_S = 2.0
"""A file is read if it has not changed for this time: editors and deployments may empty a file before they write it."""
RELEASE_S = 10.0
"""A file that lacks objects that it declared before is applied only after this additional time, and after a warning."""
RETRY_S = 10.0
"""The time until a file is applied again that the stored data have refused."""
MAX_BYTES = 4 * 1024 * 1024
Changes = list[tuple[str, str]]
"""Pairs of the name of an object and `applied` or `released`."""
Declared = TypeVar("Declared")


class DeclarationError(StartError):
    """An error in the file. The message is one line with the file, the object and the field."""

    exit_code = 2


class ConflictError(DeclarationError):
    """The file is valid, but the stored data refuse it, for example because a service does not exist yet."""


def require_files(settings: Settings) -> None:
    """Raises SettingsError if SERVICES_FILE or SLA_FILE does not exist or cannot be read."""
    for variable, path in (("SERVICES_FILE", settings.services_file), ("SLA_FILE", settings.sla_file)):
        if path is None:
            continue
        try:
            with path.open("rb"):
                pass
        except OSError as error:
            reason = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
            raise SettingsError(f"{variable}={path} cannot be read: {reason}") from None


@dataclass(frozen=True)
class Stamp:
    """Identifies a version of the file."""

    inode: int
    modified_ns: int
    changed_ns: int
    size: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        return cls(status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)

    @property
    def age_s(self) -> float:
        """Seconds since the last change; 0 if the clock of the file system is ahead of this one."""
        return max(0.0, time.time() - max(self.modified_ns, self.changed_ns) / 1e9)


def content_of(path: Path) -> tuple[Stamp, bytes]:
    """The stamp and the bytes of the file. The stamp is taken after the bytes are read. Raises DeclarationError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
            stamp = Stamp.of(os.fstat(file.fileno()))
    except FileNotFoundError:
        raise DeclarationError(f"{path}: there is no such file") from None
    except OSError as error:
        raise DeclarationError(f"{path}: {one_line(str(error))}") from None
    if len(content) > MAX_BYTES:
        raise DeclarationError(f"{path}: larger than {MAX_BYTES} bytes")
    return stamp, content


def one_line(text: str) -> str:
    """Converts a text of the file to one line without control characters, for messages."""
    return on_one_line(" ".join(text.split()), " ")


class DeclaredFile(Protocol[Declared]):
    """A file and the objects that it declares."""

    path: Path
    release: str
    """What happens with objects that the file no longer declares, for the warning."""

    def parse(self, content: bytes) -> Declared:
        """The objects in `content`. Raises DeclarationError."""

    async def released(self, declared: Declared) -> Sequence[str]:
        """The names of the objects that are stored as declared in this file and are not in `declared`."""

    async def store(self, declared: Declared) -> Changes:
        """Stores the objects in one transaction. Returns the changes. Raises DeclarationError."""


async def watch(file: DeclaredFile[Declared]) -> None:
    """Applies the file now and after every change, until cancelled. Errors are logged and do not stop the API."""
    watcher = _Watcher(file)
    while True:
        try:
            await watcher.poll()
        except psycopg.Error as error:
            log.warning("%s waits for the database (%s)", file.path.name, type(error).__name__)
        await anyio.sleep(POLL_S)


class _Watcher(Generic[Declared]):
    """Applies the file if it has changed. The state is the stamp of the last version, the time since which the file is
    unchanged, whether this version has been applied or refused, and what has been logged about it."""

    def __init__(self, file: DeclaredFile[Declared]) -> None:
        self._file = file
        self._seen: Stamp | None = None
        self._since: float | None = None
        self._begin()

    def _begin(self) -> None:
        """The state for a new version of the file."""
        self._done = False
        self._announced = False
        self._refused = ""
        self._not_before = 0.0

    async def poll(self) -> None:
        """Applies the file if it has changed, and has then been unchanged for long enough. Raises psycopg.Error."""
        stamp, now = await anyio.to_thread.run_sync(_stamp, self._file.path), anyio.current_time()
        if self._since is None:  # at the start, the file is unchanged for its age
            self._seen, self._since = stamp, now - min(STABLE_S, stamp.age_s if stamp is not None else 0.0)
        elif stamp != self._seen:
            self._seen, self._since = stamp, now
            self._begin()
        if self._done or now - self._since < STABLE_S or now < self._not_before:
            return
        try:
            self._done = await self._apply_if_settled(now - self._since)
        except DeclarationError as error:
            if str(error) != self._refused:
                log.error("the file was not applied: %s", error)
            self._refused = str(error)
            self._done, self._not_before = not isinstance(error, ConflictError), now + RETRY_S

    async def _apply_if_settled(self, age_s: float) -> bool:
        """Applies the file, which is unchanged for `age_s` seconds. Returns False if it must not be applied yet."""
        file, name = self._file, self._file.path.name
        stamp, content = await anyio.to_thread.run_sync(content_of, file.path)
        if stamp != self._seen:
            return False
        declared = await anyio.to_thread.run_sync(file.parse, content)
        if age_s < STABLE_S + RELEASE_S and (released := await file.released(declared)):
            if not self._announced:
                text = "%s no longer names %s: %s if the file stays unchanged for %.0f s"
                log.warning(text, name, ", ".join(released), file.release, RELEASE_S)
            self._announced = True
            return False
        changed = await file.store(declared)
        log.info("%s: %s", name, ", ".join(f"{name} {change}" for name, change in changed) or "no change")
        return True


def _stamp(path: Path) -> Stamp | None:
    """The stamp of the file; None if its status cannot be read."""
    try:
        return Stamp.of(path.stat())
    except OSError:
        return None

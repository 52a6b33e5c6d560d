"""compose.yaml and the Dockerfile, as far as they can be checked without Docker."""

import argparse
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from sla_monitor import settings
from sla_monitor.command import cli

ROOT = Path(__file__).parent.parent
PARTS = ("migrate", "api", "prober", "worker")
OTHER_VARIABLES = {
    "PGPASSWORD": "read by libpq; the password is not in the URL, where it would need escaping",
    "POSTGRES_PASSWORD": "read by the image of the database; empty in all parts, which get .env",
}
PASSWORDS = {
    "POSTGRES_PASSWORD",
    *(f"SLA_{part}_PASSWORD" for part in ("API", "PROBER", "WORKER", "ANALYST")),
}
WIDE_OPEN = "0.0.0.0"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(ROOT / "compose.yaml")
    return loaded


@pytest.fixture(scope="module")
def parts(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: compose["services"][name] for name in PARTS}


def dockerfile() -> list[list[str]]:
    """Returns the instructions of the Dockerfile, split into words."""
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    return [line.split() for line in text.splitlines() if line and not line.startswith("#")]


def test_compose_yaml_is_valid() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_variable_is_a_setting(parts: dict[str, dict[str, Any]]) -> None:
    known = {variable.name for variable in settings.ENVIRONMENT.values()} | OTHER_VARIABLES.keys()
    image = {pair.split("=")[0] for words in dockerfile() if words[0] == "ENV" for pair in words[1:]}
    for part in parts.values():
        assert set(part["environment"]) <= known
    assert image - {"PYTHONUNBUFFERED"} <= known


def test_the_settings_are_valid(parts: dict[str, dict[str, Any]]) -> None:
    for part in parts.values():
        loaded = settings.load({name: str(value) for name, value in part["environment"].items()})
        assert loaded.database_url is not None
        assert "database" in loaded.database_url  # the name of the service is the host name


def test_each_part_connects_as_its_own_user(compose: dict[str, Any], parts: dict[str, dict[str, Any]]) -> None:
    """`migrate` connects as the owner of the database and creates the other users."""
    database = compose["services"]["database"]["environment"]
    migrate = parts["migrate"]["environment"]
    assert migrate["DATABASE_URL"] == f"postgresql://{database['POSTGRES_USER']}@database/{database['POSTGRES_DB']}"
    assert migrate["PGPASSWORD"] == database["POSTGRES_PASSWORD"]
    for name in ("api", "prober", "worker"):
        environment = parts[name]["environment"]
        assert environment["DATABASE_URL"] == f"postgresql://sla_monitor_{name}@database/{database['POSTGRES_DB']}"
        assert environment["PGPASSWORD"] == migrate[f"SLA_{name.upper()}_PASSWORD"]


def test_no_part_has_the_password_of_another_one(parts: dict[str, dict[str, Any]]) -> None:
    """.env, which all parts get, contains the passwords; an empty variable counts as unset."""
    for name, part in parts.items():
        own = PASSWORDS - {"POSTGRES_PASSWORD"} if name == "migrate" else set()
        assert {one for one in PASSWORDS if part["environment"][one]} == own


def test_no_password_has_a_default(compose: dict[str, Any]) -> None:
    passwords = [
        value
        for part, service in compose["services"].items()
        if part != "grafana"  # see tests/grafana/test_provisioning.py
        for name, value in service["environment"].items()
        if ("PASSWORD" in name or "SECRET" in name) and value
    ]
    assert passwords
    assert all(re.fullmatch(r"\$\{\w+:\?[^}]+\}", value) for value in passwords)


def test_ports_are_published_on_the_loopback_address_only(
    compose: dict[str, Any], parts: dict[str, dict[str, Any]]
) -> None:
    assert "ports" not in compose["services"]["database"]
    for part in parts.values():
        for port in part.get("ports", ()):
            assert port.startswith("${PUBLISH_ADDRESS:-127.0.0.1}:")
    # The published ports are those that the parts listen on in their containers.
    for name, host, port in (
        ("api", "HOST", "PORT"),
        ("prober", "WATCH_SERVER_HOST", "WATCH_SERVER_PORT"),
        ("worker", "WORKER_HOST", "WORKER_PORT"),
    ):
        environment = parts[name]["environment"]
        assert environment[host] == WIDE_OPEN
        assert parts[name]["ports"][0].endswith(f":{environment[port]}")
        assert f":{environment[port]}/health" in " ".join(parts[name]["healthcheck"]["test"])


def test_the_commands_of_the_containers_exist(parts: dict[str, dict[str, Any]]) -> None:
    parser = cli._arguments()
    action = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    for part in parts.values():
        parser.parse_args(part["command"])
        assert part["command"][0] in action.choices
    assert ["ENTRYPOINT", '["sla-monitor"]'] in dockerfile()
    assert "sla-monitor" in project()["project"]["scripts"]


def test_containers_start_in_order(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["migrate"]["depends_on"]["database"]["condition"] == "service_healthy"
    for name in ("api", "prober", "worker"):
        assert services[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
        assert services[name]["restart"] == "unless-stopped"
    assert services["migrate"]["restart"] == "no"
    assert all("healthcheck" in services[name] for name in ("database", "api", "prober", "worker"))


def test_containers_run_with_the_least_privileges(parts: dict[str, dict[str, Any]]) -> None:
    for part in parts.values():
        assert part["read_only"] is True
        assert part["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in part["security_opt"]
    user = next(words[1] for words in dockerfile() if words[0] == "USER")
    assert int(user) > 0


def test_persistent_data_is_on_volumes(compose: dict[str, Any]) -> None:
    prober = compose["services"]["prober"]
    spool = prober["environment"]["SLA_MONITOR_HOME"]
    assert f"prober:{spool}" in prober["volumes"]
    # The mount point of PostgreSQL 18 and later: it contains a folder for each major version.
    assert "database:/var/lib/postgresql" in compose["services"]["database"]["volumes"]
    assert set(compose["volumes"]) == {"prober", "database", "grafana"}
    assert any(spool in words for words in dockerfile() if words[0] == "RUN")


def test_images_are_pinned(compose: dict[str, Any]) -> None:
    base = next(words[1] for words in dockerfile() if words[0] == "FROM")
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base)
    assert re.fullmatch(r"timescale/timescaledb:\d+\.\d+\.\d+-pg\d+", compose["services"]["database"]["image"])


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_the_build_context_has_the_packages_and_nothing_else() -> None:
    rules = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert "*" in rules
    needed = {*project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"], project()["project"]["readme"]}
    assert allowed == needed | {"pyproject.toml", "requirements.txt"}
    assert all((ROOT / name).exists() for name in allowed)

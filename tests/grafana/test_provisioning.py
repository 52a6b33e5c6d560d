"""The provisioning files of Grafana and its service in compose.yaml, as far as they can be checked without Grafana."""

import re
import subprocess
from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml

from grafana.panels import SOURCE
from tests.grafana.dashboards import ROOT

PROVISIONING = ROOT / "grafana" / "provisioning"


def loaded(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text("utf-8"))


@pytest.fixture(scope="module")
def service() -> Any:
    return loaded("compose.yaml")["services"]["grafana"]


def test_the_data_source_is_that_of_the_dashboards(service: Any) -> None:
    [source] = loaded("grafana/provisioning/datasources/sla.yaml")["datasources"]
    assert (source["uid"], source["type"]) == (SOURCE.uid, SOURCE.type_val)
    assert source["editable"] is False
    text = (PROVISIONING / "datasources" / "sla.yaml").read_text("utf-8")
    named = set(re.findall(r"\$__env\{(\w+)\}", text))
    assert named == {name for name in service["environment"] if name.startswith("SLA_DB_")}
    assert source["secureJsonData"] == {"password": "$__env{SLA_DB_PASSWORD}"}


def test_the_folders_are_mounted_where_grafana_reads_them(service: Any) -> None:
    mounts = {target: (source, mode) for source, target, *mode in (one.split(":") for one in service["volumes"])}
    assert mounts["/etc/grafana/provisioning"] == ("./grafana/provisioning", ["ro"])
    [provider] = loaded("grafana/provisioning/dashboards/sla.yaml")["providers"]
    folder = provider["options"]["path"]
    assert mounts[folder] == ("./grafana/dashboards", ["ro"])
    assert provider["allowUiUpdates"] is False
    home = PurePosixPath(service["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == folder
    assert (ROOT / "grafana" / "dashboards" / home.name).exists()


def test_the_service_is_pinned_optional_and_closed(service: Any) -> None:
    assert service["profiles"] == ["grafana"]
    assert re.fullmatch(r"grafana/grafana:\d+\.\d+\.\d+", service["image"])
    assert service["environment"]["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert all(port.startswith("${PUBLISH_ADDRESS:-127.0.0.1}:") for port in service["ports"])
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert "no-new-privileges:true" in service["security_opt"]


def test_the_user_of_the_data_source_is_the_analyst_that_migrate_creates(service: Any) -> None:
    migrate = loaded("compose.yaml")["services"]["migrate"]["environment"]
    environment = service["environment"]
    assert environment["SLA_DB_USER"] == "sla_monitor_analyst"
    assert environment["SLA_DB_PASSWORD"] == migrate["SLA_ANALYST_PASSWORD"]
    assert "env_file" not in service, "Grafana needs no other secret"


@pytest.mark.parametrize(("password", "starts"), [("", False), ("a", True)])
def test_an_empty_password_is_refused(service: Any, password: str, starts: bool) -> None:
    """`:?` cannot be used: compose would demand the password also without the profile."""
    assert service["environment"]["GF_SECURITY_ADMIN_PASSWORD"] == "${GRAFANA_PASSWORD:-}"
    shell, option, script = service["entrypoint"]
    script = script.replace("$$", "$").replace("exec /run.sh", "echo started")
    variables = {"GF_SECURITY_ADMIN_PASSWORD": password}
    ended = subprocess.run([shell, option, script], env=variables, capture_output=True, text=True, timeout=10)
    assert (ended.returncode, ended.stdout.strip() == "started") == (0 if starts else 1, starts)

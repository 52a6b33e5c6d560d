"""The examples in the documents work."""

import re
from pathlib import Path

from api.services.declared import read
from api.services.fields import FAMILIES
from api.sla import policy_files
from api.sla.policy_fields import NewPolicy
from sla_monitor.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"


def test_the_example_of_services_toml_can_be_applied_and_names_every_field() -> None:
    path = DOCS / "services.example.toml"
    services = read(path, Settings())
    website, orders = services[:2]
    assert (website.id, website.interval_seconds, website.check_config.target) == (
        "website",
        60,
        "https://www.example.com/",
    )
    assert (orders.retries, orders.group_name, orders.public) == (2, "Shop", False)
    text = path.read_text("utf-8")
    for family in FAMILIES.values():
        assert all(f"{field} = " in text for field in family.stored.__struct_encode_fields__)
    assert {service.type for service in services} == FAMILIES.keys()


def test_the_example_of_sla_toml_can_be_applied_and_names_every_field() -> None:
    path = DOCS / "sla.example.toml"
    assert [one.policy.target for one in policy_files.read(path)] == [99.5, 99.95]
    text = path.read_text("utf-8")
    assert all(f"{name} = " in text for name in NewPolicy.__struct_encode_fields__)


def test_the_examples_of_openslo_md_are_the_same_policy() -> None:
    text = (DOCS / "openslo.md").read_text("utf-8").replace("\n> ", "\n").replace("\n>\n", "\n\n")
    [openslo], [toml] = (re.findall(f"```{form}\n(.*?)```", text, re.DOTALL) for form in ("yaml", "toml"))
    [from_openslo] = policy_files.parse(Path("slo.yaml"), openslo.encode())
    [from_toml] = policy_files.parse(Path("sla.toml"), toml.encode())
    assert from_openslo.policy == from_toml.policy
    assert from_toml.policy.degraded_weight == 0.5

"""The examples in the documents work."""

from pathlib import Path

from api.services.declared import read
from api.services.fields import FAMILIES
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

"""The documents hold: what they give as an example works."""

from pathlib import Path

from api.services.declared import read
from api.services.fields import Service
from sla_monitor.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"


def test_the_example_of_services_toml_can_be_applied_and_names_every_field() -> None:
    path = DOCS / "services.example.toml"
    website, orders = read(path, Settings())
    assert (website.id, website.interval_seconds, website.expected_status_codes) == ("website", 60, [200])
    assert (orders.method, orders.retries, orders.group_name, orders.public) == ("POST", 2, "Shop", False)
    text = path.read_text("utf-8")
    assert all(f"{field} = " in text for field in Service.__struct_encode_fields__)

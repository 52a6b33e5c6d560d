"""The headline and the banner of the status page, the badge and the frame."""

from typing import Any

import psycopg
import pytest

from api.pages.badges import state_badge
from api.pages.embed import embed_context
from api.pages.service_states import StateRow
from api.pages.site import Site
from api.pages.status import banner
from api.uptime.status import ServiceState
from sla_monitor.settings import Settings
from sla_monitor.texts.languages import texts
from tests.api.conftest import Api, add_service, create_user
from tests.api.incidents import create
from tests.api.visitors import BROWSER

pytestmark = pytest.mark.one_day

Db = psycopg.AsyncConnection[Any]


@pytest.mark.parametrize(
    ("states", "state", "headline"),
    [
        (["operational", "operational"], "operational", "All systems operational"),
        (["operational", "unknown"], "operational", "No known problems"),
        (["operational", "maintenance"], "maintenance", "Maintenance is under way"),
        (["operational", "maintenance", "unknown"], "operational", "No known problems"),
        (["maintenance"], "maintenance", "Maintenance is under way"),
        (["unknown", "maintenance"], "unknown", "The status of the services is unknown"),
        (["unknown"], "unknown", "The status of the services is unknown"),
        (["degraded", "unknown"], "degraded", "Some services are degraded"),
        (["degraded", "maintenance"], "degraded", "Some services are degraded"),
        (["degraded", "outage", "maintenance"], "outage", "Some services are down"),
        (["outage", "unknown"], "outage", "Some services are down"),
    ],
)
def test_page_badge_and_frame_have_the_same_headline(
    states: list[ServiceState], state: ServiceState, headline: str
) -> None:
    t = texts("en", "UTC")
    shown = banner(t, states)
    assert (shown.state, t(f"live.headline_{shown.headline}")) == (state, headline)

    rows = [StateRow(str(n), str(n), None, one, None) for n, one in enumerate(states)]
    frame = Site(Settings()).environment.get_template("embed.html").render(embed_context(t, rows) | {"theme": None})
    assert f'<h1><span class="state {state}">{headline}</span></h1>' in frame

    badge = state_badge(t, "All systems", states)
    word = "No known problems" if headline == "No known problems" else t("states." + state)
    assert (badge.color, badge.message, badge.is_error) == (state, word, state in ("outage", "unknown"))


@pytest.mark.parametrize("states", [["operational"], ["maintenance", "operational"], ["unknown"], []])
def test_an_open_incident_replaces_the_headline_of_good_states(states: list[ServiceState]) -> None:
    t = texts("en", "UTC")
    shown = banner(t, states, True)
    assert (shown.state, shown.headline) == ("degraded", "incident")
    assert embed_context(t, [], True)["summary"] == ("degraded", "incident")
    assert state_badge(t, "All systems", states, True).message == "Incident"
    assert banner(t, ["outage"], True).headline == "outage"


@pytest.mark.one_engine
async def test_an_open_incident_is_the_headline_of_page_frame_and_badge(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    await db.execute("UPDATE service_states SET state = 'operational'")
    await create(api, await create_user(db), affectedServices=["shop"])
    for path in ("/", "/embed"):
        html = (await api.http.get(path, headers=BROWSER)).text.partition('<script type="application/json"')[0]
        assert "An incident is under way" in html and "All systems operational" not in html, path
    assert (await api.get("/badges/all-systems/status.json"))["message"] == "Incident"
    assert (await api.get("/badges/shop/status.json"))["message"] == "Operational"


@pytest.mark.parametrize(
    ("states", "sentences"),
    [
        (["operational"], ["The service is operational."]),
        (["operational"] * 3, ["All 3 services are operational."]),
        (["outage", "degraded", "operational"], ["2 of 3 services are not operational."]),
        (["outage", "operational"], ["1 of 2 services is not operational."]),
        (
            ["operational", "operational", "unknown"],
            ["2 of 3 services are operational.", "The status of 1 is unknown."],
        ),
        (["maintenance", "maintenance"], ["2 are under maintenance."]),
    ],
)
def test_the_banner_counts_services_by_state(states: list[ServiceState], sentences: list[str]) -> None:
    assert banner(texts("en", "UTC"), states).sentences == sentences

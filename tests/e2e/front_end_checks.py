"""The expected facts of each step of node/scenario.mjs."""

import re
from typing import Any

from tests.api.incidents import without_names
from tests.api.raw_clients import code
from tests.e2e.front_end import Steps

Facts = dict[str, Any]
ORIGIN = "http://front.example"
SERVICE = "id-recognition"
INTERNAL = {"incident-editing", "auto-save", "incident-comment", "user-left"}
"""The events that only the room of an incident receives."""


def log_in(facts: Facts, _: Steps) -> None:
    assert facts["status"] == 200
    assert set(facts["data"]) == {"accessToken", "refreshToken", "user"}
    user = facts["data"]["user"]
    assert (user["username"], user["email"], user["role"]) == ("alice", "alice@example.com", "reporter")
    assert facts["allowedOrigin"] == ORIGIN
    assert facts["me"]["data"] == {"user": user}
    assert refusal(facts["wrongPassword"]) == (401, "UNAUTHORIZED")
    assert facts["visitorLoggedOut"] is True


def connect(facts: Facts, _: Steps) -> None:
    assert len(set(facts["ids"])) == 3 and all(facts["ids"])


def read(facts: Facts, _: Steps) -> None:
    assert {response["status"] for response in facts.values()} == {200}
    [service] = facts["system-status"]["data"]["services"]
    assert set(service) == {"id", "name", "status", "uptime", "uptimeData"}
    assert len(service["uptimeData"]) == 90
    assert facts["services"]["data"]["services"][0] == {"id": "all-systems", "name": "All Systems"}
    assert facts["uptime"]["data"]["service"]["id"] == SERVICE
    assert len(facts["uptime"]["data"]["months"]) == 3
    assert facts["incidents"]["data"]["incidents"] == []
    past = facts["incidents/past"]["data"]
    assert set(past["pagination"]) == {"page", "limit", "total", "totalPages"}
    assert [day["incidents"] for day in past["days"]] == [[]] * 10


def create(facts: Facts, _: Steps) -> None:
    incident = facts["data"]["incident"]
    assert facts["status"] == 201
    assert facts["location"] == f"/api/incidents/{incident['id']}"
    assert re.fullmatch(r"INC-\d{4}-\d{4,}", incident["id"])
    expected = {
        "title": "Logins fail",
        "description": "Since noon",
        "status": "investigating",
        "severity": "high",
        "priority": "P1",
        "affectedServices": [SERVICE],
        "reporter": "the night shift",
        "detectionCriteria": "5xx above 1 %",
        "author": "alice",
        "resolvedAt": None,
    }
    assert {name: incident[name] for name in expected} == expected
    full, public = {"incident": incident}, {"incident": without_names(incident)}
    assert facts["received"] == {"alice": full, "bob": full, "visitor": public}
    assert refusal(facts["refused"]) == (401, "UNAUTHORIZED")


def join(facts: Facts, _: Steps) -> None:
    assert code(facts["visitor"]) == "UNAUTHORIZED"
    assert code(facts["unknown"]) == "VALIDATION_ERROR"
    assert code(facts["alice"]) is code(facts["bob"]) is None


def presence(facts: Facts, steps: Steps) -> None:
    """Each client receives the presence of the other across processes, with the user name of the token."""
    for receiver, editor, field in (("bobReceived", "alice", "description"), ("aliceReceived", "bob", "title")):
        assert facts[receiver] == {
            "incidentId": incident_id(steps),
            "userId": facts["users"][editor]["id"],
            "userName": editor,
            "isEditing": True,
            "field": field,
        }


def save(facts: Facts, _: Steps) -> None:
    """The second save with the same ETag is refused, with the saved incident in the response."""
    assert facts["sameEtag"] is True
    assert facts["saved"]["status"] == 200
    assert refusal(facts["stale"]) == (412, "CONFLICT")
    assert facts["stale"]["data"]["incident"] == facts["saved"]["data"]["incident"]
    assert facts["withoutEtag"]["status"] == 200
    incident = facts["withoutEtag"]["data"]["incident"]
    assert (incident["title"], incident["description"]) == ("Nobody can log in", "by alice")
    assert facts["received"] == {"incidentId": incident["id"], "incident": without_names(incident)}


def auto_save(facts: Facts, steps: Steps) -> None:
    assert set(facts["bobReceived"]) == {"incidentId", "data", "timestamp"}
    assert facts["bobReceived"]["data"] == {"description": "half a sent"}
    draft = facts["draft"]["data"]["draft"]
    assert (draft["incidentId"], draft["data"]) == (incident_id(steps), {"description": "half a sent"})
    assert facts["otherUser"]["status"] == 404


def comment(facts: Facts, steps: Steps) -> None:
    """All clients in the room receive the comment. The sender of `auto-save` has not received its own event."""
    assert facts["aliceReceived"] == facts["bobReceived"]
    assert facts["aliceReceived"]["incidentId"] == incident_id(steps)
    received = facts["aliceReceived"]["comment"]
    assert (received["text"], received["author"]) == ("It is the <b>cache</b>", "alice")
    assert [stored["id"] for stored in facts["comments"]["data"]["comments"]] == [received["id"]]
    assert "auto-save" not in facts["aliceEvents"]


def update(facts: Facts, steps: Steps) -> None:
    update = facts["data"]["update"]
    assert facts["status"] == 201
    assert (update["status"], update["description"], update["author"]) == ("identified", "The cache", "bob")
    assert facts["visitorReceived"] == {"incidentId": incident_id(steps), "update": update | {"author": None}}


def listen(facts: Facts, _: Steps) -> None:
    """The visitor receives public events, and none of those of the incident room."""
    assert code(facts["joined"]) is None
    assert set(facts["received"]) == {"serviceId", "status", "timestamp"}
    assert facts["received"]["status"] == "outage"
    assert not INTERNAL & set(facts["visitorEvents"])


def lose(facts: Facts, steps: Steps) -> None:
    assert facts["reason"] in ("transport close", "transport error")
    assert facts["left"] == {"room": f"incident-{incident_id(steps)}", "userId": alice(steps)["id"]}
    assert facts["seconds"] < 21  # a lease of 15 s, checked every 5 s


def come_back(facts: Facts, steps: Steps) -> None:
    assert code(facts["joined"]) is None
    assert (facts["presence"]["userName"], facts["presence"]["isEditing"]) == ("bob", True)
    assert (facts["received"]["comment"]["text"], facts["received"]["comment"]["author"]) == ("Back again", "alice")


def resolve(facts: Facts, steps: Steps) -> None:
    incident = facts["data"]["incident"]
    assert incident["status"] == "resolved" and incident["resolvedAt"] is not None
    assert facts["open"]["data"]["incidents"] == []
    past = [each["id"] for day in facts["past"]["data"]["days"] for each in day["incidents"]]
    assert past == [incident_id(steps)]
    assert refusal(facts["deleted"]) == (403, "FORBIDDEN")


def log_out(facts: Facts, steps: Steps) -> None:
    assert facts["status"] == 204
    assert facts["reason"] == "io server disconnect"
    assert facts["left"]["userId"] == alice(steps)["id"]
    assert refusal(facts["next"]) == (401, "UNAUTHORIZED")
    assert facts["loggedOut"] is True


EXPECTED = {
    "log in": log_in,
    "connect": connect,
    "read": read,
    "create": create,
    "join": join,
    "presence": presence,
    "save": save,
    "auto-save": auto_save,
    "comment": comment,
    "update": update,
    "listen": listen,
    "lose": lose,
    "come back": come_back,
    "resolve": resolve,
    "log out": log_out,
}


def refusal(response: Facts) -> tuple[int, str]:
    """Returns the status and the error code of a response."""
    return response["status"], response["data"]["code"]


def incident_id(steps: Steps) -> str:
    return str(steps["create"]["data"]["incident"]["id"])


def alice(steps: Steps) -> Facts:
    """Returns the user of the first login."""
    user: Facts = steps["log in"]["data"]["user"]
    return user

"""Every page of the console, which is for people who are logged in."""

from api.console import (
    account,
    audit,
    incident_changes,
    incident_editor,
    incidents,
    maintenance,
    new_incident,
    services,
    settings,
    templates,
    tokens,
    users,
)

PAGES = (
    incidents,
    new_incident,
    incident_editor,
    incident_changes,
    maintenance,
    templates,
    services,
    users,
    tokens,
    settings,
    audit,
    account,
)

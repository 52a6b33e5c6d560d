"""The form of a service: what is filled in, and what REST is told of it."""

from collections.abc import Mapping
from typing import Any

from api.pages.forms import Form
from api.pages.problems import Problem
from api.services.fields import NewService, Service, complete
from sla_monitor.settings import Settings
from sla_monitor.texts.languages import Texts

TEXTS = ("name", "description", "endpointUrl", "method", "keyword", "keywordAbsent", "jsonPath", "jsonValue", "group")
NUMBERS = ("intervalSeconds", "timeoutMs", "degradedAfterMs", "retries", "followRedirects")
FLAGS = ("verifyTls", "enabled", "public")
NEVER_EMPTY = ("name", "endpointUrl", "method")
Values = Mapping[str, Any]
"""By REST's names, as the fields of the form hold them: lists and headers as text."""


def blank(settings: Settings) -> Values:
    """With what a new service is where nothing is said of it."""
    return of_service(complete(NewService(id="", name="", endpoint_url=""), settings))


def of_service(service: Service) -> Values:
    return {
        "id": service.id,
        "name": service.name,
        "description": service.description or "",
        "endpointUrl": service.endpoint_url,
        "method": service.method,
        "headers": "\n".join(f"{name}: {value}" for name, value in service.headers.items()),
        "body": service.body or "",
        "expectedStatusCodes": ", ".join(map(str, service.expected_status_codes)),
        "keyword": service.keyword or "",
        "keywordAbsent": service.keyword_absent or "",
        "jsonPath": service.json_path or "",
        "jsonValue": service.json_value or "",
        "intervalSeconds": service.interval_seconds,
        "timeoutMs": service.timeout_ms,
        "degradedAfterMs": service.degraded_after_ms,
        "retries": service.retries,
        "followRedirects": service.follow_redirects,
        "group": service.group_name or "",
        "tags": ", ".join(service.tags),
        "verifyTls": service.verify_tls,
        "enabled": service.enabled,
        "public": service.public,
    }


def of_form(form: Form) -> Values:
    """What was filled in, to be shown again."""
    values: dict[str, Any] = {name: form.text(name) for name in (*TEXTS, *NUMBERS, "id", "headers", "tags")}
    values |= {name: form.flag(name) for name in FLAGS}
    return values | {"expectedStatusCodes": form.text("expectedStatusCodes"), "body": _as_typed(form.secret("body"))}


def problems(values: Values, t: Texts) -> dict[str, Problem]:
    """What cannot be read as what it should be; everything else is REST's to judge."""
    lines = _lines(values["headers"])
    names = [line.partition(":")[0].strip().lower() for line in lines]
    found: dict[str, Problem] = {}
    if any(":" not in line for line in lines):
        found["headers"] = t("services.headers_wrong")
    elif len(set(names)) < len(names):
        found["headers"] = t("services.headers_repeated")
    if not all(map(_is_number, _listed(values["expectedStatusCodes"]))):
        found["expectedStatusCodes"] = t("services.codes_wrong")
    return found


def body(values: Values) -> dict[str, Any]:
    """What REST is told, where `problems` finds nothing. What is left empty is to be empty."""
    said: dict[str, Any] = {name: values[name] or ("" if name in NEVER_EMPTY else None) for name in TEXTS}
    said |= {name: int(values[name]) if _is_number(values[name]) else values[name] for name in NUMBERS}
    said |= {name: values[name] for name in FLAGS}
    said["body"] = values["body"] or None
    said["headers"] = {
        name.strip(): value.strip() for name, _, value in (line.partition(":") for line in _lines(values["headers"]))
    }
    said["expectedStatusCodes"] = [int(code) for code in _listed(values["expectedStatusCodes"])]
    said["tags"] = _listed(values["tags"])
    return said


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.replace("\n", ",").split(",") if part.strip()]


def _is_number(text: Any) -> bool:
    return isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 16


def _as_typed(text: str) -> str:
    """A body may begin with a space; lines end as everywhere else."""
    return text.replace("\r\n", "\n")

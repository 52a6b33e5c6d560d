"""Files with SLA policies: sla.toml, and OpenSLO documents in a file whose name ends with .yaml or .yml.

    [[policies]]
    scope = "service"
    subject = "shop"
    name = "Shop"
    target = 99.9

The fields have the names, limits and defaults of the REST API.
"""

import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from api.rest.declared_files import DeclarationError, content_of, one_line
from api.rest.errors import ApiError
from api.rest.validation import converted
from api.sla import openslo
from api.sla.declared_policy import DeclaredPolicy, located, repeated
from api.sla.policy_fields import NewPolicy
from sla_monitor.formats.yaml_documents import YamlError, read_documents

MOST_PROBLEMS = 20
"""At most this many problems are in the message of an error."""
_YAML = frozenset({".yaml", ".yml"})


def read(path: Path) -> list[DeclaredPolicy]:
    """The policies of the file. Raises DeclarationError with all problems of the file."""
    return parse(path, content_of(path)[1])


def parse(path: Path, content: bytes) -> list[DeclaredPolicy]:
    """The policies in `content`. Raises DeclarationError with all problems of the file."""
    policies, problems = _read_yaml(path, content) if path.suffix.lower() in _YAML else _read_toml(path, content)
    problems += [text for policy in policies for text in policy.problems()] + repeated(policies)
    if problems:
        raise DeclarationError(message(path, problems))
    return policies


def message(path: Path, problems: Sequence[str]) -> str:
    """One line with the file and its problems."""
    more = [f"and {len(problems) - MOST_PROBLEMS} more"] if len(problems) > MOST_PROBLEMS else []
    return f"{path}: " + "; ".join([one_line(text) for text in problems[:MOST_PROBLEMS]] + more)


def _read_yaml(path: Path, content: bytes) -> tuple[list[DeclaredPolicy], list[str]]:
    try:
        return openslo.read(read_documents(content))
    except YamlError as error:
        raise DeclarationError(message(path, [str(error)])) from None


def _read_toml(path: Path, content: bytes) -> tuple[list[DeclaredPolicy], list[str]]:
    try:
        document = tomllib.loads(content.decode("utf-8-sig"))  # editors on Windows begin with a byte order mark
    except (RecursionError, ValueError) as error:  # not UTF-8, not TOML, a number of 5,000 digits
        raise DeclarationError(message(path, [str(error) or type(error).__name__])) from None
    tables = document.get("policies", [])
    if set(document) - {"policies"} or not isinstance(tables, list):
        raise DeclarationError(message(path, ["only [[policies]] tables are allowed"]))
    policies, problems = [], []
    for number, table in enumerate(tables):
        place = f"policies[{number}]"
        try:
            policies.append(DeclaredPolicy(place, converted(_with_texts(table), NewPolicy)))
        except ApiError as error:
            problems += located(error.details, place)
    return policies, problems


def _with_texts(table: Any) -> Any:
    """The table with its dates as in JSON."""
    if not isinstance(table, dict):
        return table
    return {key: value.isoformat() if isinstance(value, date) else value for key, value in table.items()}


def write_toml(policies: Sequence[Mapping[str, Any]]) -> str:
    """The policies, each a body of POST /api/sla/policies, as the text of an sla.toml."""
    return "\n".join(
        "[[policies]]\n" + "".join(f"{name} = {_toml(value)}\n" for name, value in body.items()) for body in policies
    )


def _toml(value: Any) -> str:
    """A JSON value as an inline value of TOML. Texts, numbers and lists are alike in both."""
    match value:
        case dict():
            return "{ " + ", ".join(f"{name} = {_toml(one)}" for name, one in value.items() if one is not None) + " }"
        case list():
            return "[" + ", ".join(_toml(one) for one in value) + "]"
    return msgspec.json.encode(value).decode()

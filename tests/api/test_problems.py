"""Error codes: every code has a text in every language, and forms show it in the language of the reader."""

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import api as package
from api.pages.problems import Problem, problem_text
from api.rest.errors import ApiError
from api.rest.problems import FieldProblem
from sla_monitor.recurrence.rules import RuleFault
from sla_monitor.texts.languages import LANGUAGES, texts
from sla_monitor.texts.problems import ProblemCode, text_of
from tests.api.conftest import Api, create_user
from tests.api.people import Db
from tests.api.visitors import visitor

pytestmark = pytest.mark.one_engine

CODES: tuple[ProblemCode, ...] = get_args(ProblemCode)
ROOT = Path(package.__file__ or "").parent.parent
DOCUMENT = ROOT / "docs" / "errors.md"


def placeholders(code: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(english(code)) if name}


def english(code: str) -> str:
    text = texts("en", "UTC").section("problems")[code]
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (FieldProblem.of("name", "empty"), "비워 둘 수 없습니다"),
        (FieldProblem.of("name", "too_long", most=255), "최대 255자"),
        (FieldProblem.of("tags", "too_many", most=50), "최대 50개"),
        (FieldProblem.of("timeoutMs", "too_large", most=60000), "60000 이하여야 합니다"),
        (FieldProblem.of("rrule", "rule_month_days"), "BYMONTHDAY는 FREQ=WEEKLY와"),
        (FieldProblem.of("role", "choice", choices=["viewer", "admin"]), "viewer, admin"),
        (ApiError(409, "declared", file="services.toml"), "services.toml에 선언되어"),
        ("이미 번역된 문장", "이미 번역된 문장"),
    ],
)
def test_problems_are_translated_to_korean(problem: Problem, text: str) -> None:
    assert text in problem_text(problem, texts("ko", "UTC"))


def test_every_code_has_a_text_in_every_language() -> None:
    for language in LANGUAGES:
        assert set(texts(language, "UTC").section("problems")) == set(CODES)
    assert set(get_args(RuleFault)) <= set(CODES)


def test_an_error_carries_its_code_and_parameters() -> None:
    problem = FieldProblem.of("retries", "too_large", most=5)
    assert (problem.message, problem.code, problem.parameters) == ("must be 5 or less", "too_large", {"most": 5})
    error = ApiError(400, details=[problem])
    assert (str(error), error.body.reason) == ("retries: must be 5 or less", "invalid_request")
    declared = ApiError(409, "declared", file="services.toml")
    assert str(declared) == "This service is declared in services.toml; change it there"
    assert (declared.body.code, declared.body.reason, declared.body.parameters) == (
        "CONFLICT",
        "declared",
        {"file": "services.toml"},
    )


def raised() -> Iterator[tuple[str, str, set[str]]]:
    """Yields the position in the source, the code and the names of the parameters of every error with a constant
    code."""
    below = [ROOT / "sla_monitor" / "recurrence" / "rules.py", *ROOT.glob("sla_monitor/reports/*.py")]
    for path in [*ROOT.glob("api/**/*.py"), *below]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            if name not in ("FieldProblem.of", "ApiError", "RuleError", "ReportProblem", "_problem"):
                continue
            place = 0 if name == "RuleError" else 1
            code = node.args[place] if len(node.args) > place else None
            names = {keyword.arg for keyword in node.keywords if keyword.arg} - {"details", "headers", "hint"}
            if isinstance(code, ast.Constant) and not any(keyword.arg is None for keyword in node.keywords):
                yield f"{path.name}:{node.lineno}", str(code.value), names


def test_every_code_is_raised_with_the_parameters_of_its_text() -> None:
    found = list(raised())
    assert len(found) > 100
    errors = [(place, code) for place, code, names in found if code not in CODES or placeholders(code) != names]
    assert errors == []


def test_every_code_is_used() -> None:
    sources = "\n".join(path.read_text("utf-8") for path in ROOT.glob("api/**/*.py") if path.name != "problems.py")
    below = [ROOT / "sla_monitor" / "recurrence" / "rules.py", *ROOT.glob("sla_monitor/checks/*.py")]
    below += ROOT.glob("sla_monitor/reports/*.py")
    sources += "\n".join(path.read_text("utf-8") for path in below)
    assert [code for code in CODES if f'"{code}"' not in sources] == []


def test_the_document_lists_every_code_with_its_text() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| (.*) \|$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert rows == [(code, english(code).replace("<", "&lt;")) for code in CODES], (
        "run: python -m tests.api.test_problems"
    )


def test_a_text_writes_numbers_without_separators_and_lists_with_commas() -> None:
    assert text_of("years", {"first": 2000, "last": 2100}) == "must be from 2000 to 2100"
    assert text_of("choice", {"choices": ["P1", "P2"]}) == "must be one of P1, P2"


async def test_the_errors_of_a_korean_form_are_in_korean(api: Api, db: Db) -> None:
    """None of the messages is in English."""
    admin = await visitor(api, await create_user(db, "admin"), "ko")
    invalid = {
        "id": "A B",
        "name": "",
        "endpointUrl": "ftp://x",
        "timeoutMs": "x",
        "retries": "9",
        "jsonPath": "$..a",
        "headers": "Host: x\na b: 1",
    }
    for field, value in invalid.items():
        new = {"id": "shop", "name": "Shop", "endpointUrl": "http://shop.example/", field: value}
        page = await admin.fill("/console/services/new", "/console/services", **new)
        message = page.text.partition(f'id="problem-{field}">')[2].partition("<")[0]
        assert message and not message.isascii(), f"{field}: {message}"


def written() -> str:
    """Returns docs/errors.md with the table of the catalogue."""
    start, _, _ = DOCUMENT.read_text("utf-8").partition("| code | text |")
    rows = [f"| `{code}` | {english(code).replace('<', '&lt;')} |" for code in CODES]
    return start + "\n".join(["| code | text |", "|---|---|", *rows]) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(written(), "utf-8")

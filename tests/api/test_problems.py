"""Error codes: one list, with a text in every language; forms show it in the reader's language."""

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
from sla_monitor.recurrence import RuleFault
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
    ("problem", "said"),
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
def test_problems_in_korean(problem: Problem, said: str) -> None:
    assert said in problem_text(problem, texts("ko", "UTC"))


def test_every_code_has_its_text_in_every_language() -> None:
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
    """Every code that the sources name where an error is made, with the parameters that it is given there."""
    for path in [*ROOT.glob("api/**/*.py"), ROOT / "sla_monitor" / "recurrence.py"]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            if name not in ("FieldProblem.of", "ApiError", "RuleError", "_problem"):
                continue
            place = 0 if name == "RuleError" else 1
            given = node.args[place] if len(node.args) > place else None
            names = {keyword.arg for keyword in node.keywords if keyword.arg} - {"details", "headers", "hint"}
            if isinstance(given, ast.Constant) and not any(keyword.arg is None for keyword in node.keywords):
                yield f"{path.name}:{node.lineno}", str(given.value), names


def test_every_code_is_raised_with_the_parameters_of_its_text() -> None:
    found = list(raised())
    assert len(found) > 100
    wrong = [(place, code) for place, code, names in found if code not in CODES or placeholders(code) != names]
    assert wrong == []


def test_no_code_is_left_over() -> None:
    sources = "\n".join(path.read_text("utf-8") for path in ROOT.glob("api/**/*.py") if path.name != "problems.py")
    below = [ROOT / "sla_monitor" / "recurrence.py", *ROOT.glob("sla_monitor/checks/*.py")]
    sources += "\n".join(path.read_text("utf-8") for path in below)
    assert [code for code in CODES if f'"{code}"' not in sources] == []


def test_the_document_lists_every_code_with_its_text() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| (.*) \|$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert rows == [(code, english(code).replace("<", "&lt;")) for code in CODES], (
        "run: python -m tests.api.test_problems"
    )


def test_a_text_writes_numbers_without_separators_and_lists_with_commas() -> None:
    assert text_of("years", {"first": 2000, "last": 2100}) == "must lie between 2000 and 2100"
    assert text_of("choice", {"choices": ["P1", "P2"]}) == "must be one of P1, P2"


async def test_a_form_in_korean_says_what_is_wrong_in_korean(api: Api, db: Db) -> None:
    """Nothing of what these forms are refused for is in English."""
    admin = await visitor(api, await create_user(db, "admin"), "ko")
    wrong = {
        "id": "A B",
        "name": "",
        "endpointUrl": "ftp://x",
        "timeoutMs": "x",
        "retries": "9",
        "jsonPath": "$..a",
        "headers": "Host: x\na b: 1",
    }
    for field, value in wrong.items():
        new = {"id": "shop", "name": "Shop", "endpointUrl": "http://shop.example/", field: value}
        page = await admin.fill("/console/services/new", "/console/services", **new)
        told_so = page.text.partition(f'id="problem-{field}">')[2].partition("<")[0]
        assert told_so and not told_so.isascii(), f"{field}: {told_so}"


def written() -> str:
    """docs/errors.md with its table as the catalogue has it."""
    start, _, _ = DOCUMENT.read_text("utf-8").partition("| code | text |")
    rows = [f"| `{code}` | {english(code).replace('<', '&lt;')} |" for code in CODES]
    return start + "\n".join(["| code | text |", "|---|---|", *rows]) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(written(), "utf-8")

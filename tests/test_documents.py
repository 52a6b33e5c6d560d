"""The documents refer to files that exist, and each decision has a date and a status."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")), *(ROOT / "docs").glob("*.md")]
FOLDERS = {
    "api",
    "bench",
    "continuous_aggregates",
    "docs",
    "prober",
    "sla_monitor",
    "sql",
    "tests",
    "worker",
    ".ci",
    ".github",
}
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)|src=\"([^\"]+)\"")
CODE = re.compile(r"```.*?```|`([^`\n]+)`", re.DOTALL)
WORD = re.compile(r"(?<![\w/.:…-])[\w.-]+(?:/[\w.*-]+)+/?")
DECISION = re.compile(r"^### ([^\n]+)\n\n\*([^*]+)\*", re.MULTILINE)
STATUS = re.compile(
    r'\d{4}-\d\d-\d\d, (?:accepted(?:, measured again on \d{4}-\d\d-\d\d)?\.|superseded on [^"]+ by "(?P<by>[^"]+)"\.)'
)


def links(text: str) -> Iterator[str]:
    """Yields the targets of links inside the repository."""
    for markdown, html in LINK.findall(text):
        target = markdown or html
        if "://" not in target:
            yield target


def paths(text: str) -> Iterator[str]:
    """Yields the paths in code spans and code blocks that begin with a folder of the repository."""
    for code in CODE.finditer(text):
        for word in WORD.findall(code[0]):
            if word.partition("/")[0] in FOLDERS:
                yield word


def missing(document: Path) -> list[str]:
    text = document.read_text("utf-8")
    linked = [target for target in links(text) if not (document.parent / target).exists()]
    return linked + [path for path in paths(text) if not any(ROOT.glob(path.rstrip("/.")))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_every_path_in_a_document_exists(document: Path) -> None:
    assert missing(document) == []


def test_missing_paths_are_found(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(
        "[x](other.md), `api/nothing.py`, `/api/incidents`, `sql/queries/` and\n```sh\npytest tests/no.py\n```\n"
    )
    assert missing(document) == ["other.md", "api/nothing.py", "tests/no.py"]


def test_the_architecture_refers_to_many_files() -> None:
    assert len(set(paths((ROOT / "docs" / "architecture.md").read_text("utf-8")))) > 50


def test_every_decision_has_a_date_and_a_status() -> None:
    text = (ROOT / "docs" / "decisions.md").read_text("utf-8")
    titles = re.findall(r"^### (.+)$", text, re.MULTILINE)
    found = {title: " ".join(status.split()) for title, status in DECISION.findall(text)}
    assert [title for title in titles if not STATUS.fullmatch(found.get(title, ""))] == []
    superseding = {match["by"] for status in found.values() if (match := STATUS.fullmatch(status)) and match["by"]}
    assert superseding
    assert superseding <= set(titles)

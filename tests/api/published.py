"""Reads the tables of docs/permissions.md."""

from pathlib import Path
from typing import Literal, NamedTuple, get_args

from tests.api.people import Principal

PAGE = Path(__file__).parents[2] / "docs" / "permissions.md"
ROLES = ("viewer", "reporter", "admin")
Who = Literal["everybody", "everybody*", "viewer", "reporter", "admin"]
Outcome = Literal["allowed", 401, 403]


class Row(NamedTuple):
    """One route. `who`: the lowest role that may use it. `own`: a lower role that is sufficient for the client's own
    resources. `tokens`: whether API tokens may use it."""

    method: str
    path: str
    who: str
    own: str | None
    tokens: bool

    def outcome(self, principal: Principal, *, own: bool) -> Outcome:
        """Returns the expected outcome for `principal`. `own`: whether the resource is its own, or does not exist."""
        if self.who == "everybody":
            return "allowed"
        if principal.invalid:
            return 401
        if self.who == "everybody*":
            return "allowed"
        if principal.role is None:
            return 401
        if principal.is_token and not self.tokens:
            return 403
        least = self.own if own and self.own else self.who
        return "allowed" if ROLES.index(principal.role) >= ROLES.index(least) else 403


class LiveRow(NamedTuple):
    event: str
    room: str
    who: str


def routes() -> list[Row]:
    rows = []
    for method, path, who, own, tokens, _ in _table("## REST"):
        assert who.replace("\\", "") in get_args(Who), who
        assert own in ("", *ROLES) and tokens in ("", "yes", "no"), path
        assert (tokens == "") == (who == "everybody"), f"{method} {path} must say whether tokens may do it"
        rows.append(Row(method, path.strip("`"), who, own or None, tokens == "yes"))
    return rows


def pages() -> list[Row]:
    """Returns the rows of pages, which accept no tokens."""
    rows = []
    for method, path, who, own, _ in _table("## Pages"):
        assert who.replace("\\", "") in get_args(Who) and own in ("", *ROLES), path
        rows.append(Row(method, path.strip("`"), who, own or None, tokens=False))
    return rows


def live() -> list[LiveRow]:
    return [LiveRow(event.strip("`"), room.strip("`"), who) for event, room, who, _ in _table("## Live")]


def _table(heading: str) -> list[list[str]]:
    """Returns the cells of the table under `heading`, without its header rows."""
    section = PAGE.read_text().partition(f"{heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]

"""The table: a line for each thing measured, with its peer, its ratio, its target and the verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

FAILED = "failed"
NOT_MEASURED = "not measured"
HEADINGS = ("", "ours", "peer", "ratio (spread)", "target", "verdict")


@dataclass(frozen=True)
class Target:
    """A bound on a ratio (unit "x") or on an absolute figure."""

    limit: float
    unit: str = "x"
    at_least: bool = True
    tolerance: float = 0.0
    """Where it is set, what counts is to lie so near to the limit, on either side."""

    def verdict(self, value: float) -> str:
        if self.tolerance:
            met = abs(value - self.limit) <= self.tolerance
        else:
            met = value >= self.limit if self.at_least else value <= self.limit
        return "met" if met else "missed"

    def __str__(self) -> str:
        limit = quantity(self.limit, self.unit, plain=True)
        if self.tolerance:
            return f"{limit} +- {quantity(self.tolerance, self.unit)}"
        return f"{'>=' if self.at_least else '<='} {limit}"


def least(limit: float, unit: str = "x") -> Target:
    return Target(limit, unit)


def most(limit: float, unit: str = "x") -> Target:
    return Target(limit, unit, at_least=False)


def about(limit: float, tolerance: float, unit: str = "x") -> Target:
    return Target(limit, unit, tolerance=tolerance)


@dataclass(frozen=True)
class Line:
    """One row of the table, in words; `note` is printed below it."""

    what: str
    ours: str = ""
    peer: str = ""
    ratio: str = ""
    target: str = ""
    verdict: str = "-"
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        return (self.what, self.ours, self.peer, self.ratio, self.target, self.verdict)


def number(value: float, *, plain: bool = False) -> str:
    """Three significant digits, thousands apart; `plain` is for limits that people chose."""
    if plain and value == round(value):
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def quantity(value: float, unit: str, *, plain: bool = False) -> str:
    return number(value, plain=plain) + (unit if unit in ("x", "%") else f" {unit}" if unit else "")


def spread(values: Sequence[float]) -> str:
    """The median, and between what the rounds lay."""
    middle = number(median(values))
    return middle if len(values) == 1 else f"{middle} ({number(min(values))}-{number(max(values))})"


def compared(
    what: str,
    ours: Sequence[float],
    peer: Sequence[float],
    unit: str,
    target: Target | None = None,
    *,
    inverse: bool = False,
    note: str = "",
) -> Line:
    """Round against round: ours / peer, or peer / ours (`inverse`) where less is better and the target is "faster"."""
    ratios = [theirs / own if inverse else own / theirs for own, theirs in zip(ours, peer, strict=True)]
    return Line(
        what,
        quantity(median(ours), unit),
        quantity(median(peer), unit),
        spread(ratios),
        str(target) if target else "",
        target.verdict(median(ratios)) if target else "-",
        note,
    )


def absolute(
    what: str,
    ours: Sequence[float],
    unit: str,
    target: Target | None = None,
    *,
    peer: Sequence[float] | None = None,
    note: str = "",
) -> Line:
    """A figure with a bound of its own; the peer's, where there is one, stands beside it with the ratio."""
    figures = [quantity(value, unit) for value in (median(ours), min(ours), max(ours))]
    ratios = [own / theirs for own, theirs in zip(ours, peer, strict=True)] if peer else []
    return Line(
        what,
        figures[0] if len(ours) == 1 else f"{figures[0]} ({number(min(ours))}-{number(max(ours))})",
        quantity(median(peer), unit) if peer else "",
        spread(ratios) if ratios else "",
        str(target) if target else "",
        target.verdict(median(ours)) if target else "-",
        note,
    )


def not_measured(what: str, reason: str) -> Line:
    """What this machine lacks something for."""
    return Line(what, verdict=NOT_MEASURED, note=reason)


def failed(what: str, reason: str) -> Line:
    """What ought to have worked."""
    return Line(what, verdict=FAILED, note=reason)


def table(lines: Sequence[Line]) -> str:
    """Aligned columns; notes are indented below their line."""
    rows = [HEADINGS, *(line.cells() for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]

    def row_text(cells: tuple[str, ...]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

    text = [row_text(HEADINGS), row_text(tuple("-" * width for width in widths))]
    for line in lines:
        text.append(row_text(line.cells()))
        text += [f"    {part}" for part in line.note.splitlines()]
    return "\n".join(text)

"""The results of the benchmark and the table that prints them."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

FAILED = "failed"
NOT_MEASURED = "not measured"
NO_TARGET = "-"
HEADINGS = ("metric", "measured", "reference", "ratio (range)", "target", "verdict")


@dataclass(frozen=True)
class Target:
    """A limit for a ratio (unit "x") or for a figure with a unit."""

    limit: float
    unit: str = "x"
    is_minimum: bool = True
    tolerance: float = 0.0
    """If it is not 0, a value meets the target if it differs from the limit by no more than this."""

    def verdict(self, value: float) -> str:
        if self.tolerance:
            met = abs(value - self.limit) <= self.tolerance
        else:
            met = value >= self.limit if self.is_minimum else value <= self.limit
        return "met" if met else "missed"

    def __str__(self) -> str:
        limit = with_unit(self.limit, self.unit, exact=True)
        if self.tolerance:
            return f"{limit} +- {with_unit(self.tolerance, self.unit)}"
        return f"{'>=' if self.is_minimum else '<='} {limit}"


def at_least(limit: float, unit: str = "x") -> Target:
    return Target(limit, unit)


def at_most(limit: float, unit: str = "x") -> Target:
    return Target(limit, unit, is_minimum=False)


def within(limit: float, tolerance: float, unit: str = "x") -> Target:
    return Target(limit, unit, tolerance=tolerance)


@dataclass(frozen=True)
class Result:
    """One row of the table, formatted. `note` describes the measurement and may have several lines."""

    title: str
    measured: str = ""
    reference: str = ""
    ratio: str = ""
    target: str = ""
    verdict: str = NO_TARGET
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        return (self.title, self.measured, self.reference, self.ratio, self.target, self.verdict)


def comparison(
    title: str,
    measured: Sequence[float],
    reference: Sequence[float],
    unit: str,
    target: Target | None = None,
    *,
    speedup: bool = False,
    note: str = "",
) -> Result:
    """The ratio of the product's figures to the reference's, round by round. The target is for the median ratio.

    The ratio is measured / reference. With `speedup` it is reference / measured, for durations whose target is a
    factor.
    """
    pairs = zip(measured, reference, strict=True)
    ratios = [other / own if speedup else own / other for own, other in pairs]
    return Result(
        title,
        with_unit(median(measured), unit),
        with_unit(median(reference), unit),
        _median_and_range(ratios),
        str(target) if target else "",
        target.verdict(median(ratios)) if target else NO_TARGET,
        note,
    )


def figure(
    title: str,
    measured: Sequence[float],
    unit: str,
    target: Target | None = None,
    *,
    reference: Sequence[float] | None = None,
    note: str = "",
) -> Result:
    """A figure of the product. The target is for its median; a reference is printed beside it and has no target."""
    ratios = [own / other for own, other in zip(measured, reference, strict=True)] if reference else []
    return Result(
        title,
        _median_and_range(measured, unit),
        with_unit(median(reference), unit) if reference else "",
        _median_and_range(ratios) if ratios else "",
        str(target) if target else "",
        target.verdict(median(measured)) if target else NO_TARGET,
        note,
    )


def not_measured(title: str, reason: str) -> Result:
    """A result that this machine cannot measure, because something is not installed."""
    return Result(title, verdict=NOT_MEASURED, note=reason)


def failed(title: str, reason: str) -> Result:
    """A measurement that raised an error."""
    return Result(title, verdict=FAILED, note=reason)


def three_digits(value: float, *, exact: bool = False) -> str:
    """Three significant digits, with commas between thousands. `exact` writes every digit of a whole number."""
    if exact and value == round(value):
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def with_unit(value: float, unit: str, *, exact: bool = False) -> str:
    separator = "" if unit in ("", "x", "%") else " "
    return three_digits(value, exact=exact) + separator + unit


def _median_and_range(values: Sequence[float], unit: str = "") -> str:
    middle = with_unit(median(values), unit)
    return middle if len(values) == 1 else f"{middle} ({three_digits(min(values))}-{three_digits(max(values))})"


def table(results: Sequence[Result]) -> str:
    """The results in aligned columns. The note of a result is indented below its row."""
    rows = [HEADINGS, *(result.cells() for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]

    def aligned(cells: tuple[str, ...]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

    text = [aligned(HEADINGS), aligned(tuple("-" * width for width in widths))]
    for result in results:
        text.append(aligned(result.cells()))
        text += [f"    {part}" for part in result.note.splitlines()]
    return "\n".join(text)

"""The periods of the page /sla: months, quarters and years, none of them in the future."""

from datetime import date, timedelta
from typing import Literal, NamedTuple, get_args

from api.rest.moments import FIRST_YEAR
from api.sla.figures import days_of
from sla_monitor.texts.languages import Texts

Kind = Literal["month", "quarter", "year"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Period(NamedTuple):
    """A month, a quarter or a year. `first` and `last` are its first and its last day."""

    kind: Kind
    first: date
    last: date

    @property
    def text(self) -> str:
        """As in the query: 2026-10, 2026-Q4 or 2026."""
        match self.kind:
            case "month":
                return f"{self.first:%Y-%m}"
            case "quarter":
                return f"{self.first:%Y}-Q{(self.first.month + 2) // 3}"
        return f"{self.first:%Y}"

    def shown(self, t: Texts) -> str:
        """October 2026, Q4 2026 or 2026."""
        match self.kind:
            case "month":
                return t.month(self.first)
            case "quarter":
                return t.quarter(self.first)
        return t.year(self.first)

    def earlier(self) -> "Period | None":
        """The period before this one, unless it is before the first year of figures."""
        day = self.first - timedelta(days=1)
        return containing(self.kind, day) if day.year >= FIRST_YEAR else None

    def later(self, today: date) -> "Period | None":
        """The period after this one, unless it is in the future."""
        return containing(self.kind, self.last + timedelta(days=1)) if self.last < today else None

    def of_kind(self, kind: Kind, today: date) -> "Period":
        """The period of another length at the end of this one, or the current one."""
        return containing(kind, min(self.last, today))


def containing(kind: Kind, day: date) -> Period:
    """The period of this length that contains a day."""
    match kind:
        case "month":
            text = f"{day:%Y-%m}"
        case "quarter":
            text = f"{day:%Y}-Q{(day.month + 2) // 3}"
        case _:
            text = f"{day:%Y}"
    return Period(kind, *days_of(text))


def chosen(text: str, today: date) -> Period:
    """The period of the query, by default the current month. A later period becomes the current one of its length.
    Raises 400 for a text that is no period."""
    if not text:
        return containing("month", today)
    first, last = days_of(text)
    kind: Kind = "quarter" if "Q" in text else "month" if "-" in text else "year"
    return Period(kind, first, last) if first <= today else containing(kind, today)

"""The model of an installation: its stored checks, its services, and the current time."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from tests.oracle.episodes import Episode, Pause, StateHistory, episodes, state_history
from tests.oracle.figures import grouped
from tests.oracle.history import History, Interrupt, Resume, Service, SetRetention, SetTimeZone
from tests.oracle.local_days import LocalDays, local_days
from tests.oracle.rows import Check, Counts, Registered, StoredChecks, oldest_accepted


class Model:
    def __init__(self, history: History) -> None:
        self.zone = history.zone
        self.present = history.begins
        self.locations = history.locations
        self.all_services = {one.id: one for one in history.services}
        self.services = set(self.all_services)
        self.retention = history.retention
        self._complete_since: datetime | None = None
        self._stored = StoredChecks()
        self._pauses: dict[str, list[Pause]] = defaultdict(list)

    @property
    def days(self) -> LocalDays:
        return local_days(self.zone)

    @property
    def checks(self) -> list[Check]:
        """All stored checks, including those whose raw rows have been dropped."""
        return list(self._stored.checks.values())

    @property
    def oldest(self) -> datetime:
        return oldest_accepted(self.present, self.retention, self._complete_since)

    def record(self, batch: Sequence[Check]) -> Counts:
        return self._stored.record(batch, Registered(self.services, self.locations), self.present, self.oldest)

    def apply(self, step: Interrupt | Resume | SetRetention | SetTimeZone) -> None:
        match step:
            case Interrupt(service, how):
                self._pauses[service].append(Pause(self.present, None))
                if how == "delete":
                    self.services.remove(service)
            case Resume(service):
                self._pauses[service][-1] = self._pauses[service][-1]._replace(ends=self.present)
                self.services.add(service)
            case SetRetention(retention):
                self._complete_since = self.present - self.retention
                self.retention = retention
            case SetTimeZone(zone):
                self.zone = zone

    def is_monitored(self, service: str) -> bool:
        pauses = self._pauses[service]
        return not pauses or pauses[-1].ends is not None

    def lines(self, service: Service) -> dict[str, list[Episode]]:
        """Returns the episodes of each location. expire_states() must have been called at the current time."""
        of_service = [one for one in self.checks if one.service == service.id]
        pauses = self._pauses[service.id]
        return {
            location: episodes(line, pauses, self.present, service.one_check)
            for location, line in grouped(of_service, lambda one: one.location).items()
        }

    def state_history(self, service: Service) -> StateHistory:
        return state_history(self.lines(service).values(), self._pauses[service.id])

"""An installation as the oracle remembers it: which rows were kept, which services there are, and when it is."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from tests.oracle.episodes import Episode, Pause, Story, episodes, story
from tests.oracle.figures import grouped
from tests.oracle.history import GoOn, History, Interrupt, Retain, Rezone, Service
from tests.oracle.local_days import LocalDays, local_days
from tests.oracle.rows import Check, Kept, Known, Told, oldest_kept


class World:
    def __init__(self, history: History) -> None:
        self.zone = history.zone
        self.present = history.begins
        self.locations = history.locations
        self.all_services = {one.id: one for one in history.services}
        self.services = set(self.all_services)
        self.retention = history.retention
        self._complete_since: datetime | None = None
        self._kept = Kept()
        self._pauses: dict[str, list[Pause]] = defaultdict(list)

    @property
    def days(self) -> LocalDays:
        return local_days(self.zone)

    @property
    def checks(self) -> list[Check]:
        """All that were ever kept, those whose raw rows have been dropped since too."""
        return list(self._kept.checks.values())

    @property
    def oldest(self) -> datetime:
        return oldest_kept(self.present, self.retention, self._complete_since)

    def record(self, batch: Sequence[Check]) -> Told:
        return self._kept.record(batch, Known(self.services, self.locations), self.present, self.oldest)

    def apply(self, step: Interrupt | GoOn | Retain | Rezone) -> None:
        match step:
            case Interrupt(service, how):
                self._pauses[service].append(Pause(self.present, None))
                if how == "delete":
                    self.services.remove(service)
            case GoOn(service):
                self._pauses[service][-1] = self._pauses[service][-1]._replace(ends=self.present)
                self.services.add(service)
            case Retain(retention):
                self._complete_since = self.present - self.retention
                self.retention = retention
            case Rezone(zone):
                self.zone = zone

    def is_watched(self, service: str) -> bool:
        pauses = self._pauses[service]
        return not pauses or pauses[-1].ends is not None

    def lines(self, service: Service) -> dict[str, list[Episode]]:
        """The episodes of each location, provided that states have just been expired."""
        of_service = [one for one in self.checks if one.service == service.id]
        pauses = self._pauses[service.id]
        return {
            location: episodes(line, pauses, self.present, service.one_check)
            for location, line in grouped(of_service, lambda one: one.location).items()
        }

    def story(self, service: Service) -> Story:
        return story(self.lines(service).values(), self._pauses[service.id])

"""The memory for kept answers: so many, so many bytes, and those that have not been asked for longest go first.

Anybody can make up queries without end, and names for `Host`; so answers that depend on one of them have a room of
their own. They can drive out one another, never the last snapshot of a page that is asked for without a query.
"""

from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain

from api.cache.entries import CachedResponse, CacheKey

MAX_ENTRIES = 2048
MAX_BYTES = 48 * 1024 * 1024
MAX_QUERIES = 512
MAX_QUERIES_BYTES = 16 * 1024 * 1024


class _Room(OrderedDict[CacheKey, CachedResponse]):
    """What was asked for last is at the end."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        super().__init__()
        self.bytes = 0
        self.max_bytes = max_bytes
        self._max_entries = max_entries

    def keep(self, question: CacheKey, answer: CachedResponse) -> None:
        self.drop(question)
        self[question] = answer
        self.bytes += answer.size
        while len(self) > self._max_entries or self.bytes > self.max_bytes:
            self.bytes -= self.popitem(last=False)[1].size

    def drop(self, question: CacheKey) -> None:
        if (last := self.pop(question, None)) is not None:
            self.bytes -= last.size


class ResponseStore:
    """Kept answers by what was asked."""

    def __init__(self) -> None:
        self._plain = _Room(MAX_ENTRIES, MAX_BYTES)
        self._queries = _Room(MAX_QUERIES, MAX_QUERIES_BYTES)

    def room(self, question: CacheKey) -> _Room:
        """Where the answer to `question` is, if there is one."""
        return self._queries if question.query or question.host else self._plain

    def get(self, question: CacheKey) -> CachedResponse | None:
        return self.room(question).get(question)

    def keep(self, question: CacheKey, answer: CachedResponse) -> None:
        """One that would need all the room by itself is not kept."""
        room = self.room(question)
        if answer.size <= room.max_bytes:
            room.keep(question, answer)

    def drop(self, question: CacheKey) -> None:
        self.room(question).drop(question)

    def items(self) -> Iterator[tuple[CacheKey, CachedResponse]]:
        return chain(self._plain.items(), self._queries.items())

    def __iter__(self) -> Iterator[CacheKey]:
        return chain(self._plain, self._queries)

    def __len__(self) -> int:
        return len(self._plain) + len(self._queries)

    @property
    def bytes(self) -> int:
        return self._plain.bytes + self._queries.bytes

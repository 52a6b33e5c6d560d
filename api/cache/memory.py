"""Cached responses in memory, bounded by number and by bytes. The least recently used response is removed first.

Clients can send any number of different queries and `Host` headers. Responses that depend on one of them are therefore
kept in a separate partition: they can evict each other, but never the last snapshot of a page without a query.
"""

from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain

from api.cache.entries import CachedResponse, CacheKey

MAX_ENTRIES = 2048
MAX_BYTES = 48 * 1024 * 1024
MAX_QUERY_ENTRIES = 512
MAX_QUERY_BYTES = 16 * 1024 * 1024


class Partition(OrderedDict[CacheKey, CachedResponse]):
    """A bounded LRU map. The most recently used entry is the last one."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        super().__init__()
        self.bytes = 0
        self.max_bytes = max_bytes
        self._max_entries = max_entries

    def put(self, key: CacheKey, response: CachedResponse) -> None:
        self.remove(key)
        self[key] = response
        self.bytes += response.size
        while len(self) > self._max_entries or self.bytes > self.max_bytes:
            self.bytes -= self.popitem(last=False)[1].size

    def remove(self, key: CacheKey) -> None:
        if (removed := self.pop(key, None)) is not None:
            self.bytes -= removed.size


class ResponseStore:
    """Cached responses by key, in two partitions."""

    def __init__(self) -> None:
        self._plain = Partition(MAX_ENTRIES, MAX_BYTES)
        self._queries = Partition(MAX_QUERY_ENTRIES, MAX_QUERY_BYTES)

    def partition(self, key: CacheKey) -> Partition:
        """The partition that `key` belongs to."""
        return self._queries if key.query or key.host else self._plain

    def get(self, key: CacheKey) -> CachedResponse | None:
        return self.partition(key).get(key)

    def put(self, key: CacheKey, response: CachedResponse) -> None:
        """Stores a response, unless it is larger than its partition."""
        partition = self.partition(key)
        if response.size <= partition.max_bytes:
            partition.put(key, response)

    def remove(self, key: CacheKey) -> None:
        self.partition(key).remove(key)

    def items(self) -> Iterator[tuple[CacheKey, CachedResponse]]:
        return chain(self._plain.items(), self._queries.items())

    def __iter__(self) -> Iterator[CacheKey]:
        return chain(self._plain, self._queries)

    def __len__(self) -> int:
        return len(self._plain) + len(self._queries)

    @property
    def bytes(self) -> int:
        return self._plain.bytes + self._queries.bytes

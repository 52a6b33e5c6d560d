"""Token buckets in memory: they limit the messages of a WebSocket and the computations of a response."""

from time import monotonic
from typing import Generic, TypeVar

Key = TypeVar("Key")


class TokenBucket:
    """Holds up to `burst` tokens and gains `per_second`."""

    __slots__ = ("_burst", "_counted_at", "_left", "_per_second")

    def __init__(self, burst: int, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._left = float(burst)
        self._counted_at = monotonic()

    def take(self) -> bool:
        """Takes a token; False where there is none."""
        now = monotonic()
        self._left = min(self._burst, self._left + (now - self._counted_at) * self._per_second)
        self._counted_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class KeyedTokenBuckets(Generic[Key]):
    """For each key a bucket of `burst` tokens that gains one every `every_s`. Tokens can be taken in advance."""

    def __init__(self, burst: int = 3, every_s: float = 1.0, most_keys: int = 4096) -> None:
        self._ahead_s = (burst - 1) * every_s
        self._every_s = every_s
        self._most_keys = most_keys
        self._due: dict[Key, float] = {}
        """When the next token would be available with a burst of 1, on the monotonic clock."""

    def pause(self, key: Key) -> float:
        """Takes a token; the seconds that the caller has to wait for it, 0 for none."""
        now = monotonic()
        if key not in self._due and len(self._due) >= self._most_keys:
            self._due = {known: due for known, due in self._due.items() if due > now}
            if len(self._due) >= self._most_keys:
                self._due.clear()
        due = max(self._due.get(key, now), now)
        self._due[key] = due + self._every_s
        return max(0.0, due - self._ahead_s - now)

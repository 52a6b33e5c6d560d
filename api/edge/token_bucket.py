"""Token buckets in memory: they limit the messages of a WebSocket and the computations of a response."""

from time import monotonic
from typing import Generic, TypeVar

Key = TypeVar("Key")


class TokenBucket:
    """A bucket of up to `burst` tokens. It starts full and gains `per_second` tokens a second."""

    __slots__ = ("_burst", "_counted_at", "_left", "_per_second")

    def __init__(self, burst: int, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._left = float(burst)
        self._counted_at = monotonic()

    def take(self) -> bool:
        """Takes a token. Returns False if there is none."""
        now = monotonic()
        self._left = min(self._burst, self._left + (now - self._counted_at) * self._per_second)
        self._counted_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class KeyedTokenBuckets(Generic[Key]):
    """A bucket of `burst` tokens for each key, which gains a token every `every_s` seconds."""

    def __init__(self, burst: int = 3, every_s: float = 1.0, max_keys: int = 4096) -> None:
        self._ahead_s = (burst - 1) * every_s
        self._every_s = every_s
        self._max_keys = max_keys
        self._due: dict[Key, float] = {}
        """When the next token would be available with a burst of 1, on the monotonic clock."""

    def pause(self, key: Key) -> float:
        """Takes a token, in advance if there is none. Returns the seconds until it is available; 0 if it is now."""
        now = monotonic()
        if key not in self._due and len(self._due) >= self._max_keys:
            self._due = {known: due for known, due in self._due.items() if due > now}
            if len(self._due) >= self._max_keys:
                self._due.clear()
        due = max(self._due.get(key, now), now)
        self._due[key] = due + self._every_s
        return max(0.0, due - self._ahead_s - now)

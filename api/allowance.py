"""How much one client may say over its socket."""

from time import monotonic


class Allowance:
    """A burst, then so many a second."""

    def __init__(self, burst: int, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._left = float(burst)
        self._counted_at = monotonic()

    def take(self) -> bool:
        """False where it is used up; asking all the same costs what comes back meanwhile."""
        now = monotonic()
        self._left = min(self._burst, self._left + (now - self._counted_at) * self._per_second)
        self._counted_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

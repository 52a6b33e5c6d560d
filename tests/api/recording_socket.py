"""A socket in memory, for tests of the hub alone."""

import anyio

from api.edge.websocket import Subscriber


class RecordingSocket:
    """Records the frames that are written, and the code and reason of the close."""

    def __init__(self) -> None:
        self.subscriber: Subscriber | None = None
        self.writable = anyio.Event()
        self.writable.set()
        self.written: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        self.pause_after: int | None = None
        """The number of frames after which writing is paused."""

    def write(self, frame: bytes) -> None:
        assert self.writable.is_set(), "written while writing is paused"
        self.written.append(frame)
        if self.pause_after is not None and len(self.written) >= self.pause_after:
            self.pause()

    def pause(self) -> None:
        self.writable = anyio.Event()
        if self.subscriber is not None:
            self.subscriber.writing_paused()

    def resume(self, pause_after: int | None = None) -> None:
        """Allows writing again, as after the client has read. Writing is paused again when `pause_after` frames have
        been written in total."""
        self.pause_after = pause_after
        self.writable.set()
        if self.subscriber is not None:
            self.subscriber.writing_resumed()

    def dismiss(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

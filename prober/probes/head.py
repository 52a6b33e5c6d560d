"""The head of a response as libcurl passes it: a list of header lines. Lines of interim responses (1xx) may come before
it, and trailers after it."""

from collections.abc import Sequence

_END = (b"\r\n", b"\n")


def is_complete(lines: Sequence[bytes]) -> bool:
    """Whether the last head is complete. Trailers count as a head."""
    return bool(lines) and lines[-1] in _END


def values(lines: Sequence[bytes], name: bytes) -> list[str]:
    """The values of a header in the head of the last response, in order. `name` is lower case."""
    field = name + b":"
    if field not in b"".join(lines).lower():
        return []
    found: list[str] = []
    complete = False
    for line in lines:
        if line.startswith(b"HTTP/"):
            found, complete = [], False
        elif line in _END:
            complete = True
        elif not complete and line[: len(field)].lower() == field:
            found.append(line[len(field) :].decode("latin-1").strip())
    return found

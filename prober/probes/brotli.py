"""Brotli, decoded by the library that the wheel of pycurl contains for libcurl.

Python has no decoder of its own, and libcurl does not report a body that is cut short.
"""

import ctypes

import pycurl

_PIECE = 64 * 1024
_ERROR, _DONE, _MORE_INPUT = 0, 1, 2


def _load() -> ctypes.CDLL | None:
    """The functions of the decoder, loaded through the module of pycurl. None if libcurl was built without them."""
    try:
        library = ctypes.CDLL(getattr(pycurl, "_pycurl", pycurl).__file__)
        library.BrotliDecoderCreateInstance.restype = ctypes.c_void_p
        library.BrotliDecoderCreateInstance.argtypes = [ctypes.c_void_p] * 3
        library.BrotliDecoderDestroyInstance.restype = None
        library.BrotliDecoderDestroyInstance.argtypes = [ctypes.c_void_p]
        library.BrotliDecoderDecompressStream.argtypes = [ctypes.c_void_p] * 6
    except (AttributeError, OSError, TypeError):
        return None
    return library


_LIBRARY = _load()
AVAILABLE = _LIBRARY is not None


def decompress(data: bytes, most: int) -> tuple[bytes, bool]:
    """Decodes a stream. Returns its bytes, at most 64 KiB more than `most`, and whether the stream has ended. Data
    after the end is ignored. Raises ValueError. The window of a stream takes up to 16 MiB of memory."""
    if _LIBRARY is None:
        raise ValueError("no decoder")
    state = _LIBRARY.BrotliDecoderCreateInstance(None, None, None)
    if not state:
        raise MemoryError
    source, target = ctypes.c_char_p(data), ctypes.create_string_buffer(_PIECE)
    in_left = ctypes.c_size_t(len(data))
    in_at = ctypes.cast(source, ctypes.c_void_p)
    pieces: list[bytes] = []
    size = 0
    try:
        while True:
            out_left = ctypes.c_size_t(_PIECE)
            out_at = ctypes.cast(target, ctypes.c_void_p)
            result = _LIBRARY.BrotliDecoderDecompressStream(
                state, ctypes.byref(in_left), ctypes.byref(in_at), ctypes.byref(out_left), ctypes.byref(out_at), None
            )
            pieces.append(ctypes.string_at(target, _PIECE - out_left.value))
            size += len(pieces[-1])
            if result == _ERROR:
                raise ValueError("incorrect data")
            if result in (_DONE, _MORE_INPUT) or size >= most:
                return b"".join(pieces), result == _DONE
    finally:
        _LIBRARY.BrotliDecoderDestroyInstance(state)

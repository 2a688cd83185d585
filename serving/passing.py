"""Objects on their way to another process: their arrays go as they are, neither copied nor pickled.

Strings go as one block of bytes with their lengths, so that no object is pickled for each of them.
"""

from __future__ import annotations

import array
import io
import mmap
import pickle
import socket
import struct
from typing import Any, Final

_SIZE: Final = struct.Struct("=Q")
_SMALL: Final = 64 << 10


def send(connection: socket.socket, message: Any) -> None:
    """Send an object; raises OSError when nobody takes it."""
    arrays: list[pickle.PickleBuffer] = []
    text = io.BytesIO()
    _Pickler(text, protocol=5, buffer_callback=arrays.append).dump(message)
    parts = [text.getbuffer(), *(part.raw() for part in arrays)]
    sizes = array.array("Q", [part.nbytes for part in parts]).tobytes()
    connection.sendall(_SIZE.pack(len(parts)) + sizes)
    for part in parts:
        connection.sendall(part)


def receive(connection: socket.socket) -> Any:
    """The next object; raises EOFError when none comes, MemoryError when it is too large for this process."""
    (count,) = _SIZE.unpack(exactly(connection, _SIZE.size))
    sizes = array.array("Q", bytes(exactly(connection, count * _SIZE.size)))
    text, *arrays = [exactly(connection, size) for size in sizes]
    return pickle.loads(text, buffers=arrays)


def exactly(connection: socket.socket, size: int) -> memoryview:
    """The next `size` bytes; raises EOFError when there are fewer."""
    whole = memoryview(_room(size) if size > _SMALL else bytearray(size))
    at = 0
    while at < size:
        received = connection.recv_into(whole[at:])
        if not received:
            raise EOFError
        at += received
    return whole


def _room(size: int) -> mmap.mmap:
    """Memory; filling a large bytearray with zeros would hold up other threads."""
    try:
        return mmap.mmap(-1, size)
    except OSError:
        raise MemoryError from None


class _Pickler(pickle.Pickler):
    """Pickles arrays of strings as one array of their bytes and one of their lengths."""

    def reducer_override(self, obj: Any) -> Any:
        dtype = getattr(obj, "dtype", None)
        if dtype is None or not getattr(dtype, "hasobject", False):
            return NotImplemented
        return _strings, (obj.shape, *_packed(obj.reshape(-1).tolist()))


def _packed(strings: list[bytes]) -> tuple[Any, Any]:
    import numpy as np  # Not at the top: it starts threads, and the fork server must be started while there is one.

    sizes = np.fromiter(map(len, strings), np.int64, len(strings))
    return sizes, np.frombuffer(b"".join(strings), np.uint8)


def _strings(shape: tuple[int, ...], sizes: Any, values: Any) -> Any:
    import numpy as np

    strings = np.empty(sizes.size, object)
    data, at = values.data, 0
    for index, size in enumerate(sizes.tolist()):
        strings[index] = bytes(data[at : at + size])
        at += size
    return strings.reshape(shape)

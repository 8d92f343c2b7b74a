"""How this process and its children talk: length-prefixed frames over a child's own two pipes, and no pickles."""

from __future__ import annotations

import os
import struct
import sys
from contextlib import suppress
from typing import BinaryIO

_LENGTHS = struct.Struct(">II")
PIPE_BYTES = 1 << 18
"""Of a buffer, and of a pipe: a whole frame of usual size, so that it goes in one piece and wakes who reads once."""


def read_frame(stream: BinaryIO) -> tuple[bytes, bytes] | None:
    """A head and a body, or None when the stream ends, in the middle of a frame too."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    head_length, body_length = _LENGTHS.unpack(lengths)
    head, body = stream.read(head_length), stream.read(body_length)
    return (head, body) if len(head) == head_length and len(body) == body_length else None


def write_frame(stream: BinaryIO, head: bytes, body: bytes) -> None:
    stream.write(_LENGTHS.pack(len(head), len(body)) + head)
    stream.write(body)
    stream.flush()


def with_room(pipe: BinaryIO) -> BinaryIO:
    """The pipe, with room for `PIPE_BYTES` where the system grants it: who writes need not wait for who reads."""
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):  # not allowed, or above this user's share
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return pipe


def take_over_streams() -> tuple[BinaryIO, BinaryIO]:
    """Of a child: keep the pipes for frames alone; what a library prints goes nowhere."""
    source, target = os.fdopen(os.dup(0), "rb", PIPE_BYTES), os.fdopen(os.dup(1), "wb", PIPE_BYTES)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return source, target

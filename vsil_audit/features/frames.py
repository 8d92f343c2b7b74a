"""How this process and its children talk: length-prefixed frames over a child's own two pipes, and no pickles."""

from __future__ import annotations

import os
import struct
import sys
from contextlib import suppress
from typing import BinaryIO

_LENGTHS = struct.Struct(">II")
_WRITTEN_AT_ONCE = 1 << 20
_PIPE_BYTES = 1 << 18


def read_frame(stream: BinaryIO) -> tuple[bytes, bytes] | None:
    """A head and a body, or None when the stream ends, in the middle of a frame too."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    head_length, body_length = _LENGTHS.unpack(lengths)
    head, body = stream.read(head_length), stream.read(body_length)
    return (head, body) if len(head) == head_length and len(body) == body_length else None


def write_frame(stream: BinaryIO, head: bytes, body: bytes) -> None:
    begin = _LENGTHS.pack(len(head), len(body)) + head
    if len(body) <= _WRITTEN_AT_ONCE:  # copied, so that who reads is woken once
        stream.write(begin + body)
    else:
        stream.write(begin)
        stream.write(body)
    stream.flush()


def with_room(pipe: BinaryIO) -> BinaryIO:
    """The pipe, with room for a whole frame of usual size where the system grants it: who writes one need not wait for
    who reads."""
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):  # not allowed, or above this user's share
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return pipe


def take_over_streams() -> tuple[BinaryIO, BinaryIO]:
    """Of a child: keep the pipes for frames alone; what a library prints goes nowhere."""
    source, target = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return source, target

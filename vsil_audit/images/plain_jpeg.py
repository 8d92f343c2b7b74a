"""JPEGs so plain that every decoder reads the same picture in them, told from their segments; nothing is decoded.

Layout: ITU-T T.81, annex B and C.2. For decoders that do not say of a damaged file that it is damaged: what passes
here has all its tables, and its coded data reach to the end of the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_BASELINE, _TABLES, _QUANTIZATION, _RESTART, _SCAN, _ADOBE, _COMMENT = 0xC0, 0xC4, 0xDB, 0xDD, 0xDA, 0xEE, 0xFE
_APPLICATION = range(0xE0, 0xF0)
_GREY, _COLOUR = (1,), (1, 2, 3)
_LUMA_SAMPLING = (0x11, 0x21, 0x12, 0x22, 0x41)
_AFTER_CODED_DATA = re.compile(rb"\xff[^\x00\xd0-\xd7]")  # any marker but those of restarts


def is_plain_jpeg(data: bytes) -> bool:
    """Whether it is a baseline JPEG, grey or YCbCr with 8 bits and a usual subsampling, in a single scan that is closed
    by the last two bytes of the file. Many a good file is not, and any damage to its structure makes it one that is
    not; pixels may be wrong all the same."""
    if not data.startswith(b"\xff\xd8"):
        return False
    seen, position = _Seen(), 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4], "big")
        end = position + 2 + length
        if length < 2 or end > len(data):
            return False
        body = data[position + 4 : end]
        if marker == _SCAN:
            return seen.allows_scan(body) and _is_closed(data, end)
        if not seen.takes(marker, body):
            return False
        position = end
    return False


def _is_closed(data: bytes, begin: int) -> bool:
    found = _AFTER_CODED_DATA.search(data, begin)
    return found is not None and found.end() == len(data) and found.group() == b"\xff\xd9"


@dataclass(slots=True)
class _Seen:
    """What the segments so far have said. `components`: number, sampling, and table of each."""

    components: tuple[tuple[int, int, int], ...] = ()
    colour_turned: bool = True
    quantization: set[int] = field(default_factory=set)
    codes: set[int] = field(default_factory=set)

    def takes(self, marker: int, body: bytes) -> bool:
        """Whether the segment is one of a plain JPEG."""
        if marker == _BASELINE:
            return self._takes_frame(body)
        if marker == _QUANTIZATION:
            return self._takes_quantization(body)
        if marker == _TABLES:
            return self._takes_codes(body)
        if marker == _ADOBE and body.startswith(b"Adobe"):
            self.colour_turned = len(body) >= 12 and body[11] == 1
        return marker in _APPLICATION or marker == _COMMENT or (marker == _RESTART and len(body) == 2)

    def allows_scan(self, body: bytes) -> bool:
        """Whether a scan that begins so holds the whole picture, and all that it refers to was there."""
        n = len(self.components)
        if not n or len(body) != 4 + 2 * n or body[0] != n or body[-3:] != b"\x00\x3f\x00":
            return False
        for (number, _, table), at in zip(self.components, range(1, 2 * n, 2), strict=True):
            direct, alternating = body[at + 1] >> 4, 0x10 | (body[at + 1] & 15)
            if body[at] != number or table not in self.quantization or not {direct, alternating} <= self.codes:
                return False
        return n == 1 or self.colour_turned

    def _takes_frame(self, body: bytes) -> bool:
        n = body[5] if len(body) > 5 else 0
        sized = any(body[1:3]) and any(body[3:5])
        if self.components or len(body) != 6 + 3 * n or body[0] != 8 or not sized:
            return False
        self.components = tuple((body[at], body[at + 1], body[at + 2]) for at in range(6, len(body), 3))
        numbers, sampling = tuple(c[0] for c in self.components), tuple(c[1] for c in self.components)
        if numbers == _GREY:
            return sampling == (0x11,)
        return numbers == _COLOUR and sampling[0] in _LUMA_SAMPLING and sampling[1:] == (0x11, 0x11)

    def _takes_quantization(self, body: bytes) -> bool:
        self.quantization.update(body[::65])
        return len(body) % 65 == 0 and all(number <= 3 for number in body[::65])

    def _takes_codes(self, body: bytes) -> bool:
        while body:
            counts = body[1:17]
            if len(counts) < 16 or body[0] not in (0x00, 0x01, 0x10, 0x11) or not _is_prefix_code(counts):
                return False
            symbols = body[17 : 17 + sum(counts)]
            if len(symbols) < sum(counts) or (body[0] < 0x10 and any(symbol > 15 for symbol in symbols)):
                return False
            self.codes.add(body[0])
            body = body[17 + sum(counts) :]
        return True


def _is_prefix_code(counts: bytes) -> bool:
    """Whether there can be a code with so many words of 1, 2, … 16 bits; no word is all ones."""
    code = 0
    for bits, count in enumerate(counts, start=1):
        code = 2 * code + count
        if code >= 1 << bits and count:
            return False
    return 0 < sum(counts) <= 256

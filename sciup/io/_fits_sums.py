"""DATASUM and CHECKSUM of HDUs of any size, in constant memory.

The convention is that of R. Seaman, W. Pence and A. Rots (2002), FITS standard 4.0, section 4.4.2.7
and appendix J.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

BLOCK = 2880
CARD = 80
FULL = 0xFFFFFFFF
AT_A_TIME = BLOCK * 4096
"""Bytes that are summed at a time: whole blocks."""
KEYS = (b"CHECKSUM", b"DATASUM ")
END = b"END".ljust(CARD)
MOST_BLOCKS = 10_000
"""Blocks of a header, 360 000 cards: one without END must not be looked for in all pixels."""


@dataclass(frozen=True, slots=True)
class Part:
    """Where an HDU stands in a file: ``begin <= header < data <= end``, bytes.

    `header` holds the values of its cards, as far as they can be read.
    """

    header: dict[str, Any]
    begin: int
    data: int
    end: int

    @property
    def name(self) -> str:
        """Its EXTNAME; PRIMARY for the first; its place in the file for one without."""
        usual = "PRIMARY" if self.begin == 0 else f"the extension at byte {self.begin}"
        return str(self.header.get("EXTNAME", usual))


def add_cards(header: Any) -> None:
    """Make room for the two sums at the end of a header."""
    header["CHECKSUM"] = ("0" * 16, "of the HDU")
    header["DATASUM"] = ("0", "of the data")


def walk(stream: BinaryIO, size: int) -> Iterator[Part]:
    """All HDUs of a file of `size` bytes; the last may end beyond it, where the file is cut off.

    Raises
    ------
    ValueError, OSError, KeyError, TypeError
        If what stands where a header should be is none.
    """
    begin = 0
    while begin < size:
        stream.seek(begin)
        header = _values(_header(stream))
        data = stream.tell()
        yield Part(header, begin, data, data + -(-_bytes(header) // BLOCK) * BLOCK)
        begin = data + -(-_bytes(header) // BLOCK) * BLOCK


def _header(stream: BinaryIO) -> Any:
    """The header that begins here; leaves the stream at its end."""
    from astropy.io import fits

    text = bytearray()
    for number in range(MOST_BLOCKS):
        block = stream.read(BLOCK)
        if len(block) < BLOCK or (number and block.startswith(b"XTENSION")):
            break
        text += block
        if any(block[at : at + CARD] == END for at in range(0, BLOCK, CARD)):
            return fits.Header.fromstring(bytes(text))
    raise ValueError("it has no END card")


def _values(header: Any) -> dict[str, Any]:
    """All cards that can be read: a damaged one must not hide the others."""
    from astropy.io.fits.verify import VerifyError

    found = {}
    for card in header.cards:
        try:
            found[card.keyword] = card.value
        except (VerifyError, ValueError):
            continue
    return found


def _bytes(header: dict[str, Any]) -> int:
    """Bytes of the data of an HDU, without what fills its last block (standard, equation 2)."""
    axes = [int(header[f"NAXIS{n + 1}"]) for n in range(int(header["NAXIS"]))]
    if not axes:
        return 0
    count = 1
    for n in axes:
        count *= n
    values = int(header.get("GCOUNT", 1)) * (int(header.get("PCOUNT", 0)) + count)
    return abs(int(header["BITPIX"])) // 8 * values


def ones_sum(data: bytes, start: int = 0) -> int:
    """Sum of big-endian 32 bit words in ones' complement: what overflows is added at the low end.

    Examples
    --------
    >>> ones_sum(bytes.fromhex("ffffffff00000002"))
    2
    """
    total = start + int(np.frombuffer(data, ">u4").sum(dtype=np.uint64))
    while total > FULL:
        total = (total & FULL) + (total >> 32)
    return total


def data_sum(stream: BinaryIO, part: Part) -> int:
    """Sum of the data of an HDU."""
    stream.seek(part.data)
    total = 0
    for at in range(part.data, part.end, AT_A_TIME):
        total = ones_sum(stream.read(min(AT_A_TIME, part.end - at)), total)
    return total


def encode(value: int) -> str:
    """Sixteen letters and digits that add the complement of `value` to a sum.

    Each byte is shared among four characters from ``0`` on; those that are no letter or digit are
    moved apart in pairs, which keeps the sum. The text stands one byte beside the words.

    Examples
    --------
    >>> encode(868229149)
    'hcHjjc9ghcEghc9g'
    """
    characters = [[0] * 4 for _ in range(4)]
    for i, byte in enumerate((value ^ FULL).to_bytes(4, "big")):
        four = [byte // 4 + 48 + byte % 4, *[byte // 4 + 48] * 3]
        while not all(chr(c).isalnum() for c in four):
            for a in (0, 2):
                if not all(chr(c).isalnum() for c in four[a : a + 2]):
                    four[a], four[a + 1] = four[a] + 1, four[a + 1] - 1
        for j in range(4):
            characters[j][i] = four[j]
    text = "".join(chr(c) for row in characters for c in row)
    return text[-1] + text[:-1]


def seal(stream: BinaryIO, size: int) -> None:
    """Fill in the sums of all HDUs that have room for them."""
    for part in list(walk(stream, size)):
        stream.seek(part.begin)
        header = bytearray(stream.read(part.data - part.begin))
        places = [_place(header, key) for key in KEYS]
        if -1 in places:
            continue
        total = data_sum(stream, part)
        _fill(header, places[1], f"{total:<8}")
        _fill(header, places[0], "0" * 16)
        _fill(header, places[0], encode(ones_sum(bytes(header), total)))
        stream.seek(part.begin)
        stream.write(header)


def header_is_whole(stream: BinaryIO, part: Part) -> bool | None:
    """Whether the header is as it was sealed, going by the sum that it states of the data.

    None if it states no sums.
    """
    stream.seek(part.begin)
    header = stream.read(part.data - part.begin)
    if -1 in [_place(header, key) for key in KEYS]:
        return None
    stated = str(part.header.get("DATASUM", "")).strip()
    return stated.isdigit() and ones_sum(header, int(stated)) in (0, FULL)


def without_sums(header: bytes) -> bytes:
    """A header with its sums blanked."""
    out = bytearray(header)
    for key in KEYS:
        if (at := _place(header, key)) >= 0:
            out[at : at + CARD] = b" " * CARD
    return bytes(out)


def _place(header: bytes | bytearray, key: bytes) -> int:
    """First byte of a card; -1 if there is none."""
    return next((at for at in range(0, len(header), CARD) if header[at : at + 9] == key + b"="), -1)


def _fill(header: bytearray, at: int, text: str) -> None:
    comment = b"of the HDU" if header[at : at + 8] == KEYS[0] else b"of the data"
    value = f"'{text}'".ljust(20).encode()
    header[at : at + CARD] = (header[at : at + 10] + value + b" / " + comment).ljust(CARD)


__all__ = ["Part", "add_cards", "data_sum", "header_is_whole", "seal", "walk", "without_sums"]

"""
The checksums of IP and its transports: one's complement sums (RFC 1071, RFC 1624) and CRC-32c (RFC 9260).

The sum of 16-bit words is kept as its remainder by 65535: 65536 leaves 1, so a long integer made of all the bytes
leaves what its words leave, and so do 32-bit words.
"""

from __future__ import annotations

import numpy as np

__all__ = ["adjust", "crc32c", "internet", "word_sum"]

#: From this length on an array is summed sooner than a long integer is divided.
_LONG = 768


def word_sum(data: bytes) -> int:
    """
    A number that leaves what the 16-bit words of *data* leave when divided by 65535, and is 0 only if they all are.

    An odd byte at the end counts as if a zero followed it.

    >>> word_sum(bytes.fromhex("0001 f203 f4f5 f6f7")) % 0xFFFF == (0x0001 + 0xF203 + 0xF4F5 + 0xF6F7) % 0xFFFF
    True
    """
    size = len(data)
    if size < _LONG:
        words = int.from_bytes(data)
        return words << 8 if size & 1 else words
    # The sum of byte-swapped words is the byte-swapped sum, so the array may be read in little-endian order.
    swapped = int(np.frombuffer(data, dtype="<u4", count=size >> 2).sum(dtype=np.uint64))
    folded = swapped % 0xFFFF or (0xFFFF if swapped else 0)
    return (folded >> 8 | (folded & 0xFF) << 8) + word_sum(data[size & ~3 :])


def internet(data: bytes, start: int = 0) -> int:
    """
    The Internet checksum of *data*, which is padded with a zero byte to an even length; *start* is added to the sum.

    >>> hex(internet(bytes.fromhex("45000073000040004011 0000 c0a80001c0a800c7")))
    '0xb861'
    """
    total = word_sum(data) + start
    folded = total % 0xFFFF
    return 0xFFFF - folded if folded else 0 if total else 0xFFFF  # only a sum of nothing but zeros is 0


def adjust(checksum: int, old: int, new: int) -> int:
    """
    The checksum after the bytes *old* became *new*, both as integers of whole 16-bit words.

    >>> before = internet(bytes.fromhex("c0000201 0050"))
    >>> adjust(before, 0xC0000201, 0x0A600001) == internet(bytes.fromhex("0a600001 0050"))
    True
    """
    folded = (0xFFFF - checksum - old + new) % 0xFFFF
    return 0xFFFF - folded if folded else 0


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


_CRC_TABLE = _crc_table()


def crc32c(data: bytes) -> int:
    """
    The CRC-32c of *data* (SCTP writes it in little-endian order).

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc, table = 0xFFFFFFFF, _CRC_TABLE
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF

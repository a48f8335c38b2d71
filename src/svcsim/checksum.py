"""
The checksums of IP and its transports: one's complement sums (RFC 1071, RFC 1624) and CRC-32c (RFC 9260).
"""

from __future__ import annotations

__all__ = ["adjust", "crc32c", "internet"]


def internet(data: bytes, start: int = 0) -> int:
    """
    The Internet checksum of *data*, which is padded with a zero byte to an even length; *start* is added to the sum.

    >>> hex(internet(bytes.fromhex("45000073000040004011 0000 c0a80001c0a800c7")))
    '0xb861'
    """
    total = int.from_bytes(data) << (8 if len(data) & 1 else 0)
    # 65536 is 1 modulo 65535, so the remainder is the folded sum; only an all-zero sum folds to 0.
    total += start
    folded = total % 0xFFFF
    return 0xFFFF if total == 0 else 0xFFFF - folded if folded else 0


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
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF

"""
When two results agree, and where they do not.

Packets are compared byte by byte but for what a kernel draws by itself: the IPv4 id with its header checksum (which
must be right), and the flow label of IPv6 packets that the host makes, a hash under a key drawn at boot. Remaining
seconds may differ by two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import attrs

from svcsim.errors import PacketError
from svcsim.wire import decode

__all__ = ["Difference", "agreeing_events", "compare"]

_CONNTRACK_SECONDS = re.compile(r"^\w+ +\d+ (\d+)")
_IPVS_SECONDS = re.compile(r" (\d+)$")
_TOLERANCE = 2
_UNORDERED = {"ipset save"}


@attrs.frozen
class Difference:
    """The first thing that differs: *where*, and both sides in words."""

    where: str
    recorded: str
    emulated: str

    def __str__(self) -> str:
        return f"{self.where}\n    kernel: {self.recorded}\n    svcsim: {self.emulated}"


def compare(recorded: dict[str, Any], emulated: dict[str, Any]) -> Difference | None:
    """Compare a recorded result with an emulated one; None if they agree."""
    for index, (theirs, ours) in enumerate(zip(recorded["events"], emulated["events"], strict=False)):
        where = f"event {index}"
        if _packets(theirs.get("out", [])) != _packets(ours.get("out", [])):
            return Difference(f"{where}: packets sent", _shown(theirs.get("out", [])), _shown(ours.get("out", [])))
        for key in ("rc", "error"):
            if theirs.get(key) != ours.get(key):
                return Difference(f"{where}: {key}", repr(theirs.get(key)), repr(ours.get(key)))
        if "stdout" in theirs and _lines(theirs["stdout"]) != _lines(ours.get("stdout", "")):
            return _first_line(f"{where}: output", _lines(theirs["stdout"]), _lines(ours.get("stdout", "")))
    if len(recorded["events"]) != len(emulated["events"]):
        return Difference("events", str(len(recorded["events"])), str(len(emulated["events"])))
    for name, text in recorded["dump"].items():
        difference = _compare_dump(name, text, emulated["dump"].get(name, ""))
        if difference is not None:
            return difference
    return None


def agreeing_events(recorded: dict[str, Any], emulated: dict[str, Any]) -> int:
    """At how many events both sent the same packets."""
    pairs = zip(recorded["events"], emulated["events"], strict=False)
    return sum(_packets(theirs.get("out", [])) == _packets(ours.get("out", [])) for theirs, ours in pairs)


def _packets(out: Iterable[Any]) -> list[tuple[str, bytes]]:
    return [(device, _bare(bytes.fromhex(text))) for device, text in out]


def _label(data: bytes) -> bytes:
    """The first four bytes of an IPv6 packet; a flow label that a host gave is left to it, none is none."""
    given = data[1] & 0x0F or data[2] or data[3]
    return data[:1] + bytes([data[1] & 0xF0 | bool(given), 0, 0])


def _bare(data: bytes) -> bytes:
    """A packet without what its sender draws."""
    if data[0] >> 4 == 4:
        try:
            right = decode(data).header_checksum is None
        except PacketError:
            right = False
        return data[:4] + b"\0\0" + data[6:10] + (b"\0\0" if right else data[10:12]) + data[12:]
    return _label(data) + data[4:]


def _shown(out: Iterable[Any]) -> str:
    words = []
    for device, text in out:
        try:
            packet = decode(bytes.fromhex(text))
            wrong = "" if packet.checksum is None else f" checksum {packet.checksum:#06x}"
            words.append(f"{device} {packet}{wrong} ({text})")
        except PacketError as error:
            words.append(f"{device} {text} ({error})")
    return "; ".join(words) or "nothing"


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _compare_dump(name: str, theirs: str, ours: str) -> Difference | None:
    a, b = _lines(theirs), _lines(ours)
    if name == "conntrack -L":
        return _compare_timed(name, a, b, _CONNTRACK_SECONDS)
    if name == "ip_vs_conn":
        return _compare_timed(name, [" ".join(x.split()) for x in a], [" ".join(x.split()) for x in b], _IPVS_SECONDS)
    if name in _UNORDERED:
        a, b = sorted(a), sorted(b)
    return _first_line(f"dump {name!r}", a, b) if a != b else None


def _compare_timed(name: str, theirs: list[str], ours: list[str], pattern: re.Pattern[str]) -> Difference | None:
    def split(lines: list[str]) -> list[tuple[str, int]]:
        rows = []
        for line in lines:
            found = pattern.search(line)
            rows.append((line[: found.start(1)] + line[found.end(1) :], int(found[1])) if found else (line, 0))
        return sorted(rows)

    a, b = split(theirs), split(ours)
    if len(a) == len(b) and all(x[0] == y[0] and abs(x[1] - y[1]) <= _TOLERANCE for x, y in zip(a, b, strict=True)):
        return None
    only_a = [row for row in a if not any(row[0] == r[0] and abs(row[1] - r[1]) <= _TOLERANCE for r in b)]
    only_b = [row for row in b if not any(row[0] == r[0] and abs(row[1] - r[1]) <= _TOLERANCE for r in a)]
    return Difference(f"dump {name!r}", _timed(only_a, a), _timed(only_b, b))


def _timed(rows: list[tuple[str, int]], whole: list[tuple[str, int]]) -> str:
    return " | ".join(f"{line} [{seconds}s]" for line, seconds in rows[:3]) or f"{len(whole)} lines, all of them there"


def _first_line(where: str, theirs: list[str], ours: list[str]) -> Difference:
    for number, (a, b) in enumerate(zip(theirs, ours, strict=False), 1):
        if a != b:
            return Difference(f"{where}, line {number}", a, b)
    shorter = min(len(theirs), len(ours))
    sides = [lines[shorter] if len(lines) > shorter else "(nothing more)" for lines in (theirs, ours)]
    return Difference(f"{where}, line {shorter + 1}", *sides)

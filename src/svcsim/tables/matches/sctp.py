"""
SCTP: ports and chunks.

Behaviour of: xt_sctp (`-m sctp`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import attrs

from svcsim.hooks import HookState, Skb
from svcsim.packet import Proto
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import UsageError
from svcsim.tables.texts import ANY_PORT, describe_ports, emit_ports
from svcsim.tables.transport import answer_without_header

__all__ = ["Chunk", "SctpMatch"]

_TYPES = {
    "DATA": 0,
    "INIT": 1,
    "INIT_ACK": 2,
    "SACK": 3,
    "HEARTBEAT": 4,
    "HEARTBEAT_ACK": 5,
    "ABORT": 6,
    "SHUTDOWN": 7,
    "SHUTDOWN_ACK": 8,
    "ERROR": 9,
    "COOKIE_ECHO": 10,
    "COOKIE_ACK": 11,
    "ECN_ECNE": 12,
    "ECN_CWR": 13,
    "SHUTDOWN_COMPLETE": 14,
    "I_DATA": 64,
    "ASCONF_ACK": 128,
    "RE_CONFIG": 130,
    "PAD": 132,
    "FORWARD_TSN": 192,
    "ASCONF": 193,
    "I_FORWARD_TSN": 194,
}
_NAMES = {number: name for name, number in _TYPES.items()}
#: The flags of a chunk, highest first; a dash is a bit without a name.
_FLAGS = {0: "----IUBE", 64: "----IUBE", 6: "-------T", 14: "-------T"}


@attrs.frozen
class Chunk:
    """A type of chunk; of the flags in *mask* exactly those in *flags* must be set."""

    type: int
    mask: int = 0
    flags: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``DATA`` or ``DATA:Be``: a capital is a flag that is set, a small letter one that is not."""
        name, _, letters = text.partition(":")
        number = _TYPES.get(name.upper())
        if number is None:
            raise UsageError(f"Unknown sctp chunk `{name}'")
        mask = flags = 0
        known = _FLAGS.get(number, "")
        for letter in letters:
            if letter == "-" or letter.upper() not in known:
                raise UsageError(f"Invalid flags for chunk type {number}")
            bit = 0x80 >> known.index(letter.upper())
            mask |= bit
            flags |= bit if letter.isupper() else 0
        return cls(number, mask, flags)

    def text(self, numeric: bool = False) -> str:
        """Type, as a number if *numeric*, and flags."""
        known = _FLAGS.get(self.type, "")
        letters = "".join(
            letter if self.flags & 0x80 >> place else letter.lower()
            for place, letter in enumerate(known)
            if self.mask & 0x80 >> place
        )
        name = f"0x{self.type:04X}" if numeric else _NAMES[self.type]
        return f"{name}:{letters}" if letters else name


def _chunks(payload: bytes) -> Iterator[tuple[int, int] | None]:
    """Type and flags of each chunk; None where one is cut short or has no length."""
    at = 0
    while True:
        length = int.from_bytes(payload[at + 2 : at + 4])
        if len(payload) < at + 4 or not length:
            yield None
            return
        yield payload[at], payload[at + 1]
        at += length + 3 & ~3
        if at >= len(payload):
            return


@MATCHES.register("sctp")
@attrs.frozen
class SctpMatch(Match):
    """
    ``[!] --sport, --dport port[:port]``, ``[!] --chunk-types all|any|only type[:flags],...|ALL|NONE``.

    *how* is "all" (each of *chunks* is there), "any" (one of them is) or "only" (nothing else is); *every* stands for
    all 256 types.
    """

    protocols = frozenset({Proto.SCTP})
    options = (
        Option("source-port", invert=True, once="Only one `--source-port' allowed"),
        Option("sport", same="source-port"),
        Option("destination-port", invert=True, once="Only one `--destination-port' allowed"),
        Option("dport", same="destination-port"),
        Option("chunk-types", arity=2, invert=True, once="Only one `--chunk-types' allowed"),
    )

    sport: tuple[int, int] = ANY_PORT
    dport: tuple[int, int] = ANY_PORT
    how: str = ""
    chunks: tuple[Chunk, ...] = ()
    every: bool = False
    not_sport: bool = attrs.field(default=False, kw_only=True)
    not_dport: bool = attrs.field(default=False, kw_only=True)
    not_chunks: bool = attrs.field(default=False, kw_only=True)

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read ports and chunk types."""
        how, every = "", False
        chunks: dict[int, Chunk] = {}
        if "chunk-types" in args:
            first, second = args.given["chunk-types"][1]
            how = first.lower()
            if how not in ("all", "any", "only"):
                raise UsageError('Match type has to be one of "ALL", "ANY" or "ONLY"')
            every = second.upper() == "ALL"
            if second.upper() not in ("ALL", "NONE"):
                for text in second.split(","):
                    chunk = Chunk.parse(text)
                    chunks[chunk.type] = chunk
        return cls(
            args.port_range("source-port", "sctp") or ANY_PORT,
            args.port_range("destination-port", "sctp") or ANY_PORT,
            how,
            tuple(chunks[number] for number in sorted(chunks)),
            every,
            not_sport=args.inverted("source-port"),
            not_dport=args.inverted("destination-port"),
            not_chunks=args.inverted("chunk-types"),
        )

    def _chunk_text(self, numeric: bool = False) -> str:
        if self.every:
            return "ALL"
        return ",".join(chunk.text(numeric) for chunk in self.chunks) or "NONE"

    def emit(self) -> str:
        """Source port, destination port, chunk types."""
        text = emit_ports("sport", self.sport, self.not_sport) + emit_ports("dport", self.dport, self.not_dport)
        if self.how:
            text += f"{' !' if self.not_chunks else ''} --chunk-types {self.how} {self._chunk_text()}"
        return text[1:]

    def describe(self, numeric: bool) -> str:
        """``sctp dpt:80 any INIT``."""
        text = "sctp" + describe_ports("spt", self.sport, self.not_sport, numeric, "sctp")
        text += describe_ports("dpt", self.dport, self.not_dport, numeric, "sctp")
        if self.how:
            text += f"{' !' if self.not_chunks else ''} {self.how} {self._chunk_text(numeric)}"
        return text

    def matches(self, skb: Skb, state: HookState) -> bool | None:
        """Whether ports and chunks are as asked for."""
        if skb.header is None:
            return answer_without_header(skb)
        low, high = self.sport
        if (low <= skb.sport <= high) is self.not_sport:
            return False
        low, high = self.dport
        if (low <= skb.dport <= high) is self.not_dport:
            return False
        if not self.how:
            return True
        found = self._chunks_fit(skb.payload)
        return None if found is None else found is not self.not_chunks

    def _chunks_fit(self, payload: bytes) -> bool | None:
        wanted = {chunk.type: chunk for chunk in self.chunks}
        missing = set(wanted) if not self.every else set(range(256))
        for found in _chunks(payload):
            if found is None:
                return None
            number, flags = found
            chunk = wanted.get(number, Chunk(number) if self.every else None)
            if chunk is None:
                if self.how == "only":
                    return False
            elif flags & chunk.mask == chunk.flags:
                if self.how == "any":
                    return True
                missing.discard(number)
            elif self.how == "only":
                return False
        return not missing if self.how == "all" else self.how == "only"

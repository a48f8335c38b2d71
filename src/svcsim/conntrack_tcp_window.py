"""
What either side of a TCP connection may send, judged from the middle.

Behaviour of: tcp_in_window. Sequence numbers have 32 bits and wrap: *a* lies before *b* if the way up from *a* to *b*
is the shorter one.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

import attrs

from svcsim.packet import Tcp, TcpFlags

__all__ = ["Fit", "TcpSide", "TcpWindows", "fit", "options_of", "plus_length"]

_MASK = 0xFFFFFFFF
_HALF = 0x80000000
_SYN_OR_FIN = int(TcpFlags.SYN | TcpFlags.FIN)
_FIN, _SYN, _RST, _ACK = (int(flag) for flag in (TcpFlags.FIN, TcpFlags.SYN, TcpFlags.RST, TcpFlags.ACK))
_SYN_SENT, _SYN_RECV = 1, 2  # `TcpPhase`s

#: Acknowledgements may lag behind by a window, or by this if the window is smaller (MAXACKWINCONST).
_ACK_WINDOW = 66000
#: The largest shift of a window (RFC 7323, 2.3).
_MAX_SCALE = 14
_END_OF_OPTIONS, _NO_OPERATION, _WINDOW_SCALE, _SACK_PERMITTED, _SACK = 0, 1, 3, 4, 5
#: An aligned time stamp alone, as on nearly every segment: no SACK blocks to look for.
_TIMESTAMP = b"\x01\x01\x08\x0a"


class Fit(enum.Enum):
    """How a segment fits the windows."""

    ACCEPT = "fits"
    IGNORE = "old, or a little too far: let through, nothing learnt"
    INVALID = "cannot belong"


FITS = Fit.ACCEPT  # for each segment: looking an enumeration's member up takes longer than to compare it


@attrs.define
class TcpSide:
    """
    One side as it was seen: *end* is the highest sequence number sent, *max_end* the highest that the peer allows.

    *acked* says whether *max_ack*, the highest acknowledgement sent, is known; *unacked* that data is on its way;
    *liberal* that windows are not judged, because the connection was picked up in the middle.
    """

    end: int = 0
    max_end: int = 0
    max_window: int = 0
    max_ack: int = 0
    scale: int = 0
    scales: bool = False
    sack: bool = False
    began_close: bool = False
    liberal: bool = False
    unacked: bool = False
    acked: bool = False

    def take_options(self, options: bytes) -> None:
        """
        Learn window scale and SACK from the options of a SYN; all else but being liberal is forgotten.

        A SYN without any option teaches nothing, and what was learnt before stays.
        """
        if not options:
            return
        self.scale = 0
        self.scales = self.sack = self.began_close = self.unacked = self.acked = False
        for kind, body in options_of(options):
            if kind == _SACK_PERMITTED and not body:
                self.sack = True
            elif kind == _WINDOW_SCALE and len(body) == 1:
                self.scale = min(body[0], _MAX_SCALE)
                self.scales = True


@attrs.define
class TcpWindows:
    """Both sides, the client's first, and the last segment that was noted; *last_kind* -1: none yet."""

    sides: tuple[TcpSide, TcpSide] = attrs.field(factory=lambda: (TcpSide(), TcpSide()))
    last_kind: int = -1
    last_is_reply: bool = False
    last_seq: int = 0
    last_ack: int = 0
    last_end: int = 0
    last_window: int = 0
    retransmits: int = 0

    def last_was(self, kind: int, is_reply: bool) -> bool:
        """Whether the last segment was of *kind* and in this direction."""
        return self.last_kind == kind and self.last_is_reply == is_reply


def options_of(options: bytes) -> Iterator[tuple[int, bytes]]:
    """
    The kinds and bodies of TCP options, up to the first one that makes no sense.

    >>> list(options_of(bytes.fromhex("020405b4 01 030307 04")))
    [(2, b'\\x05\\xb4'), (3, b'\\x07')]
    """
    at, end = 0, len(options)
    while at < end:
        kind = options[at]
        if kind == _END_OF_OPTIONS:
            return
        if kind == _NO_OPERATION:
            at += 1
            continue
        if at + 1 >= end:
            return
        size = options[at + 1]
        if size < 2 or at + size > end:
            return
        yield kind, options[at + 2 : at + size]
        at += size


def plus_length(header: Tcp, size: int) -> int:
    """The sequence number behind a segment of *size* bytes of data; SYN and FIN take one each."""
    flags = header.flags
    return header.seq + size + (flags >> 1 & 1) + (flags & 1) & _MASK


def _highest_sack(options: bytes, ack: int) -> int:
    """The highest sequence number that a segment acknowledges, selectively or not."""
    if len(options) == 12 and options.startswith(_TIMESTAMP):
        return ack
    for kind, body in options_of(options):
        if kind == _SACK and body and not len(body) % 8:
            for at in range(4, len(body), 8):
                edge = int.from_bytes(body[at : at + 4])
                if (ack - edge) & _HALF:
                    ack = edge
            break
    return ack


def _open(sender: TcpSide, receiver: TcpSide, is_reply: bool, header: Tcp, end: int) -> None:
    """A side shows itself by its SYN. Windows are scaled only if both sides offer it."""
    sender.end = sender.max_end = end
    sender.max_window = header.window or 1
    sender.take_options(header.options)
    if is_reply and not (sender.scales and receiver.scales):
        sender.scale = receiver.scale = 0


def fit(windows: TcpWindows, is_reply: bool, header: Tcp, size: int, phase: int, pure_ack: bool, liberal: bool) -> Fit:
    """
    Judge a segment of *size* bytes of data and learn from it; *phase* is the connection's before it.

    *pure_ack* says that it is neither SYN nor FIN nor RST; *liberal* that the host accepts whatever does not fit.
    """
    if is_reply:
        receiver, sender = windows.sides
    else:
        sender, receiver = windows.sides
    flags = header.flags
    seq = header.seq
    ack = sack = header.ack
    window = header.window
    end = seq + size & _MASK
    if flags & _SYN_OR_FIN:
        end = plus_length(header, size)
    if receiver.sack and header.options:
        sack = _highest_sack(header.options, ack)

    if sender.max_window == 0:
        if flags & _SYN:
            _open(sender, receiver, is_reply, header, end)
            if not flags & _ACK:
                return FITS  # simultaneous open
        else:
            sender.end = end
            sender.max_window = window << sender.scale or 1
            sender.max_end = end + sender.max_window & _MASK
            if receiver.max_window == 0:
                receiver.end = receiver.max_end = sack  # nothing was seen of the other side yet
            elif sack == receiver.end + 1 & _MASK:
                receiver.end = sack  # answers a keep-alive
    elif flags & _SYN and phase in (_SYN_SENT, _SYN_RECV) and (sender.end - end) & _HALF:
        _open(sender, receiver, is_reply, header, end)  # begins again from another number
        if is_reply and not flags & _ACK:
            return FITS

    sender_end, receiver_end = sender.end, receiver.end
    if not flags & _ACK or (flags & _RST and ack == 0):
        ack = sack = receiver_end  # acknowledges nothing (some stacks set ACK on a reset and mean none)
    if flags & _RST and seq == 0 and phase == _SYN_SENT:
        seq = end = sender_end  # answers a SYN

    sender_window, receiver_window = sender.max_window, receiver.max_window
    lag = sender_window if sender_window > _ACK_WINDOW else _ACK_WINDOW
    if not (
        (seq - sender.max_end - 1) & _HALF
        and (sack - receiver_end - 1) & _HALF
        and (not receiver_window or (sender_end - receiver_window - 1 - end) & _HALF)
        and (receiver_end - lag - 1 - sack) & _HALF
    ):
        found = _misfit(sender, receiver, seq, sack, end, lag)
        return FITS if liberal or sender.liberal else found

    if not flags & _SYN:
        window <<= sender.scale
    swin = window + (sack - ack & _MASK)
    if sender_window < swin:
        sender.max_window = swin
    if (sender_end - end) & _HALF:
        sender.end = end
        sender.unacked = True
    if flags & _ACK and (not sender.acked or (sender.max_ack - ack) & _HALF):
        sender.max_ack = ack
        sender.acked = True
    if (sender.max_end - end) & _HALF and receiver_window:
        receiver.max_window = receiver_window + (end - sender.max_end & _MASK)
    edge = sack + window & _MASK
    if (receiver.max_end - 1 - edge) & _HALF:
        receiver.max_end = edge + (window == 0) & _MASK
    if ack == receiver_end:
        receiver.unacked = False
    if pure_ack:
        window = header.window
        if (
            windows.last_end == end
            and windows.last_ack == ack
            and windows.last_seq == seq
            and windows.last_window == window
            and windows.last_is_reply == is_reply
        ):
            windows.retransmits += 1
        else:
            windows.last_is_reply = is_reply
            windows.last_seq = seq
            windows.last_ack = ack
            windows.last_end = end
            windows.last_window = window
            windows.retransmits = 0
    return FITS


def _misfit(sender: TcpSide, receiver: TcpSide, seq: int, sack: int, end: int, lag: int) -> Fit:
    """How bad it is that a segment does not fit."""
    unseen = not (sack - receiver.end - 1) & _HALF
    if (seq - sender.max_end - 1) & _HALF:
        return Fit.INVALID if unseen else Fit.IGNORE  # old data again, or an acknowledgement much delayed
    overshot = end - sender.max_end + 1 & _MASK
    window = receiver.max_window
    retransmitted = not (sender.end - window - 1 - end) & _HALF
    delayed = not (receiver.end - lag - 1 - sack) & _HALF
    if not window or overshot > window or unseen or retransmitted or delayed:
        return Fit.INVALID
    sender.end = end  # a little more than allowed: a rule may let it pass, and then its acknowledgement shall fit
    sender.unacked = True
    return Fit.IGNORE

"""
Lower the segment size that a TCP connection is opened with.

Behaviour of: xt_TCPMSS (`-j TCPMSS`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.addr import Family
from svcsim.checksum import adjust
from svcsim.hooks import Hook, HookState, Skb, Verdict
from svcsim.packet import Proto, Tcp, TcpFlags
from svcsim.route import RouteKind
from svcsim.tables.extension import Place
from svcsim.tables.matches.tcp import TcpMatch
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import Refusal, UsageError
from svcsim.tables.target import TARGETS, Target
from svcsim.tables.tcp_options import MSS_LENGTH, find_mss

__all__ = ["TcpmssTarget"]

_LEAVING = frozenset({Hook.FORWARD, Hook.LOCAL_OUT, Hook.POST_ROUTING})
_HEADERS = {Family.IPV4: 40, Family.IPV6: 60}
#: What the tool takes.
_LARGEST = {Family.IPV4: 65515, Family.IPV6: 65495}
#: What a host that announces nothing takes for granted.
_UNSAID = {Family.IPV4: 536, Family.IPV6: 1220}
_MOST_OPTIONS = 40
_ENDLESS = 1 << 32


@TARGETS.register("TCPMSS")
@attrs.frozen
class TcpmssTarget(Target):
    """
    ``--set-mss value``, or ``--clamp-mss-to-pmtu`` (None): what the narrower of both ways takes.

    A size is never raised. Where none is announced it is added, unless data follows the header.
    """

    protocols = frozenset({int(Proto.TCP)})
    options = (
        Option("set-mss"),
        Option("clamp-mss-to-pmtu", arity=0),
    )

    mss: int | None

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read one of the two; of both the one given last counts."""
        if not args.given:
            raise UsageError("TCPMSS target: At least one parameter is required")
        mss = args.number("set-mss", 0, _LARGEST[args.family])
        return cls(None if list(args.given)[-1] == "clamp-mss-to-pmtu" else mss)

    def emit(self) -> str:
        """The option."""
        return "--clamp-mss-to-pmtu" if self.mss is None else f"--set-mss {self.mss}"

    def describe(self, numeric: bool) -> str:
        """``TCPMSS set 1200``."""
        return "TCPMSS clamp to PMTU" if self.mss is None else f"TCPMSS set {self.mss}"

    @property
    def limited(self) -> bool:
        """It does matter from which hooks it can be reached."""
        return True

    def check(self, place: Place) -> None:
        """Refuse a rule that is not about SYN segments, and to clamp before the way is known."""
        super().check(place)
        if self.mss is None and not place.hooks <= _LEAVING:
            raise Refusal("TCPMSS: path-MTU clamping only supported in FORWARD, OUTPUT and POSTROUTING hooks")
        if not any(
            isinstance(match, TcpMatch) and match.flags & TcpFlags.SYN and not match.not_flags
            for match in place.matches
        ):
            raise Refusal("TCPMSS: Only works on TCP SYN packets")

    def apply(self, skb: Skb, state: HookState) -> Verdict | None:
        """Write the size; a packet that is cut short, or a way too narrow for any data, is dropped."""
        header = skb.header
        if skb.original.fragment_offset:
            return None
        if not isinstance(header, Tcp):
            return Verdict.DROP
        mss = self.mss
        if mss is None:
            mss = self._room(skb, state) - _HEADERS[skb.family]
            if mss <= 0:
                return Verdict.DROP
        options, at = header.options, find_mss(header.options)
        if at is not None:
            before = int.from_bytes(options[at + 2 : at + 4])
            if before > mss:
                self._write(skb, header, options[: at + 2] + mss.to_bytes(2) + options[at + 4 :])
                if skb.checksum is not None:
                    skb.checksum = adjust(skb.checksum, before, mss)
        elif not skb.payload and len(options) < _MOST_OPTIONS:
            least = min(mss, _UNSAID[skb.family])
            self._write(skb, header, bytes([2, MSS_LENGTH]) + least.to_bytes(2) + options)
            skb.length += MSS_LENGTH
        return None

    @staticmethod
    def _write(skb: Skb, header: Tcp, options: bytes) -> None:
        skb.header = Tcp(header.seq, header.ack, header.flags, header.window, header.urgent, options)
        skb.changed = True

    @staticmethod
    def _room(skb: Skb, state: HookState) -> int:
        """The smaller MTU of the way on and the way back."""
        back = state.host.routes[skb.family].lookup(skb.src)
        known = back.kind in (RouteKind.UNICAST, RouteKind.LOCAL)
        return min(skb.route.mtu if skb.route is not None else _ENDLESS, back.mtu if known else _ENDLESS)

"""
Drop a packet and tell its sender.

Behaviour of: ipt_REJECT, ip6t_REJECT, nf_reject (`-j REJECT`).
"""

from __future__ import annotations

from typing import Self

import attrs

from svcsim.addr import Family
from svcsim.hooks import HookState, Skb, Verdict
from svcsim.packet import Proto
from svcsim.tables.extension import Place
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import Refusal, UsageError
from svcsim.tables.target import TARGETS, Target

__all__ = ["RejectTarget"]

_RESET = "tcp-reset"
_UNREACHABLE = {Family.IPV4: 3, Family.IPV6: 1}
_DEFAULT = {Family.IPV4: "icmp-port-unreachable", Family.IPV6: "icmp6-port-unreachable"}
#: Name, its other spelling, and the code of the ICMP error; in the order in which the tool looks for a beginning.
_ANSWERS = {
    Family.IPV4: (
        ("icmp-net-unreachable", "net-unreach", 0),
        ("icmp-host-unreachable", "host-unreach", 1),
        ("icmp-proto-unreachable", "proto-unreach", 2),
        ("icmp-port-unreachable", "port-unreach", 3),
        ("icmp-net-prohibited", "net-prohib", 9),
        ("icmp-host-prohibited", "host-prohib", 10),
        (_RESET, "tcp-rst", -1),
        ("icmp-admin-prohibited", "admin-prohib", 13),
    ),
    Family.IPV6: (
        ("icmp6-no-route", "no-route", 0),
        ("icmp6-adm-prohibited", "adm-prohibited", 1),
        ("icmp6-addr-unreachable", "addr-unreach", 3),
        ("icmp6-port-unreachable", "port-unreach", 4),
        (_RESET, _RESET, -1),
        ("icmp6-policy-fail", "policy-fail", 5),
        ("icmp6-reject-route", "reject-route", 6),
    ),
}


@TARGETS.register("REJECT")
@attrs.frozen
class RejectTarget(Target):
    """
    ``--reject-with type``: an ICMP error of destination unreachable with *code*, or a TCP reset (-1).

    Fragments but the first, and packets with a wrong transport checksum, are dropped without a word.
    """

    tables = frozenset({"filter"})
    options = (Option("reject-with"),)

    answer: str
    code: int

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read what to answer; the beginning of a name is enough."""
        text = args.text("reject-with", _DEFAULT[args.family]).lower()
        for name, other, code in _ANSWERS[args.family]:
            if name.startswith(text) or other.startswith(text):
                return cls(name, code)
        raise UsageError(f'unknown reject type "{args.text("reject-with")}"')

    def emit(self) -> str:
        """The answer by its name."""
        return f"--reject-with {self.answer}"

    def describe(self, numeric: bool) -> str:
        """``reject-with icmp-port-unreachable``."""
        return f"reject-with {self.answer}"

    def check(self, place: Place) -> None:
        """Refuse a reset for what is not surely TCP."""
        super().check(place)
        if self.answer == _RESET and (place.proto != Proto.TCP or place.proto_inverted):
            raise Refusal("REJECT: TCP_RESET invalid for non-tcp")

    def apply(self, skb: Skb, state: HookState) -> Verdict:
        """Answer, and drop."""
        bad_checksum = skb.checksum is not None and not (skb.checksum == 0 and skb.proto == Proto.UDP)
        if not skb.original.fragment_offset and not (bad_checksum and skb.proto != Proto.SCTP):
            if self.code < 0:
                state.host.answer_reset(skb)
            else:
                state.host.answer_icmp(skb, _UNREACHABLE[state.family], self.code)
        return Verdict.DROP

"""
NAT at the hooks: the first packet of a connection asks the rules, every packet is rewritten as its connection says.

Behaviour of: nf_nat_inet_fn, the ICMP error translation of nf_nat_proto, nf_nat_masquerade and nf_nat_redirect. What a
packet must look like is always the opposite of its connection's other tuple.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from svcsim.addr import Family
from svcsim.checksum import adjust
from svcsim.conntrack import Conn, Status
from svcsim.hooks import CtInfo, Hook, HookEntry, Priority, Skb, Verdict
from svcsim.nat import Manip, Nat, NatRange
from svcsim.packet import ConnTuple, Icmp, Proto
from svcsim.trace import Dropped, Rewritten
from svcsim.wire import decode_quote, rewrite_quote

if TYPE_CHECKING:
    from svcsim.hooks import HookState, Host

__all__ = ["TableWalk", "Translation"]

#: A nat table's walk: at the hook of *state* it may call a target that settles the mapping.
TableWalk = Callable[[Skb, "HookState"], Verdict]

ACCEPT, DROP = Verdict.ACCEPT, Verdict.DROP
ESTABLISHED, ESTABLISHED_REPLY = CtInfo.ESTABLISHED, CtInfo.ESTABLISHED_REPLY
SRC, DST = Manip.SRC, Manip.DST
_SRC_NAT, _DST_NAT = Status.SRC_NAT, Status.DST_NAT
_SRC_NAT_DONE, _DST_NAT_DONE, _NAT_DONE, _NAT = (
    Status.SRC_NAT_DONE,
    Status.DST_NAT_DONE,
    Status.NAT_DONE,
    Status.NAT,
)
_TCP, _UDP = Proto.TCP, Proto.UDP
_REDIRECTS = {Family.IPV4: 5, Family.IPV6: 137}
_LOOPBACK = {Family.IPV4: 0x7F000001, Family.IPV6: 1}
_PORTED = frozenset({Proto.TCP, Proto.UDP, Proto.SCTP, Proto.UDPLITE})
_QUOTED = 8
_BY_ID = frozenset({Proto.ICMP, Proto.ICMPV6})


class Translation:
    """The NAT stages of one family on *host*; they hang at their hooks from the first nat table on."""

    def __init__(self, host: Host, family: Family) -> None:
        self._host = host
        self._family = family
        self._nat = Nat(host.conntrack, host.streams["nat port"], host.kernel)
        self._icmp = Proto.ICMP if family is Family.IPV4 else Proto.ICMPV6
        self._redirect_type = _REDIRECTS[family]
        self._walks: tuple[TableWalk, ...] = ()

    def add_table(self, walk: TableWalk) -> None:
        """Ask *walk* about new connections, before the tables that are there."""
        if not self._walks:
            self._host.hooks[self._family].register(
                HookEntry(Hook.PRE_ROUTING, Priority.NAT_DST, self._destination, "nat"),
                HookEntry(Hook.LOCAL_OUT, Priority.NAT_DST, self._local_out, "nat"),
                HookEntry(Hook.LOCAL_IN, Priority.NAT_SRC, self._source, "nat"),
                HookEntry(Hook.POST_ROUTING, Priority.NAT_SRC, self._post_routing, "nat"),
            )
        self._walks = (walk, *self._walks)

    # -- hook functions ------------------------------------------------------------------------------------------------

    def _destination(self, skb: Skb, state: HookState) -> Verdict:
        """Where packets come in: rewrite what is addressed to a mapping."""
        conn = skb.ct
        if conn is None:
            return ACCEPT
        ctinfo = skb.ctinfo
        if ctinfo is not ESTABLISHED and ctinfo is not ESTABLISHED_REPLY:
            if skb.proto == self._icmp and ctinfo.state == "RELATED":
                return self._translate_error(skb, conn, DST)
            if not conn.status & _DST_NAT_DONE:
                verdict = self._settle(skb, state, conn, DST, _DST_NAT_DONE)
                if verdict is not ACCEPT:
                    return verdict
        if ctinfo.is_reply:
            if conn.status & _SRC_NAT:
                _rewrite_destination(skb, conn.orig)
        elif conn.status & _DST_NAT:
            _rewrite_destination(skb, conn.reply)
        return ACCEPT

    def _source(self, skb: Skb, state: HookState) -> Verdict:
        """Where packets go out: rewrite what comes from a mapping."""
        conn = skb.ct
        if conn is None:
            return ACCEPT
        ctinfo = skb.ctinfo
        if ctinfo is not ESTABLISHED and ctinfo is not ESTABLISHED_REPLY:
            if skb.proto == self._icmp and ctinfo.state == "RELATED":
                return self._translate_error(skb, conn, SRC)
            if not conn.status & _SRC_NAT_DONE:
                verdict = self._settle(skb, state, conn, SRC, _SRC_NAT_DONE)
                if verdict is not ACCEPT:
                    return verdict
        if ctinfo.is_reply:
            if conn.status & _DST_NAT:
                _rewrite_source(skb, conn.orig)
        elif conn.status & _SRC_NAT:
            _rewrite_source(skb, conn.reply)
        return ACCEPT

    def _local_out(self, skb: Skb, state: HookState) -> Verdict:
        """What is sent from here is routed anew if its connection goes elsewhere, with every packet."""
        verdict = self._destination(skb, state)
        conn = skb.ct
        if verdict is not ACCEPT or conn is None:
            return verdict
        mine, other = (conn.reply, conn.orig) if skb.ctinfo.is_reply else (conn.orig, conn.reply)
        if mine[3] != other[2] and not self._host.reroute(skb, state):
            return DROP
        return ACCEPT

    def _post_routing(self, skb: Skb, state: HookState) -> Verdict:
        """A connection that borrowed a device's address may not go by another one."""
        conn = skb.ct
        if conn is None:
            return ACCEPT
        if (
            conn.masqueraded_on
            and conn.masqueraded_on != state.outdev
            and not skb.ctinfo.is_reply
            and (skb.proto != self._icmp or skb.ctinfo.state != "RELATED")
        ):
            self._host.conntrack.delete(conn)
            return _dropped(skb, f"it was masqueraded on {conn.masqueraded_on}")
        return self._source(skb, state)

    # -- settling a mapping --------------------------------------------------------------------------------------------

    def _settle(self, skb: Skb, state: HookState, conn: Conn, manip: Manip, done: int) -> Verdict:
        """Ask the nat tables, newest first; where none maps this end, it is bound as it is."""
        for walk in self._walks:
            verdict = walk(skb, state)
            if verdict is not ACCEPT:
                return verdict
            if conn.status & done:
                return ACCEPT
        self._nat.bind_null(conn, manip)
        return ACCEPT

    def set_up(self, skb: Skb, nat_range: NatRange, manip: Manip) -> Verdict:
        """Map one end of *skb*'s connection into *nat_range*."""
        conn = skb.ct
        assert conn is not None, "nat rules are asked for packets that belong to a connection"
        self._nat.set_up(conn, nat_range, manip)
        return ACCEPT

    def masquerade(self, skb: Skb, state: HookState, nat_range: NatRange) -> Verdict:
        """Map the source to an address of the device that *skb* leaves by, near its next hop."""
        conn = skb.ct
        assert conn is not None, "nat rules are asked for packets that belong to a connection"
        if conn.orig[2] == 0:
            return ACCEPT  # sent by a host that has no address yet
        route = skb.route
        next_hop = route.gateway if route is not None and route.gateway and self._family is Family.IPV4 else skb.dst
        address = self._host.routes[self._family].select_source(state.outdev, next_hop)
        if not address:
            return _dropped(skb, f"{state.outdev} has no address to masquerade as")
        conn.masqueraded_on = state.outdev
        return self.set_up(skb, nat_range.at(address), SRC)

    def redirect(self, skb: Skb, state: HookState, nat_range: NatRange) -> Verdict:
        """Map the destination to this host: the input device's first address, or loopback for what is sent here."""
        if state.hook is Hook.LOCAL_OUT:
            address = _LOOPBACK[self._family]
        else:
            address = self._host.routes[self._family].first_address(state.indev)
            if not address:
                return _dropped(skb, f"{state.indev} has no address to redirect to")
        return self.set_up(skb, nat_range.at(address), DST)

    # -- errors about translated packets -------------------------------------------------------------------------------

    def _translate_error(self, skb: Skb, conn: Conn, manip: Manip) -> Verdict:
        """
        Translate an ICMP error: its own address as for any packet, and in the packet that it quotes the other end.

        So who gets the error finds the packet that he sent. A redirect would name a way that the translated flow cannot
        take, and is dropped, as it is while it is not settled whether the flow is translated.
        """
        header = skb.header
        if not isinstance(header, Icmp) or skb.checksum is not None:
            return _dropped(skb, "an ICMP error with a wrong checksum is not translated")
        status = conn.status
        if header.type == self._redirect_type and (status & _NAT_DONE != _NAT_DONE or status & _NAT):
            return _dropped(skb, "redirects of translated connections are not passed on")
        is_reply = skb.ctinfo.is_reply
        if not status & (_SRC_NAT if (manip is SRC) is not is_reply else _DST_NAT):
            return ACCEPT
        other = conn.orig if is_reply else conn.reply
        before = skb.tuple()
        proto = other[1]
        ported, by_id = proto in _PORTED, proto in _BY_ID
        if ported and _is_cut(skb.payload):
            return _dropped(skb, "it quotes too little to be translated")
        if manip is SRC:
            port = other[5] if ported else None
            skb.payload = rewrite_quote(skb.payload, dst=other[3], sport=other[4] if by_id else None, dport=port)
            skb.set_source(other[3], skb.sport)
        else:
            port = other[4] if ported or by_id else None
            skb.payload = rewrite_quote(skb.payload, src=other[2], sport=port)
            skb.set_destination(other[2], skb.dport)
        if skb.trace is not None:
            skb.trace.append(Rewritten("nat", before, skb.tuple()))
        return ACCEPT


def _is_cut(quote: bytes) -> bool:
    """Whether a quoted packet has less than the eight bytes behind its IP header that RFC 792 promises."""
    quoted = decode_quote(quote)
    return quoted is None or (quoted.header is None and len(quoted.payload) < _QUOTED)


def _rewrite_destination(skb: Skb, other: ConnTuple) -> None:
    """Address *skb* to the source of the tuple that answers it."""
    before = None if skb.trace is None else skb.tuple()
    if skb.proto == _TCP or skb.proto == _UDP:
        skb.set_destination(other[2], other[4])
    else:
        _rewrite_other(skb, other, DST)
    if before is not None:
        _tell(skb, before)


def _rewrite_source(skb: Skb, other: ConnTuple) -> None:
    """Let *skb* come from the destination of the tuple that answers it."""
    before = None if skb.trace is None else skb.tuple()
    if skb.proto == _TCP or skb.proto == _UDP:
        skb.set_source(other[3], other[5])
    else:
        _rewrite_other(skb, other, SRC)
    if before is not None:
        _tell(skb, before)


def _tell(skb: Skb, before: ConnTuple) -> None:
    after = skb.tuple()
    if skb.trace is not None and after != before:
        skb.trace.append(Rewritten("nat", before, after))


def _rewrite_other(skb: Skb, other: ConnTuple, manip: Manip) -> None:
    """Rewrite what is neither TCP nor UDP: ICMP has one id for both ends; most protocols have addresses alone."""
    sport, dport = skb.sport, skb.dport
    if skb.proto == Proto.UDPLITE:
        _rewrite_lite(skb, other, manip)
    elif skb.proto == Proto.SCTP:
        skb.checksum = None  # computed anew, right or wrong as it was
        sport, dport = other[5], other[4]
    if manip is SRC:
        skb.set_source(other[3], sport)
    else:
        skb.set_destination(other[2], dport)
    if skb.proto in _BY_ID and skb.sport != other[4]:
        skb.set_source(skb.src, other[4])


def _rewrite_lite(skb: Skb, other: ConnTuple, manip: Manip) -> None:
    """Write a port into a UDP-Lite header, which is the start of the payload here, and let its checksum follow."""
    data = skb.payload
    at, port, old_address, address = (
        (0, other[5], skb.src, other[3]) if manip is SRC else (2, other[4], skb.dst, other[2])
    )
    checksum = adjust(int.from_bytes(data[6:8]), old_address, address)
    checksum = adjust(checksum, int.from_bytes(data[at : at + 2]), port) or 0xFFFF
    data = data[:at] + port.to_bytes(2) + data[at + 2 :]
    skb.payload = data[:6] + checksum.to_bytes(2) + data[8:]


def _dropped(skb: Skb, reason: str) -> Verdict:
    if skb.trace is not None:
        skb.trace.append(Dropped(f"nat: {reason}"))
    return DROP

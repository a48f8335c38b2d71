"""
Connection tracking at the hooks: each packet is given its place in a connection before any rule asks for it.

Behaviour of: nf_conntrack_in, nf_confirm and the ICMP error handling of nf_conntrack_proto_icmp and _icmpv6. The kernel
hangs these functions up when the first rule needs them; so does `Tracking.enable`. NAT has its stages in `translation`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcsim.addr import Family
from svcsim.checksum import internet
from svcsim.conntrack import ConnSeen, Status, opposite
from svcsim.conntrack_proto import trackers_of
from svcsim.conntrack_tcp import TcpPhase, TcpState
from svcsim.conntrack_tracker import ACCEPT as FITS
from svcsim.conntrack_tracker import REOPEN
from svcsim.defrag import Defragmenter
from svcsim.hooks import CtInfo, Hook, HookEntry, Priority, Skb, Verdict
from svcsim.nat import Manip, NatRange
from svcsim.packet import ConnTuple, Icmp, Packet, Proto
from svcsim.trace import Dropped, Note, Tracked
from svcsim.translation import TableWalk, Translation
from svcsim.wire import decode_quote

if TYPE_CHECKING:
    from svcsim.hooks import HookState, Host

__all__ = ["Tracking"]

ACCEPT, DROP, STOLEN = Verdict.ACCEPT, Verdict.DROP, Verdict.STOLEN
INVALID, UNTRACKED, NEW = CtInfo.INVALID, CtInfo.UNTRACKED, CtInfo.NEW
ESTABLISHED, ESTABLISHED_REPLY = CtInfo.ESTABLISHED, CtInfo.ESTABLISHED_REPLY
_SEEN_REPLY, _CONFIRMED = Status.SEEN_REPLY, Status.CONFIRMED
_CHECKSUM = "net.netfilter.nf_conntrack_checksum"

#: ICMP messages that report on another packet, which they quote.
_ERRORS = {Family.IPV4: frozenset({3, 4, 5, 11, 12}), Family.IPV6: frozenset(range(128))}
_HIGHEST_ICMP_TYPE = 18
#: Neighbour, router and multicast discovery are not connections.
_UNTRACKED_ICMPV6 = frozenset({130, 131, 132, 133, 134, 135, 136, 143})
_ICMPV6_REDIRECT, _REDIRECTED_HEADER, _UNFORWARDED = 137, 4, 255
#: Behind an ICMPv6 redirect's two addresses come its options; one of them quotes the packet.
_REDIRECT_OPTIONS, _OPTION_HEADER = 32, 8
_NEEDS_PORTS = frozenset({Proto.TCP, Proto.UDP, Proto.SCTP, Proto.UDPLITE})


class Tracking:
    """
    Connection tracking and NAT of one family on *host*; the table is the host's and shared by both families.

    Nothing hangs at any hook before `enable` or `add_nat_table` is called.
    """

    def __init__(self, host: Host, family: Family) -> None:
        self._host = host
        self._family = family
        self._table = host.conntrack
        self._find = host.conntrack.find
        self._trackers, self._generic = trackers_of(host.conntrack, family)
        self._icmp = Proto.ICMP if family is Family.IPV4 else Proto.ICMPV6
        self._errors = _ERRORS[family]
        self._sysctls = host.sysctls
        self._defragmenter = Defragmenter(
            family, host.clock, host.sysctls, tracking=True, too_late=host.fragments_came_too_late
        )
        self._translation = Translation(host, family)
        place = [(Hook.PRE_ROUTING, Hook.LOCAL_OUT), (Hook.LOCAL_IN, Hook.POST_ROUTING)]
        self._entries = (
            *(HookEntry(hook, Priority.DEFRAG, self._defragment, "defrag") for hook in place[0]),
            *(HookEntry(hook, Priority.CONNTRACK, self._track, "conntrack") for hook in place[0]),
            *(HookEntry(hook, Priority.CONFIRM, self.confirm, "confirm") for hook in place[1]),
        )
        self._users = 0

    # -- switching on and off ------------------------------------------------------------------------------------------

    @property
    def enabled(self) -> bool:
        """Whether packets of this family are tracked."""
        return self._users > 0

    def enable(self) -> None:
        """
        Track from now on for one user more: a family's rules, an IPVS service that translates FTP.

        What was picked up in an earlier life is not judged by its old windows.
        """
        self._users += 1
        if self._users > 1:
            return
        self._host.hooks[self._family].register(*self._entries)
        for conn in self._table:
            state = conn.state
            if conn.orig[0] == self._family and isinstance(state, TcpState) and state.phase is TcpPhase.ESTABLISHED:
                for side in state.windows.sides:
                    side.max_window = 0

    def disable(self) -> None:
        """A user needs it no more; after the last one known connections stay in the table until they expire."""
        self._users -= 1
        if not self._users:
            self._host.hooks[self._family].unregister(*self._entries)

    def add_nat_table(self, walk: TableWalk) -> None:
        """Ask *walk* how to translate new connections; of several tables the newest is asked first."""
        self._translation.add_table(walk)

    # -- what targets and IPVS call ------------------------------------------------------------------------------------

    def setup_nat(self, skb: Skb, nat_range: NatRange, manip: Manip) -> Verdict:
        """Map one end of *skb*'s connection into *nat_range*: SNAT, DNAT, NETMAP."""
        return self._translation.set_up(skb, nat_range, manip)

    def masquerade(self, skb: Skb, state: HookState, nat_range: NatRange) -> Verdict:
        """Map the source to an address of the device that *skb* leaves by: MASQUERADE."""
        return self._translation.masquerade(skb, state, nat_range)

    def redirect(self, skb: Skb, state: HookState, nat_range: NatRange) -> Verdict:
        """Map the destination to this host: REDIRECT."""
        return self._translation.redirect(skb, state, nat_range)

    def device_gone(self, device: str) -> None:
        """Forget the connections that were masqueraded on *device*: it is down or taken away."""
        self._table.delete_where(lambda conn: conn.orig[0] == self._family and conn.masqueraded_on == device)

    def address_gone(self, address: int, device: str = "") -> None:
        """Forget the connections that were masqueraded as *address*, which was taken off its *device*."""
        self._table.delete_where(
            lambda conn: (
                conn.orig[0] == self._family
                and conn.masqueraded_on != ""
                and conn.masqueraded_on == (device or conn.masqueraded_on)
                and conn.reply[3] == address
            )
        )

    # -- hook functions ------------------------------------------------------------------------------------------------

    def _defragment(self, skb: Skb, state: HookState) -> Verdict:
        """Hold fragments back until their datagram is whole, and go on with that."""
        fragment = skb.original
        if not (fragment.fragment_offset or fragment.more_fragments) or skb.ct is not None or skb.ctinfo is UNTRACKED:
            return ACCEPT
        whole = self._defragmenter.add(fragment, state.hook, skb.indev)
        if whole is None:
            if skb.trace is not None:
                skb.trace.append(Note("held: its datagram is not whole"))
            return STOLEN
        skb.become(whole.packet)
        skb.largest_fragment, skb.fragment_sizes = whole.largest_fragment, whole.sizes
        return ACCEPT

    def _track(self, skb: Skb, state: HookState) -> Verdict:
        """Find or begin the connection that *skb* belongs to."""
        if skb.ct is not None or skb.ctinfo is UNTRACKED:
            return ACCEPT  # seen before: it came round by lo, or answers another packet; or nobody wants it tracked
        proto = skb.proto
        header = skb.header
        if header is None or proto == self._icmp or skb.checksum is not None:
            known = self._examine(skb, state)
            if known is None or skb.ct is not None:
                return ACCEPT
            tuple = known
        else:
            tuple = (skb.family, proto, skb.src, skb.dst, skb.sport, skb.dport)
        tracker = self._trackers.get(proto, self._generic)
        while True:
            found = self._find(tuple)
            if found is None:
                reply = opposite(tuple)
                if reply is None:
                    return self._invalid(skb, "a message that begins no connection")
                conn, is_reply = self._table.create(tuple, reply), False
                if conn is None:
                    return self._table_full(skb)
                ctinfo = NEW
            else:
                conn, is_reply = found
                ctinfo = ESTABLISHED_REPLY if is_reply else ESTABLISHED if conn.status & _SEEN_REPLY else NEW
            outcome = tracker.track(conn, is_reply, header, skb.payload, skb.length)
            if outcome is FITS:
                break
            if outcome is not REOPEN:
                whom = conn.seen if found is not None else "the start of a connection"
                return self._invalid(skb, "does not fit", whom)
        if is_reply:
            conn.status |= _SEEN_REPLY  # not before: the first reply is judged as one that was not expected yet
        skb.ct = conn
        skb.ctinfo = ctinfo
        if skb.trace is not None:
            skb.trace.append(Tracked(ctinfo, ConnSeen(conn.orig, conn.reply)))
        return ACCEPT

    def confirm(self, skb: Skb, state: HookState) -> Verdict:
        """The packet has come through: its connection exists. A tuple that is taken by now costs it its life."""
        conn = skb.ct
        if conn is None or conn.status & _CONFIRMED or skb.ctinfo.is_reply:
            return ACCEPT
        kept = self._table.confirm(conn)
        if kept is None:
            if skb.trace is not None:
                skb.trace.append(Dropped(f"conntrack: the tuple of {conn} is taken"))
            return DROP
        skb.ct = kept
        return ACCEPT

    # -- packets that need a closer look -------------------------------------------------------------------------------

    def _examine(self, skb: Skb, state: HookState) -> ConnTuple | None:
        """The tuple of *skb*; None if it has none that could be looked up, and then its place is settled already."""
        proto = skb.proto
        if skb.original.fragment_offset or (proto != self._icmp and proto in (Proto.ICMP, Proto.ICMPV6)):
            self._invalid(skb, "a later fragment" if skb.original.fragment_offset else "ICMP of the other family")
            return None
        if proto == self._icmp:
            return self._examine_icmp(skb, state)
        if self._is_wrong(skb, state):
            self._invalid(skb, "wrong checksum")
            return None
        tuple = tuple_of(skb.original, skb)
        if tuple is None:
            self._invalid(skb, "its header says no ports")
        return tuple

    def _is_wrong(self, skb: Skb, state: HookState) -> bool:
        """Whether *skb*'s checksum gives it away; it is looked at where packets come in, if at all."""
        if state.hook is not Hook.PRE_ROUTING or not self._sysctls[_CHECKSUM]:
            return False
        if skb.proto == Proto.UDPLITE:
            return _lite_is_wrong(skb)
        return skb.checksum is not None and (skb.checksum != 0 or skb.proto != Proto.UDP)

    def _examine_icmp(self, skb: Skb, state: HookState) -> ConnTuple | None:
        """Relate an error to the connection that it is about; any other message has its own tuple."""
        header = skb.header
        quote: bytes | None = None
        known = isinstance(header, Icmp) and not self._is_wrong(skb, state)
        if isinstance(header, Icmp) and known:
            type = header.type
            if type in self._errors:
                quote = skb.payload
            elif self._family is Family.IPV4:
                known = type <= _HIGHEST_ICMP_TYPE
            elif type in _UNTRACKED_ICMPV6:
                skb.untrack()
                return None
            elif type == _ICMPV6_REDIRECT:
                known = skb.ttl == _UNFORWARDED
                quote = _redirected(skb.payload)
        if known and quote is None:
            return skb.tuple()
        if not known or quote is None or not self._relate(skb, quote):
            self._table.statistics.error += 1
            self._refuse(skb, "an error about nothing that is known" if quote is not None else "not an ICMP message")
        return None

    def _relate(self, skb: Skb, quote: bytes) -> bool:
        """Give an ICMP error its place beside the connection whose packet it quotes, if that is known."""
        quoted = decode_quote(quote)
        if quoted is None or quoted.family is not self._family or quoted.fragment_offset:
            return False
        sent = tuple_of(quoted)
        back = opposite(sent) if sent is not None else None
        found = self._find(back) if back is not None else None
        if found is None:
            return False
        conn, is_reply = found
        if skb.dst != (conn.reply if is_reply else conn.orig)[3]:
            return False  # it goes to somebody who did not send the packet
        skb.ct = conn
        skb.ctinfo = CtInfo.RELATED_REPLY if is_reply else CtInfo.RELATED
        if skb.trace is not None:
            skb.trace.append(Tracked(skb.ctinfo, conn.seen))
        return True

    def _invalid(self, skb: Skb, why: str, whom: object = "") -> Verdict:
        """Let *skb* go on without a connection."""
        self._table.statistics.invalid += 1
        return self._refuse(skb, why, whom)

    @staticmethod
    def _refuse(skb: Skb, why: str, whom: object = "") -> Verdict:
        skb.ctinfo = INVALID
        if skb.trace is not None:
            skb.trace.append(Tracked(INVALID, None, f"{why} {whom}".rstrip()))
        return ACCEPT

    def _table_full(self, skb: Skb) -> Verdict:
        self._table.statistics.drop += 1
        if skb.trace is not None:
            skb.trace.append(Dropped("nf_conntrack: table full, dropping packet"))
        return DROP


def _redirected(payload: bytes) -> bytes | None:
    """The packet that an ICMPv6 redirect is about, if it says so in the first of its options."""
    options = payload[_REDIRECT_OPTIONS:]
    if len(options) < 2 or options[0] != _REDIRECTED_HEADER or options[1] == 0:
        return None
    return options[_OPTION_HEADER:]


def _lite_is_wrong(skb: Skb) -> bool:
    """Whether a UDP-Lite checksum is wrong; the kernel sums it up as if it were UDP's, so most are."""
    data = skb.payload
    covered = int.from_bytes(data[4:6]) or len(data)
    pseudo = skb.src + skb.dst + Proto.UDP + len(data)
    return internet(data[:covered], pseudo) not in (0, 0xFFFF)


def tuple_of(packet: Packet, skb: Skb | None = None) -> ConnTuple | None:
    """
    The tuple of *packet*, or of *skb*, which was it and may have been rewritten; None if its header does not tell.

    GRE has a key in place of ports only where PPTP put one; what has no ports has zeros.
    """
    at: Packet | Skb = packet if skb is None else skb
    proto, header, payload = packet.proto, packet.header, packet.payload
    sport, dport = at.sport, at.dport
    if proto in _NEEDS_PORTS:
        if header is None:
            if len(payload) < 4:
                return None
            if proto == Proto.UDPLITE:
                sport, dport = int.from_bytes(payload[:2]), int.from_bytes(payload[2:4])
    elif proto == Proto.GRE:
        sport = dport = 0
        if len(payload) >= 8 and payload[1] & 7 == 1:
            if payload[2:4] != b"\x88\x0b":
                return None
            dport = int.from_bytes(payload[6:8])
    elif isinstance(header, Icmp):
        sport, dport = header.rest >> 16, header.type << 8 | header.code
    elif proto in (Proto.ICMP, Proto.ICMPV6):
        return None
    return (packet.family, proto, at.src, at.dst, sport, dport)

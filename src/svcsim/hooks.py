"""
The frame: five hooks on a packet's way, what hangs there, and in which order it is asked.

Behaviour of: netfilter's hook core. Functions of a hook run in ascending priority; of equal priorities the one
registered last runs first; the first verdict but ACCEPT ends the hook.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import attrs

from svcsim.addr import Family
from svcsim.checksum import adjust
from svcsim.packet import ConnTuple, Header, Icmp, Packet, Proto
from svcsim.trace import Stage, Trace

if TYPE_CHECKING:
    from svcsim.clock import Clock
    from svcsim.conntrack import Conn, Conntrack
    from svcsim.device import Devices
    from svcsim.rng import Streams
    from svcsim.route import Route, Routing
    from svcsim.sysctl import Sysctls
    from svcsim.tables.ipsets import IpSets
    from svcsim.tracking import Tracking

__all__ = [
    "Assumption",
    "Balanced",
    "Balancer",
    "CtInfo",
    "Hook",
    "HookEntry",
    "HookState",
    "Hooks",
    "Host",
    "Owner",
    "Priority",
    "Skb",
    "Verdict",
]


class Hook(enum.IntEnum):
    """
    Where a packet can be met::

        in -> PRE_ROUTING -> route -> FORWARD -------> POST_ROUTING -> out
                               |                          ^
                               v                          |
                            LOCAL_IN                   LOCAL_OUT
                               |                          ^
                               v                          |
                             socket -----------------> route

    What arrives passes PRE_ROUTING before the routing decision, then LOCAL_IN if it is for this host, else FORWARD and
    POST_ROUTING. What this host sends is routed, then passes LOCAL_OUT and POST_ROUTING.
    """

    PRE_ROUTING = 0
    LOCAL_IN = 1
    FORWARD = 2
    LOCAL_OUT = 3
    POST_ROUTING = 4


class Priority(enum.IntEnum):
    """The kernel's named places in a hook's order; a lower one is asked earlier."""

    DEFRAG = -400
    RAW = -300
    CONNTRACK = -200
    MANGLE = -150
    NAT_DST = -100
    FILTER = 0
    SECURITY = 50
    NAT_SRC = 100
    CONFIRM = 2**31 - 1


class Verdict(enum.Enum):
    """What a hook function says of a packet."""

    DROP = 0
    ACCEPT = 1
    STOLEN = 2
    UNKNOWN = 3  # nobody here knows: what decides is not modelled


_ACCEPT = Verdict.ACCEPT


class CtInfo(enum.Enum):
    """How a packet stands to its connection; the values are only names."""

    INVALID = "invalid"  # no connection
    UNTRACKED = "untracked"  # by request
    NEW = "new"
    ESTABLISHED = "established"
    RELATED = "related"
    ESTABLISHED_REPLY = "established, reply"
    RELATED_REPLY = "related, reply"

    # Enum members are looked at for each packet; these are plain attributes, set once below.
    is_reply: bool
    state: str
    bit: int  # of the state, in a set of states

    def __init__(self, _: str) -> None:
        self.is_reply = self.name.endswith("_REPLY")
        self.state = self.name.removesuffix("_REPLY")
        self.bit = 1 << ("INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED").index(self.state)


_INVALID, _UNTRACKED = CtInfo.INVALID, CtInfo.UNTRACKED


@attrs.frozen
class Owner:
    """Whose a local socket is: user, group, and supplementary *groups*; a socket of the kernel's has no *uid*."""

    uid: int | None = 0
    gid: int = 0
    groups: frozenset[int] = frozenset()


@attrs.define(eq=False, init=False)
class Skb:
    """
    One packet on its way through a host: its header fields as they are now, and what the host knows of it.

    Rules read the fields; NAT and IPVS change addresses and ports through `set_source` and `set_destination` alone.
    For ICMP *sport* is the echo id and *dport* is ``type << 8 | code``, as in a connection's tuple.
    """

    original: Packet
    family: Family
    proto: int
    src: int
    dst: int
    sport: int
    dport: int
    header: Header | None
    payload: bytes
    ttl: int
    tos: int
    length: int
    checksum: int | None
    changed: bool  # the packet that leaves is not the one that came
    mark: int
    indev: str  # where it came from, "" if it was made here
    route: Route | None
    ct: Conn | None
    ctinfo: CtInfo
    ipvs_property: bool  # IPVS has handled it
    largest_fragment: int  # of those it was put together from, 0 if it came whole
    fragment_sizes: tuple[int, ...]  # the bytes of data in each
    owner: Owner | None  # of the local socket that sends it
    traced: bool  # by the TRACE target
    trace: Trace | None

    def __init__(self, packet: Packet, indev: str = "", trace: Trace | None = None) -> None:
        self.original = packet
        self.family = packet.family
        self.proto = packet.proto
        self.src = packet.src
        self.dst = packet.dst
        self.header = header = packet.header
        if header.__class__ is Icmp:
            self.sport = header.rest >> 16
            self.dport = header.type << 8 | header.code
        else:
            self.sport = packet.sport
            self.dport = packet.dport
        self.payload = packet.payload
        self.ttl = packet.ttl
        self.tos = packet.tos
        self.length = packet.length
        self.checksum = packet.checksum
        self.changed = False
        self.mark = 0
        self.indev = indev
        self.route = None
        self.ct = None
        self.ctinfo = _INVALID
        self.ipvs_property = False
        self.largest_fragment = 0
        self.fragment_sizes = ()
        self.owner = None
        self.traced = False
        self.trace = trace

    def tuple(self) -> ConnTuple:
        """The packet's own tuple, as it stands now."""
        return (self.family, self.proto, self.src, self.dst, self.sport, self.dport)

    def become(self, packet: Packet) -> None:
        """Be *packet* from now on, which this one completed; where it came from and its mark stay."""
        mark, route, owner = self.mark, self.route, self.owner
        Skb.__init__(self, packet, self.indev, self.trace)
        self.mark, self.route, self.owner = mark, route, owner

    def untrack(self) -> None:
        """Leave connection tracking: by request, so that it is not tracked again."""
        self.ct = None
        self.ctinfo = _UNTRACKED

    def set_source(self, address: int, port: int) -> None:
        """Write a new source address and port (ICMP: id); an explicit transport checksum follows."""
        if self.checksum is not None:
            self._adjust(self.src, address, self.sport, port)
        self.src = address
        self.sport = port
        self.changed = True

    def set_destination(self, address: int, port: int) -> None:
        """Write a new destination address and port; an explicit transport checksum follows."""
        if self.checksum is not None:
            self._adjust(self.dst, address, self.dport, port)
        self.dst = address
        self.dport = port
        self.changed = True

    def _adjust(self, old_address: int, address: int, old_port: int, port: int) -> None:
        """Carry a checksum that is wrong, or was never computed, over a rewrite by the difference."""
        checksum, proto = self.checksum, self.proto
        assert checksum is not None
        if (proto in (Proto.UDP, Proto.UDPLITE) and checksum == 0) or proto == Proto.SCTP:
            return
        if proto != Proto.ICMP:
            checksum = adjust(checksum, old_address, address)
        checksum = adjust(checksum, old_port, port)
        self.checksum = checksum or (0xFFFF if proto in (Proto.UDP, Proto.UDPLITE) else 0)  # 0 would say: none

    @property
    def packet(self) -> Packet:
        """The packet as it stands now; made when asked for."""
        if not self.changed:
            return self.original
        was, header, sport, dport = self.original, self.header, self.sport, self.dport
        if isinstance(header, Icmp):
            if header.rest >> 16 != sport:
                header = Icmp(header.type, header.code, sport << 16 | header.rest & 0xFFFF)
            sport, dport = was.sport, was.dport
        return Packet(
            was.family, was.proto, self.src, self.dst, sport, dport, header, self.payload, self.ttl, self.tos,
            was.ident, was.dont_fragment, was.more_fragments, was.fragment_offset, was.options, was.next_header,
            was.flow_label, self.checksum, None, was.reserved,
        )  # fmt: skip


@attrs.frozen
class HookState:
    """
    Where a hook function is being asked: fixed when the hook is entered, shared by all packets that enter it so.

    A missing device is the empty name. In POST_ROUTING a forwarded packet still has its input device.
    """

    hook: Hook
    family: Family
    indev: str
    outdev: str
    host: Host


HookFunction = Callable[[Skb, HookState], Verdict]
_States = dict[str, dict[str, HookState]]


@attrs.frozen
class HookEntry:
    """A function with its place: *name* is what a trace shows."""

    hook: Hook
    priority: int
    function: HookFunction
    name: str


class Hooks:
    """
    What is registered at the five hooks of one *family* of *host*, and the one loop that asks it.

    >>> hooks = Hooks(Family.IPV4, host=None)
    >>> late = HookEntry(Hook.FORWARD, Priority.FILTER, lambda skb, state: Verdict.DROP, "filter")
    >>> early = HookEntry(Hook.FORWARD, Priority.MANGLE, lambda skb, state: Verdict.ACCEPT, "mangle")
    >>> hooks.register(late, early)
    >>> [entry.name for entry in hooks.at(Hook.FORWARD)]
    ['mangle', 'filter']
    >>> hooks.run(Hook.FORWARD, Skb(Packet.tcp("192.0.2.1:40000", "192.0.2.2:80")), "cli0", "pod0")
    <Verdict.DROP: 0>
    """

    def __init__(self, family: Family, host: Host) -> None:
        self._family, self._host = family, host
        self._entries: dict[Hook, tuple[HookEntry, ...]] = dict.fromkeys(Hook, ())  # in the order of asking
        self.functions: dict[Hook, tuple[HookFunction, ...]] = dict.fromkeys(Hook, ())
        self._told: dict[Hook, tuple[tuple[HookFunction, str, Stage], ...]] = dict.fromkeys(Hook, ())
        #: The functions once more, and the states that they are asked in, by both devices: all that `run` looks up.
        self._points: dict[Hook, tuple[tuple[HookFunction, ...], _States]] = {hook: ((), {}) for hook in Hook}

    def register(self, *entries: HookEntry) -> None:
        """Hang *entries* in their places; among equal priorities the newest comes first."""
        for entry in entries:
            before = [e for e in self.at(entry.hook) if e.priority < entry.priority]
            after = [e for e in self.at(entry.hook) if e.priority >= entry.priority]
            self._set(entry.hook, (*before, entry, *after))

    def unregister(self, *entries: HookEntry) -> None:
        """Take *entries* away again; what is not there is ignored."""
        for entry in entries:
            self._set(entry.hook, tuple(e for e in self.at(entry.hook) if e is not entry))

    def at(self, hook: Hook) -> tuple[HookEntry, ...]:
        """The entries of *hook* in the order in which they are asked."""
        return self._entries[hook]

    def _set(self, hook: Hook, entries: tuple[HookEntry, ...]) -> None:
        self._entries[hook] = entries
        self.functions[hook] = functions = tuple(entry.function for entry in entries)
        self._points[hook] = functions, self._points[hook][1]
        self._told[hook] = tuple((e.function, e.name, Stage(hook, e.name, _ACCEPT)) for e in entries)

    def run(self, hook: Hook, skb: Skb, indev: str, outdev: str) -> Verdict:
        """Ask everything at *hook*, which *skb* passes between two devices; the first verdict but ACCEPT decides."""
        functions, states = self._points[hook]
        try:
            state = states[indev][outdev]
        except KeyError:
            state = HookState(hook, self._family, indev, outdev, self._host)
            states.setdefault(indev, {})[outdev] = state
        if skb.trace is not None:
            return self._run_told(skb, state, skb.trace)
        for function in functions:
            verdict = function(skb, state)
            if verdict is not _ACCEPT:
                return verdict
        return _ACCEPT

    def _run_told(self, skb: Skb, state: HookState, trace: Trace) -> Verdict:
        """The same with each answer noted."""
        append = trace.append
        for function, name, accepted in self._told[state.hook]:
            verdict = function(skb, state)
            if verdict is not _ACCEPT:
                append(Stage(state.hook, name, verdict))
                return verdict
            append(accepted)
        return _ACCEPT


class Balanced(Protocol):
    """What rules may ask of a load balancer's connection."""

    @property
    def vaddr(self) -> int:
        """The virtual address."""

    @property
    def vport(self) -> int:
        """The virtual port."""

    @property
    def method(self) -> int:
        """How it is forwarded."""

    @property
    def control(self) -> Balanced | None:
        """The template that led it to its destination."""


class Balancer(Protocol):
    """What others may ask of a load balancer."""

    def connection_of(self, skb: Skb) -> Balanced | None:
        """The connection of a packet on its way to a destination."""

    def path_mtu(self, address: int, mtu: int) -> int:
        """What a tunnel to *address* takes, by a route of *mtu*."""


#: An answer to what nobody knows, for all that is asked or for each by its text.
Assumption = bool | Callable[[str], bool | None] | None


class Host(Protocol):
    """What a mechanism may ask of the host that it stands in; `svcsim.node.Node` is one."""

    clock: Clock
    streams: Streams
    sysctls: Sysctls
    kernel: tuple[int, ...]  # the version whose behaviour is meant, as (6, 18)
    hooks: dict[Family, Hooks]
    devices: Devices
    routes: dict[Family, Routing]
    conntrack: Conntrack
    tracking: dict[Family, Tracking]
    ipsets: IpSets
    tells_all: bool  # whether traces hold also what it takes to explain routes and picks: more work for each packet
    unknown_holds: Assumption  # whether matches and targets that are not modelled hold and act; None: nobody knows

    def note_unknown(self, skb: Skb, what: str) -> None:
        """Tell whoever sent *skb* that *what*, which is not modelled, decides its way."""

    @property
    def ipvs(self) -> Balancer:
        """Its load balancer."""

    def fragments_came_too_late(self, first: Packet, indev: str) -> None:
        """Tell the sender of a datagram, whose *first* fragment is here, that it was not whole in time."""

    def transmit(self, skb: Skb, route: Route) -> Verdict:
        """Send *skb* by *route*, from the start of LOCAL_OUT on: for what a hook function takes over (STOLEN)."""

    def reroute(self, skb: Skb, state: HookState) -> bool:
        """Route *skb* anew as if it were made here (after LOCAL_OUT changed it); False if there is no way."""

    def answer_icmp(self, skb: Skb, type: int, code: int, rest: int = 0) -> None:
        """Tell the sender of *skb* by an ICMP error that quotes it as it stands now, unless none may be sent."""

    def originate(self, packet: Packet) -> None:
        """Send a *packet* of the host's own."""

    def answer_reset(self, skb: Skb) -> None:
        """Answer the TCP segment *skb* with a reset, unless it is one itself."""

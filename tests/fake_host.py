"""A host of few parts for tests of connection tracking: two devices, the hooks, and nat rules given as functions."""

from __future__ import annotations

from collections.abc import Callable

from svcsim.addr import Family, parse_address
from svcsim.clock import SECOND, Clock
from svcsim.conntrack import Conntrack
from svcsim.hooks import CtInfo, Hook, Hooks, HookState, Skb, Verdict
from svcsim.packet import Packet
from svcsim.rng import Streams
from svcsim.sysctl import Sysctls
from svcsim.trace import Trace
from svcsim.tracking import Tracking

NatRule = Callable[[Skb, HookState], Verdict]


def accept(skb: Skb, state: HookState) -> Verdict:
    """A nat rule that maps nothing."""
    return Verdict.ACCEPT


class FakeRouting:
    """Addresses by device; what the first one is."""

    def __init__(self, addresses: dict[str, list[str]]) -> None:
        self.addresses = {name: [parse_address(text).value for text in texts] for name, texts in addresses.items()}

    def first_address(self, device: str) -> int:
        """The first address, 0 if there is none."""
        return next(iter(self.addresses.get(device, [])), 0)

    def select_source(self, device: str, next_hop: int) -> int:
        """The same."""
        return self.first_address(device)


class FakeHost:
    """
    What mechanisms ask of their host, and the ways of a packet through it; *rules* are its nat table, by hook.

    A rule is asked where it stands; *nat_walks* counts how often the table was.
    """

    def __init__(self, kernel: tuple[int, ...] = (6, 18), *, nat: bool = True, seed: int = 0) -> None:
        self.clock, self.streams, self.sysctls, self.kernel = Clock(), Streams(seed), Sysctls(), kernel
        self.hooks = {family: Hooks(family, self) for family in Family}  # type: ignore[arg-type]
        self.routes = {
            Family.IPV4: FakeRouting({"cli0": ["10.1.0.1"], "pod0": ["10.2.0.1"]}),
            Family.IPV6: FakeRouting({"cli0": ["fd01::1"], "pod0": ["fd02::1"]}),
        }
        self.conntrack = Conntrack(self.clock, self.sysctls, self.streams)
        self.tracking = {family: Tracking(self, family) for family in Family}  # type: ignore[arg-type]
        self.rules: dict[Hook, NatRule] = {}
        self.nat_walks: list[Hook] = []
        self.rerouted: list[int] = []
        self.reachable = True
        for family in Family:
            self.tracking[family].enable()
            if nat:
                self.tracking[family].add_nat_table(self.walk)

    def walk(self, skb: Skb, state: HookState) -> Verdict:
        """The nat table."""
        self.nat_walks.append(state.hook)
        return self.rules.get(state.hook, accept)(skb, state)

    def fragments_came_too_late(self, first: Packet, indev: str) -> None:
        """Nobody is told."""

    def reroute(self, skb: Skb, state: HookState) -> bool:
        """Note where to; there is a way unless the test says otherwise."""
        self.rerouted.append(skb.dst)
        return self.reachable

    def at(self, hook: Hook, skb: Skb, indev: str = "", outdev: str = "") -> Verdict:
        """Pass one hook."""
        return self.hooks[skb.family].run(hook, skb, indev, outdev)

    def pass_hooks(self, skb: Skb, *steps: tuple[Hook, str, str]) -> Skb | None:
        """Pass hooks in turn; None if the packet does not come through."""
        for hook, indev, outdev in steps:
            if self.at(hook, skb, indev, outdev) is not Verdict.ACCEPT:
                return None
        return skb

    def forward(self, packet: Packet, *, back: bool = False, out: str = "", trace: Trace | None = None) -> Skb | None:
        """Forward from cli0 to pod0, or *back*; or to the device *out*."""
        indev, outdev = ("pod0", "cli0") if back else ("cli0", "pod0")
        outdev = out or outdev
        steps = (Hook.PRE_ROUTING, indev, ""), (Hook.FORWARD, indev, outdev), (Hook.POST_ROUTING, indev, outdev)
        return self.pass_hooks(Skb(packet, indev, trace), *steps)

    def accept(self, packet: Packet) -> Skb | None:
        """Take a packet from cli0 in."""
        return self.pass_hooks(Skb(packet, "cli0"), (Hook.PRE_ROUTING, "cli0", ""), (Hook.LOCAL_IN, "cli0", ""))

    def send(self, packet: Packet, *, outdev: str = "pod0", about: Skb | None = None) -> Skb | None:
        """Send a packet of the host's own, or one *about* another."""
        skb = Skb(packet)
        if about is not None and about.ct is not None:
            skb.ct, skb.ctinfo = about.ct, CtInfo.RELATED if about.ctinfo.is_reply else CtInfo.RELATED_REPLY
        return self.pass_hooks(skb, (Hook.LOCAL_OUT, "", outdev), (Hook.POST_ROUTING, "", outdev))

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(round(seconds * SECOND))

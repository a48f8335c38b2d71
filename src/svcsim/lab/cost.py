"""
What finding a service costs: a list of rules against a hash table, in counts and in time.

The counts (rules asked, entries of buckets probed) are exact and the same on any machine; the times are this library's,
not a kernel's. Both modes get the same connections.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from svcsim.addr import format_address
from svcsim.errors import ConfigError
from svcsim.lab.cluster import MODES, iptables_node, ipvs_node
from svcsim.lab.timing import Fit, Timer, Timing, fit_line, timed, timing_of
from svcsim.lab.workload import Portal, make_portals
from svcsim.node import Node
from svcsim.outcome import Outcome
from svcsim.packet import Packet
from svcsim.rng import Streams
from svcsim.trace import Walked

__all__ = ["POSITIONS", "SIZES", "LookupCost", "LookupReport", "measure_lookup", "rules_asked"]

#: The service whose connection is measured: by its place in the order of rules, one at random, or none at all.
POSITIONS = ("first", "last", "random", "none")
#: Numbers of services, unless others are asked for.
SIZES = (10, 100, 1000, 10_000)
_FIRST_POD = 200
_RANDOM_POD = _FIRST_POD + POSITIONS.index("random")
_FIRST_PORT, _PORTS_TRIED = 1024, 50_000
_WARMING = 5  # connections to each service beforehand; that many ports are left above those tried
_LAST_CLUSTER_IP = 0x0A6F_FFFE  # of 10.96.0.0/12


@attrs.frozen
class LookupCost:
    """
    The first packet of a connection to the service at *position* among so many *services*.

    *rules* were asked and *probes* entries of the service table looked at, means over the packets; *time* is one
    packet's whole way through the node.
    """

    mode: str
    services: int
    position: str
    rules: float
    probes: float
    time: Timing


@attrs.frozen
class LookupReport:
    """
    Costs by mode, size and position, and what follows from them.

    *fit* is nanoseconds against rules asked, over the connections to services in iptables mode. *crossing* is the number of
    services from which on ipvs is cheaper for a random service; 0 if it always is, None if it never is.
    """

    endpoints: int
    seed: int
    repeats: int
    packets: int
    costs: tuple[LookupCost, ...]
    fit: Fit
    crossing: float | None

    def of(self, mode: str, position: str) -> list[LookupCost]:
        """The costs of one mode and position, by rising number of services."""
        return [cost for cost in self.costs if cost.mode == mode and cost.position == position]

    def to_dict(self) -> dict[str, object]:
        """Plain values, as JSON has them."""
        return attrs.asdict(self)


def rules_asked(outcome: Outcome) -> int:
    """The number of rules that a traced packet was compared with."""
    assert outcome.trace is not None
    return sum(event.stop - event.start + 1 for event in outcome.trace if isinstance(event, Walked))


def measure_lookup(
    timer: Timer,
    sizes: Sequence[int] = SIZES,
    *,
    endpoints: int = 3,
    packets: int = 200,
    repeats: int = 5,
    seed: int = 0,
    progress: Callable[[str], object] = lambda what: None,
) -> LookupReport:
    """
    Measure connections to services in both modes, for each number of services in *sizes*.

    Each repeat times *packets* connections that were never seen before, of every kind in turn, so that a machine that
    is slow for a while is slow for all of them. Before that, every service is asked for (so that the routes that a node
    keeps are there), and as many connections again are counted, and checked to reach an endpoint of their service.
    *progress* is told what comes next.
    """
    if not sizes or min(sizes) < 1 or packets < 1 or repeats < 1 or endpoints < 1:
        raise ConfigError("a measurement wants at least one service, endpoint, packet and repeat")
    if packets * (repeats + 1) > _PORTS_TRIED:
        raise ConfigError(f"{repeats} repeats of {packets} packets: a pod has ports for {_PORTS_TRIED} connections")
    kinds: list[_Kind] = []
    for size in sorted(set(sizes)):
        portals = make_portals(size, endpoints, seed=seed)
        for mode in MODES:
            progress(f"{mode}, {size} services")
            node = (iptables_node if mode == "iptables" else ipvs_node)(portals, seed=seed)
            for number in range(min(endpoints, _WARMING)):
                _receive_all(node, [_opening(_RANDOM_POD, _PORTS_TRIED + number, portal) for portal in portals])
            for pod, position in enumerate(POSITIONS, start=_FIRST_POD):
                connections = _connections(portals, position, pod, packets * (repeats + 1), seed)
                kinds.append(_counted(node, mode, size, position, connections, packets))
    for repeat in range(repeats):
        progress(f"repeat {repeat + 1} of {repeats}")
        for kind in kinds:
            kind.taken.append(timed(timer, _receive_all, kind.node, kind.bursts[repeat]))
    costs = tuple(
        LookupCost(kind.mode, kind.services, kind.position, kind.rules, kind.probes, timing_of(kind.taken, packets))
        for kind in kinds
    )
    walked = [cost for cost in costs if cost.mode == "iptables" and cost.position != "none"]
    fit = fit_line([cost.rules for cost in walked], [cost.time.median for cost in walked])
    return LookupReport(endpoints, seed, repeats, packets, costs, fit, _crossing(costs))


@attrs.define
class _Kind:
    """One mode, size and position: where its packets go, what was counted, and the packets and times of each repeat."""

    mode: str
    services: int
    position: str
    node: Node
    rules: float
    probes: float
    bursts: list[list[Packet]]
    taken: list[int] = attrs.field(factory=list)


def _opening(pod: int, number: int, portal: Portal | None, nowhere: str = "") -> Packet:
    """The first packet of a pod's connection to a service, or to where none is."""
    target = f"{portal.address}:{portal.port}" if portal is not None else f"{nowhere}:80"
    return Packet.tcp(f"10.244.1.{pod}:{_FIRST_PORT + number}", target)


def _connections(
    portals: Sequence[Portal], position: str, pod: int, count: int, seed: int
) -> list[tuple[Portal | None, Packet]]:
    """First packets from one pod, each of another connection, with the service that they are for."""
    choice = Streams(seed)["random service"]
    taken = {portal.address for portal in portals}
    candidates = (format_address(4, _LAST_CLUSTER_IP - i) for i in range(len(portals) + 1))
    nowhere = next(address for address in candidates if address not in taken)
    chosen: list[tuple[Portal | None, Packet]] = []
    for number in range(count):
        portal = {"first": portals[0], "last": portals[-1], "none": None}.get(position)
        if position == "random":
            portal = portals[choice.below(len(portals))]
        chosen.append((portal, _opening(pod, number, portal, nowhere)))
    return chosen


def _counted(
    node: Node, mode: str, size: int, position: str, connections: list[tuple[Portal | None, Packet]], packets: int
) -> _Kind:
    """Count with the first *packets* connections, which are traced; the rest is for the repeats."""
    rules, probes = 0, node.ipvs.table.probes
    for portal, packet in connections[:packets]:
        outcome = node.receive(packet, "cni0", trace=True)
        _check(portal, packet, outcome)
        rules += rules_asked(outcome)
    probes = node.ipvs.table.probes - probes
    rest = [packet for _, packet in connections[packets:]]
    bursts = [rest[start : start + packets] for start in range(0, len(rest), packets)]
    return _Kind(mode, size, position, node, rules / packets, probes / packets, bursts)


def _receive_all(node: Node, packets: list[Packet]) -> None:
    receive = node.receive
    for packet in packets:
        receive(packet, "cni0")


def _check(portal: Portal | None, packet: Packet, outcome: Outcome) -> None:
    """A measurement of wrong answers is worth nothing: the packet must have reached an endpoint of its service."""
    assert len(outcome.sent) == 1, f"{packet}: {outcome}"
    out = outcome.sent[0].packet
    reached = f"{format_address(4, out.dst)}:{out.dport}"
    wanted = portal.endpoints if portal is not None else (f"{format_address(4, packet.dst)}:{packet.dport}",)
    assert reached in wanted, f"{packet} reached {reached}, not one of {wanted}"


def _crossing(costs: Sequence[LookupCost]) -> float | None:
    """Where the line through iptables' costs of a random service meets that through those of ipvs."""
    lines = []
    for mode in MODES:
        chosen = [cost for cost in costs if cost.mode == mode and cost.position == "random"]
        lines.append(fit_line([cost.services for cost in chosen], [cost.time.median for cost in chosen]))
    rules, table = lines
    if rules.slope <= table.slope:
        return None if table.intercept >= rules.intercept else 0.0
    return max(0.0, (table.intercept - rules.intercept) / (rules.slope - table.slope))

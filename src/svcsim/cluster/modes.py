"""
The proxy modes compared: what each makes of the same objects, and what it costs to keep it.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from svcsim.addr import Family
from svcsim.cluster.programmed import Holdings, holdings_of, program_node, program_windows
from svcsim.kube.config import ProxyConfig
from svcsim.kube.objects import EndpointSlice, Objects
from svcsim.kube.programmer import Program
from svcsim.kube.state import ProxyState
from svcsim.node import NEWEST_KERNEL, Node
from svcsim.tables.blob import blob_size

__all__ = ["BALANCING", "ModeReport", "caveats_of", "report_on"]

#: How each mode chooses.
BALANCING = {
    "iptables": "at random, each endpoint alike; affinity by client address, shared by all ways into a service",
    "ipvs": "by IPVS's scheduler; affinity by client address, for each address of a service apart",
    "userspace": "in turn, over a shuffled list; affinity by client address; another endpoint if one does not answer",
    "kernelspace": "by a hash of the connection's ends, or of the client's address alone with affinity",
    "nftables": "at random, each endpoint alike, by one look into a map",
}


_NOBODY_REFUSES = "nobody refuses connections to a service without endpoints"


@attrs.frozen(kw_only=True)
class ModeReport:
    """
    One *mode* on one node: what it *holds*, the *first* sync, and what the change of one endpoint costs: the rules and
    entries that are *written*, and the bytes of whole tables that the kernel has *exchanged* for it.
    """

    mode: str
    holdings: Holdings
    first: Program
    written: int
    exchanged: int
    balancing: str
    caveats: tuple[str, ...]


def report_on(
    objects: Objects, config: ProxyConfig, node: str = "", *, kernel: str = NEWEST_KERNEL, seed: int = 0
) -> ModeReport:
    """Program a node, change one endpoint, and tell; of a Windows node, what it holds."""
    if config.mode == "kernelspace":
        return _report_on_windows(objects, config, node)
    proxy = program_node(objects, config, node, kernel=kernel, seed=seed)
    held, first = holdings_of(proxy.host), Program(tuple(s for sync in proxy.syncs for s in sync.program.steps))
    states = [proxy.state(family) for family in proxy.families]
    changed = _one_endpoint_less(objects)
    before = len(proxy.syncs)
    if changed is not None:
        proxy.learn([changed])
        proxy.host.advance(config.min_sync_period)
    later = [sync.program for sync in proxy.syncs[before:]]
    return ModeReport(
        mode=config.mode,
        holdings=held,
        first=first,
        written=sum(_lines(program) for program in later),
        exchanged=sum(_exchanged(proxy.host, program) for program in later),
        balancing=BALANCING.get(config.mode, "as its plug-in says"),
        caveats=tuple(dict.fromkeys(each for state in states for each in caveats_of(config, state))),
    )


def _report_on_windows(objects: Objects, config: ProxyConfig, node: str) -> ModeReport:
    windows, first = program_windows(objects, config, node)
    held = Holdings(servers=len(windows.hns.load_balancers), destinations=len(windows.hns.endpoints))
    return ModeReport(
        mode=config.mode,
        holdings=held,
        first=first,
        written=1 if _one_endpoint_less(objects) is not None else 0,
        exchanged=0,
        balancing=BALANCING[config.mode],
        caveats=(_NOBODY_REFUSES, *dict.fromkeys(note.rpartition(": ")[2] for note in first.notes)),
    )


def _one_endpoint_less(objects: Objects) -> EndpointSlice | None:
    """The first slice that has endpoints, without one of them."""
    for piece in objects.slices:
        if piece.endpoints:
            return attrs.evolve(piece, endpoints=piece.endpoints[1:])
    return None


def _lines(program: Program) -> int:
    """The rules, entries and servers that a program writes, and its other commands."""
    count = 0
    for step in program.steps:
        lines = [line for line in step.stdin.splitlines() if line and line[0] not in "*:#" and line != "COMMIT"]
        count += len(lines) if step.stdin else 1
    return count


def _exchanged(node: Node, program: Program) -> int:
    """The bytes of the tables that a program restores: however little changes, each goes in as a whole."""
    size = 0
    for step in program.steps:
        tool = step.command.split()[0]
        if tool in ("iptables-restore", "ip6tables-restore"):
            rules = node.rules[Family.IPV4 if tool == "iptables-restore" else Family.IPV6]
            names = {line[1:] for line in step.stdin.splitlines() if line.startswith("*")}
            size += sum(blob_size(rules[name]) for name in names)
    return size


def caveats_of(config: ProxyConfig, state: ProxyState) -> Iterator[str]:
    """What is worth knowing of a mode for these objects, as far as they have it."""
    infos = [port.info for port in state.ports]
    mode = config.mode
    if mode == "iptables":
        yield "the first packet of a connection is compared with the rules one by one, up to the one that fits"
        yield "every change of a service exchanges the whole nat and filter tables"
        yield "an endpoint that does not answer is not replaced by another one"
    if mode == "ipvs":
        yield "deprecated in Kubernetes 1.35 in favour of nftables"
        yield "service addresses are the node's own: other ports of theirs are refused, not forwarded"
        if any(info.external_local for info in infos):
            yield "externalTrafficPolicy Local without an endpoint here sends to endpoints elsewhere, whose answers get lost"
        if any(info.node_port for info in infos):
            yield "node ports are not served at 127.0.0.1"
        if not config.ipvs.strict_arp and any(info.load_balancer_vips for info in infos):
            yield "without strictARP every node answers for the addresses of load balancers"
    if mode == "userspace":
        yield "every byte crosses from the kernel to the proxy and back; the backend sees the node as its client"
        if any(info.external_local or info.internal_local for info in infos):
            yield "traffic policies are not known to it"
        if any(info.source_ranges for info in infos):
            yield "loadBalancerSourceRanges are not known to it"

"""
The kernelspace mode: load balancers of the Host Networking Service, on Windows.

Behaviour of: kube-proxy v1.36's winkernel proxier. There are no chains, no marks, and nothing that refuses; what
Windows does not do is told in the notes of a program. Deletions that HNS refuses are not tried again.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs

from svcsim.addr import Family, parse_address
from svcsim.kube.programmer import PROXY_MODES, Program, Programmer, Step
from svcsim.kube.state import EndpointInfo, ProxyState, ServedPort, ServicePortName
from svcsim.kube.windows import WindowsNode
from svcsim.lb.hns import Distribution, Hns, HnsEndpoint, HnsLoadBalancer, LoadBalancerFlags, PortMappingFlags
from svcsim.packet import Proto

__all__ = ["KernelspaceProgrammer"]

_PRESERVES = "preserve-destination"
_OPTIMIZES = "winProxyOptimization"
_DELETES = "hcn loadbalancer delete"
_Identity = tuple[int, int, int, str, str, bool]


@attrs.frozen
class _Chosen:
    """The endpoints of a service port: all that serve, those of this host among them; *over*: only what ends is left."""

    all: tuple[HnsEndpoint, ...]
    local: tuple[HnsEndpoint, ...]
    port: int
    over: bool


@attrs.define
class _Held:
    """What a service port has in HNS: what it was made of, load balancers by their roles, and remote endpoints."""

    service: object
    endpoints: tuple[EndpointInfo, ...]
    balancers: dict[str, HnsLoadBalancer]
    remote: tuple[str, ...]


@PROXY_MODES.register("kernelspace")
@attrs.define(eq=False)
class KernelspaceProgrammer(Programmer[WindowsNode]):
    """
    kube-proxy on one Windows node, for one family.

    >>> from svcsim.kube.config import ProxyConfig
    >>> from svcsim.kube.state import NodeInfo, ServicePortInfo
    >>> web = ServicePortInfo(name=ServicePortName("default", "web", "", "TCP"), cluster_ip="10.96.0.10", port=80)
    >>> pods = tuple(EndpointInfo(address=f"10.244.{n}.5", port=8080, local=n == 1) for n in (1, 2))
    >>> state = ProxyState(family=Family.IPV4, node=NodeInfo(name="a", ips=("192.0.2.10",)),
    ...     config=ProxyConfig(mode="kernelspace"), ports=(ServedPort(web, pods),))
    >>> node, proxy = WindowsNode(Hns(addresses=["192.0.2.10"]), pods={"pod-1": "10.244.1.5"}), KernelspaceProgrammer()
    >>> program = proxy.sync(state, node)
    >>> [step.command for step in program.steps]
    ['hcn endpoint create', 'hcn loadbalancer create']
    >>> program.apply(node)
    >>> [(each.vip, each.external_port, each.internal_port, len(each.endpoints)) for each in node.hns]
    [('10.96.0.10', 80, 8080, 2)]
    """

    _held: dict[ServicePortName, _Held] = attrs.field(factory=dict, init=False)
    _begun: bool = attrs.field(default=False, init=False)

    def sync(self, state: ProxyState, node: WindowsNode) -> Program:
        """Say what HNS has to be asked for so that it serves *state*."""
        hns = node.hns
        steps: list[Step] = []
        if not self._begun:
            six = state.family is Family.IPV6
            own = (each for each in hns if bool(each.flags & LoadBalancerFlags.IPV6) is six)
            steps += [_step("loadbalancer delete", {"ID": each.id}) for each in own]
            self._begun = True
        made = {endpoint.ip: endpoint for endpoint in hns.endpoints.values()}
        creations: list[Step] = []
        wanted = {port.info.name: self._wanted(port, state, hns, made, creations) for port in state.ports}
        shared = list(_shared_fronts(wanted))
        changes = [step for name, held in wanted.items() for step in self._changes(name, held, hns)]
        changes.sort(key=lambda step: step.command != _DELETES)  # a front may pass from one service to another
        deletions = [
            _step("loadbalancer delete", {"ID": balancer.id})
            for name, held in self._held.items()
            if name not in wanted
            for balancer in held.balancers.values()
        ]
        used = Counter(id for held in wanted.values() for id in held.remote)
        unused = [
            _step("endpoint delete", {"ID": id})
            for id in dict.fromkeys(id for held in self._held.values() for id in held.remote)
            if not used[id] and id in hns.endpoints
        ]
        self._held = wanted
        return Program((*steps, *creations, *deletions, *changes, *unused), (*_notes(state), *shared))

    def failed(self) -> None:
        """The last program did not work: begin anew."""
        self._held, self._begun = {}, False

    # -- what is wanted -----------------------------------------------------------------------------------------------

    def _wanted(
        self, port: ServedPort, state: ProxyState, hns: Hns, made: dict[str, HnsEndpoint], creations: list[Step]
    ) -> _Held:
        """The load balancers of one service port; endpoints that HNS does not know yet are asked for."""
        remote: dict[str, None] = {}

        def endpoint_of(info: EndpointInfo) -> HnsEndpoint | None:
            found = made.get(info.address)
            if found is None and not info.local:  # an own pod that HNS does not know is no endpoint
                found = made[info.address] = _remote(info.address, state, hns)
                creations.append(_step("endpoint create", found.to_json()))
            if found is not None and found.remote:
                remote[found.id] = None
            return found

        chosen = _choose(port, hns, endpoint_of)
        balancers = {role: each for role, each in _balancers(port, chosen, state, hns) if each.endpoints}
        if hns.type == "Overlay":
            front = made.get(port.info.cluster_ip)
            if front is None:
                own = _remote(port.info.cluster_ip, state, hns)
                front = attrs.evolve(own, mac=hns.mac, provider=state.node.primary(state.family))
                made[front.ip] = front
                creations.append(_step("endpoint create", front.to_json()))
            if front.remote:
                remote[front.id] = None
        return _Held(_service_of(port), port.endpoints, balancers, tuple(remote))

    def _changes(self, name: ServicePortName, wanted: _Held, hns: Hns) -> Iterator[Step]:
        """From the load balancers that a service port has to those it shall have."""
        held = self._held.get(name)
        before = held.balancers if held is not None else {}
        anew = held is None or held.service != wanted.service
        if held is not None and _annotation(wanted.service, _OPTIMIZES) == "DISABLED":
            anew = anew or held.endpoints != wanted.endpoints
        for role, old in before.items():
            new = wanted.balancers.get(role)
            if new is None or (_identity(old) != _identity(new) and (anew or not hns.modifies)):
                yield _step("loadbalancer delete", {"ID": old.id})
        for role, new in wanted.balancers.items():
            known = before.get(role)
            if known is not None and _identity(known) == _identity(new) and not anew:
                wanted.balancers[role] = known
            elif known is not None and not anew and hns.modifies:
                wanted.balancers[role] = kept = attrs.evolve(new, id=known.id)
                yield _step("loadbalancer modify", kept.to_json())
            elif known is None or _identity(known) != _identity(new) or anew:
                if known is not None and _identity(known) == _identity(new):
                    yield _step("loadbalancer delete", {"ID": known.id})
                yield _step("loadbalancer create", new.to_json())


def _step(what: str, data: dict[str, Any]) -> Step:
    return Step(f"hcn {what}", json.dumps(data, indent=2) + "\n")


def _shared_fronts(wanted: dict[ServicePortName, _Held]) -> Iterator[str]:
    """
    Leave each front to the first that wants it.

    The ports of a Service share its health check's load balancer; two that differ cannot have one front, which is told.
    """
    first: dict[tuple[str, int, int], tuple[ServicePortName, HnsLoadBalancer]] = {}
    for name, held in wanted.items():
        for role, balancer in list(held.balancers.items()):
            front = (balancer.vip, balancer.protocol, balancer.external_port)
            owner, there = first.setdefault(front, (name, balancer))
            if there is not balancer:
                del held.balancers[role]
                if _identity(there) != _identity(balancer):
                    yield f"{name}: port {front[2]} of {front[0] or 'the node'} belongs to {owner}"


def _service_of(port: ServedPort) -> object:
    """What a service port was made of, its slices left out."""
    return port.source[0] if isinstance(port.source, tuple) else port.info


def _annotation(service: object, name: str) -> str:
    metadata = getattr(service, "metadata", None)
    return metadata.annotations.get(name, "") if metadata is not None else ""


def _local_direct(port: ServedPort, hns: Hns) -> bool:
    """Whether the policy Local is kept: for any type of Service, but only with direct server return."""
    spec = getattr(_service_of(port), "spec", None)
    local = spec.externalTrafficPolicy == "Local" if spec is not None else port.info.external_local
    return bool(local) and hns.dsr


def _choose(port: ServedPort, hns: Hns, endpoint_of: Any) -> _Chosen:
    info, direct = port.info, _local_direct(port, hns)
    ends = [(each, endpoint_of(each)) for each in port.endpoints]
    found = [(each, end) for each, end in ends if end is not None]
    counted = [each for each, end in found if not (direct and end.remote) and (each.ready or each.terminating)]
    ingress = bool(info.load_balancer_vips)
    all_end = ingress and all(each.terminating for each in counted)
    none_serves = ingress and not any(each.serving for each in counted)
    taken: list[HnsEndpoint] = []
    internal = 0
    for each, end in found:
        if info.internal_local and direct and end.remote:
            continue
        if not none_serves and ((not all_end and not each.ready) or not each.serving):
            continue
        taken.append(end)
        internal = each.port  # the last one seen: all endpoints of a port share it
    return _Chosen(tuple(taken), tuple(end for end in taken if not end.remote), internal, all_end or none_serves)


def _remote(ip: str, state: ProxyState, hns: Hns) -> HnsEndpoint:
    """An endpoint elsewhere: its MAC says its address, and on an overlay it is behind its host's."""
    address = parse_address(ip)
    octets = address.value.to_bytes(address.family.bits // 8)[-4:]
    provider = ""
    if hns.type == "Overlay":
        subnets = (
            at for network, at in hns.subnets.items() if network.family is address.family and address.value in network
        )
        provider = ip if ip in hns.subnets.values() else next(subnets, state.node.primary(state.family))
    return HnsEndpoint(
        id=_uuid("endpoint", ip),
        ip=ip,
        mac="-".join(["02", "11", *(f"{o:02x}" for o in octets)]),
        remote=True,
        provider=provider,
    )


def _balancers(port: ServedPort, chosen: _Chosen, state: ProxyState, hns: Hns) -> Iterator[tuple[str, HnsLoadBalancer]]:
    """The load balancers of a service port by what they are for."""
    info, direct, win = port.info, _local_direct(port, hns), state.config.winkernel
    keeps = hns.dsr and _annotation(_service_of(port), _PRESERVES) == "true"
    none, dsr = LoadBalancerFlags(0), LoadBalancerFlags.DSR
    outside = PortMappingFlags.VIP_EXTERNAL_IP
    kept = PortMappingFlags.USE_MUX | PortMappingFlags.PRESERVE_DIP if keeps else PortMappingFlags(0)
    near = chosen.local

    def make(
        vip: str,
        ends: Sequence[HnsEndpoint],
        port_: int,
        flags: LoadBalancerFlags,
        mapping: PortMappingFlags,
        internal: int = 0,
    ) -> HnsLoadBalancer:
        six = LoadBalancerFlags.IPV6 if state.family is Family.IPV6 else none
        return HnsLoadBalancer(
            id=_uuid(str(info.name), info.protocol, vip, str(port_)),
            vip=vip,
            protocol=int(Proto[info.name.protocol]),
            internal_port=internal or chosen.port,
            external_port=port_,
            endpoints=tuple(end.id for end in ends),
            source_vip=_source_vip(ends, state, hns),
            flags=flags | six,
            mapping=mapping,
            distribution=Distribution.CLIENT_IP if info.affinity_seconds else Distribution.CONNECTION,
        )

    inside = near if info.internal_local else chosen.all
    yield (
        "cluster",
        make(info.cluster_ip, inside, info.port, dsr if win.enable_dsr and hns.dsr else none, PortMappingFlags(0)),
    )
    local = near if keeps or direct else chosen.all
    if info.node_port and not chosen.over:
        mapping = PortMappingFlags.LOCAL_ROUTED_VIP | outside
        yield "node port", make("", local, info.node_port, dsr if direct else none, mapping)
    for ip in () if chosen.over else info.external_ips:
        yield f"external {ip}", make(ip, near if direct else chosen.all, info.port, dsr if direct else none, outside)
    for ip in info.load_balancer_vips:
        yield f"ingress {ip}", make(ip, local, info.port, dsr if keeps or direct else none, outside | kept)
        gateway = hns.endpoints.get(win.root_hns_endpoint_name)
        if win.forward_health_check_vip and gateway is not None and not chosen.over:
            health = info.health_check_node_port or _HEALTHZ
            yield (
                f"health {ip}",
                attrs.evolve(make(ip, [gateway], health, none, kept, health), flags=none, protocol=int(Proto.TCP)),
            )


#: The port of kube-proxy's own health check.
_HEALTHZ = 10256


def _source_vip(ends: Iterable[HnsEndpoint], state: ProxyState, hns: Hns) -> str:
    """The source that endpoints see: HNS's own choice, or on an overlay the configured one unless another node serves."""
    if hns.type != "Overlay":
        return ""
    for end in ends:
        address = parse_address(end.ip)
        inside = any(n.family is address.family and address.value in n for n in hns.subnets)
        if end.remote and (end.ip in hns.subnets.values() or not inside):
            return state.node.primary(state.family)
    return state.config.winkernel.source_vip


def _identity(balancer: HnsLoadBalancer) -> _Identity:
    """What makes a load balancer the same as another: its ports, its front, and the sum of its endpoints."""
    mixed = 0
    for id in balancer.endpoints:
        mixed ^= int.from_bytes(hashlib.sha1(id.upper().encode(), usedforsecurity=False).digest())
    six = bool(balancer.flags & LoadBalancerFlags.IPV6)
    return balancer.protocol, balancer.internal_port, balancer.external_port, balancer.vip, f"{mixed:040x}", six


def _uuid(*words: str) -> str:
    """An id that HNS would draw, here the same for the same words."""
    digest = hashlib.sha256("\0".join(words).encode()).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))


def _notes(state: ProxyState) -> Iterator[str]:
    """What is asked for and Windows does not do."""
    config = state.config
    unknown = {"masqueradeAll": config.masquerade_all, "nodePortAddresses": config.node_port_addresses}
    yield from (f"Windows does not know {what}" for what, told in unknown.items() if told)
    for port in state.ports:
        info = port.info
        asked = {
            "loadBalancerSourceRanges": info.source_ranges,
            "a timeout of session affinity": info.affinity_seconds,
            "topology hints": any(each.zone_hints or each.node_hints for each in port.endpoints),
        }
        yield from (f"{info.name}: Windows does not know {what}" for what, told in asked.items() if told)

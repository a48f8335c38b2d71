"""
The iptables mode's rules for one service port: what catches its packets, and the chains that send them on.

Behaviour of: kube-proxy v1.36, ``mode: iptables``; pinned by its own packet-flow cases and the corpus scenarios
iptables-kubeproxy-*. Rules are written as for ``iptables-restore``, in its order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from svcsim.addr import Prefix, parse_address
from svcsim.kube.detector import LocalDetector
from svcsim.kube.iptables_names import ChainNames, endpoint_chain
from svcsim.kube.state import EndpointInfo, ServedPort
from svcsim.kube.topology import Choice

__all__ = ["PortRules", "RuleStyle", "probability"]


def probability(choices: int) -> str:
    """
    The share of a rule that is one of so many *choices*, as kube-proxy writes it.

    >>> probability(3), probability(7)
    ('0.3333333333', '0.1428571429')
    """
    return f"{1 / choices:.10f}"


@attrs.frozen
class RuleStyle:
    """What rules depend on beside their service: who is a pod, and whether rules are kept short (*large* clusters)."""

    detector: LocalDetector | None
    masquerade_all: bool = False
    large: bool = False
    #: The node's primary address of the family; source ranges that hold it hold the node.
    node_ip: str = ""


class PortRules:
    """
    The rules of one service port.

    >>> from svcsim.kube.state import ServicePortInfo, ServicePortName
    >>> info = ServicePortInfo(name=ServicePortName("default", "web", "", "TCP"), cluster_ip="10.96.0.10", port=80)
    >>> pod = EndpointInfo(address="10.244.0.5", port=8080)
    >>> rules = PortRules(ServedPort(info, (pod,)), Choice((pod,), (), (pod,), True), RuleStyle(None))
    >>> rules.chains
    ('KUBE-SVC-LOLE4ISW44XBNF3G', 'KUBE-SEP-5ORQWIE3QG6L2KWO')
    >>> print(*rules.captures("nat"), sep="\\n")
    -A KUBE-SERVICES -m comment --comment "default/web cluster IP" -m tcp -p tcp -d 10.96.0.10 --dport 80 -j KUBE-SVC-LOLE4ISW44XBNF3G
    >>> print(*rules.sending(), sep="\\n")
    -A KUBE-SVC-LOLE4ISW44XBNF3G -m comment --comment "default/web -> 10.244.0.5:8080" -j KUBE-SEP-5ORQWIE3QG6L2KWO
    -A KUBE-SEP-5ORQWIE3QG6L2KWO -m comment --comment default/web -s 10.244.0.5 -j KUBE-MARK-MASQ
    -A KUBE-SEP-5ORQWIE3QG6L2KWO -m comment --comment default/web -m tcp -p tcp -j DNAT --to-destination 10.244.0.5:8080
    """

    def __init__(self, served: ServedPort, choice: Choice, style: RuleStyle) -> None:
        self.info, self.choice, self.style = served.info, choice, style
        info = served.info
        self.names = names = ChainNames(info.name)
        self._protocol = f"-m {info.protocol} -p {info.protocol}"
        #: Whether packets to the cluster IP, and to any other way in, find an endpoint.
        self.has_internal = choice.any and (not info.internal_local or bool(choice.local))
        self.has_external = choice.any and (not info.external_local or bool(choice.local))
        self._outside = choice.any and info.reachable_from_outside
        self._ranged = choice.any and bool(info.load_balancer_vips and info.source_ranges)
        self._internal = names.local if info.internal_local else names.cluster
        self._policy = names.local if info.external_local else names.cluster

    @property
    def chains(self) -> tuple[str, ...]:
        """The chains of this service port, in the order in which they are declared."""
        info, names = self.info, self.names
        own = (
            (names.external, self._outside),
            (names.firewall, self._ranged),
            (names.cluster, bool(self.choice.cluster) and info.uses_cluster),
            (names.local, bool(self.choice.local) and info.uses_local),
        )
        endpoints = (endpoint_chain(info.name, str(each)) for each in self.choice.reachable)
        return (*(name for name, there in own if there), *endpoints)

    # -- what catches packets -----------------------------------------------------------------------------------------

    def captures(self, table: str) -> Iterator[str]:
        """The rules of *table* (nat or filter) in the chains that all services share."""
        return self._captures_of_nat() if table == "nat" else self._captures_of_filter()

    def _captures_of_nat(self) -> Iterator[str]:
        info, external = self.info, self.names.external
        if self.has_internal:
            yield self._at("KUBE-SERVICES", "cluster IP", info.cluster_ip, self._internal)
        if not self.choice.any:
            return
        for address in info.external_ips:
            yield self._at("KUBE-SERVICES", "external IP", address, external)
        for address in info.load_balancer_vips:
            yield self._at(
                "KUBE-SERVICES", "loadbalancer IP", address, self.names.firewall if self._ranged else external
            )
        if info.node_port:
            yield (
                f"-A KUBE-NODEPORTS -m comment --comment {info.name} {self._protocol} --dport {info.node_port} -j {external}"
            )

    def _captures_of_filter(self) -> Iterator[str]:
        info = self.info
        if not self.has_internal:
            yield self._refusing("KUBE-SERVICES", f"-d {info.cluster_ip} --dport {info.port}")
        if not self.has_external:
            for address in info.external_ips:
                yield self._refusing("KUBE-EXTERNAL-SERVICES", f"-d {address} --dport {info.port}")
        if self._ranged:
            for address in info.load_balancer_vips:
                what = f"traffic not accepted by {self.names.firewall}"
                yield self._at("KUBE-PROXY-FIREWALL", what, address, "DROP")
        if not self.has_external:
            for address in info.load_balancer_vips:
                yield self._refusing("KUBE-EXTERNAL-SERVICES", f"-d {address} --dport {info.port}")
            if info.node_port:
                yield self._refusing(
                    "KUBE-EXTERNAL-SERVICES", f"--dport {info.node_port}", "-m addrtype --dst-type LOCAL "
                )
        if info.health_check_node_port:
            yield (
                f'-A KUBE-NODEPORTS -m comment --comment "{info.name} health check node port" '
                f"-m tcp -p tcp --dport {info.health_check_node_port} -j ACCEPT"
            )

    def _at(self, chain: str, what: str, address: str, target: str) -> str:
        """A rule for packets to this service port at *address*."""
        return (
            f'-A {chain} -m comment --comment "{self.info.name} {what}" '
            f"{self._protocol} -d {address} --dport {self.info.port} -j {target}"
        )

    def _refusing(self, chain: str, where: str, match: str = "") -> str:
        """A rule for packets that no endpoint takes: rejected if there is none anywhere, dropped if none is here."""
        reason, target = ("no local endpoints", "DROP") if self.choice.any else ("no endpoints", "REJECT")
        return f'-A {chain} -m comment --comment "{self.info.name} has {reason}" {match}{self._protocol} {where} -j {target}'

    # -- the service port's own chains --------------------------------------------------------------------------------

    def sending(self) -> Iterator[str]:
        """The rules of the service port's own chains."""
        if self.has_internal:
            yield from self._masquerading()
        if self._outside:
            yield from self._entry_from_outside()
        if self._ranged:
            yield from self._source_ranges()
        if self.choice.cluster and self.info.uses_cluster:
            yield from self._balancing(self.names.cluster, self.choice.cluster)
        if self.choice.local and self.info.uses_local:
            yield from self._balancing(self.names.local, self.choice.local)
        for endpoint in self.choice.reachable:
            yield from self._delivery(endpoint)

    def _masquerading(self) -> Iterator[str]:
        """Who is masqueraded on the way to the cluster IP; packets to other addresses of the service come by here too."""
        detector = self.style.detector
        if self.style.masquerade_all:
            match = ""
        elif detector is not None:
            match = f" {detector.not_local}"
        else:
            return
        info = self.info
        yield (
            f'-A {self._internal} -m comment --comment "{info.name} cluster IP" '
            f"{self._protocol} -d {info.cluster_ip} --dport {info.port}{match} -j KUBE-MARK-MASQ"
        )

    def _entry_from_outside(self) -> Iterator[str]:
        """With the policy Local pods and the node itself still reach every endpoint, and nobody else is masqueraded."""
        info, names, detector = self.info, self.names, self.style.detector
        chain, what = names.external, f"for {info.name} external destinations"
        if not info.external_local:
            yield f'-A {chain} -m comment --comment "masquerade traffic {what}" -j KUBE-MARK-MASQ'
        else:
            if detector is not None:
                yield f'-A {chain} -m comment --comment "pod traffic {what}" {detector.local} -j {names.cluster}'
            own = "-m addrtype --src-type LOCAL"
            yield f'-A {chain} -m comment --comment "masquerade LOCAL traffic {what}" {own} -j KUBE-MARK-MASQ'
            yield f'-A {chain} -m comment --comment "route LOCAL traffic {what}" {own} -j {names.cluster}'
        if self.has_external:
            yield f"-A {chain} -j {self._policy}"

    def _source_ranges(self) -> Iterator[str]:
        """Who may use the load balancer's addresses; what falls through is dropped in filter."""
        info, names = self.info, self.names
        comment = f'-m comment --comment "{info.name} loadbalancer IP"'
        for held in info.source_ranges:
            yield f"-A {names.firewall} {comment} -s {held} -j {names.external}"
        if _holds(info.source_ranges, self.style.node_ip):  # the node's packets may have the address itself as source
            for address in info.load_balancer_vips:
                yield f"-A {names.firewall} {comment} -s {address} -j {names.external}"
        yield (
            f"-A {names.firewall} -m comment --comment "
            f'"other traffic to {info.name} will be dropped by KUBE-PROXY-FIREWALL"'
        )

    def _balancing(self, chain: str, endpoints: Sequence[EndpointInfo]) -> Iterator[str]:
        info = self.info
        ways = [(self._comment(f'"{info.name} -> {each}"'), endpoint_chain(info.name, str(each))) for each in endpoints]
        if info.affinity_seconds:
            for comment, target in ways:
                recent = f"-m recent --name {target} --rcheck --seconds {info.affinity_seconds} --reap"
                yield f"-A {chain} {comment}{recent} -j {target}"
        for position, (comment, target) in enumerate(ways):
            left = len(ways) - position
            chance = f"-m statistic --mode random --probability {probability(left)} " if left > 1 else ""
            yield f"-A {chain} {comment}{chance}-j {target}"

    def _delivery(self, endpoint: EndpointInfo) -> Iterator[str]:
        """An endpoint that calls itself is masqueraded, or its answer would not come back by this node."""
        chain, comment = endpoint_chain(self.info.name, str(endpoint)), self._comment(str(self.info.name))
        recent = f"-m recent --name {chain} --set " if self.info.affinity_seconds else ""
        yield f"-A {chain} {comment}-s {endpoint.address} -j KUBE-MARK-MASQ"
        yield f"-A {chain} {comment}{recent}{self._protocol} -j DNAT --to-destination {endpoint}"

    def _comment(self, text: str) -> str:
        return "" if self.style.large else f"-m comment --comment {text} "


def _holds(ranges: Sequence[Prefix], address: str) -> bool:
    if not address:
        return False
    value = parse_address(address).value
    return any(value in held for held in ranges)

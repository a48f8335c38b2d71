"""
Connections of UDP that would go on to endpoints that are gone.

Behaviour of: kube-proxy's conntrack clean-up. UDP has no end, so a client that keeps its port keeps its entry, and with
it an endpoint for ever; TCP and SCTP entries are never deleted.
"""

from __future__ import annotations

from svcsim.addr import parse_address
from svcsim.conntrack import Conn
from svcsim.kube.state import EndpointInfo, ProxyState, ServicePortName
from svcsim.node import Node
from svcsim.packet import Proto

__all__ = ["clean_up"]

_UDP = int(Proto.UDP)
_End = tuple[int, int]


def _udp_endpoints(state: ProxyState | None) -> dict[ServicePortName, tuple[EndpointInfo, ...]]:
    ports = state.ports if state is not None else ()
    return {port.info.name: port.endpoints for port in ports if port.info.protocol == "udp"}


def clean_up(node: Node, before: ProxyState | None, after: ProxyState) -> int:
    """
    Delete the UDP entries of *node* that lead to endpoints which do not serve any more; return how many.

    Only if endpoints of a UDP port changed between the two states, and not those of a service port that has none left. In
    the userspace mode entries lead to the proxy: only those of cluster IPs that are gone are deleted.
    """
    if after.config.mode == "userspace":
        return _forget_services(node, before, after)
    if _udp_endpoints(before) == _udp_endpoints(after):
        return 0
    places: dict[_End, set[_End]] = {}
    node_ports: dict[int, set[_End]] = {}
    for port in after.ports:
        info = port.info
        serving = {(parse_address(e.address).value, e.port) for e in port.endpoints if e.serving}
        if info.protocol != "udp" or not serving:
            continue
        for address in (info.cluster_ip, *info.load_balancer_vips, *info.external_ips):
            places.setdefault((parse_address(address).value, info.port), set()).update(serving)
        if info.node_port:
            node_ports.setdefault(info.node_port, set()).update(serving)

    def leads_nowhere(conn: Conn) -> bool:
        family, proto, _, target, _, port = conn.orig
        if family != after.family or proto != _UDP:
            return False
        serving = places.get((target, port)) or node_ports.get(port)
        return bool(serving) and (conn.reply[2], conn.reply[4]) not in (serving or ())

    return node.conntrack.delete_where(leads_nowhere)


def _forget_services(node: Node, before: ProxyState | None, after: ProxyState) -> int:
    """Delete the entries of UDP services that are there no more."""
    gone = _udp_endpoints(before).keys() - _udp_endpoints(after).keys()
    ports = before.ports if before is not None else ()
    places = {(parse_address(p.info.cluster_ip).value, p.info.port) for p in ports if p.info.name in gone}
    return node.conntrack.delete_where(
        lambda conn: (conn.orig[0], conn.orig[1]) == (after.family, _UDP) and (conn.orig[3], conn.orig[5]) in places
    )

"""
The Host Networking Service of Windows, as far as services go: endpoints, load balancers, and which of them a packet meets.

Behaviour of: HNS (Host Compute Network, schema 2.0) as its public interface tells; what VFP hashes by is not public, so
any hash of the same ends will do, and this is ours. A choice is kept for the life of a flow.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from svcsim.addr import Prefix, format_address, parse_address
from svcsim.errors import ConfigError, ExistsError, MissingError
from svcsim.packet import Packet

__all__ = ["Decision", "Distribution", "Hns", "HnsEndpoint", "HnsLoadBalancer", "LoadBalancerFlags", "PortMappingFlags"]

_SCHEMA = {"Major": 2, "Minor": 0}
#: So many flows are remembered; the oldest is forgotten for a new one.
_MOST_FLOWS = 1 << 16


class PortMappingFlags(enum.IntFlag):
    """What a port mapping is for."""

    ILB = 1
    LOCAL_ROUTED_VIP = 2
    USE_MUX = 4
    PRESERVE_DIP = 8
    VIP_EXTERNAL_IP = 16


class LoadBalancerFlags(enum.IntFlag):
    """How a load balancer works: *DSR* lets answers go straight to the client."""

    DSR = 1
    IPV6 = 2


class Distribution(enum.IntEnum):
    """By what a backend is chosen."""

    CONNECTION = 0
    CLIENT_IP = 2


@attrs.frozen(kw_only=True)
class HnsEndpoint:
    """One address of the virtual network: a pod of this host, or (*remote*) one elsewhere, behind a *provider* address."""

    id: str
    ip: str
    mac: str = ""
    remote: bool = False
    provider: str = ""

    def to_json(self) -> dict[str, Any]:
        """As HNS takes it."""
        policies = [{"Type": "PA", "Settings": {"ProviderAddress": self.provider}}] if self.provider else []
        return {
            "ID": self.id,
            "IpConfigurations": [{"IpAddress": self.ip}],
            "MacAddress": self.mac,
            "Flags": int(self.remote),
            "Policies": policies,
            "SchemaVersion": _SCHEMA,
        }


@attrs.frozen(kw_only=True)
class HnsLoadBalancer:
    """
    One load-balancer policy: packets of *protocol* (a number) to *vip* (empty: the host's own addresses) and
    *external_port* go to *internal_port* of one of *endpoints* (by their ids).
    """

    id: str
    vip: str
    protocol: int
    internal_port: int
    external_port: int
    endpoints: tuple[str, ...]
    source_vip: str = ""
    flags: LoadBalancerFlags = attrs.field(default=LoadBalancerFlags(0))
    mapping: PortMappingFlags = attrs.field(default=PortMappingFlags(0))
    distribution: Distribution = Distribution.CONNECTION

    def to_json(self) -> dict[str, Any]:
        """As HNS takes it."""
        return {
            "ID": self.id,
            "HostComputeEndpoints": list(self.endpoints),
            "SourceVIP": self.source_vip,
            "FrontendVIPs": [self.vip] if self.vip else [],
            "PortMappings": [
                {
                    "Protocol": self.protocol,
                    "InternalPort": self.internal_port,
                    "ExternalPort": self.external_port,
                    "DistributionType": int(self.distribution),
                    "Flags": int(self.mapping),
                }
            ],
            "Flags": int(self.flags),
            "SchemaVersion": _SCHEMA,
        }


@attrs.frozen
class Decision:
    """
    Where a packet goes: to *endpoint* and its *port*, from *source*; *direct*: the answer does not come back by this host.

    With *keeps_destination* the endpoint sees the service's address instead of its own.
    """

    endpoint: HnsEndpoint
    port: int
    source: str
    direct: bool = False
    keeps_destination: bool = False


class Hns:
    """
    A host's virtual network of a *type* (L2Bridge or Overlay), its endpoints and load balancers.

    *subnets* maps the networks of other hosts' pods to their provider addresses. Without *dsr* no load balancer may ask
    for direct return; with *modifies* they can be changed in place. *mac* is the host's.

    >>> hns = Hns(addresses=["192.0.2.10"])
    >>> hns.add_endpoint(HnsEndpoint(id="pod", ip="10.244.1.5"))
    >>> hns.add_load_balancer(HnsLoadBalancer(
    ...     id="web", vip="10.96.0.10", protocol=6, internal_port=8080, external_port=80, endpoints=("pod",)))
    >>> decision = hns.decide(Packet.tcp("10.244.1.9:40000", "10.96.0.10:80"))
    >>> decision.endpoint.ip, decision.port, decision.source
    ('10.244.1.5', 8080, '192.0.2.10')
    """

    def __init__(
        self,
        *,
        type: str = "L2Bridge",
        addresses: Iterable[str] = (),
        subnets: dict[Prefix, str] | None = None,
        dsr: bool = True,
        modifies: bool = True,
        mac: str = "00-15-5d-00-00-01",
    ) -> None:
        if type not in ("L2Bridge", "Overlay"):
            raise ConfigError(f"a network is L2Bridge or Overlay, not {type!r}")
        self.type, self.addresses = type, tuple(str(parse_address(text)) for text in addresses)
        self.subnets = subnets or {}
        self.dsr, self.modifies, self.mac = dsr, modifies, mac
        self.endpoints: dict[str, HnsEndpoint] = {}
        self.load_balancers: dict[str, HnsLoadBalancer] = {}
        self._flows: dict[tuple[int, int, int, int, int, int], str] = {}

    # -- what is configured -------------------------------------------------------------------------------------------

    def add_endpoint(self, endpoint: HnsEndpoint) -> None:
        """Enter an endpoint; two with one id, or with one address, are refused."""
        if endpoint.id in self.endpoints or self.endpoint_at(endpoint.ip) is not None:
            raise ExistsError(f"there is already an endpoint {endpoint.id} or one at {endpoint.ip}")
        self.endpoints[endpoint.id] = endpoint

    def remove_endpoint(self, id: str) -> None:
        """Take an endpoint away that no load balancer uses."""
        if id not in self.endpoints:
            raise MissingError(f"there is no endpoint {id}")
        if any(id in balancer.endpoints for balancer in self.load_balancers.values()):
            raise ConfigError(f"the endpoint {id} is in use")
        del self.endpoints[id]

    def endpoint_at(self, ip: str) -> HnsEndpoint | None:
        """The endpoint that has an address."""
        return next((each for each in self.endpoints.values() if each.ip == ip), None)

    def add_load_balancer(self, balancer: HnsLoadBalancer) -> None:
        """Enter a load balancer; its endpoints have to be there, and nobody else may have its front."""
        if balancer.id in self.load_balancers:
            raise ExistsError(f"there is already a load balancer {balancer.id}")
        self._check(balancer)
        self.load_balancers[balancer.id] = balancer

    def change_load_balancer(self, balancer: HnsLoadBalancer) -> None:
        """Change one in place; flows that are under way keep their endpoint if it is still there."""
        if balancer.id not in self.load_balancers:
            raise MissingError(f"there is no load balancer {balancer.id}")
        if not self.modifies:
            raise ConfigError("this HNS cannot change load balancers in place")
        self._check(balancer)
        self.load_balancers[balancer.id] = balancer

    def remove_load_balancer(self, id: str) -> None:
        """Take a load balancer away; a flow goes on if another one at its front has its endpoint."""
        if self.load_balancers.pop(id, None) is None:
            raise MissingError(f"there is no load balancer {id}")

    def _check(self, balancer: HnsLoadBalancer) -> None:
        if not balancer.endpoints:
            raise ConfigError(f"the load balancer {balancer.id} has no endpoints")
        for id in balancer.endpoints:
            if id not in self.endpoints:
                raise MissingError(f"load balancer {balancer.id}: there is no endpoint {id}")
        if balancer.flags & LoadBalancerFlags.DSR and not self.dsr:
            raise ConfigError("this HNS does not know direct server return")
        front = (balancer.vip, balancer.protocol, balancer.external_port)
        for other in self.load_balancers.values():
            if other.id != balancer.id and front == (other.vip, other.protocol, other.external_port):
                raise ExistsError(f"the load balancer {other.id} has that front already")

    # -- what packets meet --------------------------------------------------------------------------------------------

    def find(self, packet: Packet) -> HnsLoadBalancer | None:
        """The load balancer that a packet is for."""
        target = format_address(packet.family, packet.dst)
        for balancer in self.load_balancers.values():
            fits = (packet.proto, packet.dport) == (balancer.protocol, balancer.external_port)
            if fits and (target == balancer.vip or (not balancer.vip and target in self.addresses)):
                return balancer
        return None

    def decide(self, packet: Packet) -> Decision | None:
        """Where a packet goes; None if it is for no load balancer."""
        balancer = self.find(packet)
        if balancer is None:
            return None
        key = (packet.family, packet.proto, packet.src, packet.sport, packet.dst, packet.dport)
        chosen = self._flows.get(key)
        if chosen is None or chosen not in balancer.endpoints:
            if len(self._flows) >= _MOST_FLOWS:
                del self._flows[next(iter(self._flows))]
            chosen = self._flows[key] = self._choose(balancer, packet)
        endpoint, direct = self.endpoints[chosen], bool(balancer.flags & LoadBalancerFlags.DSR)
        client = format_address(packet.family, packet.src)
        own = balancer.source_vip or next((a for a in self.addresses if (":" in a) == (":" in client)), client)
        keeps = bool(balancer.mapping & PortMappingFlags.PRESERVE_DIP)
        return Decision(endpoint, balancer.internal_port, client if direct else own, direct, keeps)

    def forget_flows(self) -> None:
        """Let every flow choose anew."""
        self._flows.clear()

    @staticmethod
    def _choose(balancer: HnsLoadBalancer, packet: Packet) -> str:
        ends = [packet.src, packet.dst]
        if balancer.distribution is Distribution.CONNECTION:
            ends += [packet.proto, packet.sport, packet.dport]
        digest = hashlib.blake2b(repr(ends).encode(), digest_size=8).digest()
        return balancer.endpoints[int.from_bytes(digest) * len(balancer.endpoints) >> 64]

    def __iter__(self) -> Iterator[HnsLoadBalancer]:
        return iter(self.load_balancers.values())

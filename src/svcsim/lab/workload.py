"""
Clusters to measure with: many services, and the texts by which kube-proxy programs them.

Behaviour of: kube-proxy's iptables mode (the full and the partial sync) and the virtual servers of its ipvs mode.
Chain names, comments and the order of rules are kube-proxy's. Affinity and traffic policies are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from svcsim.addr import Family, Prefix, format_address
from svcsim.errors import ConfigError
from svcsim.kube.chains import table_text
from svcsim.kube.config import ProxyConfig
from svcsim.kube.detector import LocalDetector
from svcsim.kube.iptables_names import ChainNames, endpoint_chain
from svcsim.kube.iptables_rules import PortRules, RuleStyle
from svcsim.kube.iptables_text import CANARY, JUMPS, Tables, sync_tables
from svcsim.kube.state import EndpointInfo, ServedPort, ServicePortInfo, ServicePortName
from svcsim.kube.topology import Choice
from svcsim.rng import Streams

__all__ = ["POD_CIDR", "Portal", "endpoint_swapped", "make_portals", "ruleset", "sync", "virtual_servers"]

#: Where pods live; what comes from elsewhere is masqueraded on its way to a cluster IP.
POD_CIDR = "10.244.0.0/16"
#: Where cluster IPs are drawn from: the service network of a kubeadm cluster.
_SERVICE_CIDR = Prefix.parse("10.96.0.0/12")
_POD_NETWORK = Prefix.parse(POD_CIDR)
_PORTS = (80, 443, 8080, 9090, 5432, 6379)
_STYLE = RuleStyle(LocalDetector("-s", POD_CIDR))
_HOOKS = {
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
}


def _in_order(endpoints: Iterable[str]) -> tuple[str, ...]:
    """As kube-proxy sorts them: as text, so 10.0.0.10 comes before 10.0.0.9."""
    return tuple(sorted(endpoints))


@attrs.frozen
class Portal:
    """
    One port of one service: where it is reached, and the *endpoints* (``address:port``) behind it.

    *name* is ``namespace/service:port``. The names of its chains are hashes, as kube-proxy makes them.

    >>> web = Portal("ns1/svc1:p80", "tcp", "10.20.30.41", 80, ("10.180.0.1:80",))
    >>> web.chain("SVC"), web.endpoint_chain("10.180.0.1:80")
    ('KUBE-SVC-XPGD46QRK7WJZT7O', 'KUBE-SEP-SXIVWICOYRO3J4NJ')
    """

    name: str
    proto: str
    address: str
    port: int
    endpoints: tuple[str, ...] = attrs.field(converter=_in_order)
    node_port: int = 0

    def chain(self, kind: str) -> str:
        """The name of its chain of a *kind*: SVC (its endpoints) or EXT (what comes from outside)."""
        names = ChainNames(self.served.info.name)
        return names.external if kind == "EXT" else names.cluster

    def endpoint_chain(self, endpoint: str) -> str:
        """The name of the chain of one endpoint."""
        return endpoint_chain(self.served.info.name, endpoint)

    @property
    def chains(self) -> tuple[str, ...]:
        """Every chain of its own, in the order in which kube-proxy writes them."""
        return self.rules.chains

    @property
    def served(self) -> ServedPort:
        """What a kube-proxy serves of it."""
        namespace, _, rest = self.name.partition("/")
        service, _, port = rest.partition(":")
        info = ServicePortInfo(
            name=ServicePortName(namespace, service, port, self.proto.upper()),
            cluster_ip=self.address,
            port=self.port,
            node_port=self.node_port,
        )
        ends = (each.rpartition(":") for each in self.endpoints)
        return ServedPort(info, tuple(EndpointInfo(address=address, port=int(port)) for address, _, port in ends))

    @property
    def rules(self) -> PortRules:
        """Its rules in iptables mode."""
        served = self.served
        return PortRules(served, Choice(served.endpoints, (), served.endpoints, bool(served.endpoints)), _STYLE)

    def __str__(self) -> str:
        return f"{self.name} {self.proto} {self.address}:{self.port}"


def make_portals(services: int, endpoints: int = 3, *, seed: int = 0) -> list[Portal]:
    """
    Make that many TCP services of *endpoints* endpoints each, at cluster IPs drawn at random as an API server does.

    The first few of a seed are the same however many are made.

    >>> [str(portal) for portal in make_portals(2)] == [str(portal) for portal in make_portals(9)[:2]]
    True
    """
    if services < 0 or endpoints < 0:
        raise ConfigError(f"a cluster of {services} services with {endpoints} endpoints each")
    room = (1 << 32 - _SERVICE_CIDR.mask.bit_count()) - 2
    hosts = (1 << 32 - _POD_NETWORK.mask.bit_count()) - 512
    if services > room // 2:
        raise ConfigError(f"no room for {services} cluster IPs in {_SERVICE_CIDR}")
    if services * endpoints > hosts * 1000:
        raise ConfigError(f"no room for {services * endpoints} endpoints in {_POD_NETWORK}")
    streams = Streams(seed)
    addresses, ports = streams["cluster IP"], streams["service port"]
    taken: set[int] = set()
    made = []
    for number in range(services):
        address = addresses.below(room) + 1
        while address in taken:
            address = addresses.below(room) + 1
        taken.add(address)
        pods = range(number * endpoints, (number + 1) * endpoints)
        made.append(
            Portal(
                f"load/svc-{number:06}:web",
                "tcp",
                format_address(Family.IPV4, _SERVICE_CIDR.value + address),
                _PORTS[ports.below(len(_PORTS))],
                tuple(f"{format_address(4, _POD_NETWORK.value + 512 + p % hosts)}:{8080 + p // hosts}" for p in pods),
            )
        )
    return made


def endpoint_swapped(portal: Portal, index: int = 0) -> Portal:
    """The same service after a rollout moved one of its pods to another port, so to a new endpoint."""
    address, _, port = portal.endpoints[index].rpartition(":")
    moved = f"{address}:{int(port) + 10000}"
    others = portal.endpoints[:index] + portal.endpoints[index + 1 :]
    return attrs.evolve(portal, endpoints=(*others, moved))


# -- iptables mode ----------------------------------------------------------------------------------------------------


def ruleset(portals: Sequence[Portal]) -> str:
    """
    All tables of a node in iptables mode, as text for ``iptables-restore``.

    >>> text = ruleset(make_portals(1, endpoints=2))
    >>> print(*(line for line in text.splitlines() if line.startswith("-A KUBE-SVC")), sep="\\n")  # doctest: +ELLIPSIS
    -A KUBE-SVC-... -m comment --comment "load/svc-000000:web cluster IP" -m tcp -p tcp -d 1... -j KUBE-MARK-MASQ
    -A KUBE-SVC-... -m comment --comment "load/svc-000000:web -> 10.244.2.0:8080" -m statistic --mode random ...
    -A KUBE-SVC-... -m comment --comment "load/svc-000000:web -> 10.244.2.1:8080" -j KUBE-SEP-...
    """
    tables = {"mangle": ((), ()), **_tables(portals, portals)}
    lines = []
    for name, (chains, rules) in tables.items():
        jumps = [jump for jump in reversed(JUMPS) if jump.table == name]  # each was put at the top of its chain
        lines += [f"*{name}", *(f":{hook} ACCEPT [0:0]" for hook in _HOOKS[name])]
        lines += [f":{chain} - [0:0]" for chain in (CANARY, *chains)]
        lines += [f"-A {jump.source} {jump.rule}" for jump in jumps]
        lines += [*rules, "COMMIT"]
    return "\n".join(lines) + "\n"


def sync(portals: Sequence[Portal], *, changed: Iterable[Portal] = (), stale: Iterable[str] = ()) -> str:
    """
    One partial sync, as text for ``iptables-restore --noflush``: what kube-proxy writes when some services changed.

    The rules that lead to services are written anew for all *portals*; the chains behind them for the *changed* ones
    alone. *stale* chains are flushed and deleted.
    """
    return "".join(table_text(name, *table) for name, table in _tables(portals, changed, tuple(stale)).items())


def _tables(portals: Iterable[Portal], changed: Iterable[Portal], stale: Sequence[str] = ()) -> Tables:
    written = {portal.served.info.name for portal in changed}
    return sync_tables((portal.rules for portal in portals), written, ProxyConfig(), stale=stale)


# -- ipvs mode --------------------------------------------------------------------------------------------------------


def virtual_servers(portals: Iterable[Portal], *, node: Sequence[str] = (), scheduler: str = "rr") -> str:
    """
    The virtual servers of ipvs mode, as text for ``ipvsadm --restore``; node ports stand at each address of the *node*.

    >>> print(virtual_servers([Portal("a/b:c", "udp", "10.96.0.10", 53, ("10.244.1.5:53",))]), end="")
    -A -u 10.96.0.10:53 -s rr
    -a -u 10.96.0.10:53 -r 10.244.1.5:53 -m -w 1
    """
    lines = []
    for portal in portals:
        outside = [f"{address}:{portal.node_port}" for address in node] if portal.node_port else []
        for address in (f"{portal.address}:{portal.port}", *outside):
            server = f"-{portal.proto[0]} {address}"
            lines.append(f"-A {server} -s {scheduler}")
            lines += [f"-a {server} -r {endpoint} -m -w 1" for endpoint in portal.endpoints]
    return "\n".join(lines) + "\n" if lines else ""

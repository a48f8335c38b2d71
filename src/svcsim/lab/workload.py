"""
Clusters to measure with: many services, and the texts by which kube-proxy programs them.

Behaviour of: kube-proxy's iptables mode (the full and the partial sync) and the virtual servers of its ipvs mode.
Chain names, comments and the order of rules are kube-proxy's. Affinity and traffic policies are left out.
"""

from __future__ import annotations

import hashlib
from base64 import b32encode
from collections.abc import Iterable, Iterator, Sequence

import attrs

from svcsim.addr import Family, Prefix, format_address
from svcsim.errors import ConfigError
from svcsim.rng import Streams

__all__ = ["POD_CIDR", "Portal", "endpoint_swapped", "make_portals", "ruleset", "sync", "virtual_servers"]

#: Where pods live; what comes from elsewhere is masqueraded on its way to a cluster IP.
POD_CIDR = "10.244.0.0/16"
#: Where cluster IPs are drawn from: the service network of a kubeadm cluster.
_SERVICE_CIDR = Prefix.parse("10.96.0.0/12")
_POD_NETWORK = Prefix.parse(POD_CIDR)
_PORTS = (80, 443, 8080, 9090, 5432, 6379)
_MARK = "0x00004000"


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
        return f"KUBE-{kind}-{_hash(self.name + self.proto)}"

    def endpoint_chain(self, endpoint: str) -> str:
        """The name of the chain of one endpoint."""
        return f"KUBE-SEP-{_hash(self.name + self.proto + endpoint)}"

    @property
    def chains(self) -> tuple[str, ...]:
        """Every chain of its own, in the order in which kube-proxy writes them."""
        if not self.endpoints:
            return ()
        outside = (self.chain("EXT"),) if self.node_port else ()
        return (*outside, self.chain("SVC"), *map(self.endpoint_chain, self.endpoints))

    def __str__(self) -> str:
        return f"{self.name} {self.proto} {self.address}:{self.port}"


def _hash(text: str) -> str:
    return b32encode(hashlib.sha256(text.encode()).digest()).decode()[:16]


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
    chains = [chain for portal in portals for chain in portal.chains]
    lines = ["*mangle", *_builtin(_MANGLE_HOOKS), ":KUBE-PROXY-CANARY - [0:0]", "COMMIT"]
    lines += ["*filter", *_builtin(_FILTER_HOOKS), ":KUBE-PROXY-CANARY - [0:0]", *_flushed(_FILTER_CHAINS)]
    lines += [*_FILTER_JUMPS, *_filter_rules(portals), "COMMIT"]
    lines += ["*nat", *_builtin(_NAT_HOOKS), ":KUBE-PROXY-CANARY - [0:0]", *_flushed((*_NAT_CHAINS, *chains))]
    lines += [*_NAT_JUMPS, *_nat_rules(portals, portals), "COMMIT"]
    return "\n".join(lines) + "\n"


def sync(portals: Sequence[Portal], *, changed: Iterable[Portal] = (), stale: Iterable[str] = ()) -> str:
    """
    One partial sync, as text for ``iptables-restore --noflush``: what kube-proxy writes when some services changed.

    The rules that lead to services are written anew for all *portals*; the chains behind them for the *changed* ones
    alone. *stale* chains are flushed and deleted.
    """
    changed, stale = list(changed), list(stale)
    chains = [chain for portal in changed for chain in portal.chains]
    lines = ["*filter", *_flushed(_FILTER_CHAINS), *_filter_rules(portals), "COMMIT"]
    lines += ["*nat", *_flushed((*_NAT_CHAINS, *chains, *stale))]
    lines += [*_nat_rules(portals, changed, stale), "COMMIT"]
    return "\n".join(lines) + "\n"


_MANGLE_HOOKS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
_FILTER_HOOKS = ("INPUT", "FORWARD", "OUTPUT")
_NAT_HOOKS = ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")
_FILTER_CHAINS = (
    "KUBE-SERVICES",
    "KUBE-EXTERNAL-SERVICES",
    "KUBE-FORWARD",
    "KUBE-NODEPORTS",
    "KUBE-PROXY-FIREWALL",
    "KUBE-FIREWALL",
)
_NAT_CHAINS = ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ")


def _jumps(chain: str, *to: tuple[str, str, bool]) -> tuple[str, ...]:
    """Jumps of a built-in chain: each with where it leads, its comment, and whether it is for new connections only."""
    new = "-m conntrack --ctstate NEW "
    return tuple(
        f"-A {chain} {new if only_new else ''}{_comment(comment) + ' ' if comment else ''}-j {target}"
        for target, comment, only_new in to
    )


def _comment(text: str) -> str:
    return f'-m comment --comment "{text}"'


_SERVICES = ("KUBE-SERVICES", "kubernetes service portals", True)
_EXTERNAL = ("KUBE-EXTERNAL-SERVICES", "kubernetes externally-visible service portals", True)
_GUARD = ("KUBE-PROXY-FIREWALL", "kubernetes load balancer firewall", True)
_HEALTH = ("KUBE-NODEPORTS", "kubernetes health check service ports", False)
_FORWARD = ("KUBE-FORWARD", "kubernetes forwarding rules", False)
_LOOPBACK = ("KUBE-FIREWALL", "", False)
# kube-proxy inserts each jump at the top when it finds it missing, so they stand in the reverse of that order.
_FILTER_JUMPS = (
    *_jumps("INPUT", _LOOPBACK, _GUARD, _HEALTH, _EXTERNAL),
    *_jumps("FORWARD", _GUARD, _FORWARD, _SERVICES, _EXTERNAL),
    *_jumps("OUTPUT", _LOOPBACK, _GUARD, _SERVICES),
)
_NAT_JUMPS = (
    *_jumps("PREROUTING", ("KUBE-SERVICES", "kubernetes service portals", False)),
    *_jumps("OUTPUT", ("KUBE-SERVICES", "kubernetes service portals", False)),
    *_jumps("POSTROUTING", ("KUBE-POSTROUTING", "kubernetes postrouting rules", False)),
)


def _builtin(hooks: Iterable[str]) -> list[str]:
    return [f":{hook} ACCEPT [0:0]" for hook in hooks]


def _flushed(chains: Iterable[str]) -> list[str]:
    return [f":{chain} - [0:0]" for chain in chains]


def _filter_rules(portals: Sequence[Portal]) -> Iterator[str]:
    yield (
        f"-A KUBE-FIREWALL {_comment('block incoming localnet connections')} -d 127.0.0.0/8 ! -s 127.0.0.0/8 "
        "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"
    )
    for portal in portals:
        if not portal.endpoints:
            why, proto = _comment(f"{portal.name} has no endpoints"), f"-m {portal.proto} -p {portal.proto}"
            yield f"-A KUBE-SERVICES {why} {proto} -d {portal.address} --dport {portal.port} -j REJECT"
            if portal.node_port:
                local = "-m addrtype --dst-type LOCAL"
                yield f"-A KUBE-EXTERNAL-SERVICES {why} {local} {proto} --dport {portal.node_port} -j REJECT"
    yield "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP"
    yield f"-A KUBE-FORWARD {_comment('kubernetes forwarding rules')} -m mark --mark {_MARK}/{_MARK} -j ACCEPT"
    established = "-m conntrack --ctstate RELATED,ESTABLISHED"
    yield f"-A KUBE-FORWARD {_comment('kubernetes forwarding conntrack rule')} {established} -j ACCEPT"


def _nat_rules(portals: Sequence[Portal], changed: Iterable[Portal], stale: Iterable[str] = ()) -> Iterator[str]:
    snat = _comment("kubernetes service traffic requiring SNAT")
    yield f"-A KUBE-POSTROUTING -m mark ! --mark {_MARK}/{_MARK} -j RETURN"
    yield f"-A KUBE-POSTROUTING -j MARK --xor-mark {_MARK}"
    yield f"-A KUBE-POSTROUTING {snat} -j MASQUERADE --random-fully"
    yield f"-A KUBE-MARK-MASQ -j MARK --or-mark {_MARK}"
    written = {id(portal) for portal in changed}
    for portal in portals:
        if portal.endpoints:
            proto = f"-m {portal.proto} -p {portal.proto}"
            here = f"{_comment(f'{portal.name} cluster IP')} {proto} -d {portal.address} --dport {portal.port}"
            yield f"-A KUBE-SERVICES {here} -j {portal.chain('SVC')}"
            if portal.node_port:
                name = f"-m comment --comment {portal.name}"
                yield f"-A KUBE-NODEPORTS {name} {proto} --dport {portal.node_port} -j {portal.chain('EXT')}"
            if id(portal) in written:
                yield from _own_rules(portal, proto, here)
    for chain in stale:
        yield f"-X {chain}"
    last = _comment("kubernetes service nodeports; NOTE: this must be the last rule in this chain")
    yield f"-A KUBE-SERVICES {last} -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"


def _own_rules(portal: Portal, proto: str, here: str) -> Iterator[str]:
    """The rules of the chains that are a service's own."""
    service, outside = portal.chain("SVC"), portal.chain("EXT")
    yield f"-A {service} {here} ! -s {POD_CIDR} -j KUBE-MARK-MASQ"
    if portal.node_port:
        why = _comment(f"masquerade traffic for {portal.name} external destinations")
        yield f"-A {outside} {why} -j KUBE-MARK-MASQ"
        yield f"-A {outside} -j {service}"
    count = len(portal.endpoints)
    for index, endpoint in enumerate(portal.endpoints):
        # Of those that come this far each rule takes its share; the last takes all that is left.
        chance = f" -m statistic --mode random --probability {1 / (count - index):.10f}" if index < count - 1 else ""
        where = _comment(f"{portal.name} -> {endpoint}")
        yield f"-A {service} {where}{chance} -j {portal.endpoint_chain(endpoint)}"
    for endpoint in portal.endpoints:
        chain, name = portal.endpoint_chain(endpoint), f"-m comment --comment {portal.name}"
        yield f"-A {chain} {name} -s {endpoint.rpartition(':')[0]} -j KUBE-MARK-MASQ"
        yield f"-A {chain} {name} {proto} -j DNAT --to-destination {endpoint}"


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

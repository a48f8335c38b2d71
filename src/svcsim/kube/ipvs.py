"""
The ipvs mode: virtual servers in the kernel's load balancer, whose addresses are the node's own.

Behaviour of: kube-proxy v1.36, ``mode: ipvs``; pinned by the flows recorded on a kernel with IPVS and by the corpus
scenarios ipvs-kubeproxy-*. Every sync is a full one: it looks at what the node has and changes what differs, but for the
few iptables rules, which are written anew each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import attrs

from svcsim.addr import Family, format_address
from svcsim.clock import SECOND
from svcsim.errors import ConfigError, MissingError
from svcsim.kube.chains import missing_chains, missing_jumps, tool_of
from svcsim.kube.detector import local_detector
from svcsim.kube.ipvs_plan import IPVSPlan, make_plan
from svcsim.kube.ipvs_rules import CHAINS, JUMPS, restore_text
from svcsim.kube.ipvs_servers import Leaving, ended, server_changes, unwanted_servers
from svcsim.kube.ipvs_sets import missing_sets, set_changes
from svcsim.kube.node_ports import NodePortAddresses, is_loopback, node_addresses
from svcsim.kube.programmer import PROXY_MODES, Program, Programmer, Step
from svcsim.kube.state import ProxyState
from svcsim.lb.scheduler import make_scheduler
from svcsim.node import Node

__all__ = ["IPVSProgrammer"]

#: The device that holds the services' addresses. It is never up: its addresses are local all the same.
_DEVICE = "kube-ipvs0"
#: How often the destinations that wait for their connections to end are looked at, in nanoseconds.
_TERMINATION_PERIOD = 60 * SECOND
#: The kernels between which a connection that comes again from the same port is not scheduled anew.
_KEEPS_REUSED = ((4, 1), (5, 9))


@PROXY_MODES.register("ipvs")
@attrs.define(eq=False)
class IPVSProgrammer(Programmer[Node]):
    """
    kube-proxy's ipvs mode on one node, for one family.

    Destinations that shall go and still have connections are *leaving*. kube-proxy looks at them each minute; so does
    `tick`, and a `sync` that comes a minute or more after the last look.

    >>> from svcsim.kube.config import ProxyConfig
    >>> from svcsim.kube.state import EndpointInfo, NodeInfo, ServedPort, ServicePortInfo, ServicePortName
    >>> web = ServicePortInfo(name=ServicePortName("default", "web", "", "TCP"), cluster_ip="10.96.0.10", port=80)
    >>> served = ServedPort(web, (EndpointInfo(address="10.244.0.5", port=8080),))
    >>> state = ProxyState(family=Family.IPV4, node=NodeInfo(name="a"), config=ProxyConfig(mode="ipvs"), ports=(served,))
    >>> node, proxy = Node(), IPVSProgrammer()
    >>> proxy.sync(state, node).apply(node)
    >>> print(node.run("ipvsadm -Sn").stdout, end="")
    -A -t 10.96.0.10:80 -s rr
    -a -t 10.96.0.10:80 -r 10.244.0.5:8080 -m -w 1
    >>> [step.command for step in proxy.sync(state, node).steps]
    ['iptables-restore --noflush --counters']
    """

    tick_period: ClassVar[int] = _TERMINATION_PERIOD

    leaving: Leaving = attrs.field(factory=Leaving)
    _first: bool = True
    _looked: int = 0

    def sync(self, state: ProxyState, node: Node) -> Program:
        """Say what has to be done on *node* so that it serves *state*; a scheduler that it has not is refused."""
        settings, family = state.config.ipvs, state.family
        try:
            make_scheduler(settings.scheduler or "rr", node.kernel)
        except MissingError:
            raise ConfigError(f"ipvs.scheduler: this kernel has no scheduler {settings.scheduler!r}") from None
        held, own = node.rules[family], _own_addresses(node, family)
        plan = make_plan(state, own, _node_port_addresses(state, node, own))
        text = restore_text(plan, family, state.config, local_detector(state.config, state.node, family))
        steps = [
            *_parameters(state, node),
            *missing_chains(held, ((table, chain) for table, chains in CHAINS.items() for chain in chains)),
            *missing_jumps(held, JUMPS),
            *([] if _DEVICE in node.devices else [Step(f"ip link add {_DEVICE} type dummy")]),
            *missing_sets(node.ipsets, family),
            *server_changes(node.ipvs, plan.servers, self.leaving, first=self._first),
            *(self._look(node) if node.clock.now - self._looked >= _TERMINATION_PERIOD else ()),
            *_bindings(plan, node, family),
            *set_changes(node.ipsets, plan.entries, family),
            Step(f"{tool_of(family)}-restore --noflush --counters", text),
            *_unbindings(plan, node, family),
            *unwanted_servers(node.ipvs, plan.servers, family, settings.exclude_cidrs, self.leaving),
        ]
        self._first = False
        return Program(tuple(steps))

    def tick(self, node: Node) -> Program:
        """Say which of the destinations that are leaving can go now; due each minute."""
        return Program(tuple(self._look(node)))

    def failed(self) -> None:
        """The last program did not work: begin anew, as a process that has just started."""
        self.leaving = Leaving()
        self._first = True

    def _look(self, node: Node) -> list[Step]:
        self._looked = node.clock.now
        return ended(node.ipvs, self.leaving)


def _parameters(state: ProxyState, node: Node) -> Iterator[Step]:
    """The kernel's parameters and IPVS's timeouts that are not yet as this mode has them."""
    settings = state.config.ipvs
    wanted = {
        "net.ipv4.vs.conntrack": 1,
        **({"net.ipv4.vs.conn_reuse_mode": 0} if _KEEPS_REUSED[0] <= node.kernel < _KEEPS_REUSED[1] else {}),
        "net.ipv4.vs.expire_nodest_conn": 1,
        "net.ipv4.vs.expire_quiescent_template": 1,
        "net.ipv4.ip_forward": 1,
        **({"net.ipv4.conf.all.arp_ignore": 1, "net.ipv4.conf.all.arp_announce": 2} if settings.strict_arp else {}),
    }
    for name, value in wanted.items():
        if node.sysctls[name] != value:
            yield Step(f"sysctl -qw {name}={value}")
    timeouts = (settings.tcp_timeout, settings.tcp_fin_timeout, settings.udp_timeout)
    if any(given not in (0, now) for given, now in zip(timeouts, node.ipvs.timeouts, strict=True)):
        yield Step(f"ipvsadm --set {' '.join(map(str, timeouts))}")


def _bindings(plan: IPVSPlan, node: Node, family: Family) -> Iterator[Step]:
    held = set(_addresses_of(node, _DEVICE, family))
    for address in plan.bound:
        if address not in held:
            yield Step(f"ip addr add {address}/{family.bits} dev {_DEVICE}")


def _unbindings(plan: IPVSPlan, node: Node, family: Family) -> Iterator[Step]:
    wanted = set(plan.bound)
    for address in _addresses_of(node, _DEVICE, family):
        if address not in wanted:
            yield Step(f"ip addr del {address}/{family.bits} dev {_DEVICE}")


def _addresses_of(node: Node, name: str, family: Family) -> list[str]:
    device = node.devices.get(name)
    return [format_address(family, each.address) for each in device.of_family(family)] if device is not None else []


def _own_addresses(node: Node, family: Family) -> list[str]:
    """The node's addresses of *family*, but for loopback, link-local ones, and those of this mode's own device."""
    held = (format_address(family, each) for each in node_addresses(node, family, without=_DEVICE))
    return [each for each in held if not is_loopback(each) and not each.startswith("fe80:")]


def _node_port_addresses(state: ProxyState, node: Node, own: list[str]) -> list[str]:
    chosen = NodePortAddresses.of(state.config, state.node, state.family)
    return own if chosen.all else [each for each in chosen.found_on(node) if not is_loopback(each)]

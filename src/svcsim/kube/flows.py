"""
What becomes of packets on a node that a proxy has programmed: every endpoint that can be chosen, or why there is none.

Nothing is read out of rules: real packets are carried through an emulated node. In the iptables mode every random
branch is followed; in the ipvs mode so many connections are made that every scheduler has shown whom it can choose; in the
userspace mode whoever the process serves has a turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import svcsim.kube.iptables
import svcsim.kube.ipvs
import svcsim.kube.userspace  # noqa: F401 - the built-in modes enter PROXY_MODES
from svcsim.addr import Prefix, format_address, parse_address
from svcsim.errors import UnsupportedError
from svcsim.explain.copying import twin
from svcsim.kube.chains import tool_of
from svcsim.kube.flows_file import Flow, FlowAnswer, FlowCase, state_of
from svcsim.kube.node_ports import is_loopback, node_addresses
from svcsim.kube.programmer import PROXY_MODES, Program, Programmer, Step
from svcsim.kube.state import ProxyState, host_port
from svcsim.kube.userspace import UserspaceProgrammer
from svcsim.node import Node
from svcsim.outcome import Outcome
from svcsim.packet import Packet
from svcsim.trace import Dropped, Rewritten, RuleMatched, Scheduled, Trace

__all__ = ["FlowNodeUnderTest", "answer_case"]

#: The modes of which flows can be answered.
_MODES = ("iptables", "ipvs", "userspace")
#: Of a random choice, so many ways are followed.
_MOST_WAYS = 1 << 14
#: A scheduler is asked at least so often, and so many times for each endpoint.
_LEAST_CONNECTIONS, _CONNECTIONS_EACH = 24, 12
_MOST_CONNECTIONS = 20_000
#: So many rules that would each refuse one packet are told.
_MOST_REFUSALS = 8
_REFUSING = {"DROP", "REJECT"}
#: After so many seconds a connection that was never answered is forgotten.
_FORGOTTEN = 200


def answer_case(case: FlowCase, cases: Mapping[str, FlowCase]) -> list[FlowAnswer]:
    """
    Answer every flow of a *case*; *cases* holds the one that it comes after.

    >>> from svcsim.kube.flows_file import read_flows
    >>> web = {"metadata": {"name": "web"}, "spec": {"clusterIP": "10.96.0.10", "ports": [{"port": 80}]}}
    >>> flow = {"name": "pod", "sourceIP": "10.244.0.9", "protocol": "TCP", "destIP": "10.96.0.10", "destPort": 80}
    >>> import json
    >>> cases = read_flows(json.dumps({"cases": [{"name": "none", "family": "IPv4", "node": {"name": "a"},
    ...     "config": {"mode": "iptables"}, "services": [web], "flows": [flow]}]}), "none.json")
    >>> answer_case(cases["none"], cases)
    [FlowAnswer(output='REJECT', masq=False)]
    """
    steps = [case]
    while steps[0].after:
        steps.insert(0, cases[steps[0].after])
    tested = FlowNodeUnderTest(case)
    for step in steps:
        tested.program(step)
    return [tested.answer(flow) for flow in case.flows]


class FlowNodeUnderTest:
    """
    The node of a case, and its proxy.

    Its first device leads to the world and stands for every other node too; pods of this node are behind a device of
    their own, whose name is the bridge's or begins as the configuration says that pods' devices do.
    """

    def __init__(self, case: FlowCase) -> None:
        config = case.config
        if config.mode not in _MODES:
            raise UnsupportedError(f"flows of the {config.mode} mode", instead=f"one of {', '.join(_MODES)}")
        self.node = Node()
        self._programmer: Programmer[Node] = PROXY_MODES[config.mode]()
        self._state: ProxyState | None = None
        prefix = f"{config.interfaceNamePrefix}0" if config.interfaceNamePrefix else ""
        self._pods = config.bridgeInterface or prefix or "cni0"
        for name, addresses in case.node.interfaces.items():
            if name == "lo":
                self._run(f"ip addr replace {text} dev lo" for text in addresses)
            else:
                self.node.add_interface(name, addresses)
        if self._pods not in self.node.devices:  # a device without an address of its own has the node's
            own = map(parse_address, case.node.nodeIPs)
            self.node.add_interface(self._pods, [f"{each}/{each.family.bits}" for each in own])
        self._world = next(name for name in self.node.devices if name != "lo")
        self._networks = [Prefix.parse(text) for text in (*config.clusterCIDRs, *case.node.podCIDRs)]
        self._run(f"ip route replace {network} dev {self._pods}" for network in self._networks)
        self._run(f"ip {option} route replace default dev {self._world}" for option in ("-4", "-6"))
        self._run(["sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"])

    def _run(self, commands: Iterable[str]) -> None:
        Program(tuple(map(Step, commands))).apply(self.node)

    def program(self, case: FlowCase) -> None:
        """Have the proxy serve what *case* says."""
        self._state = state_of(case)
        self._programmer.sync(self._state, self.node).apply(self.node)

    def answer(self, flow: Flow) -> FlowAnswer:
        """What becomes of *flow* now; nothing here changes."""
        iface = self._iface_of(flow)
        if any(True for _ in self.node.ipvs.services):
            found = [_answer_of(flow.packet(), outcome) for outcome in self._connections(flow, iface)]
        else:
            asked = self.node.explain(flow.packet(), iface, branches=True, most=_MOST_WAYS)
            found = [_answer_of(branch.way.packet, branch.way.outcome) for branch in asked.branches or ()]
            if any(each.output in _REFUSING for each in found):
                return FlowAnswer(output=", ".join(self._refusals(flow, iface)), masq=False)
        if isinstance(self._programmer, UserspaceProgrammer):
            found = [self._passed_on(flow, each) for each in found]
        outputs = sorted({each.output for each in found if each.output})
        return FlowAnswer(output=", ".join(outputs), masq=any(each.masq for each in found))

    def _passed_on(self, flow: Flow, answer: FlowAnswer) -> FlowAnswer:
        """What the process of the userspace mode does with what it gets: every endpoint has its turn, or it hangs up."""
        assert isinstance(self._programmer, UserspaceProgrammer)
        assert self._state is not None
        names = {f":{port}": name for name, port in self._programmer.ports.items()}
        name = next((name for port, name in names.items() if answer.output.endswith(port)), None)
        if name is None:
            return answer
        served = next(port for port in self._state.ports if port.info.name == name)
        ends = sorted(str(each) for each in served.endpoints if each.ready)
        nobody = "DROP" if flow.protocol == "UDP" else "REJECT"
        return FlowAnswer(output=", ".join(ends) or nobody, masq=bool(ends))

    def _iface_of(self, flow: Flow) -> str:
        """Where a flow comes in; empty if this node sends it, be it with the service's address as its source."""
        source = parse_address(flow.sourceIP)
        own = source.value in node_addresses(self.node, source.family) or is_loopback(flow.sourceIP)
        if own or flow.sourceIP == flow.destIP:
            return ""
        of_a_pod = any(each.family is source.family and source.value in each for each in self._networks)
        return self._pods if of_a_pod else self._world

    def _connections(self, flow: Flow, iface: str) -> Iterator[Outcome]:
        """So many connections, one after the other, that every scheduler has shown whom it can choose."""
        assert self._state is not None
        node = twin(self.node)
        most = max((len(port.endpoints) for port in self._state.ports), default=0)
        for number in range(min(max(_LEAST_CONNECTIONS, _CONNECTIONS_EACH * most), _MOST_CONNECTIONS)):
            packet = flow.packet(number)
            yield node.receive(packet, iface, trace=True) if iface else node.send(packet, trace=True)
            kept = max((port.info.affinity_seconds for port in self._state.ports), default=0)
            if kept:  # the next client is another one
                node.advance(kept + _FORGOTTEN)

    def _refusals(self, flow: Flow, iface: str) -> list[str]:
        """What each rule does that alone would refuse *flow*: they are taken away one by one."""
        node, found = twin(self.node), list[str]()
        while len(found) < _MOST_REFUSALS:
            asked = node.explain(flow.packet(), iface)
            event = _refusal(asked.trace)
            if event is None:
                break
            found.append(_target_of(event))
            tool = tool_of(asked.packet.family)
            Program((Step(f"{tool} -t {event.table} -D {event.chain.name} {event.number}"),)).apply(node)
        return found


def _answer_of(packet: Packet, outcome: Outcome) -> FlowAnswer:
    """What became of one packet: refused by a rule, led to an endpoint, let in by a rule, or left alone."""
    trace = _trace_of(outcome)
    refused = _refusal(trace)
    if refused is not None:
        return FlowAnswer(output=_target_of(refused), masq=False)
    targets = {(event.table, _target_of(event)) for event in trace if isinstance(event, RuleMatched)}
    masq = ("nat", "MASQUERADE") in targets
    if any(isinstance(event, Dropped) and event.reason.startswith("ipvs:") for event in trace):
        return FlowAnswer(output="REJECT" if any(sent.answer for sent in outcome.sent) else "DROP", masq=False)
    scheduled = next((event for event in trace if isinstance(event, Scheduled)), None)
    if scheduled is not None:
        return FlowAnswer(output=str(scheduled.destination), masq=masq)
    if {("nat", "DNAT"), ("nat", "REDIRECT")} & targets:
        return FlowAnswer(output=_destination(packet, trace), masq=masq)
    stayed = all(sent.answer for sent in outcome.sent)
    return FlowAnswer(output="ACCEPT" if stayed and ("filter", "ACCEPT") in targets else "", masq=masq)


def _trace_of(outcome: Outcome) -> Trace:
    assert outcome.trace is not None, "flows are answered by their traces"
    return outcome.trace


def _refusal(trace: Trace) -> RuleMatched | None:
    """The rule of filter that refused a packet; what follows it is about its answer."""
    rules = (event for event in trace if isinstance(event, RuleMatched) and event.table == "filter")
    return next((event for event in rules if _target_of(event) in _REFUSING), None)


def _target_of(event: RuleMatched) -> str:
    target = event.rule.target
    return getattr(target, "name", "")


def _destination(packet: Packet, trace: Trace) -> str:
    """Where a packet was going in the end."""
    family, at = packet.family, (packet.dst, packet.dport)
    for event in trace:
        if isinstance(event, Rewritten):
            (_, _, _, *before), (_, _, _, *after) = (
                event.before,
                event.after,
            )  # destination, source port, destination port
            if (before[0], before[2]) == at:
                at = after[0], after[2]
    return host_port(format_address(family, at[0]), at[1])

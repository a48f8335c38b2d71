"""
Why a packet goes where it goes: carried on a copy of the node and told, so that the node itself does not notice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from svcsim.errors import ConfigError
from svcsim.explain.answers import answers_of, no_answer, socket_of
from svcsim.explain.branches import Branches, follow
from svcsim.explain.chance import Dice, Script, ScriptedStream
from svcsim.explain.explanation import Explanation
from svcsim.explain.fate import undecided_by
from svcsim.explain.world import World
from svcsim.hooks import Owner
from svcsim.outcome import Outcome
from svcsim.packet import Packet
from svcsim.rng import Stream
from svcsim.tables.chain import Chain, Link
from svcsim.tables.matches.statistic import Chance

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["MOST_BRANCHES", "Journey", "explain", "why_dropped"]

#: More ways than this are not gone unless asked for.
MOST_BRANCHES = 1024
_ROOT = Owner()
#: What no packet changes, of that which there is very much of.
_SETTLED = {
    Chain: ("end", "first", "jump", "last", "length", "loose", "name", "outline", "reached", "references"),
    Link: ("aim", "key", "kind", "next", "offset", "rule", "sample", "tests"),
    Chance: ("stream", "threshold", "invert"),
    ScriptedStream: ("key", "_dice"),
}


class Journey:
    """
    A packet that can be sent through a copy of *node* again and again, each time as if it were the first.

    Without an *iface* the host itself sends it, as a process of *owner* and with a *mark*.
    """

    def __init__(self, node: Node, packet: Packet, iface: str, owner: Owner, mark: int) -> None:
        self.packet, self.iface, self._owner, self._mark = packet, iface, owner, mark
        self._dice = Dice()
        self._world = World(node, {Stream: lambda _: ScriptedStream(self._dice)}, _SETTLED)
        self.node: Node = self._world.copy
        self._dice.streams = self.node.streams

    def go(self) -> Outcome:
        """Carry the packet as the node would next."""
        self._world.rewind()
        return self._carry(self.packet, self.iface)

    def _carry(self, packet: Packet, iface: str) -> Outcome:
        self.node.tells_all = True
        if iface:
            return self.node.receive(packet, iface, trace=True)
        return self.node.send(packet, owner=self._owner, mark=self._mark, trace=True)

    def branches(self, most: int) -> Branches[Explanation]:
        """Every way that it can go, up to *most*."""
        return follow(self._go_by, most)

    def _go_by(self, script: Script) -> tuple[str, Explanation]:
        self._world.rewind()
        if self.node.unknown_holds is None:
            self.node.unknown_holds = script.assume
        self._dice.script = script
        try:
            way = Explanation(self.packet, self.iface, self._carry(self.packet, self.iface))
        finally:
            self._dice.script = None
        return way.fate, way

    def answers(self, outcome: Outcome) -> Iterator[Explanation]:
        """
        What comes back after *outcome*, which is how it went last: the peers' answers, one after the other.

        If the host sent the packet, the process that did has a socket that takes them.
        """
        socket = socket_of(self.packet)
        if not self.iface and socket is not None and not self.node.stack.listens(*socket):
            self.node.listen(*socket)
        for packet, iface in answers_of(outcome):
            yield Explanation(packet, iface, self._carry(packet, iface))


def explain(
    node: Node,
    packet: Packet,
    iface: str = "",
    *,
    reply: bool = False,
    branches: bool = False,
    most: int = MOST_BRANCHES,
    owner: Owner = _ROOT,
    mark: int = 0,
) -> Explanation:
    """
    Explain what *node* would do with *packet* from *iface* now; with *reply*, also with the peer's answer to it.

    Without an *iface* the host itself sends it, as a process of *owner* and with a *mark*. With *branches* every random
    choice on its way is followed, each with its probability, up to *most* ways; so it always is if something that is not
    modelled decides, which is then followed both ways.

    It happens on a copy: the node's counters, connections, draws and clock stay as they are, and what is told is what
    `Node.receive` would do next. The copy costs some milliseconds for a small node, and grows with its rules and
    connections; a branch costs about a tenth of that, so that a choice among a thousand endpoints takes some seconds.

    >>> from svcsim.node import Node
    >>> node = Node()
    >>> _ = node.add_interface("cli0", ["192.0.2.1/24"])
    >>> _ = node.run("iptables -A INPUT -p tcp --dport 22 -m statistic --mode random --probability 0.25 -j DROP")
    >>> asked = explain(node, Packet.tcp("192.0.2.9:40000", "192.0.2.1:22"), "cli0", branches=True)
    >>> print(*asked.branches.lines(), sep="\\n")
    dropped by no listener at TCP port 22 with 0.75
    dropped by filter INPUT rule 1: -p tcp -m tcp --dport 22 -m statistic --mode random --probability 0.25000000000 -j DROP with 0.25
    """
    if most < 1:
        raise ConfigError(f"not a number of branches: {most}")
    journey = Journey(node, packet, iface, owner, mark)
    outcome, followed = journey.go(), None
    if branches or outcome.unknown:
        followed = journey.branches(most)
        outcome = journey.go()
    if not reply:
        return Explanation(packet, iface, outcome, branches=followed)
    remark = no_answer(outcome)
    answers = () if remark else tuple(journey.answers(outcome))
    return Explanation(packet, iface, outcome, answers, remark, followed)


def why_dropped(node: Node, packet: Packet, iface: str = "") -> str:
    """
    Say which rule, policy or mechanism would drop *packet*, or what becomes of it if none does.

    >>> from svcsim.node import Node
    >>> node = Node()
    >>> _ = node.add_interface("cli0", ["192.0.2.1/24"])
    >>> _ = node.run("iptables -P INPUT DROP")
    >>> why_dropped(node, Packet.tcp("192.0.2.9:40000", "192.0.2.1:22"), "cli0")
    'filter INPUT: policy DROP'
    """
    explanation = explain(node, packet, iface)
    known = not undecided_by(explanation.outcome)
    return explanation.dropped_by or (f"not dropped: {explanation.fate}" if known else explanation.fate)

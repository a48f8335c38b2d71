"""What tests of rules share: rules drawn at random as text, a host to load them into, packets that meet them."""

from __future__ import annotations

from hypothesis import strategies as st

from svcsim.addr import Family
from svcsim.hooks import Hook, HookState, Skb
from svcsim.node import Node
from svcsim.packet import Packet
from svcsim.tables.chain import Chain
from svcsim.tables.table import Ruleset, Table

__all__ = ["CHAINS", "clauses", "fresh", "load", "packets", "rule_texts", "rulesets", "state_at", "text_of"]

CHAINS = ("FORWARD", "A", "B", "C")

_networks = st.sampled_from(["10.0.0.1/32", "10.0.0.2/32", "10.0.0.0/30", "10.0.0.0/8", "192.0.2.0/24"])
_devices = st.sampled_from(["eth0", "eth1", "eth+", "lo"])
_nots = st.sampled_from(["", "", "! "])


def _header(draw: st.DrawFn) -> list[str]:
    words = []
    for option, values in (("-s", _networks), ("-d", _networks), ("-i", _devices), ("-o", _devices)):
        if draw(st.integers(0, 3)) == 0:
            words.append(f"{draw(_nots)}{option} {draw(values)}")
    return words


@st.composite
def clauses(draw: st.DrawFn) -> str:
    """Matches of a rule with the protocol that they need."""
    inverted = draw(_nots)
    ports = draw(st.sampled_from(["80", "80:90", "53"]))
    return draw(
        st.sampled_from(
            [
                "",
                "-p tcp",
                "! -p udp",
                f"-p tcp -m tcp {inverted}--dport {ports}",
                f"-p udp -m udp {inverted}--sport {ports}",
                f"-p tcp -m multiport {inverted}--ports 53,80:85",
                f"-m mark {inverted}--mark 0x1/0x3",
                f"-m length {inverted}--length 0:40",
                f"-m ttl {inverted}--ttl-eq 64",
                '-m comment --comment "say \\"why\\""',
                f"-m iprange {inverted}--src-range 10.0.0.1-10.0.0.2",
                "-f",
                "! -f",
            ]
        )
    )


@st.composite
def rule_texts(draw: st.DrawFn, chains: tuple[str, ...] = ()) -> str:
    """A rule behind its chain's name; *chains* are those that it may lead to."""
    targets = ["", "-j ACCEPT", "-j DROP", "-j RETURN", "-j MARK --set-xmark 0x1/0x1", "-j MARK --set-xmark 0x2/0x3"]
    targets += [f"-{option} {chain}" for chain in chains for option in "jg"] * 2
    words = [*_header(draw), draw(clauses()), draw(st.sampled_from(targets))]
    return " ".join(word for word in words if word)


@st.composite
def rulesets(draw: st.DrawFn) -> dict[str, list[str]]:
    """Rules of FORWARD and three chains; a chain leads to later ones only, so that there are no loops."""
    return {chain: draw(st.lists(rule_texts(CHAINS[place + 1 :]), max_size=6)) for place, chain in enumerate(CHAINS)}


def text_of(rules: dict[str, list[str]], policy: str = "ACCEPT") -> str:
    """The text of a filter table with these rules."""
    lines = ["*filter", f":FORWARD {policy} [0:0]", *(f":{chain} - [0:0]" for chain in rules if chain != "FORWARD")]
    lines += [f"-A {chain} {rule}".rstrip() for chain, own in rules.items() for rule in own]
    return "\n".join([*lines, "COMMIT", ""])


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    """A packet that the drawn rules can tell from others; some are fragments, some too short."""
    source, destination = (f"10.0.0.{draw(st.integers(1, 4))}" for _ in range(2))
    port = draw(st.sampled_from([53, 80, 85, 7]))
    kind = draw(st.sampled_from(["tcp", "udp", "icmp", "fragment", "short"]))
    ttl = draw(st.sampled_from([64, 3]))
    if kind == "tcp":
        return Packet.tcp(f"{source}:40000", f"{destination}:{port}", ttl=ttl)
    if kind == "udp":
        return Packet.udp(f"{source}:{port}", f"{destination}:53", ttl=ttl)
    if kind == "icmp":
        return Packet.echo(source, destination, ttl=ttl)
    proto = draw(st.sampled_from([6, 17]))
    if kind == "short":
        return Packet.opaque(source, destination, proto, b"\x00\x50", ttl=ttl)
    return Packet.opaque(source, destination, proto, bytes(16), fragment_offset=draw(st.sampled_from([1, 4])))


def fresh(family: Family = Family.IPV4) -> Ruleset:
    """The empty ruleset of a new host."""
    return Node().rules[family]


def load(text: str, table: str = "filter") -> Table:
    """The table that *text* makes on a new host."""
    rules = fresh()
    rules.restore(text)
    return rules[table]


def state_at(table: Table, rules: Ruleset, hook: Hook = Hook.FORWARD) -> HookState:
    """Where a packet meets *table*: between eth0 and eth1."""
    return HookState(hook, table.family, "eth0", "eth1", rules.host)


def counters(chain: Chain) -> list[tuple[int, int]]:
    """Packets and bytes of each rule."""
    return [(link.packets, link.bytes) for link in chain]


def skb_of(packet: Packet, mark: int = 0) -> Skb:
    """*packet* on its way, with a *mark*."""
    skb = Skb(packet, "eth0")
    skb.mark = mark
    return skb

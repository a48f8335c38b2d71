"""Matches: what each says of packets, by tables of cases; limits, lists and chance over time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.addr import Family, parse_address
from svcsim.clock import SECOND
from svcsim.conntrack import Status
from svcsim.hooks import CtInfo, Hook, HookState, Skb
from svcsim.node import Node
from svcsim.packet import Packet
from svcsim.tables.chain import Link
from svcsim.tables.extension import Loader
from svcsim.tables.match import MATCHES, Match
from svcsim.tables.parser import Parser
from svcsim.tables.reader import read_command
from svcsim.tables.target import TARGETS

SYN = Packet.tcp("10.0.0.1:40000", "10.0.0.2:80", flags="S")
ACK = Packet.tcp("10.0.0.1:40000", "10.0.0.2:80", flags="A", payload=bytes(60), ttl=3, tos=0x10)
QUERY = Packet.udp("10.0.0.1:5353", "10.0.0.2:53")
ECHO = Packet.echo("10.0.0.1", "10.0.0.2")
UNREACHABLE = Packet.icmp("10.0.0.1", "10.0.0.2", 3, 4)
SACK = Packet.tcp("10.0.0.1:1", "10.0.0.2:80", tcp_options=bytes.fromhex("0101080a0000000000000000"))
FRAGMENT = Packet.opaque("10.0.0.1", "10.0.0.2", 6, bytes(16), fragment_offset=4)
SHORT = Packet.opaque("10.0.0.1", "10.0.0.2", 6, b"\x00\x50")
PORTS_ONLY = Packet.opaque("10.0.0.1", "10.0.0.2", 6, bytes.fromhex("9c400050"))
INIT = Packet.sctp("10.0.0.1:1", "10.0.0.2:80", bytes.fromhex("01000014") + bytes(16))
DATA = Packet.sctp("10.0.0.1:1", "10.0.0.2:80", bytes.fromhex("0003000400030004"))
ABORTED = Packet.sctp("10.0.0.1:1", "10.0.0.2:80", bytes.fromhex("00010004") + bytes.fromhex("06000004"))
CUT = Packet.sctp("10.0.0.1:1", "10.0.0.2:80", bytes.fromhex("0100"))
ECHO6 = Packet.echo("2001:db8::1", "2001:db8::2")


def match_of(text: str, family: Family = Family.IPV4) -> Match:
    """The last match of a rule with these words."""
    command = read_command(Parser(family), ["-A", "INPUT", *text.split()], lambda table: ())
    match: Match = command.rules[0].matches[-1]
    return match


def says(text: str, packet: Packet, *, mark: int = 0) -> bool | None:
    """What the last match of a rule says of a packet."""
    node = Node()
    skb = Skb(packet, "eth0")
    skb.mark = mark
    family = packet.family
    return match_of(text, family).matches(skb, HookState(Hook.FORWARD, family, "eth0", "eth1", node))


@pytest.mark.parametrize(
    ("text", "packet", "answer"),
    [
        ("-p tcp -m tcp", SYN, True),
        ("-p tcp --dport 80", SYN, True),
        ("-p tcp ! --dport 80", SYN, False),
        ("-p tcp --sport :1023", SYN, False),
        ("-p tcp --sport 40000:", SYN, True),
        ("-p tcp --dport 0:65535", FRAGMENT, False),
        ("-p tcp ! --dport 10", FRAGMENT, False),
        ("-p tcp --dport 80", SHORT, None),
        ("-p tcp ! --dport 80", SHORT, None),
        ("-p tcp --syn", SYN, True),
        ("-p tcp ! --syn", ACK, True),
        ("-p tcp --tcp-flags ALL ACK", ACK, True),
        ("-p tcp --tcp-flags SYN,ACK SYN,ACK", SYN, False),
        ("-p tcp --tcp-option 8", SACK, True),
        ("-p tcp --tcp-option 5", SACK, False),
        ("-p tcp ! --tcp-option 5", SACK, True),
        ("-p tcp --tcp-option 8", SYN, False),
        ("-p udp --dport 53 --sport 5353", QUERY, True),
        ("-p udp --dport 54", QUERY, False),
        ("-p icmp --icmp-type 8", ECHO, True),
        ("-p icmp --icmp-type any", ECHO, True),
        ("-p icmp ! --icmp-type any", ECHO, False),
        ("-p icmp --icmp-type 3", UNREACHABLE, True),
        ("-p icmp --icmp-type 3/3", UNREACHABLE, False),
        ("-p icmp --icmp-type fragmentation-needed", UNREACHABLE, True),
        ("-p icmpv6 --icmpv6-type echo-request", ECHO6, True),
        ("-p icmpv6 ! --icmpv6-type 129", ECHO6, True),
        ("-p tcp -m multiport --dports 1,80:90", SYN, True),
        ("-p tcp -m multiport ! --dports 1,80:90", SYN, False),
        ("-p tcp -m multiport --sports 80", SYN, False),
        ("-p tcp -m multiport --ports 40000", SYN, True),
        ("-p tcp -m multiport --dports 80", PORTS_ONLY, True),
        ("-p tcp -m multiport --dports 80", SHORT, None),
        ("-p tcp -m multiport ! --dports 80", FRAGMENT, False),
        ("-p sctp --dport 80", INIT, True),
        ("-p sctp --chunk-types any INIT", INIT, True),
        ("-p sctp --chunk-types any DATA", INIT, False),
        ("-p sctp ! --chunk-types any DATA", INIT, True),
        ("-p sctp --chunk-types only DATA", DATA, True),
        ("-p sctp --chunk-types only DATA:BE", DATA, True),
        ("-p sctp --chunk-types only DATA:Be", DATA, False),
        ("-p sctp --chunk-types all DATA,ABORT", ABORTED, True),
        ("-p sctp --chunk-types all DATA,ABORT", DATA, False),
        ("-p sctp --chunk-types only DATA", ABORTED, False),
        ("-p sctp --chunk-types any NONE", INIT, False),
        ("-p sctp --chunk-types only ALL", ABORTED, True),
        ("-p sctp --chunk-types all ALL", ABORTED, False),
        ("-p sctp --chunk-types any INIT", CUT, None),
        ("-m length --length 40", SYN, True),
        ("-m length --length 100:", ACK, True),
        ("-m length ! --length :40", SYN, False),
        ("-m length --length 50:30", SYN, False),
        ("-m ttl --ttl-eq 3", ACK, True),
        ("-m ttl --ttl-lt 64", SYN, False),
        ("-m ttl --ttl-gt 3", SYN, True),
        ("-m hl --hl-eq 64", ECHO6, True),
        ("-m tos --tos Minimize-Delay", ACK, True),
        ("-m tos --tos 0x10/0x10", SYN, False),
        ("-m dscp --dscp 4", ACK, True),
        ("-m dscp ! --dscp-class EF", ACK, True),
        ("-m iprange --src-range 10.0.0.0-10.0.0.1", SYN, True),
        ("-m iprange --dst-range 10.0.0.3-10.0.0.9", SYN, False),
        ("-m iprange ! --src-range 10.0.0.0-10.0.0.1", SYN, False),
        ("-m iprange --src-range 10.0.0.2-10.0.0.1", SYN, False),
        ("-m iprange --src-range 2001:db8::-2001:db8::1", ECHO6, True),
        ("-m comment --comment x", SHORT, True),
    ],
)
def test_packets(text, packet, answer):
    """A match is True or False of a packet, or None if the packet is too short to be judged."""
    assert says(text, packet) is answer


@pytest.mark.parametrize(
    ("text", "mark", "answer"),
    [
        ("--mark 5", 5, True),
        ("--mark 5", 6, False),
        ("--mark 0x4000/0x4000", 0x4001, True),
        ("! --mark 0x4000/0x4000", 0x4001, False),
        ("--mark 0x10/0x0f", 0x10, False),
    ],
)
def test_marks(text, mark, answer):
    """The mark is masked, the value is not: 0x10/0x0f fits nothing."""
    assert says(f"-m mark {text}", SYN, mark=mark) is answer


def host() -> Node:
    """A host with two devices; 10.0.0.2 and 10.1.0.1 are its own."""
    node = Node()
    node.add_interface("eth0", ["10.0.0.2/24", "2001:db8::2/64"])
    node.add_interface("eth1", ["10.1.0.1/24"])
    return node


@pytest.mark.parametrize(
    ("text", "destination", "answer"),
    [
        ("--dst-type LOCAL", "10.0.0.2", True),
        ("--dst-type LOCAL", "127.0.0.9", True),
        ("--dst-type LOCAL", "10.0.0.9", False),
        ("--dst-type UNICAST", "8.8.8.8", True),
        ("--dst-type BROADCAST", "10.0.0.255", True),
        ("--dst-type BROADCAST", "255.255.255.255", True),
        ("--dst-type MULTICAST", "224.0.0.5", True),
        ("! --dst-type LOCAL", "10.0.0.2", False),
        ("--dst-type LOCAL,UNICAST", "8.8.8.8", True),
        ("--dst-type LOCAL --limit-iface-in", "10.0.0.2", True),
        ("--dst-type LOCAL --limit-iface-in", "10.1.0.1", False),
        ("--dst-type LOCAL --src-type LOCAL", "10.0.0.2", False),
        ("--dst-type LOCAL ! --src-type LOCAL", "10.0.0.2", True),
    ],
)
def test_address_types(text, destination, answer):
    """What an address is says the local table alone: what is not in it is UNICAST, whether there is a way or not."""
    node = host()
    skb = Skb(Packet.udp("10.0.0.1:1", f"{destination}:1"), "eth0")
    state = HookState(Hook.LOCAL_IN, Family.IPV4, "eth0", "", node)
    assert match_of(f"-m addrtype {text}").matches(skb, state) is answer


def connected(info: CtInfo | None, status: int = 0, *, mark: int = 0) -> tuple[Skb, HookState]:
    """A packet to 10.0.0.2:80, sent on to 10.1.0.9:8080 by its connection; None: without one, untracked."""
    node = Node()
    skb = Skb(SYN, "eth0")
    if info is None:
        skb.ctinfo = CtInfo.UNTRACKED
    else:
        skb.ctinfo = info
        if info is not CtInfo.INVALID:
            ends = [parse_address(text).value for text in ("10.0.0.1", "10.0.0.2", "10.1.0.9")]
            conn = node.conntrack.create((4, 6, ends[0], ends[1], 40000, 80), (4, 6, ends[2], ends[0], 8080, 40000))
            assert conn is not None
            conn.status |= status
            conn.mark = mark
            conn.lifetime = 30 * SECOND
            skb.ct = conn
    return skb, HookState(Hook.FORWARD, Family.IPV4, "eth0", "eth1", node)


@pytest.mark.parametrize(
    ("text", "info", "status", "answer"),
    [
        ("--ctstate NEW", CtInfo.NEW, 0, True),
        ("--ctstate NEW", CtInfo.INVALID, 0, False),
        ("--ctstate INVALID", CtInfo.INVALID, 0, True),
        ("! --ctstate INVALID", None, 0, True),
        ("--ctstate UNTRACKED", None, 0, True),
        ("--ctstate RELATED,ESTABLISHED", CtInfo.ESTABLISHED_REPLY, 0, True),
        ("--ctstate DNAT", CtInfo.NEW, Status.DST_NAT, True),
        ("--ctstate DNAT", CtInfo.NEW, Status.SRC_NAT, False),
        ("! --ctstate SNAT", CtInfo.NEW, Status.SRC_NAT, False),
        ("--ctstatus ASSURED", CtInfo.ESTABLISHED, Status.ASSURED, True),
        ("! --ctstatus ASSURED", CtInfo.ESTABLISHED, Status.ASSURED, False),
        ("--ctstatus NONE", CtInfo.NEW, 0, False),
        ("--ctstatus ASSURED", CtInfo.INVALID, 0, False),
        ("! --ctstatus ASSURED", CtInfo.INVALID, 0, False),
        ("--ctstate INVALID --ctproto 17", CtInfo.INVALID, 0, True),
        ("--ctproto tcp", CtInfo.NEW, 0, True),
        ("! --ctproto tcp", CtInfo.NEW, 0, False),
        ("--ctorigsrc 10.0.0.0/24 --ctorigdst 10.0.0.2", CtInfo.NEW, 0, True),
        ("--ctreplsrc 10.1.0.9 --ctrepldst 10.0.0.1", CtInfo.NEW, 0, True),
        ("! --ctreplsrc 10.1.0.9", CtInfo.NEW, 0, False),
        ("--ctorigdstport 80 --ctreplsrcport 8080", CtInfo.NEW, 0, True),
        ("--ctorigdstport 81:90", CtInfo.NEW, 0, False),
        ("--ctdir ORIGINAL", CtInfo.NEW, 0, True),
        ("--ctdir REPLY", CtInfo.NEW, 0, False),
        ("--ctdir REPLY", CtInfo.ESTABLISHED_REPLY, 0, True),
        ("--ctexpire 0", CtInfo.NEW, 0, True),
        ("--ctexpire 30", CtInfo.NEW, Status.CONFIRMED, True),
        ("! --ctexpire 0:29", CtInfo.NEW, Status.CONFIRMED, True),
    ],
)
def test_conntrack(text, info, status, answer):
    """A packet without a connection can fit a test of its state alone; NAT counts only where it changed something."""
    skb, state = connected(info, status)
    assert match_of(f"-m conntrack {text}").matches(skb, state) is answer


def test_state_and_connmark():
    """The old spelling knows five states; the connection's mark is unknown where there is none, inverted or not."""
    skb, state = connected(CtInfo.RELATED_REPLY, mark=7)
    assert match_of("-m state --state RELATED").matches(skb, state) is True
    assert match_of("-m connmark --mark 7").matches(skb, state) is True
    skb, state = connected(None)
    assert match_of("-m state ! --state NEW").matches(skb, state) is True
    for sign in ("", "! "):
        assert match_of(f"-m connmark {sign}--mark 7").matches(skb, state) is False


def loaded(text: str, node: Node):
    """A match as a loaded rule asks it, of a packet and the hook FORWARD."""
    state = HookState(Hook.FORWARD, Family.IPV4, "eth0", "eth1", node)
    ask = match_of(text).load(Loader(node, Family.IPV4, {}))
    return lambda packet=SYN: ask(Skb(packet, "eth0"), state)


@given(every=st.integers(1, 7), data=st.data())
def test_nth(every, data):
    """Of every n packets the one with the given number, counted from 0, matches; the rest does if inverted."""
    packet = data.draw(st.integers(0, every - 1))
    node = Node()
    plain, inverted = (
        loaded(f"-m statistic --mode nth {sign}--every {every} --packet {packet}", node) for sign in ("", "! ")
    )
    answers = [plain() for _ in range(4 * every)]
    assert answers == [number % every == packet for number in range(4 * every)]
    assert [inverted() for _ in range(4 * every)] == [not answer for answer in answers]


def chi_square(counts: list[int]) -> float:
    """How far *counts* are from equal."""
    mean = sum(counts) / len(counts)
    return sum((count - mean) ** 2 / mean for count in counts)


@pytest.mark.parametrize("endpoints", [2, 3, 5, 10])
def test_chance_chains_are_fair(endpoints):
    """kube-proxy's chain of probabilities 1/n, 1/(n-1), ... reaches all endpoints equally often (p > 0.001)."""
    node = Node(seed=7)
    rules = [
        loaded(f"-m statistic --mode random --probability {1 / left:.10f}", node) for left in range(endpoints, 1, -1)
    ]
    counts = [0] * endpoints
    for _ in range(4000):
        counts[next((number for number, ask in enumerate(rules) if ask()), endpoints - 1)] += 1
    freedom = endpoints - 1
    limit = freedom * (1 - 2 / (9 * freedom) + 3.09 * math.sqrt(2 / (9 * freedom))) ** 3
    assert chi_square(counts) < limit


@pytest.mark.parametrize(("probability", "answer"), [("1", True), ("0.9999999999", True), ("0", False)])
def test_certain_chances(probability, answer):
    """Probability 1, and what rounds to it, always holds; 0 never."""
    ask = loaded(f"-m statistic --mode random --probability {probability}", Node())
    assert {ask() for _ in range(200)} == {answer}


def test_draws_of_one_rule_do_not_shift_another():
    """What one rule draws does not depend on how often another draws in between; a seed repeats it all."""
    text = "-m statistic --mode random --probability 0.5"
    alone = loaded(text, Node(seed=3))
    node = Node(seed=3)
    first, second = loaded(text, node), loaded(text, node)
    answers = []
    for _ in range(50):
        answers.append(first())
        second(), second()
    assert answers == [alone() for _ in range(50)]


def test_limit_over_time():
    """A full bucket lets its burst pass; then one more passes every period, and idle time fills it up again."""
    node = Node()
    ask = loaded("-m limit --limit 2/second --limit-burst 3", node)
    assert [ask() for _ in range(5)] == [True, True, True, False, False]
    passed = 0
    for _ in range(20):
        node.advance(0.25)
        passed += bool(ask())
    assert passed == 10
    node.advance(3600)
    assert [ask() for _ in range(5)] == [True, True, True, False, False]


def test_recent_lists():
    """An address is remembered under a name, for so long, and so often; time runs out strictly."""
    node = Node()
    shared: dict = {}

    def ask(text: str, source: str = "10.0.0.1") -> bool | None:
        test = match_of(f"-m recent {text}").load(Loader(node, Family.IPV4, shared))
        state = HookState(Hook.FORWARD, Family.IPV4, "eth0", "eth1", node)
        return test(Skb(Packet.udp(f"{source}:1", "10.0.0.2:1"), "eth0"), state)

    assert ask("--rcheck --name a") is False and ask("! --rcheck --name a") is True
    assert ask("--set --name a") is True and ask("! --set --name a") is False
    assert ask("--rcheck --name a") is True and ask("--rcheck --name b") is False
    assert ask("--rcheck --name a", "10.0.0.9") is False
    assert ask("--rcheck --name a --rdest") is False
    assert ask("--rcheck --name a --hitcount 2") is True, "both times were noted, inverted or not"
    assert ask("--rcheck --name a --hitcount 3") is False
    node.advance(10)
    assert ask("--rcheck --seconds 10 --name a") is True
    node.advance(0.01)
    assert ask("--rcheck --seconds 10 --name a") is False
    assert ask("--update --name a") is True and ask("--rcheck --seconds 10 --name a") is True
    assert ask("! --update --name a") is False and ask("--rcheck --hitcount 4 --name a") is False
    assert ask("--remove --name a") is True and ask("--remove --name a") is False
    assert ask("--rcheck --name a") is False


def test_recent_lists_forget():
    """A list holds a hundred addresses and forgets the one untouched for longest; reaping takes expired ones away."""
    node = Node()
    shared: dict = {}
    state = HookState(Hook.FORWARD, Family.IPV4, "eth0", "eth1", node)

    def ask(text: str, number: int) -> bool | None:
        test = match_of(f"-m recent {text}").load(Loader(node, Family.IPV4, shared))
        return test(Skb(Packet.udp(f"10.0.1.{number}:1", "10.0.0.2:1"), "eth0"), state)

    for number in range(101):
        ask("--set --name a", number)
    assert ask("--rcheck --name a", 0) is False and ask("--rcheck --name a", 1) is True
    node.advance(60)
    assert ask("--rcheck --seconds 30 --reap --name a", 1) is False
    assert ask("--rcheck --name a", 1) is False and ask("--rcheck --name a", 2) is True
    masked = match_of("-m recent --set --name m --mask 255.255.255.0").load(Loader(node, Family.IPV4, shared))
    masked(Skb(SYN), state)
    other = match_of("-m recent --rcheck --name m").load(Loader(node, Family.IPV4, shared))
    assert other(Skb(Packet.udp("10.0.0.77:1", "10.0.0.2:1")), state) is True, "the list has the mask of its first rule"


def test_recent_lists_survive_a_new_table():
    """A list lives as long as a rule names it, whichever rule that is; then it is gone."""
    node = Node()
    node.add_interface("eth0", ["10.0.0.2/24"])
    rules = node.rules[Family.IPV4]
    text = "*filter\n-A INPUT -m recent --rcheck --name a\n-A INPUT -m recent --set --name a\nCOMMIT\n"
    for restore, seen in ((text, 0), (text, 1), ("*filter\nCOMMIT\n", None), (text, 0)):
        rules.restore(restore)
        node.receive(QUERY, "eth0")
        chain = rules["filter"].chains["INPUT"]
        assert (chain.first.packets if seen is not None else None) == seen


def test_extensions_of_strangers():
    """A match of somebody else's is found by its name, may be used in rules, and may not take a name that is taken."""

    class Odd(Match):
        """Every packet with an odd source."""

        def matches(self, skb, state):
            return bool(skb.src & 1)

    assert MATCHES.find("odd", Family.IPV4) is None
    MATCHES.add("odd", Odd)
    try:
        assert isinstance(match_of("-m odd"), Odd) and str(match_of("-m odd")) == "-m odd"
        with pytest.raises(ValueError, match="already a match 'odd'"):
            MATCHES.add("odd", Odd)
    finally:
        del MATCHES._plugins["odd"]


def test_every_built_in_extension_is_whole():
    """Each has a name, a remark, options that refer to each other by names that exist, and families."""
    for registry in (MATCHES, TARGETS):
        for name in registry:
            plugin = registry[name]
            assert plugin.name == name and plugin.__doc__ and plugin.families
            names = {option.name for option in plugin.options}
            for option in plugin.options:
                assert {option.same or option.name, *option.excludes, *option.requires} <= names, (name, option)
    assert Link.of(read_command(Parser(Family.IPV4), ["-A", "INPUT"], lambda table: ()).rules[0]).tests is None

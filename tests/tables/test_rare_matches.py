"""Matches and targets that few rules have: what each says of packets, and what it does to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.addr import Family
from svcsim.hooks import Hook, HookState, Skb, Verdict
from svcsim.node import Node
from svcsim.packet import Packet, Tcp
from svcsim.tables.matches.u32 import U32Test
from svcsim.tables.parser import Parser
from svcsim.tables.reader import read_command
from svcsim.tables.tcp_options import find_mss
from svcsim.wire import encode

SYN = Packet.tcp("10.0.0.1:40000", "10.0.0.2:80", tcp_options=bytes.fromhex("020405b4"))
BARE = Packet.tcp("10.0.0.1:40000", "10.0.0.2:80")
ECHOED = Packet.tcp("10.0.0.1:40000", "10.0.0.2:80", flags="SEW", tos=3)
TEXT = Packet.udp("10.0.0.1:7", "10.0.0.2:7", b"Hello world")
ESP = Packet.opaque("10.0.0.1", "10.0.0.2", 50, bytes.fromhex("0000007b00000001"))
AH = Packet.opaque("10.0.0.1", "10.0.0.2", 51, bytes.fromhex("040400000000007b00000001"))


def node() -> Node:
    made = Node()
    made.add_interface("eth0", ["10.0.0.254/24"])
    made.add_interface("eth1", ["10.1.0.254/24"], mtu=1400)
    return made


def says(text: str, packet: Packet) -> bool | None:
    command = read_command(Parser(packet.family), ["-A", "FORWARD", *text.split(" ")], lambda table: ())
    state = HookState(Hook.FORWARD, packet.family, "eth0", "eth1", node())
    answer: bool | None = command.rules[0].matches[-1].matches(Skb(packet, "eth0"), state)
    return answer


@pytest.mark.parametrize(
    ("text", "packet", "answer"),
    [
        ("-m mac --mac-source 02:00:00:00:00:01", SYN, False),
        ("-m mac ! --mac-source 02:00:00:00:00:01", SYN, False),
        ("-m pkttype --pkt-type unicast", SYN, True),
        ("-m pkttype ! --pkt-type broadcast", SYN, True),
        ("-m helper --helper ftp", SYN, False),
        ("-m helper ! --helper ftp", SYN, True),
        ("-m physdev --physdev-in eth0", SYN, False),
        ("-m physdev ! --physdev-in eth0", SYN, True),
        ("-m physdev ! --physdev-in eth0 --physdev-is-bridged", SYN, False),
        ("-m devgroup --src-group 0", SYN, True),
        ("-m devgroup --src-group 1", SYN, False),
        ("-m devgroup ! --src-group 1 --dst-group 0x10/0x1", SYN, True),
        ("-m ecn --ecn-ip-ect 3", ECHOED, True),
        ("-m ecn ! --ecn-ip-ect 3", ECHOED, False),
        ("-p tcp -m ecn --ecn-tcp-ece --ecn-tcp-cwr", ECHOED, True),
        ("-p tcp -m ecn --ecn-tcp-ece", SYN, False),
        ("-p tcp -m ecn ! --ecn-tcp-cwr", SYN, True),
        ("-p esp -m esp --espspi 123", ESP, True),
        ("-p esp -m esp --espspi 1:122", ESP, False),
        ("-p esp -m esp", ESP.rewritten(payload=b"short"), None),
        ("-p ah -m ah --ahspi 100:200", AH, True),
        ("-p ah -m ah ! --ahspi 123", AH, False),
        ("-p tcp -m tcpmss --mss 1460", SYN, True),
        ("-p tcp -m tcpmss --mss :1000", SYN, False),
        ("-p tcp -m tcpmss ! --mss 1460", BARE, True),
        ("-p tcp -m tcpmss --mss 0:65535", BARE, False),
        ("-m string --algo bm --string world", TEXT, True),
        ("-m string --algo kmp --string WORLD", TEXT, False),
        ("-m string --algo kmp --string WORLD --icase", TEXT, True),
        ("-m string --algo bm ! --string world", TEXT, False),
        ("-m string --algo bm --hex-string |48|ell|6f| --from 28 --to 33", TEXT, True),
        ("-m string --algo bm --string Hello --from 29", TEXT, False),
        ("-m string --algo bm --string Hello --to 32", TEXT, False),
        ("-m u32 --u32 6&0xFF=17", TEXT, True),
        ("-m u32 --u32 6&0xFF=1,6", TEXT, False),
        ("-m u32 ! --u32 6&0xFF=1:6", TEXT, True),
        ("-m u32 --u32 0>>22&0x3C@8=0x48656c6c", TEXT, True),
        ("-m u32 --u32 36=0", TEXT, False),
        ("-m u32 --u32 0>>28=4&&0>>24&0xf=5", TEXT, True),
    ],
)
def test_what_a_match_says(text, packet, answer):
    """Each match by itself; None: the packet is too short to be judged."""
    assert says(text, packet) is answer


@given(data=st.binary(max_size=60), at=st.integers(0, 70), shift=st.integers(0, 40), mask=st.integers(0, 2**32 - 1))
def test_u32_reads_four_bytes(data, at, shift, mask):
    """A test sees the four bytes at its place, shifted and masked; outside of the packet it never holds."""
    inside = at + 4 <= len(data)
    value = int.from_bytes(data[at : at + 4]) >> shift & mask if inside else 0
    test = U32Test((("", at), (">>", shift), ("&", mask)), ((value, value),))

    assert test.holds(data) is inside


def test_quota_lasts_for_its_bytes():
    """Packets pass while they fit; the first that does not takes the rest with it, and a new table begins anew."""
    host = node()
    rule = "*filter\n-A FORWARD -p udp -m quota --quota 100 -j ACCEPT\n-A FORWARD -j DROP\nCOMMIT\n"
    for _ in range(2):
        host.rules[Family.IPV4].restore(rule)
        sizes = [40, 40, 40, 1]
        packets = [Packet.udp("10.0.0.1:7", "10.1.0.2:7", bytes(size - 28 if size > 28 else 0)) for size in sizes]
        assert [len(host.receive(packet, "eth0").sent) for packet in packets] == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("rule", "packet", "answer"),
    [
        ("--set-mss 1000", SYN, 1000),
        ("--set-mss 2000", SYN, 1460),
        ("--set-mss 1000", BARE, 536),
        ("--set-mss 500", BARE, 500),
        ("--clamp-mss-to-pmtu", SYN, 1360),
        ("--set-mss 500", BARE.rewritten(payload=b"x"), None),
    ],
)
def test_segment_sizes(rule, packet, answer):
    """A size is lowered, never raised; one that is missing is added unless data follows; checksums stay right."""
    host = node()
    assert not host.run(f"iptables -t mangle -A FORWARD -p tcp --syn -j TCPMSS {rule}").returncode
    (sent,) = host.receive(packet.rewritten(dst=0x0A010002), "eth0").sent
    header = sent.packet.header
    assert isinstance(header, Tcp)
    at = find_mss(header.options)

    assert (None if at is None else int.from_bytes(header.options[at + 2 : at + 4])) == answer
    assert sent.packet.length == len(encode(sent.packet)) and sent.packet.checksum is None


@pytest.mark.parametrize(
    ("target", "verdict"),
    [
        ("NFQUEUE --queue-num 3", Verdict.STOLEN),
        ("NFQUEUE --queue-num 3 --queue-bypass", Verdict.ACCEPT),
        ("QUEUE", Verdict.STOLEN),
        ("AUDIT --type drop", Verdict.ACCEPT),
    ],
)
def test_nobody_listens(target, verdict):
    """A queue without a program drops, unless it may be passed by; a record for nobody changes nothing."""
    host = node()
    assert not host.run(f"iptables -A FORWARD -j {target}").returncode

    assert host.receive(TEXT.rewritten(dst=0x0A010002), "eth0").verdict is verdict


def test_connections_are_counted():
    """Of a client's fourth connection at once connlimit says so, and not when one of them is closed."""
    host = node()
    host.run("iptables -A FORWARD -p tcp --syn -m connlimit --connlimit-above 3 -j DROP")

    def opened(port: int) -> bool:
        return bool(host.receive(Packet.tcp(f"10.0.0.1:{port}", "10.1.0.2:80"), "eth0").sent)

    assert [opened(port) for port in range(1, 6)] == [True, True, True, False, False]
    host.run("conntrack -D -p tcp --sport 2")
    assert [opened(6), opened(7)] == [True, False]


def test_bytes_of_a_connection():
    """Connbytes switches the counters on and sees the packet itself among what was counted."""
    host = node()
    host.run(
        "iptables -A FORWARD -m connbytes --connbytes 3: --connbytes-dir original --connbytes-mode packets -j DROP"
    )
    query = Packet.udp("10.0.0.1:7", "10.1.0.2:7")

    assert [len(host.receive(query, "eth0").sent) for _ in range(4)] == [1, 1, 0, 0]


def test_the_way_back():
    """Rpfilter drops what comes from where the answer would not go; loosely, anything that has a way will do."""
    host = node()
    host.run("iptables -t raw -A PREROUTING -m rpfilter --invert -j DROP")
    spoofed = Packet.udp("10.1.0.9:7", "10.1.0.2:7")
    assert not host.receive(spoofed, "eth0").sent
    assert host.receive(Packet.udp("10.0.0.9:7", "10.1.0.2:7"), "eth0").sent

    host.run("iptables -t raw -F; iptables -t raw -A PREROUTING -m rpfilter --loose --invert -j DROP")
    assert host.receive(spoofed, "eth0").sent


def test_buckets_by_key():
    """Each client has a bucket of its own, which fills again with time; a rule that is replaced by name finds it."""
    host = node()
    text = (
        "*filter\n-A FORWARD -m hashlimit --hashlimit-upto 1/sec --hashlimit-burst 2 --hashlimit-mode srcip"
        " --hashlimit-name web -j ACCEPT\n-A FORWARD -j DROP\nCOMMIT\n"
    )
    host.rules[Family.IPV4].restore(text)

    def passes(client: int) -> bool:
        return bool(host.receive(Packet.udp(f"10.0.0.{client}:7", "10.1.0.2:7"), "eth0").sent)

    assert [passes(1), passes(1), passes(1), passes(2)] == [True, True, False, True]
    host.advance(1)
    assert [passes(1), passes(1)] == [True, False]


@pytest.mark.parametrize("rate", ["10/fortnight", "0/sec", "2000000/sec", "x"])
def test_rates_that_are_none(rate):
    """A rate that cannot be read, or is too fast, is refused."""
    done = node().run(f"iptables -A INPUT -m hashlimit --hashlimit-upto {rate} --hashlimit-name a")

    assert done.returncode == 2 and rate in done.stderr


@pytest.mark.parametrize(
    ("target", "tracked"), [("CT --notrack", False), ("NOTRACK", False), ("CT --ctevents new", True)]
)
def test_what_needs_tracking(target, tracked):
    """A rule that leaves packets out of connection tracking does not switch it on; one about its events does."""
    host = node()
    assert not host.run(f"iptables -t raw -A PREROUTING -j {target}").returncode

    assert host.tracking[Family.IPV4].enabled is tracked

"""UDP, ICMP, GRE and the rest: what opens a connection, and how long each lives."""

from __future__ import annotations

import pytest

from fake_host import FakeHost
from svcsim.addr import Family
from svcsim.checksum import internet
from svcsim.conntrack import Conn, Status
from svcsim.hooks import CtInfo, Skb
from svcsim.packet import Packet, Udp

CLIENT, SERVER = "10.1.0.2", "10.2.0.2"


@pytest.fixture
def host() -> FakeHost:
    return FakeHost(nat=False)


def only(host: FakeHost) -> Conn:
    (conn,) = host.conntrack
    return conn


def seconds(host: FakeHost) -> int:
    return only(host).remaining(host.clock.now) // 10**9


def info(skb: Skb | None) -> CtInfo:
    assert skb is not None
    return skb.ctinfo


def query(host: FakeHost) -> CtInfo:
    return info(host.forward(Packet.udp(f"{CLIENT}:5000", f"{SERVER}:53", b"?")))


def answer(host: FakeHost) -> CtInfo:
    return info(host.forward(Packet.udp(f"{SERVER}:53", f"{CLIENT}:5000", b"!"), back=True))


def test_a_question_and_its_answer_live_for_thirty_seconds(host):
    """A quick exchange is never ASSURED and keeps the short time."""
    assert query(host) is CtInfo.NEW
    host.advance(1)
    assert query(host) is CtInfo.NEW  # nobody has answered
    assert answer(host) is CtInfo.ESTABLISHED_REPLY
    assert query(host) is CtInfo.ESTABLISHED

    assert seconds(host) == 30
    assert not only(host).status & Status.ASSURED


def test_a_flow_that_lasts_is_assured(host):
    """More than two seconds after its first packet, the first packet behind an answer brings 120 s and ASSURED."""
    query(host)
    host.advance(3)
    answer(host)
    assert seconds(host) == 30  # the first answer is judged as if there were none
    assert not only(host).status & Status.ASSURED

    query(host)

    assert seconds(host) == 120
    assert only(host).status & Status.ASSURED


def test_exactly_two_seconds_are_not_more_than_two(host):
    """The edge of the probe time belongs to it."""
    query(host)
    answer(host)
    host.advance(2)
    query(host)
    assert seconds(host) == 30
    host.advance(0.001)
    query(host)
    assert seconds(host) == 120


def test_a_clash_s_loser_is_never_assured(host):
    """However long its answers come, it ends a second after it began."""
    query(host)
    conn = only(host)
    conn.status |= Status.NAT_CLASH | Status.FIXED_TIMEOUT
    answer(host)
    host.advance(5)

    answer(host)

    assert not conn.status & Status.ASSURED


def test_times_follow_their_parameters(host):
    """A written parameter counts from the next packet on."""
    host.sysctls.write("net.netfilter.nf_conntrack_udp_timeout", "7")
    host.sysctls.write("net.netfilter.nf_conntrack_udp_timeout_stream", "9")
    query(host)
    assert seconds(host) == 7
    answer(host)
    host.advance(3)
    query(host)
    assert seconds(host) == 9


@pytest.mark.parametrize("length, known", [(8, True), (12, True), (13, False), (7, False), (0, False)])
def test_the_length_field_may_be_short_but_not_long(host, length, known):
    """A length beyond the packet, or less than a header, is INVALID."""
    packet = Packet.udp(f"{CLIENT}:5000", f"{SERVER}:53", b"data")

    skb = host.forward(packet.rewritten(header=Udp(length)))

    assert (info(skb) is CtInfo.NEW) == known
    assert len(host.conntrack) == known


def test_accounting_counts_both_directions(host):
    """With nf_conntrack_acct=1 packets and bytes of IP are counted; what was there before is not."""
    query(host)
    assert only(host).counters is None
    host.conntrack.flush()
    host.sysctls.write("net.netfilter.nf_conntrack_acct", "1")
    query(host)
    query(host)
    answer(host)

    assert only(host).counters == [2, 58, 1, 29]


# -- ICMP --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, opens", [(k, k in (8, 13, 15, 17)) for k in (0, 1, 2, 8, 9, 10, 13, 14, 15, 16, 17, 18, 19, 255)]
)
def test_only_questions_open_icmp_connections(host, kind, opens):
    """A lone answer, an advertisement, an unknown type: INVALID."""
    skb = host.forward(Packet.icmp(CLIENT, SERVER, kind, rest=7 << 16))

    assert info(skb) is (CtInfo.NEW if opens else CtInfo.INVALID)
    assert len(host.conntrack) == opens


@pytest.mark.parametrize(
    "kind, expected",
    [(128, CtInfo.NEW), (139, CtInfo.NEW), (129, CtInfo.INVALID), (200, CtInfo.INVALID), (137, CtInfo.INVALID)]
    + [(kind, CtInfo.UNTRACKED) for kind in (130, 131, 132, 133, 134, 135, 136, 143)],
)
def test_icmpv6_questions_and_discovery(host, kind, expected):
    """Echo requests and node information queries open connections; discovery is not tracked at all."""
    assert info(host.forward(Packet.icmp("fd01::2", "fd02::2", kind))) is expected


def test_an_echo_keeps_its_entry_after_the_answer(host):
    """Each request and each answer gives 30 s; the id is both ends' port."""
    assert info(host.forward(Packet.echo(CLIENT, SERVER, ident=7))) is CtInfo.NEW
    assert only(host).orig[4:] == (7, 8 << 8)
    assert only(host).reply[4:] == (7, 0)
    host.advance(10)
    assert info(host.forward(Packet.echo(SERVER, CLIENT, ident=7, reply=True), back=True)) is CtInfo.ESTABLISHED_REPLY
    assert seconds(host) == 30
    assert info(host.forward(Packet.echo(SERVER, CLIENT, ident=8, reply=True), back=True)) is CtInfo.INVALID
    assert host.conntrack.statistics.invalid == 1


def test_icmp_of_the_wrong_family_is_invalid(host):
    """ICMP inside IPv6, and ICMPv6 inside IPv4, are nobody's."""
    for src, dst, proto in (("fd01::2", "fd02::2", 1), (CLIENT, SERVER, 58)):
        assert info(host.forward(Packet.opaque(src, dst, proto, bytes([8, 0]) + bytes(10)))) is CtInfo.INVALID


# -- GRE, UDP-Lite, anything -------------------------------------------------------------------------------------------


def test_gre_is_one_flow_per_pair_of_addresses(host):
    """Without PPTP the key is zero, whatever the header says or however short it is; an answered flow is ASSURED."""
    header = bytes.fromhex("00000800")
    assert info(host.forward(Packet.opaque(CLIENT, SERVER, 47, header))) is CtInfo.NEW
    assert info(host.forward(Packet.opaque(CLIENT, SERVER, 47, b"\0\0"))) is CtInfo.NEW
    assert seconds(host) == 30
    host.forward(Packet.opaque(SERVER, CLIENT, 47, header), back=True)
    assert seconds(host) == 30

    host.forward(Packet.opaque(CLIENT, SERVER, 47, header))

    assert seconds(host) == 180
    assert only(host).status & Status.ASSURED


def test_pptp_has_keys(host):
    """Version 1 of GRE carries a call id; one that carries no PPP is INVALID."""
    host.forward(Packet.opaque(CLIENT, SERVER, 47, bytes.fromhex("2001880b00040005")))
    assert only(host).orig[4:] == (0, 5)
    assert info(host.forward(Packet.opaque(CLIENT, SERVER, 47, bytes.fromhex("2001080000040005")))) is CtInfo.INVALID


@pytest.mark.parametrize("proto", [50, 99, 255])
def test_other_protocols_have_ten_minutes(host, proto):
    """They are told apart by addresses alone, and never ASSURED."""
    assert info(host.forward(Packet.opaque(CLIENT, SERVER, proto, b"x"))) is CtInfo.NEW
    assert info(host.forward(Packet.opaque(SERVER, CLIENT, proto, b"x"), back=True)) is CtInfo.ESTABLISHED_REPLY
    host.advance(3)
    assert info(host.forward(Packet.opaque(CLIENT, SERVER, proto, b"x"))) is CtInfo.ESTABLISHED
    assert seconds(host) == 600
    assert not only(host).status & Status.ASSURED


def lite(pseudo_protocol: int, *, coverage: int = 0) -> Packet:
    """A UDP-Lite datagram from port 7000 to 7001 whose checksum is right for a pseudo header of this protocol."""
    body = bytes.fromhex("1b581b59") + coverage.to_bytes(2) + bytes(2) + b"data"
    addresses = 0x0A010002 + 0x0A020002
    checksum = internet(body[: coverage or len(body)], addresses + pseudo_protocol + len(body))
    return Packet.opaque(CLIENT, SERVER, 136, body[:6] + checksum.to_bytes(2) + body[8:])


def test_udp_lite_is_summed_up_as_udp(host):
    """The kernel's own rule for its checksum: a right one is INVALID where checksums are looked at."""
    assert info(host.forward(lite(136))) is CtInfo.INVALID
    assert info(host.forward(lite(17))) is CtInfo.NEW
    assert only(host).orig[4:] == (7000, 7001)
    host.conntrack.flush()
    host.sysctls.write("net.netfilter.nf_conntrack_checksum", "0")
    assert info(host.forward(lite(136))) is CtInfo.NEW


@pytest.mark.parametrize("coverage", [1, 7, 13])
def test_udp_lite_covers_its_header_at_least(host, coverage):
    """A coverage of less than a header or more than the packet is INVALID."""
    assert info(host.forward(lite(17, coverage=coverage))) is CtInfo.INVALID


def test_both_families_share_one_table(host):
    """An IPv6 flow stands beside an IPv4 one; neither finds the other."""
    query(host)
    host.forward(Packet.udp("[fd01::2]:5000", "[fd02::2]:53", b"?"))

    assert [conn.orig[0] for conn in host.conntrack] == [Family.IPV4, Family.IPV6]

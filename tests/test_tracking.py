"""Tracking and NAT at the hooks: what a packet is, when rules are asked, what is rewritten, and errors coming back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_host import FakeHost
from strategies import packets
from svcsim.addr import Family, format_address, parse_address
from svcsim.checksum import internet
from svcsim.conntrack import Status
from svcsim.hooks import CtInfo, Hook, HookState, Skb, Verdict
from svcsim.nat import Manip, NatRange
from svcsim.packet import Icmp, Packet, Proto
from svcsim.trace import Rewritten, Trace, Tracked
from svcsim.wire import decode, decode_quote, encode

CLIENT, VIP, POD, NODE = "10.1.0.2", "10.96.0.1", "10.2.0.2", "10.2.0.1"
PRE, IN, FORWARD, OUT, POST = Hook


def ip(text: str) -> int:
    return parse_address(text).value


def dnat(host: FakeHost, address: str, port: int | None = None, *, hook: Hook = PRE) -> None:
    """Translate destinations at *hook*."""
    nat_range = NatRange.of(ip(address), port)
    host.rules[hook] = lambda skb, state: host.tracking[skb.family].setup_nat(skb, nat_range, Manip.DST)


def snat(host: FakeHost, address: str, *, hook: Hook = POST) -> None:
    """Translate sources at *hook*."""
    host.rules[hook] = lambda skb, state: host.tracking[skb.family].setup_nat(skb, NatRange.of(ip(address)), Manip.SRC)


def masquerade(host: FakeHost) -> None:
    """Masquerade what leaves."""
    host.rules[POST] = lambda skb, state: host.tracking[skb.family].masquerade(skb, state, NatRange())


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


def query(port: int = 5000) -> Packet:
    return Packet.udp(f"{CLIENT}:{port}", f"{VIP}:53", b"?")


def answer(port: int = 5000) -> Packet:
    return Packet.udp(f"{POD}:53", f"{CLIENT}:{port}", b"!")


def error_about(packet: Packet, source: str, *, type: int = 3, code: int = 3, size: int = 28) -> Packet:
    """An ICMP error of *source* that quotes *packet*."""
    return Packet.icmp(source, format_address(packet.family, packet.src), type, code, payload=encode(packet)[:size])


def ends(packet: Packet | Skb | None) -> tuple[str, int, str, int]:
    assert packet is not None
    family = packet.family
    return format_address(family, packet.src), packet.sport, format_address(family, packet.dst), packet.dport


# -- what a packet is --------------------------------------------------------------------------------------------------


def test_a_dropped_first_packet_leaves_nothing(host):
    """Without confirmation there is no entry, and the retransmission asks the rules again."""
    skb = Skb(query(), "cli0")
    host.at(PRE, skb, "cli0")
    assert skb.ctinfo is CtInfo.NEW
    assert len(host.conntrack) == 0

    host.forward(query())

    assert host.nat_walks == [PRE, PRE, POST]
    assert len(host.conntrack) == 1


def test_rules_are_asked_for_the_first_packet_alone(host):
    """Later packets, in either direction and even before an answer, ask nothing."""
    dnat(host, POD)
    for packet, back in ((query(), False), (query(), False), (answer(), True), (query(), False)):
        host.forward(packet, back=back)
    assert host.nat_walks == [PRE, POST]


def test_the_hooks_that_ask(host):
    """To this host: PREROUTING and INPUT. From it: OUTPUT and POSTROUTING. By lo: OUTPUT and POSTROUTING only."""
    host.accept(query(1))
    assert host.nat_walks == [PRE, IN]
    host.nat_walks.clear()
    skb = host.send(Packet.udp(f"{NODE}:9", f"{POD}:53"), outdev="lo")
    assert host.nat_walks == [OUT, POST]
    host.pass_hooks(skb, (PRE, "lo", ""), (IN, "lo", ""))
    assert host.nat_walks == [OUT, POST]
    assert skb.ctinfo is CtInfo.NEW


def test_without_conntrack_no_nat(host):
    """A nat table whose rules need nothing tracked never runs."""
    host.tracking[Family.IPV4].disable()
    assert host.forward(query()).ct is None
    assert host.nat_walks == []


def test_enabling_is_idempotent(host):
    """Each function hangs once, however often it is asked for, and can be taken away again."""
    tracking = host.tracking[Family.IPV4]
    tracking.enable()
    names = [entry.name for entry in host.hooks[Family.IPV4].at(PRE)]
    assert names == ["defrag", "conntrack", "nat"]
    assert [entry.name for entry in host.hooks[Family.IPV4].at(POST)] == ["nat", "confirm"]
    tracking.disable()
    tracking.disable()
    assert [entry.name for entry in host.hooks[Family.IPV4].at(PRE)] == ["nat"]
    assert not tracking.enabled


def test_untracked_packets(host):
    """NOTRACK: no entry, no rules, and not INVALID either."""
    skb = Skb(query(), "cli0")
    skb.untrack()
    host.pass_hooks(skb, (PRE, "cli0", ""), (POST, "cli0", "pod0"))

    assert skb.ctinfo is CtInfo.UNTRACKED
    assert host.nat_walks == []
    assert host.conntrack.statistics.invalid == 0


@pytest.mark.parametrize(
    "packet",
    [
        query().rewritten(checksum=1),
        Packet.tcp(f"{CLIENT}:1", f"{POD}:80", checksum=1),
        Packet.echo(CLIENT, POD, checksum=1),
        Packet.sctp(
            f"{CLIENT}:1", f"{POD}:80", bytes.fromhex("01000014000000070001000000010001") + bytes(4), checksum=1
        ),
        Packet.tcp("[fd01::2]:1", "[fd02::2]:80", checksum=1),
    ],
    ids=str,
)
def test_bad_checksums_are_invalid_where_packets_come_in(host, packet):
    """In PRE_ROUTING they are looked at, in LOCAL_OUT they are not, and nf_conntrack_checksum=0 looks nowhere."""
    assert host.forward(packet).ctinfo is CtInfo.INVALID
    assert host.send(packet).ctinfo is CtInfo.NEW
    host.conntrack.flush()
    host.sysctls.write("net.netfilter.nf_conntrack_checksum", "0")
    assert host.forward(packet).ctinfo is CtInfo.NEW


@pytest.mark.parametrize(
    "packet", [query().rewritten(checksum=0), Packet.udp("[fd01::2]:1", "[fd02::2]:2", checksum=0)]
)
def test_a_udp_checksum_may_be_left_out(host, packet):
    """Zero means none, in either family."""
    assert host.forward(packet).ctinfo is CtInfo.NEW


@pytest.mark.parametrize(
    "proto, data", [(6, b""), (6, b"\x13\x88"), (17, b"\x13\x88\x00\x35"), (1, b"\x08"), (132, b"")]
)
def test_headers_cut_short_are_invalid(host, proto, data):
    """What cannot be read belongs to nothing."""
    skb = host.forward(Packet.opaque(CLIENT, POD, proto, data))
    assert skb.ctinfo is CtInfo.INVALID
    assert len(host.conntrack) == 0


def test_later_fragments_are_invalid_where_nobody_defragments(host):
    """A fragment that reaches conntrack as one belongs to nothing."""
    skb = Skb(Packet.opaque(CLIENT, POD, 99, bytes(8), fragment_offset=5), "cli0")
    host.tracking[Family.IPV4]._track(skb, HookState(PRE, Family.IPV4, "cli0", "", host))
    assert skb.ctinfo is CtInfo.INVALID


def test_a_full_table_drops(host):
    """No room and nothing to give up: the packet is dropped and counted."""
    host.sysctls.write("net.netfilter.nf_conntrack_max", "0")
    assert host.forward(query()) is None
    assert host.conntrack.statistics.drop == 1


def test_a_clash_at_confirmation_drops(host):
    """Two flows that NAT could not tell apart: the second is lost, and tries again in vain."""
    host.rules[POST] = lambda skb, state: host.tracking[4].setup_nat(
        skb, NatRange(ip(NODE), ip(NODE), 7000, 7000), Manip.SRC
    )
    trace = Trace()
    assert host.forward(Packet.udp("10.1.0.2:5000", f"{POD}:53")) is not None
    assert host.forward(Packet.udp("10.1.0.3:5000", f"{POD}:53"), trace=trace) is None
    assert "is taken" in str(trace)


# -- rewriting ---------------------------------------------------------------------------------------------------------


def test_a_service_and_its_answers(host):
    """The endpoint sees the client; the client sees the service; filter rules in between see the endpoint."""
    dnat(host, POD, 5300)
    request = host.forward(query())
    assert ends(request) == (CLIENT, 5000, POD, 5300)

    reply = host.forward(Packet.udp(f"{POD}:5300", f"{CLIENT}:5000", b"!"), back=True)

    assert ends(reply) == (VIP, 53, CLIENT, 5000)
    assert ends(decode(encode(reply.packet))) == (VIP, 53, CLIENT, 5000)
    assert decode(encode(reply.packet)).checksum is None


def test_where_each_end_is_rewritten(host):
    """Destinations change in PRE_ROUTING, sources in POST_ROUTING, for requests and for answers."""
    dnat(host, POD)
    masquerade(host)
    skb = Skb(query(), "cli0")
    host.at(PRE, skb, "cli0")
    assert ends(skb) == (CLIENT, 5000, POD, 53)
    host.at(POST, skb, "cli0", "pod0")
    assert ends(skb) == (NODE, 5000, POD, 53)
    back = Skb(Packet.udp(f"{POD}:53", f"{NODE}:5000"), "pod0")
    host.at(PRE, back, "pod0")
    assert ends(back) == (POD, 53, CLIENT, 5000)
    host.at(POST, back, "pod0", "cli0")
    assert ends(back) == (VIP, 53, CLIENT, 5000)


def test_both_families(host):
    """IPv6 goes the same way."""
    dnat(host, "fd02::2", 5300)
    masquerade(host)
    assert ends(host.forward(Packet.udp("[fd01::2]:5000", "[fdaa::1]:53"))) == ("fd02::1", 5000, "fd02::2", 5300)
    back = host.forward(Packet.udp("[fd02::2]:5300", "[fd02::1]:5000"), back=True)
    assert ends(back) == ("fdaa::1", 53, "fd01::2", 5000)
    assert decode(encode(back.packet)).checksum is None


def test_echo_ids_are_translated(host):
    """Two services of one endpoint: the second request gets another id, its answer the old one."""
    dnat(host, POD)
    assert host.forward(Packet.echo(CLIENT, VIP, ident=7)).packet.header == Icmp(8, 0, 7 << 16 | 1)
    second = host.forward(Packet.echo(CLIENT, "10.96.0.2", ident=7)).packet
    assert second.header == Icmp(8, 0, 0 << 16 | 1)
    assert decode(encode(second)).checksum is None

    back = host.forward(Packet.echo(POD, CLIENT, ident=0, reply=True), back=True).packet

    assert ends(back)[0] == "10.96.0.2"
    assert back.header == Icmp(0, 0, 7 << 16 | 1)


def test_other_protocols_change_addresses_alone(host):
    """SCTP has ports, ESP has none; an SCTP checksum is computed anew, right or not."""
    dnat(host, POD, 99)
    host.sysctls.write("net.netfilter.nf_conntrack_checksum", "0")
    init = bytes.fromhex("01000014 00000007 00010000 00010001 00000001")
    skb = host.forward(Packet.sctp(f"{CLIENT}:5", f"{VIP}:80", init, checksum=123))
    assert ends(skb) == (CLIENT, 5, POD, 99)
    assert skb.checksum is None
    skb = host.forward(Packet.opaque(CLIENT, VIP, 50, b"secret"))
    assert ends(skb) == (CLIENT, 0, POD, 0)
    assert decode(encode(skb.packet)).payload == b"secret"


def test_udp_lite_ports_are_in_its_payload(host):
    """They are written there, and the checksum follows by the difference."""
    dnat(host, POD, 99)
    host.sysctls.write("net.netfilter.nf_conntrack_checksum", "0")

    def total(packet: Packet) -> int:
        return internet(packet.payload, packet.src + packet.dst + 136 + len(packet.payload))

    body = bytes.fromhex("1b581b59 0000 0000") + b"data"
    bare = Packet.opaque(CLIENT, VIP, Proto.UDPLITE, body)
    packet = bare.rewritten(payload=body[:6] + total(bare).to_bytes(2) + body[8:])
    out = host.forward(packet).packet
    assert (format_address(4, out.dst), out.payload[:4].hex()) == (POD, "1b580063")
    assert total(out) in (0, 0xFFFF)


def test_udp_without_checksum_stays_without(host):
    """Zero is not adjusted."""
    dnat(host, POD)
    assert host.forward(query().rewritten(checksum=0)).packet.checksum == 0


def test_what_is_invalid_is_not_translated(host):
    """A stray answer leaves with the endpoint's own address."""
    dnat(host, POD)
    host.forward(Packet.tcp(f"{CLIENT}:5000", f"{VIP}:80", seq=1000))
    stray = host.forward(Packet.tcp(f"{POD}:80", f"{CLIENT}:5000", flags="FA", seq=9, ack=9), back=True)
    assert stray.ctinfo is CtInfo.INVALID
    assert ends(stray) == (POD, 80, CLIENT, 5000)


def test_of_two_nat_tables_the_newer_wins(host):
    """The table that came last is asked first; one that maps ends the asking."""
    dnat(host, POD)
    asked = []

    def newer(skb: Skb, state: HookState) -> Verdict:
        asked.append(state.hook)
        return (
            host.tracking[4].setup_nat(skb, NatRange.of(ip("10.2.0.9")), Manip.DST)
            if state.hook is PRE
            else Verdict.ACCEPT
        )

    host.tracking[Family.IPV4].add_nat_table(newer)

    assert ends(host.forward(query()))[2] == "10.2.0.9"
    assert asked == [PRE, POST]
    assert host.nat_walks == [POST]


def test_a_nat_rule_may_drop(host):
    """Its verdict stands, and nothing is settled."""
    host.rules[POST] = lambda skb, state: Verdict.DROP
    assert host.forward(query()) is None
    assert len(host.conntrack) == 0


def test_redirect(host):
    """From outside to the input device's first address, from here to loopback; a device without address drops."""
    host.rules[PRE] = host.rules[OUT] = lambda skb, state: host.tracking[4].redirect(
        skb, state, NatRange(min_port=8080, max_port=8080)
    )
    assert ends(host.accept(query())) == (CLIENT, 5000, "10.1.0.1", 8080)
    assert ends(host.send(Packet.udp(f"{NODE}:9", f"{VIP}:53"))) == (NODE, 9, "127.0.0.1", 8080)
    host.routes[Family.IPV4].addresses.clear()
    assert host.accept(query(5001)) is None


def test_masquerade_needs_an_address(host):
    """Without one the packet is dropped; a source of zero is left alone."""
    masquerade(host)
    unnumbered = host.send(Packet.udp("0.0.0.0:68", "10.2.0.9:67"))
    assert ends(unnumbered)[0] == "0.0.0.0"
    host.routes[Family.IPV4].addresses.clear()
    assert host.forward(query()) is None


def test_a_masqueraded_flow_dies_when_it_would_leave_elsewhere(host):
    """Its packet is dropped and its entry deleted; the next one begins anew. Answers go where they will."""
    masquerade(host)
    host.forward(query())
    host.forward(Packet.udp(f"{VIP}:53", f"{NODE}:5000"), back=True)
    assert host.forward(Packet.udp(f"{VIP}:53", f"{NODE}:5000"), back=True, out="eth9") is not None

    assert host.forward(query(), out="cli0") is None

    assert len(host.conntrack) == 0
    assert ends(host.forward(query(), out="cli0"))[0] == "10.1.0.1"


def test_masqueraded_flows_die_with_their_device_or_address(host):
    """Those of other devices, of other addresses, and plain flows stay."""
    host.forward(query(1))
    masquerade(host)
    host.forward(query(2))
    host.forward(query(3), out="cli0")
    tracking = host.tracking[Family.IPV4]
    tracking.address_gone(ip("10.9.9.9"))
    host.tracking[Family.IPV6].device_gone("pod0")
    assert len(host.conntrack) == 3
    tracking.device_gone("pod0")
    assert [conn.orig[4] for conn in host.conntrack] == [1, 3]
    tracking.address_gone(ip("10.1.0.1"), "pod0")
    assert len(host.conntrack) == 2
    tracking.address_gone(ip("10.1.0.1"))
    assert [conn.orig[4] for conn in host.conntrack] == [1]


def test_local_packets_are_routed_anew(host):
    """Every packet of a connection with another destination address is; a change of port alone is none."""
    dnat(host, POD, hook=OUT)
    for _ in range(2):
        host.send(Packet.udp(f"{NODE}:9", f"{VIP}:53"))
    assert host.rerouted == [ip(POD), ip(POD)]
    host.reachable = False
    assert host.send(Packet.udp(f"{NODE}:9", f"{VIP}:53")) is None
    host.rerouted.clear()
    host.rules[OUT] = lambda skb, state: host.tracking[4].setup_nat(skb, NatRange.of(None, 99), Manip.DST)
    assert host.send(Packet.udp(f"{NODE}:10", f"{VIP}:53")) is not None
    assert host.rerouted == []


def test_local_answers_of_masqueraded_flows_are_routed_anew(host):
    """An answer from here goes to who asked, not to the mapping."""
    snat(host, "10.7.7.7", hook=IN)
    host.accept(Packet.udp(f"{CLIENT}:5000", "10.1.0.1:53"))
    assert ends(host.send(Packet.udp("10.1.0.1:53", "10.7.7.7:5000"), outdev="cli0")) == ("10.1.0.1", 53, CLIENT, 5000)
    assert host.rerouted == [ip(CLIENT)]


# -- errors on their way back ------------------------------------------------------------------------------------------


def test_an_error_comes_from_the_service(host):
    """The client of a service sees the error come from it, and in it the packet that it sent itself."""
    dnat(host, POD, 5300)
    sent = host.forward(query()).packet

    back = host.forward(error_about(sent, POD), back=True)

    assert back.ctinfo is CtInfo.RELATED_REPLY
    assert ends(back)[0::2] == (VIP, CLIENT)
    assert ends(decode_quote(back.payload)) == (CLIENT, 5000, VIP, 53)
    assert decode(encode(back.packet)).checksum is None
    assert next(iter(host.conntrack)).status & Status.SEEN_REPLY == 0


def test_an_error_finds_the_masqueraded(host):
    """Its destination and the quoted source become the client's again; the router in between keeps its own address."""
    masquerade(host)
    sent = host.forward(query()).packet
    assert format_address(4, sent.src) == NODE

    back = host.forward(error_about(sent, "10.2.0.77", type=11, code=0), back=True)

    assert ends(back)[0::2] == ("10.2.0.77", CLIENT)
    assert ends(decode_quote(back.payload)) == (CLIENT, 5000, VIP, 53)


def test_an_error_about_an_answer(host):
    """A client refuses an answer: the endpoint must find its own packet in the error."""
    dnat(host, POD)
    masquerade(host)
    host.forward(query())
    got = host.forward(Packet.udp(f"{POD}:53", f"{NODE}:5000"), back=True).packet

    back = host.forward(error_about(got, CLIENT))

    assert back.ctinfo is CtInfo.RELATED
    assert ends(back)[0::2] == (NODE, POD)
    assert ends(decode_quote(back.payload)) == (POD, 53, NODE, 5000)


def test_errors_about_echoes_and_ipv6(host):
    """Quoted ids are translated too; in IPv6 the whole packet is quoted."""
    dnat(host, POD)
    host.forward(Packet.echo(CLIENT, "10.96.0.9", ident=7))
    sent = host.forward(Packet.echo(CLIENT, VIP, ident=7)).packet
    back = host.forward(error_about(sent, POD), back=True)
    quoted = decode_quote(back.payload)
    assert (format_address(4, quoted.dst), quoted.header) == (VIP, Icmp(8, 0, 7 << 16 | 1))
    dnat(host, "fd02::2")
    sent = host.forward(Packet.tcp("[fd01::2]:5000", "[fdaa::1]:80")).packet
    back = host.forward(error_about(sent, "fd02::2", type=1, code=4, size=1000), back=True)
    assert ends(back)[0::2] == ("fdaa::1", "fd01::2")
    inner = decode(back.payload)
    assert ends(inner) == ("fd01::2", 5000, "fdaa::1", 80)
    assert inner.checksum is None


@pytest.mark.parametrize(
    "change",
    [
        {"dst": ip("10.1.0.9")},  # not for who sent the quoted packet
        {"payload": b""},
        {"payload": b"E" * 19},
        {"payload": encode(query(6000))[:28]},  # nobody's packet
        {"payload": encode(query())[:22]},  # ports cut off
        {"payload": encode(Packet.opaque(CLIENT, VIP, 17, bytes(20), fragment_offset=4))},
        {"payload": encode(Packet.icmp(CLIENT, VIP, 3))},  # an error about an error
        {"payload": encode(Packet.udp("[fd01::2]:1", "[fd02::2]:2"))},
        {"checksum": 1},
    ],
)
def test_errors_about_nothing_known_are_invalid(host, change):
    """They are counted as errors, and not as invalid packets."""
    sent = host.forward(query()).packet

    skb = host.forward(error_about(sent, POD).rewritten(**change), back=True)

    assert skb.ctinfo is CtInfo.INVALID
    assert (host.conntrack.statistics.error, host.conntrack.statistics.invalid) == (1, 0)


def test_redirects_of_translated_flows_are_dropped(host):
    """A shorter way is of no use to a flow that must be translated; where NAT has nothing to do they pass."""
    sent = host.forward(query(1)).packet
    assert host.forward(error_about(sent, "10.2.0.77", type=5, code=1), back=True) is not None
    dnat(host, POD)
    sent = host.forward(query(2)).packet
    assert host.forward(error_about(sent, "10.2.0.77", type=5, code=1), back=True) is None


def test_a_redirect_before_the_flow_is_settled_is_dropped(host):
    """This host would tell who sent a first packet of a shorter way: source NAT is still open, so nothing is sent."""
    skb = Skb(query(), "cli0")
    host.at(PRE, skb, "cli0")
    redirect = error_about(query(), "10.1.0.1", type=5, code=1)
    assert host.send(redirect, outdev="cli0", about=skb) is None
    skb = host.forward(query())
    assert host.send(redirect, outdev="cli0", about=skb) is not None


def test_an_error_of_this_host_s_own(host):
    """Made about a packet that was translated already, it is translated back, although no entry exists."""
    dnat(host, POD)
    skb = Skb(query(), "cli0")
    host.at(PRE, skb, "cli0")

    error = host.send(error_about(skb.packet, "10.1.0.1", type=11, code=0), outdev="cli0", about=skb)

    assert ends(error)[0::2] == (VIP, CLIENT)
    assert ends(decode_quote(error.payload)) == (CLIENT, 5000, VIP, 53)
    assert len(host.conntrack) == 0
    assert host.nat_walks == [PRE]


def test_a_translated_error_must_have_a_right_checksum(host):
    """A wrong one, where conntrack did not look, is dropped rather than mended."""
    dnat(host, POD)
    sent = host.forward(query()).packet
    host.sysctls.write("net.netfilter.nf_conntrack_checksum", "0")
    assert host.forward(error_about(sent, POD).rewritten(checksum=1), back=True) is None


@pytest.mark.parametrize("size, passes", [(24, False), (27, False), (28, True)])
def test_a_quote_must_have_eight_bytes_to_be_translated(host, size, passes):
    """Ports alone name the connection, but a shorter quote than RFC 792 wants cannot be translated and is dropped."""
    sent = host.forward(query(1)).packet
    assert host.forward(error_about(sent, VIP, size=size), back=True).ctinfo is CtInfo.RELATED_REPLY
    dnat(host, POD)
    sent = host.forward(query(2)).packet
    assert (host.forward(error_about(sent, POD, size=size), back=True) is not None) == passes


def test_a_reset_of_this_host_s_own_asks_the_rules(host):
    """A TCP reset about a first packet is RELATED, and the source end is still open: POSTROUTING is asked."""
    dnat(host, POD)
    skb = Skb(Packet.tcp(f"{CLIENT}:5000", f"{VIP}:80"), "cli0")
    host.at(PRE, skb, "cli0")
    host.nat_walks.clear()

    reset = host.send(Packet.tcp(f"{POD}:80", f"{CLIENT}:5000", flags="RA"), outdev="cli0", about=skb)

    assert ends(reset) == (VIP, 80, CLIENT, 5000)
    assert host.nat_walks == [POST]
    assert len(host.conntrack) == 0


def test_an_icmpv6_redirect_is_related_by_its_option(host):
    """Only an unforwarded one that quotes the packet in its first option is about a connection."""
    sent = host.forward(Packet.udp("[fd01::2]:1", "[fd02::2]:2")).packet
    quote = bytes([4, 13, 0, 0, 0, 0, 0, 0]) + encode(sent)
    redirect = Packet.icmp("fd02::77", "fd01::2", 137, payload=bytes(32) + quote, ttl=255)
    assert host.forward(redirect, back=True).ctinfo is CtInfo.RELATED_REPLY
    for bad in ({"ttl": 254}, {"payload": bytes(32)}, {"payload": bytes(32) + bytes([2, 1]) + bytes(6) + quote}):
        assert host.forward(redirect.rewritten(**bad), back=True).ctinfo is CtInfo.INVALID


# -- traces ------------------------------------------------------------------------------------------------------------


def test_a_trace_tells(host):
    """Who asks sees the connection and each rewrite; without a trace nothing is recorded."""
    dnat(host, POD)
    trace = Trace()
    host.forward(query(), trace=trace)
    told = [event for event in trace if isinstance(event, Tracked | Rewritten)]
    assert [type(event) for event in told] == [Tracked, Rewritten]
    assert told[0].ctinfo is CtInfo.NEW
    assert told[1].before[3] == ip(VIP)
    assert told[1].after[3] == ip(POD)
    trace = Trace()
    host.forward(error_about(host.forward(query()).packet, POD), back=True, trace=trace)
    assert [type(e) for e in trace if isinstance(e, Tracked | Rewritten)] == [Tracked, Rewritten]


@settings(max_examples=200)
@given(st.lists(st.tuples(packets(), st.booleans(), st.booleans()), max_size=8), st.booleans())
def test_no_packet_is_too_strange(sequence, translated):
    """Any packet passes or is dropped; what leaves can be written; a traced packet fares like an untraced one."""
    hosts = [FakeHost(), FakeHost()]
    for host in hosts:
        if translated:
            dnat(host, POD, 99)
            masquerade(host)
            host.rules[PRE] = lambda skb, state, host=host: host.tracking[skb.family].setup_nat(
                skb, NatRange.of(ip(POD if skb.family == 4 else "fd02::2"), 99), Manip.DST
            )
    for packet, back, quoted in sequence:
        given_packet = packet
        if quoted and len(encode(packet)) < 1000:
            kind = 3 if packet.family == 4 else 1
            given_packet = Packet.icmp(
                format_address(packet.family, packet.dst), format_address(packet.family, packet.src), kind,
                payload=encode(packet),
            )  # fmt: skip
        plain = hosts[0].forward(given_packet, back=back)
        traced = hosts[1].forward(given_packet, back=back, trace=Trace())
        assert (plain is None) == (traced is None)
        if plain is not None:
            assert encode(plain.packet) == encode(traced.packet)
            assert plain.ctinfo is traced.ctinfo

"""Cutting packets into fragments: in the sizes that they came in, or evenly; what each piece carries."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcsim.addr import Family
from svcsim.clock import Clock
from svcsim.defrag import Defragmenter
from svcsim.errors import PacketError
from svcsim.fragment import fragments_of
from svcsim.node import Node
from svcsim.packet import Packet
from svcsim.sysctl import Sysctls
from svcsim.wire import decode, encode

WHOLE = Packet.udp("192.0.2.1:7", "192.0.2.2:7", bytes(range(200)), ident=9, dont_fragment=False)
WHOLE6 = Packet.udp("[2001:db8::1]:7", "[2001:db8::2]:7", bytes(1600))


def joined(pieces: list[Packet]) -> Packet | None:
    defragmenter = Defragmenter(pieces[0].family, Clock(), Sysctls())
    found = [defragmenter.add(piece) for piece in pieces]
    return found[-1].packet if found[-1] is not None else None


@settings(max_examples=60)
@given(size=st.integers(0, 900), mtu=st.integers(68, 400), options=st.sampled_from([b"", bytes.fromhex("01010100")]))
def test_pieces_fit_and_make_the_datagram(size, mtu, options):
    """No piece is longer than the MTU or empty, all but the last end at eight bytes, and together they are the whole."""
    packet = WHOLE.rewritten(payload=bytes(size), options=options)
    pieces = fragments_of(packet, mtu)

    assert all(20 + len(options) < piece.length <= mtu and decode(encode(piece)) == piece for piece in pieces)
    assert [piece.more_fragments for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    assert len(pieces) == 1 or joined(pieces) == packet


@given(st.lists(st.integers(1, 12), min_size=2, max_size=6), st.integers(1, 60))
def test_sizes_are_kept(eighths, last):
    """Pieces that fit leave as they came, even where the whole would fit."""
    sizes = (*(8 * each for each in eighths), last)
    packet = WHOLE.rewritten(payload=bytes(sum(sizes) - 8))
    pieces = fragments_of(packet, 1500, sizes=sizes)

    assert [piece.length - 20 for piece in pieces] == list(sizes)
    assert joined(pieces) == packet


def test_sizes_that_do_not_fit_are_cut_anew():
    """One piece that is too large, or odd, or a datagram of another size: cut evenly."""
    evenly = [piece.length for piece in fragments_of(WHOLE, 100)]
    for sizes in ((160, 48), (12, 196), (8, 8)):
        assert [piece.length for piece in fragments_of(WHOLE, 100, sizes=sizes)] == evenly


def test_later_pieces_have_fewer_options():
    """Of the options only those marked to be copied stand in later fragments; the rest is blotted out."""
    route, source = bytes.fromhex("0704040083040400"), bytes.fromhex("0101010183040400")
    first, *later = fragments_of(WHOLE.rewritten(options=route), 100)

    assert first.options == route
    assert {piece.options for piece in later} == {source}


@pytest.mark.parametrize("extra", [b"", bytes.fromhex("1100010400000000")])
def test_ipv6_pieces(extra):
    """Each piece repeats what stands before the fragment header, which has the identification it was given."""
    packet = WHOLE6.rewritten(options=extra, next_header=0 if extra else None)
    pieces = fragments_of(packet, 1280, ident=0x1234)

    assert [piece.length <= 1280 for piece in pieces] == [True, True]
    assert {(piece.ident, piece.options[1 : len(extra)]) for piece in pieces} == {(0x1234, extra[1:])}
    assert joined(pieces) == packet


def test_no_room():
    """A link too narrow for a header and eight bytes takes nothing."""
    with pytest.raises(PacketError, match="no room"):
        fragments_of(WHOLE, 27)


def forwarding(*commands: str) -> Node:
    node = Node()
    node.add_interface("in0", ["192.0.2.254/24", "2001:db8::ff/64"])
    node.add_interface("out0", ["198.51.100.254/24", "2001:db8:1::ff/64"])
    for command in commands:
        assert not node.run(command).returncode, command
    return node


def carried(node: Node, pieces: list[Packet]) -> list[Packet]:
    return [sent.packet for piece in pieces for sent in node.receive(piece, "in0").sent]


def test_a_router_that_tracks_keeps_the_pieces():
    """Conntrack puts a datagram together, and it leaves by its old seams, all at once."""
    node = forwarding("iptables -A FORWARD -m conntrack --ctstate NEW -j ACCEPT")
    packet = WHOLE.rewritten(dst=0xC6336401)
    pieces = fragments_of(packet, 1500, sizes=(8, 64, 136))

    assert [piece.length for piece in carried(node, pieces[::-1])] == [28, 84, 156]
    assert not carried(node, pieces[:2])


def test_a_cut_header_is_brought_together_to_be_rewritten():
    """Where NAT writes to a transport header that two pieces share, the datagram is cut anew."""
    node = forwarding("iptables -t nat -A PREROUTING -p tcp -j DNAT --to-destination 198.51.100.7")
    packet = Packet.tcp("192.0.2.1:7", "203.0.113.1:80", flags="S", payload=bytes(100), ident=3, dont_fragment=False)
    pieces = fragments_of(packet, 1500, sizes=(16, 104))

    assert [piece.length for piece in carried(node, pieces)] == [124, 36]


def test_ipv6_looks_at_every_piece():
    """For IPv6 fragments come together behind INPUT, which counts each; for IPv4 before it, and it counts the whole."""
    node = forwarding("iptables -A INPUT -p udp", "ip6tables -A INPUT -p udp")
    node.listen("udp", 7)
    for packet, mtu in ((WHOLE.rewritten(dst=0xC00002FE), 100), (WHOLE6.rewritten(dst=WHOLE6.dst | 0xFD), 1280)):
        for piece in fragments_of(packet, mtu):
            outcome = node.receive(piece, "in0")
        assert [delivery.packet.payload for delivery in outcome.delivered] == [packet.payload]

    counts = [node.rules[family]["filter"].chains["INPUT"].first.packets for family in Family]
    assert counts == [1, 2]

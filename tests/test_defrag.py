"""Fragments: datagrams put together in any order, and what is never put together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_host import FakeHost
from svcsim.addr import Family
from svcsim.clock import SECOND, Clock
from svcsim.defrag import Defragmenter
from svcsim.fragment import fragments_of
from svcsim.hooks import CtInfo, Hook, Skb, Verdict
from svcsim.packet import Packet
from svcsim.sysctl import Sysctls
from svcsim.wire import decode, encode


def whole(size: int = 100, **fields: object) -> Packet:
    return Packet.udp("10.1.0.2:7", "10.2.0.2:9", bytes(range(256)) * (size // 256 + 1), ident=5, **fields).rewritten(
        payload=(bytes(range(256)) * (size // 256 + 1))[:size]
    )


def six(size: int, *, ident: int = 77, extra: bytes = b"") -> tuple[Packet, list[Packet]]:
    """An IPv6 datagram, with hop-by-hop options *extra* in front of it or not, and its fragments."""
    data = Packet.udp("[fd01::2]:7", "[fd02::2]:9", bytes(size))
    if extra:
        data = data.rewritten(options=bytes([17]) + extra[1:], next_header=0)
    raw = encode(data)
    body = raw[40 + len(data.options) :]
    pieces = []
    for at in range(0, len(body), 48):
        piece = body[at : at + 48]
        more = at + 48 < len(body)
        fragment = bytes([17, 0]) + (at | more).to_bytes(2) + ident.to_bytes(4)
        chain = (bytes([44]) + extra[1:] if extra else b"") + fragment
        head = raw[:4] + (len(chain) + len(piece)).to_bytes(2) + bytes([0 if extra else 44]) + raw[7:40]
        pieces.append(decode(head + chain + piece))
    return data, pieces


@pytest.fixture
def defragmenter() -> Defragmenter:
    return Defragmenter(Family.IPV4, Clock(), Sysctls())


def feed(defragmenter: Defragmenter, pieces: list[Packet]) -> Packet | None:
    found = None
    for piece in pieces:
        found = defragmenter.add(piece)
    return found.packet if found is not None else None


@given(size=st.integers(60, 600), mtu=st.integers(68, 200), order=st.randoms(use_true_random=False))
def test_any_order_gives_the_datagram(size, mtu, order):
    """Cut and shuffled, with some pieces twice, a datagram comes out as it was; nothing stays behind."""
    defragmenter = Defragmenter(Family.IPV4, Clock(), Sysctls())
    packet = whole(size, dont_fragment=False)
    pieces = fragments_of(packet, mtu)
    order.shuffle(pieces)
    twice = [piece for piece in pieces[:-1] for _ in range(order.choice([1, 2]))] + pieces[-1:]

    found = [defragmenter.add(piece) for piece in twice]

    assert all(each is None for each in found[:-1])
    assert found[-1] is not None
    assert found[-1].packet == packet
    assert found[-1].largest_fragment == max(piece.length for piece in pieces)
    assert len(defragmenter) == 0


@pytest.mark.parametrize("extra", [b"", bytes.fromhex("1100010400000000")])
def test_ipv6_datagrams(extra):
    """The fragment header goes; what stood in front of it stays, and names what follows now."""
    packet, pieces = six(200, extra=extra)
    defragmenter = Defragmenter(Family.IPV6, Clock(), Sysctls())
    assert len(pieces) > 2

    assert feed(defragmenter, pieces[::-1]) == packet.rewritten(ident=0)


def test_datagrams_do_not_mix(defragmenter):
    """Another id, another end, another protocol, another place: another datagram."""
    first, last = fragments_of(whole(dont_fragment=False), 108)
    for changes in ({"ident": 6}, {"src": 1}, {"dst": 1}, {"proto": 99, "header": None, "sport": 0, "dport": 0}):
        assert defragmenter.add(last.rewritten(**changes)) is None
    assert defragmenter.add(last, "elsewhere") is None
    assert defragmenter.add(first) is None

    assert len(defragmenter) == 6
    assert defragmenter.add(last) is not None


def test_what_stays_incomplete_is_forgotten(defragmenter):
    """After 30 s the pieces are gone; the last piece alone is no datagram."""
    first, last = fragments_of(whole(dont_fragment=False), 108)
    defragmenter.add(first)
    defragmenter._clock.advance(30 * SECOND)
    assert len(defragmenter) == 0

    assert defragmenter.add(last) is None


def test_overlapping_pieces_cost_the_datagram(defragmenter):
    """RFC 5722: a piece that covers part of another makes all of them worthless."""
    pieces = fragments_of(whole(dont_fragment=False), 68)
    defragmenter.add(pieces[0])
    assert defragmenter.add(pieces[1].rewritten(fragment_offset=3)) is None

    assert len(defragmenter) == 0


def test_a_shorter_last_piece_costs_the_datagram(defragmenter):
    """The end, once known, cannot move."""
    pieces = fragments_of(whole(200, dont_fragment=False), 68)
    defragmenter.add(pieces[-1])
    assert defragmenter.add(pieces[-1].rewritten(fragment_offset=pieces[-1].fragment_offset + 1)) is None
    assert len(defragmenter) == 0
    defragmenter.add(pieces[-1])
    assert defragmenter.add(pieces[0].rewritten(fragment_offset=100)) is None
    assert len(defragmenter) == 0


def test_an_empty_piece_is_nothing(defragmenter):
    """No bytes, or fewer than eight where more should follow, cannot be a fragment."""
    base = Packet.opaque("10.1.0.2", "10.2.0.2", 99, b"1234567", ident=5, more_fragments=True)
    assert defragmenter.add(base) is None
    assert len(defragmenter) == 0


def test_a_giant_is_refused(defragmenter):
    """Pieces that reach beyond the longest packet (the ping of death) are thrown away."""
    piece = Packet.opaque("10.1.0.2", "10.2.0.2", 99, bytes(1000), ident=5, fragment_offset=8190, dont_fragment=False)
    assert defragmenter.add(piece) is None
    assert len(defragmenter) == 0
    just = Packet.opaque("10.1.0.2", "10.2.0.2", 99, bytes(8), ident=5, fragment_offset=8189, dont_fragment=False)
    rest = Packet.opaque("10.1.0.2", "10.2.0.2", 99, bytes(65512), ident=5, more_fragments=True, dont_fragment=False)
    defragmenter.add(just)
    assert defragmenter.add(rest) is None  # with an IP header in front it would be longer than a packet can be
    assert len(defragmenter) == 0


def test_held_bytes_are_limited(defragmenter):
    """Beyond the high threshold new datagrams are not begun; what expires makes room."""
    defragmenter._sysctls.write("net.ipv4.ipfrag_high_thresh", "5000")
    first = fragments_of(whole(1000, dont_fragment=False), 1020)[0]
    for ident in range(100):
        defragmenter.add(first.rewritten(ident=ident))
    assert len(defragmenter) == 4
    defragmenter._clock.advance(30 * SECOND)
    defragmenter.add(first)
    assert len(defragmenter) == 1


def test_do_not_fragment_stays_if_the_largest_piece_had_it(defragmenter):
    """A small piece with the bit beside a larger one without it does not count."""
    pieces = fragments_of(whole(dont_fragment=False), 108)
    marked = [pieces[0].rewritten(dont_fragment=True), pieces[1]]
    assert feed(defragmenter, marked).dont_fragment
    marked = [pieces[0], pieces[1].rewritten(dont_fragment=True)]
    assert not feed(defragmenter, marked).dont_fragment


def test_a_tracking_host_sees_whole_datagrams():
    """Fragments are held in PRE_ROUTING; the last one goes on as the datagram, which is tracked like any other."""
    host = FakeHost()
    first, last = fragments_of(whole(dont_fragment=False), 108)
    skbs = [Skb(piece, "cli0") for piece in (first, last)]
    skbs[1].mark = 5

    assert host.at(Hook.PRE_ROUTING, skbs[0], "cli0") is Verdict.STOLEN
    assert host.at(Hook.PRE_ROUTING, skbs[1], "cli0") is Verdict.ACCEPT

    assert skbs[1].ctinfo is CtInfo.NEW
    assert (skbs[1].sport, skbs[1].dport, skbs[1].length) == (7, 9, 128)
    assert (skbs[1].largest_fragment, skbs[1].mark) == (108, 5)
    assert skbs[1].packet == whole(dont_fragment=False)


def test_without_tracking_fragments_pass():
    """A host that tracks nothing does not defragment."""
    host = FakeHost()
    host.tracking[Family.IPV4].disable()
    for piece in fragments_of(whole(dont_fragment=False), 68):
        skb = Skb(piece, "cli0")
        assert host.at(Hook.PRE_ROUTING, skb, "cli0") is Verdict.ACCEPT
        assert skb.ct is None


def piece_of(offset: int, size: int, more: bool, family: int, sane: bool) -> Packet:
    """A fragment; one of IPv6 that is not *sane* contradicts its own extension header."""
    if family == 4:
        ends, chain = ("10.1.0.2", "10.2.0.2"), {}
    else:
        place = (offset << 3 | more) if sane else 0
        ends = ("fd01::2", "fd02::2")
        chain = {"options": bytes([17, 0]) + place.to_bytes(2) + (1).to_bytes(4), "next_header": 44}
    return Packet.opaque(*ends, 17, bytes(size), ident=1, fragment_offset=offset, more_fragments=more, **chain)


fragments = st.builds(
    piece_of,
    st.integers(0, 8) | st.just(8191),
    st.integers(0, 40),
    st.booleans(),
    st.sampled_from([4, 6]),
    st.booleans(),
)


@given(st.lists(fragments, max_size=20))
def test_no_fragments_are_too_strange(pieces):
    """Whatever comes is held, joined or thrown away; what is held is accounted for."""
    for family in Family:
        clock = Clock()
        defragmenter = Defragmenter(family, clock, Sysctls())
        for piece in pieces:
            if piece.family is family:
                defragmenter.add(piece)
        clock.advance(100 * SECOND)
        assert len(defragmenter) == 0
        assert defragmenter._held == 0

"""The frame: what hangs at a hook, in which order it is asked, and the packet that it is asked about."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import addresses, packets, u16
from svcsim.addr import Family
from svcsim.hooks import CtInfo, Hook, HookEntry, Hooks, Priority, Skb, Verdict
from svcsim.packet import Icmp, Packet, Proto
from svcsim.trace import Stage, Trace
from svcsim.wire import decode, encode

SYN = Packet.tcp("192.0.2.1:40000", "10.96.0.10:80")


def make_hooks():
    return Hooks(Family.IPV4, SimpleNamespace())


def run(hooks, skb):
    return hooks.run(Hook.FORWARD, skb, "cli0", "pod0")


def entry(name, priority=0, verdict=Verdict.ACCEPT, asked=None, hook=Hook.FORWARD):
    def function(skb, state):
        if asked is not None:
            asked.append(name)
        return verdict

    return HookEntry(hook, priority, function, name)


@given(st.lists(st.integers(-3, 3), max_size=12))
def test_priorities_order_and_the_newest_comes_first(priorities):
    """Entries are asked in ascending priority; of equal ones the one registered last comes first."""
    hooks, asked = make_hooks(), []
    for number, priority in enumerate(priorities):
        hooks.register(entry(number, priority, asked=asked))

    assert run(hooks, Skb(SYN)) is Verdict.ACCEPT
    assert asked == sorted(range(len(priorities)), key=lambda n: (priorities[n], -n))


@pytest.mark.parametrize("verdict", [Verdict.DROP, Verdict.STOLEN])
def test_the_first_verdict_but_accept_decides(verdict):
    """What does not accept ends the hook: whoever comes later is not asked."""
    hooks, asked = make_hooks(), []
    hooks.register(
        entry("early", -1, asked=asked), entry("judge", 0, verdict, asked), entry("late", 1, Verdict.DROP, asked)
    )

    assert run(hooks, Skb(SYN)) is verdict
    assert asked == ["early", "judge"]


def test_an_empty_hook_accepts():
    """Where nobody is, everything passes."""
    assert run(make_hooks(), Skb(SYN)) is Verdict.ACCEPT


def test_hooks_do_not_mix():
    """An entry is asked at its own hook alone."""
    hooks = make_hooks()
    hooks.register(entry("elsewhere", hook=Hook.LOCAL_IN, verdict=Verdict.DROP))

    assert run(hooks, Skb(SYN)) is Verdict.ACCEPT
    assert [e.name for e in hooks.at(Hook.LOCAL_IN)] == ["elsewhere"]


def test_unregistering_takes_away_the_one():
    """Of two entries that look alike the one given is taken away; what is not there is ignored."""
    hooks = make_hooks()
    first, second = entry("a"), entry("a")
    hooks.register(first, second)

    hooks.unregister(first)
    hooks.unregister(first)

    assert hooks.at(Hook.FORWARD) == (second,)
    assert hooks.at(Hook.FORWARD)[0] is second


def test_registering_while_asking_takes_effect_with_the_next_packet():
    """A function may hang up others (as the first nat rule does): the packet on its way does not meet them."""
    hooks, asked = make_hooks(), []

    def hang(skb, state):
        hooks.register(entry("new", 5, asked=asked))
        return Verdict.ACCEPT

    hooks.register(HookEntry(Hook.FORWARD, 0, hang, "hang"))
    run(hooks, Skb(SYN))
    assert asked == []
    run(hooks, Skb(SYN))
    assert asked == ["new"]


def test_a_trace_tells_who_was_asked():
    """A traced packet records each function with its verdict, an untraced one nothing."""
    hooks = make_hooks()
    hooks.register(entry("early", -1), entry("judge", 0, Verdict.DROP), entry("late", 1))
    skb = Skb(SYN, "cli0", Trace())

    run(hooks, skb)

    assert list(skb.trace) == [
        Stage(Hook.FORWARD, "early", Verdict.ACCEPT),
        Stage(Hook.FORWARD, "judge", Verdict.DROP),
    ]


def test_the_places_of_the_kernel():
    """The order that every rule set relies on: defragment, raw, track, mangle, DNAT, filter, SNAT, confirm."""
    names = ["DEFRAG", "RAW", "CONNTRACK", "MANGLE", "NAT_DST", "FILTER", "SECURITY", "NAT_SRC", "CONFIRM"]

    assert [place.name for place in sorted(Priority)] == names


def test_states_of_connections():
    """A reply is of the same state as a request; what belongs to no connection is no reply."""
    assert {info.name: (info.state, info.is_reply) for info in CtInfo} == {
        "INVALID": ("INVALID", False),
        "UNTRACKED": ("UNTRACKED", False),
        "NEW": ("NEW", False),
        "ESTABLISHED": ("ESTABLISHED", False),
        "RELATED": ("RELATED", False),
        "ESTABLISHED_REPLY": ("ESTABLISHED", True),
        "RELATED_REPLY": ("RELATED", True),
    }


@given(packets())
def test_an_untouched_skb_is_its_packet(packet):
    """A packet that nobody changed leaves as the very value that came."""
    skb = Skb(packet)

    assert skb.packet is packet
    assert (skb.src, skb.dst, skb.length, skb.ttl, skb.tos) == (
        packet.src,
        packet.dst,
        packet.length,
        packet.ttl,
        packet.tos,
    )


def test_the_tuple_of_an_icmp_message():
    """ICMP has its id for a source port, its type and code for a destination port."""
    skb = Skb(Packet.echo("192.0.2.1", "192.0.2.2", ident=7))

    assert skb.tuple() == (4, Proto.ICMP, 0xC0000201, 0xC0000202, 7, 8 << 8)


@given(packets(Family.IPV4), addresses(Family.IPV4), u16)
def test_a_rewritten_skb_is_a_good_packet(packet, address, port):
    """After a rewrite the packet has the new ends, right checksums, and is otherwise what it was."""
    skb = Skb(packet)

    skb.set_source(address, port)
    skb.set_destination(address ^ 1, port)

    after = decode(encode(skb.packet))
    assert (after.src, after.dst, after.checksum, after.header_checksum) == (address, address ^ 1, None, None)
    assert after.payload == packet.payload
    if isinstance(packet.header, Icmp):
        kept = Icmp(packet.header.type, packet.header.code, port << 16 | packet.header.rest & 0xFFFF)
        assert after.header == kept
    elif packet.header is not None:
        assert (after.sport, after.dport, after.header) == (port, port, packet.header)


@given(packets(), st.data(), u16, u16)
def test_a_wrong_checksum_stays_as_wrong_as_it_was(packet, data, checksum, port):
    """A transport checksum that was wrong when the packet came is carried over a rewrite, there and back."""
    if packet.header is None or packet.proto == Proto.SCTP or checksum == 0:
        return
    other = data.draw(addresses(packet.family))
    skb = Skb(packet.rewritten(checksum=checksum))
    src, sport = skb.src, skb.sport

    skb.set_source(other, port)
    moved = skb.checksum
    skb.set_source(src, sport)

    assert skb.checksum % 0xFFFF == checksum % 0xFFFF
    right = encode(packet.rewritten(src=other, sport=port))
    if isinstance(packet.header, Icmp):
        changed = Icmp(packet.header.type, packet.header.code, port << 16 | packet.header.rest & 0xFFFF)
        right = encode(packet.rewritten(src=other, header=changed))
    at = len(right) - len(packet.payload) - packet.header.size + {6: 16, 17: 6}.get(packet.proto, 2)
    wrong_by = (checksum - _checksum_of(packet)) % 0xFFFF
    assert (moved - int.from_bytes(right[at : at + 2])) % 0xFFFF == wrong_by


def _checksum_of(packet):
    raw = encode(packet)
    at = len(raw) - len(packet.payload) - packet.header.size + {6: 16, 17: 6}.get(packet.proto, 2)
    return int.from_bytes(raw[at : at + 2])


def test_udp_without_checksum_stays_without():
    """A UDP checksum of 0 says that there is none, and there is none after a rewrite."""
    skb = Skb(Packet.udp("192.0.2.1:1", "192.0.2.2:2", checksum=0))

    skb.set_destination(0x0A000001, 53)

    assert skb.packet.checksum == 0


def test_a_whole_packet_takes_the_place_of_its_last_fragment():
    """What was put together goes on in the skb of the piece that completed it: device, mark and trace stay."""
    trace = Trace()
    skb = Skb(SYN.rewritten(header=None, payload=b"piece"), "cli0", trace)
    skb.mark = 7

    skb.become(SYN)

    assert (skb.packet, skb.indev, skb.mark, skb.trace) == (SYN, "cli0", 7, trace)
    assert skb.trace is trace

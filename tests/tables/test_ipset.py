"""IP sets: what they hold, keep, count and refuse, as the kernel's do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim import Node, Packet, UnsupportedError
from svcsim.addr import Family
from svcsim.clock import Clock
from svcsim.errors import ConfigError, ExistsError, MissingError
from svcsim.tables.ipset_entry import Entry
from svcsim.tables.ipset_list import ListSet
from svcsim.tables.ipset_text import read_elements, text_of_element
from svcsim.tables.ipset_types import SET_TYPES, SetOptions
from svcsim.tables.ipsets import IpSets


@pytest.fixture
def sets() -> IpSets:
    return IpSets(Clock())


def members(held):
    return [text for text, _ in held.members()]


def test_a_wildcard_is_every_interface_that_begins_so(sets):
    """An interface that a wildcard covers is there already; deleting one deletes the wildcard."""
    held = sets.create("i", "hash:net,iface")
    held.add("10.0.0.0/24,eth", Entry(wildcard=True))

    with pytest.raises(ExistsError):
        held.add("10.0.0.0/24,eth5")
    assert held.holds("10.0.0.3,eth77") and not held.holds("10.0.0.3,wan0")
    held.remove("10.0.0.0/24,eth5")
    assert members(held) == []


def test_the_first_network_ends_the_search_for_an_interface(sets):
    """A network that holds the address with other interfaces hides the wider ones, unless it is a bridge's port."""
    held = sets.create("i", "hash:net,iface")
    held.add("10.0.0.0/24,eth0")
    held.add("10.0.0.1,physdev:eth0")
    assert held.holds("10.0.0.1,eth0")

    held.add("10.0.0.1,wan0")

    assert not held.holds("10.0.0.1,eth0") and held.holds("10.0.0.2,eth0")


def test_an_address_learns_its_mac_once(sets):
    """An address without MAC takes the first that is added; then another is refused."""
    held = sets.create("m", "bitmap:ip,mac", SetOptions(range=(0x0A000000, 0x0A0000FF)))
    held.add("10.0.0.1")
    held.add("10.0.0.1,0:1:2:3:4:5")

    assert members(held) == ["10.0.0.1,00:01:02:03:04:05"]
    assert held.holds("10.0.0.1") and not held.holds("10.0.0.1,00:01:02:03:04:06")
    with pytest.raises(ExistsError):
        held.add("10.0.0.1,0:1:2:3:4:6")


def test_renewing_keeps_counters_and_takes_the_rest_anew(sets):
    """-exist leaves counters that are not given, and replaces timeout, comment and exception."""
    held = sets.create("c", "hash:ip", SetOptions(counters=True, comment=True, timeout=50))
    held.add("10.0.0.1", Entry(packets=5, bytes=6, comment="old"))
    held.add("10.0.0.1", Entry(comment="new"), exist=True, timeout=9)

    assert list(held.members()) == [
        ("10.0.0.1", [("timeout", "9"), ("packets", "5"), ("bytes", "6"), ("comment", '"new"')])
    ]
    held.sets.clock.advance(9 * 10**9)
    assert members(held) == []


def test_masks(sets):
    """A netmask takes a range in steps; a bitmask need not be a prefix."""
    coarse = sets.create("n", "hash:ip", SetOptions(netmask=24))
    coarse.add("10.0.0.7-10.0.2.1")
    odd = sets.create("b", "hash:ip", SetOptions(bitmask=0xFF00FFFF))
    odd.add("10.77.1.2")

    assert members(coarse) == ["10.0.0.0", "10.0.1.0", "10.0.2.0"]
    assert members(odd) == ["10.0.1.2"] and odd.holds("10.9.1.2")


def test_lists_answer_in_order_and_hand_on(sets):
    """Members are added to and taken from until one does it; a neighbour that is not beside is refused."""
    for name in "ab":
        sets.create(name, "hash:ip")
    both = sets.create("l", "list:set")
    assert isinstance(both, ListSet)
    both.add_member("b")
    both.add_member("a", place=("before", "b"))

    assert both.holds_member("a", ("before", "b")) and not both.holds_member("b", ("before", "a"))
    with pytest.raises(MissingError):
        both.remove_member("a", place=("after", "b"))
    with pytest.raises(ConfigError):
        both.add_member("l")
    with pytest.raises(ConfigError):
        sets.destroy()
    both.flush()
    sets.destroy()
    assert len(sets) == 0


def test_a_place_is_taken_again(sets):
    """A set that is made after one was destroyed is listed where that one was."""
    for name in "abc":
        sets.create(name, "hash:ip")
    sets.destroy("b")
    sets.create("d", "hash:net")

    assert [each.name for each in sets] == ["a", "d", "c"]


@pytest.mark.parametrize(
    ("type", "words", "empty", "one"),
    [
        ("hash:ip", {}, 216, 256),
        ("hash:ip", {"timeout": 5, "counters": True, "comment": True, "skbinfo": True}, 216, 360),
        ("hash:ip,port,net", {}, 464, 520),
        ("hash:net,iface", {}, 488, 576),
        ("hash:net", {"family": Family.IPV6}, 1240, 1312),
        ("bitmap:port", {"range": (1, 1024)}, 200, 200),
        ("bitmap:ip", {"range": (0x0A000000, 0x0A0000FF), "counters": True}, 4216, 4216),
    ],
)
def test_memory(sets, type, words, empty, one):
    """The size in memory is the kernel's, for a set that is empty and for one with one element."""
    held = sets.create("x", type, SetOptions(**words))
    assert held.memory == empty

    element = {"hash:ip,port,net": "10.0.0.1,80,10.0.0.0/8", "hash:net,iface": "10.0.0.1,e", "bitmap:port": "80"}
    held.add(element.get(type, "2001::1" if held.family is Family.IPV6 else "10.0.0.1"))

    assert held.memory == one


def test_rules_count_what_they_find():
    """
    Each look-up counts what it meets, exceptions too, unless told not to; limits see the new count.

    An element that counts too little holds nothing: the next shorter prefix is asked, and counts as well.
    """
    node = Node()
    node.add_interface("eth0", ["192.0.2.1/24"], ["default"])
    node.run("ipset create n hash:net counters; ipset add n 10.0.0.0/8; ipset add n 10.1.0.0/16 nomatch")
    node.run("iptables -A FORWARD -m set --match-set n src --packets-gt 1")
    node.run("iptables -A FORWARD -m set --match-set n src ! --update-counters")
    for source in ("10.2.0.1:1", "10.2.0.1:2", "10.1.0.1:3"):
        node.receive(Packet.udp(source, "198.51.100.1:9"), "eth0")

    assert "10.0.0.0/8 packets 3 bytes 84\n" in node.run("ipset save").stdout
    assert "10.1.0.0/16 nomatch packets 1 bytes 28\n" in node.run("ipset save").stdout
    assert [line[:3] for line in node.run("iptables-save -c").stdout.splitlines() if "match-set" in line] == [
        "[2:",
        "[2:",
    ]


def test_huge_words_are_refused_before_anything_is_done(sets):
    """A word for more elements than can be handled is refused by name and adds none."""
    held = sets.create("x", "hash:ip", SetOptions(maxelem=2**32 - 1))

    with pytest.raises(UnsupportedError, match="elements by one word"):
        held.add("10.0.0.0/8")

    assert len(held) == 0


_address = st.integers(1, 254).map(lambda n: f"10.0.0.{n}")
_port = st.one_of(
    st.integers(0, 65535).map(lambda n: f"tcp:{n}"),
    st.sampled_from(["udp:53", "icmp:8/0", "icmp:3/4", "gre:0", "89:0"]),
)
_net = st.builds(lambda a, n: f"{a}/{n}", _address, st.integers(1, 32))
_PARTS = {
    "ip": _address, "plain-ip": _address, "net": _net, "port": _port, "iface": st.sampled_from(["eth0", "physdev:wan0"]),
    "mac": st.just("00:11:22:33:44:55"), "mark": st.integers(0, 2**32 - 1).map(hex),
    "bare port": st.integers(0, 65535).map(str),
}  # fmt: skip


@given(st.sampled_from([type for type in SET_TYPES.values() if type.method != "list"]), st.data())
def test_text_of_an_element_reads_back(type, data):
    """What a set writes of an element is read as the same element."""
    options = SetOptions()
    word = ",".join(data.draw(_PARTS[kind]) for kind in type.kinds)
    (element,) = read_elements(type, options, word)

    text = text_of_element(type, Family.IPV4, element)

    assert list(read_elements(type, options, text)) == [element]

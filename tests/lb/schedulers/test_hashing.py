"""dh, sh, mh: the same key leads to the same destination, and how much that changes when the list does."""

import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.addr import parse_address
from svcsim.hooks import Skb
from svcsim.lb.bench import Bench
from svcsim.lb.scheduler import fold, hash_32, slot_hash
from svcsim.lb.schedulers import DestinationHashing, MaglevHashing, SourceHashing
from svcsim.lb.schedulers.mh import siphash_1_3
from svcsim.lb.service import Destination, ServiceFlags
from svcsim.packet import Packet

FALLBACK, PORT = ServiceFlags.SCHED1, ServiceFlags.SCHED2
CLIENTS = [f"198.51.{i // 200}.{i % 200}:{30000 + i}" for i in range(600)]

ADDRESSES = [
    ("10.0.0.1", 39, 159, 177),
    ("10.0.0.2", 137, 550, 98),
    ("10.244.1.5", 115, 460, 117),
    ("172.16.5.9", 115, 460, 57),
    ("192.168.1.100", 89, 357, 36),
    ("203.0.113.7", 124, 499, 215),
    ("10.96.0.10", 242, 969, 234),
]


def numbers(bench: Bench, slots: list[Destination]) -> list[int]:
    """A table as the destinations' numbers in the order of adding."""
    number = {destination: i for i, destination in enumerate(bench.destinations)}
    return [number[destination] for destination in slots]


def places(bench: Bench) -> dict[str, Destination | None]:
    """Where each client goes now."""
    return {client: bench.connect(client) for client in CLIENTS}


@pytest.mark.parametrize(("text", "eight", "ten", "old"), ADDRESSES)
def test_the_hash_of_an_address_is_the_kernels(text: str, eight: int, ten: int, old: int) -> None:
    """The top bits of a product since 4.18; before, the low bits of another."""
    value = parse_address(text).value

    assert (hash_32(value, 8), hash_32(value, 10), slot_hash((4, 17), 8)(value)) == (eight, ten, old)
    assert slot_hash((4, 18), 8)(value) == eight


def test_an_ipv6_address_is_folded_first() -> None:
    """Its four words are XORed; the hash of fd00::1:2 is then that of 0xfd010002."""
    assert hash_32(fold(parse_address("fd00::1:2").value), 8) == 116


@pytest.mark.parametrize("name", ["dh", "sh", "mh"])
@given(weights=st.lists(st.integers(0, 4), max_size=5), first=st.integers(0, 2**32 - 1), count=st.integers(1, 4))
def test_the_same_key_leads_to_the_same_destination(name: str, weights: list[int], first: int, count: int) -> None:
    """However many connections there are meanwhile; and in an equal service too."""
    bench, other = Bench(name, weights), Bench(name, weights)
    skb = Skb(Packet.tcp("1.1.1.1:1", "2.2.2.2:2"))
    skb.src = skb.dst = first
    chosen = bench.take(skb)
    for client in CLIENTS[:count]:
        bench.connect(client)

    assert bench.take(skb) is chosen
    twin = other.take(skb)
    assert (chosen and chosen.address) == (twin and twin.address)


@pytest.mark.parametrize("name", ["dh", "sh", "mh"])
def test_a_slot_that_cannot_serve_refuses(name: str) -> None:
    """Without fallback a quiesced or overloaded destination's clients get nothing, and nobody else is moved."""
    bench = Bench(name, [1, 1, 1])
    before = {client: bench.take(skb_of(client)) for client in CLIENTS}
    out = bench.destinations[1]
    out.overloaded = True
    after = {client: bench.take(skb_of(client)) for client in CLIENTS}

    assert None in after.values()
    assert after == {client: None if d is out else d for client, d in before.items()}
    assert Bench(name).connect() is None


def skb_of(client: str) -> Skb:
    """A connection whose source and destination address both are the client's."""
    skb = Skb(Packet.tcp(client, "10.96.0.10:80"))
    skb.dst = skb.src
    return skb


def test_dh_shares_its_slots_in_turn_whatever_the_weights() -> None:
    """Slot i belongs to the i-th of the list, around and around; one virtual address is one slot."""
    bench = Bench("dh", [1, 7, 0])
    scheduler = bench.service.scheduler
    assert isinstance(scheduler, DestinationHashing)

    assert numbers(bench, scheduler.slots) == [2 - i % 3 for i in range(256)]
    assert len({bench.connect(client) for client in CLIENTS}) == 1


def test_dh_keeps_its_slots_when_a_weight_changes() -> None:
    """Slots are dealt out anew only when a destination comes or goes."""
    bench = Bench("dh", [1, 1])
    scheduler = bench.service.scheduler
    assert isinstance(scheduler, DestinationHashing)
    before = scheduler.slots
    bench.edit(bench.destinations[0], 5)
    assert scheduler.slots is before

    bench.add()
    assert Counter(numbers(bench, scheduler.slots)) == {0: 85, 1: 85, 2: 86}


def test_sh_gives_as_many_slots_in_a_row_as_the_weight() -> None:
    """Weights 1, 2, 3 added in that order; 0 keeps one slot; 256 takes the table."""
    bench = Bench("sh", [1, 2, 3])
    scheduler = bench.service.scheduler
    assert isinstance(scheduler, SourceHashing)
    table = numbers(bench, scheduler.slots)
    assert table[:14] == [2, 2, 2, 1, 1, 0, 2, 2, 2, 1, 1, 0, 2, 2]
    assert Counter(table) == {0: 42, 1: 85, 2: 129}

    bench.edit(bench.destinations[2], 0)
    assert numbers(bench, scheduler.slots)[:5] == [2, 1, 1, 0, 2]
    bench.edit(bench.destinations[2], 256)
    assert set(numbers(bench, scheduler.slots)) == {2}


@pytest.mark.parametrize(("client", "slot"), [("10.244.1.5:40000", 23), ("10.244.1.5:40001", 120)])
def test_sh_port_adds_the_port_to_the_address(client: str, slot: int) -> None:
    """Two connections of one client may go to two destinations; without the flag they go to one."""
    bench = Bench("sh", [1] * 256, flags=PORT)
    plain = Bench("sh", [1] * 256)

    assert bench.connect(client) is bench.destinations[255 - slot]
    assert plain.connect(client) is plain.destinations[255 - hash_32(parse_address("10.244.1.5").value, 8)]


def test_sh_fallback_searches_from_twice_the_slot() -> None:
    """The slot that failed is 39; the search begins at 78."""
    bench = Bench("sh", [1] * 256, flags=FALLBACK)
    by_slot = bench.destinations[::-1]
    by_slot[39].overloaded = by_slot[78].overloaded = True

    assert bench.connect("10.0.0.1:1") is by_slot[79]
    for destination in bench.destinations:
        destination.overloaded = True
    assert bench.connect("10.0.0.1:1") is None


def test_before_4_18_only_low_bits_of_the_address_mattered() -> None:
    """Addresses that differ in their high bits alone shared a destination."""
    old, new = Bench("sh", [1] * 256, kernel=(4, 17)), Bench("sh", [1] * 256)

    assert old.connect("10.0.0.1:1") is old.connect("11.0.0.1:1") is old.destinations[255 - 177]
    assert new.connect("10.0.0.1:1") is not new.connect("11.0.0.1:1")


def test_siphash_is_siphash() -> None:
    """SipHash-1-3 of four zero bytes under a zero key, and of an address under the scheduler's own key."""
    assert siphash_1_3(int.from_bytes(b"abcd", "little"), 0) == 0xD52AAE89
    assert siphash_1_3(parse_address("10.244.0.2").value + 8080, 2654435761) == 0x6B66C621


@pytest.mark.parametrize(
    ("weights", "sizes", "digest"),
    [
        ([1, 1, 1], [1364, 1364, 1365], "e9c30fceaee62e98a58f8e6250d0f0a850f265ad50b959a1da5483270f9dc8a9"),
        ([1, 2, 5], [511, 1022, 2560], "3aa7a4a6321470540de5870cff24521a87b8dff6a2beb2c8d4d035503273676e"),
    ],
)
def test_mh_fills_the_kernels_table(weights: list[int], sizes: list[int], digest: str) -> None:
    """10.244.0.2, .3 and .4, port 8080, added in that order: every one of the 4093 slots."""
    bench = Bench("mh", weights)
    scheduler = bench.service.scheduler
    assert isinstance(scheduler, MaglevHashing)
    table = numbers(bench, scheduler.slots)

    assert [table.count(i) for i in range(3)] == sizes
    assert hashlib.sha256(bytes(table)).hexdigest() == digest


def test_mh_sends_clients_where_the_kernel_does() -> None:
    """Four clients over three equal destinations."""
    bench = Bench("mh", [1, 1, 1])
    clients = ["10.244.1.5:1", "192.168.1.100:1", "10.0.0.1:1", "172.16.5.9:1"]

    assert [bench.destinations.index(d) for c in clients if (d := bench.connect(c))] == [0, 1, 0, 0]


def test_mh_moves_few_when_a_destination_leaves() -> None:
    """All of the leaver's clients move, and of the others not one in twenty; sh moves most of them."""
    moved = {}
    for name in ("mh", "sh"):
        bench = Bench(name, [1] * 8)
        before = places(bench)
        gone = bench.destinations[3]
        bench.remove(gone)
        after = places(bench)
        assert gone not in after.values()
        stayers = [client for client in CLIENTS if before[client] is not gone]
        moved[name] = sum(before[client] is not after[client] for client in stayers) / len(stayers)

    assert moved["mh"] < 0.05
    assert moved["sh"] > 0.5


def test_mh_gives_a_quiesced_destination_its_clients_back() -> None:
    """Weight 0 leaves the table as it was; with fallback its clients go elsewhere meanwhile, and nobody else moves."""
    bench = Bench("mh", [1, 1, 1], flags=FALLBACK)
    before = places(bench)
    out = bench.destinations[0]
    bench.edit(out, 0)
    meanwhile = places(bench)
    bench.edit(out, 1)

    assert all(d is not None and d is not out for d in meanwhile.values())
    assert all(meanwhile[c] is d for c, d in before.items() if d is not out)
    assert places(bench) == before


def test_mh_needs_a_weight_once() -> None:
    """A destination that never had a weight has no slots; with all such there is no table."""
    bench = Bench("mh", [0, 0])
    assert bench.connect() is None

    bench.edit(bench.destinations[0], 3)
    assert {bench.connect(client) for client in CLIENTS[:50]} == {bench.destinations[0]}


def test_mh_shifts_heavy_weights_down() -> None:
    """Weights beyond six bits lose their low bits, but none its turn."""
    bench = Bench("mh", [1, 640, 1280])
    scheduler = bench.service.scheduler
    assert isinstance(scheduler, MaglevHashing)
    sizes = Counter(numbers(bench, scheduler.slots))

    assert sizes[0] > 0
    assert abs(sizes[2] - 2 * sizes[1]) <= 60


def test_mh_keeps_its_table_when_there_are_more_destinations_than_slots() -> None:
    """The 4094th destination gets nothing, and the others keep what they have."""
    bench = Bench("mh", [1] * 4093)
    scheduler = bench.service.scheduler
    assert isinstance(scheduler, MaglevHashing)
    before = list(scheduler.slots)
    extra = bench.add()

    assert scheduler.slots == before
    assert extra not in before


def test_mh_fallback_hashes_the_key_with_an_offset_that_begins_at_the_slot() -> None:
    """The search does not walk along the table: each step hashes the client and a new offset again."""
    bench = Bench("mh", [1] * 40, flags=FALLBACK)
    scheduler = bench.service.scheduler
    assert isinstance(scheduler, MaglevHashing)
    for destination in bench.destinations[:30]:
        destination.overloaded = True
    searched = 0
    for client in CLIENTS[:80]:
        key = parse_address(client.partition(":")[0]).value
        first = siphash_1_3(key, 2654435761) % 4093
        chosen, steps = scheduler.slots[first], 0
        while chosen.overloaded:
            chosen = scheduler.slots[siphash_1_3(key + (steps + first) % 4093, 2654435761) % 4093]
            steps += 1
        searched += steps
        assert bench.connect(client) is chosen
    assert searched > 80


def test_mh_port_and_fallback_over_many_clients() -> None:
    """With the port in the key one client reaches every destination; with one left, fallback always finds it."""
    bench = Bench("mh", [1, 1, 1], flags=PORT | FALLBACK)
    clients = [f"198.51.100.7:{port}" for port in range(40000, 40100)]
    assert len({bench.connect(client) for client in clients}) == 3

    for destination in bench.destinations[:2]:
        bench.edit(destination, 0)
    assert {bench.connect(client) for client in clients} == {bench.destinations[2]}
    bench.edit(bench.destinations[2], 0)
    assert bench.connect(clients[0]) is None

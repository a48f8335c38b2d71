"""Addresses and prefixes, and their texts."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import addresses, families, prefixes
from svcsim.addr import Address, Family, Prefix, format_address, parse_address
from svcsim.errors import ConfigError


@given(st.ip_addresses())
def test_addresses_come_back(address):
    """Every address is read from its text and written again, as inet_ntop writes it."""
    parsed = parse_address(str(address))
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6

    assert parsed == Address(Family(address.version), int(address))
    assert str(parsed) == socket.inet_ntop(family, address.packed)


@given(st.lists(st.sampled_from([0, 1, 0xFFFF, 0xC000]), min_size=8, max_size=8))
def test_runs_of_zeros_are_shortened_as_the_tools_do(words):
    """Of several runs of zeros, of IPv4 addresses inside IPv6 ones: all is written as inet_ntop writes it."""
    value = int.from_bytes(b"".join(word.to_bytes(2) for word in words))

    assert format_address(6, value) == socket.inet_ntop(socket.AF_INET6, value.to_bytes(16))


@pytest.mark.parametrize(
    "text",
    ["", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.-4", "1.2.3.٤", "1.2.3.4 ", "::g", ":::", "fe80::1%eth0", "a.b.c.d"],
)
def test_what_is_no_address_is_refused(text):
    """A text that is no address is named in the refusal."""
    with pytest.raises(ConfigError, match="not an IP address") as caught:
        parse_address(text)
    assert repr(text) in str(caught.value)


@given(families.flatmap(prefixes))
def test_prefixes_come_back(prefix):
    """A prefix is read from its text and holds its own first and last address."""
    last = prefix.value | (prefix.family.all_ones ^ prefix.mask)

    assert Prefix.parse(str(prefix)) == prefix
    assert prefix.value in prefix
    assert last in prefix


@given(families.flatmap(lambda f: st.tuples(st.just(f), addresses(f), st.integers(0, f.bits), addresses(f))))
def test_prefixes_hold_what_the_standard_library_says(case):
    """Whether an address is in a prefix does not depend on whom one asks."""
    family, value, length, other = case
    text = f"{format_address(family, value)}/{length}"
    network = ipaddress.ip_network(text, strict=False)

    prefix = Prefix.parse(text)

    assert (prefix.value, prefix.length) == (int(network.network_address), length)
    assert (other in prefix) == (ipaddress.ip_address(format_address(family, other)) in network)


def test_host_bits_are_cleared():
    """An address with host bits is the prefix that it lies in, as the tools take it."""
    assert str(Prefix.parse("10.244.3.4/16")) == "10.244.0.0/16"
    assert str(Prefix.parse("2001:db8::7/64")) == "2001:db8::/64"


def test_a_bare_address_is_a_prefix_of_one():
    """Without a length the whole address counts."""
    assert str(Prefix.parse("192.0.2.1")) == "192.0.2.1/32"
    assert str(Prefix.parse("::1")) == "::1/128"


def test_masks_need_not_be_contiguous():
    """A mask with holes is kept, and shown as a mask; one without is shown as a length."""
    prefix = Prefix.parse("10.9.8.7/255.0.255.0")

    assert (prefix.length, str(prefix)) == (None, "10.0.8.0/255.0.255.0")
    assert 0x0AFF08FF in prefix
    assert 0x0AFF09FF not in prefix
    assert str(Prefix.parse("10.9.8.7/255.255.0.0")) == "10.9.0.0/16"


@pytest.mark.parametrize(
    "text", ["10.0.0.0/33", "10.0.0.0/x", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/::", "::/129", "/8"]
)
def test_impossible_prefixes_are_refused(text):
    """A length out of range, a mask of another family, or none of either is refused."""
    with pytest.raises(ConfigError):
        Prefix.parse(text)


def test_families_know_their_width():
    """32 and 128 bits, and the mask that keeps them all."""
    assert [(family.bits, family.all_ones) for family in Family] == [(32, 2**32 - 1), (128, 2**128 - 1)]

"""Random rule sets under random traffic: iptables-randrules, iptables-v6, iptables-nft, iptables-nftv6."""

from __future__ import annotations

import random

from drawing import Traffic, draw_rules
from scenario import SITES, Scenario, family


def _randrules(rng: random.Random, number: int, tool: str, six: bool) -> Scenario:
    site = SITES[number % len(SITES)]
    s = Scenario(site.interfaces(six=six))
    command = f"{'ip6tables' if six else 'iptables'}-{tool}"
    nft = tool == "nft"  # which prints two matches of one kind as one
    plain = number % 4 == 0  # nothing asks for connection tracking
    if number % 3 == 1:
        s.rules(
            "mangle", *draw_rules(rng, site, "mangle", 12, six=six, plain=plain, unique=nft), tool=f"{command}-restore"
        )
    s.rules(
        "filter",
        *draw_rules(rng, site, "filter", 10 + number % 9, six=six, plain=plain, unique=nft),
        tool=f"{command}-restore",
    )
    Traffic(s, rng, site, six=six).many(55)
    name = f"{'ip6tables' if six else 'iptables'}-save -c"
    s.dumps[name] = f"{command}-save -c"
    if not plain:
        s.dump("conntrack -L", six=six)
    return s


@family("iptables-randrules", 40)
def randrules(rng: random.Random, number: int) -> Scenario:
    """Random filter and mangle tables, jumps and gotos among their chains."""
    return _randrules(rng, number, "legacy", six=False)


@family("iptables-v6", 25)
def randrules6(rng: random.Random, number: int) -> Scenario:
    """The same over IPv6."""
    return _randrules(rng, number, "legacy", six=True)


@family("iptables-nft", 16)
def randrules_nft(rng: random.Random, number: int) -> Scenario:
    """The same, loaded into nf_tables by iptables-nft."""
    return _randrules(rng, number, "nft", six=False)


@family("iptables-nftv6", 6)
def randrules6_nft(rng: random.Random, number: int) -> Scenario:
    """The same over IPv6, loaded into nf_tables."""
    return _randrules(rng, number, "nft", six=True)

"""Whole tables at once, from save files good and bad: iptables-restores, iptables-nftrestores."""

from __future__ import annotations

import random

from drawing import Traffic, draw_rule, draw_rules
from scenario import SITES, Scenario, Site, family, here

CHAINS = ("INPUT", "FORWARD", "OUTPUT")


def counters(rng: random.Random) -> str:
    """Draw a pair of counters."""
    return f"[{rng.randrange(2000)}:{rng.randrange(10**6)}]"


def rule(rng: random.Random, site: Site, chain: str, unique: bool) -> str:
    """Draw the words of a filter rule behind its chain."""
    return draw_rule(rng, site, chain, "filter", [], plain=True, unique=unique).split(" ", 2)[2]


def partial(rng: random.Random, site: Site, users: list[str], unique: bool) -> list[str]:
    """Draw the lines of a block that changes part of a filter table that has the chains *users*."""
    lines = []
    declared = rng.sample(users, rng.randrange(len(users) + 1)) + ["new"] * rng.randrange(2)
    lines += [f":{name} - {counters(rng)}" for name in declared]
    if rng.random() < 0.4:
        lines.append(f":{rng.choice(CHAINS)} {rng.choice(('ACCEPT', 'DROP', '-'))} {counters(rng)}")
    for _ in range(rng.randrange(1, 7)):
        chain = rng.choice([*CHAINS, *users])
        words = rule(rng, site, chain, unique)
        prefix = counters(rng) + " " if rng.random() < 0.3 else ""
        good = (
            *[f"{prefix}-A {chain} {words}"] * 3,
            f"{prefix}-A FORWARD -j {rng.choice(users)}",
            f"-I {chain} {words}",
            f"-I {chain} 1 {words}",
            f"-F {chain}",
            f"-Z {chain}",
            f"-P {rng.choice(CHAINS)} ACCEPT",
            "# a remark",
            "",
            "-D FORWARD 1",
            "-R FORWARD 1 " + words,
        )
        doubtful = (
            f"-I {chain} {rng.randrange(2, 4)} {words}",
            f"-D {chain} {rng.randrange(1, 4)}",
            f"-R {chain} 1 {words}",
            f"-X {rng.choice([*users, 'new'])}",
            f"-N {rng.choice(('new', 'newer', users[0]))}",
            f"-E {rng.choice(users)} renamed",
            f"-A {chain} -j later",
            f"-A {rng.choice(users)} -j {rng.choice(users)}",
            f"{prefix}-A {chain} -m nosuch",
        )
        lines.append(rng.choice(good if rng.random() < 0.85 else doubtful))
    return lines


def _restores(rng: random.Random, number: int, kind: str) -> Scenario:
    site = SITES[number % len(SITES)]
    s = Scenario(site.interfaces())
    first = draw_rules(rng, site, "filter", 8, plain=True, unique=kind == "nft")
    users = [line[1:].split()[0] for line in first if line.startswith(":") and line[1:].split()[0] not in CHAINS]
    if number % 4 == 0:
        first = [counters(rng) + " " + line if line.startswith("-A") else line for line in first]
    s.rules("filter", *first, tool=f"iptables-{kind}-restore" + " -c" * (number % 8 == 0))
    traffic = Traffic(s, rng, site)
    for turn in range(9):
        traffic.many(3)
        flags = rng.choice(
            ("", "-n", "-n", "--noflush", "-c", "-n -c", "--noflush --counters", "--test", "-T filter", "-T nat")
        )
        blocks = ["*filter", *partial(rng, site, users, kind == "nft"), "COMMIT"]
        if rng.random() < 0.25:
            nat = ["*nat", ":POSTROUTING ACCEPT [3:4]", f"-A POSTROUTING -s {site.far}0/24 -j MASQUERADE", "COMMIT"]
            blocks = nat + blocks if rng.random() < 0.5 else blocks + nat
        if rng.random() < 0.1:
            blocks = rng.choice(
                (blocks[:-1], blocks[1:], ["*nosuch", "COMMIT"], ["*filter", ":web", "COMMIT"], ["COMMIT"])
            )
        s.command(here(f"iptables-{kind}-restore {flags} 2>/dev/null", "\n".join(blocks)))
        if turn % 3 == 2:
            s.command(f"iptables-{kind}-save -c -t filter | grep -v '^#'")
    s.dumps["iptables-save -c"] = f"iptables-{kind}-save -c"
    return s


@family("iptables-restores", 26)
def restores(rng: random.Random, number: int) -> Scenario:
    """Blocks that replace or change tables, with and without counters, some of them wrong."""
    return _restores(rng, number, "legacy")


@family("iptables-nftrestores", 8)
def restores_nft(rng: random.Random, number: int) -> Scenario:
    """The same with iptables-nft-restore."""
    return _restores(rng, number, "nft")

"""Rule by rule: the commands that change and print tables, and their mistakes: iptables-edits, -v6edits, -nftedits."""

from __future__ import annotations

import random

from drawing import Traffic, draw_rule
from scenario import SITES, Scenario, Site, family

CHAINS = ("INPUT", "FORWARD", "OUTPUT", "web", "dns", "low")


class Editor:
    """Draws commands that change, check, print and spoil a filter table; remembers the rules it made."""

    def __init__(self, rng: random.Random, site: Site, tool: str) -> None:
        self.rng, self.site, self.tool = rng, site, tool
        self.six = tool.startswith("ip6")
        self.made: list[tuple[str, str]] = []

    def rule(self, chain: str) -> str:
        """Draw the words of a rule for *chain*."""
        later = [name for name in CHAINS[3:] if chain not in CHAINS[3:] or CHAINS.index(name) > CHAINS.index(chain)]
        return draw_rule(
            self.rng, self.site, chain, "filter", later, six=self.six, plain=True, unique="nft" in self.tool
        ).split(" ", 2)[2]

    def change(self) -> str:
        """Draw a command."""
        rng = self.rng
        chain, number = rng.choice(CHAINS), rng.choice((1, 1, 2, 3, 9))
        old_chain, old = rng.choice(self.made) if self.made else (chain, "-p tcp -j DROP")
        kind = rng.random()
        if kind < 0.3:
            rule = self.rule(chain)
            self.made.append((chain, rule))
            return rng.choice(
                (f"-A {chain} {rule}", f"-A {chain} {rule}", f"-I {chain} {rule}", f"-I {chain} {number} {rule}")
            )
        if kind < 0.5:
            return rng.choice((f"-D {old_chain} {old}", f"-D {chain} {number}", f"-C {old_chain} {old}",
                               f"-C {chain} {old}", f"-R {chain} {number} {old}"))  # fmt: skip
        if kind < 0.72:
            listing = (f"-S {chain}", "-S", f"-L {chain} -n", "-L -n", f"-S {chain} -v", f"-L {chain} -nvx",
                       f"-L {chain} -n --line-numbers", f"-nvL {chain} --line-numbers", f"-S {chain} {number}",
                       f"-L {chain} {number} -n", "-L -nv")  # fmt: skip
            return rng.choice(listing)
        if kind < 0.86:
            return rng.choice(
                (
                    f"-Z {chain}",
                    "-Z",
                    f"-Z {chain} {number}",
                    f"-F {chain}",
                    f"-P {chain} DROP",
                    f"-P {chain} ACCEPT",
                    f"-P INPUT {rng.choice(('ACCEPT', 'DROP'))}",
                    "-F low",
                )
            )
        return rng.choice(
            (
                f"-N {chain}",
                "-N fresh",
                "-X fresh",
                f"-X {chain}",
                "-E fresh stale",
                "-E stale fresh",
                "-X stale",
                f"-E {chain} {rng.choice(CHAINS)}",
                "-A NOPE -j ACCEPT",
                f"-A {chain} -j NOPE",
                "-D NOPE 1",
                "-A web -j web",
                "-A low -j web",
                f"-A {chain} -j INPUT",
                "-P FORWARD MAYBE",
                f"-I {chain} 0 -j ACCEPT",
                "-N DROP",
                f"-A {chain} -p tcp --dport 80:70",
                f"-A {chain} -p nothing",
                f"-A {chain} --dport 80 -j ACCEPT",
                f"-A {chain} -p tcp --dport 70000",
                f"-A {chain} -m mark --mark 0x1ffffffff",
                "-t nat -A FORWARD -j ACCEPT",
                f"-A {chain} -m nosuchmatch",
                f"-A {chain} -j MARK",
                f"-A {chain} -s 1.2.3.4.5",
                f"-A {chain} -i {'x' * 16}",
                f"-N {'c' * 29}",
                f"-N {'c' * 28}",
                f"-X {'c' * 28}",
                "-t nosuch -L",
                f"-R {chain} 1",
                f"-A {chain} -g NOPE",
                f"-A {chain} -p udp -j REJECT --reject-with tcp-reset",
                f"-A {chain} -o eth9 -i eth9 -j DROP",
            )
        )


def _edits(rng: random.Random, number: int, tool: str) -> Scenario:
    site = SITES[number % len(SITES)]
    six = tool.startswith("ip6")
    s = Scenario(site.interfaces(six=six))
    s.run(f"{tool} -N web", f"{tool} -N dns", f"{tool} -N low", f"{tool} -A FORWARD -p tcp -j web")
    s.run(f"{tool} -A FORWARD -p udp -j dns", f"{tool} -A INPUT -s {site.near6 if six else site.near}44 -j low")
    editor, traffic = Editor(rng, site, tool), Traffic(s, rng, site, six=six)
    for _ in range(22):
        for _ in range(rng.randrange(1, 3)):
            s.command(f"{tool} {editor.change()} 2>/dev/null")
        traffic.many(rng.randrange(0, 4))
    s.command(f"{tool} -S -v")
    s.dumps["ip6tables-save -c" if six else "iptables-save -c"] = f"{tool}-save -c"
    return s


@family("iptables-edits", 28)
def edits(rng: random.Random, number: int) -> Scenario:
    """Random commands, right and wrong, between random packets."""
    return _edits(rng, number, "iptables-legacy")


@family("iptables-v6edits", 6)
def edits6(rng: random.Random, number: int) -> Scenario:
    """The same over IPv6."""
    return _edits(rng, number, "ip6tables-legacy")


@family("iptables-nftedits", 12)
def edits_nft(rng: random.Random, number: int) -> Scenario:
    """The same with iptables-nft."""
    return _edits(rng, number, "iptables-nft")

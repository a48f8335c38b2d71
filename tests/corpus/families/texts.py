"""How rules are printed: each form appended by command, then saved, listed, looked up and deleted: iptables-text."""

from __future__ import annotations

import random

from families.targets import TARGETS, TARGETS6
from forms import FORMS, FORMS4, FORMS6, NOT_IN_SIX, words_of
from scenario import SITES, Scenario, Site, family

QUIET = "2>/dev/null"
LISTINGS = ("-L -n", "-nvL", "-L -nvx", "-L -n --line-numbers", "-nvL --line-numbers")


def _rules(rng: random.Random, site: Site, six: bool) -> list[tuple[str, str]]:
    """Draw rules of every kind as pairs of a table and the words behind ``-A``."""
    rules = []
    for name, forms in ((FORMS | FORMS6) if six else (FORMS | FORMS4)).items():
        if name in ("u32", "physdev", "rpfilter"):
            continue
        for form in rng.sample(forms, min(3, len(forms))):
            if not (six and form.endswith(NOT_IN_SIX)):
                chain, words = words_of(form, site, six)
                rules.append(("filter", f"{chain} {words}"))
    for name, tables in (TARGETS6 if six else TARGETS).items():
        if name == "other":
            continue
        for table, lines in tables.items():
            rules += [(table, line.format(**vars(site))[3:]) for line in rng.sample(lines, min(2, len(lines)))]
    return rng.sample(rules, 24)


def _text(rng: random.Random, number: int, tool: str) -> Scenario:
    site, six = SITES[number % 3], tool.startswith("ip6")
    s = Scenario(site.interfaces(six=six))
    rules = _rules(rng, site, six)
    for table, words in rules:
        s.command(f"{tool} -t {table} {rng.choice(('-A', '-A', '-I'))} {words} {QUIET}")
    for table in sorted({table for table, _ in rules}):
        s.command(f"{tool} -t {table} -S {QUIET}")
        s.command(f"{tool} -t {table} {rng.choice(LISTINGS)}")
    for table, words in rng.sample(rules, 8):  # ip6tables-legacy 1.8.9 reads past its mask when it checks
        for verb in ("-D",) if tool == "ip6tables-legacy" else ("-C", "-D", "-C"):
            s.command(f"{tool} -t {table} {verb} {words} {QUIET}")
    s.command(f"{tool}-save | grep -v '^#'")
    return s


@family("iptables-text", 12)
def text(rng: random.Random, number: int) -> Scenario:
    """IPv4, iptables-legacy."""
    return _text(rng, number, "iptables-legacy")


@family("iptables-v6text", 6)
def text6(rng: random.Random, number: int) -> Scenario:
    """IPv6, ip6tables-legacy."""
    return _text(rng, number, "ip6tables-legacy")


@family("iptables-nfttext", 6)
def text_nft(rng: random.Random, number: int) -> Scenario:
    """IPv4, iptables-nft."""
    return _text(rng, number, "iptables-nft")

"""Matches that remember: limit, hashlimit, recent, with time passing: iptables-memory-NAME."""

from __future__ import annotations

import random

from scenario import SITES, Scenario, at, family

from svcsim.packet import Packet


def salvo(s: Scenario, rng: random.Random, number: int, count: int) -> None:
    """Let *count* datagrams of a few clients arrive."""
    site = SITES[number % 3]
    for _ in range(count):
        src = at(site.near + str(rng.randrange(40, 44)), rng.randrange(40000, 40003))
        dst = at(site.pod + str(rng.randrange(10, 13)), rng.choice((53, 80)))
        s.arrive(site.uplink, Packet.udp(src, dst, b"m", ttl=rng.choice((64, 64, 32))))


@family("iptables-memory-limit", 5)
def limit(rng: random.Random, number: int) -> Scenario:
    """Token buckets that fill again."""
    site = SITES[number % 3]
    s = Scenario(site.interfaces())
    lines = [
        f"-A FORWARD -m limit --limit {rate} --limit-burst {burst}"
        for rate, burst in (("1/sec", 2), ("2/sec", 3), ("30/min", 4), ("4/sec", 1))
    ]
    s.rules("filter", *rng.sample(lines, 3))
    for pause in (1.3, 0.8, 2.3):
        salvo(s, rng, number, 7)
        s.wait(pause)
    salvo(s, rng, number, 4)
    s.command("iptables-legacy -A FORWARD -p tcp")  # a new table: every bucket is full again
    salvo(s, rng, number, 5)
    s.dump("iptables-save -c")
    return s


@family("iptables-memory-hashlimit", 6)
def hashlimit(rng: random.Random, number: int) -> Scenario:
    """A bucket for every client, service or network."""
    site = SITES[number % 3]
    s = Scenario(site.interfaces())
    forms = (
        "--hashlimit-upto 1/sec --hashlimit-burst 2 --hashlimit-mode srcip --hashlimit-name one",
        "--hashlimit-above 1/sec --hashlimit-burst 3 --hashlimit-mode srcip,dstip --hashlimit-name two",
        "--hashlimit-upto 2/min --hashlimit-mode dstip,dstport --hashlimit-name three",
        "--hashlimit-upto 1/hour --hashlimit-burst 4 --hashlimit-name four",
        "--hashlimit-above 3/min --hashlimit-burst 1 --hashlimit-mode srcip --hashlimit-srcmask 30 "
        "--hashlimit-name five",
        "--hashlimit-upto 1/sec --hashlimit-burst 1 --hashlimit-mode srcport --hashlimit-name six",
    )
    s.rules("filter", *(f"-A FORWARD -m hashlimit {form}" for form in rng.sample(forms, 4)))
    for pause in (1.4, 2.3):
        salvo(s, rng, number, 14)
        s.wait(pause)
    salvo(s, rng, number, 8)
    s.dump("iptables-save -c")
    return s


@family("iptables-memory-recent", 10)
def recent(rng: random.Random, number: int) -> Scenario:
    """Lists of who was seen, asked with and without a time and a count."""
    site = SITES[number % 3]
    s = Scenario(site.interfaces())
    forms = (
        "--rcheck --name A --rsource",
        "! --rcheck --name A --rsource",
        "--update --name A --rsource --seconds 2",
        "--rcheck --name A --seconds 1 --reap --rsource",
        "--rcheck --name A --hitcount 3 --rsource",
        "--update --seconds 60 --hitcount 4 --name A --rsource",
        "--set --name B --rdest",
        "--rcheck --name B --rdest --rttl",
        "--rcheck --name B --seconds 2 --rdest",
        "--remove --name A --rsource",
        "! --update --name C --rsource",
        "! --set --name C --rsource",
        "--set --name D --mask 255.255.255.252 --rsource",
        "--rcheck --name D --rsource",
        "--rcheck --name B --rttl --hitcount 2 --rdest",
        "--set --rsource",
        "--rcheck --rsource",
    )
    chosen = [f"-A FORWARD -m recent {form}" for form in rng.sample(forms, 9)]
    chosen.insert(rng.randrange(5), "-A FORWARD -p udp -m udp --dport 53 -m recent --set --name A --rsource")
    s.rules("filter", *chosen)
    salvo(s, rng, number, 12)
    if number % 2:
        s.wait(2.6)
    salvo(s, rng, number, 12)
    s.command("iptables-legacy -A FORWARD -p tcp")  # the lists stay
    salvo(s, rng, number, 5)
    s.dump("iptables-save -c")
    return s

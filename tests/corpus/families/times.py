"""The time match: what is read and printed of it, and rules that hold always or never: iptables-time."""

from __future__ import annotations

import random

from scenario import SITES, Scenario, at, family

from svcsim.packet import Packet


def draw_time(rng: random.Random) -> str:
    """Draw the options of one match, right ones mostly."""
    words = []
    if rng.random() < 0.5:
        words.append(f"--timestart {rng.randrange(25)}:{rng.randrange(61):02}{rng.choice(('', '', ':5', ':60'))}")
    if rng.random() < 0.5:
        words.append(f"--timestop {rng.randrange(24):02}:{rng.randrange(60)}{rng.choice(('', ':07', ':'))}")
    if rng.random() < 0.4:
        days = rng.sample(("Mon", "Tue", "We", "Thursday", "5", "6", "Sun", "8", "fri", "0"), rng.randrange(1, 4))
        words.append(f"{rng.choice(('', '! '))}--weekdays {','.join(days)}")
    if rng.random() < 0.4:
        days = [str(rng.choice((0, 1, 2, 3, 11, 15, 22, 30, 31, 31, 32))) for _ in range(rng.randrange(1, 5))]
        words.append(f"{rng.choice(('', '! '))}--monthdays {','.join(days)}")
    for name in ("datestart", "datestop"):
        if rng.random() < 0.3:
            date = f"{rng.randrange(1969, 2040)}"
            for part in ("-{:02}", "-{}", "T{:02}", ":{:02}", ":{}"):
                if rng.random() < 0.3:
                    break
                date += part.format(rng.randrange(1, 13) if part[0] == "-" else rng.randrange(61))
            words.append(f"--{name} {date}")
    words += [word for word in ("--contiguous", "--kerneltz", "--utc") if rng.random() < 0.15]
    return " ".join(words)


@family("iptables-time", 12)
def times(rng: random.Random, number: int) -> Scenario:
    """Random rules, printed in both ways; then rules that do not care what time it is."""
    site = SITES[number % 3]
    s = Scenario(site.interfaces())
    s.run("iptables-legacy -N NEVER")  # nobody goes there: what time it is nobody knows
    for _ in range(14):
        s.command(f"iptables-legacy -A NEVER -m time {draw_time(rng)} -j ACCEPT 2>&1")
    s.command("iptables-legacy -nL NEVER")
    never = rng.choice(
        ("--weekdays 8", "--monthdays 0", "! --weekdays Mon,Tue,Wed,Thu,Fri,Sat,Sun", "--datestart 2038")
    )
    always = rng.choice(
        ("--timestart 00:00 --timestop 23:59:59", "", "--datestop 2038-01-01 --kerneltz", "! --monthdays 0")
    )
    s.rules(
        "filter",
        f"-A FORWARD -m time {never} -j DROP",
        f"-A FORWARD -m time {always} -p udp -j REJECT",
        "-A FORWARD -m time --timestart 12:00 --timestop 11:59:59 -p tcp",
        tool="iptables-legacy-restore --noflush",
    )
    for turn in range(4):
        make = rng.choice((Packet.tcp, Packet.udp))
        s.arrive(site.uplink, make(at(site.client(rng), 45000 + turn), at(site.backend(rng), 80)))
    s.dump("iptables-save -c")
    return s

"""What svcsim does not model is kept, named, and never guessed at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.hooks import Verdict
from svcsim.node import Node
from svcsim.packet import Packet


def node(*rules: str) -> Node:
    """A router with these rules in FORWARD."""
    made = Node()
    made.add_interface("cli0", ["192.0.2.1/24"])
    made.add_interface("pod0", ["10.244.0.1/16"])
    for rule in rules:
        done = made.run(f"iptables -A FORWARD {rule}")
        assert done.returncode == 0, done.stderr
    return made


def syn(port: int) -> Packet:
    """A first segment to a pod."""
    return Packet.tcp("192.0.2.9:40000", f"10.244.0.5:{port}")


@pytest.mark.parametrize(
    "rule",
    [
        "-p tcp -m osf ! --genre Linux --ttl 1 -m tcp --dport 80 -j DROP",
        '-m bpf --bytecode "1,6 0 0 1" -j DROP',
        "-p tcp -j TEE --gateway 192.0.2.9",
        "-p tcp -m hashlimit --hashlimit-above 5/sec --hashlimit-name x --hashlimit-rate-match -j DROP",
    ],
)
def test_a_rule_is_kept_word_for_word(rule):
    """It is saved as it was written, found again by its words, and can be loaded from what was saved."""
    one, other = node(rule), node()
    saved = one.run("iptables-save").stdout
    assert f"-A FORWARD {rule}" in saved.split("\n")
    assert other.run(f"iptables-restore <<'E'\n{saved}E").returncode == 0
    assert other.run("iptables-save").stdout == saved
    assert one.run(f"iptables -C FORWARD {rule}").returncode == 0
    assert one.run(f"iptables -D FORWARD {rule}").returncode == 0


def test_an_unknown_match_ends_the_way_and_is_named():
    """A packet that meets it gets no verdict; the rule has not counted it; nothing was sent."""
    host = node("-m osf --genre Linux -p tcp -m tcp --dport 80 -j DROP")
    outcome = host.receive(syn(80), "cli0")
    assert outcome.verdict is Verdict.UNKNOWN
    assert outcome.unknown == ("-m osf --genre Linux",)
    assert not outcome.sent and "osf" in str(outcome)
    assert "[0:0] -A FORWARD" in host.run("iptables-save -c").stdout


def test_packets_that_another_match_refuses_are_not_affected():
    """What stands behind the unknown match is asked first, as long as asking changes nothing."""
    host = node("-p tcp -m osf --genre Linux -m tcp --dport 80 -j DROP")
    outcome = host.receive(syn(81), "cli0")
    assert outcome.verdict is Verdict.ACCEPT and not outcome.unknown


def test_a_match_with_a_memory_is_not_asked_behind_an_unknown_one():
    """Whether a bucket behind it would have been drawn from is not known either, so it is left as it is."""
    host = node("-m osf --genre Linux -m limit --limit 1/hour --limit-burst 1")
    assert host.receive(syn(80), "cli0").verdict is Verdict.UNKNOWN
    host.unknown_holds = True
    host.receive(syn(80), "cli0")
    assert "[1:40]" in host.run("iptables-save -c").stdout


def test_an_unknown_target_counts_and_ends_the_way():
    """The rule did match; what its target would have done is not known."""
    host = node("-p tcp -j TEE --gateway 192.0.2.9", "-p tcp -j DROP")
    assert host.receive(syn(80), "cli0").unknown == ("-j TEE --gateway 192.0.2.9",)
    assert "[1:40] -A FORWARD -p tcp -j TEE" in host.run("iptables-save -c").stdout


@pytest.mark.parametrize(("holds", "verdict"), [(True, Verdict.DROP), (False, Verdict.ACCEPT)])
def test_either_way_can_be_followed(holds, verdict):
    """What is assumed decides, and nothing is unknown then."""
    host = node("-p tcp -m osf --genre Linux -m tcp --dport 80 -j DROP")
    host.unknown_holds = holds
    outcome = host.receive(syn(80), "cli0")
    assert outcome.verdict is verdict and not outcome.unknown


@given(st.sampled_from("nosuch tcpx FORWARDED Osf frag".split()))
def test_a_name_that_the_real_tool_has_not_is_refused(name):
    """Misspelt, or of the other family: the tool cannot load it."""
    done = node().run(f"iptables -A FORWARD -m {name} --thing 1")
    assert done.returncode == 2 and f"Couldn't load match `{name}':No such file or directory" in done.stderr


def test_an_option_of_the_protocol_is_not_swallowed():
    """Behind an unknown match, an option that the rule's protocol knows loads that protocol's match."""
    host = node("-p tcp -m osf --genre Linux --dport 80 -j DROP")
    assert "-m osf --genre Linux -m tcp --dport 80 -j DROP" in host.run("iptables -S FORWARD").stdout


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("--zone 9", "--zone 9"),
        ("--zone-reply 0x7", "--zone-reply 7"),
        ("--zone mark", "--zone mark"),
        ("--zone 1 --zone-orig 2", "--zone-orig 2"),
        ("--zone-orig 1 --zone-reply 2", "--zone 2"),
        ("--zone 5 --notrack", "--notrack --zone 5"),
        ("--zone 0", ""),
    ],
)
def test_zones_are_printed(options, text):
    """A zone is printed as the tool prints it, whatever becomes of packets."""
    node = Node()

    node.run(f"iptables -t raw -A PREROUTING -j CT {options}")

    assert node.run("iptables -t raw -S PREROUTING").stdout.splitlines()[1] == f"-A PREROUTING -j CT {text}".rstrip()


def test_zones_are_unknown():
    """A packet that is put into a zone ends as unknown, unless it is told not to be tracked at all."""
    node = Node()
    node.add_interface("eth0", ["192.0.2.1/24"])
    node.run(
        "iptables -t raw -A PREROUTING -p tcp -j CT --zone 9; iptables -t raw -A PREROUTING -p icmp -j CT --notrack --zone 9"
    )

    unknown = node.receive(Packet.tcp("192.0.2.9:1", "192.0.2.1:80"), "eth0")
    known = node.receive(Packet.echo("192.0.2.9", "192.0.2.1"), "eth0")

    assert unknown.verdict is Verdict.UNKNOWN
    assert unknown.unknown == ("-j CT --zone 9",)
    assert known.delivered
    refused = node.run("iptables -t raw -A PREROUTING -j CT --zone 65536")
    assert refused.stderr.startswith("iptables v1.8.9 (legacy): Cannot parse 65536 as a zone ID")

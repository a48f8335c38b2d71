"""``svcsim trace``: what becomes of a packet, told from the command line."""

from __future__ import annotations

import json

import pytest

from explain.worlds import RANDOM
from svcsim.cli import main
from svcsim.commands.trace import read_packet
from svcsim.pcap import write_pcap
from svcsim.wire import encode

_POD = ["--example", "iptables", "--in", "cni0"]
_WEB = ["tcp", "10.244.1.7:40000", "10.96.200.80:80"]
_REFUSED = ["tcp", "10.244.1.7:40000", "10.96.71.5:443"]
_ENDS = ["10.244.1.31:8080", "10.244.2.31:8080", "10.244.2.32:8080"]


def told(capsys, *words: str) -> str:
    assert main(["trace", *words]) == 0
    return capsys.readouterr().out


def test_three_levels_of_detail(capsys):
    """A line, hops, everything."""
    line, hops, full = (told(capsys, *_POD, *_WEB, "--detail", detail) for detail in ("line", "hops", "full"))
    assert line.count("\n") == 1 and " => sent by eth0: TCP 10.244.1.7:40000 > 10.244." in line
    assert "nat KUBE-SERVICES rule 6 (5 before it did not match)" in hops and hops == told(capsys, *_POD, *_WEB)
    assert "nat KUBE-SERVICES rule 1: -d 10.96.0.10/32: destination is 10.96.200.80" in full
    assert "[0:0 => 1:40]" in full and "(rule 32766: from all lookup main, 10.244.0.0/16)" in full


def test_branches_and_the_way_back(capsys):
    """Each endpoint with its probability; the answer leaves in the service's name."""
    text = told(capsys, *_POD, *_WEB, "--branches", "--reply")
    assert "3 branches:" in text and all(f"    {end} with 0.3333" in text for end in _ENDS)
    assert text.rstrip().endswith(
        "sent by cni0: TCP 10.96.200.80:80 > 10.244.1.7:40000 [SA] seq 5000 ack 1, length 40, ttl 63"
    )
    few = told(capsys, *_POD, *_WEB, "--branches", "--most", "2", "--detail", "line")
    assert "and others with 0.3333, not followed: more than 2 branches" in few


def test_which_rule_drops_my_packet(capsys):
    """One call, one line."""
    rule = '-d 10.96.71.5/32 -p tcp -m comment --comment "shop/pay:https has no endpoints" -m tcp --dport 443'
    said = f"filter KUBE-SERVICES rule 1: {rule} -j REJECT --reject-with icmp-port-unreachable"
    assert told(capsys, *_POD, *_REFUSED, "--why-dropped") == f"{said}\n"
    assert json.loads(told(capsys, *_POD, *_REFUSED, "--why-dropped", "--json"))["why"] == said


def test_why_did_rule_n_not_match(capsys):
    """One call, one line."""
    said = "-d 10.96.5.90/32: destination is 10.96.200.80"
    assert told(capsys, *_POD, *_WEB, "--why-not", "nat", "KUBE-SERVICES", "3") == f"{said}\n"
    assert json.loads(told(capsys, *_POD, *_WEB, "--why-not", "nat", "KUBE-SERVICES", "3", "--json"))["why"] == said


def test_json_and_html(capsys, tmp_path):
    """JSON alone on standard output; a page that stands by itself in a file."""
    page = tmp_path / "page.html"
    data = json.loads(told(capsys, *_POD, *_WEB, "--json", "--branches", "--reply", "--html", str(page)))
    assert sorted(each["fate"] for each in data["branches"]["outcomes"]) == _ENDS
    assert data["answers"][0]["sent"][0]["packet"].startswith("TCP 10.96.200.80:80 > ")
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>") and text.rstrip().endswith("</html>") and _ENDS[0] in text


def test_what_is_not_modelled_is_followed_both_ways(capsys, tmp_path):
    """Two branches, each with what it assumes."""
    rules = tmp_path / "rules"
    rules.write_text("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m cpu --cpu 1 -j DROP\nCOMMIT\n")
    node = ["--interface", "cli0=192.0.2.1/24", "--listen", "tcp:80", "--iptables-save", str(rules), "--in", "cli0"]
    text = told(capsys, *node, "tcp", "192.0.2.9:1", "192.0.2.1:80", "--detail", "line")
    assert "if -m cpu --cpu 1 holds: dropped by filter INPUT rule 1" in text
    assert "if -m cpu --cpu 1 does not hold: delivered to tcp socket 80" in text


def test_a_node_from_files_and_a_packet_from_a_capture(capsys, tmp_path):
    """Rules, a setup script and a capture: the record that is asked for."""
    pytest.importorskip("dpkt")
    rules, setup, capture = tmp_path / "rules", tmp_path / "setup", tmp_path / "in.pcap"
    rules.write_text(RANDOM)
    setup.write_text("ip addr add 10.0.0.1/16 dev pod0\nsysctl -w net.ipv4.ip_forward=1\n")
    with capture.open("wb") as stream:
        write_pcap(stream, [(port, read_packet(["tcp", f"192.0.2.9:{port}", "10.96.0.10:80"])) for port in (1, 2)])
    node = ["--interface", "cli0=192.0.2.1/24", "--interface", "pod0", "--setup", str(setup)]
    node += ["--iptables-save", str(rules), "--in", "cli0", "--pcap", str(capture), "--record", "2", "--detail", "line"]
    text = told(capsys, *node, "--branches")
    assert text.startswith("cli0: TCP 192.0.2.9:2 > 10.96.0.10:80") and "10.0.1.2:8080 with 0.3333" in text


def test_what_this_host_sends(capsys):
    """Without --in it is sent from here, with a mark and a user."""
    text = told(
        capsys, "--example", "iptables", "--mark", "0x4000", "--uid", "7", "udp", "10.244.1.1:5", "10.96.0.10:53"
    )
    assert text.startswith("this host sends UDP 10.244.1.1:5 > 10.96.0.10:53") and "LOCAL_OUT\n" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("tcp 192.0.2.9:1 192.0.2.1:80", "TCP 192.0.2.9:1 > 192.0.2.1:80 [S]"),
        ("tcp [fd00::9]:1 [fd00::1]:80 SA", "[SA]"),
        ("udp 192.0.2.9:1 192.0.2.1:53", "UDP 192.0.2.9:1 > 192.0.2.1:53"),
        ("sctp 192.0.2.9:1 192.0.2.1:80", "SCTP 192.0.2.9:1 > 192.0.2.1:80"),
        ("icmp 192.0.2.9 192.0.2.1", "ICMP 192.0.2.9 > 192.0.2.1 echo request id 1 seq 1"),
        ("icmp 192.0.2.9 192.0.2.1 3 1", "ICMP 192.0.2.9 > 192.0.2.1 "),
        ("icmp6 fd00::9 fd00::1 128", "ICMPV6 fd00::9 > fd00::1 echo request id 1 seq 1"),
    ],
)
def test_packets_in_words(words, said):
    """Each kind of packet in words; its bytes in hex are the same packet."""
    packet = read_packet(words.split())
    assert said in str(packet)
    assert str(read_packet([encode(packet).hex()])) == str(packet)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name one packet: by words, or by --pcap"),
        (["tcp", "x", "y"], "not an address and port: 'x'"),
        (["icmp", "192.0.2.1", "192.0.2.2", "256"], "not the type and code of an ICMP message: '256'"),
        (["carrier", "pigeon"], "not a packet: 'carrier pigeon'"),
        (["00"], "neither IPv4 nor IPv6"),
        ([*_WEB, "--ttl", "256"], "--ttl: not a number from 0 to 255: 256"),
        ([*_WEB, "--in", "nodev"], 'Cannot find device "nodev"'),
        ([*_WEB, "--in", "cni0", "--uid", "1"], "--mark and --uid are of what this host sends"),
        ([*_WEB, "--most", "0"], "not a number of branches: 0"),
        ([*_WEB, "--why-not", "nat", "KUBE-SERVICES", "99"], "KUBE-SERVICES has no rule 99"),
        ([*_WEB, "--why-not", "nat", "KUBE-SERVICES", "one"], "--why-not: not the number of a rule: 'one'"),
        ([*_WEB, "--why-not", "nat", "NOPE", "1"], "there is no chain NOPE in the table nat"),
        ([*_WEB, "--html", "/nonexistent/page.html"], "--html: "),
        (["--pcap", "/nonexistent.pcap"], "/nonexistent.pcap: "),
        ([*_WEB, "--iptables-save", "/nonexistent"], "/nonexistent: "),
    ],
)
def test_refusals(words, said, capsys):
    """What cannot be explained is one line on standard error, and exit status 2."""
    assert main(["trace", "--example", "iptables", *words]) == 2
    caught = capsys.readouterr()
    assert caught.out == "" and caught.err.count("\n") == 1 and said in caught.err

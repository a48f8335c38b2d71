"""`ip` on a node. What it prints was taken from iproute2 6.1 on a real kernel."""

from __future__ import annotations

import pytest

from svcsim import Node, Packet, UnsupportedError


@pytest.fixture
def node():
    made = Node()
    made.add_interface("eth1", ["100.64.0.1/24", "2001:db8:1::1/64"])
    made.add_interface("pods1", ["172.20.0.1/16"])
    return made


def run(node, line):
    done = node.run(line)
    assert done.returncode == 0, done.stderr
    return done.stdout


LO = """\
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00
    inet 127.0.0.1/8 scope host lo
       valid_lft forever preferred_lft forever
    inet6 ::1/128 scope host\x20
       valid_lft forever preferred_lft forever
"""
ETH1 = """\
2: eth1: <POINTOPOINT,MULTICAST,NOARP,UP,LOWER_UP> mtu 1500 qdisc pfifo_fast state UNKNOWN group default qlen 500
    link/none\x20
    inet 100.64.0.1/24 scope global eth1
       valid_lft forever preferred_lft forever
    inet6 2001:db8:1::1/64 scope global\x20
       valid_lft forever preferred_lft forever
"""
PODS1 = """\
3: pods1: <POINTOPOINT,MULTICAST,NOARP,UP,LOWER_UP> mtu 1500 qdisc pfifo_fast state UNKNOWN group default qlen 500
    link/none\x20
    inet 172.20.0.1/16 scope global pods1
       valid_lft forever preferred_lft forever
"""


def test_addresses_are_shown(node):
    """ip addr shows devices with their addresses, chosen by device, family, scope or network."""
    assert run(node, "ip addr") == LO + ETH1 + PODS1
    assert run(node, "ip a s eth1") == ETH1
    assert run(node, "ip -4 addr show pods1") == PODS1.replace("    link/none \n", "")
    assert run(node, "ip addr show to 172.16.0.0/12") == PODS1.replace("    link/none \n", "")
    assert run(node, "ip addr show scope host") == LO
    assert run(node, "ip -6 addr show dev pods1") == ""
    assert run(node, "ip -o -4 addr show eth1") == (
        "2: eth1    inet 100.64.0.1/24 scope global eth1\\       valid_lft forever preferred_lft forever\n"
    )
    assert run(node, "ip -br addr") == (
        "lo               UNKNOWN        127.0.0.1/8 ::1/128 \n"
        "eth1             UNKNOWN        100.64.0.1/24 2001:db8:1::1/64 \n"
        "pods1            UNKNOWN        172.20.0.1/16 \n"
    )


def test_addresses_come_and_go(node):
    """An added address is the host's own, on a device that is down, too; a deleted one is not."""
    run(
        node, "ip link add dum0 type dummy; ip addr add 172.30.0.10/32 dev dum0; ip addr add 2001:db8:9::1/128 dev dum0"
    )
    echoes = Packet.echo("100.64.0.9", "172.30.0.10"), Packet.echo("2001:db8:1::9", "2001:db8:9::1")
    for echo in echoes:
        assert len(node.receive(echo, "eth1").sent) == 1
    assert "state DOWN" in run(node, "ip link show dum0")
    run(node, "ip addr del 172.30.0.10/32 dev dum0; ip addr del 2001:db8:9::1 dev dum0")
    for echo in echoes:
        assert node.receive(echo, "eth1").delivered == []


def test_secondary_addresses(node):
    """A second address of a subnet stands behind the primary ones, and goes with its own."""
    run(node, "ip addr add 100.64.0.2/24 dev eth1; ip addr add 100.64.0.3/32 dev eth1")
    shown = run(node, "ip -o -4 addr show eth1").split("\n")[:-1]

    assert [line.split("inet ")[1].split("\\")[0] for line in shown] == [
        "100.64.0.1/24 scope global eth1",
        "100.64.0.3/32 scope global eth1",
        "100.64.0.2/24 scope global secondary eth1",
    ]
    run(node, "ip addr del 100.64.0.1/24 dev eth1")
    assert run(node, "ip -br -4 addr show eth1").split()[2:] == ["100.64.0.3/32"]
    assert "100.64" not in run(node, "ip route")


def test_addresses_are_flushed(node):
    """flush takes away what show would show."""
    run(node, "ip -6 addr flush dev eth1")
    assert run(node, "ip -br addr show eth1").split()[2:] == ["100.64.0.1/24"]
    run(node, "ip addr flush eth1; ip addr replace 100.64.0.7/24 dev eth1; ip addr replace 100.64.0.7/24 dev eth1")
    assert run(node, "ip -br addr show eth1").split()[2:] == ["100.64.0.7/24"]


def test_a_deletion_without_length_is_warned_of(node):
    """ip addr del takes an address whatever its prefix, and says that it should not be asked to."""
    done = node.run("ip addr del 100.64.0.1 dev eth1")

    assert done.returncode == 0
    assert "wildcard deletion" in done.stderr
    assert "(100.64.0.1/32)" in done.stderr


def test_links(node):
    """Links are added down, shown, set and deleted."""
    run(node, "ip link add dum0 mtu 1280 type dummy; ip link set dum0 up; ip link add type dummy")
    assert run(node, "ip -br link") == (
        "lo               UNKNOWN        00:00:00:00:00:00 <LOOPBACK,UP,LOWER_UP> \n"
        "eth1             UNKNOWN        <POINTOPOINT,MULTICAST,NOARP,UP,LOWER_UP> \n"
        "pods1            UNKNOWN        <POINTOPOINT,MULTICAST,NOARP,UP,LOWER_UP> \n"
        "dum0             UNKNOWN        02:00:00:00:00:04 <BROADCAST,NOARP,UP,LOWER_UP> \n"
        "dummy0           DOWN           02:00:00:00:00:05 <BROADCAST,NOARP> \n"
    )
    assert run(node, "ip -o link show dummy0") == (
        "5: dummy0: <BROADCAST,NOARP> mtu 1500 qdisc noop state DOWN mode DEFAULT group default qlen 1000\\"
        "    link/ether 02:00:00:00:00:05 brd ff:ff:ff:ff:ff:ff\n"
    )
    assert run(node, "ip link show up type dummy").startswith(
        "4: dum0: <BROADCAST,NOARP,UP,LOWER_UP> mtu 1280 qdisc noqueue"
    )
    run(node, "ip link del dummy0; ip link set pods1 mtu 1400")
    assert run(node, "ip link show pods1") == (
        "3: pods1: <POINTOPOINT,MULTICAST,NOARP,UP,LOWER_UP> mtu 1400 qdisc pfifo_fast state UNKNOWN mode DEFAULT "
        "group default qlen 500\n    link/none \n"
    )
    assert node.run("ip link show dummy0").returncode == 1


def test_a_link_goes_down(node):
    """
    A device that goes down takes its IPv6 addresses and added routes with it.

    Its IPv4 addresses stay this host's; the networks that they connect come back with the device.
    """
    before = run(node, "ip route")
    packet, echo = Packet.udp("172.20.0.9:1", "100.64.0.9:2"), Packet.echo("172.20.0.9", "100.64.0.1")
    run(node, "ip route add 203.0.113.0/24 dev eth1; ip link set eth1 down")
    assert [s.device for s in node.receive(packet, "pods1").sent] == ["pods1"]  # network unreachable, to the sender
    assert len(node.receive(echo, "pods1").sent) == 1
    assert run(node, "ip -br addr show eth1").split() == ["eth1", "DOWN", "100.64.0.1/24"]
    assert run(node, "ip route") == "172.20.0.0/16 dev pods1 proto kernel scope link src 172.20.0.1 \n"
    run(node, "ip link set eth1 up")
    assert [s.device for s in node.receive(packet, "pods1").sent] == ["eth1"]
    assert run(node, "ip route") == before


def test_a_small_mtu_has_no_ipv6(node):
    """A device whose MTU falls below IPv6's least loses its addresses of that family."""
    run(node, "ip link set eth1 mtu 1279")

    assert run(node, "ip -br addr show eth1").split()[2:] == ["100.64.0.1/24"]


def test_routes(node):
    """Routes are added, replaced, shown and deleted."""
    run(node, "ip route add 203.0.113.0/24 via 172.20.0.2; ip route add blackhole 198.51.100.0/24")
    run(node, "ip route add default dev eth1; ip route replace default dev pods1 src 172.20.0.1 metric 5")
    run(node, "ip route add 203.0.113.0/25 dev eth1; ip route add 203.0.112.0/22 dev eth1")
    run(node, "ip route add 11.0.0.0/8 via 172.20.0.8 mtu 1300 proto static metric 7 src 100.64.0.1")
    assert run(node, "ip route") == (
        "default dev eth1 scope link \n"
        "default dev pods1 scope link src 172.20.0.1 metric 5 \n"
        "11.0.0.0/8 via 172.20.0.8 dev pods1 proto static src 100.64.0.1 metric 7 mtu 1300 \n"
        "100.64.0.0/24 dev eth1 proto kernel scope link src 100.64.0.1 \n"
        "172.20.0.0/16 dev pods1 proto kernel scope link src 172.20.0.1 \n"
        "blackhole 198.51.100.0/24 \n"
        "203.0.112.0/22 dev eth1 scope link \n"
        "203.0.113.0/25 dev eth1 scope link \n"
        "203.0.113.0/24 via 172.20.0.2 dev pods1 \n"
    )
    run(node, "ip route change 203.0.113.0/24 dev eth1; ip route del 203.0.113.0/25; ip route del default metric 5")
    assert run(node, "ip route show 203.0.113.0/24") == "203.0.113.0/24 dev eth1 scope link \n"
    assert run(node, "ip route show default") == "default dev eth1 scope link \n"


@pytest.mark.parametrize(
    ("selector", "lines"),
    [
        ("dev pods1", ["172.20.0.0/16 proto kernel scope link src 172.20.0.1 ", "203.0.113.0/24 via 172.20.0.2 "]),
        ("via 172.20.0.2", ["203.0.113.0/24 dev pods1 "]),
        ("proto static", []),
        (
            "proto kernel",
            ["100.64.0.0/24 dev eth1 scope link src 100.64.0.1 ", "172.20.0.0/16 dev pods1 scope link src 172.20.0.1 "],
        ),
        ("root 203.0.112.0/20", ["203.0.113.0/24 via 172.20.0.2 dev pods1 "]),
        ("match 203.0.113.5", ["default dev eth1 scope link ", "203.0.113.0/24 via 172.20.0.2 dev pods1 "]),
        ("exact 203.0.113.0/24", ["203.0.113.0/24 via 172.20.0.2 dev pods1 "]),
        ("scope link proto boot", ["default dev eth1 "]),
        (
            "table local type broadcast",
            [
                "broadcast 100.64.0.255 dev eth1 proto kernel scope link src 100.64.0.1 ",
                "broadcast 127.255.255.255 dev lo proto kernel scope link src 127.0.0.1 ",
                "broadcast 172.20.255.255 dev pods1 proto kernel scope link src 172.20.0.1 ",
            ],
        ),
        ("table all dev eth1 proto boot", ["default scope link "]),
    ],
)
def test_routes_are_chosen(node, selector, lines):
    """A selector chooses routes; what it says is left out of them."""
    run(node, "ip route add 203.0.113.0/24 via 172.20.0.2; ip route add default dev eth1")

    assert run(node, f"ip route show {selector}") == "".join(line + "\n" for line in lines)


def test_ipv6_routes(node):
    """IPv6 routes have a metric, and every network stands behind those within it."""
    run(node, "ip -6 route add 2001:db8:77::/48 via 2001:db8:1::9; ip -6 route add default dev pods1")
    run(node, "ip route add 2001:db8::/32 dev eth1; ip -6 route add unreachable 2001:db8:79::/48")
    assert run(node, "ip -6 route") == (
        "2001:db8:1::/64 dev eth1 proto kernel metric 256 pref medium\n"
        "2001:db8:77::/48 via 2001:db8:1::9 dev eth1 metric 1024 pref medium\n"
        "unreachable 2001:db8:79::/48 dev lo metric 1024 pref medium\n"
        "2001:db8::/32 dev eth1 metric 1024 pref medium\n"
        "default dev pods1 metric 1024 pref medium\n"
    )
    assert run(node, "ip route get 2001:db8:77::7") == (
        "2001:db8:77::7 from :: via 2001:db8:1::9 dev eth1 src 2001:db8:1::1 metric 1024 pref medium\n"
    )
    assert run(node, "ip -6 route get 2001:db8:1::1") == (
        "local 2001:db8:1::1 from :: dev lo table local proto kernel src 2001:db8:1::1 metric 0 pref medium\n"
    )


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("203.0.113.9", "203.0.113.9 via 172.20.0.2 dev pods1 src 172.20.0.1 uid 0 \n    cache \n"),
        ("100.64.0.1", "local 100.64.0.1 dev lo src 100.64.0.1 uid 0 \n    cache <local> \n"),
        ("100.64.0.255", "broadcast 100.64.0.255 dev eth1 src 100.64.0.1 uid 0 \n    cache <local,brd> \n"),
        ("11.0.0.1", "11.0.0.1 via 172.20.0.8 dev pods1 src 100.64.0.1 uid 0 \n    cache mtu 1300 \n"),
        ("8.8.8.8 mark 1", "8.8.8.8 dev pods1 table 100 src 172.20.0.1 mark 1 uid 0 \n    cache \n"),
        ("8.8.8.8 mark 0x20", "8.8.8.8 dev eth1 src 100.64.0.1 mark 0x20 uid 0 \n    cache \n"),
        ("8.8.8.8 from 100.64.0.1", "8.8.8.8 from 100.64.0.1 dev eth1 uid 0 \n    cache \n"),
        ("8.8.8.8 from 172.20.0.9 iif pods1", "8.8.8.8 from 172.20.0.9 dev eth1 \n    cache iif pods1 \n"),
        ("8.8.8.8 from 9.9.9.9 iif eth1", "8.8.8.8 from 9.9.9.9 dev eth1 \n    cache <redirect> iif eth1 \n"),
        ("8.8.8.8 oif eth1", "8.8.8.8 dev eth1 src 100.64.0.1 uid 0 \n    cache \n"),
    ],
)
def test_route_get(node, words, answer):
    """ip route get tells the decision for one packet."""
    run(node, "ip route add 203.0.113.0/24 via 172.20.0.2; ip route add default dev eth1")
    run(node, "ip route add 11.0.0.0/8 via 172.20.0.8 mtu 1300 src 100.64.0.1")
    run(node, "ip route add default dev pods1 table 100; ip rule add fwmark 1 table 100")

    assert run(node, f"ip route get {words}") == answer


def test_routes_are_flushed(node):
    """flush takes away the routes that a selector chooses."""
    run(node, "ip route add 5.0.0.0/8 dev eth1 table 77; ip route add 6.0.0.0/8 dev pods1 table 77")
    run(node, "ip route flush table 77 dev eth1; ip route flush cache")
    assert run(node, "ip route show table 77") == "6.0.0.0/8 dev pods1 scope link \n"
    run(node, "ip route flush table 77")
    assert run(node, "ip route show table 77") == ""


def test_policy_rules(node):
    """Rules send packets to a table of their own; the default preferences count down."""
    run(node, "ip rule add fwmark 0x1 table 100; ip rule add from 100.64.0.0/24 lookup 101 pref 50")
    run(node, "ip rule add fwmark 0x10/0xf0 table 100; ip rule add iif eth1 to 8.8.8.8 lookup main pref 10")
    run(node, "ip rule add prohibit from 1.2.3.4 pref 20")
    assert run(node, "ip rule") == (
        "0:\tfrom all lookup local\n"
        "10:\tfrom all to 8.8.8.8 iif eth1 lookup main\n"
        "20:\tfrom 1.2.3.4 prohibit\n"
        "49:\tfrom all fwmark 0x10/0xf0 lookup 100\n"
        "50:\tfrom 100.64.0.0/24 lookup 101\n"
        "32765:\tfrom all fwmark 0x1 lookup 100\n"
        "32766:\tfrom all lookup main\n"
        "32767:\tfrom all lookup default\n"
    )
    assert run(node, "ip rule show table 101") == "50:\tfrom 100.64.0.0/24 lookup 101\n"
    assert run(node, "ip -6 rule") == "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n"
    run(node, "ip rule del fwmark 1; ip rule del pref 50; ip rule del from 1.2.3.4")
    assert run(node, "ip rule | wc -l") == "5\n"
    run(node, "ip rule flush")
    assert run(node, "ip rule") == "0:\tfrom all lookup local\n"


@pytest.mark.parametrize(
    ("line", "code", "stderr"),
    [
        ("ip", 255, "Usage: ip"),
        ("ip frob", 1, 'Object "frob" is unknown'),
        ("ip -x addr", 255, 'Option "-x" is unknown'),
        ("ip addr frob", 255, 'Command "frob" is unknown, try "ip address help".'),
        ("ip addr add", 1, 'Not enough information: "dev" argument is required.'),
        ("ip addr add 10.0.0.1/24 dev", 255, "Command line is not complete."),
        ("ip addr add 100.64.0.1/24 dev eth1", 2, "RTNETLINK answers: File exists"),
        ("ip addr add 10.0.0.1/24 dev nope", 1, 'Cannot find device "nope"'),
        ("ip addr add 300.1.1.1/24 dev eth1", 1, 'any valid prefix is expected rather than "300.1.1.1/24"'),
        ("ip addr add 10.0.0.1/33 dev eth1", 1, 'any valid prefix is expected rather than "10.0.0.1/33"'),
        ("ip addr del 10.0.0.77/24 dev eth1", 2, "RTNETLINK answers: Cannot assign requested address"),
        ("ip addr del 100.64.0.1/25 dev eth1", 2, "RTNETLINK answers: Cannot assign requested address"),
        ("ip addr show nope", 1, 'Device "nope" does not exist.'),
        ("ip addr show eth1 nope", 255, 'either "dev" is duplicate, or "nope" is a garbage.'),
        ("ip addr flush", 1, "Flush requires arguments."),
        ("ip link set nope up", 1, 'Cannot find device "nope"'),
        ("ip link set eth1 frob", 255, 'either "dev" is duplicate, or "frob" is a garbage.'),
        ("ip link set eth1 mtu 99999", 2, "mtu greater than device maximum"),
        ("ip link set eth1 mtu 10", 2, "mtu less than device minimum"),
        ("ip link add foo", 1, '"type" argument is required'),
        ("ip link add foo type frob", 2, "Unknown device type."),
        ("ip link add eth1 type dummy", 2, "RTNETLINK answers: File exists"),
        ("ip link del lo", 2, "RTNETLINK answers: Operation not supported"),
        ("ip route add 10.3.0.0/16", 2, "RTNETLINK answers: No such device"),
        ("ip route add 10.3.0.1/16 dev eth1", 2, "Invalid prefix for given prefix length"),
        ("ip route add 10.3.0.0/16 via 99.9.9.9", 2, "Nexthop has invalid gateway"),
        ("ip route add 10.3.0.0/16 via 172.20.0.9 dev eth1", 2, "Nexthop has invalid gateway"),
        ("ip route add 10.3.0.0/16 via x", 1, 'inet address is expected rather than "x"'),
        ("ip route add 10.3.0.0/16 dev eth1 src 9.9.9.9", 2, "Invalid prefsrc address"),
        ("ip route add 10.3.0.0/16 dev eth1 table x", 255, 'argument "x" is wrong'),
        ("ip route add 10.3.0.0/16 dev eth1 metric 1_0", 255, 'argument "1_0" is wrong'),
        ("ip route add 100.64.0.0/24 dev pods1", 2, "RTNETLINK answers: File exists"),
        ("ip route add blackhole 10.3.0.0/16 dev eth1", 2, "can not be specified for this route type"),
        ("ip route change 10.3.0.0/16 dev eth1", 2, "RTNETLINK answers: No such file or directory"),
        ("ip -6 route add 2001:db8:7::/48 via 2001:db8:9::9", 2, "RTNETLINK answers: No route to host"),
        ("ip -6 route add 10.0.0.0/8 dev eth1", 1, 'inet6 prefix is expected rather than "10.0.0.0/8"'),
        ("ip route del 10.44.0.0/16", 2, "RTNETLINK answers: No such process"),
        ("ip route show table 77", 2, "Error: ipv4: FIB table does not exist.\nDump terminated"),
        ("ip route flush table 77", 2, "FIB table does not exist.\nFlush terminated"),
        ("ip route flush", 1, "requires arguments"),
        ("ip route get", 1, "need at least a destination address"),
        ("ip route get 99.9.9.9", 2, "RTNETLINK answers: Network is unreachable"),
        ("ip route get 100.64.0.9 from 8.8.8.8", 2, "RTNETLINK answers: Network is unreachable"),
        ("ip route get 100.64.0.9 iif pods1", 2, "RTNETLINK answers: Invalid argument"),
        ("ip rule del fwmark 0x9", 2, "RTNETLINK answers: No such file or directory"),
        ("ip rule del", 1, '"ip rule del" requires arguments.'),
        ("ip rule add pref 32766 table main", 2, "RTNETLINK answers: File exists"),
        ("ip rule add frob", 255, "Failed to parse rule type"),
        ("ip rule add fwmark x", 255, 'argument "x" is wrong'),
        ("ip rule add to 2001:db8::/32 table 9", 2, "Invalid dst address"),
    ],
)
def test_refusals(node, line, code, stderr):
    """A refusal has the real tool's exit code and words, and changes nothing."""
    before = run(node, "ip addr; ip route show table all; ip rule")

    done = node.run(line)

    assert done.returncode == code
    assert stderr in done.stderr
    assert run(node, "ip addr; ip route show table all; ip rule") == before


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("ip netns add x", "ip netns"),
        ("ip -j addr", "ip -j"),
        ("ip link add gre1 type gre", "type 'gre'"),
        ("ip link add a type veth peer name b", "peer|type 'veth'"),
        ("ip link set eth1 name eth2", "ip link set name"),
        ("ip addr add 10.0.0.1 peer 10.0.0.2 dev eth1", "ip addr add peer"),
        ("ip addr add 10.0.0.1/24 brd 10.0.0.9 dev eth1", "broadcast address '10.0.0.9'"),
        ("ip addr add 10.0.0.1/24 dev eth1 valid_lft 60", "valid_lft"),
        ("ip route add default nexthop via 1.1.1.1", "ip route nexthop"),
        ("ip route append 100.64.0.0/24 dev pods1", "a second route to the same network"),
        ("ip route get 224.0.0.1", "multicast"),
        ("ip rule add not from 1.2.3.4 table 7", "ip rule add not"),
        ("ip rule add pref 70 goto 90", "ip rule add goto"),
    ],
)
def test_what_is_not_modelled_is_named(node, line, what):
    """What iproute2 does and this does not is refused by name."""
    run(node, "ip route add default dev eth1")
    with pytest.raises(UnsupportedError, match=what):
        node.run(line)


def test_beginnings_suffice(node):
    """Objects and verbs may be cut short as in iproute2."""
    assert run(node, "ip ro li") == run(node, "ip r") == run(node, "ip route show")
    assert run(node, "ip ru") == run(node, "ip rule list")
    assert run(node, "ip l sh lo") == run(node, "ip link show dev lo")
    assert run(node, "ip n") == ""
    assert run(node, "ip -V").startswith("ip utility, iproute2-6.1")

"""The texts of IPVS, against what ipvsadm 1.31 and Linux 6.1 printed of the same services."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.addr import Family, parse_address
from svcsim.clock import SECOND, Clock
from svcsim.lb.conn import ConnTable, VsConn
from svcsim.lb.ipvs_proc import proc_ip_vs, proc_ip_vs_conn, proc_ip_vs_stats
from svcsim.lb.ipvsadm import connection_listing, listing, saved, sorted_as_tool
from svcsim.lb.schedulers import RoundRobin
from svcsim.lb.service import Destination, ForwardingMethod, ServiceFlags, ServiceKey, TunnelType, VirtualService
from svcsim.node import Node
from svcsim.packet import Proto

FLAG_1, FLAG_2, PERSISTENT = ServiceFlags.SCHED1, ServiceFlags.SCHED2, ServiceFlags.PERSISTENT


def value(text: str) -> int:
    return parse_address(text).value


def four(proto: Proto, text: str) -> ServiceKey:
    host, _, port = text.partition(":")
    return ServiceKey(Family.IPV4, proto, value(host), int(port))


@pytest.fixture
def node() -> Node:
    """Services of every kind, added in the order in which the recorded kernel had them."""
    node = Node(kernel="6.1")
    node.add_interface("pod0", ["10.244.0.1/16", "2001:db8:2::1/64"])
    ipvs = node.ipvs
    web, dns = four(Proto.TCP, "10.96.0.10:80"), four(Proto.UDP, "10.96.0.10:53")
    mark = ServiceKey.of_mark(16, Family.IPV6)
    tunnel = ForwardingMethod.TUNNEL
    ipvs.add_service(web, "rr")
    ipvs.add_destination(web, value("10.244.0.5"), 8080, weight=5)
    ipvs.add_destination(web, value("172.16.0.5"), 8080, upper_threshold=10, lower_threshold=5)
    ipvs.add_destination(web, value("192.168.0.6"), 80, method=ForwardingMethod.ROUTE)
    ipvs.add_destination(web, value("192.168.0.7"), 80, method=tunnel)
    gue = {"tunnel": TunnelType.GUE, "tunnel_port": 6080, "tunnel_checksum": "remcsum"}
    ipvs.add_destination(web, value("192.168.0.8"), 80, method=tunnel, **gue)  # type: ignore[arg-type]
    ipvs.add_destination(web, value("192.168.0.9"), 80, method=tunnel, tunnel=TunnelType.GRE, tunnel_checksum="csum")
    ipvs.add_destination(web, value("2001:db8:2::9"), 80, method=tunnel, weight=0, family=Family.IPV6)
    one_packet = ServiceFlags.ONE_PACKET
    ipvs.add_service(dns, "wrr", flags=PERSISTENT | one_packet, timeout=10800, netmask=0xFFFFFF00)
    ipvs.add_destination(dns, value("10.244.0.5"), 53, weight=2**31 - 1)
    ipvs.add_service(four(Proto.SCTP, "10.96.0.10:99"), "none")
    ipvs.add_service(ServiceKey.of_mark(16), "sh", flags=FLAG_1 | FLAG_2)
    ipvs.add_service(ServiceKey.of_mark(2**32 - 1), "lblcr", flags=PERSISTENT | FLAG_2, timeout=360)
    ipvs.add_service(mark, "mh", flags=PERSISTENT | FLAG_2, timeout=5, netmask=64)
    ipvs.add_destination(mark, value("2001:db8:2::9"), 0)
    ipvs.add_service(ServiceKey(Family.IPV6, Proto.UDP, value("2001:db8::3"), 80), "sed", flags=one_packet)
    return node


# An end-of-line mark keeps the blanks before it.
PLAIN = """\
IP Virtual Server version 1.2.1 (size=4096)|
Prot LocalAddress:Port Scheduler Flags|
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn|
FWM  -1 lblcr (flag-2) persistent 360|
TCP  10.96.0.10:80 rr|
  -> 172.16.0.5:8080              Masq    1      0          0         |
  -> 192.168.0.6:80               Route   1      0          0         |
  -> 192.168.0.7:80               Tunnel  1      0          0         |
  -> 192.168.0.8:80               Tunnel  1      0          0         |
  -> 192.168.0.9:80               Tunnel  1      0          0         |
  -> 10.244.0.5:8080              Masq    5      0          0         |
  -> [2001:db8:2::9]:80           Tunnel  0      0          0         |
UDP  10.96.0.10:53 wrr persistent 10800 mask 255.255.255.0 ops|
  -> 10.244.0.5:53                Masq    2147483647 0          0         |
SCTP 10.96.0.10:99 none|
UDP  [2001:db8::3]:80 sed ops|
FWM  16 sh (sh-fallback,sh-port)|
FWM  16 IPv6 mh (mh-port) persistent 5 mask 64|
  -> [2001:db8:2::9]:0            Masq    1      0          0         |
"""
TUN_INFO = """\
Prot LocalAddress:Port Scheduler Flags|
  -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn|
TCP  10.96.0.10:80 rr|
  -> 172.16.0.5:8080              Masq    n/a           1      0          0         |
  -> 192.168.0.6:80               Route   n/a           1      0          0         |
  -> 192.168.0.7:80               Tunnel  ipip          1      0          0         |
  -> 192.168.0.8:80               Tunnel  gue:6080:r+c  1      0          0         |
  -> 192.168.0.9:80               Tunnel  gre:+c        1      0          0         |
  -> 10.244.0.5:8080              Masq    n/a           5      0          0         |
  -> [2001:db8:2::9]:80           Tunnel  ipip          0      0          0         |
"""
THRESHOLDS = """\
Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn |
  -> RemoteAddress:Port|
UDP  10.96.0.10:53 wrr persistent 10800 mask 255.255.255.0 ops|
  -> 10.244.0.5:53                0          0          2          7         |
"""
PERSISTENT_CONN = """\
Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn |
  -> RemoteAddress:Port|
UDP  10.96.0.10:53 wrr persistent 10800 mask 255.255.255.0 ops|
  -> 10.244.0.5:53                2147483647 3           2          7         |
"""
SAVED = """\
-A -f -1 -s lblcr -p 360 -b flag-2|
-A -t 10.96.0.10:80 -s rr|
-a -t 10.96.0.10:80 -r 172.16.0.5:8080 -m -w 1|
-a -t 10.96.0.10:80 -r 192.168.0.6:80 -g -w 1|
-a -t 10.96.0.10:80 -r 192.168.0.7:80 -i -w 1 --tun-type ipip|
-a -t 10.96.0.10:80 -r 192.168.0.8:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum|
-a -t 10.96.0.10:80 -r 192.168.0.9:80 -i -w 1 --tun-type gre --tun-csum|
-a -t 10.96.0.10:80 -r 10.244.0.5:8080 -m -w 5|
-a -t 10.96.0.10:80 -r [2001:db8:2::9]:80 -i -w 0 --tun-type ipip|
-A -u 10.96.0.10:53 -s wrr -p 10800 -M 255.255.255.0 -o|
-a -u 10.96.0.10:53 -r 10.244.0.5:53 -m -w 2147483647|
-A --sctp-service 10.96.0.10:99 -s none|
-A -u [2001:db8::3]:80 -s sed -o|
-A -f 16 -s sh -b sh-fallback,sh-port|
-A -f 16 -6 -s mh -p 5 -M 64 -b mh-port|
-a -f 16 -6 -r [2001:db8:2::9]:0 -m -w 1|
"""
# The order of services is that of a hash whose secret is 0 here; each service's lines are the kernel's.
PROC = """\
IP Virtual Server version 1.2.1 (size=4096)|
Prot LocalAddress:Port Scheduler Flags|
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn|
UDP  0A60000A:0035 wrr ops  persistent 2700000 FFFFFF00|
  -> 0AF40005:0035      Masq    2147483647 0          0         |
TCP  0A60000A:0050 rr  |
  -> [2001:0db8:0002:0000:0000:0000:0000:0009]:0050      Tunnel  0      0          0         |
  -> C0A80009:0050      Tunnel  1      0          0         |
  -> C0A80008:0050      Tunnel  1      0          0         |
  -> C0A80007:0050      Tunnel  1      0          0         |
  -> C0A80006:0050      Route   1      0          0         |
  -> AC100005:1F90      Masq    1      0          0         |
  -> 0AF40005:1F90      Masq    5      0          0         |
UDP  [2001:0db8:0000:0000:0000:0000:0000:0003]:0050 sed |
SCTP  0A60000A:0063 none  |
FWM  00000010 mh persistent 1250 40000000|
  -> [2001:0db8:0002:0000:0000:0000:0000:0009]:0000      Masq    1      0          0         |
FWM  00000010 sh |
FWM  FFFFFFFF lblcr persistent 90000 FFFFFFFF|
"""
STATS = """\
   Total Incoming Outgoing         Incoming         Outgoing|
   Conns  Packets  Packets            Bytes            Bytes|
      D4       D5        0             27E8                0|
|
 Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s|
      1A       1B        0              4FD                0|
"""


def marked(text: str) -> str:
    """*text* with a mark at the end of each line."""
    return text.replace("\n", "|\n")


def blocks(text: str) -> dict[str, list[str]]:
    """Each service line with the lines of its destinations."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("  ->"):
            found[list(found)[-1]].append(line)
        else:
            found[line] = []
    return found


def test_the_listing_is_the_tools(node: Node) -> None:
    """Services and destinations of every kind, sorted, with each blank."""
    assert marked(listing(node.ipvs.services)) == PLAIN


def test_one_service_is_listed_without_the_first_line(node: Node) -> None:
    """With the tunnels' parameters, which have a column of their own."""
    web = node.ipvs.service(four(Proto.TCP, "10.96.0.10:80"))

    assert marked(listing([web], "tun-info", table_size=None)) == TUN_INFO


@pytest.mark.parametrize(("kind", "expected"), [("thresholds", THRESHOLDS), ("persistent-conn", PERSISTENT_CONN)])
def test_thresholds_and_persistence_have_listings_of_their_own(node: Node, kind: str, expected: str) -> None:
    """Numbers that are too wide push the others to the right."""
    dns = node.ipvs.service(four(Proto.UDP, "10.96.0.10:53"))
    (destination,) = dns.destinations
    destination.active, destination.inactive, destination.persistent = 2, 7, 3

    assert marked(listing([dns], kind, table_size=None)) == expected


def test_unsorted_is_the_kernels_order(node: Node) -> None:
    """Within a service the newest destination comes first."""
    web = node.ipvs.service(four(Proto.TCP, "10.96.0.10:80"))
    lines = listing([web], sort=False, table_size=None).splitlines()[3:]

    assert [line.split()[1] for line in lines] == [str(d) for d in web.destinations]
    assert lines[0].startswith("  -> [2001:db8:2::9]:80 ")


def test_saved_services_are_the_commands_that_make_them(node: Node) -> None:
    """The kinds of service, method and tunnel; thresholds are left out, as the tool leaves them out."""
    assert marked(saved(node.ipvs.services)) == SAVED


def test_proc_ip_vs_shows_the_schedulers_order(node: Node) -> None:
    """Persistence in ticks, prefix lengths with their bytes swapped, and IPv6 without "ops", all as the kernel does."""
    assert blocks(marked(proc_ip_vs(node.ipvs))) == blocks(PROC)
    assert "persistent 1080000 " in proc_ip_vs(node.ipvs, hz=100)


def test_proc_ip_vs_stats_is_hexadecimal(node: Node) -> None:
    """The snapshot of the counters, and rates after one period."""
    stats = node.ipvs.stats
    stats.conns, stats.inpkts, stats.inbytes = 0xD4, 0xD5, 0x27E8
    assert "27E8" not in proc_ip_vs_stats(node.ipvs)

    node.advance(2)
    assert marked(proc_ip_vs_stats(node.ipvs)) == STATS


#: A counter, how ``--stats`` prints it, and how with ``--exact``.
NUMBERS = [
    (7, "        7", "        7"),
    (99_999_999, " 99999999", " 99999999"),
    (100_000_000, "  100000K", " 100000000"),
    (999_999_999, "  999999K", " 999999999"),
    (10**9, "    1000M", " 1000000000"),
    (99_999_999_999, "   99999M", " 99999999999"),
    (10**11, "     100G", " 100000000000"),
    (99_999_999_999_999, "   99999G", " 99999999999999"),
    (10**14, "     100T", " 100000000000000"),
    (1_234_567_890_123_456, "    1234T", " 1234567890123456"),
]


def one_service() -> VirtualService:
    key = four(Proto.TCP, "1.2.3.4:80")
    return VirtualService(key, RoundRobin(), destinations=[Destination(Family.IPV4, value("10.0.0.1"), 80)])


@pytest.mark.parametrize(("number", "short", "exact"), NUMBERS)
def test_counters_are_cut_to_thousands_unless_exact(number: int, short: str, exact: str) -> None:
    """Nine columns each; what is too large for them gets a letter, or with ``--exact`` more room."""
    service = one_service()
    service.stats.inbytes = number
    service.stats.estimate()
    lines = [listing([service], "stats", exact=flag).splitlines()[3] for flag in (False, True)]

    assert lines[0] == f"{'TCP  1.2.3.4:80':<33}{'0':>9}{'0':>9}{'0':>9}{short}{'0':>9}"
    assert lines[1] == f"{'TCP  1.2.3.4:80':<33}{'0':>9}{'0':>9}{'0':>9}{exact}{'0':>9}"


def test_a_destinations_packet_rates_are_never_cut() -> None:
    """A service's are; that is the tool's own inconsistency."""
    service = one_service()
    for stats in (service.stats, service.destinations[0].stats):
        stats.conns = 4 * 2 * 10**8
        stats.estimate()
    lines = listing([service], "rate").splitlines()

    assert lines[1] == "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS"
    assert lines[3] == "TCP  1.2.3.4:80                    100000K        0        0        0        0"
    assert lines[4] == "  -> 10.0.0.1:80                  100000000        0        0        0        0"


#: What was connected, and how it was listed: protocol, client, virtual address, destination, state, seconds.
CONNECTIONS: list[tuple[Callable[[], VsConn], int, str, str]] = [
    (
        lambda: conn(Proto.TCP, "198.51.100.7:40004", "10.96.0.10:80", "10.244.0.6:8080", state=3),
        59,
        "TCP 00:59  SYN_RECV    198.51.100.7:40004 10.96.0.10:80      10.244.0.6:8080",
        "TCP C6336407 9C44 0A60000A 0050 0AF40006 1F90 SYN_RECV         59",
    ),
    (
        lambda: conn(Proto.UDP, "198.51.100.7:41001", "10.96.0.10:53", "10.244.0.5:53"),
        299,
        "UDP 04:59  UDP         198.51.100.7:41001 10.96.0.10:53      10.244.0.5:53",
        "UDP C6336407 A029 0A60000A 0035 0AF40005 0035 UDP             299",
    ),
    (
        lambda: conn(Proto.UDP, "198.51.100.0:0", "10.96.0.10:53", "10.244.0.5:53", template=True),
        99,
        "UDP 01:39  NONE        198.51.100.0:0     10.96.0.10:53      10.244.0.5:53",
        "UDP C6336400 0000 0A60000A 0035 0AF40005 0035 NONE             99",
    ),
    (
        lambda: conn(0, "198.51.100.8:0", "0.0.0.16:0", "10.244.0.5:0", template=True, assured=True),
        10859,
        "IP  180:59 ASSURED     198.51.100.8:0     0.0.0.16:0         10.244.0.5:0",
        "IP  C6336408 0000 00000010 0000 0AF40005 0000 ASSURED       10859",
    ),
    (
        lambda: conn(Proto.SCTP, "198.51.100.7:555", "10.96.0.10:99", "10.244.0.5:99", state=1),
        3,
        "SCTP 00:03  INIT1       198.51.100.7:555   10.96.0.10:99      10.244.0.5:99",
        "SCTP C6336407 022B 0A60000A 0063 0AF40005 0063 INIT1             3",
    ),
    (
        lambda: conn(Proto.TCP, "[2001:db8:9::7]:0", "[2001:db8:f::10]:80", "[2001:db8:2::20]:8080", template=True),
        49,
        "TCP 00:49  NONE        [2001:db8:9::7]:0  [2001:db8:f::10]:80 [2001:db8:2::20]:8080",
        "TCP 2001:0db8:0009:0000:0000:0000:0000:0007 0000 2001:0db8:000f:0000:0000:0000:0000:0010 0050 "
        "2001:0db8:0002:0000:0000:0000:0000:0020 1F90 NONE             49",
    ),
]


def conn(
    proto: int, client: str, virtual: str, to: str, *, state: int = 0, template: bool = False, assured: bool = False
) -> VsConn:
    """A connection as the director keeps one."""
    numbers: list[int] = []
    for text in (client, virtual, to):
        host, _, port = text.rpartition(":")
        address = parse_address(host.strip("[]"))
        numbers += [address.value, int(port)]
    family = parse_address(client.rpartition(":")[0].strip("[]")).family
    dest = Destination(family, numbers[4], numbers[5])
    made = VsConn(family, proto, *numbers, ForwardingMethod.MASQ, dest, template=template, assured=assured)
    made.state = state
    return made


@pytest.mark.parametrize(("make", "seconds", "line", "proc"), CONNECTIONS)
def test_a_connection_is_listed_as_the_tool_and_the_kernel_do(
    make: Callable[[], VsConn], seconds: int, line: str, proc: str
) -> None:
    """Templates among them: of a firewall mark, protocol 0 and the mark as an address."""
    node, entry = Node(), make()
    entry.timeout = seconds * SECOND + SECOND // 2
    node.ipvs.conns.add(entry)
    title = "pro expire state       source             virtual            destination"
    now = node.clock.now

    assert connection_listing([entry], now).splitlines() == ["IPVS connection entries", title, line]
    assert connection_listing([], now, engines=True).splitlines()[1] == title + "        pe name          pe_data"
    assert proc_ip_vs_conn(node.ipvs).splitlines() == [
        "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData",
        proc,
    ]


def test_connections_without_a_destination_are_listed_too() -> None:
    """What goes past the director has none, and a connection whose time is up shows 0 seconds."""
    clock = Clock()
    table = ConnTable(clock, lambda conn: None)
    entry = conn(Proto.TCP, "198.51.100.7:1", "10.96.0.10:80", "0.0.0.0:0")
    entry.dest = None
    table.add(entry)

    line = connection_listing(table, clock.now + 10 * SECOND).splitlines()[2]
    assert line == "TCP 00:00  NONE        198.51.100.7:1     10.96.0.10:80      0.0.0.0:0"


#: Destinations of one service as the tool listed them; they were added in quite another order.
SORTED = """
    9fff:: fd00::1 ::127.255.0.1 ::128.0.0.0 ::255.255.0.0 ::7000:0:0:1 ::8000:0:0:1 0:0:7000::1 0:0:8000::1 1::
    2001:db8::1 2001:db8::9 2001:db8::8000:1 2001:db9::1 2a00::1 3ffe::1 8000::
"""
ADDED = """
    1:: 8000:: 9fff:: ::8000:0 ::7fff:1 ::ffff:0 0:0:8000::1 0:0:7000::1 0:0:0:0:8000:0:0:1 0:0:0:0:7000:0:0:1
    2001:db8::1 2001:db8::8000:1 2001:db8::9 2a00::1 3ffe::1 2001:db9::1 fd00::1
"""


def shown(service: VirtualService) -> list[str]:
    """The places of a service's destinations, as listed."""
    return [line.split()[1] for line in listing([service]).splitlines()[4:]]


def test_addresses_are_sorted_by_differences_with_a_sign() -> None:
    """That is no order: 9fff:: comes before ::1 and 8000:: behind 3ffe::1, just as the tool has it."""
    service = one_service()
    texts, ports = ADDED.split() + ["fd00::1"] * 4, [90] * 17 + [5, 40000, 65535, 1]
    service.destinations = [
        Destination(Family.IPV6, value(text), port) for text, port in zip(texts, ports, strict=True)
    ][::-1]

    expected = [f"[{text}]:90" for text in SORTED.split()]
    expected[1:2] = [f"[fd00::1]:{port}" for port in (1, 5, 90, 40000, 65535)]
    assert shown(service) == expected


def test_private_networks_are_sorted_192_and_172_before_10() -> None:
    """Seen as 32-bit numbers with a sign they are negative; a service with an IPv6 destination mixes them."""
    service = one_service()
    texts = ["10.244.0.5", "172.16.0.5", "192.168.0.5", "127.0.0.1", "2001:db8:2::9"]
    service.destinations = [Destination(parse_address(text).family, value(text), 80) for text in reversed(texts)]

    assert shown(service) == ["172.16.0.5:80", "192.168.0.5:80", "10.244.0.5:80", "[2001:db8:2::9]:80", "127.0.0.1:80"]


@given(st.lists(st.integers(0, 2**31 - 1)))
def test_what_differs_by_less_than_2_31_is_sorted_by_number(numbers: list[int]) -> None:
    """There the difference is an order, and any sort agrees."""
    assert sorted_as_tool(numbers, lambda a, b: a - b) == sorted(numbers)


@given(st.lists(st.integers(0, 2**32 - 1)))
def test_sorting_by_what_is_no_order_loses_nothing(numbers: list[int]) -> None:
    """Whatever is compared, every item comes out once, and equal ones keep their places."""
    by_sign = sorted_as_tool(numbers, lambda a, b: (a - b + 2**31) % 2**32 - 2**31)

    assert sorted(by_sign) == sorted(numbers)
    assert sorted_as_tool(numbers, lambda a, b: 0) == numbers

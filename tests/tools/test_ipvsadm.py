"""
The command ipvsadm: what it makes, what it refuses, and how it says so.

Words, exit codes and messages are those of ipvsadm 1.31; what the kernel answers is Linux 6.1's.
"""

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcsim.errors import UnsupportedError
from svcsim.lb.ipvsadm import saved
from svcsim.node import Node
from svcsim.tools.command import Completed
from svcsim.tools.ipvsadm import ipvsadm, ipvsadm_restore, ipvsadm_save
from svcsim.tools.ipvsadm_args import Request, read_request
from svcsim.tools.popt import UsageError

TRY = "Try `ipvsadm -h' or 'ipvsadm --help' for more information."
INVALID = "Invalid operation.  Possibly wrong module version, address not unicast, ..."
SERVICE = "illegal virtual server address[:port] specified"


@pytest.fixture
def node() -> Node:
    """A host with two interfaces and no services."""
    node = Node(kernel="6.1")
    node.add_interface("cli0", ["192.0.2.1/24"])
    node.add_interface("pod0", ["10.244.0.1/16", "2001:db8:2::1/64"])
    return node


def run(node: Node, line: str, stdin: str = "") -> Completed:
    """Run ``ipvsadm`` with the words of *line*."""
    return ipvsadm(node, "ipvsadm", shlex.split(line), stdin)


def made(node: Node, *lines: str) -> str:
    """Run *lines*, which all succeed; the table then, as it would be saved."""
    for line in lines:
        assert run(node, line) == Completed(), line
    return saved(node.ipvs.services)


#: Words that mean the same, and the service as it is saved.
SERVICES = [
    ("-A -t 10.96.0.10:80 -s rr", "-A -t 10.96.0.10:80 -s rr"),
    ("--add-service --tcp-service 10.96.0.10:80 --scheduler rr", "-A -t 10.96.0.10:80 -s rr"),
    ("-At10.96.0.10:80 -s=rr", "-A -t 10.96.0.10:80 -s rr"),
    ("-A --scheduler=rr --tcp-service=10.96.0.10:80", "-A -t 10.96.0.10:80 -s rr"),
    ("-A -t 10.96.0.10:80 --sort", "-A -t 10.96.0.10:80 -s wlc"),
    ("-A -t 10.96.0.10:080 -s ''", "-A -t 10.96.0.10:80 -s wlc"),
    ("-A -t '0x0a.96.10: 80'", "-A -t 10.96.0.10:80 -s wlc"),
    ("-A -t localhost:+80", "-A -t 127.0.0.1:80 -s wlc"),
    ("-A -t 10.96.0.10 -p", "-A -t 10.96.0.10:0 -s wlc -p 360"),
    ("-A -t [10.96.0.10]:80 -p60", "-A -t 10.96.0.10:0 -s wlc -p 60"),
    ("-A -t 10.96.0.10:80 -p -s sed", "-A -t 10.96.0.10:80 -s sed -p 360"),
    ("-A -t 10.96.0.10:80 --persistent=2678400 -M 255.255.0.0", "-A -t 10.96.0.10:80 -s wlc -p 2678400 -M 255.255.0.0"),
    ("-A -t 10.96.0.10:80 -M 255.255.0.0", "-A -t 10.96.0.10:80 -s wlc"),
    ("-A -t 10.96.0.10:80 -p 1 -M 24", "-A -t 10.96.0.10:80 -s wlc -p 1 -M 0.0.0.24"),
    ("-A -u 10.96.0.10:53 -o", "-A -u 10.96.0.10:53 -s wlc -o"),
    ("-A --sctp-service 10.96.0.10:99 -s none", "-A --sctp-service 10.96.0.10:99 -s none"),
    ("-A -f 16 --ops", "-A -f 16 -s wlc -o"),
    ("-A -f 4294967295", "-A -f -1 -s wlc"),
    ("-A -f 16 -6 -p -M 64", "-A -f 16 -6 -s wlc -p 360 -M 64"),
    ("-A -f 16 -p -M 64 -6", "-A -f 16 -6 -s wlc -p 360"),
    ("-A -t [2001:db8::3]:80 -p -M 64", "-A -t [2001:db8::3]:80 -s wlc -p 360 -M 64"),
    ("-A -p -M 64 -t [2001:db8::3]:80", "-A -t [2001:db8::3]:80 -s wlc -p 360"),
    ("-A -t 2001:db8::3 -p", "-A -t [2001:db8::3]:0 -s wlc -p 360"),
    ("-A -f 1 -s sh -b sh-fallback,sh-port", "-A -f 1 -s sh -b sh-fallback,sh-port"),
    ("-A -f 1 -b mh-port -s mh", "-A -f 1 -s mh -b mh-port"),
    ("-A -f 1 -s rr -b flag-3,,flag-1", "-A -f 1 -s rr -b flag-1,flag-3"),
    ("-A -f 1 -s sh -b flag-1", "-A -f 1 -s sh -b sh-fallback"),
]

#: Words behind ``-a -t 10.96.0.10:80`` and the destination as it is saved.
DESTINATIONS = [
    ("-r 10.244.0.5", "-r 10.244.0.5:80 -g -w 1"),
    ("-r 10.244.0.5:8080", "-r 10.244.0.5:80 -g -w 1"),
    ("-r 10.244.0.5:8080 -i", "-r 10.244.0.5:80 -i -w 1 --tun-type ipip"),
    ("-r 10.244.0.5:8080 -m", "-r 10.244.0.5:8080 -m -w 1"),
    ("--real-server 10.244.0.5:8080 --masquerading --weight 7", "-r 10.244.0.5:8080 -m -w 7"),
    ("-r 10.244.0.5 -mw2147483647", "-r 10.244.0.5:80 -m -w 2147483647"),
    ("-r 10.244.0.5:0 -m -w -0", "-r 10.244.0.5:0 -m -w 0"),
    ("-r 2001:db8:2::9 -i", "-r [2001:db8:2::9]:80 -i -w 1 --tun-type ipip"),
    (
        "-r 10.244.0.5 -i --tun-type gue --tun-port 6080",
        "-r 10.244.0.5:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum",
    ),
    ("-r 10.244.0.5 -i --tun-type gre --tun-csum", "-r 10.244.0.5:80 -i -w 1 --tun-type gre --tun-csum"),
]

#: Words that never reach the kernel: exit code and message.
REFUSED = [
    ("-A", 2, "You need to supply the 'service-address' option for the 'add-service' command"),
    ("-a -t 1.2.3.4:80", 2, "You need to supply the 'real-server' option for the 'add-server' command"),
    ("-C -t 1.2.3.4:80", 2, "Illegal 'service-address' option with the 'flush' command"),
    ("-D -t 1.2.3.4:80 -o", 2, "Illegal 'ops' option with the 'delete-service' command"),
    ("-d -t 1.2.3.4:80 -r 1.1.1.1 -w 1", 2, "Illegal 'weight' option with the 'delete-server' command"),
    ("-A -t 1.2.3.4 -n", 2, "Illegal 'numeric' option with the 'add-service' command"),
    (
        "-Lnc -t 1.2.3.4:80",
        2,
        "The option 'service-address' conflicts with the 'connection' option in the 'list' command",
    ),
    ("-Ln --daemon --timeout", 2, "The option 'daemon' conflicts with the 'timeout' option in the 'list' command"),
    ("-Lnc --stats", 2, "options conflicts in the list command"),
    ("-Ln --timeout --persistent-conn", 2, "options conflicts in the list command"),
    ("", 0, ""),
    ("-Q", 255, TRY),
    ("--xyz", 255, TRY),
    ("-n", 255, TRY),
    ("-t 1.2.3.4:80 -A", 255, TRY),
    ("--list=3", 255, TRY),
    ("-- -L", 255, TRY),
    ("-A -t 1.2.3.4:80 -nQ", 255, "-nQ: unknown option"),
    ("-A -t 1.2.3.4:80 --op", 255, "--op: unknown option"),
    ("-A -t", 255, "-t: missing argument"),
    ("-A -t 1.2.3.4:80 --stats=1", 255, "--stats=1: option does not take an argument"),
    ("-A -t 1.2.3.4:80 -p -5", 255, "-5: unknown option"),
    ("-A -D", 2, "invalid option `-D'"),
    ("-Lnl", 2, "invalid option `-Lnl'"),
    ("extra -A -t 1.2.3.4:80", 2, "unexpected argument extra"),
    ("-A -t 1.2.3.4:80 -p -- 5", 2, "unexpected argument 5"),
    ("-A -t 1.2.3.4:80 -f bad", 2, "multiple 'service-address' options specified"),
    ("-a -t 1.2.3.4:80 -r 1.1.1.1 -m -g", 2, "multiple 'forwarding-method' options specified"),
    ("-A -t 1.2.3.4", 2, "Zero port specified for non-persistent service"),
    ("-A -t 1.2.3.4:80 -o", 2, "One-Packet Scheduling is only for UDP virtual services"),
    ("-A -t 1.2.3.4:80 -6", 2, "-6 used before -f\n"),
    ("-A -6 -f 5", 2, "-6 used before -f\n"),
    ("-A -f 0", 2, "invalid fwmark value `0' specified"),
    ("-A -f 4294967296", 2, "invalid fwmark value `4294967296' specified"),
    ("-A -t 1.2.3.4:80 -p 0", 2, "invalid timeout value `0' specified"),
    ("-A -t 1.2.3.4:80 -p 2678401", 2, "invalid timeout value `2678401' specified"),
    ("-A -t 1.2.3.4:80 -M /24", 2, "illegal virtual server persistent mask specified"),
    ("-A -f 5 -6 -M 129", 2, "illegal ipv6 netmask specified"),
    ("-A -t 1.2.3.4:80 -s rr -b sh-port", 2, "incompatible scheduler flag `sh-port'"),
    ("-A -t 1.2.3.4:80 -b bad,flag-1", 2, "invalid scheduler flag `bad'"),
    ("-A -b bad", 2, "invalid scheduler flag `bad'"),
    ("-A -t 1.2.3.256:80", 2, SERVICE),
    ("-A -t 80", 2, SERVICE),
    ("-A -t :80", 2, SERVICE),
    ("-A -t 1.2.3.4:", 2, SERVICE),
    ("-A -t 1.2.3.4:65536", 2, SERVICE),
    ("-A -t 1.2.3.4:80:90", 2, SERVICE),
    ("-A -t [::1]", 2, SERVICE),
    ("-A -t [::1]x:80", 2, SERVICE),
    ("-A -t no.such.host:80", 2, SERVICE),
    ("-a -t 1.2.3.4:80 -r x", 2, "illegal real server address[:port] specified"),
    ("-a -t 1.2.3.4:80 -r 1.1.1.1 -w 2147483648", 2, "illegal weight specified"),
    ("-a -t 1.2.3.4:80 -r 1.1.1.1 -x '5 '", 2, "illegal u_threshold specified"),
    ("-a -t 1.2.3.4:80 -r 1.1.1.1 -y -1", 2, "illegal l_threshold specified"),
    ("-a -t 1.2.3.4:80 -r ::1 -m", 2, "Different address family is allowed only for tunneling servers"),
    ("-a -t 1.2.3.4:80 -r 1.1.1.1 --tun-type gre", 2, "Tunnel options conflict with forward method"),
    ("-a -t 1.2.3.4:80 -r 1.1.1.1 -i --tun-type x", 2, "illegal tunnel type specified"),
    ("-a -t 1.2.3.4:80 -r 1.1.1.1 -i --tun-port 0", 2, "illegal tunnel port specified"),
    (
        "-a -t 1.2.3.4:80 -r 1.1.1.1 -i --tun-type gue",
        2,
        "You need to supply the 'tun-port' option for the 'gue' tunnel type",
    ),
    (
        "-a -t 1.2.3.4:80 -r 1.1.1.1 -i --tun-type gre --tun-remcsum",
        2,
        "Illegal 'tun-remcsum' option with the 'gre' tunnel type",
    ),
    (
        "-a -t 1.2.3.4:80 -r 1.1.1.1 -i --tun-type gre --tun-csum --tun-nocsum",
        2,
        "The option 'tun-csum' conflicts with the 'tun-nocsum' option in the 'gre' tunnel type",
    ),
    ("--set 1 2", 2, "--set option requires 3 timeout values"),
    ("--set 1 2 3 4", 2, "unexpected argument 4"),
    ("--set 1 2 x", 2, "invalid timeout value `x' specified"),
    ("--start-daemon x", 2, "illegal start-daemon parameter specified"),
    ("--stop-daemon x", 2, "illegal start_daemon specified"),
]

#: What the kernel refuses, after a service 10.96.0.10:80 with the destination 10.244.0.5:8080 was made.
KERNEL = [
    ("-A -t 10.96.0.10:80 -s rr", 255, "Service already exists"),
    ("-A -t 10.96.0.12:80 -s nosuch", 255, "Scheduler or persistence engine not found"),
    ("-A -u 10.96.0.12:53 --pe foo", 255, "Scheduler or persistence engine not found"),
    ("-E -t 10.96.0.10:80 -s nosuch", 255, "Scheduler or persistence engine not found"),
    ("-E -t 10.96.0.11:80", 255, "No such service"),
    ("-D -t 10.96.0.11:80", 255, "No such service"),
    ("-Z -t 10.96.0.11:80", 255, "No such service"),
    ("-Ln -t 10.96.0.11:80", 1, "No such service"),
    ("-a -t 10.96.0.11:80 -r 10.244.0.9", 255, "Service not defined"),
    ("-d -t 10.96.0.11:80 -r 10.244.0.9", 255, "Service not defined"),
    ("-a -t 10.96.0.10:80 -r 10.244.0.5:8080 -m", 255, "Destination already exists"),
    ("-e -t 10.96.0.10:80 -r 10.244.0.9:8080 -m", 255, "No such destination"),
    ("-e -t 10.96.0.10:80 -r 10.244.0.5:8080", 255, "No such destination"),
    ("-d -t 10.96.0.10:80 -r 10.244.0.5", 255, "No such destination"),
    ("-a -t 10.96.0.10:80 -r 10.244.0.9 -x 5 -y 10", 255, "Numerical result out of range"),
    ("-e -t 10.96.0.10:80 -r 10.244.0.5:8080 -m -y 1", 255, "Numerical result out of range"),
    ("-a -t 10.96.0.10:80 -r 224.0.0.1", 255, INVALID),
    ("-a -t 10.96.0.10:80 -r 255.255.255.255", 255, INVALID),
    ("-a -t 10.96.0.10:80 -r 0.0.0.0", 255, INVALID),
    ("-a -t 10.96.0.10:80 -r 192.0.2.255", 255, INVALID),
]


@pytest.mark.parametrize(("words", "expected"), SERVICES)
def test_a_service_is_added_as_it_is_named(node: Node, words: str, expected: str) -> None:
    """Short, long, bundled and attached options, every kind of address, and the tool's defaults."""
    assert made(node, words) == expected + "\n"


@pytest.mark.parametrize(("words", "expected"), DESTINATIONS)
def test_a_destination_is_added_as_it_is_named(node: Node, words: str, expected: str) -> None:
    """Without masquerading it keeps the service's port."""
    table = made(node, "-A -t 10.96.0.10:80", f"-a -t 10.96.0.10:80 {words}")

    assert table.splitlines()[1] == f"-a -t 10.96.0.10:80 {expected}"


def test_a_destination_of_a_mark_may_have_a_port(node: Node) -> None:
    """With any method; without one it is 0, which keeps the packet's."""
    table = made(node, "-A -f 16", "-a -f 16 -r 10.244.0.5:88 -g", "-a -f 16 -r 10.244.0.6 -m")

    assert table.splitlines()[1:] == ["-a -f 16 -r 10.244.0.5:88 -g -w 1", "-a -f 16 -r 10.244.0.6:0 -m -w 1"]


@pytest.mark.parametrize(("words", "code", "message"), REFUSED)
def test_wrong_words_are_refused_as_the_tool_does(node: Node, words: str, code: int, message: str) -> None:
    """Exit code and message of each; nothing is changed."""
    expected = Completed(code, "", f"{message}\n") if code else run(node, "-L")

    assert run(node, words) == expected
    assert len(node.ipvs.table) == 0


@pytest.mark.parametrize(("words", "code", "message"), KERNEL)
def test_what_the_kernel_refuses_is_told(node: Node, words: str, code: int, message: str) -> None:
    """Exit code and message of each; nothing is changed."""
    before = made(node, "-A -t 10.96.0.10:80", "-a -t 10.96.0.10:80 -r 10.244.0.5:8080 -m -x 9")

    assert run(node, words) == Completed(code, "", f"{message}\n")
    assert saved(node.ipvs.services) == before


def test_editing_replaces_all_that_is_not_said_by_defaults(node: Node) -> None:
    """A service loses persistence and flags; a destination its weight."""
    table = made(
        node,
        "-A -u 10.96.0.10:53 -s sh -p 60 -M 255.0.0.0 -o -b sh-port",
        "-a -u 10.96.0.10:53 -r 10.244.0.5 -m -w 5",
        "-E -u 10.96.0.10:53",
        "-e -u 10.96.0.10:53 -r 10.244.0.5",
    )

    assert table == "-A -u 10.96.0.10:53 -s wlc\n-a -u 10.96.0.10:53 -r 10.244.0.5:53 -g -w 1\n"


def test_services_and_destinations_are_deleted(node: Node) -> None:
    """One destination, a service with the others, all."""
    lines = [f"-A -t 10.96.0.{i}:80 -s rr" for i in (1, 2, 3)]
    lines += [f"-a -t 10.96.0.{i}:80 -r 10.244.0.{j}:8080 -m" for i in (1, 2, 3) for j in (5, 6)]
    made(node, *lines)
    table = made(node, "-d -t 10.96.0.1:80 -r 10.244.0.5:8080", "-D -t 10.96.0.2:80")
    assert [line.split()[2] + line.split()[4] for line in table.splitlines()] == [
        "10.96.0.1:80rr",
        "10.96.0.1:8010.244.0.6:8080",
        "10.96.0.3:80rr",
        "10.96.0.3:8010.244.0.5:8080",
        "10.96.0.3:8010.244.0.6:8080",
    ]

    assert made(node, "-C", "-C") == ""


def test_timeouts_are_set_and_shown(node: Node) -> None:
    """0 keeps one."""
    assert run(node, "-L --timeout").stdout == "Timeout (tcp tcpfin udp): 900 120 300\n"
    run(node, "--set 1000 0 30")
    assert run(node, "-L --timeout").stdout == "Timeout (tcp tcpfin udp): 1000 120 30\n"


def test_of_several_listings_the_first_in_rank_is_made(node: Node) -> None:
    """Counters before rates before thresholds before persistence before tunnels."""
    made(node, "-A -t 10.96.0.10:80", "-a -t 10.96.0.10:80 -r 10.244.0.5:8080 -m -x 7")
    options = ["--stats", "--rate", "--thresholds", "--persistent-conn", "--tun-info", "--nosort"]
    listings = [run(node, f"-Ln {option}").stdout for option in options]

    assert len(set(listings)) == len(options)
    for i in range(len(options)):
        assert run(node, "-Ln " + " ".join(reversed(options[i:]))).stdout == listings[i]


def test_listing_one_service_leaves_out_the_first_line(node: Node) -> None:
    """By address or mark, in any kind of listing."""
    made(node, "-A -f 16", "-A -f 16 -6", "-A -t 10.96.0.10:80")

    assert run(node, "-Ln -f 16 -6").stdout.splitlines()[2:] == ["FWM  16 IPv6 wlc"]
    assert run(node, "-Ln -t 10.96.0.10:80 --stats").stdout.splitlines()[0].startswith("Prot LocalAddress:Port ")
    assert run(node, "-Ln --stats").stdout.splitlines()[0] == "IP Virtual Server version 1.2.1 (size=4096)"


def test_zeroing_clears_what_is_shown(node: Node) -> None:
    """Of one service, or of all."""
    made(node, "-A -t 10.96.0.10:80", "-A -t 10.96.0.11:80")
    for service in node.ipvs.services:
        service.stats.conns = 5
    node.advance(2)
    made(node, "-Z -t 10.96.0.11:80")
    assert [line.split()[2] for line in run(node, "-Ln --stats").stdout.splitlines()[3:]] == ["5", "0"]

    made(node, "-Z")
    assert [line.split()[2] for line in run(node, "-Ln --stats").stdout.splitlines()[3:]] == ["0", "0"]


def test_names_are_not_resolved(node: Node) -> None:
    """Without -n the real tool prints names; where there is anything to print, that is refused."""
    assert run(node, "-L") == run(node, "-Ln")
    assert run(node, "-Lc") == run(node, "-Lnc")
    assert run(node, "") == run(node, "-Ln")

    made(node, "-A -t 10.96.0.10:80")
    for words in ("", "-L", "-L --stats", "-S"):
        with pytest.raises(UnsupportedError, match="add -n"):
            run(node, words)
    with pytest.raises(UnsupportedError, match="service name 'http'"):
        run(node, "-A -t 10.96.0.11:http")


def test_what_is_not_modelled_is_refused_by_name(node: Node) -> None:
    """The SIP engine."""
    with pytest.raises(UnsupportedError):
        run(node, "-A -u 1.2.3.4:5060 -p --pe sip")


def test_synchronisation_daemons_run_once_each_and_need_a_device(node: Node) -> None:
    """A master and a backup stand side by side; what the kernel refuses changes nothing."""
    assert run(node, "--start-daemon master") == Completed(255, "", "No such device\n")
    assert run(node, "--stop-daemon backup") == Completed(255, "", "No daemon is running\n")
    assert run(node, "-L --daemon") == Completed()

    made(node, "--start-daemon master --mcast-interface lo --syncid 3")
    made(node, "--start-daemon backup --mcast-interface lo --mcast-group 224.0.0.99 --mcast-port 9000 --mcast-ttl 4")
    assert run(node, "--start-daemon master --mcast-interface lo") == Completed(255, "", "Daemon has already run\n")
    assert run(node, "-L --daemon").stdout == (
        "master sync daemon (mcast=lo, syncid=3, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)\n"
        "backup sync daemon (mcast=lo, syncid=0, maxlen=1472, group=224.0.0.99, port=9000, ttl=4)\n"
    )
    made(node, "--stop-daemon master")
    assert run(node, "-L --daemon").stdout.startswith("backup")


def test_help_and_version_are_printed_and_nothing_else(node: Node) -> None:
    """Whatever stands behind them."""
    version = "ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)\n"

    assert run(node, "-v -A --bogus") == Completed(0, version)
    assert run(node, "-h extra").stdout.startswith(version)
    assert "--sched-flags, -b" in run(node, "--help").stdout


def test_restoring_runs_each_line_and_goes_on_when_the_kernel_refuses(node: Node) -> None:
    """Blanks, empty lines and the tool's own name are skipped; the exit code is the last command's."""
    text = "\n  ipvsadm -A   -t 10.96.0.10:80\t-s rr \r\n-A -t 10.96.0.10:80\n-A ipvsadm -u 10.96.0.10:53 -s lc"
    done = run(node, "-R", text)

    assert done == Completed(0, "", "Service already exists\n")
    assert saved(node.ipvs.services) == "-A -t 10.96.0.10:80 -s rr\n-A -u 10.96.0.10:53 -s lc\n"
    assert run(node, "-R", "-D -t 1.1.1.1:80\n").returncode == 255


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("-a -t 10.96.0.10:80 -r 10.244.0.8 -w x", 2, "illegal weight specified"),
        ("# a comment", 255, TRY),
        ("-R", 255, TRY),
        ("-Ln -t 1.1.1.1:80", 1, "No such service"),
        ('-A -t "10.96.0.11:80"', 2, SERVICE),
        ("-v", 0, ""),
    ],
)
def test_wrong_words_end_a_restore(node: Node, line: str, code: int, message: str) -> None:
    """What came before stays; what comes after is not read."""
    done = run(node, "-R", f"-A -t 10.96.0.10:80 -s rr\n{line}\n-C\n")

    assert (done.returncode, done.stderr) == (code, f"{message}\n" if message else "")
    assert saved(node.ipvs.services) == "-A -t 10.96.0.10:80 -s rr\n"


def test_the_restore_script_clears_first_and_skips_comments(node: Node) -> None:
    """``ipvsadm-restore`` is -C and -R; what it reads last stands first in the list."""
    made(node, "-A -u 10.96.0.10:53")
    text = "# saved\n-A -t 10.96.0.10:80 -s lc\n-a -t 10.96.0.10:80 -r 10.244.0.5:8080 -m -w 5\n"
    assert ipvsadm_restore(node, "ipvsadm-restore", [], text) == Completed()
    run(node, "-a -t 10.96.0.10:80 -r 10.244.0.6:8080 -m")

    assert ipvsadm_save(node, "ipvsadm-save", ["-n"], "").stdout.splitlines()[0] == "-A -t 10.96.0.10:80 -s lc"
    assert [line.split()[1] for line in run(node, "-Ln --nosort").stdout.splitlines()[4:]] == [
        "10.244.0.6:8080",
        "10.244.0.5:8080",
    ]
    assert ipvsadm_save(node, "ipvsadm-save", ["-x"], "").returncode == 1


# Addresses that differ by less than 2^31: of others the tool's own order depends on the order before.
addresses = st.integers(0x01000000, 0x7EFFFFFF).map(lambda v: f"{v >> 24}.{v >> 16 & 255}.{v >> 8 & 255}.{v & 255}")
endpoints = st.builds("{}:{}".format, addresses, st.integers(1, 65535))
servers = st.lists(
    st.tuples(endpoints, st.sampled_from(["-m", "-g", "-i"]), st.integers(0, 2**31 - 1)),
    max_size=4,
    unique_by=lambda server: server[0].partition(":")[0],
)
services = st.lists(
    st.tuples(
        st.sampled_from(["-t", "-u", "--sctp-service"]),
        endpoints,
        st.sampled_from(["rr", "wrr -p 60", "sh -b sh-port", "mh -p 5 -M 255.255.0.0 -b mh-fallback,mh-port", "none"]),
        servers,
    ),
    max_size=4,
    unique_by=lambda service: service[1],
)


@given(services)
@settings(max_examples=60, deadline=None)
def test_what_is_saved_restores_to_the_same(table: list[tuple[str, str, str, list[tuple[str, str, int]]]]) -> None:
    """Save, restore, save is the same text; destinations stand in the reverse of the order that was saved."""
    first, second = Node(), Node()
    for kind, place, rest, destinations in table:
        made(first, f"-A {kind} {place} -s {rest}")
        for server, method, weight in destinations:
            made(first, f"-a {kind} {place} -r {server} {method} -w {weight}")
    text = run(first, "-Sn").stdout
    done = run(second, "-R", text)

    assert done == Completed()
    assert run(second, "-Sn").stdout == text
    assert run(second, "-Ln").stdout == run(first, "-Ln").stdout
    orders: dict[str, list[str]] = {}
    for line in text.splitlines():
        kind, place, _, server = line.split()[1:5]
        if line.startswith("-a"):
            orders.setdefault(f"{kind} {place}", []).insert(0, server)
    kinds = {"TCP": "-t", "UDP": "-u", "SCTP": "--sctp-service"}
    found = {str(service.key): [str(d) for d in service.destinations] for service in second.ipvs.services}
    listed = {f"{kinds[key.split()[0]]} {key.split()[1]}": order for key, order in found.items() if order}
    assert listed == orders


WORDS = """
    -A -E -D -C -R -S -a -e -d -L -l -Z --set -h -t -u -f -s -p -M -r -m -g -i -w -x -y -n -c -6 -o -b -X -- -
    --stats --rate --timeout --daemon --tun-type --tun-port --tun-csum --pe --nosort --syncid --mcast-ttl
    1.2.3.4:80 [::1]:80 ::1 1 0 -1 rr sh gue sip flag-1 sh-port master 10.244.0.5 255.255.255.0
"""
words = st.sampled_from(WORDS.split()) | st.text(max_size=12)


@given(st.lists(words, max_size=9))
@settings(max_examples=250, deadline=None)
def test_no_words_crash_it(line: list[str]) -> None:
    """Any words give a result or are refused by name; a refusal changes nothing."""
    node = Node()
    made(node, "-A -t 10.96.0.10:80 -s rr")
    before = saved(node.ipvs.services)
    try:
        done = ipvsadm(node, "ipvsadm", line, " ".join(line))
    except UnsupportedError:
        done = Completed(2)
    if done.returncode and "-R" not in line:
        assert saved(node.ipvs.services) == before


def test_a_request_keeps_what_was_given() -> None:
    """Labels, not words: every way to name a service is a service address."""
    request = read_request("ipvsadm", ["-a", "-f", "7", "-r", "10.0.0.1:5", "-x", "9"])

    assert isinstance(request, Request)
    assert request.given == {"service-address", "real-server", "u-threshold"}
    assert (request.fwmark, request.server_port, request.u_threshold, request.weight) == (7, 5, 9, 1)
    with pytest.raises(UsageError, match=r"^Illegal 'netmask' option"):
        read_request("ipvsadm", ["-D", "-f", "7", "-M", "255.0.0.0"])

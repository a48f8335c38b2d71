"""The `conntrack` command: words in, text and exit codes out, as conntrack-tools 1.4.7 printed them on Linux 6.18."""

from __future__ import annotations

import shlex

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim.clock import SECOND, Clock
from svcsim.conntrack import Conntrack
from svcsim.conntrack_text import load_connections
from svcsim.errors import UnsupportedError
from svcsim.rng import Streams
from svcsim.sysctl import Sysctls
from svcsim.tools.command import Completed
from svcsim.tools.conntrack import conntrack

SAYS = "conntrack v1.4.7 (conntrack-tools): "
HELP = "\nTry `conntrack -h' or 'conntrack --help' for more information.\n"

# The connections of a recorded host: two translated, four plain. Seconds are those of the next moment.
DNS = "udp      17 30 src=10.1.0.2 dst=10.96.0.1 sport=7000 dport=53 [UNREPLIED] src=10.2.0.2 dst=10.2.0.1 sport=53 dport=7000 mark=0 use=1"
PLAIN = "udp      17 30 src=10.1.0.2 dst=10.2.0.2 sport=1 dport=7001 [UNREPLIED] src=10.2.0.2 dst=10.1.0.2 sport=7001 dport=1 mark=0 use=1"
PING = "icmp     1 30 src=10.1.0.2 dst=10.2.0.2 type=8 code=0 id=1 [UNREPLIED] src=10.2.0.2 dst=10.1.0.2 type=0 code=0 id=1 mark=0 use=1"
WEB = "tcp      6 432000 ESTABLISHED src=10.1.0.2 dst=10.96.0.1 sport=7000 dport=80 src=10.2.0.2 dst=10.1.0.2 sport=80 dport=7000 [ASSURED] mark=0 use=1"
ODD = "unknown  99 600 src=10.1.0.2 dst=10.2.0.2 [UNREPLIED] src=10.2.0.2 dst=10.1.0.2 mark=0 use=1"
SIX = "udp      17 30 src=fd01::2 dst=fd02::2 sport=4 dport=2 [UNREPLIED] src=fd02::2 dst=fd01::2 sport=2 dport=4 mark=0 use=1"
ALL = [DNS, PLAIN, PING, WEB, ODD, SIX]


@attrs.define
class Host:
    """What the command asks of a node."""

    conntrack: Conntrack

    def __call__(self, words: str) -> Completed:
        """Run ``conntrack`` with *words*."""
        return conntrack(self, "conntrack", shlex.split(words), "")  # type: ignore[arg-type]

    def shown(self, words: str) -> list[str]:
        """The lines of a listing, which must succeed and count itself."""
        done = self(words)
        assert done.returncode == 0, done
        lines = done.stdout.splitlines()
        assert done.stderr == f"{SAYS}{len(lines)} flow entries have been shown.\n"
        return lines


@pytest.fixture
def host() -> Host:
    table = Conntrack(Clock(), Sysctls(), Streams())
    load_connections(table, "\n".join(ALL))
    for conn in table:
        conn.status |= 1 << 7 | 1 << 8  # a nat table has seen them all
    table.clock.advance(SECOND // 10)
    return Host(table)


def later(line: str, seconds: int = 1, use: int = 1) -> str:
    """*line* as it is printed a moment after."""
    words = line.split(" ")
    at = next(i for i, word in enumerate(words[2:], 2) if word.isdigit() and words[i - 1].isdigit())
    words[at] = str(int(words[at]) - seconds)
    return " ".join(words).replace("use=1", f"use={use}")


@pytest.mark.parametrize(
    "words, expected",
    [
        ("-L", ALL),
        ("--dump", ALL),
        ("-L conntrack", ALL),
        ("-L -p udp", [DNS, PLAIN, SIX]),
        ("-L -p 17", [DNS, PLAIN, SIX]),
        ("-L -p tcp --state ESTABLISHED", [WEB]),
        ("-L -p tcp --state SYN_SENT", []),
        ("-L -p tcp --sport 7000 --dport 80", [WEB]),
        ("-L -p udp --orig-port-src 7000 --reply-port-dst 7000 --reply-port-src 53", [DNS]),
        ("-L -p udp --sport 72536", [DNS]),  # wraps as C does
        ("-L -p udp --sport abc", []),
        ("-L -p icmp", [PING]),
        ("-L -p icmp --icmp-type 8", [PING]),
        ("-L -p icmp --icmp-id 5 --icmp-code 0", []),
        ("-L -p 99", [ODD]),
        ("-L -s 10.1.0.2", [DNS, PLAIN, PING, WEB, ODD]),
        ("-L -s 10.1.0.0/24", [DNS, PLAIN, PING, WEB, ODD]),
        ("-L --src=fd01::/16", [SIX]),
        ("-L -d 10.96.0.1", [DNS, WEB]),
        ("-L --orig-dst 10.96.0.1 --dst-nat 10.2.0.2", [DNS, WEB]),
        ("-L -g", [DNS, PING, WEB]),  # an id looks like a changed port to the tool
        ("-L -n", [DNS, PING]),
        ("-L -j", [DNS, PING, WEB]),
        ("-L --any-nat 10.2.0.2", [DNS, WEB]),
        ("-L --dst-nat 10.2.0.2:53", []),  # the port did not change
        ("-L --dst-nat=10.2.0.2", [DNS, WEB]),
        ("-L -g 10.2.0.2 -n", [DNS]),
        ("-L -g10.2.0.9", []),
        ("-L -r 10.2.0.2 -q 10.1.0.2", [PLAIN, PING, WEB, ODD]),
        ("-L -u ASSURED", [WEB]),
        ("-L -u SEEN_REPLY", [WEB]),
        ("-L -u UNREPLIED", [DNS, PLAIN, PING, ODD, SIX]),
        ("-L -m 0", ALL),
        ("-L -m 5", []),
        ("-L -m 0x1/0x1", []),
        ("-L -m banana", ALL),
        ("-L -f ipv6", [SIX]),
        ("-L -f ipv4", [DNS, PLAIN, PING, WEB, ODD]),
        ("-L -w 0", ALL),
        ("-L --zone 5", []),
        ("-L -o ktimestamp", ALL),
        ("-L -z", ALL),
    ],
)
def test_listing(host, words, expected):
    """Filters show what the recorded tool showed, in any order there, in the order of confirmation here."""
    assert host.shown(words) == [later(line) for line in expected]


def test_longer_lines(host):
    """Family in front, id behind."""
    first = next(iter(host.conntrack))
    assert host.shown("-L -o extended,id -p udp -d 10.96.0.1") == [f"ipv4     2 {later(DNS)} id={first.id}"]
    assert host.shown("-L -o extended -f ipv6") == [f"ipv6     10 {later(SIX)}"]


@pytest.mark.parametrize(
    "words, code, error",
    [
        ("-L -p foo", 2, f"`foo' unsupported protocol{HELP}"),
        ("-L -f ipv7", 2, f"`ipv7' unsupported protocol{HELP}"),
        ("-L -u FOO", 2, f"Bad parameter `FOO'{HELP}"),
        ("-L -u SRC_NAT,DST_NAT", 1, "Operation failed: invalid parameters\n"),
        ("-L -o foo", 2, f"Bad parameter `foo'{HELP}"),
        ("-L --sport 7000", 2, f"unknown option `--sport'{HELP}"),
        ("-L --bogus", 2, f"unknown option `--bogus'{HELP}"),
        ("-X", 2, f"unknown option `-X'{HELP}"),
        ("-L -s banana", 2, f"Invalid IP address `banana'{HELP}"),
        ("-L -s 10.1.0.2/33", 2, f"Invalid netmask{HELP}"),
        ("-L -s ::/129", 2, f"Invalid netmask{HELP}"),
        ("-L -f ipv6 -s 10.1.0.2", 2, f"mismatched address family{HELP}"),
        ("-L --src", 2, f"option `--src' requires an argument{HELP}"),
        ("-L -s", 2, f"option `-s' requires an argument{HELP}"),
        ("-L foo", 2, f"unknown type `foo'{HELP}"),
        ("-L -D", 2, f"Invalid commands combination{HELP}"),
        ("-L -t 5", 2, f"Illegal option `--timeout' with this command{HELP}"),
        ("-L -p tcp --state FOO", 2, f"unknown TCP state `FOO'{HELP}"),
        ("-L -u UNSET", 1, "Operation failed: invalid parameters\n"),
        ("-C -p tcp", 2, f"Illegal option `--protonum' with this command{HELP}"),
        ("-C dying", 2, f"Can't do that command with tables `dying' and `unconfirmed'{HELP}"),
        ("-L -s 10.0.0.0/255.0.0.0", 2, f"Invalid netmask{HELP}"),
        ("-L --mask-src 255.0.0.0", 2, f"Can't use --mask-src without --src{HELP}"),
        ("-L -o save,id", 1, "cannot combine save output with any other output type, use -o save only\n"),
        ("-U -m 9 -p udp", 1, "Operation failed: Operation not supported\n"),
        ("-U -m 0 -f ipv4", 1, "0 flow entries have been updated.\n"),
        ("-A -p udp -s 10.1.0.2 -d 10.2.0.2 --sport 1 --dport 7001 -t 9", 0, "0 flow entries have been added.\n"),
        ("-R", 2, f"option `-R' requires an argument{HELP}"),
        ("-G -p udp -s 10.1.0.2 -d 10.96.0.9 --sport 7000 --dport 53", 1,
         "Operation failed: such conntrack doesn't exist\n"),
        ("-I -p tcp -s 1.1.1.3 -d 2.2.2.2 --sport 1 --dport 2 -t 9", 2,
         f"You need to supply the `--state' option for this command{HELP}"),
        ("-I -p tcp -s 1.1.1.4 -d 2.2.2.2 --sport 1 --dport 2 -t 9 --state FOO", 2, f"unknown TCP state `FOO'{HELP}"),
        ("-I -p udp -s 1.1.1.5 -d 2.2.2.2 --sport 1 --dport 2", 2,
         f"You need to supply the `--timeout' option for this command{HELP}"),
        ("-I -s 1.1.1.1 -d 2.2.2.2 -t 5", 2, f"You need to supply the `--protonum' option for this command{HELP}"),
        ("-I -p udp -s 1.1.1.6 -d 2.2.2.2 -t 10", 2, f"you have to specify `--sport' and `--dport'{HELP}"),
        ("-I -p udp -s 1.1.1.6 --sport 1 --dport 2 -t 10", 2, f"you have to specify `--src' and `--dst'{HELP}"),
        ("-I -p udp -s 1.1.1.9 -d 2.2.2.2 --sport 1 --dport 2 -t 10 -r 4.4.4.4 -q 5.5.5.5", 1,
         "Operation failed: invalid parameters\n"),
        ("-I -p sctp -s 1.1.1.11 -d 2.2.2.2 --sport 1 --dport 2 -t 9 --state ESTABLISHED", 2,
         f"You need to supply the `--orig-vtag' option for this command{HELP}"),
        ("-I -p udp -s 10.1.0.2 -d 10.2.0.2 --sport 1 --dport 7001 -t 9", 1,
         "Operation failed: Such conntrack exists, try -U to update\n"),
        ("-U -p udp --orig-dst 10.96.0.99 -m 7", 1, "0 flow entries have been updated.\n"),
        ("-U", 1, "0 flow entries have been updated.\n"),
        ("-D -s 9.9.9.9", 1, "0 flow entries have been deleted.\n"),
    ],
)  # fmt: skip
def test_refusals(host, words, code, error):
    """Exit code and message are the recorded ones, and the table stays as it was."""
    before = list(host.conntrack)

    assert host(words) == Completed(code, "", SAYS + error)
    assert list(host.conntrack) == before


def test_deleting(host):
    """What is deleted is shown; deleting nothing fails."""
    done = host("-D -p udp --orig-dst 10.96.0.1")
    assert done == Completed(0, later(DNS) + "\n", f"{SAYS}1 flow entries have been deleted.\n")
    assert host("-D -p udp --orig-dst 10.96.0.1").returncode == 1
    assert len(host.conntrack) == 5
    assert host("-D").stderr == f"{SAYS}5 flow entries have been deleted.\n"
    assert len(host.conntrack) == 0


def test_flushing_and_counting(host):
    """-C counts on standard output, -F empties, and so does nothing to the other tables."""
    assert host("-C") == Completed(0, "6\n")
    assert host("-F") == Completed(0, "", f"{SAYS}connection tracking table has been emptied.\n")
    assert host("-C") == Completed(0, "0\n")
    assert host("-L") == Completed(0, "", f"{SAYS}0 flow entries have been shown.\n")


def test_tables_that_are_empty_here(host):
    """There are no expectations, and nothing lingers unconfirmed."""
    assert host("-L expect") == Completed(0, "", f"{SAYS}0 expectations have been shown.\n")
    assert host("-L dying") == Completed(0, "", f"{SAYS}0 flow entries have been shown.\n")
    assert host("-C expect") == Completed(0, "0\n")
    assert host("-F expect") == Completed(0, "", f"{SAYS}expectation table has been emptied.\n")
    assert host("-S expect").stdout == "cpu=0   \texpect_new=0 expect_create=0 expect_delete=0 \n"


def test_getting(host):
    """One entry by its tuple; somebody holds it while it is shown."""
    done = host("-G -p udp -s 10.1.0.2 -d 10.96.0.1 --sport 7000 --dport 53")
    assert done.stdout == later(DNS, use=2) + "\n"


def test_updating(host):
    """Mark, timeout, status and state of all that fit; a mask keeps the other bits of a mark."""
    done = host("-U -p udp -d 10.96.0.1 -t 50 -m 8")
    assert done.stdout == DNS.replace("17 30", "17 50").replace("mark=0", "mark=8").replace("use=1", "use=2") + "\n"
    assert done.stderr == f"{SAYS}1 flow entries have been updated.\n"
    host("-U -p udp -d 10.96.0.1 -m 0x10/0xf0")
    assert next(iter(host.conntrack)).mark == 0x18
    assert "[ASSURED]" in host("-U -p udp -d 10.2.0.2 -u SEEN_REPLY,ASSURED").stdout
    assert "CLOSE" in host("-U -p tcp -d 10.96.0.1 --state CLOSE").stdout
    host.conntrack.clock.advance(50 * SECOND)
    assert host("-C").stdout == "2\n"


@pytest.mark.parametrize(
    "words, line",
    [
        ("-p udp -s 1.1.1.1 -d 2.2.2.2 --sport 1 --dport 2 -t 100",
         "udp      17 99 src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 [UNREPLIED] src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1 mark=0 use=1"),
        ("-p tcp -s 1.1.1.1 -d 2.2.2.2 --sport 1 --dport 2 -t 100 --state ESTABLISHED -u ASSURED,SEEN_REPLY -m 9",
         "tcp      6 99 ESTABLISHED src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1 [ASSURED] mark=9 use=1"),
        ("-p tcp -s 1.1.1.3 -d 2.2.2.2 --sport 1 --dport 2 -t 100 --state LISTEN",
         "tcp      6 99 SYN_SENT2 src=1.1.1.3 dst=2.2.2.2 sport=1 dport=2 [UNREPLIED] src=2.2.2.2 dst=1.1.1.3 sport=2 dport=1 mark=0 use=1"),
        ("-p udp -s 1.1.1.7 -d 2.2.2.2 --sport 1 --dport 2 -t 10 --dst-nat 3.3.3.3:99",
         "udp      17 9 src=1.1.1.7 dst=2.2.2.2 sport=1 dport=2 [UNREPLIED] src=3.3.3.3 dst=1.1.1.7 sport=99 dport=1 mark=0 use=1"),
        ("-p udp -s 1.1.1.8 -d 2.2.2.2 --sport 1 --dport 2 -t 10 --src-nat 3.3.3.3",
         "udp      17 9 src=1.1.1.8 dst=2.2.2.2 sport=1 dport=2 [UNREPLIED] src=2.2.2.2 dst=3.3.3.3 sport=2 dport=1 mark=0 use=1"),
        ("-p udp -s 1.1.1.10 -d 2.2.2.2 --sport 1 --dport 2 -t 10 -r 4.4.4.4 -q 5.5.5.5 --reply-port-src 2 --reply-port-dst 1",
         "udp      17 9 src=1.1.1.10 dst=2.2.2.2 sport=1 dport=2 [UNREPLIED] src=4.4.4.4 dst=5.5.5.5 sport=2 dport=1 mark=0 use=1"),
        ("-p icmp -s 1.1.1.9 -d 2.2.2.2 --icmp-type 8 --icmp-code 0 --icmp-id 5 -t 10",
         "icmp     1 9 src=1.1.1.9 dst=2.2.2.2 type=8 code=0 id=5 [UNREPLIED] src=2.2.2.2 dst=1.1.1.9 type=0 code=0 id=5 mark=0 use=1"),
        ("-p 99 -s 1.1.1.1 -d 2.2.2.2 -t 5",
         "unknown  99 4 src=1.1.1.1 dst=2.2.2.2 [UNREPLIED] src=2.2.2.2 dst=1.1.1.1 mark=0 use=1"),
        ("-p sctp -s 1.1.1.11 -d 2.2.2.2 --sport 1 --dport 2 -t 9 --state ESTABLISHED --orig-vtag 5 --reply-vtag 6",
         "sctp     132 8 ESTABLISHED src=1.1.1.11 dst=2.2.2.2 sport=1 dport=2 [UNREPLIED] src=2.2.2.2 dst=1.1.1.11 sport=2 dport=1 mark=0 use=1"),
        ("-p udp -s fd::1 -d fd::2 --sport 1 --dport 2 -t 10 -u SEEN_REPLY",
         "udp      17 9 src=fd::1 dst=fd::2 sport=1 dport=2 src=fd::2 dst=fd::1 sport=2 dport=1 mark=0 use=1"),
    ],
)  # fmt: skip
def test_creating(host, words, line):
    """An entry by hand is listed as the recorded one was, and counted as inserted."""
    assert host(f"-I {words}") == Completed(0, "", f"{SAYS}1 flow entries have been created.\n")
    assert host.shown("-L")[-1] == line
    assert "insert=7 insert_failed=0" in host("-S").stdout


def test_statistics(host):
    """One line per processor; here there is one."""
    host.conntrack.statistics.invalid = 3
    assert host("-S").stdout == (
        "cpu=0   \tfound=0 invalid=3 insert=6 insert_failed=0 drop=0 early_drop=0 error=0 search_restart=0 "
        "clash_resolve=0 chaintoolong=0 \n"
    )


def test_help_and_version(host):
    """Without a command the usage; the version is the real tool's."""
    assert host("").stdout.startswith("Command line interface for the connection tracking system. Version 1.4.7\n")
    assert host("-V") == Completed(0, "conntrack v1.4.7 (conntrack-tools)\n")


@pytest.mark.parametrize("words", ["-E", "-R file", "-I expect -s 10.0.0.1 -p udp -t 5"])
def test_what_is_not_modelled_is_named(host, words):
    """Events, files and expectations raise `UnsupportedError`, and change nothing."""
    with pytest.raises(UnsupportedError):
        host(words)
    assert len(host.conntrack) == 6


words = st.lists(
    st.sampled_from(
        [
            "-L",
            "-D",
            "-I",
            "-U",
            "-G",
            "-C",
            "-S",
            "-F",
            "-p",
            "tcp",
            "udp",
            "99",
            "icmp",
            "-s",
            "-d",
            "10.1.0.2",
            "::1",
            "--sport",
            "--dport",
            "5",
            "-t",
            "-u",
            "ASSURED",
            "-m",
            "1/2",
            "-f",
            "ipv4",
            "--state",
            "ESTABLISHED",
            "-g",
            "-n",
            "-j",
            "10.2.0.2:53",
            "--icmp-type",
            "8",
            "-o",
            "id",
            "-z",
            "expect",
            "-r",
            "-q",
            "--orig-vtag",
            "-w",
        ]
    )
    | st.text(max_size=6),
    max_size=14,
)


@given(words)
def test_no_words_crash(words):
    """Any words are done, refused with the tool's message, or not modelled by name."""
    table = Conntrack(Clock(), Sysctls(), Streams())
    load_connections(table, "\n".join(ALL))
    try:
        done = conntrack(Host(table), "conntrack", words, "")
    except UnsupportedError:
        return
    assert done.returncode in (0, 1, 2)


def test_what_is_saved_can_be_loaded(host):
    """`-o save` writes the options with which `-R -` makes the same connections on another host."""
    saved = host("-L -o save").stdout
    other = Host(Conntrack(Clock(), Sysctls(), Streams()))

    done = conntrack(other, "conntrack", ["-R", "-"], saved)  # type: ignore[arg-type]

    assert done == Completed()
    assert len(other.conntrack) == len(ALL)
    assert "-A -t 29 -u UNSET -s 10.1.0.2 -d 10.96.0.1 -g 10.2.0.2 -n 10.2.0.1 -p udp --sport 7000" in saved
    assert {line.split("-s ")[1] for line in other("-L -o save").stdout.splitlines()} == {
        line.split("-s ")[1] for line in saved.splitlines()
    }


def test_a_file_that_fails_ends_there(host):
    """Lines before the one that is refused are done."""
    text = "-D -p icmp\n# no\n-L\n-F\n"

    done = conntrack(host, "conntrack", ["-R", "-"], text)  # type: ignore[arg-type]

    assert (done.returncode, done.stderr) == (2, f"{SAYS}Cannot use command `-L' with --load-file{HELP}")
    assert len(host.conntrack) == len(ALL) - 1


def test_xml(host):
    """XML names layers and directions; a listing of nothing is empty."""
    text = host("-L -p tcp -o xml").stdout

    assert text.startswith('<?xml version="1.0" encoding="utf-8"?>\n<conntrack>\n<flow><meta direction="original">')
    assert "<state>ESTABLISHED</state><timeout>431999</timeout><mark>0</mark><use>1</use>" in text
    assert text.endswith("<assured/></meta></flow>\n</conntrack>\n")
    assert host("-L -p sctp -o xml").stdout == ""

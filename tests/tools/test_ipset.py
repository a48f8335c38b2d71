"""`ipset` on a node: words, texts and exit codes of ipset 7.17."""

from __future__ import annotations

import pytest

from svcsim import Node, UnsupportedError


@pytest.fixture
def node():
    return Node()


def run(node, line):
    done = node.run(line)
    assert done.returncode == 0, done.stderr
    return done.stdout


def members(node, name):
    return [line.split(" ", 2)[2] for line in run(node, f"ipset save {name}").splitlines()[1:]]


@pytest.mark.parametrize(
    ("create", "add", "shown"),
    [
        ("hash:ip", "10.0.0.1", ["10.0.0.1"]),
        ("hash:ip", "10.0.0.2-10.0.0.4", ["10.0.0.2", "10.0.0.3", "10.0.0.4"]),
        ("hash:ip netmask 24", "10.0.0.77", ["10.0.0.0"]),
        ("hash:ip family inet6", "2001:db8::1", ["2001:db8::1"]),
        ("hash:net", "10.1.2.3/16", ["10.1.0.0/16"]),
        ("hash:net", "10.0.0.0-10.0.0.6", ["10.0.0.0/30", "10.0.0.4/31", "10.0.0.6"]),
        ("hash:net", "10.0.0.1 nomatch", ["10.0.0.1 nomatch"]),
        ("hash:ip,port", "10.0.0.1,80", ["10.0.0.1,tcp:80"]),
        ("hash:ip,port", "10.0.0.1,udp:53-54", ["10.0.0.1,udp:53", "10.0.0.1,udp:54"]),
        ("hash:ip,port", "10.0.0.1,icmp:8/0", ["10.0.0.1,icmp:echo-request"]),
        ("hash:ip,port", "10.0.0.1,gre:0", ["10.0.0.1,gre:0"]),
        ("hash:ip,port,ip", "10.0.0.1,sctp:9,10.0.0.2", ["10.0.0.1,sctp:9,10.0.0.2"]),
        ("hash:ip,port,net", "10.0.0.1,80,10.0.0.0/8", ["10.0.0.1,tcp:80,10.0.0.0/8"]),
        ("hash:net,port", "10.0.0.0/24,tcp:80", ["10.0.0.0/24,tcp:80"]),
        ("hash:net,iface", "10.0.0.0/8,physdev:eth1", ["10.0.0.0/8,physdev:eth1"]),
        ("hash:net,iface", "10.0.0.0/8,eth wildcard", ["10.0.0.0/8,eth wildcard"]),
        ("hash:mac", "00:11:22:aa:bb:cc", ["00:11:22:AA:BB:CC"]),
        ("bitmap:port range 0-1024", "100-102", ["100", "101", "102"]),
        ("bitmap:ip range 10.0.0.0/24", "10.0.0.8/31", ["10.0.0.8", "10.0.0.9"]),
        ("hash:ip counters", "10.0.0.1 packets 4 bytes 5", ["10.0.0.1 packets 4 bytes 5"]),
        ("hash:ip comment", '10.0.0.1 comment "x y"', ['10.0.0.1 comment "x y"']),
        ("hash:ip timeout 10", "10.0.0.1", ["10.0.0.1 timeout 10"]),
        ("hash:ip timeout 10", "10.0.0.1 timeout 0", ["10.0.0.1 timeout 0"]),
        ("hash:ip skbinfo", "10.0.0.1 skbmark 0x1/0xff", ["10.0.0.1 skbmark 0x1/0xff"]),
    ],
)
def test_elements(node, create, add, shown):
    """What is added is saved as the real tool saves it, and restores to the same."""
    run(node, f"ipset create s {create}; ipset add s {add}")
    saved = run(node, "ipset save")

    assert members(node, "s") == shown
    assert saved.splitlines()[0].startswith(f"create s {create.split()[0]} ")
    again = Node()
    run(again, f"ipset restore <<'E'\n{saved}E")
    assert run(again, "ipset save") == saved


@pytest.mark.parametrize(
    ("line", "code", "stderr"),
    [
        ("ipset create a hash:net", 1, "Set cannot be created: set with the same name already exists"),
        ("ipset add a 10.0.0.1", 1, "Element cannot be added to the set: it's already added"),
        ("ipset add a 10.0.0.300", 1, "Syntax error: cannot parse 10.0.0.300: resolving to IPv4 address failed"),
        ("ipset del a 10.0.0.9", 1, "Element cannot be deleted from the set: it's not added"),
        ("ipset test a 10.0.0.2", 1, "10.0.0.2 is NOT in set a."),
        ("ipset test nosuch 10.0.0.2", 1, "The set with the given name does not exist"),
        ("ipset destroy a", 1, "Set cannot be destroyed: it is in use by a kernel component"),
        ("ipset destroy zz", 1, "The set with the given name does not exist"),
        ("ipset rename a aa", 1, "Set cannot be renamed: it is in use by another system"),
        ("ipset create zz foo", 1, "Syntax error: typename 'foo' is unknown"),
        ("ipset frob", 2, "No command specified: unknown argument frob"),
        ("ipset", 2, "No command specified."),
        ("ipset add p 2000", 1, "Element is out of the range of the set"),
        ("ipset create q bitmap:port", 2, "Mandatory option `range' is missing"),
        ("ipset add l l", 1, "Sets with list:set type cannot be added to the set."),
        ("ipset add l zz", 1, "Set to be added/deleted/tested as element does not exist."),
        ("ipset add m 10.0.0.0/24", 1, "Hash is full, cannot add more elements"),
        ("ipset add a", 2, "Missing second mandatory argument to command add"),
        ("ipset add a 0.0.0.0", 1, "Null-valued element, cannot be stored in a hash type of set"),
        ("ipset add a 10.0.0.5,80", 1, "Elem separator in 10.0.0.5,80, but settype hash:ip supports none."),
        ("ipset add a 10.0.0.5 packets 1", 1, "Packet/byte counters cannot be used: set was created without counter"),
        ("ipset add a 10.0.0.5 nomatch", 2, "Unknown argument: `nomatch'"),
        ("ipset test a 10.0.0.5 timeout 3", 2, "Unknown argument: `timeout'"),
        ("ipset add a 10.0.0.x bogus", 1, "cannot parse 10.0.0.x: resolving to IPv4 address failed"),
        ("ipset add p x", 1, "cannot parse 'x' as a tcp port"),
        ("ipset destroy a b", 2, "Unknown argument b"),
        ("ipset swap a zz", 1, "Sets cannot be swapped: the second set does not exist"),
        ("ipset list -o no", 1, "Syntax error: unknown output mode 'no'"),
        ("ipset list -o", 2, "Missing mandatory argument to option -o"),
        ("ipset create z hash:ip netmask 33", 1, "netmask is out of the inclusive range of 1-32"),
        ("ipset create z hash:ip netmask 8 bitmask 255.0.0.0", 1, "bitmask and netmask are mutually exclusive"),
        ("ipset create z hash:ip timeout 5 timeout 6", 1, "Syntax error: timeout already specified"),
        ("ipset create z hash:net,net family inet9", 1, "Syntax error: unknown inet family inet9"),
        ("ipset create z bitmap:port range 80", 2, "Mandatory option `to' is missing"),
        ("ipset create z bitmap:ip range 10.0.0.0/8", 1, "exceeds the size limit of the set type"),
        ("ipset create z hash:ip,mark markmask 0", 1, "The value of the markmask parameter is invalid"),
        ("ipset create z hash:ip bogus 4", 2, "Unknown argument: `bogus'"),
    ],
)
def test_refusals(node, line, code, stderr):
    """Refusals have the real tool's words and exit codes."""
    run(node, "ipset create a hash:ip; ipset add a 10.0.0.1; ipset create l list:set; ipset add l a")
    run(node, "ipset create p bitmap:port range 0-1024; ipset create m hash:ip maxelem 2")

    done = node.run(line)

    assert done.returncode == code
    assert stderr in done.stderr


def test_exist_makes_it_idempotent(node):
    """-exist forgives what is there or gone already."""
    run(
        node, "ipset create a hash:ip; ipset -exist create a hash:ip; ipset add a 10.0.0.1; ipset add a 10.0.0.1 -exist"
    )
    run(node, "ipset del a 10.0.0.1; ipset del a 10.0.0.1 -exist")

    assert members(node, "a") == []


def test_elements_expire(node):
    """An element with a timeout is gone when it has passed; adding it again renews it."""
    run(node, "ipset create a hash:ip timeout 5; ipset add a 10.0.0.1; ipset add a 10.0.0.2")
    node.advance(3)
    run(node, "ipset add a 10.0.0.1 -exist")
    node.advance(3)

    assert members(node, "a") == ["10.0.0.1 timeout 2"]


def test_restore_stops_at_the_first_error(node):
    """The line that fails is named; what came before it stays."""
    done = node.run("ipset restore <<'E'\ncreate r hash:ip\nadd r 1.2.3.4\nadd r 1.2.3.4\nadd r 5.5.5.5\nE")

    assert (done.returncode, done.stderr) == (
        1, "ipset v7.17: Error in line 3: Element cannot be added to the set: it's already added\n"
    )  # fmt: skip
    assert members(node, "r") == ["1.2.3.4"]


@pytest.mark.parametrize(
    ("lines", "code", "held"),
    [
        ("add r 10.0.0.1\nadd r 10.0.0.2\nadd r x", 1, []),
        ("add r 10.0.0.1\nbogus", 2, []),
        ("add r 10.0.0.1\nquit", 0, []),
        ("add r 10.0.0.1\nadd q 10.0.0.9\nadd r 10.0.0.2\nadd r x", 1, ["10.0.0.1"]),
        ("add r 10.0.0.1\ndel r 10.0.0.1\nbogus", 2, ["10.0.0.1"]),
        ("add r 10.0.0.1\nadd none 10.0.0.2", 1, []),
        ("add r 10.0.0.1\nflush q\nbogus", 2, ["10.0.0.1"]),
    ],
)
def test_restore_sends_changes_of_one_kind_together(node, lines, code, held):
    """A line that cannot be read loses what was not sent yet: the last changes of one kind to one set."""
    run(node, "ipset create r hash:ip; ipset create q hash:ip")

    assert node.run(f"ipset restore <<'E'\n{lines}\nE").returncode == code
    assert members(node, "r") == held


def test_old_kernels_have_older_types():
    """Before 6.2 a hash of addresses has no bitmask, and says so; its revision is one less."""
    node = Node(kernel="6.1")

    done = node.run("ipset create a hash:ip bitmask 255.0.0.255")

    assert done.returncode == 2 and "starting from the revision 6 and you have installed revision 5 only" in done.stderr
    assert "Revision: 5\n" in run(node, "ipset create a hash:ip; ipset list a")


def test_xml(node):
    """XML has the header's words as tags, and the members unless they are not wanted."""
    run(node, "ipset create a hash:net counters; ipset add a 10.0.0.0/8 nomatch")

    text = run(node, "ipset list -o xml")

    assert "<header><family>inet</family><hashsize>1024</hashsize><maxelem>65536</maxelem><counters/>" in text
    assert "<member><elem>10.0.0.0/8</elem><nomatch/><packets>0</packets><bytes>0</bytes></member>\n" in text
    assert "<members>" not in run(node, "ipset list -t -o xml")
    assert run(node, "ipset list -n -o xml") == '<ipsets>\n<ipset name="a"/>\n</ipsets>\n'


def test_swap_exchanges_content(node):
    """After a swap each name has the other's elements, timeouts included."""
    run(node, "ipset create a hash:ip timeout 5; ipset create b hash:ip; ipset add a 10.0.0.1; ipset add b 10.0.0.2")
    run(node, "ipset swap a b")

    assert (members(node, "a"), members(node, "b")) == (["10.0.0.2"], ["10.0.0.1 timeout 5"])
    node.advance(6)
    assert (members(node, "a"), members(node, "b")) == (["10.0.0.2"], [])


def test_list(node):
    """A listing shows type, header, references and members."""
    run(node, "ipset create a hash:ip; ipset add a 10.0.0.1; ipset create l list:set; ipset add l a")
    text = run(node, "ipset list a")

    assert text.startswith("Name: a\nType: hash:ip\nRevision: 6\nHeader: family inet hashsize 1024 maxelem 65536")
    assert "References: 1\nNumber of entries: 1\nMembers:\n10.0.0.1\n" in text
    assert run(node, "ipset list -n") == "a\nl\n"
    assert "Members" not in run(node, "ipset list -t")


def test_files_are_refused_by_name(node):
    """There are no files here but the one that keeps nothing."""
    assert run(node, "ipset create s hash:ip; ipset list -f /dev/null") == ""
    with pytest.raises(UnsupportedError, match="-file"):
        node.run("ipset save -f sets.txt")

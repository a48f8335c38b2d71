"""The iptables mode: its text to the character, what full and partial syncs write, and when which is due."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kube.objects import draw, host, pods, port, state
from svcsim.addr import Family, Prefix
from svcsim.errors import ConfigError
from svcsim.kube.iptables import LARGE_CLUSTER, IPTablesProgrammer
from svcsim.kube.iptables_names import ChainNames, endpoint_chain
from svcsim.kube.iptables_rules import probability
from svcsim.kube.state import ServicePortName


def nat_of(program):
    """The rules of nat that a program restores, without what every sync writes."""
    text = program.steps[-1].stdin.split("*nat\n")[1]
    return [line for line in text.splitlines() if "KUBE-POSTROUTING" not in line and "-A KUBE-MARK-MASQ" not in line]


def save(node):
    return node.run("iptables-save; ip6tables-save").stdout


def test_the_text_of_a_load_balancer():
    """A load balancer with source ranges, local policy and affinity is written as kube-proxy writes it."""
    served = port(
        endpoints=pods(7, local=True) + pods(8),
        node_port=30005,
        load_balancer_vips=("198.51.100.77",),
        source_ranges=(Prefix.parse("203.0.113.0/24"), Prefix.parse("192.0.2.0/24")),
        affinity_seconds=90,
        external_local=True,
        health_check_node_port=32005,
    )

    program = IPTablesProgrammer().sync(state(served), host())

    names = ChainNames(served.info.name)
    seven, eight = (endpoint_chain(served.info.name, f"10.128.3.{n}:8080") for n in (7, 8))
    who, external, firewall = "-m tcp -p tcp", names.external, names.firewall
    assert nat_of(program) == [
        ":KUBE-SERVICES - [0:0]",
        ":KUBE-NODEPORTS - [0:0]",
        ":KUBE-MARK-MASQ - [0:0]",
        f":{external} - [0:0]",
        f":{firewall} - [0:0]",
        f":{names.cluster} - [0:0]",
        f":{names.local} - [0:0]",
        f":{seven} - [0:0]",
        f":{eight} - [0:0]",
        f'-A KUBE-SERVICES -m comment --comment "shop/web:http cluster IP" {who} -d 10.200.0.9 --dport 80 -j {names.cluster}',
        f'-A KUBE-SERVICES -m comment --comment "shop/web:http loadbalancer IP" {who} -d 198.51.100.77 --dport 80 -j {firewall}',
        f"-A KUBE-NODEPORTS -m comment --comment shop/web:http {who} --dport 30005 -j {external}",
        f'-A {names.cluster} -m comment --comment "shop/web:http cluster IP" {who} -d 10.200.0.9 --dport 80 '
        "! -s 10.128.0.0/14 -j KUBE-MARK-MASQ",
        f'-A {external} -m comment --comment "pod traffic for shop/web:http external destinations" '
        f"-s 10.128.0.0/14 -j {names.cluster}",
        f'-A {external} -m comment --comment "masquerade LOCAL traffic for shop/web:http external destinations" '
        "-m addrtype --src-type LOCAL -j KUBE-MARK-MASQ",
        f'-A {external} -m comment --comment "route LOCAL traffic for shop/web:http external destinations" '
        f"-m addrtype --src-type LOCAL -j {names.cluster}",
        f"-A {external} -j {names.local}",
        f'-A {firewall} -m comment --comment "shop/web:http loadbalancer IP" -s 203.0.113.0/24 -j {external}',
        f'-A {firewall} -m comment --comment "shop/web:http loadbalancer IP" -s 192.0.2.0/24 -j {external}',
        f'-A {firewall} -m comment --comment "shop/web:http loadbalancer IP" -s 198.51.100.77 -j {external}',
        f'-A {firewall} -m comment --comment "other traffic to shop/web:http will be dropped by KUBE-PROXY-FIREWALL"',
        *(
            f'-A {names.cluster} -m comment --comment "shop/web:http -> 10.128.3.{n}:8080" '
            f"-m recent --name {chain} --rcheck --seconds 90 --reap -j {chain}"
            for n, chain in ((7, seven), (8, eight))
        ),
        f'-A {names.cluster} -m comment --comment "shop/web:http -> 10.128.3.7:8080" '
        f"-m statistic --mode random --probability 0.5000000000 -j {seven}",
        f'-A {names.cluster} -m comment --comment "shop/web:http -> 10.128.3.8:8080" -j {eight}',
        f'-A {names.local} -m comment --comment "shop/web:http -> 10.128.3.7:8080" '
        f"-m recent --name {seven} --rcheck --seconds 90 --reap -j {seven}",
        f'-A {names.local} -m comment --comment "shop/web:http -> 10.128.3.7:8080" -j {seven}',
        *(
            line
            for n, chain in ((7, seven), (8, eight))
            for line in (
                f"-A {chain} -m comment --comment shop/web:http -s 10.128.3.{n} -j KUBE-MARK-MASQ",
                f"-A {chain} -m comment --comment shop/web:http -m recent --name {chain} --set {who} "
                f"-j DNAT --to-destination 10.128.3.{n}:8080",
            )
        ),
        '-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this '
        'chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS',
        "COMMIT",
    ]


@pytest.mark.parametrize(
    ("endpoints", "expected"),
    [
        ((), ("REJECT", "has no endpoints")),
        (pods(5), ("DROP", "has no local endpoints")),
    ],
)
def test_reject_or_drop(endpoints, expected):
    """No endpoint anywhere is rejected; endpoints elsewhere only, under the policy Local, are dropped."""
    served = port(endpoints=endpoints, node_port=30005, external_local=True, internal_local=True)

    text = IPTablesProgrammer().sync(state(served), host()).steps[-1].stdin

    target, reason = expected
    rules = [line for line in text.splitlines() if "shop/web:http has" in line]
    assert len(rules) == 2
    assert all(reason in line and line.endswith(f"-j {target}") for line in rules)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 32), st.booleans())
def test_partial_syncs_come_to_the_same(seed, six):
    """Whatever changed, a partial sync leaves the rules that a full one would make."""
    rng, cluster = draw(seed, "iptables", six=six)
    node, proxy = host(cluster.net), IPTablesProgrammer()
    proxy.sync(cluster.state, node).apply(node)
    for _ in range(3):
        cluster = cluster.changed(rng)
        proxy.sync(cluster.state, node).apply(node)
        assert proxy.report is not None
        assert not proxy.report.full

        fresh = host(cluster.net)
        IPTablesProgrammer().sync(cluster.state, fresh).apply(fresh)
        assert save(node) == save(fresh)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1 << 32))
def test_only_what_changed_is_written(seed):
    """A sync that changes nothing writes no service's own chains; one that changes one service writes that one's."""
    _, cluster = draw(seed, "iptables")
    node, proxy = host(cluster.net), IPTablesProgrammer()
    proxy.sync(cluster.state, node).apply(node)
    written = set(proxy.report.written)

    proxy.sync(cluster.state, node).apply(node)

    assert proxy.report.written == ()
    assert set(proxy.report.skipped) == written


def test_chains_that_nobody_needs_go():
    """The chains of an endpoint that is gone are emptied and deleted."""
    node, proxy = host(), IPTablesProgrammer()
    proxy.sync(state(port(endpoints=pods(5, 6))), node).apply(node)

    proxy.sync(state(port(endpoints=pods(5))), node).apply(node)

    gone = endpoint_chain(ServicePortName("shop", "web", "http", "TCP"), "10.128.3.6:8080")
    assert proxy.report.deleted == (gone,)
    assert gone not in node.run("iptables-save").stdout


def full_after(change):
    """Whether a sync is full after *change* of a node that was synced once."""
    node, proxy = host(), IPTablesProgrammer()
    served = port(endpoints=pods(5))
    proxy.sync(state(served), node).apply(node)
    labels = change(node, proxy) or ()
    proxy.sync(state(served, labels=labels), node)
    return proxy.report.full


def test_when_a_sync_is_full():
    """After a failure, a flush, another label, or an hour; not otherwise."""
    assert not full_after(lambda node, proxy: None)
    assert full_after(lambda node, proxy: proxy.failed())
    assert full_after(lambda node, proxy: node.run("iptables -t mangle -X KUBE-PROXY-CANARY") and None)
    assert full_after(lambda node, proxy: (("topology.kubernetes.io/zone", "west"),))
    assert not full_after(lambda node, proxy: node.advance(3600) and None)
    assert full_after(lambda node, proxy: node.advance(3601) and None)


def test_large_clusters():
    """Above a thousand endpoints rules have no comments about endpoints, and an hour makes no full sync."""
    many = tuple(port(f"web{n}", pods(*range(1, 201)), cluster_ip=f"10.200.1.{n}") for n in range(6))
    assert sum(len(each.endpoints) for each in many) > LARGE_CLUSTER
    node, proxy = host(), IPTablesProgrammer()

    text = proxy.sync(state(*many), node).steps[-1].stdin

    assert "->" not in text
    assert '"shop/web0:http cluster IP"' in text
    node.run("iptables -t mangle -N KUBE-PROXY-CANARY")
    node.advance(4000)
    proxy.sync(state(*many), node)
    assert not proxy.report.full


@pytest.mark.parametrize("addresses", [("192.0.2.0/24",), ("primary",)])
def test_node_port_addresses(addresses):
    """Restricted node ports have a rule for each address, and none for loopback."""
    program = IPTablesProgrammer().sync(state(port(), node_port_addresses=addresses), host())

    last = [line for line in program.steps[-1].stdin.splitlines() if line.endswith("-j KUBE-NODEPORTS")]
    assert [line.split('" ')[1] for line in last] == ["-d 192.0.2.10 -j KUBE-NODEPORTS"]
    assert "KUBE-FIREWALL - " not in program.steps[-1].stdin


@settings(deadline=None)
@given(st.integers(1, 500))
def test_probabilities_make_equal_shares(count):
    """Going through the rules, each of n endpoints gets 1/n, as exactly as ten digits allow."""
    left, shares = 1.0, []
    for remaining in range(count, 1, -1):
        shares.append(left * float(probability(remaining)))
        left -= shares[-1]
    shares.append(left)

    assert shares == pytest.approx([1 / count] * count, abs=1e-7)


def test_jumps_keep_their_places():
    """A second full sync inserts no jump again."""
    node, proxy = host(), IPTablesProgrammer()
    proxy.sync(state(port()), node).apply(node)
    before = save(node)
    proxy.failed()

    proxy.sync(state(port()), node).apply(node)

    assert save(node) == before


def test_a_refused_program_changes_nothing():
    """A node that refuses a restore keeps its rules, and the error names the command."""
    node, proxy = host(), IPTablesProgrammer()
    node.run("iptables -t nat -N KUBE-SVC-OLD; iptables -t nat -A PREROUTING -j KUBE-SVC-OLD")
    before = node.run("iptables-save -t nat").stdout.count("KUBE-SVC-OLD")

    with pytest.raises(ConfigError, match="iptables-restore --noflush --counters: "):
        proxy.sync(state(port(endpoints=pods(5))), node).apply(node)  # its chain is stale, and somebody jumps there

    assert node.run("iptables-save -t nat").stdout.count("KUBE-SVC-OLD") == before


def test_ipv6_node_ports_leave_loopback_out():
    """Over IPv6 node ports are not taken at ::1."""
    _, cluster = draw(1, "iptables", six=True)

    text = IPTablesProgrammer().sync(cluster.state, host(cluster.net)).steps[-1]

    assert text.command.startswith("ip6tables-restore")
    assert cluster.state.family is Family.IPV6
    if not cluster.config.node_port_addresses:
        assert "--dst-type LOCAL ! -d ::1/128 -j KUBE-NODEPORTS" in text.stdin

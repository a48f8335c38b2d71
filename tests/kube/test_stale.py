"""UDP entries that lead to endpoints which are gone, and what answers at health-check node ports."""

from __future__ import annotations

import json

import pytest

from kube.objects import host, pods, port, state
from svcsim.kube.health import health_answer
from svcsim.kube.stale import clean_up

ENTRY = "conntrack -I -p {proto} -s 10.128.3.99 -d {to} --sport 4000 --dport {dport} -r 10.128.3.{end} -q 10.128.3.99 " \
    "--reply-port-src 8080 --reply-port-dst 4000 -t 60"  # fmt: skip


def node_with(*ends, proto="udp", to="10.200.0.9", dport=53):
    """A node with an entry that leads to each of *ends*."""
    node = host()
    for number, end in enumerate(ends):
        made = ENTRY.format(proto=proto, to=to, dport=dport, end=end).replace("4000", str(4000 + number))
        assert node.run(made + (" --state SYN_SENT" if proto == "tcp" else "")).returncode == 0
    return node


def served(*ends, mode="iptables", **fields):
    given = {"protocol": "UDP", "port": 53} | fields
    return state(port("dns", pods(*ends), **given), mode=mode)


@pytest.mark.parametrize(
    ("before", "after", "left"),
    [
        (served(5, 6), served(6), 1),
        (served(5, 6), served(5, 6), 2),  # nothing has changed: nothing is looked at
        (served(5, 6), served(), 2),  # nobody is left: entries stay
        (None, served(6), 1),
        (served(5, 6), served(5, 6, 7), 2),
        (served(5, mode="userspace"), served(6, mode="userspace"), 2),  # they lead to the proxy
        (served(5, mode="userspace"), state(mode="userspace"), 0),  # the service is gone
    ],
)
def test_clean_up(before, after, left):
    """Entries to endpoints that do not serve any more go, if endpoints changed and some are left."""
    node = node_with(5, 6)

    gone = clean_up(node, before, after)

    assert (gone, len(node.conntrack)) == (2 - left, left)


def test_node_ports_and_other_addresses():
    """Entries to node ports go by their port alone; those of TCP, and of nobody's addresses, stay."""
    after = served(6, node_port=30053, external_ips=("198.51.100.9",))

    for to, dport, gone in (("192.0.2.10", 30053, 1), ("198.51.100.9", 53, 1), ("198.51.100.8", 53, 0)):
        assert clean_up(node_with(5, to=to, dport=dport), served(5, 6), after) == gone
    assert clean_up(node_with(5, proto="tcp"), served(5, 6), after) == 0


def test_health():
    """Ready endpoints of this node count, each address once over all ports."""
    fields = {"health_check_node_port": 32000, "external_local": True, "load_balancer_vips": ("198.51.100.1",)}
    ends = pods(5, local=True) + pods(6) + pods(7, local=True, ready=False, terminating=True)
    both = state(port("web", ends, **fields), port("other", ends))

    answer = health_answer(both, 32000)

    assert (answer.status, answer.endpoints) == (200, 1)
    assert answer.headers["X-Load-Balancing-Endpoint-Weight"] == "1"
    assert json.loads(answer.body)["service"] == {"namespace": "shop", "name": "web"}
    assert health_answer(both, 32000, healthy=False).status == 503
    assert health_answer(state(port("web", pods(6), **fields)), 32000).status == 503
    assert health_answer(both, 1) is None

"""
Nodes of a cluster, ready for packets: made-up ones of any size, and the bundled example.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from svcsim.errors import ConfigError
from svcsim.lab.workload import Portal, ruleset, virtual_servers
from svcsim.node import Node
from svcsim.tools.command import TOOLS

__all__ = ["MODES", "bare_node", "command", "example_node", "example_text", "iptables_node", "ipvs_node"]

#: kube-proxy's two classic modes.
MODES = ("iptables", "ipvs")
_EXAMPLE = resources.files("svcsim") / "data" / "example-cluster"
#: Replies are looked up in conntrack, connections die with their destination: what kube-proxy sets for IPVS.
_IPVS_SYSCTLS = ("conntrack=1", "expire_nodest_conn=1", "expire_quiescent_template=1")


def bare_node(*, kernel: str = "6.18", seed: int = 0) -> Node:
    """
    A node that no proxy has touched: 192.0.2.10 on ``eth0``, its pods 10.244.1.0/24 on ``cni0``, others by a neighbour.
    """
    node = Node(kernel=kernel, seed=seed)
    node.add_interface("eth0", ["192.0.2.10/24"], ["default via 192.0.2.1", "10.244.0.0/16 via 192.0.2.11"])
    node.add_interface("cni0", ["10.244.1.1/24"])
    # Pods of one node reach each other through cni0; their host does not tell them of a shorter way there is none of.
    command(node, "sysctl", "-qw", *(f"net.ipv4.conf.{name}.send_redirects=0" for name in ("all", "eth0", "cni0")))
    return node


def command(node: Node, name: str, *args: str, stdin: str = "") -> str:
    """Run one command without a shell and return its output; raise `ConfigError` with its complaint if it fails."""
    done = TOOLS[name](node, name, list(args), stdin)
    if done.returncode:
        raise ConfigError(f"{name} {' '.join(args)}: {done.stderr.strip()}", exit_code=done.returncode)
    return done.stdout


def iptables_node(portals: Sequence[Portal], *, seed: int = 0) -> Node:
    """A node on which kube-proxy's iptables mode has programmed *portals*."""
    node = bare_node(seed=seed)
    command(node, "iptables-legacy-restore", stdin=ruleset(portals))
    return node


def ipvs_node(portals: Sequence[Portal], *, seed: int = 0) -> Node:
    """
    A node with the virtual servers of ipvs mode for *portals*.

    The dozen iptables rules of that mode, which look addresses up in ipsets, are left out: their number does not depend
    on the services'. So connections from outside the cluster are not masqueraded here.
    """
    node = bare_node(seed=seed)
    command(node, "sysctl", "-qw", *(f"net.ipv4.vs.{setting}" for setting in _IPVS_SYSCTLS))
    node.add_interface("kube-ipvs0", sorted({f"{portal.address}/32" for portal in portals}), kind="dummy")
    command(node, "ipvsadm", "-R", stdin=virtual_servers(portals))
    return node


def example_text(name: str) -> str:
    """A file of the bundled example cluster, such as ``iptables-save.txt``."""
    return (_EXAMPLE / name).read_text(encoding="utf-8")


def example_node(mode: str, *, seed: int = 0) -> Node:
    """
    The node of the bundled example cluster, as a real node in this *mode* of kube-proxy was dumped.

    >>> print(example_node("ipvs").run("ipvsadm -Sn | grep 10.96.5.90").stdout, end="")
    -A -t 10.96.5.90:9090 -s rr
    -a -t 10.96.5.90:9090 -r 10.244.1.41:9090 -m -w 1
    -a -t 10.96.5.90:9090 -r 10.244.2.41:9090 -m -w 1
    """
    if mode not in MODES:
        raise ConfigError(f"no dump of the mode {mode!r}; there are {' and '.join(MODES)}")
    node = bare_node(seed=seed)
    if mode == "iptables":
        command(node, "sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")  # node ports on 127.0.0.1
        command(node, "iptables-legacy-restore", stdin=example_text("iptables-save.txt"))
        return node
    for line in example_text("ipvs-setup.txt").splitlines():
        done = node.run(line)
        assert done.returncode == 0, done.stderr
    command(node, "ipset", "restore", stdin=example_text("ipvs-ipset-save.txt"))
    command(node, "iptables-legacy-restore", stdin=example_text("ipvs-iptables-save.txt"))
    command(node, "ipvsadm", "-R", stdin=example_text("ipvsadm-save.txt"))
    return node

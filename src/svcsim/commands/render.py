"""
``svcsim render``: what a kube-proxy programs into a node, as the node's own tools print it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator

from svcsim.addr import Family
from svcsim.cluster.kube_proxy import KubeProxy
from svcsim.cluster.programmed import program_node, program_windows
from svcsim.commands.clusters import add_cluster, add_config, config_of, objects_of
from svcsim.errors import ConfigError

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "render",
        help="what a kube-proxy programs into a node",
        description="Print what a node holds after its kube-proxy's first sync: iptables-save, ipset save, ipvsadm -Sn "
        "and the addresses of services, or in kernelspace mode HNS's objects as JSON; with --program the commands by "
        "which it gets there.",
    )
    add_cluster(parser)
    parser.add_argument("--node", default="", metavar="NAME", help="the node (the first)")
    parser.add_argument(
        "--program", action="store_true", help="the proxy's commands instead, as a shell would run them"
    )
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Render."""
    if config_of(args).mode == "kernelspace":
        return _render_windows(args)
    proxy = program_node(objects_of(args), config_of(args), args.node, kernel=args.kernel, seed=args.seed)
    for sync in proxy.syncs:
        if sync.error:
            raise ConfigError(f"the node refused it: {sync.error}")
    if args.program:
        print("\n".join(str(sync.program) for sync in proxy.syncs))
    else:
        print("\n".join(text.rstrip("\n") for text in _shown(proxy)))
    return 0


def _render_windows(args: argparse.Namespace) -> int:
    node, program = program_windows(objects_of(args), config_of(args), args.node)
    if args.program:
        print(program)
    else:
        endpoints = [each.to_json() for each in node.hns.endpoints.values()]
        print(json.dumps({"Endpoints": endpoints, "LoadBalancers": [each.to_json() for each in node.hns]}, indent=2))
    for note in program.notes:
        print(f"svcsim: {note}", file=sys.stderr)
    return 0


def _shown(proxy: KubeProxy) -> Iterator[str]:
    """What the tools print, each with its name if it prints anything."""
    node = proxy.host
    if any(device.kind == "dummy" for device in node.devices.values()):
        yield from _section(proxy, "ip -o address show dev kube-ipvs0")
    if len(node.ipsets):
        yield from _section(proxy, "ipset save")
    if any(True for _ in node.ipvs.services):
        yield from _section(proxy, "ipvsadm -Sn")
    for family in Family:
        if family in proxy.families:
            yield from _section(proxy, "iptables-save" if family is Family.IPV4 else "ip6tables-save")


def _section(proxy: KubeProxy, command: str) -> Iterator[str]:
    yield f"# {command}"
    lines = proxy.host.run(command).stdout.splitlines()
    yield "\n".join(line for line in lines if not line.startswith("#"))

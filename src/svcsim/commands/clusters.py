"""
The options by which commands name a cluster and how its proxies are configured.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import attrs

from svcsim.addr import Prefix
from svcsim.cluster.load import load
from svcsim.errors import ConfigError
from svcsim.kube.config import ProxyConfig
from svcsim.kube.config_file import read_config
from svcsim.kube.objects import Objects
from svcsim.node import NEWEST_KERNEL

__all__ = ["add_cluster", "add_config", "config_of", "objects_of"]


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Declare the manifests."""
    parser.add_argument(
        "manifests", nargs="+", type=Path, metavar="CLUSTER", help="manifests (YAML or JSON), or folders of them"
    )


def add_config(parser: argparse.ArgumentParser, *, mode: bool = True) -> None:
    """Declare how proxies are configured, and what they run on."""
    proxy = parser.add_argument_group("kube-proxy")
    if mode:
        proxy.add_argument("--mode", default="", metavar="MODE", help="the proxy's mode (iptables)")
    proxy.add_argument("--config", type=Path, metavar="FILE", help="its configuration file (KubeProxyConfiguration)")
    proxy.add_argument("--cluster-cidr", default="", metavar="CIDR[,CIDR]", help="the addresses of pods")
    proxy.add_argument("--scheduler", default="", metavar="NAME", help="the scheduler of the ipvs mode (rr)")
    proxy.add_argument("--kernel", default=NEWEST_KERNEL, metavar="VERSION", help="of the nodes (%(default)s)")
    proxy.add_argument("--seed", type=int, default=0, metavar="N", help="of all that is drawn (%(default)s)")


def config_of(args: argparse.Namespace, mode: str = "") -> ProxyConfig:
    """What the options say."""
    config = ProxyConfig()
    if args.config is not None:
        try:
            config = read_config(args.config.read_text(encoding="utf-8"), str(args.config))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{args.config}: {error}") from None
    mode = mode or args.mode
    if mode:
        config = attrs.evolve(config, mode=mode)
    if args.cluster_cidr:
        cidrs = tuple(Prefix.parse(text.strip()) for text in args.cluster_cidr.split(","))
        config = attrs.evolve(config, cluster_cidrs=cidrs)
    if args.scheduler:
        config = attrs.evolve(config, ipvs=attrs.evolve(config.ipvs, scheduler=args.scheduler))
    return config


def objects_of(args: argparse.Namespace) -> Objects:
    """What the manifests hold."""
    return load(*args.manifests)

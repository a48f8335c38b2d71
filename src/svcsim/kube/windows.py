"""
A Windows node: no netfilter, only the Host Networking Service, spoken to in JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from svcsim.clock import SECOND, Clock
from svcsim.errors import ConfigError, SvcsimError
from svcsim.lb.hns import Decision, Distribution, Hns, HnsEndpoint, HnsLoadBalancer, LoadBalancerFlags, PortMappingFlags
from svcsim.packet import Packet
from svcsim.tools.command import Completed

__all__ = ["WindowsNode"]


class WindowsNode:
    """
    A host whose services HNS serves; *pods* maps the ids of its own endpoints, which the CNI made, to their addresses.

    `run` takes ``hcn endpoint create``, ``hcn loadbalancer create`` and so on (create, modify, delete) with the object
    as JSON in a here-document.

    >>> from svcsim.lb.hns import Hns
    >>> node = WindowsNode(Hns(addresses=["192.0.2.10"]), pods={"pod-1": "10.244.1.5"})
    >>> node.run("hcn loadbalancer delete <<'EOF'\\n{\\"ID\\": \\"x\\"}\\nEOF").stderr
    'there is no load balancer x\\n'
    """

    def __init__(self, hns: Hns, *, pods: dict[str, str] | None = None, clock: Clock | None = None) -> None:
        self.hns = hns
        self.clock = clock if clock is not None else Clock()
        for id, ip in (pods or {}).items():
            hns.add_endpoint(HnsEndpoint(id=id, ip=ip))

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(round(seconds * SECOND))

    def decide(self, packet: Packet) -> Decision | None:
        """Where HNS sends a packet; None if it leaves it alone."""
        return self.hns.decide(packet)

    def run(self, command: str) -> Completed:
        """Run one request."""
        line, _, rest = command.partition("\n")
        words = line.removesuffix(" <<'EOF'").split()
        try:
            data = json.loads(rest.removesuffix("EOF"))
            if words[:1] != ["hcn"] or len(words) != 3 or not isinstance(data, dict):
                raise ConfigError(f"not a request to HNS: {line}")
            self._act(words[1], words[2], data)
        except (SvcsimError, ValueError, KeyError, TypeError, IndexError) as error:
            return Completed(returncode=1, stderr=f"{error}\n")
        return Completed()

    def _act(self, kind: str, verb: str, data: dict[str, Any]) -> None:
        hns = self.hns
        actions: dict[tuple[str, str], Callable[[], None]] = {
            ("endpoint", "create"): lambda: hns.add_endpoint(_endpoint(data)),
            ("endpoint", "delete"): lambda: hns.remove_endpoint(data["ID"]),
            ("loadbalancer", "create"): lambda: hns.add_load_balancer(_balancer(data)),
            ("loadbalancer", "modify"): lambda: hns.change_load_balancer(_balancer(data)),
            ("loadbalancer", "delete"): lambda: hns.remove_load_balancer(data["ID"]),
        }
        if (kind, verb) not in actions:
            raise ConfigError(f"HNS does not {verb} a {kind}")
        actions[kind, verb]()


def _endpoint(data: dict[str, Any]) -> HnsEndpoint:
    return HnsEndpoint(
        id=data["ID"],
        ip=data["IpConfigurations"][0]["IpAddress"],
        mac=data.get("MacAddress", ""),
        remote=bool(data.get("Flags", 0)),
        provider=_only(policy["Settings"]["ProviderAddress"] for policy in data.get("Policies", ())),
    )


def _balancer(data: dict[str, Any]) -> HnsLoadBalancer:
    mapping = data["PortMappings"][0]
    return HnsLoadBalancer(
        id=data["ID"],
        vip=_only(data["FrontendVIPs"]),
        protocol=mapping["Protocol"],
        internal_port=mapping["InternalPort"],
        external_port=mapping["ExternalPort"],
        endpoints=tuple(data["HostComputeEndpoints"]),
        source_vip=data["SourceVIP"],
        flags=LoadBalancerFlags(data["Flags"]),
        mapping=PortMappingFlags(mapping["Flags"]),
        distribution=Distribution(mapping["DistributionType"]),
    )


def _only(texts: Iterable[str]) -> str:
    """The one text that there is, or none."""
    return next(iter(texts), "")

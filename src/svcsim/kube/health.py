"""
What kube-proxy answers at health-check node ports: whether this node has pods of a Service.

Behaviour of: kube-proxy's service health server.
"""

from __future__ import annotations

import json

import attrs

from svcsim.kube.state import ProxyState, ServicePortName

__all__ = ["HealthAnswer", "health_answer"]


@attrs.frozen
class HealthAnswer:
    """One answer: its *status* and the number of *endpoints* here, each address counted once."""

    name: ServicePortName
    endpoints: int
    healthy: bool = True

    @property
    def status(self) -> int:
        """200 if somebody serves here and the proxy itself is well, else 503."""
        return 200 if self.endpoints and self.healthy else 503

    @property
    def headers(self) -> dict[str, str]:
        """The headers that say more than HTTP has to."""
        return {"Content-Type": "application/json", "X-Load-Balancing-Endpoint-Weight": str(self.endpoints)}

    @property
    def body(self) -> str:
        """The answer's JSON."""
        service = {"namespace": self.name.namespace, "name": self.name.service}
        return json.dumps({"service": service, "localEndpoints": self.endpoints, "serviceProxyHealthy": self.healthy})


def health_answer(state: ProxyState, port: int, *, healthy: bool = True) -> HealthAnswer | None:
    """
    What is answered at *port*; None if nobody listens there. Ready endpoints count, over all ports of the Service.

    >>> from svcsim.addr import Family
    >>> from svcsim.kube.config import ProxyConfig
    >>> from svcsim.kube.state import EndpointInfo, NodeInfo, ServedPort, ServicePortInfo
    >>> web = ServicePortInfo(name=ServicePortName("default", "web", "", "TCP"), cluster_ip="10.96.0.10", port=80,
    ...     health_check_node_port=32000)
    >>> pod = EndpointInfo(address="10.244.0.5", port=8080, local=True)
    >>> state = ProxyState(family=Family.IPV4, node=NodeInfo(name="a"), config=ProxyConfig(), ports=(ServedPort(web, (pod,)),))
    >>> health_answer(state, 32000).status, health_answer(state, 32001)
    (200, None)
    """
    served = [each for each in state.ports if each.info.health_check_node_port == port]
    if not served:
        return None
    here = {end.address for each in served for end in each.endpoints if end.local and end.ready}
    return HealthAnswer(served[0].info.name, len(here), healthy)

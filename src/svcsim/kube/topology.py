"""
Which endpoints of a service port are used, and by which way in.

Behaviour of: kube-proxy's endpoint selection (traffic policies, topology hints, the fall-back to endpoints that
terminate but still serve); pinned by the selection cases of its own tests.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from svcsim.kube.state import EndpointInfo, ServicePortInfo

__all__ = ["Choice", "choose"]


@attrs.frozen
class Choice:
    """
    The endpoints for a way in of policy Cluster, those for one of policy Local, all that some way in may reach, and
    whether there are any, here or elsewhere.
    """

    cluster: tuple[EndpointInfo, ...] = ()
    local: tuple[EndpointInfo, ...] = ()
    reachable: tuple[EndpointInfo, ...] = ()
    any: bool = False


def choose(info: ServicePortInfo, endpoints: Sequence[EndpointInfo], *, node: str, zone: str) -> Choice:
    """
    Choose among *endpoints*, in their order, as the kube-proxy of a *node* in a *zone* does.

    Ready endpoints come first; if a list has none, those that terminate but still serve stand in, for the cluster's list
    and for the local one apart. Hints narrow the cluster's list alone.

    >>> from svcsim.kube.state import ServicePortName
    >>> web = ServicePortInfo(name=ServicePortName("default", "web", "", "TCP"), cluster_ip="10.96.0.10", port=80)
    >>> gone = EndpointInfo(address="10.0.0.1", port=80, ready=False, serving=True, terminating=True)
    >>> there = EndpointInfo(address="10.0.0.2", port=80)
    >>> [str(each) for each in choose(web, [gone, there], node="a", zone="").cluster]
    ['10.0.0.2:80']
    >>> [str(each) for each in choose(web, [gone], node="a", zone="").cluster]
    ['10.0.0.1:80']
    """
    if not endpoints:
        return Choice()
    cluster: tuple[EndpointInfo, ...] = ()
    hinted = ""
    if info.uses_cluster:
        hinted = _hints_that_count(endpoints, node, zone)
        cluster = tuple(e for e in endpoints if e.ready and _meant_for(e, hinted, node, zone)) or _fading(endpoints)
    if not info.uses_local:
        return Choice(cluster, (), cluster, bool(cluster))
    anywhere = bool(cluster) or any(e.ready or (e.serving and e.terminating) for e in endpoints)
    here = [e for e in endpoints if e.local]
    ready_here = tuple(e for e in here if e.ready)
    local = ready_here or _fading(here)
    if not info.uses_cluster:
        return Choice((), local, local, anywhere)
    reachable = cluster
    if hinted or (local and not ready_here):  # otherwise the local ones are among the cluster's
        wanted = {str(e) for e in (*cluster, *local)}
        reachable = tuple(e for e in endpoints if str(e) in wanted)
    return Choice(cluster, local, reachable, anywhere)


def _fading(endpoints: Sequence[EndpointInfo]) -> tuple[EndpointInfo, ...]:
    return tuple(e for e in endpoints if e.serving and e.terminating)


def _hints_that_count(endpoints: Sequence[EndpointInfo], node: str, zone: str) -> str:
    """Which hints are followed: those that every ready endpoint has, if one of them names this node or zone."""
    ready = [e for e in endpoints if e.ready]
    if not ready:
        return ""
    if all(e.node_hints for e in ready) and any(node in e.node_hints for e in ready):
        return "node"
    if all(e.zone_hints for e in ready) and zone and any(zone in e.zone_hints for e in ready):
        return "zone"
    return ""


def _meant_for(endpoint: EndpointInfo, hinted: str, node: str, zone: str) -> bool:
    if hinted == "node":
        return node in endpoint.node_hints
    return hinted != "zone" or zone in endpoint.zone_hints

"""
A cluster: nodes with dataplanes of their own that kube-proxies program, pods, the world outside, and one clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

import attrs

from svcsim.addr import Family, parse_address
from svcsim.clock import SECOND
from svcsim.cluster.call import Call
from svcsim.cluster.kube_proxy import KubeProxy
from svcsim.cluster.load import load
from svcsim.cluster.naming import Directory
from svcsim.cluster.wiring import OUTSIDE, Wiring, addresses_of, families_of, nodes_of
from svcsim.connection import Connection, respond
from svcsim.errors import ConfigError, MissingError, UnsupportedError
from svcsim.kube.config import ProxyConfig
from svcsim.kube.front import lenient_address, node_info
from svcsim.kube.objects import (
    Endpoint,
    EndpointSlice,
    Node,
    ObjectMeta,
    Objects,
    Pod,
    PodSpec,
    PodStatus,
    Service,
)
from svcsim.kube.state import ServedPort, host_port
from svcsim.kube.topology import choose
from svcsim.network import Host, Journey, Network
from svcsim.node import NEWEST_KERNEL

__all__ = ["Cluster"]

#: A client's ports, one after the other.
_FIRST_PORT = 32768
_PORTS = 28232


class Cluster:
    """
    Everything that *objects* describe, in memory.

    A pod answers at the ports that EndpointSlices say it serves. Endpoints without a Pod get one by their address; nodes
    that are only named get addresses. *news* is how long a change takes until a node hears of it, in seconds, for all
    or by name.

    >>> from svcsim.kube.objects import *
    >>> cluster = Cluster(Objects(
    ...     services=(Service(metadata=ObjectMeta(name="web"), spec=ServiceSpec(clusterIP="10.96.0.10", ports=(ServicePort(port=80),))),),
    ...     slices=(EndpointSlice(
    ...         metadata=ObjectMeta(name="web-1", labels={"kubernetes.io/service-name": "web"}),
    ...         endpoints=(Endpoint(addresses=("10.244.1.5",), nodeName="b"),), ports=(EndpointPort(name="", port=8080),)),),
    ...     pods=(Pod(metadata=ObjectMeta(name="client"), spec=PodSpec(nodeName="a"), status=PodStatus(podIP="10.244.0.9")),),
    ... ))
    >>> call = cluster.connect("client", "web:80")
    >>> print(call)
    client -> 10.96.0.10:80 tcp: answered by 10.244.1.5:8080 on b, which saw 10.244.0.9
    """

    def __init__(
        self,
        objects: Objects,
        *,
        config: ProxyConfig | None = None,
        link: str = "routed",
        delay: float = 0.0,
        news: float | dict[str, float] = 0.0,
        kernel: str = NEWEST_KERNEL,
        seed: int = 0,
    ) -> None:
        self.config = config if config is not None else ProxyConfig()
        if self.config.mode == "kernelspace":
            raise UnsupportedError(
                "a cluster of Windows nodes", instead="`svcsim render --mode kernelspace`, or a WindowsNode"
            )
        self.network = Network(seed=seed)
        self.nodes: dict[str, Node] = {}
        self.proxies: dict[str, KubeProxy] = {}
        self.pods: dict[str, Pod] = {}
        self._news = news
        self._kernel = kernel
        self._wiring = Wiring(self.network, self.config, link, delay)
        self._services = {_key(service): service for service in objects.services}
        self._slices = {_key(piece): piece for piece in objects.slices}
        self._next_port = 0
        self._turn = 0
        for node in nodes_of(objects):
            self._add_node(node)
        for pod in (*objects.pods, *self._nameless_pods(objects)):
            self._add_pod(pod)
        self._serve()
        for proxy in self.proxies.values():
            proxy.learn((*self._services.values(), *self._slices.values()))

    @classmethod
    def load(
        cls,
        *paths: str | PurePath,
        mode: str = "",
        config: ProxyConfig | None = None,
        link: str = "routed",
        delay: float = 0.0,
        news: float | dict[str, float] = 0.0,
        kernel: str = NEWEST_KERNEL,
        seed: int = 0,
    ) -> Cluster:
        """The cluster that manifests describe: files or folders, YAML or JSON; *mode* goes before that of *config*."""
        config = config if config is not None else ProxyConfig()
        if mode:
            config = attrs.evolve(config, mode=mode)
        return cls(load(*paths), config=config, link=link, delay=delay, news=news, kernel=kernel, seed=seed)

    # -- what is there ------------------------------------------------------------------------------------------------

    def node(self, name: str) -> Host:
        """A node's host: its dataplane is `Host.node`."""
        if name not in self.nodes:
            raise MissingError(f"there is no node {name!r}; there are {', '.join(self.nodes)}")
        return self.network.host(name)

    def pod(self, name: str) -> Host:
        """A pod's host, by ``pod`` or ``namespace/pod``."""
        return self.network.host(self.directory.pod(name))

    @property
    def directory(self) -> Directory:
        """Who is called what."""
        return Directory(self._services.values(), self.nodes, self.pods)

    @property
    def services(self) -> tuple[Service, ...]:
        """The Services that there are now."""
        return tuple(self._services.values())

    @property
    def slices(self) -> tuple[EndpointSlice, ...]:
        """The EndpointSlices that there are now."""
        return tuple(self._slices.values())

    def _nameless_pods(self, objects: Objects) -> Iterator[Pod]:
        """Pods for endpoints that nobody else has the address of."""
        known = {address for pod in objects.pods for address in addresses_of(pod)}
        known |= {address for node in self.nodes.values() for address in families_of(node).values()}
        for piece in objects.slices:
            for endpoint in piece.endpoints:
                address = _address_of(endpoint)
                if address and address not in known:
                    known.add(address)
                    home = endpoint.nodeName if endpoint.nodeName in self.nodes else next(iter(self.nodes))
                    yield _pod(piece.metadata.namespace, address, home)

    def _add_node(self, node: Node) -> None:
        host = self._wiring.add_node(node, self._kernel)
        self.nodes[node.metadata.name] = node
        self.proxies[node.metadata.name] = KubeProxy(host.node, node, self.config, place=(self.network, host))

    def _add_pod(self, pod: Pod) -> None:
        name, home = _pod_name(pod), pod.spec.nodeName or next(iter(self.nodes))
        if home not in self.nodes:
            raise ConfigError(f"pod {name} is on node {home}, which is not there")
        if pod.spec.hostNetwork or not addresses_of(pod):
            return  # it is its node, or was given no address yet
        self._wiring.add_pod(name, addresses_of(pod), home)
        self.pods[name] = pod

    def _serve(self) -> None:
        """Let whoever has an endpoint's address answer at its port."""
        holders = {address: name for name, pod in self.pods.items() for address in addresses_of(pod)}
        holders |= {address: name for name, node in self.nodes.items() for address in families_of(node).values()}
        for piece in self._slices.values():
            for endpoint in piece.endpoints:
                holder = holders.get(_address_of(endpoint))
                for port in piece.ports:
                    if holder is not None and port.port:
                        host = self.network.host(holder)
                        if not host.node.stack.listens(port.protocol.lower(), port.port):
                            host.serve(port.protocol.lower(), port.port, respond)

    # -- what happens -------------------------------------------------------------------------------------------------

    def apply(self, *things: Service | EndpointSlice | Pod) -> None:
        """Make or replace objects; each node hears of it in its time, and syncs."""
        for thing in things:
            if isinstance(thing, Pod):
                if _pod_name(thing) not in self.pods:
                    self._add_pod(thing)
            else:
                self._held(thing)[_key(thing)] = thing
        self._serve()
        self._tell([thing for thing in things if not isinstance(thing, Pod)], [])

    def delete(self, *things: Service | EndpointSlice | Pod) -> None:
        """Take objects away. A pod that is gone answers nobody any more, not even by a refusal."""
        for thing in things:
            if isinstance(thing, Pod):
                self.network.remove(self.directory.pod(_pod_name(thing)))
                del self.pods[_pod_name(thing)]
            elif self._held(thing).pop(_key(thing), None) is None:
                raise MissingError(f"there is no {type(thing).__name__} {'/'.join(_key(thing))}")
        self._tell([], [thing for thing in things if not isinstance(thing, Pod)])

    def stop(self, pod: str) -> None:
        """Let a pod answer nobody any more, though its endpoints still say that it does."""
        self.pod(pod).node.set_link("eth0", up=False)

    def advance(self, seconds: float) -> Journey:
        """Let time pass: news arrive, kube-proxies sync, connections expire."""
        return self.network.advance(seconds)

    def _held(self, thing: Service | EndpointSlice) -> dict[tuple[str, str], Service | EndpointSlice]:
        return self._services if isinstance(thing, Service) else self._slices  # type: ignore[return-value]

    def _tell(self, changed: list[Service | EndpointSlice], gone: list[Service | EndpointSlice]) -> None:
        for name, proxy in self.proxies.items():
            delay = self._news.get(name, 0.0) if isinstance(self._news, dict) else self._news
            if delay:
                self.network.clock.call_after(round(delay * SECOND), proxy.learn, changed, gone)
            else:
                proxy.learn(changed, gone)

    # -- who calls whom -----------------------------------------------------------------------------------------------

    def connect(
        self, source: str, target: str, *, protocol: str = "", via: str = "", port: int = 0, trace: bool = True
    ) -> Call:
        """
        Open a connection from *source* to *target*, ask something, and say what came of it.

        *source* is a pod, a node, or an address of the world outside. *target* is ``address:port``, or a Service
        (``web``, ``ns/web:http``), a pod or a node with a port. From outside, addresses that no node has are led to the
        node *via*, or to each node in turn that an external load balancer would take. *port* is the client's own.
        """
        host, address = self._caller(source, target)
        name = self.directory.target(target, parse_address(address).family)
        where = host_port(name.address, name.port)
        chosen = protocol or name.protocol
        if host == OUTSIDE:
            self._lead(name.address, name.port, via)
        port = port or self._free_port()
        connection = Connection(self.network, host, chosen, host_port(address, port), where, trace=trace)
        call = Call(source, connection, self.directory)
        call.opened()
        return call

    def _caller(self, source: str, target: str) -> tuple[str, str]:
        """The host that calls, and its address: of the family of *target*, if that can be told."""
        directory = self.directory
        host = directory.caller(source)
        if host is None:
            address = str(parse_address(source))
            owner = directory.holder(address)
            if owner is None:
                self._wiring.add_client(address)
            return owner or OUTSIDE, address
        held = directory.addresses(host)
        wanted = directory.families(target)
        return host, next((each for each in held if parse_address(each).family in wanted), held[0])

    def _free_port(self) -> int:
        self._next_port += 1
        return _FIRST_PORT + self._next_port % _PORTS

    def _lead(self, address: str, port: int, via: str) -> None:
        """Let packets from outside to *address* find a node, as an external load balancer or a route would."""
        if self.directory.holder(address) is not None:
            return
        nodes = [via] if via else [name for name in self.nodes if self._takes(name, address, port)] or list(self.nodes)
        if via and via not in self.nodes:
            raise MissingError(f"there is no node {via!r}")
        self._wiring.lead(address, nodes[self._turn % len(nodes)])
        self._turn += 1

    def _takes(self, name: str, address: str, port: int) -> bool:
        """Whether a load balancer's health check finds a node fit: if the policy is Local, with an endpoint of its own."""
        proxy, family = self.proxies[name], parse_address(address).family
        if family not in proxy.families:
            return False
        for served in proxy.state(family).ports:
            info = served.info
            if info.health_check_node_port and info.port == port and address in info.load_balancer_vips:
                return any(each.local and each.ready for each in served.endpoints)
        return True

    def endpoints(self, service: str, *, node: str = "") -> list[str]:
        """The endpoints that a *node* (the first) would choose among for a Service's cluster IP."""
        name = node or next(iter(self.nodes))
        proxy, found = self.proxies[name], []
        key = self.directory.service(service)
        for family in proxy.families:
            for served in proxy.state(family).ports:
                if (served.info.name.namespace, served.info.name.service) == key:
                    found += self._usable(served, proxy, family)
        return found

    @staticmethod
    def _usable(served: ServedPort, proxy: KubeProxy, family: Family) -> list[str]:
        node = node_info(proxy.node, family)
        choice = choose(served.info, served.endpoints, node=node.name, zone=node.zone)
        return [str(each) for each in (choice.local if served.info.internal_local else choice.cluster)]


def _key(thing: Service | EndpointSlice) -> tuple[str, str]:
    return thing.metadata.namespace, thing.metadata.name


def _address_of(endpoint: Endpoint) -> str:
    """Where an endpoint is, canonical; empty if it only has a name."""
    found = lenient_address(endpoint.addresses[0]) if endpoint.addresses else None
    return str(found) if found is not None else ""


def _pod_name(pod: Pod) -> str:
    return f"{pod.metadata.namespace}/{pod.metadata.name}"


def _pod(namespace: str, address: str, node: str) -> Pod:
    name = ObjectMeta(name=f"pod-{address.replace(':', '-').replace('.', '-')}", namespace=namespace)
    return Pod(metadata=name, spec=PodSpec(nodeName=node), status=PodStatus(podIP=address))

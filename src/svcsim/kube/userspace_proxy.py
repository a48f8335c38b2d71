"""
The process of the userspace mode: it accepts, chooses an endpoint, dials, and passes everything on both ways.

Behaviour of: kube-proxy's userspace proxier: four dials with longer and longer patience, each to the endpoint whose turn
it is; both connections end when either does; UDP clients have sessions that idleness ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from svcsim.addr import format_address, parse_address
from svcsim.clock import SECOND, Timer
from svcsim.connection import Side
from svcsim.kube.state import ServedPort, ServicePortName, host_port
from svcsim.lb.userspace import RoundRobin
from svcsim.network import Host, Network
from svcsim.packet import Packet, Tcp, TcpFlags

__all__ = ["DIAL_TIMEOUTS", "ProxyStatistics", "UserspaceProxy"]

#: How long each dial may take, in nanoseconds.
DIAL_TIMEOUTS = tuple(round(seconds * SECOND) for seconds in (0.25, 0.5, 1.0, 2.0))
#: A longer datagram is cut: the process reads into a buffer of so many bytes.
UDP_BUFFER = 4096
#: An idle UDP client is forgotten after so many nanoseconds.
UDP_IDLE = round(0.25 * SECOND)
_FIRST_PORT, _LAST_PORT = 60000, 65535
#: So many clients are served at once.
_MOST_CONNECTIONS = 1 << 16


@attrs.define
class ProxyStatistics:
    """
    What the process did: connections *accepted*, *dials* and those among them that were *retries*, clients *given_up*,
    payload *bytes* passed on, and *crossings* between kernel and process (each packet read or written).
    """

    accepted: int = 0
    dials: int = 0
    retries: int = 0
    given_up: int = 0
    bytes: int = 0
    crossings: int = 0


class UserspaceProxy:
    """The process on *host*; `serve` says what at which port."""

    def __init__(self, network: Network, host: Host) -> None:
        self.network, self.host = network, host
        self.statistics = ProxyStatistics()
        self.balancer = RoundRobin(host.node.streams["userspace shuffle"])
        self._served: dict[int, ServedPort] = {}
        self._connections: dict[tuple[str, int], _Connection] = {}
        self._sessions: dict[tuple[int, str], _Session] = {}
        self._next = _FIRST_PORT

    def serve(self, ports: Mapping[int, ServedPort]) -> None:
        """Listen at *ports* for what they serve; leave the others, but what runs goes on."""
        self.balancer.expire(self.network.clock.now)
        kept = {
            port for port in ports if port in self._served and self._served[port].info.name == ports[port].info.name
        }
        for port in sorted(self._served.keys() - kept):
            info = self._served.pop(port).info
            self.host.leave(info.protocol, port)
            self.balancer.forget(info.name)
        for port, served in ports.items():
            info = served.info
            if port not in kept:
                self.host.serve(info.protocol, port, self._heard_tcp if info.protocol == "tcp" else self._heard_udp)
            self.balancer.serve(info.name, affinity=bool(info.affinity_seconds), seconds=info.affinity_seconds)
            self.balancer.set_endpoints(info.name, (str(each) for each in served.endpoints if each.ready))
        self._served = dict(ports)

    def choose(self, name: ServicePortName, client: str, *, reset: bool = False) -> str | None:
        """The endpoint whose turn it is for *client*; None if there is none."""
        return self.balancer.next(name, client, self.network.clock.now, reset=reset)

    def post(self, packet: Packet) -> None:
        """Write *packet*."""
        self.statistics.crossings += 1
        self.network.post(self.host, packet)

    def free_port(self, protocol: str) -> int:
        """A port for a dial."""
        for _ in range(_LAST_PORT - _FIRST_PORT + 1):
            port, self._next = self._next, self._next + 1 if self._next < _LAST_PORT else _FIRST_PORT
            if not self.host.node.stack.listens(protocol, port):
                return port
        return 0

    def source_for(self, endpoint: str) -> str:
        """The node's address for packets to *endpoint*."""
        target = parse_address(endpoint.rpartition(":")[0].strip("[]"))
        return format_address(target.family, self.host.node.routes[target.family].lookup(target.value).source)

    # -- what comes ---------------------------------------------------------------------------------------------------

    def _heard_tcp(self, packet: Packet) -> Iterator[Packet]:
        """A segment from a client."""
        header = packet.header
        assert isinstance(header, Tcp)
        key = host_port(format_address(packet.family, packet.src), packet.sport), packet.dport
        connection = self._connections.get(key)
        if header.flags & TcpFlags.SYN and not header.flags & TcpFlags.ACK:
            if connection is not None:  # the client has forgotten it
                connection.hang_up()
            elif len(self._connections) >= _MOST_CONNECTIONS:
                return  # no descriptor is left
            connection = self._connections[key] = _Connection(self, self._served[packet.dport].info.name, key)
        if connection is not None:
            connection.from_client(packet)
        elif packet.payload:  # for a connection that this side has closed
            here = host_port(format_address(packet.family, packet.dst), packet.dport)
            yield Packet.tcp(here, key[0], flags="R", seq=header.ack)

    def _heard_udp(self, packet: Packet) -> Iterator[Packet]:
        """A datagram from a client."""
        client = format_address(packet.family, packet.src)
        key = packet.dport, host_port(client, packet.sport)
        self.statistics.crossings += 1
        session = self._sessions.get(key)
        if session is None:
            endpoint = self.choose(self._served[packet.dport].info.name, client)
            port = self.free_port("udp")
            if endpoint is None or not port:
                self.statistics.given_up += 1
                return iter(())
            self.statistics.accepted += 1
            self.statistics.dials += 1
            session = self._sessions[key] = _Session(self, key, packet, endpoint, port)
        session.from_client(packet)
        return iter(())

    def forget(self, key: tuple[str, int]) -> None:
        """A connection is over."""
        self._connections.pop(key, None)

    def end_session(self, key: tuple[int, str]) -> None:
        """A client has been idle for too long."""
        self._sessions.pop(key, None)


class _Connection:
    """One client's connection, and the one to its endpoint once there is one."""

    def __init__(self, proxy: UserspaceProxy, name: ServicePortName, key: tuple[str, int]) -> None:
        self._proxy, self._name, self._key = proxy, name, key
        self._client: Side | None = None
        self._backend: Side | None = None
        self._tried = 0
        self._waiting = bytearray()
        self._timer: Timer | None = None
        self._accepted = False
        self._connected = False

    def from_client(self, packet: Packet) -> None:
        """A segment from the client."""
        proxy, header = self._proxy, packet.header
        assert isinstance(header, Tcp)
        proxy.statistics.crossings += 1
        if self._client is None:
            self._client = Side.accepting(packet)
            proxy.post(self._client.segment("SA"))
            return
        payload, ended = self._client.take(packet)
        if header.flags & TcpFlags.RST:
            self._end()
            return
        if not self._accepted:
            self._accepted = True
            proxy.statistics.accepted += 1
            self._dial()
        if payload:
            proxy.post(self._client.segment("A"))
            self._waiting += payload
            self._pass_on()
        if ended:
            self._end()

    def _dial(self) -> None:
        """Ask for an endpoint and dial it; after a failure whoever was remembered does not count."""
        proxy = self._proxy
        self.hang_up()
        client = self._key[0].rpartition(":")[0].strip("[]")
        endpoint = None
        if self._tried < len(DIAL_TIMEOUTS):
            endpoint = proxy.choose(self._name, client, reset=self._tried > 0)
        port = proxy.free_port("tcp")
        if endpoint is None or not port:
            proxy.statistics.given_up += 1
            self._end()
            return
        proxy.statistics.dials += 1
        proxy.statistics.retries += self._tried > 0
        patience = DIAL_TIMEOUTS[self._tried]
        self._tried += 1
        self._backend = Side.dialling(host_port(proxy.source_for(endpoint), port), endpoint)
        proxy.host.serve("tcp", port, self._from_backend)
        self._timer = proxy.network.clock.call_after(patience, self._dial)
        proxy.post(self._backend.segment("S"))

    def _from_backend(self, packet: Packet) -> Iterator[Packet]:
        proxy, header, backend = self._proxy, packet.header, self._backend
        proxy.statistics.crossings += 1
        if backend is None or not isinstance(header, Tcp) or packet.dport != backend.port:
            return iter(())
        if header.flags & TcpFlags.RST:
            if self._connected:
                self._end()
            else:
                self._dial()
            return iter(())
        payload, ended = backend.take(packet)
        if not self._connected:
            self._connected = True
            self._stop_timer()
            proxy.post(backend.segment("A"))
            self._pass_on()
        if payload and self._client is not None:
            proxy.post(backend.segment("A"))
            proxy.statistics.bytes += len(payload)
            proxy.post(self._client.segment("PA", payload))
        if ended:
            self._end()
        return iter(())

    def _pass_on(self) -> None:
        """Send the endpoint what the client has said so far."""
        if self._connected and self._waiting and self._backend is not None:
            self._proxy.statistics.bytes += len(self._waiting)
            self._proxy.post(self._backend.segment("PA", bytes(self._waiting)))
            self._waiting.clear()

    def hang_up(self) -> None:
        """Let go of the endpoint, without a word."""
        self._stop_timer()
        if self._backend is not None:
            self._proxy.host.leave("tcp", self._backend.port)
            self._backend = None
            self._connected = False

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        """Close both sides: there are no half-closed connections."""
        if self._backend is not None and self._connected:
            self._proxy.post(self._backend.segment("FA"))
        self.hang_up()
        if self._client is not None:
            self._proxy.post(self._client.segment("FA"))
        self._proxy.forget(self._key)


class _Session:
    """A UDP client and the endpoint that it has."""

    def __init__(self, proxy: UserspaceProxy, key: tuple[int, str], first: Packet, endpoint: str, port: int) -> None:
        self._proxy, self._key = proxy, key
        self._here = host_port(format_address(first.family, first.dst), first.dport)
        self._endpoint, self._port = endpoint, port
        self._source = host_port(proxy.source_for(endpoint), port)
        self._timer = proxy.network.clock.call_after(UDP_IDLE, self._end)
        proxy.host.serve("udp", port, self._from_backend)

    def from_client(self, packet: Packet) -> None:
        """Pass a datagram on, and be patient again."""
        self._pass(Packet.udp(self._source, self._endpoint, packet.payload[:UDP_BUFFER]))

    def _from_backend(self, packet: Packet) -> Iterator[Packet]:
        self._proxy.statistics.crossings += 1
        self._pass(Packet.udp(self._here, self._key[1], packet.payload[:UDP_BUFFER]))
        return iter(())

    def _pass(self, packet: Packet) -> None:
        self._timer.reset(self._proxy.network.clock.now + UDP_IDLE)
        self._proxy.statistics.bytes += len(packet.payload)
        self._proxy.post(packet)

    def _end(self) -> None:
        self._proxy.host.leave("udp", self._port)
        self._proxy.end_session(self._key)

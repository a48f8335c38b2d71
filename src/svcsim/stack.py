"""
The host's own protocols: what takes a packet that is for this host, and what answers where nothing does.

A socket that was declared listening takes what is for it and says nothing: an application's words are the user's to
send. Where nothing listens, TCP answers by a reset and the rest by an ICMP error; echo requests are answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from svcsim.addr import Family, parse_address
from svcsim.errors import ConfigError, ExistsError, MissingError
from svcsim.hooks import Skb
from svcsim.icmp import echo_reply, reset_of
from svcsim.outcome import Delivery
from svcsim.packet import Icmp, Proto, Tcp, Udp
from svcsim.route import RouteKind
from svcsim.trace import Delivered, Dropped

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["LocalStack", "Socket"]

_ECN = 0x03
_PROTOCOLS = {"tcp": Proto.TCP, "udp": Proto.UDP, "sctp": Proto.SCTP}
#: ICMP and ICMPv6 say "nothing listens at this port" and "no such protocol here" each in its own way.
_PORT_UNREACHABLE = {Family.IPV4: (3, 3), Family.IPV6: (1, 4)}
_NO_PROTOCOL = {Family.IPV4: (3, 2, 0), Family.IPV6: (4, 1, 6)}  # IPv6 points at the next-header field, byte 6


@attrs.frozen
class Socket:
    """A listening socket: *address* None is the wildcard of both families."""

    proto: int
    port: int
    address: int | None = None

    def __str__(self) -> str:
        return f"{Proto(self.proto).name.lower()} socket {self.port}"


class LocalStack:
    """The sockets and protocols of one host."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._sockets: dict[tuple[int, int, int | None], Socket] = {}

    def listen(self, protocol: str, port: int, address: str | None = None) -> Socket:
        """Declare a listening socket."""
        proto = _PROTOCOLS.get(protocol)
        if proto is None:
            raise ConfigError(f"no sockets of protocol {protocol!r}; known: {', '.join(_PROTOCOLS)}")
        if not 0 < port < 65536:
            raise ConfigError(f"not a port: {port}")
        socket = Socket(proto, port, parse_address(address).value if address is not None else None)
        key = (proto, port, socket.address)
        if key in self._sockets:
            raise ExistsError("Address already in use", exit_code=98)
        self._sockets[key] = socket
        return socket

    def listens(self, protocol: str, port: int) -> bool:
        """Whether a socket listens at *port* of all addresses."""
        return (_PROTOCOLS[protocol], port, None) in self._sockets

    def socket(self, protocol: str, port: int) -> Socket:
        """The socket that listens at *port* of all addresses."""
        found = self._sockets.get((_PROTOCOLS[protocol], port, None))
        if found is None:
            raise MissingError(f"not listening: {protocol} socket {port}")
        return found

    def close(self, socket: Socket) -> None:
        """Let a socket listen no more."""
        if self._sockets.pop((socket.proto, socket.port, socket.address), None) is None:
            raise MissingError(f"not listening: {socket}")

    def deliver(self, skb: Skb) -> None:
        """Hand *skb*, which is for this host, to what takes it, or answer that nothing does."""
        header = skb.header
        if isinstance(header, Tcp | Udp) and skb.checksum and not skb.original.fragment_offset:
            self._drop(skb, "bad transport checksum")
            return
        if isinstance(header, Icmp):
            self._deliver_icmp(skb)
            return
        find = self._sockets.get
        socket = find((skb.proto, skb.dport, skb.dst)) or find((skb.proto, skb.dport, None))
        if socket is not None and header is not None:
            self._take(skb, str(socket))
        elif skb.route is not None and skb.route.kind is not RouteKind.LOCAL:
            self._drop(skb, "no socket takes this broadcast")
        elif isinstance(header, Tcp):
            answer = reset_of(skb, tos=skb.tos & ~_ECN)
            self._drop(skb, f"no listener at TCP port {skb.dport}")
            if answer is not None:
                # An IPv6 reset to the loopback address is bound to the device that was spoken to, as in the kernel.
                strict = skb.family is Family.IPV6 and skb.src == 1
                outdev = self._node.routes[skb.family].holder(skb.dst) if strict else ""
                self._node.voice.say(answer, outdev=outdev)
        elif isinstance(header, Udp):
            self._drop(skb, f"no listener at UDP port {skb.dport}")
            self._node.answer_icmp(skb, *_PORT_UNREACHABLE[skb.family])
        elif skb.proto in (Proto.TCP, Proto.UDP):
            self._drop(skb, "transport header cut short")
        else:
            self._drop(skb, f"no protocol {skb.proto} here")
            self._node.answer_icmp(skb, *_NO_PROTOCOL[skb.family])

    def _deliver_icmp(self, skb: Skb) -> None:
        if skb.checksum is not None:
            self._drop(skb, "bad ICMP checksum")
            return
        answer = echo_reply(skb)
        ignored = self._node.sysctls["net.ipv4.icmp_echo_ignore_all"] and skb.family is Family.IPV4
        self._take(skb, "icmp")
        if answer is not None and not ignored and (skb.route is None or skb.route.kind is RouteKind.LOCAL):
            self._node.voice.say(answer)

    def _take(self, skb: Skb, by: str) -> None:
        self._node.outcome.delivered.append(Delivery(by, skb))
        if skb.trace is not None:
            skb.trace.append(Delivered(by))

    @staticmethod
    def _drop(skb: Skb, reason: str) -> None:
        if skb.trace is not None:
            skb.trace.append(Dropped(reason))

"""
What IPVS wraps a tunnelled packet in: another IP header alone, GRE (RFC 2784), or UDP and GUE.

Behaviour of: ip_vs_tunnel_xmit, ip_vs_gre_encap, ip_vs_gue_encap; pinned by the corpus scenarios ipvs-gre-* and
ipvs-tunnels-*. The outer header takes TTL, traffic class and DF from the inner one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcsim.addr import Family
from svcsim.checksum import internet
from svcsim.lb.service import TunnelType
from svcsim.packet import Packet, Proto, Udp
from svcsim.wire import encode

if TYPE_CHECKING:
    from svcsim.lb.service import Destination

__all__ = ["overhead", "unwrapped", "wrap"]

_OUTER_HEADER = {Family.IPV4: 20, Family.IPV6: 40}
_INNER_PROTO = {Family.IPV4: 4, Family.IPV6: 41}
_ETHER_TYPE = {Family.IPV4: 0x0800, Family.IPV6: 0x86DD}
_GRE, _GRE_CHECKSUM = 47, 0x8000
_UDP_HEADER, _GUE_HEADER, _GRE_HEADER = 8, 4, 4
_ECN, _ECT_0 = 0x03, 0x02


def overhead(outer: Family, dest: Destination | None) -> int:
    """
    The bytes that a tunnel to *dest* puts before each packet.

    >>> overhead(Family.IPV4, None), overhead(Family.IPV6, None)
    (20, 40)
    """
    size = _OUTER_HEADER[outer]
    if dest is None or dest.tunnel is TunnelType.IPIP:
        return size
    if dest.tunnel is TunnelType.GUE:
        return size + _UDP_HEADER + _GUE_HEADER
    return size + _GRE_HEADER + (4 if dest.tunnel_checksum == "csum" else 0)


def wrap(
    inner: Packet,
    src: int,
    dst: int,
    outer: Family,
    dest: Destination | None,
    source_port: int = 0,
    *,
    dont_fragment: bool = True,
) -> Packet:
    """
    Put *inner* into a packet from *src* to *dst*, as the tunnel to *dest* asks; None means plain IP in IP.

    The outer packet forbids fragmentation if *dont_fragment* and the inner one does. *source_port* is GUE's.

    >>> print(wrap(Packet.udp("192.0.2.9:1", "10.96.0.10:53"), 0xC0000201, 0x0AF40002, Family.IPV4, None))
    protocol 4 192.0.2.1 > 10.244.0.2, length 48
    """
    tunnel = TunnelType.IPIP if dest is None else dest.tunnel
    payload = encode(inner)
    proto, header, ports, checksum = _INNER_PROTO[inner.family], None, (0, 0), None
    if tunnel is TunnelType.GRE:
        assert dest is not None
        summed = dest.tunnel_checksum == "csum"
        start = (_GRE_CHECKSUM * summed).to_bytes(2, "big") + _ETHER_TYPE[inner.family].to_bytes(2, "big")
        if summed:
            start += internet(start + bytes(4) + payload).to_bytes(2, "big") + bytes(2)
        proto, payload = _GRE, start + payload
    elif tunnel is TunnelType.GUE:
        assert dest is not None
        # Version 0, a data message, no options; then what is inside.
        payload = bytes((0, proto, 0, 0)) + payload
        proto, header, ports = int(Proto.UDP), Udp(), (source_port, dest.tunnel_port)
        checksum = 0 if dest.tunnel_checksum == "nocsum" else None
    congested = inner.tos & _ECN == _ECN
    return Packet(
        outer,
        proto,
        src,
        dst,
        sport=ports[0],
        dport=ports[1],
        header=header,
        payload=payload,
        checksum=checksum,
        ttl=inner.ttl,
        # What was marked on its way to here is not marked again outside (RFC 3168, 9.1.1).
        tos=inner.tos & ~_ECN | _ECT_0 if congested else inner.tos,
        dont_fragment=dont_fragment and inner.family is Family.IPV4 and inner.dont_fragment,
    )


def unwrapped(outer: Packet) -> bytes | None:
    """
    What is inside of a packet that an ICMP error quotes, if that looks like one of a tunnel; it may be cut anywhere.

    >>> inner = Packet.udp("192.0.2.9:1", "10.96.0.10:53")
    >>> unwrapped(wrap(inner, 0xC0000201, 0x0AF40002, Family.IPV4, None)) == encode(inner)
    True
    """
    data = outer.payload
    if outer.proto == _INNER_PROTO[Family.IPV4]:
        return data
    if outer.proto == _GRE and data[2:4] == _ETHER_TYPE[Family.IPV4].to_bytes(2, "big"):
        return data[_GRE_HEADER + (4 if data[0] & 0x80 else 0) :]
    if outer.proto == Proto.UDP and data[:2] == bytes((0, _INNER_PROTO[Family.IPV4])):
        return data[_GUE_HEADER:]
    return None
